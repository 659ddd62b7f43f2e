//! If an entry is committed in a given term, then it is present in the logs of the leaders of all
//! higher-numbered terms (Raft paper, figure 3).
//!
//! Checked from both ends: a new leader against what is committed already, and a position that is
//! committed late, by a leader who does not know yet that its term is over, against the leaders
//! that came after it.

use crate::checker::sight::Checker;
use crate::checker::sight::Sight;
use crate::host::log::Log;
use raft_core::{LogPosition, NodeId, RoleKind, Term};
use std::collections::BTreeMap;
use std::ops::Bound;

#[derive(Clone, Default, Debug)]
pub(super) struct LeaderCompleteness {
    judged: u64,
    /// The last position that a node of each term knew to be committed. As logs match, it stands
    /// for all before it.
    committed: BTreeMap<Term, LogPosition>,
    /// Every leader with its log at its election, as the last position of each term in it.
    leaders: BTreeMap<Term, (NodeId, Spans)>,
}

impl Checker for LeaderCompleteness {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let Some(status) = sight.node.status else { return Ok(()) };
        if status.role == RoleKind::Leader && !self.leaders.contains_key(&status.term) {
            self.elected(sight.node.id, status.term, sight.node.log)?;
        }
        let last = sight.committed().next_back();
        match last.and_then(|index| sight.node.log.position(index)) {
            Some(position) => self.committed(position, status.term),
            None => Ok(()),
        }
    }
}

impl LeaderCompleteness {
    fn elected(&mut self, leader: NodeId, term: Term, log: &Log) -> Result<(), String> {
        let spans = (log.start(), log.ends_of_runs().collect());
        let earlier = self.committed.range(..term);
        self.judged += u64::from(earlier.clone().next().is_some());
        if let Some((known, missing)) = earlier.rev().find(|(_, p)| !contains(&spans, **p)) {
            return Err(missing_in(leader, term, *missing, *known));
        }
        self.leaders.insert(term, (leader, spans));
        Ok(())
    }

    fn committed(&mut self, position: LogPosition, term: Term) -> Result<(), String> {
        let last = self.committed.entry(term).or_insert(position);
        if position.index > last.index {
            *last = position;
        }
        let mut later = self.leaders.range((Bound::Excluded(term), Bound::Unbounded));
        match later.find(|(_, (_, spans))| !contains(spans, position)) {
            Some((later, (leader, _))) => Err(missing_in(*leader, *later, position, term)),
            None => Ok(()),
        }
    }
}

fn missing_in(leader: NodeId, term: Term, missing: LogPosition, known: Term) -> String {
    format!(
        "{leader:?} was elected in term {term} without {missing}, which is committed in \
         term {known}"
    )
}

/// What a log starts after, and the last position of each term in it.
type Spans = (LogPosition, Vec<LogPosition>);

fn contains((start, spans): &Spans, position: LogPosition) -> bool {
    // What a snapshot covers, it holds: that is another checker's.
    if position.index < start.index || position == *start {
        return true;
    }
    let span = spans.iter().find(|last| last.index >= position.index);
    span.is_some_and(|last| last.term == position.term)
}

#[cfg(test)]
mod tests {
    use super::LeaderCompleteness;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::refused;

    /// S1 leads term 2 and commits its first three entries.
    fn committed() -> (Cluster, LeaderCompleteness) {
        let (mut cluster, mut checker) = (Cluster::of(3), LeaderCompleteness::default());
        let node = cluster.node(1);
        node.leads(2).fill(&[1, 1, 2, 2]);
        let before = node.status;
        node.commits(3);
        cluster.stepped_from(&mut checker, 1, &before, &[]).expect("the first commit");
        (cluster, checker)
    }

    #[test]
    fn a_leader_that_holds_what_is_committed() {
        let (mut cluster, mut checker) = committed();
        cluster.node(2).leads(3).fill(&[1, 1, 2]);
        cluster.stepped(&mut checker, 2, &[]).expect("it lacks only what is not committed");
    }

    #[test]
    fn a_leader_that_lacks_it() {
        for log in [&[1, 1][..], &[1, 1, 1], &[1, 1, 3, 3]] {
            let (mut cluster, mut checker) = committed();
            cluster.node(2).leads(4).fill(log);
            refused(cluster.stepped(&mut checker, 2, &[]), "in term 4 without 2/3");
        }
    }

    #[test]
    fn a_leader_of_an_earlier_term_that_is_seen_late() {
        let (mut cluster, mut checker) = committed();
        cluster.node(2).leads(1).fill(&[1, 1]);
        cluster.stepped(&mut checker, 2, &[]).expect("nothing was committed in term 0");
    }

    #[test]
    fn a_commit_that_comes_after_the_election_of_a_later_leader() {
        let (mut cluster, mut checker) = committed();
        cluster.node(2).leads(3).fill(&[1, 1, 2]);
        cluster.stepped(&mut checker, 2, &[]).expect("it holds what is committed");
        let before = cluster.node(1).status;
        cluster.node(1).commits(4);
        let step = cluster.stepped_from(&mut checker, 1, &before, &[]);
        refused(step, "S2 was elected in term 3 without 2/4");
    }
}
