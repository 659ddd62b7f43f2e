//! One call of one driver: it is told what came, the node in it is stepped, and the host carries
//! out what it says, before what that leads to at once is told to it in turn.

use crate::host::log::Command;
use crate::host::packet::{Arrival, Packet, Payload};
use crate::host::shelf::is_head;
use crate::host::stored::Stored;
use crate::plan::choice::{Choices, Question};
use crate::plan::record::Violation;
use crate::world::effects::{carry_out, carry_out_rest};
use crate::world::env::{Env, Lists};
use crate::world::hosts::Running;
use crate::world::life::schedule_wake;
use crate::world::network::Network;
use crate::world::watch::{self, Fact};
use raft_core::driver::{Event, Frame, Host, SnapshotEvent, SnapshotHead, Stepped};
use raft_core::payload::Content;
use raft_core::{Action, Consistency, Envelope, Input, Instant, LogPosition, Token};

/// Tells a driver what has arrived. The lists are kept from call to call, for their memory.
pub(super) fn step(
    env: &mut Env,
    network: &mut Network,
    at: Running<'_>,
    arrivals: impl IntoIterator<Item = Arrival>,
) -> Result<(), Violation> {
    let mut lists = std::mem::take(&mut env.lists);
    let done = step_with(env, network, at, arrivals, &mut lists);
    lists.clear();
    lists.events.clear();
    env.lists = lists;
    done
}

fn step_with(
    env: &mut Env,
    network: &mut Network,
    mut at: Running<'_>,
    arrivals: impl IntoIterator<Item = Arrival>,
    lists: &mut Lists,
) -> Result<(), Violation> {
    lists.events.append(&mut at.process_mut().events);
    for arrival in arrivals {
        let event = take_in(env, &mut at, arrival)?;
        lists.events.extend(event);
    }
    let mut goes_on = false;
    while goes_on || !lists.events.is_empty() {
        lists.clear();
        let Some(left) = part_of_call(env, network, at, lists)? else { return Ok(()) };
        (at, goes_on) = left;
        if !goes_on {
            nobody_waits_too_long(env, &at)?;
            every_head_is_answered(env, &at)?;
            lists.events.append(&mut at.process_mut().events);
        }
    }
    schedule_wake(env, &mut at);
    Ok(())
}

/// What the driver is told of an arrival. A frame that lies is refused here.
fn take_in(
    env: &mut Env,
    at: &mut Running<'_>,
    arrival: Arrival,
) -> Result<Option<Event<Command>>, Violation> {
    Ok(match arrival {
        Arrival::Message(Packet { envelope, payload, .. }) => {
            let event = receive(at, envelope, payload);
            if event.is_none() {
                env.tell(at.hosts(), Fact::FrameRefused)?;
            }
            event
        }
        Arrival::Query(token, question) => {
            let consistency = question.past_the_log().unwrap_or(Consistency::ReadIndex);
            at.process_mut().queries.insert(token, question);
            Some(Event::Read { token, consistency, until: waits(env, at, token) })
        }
        Arrival::Event(mut event) => {
            if let Event::Propose { token, until, .. }
            | Event::Change { token, until, .. }
            | Event::Promote { token, until, .. } = &mut event
            {
                *until = waits(env, at, *token);
            }
            Some(event)
        }
    })
}

/// What the driver is told of a message, unless it lies. A head begins a stream.
fn receive(at: &mut Running<'_>, envelope: Envelope, payload: Payload) -> Option<Event<Command>> {
    let (from, Payload { commands, stream }) = (envelope.from, payload);
    if !is_head(&envelope.message) {
        return Frame::received(from, envelope, commands, u64::MAX).ok().map(Event::Frame);
    }
    let head = SnapshotHead::received(from, envelope).ok()?;
    let content = stream.map(|stream| stream.machine);
    let stream = at.process_mut().shelf.comes(head.clone(), content);
    Some(Event::Snapshot(SnapshotEvent::Head { stream, head }))
}

/// Until when somebody waits who asks now.
fn waits(env: &Env, at: &mut Running<'_>, token: Token) -> Instant {
    let Some(patience) = env.setup.driver.patience else { return Instant::MAX };
    let until = at.host().local(env.now()).saturating_add(patience);
    at.process_mut().patience.entry(token).and_modify(|until| *until = None).or_insert(Some(until));
    until
}

