//! The life of a process: it starts, is woken at its node's deadline, and ends.

use crate::plan::record::Violation;
use crate::world::env::Env;
use crate::world::host::Unstartable;
use crate::world::hosts::{Hosts, Running};
use crate::world::pending::Pending;
use crate::world::watch::Fact;
use raft_core::{Instant, NodeId};

/// Starts a process; one that runs is spared the crash that waits for its next step.
pub(super) fn start(env: &mut Env, hosts: &mut Hosts, node: NodeId) -> Result<(), Violation> {
    let host = hosts.named(node);
    if host.process.is_some() {
        host.crash_in_step = false;
        return Ok(());
    }
    let first = host.life == 0;
    match host.start(&env.setup, env.agenda.now(), &mut env.choices) {
        Ok((config, was_torn)) => {
            env.tell(hosts, Fact::Started { node, config: &config, first, was_torn })?;
        }
        Err(Unstartable::Damaged(damage)) => {
            return env.tell(hosts, Fact::Unstartable { node, damage });
        }
        Err(Unstartable::Refused(error)) => {
            let sentence = format!("{node:?} refuses what a crash can leave behind: {error}");
            return Err(env.violation("recovery", sentence));
        }
    }
    if let Some(mut at) = hosts.running(node) {
        schedule_wake(env, &mut at);
    }
    Ok(())
}

/// Ends a process, and lets the disk lose what it may. `cut_off` actions of the step under way were
/// not carried out; `None` between two steps.
pub(super) fn crash(
    env: &mut Env,
    at: Running<'_>,
    cut_off: Option<usize>,
) -> Result<(), Violation> {
    let node = at.id();
    let hosts = at.stop();
    let mut lost = hosts.named(node).disk.crash(&mut env.choices);
    lost.actions = cut_off.unwrap_or(0);
    env.tell(hosts, Fact::Crashed { node, lost, in_step: cut_off.is_some() })
}

/// Sees to it that the node is woken at its deadline. A wake-up that is on its way and comes
/// earlier will look again.
pub(super) fn schedule_wake(env: &mut Env, at: &mut Running<'_>) {
    let Some(deadline) = at.host().deadline() else { return };
    let (node, life, now) = (at.id(), at.life(), env.now());
    // A deadline that stays in the past is a bug of the node: it must not stop the world.
    let time = if deadline > now { deadline } else { Instant::from_nanos(now.as_nanos() + 1) };
    let process = at.process_mut();
    if process.wake_at.is_none_or(|other| time < other) {
        process.wake_at = Some(time);
        env.agenda.schedule(time, Pending::Wake { node, life });
    }
}
