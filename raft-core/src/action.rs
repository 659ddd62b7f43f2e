//! What a node tells the runtime to do: the other half of the boundary.

use crate::entries::Runs;
use crate::entries::Snapshot;
use crate::error::{IgnoreReason, RejectReason};
use crate::input::HardState;
use crate::membership::Membership;
use crate::message::Envelope;
use crate::types::{LogIndex, LogPosition, NodeId, Term, Ticket, Token};
use crate::work;
use alloc::boxed::Box;

/// What a node tells the runtime to do.
///
/// The actions of a call stand in an order in which they may be carried out one after the other.
/// Carrying them out later or in parallel is safe too, except that writes are made in the order of
/// their tickets and ranges are applied in their order. Exhaustive on purpose: a new action must
/// break the build of a runtime that does not know it.
#[must_use = "an action that is not carried out is a lost message, a lost write or a lost answer"]
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Action {
    /// The commands of a proposal are in this leader's log at `count` positions from `first` on.
    /// Not committed yet: see [`Apply`](Self::Apply) and [`Node::fate`](crate::Node::fate).
    ///
    /// Wait for the last position, at `first.index + count - 1`: a proposal of several commands is
    /// not atomic, and its first commands may be committed while the others are lost.
    Accepted {
        /// The caller's name for the request.
        token: Token,
        /// The position of the first command.
        first: LogPosition,
        /// How many.
        count: u64,
    },
    /// A request was refused and has changed nothing.
    Rejected {
        /// The caller's name for the request.
        token: Token,
        /// Why.
        reason: RejectReason,
    },
    /// Make durable, then step [`Persisted`](crate::Input::Persisted).
    Persist(Write),
    /// Send now. Loss, duplication, delay and reordering are fine. What the message rests on is
    /// durable already: the core has kept it back until then.
    ///
    /// For an [`AppendEntries`](crate::AppendEntries) read the commands of the named positions from
    /// the runtime's own log, at any time later; if the log no longer holds exactly these
    /// positions, drop the message.
    Send(Envelope),
    /// The entries from `first` to `through.index` are committed, and durable here. All are of the
    /// term `through.term`. A proposal that was accepted at `(t, i)`, with `i` in this range, is
    /// committed if `t` is this term, and lost if not.
    ///
    /// A call hands out at most 1024 ranges. What is left comes with the next calls, and
    /// [`Node::deadline`](crate::Node::deadline) is due at once.
    Apply {
        /// The first index.
        first: LogIndex,
        /// The last position.
        through: LogPosition,
    },
    /// Serve the read as soon as the state machine has applied `index`.
    ReadReady {
        /// The caller's name for the request.
        token: Token,
        /// The index.
        index: LogIndex,
    },
    /// Send the peer a snapshot: the newest, or any that covers `at_least`. It travels as the
    /// runtime likes; when it has arrived whole, the receiving runtime steps an
    /// [`InstallSnapshot`](crate::Message::InstallSnapshot) with this `term`. Then step
    /// [`SnapshotSent`](crate::Input::SnapshotSent).
    SendSnapshot {
        /// The peer.
        to: NodeId,
        /// This leader's term, for the envelope.
        term: Term,
        /// The position that it must cover.
        at_least: LogPosition,
    },
    /// Replace state machine, membership and log by the snapshot that arrived with the input of
    /// this call: atomically, after every earlier `Persist` and `Apply`. The log is empty then and
    /// starts after the snapshot. Then step [`SnapshotInstalled`](crate::Input::SnapshotInstalled);
    /// until that the core writes no log and applies nothing.
    InstallSnapshot {
        /// What the snapshot covers.
        snapshot: Snapshot,
    },
    /// The transfer of leadership has ended.
    TransferEnded {
        /// The caller's name for the request.
        token: Token,
        /// How.
        outcome: TransferOutcome,
    },
    /// Role, term or known leader have changed: for logs, metrics, and clients that wait.
    RoleChanged {
        /// The role.
        role: RoleKind,
        /// The current term.
        term: Term,
        /// The leader of this term, if this node follows or is it.
        leader: Option<NodeId>,
    },
    /// A peer has lost entries that it had acknowledged, which a disk must not do: it was wiped,
    /// rolled back, or does not sync. Said once for each loss, by the leader. From now on its old
    /// acknowledgements count for no further commit, and in this term it confirms neither reads nor
    /// leases, for it may have forgotten a vote. It is sent what it lacks; still, replace it by a
    /// new node under a new id.
    PeerRegressed {
        /// The peer.
        peer: NodeId,
        /// The index up to which it had acknowledged the log.
        acknowledged: LogIndex,
        /// The index, at or below it, that it says it does not hold.
        rejected: LogIndex,
    },
    /// An input was malformed, misrouted or stale, and has changed nothing. Count it.
    Ignored {
        /// The peer whose message it was; `None` for an input of the runtime's own.
        from: Option<NodeId>,
        /// Why.
        reason: IgnoreReason,
    },
}

