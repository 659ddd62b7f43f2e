//! Where nodes are to be found.
//!
//! Three sources, the first one that knows a node is believed: the driver's book (commands in the
//! log, committed or not, see [`Command::Address`](crate::command::Command::Address)), the start
//! arguments, and what a node said of itself when it connected.

use crate::command::Record;
use raft_core::driver::book::Book;
use raft_core::driver::{Driver, Payload};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

/// Where a node is to be found: `host:port` each.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Address {
    /// For other nodes.
    pub raft: String,
    /// For clients and operators.
    pub http: String,
}

impl Address {
    /// Whether both are a host and a port. Nobody is asked whether there is such a host.
    pub fn is_well_formed(&self) -> bool {
        [&self.raft, &self.http].iter().all(|at| {
            let (host, port) = at.rsplit_once(':').unwrap_or_default();
            !host.is_empty() && port.parse().is_ok_and(|port: u16| port > 0)
        })
    }
}

/// A member as it is named on the command line: `ID=RAFT/HTTP`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The node.
    pub id: u64,
    /// Where it is.
    pub address: Address,
}

impl FromStr for Member {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not ID=RAFT_HOST:PORT/HTTP_HOST:PORT");
        let (id, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (raft, http) = rest.split_once('/').ok_or_else(wrong)?;
        let id = id.parse().map_err(|_| wrong())?;
        let address = Address { raft: raft.into(), http: http.into() };
        if address.is_well_formed() { Ok(Self { id, address }) } else { Err(wrong()) }
    }
}

/// The addresses that this node knows; shared by driver, transport and HTTP.
#[derive(Clone, Debug, Default)]
pub struct Addresses(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The driver's book, from which `book` was read.
    read: Book<Record>,
    book: BTreeMap<u64, Address>,
    arguments: BTreeMap<u64, Address>,
    heard: BTreeMap<u64, Address>,
}

impl Addresses {
    /// What the command line says.
    pub fn of_arguments(members: &[Member]) -> Self {
        let arguments = members.iter().map(|m| (m.id, m.address.clone())).collect();
        Self(Arc::new(RwLock::new(Known { arguments, ..Known::default() })))
    }

    /// Where this node is, if anybody has said it.
    pub fn get(&self, node: u64) -> Option<Address> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Known { book, arguments, heard, .. } = &*known;
        [book, arguments, heard].into_iter().find_map(|source| source.get(&node)).cloned()
    }

    /// The log of this driver may say something else now: of its members, and of those that leave.
    ///
    /// Memberships are a part of the book, so who is a member is as it was where the book is. It
    /// is compared at each step: nothing is decoded for that.
    pub fn follow(&self, driver: &Driver<Record>) {
        let (book, members) = (driver.book(), driver.node().membership().members());
        if self.0.read().unwrap_or_else(PoisonError::into_inner).read == *book {
            return;
        }
        let ids: BTreeSet<_> =
            book.snapshot().filter_map(Payload::describes).chain(members).collect();
        let said = ids.into_iter().filter_map(|id| book.get(id)?.address()).collect();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        (known.read, known.book) = (book.clone(), said);
    }

    /// A node said this of itself.
    pub fn heard(&self, node: u64, address: Address) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).heard.insert(node, address);
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Addresses, Member};

    #[test]
    fn the_book_goes_before_the_arguments_and_those_before_hearsay() {
        let member: Member = "2=a:1/a:2".parse().expect("well-formed");
        for wrong in
            ["2", "2=a:1", "x=a:1/a:2", "2=a/a:2", "2=a:1/:2", "2=a:1/a:0", "2=a:99999/a:2"]
        {
            assert!(wrong.parse::<Member>().is_err());
        }
        let at = |host: &str| Address { raft: format!("{host}:1"), http: format!("{host}:2") };
        let addresses = Addresses::of_arguments(&[member]);
        addresses.heard(2, at("z"));
        addresses.heard(3, at("z"));
        assert_eq!((addresses.get(2), addresses.get(3)), (Some(at("a")), Some(at("z"))));
        addresses.0.write().expect("nobody has panicked").book = [(2, at("b"))].into();
        assert_eq!((addresses.get(2), addresses.get(4)), (Some(at("b")), None));
    }
}
