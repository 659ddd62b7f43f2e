//! How much time and work the runs of a world take, over many seeds: what no single run shows, for
//! a loss heals, is seen where all of them are counted together.

use crate::plan::record::{Event, NodeState, Operation, Record, Sink, Stage};
use crate::run::play::play;
use crate::scenario::model::Scenario;
use raft_core::{
    Instant, LogIndex, LogWrite, Membership, Message, NodeId, Protection, RoleKind, Source, Term,
    Token, TransferOutcome, Write,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// What is measured, from the `observe_from` of a scenario to its `settled_by`, or to its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Quantity {
    /// Of each run: for how long no leader could commit, see [`Event::Service`].
    Leaderless,
    /// Of each run: the longest time in which a leader had something to commit and committed
    /// nothing.
    Barren,
    /// Of each run: for how long nodes led that are no voters of their own membership.
    LedByNonVoter,
    /// Of each operation of a client that goes through the log: until it is over.
    Write,
    /// Of each read of a client that does not go through the log: until it is over.
    Read,
    /// Of each commit of a leader and each other member that runs: until that one has committed
    /// it, too.
    Lag,
    /// Of each change of the membership that was not refused: until its target is committed.
    Change,
    /// Of each transfer of leadership that was not refused: until it is over.
    Transfer,
    /// Of each run: how many transfers did not make a leader step down for another.
    FailedTransfers,
    /// Of each run: how often a node became a pre-candidate.
    PreVotes,
    /// Of each run: how often a node became a candidate.
    Elections,
    /// Of each run: by how much the highest term rose.
    Terms,
    /// Of each run: how many messages were sent.
    Messages,
    /// Of each run: how many entries were sent, each as often as it was.
    Entries,
    /// Of each run: how many questions leaders asked, each of all their peers.
    Rounds,
    /// Of each run: how many messages of reads followers and leaders exchanged.
    ReadMessages,
}

impl Quantity {
    /// All of them, as they are listed.
    pub const ALL: [Self; 16] = [
        Self::Leaderless,
        Self::Barren,
        Self::LedByNonVoter,
        Self::Write,
        Self::Read,
        Self::Lag,
        Self::Change,
        Self::Transfer,
        Self::FailedTransfers,
        Self::PreVotes,
        Self::Elections,
        Self::Terms,
        Self::Messages,
        Self::Entries,
        Self::Rounds,
        Self::ReadMessages,
    ];

    /// Its name, and whether it is a time.
    const fn name(self) -> (&'static str, bool) {
        match self {
            Self::Leaderless => ("leaderless", true),
            Self::Barren => ("barren", true),
            Self::LedByNonVoter => ("led-by-non-voter", true),
            Self::Write => ("write", true),
            Self::Read => ("read", true),
            Self::Lag => ("lag", true),
            Self::Change => ("change", true),
            Self::Transfer => ("transfer", true),
            Self::FailedTransfers => ("failed-transfers", false),
            Self::PreVotes => ("pre-votes", false),
            Self::Elections => ("elections", false),
            Self::Terms => ("terms", false),
            Self::Messages => ("messages", false),
            Self::Entries => ("entries", false),
            Self::Rounds => ("rounds", false),
            Self::ReadMessages => ("read-messages", false),
        }
    }

    /// Whether it is a time, in multiples of T; if not, it is a number.
    pub const fn is_time(self) -> bool {
        self.name().1
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name().0)
    }
}

/// How a quantity is spread over all that was measured, in thousandths: of T if it is a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spread {
    /// The mean.
    pub mean: u64,
    /// Nine of ten are at most this.
    pub most: u64,
    /// The greatest.
    pub worst: u64,
}

/// What the runs of many seeds took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gauged {
    /// The protection level.
    pub level: Protection,
    /// What was measured, in thousandths.
    values: BTreeMap<Quantity, Vec<u64>>,
    /// The runs that were not as the scenario expects.
    pub failures: u64,
}

impl Gauged {
    /// The spread of a quantity; `None` if nothing of the kind happened.
    pub fn spread(&self, of: Quantity) -> Option<Spread> {
        let mut values = self.values.get(&of)?.clone();
        values.sort_unstable();
        let count = u64::try_from(values.len()).unwrap_or(u64::MAX);
        let sum: u64 = values.iter().fold(0, |sum, value| sum.saturating_add(*value));
        let most = values[(values.len() - 1) * 9 / 10];
        Some(Spread { mean: sum / count, most, worst: *values.last()? })
    }
}

