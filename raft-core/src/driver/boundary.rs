//! What a runtime tells a driver, and what a driver tells a runtime.

use crate::action::{Action, TransferOutcome};
use crate::driver::frame::{BoundWrite, Entry, Frame, SnapshotHead};
use crate::entries::Snapshot;
use crate::error::RejectReason;
use crate::input::{Consistency, Input, Outcome};
use crate::membership::Membership;
use crate::node::Node;
use crate::payload::Content;
use crate::types::{Instant, LogIndex, LogPosition, NodeId, Ticket, Token};
use alloc::vec::Vec;
use thiserror::Error;

/// What happened, with its bytes.
///
/// Requests name their caller by a token, which comes back in the answer; open ones have different
/// tokens. `until` is the moment at which the caller will wait no longer, [`Instant::MAX`] for
/// never.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Event<P> {
    /// A frame arrived. The head of a snapshot is none: see [`SnapshotEvent::Head`].
    Frame(Frame<P>),
    /// The deadline has passed. The driver steps it after everything else of the call.
    Wake,
    /// A client wants these commands in the log, in this order. Answered by the
    /// [`Caller`] of its entries in [`Effect::Apply`], or by an [`Answer`].
    Propose {
        /// The caller.
        token: Token,
        /// What to replicate; at least one. They are not atomic: see [`Answer::Lost`].
        commands: Vec<P>,
        /// When the caller gives up.
        until: Instant,
    },
    /// A client wants to read. Answered by [`Answer::Read`] or [`Answer::Refused`].
    Read {
        /// The caller.
        token: Token,
        /// What the answer rests on.
        consistency: Consistency,
        /// When the caller gives up.
        until: Instant,
    },
    /// The operator wants another membership. Answered when it is committed, or refused. The node
    /// is asked after everything else of the call.
    Change {
        /// The caller.
        token: Token,
        /// The membership to reach.
        target: Membership,
        /// When the caller gives up.
        until: Instant,
    },
    /// A learner is to become a voter as soon as it has caught up. Tried again until it succeeds
    /// or the caller gives up; answered as [`Change`](Self::Change).
    Promote {
        /// The caller.
        token: Token,
        /// The learner.
        node: NodeId,
        /// When the caller gives up.
        until: Instant,
    },
    /// The operator wants another leader. Answered within T.
    Transfer {
        /// The caller.
        token: Token,
        /// The voter, or `None` for the one whose log is the most complete.
        to: Option<NodeId>,
    },
    /// Hold an election now, if no leader is alive.
    Campaign,
    /// Every [`Effect::Write`] up to and including `ticket` is durable, and [`Host::read`] finds
    /// its entries. Never say this of a write that failed: that is a crash.
    Written {
        /// The ticket.
        ticket: Ticket,
    },
    /// The state machine has applied everything up to here: the last entry of an
    /// [`Effect::Apply`].
    Applied {
        /// The index.
        through: LogIndex,
    },
    /// The transport takes no more entries for this peer. Of what was handed out it has taken
    /// everything up to `after`, and has dropped the rest; `None` if it has taken all. Messages
    /// without entries still come, and are few.
    Paused {
        /// The peer.
        peer: NodeId,
        /// The last index that was taken.
        after: Option<LogIndex>,
    },
    /// The transport takes entries for this peer again.
    Resumed {
        /// The peer.
        peer: NodeId,
    },
    /// The connection to a peer broke: what was on its way may be lost. Says nothing of pauses.
    Unreachable {
        /// The peer.
        peer: NodeId,
    },
    /// What [`Effect::Fetch`] asked for is at hand.
    Fetched,
    /// Something happened to a snapshot.
    Snapshot(SnapshotEvent),
}

/// A snapshot on its way from one node to another: a head, and the content behind it.
///
/// *One that arrives* is named by the runtime, which tells its head under this id
/// ([`SnapshotEvent::Head`]). The same call answers it, once: [`SnapshotTask::Receive`] or
/// [`SnapshotTask::Discard`]. What is received ends once: it is [`Broken`](SnapshotEvent::Broken),
/// or discarded, or it has [`Arrived`](SnapshotEvent::Arrived) and is then discarded or handed to
/// [`SnapshotTask::Install`]. From then on what has arrived belongs to the install, and to no
/// stream.
///
/// *One that leaves* is named by the driver ([`SnapshotTask::Send`]), and ends once: it is
/// [`Sent`](SnapshotEvent::Sent), or [`SnapshotTask::Stop`] ends it.
///
/// The two sides count by themselves. None uses an id twice in a life of the driver; the order of
/// ids means nothing. What is said of a stream that has ended, or was never there, changes nothing.
/// A head under the id of a stream that has not ended ends both, by one `Discard`. After an
/// `Install` such a `Discard` means the head alone: the install goes on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StreamId(pub u64);

