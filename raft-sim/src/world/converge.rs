//! Whether the cluster converges, and what is to be said of a run as a whole.

use crate::plan::record::Violation;
use crate::world::clients::Clients;
use crate::world::env::Env;
use crate::world::host::{Host, Process};
use crate::world::hosts::Hosts;
use crate::world::network::Network;
use crate::world::service::{self, Service};
use crate::world::watch::Fact;

/// For how many T the term must have stood still at the end of a run that converges.
const STILL: u32 = 4;

/// Whether the cluster has converged, see [`World::converged`](crate::world::World::converged).
pub(super) fn converged(
    env: &Env,
    hosts: &Hosts,
    network: &Network,
    clients: &Clients,
) -> Result<(), Violation> {
    let now = env.now();
    let fails = |sentence| Err(env.violation("liveness", sentence));
    let Some((leader, leading)) = service::serving(hosts, network, now) else {
        return match Service::of(hosts, network, now) {
            Service::DidNot(id) => {
                fails(format!("there is no leader that can commit, and {id:?} could win"))
            }
            _ if network.is_whole(now) => fails("no node can win an election any more".to_owned()),
            _ => nobody_waits(env, clients),
        };
    };
    let still = now.saturating_since(env.watch.term_rose());
    if still < env.setup.election_timeout * STILL {
        let millis = still.as_millis();
        return fails(format!("the term rose {millis} ms ago, with nothing to make it rise"));
    }
    for host in hosts.iter() {
        let Some(process) = &host.process else { continue };
        let reached = network.joins(leader.id(), host.id(), now);
        if reached && leader.membership().contains(host.id()) {
            caught_up(host, process, leading).or_else(fails)?;
        }
    }
    nobody_waits(env, clients)
}

/// Whether a node has nothing to do any more, and the same as its leader.
fn caught_up(host: &Host, process: &Process, leading: &Process) -> Result<(), String> {
    let (status, reference) = (process.status, leading.status);
    let mine = (status.term, status.last, status.commit_index);
    let all = (reference.term, reference.last, reference.last.index);
    if mine != all || process.machine.applied() != reference.last.index {
        return Err(format!("{status:?} has not caught up with {reference:?}"));
    }
    if status.pending_reads > 0 || !process.ready.is_empty() {
        return Err(format!("{:?} has reads that wait", host.id()));
    }
    if status.transfers_to.is_some() || status.membership_changes {
        return Err(format!("{status:?} has not finished what it was asked for"));
    }
    Ok(())
}

fn nobody_waits(env: &Env, clients: &Clients) -> Result<(), Violation> {
    match clients.waiting() {
        Some(number) => Err(env.violation("liveness", format!("client {number} still waits"))),
        None => Ok(()),
    }
}

/// What is to be said of a run as a whole, see [`World::conclude`](crate::world::World::conclude).
pub(super) fn conclude(
    env: &mut Env,
    hosts: &Hosts,
    network: &Network,
    clients: &Clients,
    converges: bool,
) -> Result<(), Violation> {
    env.watch.judge_history().map_err(|(checker, sentence)| env.violation(checker, sentence))?;
    if !converges {
        return Ok(());
    }
    let excused = env.watch.losses().excuses(hosts).next().map(|excuse| excuse.cause);
    let cut = excused.is_none() && !network.is_whole(env.now());
    let settled = cut.then(|| service::leader(hosts, network, env.now()).is_some());
    env.tell(hosts, Fact::Concluded { excused, settled })?;
    if excused.is_some() {
        return Ok(());
    }
    converged(env, hosts, network, clients)
}
