//! A command takes effect once, however often its client asked for it and however often it stands
//! in the log; also in a state machine that was restored from a snapshot (Raft thesis, 6.3).
//!
//! What the registers must hold at an index follows from the log and from the rule that a client's
//! command counts if no later one of that client, nor itself, stands before it. The state machine
//! and its sessions are not asked.

use crate::checker::by_index::up_to;
use crate::checker::sight::Checker;
use crate::checker::sight::FORGET_EACH;
use crate::checker::sight::Sight;
use crate::host::log::Command;
use crate::plan::record::Operation;
use raft_core::{LogIndex, NodeId};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct ExactlyOnce {
    judged: u64,
    /// Up to here the log is known.
    learnt: LogIndex,
    /// The newest serial of each client there.
    newest: BTreeMap<u64, u64>,
    /// The writes of each key that took effect, by index.
    registers: BTreeMap<u64, Vec<(LogIndex, u64)>>,
    /// Each node's life, and how far its state machine was when it was judged last.
    judged_at: BTreeMap<NodeId, (u64, LogIndex)>,
}

impl Checker for ExactlyOnce {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let node = &sight.node;
        let Some(machine) = node.machine else { return Ok(()) };
        let applied = machine.applied();
        let now = (node.life, applied);
        if self.judged_at.insert(node.id, now) == Some(now) {
            return Ok(());
        }
        self.learn(sight, applied);
        self.judged += 1;
        for (key, writes) in &self.registers {
            let before = up_to(writes, applied);
            let expected = before.checked_sub(1).map(|nth| writes[nth].1);
            let held = machine.read(Operation::Read { key: *key });
            if held != expected {
                return Err(format!(
                    "the state machine of {:?} at {applied:?} holds {held:?} for key {key}; with \
                     each command once it would be {expected:?}",
                    node.id
                ));
            }
        }
        if self.judged.is_multiple_of(FORGET_EACH) {
            self.forget(sight.forgotten());
        }
        Ok(())
    }
}

impl ExactlyOnce {
    /// Takes in what is applied for the first time anywhere.
    fn learn(&mut self, sight: &Sight<'_>, applied: LogIndex) {
        let first = LogIndex(self.learnt.get() + 1);
        let new = sight.node.log.from(first).take_while(|(position, _)| position.index <= applied);
        for (position, entry) in new.skip_while(|(position, _)| position.index < first) {
            self.learnt = position.index;
            let Some(Command { client, serial, operation }) = entry.content.command() else {
                continue;
            };
            let newest = self.newest.entry(*client).or_default();
            // The operator's commands come in any order, each once.
            let counts = *client == 0 || serial > newest;
            *newest = (*serial).max(*newest);
            if let Operation::Write { key, value } = operation
                && counts
            {
                self.registers.entry(*key).or_default().push((position.index, *value));
            }
        }
    }

    /// Of what came before an index only the last matters.
    fn forget(&mut self, before: LogIndex) {
        for writes in self.registers.values_mut() {
            let old = up_to(writes, before);
            writes.drain(..old.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ExactlyOnce;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::apply;
    use crate::checker::fixture::position;
    use crate::checker::fixture::refused;
    use crate::host::log::Command;
    use crate::host::log::Entry;
    use crate::host::log::Log;
    use crate::host::machine::Machine;
    use crate::plan::record::Operation;
    use raft_core::Term;
    use raft_core::payload::Content;

    /// Commands of client 1, which write their value to key 7.
    fn log(commands: &[(u64, u64)]) -> Log {
        let mut log = Log::default();
        for (serial, value) in commands {
            let operation = Operation::Write { key: 7, value: *value };
            let command = Command { client: 1, serial: *serial, operation };
            log.push(Entry { term: Term(1), content: Content::Command(command) });
        }
        log
    }

    /// A state machine that has applied all of these, each as news.
    fn blind(commands: &[(u64, u64)]) -> Machine {
        let mut machine = Machine::default();
        for ((_, value), serial) in commands.iter().zip(1..) {
            machine.apply(log(&[(serial, *value)]).get(raft_core::LogIndex(1)).expect("one"));
        }
        machine
    }

    const REPEATED: [(u64, u64); 3] = [(1, 10), (2, 20), (1, 10)];

    #[test]
    fn a_command_that_comes_again_takes_no_effect() {
        let (mut cluster, mut checker) = (Cluster::of(1), ExactlyOnce::default());
        let node = cluster.node(1);
        node.log = log(&REPEATED);
        for (_, entry) in node.log.iter() {
            node.machine.apply(entry);
        }
        cluster.stepped(&mut checker, 1, &[apply(1, position(1, 3))]).expect("once each");
    }

    #[test]
    fn a_command_that_takes_effect_again() {
        let (mut cluster, mut checker) = (Cluster::of(1), ExactlyOnce::default());
        let node = cluster.node(1);
        node.log = log(&REPEATED);
        node.machine = blind(&REPEATED);
        let step = cluster.stepped(&mut checker, 1, &[apply(1, position(1, 3))]);
        let wrong = "at i3 holds Some(10) for key 7; with each command once it would be Some(20)";
        refused(step, wrong);
    }

    #[test]
    fn a_restored_state_machine_that_has_forgotten_its_sessions() {
        let (mut cluster, mut checker) = (Cluster::of(2), ExactlyOnce::default());
        let node = cluster.node(1);
        node.log = log(&REPEATED);
        for (_, entry) in node.log.iter() {
            node.machine.apply(entry);
        }
        cluster.stepped(&mut checker, 1, &[]).expect("once each");
        let node = cluster.node(2);
        node.log = Log::starting(position(1, 2));
        node.machine = blind(&REPEATED[..2]);
        cluster.started(&mut checker, 2).expect("the registers are right so far");
        cluster.node(2).machine = blind(&REPEATED);
        refused(cluster.stepped(&mut checker, 2, &[]), "of S2 at i3 holds Some(10)");
    }
}