/// What happened to a snapshot.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum SnapshotEvent {
    /// The operator wants one now.
    Wanted,
    /// [`SnapshotTask::Take`] has ended; done: content and membership are durable.
    Taken {
        /// How.
        outcome: Outcome,
    },
    /// Some bytes of a stream that leaves have left, and the peer has taken them.
    Progress {
        /// Its id.
        stream: StreamId,
    },
    /// A stream that leaves has ended; done: the peer has all of it.
    Sent {
        /// Its id.
        stream: StreamId,
        /// How.
        outcome: Outcome,
    },
    /// The head of a stream has arrived. The content behind it waits for the answer.
    Head {
        /// The id that the stream gets by this.
        stream: StreamId,
        /// The head.
        head: SnapshotHead,
    },
    /// A stream that was to be received has arrived whole, and its content is durable.
    Arrived {
        /// Its id.
        stream: StreamId,
    },
    /// A stream that was to be received broke. The runtime throws away what it has of it.
    Broken {
        /// Its id.
        stream: StreamId,
    },
    /// [`SnapshotTask::Install`] has ended.
    Installed {
        /// How; failed: state machine and log are as they were, and what had arrived is gone.
        outcome: Outcome,
    },
}

/// What to do. In this order one after the other is right; what may be done beside the rest is said
/// at each.
#[must_use = "an effect that is not carried out is a lost write, message or answer"]
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Effect<P> {
    /// Make it durable, then say [`Event::Written`]. In the order of tickets, beside everything
    /// else; one fsync may serve many.
    Write(BoundWrite<P>),
    /// Send to `envelope().to`. Losing it is fine. Messages with entries should arrive in order: a
    /// transport with two connections to a peer puts all
    /// [`AppendEntries`](crate::Message::AppendEntries) on one of them.
    Send(Frame<P>),
    /// Apply these in order, then say [`Event::Applied`] with the last index. The next one comes
    /// only then. Whoever is named as the [`Caller`] of an entry has his command committed: give
    /// him what the state machine answers. A membership entry has nothing to apply.
    Apply(Vec<Commit<P>>),
    /// Answer a caller.
    Answer {
        /// The caller.
        token: Token,
        /// What became of the request.
        answer: Answer,
    },
    /// Do something with a snapshot.
    Snapshot(SnapshotTask),
    /// The log up to here is not needed any more: delete it when convenient.
    Compact {
        /// The last position that may go.
        through: LogPosition,
    },
    /// [`Host::read`] did not have this entry at hand: read it, then say [`Event::Fetched`].
    Fetch {
        /// The position.
        position: LogPosition,
    },
    /// For logs, metrics and alarms: [`Action::RoleChanged`], [`Action::Ignored`],
    /// [`Action::PeerRegressed`].
    Notice(Action),
}

/// What to do with a snapshot. An own one is named by its position, one on its way by its stream.
///
/// Taking, applying and installing go one after the other, in the order of their effects; and so
/// does what concerns one stream.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum SnapshotTask {
    /// Write the state machine as it is now, before anything more is applied, with this position
    /// and membership; then say [`SnapshotEvent::Taken`]. When the state is caught what follows may
    /// be carried out, while it is being written.
    Take(Snapshot),
    /// Send this head and then the content of the snapshot that it names. Say
    /// [`SnapshotEvent::Progress`] now and then, and [`SnapshotEvent::Sent`] at the end.
    Send {
        /// The id that the stream gets by this.
        stream: StreamId,
        /// The head.
        head: SnapshotHead,
    },
    /// End this stream, if it has not ended. No report is wanted.
    Stop {
        /// Its id.
        stream: StreamId,
    },
    /// Take in the content that follows this head; then say [`SnapshotEvent::Arrived`] or
    /// [`SnapshotEvent::Broken`].
    Receive {
        /// Its id.
        stream: StreamId,
        /// Who sends it.
        from: NodeId,
        /// What its head says.
        snapshot: Snapshot,
    },
    /// End this stream, and throw away what came on it: it is not wanted. No report is wanted.
    Discard {
        /// Its id.
        stream: StreamId,
    },
    /// Take what has arrived on this stream, which ends by that, and replace state machine and log
    /// by it, atomically; then say [`SnapshotEvent::Installed`]. All earlier writes are durable,
    /// all that was handed out is applied. The log is empty then and starts after the snapshot.
    Install {
        /// Its id.
        stream: StreamId,
        /// The snapshot.
        snapshot: Snapshot,
    },
    /// Delete this snapshot of the own: a newer one is durable, and no stream needs it.
    Remove {
        /// Its position.
        position: LogPosition,
    },
}

