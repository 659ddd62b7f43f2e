//! Committed entries come to the state machine, at once or later.

use crate::host::client::Answer;
use crate::host::log::{Command, Entry};
use crate::plan::choice::Question;
use crate::plan::record::Violation;
use crate::world::env::Env;
use crate::world::hosts::Running;
use crate::world::pending::Pending;
use crate::world::reply::reply;
use crate::world::watch::Fact;
use raft_core::Instant;
use raft_core::driver::{Caller, Commit, Event};
use std::time::Duration;

/// Committed entries wait for the state machine, if it lags.
pub(super) fn apply_later(
    env: &mut Env,
    at: &mut Running<'_>,
    commits: Vec<Commit<Command>>,
) -> Result<(), Violation> {
    let (now, lag) = (env.now(), env.setup.lag);
    let pause = env.choices.duration(Question::ApplyDelay, Duration::ZERO, lag.applying(now));
    let (node, life) = (at.id(), at.life());
    if at.process().applies.is_some() {
        let sentence = format!("{node:?} is given more to apply before it has applied the rest");
        return Err(env.violation("driver", sentence));
    }
    for Caller { token, .. } in commits.iter().filter_map(|commit| commit.caller) {
        at.process_mut().answered(token);
    }
    let last = commits.last().map(|commit| commit.entry.position.index);
    if last < Some(at.process().status.last_applied) {
        env.tell(at.hosts(), Fact::AppliesInParts)?;
    }
    if pause.is_zero() {
        return apply(env, at, &commits);
    }
    let due = now.saturating_add(pause);
    at.process_mut().applies = Some((due, commits));
    env.tell(at.hosts(), Fact::AppliesLate)?;
    env.agenda.schedule(due, Pending::Apply { node, life });
    Ok(())
}

/// Gives to the state machine what was to wait up to this moment. Whether there was something.
pub(super) fn apply_waiting(
    env: &mut Env,
    at: &mut Running<'_>,
    until: Instant,
) -> Result<bool, Violation> {
    let Some((_, commits)) = at.process_mut().applies.take_if(|(due, _)| *due <= until) else {
        return Ok(false);
    };
    apply(env, at, &commits)?;
    Ok(true)
}

/// Gives committed entries to the state machine, and their answers to those who wait for them.
fn apply(
    env: &mut Env,
    at: &mut Running<'_>,
    commits: &[Commit<Command>],
) -> Result<(), Violation> {
    let node = at.id();
    for run in commits.chunk_by(|a, b| a.entry.position.term == b.entry.position.term) {
        let mut repeated = 0;
        for Commit { entry, caller } in run {
            let (position, process) = (entry.position, at.process_mut());
            let after = process.machine.applied();
            if position.index.get() != after.get() + 1 || !process.log.holds(position) {
                let sentence = format!("{node:?} applies {position} after {after:?}");
                return Err(env.violation("driver", sentence));
            }
            let entry = Entry { term: position.term, content: entry.content.clone() };
            let effect = process.machine.apply(&entry);
            repeated += u64::from(effect.is_some_and(|e| e.position.index < position.index));
            let Some(caller) = caller.filter(|caller| caller.nth == 0) else { continue };
            let first = effect.map_or(position, |effect| effect.position);
            let value = effect.and_then(|effect| effect.value);
            let answer = Answer::Applied { value, position: first };
            reply(env, at.hosts(), node, caller.token, answer)?;
        }
        let [first, ..] = run else { continue };
        let [.., last] = run else { continue };
        let (first, through) = (first.entry.position.index, last.entry.position);
        env.tell(at.hosts(), Fact::Applied { node, first, through, repeated })?;
    }
    let last = commits.last().map(|commit| commit.entry.position.index);
    at.process_mut().events.extend(last.map(|through| Event::Applied { through }));
    Ok(())
}
