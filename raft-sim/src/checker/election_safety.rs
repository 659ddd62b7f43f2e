//! At most one leader can be elected in a given term (Raft paper, figure 3), by a quorum of votes
//! that are durable (5.2).

use crate::checker::sight::Checker;
use crate::checker::sight::Sight;
use crate::checker::sight::is_quorum;
use raft_core::{Message, NodeId, RoleKind, Term};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Default, Debug)]
pub(super) struct ElectionSafety {
    judged: u64,
    /// Who led a term, and in which of its lives: leadership does not survive a restart.
    leaders: BTreeMap<Term, (NodeId, u64)>,
    /// Who voted for whom, as the disks had it at any time.
    votes: BTreeMap<Term, BTreeMap<NodeId, NodeId>>,
}

impl Checker for ElectionSafety {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let node = &sight.node;
        let hard_state = node.stored.hard_state;
        if sight.shows_disk()
            && let Some(candidate) = hard_state.voted_for
        {
            let votes = self.votes.entry(hard_state.current_term).or_default();
            votes.entry(node.id).or_insert(candidate);
        }
        let leads = node.status.filter(|status| status.role == RoleKind::Leader);
        let leads = leads.map(|status| status.term);
        if let Some(term) = leads {
            self.leads(sight, term)?;
        }
        let speaks = |message: &Message| matches!(message, Message::AppendEntries(_));
        let spoken = sight.sent().filter(|envelope| speaks(&envelope.message));
        let mut others = spoken.filter(|envelope| Some(envelope.term) != leads);
        others.try_for_each(|envelope| self.leads(sight, envelope.term))
    }
}

impl ElectionSafety {
    fn leads(&mut self, sight: &Sight<'_>, term: Term) -> Result<(), String> {
        let node = &sight.node;
        match self.leaders.get(&term) {
            Some(&(id, life)) if (id, life) == (node.id, node.life) => return Ok(()),
            Some(&(id, _)) if id == node.id => {
                return Err(format!("{id:?} leads term {term} again after a restart"));
            }
            Some(&(id, _)) => {
                return Err(format!("{id:?} and {:?} both lead term {term}", node.id));
            }
            None => {}
        }
        self.judged += 1;
        self.leaders.insert(term, (node.id, node.life));
        let votes = self.votes.get(&term).into_iter().flatten();
        let given = votes.filter(|(_, candidate)| **candidate == node.id);
        let by: BTreeSet<NodeId> = given.map(|(voter, _)| *voter).collect();
        if is_quorum(node.membership, &by) {
            return Ok(());
        }
        Err(format!(
            "{:?} leads term {term} of {:?}, but only {by:?} have a durable vote for it",
            node.id, node.membership
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::ElectionSafety;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::append;
    use crate::checker::fixture::refused;
    use raft_core::{NodeId, RoleKind, Term};

    /// S1 is elected in term 1 by S2.
    fn elected() -> (Cluster, ElectionSafety) {
        let (mut cluster, mut checker) = (Cluster::of(3), ElectionSafety::default());
        for id in [1, 2] {
            cluster.node(id).vote(1, 1);
            cluster.synced(&mut checker, id).expect("a vote");
        }
        cluster.node(1).status.role = RoleKind::Leader;
        cluster.stepped(&mut checker, 1, &[]).expect("elected by two of three");
        (cluster, checker)
    }

    #[test]
    fn one_leader_goes_on() {
        let (mut cluster, mut checker) = elected();
        cluster.stepped(&mut checker, 1, &[append(1, 2, 1)]).expect("the same leader");
    }

    #[test]
    fn two_leaders_of_a_term() {
        let (mut cluster, mut checker) = elected();
        cluster.node(3).status.term = Term(1);
        cluster.node(3).status.role = RoleKind::Leader;
        refused(cluster.stepped(&mut checker, 3, &[]), "S1 and S3 both lead term 1");
    }

    #[test]
    fn a_second_leader_that_only_its_messages_betray() {
        let (mut cluster, mut checker) = elected();
        refused(cluster.stepped(&mut checker, 2, &[append(2, 3, 1)]), "S1 and S2 both lead");
    }

    #[test]
    fn a_leadership_that_survives_a_restart() {
        let (mut cluster, mut checker) = elected();
        cluster.node(1).life += 1;
        refused(cluster.started(&mut checker, 1), "again after a restart");
    }

    #[test]
    fn votes_that_do_not_make_a_quorum() {
        let (mut cluster, mut checker) = (Cluster::of(4), ElectionSafety::default());
        for id in [1, 2] {
            cluster.node(id).vote(1, 1);
            cluster.synced(&mut checker, id).expect("a vote");
        }
        cluster.node(1).status.role = RoleKind::Leader;
        refused(cluster.stepped(&mut checker, 1, &[]), "only {S1, S2} have a durable vote");
    }

    #[test]
    fn a_vote_that_is_not_durable_does_not_count() {
        let (mut cluster, mut checker) = (Cluster::of(3), ElectionSafety::default());
        cluster.node(1).vote(1, 1);
        cluster.synced(&mut checker, 1).expect("its own vote");
        cluster.node(2).status.voted_for = Some(NodeId(1));
        cluster.stepped(&mut checker, 2, &[]).expect("in memory only");
        cluster.node(1).status.role = RoleKind::Leader;
        refused(cluster.stepped(&mut checker, 1, &[]), "only {S1} have");
    }
}
