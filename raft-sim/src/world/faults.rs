//! The fault timeline.

use crate::host::packet::Arrival;
use crate::plan::change::Change;
use crate::plan::fault::Fault;
use crate::plan::record::{Operation, Phase, Violation};
use crate::world::env::Env;
use crate::world::hostile::hostile;
use crate::world::hosts::Hosts;
use crate::world::inbox::{arrive, on_poll};
use crate::world::life::{crash, schedule_wake, start};
use crate::world::network::Network;
use crate::world::operator::Operator;
use crate::world::pending::Pending;
use crate::world::service::leader;
use crate::world::snapshots::take_snapshot;
use crate::world::watch::Fact;
use raft_core::{Consistency, Input, NodeId};

/// Does to the world what stands in its timeline.
pub(super) fn on_fault(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    operator: &mut Operator,
    nth: usize,
) -> Result<(), Violation> {
    let fault = env.setup.timeline[nth].1.clone();
    env.tell(hosts, Fact::Act { act: &fault })?;
    match fault {
        Fault::Crash { node } => end(env, hosts, node),
        Fault::Restart { node } => start(env, hosts, node),
        Fault::Resume { node } => resume(env, hosts, network, node),
        Fault::Destroy { node } => {
            hosts.named(node).disk.destroy();
            env.tell(hosts, Fact::DiskHarmed { node, record: false })?;
            end(env, hosts, node)
        }
        Fault::Hostile { node, what } => hostile(env, hosts, network, node, what),
        Fault::Campaign { node } => {
            arrive(env, network, hosts.running(node), Arrival::Told(Input::Campaign))
        }
        Fault::Unreachable { node, peer } => {
            let input = Input::PeerUnreachable { peer };
            arrive(env, network, hosts.running(node), Arrival::Told(input))
        }
        Fault::Propose { node, count } => propose(env, hosts, network, operator, node, count),
        Fault::Read { node, consistency } => read(env, hosts, network, operator, node, consistency),
        Fault::ChangeMembership { node, change } => {
            change_membership(env, hosts, network, operator, node, &change)
        }
        Fault::Transfer { node, to } => {
            let Some(node) = node.or_else(|| leader(hosts, network, env.now())) else {
                return Ok(());
            };
            let (_, token) = operator.request();
            let input = Input::TransferLeadership { token, to };
            arrive(env, network, hosts.running(node), Arrival::Told(input))
        }
        other => quiet_fault(env, hosts, network, &other),
    }
}

/// What gives no node anything to do at once.
fn quiet_fault(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    fault: &Fault,
) -> Result<(), Violation> {
    let now = env.now();
    match *fault {
        Fault::Cut { from, to } => network.cut(from, to),
        Fault::Heal { from, to } => network.heal(from, to, now),
        Fault::HealAll => network.heal_all(now),
        Fault::Reach { ref shape } => {
            let leader = leader(hosts, network, now);
            network.reach(shape, leader, now);
        }
        Fault::Flap { from, to, period } => network.flap(from, to, period, now),
        Fault::Isolate { node } => network.isolate(node),
        Fault::SetLink { from, to, profile } => network.set_profile(from, to, profile),
        Fault::DropKind { from, to, kind } => network.set_lost(from, to, kind, true),
        Fault::PassKind { from, to, kind } => network.set_lost(from, to, kind, false),
        Fault::CrashInStep { node } => hosts.named(node).crash_in_step = true,
        Fault::Pause { node } => hosts.named(node).paused = true,
        Fault::HangDisk { node } => hosts.named(node).disk.hang(),
        Fault::ReleaseDisk { node } => {
            let host = hosts.named(node);
            host.disk.release();
            env.agenda.schedule(now, Pending::Disk { node, life: host.life });
        }
        Fault::FillDisk { node, room } => hosts.named(node).disk.set_room(Some(room)),
        Fault::FreeDisk { node } => hosts.named(node).disk.set_room(None),
        Fault::SetDisk { node, profile } => hosts.named(node).disk.set_profile(profile),
        Fault::Damage { node, part } => {
            let record = hosts.named(node).disk.damage(part, &mut env.choices);
            env.tell(hosts, Fact::DiskHarmed { node, record })?;
        }
        Fault::TakeSnapshot { node } => {
            if let Some(mut at) = hosts.running(node) {
                take_snapshot(env, &mut at);
            }
        }
        Fault::SetClock { node, ppm } => {
            hosts.named(node).clock.set_rate(now, ppm);
            look_at_clock(env, hosts, node);
        }
        Fault::JumpClock { node, millis } => {
            hosts.named(node).clock.jump(now, millis);
            look_at_clock(env, hosts, node);
        }
        Fault::Wipe { node } => wipe(env, hosts, node)?,
        Fault::Crash { .. }
        | Fault::Restart { .. }
        | Fault::Resume { .. }
        | Fault::Destroy { .. }
        | Fault::Hostile { .. }
        | Fault::Campaign { .. }
        | Fault::Unreachable { .. }
        | Fault::Propose { .. }
        | Fault::Read { .. }
        | Fault::ChangeMembership { .. }
        | Fault::Transfer { .. } => unreachable!("these give a node something to do"),
    }
    Ok(())
}

