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

    /// A request with commands that nobody waits for, each with a value and a number of its own;
    /// the number of the first.
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

#[cfg(test)]
mod tests {
    use super::Operator;
    use crate::host::client::token;

    #[test]
    fn every_request_and_every_command_has_a_number_of_its_own() {
        let mut operator = Operator::default();
        assert_eq!(operator.request(), (1, token(0, 1)));
        let (first, request) = operator.commands(3);
        let serials: Vec<u64> = request.commands.iter().map(|command| command.serial).collect();
        assert_eq!((first, request.token, &serials[..]), (2, token(0, 2), &[2, 3, 4][..]));
        assert_eq!(operator.request(), (5, token(0, 5)));
    }
}
