//! The operator, whose requests are part of what is done to the world.

use crate::host::client::{Request, token};
use crate::host::log::Command;
use crate::plan::record::Operation;
use raft_core::Token;

/// Names the operator's requests.
#[derive(Clone, Default, Debug)]
pub(super) struct Operator {
    /// The number of the last request.
    last: u64,
}

impl Operator {
    /// The number and the name of a new request.
    pub(super) const fn request(&mut self) -> (u64, Token) {
        self.last += 1;
        (self.last, token(0, self.last))
    }

    /// A request with commands that nobody waits for, each with a value and a number of its own; the
    /// number of the first.
    pub(super) fn commands(&mut self, count: u64) -> (u64, Request) {
        let first = self.last + 1;
        self.last += count;
        let command = |serial| Command {
            client: 0,
            serial,
            operation: Operation::Write { key: 0, value: token(0, serial).get() },
        };
        let commands = (first..first + count).map(command).collect();
        (first, Request { token: token(0, first), commands, query: None })
    }
}
