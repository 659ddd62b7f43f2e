//! What is done to links. Links are directed: *both ways* is two acts.

use crate::plan::act::part::{Described, Part, Row, acts};
use crate::plan::profile::LinkProfile;
use crate::plan::topology::{Topology, Whom};
use raft_core::{MessageKind, NodeId};
use std::time::Duration;

acts! {
    /// What is done to links. Links are directed: *both ways* is two acts.
    LinkAct {
        /// Every link from and to the node is cut.
        Isolate {
            /// The node.
            node: NodeId,
        }
            = "isolate", "isolate", "isolate {node}";
        /// Links work, or are cut, as the shape says.
        Reach {
            /// Who reaches whom.
            shape: Topology,
        }
            = "deafen|mute|split|bridge|ring|chain|only", "reach", "{shape}";
        /// The link loses everything, what is on its way included.
        Cut {
            /// From here.
            from: NodeId,
            /// To here.
            to: NodeId,
        }
            = "cut", "cut", "cut {from} → {to}";
        /// The link works again.
        Heal {
            /// From here.
            from: NodeId,
            /// To here.
            to: NodeId,
        }
            = "heal", "heal", "heal {from} → {to}";
        /// Every link works again and lets every kind of message through.
        HealAll
            = "heal all", "heal_all", "heal every link";
        /// The link is cut for one period, works for one, and so on until it is healed.
        Flap {
            /// From here.
            from: NodeId,
            /// To here.
            to: NodeId,
            /// How long it is cut, and how long it works; above zero.
            period: Duration,
        }
            = "flap", "flap", "flap {from} → {to}, {period} each";
        /// The link loses every message of one kind.
        DropKind {
            /// From here.
            from: NodeId,
            /// To here.
            to: NodeId,
            /// What is lost.
            kind: MessageKind,
        }
            = "drop", "drop_kind", "lose {kind} on {from} → {to}";
        /// The link lets the messages of one kind through again.
        PassKind {
            /// From here.
            from: NodeId,
            /// To here.
            to: NodeId,
            /// What is no longer lost.
            kind: MessageKind,
        }
            = "pass", "pass_kind", "pass {kind} on {from} → {to}";
        /// The link gets other properties.
        SetLink {
            /// From here.
            from: NodeId,
            /// To here.
            to: NodeId,
            /// The properties.
            profile: LinkProfile,
        }
            = "set", "set_link", "change {from} → {to}";
    }
}

impl LinkAct {
    /// Whether it undoes another that came before.
    pub(super) const fn undoes(&self, before: &Self) -> bool {
        match self {
            Self::HealAll => matches!(
                before,
                Self::Cut { .. }
                    | Self::Isolate { .. }
                    | Self::Reach { .. }
                    | Self::Flap { .. }
                    | Self::DropKind { .. }
            ),
            Self::SetLink { .. } => matches!(before, Self::SetLink { .. }),
            Self::Isolate { .. }
            | Self::Reach { .. }
            | Self::Cut { .. }
            | Self::Heal { .. }
            | Self::Flap { .. }
            | Self::DropKind { .. }
            | Self::PassKind { .. } => false,
        }
    }

    /// A plainer one to try in its place.
    pub(super) fn plainer(&self) -> Option<Self> {
        match self {
            Self::Reach { shape: Topology::Isolated(Whom::Node(node)) } => {
                Some(Self::Isolate { node: *node })
            }
            Self::SetLink { from, to, profile } if *profile != LinkProfile::default() => {
                Some(Self::SetLink { from: *from, to: *to, profile: LinkProfile::default() })
            }
            _ => None,
        }
    }
}
