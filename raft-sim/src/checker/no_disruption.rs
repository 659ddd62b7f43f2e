//! A node that cannot win does not make the others change their term (Raft thesis, 4.2.3 and 9.6).
//!
//! Two rules make that up, and a third is [`promise`](super::promise)'s: a new term begins with a
//! candidate that votes for itself; a node that asks for pre-votes starts an election only with
//! those of a quorum in this very round; and whoever has promised a leader not to vote says no. A
//! quorum that is bound to a leader and a quorum that says yes would share a node, so a leader that
//! holds its quorum keeps it.

use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use crate::checker::sight::is_quorum;
use raft_core::{Message, NodeId, RoleKind, Round, Status, Term, Verdict};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Default, Debug)]
pub(super) struct NoDisruption {
    judged: u64,
    /// The highest term that anybody had.
    highest: Term,
    /// The newest round of each node that asked, and who said yes in it.
    rounds: BTreeMap<NodeId, (Round, BTreeSet<NodeId>)>,
    /// Whom its leader asked to start an election, and in which term.
    permitted: BTreeSet<(NodeId, Term)>,
}

impl Checker for NoDisruption {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        match (sight.observed, sight.node.status) {
            // What a setup gives a node to start with was not made here.
            (Observed::Started, Some(status)) => self.highest = self.highest.max(status.term),
            (Observed::Stepped { before, .. }, Some(after)) if after.term > before.term => {
                self.new_term(after)?;
                self.starts_election(sight, before, after)?;
            }
            _ => {}
        }
        for envelope in sight.sent() {
            let (from, to) = (envelope.from, envelope.to);
            match &envelope.message {
                Message::PreVote(asked) => {
                    let (round, yes) = self.rounds.entry(from).or_default();
                    if *round != asked.round {
                        *round = asked.round;
                        yes.clear();
                    }
                }
                Message::PreVoteResponse(m) if m.verdict == Verdict::Granted => {
                    let known = self.rounds.get_mut(&to);
                    if let Some((_, yes)) = known.filter(|(round, _)| *round == m.round) {
                        yes.insert(from);
                    }
                }
                Message::TimeoutNow => {
                    self.permitted.insert((to, Term(envelope.term.get() + 1)));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl NoDisruption {
    /// A term that nobody had before.
    fn new_term(&mut self, node: &Status) -> Result<(), String> {
        if node.term <= self.highest {
            return Ok(());
        }
        self.highest = node.term;
        self.judged += 1;
        if node.voted_for == Some(node.id) {
            return Ok(());
        }
        Err(format!(
            "{:?} begins term {} as {:?}, and its vote went to {:?}",
            node.id, node.term, node.role, node.voted_for
        ))
    }

    /// From a pre-vote to an election.
    fn starts_election(
        &mut self, sight: &Sight<'_>, before: &Status, after: &Status) -> Result<(), String> {
        let starts = before.role == RoleKind::PreCandidate
            && matches!(after.role, RoleKind::Candidate | RoleKind::Leader)
            && !self.permitted.contains(&(after.id, after.term));
        if !starts {
            return Ok(());
        }
        self.judged += 1;
        let mut yes = self.rounds.get(&after.id).map(|(_, yes)| yes.clone()).unwrap_or_default();
        yes.insert(after.id);
        if is_quorum(sight.node.membership, &yes) {
            return Ok(());
        }
        Err(format!(
            "{:?} stands in term {} of {:?}, and only {yes:?} said in this round that they would \
             vote for it",
            after.id, after.term, sight.node.membership
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::NoDisruption;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::send;
    use raft_core::{
        Action, LogPosition, Message, NodeId, PreVote, PreVoteResponse, RoleKind, Round, Term,
        Verdict,
    };

    fn asks(round: u64) -> Action {
        let last = LogPosition::ZERO;
        send(1, 2, 0, Message::PreVote(PreVote { round: Round(round), last }))
    }

    fn answers(from: u64, round: u64, verdict: Verdict) -> Action {
        let last = LogPosition::ZERO;
        let response = PreVoteResponse { round: Round(round), verdict, last };
        send(from, 1, 0, Message::PreVoteResponse(response))
    }

    /// S1 of five has asked, in round 2, and these have answered.
    fn asked(answers: &[(u64, Action)]) -> (Cluster, NoDisruption) {
        let (mut cluster, mut checker) = (Cluster::of(5), NoDisruption::default());
        cluster.node(1).status.role = RoleKind::PreCandidate;
        cluster.stepped(&mut checker, 1, &[asks(1)]).expect("asks");
        cluster.stepped(&mut checker, 1, &[asks(2)]).expect("asks again");
        for (id, answer) in answers {
            cluster.stepped(&mut checker, *id, std::slice::from_ref(answer)).expect("answers");
        }
        (cluster, checker)
    }

    fn starts_election((mut cluster, mut checker): (Cluster, NoDisruption)) -> Result<(), String> {
        let node = cluster.node(1);
        let before = node.status;
        node.vote(1, 1).status.role = RoleKind::Candidate;
        cluster.stepped_from(&mut checker, 1, &before, &[])
    }

    #[test]
    fn with_the_word_of_a_quorum() {
        let yes = |id| (id, answers(id, 2, Verdict::Granted));
        starts_election(asked(&[yes(2), yes(3)])).expect("three of five");
    }

    #[test]
    fn without_it() {
        let (yes, no) = (Verdict::Granted, Verdict::LeaderAlive);
        for last in [answers(3, 1, yes), answers(3, 2, no), answers(2, 2, yes)] {
            let one = (2, answers(2, 2, yes));
            let Action::Send(envelope) = &last else { panic!("a message") };
            let history = asked(&[one, (envelope.from.get(), last.clone())]);
            refused(starts_election(history), "only {S1, S2} said in this round");
        }
    }

    #[test]
    fn when_the_leader_says_so() {
        let (mut cluster, mut checker) = asked(&[]);
        let word = send(2, 1, 0, Message::TimeoutNow);
        cluster.stepped(&mut checker, 2, &[word]).expect("it transfers leadership");
        starts_election((cluster, checker)).expect("as its leader asked");
    }

    #[test]
    fn a_term_that_begins_without_a_candidate() {
        for vote in [None, Some(NodeId(2))] {
            let (mut cluster, mut checker) = asked(&[]);
            let before = cluster.node(1).status;
            cluster.node(1).status.term = Term(1);
            cluster.node(1).status.voted_for = vote;
            let step = cluster.stepped_from(&mut checker, 1, &before, &[]);
            refused(step, "S1 begins term 1 as PreCandidate");
            cluster.node(2).status.term = Term(1);
            let step = cluster.stepped_from(&mut checker, 2, &before, &[]);
            step.expect("it heard of it");
        }
    }
}
