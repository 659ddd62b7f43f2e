//! What is done to clocks.

use crate::plan::act::part::{Described, Part, Row, acts};
use raft_core::NodeId;
use std::time::Duration;

acts! {
    /// What is done to clocks.
    ClockAct {
        /// From now on the node's clock runs fast, or slow, by so many millionths.
        SetClock {
            /// The node.
            node: NodeId,
            /// Millionths; negative for a slow clock.
            ppm: i32,
        }
            = "clock", "set_clock", "the clock of {node} is off by {ppm} ppm";
        /// The node's clock jumps.
        JumpClock {
            /// The node.
            node: NodeId,
            /// By so many milliseconds; negative for back.
            millis: i64,
        }
            = "jump", "jump_clock", "the clock of {node} jumps by {millis} ms";
        /// The node's clock jumps back, and the node sees it: it is stepped just before and just
        /// after. Nothing is done to one that does not run.
        StepBack {
            /// The node.
            node: NodeId,
            /// By so many milliseconds.
            back: u64,
        }
            = "step-back", "step_back", "the clock of {node} steps back by {back} ms";
    }
}

impl ClockAct {
    /// Whose clock jumps, and how far back: not at all, if it jumps forward.
    pub(crate) fn jump(&self) -> Option<(NodeId, Duration)> {
        match *self {
            Self::SetClock { .. } => None,
            Self::JumpClock { node, millis } => {
                Some((node, Duration::from_millis(millis.min(0).unsigned_abs())))
            }
            Self::StepBack { node, back } => Some((node, Duration::from_millis(back))),
        }
    }
}
