//! Clients' operations take effect once each, at one moment between their call and their return, in
//! one order: the order of the log, whose indices are the witnesses.
//!
//! An operation whose outcome its client never learnt may take effect at any time, or never; one that
//! is said to have failed, never.

use super::{Checker, Happening, Sight};
use crate::log::Log;
use crate::record::{Operation, Phase};
use raft_core::payload::Content;
use raft_core::{Action, LogIndex, LogPosition};
use std::collections::{BTreeMap, BTreeSet};

/// A client and the number of its operation.
type OperationId = (u64, u64);

#[derive(Clone, Default, Debug)]
pub(super) struct Linearizability {
    judged: u64,
    /// Every command that some node has applied, and where it stands.
    applied: BTreeMap<OperationId, LogIndex>,
    learnt: LogIndex,
    /// The writes of each key among them.
    writes: BTreeMap<u64, BTreeMap<LogIndex, u64>>,
    failed: BTreeSet<OperationId>,
    /// For each operation under way, the greatest index that had returned when it began.
    floors: BTreeMap<OperationId, LogIndex>,
    returned: LogIndex,
}

impl Checker for Linearizability {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        for action in sight.actions() {
            if let Action::Apply { through, .. } = action {
                self.learn(sight.node.log, through.index)?;
            }
        }
        match sight.happening {
            Happening::Client { operation, phase: Phase::Invoked, .. } => {
                self.floors.insert(operation, self.returned);
                Ok(())
            }
            Happening::Client { operation, phase: Phase::Failed, .. } => {
                self.failed.insert(operation);
                self.applied
                    .get(&operation)
                    .map_or(Ok(()), |index| Err(took_effect(operation, *index)))
            }
            Happening::Client { operation, what, phase: Phase::Returned { value, position } } => {
                self.returns(operation, what, value, position)
            }
            _ => Ok(()),
        }
    }
}

impl Linearizability {
    /// Takes in what is applied for the first time anywhere.
    fn learn(&mut self, log: &Log, through: LogIndex) -> Result<(), String> {
        let first = LogIndex(self.learnt.get() + 1);
        for (position, entry) in log.from(first).take_while(|(p, _)| p.index <= through) {
            self.learnt = position.index;
            let Content::Command(command) = &entry.content else { continue };
            let operation = (command.client, command.serial);
            if self.failed.contains(&operation) {
                return Err(took_effect(operation, position.index));
            }
            if let Some(first) = self.applied.insert(operation, position.index) {
                let (client, serial) = operation;
                return Err(format!(
                    "operation {serial} of client {client} takes effect at {first:?} and at {:?}",
                    position.index
                ));
            }
            if let Operation::Write { key, value } = command.operation {
                self.writes.entry(key).or_default().insert(position.index, value);
            }
        }
        Ok(())
    }

    /// A read without the log: it shows the state at an index, which covers all that had returned
    /// before it began.
    fn query(
        &mut self,
        operation: OperationId,
        key: u64,
        value: Option<u64>,
        position: LogPosition,
    ) -> Result<(), String> {
        let (client, serial) = operation;
        let floor = self.floors.remove(&operation).unwrap_or_default();
        if position.index < floor {
            return Err(format!(
                "the read {serial} of client {client} shows the state at {position}, and an \
                 operation at {floor:?} had returned before it began"
            ));
        }
        self.returned = position.index.max(self.returned);
        let upto = self.writes.get(&key).map(|writes| writes.range(..=position.index));
        let expected = upto.and_then(|mut writes| writes.next_back()).map(|(_, value)| *value);
        if value == expected {
            return Ok(());
        }
        Err(format!(
            "the read {serial} of client {client} at {position} returns {value:?}, and {expected:?} \
             stands in the log"
        ))
    }

    fn returns(
        &mut self,
        operation: OperationId,
        what: Operation,
        value: Option<u64>,
        position: LogPosition,
    ) -> Result<(), String> {
        self.judged += 1;
        let (client, serial) = operation;
        if let Operation::Query { key, .. } = what {
            return self.query(operation, key, value, position);
        }
        if self.applied.get(&operation) != Some(&position.index) {
            return Err(format!(
                "operation {serial} of client {client} is said to stand at {position}, and no node \
                 has applied it there"
            ));
        }
        let floor = self.floors.remove(&operation).unwrap_or_default();
        if position.index <= floor {
            return Err(format!(
                "operation {serial} of client {client} stands at {position}, and one at {floor:?} \
                 had returned before it began"
            ));
        }
        self.returned = position.index.max(self.returned);
        let expected = match what {
            Operation::Write { value, .. } => Some(value),
            Operation::Read { key } | Operation::Query { key, .. } => {
                self.writes.get(&key).and_then(|writes| {
                    writes.range(..position.index).next_back().map(|(_, value)| *value)
                })
            }
        };
        if value == expected {
            return Ok(());
        }
        Err(format!(
            "operation {serial} of client {client} at {position} returns {value:?}, and {expected:?} \
             stands in the log"
        ))
    }
}

fn took_effect((client, serial): OperationId, index: LogIndex) -> String {
    format!(
        "operation {serial} of client {client} is said to have failed, and took effect at {index:?}"
    )
}

#[cfg(test)]
mod tests {
    use super::Linearizability;
    use crate::checker::fixture::{Cluster, apply, position, refused};
    use crate::log::{Command, Entry, Log};
    use crate::record::{Operation, Phase};
    use raft_core::payload::Content;
    use raft_core::{Consistency, Term};

