//! What comes to a node: it is stepped at once, or lies in the host's inbox.

use crate::host::client::{Answer, Request};
use crate::host::log::Command;
use crate::host::packet::{Arrival, Packet};
use crate::plan::choice::Question;
use crate::plan::record::{DropReason, Violation};
use crate::world::apply::apply_waiting;
use crate::world::disk::take_report;
use crate::world::env::Env;
use crate::world::hosts::{Hosts, Running};
use crate::world::life::{crash, schedule_wake};
use crate::world::network::Network;
use crate::world::pending::Pending;
use crate::world::reply::reply;
use crate::world::send::{lose, report_snapshot};
use crate::world::step::step;
use crate::world::watch::Fact;
use raft_core::driver::Event;
use raft_core::{Instant, NodeId, Outcome};
use std::time::Duration;

/// The deadline of a driver has passed.
pub(super) const WAKE: Arrival = Arrival::Event(Event::Wake);

/// Something comes to a node: it is stepped at once, or lies in the inbox. One that does not run
/// hears nothing.
pub(super) fn arrive(
    env: &mut Env,
    network: &mut Network,
    at: Option<Running<'_>>,
    arrival: Arrival,
) -> Result<(), Violation> {
    let Some(mut at) = at else { return Ok(()) };
    let (paused, gathering) = (at.host().paused, env.setup.gathering);
    if !paused && gathering.is_zero() {
        return step(env, network, at, [arrival]);
    }
    let (node, life) = (at.id(), at.life());
    let process = at.process_mut();
    process.inbox.push(arrival);
    if !paused && process.poll_at.is_none() {
        let pause = env.choices.duration(Question::Gathering, Duration::ZERO, gathering);
        let time = env.now().saturating_add(pause);
        process.poll_at = Some(time);
        env.agenda.schedule(time, Pending::Poll { node, life });
    }
    Ok(())
}

/// A copy of a message comes to the end of its way.
pub(super) fn on_deliver(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    packet: Packet,
) -> Result<(), Violation> {
    let to = packet.envelope.to;
    if !network.arrives(&packet, env.now()) {
        return lose(env, hosts, (&packet.envelope, &packet.payload), DropReason::Cut);
    }
    let Some(at) = hosts.running(to) else {
        return lose(env, hosts, (&packet.envelope, &packet.payload), DropReason::Down);
    };
    report_snapshot(env, at.hosts(), (&packet.envelope, &packet.payload), Outcome::Done);
    arrive(env, network, Some(at), Arrival::Message(packet))
}

/// A request arrives at a node. One that is down refuses the connection.
pub(super) fn on_request(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    node: NodeId,
    request: Request,
) -> Result<(), Violation> {
    let Some(at) = hosts.running(node) else {
        return reply(env, hosts, node, request.token, Answer::Refused { leader: None });
    };
    let Request { token, commands, query } = request;
    let arrival = match query {
        Some(question) => Arrival::Query(token, question),
        None => Arrival::Event(Event::Propose { token, commands, until: Instant::MAX }),
    };
    arrive(env, network, Some(at), arrival)
}

/// Steps what has gathered: all as one where the setup lets inputs gather, else one by one.
pub(super) fn on_poll(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    node: NodeId,
    life: u64,
) -> Result<(), Violation> {
    let going_on = hosts.of_life(node, life).filter(|at| !at.host().paused);
    let Some(mut at) = going_on else { return Ok(()) };
    let process = at.process_mut();
    process.poll_at = None;
    let mut gathered = std::mem::take(&mut process.inbox);
    // Waiting messages first: a heartbeat in the inbox must not lose to the timer it resets.
    gathered.sort_by_key(|arrival| *arrival == WAKE);
    if gathered.is_empty() {
        return Ok(());
    }
    if !env.setup.gathering.is_zero() {
        return step(env, network, at, gathered);
    }
    for arrival in gathered {
        let Some(at) = hosts.of_life(node, life) else { break };
        step(env, network, at, [arrival])?;
    }
    Ok(())
}

/// A node's deadline may have passed.
pub(super) fn on_wake(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    node: NodeId,
    life: u64,
) -> Result<(), Violation> {
    let Some(mut at) = hosts.of_life(node, life) else { return Ok(()) };
    let now = env.now();
    let process = at.process_mut();
    if process.wake_at == Some(now) {
        process.wake_at = None;
    }
    match at.host().deadline() {
        Some(deadline) if deadline <= now => arrive(env, network, Some(at), WAKE),
        _ => {
            schedule_wake(env, &mut at);
            Ok(())
        }
    }
}

/// What the host has to say to its driver, if that still lives.
pub(super) fn on_report(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    node: NodeId,
    life: u64,
    event: Event<Command>,
) -> Result<(), Violation> {
    arrive(env, network, hosts.of_life(node, life), Arrival::Event(event))
}

/// The state machine comes to what waits for it. One that stands still comes to it later.
pub(super) fn on_apply(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    node: NodeId,
    life: u64,
) -> Result<(), Violation> {
    let Some(mut at) = hosts.of_life(node, life).filter(|at| !at.host().paused) else {
        return Ok(());
    };
    let now = env.now();
    if apply_waiting(env, &mut at, now)? {
        env.tell(at.hosts(), Fact::AppliedLate { node })?;
        return step(env, network, at, []);
    }
    Ok(())
}

/// What a disk has done is told to its node: each by itself, in order, at once or later.
fn report(
    env: &mut Env,
    network: &mut Network,
    mut at: Running<'_>,
    event: Event<Command>,
) -> Result<(), Violation> {
    let (now, lag) = (env.now(), env.setup.lag);
    let pause = env.choices.duration(Question::ReportDelay, Duration::ZERO, lag.reporting(now));
    let (node, life) = (at.id(), at.life());
    let reported_at = &mut at.process_mut().reported_at;
    let time = now.saturating_add(pause).max(*reported_at);
    *reported_at = time;
    if time <= now {
        return arrive(env, network, Some(at), Arrival::Event(event));
    }
    env.tell(at.hosts(), Fact::ReportsLate)?;
    env.agenda.schedule(time, Pending::Report { node, life, event });
    Ok(())
}

/// Something that the disk was given is due.
pub(super) fn on_disk(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    node: NodeId,
    life: u64,
) -> Result<(), Violation> {
    let Some(mut at) = hosts.of_life(node, life) else { return Ok(()) };
    let (reports, failed) = at.disk_mut().complete(env.agenda.now(), &mut env.choices);
    let mut events = std::mem::take(&mut env.reports);
    for report in reports {
        events.push(take_report(env, &mut at, report)?);
    }
    env.tell(at.hosts(), Fact::Synced { node })?;
    for event in events.drain(..) {
        let Some(at) = hosts.of_life(node, life) else { continue };
        report(env, network, at, event)?;
    }
    env.reports = events;
    if failed && let Some(at) = hosts.of_life(node, life) {
        // To go on would be to promise what cannot be kept.
        env.tell(at.hosts(), Fact::WriteFailed { node })?;
        return crash(env, at, None);
    }
    Ok(())
}
