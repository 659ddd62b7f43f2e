//! A state machine that was restored from a snapshot is the one that applied the log, and a
//! snapshot carries the membership that was in force at its position.

use crate::checker::by_index::ByIndex;
use crate::checker::sight::Checker;
use crate::checker::sight::FORGET_EACH;
use crate::checker::sight::Sight;
use crate::host::machine::Machine;
use raft_core::payload::Content;
use raft_core::{LogIndex, Membership, NodeId};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct SnapshotCoherence {
    judged: u64,
    /// A state machine that applies everything in order, and its hash at each index.
    reference: Machine,
    hashes: ByIndex<u64>,
    /// In which life, and at which indices, each node's machine and snapshot were judged last.
    seen: BTreeMap<NodeId, (u64, (LogIndex, Option<LogIndex>))>,
    /// Each membership with the index from which on it was in force.
    memberships: BTreeMap<LogIndex, Membership>,
}

impl SnapshotCoherence {
    pub(super) fn of(machine: &Machine) -> Self {
        Self { reference: machine.clone(), ..Self::default() }
    }
}

impl Checker for SnapshotCoherence {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let (id, node) = (sight.node.id, &sight.node);
        let Some(machine) = node.machine else { return Ok(()) };
        let image = node.stored.snapshot.as_ref();
        let held = (machine.applied(), image.map(|image| image.snapshot.position.index));
        let before = self.seen.insert(id, (node.life, held));
        if before == Some((node.life, held)) {
            return Ok(());
        }
        self.judged += 1;
        let next = LogIndex(self.reference.applied().get() + 1);
        for (position, entry) in node.log.from(next) {
            if position.index > machine.applied() || position.index < next {
                break;
            }
            self.reference.apply(entry);
            self.hashes.insert(position.index, self.reference.hash());
            if let Content::Membership(membership) = &entry.content {
                self.memberships.insert(position.index, (**membership).clone());
            }
        }
        if self.judged.is_multiple_of(FORGET_EACH) {
            // Every node holds a snapshot from there on: no machine starts below it any more.
            self.hashes.forget(sight.forgotten());
        }
        let known = self.hashes.get(machine.applied());
        if machine.applied() > LogIndex::ZERO && known != Some(&machine.hash()) {
            return Err(format!(
                "the state machine of {id:?} at {:?} is not the one that applied the log",
                machine.applied()
            ));
        }
        let judged = before.is_some_and(|(life, (_, image))| (life, image) == (node.life, held.1));
        let Some(image) = image.filter(|_| !judged) else { return Ok(()) };
        let index = image.snapshot.position.index;
        if self.hashes.get(index) != Some(&image.machine.hash()) {
            return Err(format!("the snapshot of {id:?} at {index:?} is not what the log gives"));
        }
        let in_force = self.memberships.range(..=index).next_back();
        match in_force {
            Some((_, membership)) if *membership != image.snapshot.membership => Err(format!(
                "the snapshot of {id:?} at {index:?} carries {:?}, and {membership:?} was in force",
                image.snapshot.membership
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SnapshotCoherence;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::entry;
    use crate::checker::fixture::position;
    use crate::checker::fixture::refused;
    use crate::host::log::Log;
    use crate::host::machine::Image;
    use crate::host::machine::Machine;
    use raft_core::{LogIndex, Membership, NodeId, Snapshot};

    fn applied(terms: &[u64]) -> Machine {
        let mut machine = Machine::default();
        for (index, term) in (1..).zip(terms) {
            machine.apply(&entry(*term, index));
        }
        machine
    }

    /// S1 has applied three entries.
    fn history() -> (Cluster, SnapshotCoherence) {
        let (mut cluster, mut checker) = (Cluster::of(3), SnapshotCoherence::default());
        cluster.node(1).fill(&[1, 1, 2]).machine = applied(&[1, 1, 2]);
        cluster.stepped(&mut checker, 1, &[]).expect("it applied the log");
        (cluster, checker)
    }

    fn restored(cluster: &mut Cluster, machine: Machine) {
        let membership = Membership::of_voters((1..=3).map(NodeId)).expect("voters");
        let position = position(1, machine.applied().get());
        let node = cluster.node(2);
        node.log = Log::starting(position);
        node.machine = machine.clone();
        let snapshot = Snapshot { position, membership };
        node.stored.snapshot = Some(Image { snapshot, machine });
    }

    #[test]
    fn one_that_is_the_same() {
        let (mut cluster, mut checker) = history();
        restored(&mut cluster, applied(&[1, 1]));
        cluster.stepped(&mut checker, 2, &[]).expect("as it was at 2");
    }

    #[test]
    fn one_that_is_not() {
        let (mut cluster, mut checker) = history();
        restored(&mut cluster, applied(&[1, 2]));
        let step = cluster.stepped(&mut checker, 2, &[]);
        refused(step, "the state machine of S2 at i2 is not the one that applied the log");
        let (mut cluster, mut checker) = history();
        restored(&mut cluster, applied(&[1, 2]));
        cluster.node(2).machine = Machine::default();
        refused(cluster.stepped(&mut checker, 2, &[]), "the snapshot of S2 at i2 is not");
    }

    #[test]
    fn another_membership() {
        let (mut cluster, mut checker) = history();
        let other = Membership::of_voters([NodeId(9)]).expect("one voter");
        checker.memberships.insert(LogIndex(1), other);
        restored(&mut cluster, applied(&[1, 1]));
        refused(cluster.stepped(&mut checker, 2, &[]), "and [S9] was in force");
    }
}
