//! What the runtime tells a node: half of the boundary.

use crate::entries::{Entries, Snapshot};
use crate::membership::Membership;
use crate::message::{Envelope, Message};
use crate::types::{LogIndex, LogPosition, NodeId, Term, Ticket, Token};
use core::time::Duration;

/// What the runtime tells a node.
///
/// Each contract stands at the variant that it binds. Any input in any state is answered with
/// actions or with a typed refusal that leaves the state as it was; none panics.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Input {
    /// A peer's message arrived, whole. Its payloads stay with the runtime until the
    /// [`Persist`](crate::Action::Persist) of the same call says where to write them.
    Message(Envelope),
    /// The deadline has passed. Early or late is harmless. Step waiting messages first: a heartbeat
    /// that lies in a queue should not lose to the timer that it would have reset.
    Wake,
    /// Replicate `count` new commands. Answered in the same call by
    /// [`Accepted`](crate::Action::Accepted) or [`Rejected`](crate::Action::Rejected).
    ///
    /// Not atomic: the first commands may be committed and the others lost, with the leader. All of
    /// them are committed when the last one is.
    Propose {
        /// The caller's name for the request.
        token: Token,
        /// How many commands; at least 1.
        count: u64,
    },
    /// Every [`Persist`](crate::Action::Persist) up to and including `ticket` is durable: an fsync
    /// that began after the write has returned. Never say this of a write that failed: a failed
    /// write is a crash, drop the node and recover it from what is durable.
    Persisted {
        /// The ticket.
        ticket: Ticket,
    },
    /// Hold an election now if no leader is alive, without waiting for the deadline.
    Campaign,
    /// Read what is committed (thesis, 6.4). Any node takes it: a follower and a learner ask their
    /// leader. Answered, now or later, by [`ReadReady`](crate::Action::ReadReady) or
    /// [`Rejected`](crate::Action::Rejected), at the latest after 2T: every read ends.
    Read {
        /// The caller's name for the request.
        token: Token,
        /// What the answer rests on.
        consistency: Consistency,
    },
    /// Reach this membership (thesis, 4.3): any set of voters and learners at once. Answered in the
    /// same call by [`Accepted`](crate::Action::Accepted), with the position of the joint entry, or
    /// by [`Rejected`](crate::Action::Rejected). The joint membership is in force at once, and is
    /// left by itself when it is committed.
    ChangeMembership {
        /// The caller's name for the request.
        token: Token,
        /// The membership to reach; not joint, with at least one voter. A new voter must be a
        /// learner that has caught up (thesis, 4.2.1).
        target: Membership,
    },
    /// Transfer leadership to another voter (thesis, 3.10). It is answered when it ends, by
    /// [`TransferEnded`](crate::Action::TransferEnded) or [`Rejected`](crate::Action::Rejected), at
    /// the latest after T; until then proposals are refused.
    TransferLeadership {
        /// The caller's name for the request.
        token: Token,
        /// The voter, or `None` for the one whose log is the most complete.
        to: Option<NodeId>,
    },
    /// A snapshot of the state machine that covers everything up to `position` is durable, together
    /// with the membership that [`Node::snapshot_at`](crate::Node::snapshot_at) gave for it. The
    /// core forgets the log up to there; the runtime may, too.
    SnapshotTaken {
        /// The last position that it covers: one that was handed out in an
        /// [`Apply`](crate::Action::Apply).
        position: LogPosition,
    },
    /// A [`SendSnapshot`](crate::Action::SendSnapshot) has ended.
    SnapshotSent {
        /// The peer.
        to: NodeId,
        /// The last position that the snapshot covers; at least the one that was asked for.
        position: LogPosition,
        /// How it ended. A failure is tried again after a pause.
        outcome: Outcome,
    },
    /// An [`InstallSnapshot`](crate::Action::InstallSnapshot) has ended.
    SnapshotInstalled {
        /// Its position.
        position: LogPosition,
        /// How it ended: state machine, membership and the start of the log are durably replaced,
        /// or everything is as it was.
        outcome: Outcome,
    },
    /// The transport has lost a peer. What was on its way is taken as lost, and the peer is probed
    /// again.
    PeerUnreachable {
        /// The peer.
        peer: NodeId,
    },
    /// The transport takes no more entries for a peer. Of what was handed out it has taken the
    /// entries up to `after`, and dropped the rest: they are handed out again after
    /// [`PeerResumed`](Self::PeerResumed). The peer is still asked for signs of life, and told what
    /// is committed, with positions that it has been sent. It says nothing of snapshots.
    ///
    /// This is how limits in bytes, which the core does not know, reach it. It means something to a
    /// leader only, and is forgotten with its leadership or when the peer is removed.
    PeerPaused {
        /// The peer.
        peer: NodeId,
        /// The last index that was taken; [`LogIndex::MAX`] if everything was.
        after: LogIndex,
    },
    /// The transport takes entries for a peer again.
    PeerResumed {
        /// The peer.
        peer: NodeId,
    },
}

