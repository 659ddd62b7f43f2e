//! What the operator asked for and was answered, as far as the history of the clients is to know it.

use crate::host::client::{Answer, operation_of};
use crate::plan::record::{Operation, Phase};
use raft_core::Token;
use std::collections::BTreeMap;

/// Requests of the operator, who hears an answer at the end of the event in which it was given.
#[derive(Clone, Default, Debug)]
pub(super) struct Requests {
    asked: BTreeMap<u64, Operation>,
    heard: Vec<(u64, Operation, Phase)>,
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
            self.heard.push((serial, operation, Phase::Returned { value, position }));
        }
    }

    /// What was heard since the last call.
    pub(super) fn heard(&mut self) -> Vec<(u64, Operation, Phase)> {
        std::mem::take(&mut self.heard)
    }
}
