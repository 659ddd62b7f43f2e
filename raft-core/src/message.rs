//! What nodes say to one another.
//!
//! Sender, receiver and term stand once, in the [`Envelope`]. How a message travels is the
//! runtime's: it may be lost, duplicated, delayed and reordered.

use crate::entries::{Entries, Snapshot};
use crate::types::{Instant, LogIndex, LogPosition, NodeId, Round, Term};
use alloc::vec::Vec;
use core::time::Duration;

/// A message with its sender, its receiver and the sender's current term.
///
/// The runtime must know who really sent it, and set `from` accordingly, or refuse it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Envelope {
    /// Who sent it.
    pub from: NodeId,
    /// Who is to receive it.
    pub to: NodeId,
    /// The sender's current term. It was durable at the sender before the message left.
    pub term: Term,
    /// What it says.
    pub message: Message,
}

/// What nodes say to one another.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Message {
    /// Would you vote for me? (thesis, 9.6)
    PreVote(PreVote),
    /// The answer to [`Message::PreVote`].
    PreVoteResponse(PreVoteResponse),
    /// Vote for me (Raft paper, 5.2).
    RequestVote(RequestVote),
    /// The answer to [`Message::RequestVote`].
    RequestVoteResponse(RequestVoteResponse),
    /// Entries of the leader's log, or none: then a heartbeat, or the announcement of a commit
    /// (Raft paper, 5.3).
    AppendEntries(AppendEntries),
    /// The answer to [`Message::AppendEntries`] and [`Message::InstallSnapshot`].
    AppendEntriesResponse(AppendEntriesResponse),
    /// The leader's snapshot has arrived, whole (Raft paper, 7).
    InstallSnapshot(InstallSnapshot),
    /// Hold an election now: the leader of this term transfers leadership (thesis, 3.10).
    TimeoutNow,
    /// From which index on may I read? (thesis, 6.4)
    ReadIndex(ReadIndex),
    /// The answer to [`Message::ReadIndex`].
    ReadIndexResponse(ReadIndexResponse),
}

/// Would you vote for me in the term after mine? The question changes nothing on either side
/// (thesis, 9.6; N13).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PreVote {
    /// Names this attempt; the answer repeats it.
    pub round: Round,
    /// The last position of the asking node's log.
    pub last: LogPosition,
}

/// The answer to a [`PreVote`].
///
/// Matched with the question by its round and never dropped for its term: a voter's term may well
/// be below the asking node's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PreVoteResponse {
    /// The round of the question.
    pub round: Round,
    /// Yes, or why not.
    pub verdict: Verdict,
    /// The last position of the answering node's log.
    pub last: LogPosition,
}

/// Vote for me in the term of the envelope (Raft paper, 5.2, 5.4.1; N10).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RequestVote {
    /// The last position of the candidate's log.
    pub last: LogPosition,
    /// The word of the leader before, if it transfers leadership.
    pub permit: Option<Permit>,
}

/// A leader's word that its followers may vote although they hear it. It is good for the term after
/// its own, passes the lease of this leader in this term, and no other rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Permit {
    /// The leader that transfers leadership.
    pub leader: NodeId,
    /// The term that it leads.
    pub term: Term,
}

/// The answer to a [`RequestVote`]. A vote counts in the term of the envelope only.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RequestVoteResponse {
    /// The vote, durable before this left, or why it is refused.
    pub verdict: Verdict,
    /// The last position of the answering node's log.
    pub last: LogPosition,
}

/// Whether a vote, or the promise of one, is given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Verdict {
    /// Yes.
    Granted,
    /// No: the answering node hears a leader, or promised one not to vote yet (N14).
    LeaderAlive,
    /// No: the answering node's term is later.
    StaleTerm,
    /// No: the asking node's log is older (N12).
    StaleLog,
    /// No: the vote of this term went to another, or another was elected in it (N11).
    AlreadyVoted,
    /// No: the disk of the answering node hangs, so that it could give no vote.
    DiskHangs,
}

/// Entries of the leader's log that follow `prev` (Raft paper, 5.3).
///
/// What it says depends on what it carries: with entries, *append these*; without, but with a
/// probe, a heartbeat; with neither, the announcement of a commit, which wants no answer.
///
/// Entries are answered when they are durable. A probe is answered at once when it is first seen:
/// check-quorum, leases and reads must not wait for a disk. So that the answers do not double, only
/// a heartbeat, with entries or without, and what is sent while it is not known where the logs part
/// carry a new one; other entries repeat the newest, which may have been lost.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AppendEntries {
    /// The position before the first of `entries`, or the position to compare if there are none.
    pub prev: LogPosition,
    /// The entries after `prev`. The runtime attaches the bytes of the commands, see
    /// [`attach`](crate::payload::attach).
    pub entries: Entries,
    /// The leader's commit index. The receiver trusts it as far as its log is known to match.
    pub commit: LogIndex,
    /// The leader's question; an answer is wanted at once if it is new.
    pub probe: Option<Probe>,
}

