//! What a message claims: a vote, a promise, what is durable or committed. The checkers judge
//! claims, so that a new kind of message is looked at in one place, to which the compiler leads.

use raft_core::{
    AppendOutcome, Echo, Envelope, LogIndex, Message, NodeId, Permit, Probe, Term, Verdict,
};

/// What a message claims of its sender, and what it asks of its receiver.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Claims {
    /// Its sender leads the term of the envelope, and appends.
    pub(super) appends: bool,
    /// Everything up to here is committed.
    pub(super) commit: Option<LogIndex>,
    /// Its sender holds the receiver's log up to here, durably.
    pub(super) acknowledged: Option<LogIndex>,
    /// A lease is asked for.
    pub(super) probe: Option<Probe>,
    /// A lease is promised to the receiver.
    pub(super) echo: Option<Echo>,
    /// Its sender votes for this candidate in this term.
    pub(super) vote: Option<Vote>,
    /// An election is asked for, by the leader of the envelope's term.
    pub(super) hands_over: bool,
    /// A leader's permit is shown.
    pub(super) permit: Option<Permit>,
}

/// A vote that was given, or that would be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Vote {
    pub(super) candidate: NodeId,
    pub(super) term: Term,
    /// Whether it was given, and is durable; else it would be.
    pub(super) given: bool,
}

impl Claims {
    /// What this message claims.
    pub(super) fn of(envelope: &Envelope) -> Self {
        let Envelope { from, to, term, message } = envelope;
        let given = |candidate| Some(Vote { candidate, term: *term, given: true });
        match message {
            Message::RequestVote(m) => {
                Self { vote: given(*from), permit: m.permit, ..Self::default() }
            }
            Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => {
                Self { vote: given(*to), ..Self::default() }
            }
            Message::PreVoteResponse(m) if m.verdict == Verdict::Granted => {
                let next = Term(term.get() + 1);
                let vote = Vote { candidate: *to, term: next, given: false };
                Self { vote: Some(vote), ..Self::default() }
            }
            Message::AppendEntries(m) => {
                Self { appends: true, commit: Some(m.commit), probe: m.probe, ..Self::default() }
            }
            Message::AppendEntriesResponse(m) => {
                let acknowledged = match m.outcome {
                    AppendOutcome::Matched { match_index } => Some(match_index),
                    AppendOutcome::Mismatched { .. }
                    | AppendOutcome::StaleTerm
                    | AppendOutcome::Installing => None,
                };
                Self { acknowledged, echo: m.echo, ..Self::default() }
            }
            Message::TimeoutNow => Self { hands_over: true, ..Self::default() },
            Message::ReadIndexResponse(m) => Self { commit: m.index, ..Self::default() },
            Message::PreVote(_)
            | Message::PreVoteResponse(_)
            | Message::RequestVoteResponse(_)
            | Message::InstallSnapshot(_)
            | Message::ReadIndex(_) => Self::default(),
        }
    }
}