/// What to make durable.
///
/// Writes are made in the order of their tickets, the hard state not later than the log part of the
/// same or of a later ticket. Many may be on their way; one fsync may serve many.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Write {
    /// The name to give back in [`Persisted`](crate::Input::Persisted).
    pub ticket: Ticket,
    /// Replaces the hard state, if it has changed.
    pub hard_state: Option<HardState>,
    /// Changes the log, if it has changed.
    pub log: Option<LogWrite>,
}

/// A change of the log: *drop everything from `first` on, then append these*.
///
/// One that restarts the log drops everything, wherever it stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LogWrite {
    /// Set by the first write of a life that began with a log which was older than the snapshot
    /// beside it, or contradicted it: the log is empty then and starts after this position.
    pub restart_after: Option<LogPosition>,
    /// The first index that is missing on the disk or in conflict with it; never at or below the
    /// commit index.
    pub first: LogIndex,
    /// What to append, in order; nothing where the log is only to be cut.
    pub chunks: Runs<Chunk>,
}

impl LogWrite {
    /// The index of the last entry after this write; the one before `first` if nothing is appended.
    /// It saturates for a write that no core asks for.
    pub fn last_index(&self) -> LogIndex {
        work::looked_at(self.chunks.len());
        self.chunks.iter().fold(self.first.prev(), |last, chunk| last.plus(chunk.count))
    }
}

/// Consecutive entries of one term and one origin.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Chunk {
    /// The term of the entries.
    pub term: Term,
    /// How many; at least 1.
    pub count: u64,
    /// Where their bytes are.
    pub source: Source,
}

/// Where the bytes of a [`Chunk`] are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Source {
    /// They came with the inputs of this very call from `first` to `last`, counted from 0: all the
    /// commands of all of these, one input after the other, but for the first `skip`. An input
    /// between them that was refused, or is not needed, carries no commands.
    Inputs {
        /// The first of the inputs.
        first: usize,
        /// The last one; mostly the same.
        last: usize,
        /// How many commands of the first one come before.
        skip: u64,
    },
    /// There are none: it is the core's own entry, with this content.
    Membership(Box<Membership>),
}

/// How a transfer of leadership has ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum TransferOutcome {
    /// The other was asked to hold an election, and this node leads no more. Who leads next is said
    /// by a later [`RoleChanged`](Action::RoleChanged).
    SteppedDown,
    /// This node lost leadership before it could transfer it.
    LeadershipLost,
    /// The other did not catch up, or did not take over, within T. This node leads on.
    TimedOut,
}

/// The four roles of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RoleKind {
    /// Follows a leader, or waits for one (N1).
    Follower,
    /// Asks whether it would win an election (thesis, 9.6).
    PreCandidate,
    /// Asks for votes (N10).
    Candidate,
    /// Leads.
    Leader,
}

impl RoleKind {
    /// The name of the role, in snake case: that of the variant.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre_candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

/// What is known of a position, see [`Node::fate`](crate::Node::fate).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Fate {
    /// It is committed, for ever.
    Committed,
    /// It will never be committed, anywhere.
    Lost,
    /// It may yet be committed. That this node has dropped it proves nothing.
    Open,
    /// A snapshot covers the index, and the core no longer knows what stood there.
    Unknown,
}
