//! What a run came to, counted from its records.

use crate::plan::record::{Event, NodeState, Record, Sink, Stage};
use raft_core::{Fate, Instant, LogPosition, NodeId, Term};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

/// A leader in one term.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leadership {
    /// The leader.
    pub leader: NodeId,
    /// Its term.
    pub term: Term,
}

/// The figures of a run, from the moment on from which it is observed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// How many elections were held: how often a node became a candidate.
    pub elections: u64,
    /// How many pre-votes were held.
    pub pre_votes: u64,
    /// The highest term of any node.
    pub highest_term: Term,
    /// How often a node became leader.
    pub leader_changes: u64,
    /// For how long no leader could commit, see [`Event::Service`].
    pub leaderless: Duration,
    /// When the first node started an election, from the start of the run.
    pub first_candidate: Option<Instant>,
    /// How many operations of clients were answered.
    pub answered: u64,
    /// Who could commit just before the observation began.
    pub before: Option<Leadership>,
    /// Who can commit now.
    pub now: Option<Leadership>,
}

impl Figures {
    /// Whether the leader before the observation still leads, in the same term.
    pub fn leader_kept(&self) -> bool {
        self.before.is_some() && self.before == self.now
    }
}

/// Counts while the run goes on.
#[derive(Clone, Debug)]
pub struct Observer {
    from: Instant,
    figures: Figures,
    states: BTreeMap<NodeId, NodeState>,
    /// Since when nobody can commit.
    silent_since: Option<Instant>,
    lost: BTreeSet<LogPosition>,
    /// How often what has a [`name`] happened.
    happened: BTreeMap<String, u64>,
}

/// The name under which a scenario counts a request's end, or a snapshot's: that of the trace and,
/// where there is one, the outcome, such as `rejected not_caught_up`.
pub(crate) fn name(event: &Event) -> Option<String> {
    let (name, outcome): (&str, &dyn Debug) = match event {
        Event::Accepted { .. } => return Some("accepted".to_owned()),
        Event::ReadReady { .. } => return Some("read_ready".to_owned()),
        Event::WriteFailed => return Some("write_failed".to_owned()),
        Event::SnapshotTaken { .. } => return Some("snapshot_taken".to_owned()),
        Event::PeerRegressed { .. } => return Some("peer_regressed".to_owned()),
        Event::SnapshotAsked { .. } => return Some("snapshot_asked".to_owned()),
        Event::Rejected { reason, .. } | Event::ReadFailed { reason, .. } => ("rejected", reason),
        Event::Damaged { damage } => ("damaged", damage),
        Event::TransferEnded { outcome, .. } => ("transfer_ended", outcome),
        Event::SnapshotSent { outcome, .. } => ("snapshot_sent", outcome),
        Event::InstallEnd { outcome, .. } => ("install_end", outcome),
        _ => return None,
    };
    let mut text = name.to_owned();
    for (nth, letter) in
        format!("{outcome:?}").chars().take_while(char::is_ascii_alphabetic).enumerate()
    {
        match letter {
            _ if nth == 0 => text.push(' '),
            'A'..='Z' => text.push('_'),
            _ => {}
        }
        text.push(letter.to_ascii_lowercase());
    }
    Some(text)
}

impl Observer {
    /// An observer that counts from `from` on.
    pub fn new(from: Instant) -> Self {
        let figures = Figures {
            elections: 0,
            pre_votes: 0,
            highest_term: Term::ZERO,
            leader_changes: 0,
            leaderless: Duration::ZERO,
            first_candidate: None,
            answered: 0,
            before: None,
            now: None,
        };
        Self {
            from,
            figures,
            states: BTreeMap::new(),
            silent_since: Some(Instant::ZERO),
            lost: BTreeSet::new(),
            happened: BTreeMap::new(),
        }
    }

    /// How often what has this name in a scenario file happened since the observation began.
    pub fn happened(&self, name: &str) -> u64 {
        self.happened.get(name).copied().unwrap_or(0)
    }

    /// The figures at a moment that is not before the last record.
    pub fn figures(&self, at: Instant) -> Figures {
        let silent = self.silence(at);
        Figures { leaderless: self.figures.leaderless.saturating_add(silent), ..self.figures }
    }

    /// Whether a node has said that this position will never be committed.
    pub fn was_called_lost(&self, position: LogPosition) -> bool {
        self.lost.contains(&position)
    }

    /// How much of the observation until `at` passed since nobody can commit.
    fn silence(&self, at: Instant) -> Duration {
        let since = self.silent_since.map(|since| since.max(self.from));
        since.map_or(Duration::ZERO, |since| at.saturating_since(since))
    }

