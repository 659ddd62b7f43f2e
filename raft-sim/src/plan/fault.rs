//! What is done to the world, and the kinds of messages.

use crate::plan::change::Change;
use crate::plan::damage::DamageTarget;
use crate::plan::kinds::{Hostile, MessageKind};
use crate::plan::profile::{DiskProfile, LinkProfile};
use crate::plan::topology::Shape;
use raft_core::{Consistency, NodeId};
use std::time::Duration;

/// What is done to the world. Links are directed: *both ways* is two faults.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// The link loses everything, what is on its way included.
    Cut {
        /// From here.
        from: NodeId,
        /// To here.
        to: NodeId,
    },
    /// The link works again.
    Heal {
        /// From here.
        from: NodeId,
        /// To here.
        to: NodeId,
    },
    /// Every link works again and lets every kind of message through.
    HealAll,
    /// Every link from and to the node is cut.
    Isolate {
        /// The node.
        node: NodeId,
    },
    /// Links work, or are cut, as the shape says.
    Reach {
        /// Who reaches whom.
        shape: Shape,
    },
    /// The link is cut for one period, works for one, and so on until it is healed.
    Flap {
        /// From here.
        from: NodeId,
        /// To here.
        to: NodeId,
        /// How long it is cut, and how long it works; above zero.
        period: Duration,
    },
    /// The node's process ends: what was not durable is lost, as far as chance has it.
    Crash {
        /// The node.
        node: NodeId,
    },
    /// As [`Crash`](Self::Crash), but in the middle of the next step that has actions: only some of
    /// them are carried out.
    CrashInStep {
        /// The node.
        node: NodeId,
    },
    /// The node's process starts from what its disk holds. One that runs goes on, and is spared a
    /// [`CrashInStep`](Self::CrashInStep) that has not come yet.
    Restart {
        /// The node.
        node: NodeId,
    },
    /// The node's process stands still. What arrives waits; its clock runs on.
    Pause {
        /// The node.
        node: NodeId,
    },
    /// The node's process goes on.
    Resume {
        /// The node.
        node: NodeId,
    },
    /// The node's disk completes nothing any more.
    HangDisk {
        /// The node.
        node: NodeId,
    },
    /// The node's disk completes what it owes, in order.
    ReleaseDisk {
        /// The node.
        node: NodeId,
    },
    /// The node's disk takes so many records more, then every write fails: the host must end the
    /// process then, see [`Input::Persisted`](raft_core::Input::Persisted).
    FillDisk {
        /// The node.
        node: NodeId,
        /// How many records.
        room: u64,
    },
    /// There is room on the node's disk again.
    FreeDisk {
        /// The node.
        node: NodeId,
    },
    /// The node's disk gets other properties.
    SetDisk {
        /// The node.
        node: NodeId,
        /// The properties.
        profile: DiskProfile,
    },
    /// A record on the node's disk is damaged. Its host finds it when it starts again, and then does
    /// not start the node.
    Damage {
        /// The node.
        node: NodeId,
        /// What is damaged.
        part: DamageTarget,
    },
    /// The node's process ends, and its disk is gone: it never starts again.
    Destroy {
        /// The node.
        node: NodeId,
    },
    /// The node is given a message that nobody meant to send.
    Hostile {
        /// The node.
        node: NodeId,
        /// What message.
        what: Hostile,
    },
    /// [`Input::Campaign`](raft_core::Input::Campaign).
    Campaign {
        /// The node.
        node: NodeId,
    },
    /// [`Input::Propose`](raft_core::Input::Propose): new commands that no client waits for.
    Propose {
        /// The node.
        node: NodeId,
        /// How many.
        count: u64,
    },
    /// [`Input::Read`](raft_core::Input::Read), for which no client waits.
    Read {
        /// The node.
        node: NodeId,
        /// What the answer is to rest on.
        consistency: Consistency,
    },
    /// [`Input::ChangeMembership`](raft_core::Input::ChangeMembership).
    ChangeMembership {
        /// The node that is asked; `None` for the leader that can commit, if there is one.
        node: Option<NodeId>,
        /// What is to change.
        change: Change,
    },
    /// [`Input::TransferLeadership`](raft_core::Input::TransferLeadership).
    Transfer {
        /// The node that is asked; `None` for the leader that can commit, if there is one.
        node: Option<NodeId>,
        /// The voter, or `None` for the one whose log is the most complete.
        to: Option<NodeId>,
    },
    /// The node takes a snapshot of what it has applied.
    TakeSnapshot {
        /// The node.
        node: NodeId,
    },
    /// [`Input::PeerUnreachable`](raft_core::Input::PeerUnreachable).
    Unreachable {
        /// The node that is told.
        node: NodeId,
        /// Of whom.
        peer: NodeId,
    },
    /// From now on the node's clock runs fast, or slow, by so many millionths.
    SetClock {
        /// The node.
        node: NodeId,
        /// Millionths; negative for a slow clock.
        ppm: i32,
    },
    /// The node's clock jumps.
    JumpClock {
        /// The node.
        node: NodeId,
        /// By so many milliseconds; negative for back.
        millis: i64,
    },
    /// The node's disk is emptied, if the node is down: it forgets what it promised. A node must not
    /// come back so under its old id.
    Wipe {
        /// The node.
        node: NodeId,
    },
    /// The link gets other properties.
    SetLink {
        /// From here.
        from: NodeId,
        /// To here.
        to: NodeId,
        /// The properties.
        profile: LinkProfile,
    },
    /// The link loses every message of one kind.
    DropKind {
        /// From here.
        from: NodeId,
        /// To here.
        to: NodeId,
        /// What is lost.
        kind: MessageKind,
    },
    /// The link lets the messages of one kind through again.
    PassKind {
        /// From here.
        from: NodeId,
        /// To here.
        to: NodeId,
        /// What is no longer lost.
        kind: MessageKind,
    },
}

impl Fault {
    /// The nodes that it names.
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::HealAll => Vec::new(),
            Self::Reach { shape } => shape.nodes(),
            Self::ChangeMembership { node, change } => {
                node.iter().copied().chain(change.nodes()).collect()
            }
            Self::Transfer { node, to } => node.iter().chain(to).copied().collect(),
            Self::Unreachable { node, peer } => vec![*node, *peer],
            Self::Cut { from, to }
            | Self::Heal { from, to }
            | Self::Flap { from, to, .. }
            | Self::SetLink { from, to, .. }
            | Self::DropKind { from, to, .. }
            | Self::PassKind { from, to, .. } => vec![*from, *to],
            Self::Isolate { node }
            | Self::Crash { node }
            | Self::CrashInStep { node }
            | Self::Restart { node }
            | Self::Pause { node }
            | Self::Resume { node }
            | Self::HangDisk { node }
            | Self::ReleaseDisk { node }
            | Self::FillDisk { node, .. }
            | Self::FreeDisk { node }
            | Self::SetDisk { node, .. }
            | Self::Damage { node, .. }
            | Self::Destroy { node }
            | Self::Hostile { node, .. }
            | Self::Campaign { node }
            | Self::Read { node, .. }
            | Self::TakeSnapshot { node }
            | Self::SetClock { node, .. }
            | Self::JumpClock { node, .. }
            | Self::Wipe { node }
            | Self::Propose { node, .. } => vec![*node],
        }
    }
}
