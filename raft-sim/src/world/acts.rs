//! What is done to the cluster, family by family.

use crate::host::client::Request;
use crate::host::packet::Arrival;
use crate::plan::act::{Act, ClockAct, DiskAct, MessageAct, ProcessAct, RequestAct};
use crate::plan::change::MembershipChange;
use crate::plan::record::{Operation, Stage, Violation};
use crate::world::aim;
use crate::world::env::Env;
use crate::world::hostile::hostile;
use crate::world::hosts::Hosts;
use crate::world::inbox::{WAKE, arrive, on_apply, on_poll};
use crate::world::life::{crash, schedule_wake, start};
use crate::world::network::Network;
use crate::world::operator::Operator;
use crate::world::pending::Pending;
use crate::world::service::leader;
use crate::world::step::step;
use crate::world::watch::Fact;
use raft_core::driver::{Event, SnapshotEvent};
use raft_core::{Consistency, Instant, NodeId};

/// Does to the world what stands in its timeline.
pub(super) fn on_act(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    operator: &mut Operator,
    act_index: usize,
) -> Result<(), Violation> {
    match env.setup.timeline[act_index].1.clone() {
        Act::Aimed(aimed) => {
            env.aims.wait(aimed, env.now());
            Ok(())
        }
        act => carry_out(env, hosts, network, operator, act),
    }
}

/// Does what is aimed at a target that is there now.
pub(super) fn strike(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    operator: &mut Operator,
) -> Result<(), Violation> {
    while !env.aims.is_idle() {
        let now = env.now();
        let Some((target, act)) = aim::next(&mut env.aims, hosts, network, now) else { break };
        env.tell(hosts, Fact::Struck { target })?;
        carry_out(env, hosts, network, operator, act)?;
    }
    Ok(())
}

fn carry_out(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    operator: &mut Operator,
    act: Act,
) -> Result<(), Violation> {
    env.tell(hosts, Fact::Act { act: &act })?;
    match act {
        Act::Link(act) => {
            let leader = leader(hosts, network, env.now());
            network.act(&act, leader, env.now());
            Ok(())
        }
        Act::Message(MessageAct::Hostile { node, message }) => {
            hostile(env, hosts, network, node, message)
        }
        Act::Disk(act) => on_disk_act(env, hosts, &act),
        Act::Process(act) => on_process_act(env, hosts, network, &act),
        Act::Clock(ClockAct::StepBack { node, back }) => step_back(env, hosts, network, node, back),
        Act::Clock(act) => {
            on_clock_act(env, hosts, &act);
            Ok(())
        }
        Act::Request(act) => on_request(env, hosts, network, operator, act),
        // None is aimed at what another is aimed at.
        Act::Aimed(_) => Ok(()),
    }
}

fn on_disk_act(env: &mut Env, hosts: &mut Hosts, act: &DiskAct) -> Result<(), Violation> {
    match *act {
        DiskAct::HangDisk { node } => hosts.named(node).disk.hang(),
        DiskAct::ReleaseDisk { node } => {
            let host = hosts.named(node);
            host.disk.release();
            let pending = Pending::Disk { node, life: host.life };
            env.agenda.schedule(env.now(), pending);
        }
        DiskAct::SetDisk { node, profile } => hosts.named(node).disk.set_profile(profile),
        DiskAct::FillDisk { node, room } => hosts.named(node).disk.set_room(Some(room)),
        DiskAct::FreeDisk { node } => hosts.named(node).disk.set_room(None),
        DiskAct::Damage { node, part } => {
            let record = hosts.named(node).disk.damage(part, &mut env.choices);
            env.tell(hosts, Fact::DiskHarmed { node, record })?;
        }
        DiskAct::Destroy { node } => {
            hosts.named(node).disk.destroy();
            env.tell(hosts, Fact::DiskHarmed { node, record: false })?;
            return end(env, hosts, node);
        }
        DiskAct::Wipe { node } => wipe(env, hosts, node)?,
    }
    Ok(())
}

fn on_process_act(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    act: &ProcessAct,
) -> Result<(), Violation> {
    match *act {
        ProcessAct::Crash { node } => return end(env, hosts, node),
        ProcessAct::CrashInStep { node } => hosts.named(node).crash_in_step = true,
        ProcessAct::Restart { node } => return start(env, hosts, node),
        ProcessAct::Pause { node } => hosts.named(node).paused = true,
        ProcessAct::SetTimeout { node, timeout } => hosts.named(node).set_timeout(timeout),
        ProcessAct::SetProtection { node, protection } => {
            hosts.named(node).set_protection(protection);
        }
        ProcessAct::Resume { node } => return resume(env, hosts, network, node),
    }
    Ok(())
}

