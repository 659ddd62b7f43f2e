//! Memberships change one step at a time, and by joint consensus: each one in a log either repeats
//! the one before it, or is the joint one on the way to another, or is what a joint one leads to.
//! So any two memberships that can be in force at one time share a quorum (Raft paper, 6; thesis,
//! 4.3). A change begins only when the one before it is committed. And a leader leaves a joint
//! membership when that is committed: while there is one, two quorums must agree.

use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use raft_core::payload::Content;
use raft_core::{Action, LogIndex, LogPosition, Membership, NodeId, RoleKind};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Default, Debug)]
pub(super) struct MembershipCoherence {
    judged: u64,
    /// The membership entries of each log, and where that log started.
    logs: BTreeMap<NodeId, (LogPosition, Vec<(LogPosition, Membership)>)>,
    /// Every membership entry that was ever judged.
    seen: BTreeSet<LogPosition>,
}

impl Checker for MembershipCoherence {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        self.is_left(sight)?;
        let written = sight.actions().iter().filter_map(|action| match action {
            Action::Persist(write) => write.log.as_ref().map(|log| log.first),
            _ => None,
        });
        let first = match sight.observed {
            Observed::Started => Some(LogIndex(1)),
            _ => written.min(),
        };
        let Some(first) = first else { return Ok(()) };
        self.learn(sight, first)?;
        let (_, entries) = &self.logs[&sight.node.id];
        let last = entries.last().map(|(_, last)| last).or_else(|| covered(sight));
        match last {
            Some(last) if last != sight.node.membership && sight.is_whole() => Err(format!(
                "{:?} acts by {:?}, and the last one in its log is {last:?}",
                sight.node.id, sight.node.membership
            )),
            _ => self.open_changes(sight),
        }
    }
}

/// The membership that was in force where the log starts, if a snapshot says it.
fn covered<'a>(sight: &Sight<'a>) -> Option<&'a Membership> {
    let (log, image) = (sight.node.log, sight.node.stored.snapshot.as_ref()?);
    let starts_there = log.start().index.get() > 0 && image.snapshot.position == log.start();
    starts_there.then_some(&image.snapshot.membership)
}

impl MembershipCoherence {
    /// A leader that has all of its log committed, and something of its term, acts by no joint
    /// membership any more, unless it transfers leadership: what it appends to leave it is not
    /// committed yet.
    fn is_left(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let membership = sight.node.membership;
        let whole = sight.step().filter(|_| sight.is_whole() && !membership.outgoing().is_empty());
        let Some((_, after)) = whole else { return Ok(()) };
        self.judged += 1;
        let all = after.commit_index == after.last.index && after.last.term == after.term;
        if after.role == RoleKind::Leader && all && after.transfers_to.is_none() {
            return Err(format!("{:?} has committed {membership:?}, and stays in it", after.id));
        }
        Ok(())
    }

    /// Takes in what a log holds from an index on.
    fn learn(&mut self, sight: &Sight<'_>, first: LogIndex) -> Result<(), String> {
        let (id, log) = (sight.node.id, sight.node.log);
        let (start, entries) = self.logs.entry(id).or_default();
        // A log that starts elsewhere, or does not hold what was written, is read as a whole.
        let goes_on = *start == log.start() && log.get(first).is_some();
        let first = if goes_on { first } else { LogIndex(1) };
        *start = log.start();
        entries.retain(|(position, _)| position.index < first);
        for (position, entry) in log.from(first) {
            let Content::Membership(membership) = &entry.content else { continue };
            let before = entries.last().map(|(_, last)| last).or_else(|| covered(sight)).cloned();
            entries.push((position, (**membership).clone()));
            if !self.seen.insert(position) {
                continue;
            }
            let Some(before) = before else { continue };
            self.judged += 1;
            if !follows(&before, membership) {
                return Err(format!(
                    "{id:?} holds {membership:?} at {position}, straight after {before:?}"
                ));
            }
        }
        Ok(())
    }

    /// A leader appends no membership while one of its term is not committed.
    fn open_changes(&self, sight: &Sight<'_>) -> Result<(), String> {
        let leads = sight.node.status.filter(|status| status.role == RoleKind::Leader);
        let Some(leader) = leads else { return Ok(()) };
        let (_, entries) = &self.logs[&sight.node.id];
        let open = entries.iter().filter(|(position, _)| {
            position.index > leader.commit_index && position.term == leader.term
        });
        if open.count() <= 1 {
            return Ok(());
        }
        Err(format!(
            "{:?} has two membership entries of its term that are not committed",
            sight.node.id
        ))
    }
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
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::write;
    use crate::host::log::Entry;
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
    fn a_joint_one_that_is_committed_is_left() {
        let says = |commit, transfers_to| {
            let mut cluster = Cluster::of(3);
            let node = cluster.node(1).leads(1).fill(&[1, 1]).commits(commit);
            node.membership = of(&[1, 4], &[1, 2, 3]);
            node.status.transfers_to = transfers_to;
            cluster.stepped(&mut MembershipCoherence::default(), 1, &[])
        };
        refused(says(2, None), "and stays in it");
        says(1, None).expect("it is not committed, or what leaves it is not");
        says(2, Some(NodeId(4))).expect("who takes over must not be left behind");
    }

    #[test]
    fn a_node_that_acts_by_another_one() {
        let (mut cluster, mut checker) = (Cluster::of(3), MembershipCoherence::default());
        let content = Content::Membership(Box::new(of(&[1, 2], &[])));
        cluster.node(1).log.push(Entry { term: Term(1), content });
        refused(cluster.started(&mut checker, 1), "the last one in its log is [S1, S2]");
    }
}
