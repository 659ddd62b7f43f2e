//! Inputs out of bytes.

use crate::plan::choice::{Choices, Question};
use raft_core::types::LIMIT;
use raft_core::{
    Action, AppendEntries, AppendEntriesResponse, AppendOutcome, Config, Consistency, Echo,
    Entries, Envelope, HardState, Input, InstallSnapshot, Instant, LogIndex, LogPosition,
    Membership, Message, Node, NodeId, Outcome, Permit, PreVote, PreVoteResponse, Probe,
    Protection, ReadIndex, ReadIndexResponse, Recovered, RequestVote, RequestVoteResponse, Round,
    Run, Snapshot, Status, Term, TermSpan, Ticket, Token, Verdict,
};
use std::time::Duration;

/// What the node has said, so that answers can fit.
#[derive(Default)]
pub(super) struct Heard {
    round: Round,
    sent_at: Instant,
    pub(super) tickets: Vec<Ticket>,
    /// What it has asked its leader for.
    question: Round,
    /// What it has handed out to be applied last.
    applied: LogPosition,
    /// To whom it wants a snapshot to be sent, and what it is to cover.
    to_send: Option<(NodeId, LogPosition)>,
    /// What it installs.
    installs: Option<LogPosition>,
}

impl Heard {
    pub(super) fn take(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Persist(write) => self.tickets.push(write.ticket),
                Action::Send(Envelope { message: Message::PreVote(m), .. }) => self.round = m.round,
                Action::Send(Envelope { message: Message::AppendEntries(m), .. }) => {
                    if let Some(probe) = m.probe {
                        (self.round, self.sent_at) = (probe.round, probe.sent_at);
                    }
                }
                Action::Send(Envelope { message: Message::ReadIndex(m), .. }) => {
                    self.question = m.id;
                }
                Action::Apply { through, .. } => self.applied = *through,
                Action::SendSnapshot { to, at_least, .. } => self.to_send = Some((*to, *at_least)),
                Action::InstallSnapshot { snapshot } => self.installs = Some(snapshot.position),
                _ => {}
            }
        }
    }
}

/// Makes anything out of bytes: mostly what could be, sometimes what could not.
pub(super) struct Any {
    pub(super) choices: Choices,
    pub(super) heard: Heard,
    /// How many requests were made: each has a name of its own.
    requests: u64,
}