/// Plays a scenario with these seeds, each in the next rotation, and measures all quantities.
pub fn gauge(scenario: &Scenario, level: Protection, seeds: Range<u64>) -> Gauged {
    let end = crate::plan::text::instant(scenario.setup(level).duration);
    let until = scenario.settled_by.unwrap_or(end);
    let casts: Vec<_> = (0..scenario.rotations()).map(|by| scenario.rotated(by)).collect();
    let mut gauged = Gauged { level, values: BTreeMap::new(), failures: 0 };
    for (seed, cast) in seeds.zip(casts.iter().cycle()) {
        let mut meter = Meter::new(scenario.observe_from..until, scenario.election_timeout());
        let played = play(cast, level, seed, &mut meter);
        gauged.failures += u64::from(!played.is_good());
        for (quantity, values) in meter.finish() {
            gauged.values.entry(quantity).or_default().extend(values);
        }
    }
    gauged
}

/// What is known of a node.
#[derive(Default, Debug)]
struct Seen {
    state: Option<NodeState>,
    /// The memberships in its log, by their places.
    memberships: BTreeMap<LogIndex, Membership>,
    /// Since when it leads, has something to commit, and has committed nothing.
    barren_since: Option<Instant>,
    /// Since when it leads without a vote.
    without_vote_since: Option<Instant>,
    /// What leaders have committed and this node has not, and since when.
    behind: VecDeque<(LogIndex, Instant)>,
}

impl Seen {
    /// Whether it is a voter of the membership that is in force at this node.
    fn has_a_vote(&self, node: NodeId) -> bool {
        self.memberships.values().next_back().is_some_and(|last| last.is_voter(node))
    }

    /// It writes to its log. Returns the memberships that are new there.
    fn writes(&mut self, log: &LogWrite) -> Vec<(LogIndex, Membership)> {
        self.memberships.retain(|index, _| *index < log.first);
        let (mut index, mut new) = (log.first, Vec::new());
        for chunk in log.chunks.iter() {
            if let Source::Membership(membership) = &chunk.source {
                new.push((index, membership.as_ref().clone()));
            }
            index = LogIndex(index.get() + chunk.count);
        }
        self.memberships.extend(new.iter().cloned());
        new
    }
}

/// A change that is under way.
#[derive(Debug)]
struct Change {
    target: Membership,
    asked_at: Instant,
    /// Who was the first to write its target, and where.
    appended: Option<(NodeId, LogIndex)>,
}

/// Measures one run.
#[derive(Debug)]
struct Meter {
    measured: Range<Instant>,
    election_timeout: Duration,
    values: BTreeMap<Quantity, Vec<u64>>,
    counts: BTreeMap<Quantity, u64>,
    longest: BTreeMap<Quantity, Duration>,
    nodes: BTreeMap<NodeId, Seen>,
    /// The highest term before the measured time, and until now.
    terms: (Term, Term),
    committed: LogIndex,
    unserved_since: Option<Instant>,
    operations: BTreeMap<(u64, u64), (Quantity, Instant)>,
    changes: BTreeMap<Token, Change>,
    transfers: BTreeMap<Token, Instant>,
    rounds: BTreeSet<(Term, u64)>,
}

impl Meter {
    fn new(measured: Range<Instant>, election_timeout: Duration) -> Self {
        Self {
            measured,
            election_timeout,
            values: BTreeMap::new(),
            counts: BTreeMap::new(),
            longest: BTreeMap::new(),
            nodes: BTreeMap::new(),
            terms: (Term::ZERO, Term::ZERO),
            committed: LogIndex::ZERO,
            unserved_since: Some(Instant::ZERO),
            operations: BTreeMap::new(),
            changes: BTreeMap::new(),
            transfers: BTreeMap::new(),
            rounds: BTreeSet::new(),
        }
    }

    /// How much of the measured time lies between two moments.
    fn between(&self, since: Instant, until: Instant) -> Duration {
        until.min(self.measured.end).saturating_since(since.max(self.measured.start))
    }

    /// In thousandths of T.
    fn thousandths(&self, time: Duration) -> u64 {
        let thousandths = time.as_nanos() * 1_000 / self.election_timeout.as_nanos();
        u64::try_from(thousandths).unwrap_or(u64::MAX)
    }

