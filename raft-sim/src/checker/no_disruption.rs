//! A node that cannot win does not make the others change their term (Raft thesis, 4.2.3 and 9.6).
//!
//! Three rules make that up, and a fourth is [`promise`](super::promise)'s: whoever asks has a
//! vote; a new term begins with a candidate that votes for itself; a node that asks for pre-votes
//! starts an election only with those of a quorum in this very round, none of which is older than
//! T/2 or was followed by a no; and whoever has promised a leader not to vote says no. A quorum
//! that is bound to a leader and a quorum that says yes would share a node, so a leader that holds
//! its quorum keeps it.

use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Open;
use crate::checker::sight::Sight;
use crate::checker::sight::is_quorum;
use raft_core::{
    Envelope, Input, Instant, Message, NodeId, RoleKind, Round, Status, Term, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Clone, Default, Debug)]
pub(super) struct NoDisruption {
    judged: u64,
    /// The highest term that anybody had.
    highest: Term,
    /// The newest round of each node that asked, in this life.
    rounds: BTreeMap<NodeId, Asked>,
    /// What each node takes the time for: what its clock shows, but never back.
    times: BTreeMap<NodeId, Instant>,
    /// Whom its leader asked to start an election, and in which term.
    permitted: BTreeSet<(NodeId, Term)>,
}

/// A round of pre-votes.
#[derive(Clone, Default, Debug)]
struct Asked {
    round: Round,
    /// Who said yes.
    yes: BTreeSet<NodeId>,
    /// When that was last taken in, by the clock of the node that asked.
    taken: BTreeMap<NodeId, Instant>,
    /// Of whom a no was taken in: what it says after that may have been said before.
    no: BTreeSet<NodeId>,
}

impl Checker for NoDisruption {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let id = sight.node.id;
        match (sight.observed, sight.step()) {
            (Observed::Started | Observed::Crashed, _) => {
                self.rounds.remove(&id);
                self.times.remove(&id);
            }
            (_, Some((before, after))) => {
                let time = self.times.entry(id).or_default();
                *time = sight.node.local.max(*time);
                self.hear(sight, before);
                self.asks(sight, before, after)?;
            }
            _ => {}
        }
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
                    let known = self.rounds.entry(from).or_default();
                    if known.round != asked.round {
                        *known = Asked { round: asked.round, ..Asked::default() };
                    }
                }
                Message::PreVoteResponse(m) if m.verdict == Verdict::Granted => {
                    let known = self.rounds.get_mut(&to);
                    if let Some(asked) = known.filter(|asked| asked.round == m.round) {
                        asked.yes.insert(from);
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
    fn now(&self, id: NodeId) -> Instant {
        self.times.get(&id).copied().unwrap_or_default()
    }

    /// What comes back from those whom it has asked.
    fn hear(&mut self, sight: &Sight<'_>, before: &Status) {
        let now = self.now(sight.node.id);
        let Some(asked) = self.rounds.get_mut(&sight.node.id) else { return };
        for input in sight.inputs() {
            let Input::Message(Envelope { from, term, message, .. }) = input else { continue };
            let Message::PreVoteResponse(m) = message else { continue };
            if m.round != asked.round || before.role != RoleKind::PreCandidate {
                continue;
            }
            if m.verdict == Verdict::Granted {
                asked.taken.insert(*from, now);
            } else if *term <= before.term && sight.node.membership.is_voter(*from) {
                asked.no.insert(*from);
            }
        }
    }

    /// Whoever asks for votes has one, by a membership that is settled.
    fn asks(&mut self, sight: &Sight<'_>, before: &Status, after: &Status) -> Result<(), String> {
        let asks = |s: &Status| matches!(s.role, RoleKind::PreCandidate | RoleKind::Candidate);
        let is_settled = !before.membership_changes && !after.membership_changes;
        if asks(before) || !asks(after) || !is_settled {
            return Ok(());
        }
        self.judged += 1;
        let membership = sight.node.membership;
        if membership.is_voter(after.id) {
            return Ok(());
        }
        Err(format!("{:?} asks for votes, and has none in {membership:?}", after.id))
    }

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
        &mut self,
        sight: &Sight<'_>,
        before: &Status,
        after: &Status,
    ) -> Result<(), String> {
        let starts = before.role == RoleKind::PreCandidate
            && matches!(after.role, RoleKind::Candidate | RoleKind::Leader)
            && !self.permitted.contains(&(after.id, after.term));
        if !starts {
            return Ok(());
        }
        self.judged += 1;
        let (now, config) = (self.now(after.id), sight.node.node.map(Open::config));
        let half = config.map_or(Duration::MAX, |config| config.election_timeout / 2);
        let mut yes = BTreeSet::from([after.id]);
        if let Some(asked) = self.rounds.get(&after.id) {
            let taken = asked.taken.iter().filter(|(_, at)| now.saturating_since(**at) < half);
            let fresh = taken.map(|(id, _)| *id);
            yes.extend(fresh.filter(|id| asked.yes.contains(id) && !asked.no.contains(id)));
        }
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
    use crate::checker::fixture::taken;
    use raft_core::{
        Action, Config, Instant, LogPosition, Membership, Message, NodeId, PreVote,
        PreVoteResponse, RoleKind, Round, Term, Verdict,
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
            cluster.takes(&mut checker, 1, &[taken(answer.clone())], &[]).expect("hears it");
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
    fn with_a_yes_that_a_no_has_followed_or_that_is_too_old() {
        let (yes, no) = (Verdict::Granted, Verdict::LeaderAlive);
        for [first, then] in [[yes, no], [no, yes]] {
            let of = |verdict| (3, answers(3, 2, verdict));
            let history = asked(&[(2, answers(2, 2, yes)), of(first), of(then)]);
            refused(starts_election(history), "only {S1, S2} said in this round");
        }
        let both = || asked(&[(2, answers(2, 2, yes)), (3, answers(3, 2, yes))]);
        for (millis, holds) in [(499, true), (500, false)] {
            let mut history = both();
            // T is 1 s. What has passed counts for nothing where the clock does not show it.
            let node = history.0.node(1).configured(Config::new(NodeId(1), 1));
            (node.clock, node.local) = (9_000_000_000, Instant::from_nanos(millis * 1_000_000));
            assert_eq!(starts_election(history).is_ok(), holds, "after {millis} ms");
        }
    }

    #[test]
    fn a_node_without_a_vote_that_asks_for_one() {
        let voters = Membership::new([NodeId(2), NodeId(3)], [], [NodeId(1)]).expect("a learner");
        for changes in [false, true] {
            let (mut cluster, mut checker) = (Cluster::of(3), NoDisruption::default());
            let node = cluster.node(1);
            node.membership = voters.clone();
            node.status.membership_changes = changes;
            let before = node.status;
            node.status.role = RoleKind::PreCandidate;
            let step = cluster.stepped_from(&mut checker, 1, &before, &[]);
            // One that is not settled may come to nothing.
            assert_eq!(step.is_ok(), changes, "{step:?}");
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
