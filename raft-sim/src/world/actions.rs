//! The host carries out what its node has handed out, in its order.

use crate::host::client::Answer;
use crate::host::disk::{DiskWrite, Job};
use crate::host::log::{Entry, Log};
use crate::host::packet::Payload;
use crate::plan::choice::Question;
use crate::plan::record::Violation;
use crate::world::disk::submit;
use crate::world::env::Env;
use crate::world::host::Process;
use crate::world::hosts::{Hosts, Running};
use crate::world::life::crash;
use crate::world::network::Network;
use crate::world::pending::Pending;
use crate::world::reply::{reply, serve};
use crate::world::send::send;
use crate::world::snapshots::{install, maybe_take_snapshot, send_snapshot};
use crate::world::watch::Fact;
use raft_core::payload::bind;
use raft_core::{
    Action, Input, Instant, LogIndex, LogPosition, LogWrite, NodeId, PayloadError, RejectReason,
    Status, Token, Write,
};
use std::time::Duration;

/// The inputs of a step, and what came with each.
pub(super) type Beside<'a> = (&'a [Input], &'a [Payload]);

/// Carries out the actions; not all of them if the host crashes in between: then nobody is left.
pub(super) fn carry_out<'a>(
    env: &mut Env,
    network: &mut Network,
    mut at: Running<'a>,
    before: &Status,
    actions: &[Action],
    beside: Beside<'_>,
) -> Result<Option<Running<'a>>, Violation> {
    let node = at.id();
    let crashes = at.host().crash_in_step && !actions.is_empty();
    let done = if crashes {
        let count = u64::try_from(actions.len()).expect("a few actions");
        let done = env.choices.within(Question::ActionsDone, 0..=count);
        usize::try_from(done).expect("a few actions")
    } else {
        actions.len()
    };
    for action in &actions[..done] {
        env.tell(at.hosts(), Fact::CarriesOut { node, action })?;
        carry_out_one(env, network, &mut at, action, beside)?;
    }
    let (done, left) = actions.split_at(done);
    let (inputs, whole) = (beside.0, !crashes);
    env.tell(at.hosts(), Fact::CarriedOut { node, inputs, before, actions: done, whole })?;
    if crashes {
        crash(env, at, Some(left.len()))?;
        return Ok(None);
    }
    Ok(Some(at))
}

fn carry_out_one(
    env: &mut Env,
    network: &mut Network,
    at: &mut Running<'_>,
    action: &Action,
    beside: Beside<'_>,
) -> Result<(), Violation> {
    match *action {
        Action::Accepted { token, first, .. } => {
            at.process_mut().waiting.insert(first.index, (first, token));
        }
        Action::Rejected { token, reason } => reject(env, at, token, reason)?,
        Action::Persist(ref write) => persist(env, at, write, beside)?,
        Action::Send(ref envelope) => send(env, network, at, envelope)?,
        Action::Apply { first, through } => apply_later(env, at, first, through)?,
        Action::ReadReady { token, index } => {
            at.process_mut().ready.push((index, token));
            serve(env, at)?;
        }
        Action::SendSnapshot { to, term, at_least } => {
            send_snapshot(env, at, to, term, at_least)?;
        }
        Action::InstallSnapshot { ref snapshot } => {
            apply_waiting(env, at, Instant::MAX)?;
            install(env, at, snapshot, beside.1)?;
        }
        // These only tell.
        Action::TransferEnded { .. }
        | Action::PeerRegressed { .. }
        | Action::RoleChanged { .. }
        | Action::Ignored { .. } => {}
    }
    Ok(())
}

fn reject(
    env: &mut Env,
    at: &mut Running<'_>,
    token: Token,
    reason: RejectReason,
) -> Result<(), Violation> {
    at.process_mut().queries.remove(&token);
    let leader = match reason {
        RejectReason::NotLeader { leader } => leader,
        _ => None,
    };
    reply(env, at.hosts(), at.id(), token, Answer::Refused { leader })
}