impl Any {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { choices: Choices::from_bytes(bytes), heard: Heard::default(), requests: 0 }
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.choices.below(Question::Input, bound)
    }

    pub(super) fn up_to(&mut self, limit: u64) -> u64 {
        self.choices.within(Question::Input, 0..=limit)
    }

    pub(super) fn number(&mut self) -> u64 {
        match self.below(16) {
            0 => u64::MAX - self.below(3),
            1 => LIMIT - 1 + self.below(3),
            2 => self.up_to(u64::MAX - 1),
            _ => self.below(8),
        }
    }

    /// One of four nodes, of which three vote.
    fn id(&mut self) -> NodeId {
        NodeId(if self.below(32) == 31 { self.number() } else { 1 + self.below(4) })
    }

    fn term(&mut self, status: &Status) -> Term {
        match self.below(8) {
            0 => Term(self.number()),
            1 => Term(status.term.get().saturating_add(self.below(3))),
            2 => Term(status.term.get().saturating_sub(self.below(3))),
            _ => status.term,
        }
    }

    fn index(&mut self, status: &Status) -> LogIndex {
        match self.below(8) {
            0 => LogIndex(self.number()),
            1 => LogIndex(status.last.index.get().saturating_add(self.below(3))),
            2 => LogIndex(self.up_to(status.last.index.get())),
            3 => status.commit_index,
            _ => status.last.index,
        }
    }

    fn position(&mut self, status: &Status) -> LogPosition {
        match self.below(4) {
            0 => LogPosition::new(self.term(status), self.index(status)),
            1 => LogPosition::ZERO,
            _ => status.last,
        }
    }

    fn round(&mut self) -> Round {
        if self.below(8) == 0 { Round(self.number()) } else { self.heard.round }
    }

    fn instant(&mut self) -> Instant {
        if self.below(8) == 0 { Instant::from_nanos(self.number()) } else { self.heard.sent_at }
    }

    fn duration(&mut self) -> Duration {
        match self.below(4) {
            0 => Duration::ZERO,
            1 => Duration::from_nanos(self.number()),
            _ => Duration::from_millis(100),
        }
    }

    fn membership(&mut self) -> Membership {
        let voters = (1..=3).map(NodeId);
        match self.below(8) {
            0 => Membership::empty(),
            1 => Membership::of_voters([NodeId(1)]).expect("one voter"),
            2 => Membership::of_voters(voters.skip(1)).expect("two voters"),
            3 => Membership::new(voters, [NodeId(1), NodeId(4)], []).expect("a joint one"),
            4 => Membership::new(voters.skip(1), [], [NodeId(1)]).expect("a learner"),
            5 => Membership::new([NodeId(1)], [], [NodeId(2)]).expect("one voter, and a learner"),
            _ => Membership::of_voters(voters).expect("three voters"),
        }
    }

    fn entries(&mut self, status: &Status) -> Entries {
        let mut entries = Entries::new();
        let mut term = status.last.term;
        for _ in 0..self.below(4) {
            term =
                if self.below(16) == 0 { Term(self.number()) } else { term.max(self.term(status)) };
            entries.push(match self.below(5) {
                0 => Run::Membership { term, membership: Box::new(self.membership()) },
                1 => Run::Commands { term, count: self.number() },
                _ => Run::Commands { term, count: 1 + self.below(3) },
            });
        }
        entries
    }

    fn verdict(&mut self) -> Verdict {
        match self.below(8) {
            0 => Verdict::LeaderAlive,
            1 => Verdict::StaleTerm,
            2 => Verdict::StaleLog,
            3 => Verdict::AlreadyVoted,
            4 => Verdict::DiskHangs,
            _ => Verdict::Granted,
        }
    }

    pub(super) fn input(&mut self, status: &Status) -> Input {
        match self.below(16) {
            0 | 1 => Input::Wake,
            2 | 3 => self.proposal(),
            4 => Input::Campaign,
            5..8 => Input::Persisted { ticket: self.ticket() },
            8 => self.request(status),
            9 => self.report(status),
            _ => Input::Message(self.envelope(status)),
        }
    }

    pub(super) fn proposal(&mut self) -> Input {
        Input::Propose { token: self.token(), count: self.number() }
    }

    /// A name that no other request has.
    fn token(&mut self) -> Token {
        self.requests += 1;
        Token(self.requests)
    }

    /// Mostly the newest ticket; else an earlier one, reported late or again, or none at all.
    fn ticket(&mut self) -> Ticket {
        let known = self.heard.tickets.last().copied().unwrap_or_default();
        match self.below(8) {
            0 => Ticket(self.number()),
            1 => Ticket(known.get().saturating_sub(self.below(4))),
            _ => known,
        }
    }

    /// What a client or an operator asks for.
    fn request(&mut self, status: &Status) -> Input {
        let token = self.token();
        match self.below(4) {
            0 => Input::Read { token, consistency: Consistency::ReadIndex },
            1 => Input::Read { token, consistency: Consistency::Lease },
            2 => Input::ChangeMembership { token, target: self.membership() },
            _ => {
                let to = (self.below(2) == 0).then(|| NodeId(status.id.get() + self.below(4)));
                Input::TransferLeadership { token, to }
            }
        }
    }

    /// What a runtime reports.
    fn report(&mut self, status: &Status) -> Input {
        let outcome = if self.below(3) == 0 { Outcome::Failed } else { Outcome::Done };
        let lie = self.below(8) == 0;
        match self.below(4) {
            0 => {
                let position = if lie { self.position(status) } else { self.heard.applied };
                Input::SnapshotTaken { position }
            }
            1 => {
                let asked = self.heard.to_send.filter(|_| !lie);
                let (to, position) = asked.unwrap_or_else(|| (self.id(), self.position(status)));
                Input::SnapshotSent { to, position, outcome }
            }
            2 => {
                let asked = self.heard.installs.filter(|_| !lie);
                let position = asked.unwrap_or_else(|| self.position(status));
                Input::SnapshotInstalled { position, outcome }
            }
            _ => {
                let peer = self.id();
                match self.below(4) {
                    0 => Input::PeerPaused { peer, after: self.index(status) },
                    1 => Input::PeerResumed { peer },
                    _ => Input::PeerUnreachable { peer },
                }
            }
        }
    }

    fn envelope(&mut self, status: &Status) -> Envelope {
        let message = match self.below(12) {
            0 => Message::PreVote(PreVote { round: self.round(), last: self.position(status) }),
            1 => Message::PreVoteResponse(PreVoteResponse {
                round: self.round(),
                verdict: self.verdict(),
                last: self.position(status),
            }),
            2 => Message::RequestVote(RequestVote {
                last: self.position(status),
                permit: self.permit(status),
            }),
            3 => Message::RequestVoteResponse(RequestVoteResponse {
                verdict: self.verdict(),
                last: self.position(status),
            }),
            4 | 5 => Message::AppendEntries(self.append(status)),
            6 => Message::InstallSnapshot(InstallSnapshot {
                snapshot: Snapshot { position: self.ahead(status), membership: self.membership() },
            }),
            7 => Message::TimeoutNow,
            8 => Message::ReadIndex(ReadIndex { id: self.round() }),
            9 => Message::ReadIndexResponse(ReadIndexResponse {
                id: if self.below(8) == 0 { self.round() } else { self.heard.question },
                index: (self.below(4) > 0).then(|| self.index(status)),
            }),
            _ => Message::AppendEntriesResponse(self.append_response(status)),
        };
        let to = if self.below(16) == 0 { self.id() } else { status.id };
        Envelope { from: self.id(), to, term: self.term(status), message }
    }

    /// A position that the node may not have yet.
    fn ahead(&mut self, status: &Status) -> LogPosition {
        if self.below(4) == 0 {
            return self.position(status);
        }
        let index = LogIndex(status.last.index.get().saturating_add(1 + self.below(3)));
        LogPosition::new(Term(status.term.get().max(1)), index)
    }

    fn permit(&mut self, status: &Status) -> Option<Permit> {
        (self.below(4) == 0).then(|| Permit { leader: self.id(), term: self.term(status) })
    }

    pub(super) fn append(&mut self, status: &Status) -> AppendEntries {
        let probe = (self.below(4) > 0).then(|| Probe {
            round: self.round(),
            sent_at: self.instant(),
            lease: self.duration(),
        });
        AppendEntries {
            prev: self.position(status),
            entries: self.entries(status),
            commit: self.index(status),
            probe,
        }
    }

    fn append_response(&mut self, status: &Status) -> AppendEntriesResponse {
        let outcome = match self.below(8) {
            0 => AppendOutcome::StaleTerm,
            2 => AppendOutcome::Installing,
            1 => AppendOutcome::Mismatched {
                rejected: self.position(status),
                hint: (0..self.below(3))
                    .map(|_| TermSpan {
                        term: self.term(status),
                        first: self.index(status),
                        last: self.index(status),
                    })
                    .collect(),
            },
            _ => AppendOutcome::Matched { match_index: self.index(status) },
        };
        let echo = (self.below(4) > 0).then(|| Echo {
            round: self.round(),
            sent_at: self.instant(),
            promised: self.duration(),
        });
        let seen = echo.map(|echo| echo.round);
        let seen = if self.below(4) > 0 { seen } else { Some(self.round()) };
        AppendEntriesResponse { outcome, echo, seen }
    }

    pub(super) fn config(&mut self) -> Config {
        let timeout = match self.below(8) {
            7 => Duration::from_nanos(self.up_to(1 << 48)),
            _ => Duration::from_millis(1 + self.below(300)),
        };
        let protections = [Protection::Full, Protection::PreVote, Protection::Plain];
        let level = usize::try_from(self.below(3)).expect("one of three");
        let mut config = Config::new(NodeId(1), 0).with_election_timeout(timeout);
        config.protection = protections[level];
        if self.below(4) == 3 {
            config.heartbeat_interval =
                timeout / (2 + u32::try_from(self.below(3)).expect("a few"));
            config.longest_promise = timeout.saturating_add(self.duration());
            config.clock_drift_ppm = u32::try_from(self.up_to(110_000)).expect("a small number");
            config.disk_timeout = (timeout / 4).saturating_add(self.duration());
            config.snapshot_timeout = timeout.saturating_add(self.duration());
        }
        config.max_entries_per_message = 1 + self.below(4);
        config.max_messages_in_flight = usize::try_from(1 + self.below(4)).expect("a few");
        config.max_entries_in_flight = 1 + self.below(8);
        config.max_uncommitted = 1 + self.below(100);
        config.max_pending_reads = usize::try_from(1 + self.below(4)).expect("a few");
        config.seed = self.number();
        config
    }

    pub(super) fn recovered(&mut self) -> Recovered {
        let fresh = Recovered::fresh(self.membership());
        if self.below(2) == 0 {
            return fresh;
        }
        let status = Node::new(Config::new(NodeId(1), 0), fresh, Instant::ZERO)
            .expect("a fresh state is a state")
            .status();
        let voted_for = (self.below(2) == 0).then(|| self.id());
        let current_term = Term(self.number());
        let at = |any: &mut Self| {
            if any.below(2) == 0 { LogPosition::ZERO } else { any.position(&status) }
        };
        Recovered {
            hard_state: HardState { current_term, voted_for, promised: self.duration() },
            snapshot: Snapshot { position: at(self), membership: self.membership() },
            prev: at(self),
            entries: self.entries(&Status { term: current_term, ..status }),
            applied: self.index(&status),
        }
    }
}
