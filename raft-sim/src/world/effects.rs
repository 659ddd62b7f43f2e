//! The host carries out what its driver says, in its order.

use crate::host::client::Answer as Reply;
use crate::host::disk::{DiskWrite, Job};
use crate::host::log::{Command, Log};
use crate::plan::choice::Question;
use crate::plan::record::Violation;
use crate::world::apply::apply_later;
use crate::world::disk::submit;
use crate::world::env::Env;
use crate::world::hosts::Running;
use crate::world::life::crash;
use crate::world::network::Network;
use crate::world::pending::Pending;
use crate::world::reply::{reply, serve};
use crate::world::send::send;
use crate::world::snapshots::{compact, on_task};
use crate::world::watch::{Fact, Stepped};
use raft_core::driver::{Answer, BoundWrite, Effect, Event, Refusal, SnapshotTask, Unknown};
use raft_core::{Action, Envelope, Message, RejectReason, Token};
use std::vec::Drain;

type Effects<'a> = Drain<'a, Effect<Command>>;

/// Carries out what follows from a step of the node, action by action; not all of it if the host
/// crashes in between: then nobody is left.
pub(super) fn carry_out<'a>(
    env: &mut Env,
    network: &mut Network,
    mut at: Running<'a>,
    step: Stepped<'_>,
    effects: Effects<'_>,
) -> Result<Option<Running<'a>>, Violation> {
    let Stepped { node, inputs, before, actions, .. } = step;
    let crashes = at.host().crash_in_step && !actions.is_empty();
    let done = if crashes {
        let count = u64::try_from(actions.len()).expect("a few actions");
        let done = env.choices.within(Question::ActionsDone, 0..=count);
        usize::try_from(done).expect("a few actions")
    } else {
        actions.len()
    };
    let mut effects = effects.peekable();
    for (nth, action) in actions[..done].iter().enumerate() {
        env.tell(at.hosts(), Fact::CarriesOut { node, action })?;
        if let Action::Persist(write) = action {
            at.process_mut().ledger.take(write);
        }
        let later = &actions[nth + 1..];
        let is_next = |effect: &Effect<Command>| {
            belongs(effect, action)
                || !crashes && !later.iter().any(|action| belongs(effect, action))
        };
        let mut frames = 0;
        while let Some(effect) = effects.next_if(is_next) {
            frames += usize::from(matches!(effect, Effect::Send(_)));
            if frames == 2 {
                env.tell(at.hosts(), Fact::FrameSplit)?;
            }
            carry_out_one(env, network, &mut at, effect)?;
        }
    }
    if done == actions.len() {
        for effect in effects {
            carry_out_one(env, network, &mut at, effect)?;
        }
    }
    let (done, left) = actions.split_at(done);
    let whole = !crashes;
    env.tell(at.hosts(), Fact::CarriedOut { node, inputs, before, actions: done, whole })?;
    if crashes {
        crash(env, at, Some(left.len()))?;
        return Ok(None);
    }
    Ok(Some(at))
}

/// Carries out what follows from no step of the node.
pub(super) fn carry_out_rest(
    env: &mut Env,
    network: &mut Network,
    at: &mut Running<'_>,
    effects: Effects<'_>,
) -> Result<(), Violation> {
    let (node, applied) = (at.id(), at.process().machine.applied());
    for effect in effects {
        carry_out_one(env, network, at, effect)?;
    }
    if at.process().machine.applied() == applied {
        return Ok(());
    }
    env.tell(at.hosts(), Fact::AppliedLate { node })
}

/// Whether an action of the node has led to an effect.
fn belongs(effect: &Effect<Command>, action: &Action) -> bool {
    match (effect, action) {
        (Effect::Write(write), Action::Persist(asked)) => write.ticket == asked.ticket,
        (Effect::Send(frame), Action::Send(envelope)) => is_part_of(frame.envelope(), envelope),
        (
            Effect::Answer { token, answer: Answer::Refused(Refusal::Node(_)) },
            Action::Rejected { token: asked, .. },
        )
        | (Effect::Answer { token, .. }, Action::TransferEnded { token: asked, .. }) => {
            token == asked
        }
        (Effect::Snapshot(SnapshotTask::Send { head, .. }), Action::SendSnapshot { to, .. }) => {
            head.to == *to
        }
        (Effect::Notice(notice), action) => notice == action,
        _ => false,
    }
}

