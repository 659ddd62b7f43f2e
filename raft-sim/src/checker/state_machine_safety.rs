//! If a node has applied an entry at a given index to its state machine, no other node will ever
//! apply a different entry for the same index (Raft paper, figure 3). And each node applies in
//! order, without a gap, what is committed and durable where it is applied.

use crate::checker::by_index::ByIndex;
use crate::checker::sight::Checker;
use crate::checker::sight::FORGET_EACH;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use crate::checker::sight::View;
use crate::host::log::Entry;
use raft_core::{Action, LogIndex, LogPosition, NodeId};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct StateMachineSafety {
    judged: u64,
    /// By index: what was applied there, and who was the first.
    applied: ByIndex<(Entry, NodeId)>,
    /// How often something was applied.
    learnt: u64,
    /// How far each node has applied in this life.
    last_applied: BTreeMap<NodeId, LogIndex>,
}

impl Checker for StateMachineSafety {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let node = &sight.node;
        if let (Observed::Started, Some(status)) = (sight.observed, node.status) {
            self.last_applied.insert(node.id, status.last_applied);
        }
        // A snapshot was installed, and perhaps the next one is by now.
        if let Some((before, after)) = sight.step()
            && let Some(position) = before.installing
            && after.installing != before.installing
            && after.log_start == position
        {
            self.last_applied.insert(node.id, position.index);
        }
        for action in sight.actions() {
            if let Action::Apply { first, through } = action {
                self.apply(node, *first, *through)?;
                self.learnt += 1;
                if self.learnt.is_multiple_of(FORGET_EACH) {
                    self.applied.forget(sight.forgotten());
                }
            }
        }
        let last = self.last_applied.get(&node.id).copied().unwrap_or_default();
        match node.status {
            Some(status) if sight.is_whole() && status.last_applied != last => Err(format!(
                "{:?} says that it has applied up to {:?}, and was at {last:?}",
                node.id, status.last_applied
            )),
            Some(status) if status.commit_index < last => Err(format!(
                "{:?} has applied {last:?}, and has committed up to {:?} only",
                node.id, status.commit_index
            )),
            _ => Ok(()),
        }
    }
}

impl StateMachineSafety {
    fn apply(
        &mut self,
        node: &View<'_>,
        first: LogIndex,
        through: LogPosition,
    ) -> Result<(), String> {
        let id = node.id;
        let last = self.last_applied.entry(id).or_default();
        if first.get() != last.get() + 1 || through.index < first {
            return Err(format!("{id:?} applies {first:?} to {through} after {last:?}"));
        }
        *last = through.index;
        for index in (first.get()..=through.index.get()).map(LogIndex) {
            let position = LogPosition::new(through.term, index);
            let Some(entry) = node.log.get(index).filter(|entry| entry.term == through.term) else {
                return Err(format!("{id:?} applies {position}, which it does not hold"));
            };
            if !node.stored.covers(position) {
                return Err(format!("{id:?} applies {position}, which is not durable there"));
            }
            let Some((known, other)) = self.applied.get(index) else {
                self.applied.insert(index, (entry.clone(), id));
                continue;
            };
            self.judged += 1;
            if known != entry {
                return Err(format!(
                    "{id:?} applies {position}, but {other:?} has applied an entry of {:?} there, \
                     or another command",
                    known.term
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::StateMachineSafety;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::apply;
    use crate::checker::fixture::position;
    use crate::checker::fixture::refused;
    use crate::host::log::Command;
    use raft_core::LogIndex;
    use raft_core::payload::Content;

    /// S1 and S2 hold four durable entries, all committed; S1 has applied two.
    fn applied() -> (Cluster, StateMachineSafety) {
        let (mut cluster, mut checker) = (Cluster::of(3), StateMachineSafety::default());
        for id in [1, 2] {
            cluster.node(id).fill(&[1, 1, 2, 2]).durable_log().commits(4);
        }
        cluster.node(1).status.last_applied = LogIndex(2);
        cluster.stepped(&mut checker, 1, &[apply(1, position(1, 2))]).expect("the first two");
        (cluster, checker)
    }

    #[test]
    fn the_same_entries_in_order() {
        let (mut cluster, mut checker) = applied();
        cluster.node(2).status.last_applied = LogIndex(4);
        let ranges = [apply(1, position(1, 2)), apply(3, position(2, 4))];
        cluster.stepped(&mut checker, 2, &ranges).expect("the same");
    }

    #[test]
    fn another_term_or_another_command() {
        let (mut cluster, mut checker) = applied();
        cluster.node(2).fill(&[1, 2, 2]).durable_log().status.last_applied = LogIndex(2);
        let ranges = [apply(1, position(1, 1)), apply(2, position(2, 2))];
        refused(cluster.stepped(&mut checker, 2, &ranges), "S2 applies 2/2, but S1");

        let (mut cluster, mut checker) = applied();
        let node = cluster.node(2);
        let mut entry = node.log.get(LogIndex(1)).expect("held").clone();
        entry.content = Content::Command(Command::invented(position(9, 9)));
        node.log.write(LogIndex(1), &[entry]);
        node.durable_log().status.last_applied = LogIndex(1);
        let step = cluster.stepped(&mut checker, 2, &[apply(1, position(1, 1))]);
        refused(step, "or another command");
    }

    #[test]
    fn gaps_repetitions_and_empty_ranges() {
        for range in [apply(4, position(2, 4)), apply(2, position(1, 2)), apply(3, position(2, 2))]
        {
            let (mut cluster, mut checker) = applied();
            refused(cluster.stepped(&mut checker, 1, &[range]), "after i2");
        }
    }

    #[test]
    fn what_is_not_held_not_durable_or_not_committed() {
        let (mut cluster, mut checker) = applied();
        let step = cluster.stepped(&mut checker, 1, &[apply(3, position(1, 3))]);
        refused(step, "1/3, which it does not hold");

        let (mut cluster, mut checker) = applied();
        cluster.node(1).stored.log.truncate(LogIndex(3));
        let step = cluster.stepped(&mut checker, 1, &[apply(3, position(2, 3))]);
        refused(step, "not durable there");

        let (mut cluster, mut checker) = applied();
        cluster.node(1).commits(2).status.last_applied = LogIndex(3);
        let step = cluster.stepped(&mut checker, 1, &[apply(3, position(2, 3))]);
        refused(step, "has committed up to i2 only");
    }

    #[test]
    fn a_snapshot_that_the_next_one_follows_in_the_same_step() {
        for next in [None, Some(position(2, 9))] {
            let (mut cluster, mut checker) = applied();
            let mut before = cluster.node(1).status;
            before.installing = Some(position(2, 4));
            let status = &mut cluster.node(1).status;
            (status.installing, status.log_start) = (next, position(2, 4));
            status.last_applied = LogIndex(4);
            cluster.stepped_from(&mut checker, 1, &before, &[]).expect("the first is in force");
        }
    }

    #[test]
    fn a_node_that_forgets_how_far_it_has_applied() {
        let (mut cluster, mut checker) = applied();
        cluster.node(1).status.last_applied = LogIndex(3);
        refused(cluster.stepped(&mut checker, 1, &[]), "up to i3, and was at i2");
        cluster.started(&mut checker, 1).expect("a new life says where it begins");
    }
}
