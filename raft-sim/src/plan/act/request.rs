//! What the operator asks a node for, and what its runtime tells it.

use crate::plan::act::part::{Described, Part, Row, acts};
use crate::plan::change::MembershipChange;
use raft_core::{Consistency, NodeId};

acts! {
    /// What the operator asks a node for, and what its runtime tells it.
    RequestAct {
        /// [`Input::Campaign`](raft_core::Input::Campaign).
        Campaign {
            /// The node.
            node: NodeId,
        }
            = "campaign", "campaign", "ask {node} to campaign";
        /// [`Input::Propose`](raft_core::Input::Propose): new commands that no client waits for.
        Propose {
            /// The node.
            node: NodeId,
            /// How many.
            count: u64,
        }
            = "propose", "propose", "propose {count} to {node}";
        /// [`Input::Read`](raft_core::Input::Read), for which no client waits.
        Read {
            /// The node.
            node: NodeId,
            /// What the answer is to rest on.
            consistency: Consistency,
        }
            = "read|lease-read", "read", "read at {node} by {consistency}";
        /// The node takes a snapshot of what it has applied.
        TakeSnapshot {
            /// The node.
            node: NodeId,
        }
            = "snapshot", "take_snapshot", "take a snapshot at {node}";
        /// [`Input::PeerUnreachable`](raft_core::Input::PeerUnreachable).
        Unreachable {
            /// The node that is asked.
            node: NodeId,
            /// Of whom.
            peer: NodeId,
        }
            = "unreachable", "unreachable", "tell {node} that {peer} is unreachable";
        /// The transport takes no more entries for a peer:
        /// [`Event::Paused`](raft_core::driver::Event::Paused).
        PausePeer {
            /// The node that is told.
            node: NodeId,
            /// For whom.
            peer: NodeId,
        }
            = "pause-peer", "pause_peer", "tell {node} that no entries leave for {peer}";
        /// It does again: [`Event::Resumed`](raft_core::driver::Event::Resumed).
        ResumePeer {
            /// The node that is told.
            node: NodeId,
            /// For whom.
            peer: NodeId,
        }
            = "resume-peer", "resume_peer", "tell {node} that entries leave for {peer} again";
        /// [`Input::TransferLeadership`](raft_core::Input::TransferLeadership).
        Transfer {
            /// The node that is asked; `None` for the leader that can commit, if there is one.
            node: Option<NodeId>,
            /// The voter, or `None` for the one whose log is the most complete.
            to: Option<NodeId>,
        }
            = "transfer", "transfer", "ask {node} to transfer leadership to {to}";
        /// [`Input::ChangeMembership`](raft_core::Input::ChangeMembership).
        ChangeMembership {
            /// The node that is asked; `None` for the leader that can commit, if there is one.
            node: Option<NodeId>,
            /// What is to change.
            change: MembershipChange,
        }
            = "reach|add|promote|demote|remove|replace", "change_membership",
            "ask {node} to {change}";
    }
}

impl RequestAct {
    /// A plainer one to try in its place.
    pub(super) const fn plainer(&self) -> Option<Self> {
        match self {
            Self::Propose { node, count: 2.. } => Some(Self::Propose { node: *node, count: 1 }),
            _ => None,
        }
    }
}
