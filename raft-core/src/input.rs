//! What the runtime tells a node: half of the door.

use crate::entries::Entries;
use crate::membership::Membership;
use crate::message::Envelope;
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
    /// that lies in a queue should not lose to the timer that it would have put off.
    Wake,
    /// Replicate `count` new commands. Answered in the same call by
    /// [`Accepted`](crate::Action::Accepted) or [`Rejected`](crate::Action::Rejected).
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
    /// The longest lease that this node ever promised to a leader; zero if none. For so long after a
    /// restart it gives no vote, its own included. It is written once in practice.
    pub promised: Duration,
}

/// What a node finds on its disk when it starts.
///
/// After a crash any prefix of the tickets may have survived, torn inside at any entry, and the hard
/// state of later tickets too: [`Node::new`](crate::Node::new) accepts each such state and refuses,
/// with a [`RecoveryError`](crate::RecoveryError), what cannot have come from one. A state that was
/// lost is not a state: a node whose disk was wiped comes back under a new [`NodeId`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Recovered {
    /// The newest hard state that is durable.
    pub hard_state: HardState,
    /// What the newest durable snapshot covers; [`Snapshot::genesis`] where there is none.
    pub snapshot: Snapshot,
    /// The position before the first entry of `entries`: at or below the snapshot's position. A log
    /// that is older than the snapshot or contradicts it is dropped.
    pub prev: LogPosition,
    /// The entries of the log.
    pub entries: Entries,
    /// The last index that the state machine has applied durably, or zero for a state machine that
    /// starts from the snapshot. [`Apply`](crate::Action::Apply) goes on after it.
    pub applied: LogIndex,
}

impl Recovered {
    /// The state of a node that has never run: term 0, an empty log (N1, N6). `membership` is that of
    /// the cluster, the same at each of its first nodes (N5), or [`Membership::empty`] for a node
    /// that joins a cluster later.
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

/// What a snapshot covers. Its content is the runtime's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// The last position that it covers.
    pub position: LogPosition,
    /// The membership in force at that position.
    pub membership: Membership,
}

impl Snapshot {
    /// The snapshot of nothing: what a cluster starts from.
    pub const fn genesis(membership: Membership) -> Self {
        Self { position: LogPosition::ZERO, membership }
    }
}
