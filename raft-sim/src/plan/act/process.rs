//! What is done to processes.

use crate::plan::act::part::{Described, Part, Row, acts};
use raft_core::{NodeId, Protection};
use std::time::Duration;

acts! {
    /// What is done to processes.
    ProcessAct {
        /// The node's process ends: what was not durable is lost, as far as chance has it.
        Crash {
            /// The node.
            node: NodeId,
        }
            = "crash", "crash", "crash {node}";
        /// As [`Crash`](Self::Crash), but in the middle of the next step that has actions: only
        /// some of them are carried out.
        CrashInStep {
            /// The node.
            node: NodeId,
        }
            = "crash-in-step", "crash_in_step", "crash {node} in its next step";
        /// The node's process starts from what its disk holds. One that runs goes on, and is spared
        /// a [`CrashInStep`](Self::CrashInStep) that has not come yet.
        Restart {
            /// The node.
            node: NodeId,
        }
            = "restart", "restart", "restart {node}";
        /// The node's process stands still. What arrives waits; its clock runs on.
        Pause {
            /// The node.
            node: NodeId,
        }
            = "pause", "pause", "pause {node}";
        /// The node's process goes on.
        Resume {
            /// The node.
            node: NodeId,
        }
            = "resume", "resume", "resume {node}";
        /// From its next start on the node's T is another.
        SetTimeout {
            /// The node.
            node: NodeId,
            /// T.
            timeout: Duration,
        }
            = "set-timeout", "set_timeout", "{node} is to start with T = {timeout}";
        /// From its next start on the node protects a working leader otherwise.
        SetProtection {
            /// The node.
            node: NodeId,
            /// How.
            protection: Protection,
        }
            = "set-protection", "set_protection", "{node} is to start with protection {protection}";
    }
}

impl ProcessAct {
    /// The node whose trouble it ends, whatever that was.
    pub(super) const fn repairs(&self) -> Option<NodeId> {
        match self {
            Self::Restart { node } | Self::Resume { node } => Some(*node),
            Self::Crash { .. }
            | Self::CrashInStep { .. }
            | Self::Pause { .. }
            | Self::SetTimeout { .. }
            | Self::SetProtection { .. } => None,
        }
    }

    /// A plainer one to try in its place.
    pub(super) const fn plainer(&self) -> Option<Self> {
        match self {
            Self::CrashInStep { node } => Some(Self::Crash { node: *node }),
            Self::Crash { .. }
            | Self::Restart { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::SetTimeout { .. }
            | Self::SetProtection { .. } => None,
        }
    }
}
