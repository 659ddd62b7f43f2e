//! What the operator asked for and was answered, as far as the history of the clients is to know
//! it.

use crate::host::client::{Answer, operation_of};
use crate::plan::record::{Operation, Stage};
use raft_core::Token;
use std::collections::BTreeMap;

/// Requests of the operator, who hears an answer at the end of the event in which it was given.
#[derive(Clone, Default, Debug)]
pub(super) struct Requests {
    asked: BTreeMap<u64, Operation>,
    heard: Vec<(u64, Operation, Stage)>,
}

impl Requests {
    pub(super) fn ask(&mut self, serial: u64, operation: Operation) {
        self.asked.insert(serial, operation);
    }

    /// A node has answered somebody.
    pub(super) fn answered(&mut self, token: Token, answer: &Answer) {
        let (client, serial) = operation_of(token);
        if client == 0
            && let Some(operation) = self.asked.remove(&serial)
            && let Answer::Applied { value, position } = *answer
        {
            self.heard.push((serial, operation, Stage::Returned { value, position }));
        }
    }

    /// What was heard since the last call.
    pub(super) fn heard(&mut self) -> Vec<(u64, Operation, Stage)> {
        std::mem::take(&mut self.heard)
    }
}

#[cfg(test)]
mod tests {
    use super::Requests;
    use crate::host::client::{Answer, token};
    use crate::plan::record::{Operation, Stage};
    use raft_core::LogPosition;

    #[test]
    fn the_operator_hears_once_what_was_asked_and_applied() {
        let (value, position) = (Some(7), LogPosition::ZERO);
        let (applied, operation) =
            (Answer::Applied { value, position }, Operation::Read { key: 0 });
        let mut requests = Requests::default();
        for serial in 1..=2 {
            requests.ask(serial, operation);
        }
        for (name, answer) in [
            (token(0, 1), applied),
            (token(0, 1), applied),
            (token(0, 2), Answer::Refused { leader: None }),
            (token(0, 2), applied),
            (token(0, 3), applied),
            (token(4, 1), applied),
        ] {
            requests.answered(name, &answer);
        }
        assert_eq!(requests.heard(), [(1, operation, Stage::Returned { value, position })]);
        assert_eq!(requests.heard(), []);
    }
}
