//! The snapshots of a process besides the one on its disk: its own ones that it was not told to
//! remove, those that it sends, and those that others send to it.

use crate::host::machine::{Image, Machine};
use raft_core::{Envelope, LogPosition, Message, NodeId, Snapshot};
use std::collections::BTreeMap;

/// The snapshots of a process.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Shelf {
    own: BTreeMap<LogPosition, Image>,
    sending: BTreeMap<NodeId, LogPosition>,
    /// Heads that the driver has not judged.
    came: Vec<Came>,
    received: BTreeMap<NodeId, (LogPosition, Box<Machine>)>,
}

/// A head, with the content or with none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Came {
    head: Envelope,
    content: Option<Box<Machine>>,
    /// Whether the node has got it.
    is_told: bool,
}

impl Came {
    fn is(&self, from: NodeId, position: LogPosition) -> bool {
        self.head.from == from && position_in(&self.head.message) == Some(position)
    }
}

/// The position of the snapshot that a message announces.
pub(crate) const fn position_in(message: &Message) -> Option<LogPosition> {
    match message {
        Message::InstallSnapshot(m) => Some(m.snapshot.position),
        _ => None,
    }
}

impl Shelf {
    /// What is there when a process starts: what its disk holds.
    pub fn new(found: Option<Image>) -> Self {
        let own = found.map(|image| (image.snapshot.position, image)).into_iter().collect();
        Self { own, ..Self::default() }
    }

    /// One of its own is durable.
    pub fn keep(&mut self, image: Image) {
        self.own.insert(image.snapshot.position, image);
    }

    /// An own one is not needed any more. Whether it was there.
    pub fn remove(&mut self, position: LogPosition) -> bool {
        self.own.remove(&position).is_some()
    }

    /// One of its own begins to be sent; its content, if it is there.
    pub fn send(&mut self, to: NodeId, position: LogPosition) -> Option<Box<Machine>> {
        let machine = self.own.get(&position)?.machine.clone();
        self.sending.insert(to, position);
        Some(Box::new(machine))
    }

    /// Whether this one is to be sent still.
    pub fn sends(&self, to: NodeId, position: LogPosition) -> bool {
        self.sending.get(&to) == Some(&position)
    }

    /// Nothing is to be sent to this peer any more.
    pub fn stop(&mut self, to: NodeId) {
        self.sending.remove(&to);
    }

    /// A head has come, with the content or with none.
    pub fn comes(&mut self, head: Envelope, content: Option<Box<Machine>>) {
        self.came.push(Came { head, content, is_told: false });
    }

    /// The node has got such a head.
    pub fn is_told(&mut self, head: &Envelope) {
        self.came.iter_mut().filter(|came| came.head == *head).for_each(|c| c.is_told = true);
    }

    /// What came with a head is taken in. Whether all of it came; `None` if there was no such head.
    pub fn receive(&mut self, from: NodeId, position: LogPosition) -> Option<bool> {
        let whole = self
            .take(from, position)?
            .content
            .filter(|machine| machine.applied() == position.index);
        Some(whole.is_some_and(|machine| {
            self.received.insert(from, (position, machine));
            true
        }))
    }

    /// What comes from this peer is not wanted, if a head of this name waits for its answer; else
    /// what came. A head that the node has not got either.
    pub fn discard(&mut self, from: NodeId, position: LogPosition) -> Option<Envelope> {
        let Some(came) = self.take(from, position) else {
            self.received.retain(|id, (at, _)| (*id, *at) != (from, position));
            return None;
        };
        Some(came.head).filter(|_| !came.is_told)
    }

    /// What was received from this peer, to be installed.
    pub fn install(&mut self, from: NodeId, snapshot: Snapshot) -> Option<Image> {
        let (_, machine) =
            self.received.remove(&from).filter(|(at, _)| *at == snapshot.position)?;
        Some(Image { snapshot, machine: *machine })
    }

    fn take(&mut self, from: NodeId, position: LogPosition) -> Option<Came> {
        let at = self.came.iter().position(|came| came.is(from, position))?;
        Some(self.came.remove(at))
    }
}