    /// Something has taken from `since` until `until`.
    fn took(&mut self, quantity: Quantity, since: Instant, until: Instant) {
        let value = self.thousandths(until.min(self.measured.end).saturating_since(since));
        self.values.entry(quantity).or_default().push(value);
    }

    fn count(&mut self, quantity: Quantity, by: usize) {
        *self.counts.entry(quantity).or_default() += by as u64;
    }

    /// The node is in this state now.
    fn on_state(&mut self, node: NodeId, state: NodeState, now: Instant) {
        let leads = state.role == RoleKind::Leader;
        let seen = self.nodes.entry(node).or_default();
        let before = seen.state.replace(state);
        let waits = leads && state.last.index > state.commit;
        let goes_on = waits && before.is_some_and(|before| before.commit == state.commit);
        let no_vote = leads && !seen.has_a_vote(node);
        let ended = [
            (Quantity::Barren, if goes_on { None } else { seen.barren_since.take() }),
            (Quantity::LedByNonVoter, if no_vote { None } else { seen.without_vote_since.take() }),
        ];
        seen.barren_since = seen.barren_since.or(waits.then_some(now));
        seen.without_vote_since = seen.without_vote_since.or(no_vote.then_some(now));
        let caught_up = seen.behind.partition_point(|(index, _)| *index <= state.commit);
        let caught_up: Vec<_> = seen.behind.drain(..caught_up).collect();
        let commits = leads && state.commit > self.committed;
        for (quantity, since) in ended {
            self.lasted(quantity, since, now);
        }
        for (_, since) in caught_up {
            self.took(Quantity::Lag, since, now);
        }
        if commits {
            self.on_commit(node, state.commit, now);
        }
        let done = |change: &Change| {
            change.appended.is_some_and(|(by, index)| by == node && index <= state.commit)
        };
        let over = self.changes.iter().filter(|(_, change)| done(change));
        let over: Vec<_> = over.map(|(token, change)| (*token, change.asked_at)).collect();
        for (token, asked_at) in over {
            self.changes.remove(&token);
            self.took(Quantity::Change, asked_at, now);
        }
        self.terms.1 = self.terms.1.max(state.term);
        if now < self.measured.start {
            self.terms.0 = self.terms.1;
        }
    }

    /// A node writes to its log.
    fn on_write(&mut self, node: NodeId, log: &LogWrite) {
        for (index, membership) in self.nodes.entry(node).or_default().writes(log) {
            for change in self.changes.values_mut().filter(|change| change.target == membership) {
                change.appended = change.appended.or(Some((node, index)));
            }
        }
    }

    /// A leader has committed what nobody else had.
    fn on_commit(&mut self, by: NodeId, index: LogIndex, now: Instant) {
        self.committed = index;
        let memberships = self.nodes.get(&by).map(|seen| &seen.memberships);
        let membership = memberships.and_then(|all| all.values().next_back()).cloned();
        let membership = membership.unwrap_or_default();
        for (id, seen) in &mut self.nodes {
            if !membership.contains(*id) {
                seen.behind.clear();
            } else if *id != by && self.measured.contains(&now) {
                seen.behind.push_back((index, now));
            }
        }
    }

    /// A condition of which only the longest time, or the time in all, counts.
    fn lasted(&mut self, quantity: Quantity, since: Option<Instant>, now: Instant) {
        let time = since.map_or(Duration::ZERO, |since| self.between(since, now));
        let longest = self.longest.entry(quantity).or_default();
        *longest = match quantity {
            Quantity::Barren => time.max(*longest),
            _ => longest.saturating_add(time),
        };
    }

    /// A node is down: what it did has ended.
    fn on_crash(&mut self, node: NodeId, now: Instant) {
        let Some(seen) = self.nodes.get_mut(&node) else { return };
        seen.state = None;
        let (barren, no_vote) = (seen.barren_since.take(), seen.without_vote_since.take());
        self.lasted(Quantity::Barren, barren, now);
        self.lasted(Quantity::LedByNonVoter, no_vote, now);
    }

