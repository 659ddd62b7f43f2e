//! Messages leave with their bytes: the link takes them, or they are lost.

use crate::host::log::Command;
use crate::host::packet::Payload;
use crate::host::shelf::is_head;
use crate::plan::choice::Question;
use crate::plan::record::{DropReason, Violation};
use crate::world::env::Env;
use crate::world::hosts::{Hosts, Running};
use crate::world::network::{Network, Passage};
use crate::world::pending::Pending;
use crate::world::watch::Fact;
use raft_core::driver::{Event, Frame, SnapshotEvent};
use raft_core::{Envelope, Outcome};
use std::time::Duration;

/// The driver has handed out a message: it leaves at once, or a little later.
pub(super) fn send(
    env: &mut Env,
    network: &mut Network,
    at: &Running<'_>,
    frame: Frame<Command>,
) -> Result<(), Violation> {
    env.tell(at.hosts(), Fact::Leaves { node: at.id(), message: frame.envelope() })?;
    let (envelope, commands) = frame.into_parts();
    let payload = Payload { commands, stream: None };
    let later = env.choices.duration(Question::BuildDelay, Duration::ZERO, env.setup.build_delay);
    if later.is_zero() {
        return leave(env, network, at, envelope, payload);
    }
    env.schedule_in(later, Pending::Build { life: at.life(), envelope, payload });
    Ok(())
}

/// The sender comes to a message that was to leave later. A snapshot may be unwanted by now.
pub(super) fn on_build(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    life: u64,
    envelope: Envelope,
    payload: Payload,
) -> Result<(), Violation> {
    let Some(mut at) = hosts.of_life(envelope.from, life) else {
        return lose(env, hosts, (&envelope, &payload), DropReason::Down);
    };
    match &payload.stream {
        Some(stream) if !at.process_mut().shelf.leaves(stream.id) => {
            let reason = DropReason::Unwanted;
            env.tell(at.hosts(), Fact::Dropped { message: &envelope, reason })
        }
        _ => leave(env, network, &at, envelope, payload),
    }
}

/// Gives a message to the link.
fn leave(
    env: &mut Env,
    network: &mut Network,
    at: &Running<'_>,
    envelope: Envelope,
    payload: Payload,
) -> Result<(), Violation> {
    let (first, again) = match network.send(&envelope, env.now(), &mut env.choices) {
        Passage::Arrives(first, again) => (first, again),
        Passage::Lost(reason) => return lose(env, at.hosts(), (&envelope, &payload), reason),
    };
    if again.is_some() {
        env.tell(at.hosts(), Fact::Doubled { message: &envelope })?;
    }
    let packet = network.packet(envelope, payload, env.now());
    network.leaves(&packet);
    match again {
        None => env.agenda.schedule(first, Pending::Deliver(packet)),
        Some(again) => {
            env.agenda.schedule(first, Pending::Deliver(packet.clone()));
            env.agenda.schedule(again, Pending::Deliver(packet));
        }
    }
    Ok(())
}

/// A message is lost.
pub(super) fn lose(
    env: &mut Env,
    hosts: &Hosts,
    (message, payload): (&Envelope, &Payload),
    reason: DropReason,
) -> Result<(), Violation> {
    report_snapshot(env, hosts, (message, payload), Outcome::Failed);
    env.tell(hosts, Fact::Dropped { message, reason })
}

/// A snapshot has arrived, or was lost: its sender learns it, perhaps late, perhaps never.
pub(super) fn report_snapshot(
    env: &mut Env,
    hosts: &Hosts,
    (message, payload): (&Envelope, &Payload),
    outcome: Outcome,
) {
    if !is_head(&message.message) || hosts.get(message.from).is_none() {
        return;
    }
    let mut pause = env.setup.link.min_delay;
    if env.setup.snapshots.failing(env.now()) > 0 {
        match env.choices.below(Question::Snapshot, 8) {
            6 => pause += env.setup.election_timeout * 2,
            7 => return,
            _ => {}
        }
    }
    // Somebody else's head is on no stream.
    let Some(stream) = &payload.stream else { return };
    let (node, life) = (message.from, stream.life);
    let event = Event::Snapshot(SnapshotEvent::Sent { stream: stream.id, outcome });
    env.schedule_in(pause, Pending::Report { node, life, event });
}