impl AppendEntries {
    /// How many runs the entries of one message have at most; a message with more is refused as
    /// [`TooManyRuns`](crate::EntriesError::TooManyRuns). What a leader sends keeps to it, and so
    /// does each part of it that [`split_at`](Self::split_at) gives.
    pub const MAX_RUNS: usize = 257;

    /// The position of the last entry; `prev` if there are none.
    pub fn last_position(&self) -> LogPosition {
        self.entries.last_position(self.prev)
    }

    /// Splits into the message with the first `count` entries and the message with the rest, both
    /// valid: for runtimes whose frames are limited in bytes.
    #[must_use]
    pub fn split_at(self, count: u64) -> (Self, Self) {
        let (head, tail) = self.entries.split_at(count);
        let head = Self { entries: head, ..self };
        let tail = Self { prev: head.last_position(), entries: tail, ..head };
        (head, tail)
    }
}

/// A leader's question *are you with me*, in every message that wants an answer.
///
/// Read index, lease and check-quorum are three readings of the same echo.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Probe {
    /// Names the moment at the leader; later questions have greater rounds.
    pub round: Round,
    /// The moment on the leader's clock. It means something to the leader only.
    pub sent_at: Instant,
    /// The lease that the leader asks for, its own T; zero where it wants none.
    pub lease: Duration,
}

/// The answer to an [`AppendEntries`] with a probe, and the acknowledgement of durable entries.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AppendEntriesResponse {
    /// What became of the entries.
    pub outcome: AppendOutcome,
    /// The newest probe, echoed: an acknowledgement echoes it again, for an echo may be lost.
    pub echo: Option<Echo>,
    /// The newest round of this leadership that the answering node has seen; `None` if none. What
    /// was asked before it, and answered, says nothing that is newer than this.
    pub seen: Option<Round>,
}

/// A [`Probe`] as it comes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Echo {
    /// The round of the probe.
    pub round: Round,
    /// The send time of the probe, as the leader wrote it.
    pub sent_at: Instant,
    /// For how long after `sent_at` at least the answering node votes for nobody else, by its own
    /// clock and across a restart; zero if it promises nothing.
    pub promised: Duration,
}

/// What became of an [`AppendEntries`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum AppendOutcome {
    /// The log matches the leader's.
    Matched {
        /// Up to here the log matches and is durable.
        match_index: LogIndex,
    },
    /// The log does not hold `prev`.
    Mismatched {
        /// The `prev` that it does not hold.
        rejected: LogPosition,
        /// What it holds at and below `rejected`, from the top down; see [`TermSpan`].
        hint: Vec<TermSpan>,
    },
    /// The answering node's term is later: so that a leader whose term is over learns it.
    StaleTerm,
    /// A snapshot is being installed; only the echo counts.
    Installing,
}

/// The leader's snapshot, which arrived whole beside this message. The runtime of the leader sends
/// it for a [`SendSnapshot`](crate::Action::SendSnapshot), with the term of that action; the
/// receiving core decides whether it is of use.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InstallSnapshot {
    /// What it covers.
    pub snapshot: Snapshot,
}

/// From which index on may I read? A later question of the same node stands for its earlier ones.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReadIndex {
    /// Names the question at its sender; later ones are greater.
    pub id: Round,
}

/// The answer to a [`ReadIndex`], and to all earlier ones of the same node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReadIndexResponse {
    /// The question.
    pub id: Round,
    /// The index that must be applied before the read; `None` if the answering node does not lead.
    pub index: Option<LogIndex>,
}

/// The entries of one term in a log, from `first` to `last`, both included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TermSpan {
    /// The term.
    pub term: Term,
    /// The first index with this term.
    pub first: LogIndex,
    /// The last index with this term.
    pub last: LogIndex,
}