/// Whether a message that leaves is one of the node, or a part of it.
fn is_part_of(part: &Envelope, whole: &Envelope) -> bool {
    if part.to != whole.to {
        return false;
    }
    match (&part.message, &whole.message) {
        (Message::AppendEntries(part), Message::AppendEntries(whole)) => {
            let is_within = part.prev.index >= whole.prev.index
                && part.last_position().index <= whole.last_position().index;
            is_within && (part.prev == whole.prev || !part.entries.is_empty())
        }
        (part, whole) => part == whole,
    }
}

fn carry_out_one(
    env: &mut Env,
    network: &mut Network,
    at: &mut Running<'_>,
    effect: Effect<Command>,
) -> Result<(), Violation> {
    match effect {
        Effect::Write(write) => persist(env, at, write),
        Effect::Send(frame) => send(env, network, at, frame),
        Effect::Apply(commits) => apply_later(env, at, commits),
        Effect::Answer { token, answer } => answer_to(env, at, token, answer),
        Effect::Snapshot(task) => on_task(env, at, task),
        Effect::Compact { through } => compact(env, at, through),
        Effect::Fetch { .. } => fetch(env, at),
        Effect::Notice(_) => Ok(()),
    }
}

fn answer_to(
    env: &mut Env,
    at: &mut Running<'_>,
    token: Token,
    answer: Answer,
) -> Result<(), Violation> {
    nobody_is_given_up_too_early(env, at, token, answer)?;
    let told = match answer {
        Answer::Read { index } => return serve(env, at, token, index),
        Answer::Refused(Refusal::Node(RejectReason::NotLeader { leader })) => {
            Reply::Refused { leader }
        }
        Answer::Refused(refusal) => {
            if matches!(refusal, Refusal::TooManyUncommitted { .. }) {
                env.tell(at.hosts(), Fact::TooManyBytes)?;
            }
            Reply::Refused { leader: None }
        }
        Answer::Lost { .. } => Reply::Lost,
        Answer::Unknown { cause, .. } => {
            if cause == Unknown::LeadershipLost {
                env.tell(at.hosts(), Fact::GivesUp)?;
            }
            Reply::Unknown
        }
        // The operator looks at the membership and at who leads.
        Answer::Changed | Answer::Transferred(_) => return Ok(()),
    };
    at.process_mut().queries.remove(&token);
    reply(env, at.hosts(), at.id(), token, told)
}

/// Whoever is answered waits no more, and was not told too early that his time is over.
fn nobody_is_given_up_too_early(
    env: &mut Env,
    at: &mut Running<'_>,
    token: Token,
    answer: Answer,
) -> Result<(), Violation> {
    let until = at.process_mut().answered(token);
    let is_over = matches!(
        answer,
        Answer::Refused(Refusal::TimedOut) | Answer::Unknown { cause: Unknown::TimedOut, .. }
    );
    if !is_over {
        return Ok(());
    }
    let local = at.host().local(env.now());
    if let Some(until) = until.filter(|until| local < *until) {
        let sentence = format!("{:?} gives {token} up at {local:?}, not {until:?}", at.id());
        return Err(env.violation("driver", sentence));
    }
    env.tell(at.hosts(), Fact::TimeIsOver)
}

/// The disk reads an entry, behind nothing that is written.
fn fetch(env: &mut Env, at: &Running<'_>) -> Result<(), Violation> {
    let profile = at.host().disk.profile();
    let (least, most) = (profile.min_latency, profile.max_latency);
    let pause = env.choices.duration(Question::Fetch, least, most);
    let (node, life, event) = (at.id(), at.life(), Event::Fetched);
    env.tell(at.hosts(), Fact::Fetches)?;
    env.schedule_in(pause, Pending::Report { node, life, event });
    Ok(())
}

fn persist(
    env: &mut Env,
    at: &mut Running<'_>,
    write: BoundWrite<Command>,
) -> Result<(), Violation> {
    let node = at.id();
    let write = DiskWrite::from(write);
    if let Some((first, entries)) = &write.log {
        let process = at.process_mut();
        if let Some(start) = write.restart_after {
            process.log = Log::starting(start);
        }
        let last = process.log.last();
        if *first <= process.log.start().index || first.get() > last.index.get() + 1 {
            let sentence = format!("{node:?} writes from {first:?} on after {last}");
            return Err(env.violation("payloads", sentence));
        }
        process.log.write(*first, entries);
    }
    submit(env, at, Job::Write(write));
    Ok(())
}