/// A committed entry, and who waits for it here.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Commit<P> {
    /// The entry.
    pub entry: Entry<P>,
    /// Who proposed it at this node and still waits.
    pub caller: Option<Caller>,
}

/// Whose command an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Caller {
    /// The caller.
    pub token: Token,
    /// Which of his commands it is, counted from 0.
    pub nth: u64,
    /// How many he proposed. With the last one his request is answered.
    pub of: u64,
}

/// What became of a request. A token is answered once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Answer {
    /// It has changed nothing and will change nothing. It may be asked again.
    Refused(Refusal),
    /// Something else was committed where the commands stood. They will never be, anywhere, but for
    /// the first `applied` of them.
    Lost {
        /// How many of the first commands were handed to the state machine; never all of them.
        applied: u64,
    },
    /// Nobody knows: it may or may not be committed, now or later.
    Unknown {
        /// Why nobody knows.
        cause: Unknown,
        /// How many of the first commands were handed to the state machine here; never all of them.
        applied: u64,
    },
    /// Read the state machine now.
    Read {
        /// The index that the read needed.
        index: LogIndex,
    },
    /// The membership that was asked for is committed.
    Changed,
    /// The transfer has ended.
    Transferred(TransferOutcome),
}

/// Why the fate of a request is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Unknown {
    /// This node leads no more.
    LeadershipLost,
    /// A snapshot covers the position.
    Installed,
    /// The caller's time is over.
    TimedOut,
}

/// Why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Refusal {
    /// By the node.
    #[error(transparent)]
    Node(#[from] RejectReason),
    /// A command is larger than
    /// [`Settings::command_bytes`](crate::driver::Settings::command_bytes).
    #[error("a command of {bytes} bytes, at most {limit} are taken")]
    CommandTooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// More than [`Settings::uncommitted_bytes`](crate::driver::Settings::uncommitted_bytes) would
    /// wait for their commit.
    #[error("{waiting} bytes wait for their commit")]
    TooManyUncommitted {
        /// How many wait.
        waiting: u64,
    },
    /// A request under this token waits at the node, and their answers could not be told apart.
    #[error("the token is in use")]
    TokenInUse,
    /// Promotion of a node that is no learner.
    #[error("{node:?} is no learner")]
    NotALearner {
        /// The node.
        node: NodeId,
    },
    /// Nothing in the log says how to reach this member, see
    /// [`Settings::needs_descriptions`](crate::driver::Settings::needs_descriptions).
    #[error("nothing in the log describes {node:?}")]
    NotDescribed {
        /// The node.
        node: NodeId,
    },
    /// The caller's time is over, and nothing was done.
    #[error("the time is over")]
    TimedOut,
}

/// What the driver asks of the runtime during a call.
pub trait Host<P> {
    /// What the runtime's log holds at exactly this position; `None` if it is not at hand, see
    /// [`Effect::Fetch`]. Asked only for entries that were [`Written`](Event::Written), or were
    /// there at the start, and were not released by [`Effect::Compact`].
    fn read(&mut self, position: LogPosition) -> Option<Content<P>>;

    /// What the snapshot that was just installed, at this position, keeps of the
    /// [`Book`](crate::driver::book::Book); nothing if there is none.
    fn described(&mut self, snapshot: LogPosition) -> Vec<P> {
        let _ = snapshot;
        Vec::new()
    }

    /// The node was stepped: for records, traces and checkers. A call of the driver steps it
    /// several times.
    fn stepped(&mut self, step: &Stepped<'_>) {
        let _ = step;
    }
}

/// One step of the node, as it was made.
#[derive(Clone, Copy, Debug)]
pub struct Stepped<'a> {
    /// What it was told.
    pub inputs: &'a [Input],
    /// When.
    pub now: Instant,
    /// What it said.
    pub actions: &'a [Action],
    /// The node after it.
    pub node: &'a Node,
}
