//! What is drawn for a setup: properties, and faults at random moments.

use super::STORM;
use crate::choice::{Choices, Question, nanos};
use crate::setup::{Change, ClientSetup, Fault, LinkProfile, Setup, SnapshotProfile};
use raft_core::{Consistency, Instant, NodeId};
use std::time::Duration;

/// Faults, and what ends them.
pub(super) type Outage = (Vec<Fault>, Vec<Fault>);

/// Which faults a run may have besides the common ones.
#[derive(Clone, Copy)]
pub(super) struct Kinds {
    pub(super) jumps: bool,
    pub(super) removals: bool,
}

/// What is drawn for a setup.
pub(super) struct Draw<'a> {
    pub(super) choices: &'a mut Choices,
}

impl Draw<'_> {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.choices.below(Question::Setup, bound)
    }

    pub(super) fn index(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).expect("a small bound")
    }

    pub(super) fn one_of<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.index(u64::try_from(among.len()).expect("a few"))]
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == n - 1
    }

    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from + 1))
    }

    /// Nothing in half of the runs.
    pub(super) fn often(&mut self, value: Duration) -> Duration {
        if self.one_in(2) { value } else { Duration::ZERO }
    }

    pub(super) fn link(&mut self) -> LinkProfile {
        const MOST: u64 = 200_000;
        let loss = self.below(MOST) * self.below(2);
        let duplicate = self.below(MOST) * self.below(2);
        LinkProfile {
            min_delay: Duration::from_micros(100),
            max_delay: Duration::from_micros(500) + self.millis(0, 40),
            loss_ppm: u32::try_from(loss).expect("below a million"),
            duplicate_ppm: u32::try_from(duplicate).expect("below a million"),
        }
    }

    pub(super) fn client(&mut self, setup: &Setup, leases: bool) -> ClientSetup {
        let min_think = self.millis(1, 20);
        ClientSetup {
            min_think,
            max_think: min_think + self.millis(0, 100),
            write_percent: 50,
            query_percent: [0, 60][self.index(2)],
            leases,
            own: false,
            ask_again: self.one_in(3).then(|| self.millis(20, 200)),
            keys: 1 + self.below(3),
            patience: self.millis(100, 1000),
            start: Instant::ZERO,
            stop: Instant::ZERO.saturating_add(STORM + setup.election_timeout * 20),
        }
    }

    pub(super) fn snapshots(&mut self, timeout: Duration) -> SnapshotProfile {
        SnapshotProfile {
            every: [0, 4, 40][self.index(3)],
            delay: self.millis(0, 100),
            failure_ppm: [0, 300_000][self.index(2)],
            failures_until: Instant::ZERO.saturating_add(STORM),
            timeout: Some(timeout * 8),
        }
    }

    /// What operators and clocks do.
    fn operation(&mut self, ids: &[NodeId], kinds: Kinds) -> Fault {
        let (node, other) = (self.one_of(ids), self.one_of(ids));
        match self.below(10) {
            0 => Fault::TakeSnapshot { node },
            1 => Fault::Unreachable { node, peer: other },
            2 => Fault::Read { node, consistency: Consistency::ReadIndex },
            3 if !kinds.jumps => Fault::Read { node, consistency: Consistency::Lease },
            4 | 5 => {
                let to = (!self.one_in(3)).then_some(other);
                Fault::Transfer { node: self.one_in(4).then_some(node), to }
            }
            6 if kinds.jumps => {
                let millis = i64::try_from(self.below(1000)).expect("a second");
                Fault::JumpClock { node, millis: if self.one_in(2) { -millis } else { millis } }
            }
            6 => {
                let ppm = i32::try_from(self.below(2001)).expect("a small number");
                Fault::SetClock { node, ppm: ppm - 1000 }
            }
            _ => Fault::ChangeMembership { node: None, change: self.change(node, other, kinds) },
        }
    }

    fn change(&mut self, node: NodeId, other: NodeId, kinds: Kinds) -> Change {
        match self.below(6) {
            0 if kinds.removals => Change::Remove(node),
            1 if kinds.removals => Change::Replace { old: node, new: other },
            2 => Change::Demote(node),
            3 => Change::AddLearner(node),
            _ => Change::Promote(node),
        }
    }

    /// Faults at random moments, most of them with their end.
    pub(super) fn storm(&mut self, setup: &mut Setup, kinds: Kinds) {
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        let timeout = setup.election_timeout;
        // The calm answer is the long pause.
        let longest = nanos(Duration::from_millis(1700 - 2 * self.below(800)));
        let end = nanos(STORM);
        let mut at = longest - self.below(longest);
        let mut timeline = Vec::new();
        while at < end {
            let longest_outage = [1500, 300, 30][self.index(3)];
            let after = at + 1_000_000 * (1 + self.below(longest_outage));
            let time = Instant::from_nanos;
            let (faults, repairs) = match self.below(3) {
                0 => self.fault(&ids),
                1 => self.network(&ids, timeout),
                _ => (vec![self.operation(&ids, kinds)], Vec::new()),
            };
            timeline.extend(faults.into_iter().map(|fault| (time(at), fault)));
            if after < end {
                timeline.extend(repairs.into_iter().map(|repair| (time(after), repair)));
            }
            at += longest - self.below(longest - nanos(Duration::from_millis(1)));
        }
        timeline.sort_by_key(|(time, _)| *time);
        setup.timeline = timeline;
    }

    /// What happens to a node or to its disk, and what ends it.
    fn fault(&mut self, ids: &[NodeId]) -> Outage {
        let node = self.one_of(ids);
        let (fault, repair) = match self.below(9) {
            0 | 1 => (Fault::Crash { node }, Some(Fault::Restart { node })),
            2 | 3 => (Fault::CrashInStep { node }, Some(Fault::Restart { node })),
            4 => (Fault::Pause { node }, Some(Fault::Resume { node })),
            5 => (Fault::HangDisk { node }, Some(Fault::ReleaseDisk { node })),
            6 => (Fault::Campaign { node }, None),
            _ => (Fault::Propose { node, count: 1 + self.below(20) }, None),
        };
        (vec![fault], repair.into_iter().collect())
    }
}
