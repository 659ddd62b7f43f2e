//! What is about to happen, in a few words: for comparing two runs, event by event.

use crate::world::{Pending, World};
use raft_core::{Envelope, Input, Instant};
use std::fmt;

impl World {
    /// When the next thing happens, and what it is.
    pub fn next(&self) -> Option<(Instant, String)> {
        let (time, pending) = self.agenda.peek()?;
        let words = match pending {
            Pending::Fault(nth) => format!("fault {:?}", self.setup.timeline[*nth].1),
            pending => pending.to_string(),
        };
        Some((time, words))
    }

    /// The hash of everything so far that went into the nodes and came out of them, with its time.
    pub const fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// How many things have happened.
    pub const fn events(&self) -> u64 {
        self.events
    }
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passage = |f: &mut fmt::Formatter<'_>, verb, envelope: &Envelope| {
            let Envelope { from, to, term, message } = envelope;
            write!(f, "{verb} {} of term {term} from {from:?} to {to:?}", message.name())
        };
        match self {
            Self::Start(node) => write!(f, "start {node:?}"),
            Self::Fault(nth) => write!(f, "fault {nth}"),
            Self::Disk { node, .. } => write!(f, "a write of {node:?} is due"),
            Self::Build { envelope, .. } => passage(f, "build", envelope),
            Self::Report { node, input: Input::SnapshotSent { to, .. }, .. } => {
                write!(f, "{node:?} hears of the snapshot to {to:?}")
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
