//! Messages that nobody meant to send.

use crate::plan::act::part::{Described, Part, Row, acts};
use crate::plan::hostile::Hostile;
use raft_core::NodeId;

acts! {
    /// Messages that nobody meant to send.
    MessageAct {
        /// The node is given a message that nobody meant to send.
        Hostile {
            /// The node.
            node: NodeId,
            /// What message.
            message: Hostile,
        }
            = "hostile", "hostile", "a {message} message for {node}";
    }
}
