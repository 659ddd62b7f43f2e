//! What is done to disks.

use crate::plan::act::part::{Described, Part, Row, acts};
use crate::plan::damage::DamageTarget;
use crate::plan::profile::DiskProfile;
use raft_core::NodeId;

acts! {
    /// What is done to disks.
    DiskAct {
        /// The node's disk completes nothing any more.
        HangDisk {
            /// The node.
            node: NodeId,
        }
            = "hang-disk", "hang_disk", "hang the disk of {node}";
        /// The node's disk completes what it owes, in order.
        ReleaseDisk {
            /// The node.
            node: NodeId,
        }
            = "release-disk", "release_disk", "release the disk of {node}";
        /// The node's disk gets other properties.
        SetDisk {
            /// The node.
            node: NodeId,
            /// The properties.
            profile: DiskProfile,
        }
            = "set-disk", "set_disk", "the disk of {node} takes up to {profile}";
        /// The node's disk takes so many records more, then every write fails: the host must end
        /// the process then, see [`Input::Persisted`](raft_core::Input::Persisted).
        FillDisk {
            /// The node.
            node: NodeId,
            /// How many records.
            room: u64,
        }
            = "fill-disk", "fill_disk", "the disk of {node} has room for {room} records more";
        /// There is room on the node's disk again.
        FreeDisk {
            /// The node.
            node: NodeId,
        }
            = "free-disk", "free_disk", "the disk of {node} has room";
        /// A record on the node's disk is damaged. Its host finds it when it starts again, and then
        /// does not start the node.
        Damage {
            /// The node.
            node: NodeId,
            /// What is damaged.
            part: DamageTarget,
        }
            = "damage", "damage", "damage the disk of {node}: {part}";
        /// The node's process ends, and its disk is gone: it never starts again.
        Destroy {
            /// The node.
            node: NodeId,
        }
            = "destroy", "destroy", "destroy {node}";
        /// The node's disk is emptied, if the node is down: it forgets what it promised. A node
        /// must not come back so under its old id.
        Wipe {
            /// The node.
            node: NodeId,
        }
            = "wipe", "wipe", "wipe the disk of {node}";
    }
}

impl DiskAct {
    /// The node whose trouble it ends, whatever that was.
    pub(super) const fn repairs(&self) -> Option<NodeId> {
        match self {
            Self::ReleaseDisk { node } | Self::FreeDisk { node } => Some(*node),
            Self::HangDisk { .. }
            | Self::SetDisk { .. }
            | Self::FillDisk { .. }
            | Self::Damage { .. }
            | Self::Destroy { .. }
            | Self::Wipe { .. } => None,
        }
    }

    /// Whether it undoes another that came before.
    pub(super) fn undoes(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::SetDisk { node, .. }, Self::SetDisk { node: other, .. }) => node == other,
            _ => false,
        }
    }
}
