//! Clients' operations take effect once each, however often their commands stand in the log, at one
//! moment between their call and their return, in one order: the order of the log, whose indices
//! are the witnesses.
//!
//! An operation whose outcome its client never learnt may take effect at any time, or never; one
//! that is said to have failed, never.

use crate::checker::by_index::up_to;
use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use crate::host::log::Command;
use crate::host::log::Log;
use crate::host::machine::Machine;
use crate::plan::record::Operation;
use crate::plan::record::Stage;
use raft_core::payload::Content;
use raft_core::{Action, LogIndex, LogPosition};
use std::collections::{BTreeMap, BTreeSet};

/// A client and the number of its operation.
type OperationId = (u64, u64);

#[derive(Clone, Default, Debug)]
pub(super) struct Linearizability {
    judged: u64,
    /// Every command that some node has applied, and where it stands first.
    applied: BTreeMap<OperationId, LogIndex>,
    /// The newest serial of each client that has taken effect: an older one takes none any more.
    newest: BTreeMap<u64, u64>,
    /// A state machine of the embedder that applies each command once, in the order of the log.
    reference: Machine,
    /// What it answered.
    answers: BTreeMap<OperationId, Option<u64>>,
    learnt: LogIndex,
    /// The writes of each key among them.
    writes: BTreeMap<u64, Vec<(LogIndex, u64)>>,
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
        match sight.observed {
            Observed::Client { operation, phase: Stage::Invoked, .. } => {
                self.floors.insert(operation, self.returned);
                Ok(())
            }
            Observed::Client { operation, phase: Stage::Failed, .. } => {
                self.failed.insert(operation);
                self.applied
                    .get(&operation)
                    .map_or(Ok(()), |index| Err(took_effect(operation, *index)))
            }
            Observed::Client { operation, what, phase: Stage::Returned { value, position } } => {
                self.returns(operation, what, value, position)
            }
            _ => Ok(()),
        }
    }
}