fn persist(
    env: &mut Env,
    at: &mut Running<'_>,
    write: &Write,
    beside: Beside<'_>,
) -> Result<(), Violation> {
    let node = at.id();
    let log = match &write.log {
        None => None,
        Some(log) => match bound(log, beside) {
            Ok(entries) => Some((log.first, entries)),
            Err(error) => return Err(env.violation("payloads", format!("{node:?}: {error}"))),
        },
    };
    let restart_after = write.log.as_ref().and_then(|log| log.restart_after);
    let process = at.process_mut();
    process.ledger.take(write);
    if let Some((first, entries)) = &log {
        if let Some(start) = restart_after {
            process.log = Log::starting(start);
        }
        let last = process.log.last();
        if *first <= process.log.start().index || first.get() > last.index.get() + 1 {
            let sentence = format!("{node:?} writes from {first:?} on after {last}");
            return Err(env.violation("payloads", sentence));
        }
        process.log.write(*first, entries);
    }
    let Write { ticket, hard_state, .. } = *write;
    submit(env, at, Job::Write(DiskWrite { ticket, hard_state, restart_after, log }));
    Ok(())
}

/// Committed entries wait for the state machine, if it lags.
fn apply_later(
    env: &mut Env,
    at: &mut Running<'_>,
    first: LogIndex,
    through: LogPosition,
) -> Result<(), Violation> {
    let (now, lag) = (env.now(), env.setup.lag);
    let pause = env.choices.duration(Question::ApplyDelay, Duration::ZERO, lag.applying(now));
    let (node, life) = (at.id(), at.life());
    let applies = &mut at.process_mut().applies;
    let due = applies.back().map_or(now, |(due, ..)| *due).max(now.saturating_add(pause));
    if due <= now && applies.is_empty() {
        return apply(env, at, first, through);
    }
    applies.push_back((due, first, through));
    env.tell(at.hosts(), Fact::AppliesLate)?;
    env.agenda.schedule(due, Pending::Apply { node, life });
    Ok(())
}

/// Gives to the state machine what was to wait up to this moment.
pub(super) fn apply_waiting(
    env: &mut Env,
    at: &mut Running<'_>,
    until: Instant,
) -> Result<(), Violation> {
    while let Some((_, first, through)) =
        at.process_mut().applies.front().copied().filter(|(due, ..)| *due <= until)
    {
        at.process_mut().applies.pop_front();
        apply(env, at, first, through)?;
    }
    Ok(())
}

/// The state machine comes to what waits for it. One that stands still comes to it later.
pub(super) fn on_apply(
    env: &mut Env,
    hosts: &mut Hosts,
    node: NodeId,
    life: u64,
) -> Result<(), Violation> {
    let Some(mut at) = hosts.of_life(node, life).filter(|at| !at.host().paused) else {
        return Ok(());
    };
    let now = env.now();
    apply_waiting(env, &mut at, now)?;
    maybe_take_snapshot(env, &mut at);
    env.tell(at.hosts(), Fact::AppliedLate { node })
}

/// Gives committed entries to the state machine, and their answers to those who wait for them.
fn apply(
    env: &mut Env,
    at: &mut Running<'_>,
    first: LogIndex,
    through: LogPosition,
) -> Result<(), Violation> {
    let node = at.id();
    let mut repeated = 0;
    for index in (first.get()..=through.index.get()).map(LogIndex) {
        let Process { log, machine, waiting, .. } = at.process_mut();
        let Some(entry) = log.get(index) else {
            let sentence = format!("{node:?} applies {index:?}, which it does not hold");
            return Err(env.violation("state_machine_safety", sentence));
        };
        let effect = machine.apply(entry);
        let waits = waiting.remove(&index);
        repeated += u64::from(effect.is_some_and(|effect| effect.position.index < index));
        let Some((position, token)) = waits else { continue };
        let answer = if position.term == through.term {
            let first = effect.map_or(position, |effect| effect.position);
            Answer::Applied { value: effect.and_then(|effect| effect.value), position: first }
        } else {
            Answer::Lost
        };
        reply(env, at.hosts(), node, token, answer)?;
    }
    serve(env, at)?;
    env.tell(at.hosts(), Fact::Applied { node, first, through, repeated })
}

/// The entries of a write, with the commands that came with the inputs of the same call.
fn bound(log: &LogWrite, beside: Beside<'_>) -> Result<Vec<Entry>, PayloadError> {
    let (inputs, payloads) = beside;
    let of_input = |nth: usize| Some((inputs.get(nth)?, &payloads.get(nth)?.commands[..]));
    let entry = |(position, content): (LogPosition, _)| Entry { term: position.term, content };
    Ok(bind(log, of_input)?.into_iter().map(entry).collect())
}
