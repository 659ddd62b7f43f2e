//! Acts that are aimed: they wait for their target, and are done in the very moment that there is
//! one.

use crate::plan::act::{Act, Aimed, Target};
use crate::world::host::Host;
use crate::world::hosts::Hosts;
use crate::world::network::Network;
use crate::world::service::leader;
use raft_core::{Instant, NodeId, RoleKind};

/// The acts that wait, and who was struck last.
#[derive(Clone, Default, Debug)]
pub(super) struct Aims {
    /// Until when, in the order in which they came.
    waiting: Vec<(Instant, Aimed<Act>)>,
    struck: Option<NodeId>,
}

impl Aims {
    pub(super) const fn new() -> Self {
        Self { waiting: Vec::new(), struck: None }
    }

    /// An act begins to wait.
    pub(super) fn wait(&mut self, act: Aimed<Act>, now: Instant) {
        self.waiting.push((now.saturating_add(act.within), act));
    }

    /// Nothing waits.
    pub(super) const fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// The first act whose target is there, and that target. An act whose time is over is forgotten.
pub(super) fn next(
    Aims { waiting, struck }: &mut Aims,
    hosts: &Hosts,
    network: &Network,
    now: Instant,
) -> Option<(Target, Act)> {
    waiting.retain(|(until, _)| now <= *until);
    let found = waiting.iter().enumerate().find_map(|(nth, (_, aimed))| {
        let node = match aimed.target {
            Target::Leader => leader(hosts, network, now),
            Target::Struck => *struck,
            target => hosts.iter().find(|host| is(target, host)).map(Host::id),
        };
        Some((nth, node?))
    });
    let (nth, node) = found?;
    let (_, aimed) = waiting.remove(nth);
    *struck = Some(node);
    Some((aimed.target, Act::struck(&aimed, node)))
}

/// Whether a host is such a target now.
fn is(target: Target, host: &Host) -> bool {
    let Some(process) = host.process.as_ref().filter(|_| host.runs()) else { return false };
    let status = &process.status;
    let leads = status.role == RoleKind::Leader;
    match target {
        Target::Leader | Target::Struck => false,
        Target::ReadingLeader => leads && status.pending_reads > 0,
        Target::ChangingLeader => leads && status.membership_changes,
        Target::Installing => status.installing.is_some(),
        Target::Promised => {
            let promised = status.durable_hard_state.promised;
            status.role == RoleKind::Follower && status.leader.is_some() && !promised.is_zero()
        }
    }
}