macro_rules! message_kinds {
    ($($kind:ident = $name:literal,)*) => {
        /// The kinds of [`Message`]s, for whoever counts them, names them or treats them apart.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum MessageKind {
            $(
                #[doc = concat!("[`Message::", stringify!($kind), "`].")]
                $kind,
            )*
        }

        impl MessageKind {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Its name, in snake case: that of the variant.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

message_kinds! {
    PreVote = "pre_vote",
    PreVoteResponse = "pre_vote_response",
    RequestVote = "request_vote",
    RequestVoteResponse = "request_vote_response",
    AppendEntries = "append_entries",
    AppendEntriesResponse = "append_entries_response",
    InstallSnapshot = "install_snapshot",
    TimeoutNow = "timeout_now",
    ReadIndex = "read_index",
    ReadIndexResponse = "read_index_response",
}

impl MessageKind {
    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether a node says it only when it was asked.
    pub const fn is_answer(self) -> bool {
        match self {
            Self::PreVoteResponse
            | Self::RequestVoteResponse
            | Self::AppendEntriesResponse
            | Self::ReadIndexResponse => true,
            Self::PreVote
            | Self::RequestVote
            | Self::AppendEntries
            | Self::InstallSnapshot
            | Self::TimeoutNow
            | Self::ReadIndex => false,
        }
    }
}

impl Message {
    /// Which kind it is of, whatever it carries.
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::PreVote(_) => MessageKind::PreVote,
            Self::PreVoteResponse(_) => MessageKind::PreVoteResponse,
            Self::RequestVote(_) => MessageKind::RequestVote,
            Self::RequestVoteResponse(_) => MessageKind::RequestVoteResponse,
            Self::AppendEntries(_) => MessageKind::AppendEntries,
            Self::AppendEntriesResponse(_) => MessageKind::AppendEntriesResponse,
            Self::InstallSnapshot(_) => MessageKind::InstallSnapshot,
            Self::TimeoutNow => MessageKind::TimeoutNow,
            Self::ReadIndex(_) => MessageKind::ReadIndex,
            Self::ReadIndexResponse(_) => MessageKind::ReadIndexResponse,
        }
    }

    /// The name of its kind, see [`MessageKind::name`].
    pub const fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// How many commands it announces: so many payloads travel beside it, no fewer and no more. See
    /// [`check_payloads`](crate::payload::check_payloads).
    pub fn commands(&self) -> u64 {
        match self {
            Self::AppendEntries(m) => m.entries.commands(),
            _ => 0,
        }
    }

    /// Whether this message and a `newer` one to the same node answer or ask the same, so that only
    /// one of them need leave. An answer that a leader acts upon by itself stands beside others.
    pub(crate) fn competes_with(&self, newer: &Self) -> bool {
        let kind = core::mem::discriminant::<Self>;
        match (self, newer) {
            (Self::AppendEntriesResponse(waiting), Self::AppendEntriesResponse(newer)) => {
                let outcome = core::mem::discriminant::<AppendOutcome>;
                outcome(&waiting.outcome) == outcome(&newer.outcome)
            }
            _ => kind(self) == kind(newer),
        }
    }

    /// What is left of this waiting message and a newer one that [competes](Self::competes_with):
    /// the one that serves its receiver better. A late copy of an old question must not take away
    /// what was said to a newer one.
    pub(crate) fn merge(&mut self, newer: Self) {
        match (&mut *self, newer) {
            // All that waits is of one term, in which a vote that is given stays given.
            (Self::RequestVoteResponse(waiting), Self::RequestVoteResponse(_))
                if waiting.verdict == Verdict::Granted => {}
            (Self::PreVoteResponse(waiting), Self::PreVoteResponse(newer))
                if waiting.round > newer.round => {}
            // An answer stands for earlier questions only, and questions may overtake one another.
            (Self::ReadIndexResponse(waiting), Self::ReadIndexResponse(newer))
                if waiting.id > newer.id => {}
            (Self::AppendEntriesResponse(waiting), Self::AppendEntriesResponse(newer)) => {
                let echoes = waiting.echo.into_iter().chain(newer.echo);
                let echo = echoes.max_by_key(|echo| echo.round);
                *waiting = AppendEntriesResponse { echo, ..newer };
            }
            (waiting, newer) => *waiting = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AppendEntries, MessageKind};
    use crate::entries::{Entries, Run};
    use crate::types::{LogIndex, LogPosition, Term};
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    /// Runs of commands with terms that do not decrease, from arbitrary small numbers.
    fn entries(runs: &[(u8, u8)]) -> Entries {
        let mut term = 1;
        runs.iter()
            .map(|(step, count)| {
                term += u64::from(*step);
                Run::Commands { term: Term(term), count: u64::from(*count) + 1 }
            })
            .collect()
    }

    #[test]
    fn kinds_are_found_by_their_names() {
        assert!(MessageKind::ALL.iter().all(|kind| MessageKind::named(kind.name()) == Some(*kind)));
        assert_eq!(MessageKind::named("heartbeat"), None);
    }

    quickcheck! {
        fn a_split_message_joins_again(runs: Vec<(u8, u8)>, at: u64, commit: u64) -> bool {
            let whole = AppendEntries {
                prev: LogPosition::new(Term(1), LogIndex(5)),
                entries: entries(&runs),
                commit: LogIndex(commit),
                probe: None,
            };
            let count = whole.entries.count();
            let at = at % (count + 1);
            let (head, tail) = whole.clone().split_at(at);
            let joined = head.entries.runs().chain(tail.entries.runs()).cloned().collect();
            let fit = |m: &&AppendEntries| m.entries.check(m.prev, Term(1 << 40)).is_ok();
            let fits = [&head, &tail].iter().all(fit);
            fits && head.entries.count() == at
                && tail.prev == head.last_position()
                && tail.last_position() == whole.last_position()
                && AppendEntries { entries: joined, ..head } == whole
        }
    }
}
