//! Nodes in every role, and what friendly peers say to them: where inputs that are decoded from
//! bytes begin.

use crate::run::fuzz::subject::Subject;
use raft_core::{
    Action, AppendEntries, AppendEntriesResponse, AppendOutcome, Config, Echo, Envelope, Input,
    Instant, LogIndex, LogPosition, Membership, Message, NodeId, PreVoteResponse, Probe,
    ReadIndexResponse, Recovered, RequestVoteResponse, Round, Run, Term, Ticket, Token, Verdict,
};
use std::time::Duration;

/// How far a node has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// It has just started, and knows of no cluster.
    Joining,
    /// It has just started.
    Fresh,
    /// It follows a leader, and has entries of it.
    Follower,
    /// It asks whether it would win.
    PreCandidate,
    /// It asks for votes.
    Candidate,
    /// It has been elected.
    Elected,
    /// It leads, and its peers have all its entries.
    Leader,
    /// It leads a cluster whose membership is changing.
    Joint,
}

impl Stage {
    pub(super) const ALL: [Self; 8] = [
        Self::Joining,
        Self::Fresh,
        Self::Follower,
        Self::PreCandidate,
        Self::Candidate,
        Self::Elected,
        Self::Leader,
        Self::Joint,
    ];

    /// The stage that a byte names.
    pub(super) fn of(byte: u8) -> Self {
        Self::ALL[usize::from(byte) % Self::ALL.len()]
    }
}

/// A node of three whose disk writes at once, and its friendly peers.
pub(super) struct Play {
    pub(super) subject: Subject,
    /// What was said to it, in order.
    pub(super) said: Vec<Envelope>,
    /// What its peers would say next.
    pub(super) answers: Vec<Envelope>,
}

impl Play {
    /// Brings a node as far as a stage.
    pub(super) fn of(stage: Stage) -> Self {
        let all = Membership::of_voters((1..=3).map(NodeId)).expect("three voters");
        let membership = if stage == Stage::Joining { Membership::empty() } else { all };
        let config = Config::new(NodeId(1), 0);
        let subject = Subject::start(config, &Recovered::fresh(membership), Instant::ZERO);
        let subject = subject.expect("a fresh state is a state");
        let mut play = Self { subject, said: Vec::new(), answers: Vec::new() };
        let rounds = match stage {
            Stage::Joining | Stage::Fresh => return play,
            Stage::Follower => {
                play.hear(announce());
                return play;
            }
            Stage::PreCandidate => 0,
            Stage::Candidate => 1,
            Stage::Elected => 2,
            Stage::Leader | Stage::Joint => 6,
        };
        play.wake();
        for _ in 0..rounds {
            play.listen();
        }
        if matches!(stage, Stage::Leader | Stage::Joint) {
            play.call(&[Input::Propose { token: Token(1), count: 3 }]);
            play.listen();
        }
        if stage == Stage::Joint {
            let target = Membership::of_voters((1..=2).map(NodeId)).expect("two voters");
            play.call(&[Input::ChangeMembership { token: Token(2), target }]);
        }
        play
    }

    /// The deadline has come.
    fn wake(&mut self) {
        let at = self.subject.node().deadline().expect("a voter waits for something");
        let actions = self.subject.step(&[Input::Wake], at);
        self.carry_out(actions);
    }

    /// The peers answer what they were asked.
    fn listen(&mut self) {
        for envelope in std::mem::take(&mut self.answers) {
            self.hear(envelope);
        }
    }

    /// A message arrives a moment later, and the deadline has perhaps passed before.
    pub(super) fn hear(&mut self, envelope: Envelope) {
        self.said.push(envelope.clone());
        self.call(&[envelope.into()]);
    }

    /// A moment later something happens.
    pub(super) fn call(&mut self, inputs: &[Input]) {
        let now = self.subject.now().saturating_add(Duration::from_millis(1));
        let actions = self.subject.step(inputs, now);
        self.carry_out(actions);
        if self.subject.node().deadline().is_some_and(|at| at <= now) {
            let actions = self.subject.step(&[Input::Wake], now);
            self.carry_out(actions);
        }
    }