/// Ends a process, if it runs.
fn end(env: &mut Env, hosts: &mut Hosts, node: NodeId) -> Result<(), Violation> {
    hosts.running(node).map_or(Ok(()), |at| crash(env, at, None))
}

/// Its clock is another now, and so is the moment of its deadline.
fn look_at_clock(env: &mut Env, hosts: &mut Hosts, node: NodeId) {
    if let Some(mut at) = hosts.running(node) {
        schedule_wake(env, &mut at);
    }
}

fn wipe(env: &mut Env, hosts: &mut Hosts, node: NodeId) -> Result<(), Violation> {
    if hosts.running(node).is_none() {
        env.tell(hosts, Fact::Wiped { node })?;
        hosts.named(node).wipe();
    }
    Ok(())
}

fn resume(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    node: NodeId,
) -> Result<(), Violation> {
    let host = hosts.named(node);
    host.paused = false;
    let life = host.life;
    on_poll(env, hosts, network, node, life)?;
    look_at_clock(env, hosts, node);
    Ok(())
}

/// Commands that nobody waits for.
fn propose(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    operator: &mut Operator,
    node: NodeId,
    count: u64,
) -> Result<(), Violation> {
    let (serial, request) = operator.commands(count);
    if let Some(command) = request.commands.first() {
        env.tell(hosts, Fact::OperatorAsks { serial, operation: command.operation })?;
    }
    arrive(env, network, hosts.running(node), Arrival::Request(request))
}

fn read(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    operator: &mut Operator,
    node: NodeId,
    consistency: Consistency,
) -> Result<(), Violation> {
    let (serial, token) = operator.request();
    let (phase, operation) = (Phase::Invoked, Operation::Query { key: 0, consistency });
    env.tell(hosts, Fact::OperatorAsks { serial, operation })?;
    env.tell(hosts, Fact::Client { node: Some(node), client: 0, serial, operation, phase })?;
    arrive(env, network, hosts.running(node), Arrival::Query(token, operation))
}

/// Asks for a change of the membership; one that makes no sense is not asked for.
fn change_membership(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    operator: &mut Operator,
    node: Option<NodeId>,
    change: &Change,
) -> Result<(), Violation> {
    let Some(node) = node.or_else(|| leader(hosts, network, env.now())) else { return Ok(()) };
    let Ok(target) = change.target(hosts.named(node).membership()) else { return Ok(()) };
    let (_, token) = operator.request();
    let input = Input::ChangeMembership { token, target };
    arrive(env, network, hosts.running(node), Arrival::Told(input))
}
