//! The snapshots of a process besides the one on its disk: its own ones that it was not told to
//! remove, those that it sends, and those that others send to it.

use crate::host::machine::{Image, Machine};
use raft_core::driver::{SnapshotHead, StreamId};
use raft_core::{Envelope, LogPosition, Message, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// The snapshots of a process.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Shelf {
    own: BTreeMap<LogPosition, Image>,
    /// Streams that are to leave.
    sending: BTreeSet<StreamId>,
    /// How many heads have come: that is the id of each stream.
    heads: u64,
    /// Streams that have come and have not ended.
    came: BTreeMap<StreamId, Came>,
}

/// A head, with the content or with none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Came {
    head: SnapshotHead,
    content: Option<Box<Machine>>,
    /// Whether the node has got the head.
    is_told: bool,
    /// Whether the driver has let it in.
    is_received: bool,
}

/// Whether a message is the head of a snapshot.
pub(crate) const fn is_head(message: &Message) -> bool {
    matches!(message, Message::InstallSnapshot(_))
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
    pub fn send(&mut self, stream: StreamId, position: LogPosition) -> Option<Box<Machine>> {
        let machine = self.own.get(&position)?.machine.clone();
        self.sending.insert(stream);
        Some(Box::new(machine))
    }

    /// The sender comes to this stream. Whether it is to leave still.
    pub fn leaves(&mut self, stream: StreamId) -> bool {
        self.sending.remove(&stream)
    }

    /// This stream is not to leave any more.
    pub fn stop(&mut self, stream: StreamId) {
        self.sending.remove(&stream);
    }

    /// A head has come, with the content or with none: the id of its stream.
    pub fn comes(&mut self, head: SnapshotHead, content: Option<Box<Machine>>) -> StreamId {
        self.heads += 1;
        let stream = StreamId(self.heads);
        let came = Came { head, content, is_told: false, is_received: false };
        self.came.insert(stream, came);
        stream
    }

    /// The node has got such a head.
    pub fn told(&mut self, head: &Envelope) {
        let head = SnapshotHead::received(head.from, head.clone()).ok();
        let same = self.came.values_mut().filter(|came| Some(&came.head) == head.as_ref());
        same.for_each(|came| came.is_told = true);
    }

    /// A stream of which the driver has not said what is to become of it.
    pub fn unanswered(&self) -> Option<StreamId> {
        self.came.iter().find(|(_, came)| !came.is_received).map(|(stream, _)| *stream)
    }

    /// What came on this stream is taken in. Whether all of it came; `None` if its head does not
    /// wait for an answer.
    pub fn receive(&mut self, stream: StreamId) -> Option<bool> {
        let came = self.came.get_mut(&stream).filter(|came| !came.is_received)?;
        let index = came.head.snapshot.position.index;
        came.is_received = true;
        let whole = came.content.as_ref().is_some_and(|machine| machine.applied() == index);
        if !whole {
            self.came.remove(&stream);
        }
        Some(whole)
    }

    /// What came on this stream is not wanted, if anything did: its head, and whether nobody has
    /// had any use for it.
    pub fn discard(&mut self, stream: StreamId) -> Option<(SnapshotHead, bool)> {
        let Came { head, is_told, is_received, .. } = self.came.remove(&stream)?;
        Some((head, !is_told && !is_received))
    }

    /// What was received on this stream, to be installed.
    pub fn install(&mut self, stream: StreamId, snapshot: Snapshot) -> Option<Image> {
        let came = self.came.remove(&stream).filter(|came| came.is_received)?;
        let machine = came.content.filter(|_| came.head.snapshot == snapshot)?;
        Some(Image { snapshot, machine: *machine })
    }
}
