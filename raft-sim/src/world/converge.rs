//! Whether the cluster converges, and what is to be said of a run as a whole.

use crate::checker::sight::is_quorum;
use crate::plan::record::Violation;
use crate::world::clients::Clients;
use crate::world::env::Env;
use crate::world::host::{Host, Process};
use crate::world::hosts::Hosts;
use crate::world::network::Network;
use crate::world::service::{self, Service};
use crate::world::watch::{EndOfRun, Fact};
use std::time::Duration;

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
    let contract = env.watch.premises().contract();
    let trouble = Trouble::of(env, hosts, network);
    // A link that flaps may be cut at the very moment of this look, and its leader leads on.
    let is_steady = !trouble.hampers && !network.flaps();
    let (lasts, is_due) = (contract.lasts(), contract.due().is_some() || is_steady);
    let Some((leader, leading)) = service::serving(hosts, network, now) else {
        return match Service::of(hosts, network, now) {
            Service::DidNot(id) if trouble.is_none() || lasts && is_due => {
                fails(format!("there is no leader that can commit, and {id:?} could win"))
            }
            _ if !trouble.explains(env, hosts) => {
                fails("no node can win an election any more".to_owned())
            }
            _ => nobody_waits(env, clients),
        };
    };
    if trouble.is_none() || lasts {
        let still = now.saturating_since(env.watch.term_rose());
        if still < env.setup.election_timeout * STILL {
            let millis = still.as_millis();
            return fails(format!("the term rose {millis} ms ago, with nothing to make it rise"));
        }
        for (place, host) in hosts.iter().enumerate() {
            let Some(process) = &host.process else { continue };
            let reached = network.joins(leader.id(), host.id(), now);
            // How long it takes to catch up over a link that loses something, nobody promises; and
            // a link that flaps may be cut whenever a snapshot is ready to leave.
            let is_clear = network.is_clear(leader.id(), host.id(), now);
            let lacks_a_snapshot = process.status.last.index < leading.status.log_start.index;
            let is_well = if trouble.hampers {
                contract.has(place) && is_clear
            } else {
                is_clear || !lacks_a_snapshot
            };
            if reached && is_well && leader.membership().contains(host.id()) {
                caught_up(host, process, leading).or_else(fails)?;
            }
        }
    }
    nobody_waits(env, clients)
}

/// The longest T of a node that works, and the longest write.
pub(super) fn round(env: &Env, hosts: &Hosts) -> Duration {
    let lag = env.setup.lag.reporting(env.now());
    let working = hosts.iter().filter_map(|host| {
        let config = host.process.as_ref()?.node().config();
        let works = host.runs() && host.disk.works_within(config.disk_timeout, lag, env.now());
        works.then(|| (config.election_timeout, host.disk.profile().max_latency))
    });
    let of_each = working
        .fold((env.setup.election_timeout, Duration::ZERO), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    of_each.0 + of_each.1 + lag
}

/// How far everybody is, in entries that are there, committed and applied.
pub(super) fn progress(hosts: &Hosts) -> u64 {
    let processes = hosts.iter().filter_map(|host| host.process.as_ref());
    let of = |process: &Process| {
        let status = process.status;
        status.last.index.get() + status.commit_index.get() + process.machine.applied().get()
    };
    processes.map(of).sum()
}

/// What is still broken at the end of a run.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    /// A link is cut, or loses something, or is slow.
    of_links: bool,
    /// A node whose disk is not lost does not run, or its disk does not work; or a link loses
    /// something by chance, or is slow. So who could win cannot be told from cut links alone.
    hampers: bool,
    /// No node runs at all, though no disk is lost.
    of_all: bool,
}

impl Trouble {
    fn of(env: &Env, hosts: &Hosts, network: &Network) -> Self {
        let (left, now) = (env.watch.losses().left(hosts), env.now());
        let lag = env.setup.lag.reporting(now);
        let works = |host: &Host| {
            host.runs()
                && host.process.as_ref().is_some_and(|process| {
                    host.disk.works_within(process.node().config().disk_timeout, lag, now)
                })
        };
        let of_all = left.len() == hosts.iter().count() && !hosts.iter().any(Host::runs);
        let of_nodes = hosts.iter().any(|host| left.contains(&host.id()) && !works(host));
        let hampers = network.hampers(env.setup.election_timeout);
        Self { of_links: hampers || !network.is_whole(now), hampers: hampers || of_nodes, of_all }
    }

    const fn is_none(self) -> bool {
        !self.of_links && !self.hampers
    }

    /// Whether it is the reason why no node can win: with all of it repaired one could. Where no
    /// node runs at all, nothing was left that could show anything.
    fn explains(self, env: &Env, hosts: &Hosts) -> bool {
        let left = env.watch.losses().left(hosts);
        let could_win = |host: &Host| {
            let yes = hosts.iter().filter(|other| other.last() <= host.last());
            let yes = yes.map(Host::id).filter(|id| left.contains(id)).collect();
            left.contains(&host.id()) && host.may_campaign() && is_quorum(host.membership(), &yes)
        };
        self.of_links && !self.hampers
            || !self.is_none() && !self.of_all && hosts.iter().any(could_win)
    }
}

/// Whether a node has nothing to do any more, and the same as its leader.
fn caught_up(host: &Host, process: &Process, leading: &Process) -> Result<(), String> {
    let (status, reference) = (process.status, leading.status);
    let mine = (status.term, status.last, status.commit_index);
    let all = (reference.term, reference.last, reference.last.index);
    if mine != all || process.machine.applied() != reference.last.index {
        return Err(format!("{status:?} has not caught up with {reference:?}"));
    }
    if status.pending_reads > 0 || !process.queries.is_empty() {
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
    let trouble = Trouble::of(env, hosts, network);
    let end = excused.is_none().then(|| {
        let (scene, watch) = env.scene(hosts);
        EndOfRun {
            has_cut_links: trouble.of_links,
            has_broken_nodes: trouble.hampers,
            serves: service::leader(hosts, network, scene.now).is_some(),
            is_constrained: watch.premises().is_constrained(scene, network),
        }
    });
    env.tell(hosts, Fact::Concluded { excused, end })?;
    if excused.is_some() {
        return Ok(());
    }
    converged(env, hosts, network, clients)
}
