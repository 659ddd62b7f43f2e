//! A leader commits only an entry of its own term by counting (Raft paper, 5.4.2; figure 8), and
//! only when it is durable on a quorum; nobody else commits what no leader has. No commit index
//! goes back.

use crate::checker::by_index::ByIndex;
use crate::checker::sight::Checker;
use crate::checker::sight::Sight;
use crate::checker::sight::is_quorum;
use raft_core::{LogPosition, RoleKind, Status};
use std::collections::BTreeSet;

#[derive(Clone, Default, Debug)]
pub(super) struct CommitQuorum {
    judged: u64,
    /// What leaders have committed.
    committed: ByIndex<LogPosition>,
}

impl Checker for CommitQuorum {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        if let Some((before, after)) = sight.step() {
            if after.commit_index < before.commit_index {
                let (id, from, to) = (sight.node.id, before.commit_index, after.commit_index);
                return Err(format!(
                    "the commit index of {id:?} goes back from {from:?} to {to:?}"
                ));
            }
            if after.commit_index > before.commit_index && after.role == RoleKind::Leader {
                self.leader_commits(sight, after)?;
            }
        }
        self.must_be_known(sight)
    }
}

impl CommitQuorum {
    fn leader_commits(&mut self, sight: &Sight<'_>, leader: &Status) -> Result<(), String> {
        let node = &sight.node;
        let Some(position) = node.log.position(leader.commit_index) else {
            let (id, index) = (node.id, leader.commit_index);
            return Err(format!("{id:?} commits {index:?}, which is beyond its log"));
        };
        if position.term != leader.term {
            return Err(format!(
                "{:?} commits {position} of an earlier term by counting, in term {}",
                node.id, leader.term
            ));
        }
        self.judged += 1;
        let views = sight.cluster.views().into_iter();
        let holders = views.filter(|view| view.stored.covers(position));
        let holders: BTreeSet<_> = holders.map(|view| view.id).collect();
        if !is_quorum(node.membership, &holders) {
            return Err(format!(
                "{:?} commits {position}, which of {:?} only {holders:?} have on their disks",
                node.id, node.membership
            ));
        }
        // Of what the leader's snapshot covers nothing is known here, if nobody saw it committed.
        let new = node.log.from(self.committed.end()).map(|(position, _)| position);
        for new in new.take_while(|new| new.index <= position.index) {
            self.committed.insert(new.index, new);
        }
        Ok(())
    }

    /// What a node counts as committed is what leaders have committed.
    fn must_be_known(&self, sight: &Sight<'_>) -> Result<(), String> {
        let node = &sight.node;
        for index in sight.committed() {
            let known = self.committed.get(index).copied();
            let held = node.log.position(index);
            if known.is_none() || known != held {
                return Err(format!(
                    "{:?} counts {index:?} as committed and holds {held:?} there; leaders have \
                     committed {known:?}",
                    node.id
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::CommitQuorum;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::refused;

    /// S1 leads term 2 and has committed three entries, which S2 holds, too.
    fn committed() -> (Cluster, CommitQuorum) {
        let (mut cluster, mut checker) = (Cluster::of(3), CommitQuorum::default());
        cluster.node(2).fill(&[1, 1, 2]).durable_log();
        cluster.node(1).leads(2).fill(&[1, 1, 2, 2]).durable_log();
        commits(&mut cluster, &mut checker, 1, 3).expect("on two disks of three");
        (cluster, checker)
    }

    fn commits(
        cluster: &mut Cluster,
        checker: &mut CommitQuorum,
        id: u64,
        index: u64,
    ) -> Result<(), String> {
        let before = cluster.node(id).status;
        cluster.node(id).commits(index);
        cluster.stepped_from(checker, id, &before, &[])
    }

    #[test]
    fn a_follower_commits_what_its_leader_has() {
        let (mut cluster, mut checker) = committed();
        commits(&mut cluster, &mut checker, 2, 2).expect("known");
        commits(&mut cluster, &mut checker, 2, 3).expect("known");
        cluster.started(&mut checker, 2).expect("known after a restart");
    }

    #[test]
    fn too_few_disks() {
        let (mut cluster, mut checker) = committed();
        cluster.node(2).fill(&[1, 1, 2, 2]);
        let step = commits(&mut cluster, &mut checker, 1, 4);
        refused(step, "commits 2/4, which of [S1, S2, S3] only {S1}");
    }

    #[test]
    fn half_of_an_even_number_is_no_quorum() {
        let (mut cluster, mut checker) = (Cluster::of(4), CommitQuorum::default());
        cluster.node(2).fill(&[2]).durable_log();
        cluster.node(1).leads(2).fill(&[2]).durable_log();
        refused(commits(&mut cluster, &mut checker, 1, 1), "only {S1, S2}");
    }

    #[test]
    fn an_entry_of_an_earlier_term_by_counting() {
        let (mut cluster, mut checker) = (Cluster::of(3), CommitQuorum::default());
        for id in [2, 3] {
            cluster.node(id).fill(&[1, 1]).durable_log();
        }
        cluster.node(1).leads(4).fill(&[1, 1, 4]).durable_log();
        let step = commits(&mut cluster, &mut checker, 1, 2);
        refused(step, "commits 1/2 of an earlier term by counting, in term 4");
    }

    #[test]
    fn a_follower_that_commits_too_much_or_something_else() {
        let (mut cluster, mut checker) = committed();
        cluster.node(2).fill(&[1, 1, 2, 2]);
        let step = commits(&mut cluster, &mut checker, 2, 4);
        refused(step, "S2 counts i4 as committed and holds Some(2/4)");

        let (mut cluster, mut checker) = committed();
        cluster.node(3).fill(&[1, 1, 1]);
        let step = commits(&mut cluster, &mut checker, 3, 3);
        refused(step, "leaders have committed Some(2/3)");

        let (mut cluster, mut checker) = committed();
        let step = commits(&mut cluster, &mut checker, 3, 1);
        refused(step, "holds None there");
    }

    #[test]
    fn a_commit_index_that_goes_back() {
        let (mut cluster, mut checker) = committed();
        refused(commits(&mut cluster, &mut checker, 1, 2), "goes back from i3 to i2");
    }

    #[test]
    fn a_recovered_commit_index_that_nobody_ever_had() {
        let (mut cluster, mut checker) = committed();
        cluster.node(2).fill(&[1, 1, 2, 2]).commits(4);
        refused(cluster.started(&mut checker, 2), "S2 counts i4 as committed");
    }
}
