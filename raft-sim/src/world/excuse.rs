//! What excuses a run from coming right: disks that were lost for good.
//!
//! An excuse is judged once, at the moment of the loss, by the memberships that were in force then.
//! One that the core lets in after the loss excuses nothing: the core should not have let it in. Only
//! for a moment it cannot know: who was heard within T counts as there.

use crate::checker::sight::is_quorum;
use crate::plan::damage::Damage;
use crate::world::World;
use crate::world::host::Host;
use raft_core::{Instant, Membership, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// How a disk was lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    /// All of it is gone.
    Destroyed,
    /// A record is damaged, so that its host refuses to start the node.
    Damaged,
    /// It was emptied, and its node was not started since.
    Wiped,
    /// In one of these ways, and so shortly before the membership was let in that nobody could know.
    Unheard,
}

impl Cause {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Destroyed => "destroyed",
            Self::Damaged => "damaged",
            Self::Wiped => "wiped",
            Self::Unheard => "unheard",
        }
    }
}

/// A loss after which a membership that was in force then had no quorum of disks any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excuse {
    /// Whose disk was lost.
    pub node: NodeId,
    /// How.
    pub cause: Cause,
    /// The memberships without a quorum.
    memberships: Vec<Membership>,
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.cause {
            Cause::Unheard => "lost unheard",
            cause => cause.name(),
        };
        write!(f, "{:?} was {how}, and with it a quorum", self.node)
    }
}

/// The disks that are lost, and what they excuse.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Losses {
    lost: BTreeMap<NodeId, Cause>,
    excuses: Vec<Excuse>,
    /// Whose disk was lost last, and when.
    last: Option<(NodeId, Instant)>,
}

impl World {
    /// The losses that excuse this run, in the order of time: a membership that was in force at the
    /// moment of the loss had no quorum of disks left, and has none now.
    pub fn excuses(&self) -> impl Iterator<Item = &Excuse> {
        let left = self.left();
        let lacks = move |excuse: &&Excuse| excuse.memberships.iter().any(|m| !is_quorum(m, &left));
        self.losses.excuses.iter().filter(lacks)
    }

    /// Whether so many disks are lost for ever that a membership that was in force when one of them
    /// was lost can elect nobody.
    pub fn is_beyond_repair(&self) -> bool {
        self.excuses().next().is_some()
    }

    /// Looks whether the disk of a host that is down has lost what was durable.
    pub(super) fn look_for_loss(&mut self, id: NodeId) {
        let host = &self.hosts[&id];
        match host.disk.found() {
            _ if host.process.is_some() => {}
            None => {}
            Some(Damage::Gone) => self.lose(id, Cause::Destroyed),
            Some(_) => self.lose(id, Cause::Damaged),
        }
    }

    /// The disk of a host that is down is lost; it is to be told before the host forgets in which
    /// membership it was.
    pub(super) fn lose(&mut self, id: NodeId, cause: Cause) {
        let before = self.left();
        self.losses.lost.insert(id, cause);
        if !before.contains(&id) {
            return;
        }
        self.losses.last = Some((id, self.agenda.now()));
        let left = self.left();
        // What was in force only on disks that were lost before, nobody holds any more.
        let hosts = self.hosts.values().filter(|host| before.contains(&host.id()));
        let lacking = hosts.map(Host::membership).filter(|m| !m.is_empty() && !is_quorum(m, &left));
        let memberships: Vec<Membership> = lacking.cloned().collect();
        if !memberships.is_empty() {
            self.losses.excuses.push(Excuse { node: id, cause, memberships });
        }
    }

    /// Looks, after every event, for what is let in before anybody could know of a loss: for T a leader
    /// counts whom it has heard, and for a part of it what it hears was on its way.
    pub(super) fn look_for_unheard_loss(&mut self) {
        let Some((node, then)) = self.losses.last else { return };
        let own = self.setup.nodes.iter().filter_map(|node| node.election_timeout);
        let longest = own.fold(self.setup.election_timeout, Duration::max);
        if self.agenda.now() > then.saturating_add(longest + longest / 4) {
            self.losses.last = None;
            return;
        }
        let left = self.left();
        let known = |m: &Membership| self.losses.excuses.iter().any(|e| e.memberships.contains(m));
        let hosts = self.hosts.values().filter(|host| left.contains(&host.id()));
        let lacking = hosts.map(Host::membership).filter(|m| !m.is_empty() && !is_quorum(m, &left));
        let memberships: Vec<Membership> = lacking.filter(|m| !known(m)).cloned().collect();
        if !memberships.is_empty() {
            let cause = Cause::Unheard;
            self.losses.excuses.push(Excuse { node, cause, memberships });
        }
    }

    /// A node that runs has a disk, if only an empty one.
    pub(super) fn has_a_disk(&mut self, id: NodeId) {
        self.losses.lost.remove(&id);
    }

    /// Whose disks are not lost.
    fn left(&self) -> BTreeSet<NodeId> {
        let lost = &self.losses.lost;
        self.hosts.keys().copied().filter(|id| !lost.contains_key(id)).collect()
    }
}
