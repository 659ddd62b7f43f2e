//! Terms only grow, and a node votes once in a term, first come, first served, across crashes too
//! (Raft paper, 5.1, 5.2 and 5.4.1; N11).
//!
//! Three sources are compared: what the node says of itself, what its disk holds, and what it has
//! sent others. Only the last two outlive a crash.

use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use raft_core::{HardState, Message, NodeId, Status, Term, Verdict};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct TermAndVote {
    judged: u64,
    /// What each disk held last.
    durable: BTreeMap<NodeId, HardState>,
    /// The greatest term that each node has sent.
    spoken: BTreeMap<NodeId, Term>,
    /// To whom each node gave its vote of a term, by its own messages.
    given: BTreeMap<(NodeId, Term), NodeId>,
}

impl Checker for TermAndVote {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        if sight.shows_disk() {
            self.disk(sight)?;
        }
        if let (Observed::Started, Some(status)) = (sight.observed, sight.node.status) {
            self.recovered(sight, status)?;
        }
        if let Some((before, after)) = sight.step() {
            memory(before, after)?;
        }
        self.messages(sight)
    }
}

/// Within one life.
fn memory(before: &Status, after: &Status) -> Result<(), String> {
    let id = after.id;
    if after.term < before.term {
        return Err(format!("the term of {id:?} goes back from {} to {}", before.term, after.term));
    }
    if after.term == before.term && before.voted_for.is_some_and(|v| after.voted_for != Some(v)) {
        return Err(format!(
            "{id:?} changes its vote of term {} from {:?} to {:?}",
            after.term, before.voted_for, after.voted_for
        ));
    }
    Ok(())
}

impl TermAndVote {
    fn disk(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let (id, now) = (sight.node.id, sight.node.stored.hard_state);
        self.judged += 1;
        let before = self.durable.insert(id, now).unwrap_or_default();
        if now.current_term < before.current_term {
            let (from, to) = (before.current_term, now.current_term);
            return Err(format!("the durable term of {id:?} goes back from {from} to {to}"));
        }
        let same_term = now.current_term == before.current_term;
        if same_term && before.voted_for.is_some() && before.voted_for != now.voted_for {
            let (term, from, to) = (now.current_term, before.voted_for, now.voted_for);
            return Err(format!(
                "the durable vote of {id:?} in term {term} changes from {from:?} to {to:?}"
            ));
        }
        Ok(())
    }

    fn recovered(&self, sight: &Sight<'_>, status: &Status) -> Result<(), String> {
        let (id, disk) = (sight.node.id, sight.node.stored.hard_state);
        if (status.term, status.voted_for) != (disk.current_term, disk.voted_for) {
            return Err(format!(
                "{id:?} starts in term {} with its vote for {:?}, and its disk holds {disk:?}",
                status.term, status.voted_for
            ));
        }
        match self.spoken.get(&id) {
            Some(spoken) if *spoken > status.term => Err(format!(
                "{id:?} starts in term {}, and has sent messages of term {spoken}",
                status.term
            )),
            _ => Ok(()),
        }
    }

    fn messages(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let (id, mut newest) = (sight.node.id, Term::ZERO);
        for envelope in sight.sent() {
            let term = envelope.term;
            if envelope.from != id {
                return Err(format!("{id:?} sends in the name of {:?}", envelope.from));
            }
            newest = term.max(newest);
            let candidate = match &envelope.message {
                Message::RequestVote(_) => id,
                Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => envelope.to,
                _ => continue,
            };
            let given = *self.given.entry((id, term)).or_insert(candidate);
            if given != candidate {
                return Err(format!("{id:?} votes for {given:?} and {candidate:?} in term {term}"));
            }
        }
        if newest > Term::ZERO {
            let spoken = self.spoken.entry(id).or_default();
            *spoken = newest.max(*spoken);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::TermAndVote;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::append;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::request_vote;
    use crate::checker::fixture::vote;
    use raft_core::{NodeId, Term, Verdict};

    /// S1 has voted for S2 in term 3, durably, and said so.
    fn voted() -> (Cluster, TermAndVote) {
        let (mut cluster, mut checker) = (Cluster::of(3), TermAndVote::default());
        cluster.node(1).vote(3, 2);
        cluster.synced(&mut checker, 1).expect("a vote");
        let granted = vote(1, 2, 3, Verdict::Granted);
        cluster.stepped(&mut checker, 1, &[granted]).expect("the first vote of the term");
        (cluster, checker)
    }

    #[test]
    fn a_vote_may_be_repeated_and_the_next_term_has_its_own() {
        let (mut cluster, mut checker) = voted();
        let again = [vote(1, 2, 3, Verdict::Granted), vote(1, 3, 3, Verdict::AlreadyVoted)];
        cluster.stepped(&mut checker, 1, &again).expect("the same vote");
        cluster.started(&mut checker, 1).expect("as the disk has it");
        let before = cluster.node(1).status;
        cluster.node(1).vote(4, 3);
        let next = [vote(1, 3, 4, Verdict::Granted)];
        cluster.stepped_from(&mut checker, 1, &before, &next).expect("another term");
    }

    #[test]
    fn a_second_vote_by_message() {
        let (mut cluster, mut checker) = voted();
        let step = cluster.stepped(&mut checker, 1, &[vote(1, 3, 3, Verdict::Granted)]);
        refused(step, "S1 votes for S2 and S3 in term 3");
        let (mut cluster, mut checker) = voted();
        let step = cluster.stepped(&mut checker, 1, &[request_vote(1, 3, 3)]);
        refused(step, "S1 votes for S2 and S1 in term 3");
    }

    #[test]
    fn a_vote_or_a_term_that_changes_in_memory() {
        let (mut cluster, mut checker) = voted();
        let before = cluster.node(1).status;
        cluster.node(1).status.voted_for = None;
        let step = cluster.stepped_from(&mut checker, 1, &before, &[]);
        refused(step, "S1 changes its vote of term 3");
        cluster.node(1).status.term = Term(2);
        refused(cluster.stepped_from(&mut checker, 1, &before, &[]), "goes back from 3 to 2");
    }

    #[test]
    fn a_disk_that_forgets() {
        let (mut cluster, mut checker) = voted();
        cluster.node(1).stored.hard_state.voted_for = None;
        refused(cluster.synced(&mut checker, 1), "in term 3 changes from Some(S2) to None");

        let (mut cluster, mut checker) = voted();
        cluster.node(1).stored.hard_state.current_term = Term(2);
        refused(cluster.synced(&mut checker, 1), "durable term of S1 goes back from 3 to 2");
    }

    #[test]
    fn a_start_that_is_not_what_the_disk_holds_or_what_was_said() {
        let (mut cluster, mut checker) = voted();
        cluster.node(1).status.voted_for = Some(NodeId(3));
        refused(cluster.started(&mut checker, 1), "S1 starts in term 3 with its vote for Some(S3)");

        let (mut cluster, mut checker) = voted();
        cluster.stepped(&mut checker, 1, &[append(1, 2, 5)]).expect("gating is another's");
        refused(
            cluster.started(&mut checker, 1),
            "starts in term 3, and has sent messages of term 5",
        );
    }

    #[test]
    fn a_borrowed_name() {
        let (mut cluster, mut checker) = voted();
        let step = cluster.stepped(&mut checker, 1, &[append(2, 3, 3)]);
        refused(step, "S1 sends in the name of S2");
    }
}
