//! Which clocks keep to what the core rests on, and for how long a lease may rest on one that did
//! not. A node that is stepped while its clock shows less than before knows that; a clock that is
//! off by more than the drift bound, or has jumped where no step sees it, deceives its node.

use crate::plan::act::ClockAct;
use crate::world::watch::scene::Scene;
use raft_core::{Instant, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What clocks have done.
#[derive(Clone, Default, Debug)]
pub(super) struct Clocks {
    /// Whether one has ever jumped, or left its bound.
    erred: bool,
    /// Whose clock is off by more than the bound of its node.
    off: BTreeSet<NodeId>,
    /// Until when a lease may rest on a promise that ended early, or on a clock that was off.
    doubted: Instant,
    /// Whose clock has gone back, where the node may not know.
    back: BTreeMap<NodeId, Back>,
}

/// A clock that has gone back.
#[derive(Clone, Copy, Debug)]
struct Back {
    life: u64,
    /// What its node was told last before.
    told: Instant,
    /// What the clock shows when every lease of before is over.
    over: Instant,
}

impl Clocks {
    /// Something is about to be done to a clock.
    pub(super) fn note(&mut self, scene: Scene<'_>, act: &ClockAct) {
        match *act {
            ClockAct::SetClock { node, ppm } => self.set(scene, node, ppm),
            ClockAct::JumpClock { node, millis } => self.jump(scene, node, millis),
            // Its node sees it.
            ClockAct::StepBack { .. } => self.erred = true,
        }
    }

    fn set(&mut self, scene: Scene<'_>, node: NodeId, ppm: i32) {
        let setup = scene.setup;
        let drawn = setup.nodes.iter().find(|other| other.id == node);
        let bound = drawn.map_or(0, |node| setup.config(node, 0).clock_drift_ppm);
        if ppm.unsigned_abs() > bound {
            self.erred = true;
            self.off.insert(node);
        } else if self.off.remove(&node) {
            self.doubted = self.doubted.max(scene.now.saturating_add(longest_lease(scene)));
        }
    }

    /// Forward, a promise ends early; back, a lease ends late. After a restart neither matters.
    fn jump(&mut self, scene: Scene<'_>, node: NodeId, millis: i64) {
        self.erred = true;
        let (Some(host), Some(process)) = (scene.host(node), scene.process(node)) else { return };
        let lease = longest_lease(scene);
        if millis >= 0 {
            self.doubted = self.doubted.max(scene.now.saturating_add(lease));
        } else {
            let (life, told) = (host.life, process.told);
            let over = host.local(scene.now).saturating_add(lease);
            self.back.insert(node, Back { life, told, over });
        }
    }

    /// Whether every clock has kept within the drift bound so far, and none has jumped.
    pub(super) const fn hold(&self) -> bool {
        !self.erred
    }

    /// Whether no lease can rest on a clock that deceived its node.
    pub(super) fn are_trusted(&mut self, scene: Scene<'_>) -> bool {
        self.back.retain(|node, back| {
            let (Some(host), Some(process)) = (scene.host(*node), scene.process(*node)) else {
                return false;
            };
            let is_known = process.told < back.told;
            host.life == back.life && !is_known && host.local(scene.now) < back.over
        });
        self.off.is_empty() && self.doubted <= scene.now && self.back.is_empty()
    }
}

/// The longest lease that a node may hold.
fn longest_lease(scene: Scene<'_>) -> Duration {
    let running = scene.hosts.iter().filter_map(|host| host.process.as_ref());
    let leases = running.map(|process| process.node().config().election_timeout);
    leases.max().unwrap_or_default()
}