    const WRITE: Operation = Operation::Write { key: 7, value: 70 };
    const READ: Operation = Operation::Read { key: 7 };

    /// S1 has applied, all in term 1: a write, a read, another write, another read.
    fn applied() -> (Cluster, Linearizability) {
        let (mut cluster, mut checker) = (Cluster::of(1), Linearizability::default());
        cluster.node(1).log = history(&[(1, WRITE), (2, READ), (3, other()), (4, READ)]);
        for serial in 1..=4 {
            let what = if serial == 1 { WRITE } else { READ };
            cluster.client(&mut checker, (1, serial), what, Phase::Invoked).expect("a call");
        }
        cluster.stepped(&mut checker, 1, &[apply(1, position(1, 4))]).expect("applies");
        (cluster, checker)
    }

    fn other() -> Operation {
        Operation::Write { key: 7, value: 71 }
    }

    fn history(operations: &[(u64, Operation)]) -> Log {
        let mut log = Log::default();
        for (serial, operation) in operations {
            let command = Command { client: 1, serial: *serial, operation: *operation };
            log.push(Entry { term: Term(1), content: Content::Command(command) });
        }
        log
    }

    fn at(index: u64, value: Option<u64>) -> Phase {
        Phase::Returned { value, position: position(1, index) }
    }

    #[test]
    fn a_history_in_the_order_of_the_log() {
        let (mut cluster, mut checker) = applied();
        let phases =
            [(1, WRITE, at(1, Some(70))), (2, READ, at(2, Some(70))), (4, READ, at(4, Some(71)))];
        for (serial, what, phase) in phases {
            cluster.client(&mut checker, (1, serial), what, phase).expect("linearizable");
        }
    }

    fn query(consistency: Consistency) -> Operation {
        Operation::Query { key: 7, consistency }
    }

    #[test]
    fn a_read_without_the_log_shows_what_was_applied() {
        for consistency in [Consistency::ReadIndex, Consistency::Lease] {
            let (mut cluster, mut checker) = applied();
            let what = query(consistency);
            for (serial, phase) in [(8, at(2, Some(70))), (9, at(4, Some(71)))] {
                cluster.client(&mut checker, (2, serial), what, Phase::Invoked).expect("a call");
                cluster.client(&mut checker, (2, serial), what, phase).expect("linearizable");
            }
        }
    }

    #[test]
    fn a_read_without_the_log_that_misses_what_had_returned() {
        for consistency in [Consistency::ReadIndex, Consistency::Lease] {
            let (mut cluster, mut checker) = applied();
            let what = query(consistency);
            cluster.client(&mut checker, (1, 3), other(), at(3, Some(71))).expect("a write");
            cluster.client(&mut checker, (2, 8), what, Phase::Invoked).expect("a call");
            let step = cluster.client(&mut checker, (2, 8), what, at(2, Some(70)));
            refused(step, "the state at 1/2, and an operation at i3 had returned before it began");
            let step = cluster.client(&mut checker, (2, 9), what, at(4, Some(70)));
            refused(step, "stands in the log");
        }
    }

    #[test]
    fn a_read_of_an_old_or_invented_value() {
        for (index, value) in [(2, Some(71)), (4, Some(70)), (4, None), (4, Some(9))] {
            let (mut cluster, mut checker) = applied();
            let step = cluster.client(&mut checker, (1, index), READ, at(index, value));
            refused(step, "stands in the log");
        }
    }

    #[test]
    fn an_operation_that_takes_effect_before_it_was_called() {
        let (mut cluster, mut checker) = applied();
        cluster.client(&mut checker, (1, 4), READ, at(4, Some(71))).expect("linearizable");
        cluster.client(&mut checker, (1, 2), READ, Phase::Invoked).expect("called anew");
        let step = cluster.client(&mut checker, (1, 2), READ, at(2, Some(70)));
        refused(step, "stands at 1/2, and one at i4 had returned before it began");
    }

    #[test]
    fn an_answer_without_effect() {
        let (mut cluster, mut checker) = applied();
        let step = cluster.client(&mut checker, (1, 2), READ, at(1, Some(70)));
        refused(step, "no node has applied it there");
        let step = cluster.client(&mut checker, (1, 9), READ, at(9, None));
        refused(step, "no node has applied it there");
    }

    #[test]
    fn a_failure_with_effect() {
        let (mut cluster, mut checker) = applied();
        let step = cluster.client(&mut checker, (1, 3), WRITE, Phase::Failed);
        refused(step, "operation 3 of client 1 is said to have failed, and took effect at i3");

        let (mut cluster, mut checker) = (Cluster::of(1), Linearizability::default());
        cluster.client(&mut checker, (1, 1), WRITE, Phase::Failed).expect("so far");
        cluster.node(1).log = history(&[(1, WRITE)]);
        let step = cluster.stepped(&mut checker, 1, &[apply(1, position(1, 1))]);
        refused(step, "said to have failed, and took effect at i1");
    }

    #[test]
    fn a_command_that_takes_effect_twice() {
        let (mut cluster, mut checker) = (Cluster::of(1), Linearizability::default());
        cluster.node(1).log = history(&[(1, WRITE), (1, WRITE)]);
        let step = cluster.stepped(&mut checker, 1, &[apply(1, position(1, 2))]);
        refused(step, "takes effect at i1 and at i2");
    }
}
