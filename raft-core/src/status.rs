//! What a node shows of itself.

use crate::action::RoleKind;
use crate::input::HardState;
use crate::protocol::read;
use crate::state::core::Core;
use crate::state::progress::{Phase, Progress};
use crate::state::role::Role;
use crate::types::{Instant, LogIndex, LogPosition, NodeId, Term};

/// A cheap view of a node, for dashboards, traces and checkers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// The role.
    pub role: RoleKind,
    /// The current term.
    pub term: Term,
    /// To whom the vote of this term went.
    pub voted_for: Option<NodeId>,
    /// The leader of this term, if this node follows or is it.
    pub leader: Option<NodeId>,
    /// The last position of the log.
    pub last: LogPosition,
    /// The commit index.
    pub commit_index: LogIndex,
    /// The last index handed out in an `Apply`.
    pub last_applied: LogIndex,
    /// The last position of the log that is durable.
    pub durable: LogPosition,
    /// The hard state that is durable.
    pub durable_hard_state: HardState,
    /// The position before the first entry of the log: what a snapshot covers.
    pub log_start: LogPosition,
    /// The snapshot that is being installed.
    pub installing: Option<LogPosition>,
    /// Until when this leader may serve lease reads, by its own clock; `None` without a lease.
    pub lease_until: Option<Instant>,
    /// How many reads wait.
    pub pending_reads: usize,
    /// Whether a change of the membership is under way: the membership in force is joint, or not
    /// committed.
    pub membership_changes: bool,
    /// To whom this leader transfers leadership.
    pub transfers_to: Option<NodeId>,
}

/// What a leader knows of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerStatus {
    /// The peer.
    pub id: NodeId,
    /// Up to here its log matches and is durable.
    pub match_index: LogIndex,
    /// The next index to send to it.
    pub next_index: LogIndex,
    /// The last index that is on its way to it, as far as is known: what lies above it was not
    /// sent, or is lost and will be sent again.
    pub sent_through: LogIndex,
    /// How freely the leader sends to it.
    pub phase: PeerPhase,
    /// How many messages with entries are on their way.
    pub messages_in_flight: usize,
    /// The send time of the newest message that it has answered.
    pub heard_at: Instant,
    /// Whether it has caught up, as a new voter must.
    pub caught_up: bool,
    /// Whether it belongs to the membership no more, and is only told so.
    pub leaving: bool,
}

/// How freely a leader sends to a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum PeerPhase {
    /// One message at a time, until it is known where the logs part.
    Probe,
    /// A window of messages.
    Replicate,
    /// Nothing but heartbeats, until it has a snapshot.
    Snapshot,
}

impl Status {
    pub(crate) fn of(core: &Core, role: &Role) -> Self {
        let leads = match role {
            Role::Leader(leader) => Some(leader),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        };
        let durable = core.log.position_at(core.disk.durable_index());
        Self {
            id: core.id(),
            role: role.kind(),
            term: core.term(),
            voted_for: core.hard_state.voted_for,
            leader: leader(core, role),
            last: core.log.last_position(),
            commit_index: core.commit_index,
            last_applied: core.last_applied,
            durable: durable.expect("what is durable lies in the log"),
            durable_hard_state: *core.disk.durable_hard_state(),
            log_start: core.log.start(),
            installing: core.installing.as_ref().map(|snapshot| snapshot.position),
            lease_until: leads.and_then(|leader| read::lease_until(core, leader)),
            pending_reads: match role {
                Role::Leader(leader) => leader.reads.len(),
                Role::Follower(follower) => follower.reads.len(),
                Role::PreCandidate(_) | Role::Candidate(_) => 0,
            },
            membership_changes: core.membership().is_joint()
                || core.log.membership_index() > core.commit_index,
            transfers_to: leads.and_then(|leader| Some(leader.transfer.as_ref()?.to)),
        }
    }
}

impl PeerStatus {
    pub(crate) fn of(core: &Core, id: NodeId, progress: &Progress) -> Self {
        let (last, within) = (core.log.last_index(), core.config.election_timeout);
        Self {
            id,
            match_index: progress.match_index,
            next_index: progress.next_index,
            sent_through: progress.sent_through(),
            phase: match progress.phase {
                Phase::Probe { .. } => PeerPhase::Probe,
                Phase::Replicate => PeerPhase::Replicate,
                Phase::Snapshot { .. } => PeerPhase::Snapshot,
            },
            messages_in_flight: progress.in_flight.len(),
            heard_at: progress.heard_at,
            caught_up: progress.has_caught_up(last, core.now, within),
            leaving: progress.leaving.is_some(),
        }
    }
}

/// What an [`Action::RoleChanged`](crate::Action::RoleChanged) tells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Standing {
    pub(crate) role: RoleKind,
    pub(crate) term: Term,
    pub(crate) leader: Option<NodeId>,
}

impl Standing {
    pub(crate) fn of(core: &Core, role: &Role) -> Self {
        Self { role: role.kind(), term: core.term(), leader: leader(core, role) }
    }
}

/// The leader of this term, if this node follows or is it.
fn leader(core: &Core, role: &Role) -> Option<NodeId> {
    match role {
        Role::Leader(_) => Some(core.id()),
        Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => role.leader(),
    }
}
