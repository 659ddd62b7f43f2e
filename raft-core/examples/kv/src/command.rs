//! What stands in the log: commands, encoded once where they are proposed.

use crate::address::Address;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An encoded [`Command`], as the log, the network and the driver carry it: shared, never copied.
pub type Record = Arc<[u8]>;

/// A change of the state machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Sets a key.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Bytes,
    },
    /// Removes a key.
    Delete {
        /// The key.
        key: String,
    },
    /// Says where a node is to be found. It precedes the change that makes the node a member.
    Address {
        /// The node.
        node: u64,
        /// Where it is.
        address: Address,
    },
}

/// What the state machine answers to a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply {
    /// It is applied; and whether the key, or the node, was there before.
    Applied {
        /// Whether it was.
        existed: bool,
    },
    /// Nobody here can read it: it changed nothing, at any node.
    Unreadable,
}

impl Command {
    /// The longest key, in bytes.
    pub const MAX_KEY: usize = 4096;
    /// The longest value, in bytes.
    pub const MAX_VALUE: usize = 1_000_000;
    /// The longest encoding of a command, in bytes.
    pub const MAX_BYTES: u64 = (Self::MAX_KEY + Self::MAX_VALUE + 64) as u64;

    /// Its encoding.
    pub fn encode(&self) -> Record {
        postcard::to_stdvec(self).expect("every command has an encoding").into()
    }

    /// What an encoding says, if it says anything.
    pub fn decode(record: &[u8]) -> Option<Self> {
        postcard::from_bytes(record).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Command;

    #[test]
    fn a_command_comes_back_from_its_encoding_and_the_largest_one_has_room() {
        let (key, value) = ("k".repeat(Command::MAX_KEY), vec![7; Command::MAX_VALUE].into());
        let put = Command::Put { key, value };
        let record = put.encode();
        assert!(record.len() as u64 <= Command::MAX_BYTES);
        assert_eq!(Command::decode(&record), Some(put));
        assert_eq!(Command::decode(&[99, 1, 2]), None);
    }
}
