//! What a node says of the fate of a position is true, and is said only once it is certain: that a
//! node has dropped a position proves nothing (Figure 8 of the Raft paper, read backwards). And it
//! is said in time: once the node knows what is committed at the index, the position is committed
//! or lost, or unknown where a snapshot has taken the place of its log.

use crate::checker::by_index::ByIndex;
use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::{Sight, View};
use raft_core::{Fate, LogIndex, LogPosition, NodeId};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct FateChecker {
    judged: u64,
    /// What any node counts as committed.
    committed: ByIndex<LogPosition>,
    /// What was reported to be lost, and by whom.
    lost: BTreeMap<LogPosition, NodeId>,
}

impl Checker for FateChecker {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        if let Observed::FateReported { position, fate } = sight.observed {
            return self.reported(&sight.node, position, fate);
        }
        for index in sight.committed() {
            let Some(position) = sight.node.log.position(index) else { continue };
            self.committed.insert(index, position);
            if let Some(teller) = self.lost.get(&position) {
                return Err(format!("{position} is committed, and {teller:?} said it was lost"));
            }
        }
        Ok(())
    }
}

impl FateChecker {
    fn reported(
        &mut self,
        view: &View<'_>,
        position: LogPosition,
        fate: Fate,
    ) -> Result<(), String> {
        self.judged += 1;
        let node = view.id;
        let committed = view.status.map_or(LogIndex::ZERO, |status| status.commit_index);
        let here = self.committed.get(position.index);
        match fate {
            Fate::Committed if here != Some(&position) => {
                Err(format!("{node:?} says that {position} is committed; {here:?} is"))
            }
            Fate::Lost if here == Some(&position) => {
                Err(format!("{node:?} says that {position} is lost, and it is committed"))
            }
            Fate::Lost => {
                // Another entry stands there, or a greater term below: no log can hold both.
                let below = self.committed.last_below(position.index);
                let proven = here.is_some() || below.is_some_and(|p| p.term > position.term);
                self.lost.insert(position, node);
                let doubt = "and nothing that is committed rules it out";
                if proven {
                    Ok(())
                } else {
                    Err(format!("{node:?} says that {position} is lost, {doubt}"))
                }
            }
            Fate::Open if position.index <= committed => Err(format!(
                "{node:?} leaves open what became of {position}, and knows of commits up to \
                 {committed}"
            )),
            Fate::Unknown if position.index > view.log.start().index => {
                Err(format!("{node:?} does not know what became of {position}, and holds its log"))
            }
            Fate::Committed | Fate::Open | Fate::Unknown => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FateChecker;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::position;
    use crate::checker::fixture::refused;
    use raft_core::Fate;

    /// S1 has committed 1/1 and 3/2.
    fn committed() -> (Cluster, FateChecker) {
        let (mut cluster, mut checker) = (Cluster::of(3), FateChecker::default());
        let node = cluster.node(1);
        node.leads(3).fill(&[1, 3, 3]);
        let before = node.status;
        node.commits(2);
        cluster.stepped_from(&mut checker, 1, &before, &[]).expect("a commit");
        (cluster, checker)
    }

    #[test]
    fn what_is_certain_may_be_said() {
        let (mut cluster, mut checker) = committed();
        let certain = [
            (position(1, 1), Fate::Committed),
            (position(2, 1), Fate::Lost),
            (position(1, 2), Fate::Lost),
            (position(2, 7), Fate::Lost),
            (position(3, 3), Fate::Open),
        ];
        for (position, fate) in certain {
            cluster.reports_fate(&mut checker, 2, position, fate).expect("certain");
        }
    }

    #[test]
    fn what_is_false_or_not_certain_may_not() {
        let (mut cluster, mut checker) = committed();
        let answer = cluster.reports_fate(&mut checker, 2, position(3, 2), Fate::Lost);
        refused(answer, "3/2 is lost, and it is committed");
        let answer = cluster.reports_fate(&mut checker, 2, position(3, 3), Fate::Committed);
        refused(answer, "3/3 is committed; None is");
        let answer = cluster.reports_fate(&mut checker, 2, position(4, 3), Fate::Lost);
        refused(answer, "nothing that is committed rules it out");
    }

    #[test]
    fn what_a_node_knows_it_does_not_leave_open() {
        let (mut cluster, mut checker) = committed();
        cluster.reports_fate(&mut checker, 1, position(3, 3), Fate::Open).expect("not committed");
        for fate in [Fate::Open, Fate::Unknown] {
            let answer = cluster.reports_fate(&mut checker, 1, position(2, 1), fate);
            refused(answer, "what became of 2/1");
        }
        cluster.node(1).log.compact(position(3, 2));
        let unknown = cluster.reports_fate(&mut checker, 1, position(2, 1), Fate::Unknown);
        unknown.expect("a snapshot has taken the place of the log");
    }

    #[test]
    fn a_lost_position_that_is_committed_later() {
        let (mut cluster, mut checker) = committed();
        let answer = cluster.reports_fate(&mut checker, 2, position(3, 3), Fate::Lost);
        refused(answer, "nothing that is committed rules it out");
        let before = cluster.node(1).status;
        cluster.node(1).commits(3);
        let answer = cluster.stepped_from(&mut checker, 1, &before, &[]);
        refused(answer, "3/3 is committed, and S2 said it was lost");
    }
}