    fn on_send(&mut self, term: Term, message: &Message) {
        self.count(Quantity::Messages, 1);
        match message {
            Message::AppendEntries(m) => {
                self.count(Quantity::Entries, usize::try_from(m.entries.count()).unwrap_or(0));
                if let Some(probe) = m.probe {
                    self.rounds.insert((term, probe.round.get()));
                }
            }
            Message::ReadIndex(_) | Message::ReadIndexResponse(_) => {
                self.count(Quantity::ReadMessages, 1);
            }
            _ => {}
        }
    }

    fn on_client(&mut self, key: (u64, u64), operation: &Operation, phase: Stage, now: Instant) {
        if phase == Stage::Invoked {
            let quantity = match operation.past_the_log() {
                Some(_) => Quantity::Read,
                None => Quantity::Write,
            };
            self.operations.insert(key, (quantity, now));
        } else if let Some((quantity, since)) = self.operations.remove(&key) {
            self.took(quantity, since, now);
        }
    }

    /// What is asked, and how it ends.
    fn on_request(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Change { token, target } => {
                let change = Change { target: target.clone(), asked_at: now, appended: None };
                self.changes.insert(*token, change);
            }
            Event::Transfer { token, .. } => {
                self.transfers.insert(*token, now);
            }
            Event::Rejected { token, .. } => {
                self.changes.remove(token);
                self.transfers.remove(token);
            }
            Event::TransferEnded { token, outcome } => {
                if *outcome != TransferOutcome::SteppedDown {
                    self.count(Quantity::FailedTransfers, 1);
                }
                if let Some(since) = self.transfers.remove(token) {
                    self.took(Quantity::Transfer, since, now);
                }
            }
            _ => {}
        }
    }

    /// What was measured; what is not over yet counts as if it were.
    fn finish(mut self) -> BTreeMap<Quantity, Vec<u64>> {
        let end = self.measured.end;
        let nodes: Vec<_> = self.nodes.keys().copied().collect();
        for node in nodes {
            let seen = self.nodes.get_mut(&node).expect("it is known");
            let behind = core::mem::take(&mut seen.behind);
            if seen.state.is_some() {
                for (_, since) in behind {
                    self.took(Quantity::Lag, since, end);
                }
            }
            self.on_crash(node, end);
        }
        self.lasted(Quantity::Leaderless, self.unserved_since, end);
        let open: Vec<_> = core::mem::take(&mut self.operations).into_values().collect();
        let changes = core::mem::take(&mut self.changes).into_values();
        let transfers = core::mem::take(&mut self.transfers).into_values();
        let changes = changes.map(|change| (Quantity::Change, change.asked_at));
        let transfers = transfers.map(|since| (Quantity::Transfer, since));
        for (quantity, since) in open.into_iter().chain(changes).chain(transfers) {
            self.took(quantity, since, end);
        }
        self.count(Quantity::Rounds, self.rounds.len());
        let terms = self.terms.1.get() - self.terms.0.get();
        self.counts.insert(Quantity::Terms, terms);
        for quantity in Quantity::ALL {
            let of_run = match quantity {
                Quantity::Leaderless | Quantity::Barren | Quantity::LedByNonVoter => {
                    let longest = self.longest.get(&quantity).copied().unwrap_or_default();
                    self.thousandths(longest)
                }
                _ if quantity.is_time() => continue,
                _ => self.counts.get(&quantity).copied().unwrap_or(0) * 1_000,
            };
            self.values.insert(quantity, vec![of_run]);
        }
        self.values
    }
}