    /// The disk writes at once, and a snapshot is installed at once.
    fn carry_out(&mut self, mut actions: Vec<Action>) {
        let now = self.subject.now();
        // Each completion can lead to one more write, and that ends.
        while !actions.is_empty() {
            let mut reports = Vec::new();
            for action in &actions {
                match action {
                    Action::Persist(write) => reports.push(persisted(write.ticket)),
                    Action::InstallSnapshot { snapshot } => {
                        let (position, outcome) = (snapshot.position, raft_core::Outcome::Done);
                        reports.push(Input::SnapshotInstalled { position, outcome });
                    }
                    Action::Send(envelope) => self.answers.extend(agree(envelope)),
                    _ => {}
                }
            }
            if reports.is_empty() {
                return;
            }
            actions = self.subject.step(&reports, now);
        }
    }
}

const fn persisted(ticket: Ticket) -> Input {
    Input::Persisted { ticket }
}

/// What a friendly peer answers.
pub(super) fn agree(asked: &Envelope) -> Option<Envelope> {
    let (verdict, last) = (Verdict::Granted, LogPosition::ZERO);
    let message = match &asked.message {
        Message::PreVote(m) => {
            Message::PreVoteResponse(PreVoteResponse { round: m.round, verdict, last })
        }
        Message::RequestVote(_) => {
            Message::RequestVoteResponse(RequestVoteResponse { verdict, last })
        }
        Message::AppendEntries(m) => {
            let echo = m.probe.map(|probe| Echo {
                round: probe.round,
                sent_at: probe.sent_at,
                promised: probe.lease,
            });
            let outcome = AppendOutcome::Matched { match_index: m.last_position().index };
            let seen = echo.map(|echo| echo.round);
            Message::AppendEntriesResponse(AppendEntriesResponse { outcome, echo, seen })
        }
        Message::ReadIndex(m) => {
            let index = Some(LogIndex(1));
            Message::ReadIndexResponse(ReadIndexResponse { id: m.id, index })
        }
        _ => return None,
    };
    Some(Envelope { from: asked.to, to: asked.from, term: asked.term, message })
}

/// The leader of term 5, S2, has entries of two terms for S1.
pub(super) fn announce() -> Envelope {
    let entries = [
        Run::Commands { term: Term(4), count: 2 },
        Run::Membership {
            term: Term(5),
            membership: Box::new(Membership::of_voters((1..=3).map(NodeId)).expect("three voters")),
        },
        Run::Commands { term: Term(5), count: 3 },
    ];
    let message = Message::AppendEntries(AppendEntries {
        prev: LogPosition::ZERO,
        entries: entries.into_iter().collect(),
        commit: LogIndex(3),
        probe: Some(Probe {
            round: Round(9),
            sent_at: Instant::from_nanos(7),
            lease: Duration::from_secs(1),
        }),
    });
    Envelope { from: NodeId(2), to: NodeId(1), term: Term(5), message }
}

#[cfg(test)]
mod tests {
    use super::{Play, Stage};
    use raft_core::RoleKind;

    #[test]
    fn a_node_comes_as_far_as_its_stage_says() {
        let status = |stage| Play::of(stage).subject.status();
        for (stage, role) in [
            (Stage::Joining, RoleKind::Follower),
            (Stage::Fresh, RoleKind::Follower),
            (Stage::Follower, RoleKind::Follower),
            (Stage::PreCandidate, RoleKind::PreCandidate),
            (Stage::Candidate, RoleKind::Candidate),
            (Stage::Elected, RoleKind::Leader),
            (Stage::Leader, RoleKind::Leader),
            (Stage::Joint, RoleKind::Leader),
        ] {
            assert_eq!(status(stage).role, role, "{stage:?}");
        }
        assert_eq!(status(Stage::Follower).commit_index.get(), 3);
        assert_eq!(status(Stage::Elected).commit_index.get(), 0);
        assert_eq!(status(Stage::Leader).commit_index.get(), 4);
        assert!(status(Stage::Joint).membership_changes);
    }
}