/// What the answer to a read rests on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Consistency {
    /// A quorum says, after the read was asked for, that the leader still leads (thesis, 6.4). It
    /// rests on no clock.
    ReadIndex,
    /// The leader's lease, where it is in force: no message is sent (thesis, 6.4.1). It rests on
    /// the clocks of a quorum running within
    /// [`Config::clock_drift_ppm`](crate::Config::clock_drift_ppm). Where there is no lease, and on
    /// any other node than the leader, it is a `ReadIndex`.
    Lease,
}

/// How something that the runtime did has ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Outcome {
    /// As was asked for.
    Done,
    /// It has changed nothing.
    Failed,
}

impl Input {
    /// How many commands it announces: so many payloads stay with the runtime.
    pub fn commands(&self) -> u64 {
        match self {
            Self::Propose { count, .. } => *count,
            Self::Message(envelope) => envelope.message.commands(),
            _ => 0,
        }
    }

    /// Whether the runtime holds bytes that came with it.
    pub(crate) fn carries_commands(&self) -> bool {
        match self {
            Self::Propose { .. } => true,
            Self::Message(Envelope { message: Message::AppendEntries(m), .. }) => {
                !m.entries.is_empty()
            }
            _ => false,
        }
    }

    /// The caller's name for it, if it is a request that is answered under a name.
    pub(crate) const fn token(&self) -> Option<Token> {
        match self {
            Self::Propose { token, .. }
            | Self::Read { token, .. }
            | Self::ChangeMembership { token, .. }
            | Self::TransferLeadership { token, .. } => Some(*token),
            Self::Message(_)
            | Self::Wake
            | Self::Persisted { .. }
            | Self::Campaign
            | Self::SnapshotTaken { .. }
            | Self::SnapshotSent { .. }
            | Self::SnapshotInstalled { .. }
            | Self::PeerUnreachable { .. }
            | Self::PeerPaused { .. }
            | Self::PeerResumed { .. } => None,
        }
    }
}

impl From<Envelope> for Input {
    fn from(envelope: Envelope) -> Self {
        Self::Message(envelope)
    }
}

/// What must survive a crash besides the log (Raft paper, figure 2).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HardState {
    /// The latest term that this node has seen.
    pub current_term: Term,
    /// To whom the vote of this term went (N11).
    pub voted_for: Option<NodeId>,
    /// The longest lease that this node has promised to a leader and that may not be over; zero if
    /// none. For so long after a restart it gives no vote, its own included. It is written seldom:
    /// it is lowered, by half or more, when every longer promise is over.
    pub promised: Duration,
}

/// What a node finds on its disk when it starts.
///
/// After a crash any prefix of the tickets may have survived, torn inside at any entry, and the
/// hard state of later tickets too: [`Node::new`](crate::Node::new) accepts each such state and
/// refuses, with a [`RecoveryError`](crate::RecoveryError), what cannot have come from one. A state
/// that was lost is not a state: a node whose disk was wiped comes back under a new [`NodeId`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Recovered {
    /// The newest hard state that is durable.
    pub hard_state: HardState,
    /// What the newest durable snapshot covers; [`Snapshot::genesis`] where there is none.
    pub snapshot: Snapshot,
    /// The position before the first entry of `entries`: at or below the snapshot's position. A log
    /// that is older than the snapshot or contradicts it is dropped, and the first write says so.
    pub prev: LogPosition,
    /// The entries of the log.
    pub entries: Entries,
    /// The last index that the state machine has applied durably, or zero for a state machine that
    /// starts from the snapshot. [`Apply`](crate::Action::Apply) goes on after it.
    pub applied: LogIndex,
}

impl Recovered {
    /// The state of a node that has never run: term 0, an empty log (N1, N6). `membership` is that
    /// of the cluster, the same at each of its first nodes (N5), or [`Membership::empty`] for a
    /// node that joins a cluster later.
    pub const fn fresh(membership: Membership) -> Self {
        Self {
            hard_state: HardState {
                current_term: Term::ZERO,
                voted_for: None,
                promised: Duration::ZERO,
            },
            snapshot: Snapshot::genesis(membership),
            prev: LogPosition::ZERO,
            entries: Entries::new(),
            applied: LogIndex::ZERO,
        }
    }
}
