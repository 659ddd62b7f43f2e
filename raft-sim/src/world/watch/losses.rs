//! The disks that are lost, and what that excuses.
//!
//! An excuse is judged once, at the moment of the loss, by the memberships that were in force then.
//! One that the core lets in after the loss excuses nothing: the core should not have let it in.
//! Only for a moment it cannot know: who was heard within T counts as there.

use crate::checker::sight::is_quorum;
use crate::plan::act::Act;
use crate::plan::damage::Damage;
use crate::world::excuse::{Cause, Excuse};
use crate::world::host::Host;
use crate::world::hosts::Hosts;
use crate::world::watch::fact::Fact;
use crate::world::watch::scene::Scene;
use raft_core::{Instant, Membership, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// The disks that are lost, and what they excuse.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Losses {
    lost: BTreeMap<NodeId, Cause>,
    excuses: Vec<Excuse>,
    /// Whose disk was lost last, and when.
    last: Option<(NodeId, Instant)>,
    /// Until when clocks that went back stand still: to their nodes no time passes.
    stands_until: Instant,
}

impl Losses {
    /// The losses that excuse a run, in the order of time: a membership that was in force at the
    /// moment of the loss had no quorum of disks left, and has none now.
    pub(crate) fn excuses(&self, hosts: &Hosts) -> impl Iterator<Item = &Excuse> {
        let left = self.left(hosts);
        let lacks = move |excuse: &&Excuse| excuse.memberships.iter().any(|m| !is_quorum(m, &left));
        self.excuses.iter().filter(lacks)
    }

    /// Looks what a fact says of disks.
    pub(super) fn take(&mut self, scene: Scene<'_>, fact: &Fact<'_>) {
        match *fact {
            // A node that runs has a disk, if only an empty one.
            Fact::Started { node, .. } => {
                self.lost.remove(&node);
            }
            Fact::Act { act: Act::Clock(act) } => {
                if let Some((_, behind)) = act.jump().filter(|(_, behind)| !behind.is_zero()) {
                    self.stands_until = self.stands_until.max(scene.now).saturating_add(behind);
                }
            }
            Fact::Crashed { node, .. } | Fact::DiskHarmed { node, .. } => self.look(scene, node),
            // Reported before the host forgets in which membership it was.
            Fact::Wiped { node } => self.lose(scene, node, Cause::Wiped),
            _ => {}
        }
    }

    /// Looks for what is let in before anybody could know of a loss: for T a leader counts whom it
    /// has heard, by its clock, and for a part of it what it hears was on its way.
    pub(super) fn look_for_unheard(&mut self, scene: Scene<'_>) {
        let Some((node, then)) = self.last else { return };
        let longest = scene.hosts.iter().map(|host| host.timeout(scene.setup)).max();
        let longest = longest.unwrap_or_default();
        let then = then.max(self.stands_until);
        if scene.now > then.saturating_add(longest + longest / 4) {
            self.last = None;
            return;
        }
        let left = self.left(scene.hosts);
        let known = |m: &Membership| self.excuses.iter().any(|e| e.memberships.contains(m));
        let lacking = lacking(scene.hosts, &left, &left).filter(|m| !known(m));
        let memberships: Vec<Membership> = lacking.cloned().collect();
        if !memberships.is_empty() {
            self.excuses.push(Excuse { node, cause: Cause::Unheard, memberships });
        }
    }

    /// Looks whether the disk of a host that is down has lost what was durable.
    fn look(&mut self, scene: Scene<'_>, id: NodeId) {
        let down = scene.host(id).filter(|host| host.process.is_none());
        match down.and_then(|host| host.disk.found()) {
            None => {}
            Some(Damage::Gone) => self.lose(scene, id, Cause::Destroyed),
            Some(_) => self.lose(scene, id, Cause::Damaged),
        }
    }

    /// The disk of a host that is down is lost.
    fn lose(&mut self, scene: Scene<'_>, id: NodeId, cause: Cause) {
        let before = self.left(scene.hosts);
        self.lost.insert(id, cause);
        if !before.contains(&id) {
            return;
        }
        self.last = Some((id, scene.now));
        let left = self.left(scene.hosts);
        // What was in force only on disks that were lost before, nobody holds any more.
        let memberships: Vec<Membership> = lacking(scene.hosts, &before, &left).cloned().collect();
        if !memberships.is_empty() {
            self.excuses.push(Excuse { node: id, cause, memberships });
        }
    }

    /// Whose disks are not lost.
    pub(crate) fn left(&self, hosts: &Hosts) -> BTreeSet<NodeId> {
        hosts.ids().filter(|id| !self.lost.contains_key(id)).collect()
    }
}

/// The memberships in force on some hosts of which no quorum is left.
fn lacking<'a>(
    hosts: &'a Hosts,
    of: &BTreeSet<NodeId>,
    left: &BTreeSet<NodeId>,
) -> impl Iterator<Item = &'a Membership> {
    let hosts = hosts.iter().filter(|host| of.contains(&host.id()));
    hosts.map(Host::membership).filter(|m| !m.is_empty() && !is_quorum(m, left))
}
