//! Every way in which the core says no. Errors are for input; a panic would be our own bug.

use crate::types::{LogIndex, LogPosition, NodeId, Term};
use thiserror::Error;

/// A [`Config`](crate::Config) that cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum ConfigError {
    /// A value is out of the range that its field states.
    #[error("`{field}` is out of its range")]
    OutOfRange {
        /// The field.
        field: &'static str,
    },
    /// `now` lies in the last two days of the clock's range.
    #[error("the clock is at the end of its range")]
    ClockOutOfRange,
}

/// A [`Membership`](crate::Membership) that makes no sense.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum MembershipError {
    /// There are members, but none of them votes.
    #[error("there are members but no voters")]
    NoVoters,
    /// A node stands in one list twice.
    #[error("{0:?} is named twice")]
    Duplicate(NodeId),
    /// A node is a voter and a learner.
    #[error("{0:?} is a voter and a learner")]
    VoterAndLearner(NodeId),
    /// A list is too long.
    #[error("more than {limit} nodes in one list")]
    TooMany {
        /// The greatest number that is allowed.
        limit: usize,
    },
    /// An id above [`LIMIT`](crate::types::LIMIT).
    #[error("the id {0} is above the limit")]
    IdBeyondLimit(NodeId),
}

/// [`Entries`](crate::Entries) that no log can hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum EntriesError {
    /// A run without entries.
    #[error("a run without entries")]
    EmptyRun,
    /// A membership to which nobody belongs: a cluster in which it is in force is lost.
    #[error("a membership of nobody")]
    EmptyMembership,
    /// Two neighbouring runs of commands of one term: equal entries must be equal values.
    #[error("neighbouring runs of one term")]
    NotJoined,
    /// A term is 0, or smaller than the one before it.
    #[error("the term decreases after index {after}")]
    DecreasingTerm {
        /// The last index at which all was well.
        after: LogIndex,
    },
    /// A term is later than that of the node that sends or holds it.
    #[error("term {term} is above the current term {current}")]
    TermAboveCurrent {
        /// The term of the entry.
        term: Term,
        /// The current term.
        current: Term,
    },
    /// An index above [`LIMIT`](crate::types::LIMIT).
    #[error("an index above the limit")]
    BeyondLimit,
    /// A message with more runs than
    /// [`AppendEntries::MAX_RUNS`](crate::AppendEntries::MAX_RUNS). Logs may have any number.
    #[error("{runs} runs in one message")]
    TooManyRuns {
        /// How many there are.
        runs: usize,
    },
}

/// A state that no crash can have left behind, so that it would be unsafe to go on with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum RecoveryError {
    /// The log cannot stand as it is: it decreases in term, or is later than the hard state.
    #[error("the recovered log is broken: {0}")]
    Log(#[from] EntriesError),
    /// Entries between the snapshot and the log are missing.
    #[error("the log starts after index {log_starts_after}, the snapshot ends at {snapshot}")]
    Gap {
        /// The index before the first entry of the log.
        log_starts_after: LogIndex,
        /// The last index of the snapshot.
        snapshot: LogIndex,
    },
    /// The snapshot is later than the hard state.
    #[error("the snapshot has term {snapshot}, the hard state {current}")]
    SnapshotAboveTerm {
        /// The term of the snapshot's last entry.
        snapshot: Term,
        /// The current term of the hard state.
        current: Term,
    },
    /// The state machine has applied what the log does not hold.
    #[error("the state machine has applied {applied}, the log ends at {last}")]
    AppliedBeyondLog {
        /// What was said to be applied.
        applied: LogIndex,
        /// The last index of the log.
        last: LogIndex,
    },
    /// A term, an id or a promise above its limit, or a vote in term 0.
    #[error("the hard state is out of range")]
    HardStateOutOfRange,
    /// The snapshot's position is out of range, or has an index without a term.
    #[error("the snapshot's position {0} is impossible")]
    ImpossibleSnapshot(LogPosition),
}

/// Why [`Node::new`](crate::Node::new) refuses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The recovered state.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
}

