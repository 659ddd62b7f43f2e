//! What a runtime records of a node, one value a line.

use raft_core::driver::{BoundLog, BoundWrite, Entry, Stepped};
use raft_core::payload::Content;
use raft_core::{
    Action, Envelope, Input, Instant, LogIndex, LogPosition, LogWrite, NodeId, Recovered, Source,
    Ticket, Token, Write,
};
use serde::{Deserialize, Serialize};

/// Something that happened at a node's runtime. It is recorded by whoever does it, when it is done,
/// into one stream for a node and all its lives: a step before its actions are handed to others,
/// a sync after it has returned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostEvent {
    /// A life begins.
    Started {
        /// Who.
        id: NodeId,
        /// The seed of its configuration.
        seed: u64,
        /// What was found on the disk.
        recovered: Recovered,
        /// When.
        now: Instant,
    },
    /// The node was stepped.
    Stepped {
        /// When.
        now: Instant,
        /// What it was told.
        inputs: Vec<Input>,
        /// What it said.
        actions: Vec<Action>,
        /// When it wants to be woken.
        deadline: Option<Instant>,
    },
    /// The disk has carried out a write; it is not synced.
    Written {
        /// Which.
        ticket: Ticket,
    },
    /// A sync has returned: everything up to here is durable.
    Durable {
        /// The last write that was carried out before it began.
        ticket: Ticket,
    },
    /// A write or a sync has failed.
    WriteFailed,
    /// A message has left.
    Sent {
        /// Which.
        envelope: Envelope,
    },
    /// The state machine has applied these.
    Applied {
        /// The first index.
        first: LogIndex,
        /// The last position.
        through: LogPosition,
    },
    /// A client was answered.
    Answered {
        /// Who.
        token: Token,
        /// Whether what it asked for was done: its last command applied, its read served. `false`
        /// where it was refused, lost, or is unknown.
        done: bool,
    },
    /// A snapshot of the node's own, or one that is being installed, is durable and has its name.
    SnapshotDurable {
        /// What it covers.
        position: LogPosition,
    },
    /// State machine and log were replaced by a snapshot, durably.
    Installed {
        /// What it covers.
        position: LogPosition,
    },
    /// The log up to here was deleted, or will be with the next sync.
    Released {
        /// The last position that is gone.
        through: LogPosition,
    },
    /// The life ended: stopped, killed, or the machine crashed.
    Ended,
}

impl HostEvent {
    /// A step of the node, as a driver shows it to [`Host::stepped`](raft_core::driver::Host).
    pub fn stepped(step: &Stepped<'_>) -> Self {
        Self::Stepped {
            now: step.now,
            inputs: step.inputs.to_vec(),
            actions: step.actions.to_vec(),
            deadline: step.node.deadline(),
        }
    }
}

/// A write as the positions that it names.
pub(super) fn positions(write: &Write) -> BoundWrite<()> {
    let Write { ticket, hard_state, log } = write.clone();
    let log = log.map(|LogWrite { restart_after, first, chunks }| {
        let (mut entries, mut next) = (Vec::new(), first);
        for chunk in chunks.iter() {
            for _ in 0..chunk.count {
                let content = match &chunk.source {
                    Source::Inputs { .. } => Content::Command(()),
                    Source::Membership(membership) => Content::Membership(membership.clone()),
                };
                entries.push(Entry { position: LogPosition::new(chunk.term, next), content });
                next = LogIndex(next.get() + 1);
            }
        }
        BoundLog { restart_after, first, entries }
    });
    BoundWrite { ticket, hard_state, log }
}
