//! The four roles. What only one role has lives in that role.

use crate::action::RoleKind;
use crate::message::{Permit, Probe};
use crate::state::progress::Progress;
use crate::state::reads::{FollowerReads, LeaderReads};
use crate::types::{Instant, LogIndex, NodeId, Round, Token};
use alloc::vec::Vec;
use core::time::Duration;

/// The role of a node, with what only this role knows.
///
/// It has a tag of its own: every step asks for it several times, and to read it out of a field of
/// a variant costs more each time than a field.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Leader),
}

/// A node that follows a leader, or waits for one.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Follower {
    /// Whom it follows.
    pub(crate) leader: Option<NodeId>,
    /// Up to here its log is known to match the leader's.
    pub(crate) verified: LogIndex,
    /// The greatest match index that it has acknowledged to this leader.
    pub(crate) acknowledged: LogIndex,
    /// The newest probe of this leader. Every acknowledgement echoes it, for an echo may be lost.
    pub(crate) probe: Option<Probe>,
    /// Whether the leader is to be answered without waiting for the log.
    pub(crate) answer_now: bool,
    /// For how long after a message of this leader no vote is given.
    pub(crate) lease: Duration,
    /// Reads that the leader is asked about.
    pub(crate) reads: FollowerReads,
}

/// A node that asks whether it would win.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct PreCandidate {
    /// Names this attempt; answers to another count for nothing.
    pub(crate) round: Round,
    /// Who would vote for it, itself not counted, and when it said so. In the order of ids.
    pub(crate) granted: Vec<(NodeId, Instant)>,
    /// Who has refused; not asked again in this round.
    pub(crate) refused: NodeSet,
    /// Whose vote it has in the current term, from an election that took too long; `None` if this
    /// life has held none in it. (The log that an earlier life asked with may be gone; and who has
    /// led a term never leads it again.)
    pub(crate) votes: Option<NodeSet>,
}

/// A node that asks for votes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Candidate {
    /// Whose vote it has, itself not counted: its own vote counts once it is durable.
    pub(crate) granted: NodeSet,
    /// Who has refused it.
    pub(crate) refused: NodeSet,
    /// The word of the leader before, if it transferred leadership.
    pub(crate) permit: Option<Permit>,
}

/// A node that leads.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Leader {
    /// Every other member, in the order of ids.
    pub(crate) peers: Vec<(NodeId, Progress)>,
    /// When it was elected: an echo with an earlier send time is not one.
    pub(crate) elected_at: Instant,
    /// The first round of this leadership: an echo of an earlier one is not one.
    pub(crate) first_round: Round,
    /// The index of its first entry: what is committed from here on is of its own term.
    pub(crate) first_index: LogIndex,
    /// The newest question that was asked.
    pub(crate) newest_probe: Option<Probe>,
    /// Every peer is to be asked for a sign of life in this call.
    pub(crate) heartbeat_due: bool,
    /// Reads that wait for a quorum.
    pub(crate) reads: LeaderReads,
    /// Leadership is being transferred.
    pub(crate) transfer: Option<Transfer>,
    /// A permit has left in this term: other leaders may be elected within any lease from now on.
    pub(crate) lease_void: bool,
}

/// Leadership is being transferred (thesis, 3.10).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Transfer {
    /// The operator's name for it; `None` if this leader transfers leadership by itself.
    pub(crate) token: Option<Token>,
    /// Who is to take over.
    pub(crate) to: NodeId,
    /// Whether the permit has left.
    pub(crate) permitted: bool,
}

impl Role {
    pub(crate) const fn kind(&self) -> RoleKind {
        match self {
            Self::Follower(_) => RoleKind::Follower,
            Self::PreCandidate(_) => RoleKind::PreCandidate,
            Self::Candidate(_) => RoleKind::Candidate,
            Self::Leader(_) => RoleKind::Leader,
        }
    }

    /// The leader that a node in this role follows.
    pub(crate) const fn leader(&self) -> Option<NodeId> {
        match self {
            Self::Follower(follower) => follower.leader,
            Self::PreCandidate(_) | Self::Candidate(_) | Self::Leader(_) => None,
        }
    }
}

impl Leader {
    pub(crate) fn peer(&self, id: NodeId) -> Option<&Progress> {
        let at = self.peers.binary_search_by_key(&id, |(peer, _)| *peer).ok()?;
        Some(&self.peers[at].1)
    }

    /// A number of each node: of a peer as `of_peer` says, of the leader itself `own`, of a
    /// stranger 0. Asked in the order of ids, as a [`quorum`](crate::state::quorum) asks, it walks
    /// along the peers once.
    pub(crate) fn of_each(
        &self,
        id: NodeId,
        own: u64,
        of_peer: impl Fn(&Progress) -> u64,
    ) -> impl FnMut(NodeId) -> u64 {
        let (mut rest, mut before) = (&self.peers[..], None);
        move |asked| {
            if before.replace(asked) >= Some(asked) {
                rest = &self.peers;
            }
            while let [(peer, _), others @ ..] = rest
                && *peer < asked
            {
                rest = others;
            }
            match rest.first() {
                Some((peer, progress)) if *peer == asked => of_peer(progress),
                _ if asked == id => own,
                _ => 0,
            }
        }
    }

    pub(crate) fn peer_mut(&mut self, id: NodeId) -> Option<&mut Progress> {
        let at = self.peers.binary_search_by_key(&id, |(peer, _)| *peer).ok()?;
        Some(&mut self.peers[at].1)
    }
}

/// A small set of nodes, sorted.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub(crate) struct NodeSet(Vec<NodeId>);

impl NodeSet {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds `id`; a node that says yes twice counts once.
    pub(crate) fn insert(&mut self, id: NodeId) {
        if let Err(at) = self.0.binary_search(&id) {
            self.0.insert(at, id);
        }
    }

    /// Whether the invariant of the type holds.
    #[cfg(feature = "serde")]
    pub(crate) fn is_sorted(&self) -> bool {
        self.0.is_sorted_by(|a, b| a < b)
    }

    pub(crate) fn contains(&self, id: NodeId) -> bool {
        self.0.binary_search(&id).is_ok()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.iter().copied()
    }
}
