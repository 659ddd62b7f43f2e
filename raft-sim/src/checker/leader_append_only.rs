//! A leader never overwrites or deletes entries in its log; it only appends new entries (Raft
//! paper, figure 3).

use crate::checker::sight::Checker;
use crate::checker::sight::Sight;
use raft_core::{Action, RoleKind};

#[derive(Clone, Default, Debug)]
pub(super) struct LeaderAppendOnly {
    judged: u64,
}

impl Checker for LeaderAppendOnly {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let Some((before, after)) = sight.step() else { return Ok(()) };
        // A candidate that has just won appends, too, and drops nothing (M41).
        let leads = after.role == RoleKind::Leader
            && (before.role == RoleKind::Leader || before.role == RoleKind::Candidate)
            && before.term == after.term;
        if !leads {
            return Ok(());
        }
        for action in sight.actions() {
            if let Action::Persist(write) = action
                && let Some(log) = &write.log
            {
                self.judged += 1;
                if log.first > before.last.index {
                    continue;
                }
                let (id, first, last) = (sight.node.id, log.first, before.last);
                return Err(format!("{id:?} leads, and drops its log from {first:?} to {last}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::LeaderAppendOnly;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::write;
    use raft_core::RoleKind;

    #[test]
    fn a_leader_appends_and_a_follower_may_drop() {
        let (mut cluster, mut checker) = (Cluster::of(3), LeaderAppendOnly::default());
        let node = cluster.node(1);
        node.leads(2).fill(&[1, 1, 2]);
        let before = node.status;
        node.fill(&[1, 1, 2, 2]);
        cluster.stepped_from(&mut checker, 1, &before, &[write(4, &[2])]).expect("appends");
        cluster.node(2).fill(&[1, 1]);
        let before = cluster.node(2).status;
        cluster.stepped_from(&mut checker, 2, &before, &[write(2, &[2])]).expect("follows");
    }

    #[test]
    fn a_leader_that_drops() {
        for role in [RoleKind::Leader, RoleKind::Candidate] {
            let (mut cluster, mut checker) = (Cluster::of(3), LeaderAppendOnly::default());
            let node = cluster.node(1);
            node.leads(2).fill(&[1, 1, 2]);
            let mut before = node.status;
            before.role = role;
            let step = cluster.stepped_from(&mut checker, 1, &before, &[write(3, &[2])]);
            refused(step, "S1 leads, and drops its log from i3");
        }
    }
}
