//! What is drawn for a setup: properties, and faults at random moments.

use crate::plan::act::any::Act;
use crate::plan::act::{ClockAct, DiskAct, MessageAct, ProcessAct, RequestAct};
use crate::plan::change::MembershipChange;
use crate::plan::choice::{Choices, Question, nanos};
use crate::plan::damage::DamageTarget;
use crate::plan::hostile::Hostile;
use crate::plan::limits::Limits;
use crate::plan::profile::{ClientSetup, DiskProfile, LinkProfile, SnapshotProfile};
use crate::plan::setup::Setup;
use raft_core::{Consistency, Instant, NodeId};
use std::time::Duration;

/// Faults, and what ends them.
pub(super) type Outage = (Vec<Act>, Vec<Act>);

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

/// What is drawn for a setup.
pub(super) struct Draw<'a> {
    pub(super) choices: &'a mut Choices,
    /// How long faults happen.
    pub(super) storm: Duration,
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
            home: None,
            ask_again: self.one_in(3).then(|| self.millis(20, 200)),
            keys: 1 + self.below(3),
            patience: self.millis(100, 1000),
            start: Instant::ZERO,
            stop: Instant::ZERO.saturating_add(self.storm + setup.election_timeout * 20),
        }
    }

    /// A client that reads at one node, whoever leads.
    pub(super) fn reader(&mut self, setup: &Setup, leases: bool, home: NodeId) -> ClientSetup {
        let client = self.client(setup, leases);
        let max_think = client.min_think + Duration::from_millis(5);
        let home = Some(home);
        ClientSetup { write_percent: 0, query_percent: 100, max_think, home, ..client }
    }

    pub(super) fn snapshots(&mut self, timeout: Duration) -> SnapshotProfile {
        SnapshotProfile {
            every: [0, 4, 40][self.index(3)],
            delay: self.millis(0, 100),
            failure_ppm: [0, 300_000][self.index(2)],
            failures_until: Instant::ZERO.saturating_add(self.storm),
            timeout: Some(timeout * 8),
        }
    }

    /// Limits so tight that they are met, and a drift bound that allows for bad clocks.
    pub(super) fn limits(&mut self) -> Limits {
        let clock_drift_ppm = [None, Some(20_000), Some(100_000)][self.index(3)];
        if !self.one_in(3) {
            return Limits { clock_drift_ppm, ..Limits::default() };
        }
        // Eight entries a round trip, and two where messages overtake one another all the time: a
        // learner must be able to catch up with a lone voter before the end.
        let (entries, messages) = [(2, 8), (2, 4), (4, 2), (8, 1)][self.index(4)];
        Limits {
            max_entries_per_message: Some(entries),
            max_messages_in_flight: Some(messages),
            max_entries_in_flight: Some(8 + self.below(8)),
            max_uncommitted: Some(1 + self.below(20)),
            max_pending_reads: Some(1 + self.index(3)),
            clock_drift_ppm,
            disk_timeout: None,
        }
    }

    /// What operators and clocks do.
    fn operation(&mut self, ids: &[NodeId], kinds: Kinds) -> Act {
        let (node, other) = (self.one_of(ids), self.one_of(ids));
        match self.below(10) {
            0 => Act::Request(RequestAct::TakeSnapshot { node }),
            1 => Act::Request(RequestAct::Unreachable { node, peer: other }),
            2 => Act::Request(RequestAct::Read { node, consistency: Consistency::ReadIndex }),
            3 if !kinds.jumps => {
                Act::Request(RequestAct::Read { node, consistency: Consistency::Lease })
            }
            4 | 5 => {
                let to = (!self.one_in(3)).then_some(other);
                Act::Request(RequestAct::Transfer { node: self.one_in(4).then_some(node), to })
            }
            6 if kinds.jumps && self.one_in(3) => {
                // A fifth too fast or too slow is far beyond every bound.
                let ppm = i32::try_from(self.below(400_001)).expect("a small number");
                Act::Clock(ClockAct::SetClock { node, ppm: ppm - 200_000 })
            }
            6 if kinds.jumps => {
                let millis = i64::try_from(self.below(1000)).expect("a second");
                Act::Clock(ClockAct::JumpClock {
                    node,
                    millis: if self.one_in(2) { -millis } else { millis },
                })
            }
            6 => {
                let bound = i64::from(kinds.drift_ppm);
                let ppm = self.below(2 * u64::from(kinds.drift_ppm) + 1).cast_signed() - bound;
                Act::Clock(ClockAct::SetClock {
                    node,
                    ppm: i32::try_from(ppm).expect("at most the bound"),
                })
            }
            _ => Act::Request(RequestAct::ChangeMembership {
                node: None,
                change: self.change(node, other, kinds),
            }),
        }
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

    /// Faults at random moments, most of them with their end.
    pub(super) fn storm(&mut self, setup: &mut Setup, kinds: Kinds) {
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        let timeout = setup.election_timeout;
        // The default answer is the long pause.
        let longest = nanos(Duration::from_millis(1700 - 2 * self.below(800)));
        let end = nanos(self.storm);
        let mut at = longest - self.below(longest);
        let mut timeline = Vec::new();
        while at < end {
            let longest_outage = [1500, 300, 30][self.index(3)];
            let after = at + 1_000_000 * (1 + self.below(longest_outage));
            let time = Instant::from_nanos;
            let (faults, repairs) = match self.below(if kinds.hostile { 12 } else { 9 }) {
                0..3 => self.fault(&ids),
                3..6 => self.network(&ids, timeout),
                9.. => self.hostile(&ids),
                _ => (vec![self.operation(&ids, kinds)], Vec::new()),
            };
            timeline.extend(faults.into_iter().map(|fault| (time(at), fault)));
            if after < end {
                timeline.extend(repairs.into_iter().map(|repair| (time(after), repair)));
            }
            at += longest - self.below(longest - nanos(Duration::from_millis(1)));
        }
        if setup.membership.voters().len() >= 3 && self.one_in(6) {
            self.lose_a_disk(&ids, kinds, &mut timeline);
        }
        timeline.sort_by_key(|(time, _)| *time);
        setup.timeline = timeline;
    }

    /// What happens to a node or to its disk, and what ends it.
    fn fault(&mut self, ids: &[NodeId]) -> Outage {
        let node = self.one_of(ids);
        let (fault, repair) = match self.below(13) {
            0 | 1 => (
                Act::Process(ProcessAct::Crash { node }),
                Some(Act::Process(ProcessAct::Restart { node })),
            ),
            2 | 3 => (
                Act::Process(ProcessAct::CrashInStep { node }),
                Some(Act::Process(ProcessAct::Restart { node })),
            ),
            4 => (
                Act::Process(ProcessAct::Pause { node }),
                Some(Act::Process(ProcessAct::Resume { node })),
            ),
            5 => (
                Act::Disk(DiskAct::HangDisk { node }),
                Some(Act::Disk(DiskAct::ReleaseDisk { node })),
            ),
            6 => (Act::Request(RequestAct::Campaign { node }), None),
            7 | 8 => {
                // A full disk ends the process that writes to it.
                let fault = Act::Disk(DiskAct::FillDisk { node, room: self.below(4) });
                return (
                    vec![fault],
                    vec![
                        Act::Disk(DiskAct::FreeDisk { node }),
                        Act::Process(ProcessAct::Restart { node }),
                    ],
                );
            }
            9 => {
                let profile =
                    DiskProfile { min_latency: Duration::ZERO, max_latency: self.millis(0, 300) };
                (Act::Disk(DiskAct::SetDisk { node, profile }), None)
            }
            _ => (Act::Request(RequestAct::Propose { node, count: 1 + self.below(20) }), None),
        };
        (vec![fault], repair.into_iter().collect())
    }

    /// Messages that nobody meant to send, to one node or to all.
    fn hostile(&mut self, ids: &[NodeId]) -> Outage {
        let to_all = self.one_in(4);
        let node = self.one_of(ids);
        let nodes = if to_all { ids.to_vec() } else { vec![node] };
        let mut faults = Vec::new();
        for node in nodes {
            for _ in 0..=self.below(4) {
                let what = [Hostile::Replayed, self.one_of(&Hostile::ALL).0][self.index(2)];
                faults.push(Act::Message(MessageAct::Hostile { node, message: what }));
            }
        }
        (faults, Vec::new())
    }

    /// A disk loses what was durable, and its host finds that when it starts again: that node never
    /// comes back. Where the operator has a spare machine, it takes its place, under its own id.
    fn lose_a_disk(&mut self, ids: &[NodeId], kinds: Kinds, timeline: &mut Vec<(Instant, Act)>) {
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
