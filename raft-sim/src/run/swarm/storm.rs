//! Faults at random moments.

use crate::plan::act::any::Act;
use crate::plan::act::{ClockAct, DiskAct, MessageAct, ProcessAct, RequestAct};
use crate::plan::change::MembershipChange;
use crate::plan::choice::{Question, nanos};
use crate::plan::damage::DamageTarget;
use crate::plan::hostile::Hostile;
use crate::plan::profile::DiskProfile;
use crate::plan::setup::Setup;
use crate::run::swarm::draw::Draw;
use raft_core::{Consistency, Instant, NodeId};
use std::time::Duration;

/// Faults, and what ends them.
pub(super) type Outage = (Vec<Act>, Vec<Act>);

/// What the storm's own hostile messages are.
const COMMON: [Hostile; 4] =
    [Hostile::Replayed, Hostile::Misrouted, Hostile::Stranger, Hostile::Malformed];

/// Which faults a run may have besides the common ones.
#[derive(Clone, Copy)]
pub(super) struct Kinds {
    pub(super) jumps: bool,
    pub(super) removals: bool,
    /// Whether there are messages that nobody meant to send.
    pub(super) hostile: bool,
    /// The bound within which clocks keep where there are no jumps.
    pub(super) drift_ppm: u32,
}

impl Draw<'_> {
    /// Which kinds of faults the run may have. `removals`: a node that is removed and never hears
    /// of it is held off, which only full protection does.
    pub(super) fn kinds(&mut self, setup: &Setup, removals: bool) -> Kinds {
        let drift_ppm = setup.config(&setup.nodes[0], 0).clock_drift_ppm;
        Kinds { jumps: self.one_in(4), hostile: self.one_in(3), removals, drift_ppm }
    }

    /// Faults at random moments, most of them with their end.
    pub(super) fn storm(&mut self, setup: &mut Setup, kinds: Kinds) {
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        let timeout = setup.election_timeout;
        // The default answer is the long pause.
        let longest = nanos(Duration::from_millis(1700 - 2 * self.below(800)));
        let end = nanos(self.storm);
        let mut at = longest - self.below(longest);
        let mut timeline = Vec::new();
        for nth in 0.. {
            if at >= end {
                break;
            }
            let longest_outage = [1500, 300, 30][self.index(3)];
            let after = at + 1_000_000 * (1 + self.below(longest_outage));
            let time = Instant::from_nanos;
            let (faults, repairs) = match self.below(if kinds.hostile { 40 } else { 30 }) {
                0..4 => self.nth(Question::StormProcess, nth).process(&ids),
                4..7 => self.nth(Question::StormDisk, nth).disk(&ids),
                7..17 => self.nth(Question::StormNetwork, nth).network(&ids, timeout),
                17..29 => {
                    (vec![self.nth(Question::StormRequest, nth).request(&ids, kinds)], Vec::new())
                }
                29 => (vec![self.nth(Question::StormClock, nth).clock(&ids, kinds)], Vec::new()),
                _ => self.nth(Question::StormHostile, nth).hostile(&ids),
            };
            timeline.extend(faults.into_iter().map(|fault| (time(at), fault)));
            if after < end {
                timeline.extend(repairs.into_iter().map(|repair| (time(after), repair)));
            }
            at += longest - self.below(longest - nanos(Duration::from_millis(1)));
        }
        if setup.membership.voters().len() >= 3 {
            self.of(Question::StormLoss).lose_a_disk(&ids, kinds, &mut timeline);
        }
        timeline.sort_by_key(|(time, _)| *time);
        setup.timeline = timeline;
    }

    /// What happens to a process, and what ends it.
    fn process(&mut self, ids: &[NodeId]) -> Outage {
        let node = self.one_of(ids);
        let (fault, repair) = match self.below(5) {
            0 | 1 => (ProcessAct::Crash { node }, ProcessAct::Restart { node }),
            2 | 3 => (ProcessAct::CrashInStep { node }, ProcessAct::Restart { node }),
            _ => (ProcessAct::Pause { node }, ProcessAct::Resume { node }),
        };
        (vec![Act::Process(fault)], vec![Act::Process(repair)])
    }

    /// What happens to a disk, and what ends it.
    fn disk(&mut self, ids: &[NodeId]) -> Outage {
        let node = self.one_of(ids);
        let (fault, repairs) = match self.below(4) {
            0 => (DiskAct::HangDisk { node }, vec![Act::Disk(DiskAct::ReleaseDisk { node })]),
            1 | 2 => {
                // A full disk ends the process that writes to it.
                let free = Act::Disk(DiskAct::FreeDisk { node });
                let restart = Act::Process(ProcessAct::Restart { node });
                (DiskAct::FillDisk { node, room: self.below(4) }, vec![free, restart])
            }
            _ => {
                let profile =
                    DiskProfile { min_latency: Duration::ZERO, max_latency: self.millis(0, 300) };
                (DiskAct::SetDisk { node, profile }, Vec::new())
            }
        };
        (vec![Act::Disk(fault)], repairs)
    }

    /// What clocks do.
    fn clock(&mut self, ids: &[NodeId], kinds: Kinds) -> Act {
        let node = self.one_of(ids);
        if kinds.jumps && self.one_in(3) {
            // A fifth too fast or too slow is far beyond every bound.
            let ppm = i32::try_from(self.below(400_001)).expect("a small number");
            Act::Clock(ClockAct::SetClock { node, ppm: ppm - 200_000 })
        } else if kinds.jumps {
            let millis = i64::try_from(self.below(1000)).expect("a second");
            let millis = if self.one_in(2) { -millis } else { millis };
            Act::Clock(ClockAct::JumpClock { node, millis })
        } else {
            let bound = i64::from(kinds.drift_ppm);
            let ppm = self.below(2 * u64::from(kinds.drift_ppm) + 1).cast_signed() - bound;
            let ppm = i32::try_from(ppm).expect("at most the bound");
            Act::Clock(ClockAct::SetClock { node, ppm })
        }
    }

    /// What is asked of a node.
    fn request(&mut self, ids: &[NodeId], kinds: Kinds) -> Act {
        let (node, other) = (self.one_of(ids), self.one_of(ids));
        Act::Request(match self.below(13) {
            0..3 => RequestAct::Propose { node, count: 1 + self.below(20) },
            3 => RequestAct::Campaign { node },
            4 => RequestAct::TakeSnapshot { node },
            5 => RequestAct::Unreachable { node, peer: other },
            6 => RequestAct::Read { node, consistency: Consistency::ReadIndex },
            7 if !kinds.jumps => RequestAct::Read { node, consistency: Consistency::Lease },
            8 | 9 => {
                let to = (!self.one_in(3)).then_some(other);
                RequestAct::Transfer { node: self.one_in(4).then_some(node), to }
            }
            _ => {
                let change = self.change(node, other, kinds);
                RequestAct::ChangeMembership { node: None, change }
            }
        })
    }

    fn change(&mut self, node: NodeId, other: NodeId, kinds: Kinds) -> MembershipChange {
        match self.below(6) {
            0 if kinds.removals => MembershipChange::Remove(node),
            1 if kinds.removals => MembershipChange::Replace { old: node, new: other },
            2 => MembershipChange::Demote(node),
            3 => MembershipChange::AddLearner(node),
            _ => MembershipChange::Promote(node),
        }
    }

    /// Messages that nobody meant to send, to one node or to all.
    fn hostile(&mut self, ids: &[NodeId]) -> Outage {
        let to_all = self.one_in(4);
        let node = self.one_of(ids);
        let nodes = if to_all { ids.to_vec() } else { vec![node] };
        let mut faults = Vec::new();
        for node in nodes {
            for _ in 0..=self.below(4) {
                let what = [Hostile::Replayed, self.one_of(&COMMON)][self.index(2)];
                faults.push(Act::Message(MessageAct::Hostile { node, message: what }));
            }
        }
        (faults, Vec::new())
    }

    /// In a quarter of the runs nodes are given messages that cannot be, most of them beside what
    /// the node knows.
    pub(super) fn lies(&mut self, setup: &mut Setup) {
        if !self.one_in(4) {
            return;
        }
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        self.one_by_one(Question::StormLies, 400, Duration::ZERO, |draw, at| {
            let node = draw.one_of(&ids);
            let message = if draw.one_in(3) { Hostile::Malformed } else { Hostile::Contradiction };
            setup.timeline.push((at, Act::Message(MessageAct::Hostile { node, message })));
        });
        setup.timeline.sort_by_key(|(time, _)| *time);
    }

    /// In some runs a disk loses what was durable, and its host finds that when it starts again:
    /// that node never comes back. Where the operator has a spare machine, it takes its place,
    /// under its own id.
    fn lose_a_disk(&mut self, ids: &[NodeId], kinds: Kinds, timeline: &mut Vec<(Instant, Act)>) {
        if !self.one_in(6) {
            return;
        }
        let (new, others) = ids.split_last().expect("at least three nodes");
        let node = self.one_of(others);
        let part = self.one_of(&[
            DamageTarget::Entry,
            DamageTarget::Entry,
            DamageTarget::HardState,
            DamageTarget::Snapshot,
        ]);
        let mut at = self.below(nanos(self.storm));
        let mut then = |draw: &mut Self, longest: u64, fault: Act| {
            if at < nanos(draw.storm) {
                timeline.push((Instant::from_nanos(at), fault));
            }
            at += 1_000_000 * (1 + draw.below(longest));
        };
        if self.one_in(3) {
            then(self, 500, Act::Disk(DiskAct::Destroy { node }));
        } else {
            then(self, 100, Act::Disk(DiskAct::Damage { node, part }));
            then(self, 300, Act::Process(ProcessAct::Crash { node }));
            then(self, 500, Act::Process(ProcessAct::Restart { node }));
            if !kinds.removals {
                // There may have been nothing to damage.
                return;
            }
        }
        for _ in 0..3 {
            let change = MembershipChange::AddLearner(*new);
            then(self, 700, Act::Request(RequestAct::ChangeMembership { node: None, change }));
            let change = MembershipChange::Replace { old: node, new: *new };
            then(self, 700, Act::Request(RequestAct::ChangeMembership { node: None, change }));
        }
    }
}