/// Nobody waits for longer than he wanted to, once a call is over.
fn nobody_waits_too_long(env: &Env, at: &Running<'_>) -> Result<(), Violation> {
    let local = at.host().local(env.now());
    let is_over = |until: &Option<Instant>| until.is_some_and(|until| until <= local);
    let overdue = at.process().patience.iter().find(|(_, until)| is_over(until));
    overdue.map_or(Ok(()), |(token, until)| {
        let sentence = format!("{:?} leaves {token} without an answer after {until:?}", at.id());
        Err(env.violation("driver", sentence))
    })
}

/// The call that has brought a head says what is to become of its stream.
fn every_head_is_answered(env: &Env, at: &Running<'_>) -> Result<(), Violation> {
    at.process().shelf.unanswered().map_or(Ok(()), |stream| {
        let sentence = format!("{:?} does not answer the head of {stream:?}", at.id());
        Err(env.violation("driver", sentence))
    })
}

/// What the driver asks of the host, and what is seen of its node.
struct Sees<'a> {
    stored: &'a Stored,
    inputs: &'a mut Vec<Input>,
    actions: &'a mut Vec<Action>,
    stepped: bool,
    /// What it asked for and the disk does not hold.
    missing: Option<LogPosition>,
    choices: &'a mut Choices,
    /// How many of a million entries are not at hand.
    miss_ppm: u32,
}

impl Host<Command> for Sees<'_> {
    fn read(&mut self, position: LogPosition) -> Option<Content<Command>> {
        let found = self.stored.log.content(position).cloned();
        if found.is_none() {
            self.missing = Some(position);
        }
        found.filter(|_| !self.choices.chance(Question::Fetch, self.miss_ppm))
    }

    fn stepped(&mut self, step: &Stepped<'_>) {
        self.inputs.extend_from_slice(step.inputs);
        self.actions.extend_from_slice(step.actions);
        self.stepped = true;
    }
}

/// One step of the node, at most, and all that the driver says with it. Who is left, and whether
/// the call goes on; nobody, if the host has crashed.
fn part_of_call<'a>(
    env: &mut Env,
    network: &mut Network,
    mut at: Running<'a>,
    lists: &mut Lists,
) -> Result<Option<(Running<'a>, bool)>, Violation> {
    let (node, local) = (at.id(), at.host().local(env.now()));
    let Lists { events, inputs, actions, effects } = lists;
    let (process, disk) = at.parts();
    let stored = disk.stored();
    let (choices, miss_ppm) = (&mut env.choices, env.setup.driver.miss_ppm);
    let mut sees =
        Sees { stored, inputs, actions, stepped: false, missing: None, choices, miss_ppm };
    let goes_on = process.driver.step_once(events.drain(..), local, &mut sees, effects);
    let Sees { stepped, missing, .. } = sees;
    if let Some(position) = missing {
        let sentence = format!("{node:?} reads {position}, which its disk does not hold");
        return Err(env.violation("driver", sentence));
    }
    if !stepped {
        process.wakes = process.driver.deadline();
        carry_out_rest(env, network, &mut at, effects.drain(..))?;
        return Ok(Some((at, goes_on)));
    }
    env.tell(at.hosts(), Fact::Given { node, inputs })?;
    let process = at.process_mut();
    for input in inputs.iter() {
        if let Input::Message(head) = input
            && is_head(&head.message)
        {
            process.shelf.told(head);
        }
    }
    let before = process.status;
    process.told = local;
    process.status = process.driver.node().status();
    process.deadline = process.driver.node().deadline();
    process.wakes = process.driver.deadline();
    let after = process.status;
    let stepped = watch::Stepped { node, inputs, before: &before, after: &after, actions };
    env.stepped(at.hosts(), &stepped);
    let left = carry_out(env, network, at, stepped, effects.drain(..))?;
    let Some(at) = left else { return Ok(None) };
    // After the checkers, so that what is wrong is seen from outside where it can be.
    if let Err(broken) = at.process().driver.node().check() {
        return Err(env.violation("invariants", format!("{node:?}: {broken}")));
    }
    env.tell(at.hosts(), Fact::StepDone { node, before: &before, after: &after })?;
    Ok(Some((at, goes_on)))
}