/// Why a request was refused. Nothing has changed, and it may be made again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RejectReason {
    /// This node does not lead.
    #[error("not the leader{}", Hint(*leader))]
    NotLeader {
        /// The leader of the current term, if this node knows it.
        leader: Option<NodeId>,
    },
    /// A proposal of no commands, or of more than any log can hold.
    #[error("a proposal of {count} commands")]
    BadCount {
        /// The number of commands.
        count: u64,
    },
    /// No entry of this leader's own term is committed yet. Try again in a moment.
    #[error("no entry of this term is committed yet")]
    TermNotCommitted,
    /// Leadership is being transferred.
    #[error("the leadership is being transferred")]
    TransferInProgress,
    /// Another change of the membership is not finished.
    #[error("another membership change is under way")]
    ChangeInProgress,
    /// The membership to reach is joint, or has no voters.
    #[error("the membership to reach must have voters and must not be joint")]
    BadMembership,
    /// The membership to reach is in force already.
    #[error("the membership is in force already")]
    AlreadyInForce,
    /// A new voter is no learner yet, or has not caught up with the log.
    #[error("{node:?} has not caught up")]
    NotCaughtUp {
        /// The new voter.
        node: NodeId,
    },
    /// The membership to reach, or the one in force, has no quorum of voters that this leader has
    /// heard in this term within T and whose logs are level with its own, or nearly so. It could
    /// not be committed, and would leave the cluster without a leader for good. Ask again when they
    /// are back, or ask for a membership without those who are gone.
    #[error("no quorum is alive and level: {node:?} is missing")]
    NoQuorum {
        /// A voter that is silent, or lags.
        node: NodeId,
    },
    /// The node cannot take over: it is this leader, a learner, or no member at all.
    #[error("{node:?} cannot take over")]
    CannotLead {
        /// The node.
        node: NodeId,
    },
    /// There is no other voter to take over.
    #[error("there is no other voter")]
    NoOtherVoter,
    /// Too many reads wait, see
    /// [`Config::max_pending_reads`](crate::Config::max_pending_reads).
    #[error("too many reads wait")]
    TooManyReads,
    /// The leader of the read was lost. Ask again.
    #[error("the leader has changed")]
    LeaderChanged,
    /// No quorum has confirmed the read in time. Ask again.
    #[error("no answer in time")]
    TimedOut,
    /// Too many entries wait for their commit, see
    /// [`Config::max_uncommitted`](crate::Config::max_uncommitted).
    #[error("{waiting} entries wait for their commit")]
    TooManyUncommitted {
        /// How many wait.
        waiting: u64,
    },
    /// `now` lies in the last two days of the clock's range.
    #[error("the clock is at the end of its range")]
    ClockOutOfRange,
    /// The log has no room for it: its indices end at [`LIMIT`](crate::types::LIMIT).
    #[error("the log is full")]
    LogFull,
}

/// Who leads, as the end of a sentence.
struct Hint(Option<NodeId>);

impl core::fmt::Display for Hint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.map_or(Ok(()), |id| write!(f, ", which is {id:?}"))
    }
}