/// Its clock is another then, and so is the moment of its deadline.
fn on_clock_act(env: &mut Env, hosts: &mut Hosts, act: &ClockAct) {
    let now = env.now();
    let node = match *act {
        ClockAct::SetClock { node, ppm } => {
            hosts.named(node).clock.set_rate(now, ppm);
            node
        }
        ClockAct::JumpClock { node, millis } => {
            hosts.named(node).clock.jump(now, millis);
            node
        }
        ClockAct::StepBack { node, .. } => node,
    };
    wake_in_time(env, hosts, node);
}

/// The node is stepped before and after its clock jumps back: so it knows that no time is to be
/// read off it until it has caught up.
fn step_back(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    node: NodeId,
    back: u64,
) -> Result<(), Violation> {
    if !hosts.named(node).runs() {
        return Ok(());
    }
    look(env, hosts, network, node)?;
    let millis = i64::try_from(back).unwrap_or(i64::MAX).saturating_neg();
    hosts.named(node).clock.jump(env.now(), millis);
    look(env, hosts, network, node)
}

/// A node looks at its clock.
fn look(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    node: NodeId,
) -> Result<(), Violation> {
    hosts.running(node).map_or(Ok(()), |at| step(env, network, at, [WAKE]))
}

fn on_request(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    operator: &mut Operator,
    act: RequestAct,
) -> Result<(), Violation> {
    let (node, event) = match act {
        RequestAct::Campaign { node } => (node, Event::Campaign),
        RequestAct::Unreachable { node, peer } => (node, Event::Unreachable { peer }),
        RequestAct::PausePeer { node, peer } => (node, Event::Paused { peer, after: None }),
        RequestAct::ResumePeer { node, peer } => (node, Event::Resumed { peer }),
        RequestAct::Propose { node, count } => {
            return propose(env, hosts, network, operator, (node, count));
        }
        RequestAct::Read { node, consistency } => {
            return read(env, hosts, network, operator, (node, consistency));
        }
        RequestAct::TakeSnapshot { node } => (node, Event::Snapshot(SnapshotEvent::Wanted)),
        RequestAct::Transfer { node, to } => {
            let Some(node) = node.or_else(|| leader(hosts, network, env.now())) else {
                return Ok(());
            };
            let (_, token) = operator.request();
            (node, Event::Transfer { token, to })
        }
        RequestAct::ChangeMembership { node, change } => {
            return change_membership(env, hosts, network, operator, (node, &change));
        }
    };
    arrive(env, network, hosts.running(node), Arrival::Event(event))
}

/// Ends a process, if it runs.
fn end(env: &mut Env, hosts: &mut Hosts, node: NodeId) -> Result<(), Violation> {
    hosts.running(node).map_or(Ok(()), |at| crash(env, at, None))
}

fn wake_in_time(env: &mut Env, hosts: &mut Hosts, node: NodeId) {
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
    on_apply(env, hosts, network, node, life)?;
    on_poll(env, hosts, network, node, life)?;
    wake_in_time(env, hosts, node);
    Ok(())
}

/// Commands that nobody waits for.
fn propose(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    operator: &mut Operator,
    (node, count): (NodeId, u64),
) -> Result<(), Violation> {
    let (serial, request) = operator.commands(count);
    if let Some(command) = request.commands.first() {
        env.tell(hosts, Fact::OperatorAsks { serial, operation: command.operation })?;
    }
    let Request { token, commands, .. } = request;
    let event = Event::Propose { token, commands, until: Instant::MAX };
    arrive(env, network, hosts.running(node), Arrival::Event(event))
}

fn read(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    operator: &mut Operator,
    (node, consistency): (NodeId, Consistency),
) -> Result<(), Violation> {
    let (serial, token) = operator.request();
    let (phase, operation) = (Stage::Invoked, Operation::Query { key: 0, consistency });
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
    (node, change): (Option<NodeId>, &MembershipChange),
) -> Result<(), Violation> {
    let Some(node) = node.or_else(|| leader(hosts, network, env.now())) else { return Ok(()) };
    let Ok(target) = change.target(hosts.named(node).membership()) else { return Ok(()) };
    let (_, token) = operator.request();
    let until = Instant::MAX;
    let event = match change {
        MembershipChange::Promote(node) if env.setup.driver.patience.is_some() => {
            env.tell(hosts, Fact::PromotionWaits)?;
            Event::Promote { token, node: *node, until }
        }
        _ => Event::Change { token, target, until },
    };
    arrive(env, network, hosts.running(node), Arrival::Event(event))
}