impl Linearizability {
    pub(super) fn of(machine: &Machine) -> Self {
        Self { reference: machine.clone(), ..Self::default() }
    }

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
            if self.takes_effect(*command) {
                self.applied.insert(operation, position.index);
                match command.operation {
                    Operation::Write { key, value } => {
                        self.writes.entry(key).or_default().push((position.index, value));
                    }
                    Operation::Apply { .. } => {
                        let answer = self.reference.apply(entry).and_then(|effect| effect.value);
                        self.answers.insert(operation, answer);
                    }
                    Operation::Read { .. } | Operation::Query { .. } | Operation::Ask { .. } => {}
                }
            }
        }
        Ok(())
    }

    /// Whether a command takes effect that comes next in the log: not if its client has come as far
    /// before. The operator waits for nothing, so its commands come in any order, each once.
    fn takes_effect(&mut self, Command { client, serial, .. }: Command) -> bool {
        if client == 0 {
            return true;
        }
        let newest = self.newest.entry(client).or_default();
        let is_news = serial > *newest;
        *newest = serial.max(*newest);
        is_news
    }

    /// What stands in the log for a key, up to and including an index.
    fn value_at(&self, key: u64, index: LogIndex) -> Option<u64> {
        let writes = self.writes.get(&key)?;
        writes[..up_to(writes, index)].last().map(|(_, value)| *value)
    }

    fn returns(
        &mut self,
        operation: OperationId,
        what: Operation,
        value: Option<u64>,
        position: LogPosition,
    ) -> Result<(), String> {
        self.judged += 1;
        self.stands(operation, what, position)?;
        self.returned = position.index.max(self.returned);
        let expected = match what {
            Operation::Write { value, .. } => Some(value),
            Operation::Read { key } | Operation::Query { key, .. } => {
                self.value_at(key, position.index)
            }
            Operation::Apply { .. } => self.answers.remove(&operation).flatten(),
            Operation::Ask { .. } if position.index == self.learnt => self.reference.read(what),
            // What the state machine is at an older index is held to the log by its hash.
            Operation::Ask { .. } => value,
        };
        if value == expected {
            return Ok(());
        }
        let (client, serial) = operation;
        Err(format!(
            "operation {serial} of client {client} at {position} returns {value:?}, and \
             {expected:?} stands in the log"
        ))
    }

    /// The moment at which an operation takes effect lies after its call. For a read that goes past
    /// the log it is the state that it shows.
    fn stands(
        &mut self,
        operation: OperationId,
        what: Operation,
        position: LogPosition,
    ) -> Result<(), String> {
        let (client, serial) = operation;
        let past_the_log = what.past_the_log().is_some();
        if !past_the_log && self.applied.get(&operation) != Some(&position.index) {
            return Err(format!(
                "operation {serial} of client {client} is said to stand at {position}, and no node \
                 has applied it there"
            ));
        }
        let floor = self.floors.remove(&operation).unwrap_or_default();
        if past_the_log && position.index < floor {
            return Err(format!(
                "the read {serial} of client {client} shows the state at {position}, and an \
                 operation at {floor:?} had returned before it began"
            ));
        }
        if !past_the_log && position.index <= floor {
            return Err(format!(
                "operation {serial} of client {client} stands at {position}, and one at {floor:?} \
                 had returned before it began"
            ));
        }
        Ok(())
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
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::apply;
    use crate::checker::fixture::position;
    use crate::checker::fixture::refused;
    use crate::host::log::Command;
    use crate::host::log::Entry;
    use crate::host::log::Log;
    use crate::host::machine::Machine;
    use crate::host::machine::StateMachine;
    use crate::plan::record::Operation;
    use crate::plan::record::Stage;
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
            cluster.client(&mut checker, (1, serial), what, Stage::Invoked).expect("a call");
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

    fn at(index: u64, value: Option<u64>) -> Stage {
        Stage::Returned { value, position: position(1, index) }
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
                cluster.client(&mut checker, (2, serial), what, Stage::Invoked).expect("a call");
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
            cluster.client(&mut checker, (2, 8), what, Stage::Invoked).expect("a call");
            let step = cluster.client(&mut checker, (2, 8), what, at(2, Some(70)));
            refused(step, "the state at 1/2, and an operation at i3 had returned before it began");
            let step = cluster.client(&mut checker, (2, 9), what, at(4, Some(70)));
            refused(step, "stands in the log");
        }
    }

    /// Adds what it is given.
    #[derive(Clone, Hash, Debug)]
    struct Sum(u64);

    impl StateMachine for Sum {
        fn apply(&mut self, command: u64) -> u64 {
            self.0 += command;
            self.0
        }

        fn read(&self, question: u64) -> u64 {
            self.0 + question
        }
    }

    #[test]
    fn an_embedders_state_machine_answers_as_one_that_applies_the_log_in_order() {
        let add = |command| Operation::Apply { command };
        let ask = Operation::Ask { question: 100, consistency: Consistency::ReadIndex };
        let mut cluster = Cluster::of(1);
        let mut checker = Linearizability::of(&Machine::of(Sum(0)));
        cluster.node(1).log = history(&[(1, add(5)), (1, add(5)), (2, add(3))]);
        cluster.stepped(&mut checker, 1, &[apply(1, position(1, 3))]).expect("applies");
        let mut answers = |serial, what, index, value| {
            cluster.client(&mut checker.clone(), (1, serial), what, at(index, Some(value)))
        };
        answers(1, add(5), 1, 5).expect("what the log gives");
        answers(2, add(3), 3, 8).expect("the repeat is nothing");
        answers(3, ask, 3, 108).expect("the state at i3");
        refused(answers(2, add(3), 3, 13), "returns Some(13), and Some(8) stands in the log");
        refused(answers(3, ask, 3, 107), "returns Some(107), and Some(108) stands in the log");
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
        cluster.client(&mut checker, (1, 2), READ, Stage::Invoked).expect("called anew");
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
        let step = cluster.client(&mut checker, (1, 3), WRITE, Stage::Failed);
        refused(step, "operation 3 of client 1 is said to have failed, and took effect at i3");

        let (mut cluster, mut checker) = (Cluster::of(1), Linearizability::default());
        cluster.client(&mut checker, (1, 1), WRITE, Stage::Failed).expect("so far");
        cluster.node(1).log = history(&[(1, WRITE)]);
        let step = cluster.stepped(&mut checker, 1, &[apply(1, position(1, 1))]);
        refused(step, "said to have failed, and took effect at i1");
    }

    #[test]
    fn a_command_that_stands_twice_takes_effect_once() {
        let (mut cluster, mut checker) = (Cluster::of(1), Linearizability::default());
        cluster.node(1).log = history(&[(1, WRITE), (2, other()), (1, WRITE), (3, READ)]);
        for (serial, what) in [(1, WRITE), (2, other()), (3, READ)] {
            cluster.client(&mut checker, (1, serial), what, Stage::Invoked).expect("a call");
        }
        cluster.stepped(&mut checker, 1, &[apply(1, position(1, 4))]).expect("once each");
        let step = cluster.client(&mut checker.clone(), (1, 1), WRITE, at(3, Some(70)));
        refused(step, "no node has applied it there");
        let step = cluster.client(&mut checker.clone(), (1, 3), READ, at(4, Some(70)));
        refused(step, "returns Some(70), and Some(71) stands in the log");
        cluster.client(&mut checker, (1, 3), READ, at(4, Some(71))).expect("the repeat is nothing");
    }
}