    fn on_service(&mut self, leader: Option<NodeId>, time: Instant) {
        self.figures.leaderless = self.figures.leaderless.saturating_add(self.silence(time));
        self.silent_since = if leader.is_none() { Some(time) } else { None };
        let leadership = |leader| {
            let state = self.states.get(&leader)?;
            Some(Leadership { leader, term: state.term })
        };
        self.figures.now = leader.and_then(leadership);
        if time < self.from {
            self.figures.before = self.figures.now;
        }
    }
}

impl Sink for Observer {
    fn record(&mut self, record: Record) {
        if let (Some(node), Some(state)) = (record.node, record.state) {
            self.figures.highest_term = self.figures.highest_term.max(state.term);
            self.states.insert(node, state);
        }
        if let Event::Fate { position, fate: Fate::Lost } = record.event {
            self.lost.insert(position);
        }
        let figures = &mut self.figures;
        let stands = matches!(record.event, Event::PreCandidate { .. } | Event::BecomeCandidate);
        if stands && figures.first_candidate.is_none() {
            figures.first_candidate = Some(record.time);
        }
        if let Event::Service { leader } = record.event {
            self.on_service(leader, record.time);
        } else if record.time >= self.from {
            if let Some(name) = name(&record.event) {
                *self.happened.entry(name).or_default() += 1;
            }
            match record.event {
                Event::BecomeCandidate => figures.elections += 1,
                Event::PreCandidate { .. } => figures.pre_votes += 1,
                Event::BecomeLeader => figures.leader_changes += 1,
                Event::Client { phase: Stage::Returned { .. }, .. } => figures.answered += 1,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Leadership, Observer};
    use crate::plan::record::{Event, NodeState, Record, Sink};
    use raft_core::{
        HardState, Instant, LogIndex, LogPosition, NodeId, RejectReason, RoleKind, Term, Token,
    };
    use std::time::Duration;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn tell(observer: &mut Observer, millis: u64, node: u64, term: u64, event: Event) {
        let state = NodeState {
            role: RoleKind::Leader,
            term: Term(term),
            vote: None,
            leader: None,
            last: LogPosition::ZERO,
            commit: LogIndex::ZERO,
            applied: LogIndex::ZERO,
            durable_last: LogPosition::ZERO,
            durable: HardState::default(),
            lease_until: None,
        };
        let (node, state) =
            if node == 0 { (None, None) } else { (Some(NodeId(node)), Some(state)) };
        observer.record(Record { time: at(millis), seq: 0, node, event, state });
    }

    #[test]
    fn time_without_a_leader_is_counted_within_the_observation() {
        let mut observer = Observer::new(at(100));
        tell(&mut observer, 40, 1, 1, Event::BecomeLeader);
        tell(&mut observer, 50, 0, 0, Event::Service { leader: Some(NodeId(1)) });
        assert_eq!(observer.figures(at(90)).leaderless, Duration::ZERO);
        tell(&mut observer, 80, 0, 0, Event::Service { leader: None });
        tell(&mut observer, 120, 0, 0, Event::Service { leader: Some(NodeId(1)) });
        tell(&mut observer, 150, 0, 0, Event::Service { leader: None });
        assert_eq!(observer.figures(at(160)).leaderless, Duration::from_millis(20 + 10));
    }

    #[test]
    fn refusals_are_counted_by_their_reason() {
        let mut observer = Observer::new(at(100));
        let (token, node) = (Token(1), NodeId(4));
        for (millis, reason) in [
            (50, RejectReason::ChangeInProgress),
            (150, RejectReason::ChangeInProgress),
            (160, RejectReason::NotCaughtUp { node }),
        ] {
            tell(&mut observer, millis, 1, 1, Event::Rejected { token, reason });
        }
        assert_eq!(observer.happened("rejected change_in_progress"), 1);
        assert_eq!(observer.happened("rejected not_caught_up"), 1);
        assert_eq!(observer.happened("rejected not_leader"), 0);
    }

    #[test]
    fn a_leader_that_comes_back_in_a_later_term_has_not_stayed_leader() {
        let mut observer = Observer::new(at(100));
        tell(&mut observer, 50, 1, 1, Event::BecomeLeader);
        tell(&mut observer, 50, 0, 0, Event::Service { leader: Some(NodeId(1)) });
        assert!(observer.figures(at(110)).leader_kept());
        tell(&mut observer, 120, 0, 0, Event::Service { leader: None });
        assert!(!observer.figures(at(130)).leader_kept());
        tell(&mut observer, 140, 1, 2, Event::BecomeLeader);
        tell(&mut observer, 140, 0, 0, Event::Service { leader: Some(NodeId(1)) });
        let figures = observer.figures(at(150));
        assert!(!figures.leader_kept());
        assert_eq!(figures.now, Some(Leadership { leader: NodeId(1), term: Term(2) }));
        assert_eq!((figures.leader_changes, figures.highest_term), (1, Term(2)));
    }
}
