//! Messages leave: their commands are read, the link takes them, or they are lost.

use crate::host::machine::Machine;
use crate::host::packet::Payload;
use crate::plan::choice::Question;
use crate::plan::record::{DropReason, Violation};
use crate::world::env::Env;
use crate::world::hosts::{Hosts, Running};
use crate::world::network::{Network, Passage};
use crate::world::pending::Pending;
use crate::world::watch::Fact;
use raft_core::payload::attach;
use raft_core::{Envelope, Input, Message, Outcome};
use std::time::Duration;

/// The node has handed out a message: the host builds it at once, or a little later.
pub(super) fn send(
    env: &mut Env,
    network: &mut Network,
    at: &Running<'_>,
    envelope: &Envelope,
) -> Result<(), Violation> {
    let envelope = envelope.clone();
    let later = env.choices.duration(Question::BuildDelay, Duration::ZERO, env.setup.build_delay);
    if later.is_zero() {
        return build(env, network, at, envelope, None);
    }
    env.schedule_in(later, Pending::Build { life: at.life(), envelope, machine: None });
    Ok(())
}

/// The sender comes to a message that it was to build later.
pub(super) fn on_build(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    life: u64,
    envelope: Envelope,
    machine: Option<Box<Machine>>,
) -> Result<(), Violation> {
    match hosts.of_life(envelope.from, life) {
        Some(at) => build(env, network, &at, envelope, machine),
        None => lose(env, hosts, &envelope, DropReason::Down),
    }
}

/// Reads the commands that a message names, and gives it to the link.
fn build(
    env: &mut Env,
    network: &mut Network,
    at: &Running<'_>,
    envelope: Envelope,
    machine: Option<Box<Machine>>,
) -> Result<(), Violation> {
    let log = &at.process().log;
    let commands = match &envelope.message {
        Message::AppendEntries(append) => attach(append, |position| log.command(position)),
        _ => Ok(Vec::new()),
    };
    let Ok(commands) = commands else {
        return lose(env, at.hosts(), &envelope, DropReason::PayloadGone);
    };
    let (first, again) = match network.send(&envelope, env.now(), &mut env.choices) {
        Passage::Arrives(first, again) => (first, again),
        Passage::Lost(reason) => return lose(env, at.hosts(), &envelope, reason),
    };
    if again.is_some() {
        env.tell(at.hosts(), Fact::Doubled { message: &envelope })?;
    }
    let packet = network.packet(envelope, Payload { commands, machine }, env.now());
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
    message: &Envelope,
    reason: DropReason,
) -> Result<(), Violation> {
    report_snapshot(env, hosts, message, Outcome::Failed);
    env.tell(hosts, Fact::Dropped { message, reason })
}

/// A snapshot has arrived, or was lost: its sender learns it, perhaps late, perhaps never.
pub(super) fn report_snapshot(env: &mut Env, hosts: &Hosts, envelope: &Envelope, outcome: Outcome) {
    let Message::InstallSnapshot(message) = &envelope.message else { return };
    let Some(sender) = hosts.get(envelope.from) else { return };
    let mut pause = env.setup.link.min_delay;
    if env.setup.snapshots.failing(env.now()) > 0 {
        match env.choices.below(Question::Snapshot, 8) {
            6 => pause += env.setup.election_timeout * 2,
            7 => return,
            _ => {}
        }
    }
    let position = message.snapshot.position;
    let input = Input::SnapshotSent { to: envelope.to, position, outcome };
    env.schedule_in(pause, Pending::Report { node: sender.id(), life: sender.life, input });
}
