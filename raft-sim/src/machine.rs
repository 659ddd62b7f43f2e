//! The state machine of a host, and what a snapshot of it is.

use crate::choice::RollingHash;
use crate::log::Entry;
use crate::record::Operation;
use raft_core::payload::Content;
use raft_core::{LogIndex, Snapshot};
use std::collections::BTreeMap;

/// The state machine: the last value of each key.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Machine {
    values: BTreeMap<u64, u64>,
    applied: LogIndex,
}

impl Machine {
    /// Applies the next entry. A write answers what it wrote, a read what was written last.
    pub fn apply(&mut self, entry: &Entry) -> Option<u64> {
        self.applied = LogIndex(self.applied.get() + 1);
        let Content::Command(command) = &entry.content else { return None };
        match command.operation {
            Operation::Write { key, value } => {
                self.values.insert(key, value);
                Some(value)
            }
            Operation::Read { key } | Operation::Query { key, .. } => self.read(key),
        }
    }

    /// The last value of a key.
    pub fn read(&self, key: u64) -> Option<u64> {
        self.values.get(&key).copied()
    }

    /// The last index applied.
    pub const fn applied(&self) -> LogIndex {
        self.applied
    }

    /// A hash of all that it holds.
    pub fn hash(&self) -> u64 {
        let mut hash = RollingHash::new();
        hash.take(self);
        hash.value()
    }
}

/// A snapshot with its content.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Image {
    /// What it covers.
    pub snapshot: Snapshot,
    /// The state machine there.
    pub machine: Machine,
}