impl Sink for Meter {
    fn record(&mut self, record: Record) {
        let now = record.time;
        if now >= self.measured.end {
            return;
        }
        match (&record.event, record.node) {
            (Event::Init { membership, .. }, Some(node)) => {
                let seen = self.nodes.entry(node).or_default();
                seen.memberships.insert(LogIndex::ZERO, membership.clone());
            }
            (Event::InstallBegin { snapshot }, Some(node)) => {
                let memberships = &mut self.nodes.entry(node).or_default().memberships;
                memberships.retain(|index, _| *index > snapshot.position.index);
                memberships.insert(snapshot.position.index, snapshot.membership.clone());
            }
            (Event::Persist { write: Write { log: Some(log), .. } }, Some(node)) => {
                self.on_write(node, log);
            }
            (Event::Restart { .. }, Some(node)) => {
                // What it has missed it can make up for from now on.
                for (_, since) in &mut self.nodes.entry(node).or_default().behind {
                    *since = now;
                }
            }
            (Event::Crash { .. }, Some(node)) => self.on_crash(node, now),
            (Event::Service { leader }, _) => {
                let since = self.unserved_since.take();
                self.lasted(Quantity::Leaderless, since, now);
                self.unserved_since = leader.is_none().then_some(now);
            }
            _ => {}
        }
        if let (Some(node), Some(state)) = (record.node, record.state) {
            self.on_state(node, state, now);
        }
        if now < self.measured.start {
            return;
        }
        match &record.event {
            Event::PreCandidate { .. } => self.count(Quantity::PreVotes, 1),
            Event::BecomeCandidate => self.count(Quantity::Elections, 1),
            Event::Send { message, .. } => self.on_send(message.term, &message.message),
            Event::Client { client, serial, operation, phase } => {
                self.on_client((*client, *serial), operation, *phase, now);
            }
            event => self.on_request(event, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Gauged, Meter, Quantity, Spread, gauge};
    use crate::plan::record::{Event, NodeState, Operation, Record, Sink, Stage};
    use crate::scenario::model::Scenario;
    use crate::scenario::text::LEVELS;
    use raft_core::{
        Chunk, HardState, Instant, LogIndex, LogPosition, LogWrite, Membership, NodeId, RoleKind,
        Source, Term, Ticket, Token, TransferOutcome, Write,
    };
    use std::collections::BTreeMap;
    use std::time::Duration;

    const T: Duration = Duration::from_millis(100);

    const fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn meter() -> Meter {
        Meter::new(at(100)..at(1_100), T)
    }

    fn state(role: RoleKind, last: u64, commit: u64) -> NodeState {
        NodeState {
            role,
            term: Term(1),
            vote: None,
            leader: None,
            last: LogPosition::new(Term(1), LogIndex(last)),
            commit: LogIndex(commit),
            applied: LogIndex::ZERO,
            durable_last: LogPosition::ZERO,
            durable: HardState::default(),
            lease_until: None,
        }
    }

    fn of(voters: &[u64]) -> Membership {
        Membership::of_voters(voters.iter().map(|id| NodeId(*id))).expect("it is sound")
    }

    fn tell(meter: &mut Meter, millis: u64, node: u64, state: NodeState, event: Event) {
        let (node, state) = (Some(NodeId(node)), Some(state));
        meter.record(Record { time: at(millis), seq: 0, node, event, state });
    }

    /// A state without news.
    fn see(meter: &mut Meter, millis: u64, node: u64, state: NodeState) {
        tell(meter, millis, node, state, Event::WriteFailed);
    }

    /// Nodes with this membership.
    fn begin(meter: &mut Meter, voters: &[u64]) {
        for id in voters {
            let config = Box::new(raft_core::Config::new(NodeId(*id), 1));
            let event = Event::Init { config, membership: of(voters) };
            tell(meter, 0, *id, state(RoleKind::Follower, 0, 0), event);
        }
    }

    fn write_of(membership: &[u64], index: u64) -> Event {
        let source = Source::Membership(Box::new(of(membership)));
        let chunks = [Chunk { term: Term(1), count: 1, source }].into_iter().collect();
        let log = LogWrite { restart_after: None, first: LogIndex(index), chunks };
        Event::Persist { write: Write { ticket: Ticket(1), hard_state: None, log: Some(log) } }
    }

    #[test]
    fn a_spread_is_the_mean_what_nine_of_ten_keep_and_the_worst() {
        let values = BTreeMap::from([(Quantity::Read, (1..=20).rev().collect())]);
        let gauged = Gauged { level: LEVELS[2], values, failures: 0 };
        assert_eq!(gauged.spread(Quantity::Read), Some(Spread { mean: 10, most: 18, worst: 20 }));
        assert_eq!(gauged.spread(Quantity::Write), None);
    }

    #[test]
    fn a_leader_that_commits_nothing_is_barren_for_the_longest_such_time() {
        let mut meter = meter();
        begin(&mut meter, &[1]);
        for (millis, last, commit) in
            [(50, 2, 1), (150, 2, 2), (200, 4, 2), (260, 4, 3), (300, 4, 4)]
        {
            see(&mut meter, millis, 1, state(RoleKind::Leader, last, commit));
        }
        assert_eq!(meter.finish()[&Quantity::Barren], [600]);
    }

    #[test]
    fn a_leader_that_is_removed_leads_without_a_vote_until_it_is_none() {
        let mut meter = meter();
        begin(&mut meter, &[1, 2]);
        let leads = state(RoleKind::Leader, 3, 3);
        see(&mut meter, 150, 1, leads);
        tell(&mut meter, 200, 1, leads, write_of(&[2], 3));
        see(&mut meter, 350, 1, state(RoleKind::Follower, 3, 3));
        assert_eq!(meter.finish()[&Quantity::LedByNonVoter], [1_500]);
    }

    #[test]
    fn a_member_lags_behind_its_leader_from_its_commit_or_its_own_start_on() {
        let mut meter = meter();
        begin(&mut meter, &[1, 2, 3]);
        see(&mut meter, 200, 1, state(RoleKind::Leader, 5, 5));
        see(&mut meter, 210, 2, state(RoleKind::Follower, 5, 4));
        see(&mut meter, 230, 2, state(RoleKind::Follower, 5, 5));
        let config = Box::new(raft_core::Config::new(NodeId(3), 1));
        let down = state(RoleKind::Follower, 0, 0);
        tell(&mut meter, 300, 3, down, Event::Restart { config });
        see(&mut meter, 400, 3, state(RoleKind::Follower, 5, 5));
        assert_eq!(meter.finish()[&Quantity::Lag], [300, 1_000]);
    }

    #[test]
    fn a_change_is_over_when_its_target_is_committed_and_counts_not_where_it_is_refused() {
        let mut meter = meter();
        begin(&mut meter, &[1, 2]);
        let leads = |commit| state(RoleKind::Leader, 4, commit);
        for token in [Token(7), Token(8)] {
            let event = Event::Change { token, target: of(&[1]) };
            tell(&mut meter, 200, 1, leads(3), event);
        }
        let reason = raft_core::RejectReason::ChangeInProgress;
        tell(&mut meter, 200, 1, leads(3), Event::Rejected { token: Token(8), reason });
        tell(&mut meter, 220, 1, leads(3), write_of(&[1], 4));
        see(&mut meter, 240, 1, leads(4));
        assert_eq!(meter.finish()[&Quantity::Change], [400]);
    }

    #[test]
    fn what_is_not_over_at_the_end_counts_until_then() {
        let mut meter = meter();
        let operation = Operation::Write { key: 1, value: 1 };
        let event = Event::Client { client: 1, serial: 1, operation, phase: Stage::Invoked };
        tell(&mut meter, 600, 1, state(RoleKind::Follower, 0, 0), event);
        let asked = Event::Transfer { token: Token(1), to: None };
        tell(&mut meter, 900, 1, state(RoleKind::Follower, 0, 0), asked);
        let values = meter.finish();
        assert_eq!(values[&Quantity::Write], [5_000]);
        assert_eq!(values[&Quantity::Transfer], [2_000]);
        assert_eq!(values[&Quantity::Leaderless], [10_000]);
    }

    #[test]
    fn transfers_that_time_out_have_failed() {
        let mut meter = meter();
        let follows = state(RoleKind::Follower, 0, 0);
        for (token, outcome) in [(1, TransferOutcome::TimedOut), (2, TransferOutcome::SteppedDown)]
        {
            let token = Token(token);
            tell(&mut meter, 200, 1, follows, Event::Transfer { token, to: None });
            tell(&mut meter, 250, 1, follows, Event::TransferEnded { token, outcome });
        }
        let values = meter.finish();
        assert_eq!(values[&Quantity::FailedTransfers], [1_000]);
        assert_eq!(values[&Quantity::Transfer], [500, 500]);
    }

    #[test]
    fn the_leader_of_a_scenario_is_missed_for_as_long_as_its_figures_say() {
        let scenario = Scenario::named("quorum-loss").expect("a scenario of our own");
        let gauged = gauge(&scenario, LEVELS[2], 1..3);
        let leaderless = gauged.spread(Quantity::Leaderless).expect("a time of each run");
        assert!((1_000..4_000).contains(&leaderless.mean), "{leaderless:?}");
        assert_eq!(gauged.failures, 0);
        assert!(
            gauged.spread(Quantity::Elections).is_some_and(|elections| elections.mean >= 1_000)
        );
        assert_eq!(gauged.spread(Quantity::Change), None);
    }
}
