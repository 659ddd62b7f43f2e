//! What is on a disk.

use crate::host::log::Log;
use crate::host::machine::Image;
use raft_core::{HardState, LogPosition};

/// What is on a disk.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Stored {
    /// The hard state.
    pub hard_state: HardState,
    /// The newest snapshot, if there is one.
    pub snapshot: Option<Image>,
    /// The log: it begins at or before the end of the snapshot, and may be older.
    pub log: Log,
}

impl Stored {
    /// Whether this position is durable here, in the log or under a snapshot.
    pub fn covers(&self, position: LogPosition) -> bool {
        let image = self.snapshot.as_ref().map_or(LogPosition::ZERO, |i| i.snapshot.position);
        position.index < image.index || position == image || self.log.covers(position)
    }

    pub(super) fn keep(&mut self, image: &Image) {
        let position = |image: &Image| image.snapshot.position.index;
        if self.snapshot.as_ref().is_none_or(|held| position(held) < position(image)) {
            self.snapshot = Some(image.clone());
        }
    }
}