/// Why an input was ignored. It has changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum IgnoreReason {
    /// The message is for another node, or from this one.
    #[error("misrouted")]
    Misrouted,
    /// A number above [`LIMIT`](crate::types::LIMIT), or one that contradicts another.
    #[error("malformed")]
    Malformed,
    /// The entries cannot be: see the reason.
    #[error("malformed entries: {0}")]
    MalformedEntries(EntriesError),
    /// It belongs to a term, a round or a role that is over.
    #[error("stale")]
    Stale,
    /// The sender is no member as far as this leader knows.
    #[error("from nobody that this leader replicates to")]
    UnknownPeer,
    /// Entries that contradict what is committed here, or what the same leader said before. One of
    /// the two nodes is broken.
    #[error("contradicts what is settled at index {at}")]
    Contradiction {
        /// The first index at which they contradict.
        at: LogIndex,
    },
    /// A second leader in one term, which cannot be. One of the nodes has lost or repeats its
    /// state.
    #[error("a second leader in this term; the first is {first:?}")]
    SecondLeader {
        /// Whom this node follows, or itself.
        first: NodeId,
    },
    /// The acknowledgement of positions that this leader does not have.
    #[error("acknowledges index {match_index}, the log ends at {last}")]
    ImpossibleAcknowledgement {
        /// What is acknowledged.
        match_index: LogIndex,
        /// The last index of this leader's log.
        last: LogIndex,
    },
    /// A snapshot that was not asked for, or is not being installed.
    #[error("no such snapshot is under way")]
    UnknownSnapshot,
    /// A snapshot of what is not applied, or is compacted already.
    #[error("the position {0} cannot be compacted")]
    CannotCompact(LogPosition),
    /// Too many messages wait for the disk already.
    #[error("too many messages wait for the disk")]
    Overloaded,
    /// A `Persisted` whose ticket this life of the node did not issue.
    #[error("a ticket that was not issued")]
    UnknownTicket,
    /// `Campaign` or `TimeoutNow` at a node that has no vote.
    #[error("this node is no voter")]
    NotAVoter,
    /// `Campaign` at the leader, or at a node that hears one or promised one not to vote yet;
    /// `TimeoutNow` at a node that promised another leader so.
    #[error("there is a leader, or one was promised no vote yet")]
    LeaderAlive,
    /// `Campaign` at a node that is holding an election.
    #[error("an election is under way")]
    AlreadyCampaigning,
    /// `now` lies in the last two days of the clock's range.
    #[error("the clock is at the end of its range")]
    ClockOutOfRange,
    /// A term that no cluster has reached since this node last heard of it, see
    /// [`TERM_REACH`](crate::types::TERM_REACH).
    #[error("term {term} is too far above the current term {current}")]
    TermTooFarAhead {
        /// The term of the message.
        term: Term,
        /// This node's own.
        current: Term,
    },
    /// `Campaign` or `TimeoutNow` at a node whose disk hangs, see
    /// [`Config::disk_timeout`](crate::Config::disk_timeout): its own vote would not become
    /// durable.
    #[error("the disk hangs")]
    DiskHangs,
    /// `Campaign`, `TimeoutNow` or `SnapshotTaken` at a node that installs a snapshot: its log is
    /// about to be replaced.
    #[error("a snapshot is being installed")]
    Installing,
    /// `Campaign` or `TimeoutNow` at a node in the last term that there is.
    #[error("there is no later term")]
    LastTerm,
    /// `Campaign` or `TimeoutNow` at a node whose log has no room for a leader's first entry: its
    /// indices end at [`LIMIT`](crate::types::LIMIT).
    #[error("the log is full")]
    LogFull,
    /// The question of a follower's read, while too many reads wait, see
    /// [`Config::max_pending_reads`](crate::Config::max_pending_reads). The follower asks again.
    #[error("too many reads wait")]
    TooManyReads,
    /// A vote, or the promise of one, from a node that is no voter as far as this one knows.
    #[error("the vote of a node that is no voter")]
    UnknownVoter,
    /// The answer of a peer that has lost its log, to a question from before this leader knew: it
    /// may acknowledge what is lost. See [`Action::PeerRegressed`](crate::Action::PeerRegressed).
    #[error("of a log that the peer has lost")]
    LostLog,
}

/// Why a join of positions and payloads fails, see [`payload`](crate::payload).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum PayloadError {
    /// The log no longer holds these positions: drop the message.
    #[error("the log does not hold {0}")]
    NotHeld(LogPosition),
    /// The inputs of the call do not carry what the write needs: they are those of another call.
    #[error("input {input} carries {found} payloads, the write needs {needed}")]
    MissingPayloads {
        /// The input.
        input: usize,
        /// How many it carries.
        found: usize,
        /// How many are needed of it.
        needed: u64,
    },
    /// The payloads that came with an input are fewer or more than it announces: refuse the frame.
    #[error("{found} payloads came with an input that announces {announced} commands")]
    WrongCount {
        /// How many commands the input announces.
        announced: u64,
        /// How many payloads came with it.
        found: usize,
    },
    /// A write that no core asks for: a chunk of nothing, positions out of range, terms that
    /// decrease.
    #[error("a write that no core asks for")]
    MalformedWrite,
    /// The write would leave a gap, or drop what has been compacted.
    #[error("the write starts at {first}, the log covers {start} to {last}")]
    OutOfOrder {
        /// The first index of the write.
        first: LogIndex,
        /// The first index that the log holds.
        start: LogIndex,
        /// The last index that the log holds.
        last: LogIndex,
    },
}
