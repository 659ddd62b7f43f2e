//! What is drawn for a setup besides its faults.

use crate::plan::act::any::Act;
use crate::plan::choice::{Choices, Question, nanos};
use crate::plan::limits::Limits;
use crate::plan::profile::{ClientSetup, DiskProfile, LinkProfile, SnapshotProfile};
use crate::plan::setup::{NodeSetup, Setup};
use raft_core::{Instant, NodeId, Protection};
use std::time::Duration;

/// What happens how long after the beginning.
pub(super) type Sequence = Vec<(Duration, Act)>;

/// What is drawn for a setup, by the answers to one kind of question.
pub(super) struct Draw<'a> {
    pub(super) choices: &'a mut Choices,
    pub(super) question: Question,
    /// How long faults happen.
    pub(super) storm: Duration,
}

impl Draw<'_> {
    /// Draws by the answers to another kind of question.
    pub(super) fn of(&mut self, question: Question) -> Draw<'_> {
        Draw { choices: self.choices, question, storm: self.storm }
    }

    /// The same about the `nth` of several things: how much is drawn for one moves no other.
    pub(super) fn nth(&mut self, question: Question, nth: u64) -> Draw<'_> {
        self.choices.begin(question, nth);
        self.of(question)
    }

    /// One thing after the other, each with a stream of its own, after so many milliseconds at most
    /// and 10 at least, as long as there is so much room for it before the storm is over.
    pub(super) fn one_by_one(
        &mut self,
        question: Question,
        longest: u64,
        room: Duration,
        mut draws: impl FnMut(&mut Draw<'_>, Instant),
    ) {
        let end = Instant::ZERO.saturating_add(self.storm);
        let mut at = Instant::ZERO;
        for nth in 0.. {
            let mut draw = self.nth(question, nth);
            at = at.saturating_add(draw.millis(10, longest));
            if at.saturating_add(room) >= end {
                break;
            }
            draws(&mut draw, at);
        }
    }

    /// Sequences of acts, each with a stream of its own, after so many milliseconds at most and 10
    /// at least. Each is over when the next begins, and when the storm is.
    pub(super) fn in_sequence(
        &mut self,
        question: Question,
        longest: u64,
        setup: &mut Setup,
        mut draws: impl FnMut(&mut Draw<'_>, &Setup) -> Sequence,
    ) {
        let end = Instant::ZERO.saturating_add(self.storm);
        let mut at = Instant::ZERO;
        for nth in 0.. {
            let mut draw = self.nth(question, nth);
            at = at.saturating_add(draw.millis(10, longest));
            let sequence = draws(&mut draw, setup);
            let over = sequence.last().map_or(at, |(after, _)| at.saturating_add(*after));
            if over >= end {
                break;
            }
            let times = sequence.into_iter().map(|(after, act)| (at.saturating_add(after), act));
            setup.timeline.extend(times);
            at = over;
        }
        setup.timeline.sort_by_key(|(time, _)| *time);
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.choices.below(self.question, bound)
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

    /// Any time up to this.
    pub(super) fn upto(&mut self, longest: Duration) -> Duration {
        Duration::from_nanos(1 + self.below(nanos(longest)))
    }

    /// How a node protects a working leader.
    pub(super) fn protection(&mut self) -> Protection {
        self.one_of(&[Protection::Full, Protection::PreVote, Protection::Plain, Protection::Full])
    }

    /// In some runs a rolling upgrade, or a careless operator: says whether.
    pub(super) fn mix(&mut self, nodes: &mut [NodeSetup], timeout: Duration) -> bool {
        let mixed = self.of(Question::SetupNodes).one_in(8);
        if mixed {
            for node in nodes {
                let mut draw = self.nth(Question::SetupNodes, node.id.0);
                node.protection = Some(draw.protection());
                node.election_timeout = Some(timeout + draw.millis(0, 25));
            }
        }
        mixed
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

    pub(super) fn disk_profile(&mut self) -> DiskProfile {
        DiskProfile { min_latency: Duration::ZERO, max_latency: self.millis(0, 30) }
    }

    /// The clients of a run. Jumps of clocks are beyond any drift bound: such a run has no lease
    /// reads.
    pub(super) fn clients(&mut self, setup: &mut Setup, leases: bool) {
        for nth in 0..self.of(Question::SetupClients).below(4) {
            let client = self.nth(Question::SetupClients, nth).client(setup, leases);
            setup.clients.push(client);
        }
        // Somebody reads at every node: who leads no more and answers all the same has readers,
        // then.
        if self.of(Question::SetupReaders).one_in(5) {
            for home in setup.membership.voters().to_vec() {
                let mut draw = self.nth(Question::SetupReaders, home.0);
                setup.clients.push(draw.reader(setup, leases, home));
            }
        }
    }

    fn client(&mut self, setup: &Setup, leases: bool) -> ClientSetup {
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
    fn reader(&mut self, setup: &Setup, leases: bool, home: NodeId) -> ClientSetup {
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
            install: Duration::ZERO,
        }
    }

    /// How long an installation takes at most: in some runs about as long as a leader waits for it.
    pub(super) fn install(&mut self, timeout: Duration) -> Duration {
        let longest = [0, 0, 1, 3, 12][self.index(5)];
        timeout * longest
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
}
