//! What is still to happen: one variant for each thing that can be scheduled.

use crate::host::client::{Answer, Request};
use crate::host::log::Command;
use crate::host::packet::{Packet, Payload};
use raft_core::driver::{Event, SnapshotEvent};
use raft_core::{Envelope, NodeId};
use std::fmt;

/// What is still to happen.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Pending {
    /// A node starts with the run.
    Start(NodeId),
    /// The nth entry of the timeline.
    Act(usize),
    /// A write of the host's disk is due.
    Disk { node: NodeId, life: u64 },
    /// A message leaves.
    Build { life: u64, envelope: Envelope, payload: Payload },
    /// The state machine is to apply what was handed out.
    Apply { node: NodeId, life: u64 },
    /// The host tells its driver what became of a snapshot that it sent, or what its disk has done.
    Report { node: NodeId, life: u64, event: Event<Command> },
    /// A copy of a message arrives.
    Deliver(Packet),
    /// The host looks into its inbox.
    Poll { node: NodeId, life: u64 },
    /// A client's request arrives.
    Request { node: NodeId, request: Request },
    /// A node's answer arrives.
    Answer { from: NodeId, client: u64, serial: u64, answer: Answer },
    /// A client begins its next operation.
    Turn { client: u64 },
    /// A client asks again.
    Retry { client: u64, serial: u64 },
    /// A client that has waited for an answer asks another node.
    AskAgain { client: u64, serial: u64, attempt: u64 },
    /// A client loses patience.
    GiveUp { client: u64, serial: u64 },
    /// A node's deadline may have passed.
    Wake { node: NodeId, life: u64 },
}

impl Pending {
    /// The order within one moment: faults before everything, messages before the election
    /// timers that they reset.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Start(_) => 0,
            Self::Act(_) => 1,
            Self::Disk { .. } | Self::Apply { .. } => 2,
            Self::Build { .. } | Self::Deliver(_) | Self::Request { .. } | Self::Report { .. } => 3,
            Self::Answer { .. } | Self::Turn { .. } | Self::Retry { .. } => 4,
            Self::AskAgain { .. } => 5,
            Self::GiveUp { .. } => 5,
            Self::Poll { .. } | Self::Wake { .. } => 6,
        }
    }
}

/// In a few words: for comparing two runs, event by event.
impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passage = |f: &mut fmt::Formatter<'_>, verb, envelope: &Envelope| {
            let Envelope { from, to, term, message } = envelope;
            write!(f, "{verb} {} of term {term} from {from:?} to {to:?}", message.name())
        };
        match self {
            Self::Start(node) => write!(f, "start {node:?}"),
            Self::Act(index) => write!(f, "act {index}"),
            Self::Disk { node, .. } => write!(f, "a write of {node:?} is due"),
            Self::Build { envelope, .. } => passage(f, "build", envelope),
            Self::Apply { node, .. } => write!(f, "{node:?} applies what is due"),
            Self::Report {
                node,
                event: Event::Snapshot(SnapshotEvent::Sent { stream, .. }),
                ..
            } => {
                write!(f, "{node:?} hears of its {stream:?}")
            }
            Self::Report { node, .. } => write!(f, "{node:?} hears of what it asked for"),
            Self::Deliver(packet) => passage(f, "deliver", &packet.envelope),
            Self::Poll { node, .. } => write!(f, "{node:?} looks into its inbox"),
            Self::Request { node, request } => write!(f, "request {:?} to {node:?}", request.token),
            Self::Answer { client, serial, .. } => write!(f, "answer {serial} to client {client}"),
            Self::Turn { client } => write!(f, "turn of client {client}"),
            Self::Retry { client, serial } => write!(f, "client {client} asks {serial} again"),
            Self::AskAgain { client, serial, .. } => {
                write!(f, "client {client} is tired of waiting for {serial}")
            }
            Self::GiveUp { client, serial } => write!(f, "client {client} gives {serial} up"),
            Self::Wake { node, .. } => write!(f, "wake {node:?}"),
        }
    }
}
