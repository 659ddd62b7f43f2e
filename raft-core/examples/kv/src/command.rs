//! What stands in the log: commands, encoded once where they are proposed.

use crate::address::Address;
use bytes::Bytes;
use raft_core::NodeId;
use raft_core::driver::Payload;
use raft_core::driver::sessions::{Request, SessionError, SessionId};
use serde::{Deserialize, Serialize};
use std::ops::Deref;
use std::sync::Arc;

/// An encoded [`Command`], as the log, the network and the driver carry it: shared, never copied.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Record(Arc<[u8]>);

impl Payload for Record {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn describes(&self) -> Option<NodeId> {
        Some(NodeId(self.address()?.0))
    }
}

impl Record {
    /// Which node it says the address of, if any.
    pub fn address(&self) -> Option<(u64, Address)> {
        // Every entry is looked at, and nearly none is one.
        (self.first() == Some(&ADDRESS)).then(|| Command::decode(self)).flatten().and_then(
            |command| match command {
                Command::Address { node, address } => Some((node, address)),
                _ => None,
            },
        )
    }
}

impl Deref for Record {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Record {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Record {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Record {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// How the encoding of a [`Command::Address`] begins.
const ADDRESS: u8 = 2;

/// What is done to a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Write {
    /// Sets it.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Bytes,
    },
    /// Removes it.
    Delete {
        /// The key.
        key: String,
    },
    /// Adds to the end of its value, or sets it.
    Append {
        /// The key.
        key: String,
        /// What is added.
        more: Bytes,
    },
}

/// What stands in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Is applied whenever it stands in the log.
    Write(Write),
    /// Is applied once, however often it stands there.
    Once(Request, Write),
    /// Says where a node is to be found. It precedes the change that makes the node a member.
    Address {
        /// The node.
        node: u64,
        /// Where it is.
        address: Address,
    },
    /// Opens a session.
    Open,
    /// Closes it.
    Close(SessionId),
}

/// What the state machine answers to a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// It is applied; and whether the key, or the session, was there before.
    Applied {
        /// Whether it was.
        existed: bool,
    },
    /// It is applied, and the value is so long now.
    Appended {
        /// In bytes.
        length: u64,
    },
    /// The value would be longer than values are: it changed nothing.
    TooLong,
    /// It is nothing to the state machine: the driver's book has it.
    Noted,
    /// A session of this name is open.
    Opened(SessionId),
    /// Its session says so: it changed nothing.
    #[serde(skip)]
    NotOnce(SessionError),
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
    use super::{Command, Record, Write};
    use crate::address::Address;
    use raft_core::NodeId;
    use raft_core::driver::Payload;
    use raft_core::driver::sessions::{Request, SessionId};

    #[test]
    fn only_an_address_describes_a_node() {
        let address = Address { raft: "a:1".into(), http: "a:2".into() };
        let tells = Command::Address { node: 700, address: address.clone() }.encode();
        assert_eq!((tells.describes(), tells.address()), (Some(NodeId(700)), Some((700, address))));
        let (key, value) = ("k".to_string(), b"v"[..].into());
        let (put, id) = (Write::Put { key, value }, SessionId(7));
        let request = Request { session: id, number: 2, received: 1 };
        let (once, put) = (Command::Once(request, put.clone()), Command::Write(put));
        for other in [put, once, Command::Open, Command::Close(id)] {
            assert_eq!(other.encode().describes(), None);
        }
        for garbage in [&[2][..], &[2, 9], &[]] {
            assert_eq!(Record::from(garbage).describes(), None);
        }
    }

    #[test]
    fn a_command_comes_back_from_its_encoding_and_the_largest_one_has_room() {
        let (key, value) = ("k".repeat(Command::MAX_KEY), vec![7; Command::MAX_VALUE].into());
        let most = u64::MAX;
        let request = Request { session: SessionId(most), number: most, received: most };
        let put = Command::Once(request, Write::Put { key, value });
        let record = put.encode();
        assert!(record.len() as u64 <= Command::MAX_BYTES);
        assert_eq!(Command::decode(&record), Some(put));
        assert_eq!(Command::decode(&[99, 1, 2]), None);
    }
}
