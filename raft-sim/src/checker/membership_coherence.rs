//! Memberships change one step at a time, and by joint consensus: each one in a log either repeats the
//! one before it, or is the joint one on the way to another, or is what a joint one leads to. So any
//! two memberships that can be in force at one time share a quorum (Raft paper, 6; thesis, 4.3). A
//! change begins only when the one before it is committed.

use super::{Checker, Happening, Sight};
use raft_core::payload::Content;
use raft_core::{Action, LogIndex, LogPosition, Membership, RoleKind};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct MembershipCoherence {
    /// Every membership entry that was ever seen.
    seen: BTreeMap<LogPosition, Membership>,
}

impl Checker for MembershipCoherence {
    fn name(&self) -> &'static str {
        "membership_coherence"
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let wrote = sight.actions().iter().any(|action| match action {
            Action::Persist(write) => write.log.is_some(),
            _ => false,
        });
        if !wrote && !matches!(sight.happening, Happening::Started) {
            return Ok(());
        }
        let (id, log) = (sight.node.id, sight.node.log);
        let image = sight.node.stored.snapshot.as_ref().filter(|_| log.start().index.get() > 0);
        let mut before = image
            .filter(|image| image.snapshot.position == log.start())
            .map(|image| image.snapshot.membership.clone());
        let mut entries = Vec::new();
        for (position, entry) in log.iter() {
            let Content::Membership(membership) = &entry.content else { continue };
            entries.push(position.index);
            let known = self.seen.insert(position, (**membership).clone()).is_some();
            if let Some(before) = before.filter(|before| !known && !follows(before, membership)) {
                return Err(format!(
                    "{id:?} holds {membership:?} at {position}, straight after {before:?}"
                ));
            }
            before = Some((**membership).clone());
        }
        match before {
            Some(last) if last != *sight.node.membership && sight.is_whole() => Err(format!(
                "{id:?} acts by {:?}, and the last one in its log is {last:?}",
                sight.node.membership
            )),
            _ => open_changes(sight, &entries),
        }
    }
}

/// A leader appends no membership while one of its term is not committed.
fn open_changes(sight: &Sight<'_>, entries: &[LogIndex]) -> Result<(), String> {
    let log = sight.node.log;
    let leads = sight.node.status.filter(|status| status.role == RoleKind::Leader);
    let Some(leader) = leads else { return Ok(()) };
    let own = |index: LogIndex| log.position(index).is_some_and(|p| p.term == leader.term);
    let open = entries.iter().filter(|index| **index > leader.commit_index && own(**index));
    if open.count() <= 1 {
        return Ok(());
    }
    Err(format!(
        "{:?} has two membership entries of its term that are not committed",
        sight.node.id
    ))
}

fn follows(before: &Membership, after: &Membership) -> bool {
    let repeats = before == after;
    let joins = !before.is_joint() && after.outgoing() == before.voters();
    let leaves = before.is_joint()
        && !after.is_joint()
        && after.voters() == before.voters()
        && after.learners() == before.learners();
    repeats || joins || leaves
}

#[cfg(test)]
mod tests {
    use super::MembershipCoherence;
    use crate::checker::fixture::{Cluster, refused, write};
    use crate::log::Entry;
    use raft_core::payload::Content;
    use raft_core::{Membership, NodeId, Term};

    fn of(voters: &[u64], outgoing: &[u64]) -> Membership {
        let ids = |ids: &[u64]| ids.iter().map(|id| NodeId(*id)).collect::<Vec<_>>();
        Membership::new(ids(voters), ids(outgoing), []).expect("valid")
    }

    fn holds(terms: &[u64], memberships: &[Membership], commit: u64) -> Result<(), String> {
        let (mut cluster, mut checker) = (Cluster::of(3), MembershipCoherence::default());
        let node = cluster.node(1).leads(*terms.last().expect("some")).commits(commit);
        for (term, membership) in terms.iter().zip(memberships) {
            let content = Content::Membership(Box::new(membership.clone()));
            node.log.push(Entry { term: Term(*term), content });
            node.membership = membership.clone();
        }
        cluster.stepped(&mut checker, 1, &[write(1, terms)])
    }

    #[test]
    fn through_a_joint_one() {
        let path = [of(&[1, 2, 3], &[]), of(&[1, 4], &[1, 2, 3]), of(&[1, 4], &[])];
        holds(&[1, 1, 1], &path, 2).expect("joint consensus");
        holds(&[1, 2, 2], &[path[0].clone(), path[0].clone(), path[1].clone()], 2)
            .expect("repeats");
    }

    #[test]
    fn at_once_or_by_a_wrong_way() {
        let all = of(&[1, 2, 3], &[]);
        refused(holds(&[1, 1], &[all.clone(), of(&[1, 4], &[])], 1), "straight after");
        refused(holds(&[1, 1], &[all.clone(), of(&[1, 4], &[1, 2])], 1), "straight after");
        let joint = of(&[1, 4], &[1, 2, 3]);
        refused(holds(&[1, 1, 1], &[all, joint, of(&[1, 5], &[])], 2), "straight after");
    }

    #[test]
    fn two_at_a_time() {
        let path = [of(&[1, 2, 3], &[]), of(&[1, 4], &[1, 2, 3]), of(&[1, 4], &[])];
        refused(holds(&[1, 1, 1], &path, 1), "two membership entries of its term");
    }

    #[test]
    fn a_node_that_acts_by_another_one() {
        let (mut cluster, mut checker) = (Cluster::of(3), MembershipCoherence::default());
        let content = Content::Membership(Box::new(of(&[1, 2], &[])));
        cluster.node(1).log.push(Entry { term: Term(1), content });
        refused(cluster.started(&mut checker, 1), "the last one in its log is [S1, S2]");
    }
}
