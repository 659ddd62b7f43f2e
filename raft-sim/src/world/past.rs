//! What the network remembers, so that it can be given to somebody again.

use crate::host::packet::Packet;
use crate::plan::choice::RollingHash;

/// Some of all that was ever sent, each message as likely as any other.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub(super) struct Past {
    kept: Vec<Packet>,
    /// How many there were.
    seen: u64,
}

impl Past {
    const MOST: usize = 64;

    /// What is kept, in no order that means anything.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Packet> {
        self.kept.iter()
    }

    /// Takes a message in, perhaps in the place of another.
    pub(super) fn keep(&mut self, packet: &Packet) {
        self.seen += 1;
        if self.kept.len() < Self::MOST {
            return self.kept.push(packet.clone());
        }
        let mut hash = RollingHash::new();
        hash.take(&self.seen);
        let place = usize::try_from(hash.value() % self.seen).unwrap_or(usize::MAX);
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = packet.clone();
        }
    }
}
