//! A node that promised a lease to a leader votes for nobody else until it is over, its own
//! candidacy included, whatever happens to it meanwhile.
//!
//! The promise is `promised` after the leader sent the probe, by the clock of the node that gave
//! it: what that clock showed at the moment of the sending is seen from outside.

use crate::checker::claims::Claims;
use crate::checker::sight::Checker;
use crate::checker::sight::Sight;
use crate::plan::choice::nanos;
use raft_core::{Envelope, NodeId, Permit, Round, Term};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

#[derive(Clone, Default, Debug)]
pub(super) struct Promise {
    judged: u64,
    /// What the receiver's clock showed when a probe was sent to it.
    probes: BTreeMap<(NodeId, NodeId), VecDeque<(Round, u64)>>,
    /// The longest lease that anybody ever asked for or promised.
    longest: Duration,
    /// Until when, by its own clock, each node may vote only for whom, and the term of that leader.
    promises: BTreeMap<(NodeId, NodeId), (u64, Term)>,
    /// Which candidate of a term has a permit, and from which leader of the previous term.
    permits: BTreeMap<(NodeId, Term), NodeId>,
    /// Who transferred leadership in which term: it counts on no promise of that term any more.
    handed_over: BTreeSet<(NodeId, Term)>,
    /// The terms of which a leader has spoken, and who that is.
    led: BTreeSet<(Term, NodeId)>,
}

impl Checker for Promise {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        for envelope in sight.sent() {
            self.claims(sight, envelope)?;
        }
        if sight.shows_disk() {
            self.survives(sight)?;
        }
        Ok(())
    }
}

impl Promise {
    fn claims(&mut self, sight: &Sight<'_>, envelope: &Envelope) -> Result<(), String> {
        let (from, to, term) = (envelope.from, envelope.to, envelope.term);
        let claims = Claims::of(envelope);
        if claims.appends {
            self.led.insert((term, from));
        }
        if let Some(probe) = claims.probe
            && let Some(receiver) = sight.cluster.view(to)
        {
            self.longest = self.longest.max(probe.lease);
            self.probe((from, to), probe.round, receiver.clock);
        }
        if let Some(echo) = claims.echo
            && let Some(sent) = self.sent_at((to, from), echo.round)
        {
            self.longest = self.longest.max(echo.promised);
            let (until, of) = self.promises.entry((from, to)).or_default();
            *until = sent.saturating_add(nanos(echo.promised)).max(*until);
            *of = term.max(*of);
        }
        if claims.hands_over {
            self.permits.insert((to, Term(term.get() + 1)), from);
            self.handed_over.insert((from, term));
        }
        self.permit(from, term, claims.permit)?;
        let vote = claims.vote.map(|vote| (vote.candidate, vote.term));
        vote.map_or(Ok(()), |(to, term)| self.votes(sight.node.clock, from, to, term))
    }

    /// What is durable would keep every promise that is not over, should the node crash now.
    fn survives(&self, sight: &Sight<'_>) -> Result<(), String> {
        let (id, now) = (sight.node.id, sight.node.clock);
        let kept = nanos(sight.node.stored.hard_state.promised);
        let mut promises = self.promises.range((id, NodeId(0))..=(id, NodeId(u64::MAX)));
        match promises.find(|(_, (until, _))| until.saturating_sub(now) > kept) {
            Some(((_, leader), (until, _))) => Err(format!(
                "the durable promise of {id:?} is {} µs, and {} µs of that to {leader:?} are left",
                kept / 1_000,
                (until - now) / 1_000
            )),
            None => Ok(()),
        }
    }

    /// Remembers a probe, and forgets those whose promise would be over by now.
    fn probe(&mut self, link: (NodeId, NodeId), round: Round, clock: u64) {
        let probes = self.probes.entry(link).or_default();
        // One that is repeated was asked when it was first sent.
        if probes.back().is_some_and(|(newest, _)| *newest == round) {
            return;
        }
        let over = |sent: u64| sent.saturating_add(nanos(self.longest)) < clock;
        while probes.front().is_some_and(|(_, sent)| over(*sent)) {
            probes.pop_front();
        }
        probes.push_back((round, clock));
    }

    /// What the receiver's clock showed when the probe was sent, if it matters still.
    fn sent_at(&self, link: (NodeId, NodeId), round: Round) -> Option<u64> {
        let probes = self.probes.get(&link)?.iter().rev();
        probes.into_iter().find(|(known, _)| *known == round).map(|(_, sent)| *sent)
    }

    /// A permit is the word of the leader that it names.
    fn permit(&self, from: NodeId, term: Term, permit: Option<Permit>) -> Result<(), String> {
        let Some(permit) = permit else { return Ok(()) };
        let given = self.permits.get(&(from, term)) == Some(&permit.leader);
        if given && permit.term.get() + 1 == term.get() {
            return Ok(());
        }
        Err(format!("{from:?} asks for votes of term {term} with {permit:?}, which nobody gave"))
    }

    fn votes(&mut self, now: u64, voter: NodeId, to: NodeId, term: Term) -> Result<(), String> {
        let mut promises = self.promises.range((voter, NodeId(0))..=(voter, NodeId(u64::MAX)));
        let permitted = self.permits.get(&(to, term));
        self.judged += u64::from(promises.clone().any(|(_, (until, _))| *until > now));
        let bound = |leader: NodeId, of: Term| {
            // Whoever was asked to start an election may transfer leadership in its turn.
            let passed_on = term.get() > of.get() + 1 && self.handed_over.contains(&(leader, of));
            // A later leader had a quorum without such promises, so nobody rests on this one now.
            // It may be the one that gets the vote, late.
            let known = (of, NodeId(u64::MAX))..=(term.max(of), NodeId(u64::MAX));
            let led = self.led.range(known).any(|(led, who)| *led < term || *who == to);
            let superseded = led || term.get() > of.get() + 1 && permitted.is_some();
            leader != to && permitted != Some(&leader) && !passed_on && !superseded
        };
        match promises.find(|((_, leader), (until, of))| bound(*leader, *of) && *until > now) {
            Some(((_, leader), (until, _))) => Err(format!(
                "{voter:?} votes for {to:?} in term {term}, {} µs before its promise to {leader:?} \
                 is over",
                (until - now) / 1_000
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Promise;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::matched;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::request_vote;
    use crate::checker::fixture::send;
    use crate::checker::fixture::vote;
    use raft_core::{
        Action, AppendEntries, Echo, Entries, Instant, LogIndex, LogPosition, Message, NodeId,
        Permit, Probe, RequestVote, Round, Term, Verdict,
    };
    use std::time::Duration;

    /// S1 sends a probe when the clock of S2 shows 100 ms; at 200 ms S2 answers, and promises 1 s.
    fn promised() -> (Cluster, Promise) {
        let (mut cluster, mut checker) = (Cluster::of(3), Promise::default());
        cluster.node(2).clock = 100_000_000;
        let (round, sent_at) = (Round(1), Instant::from_nanos(77));
        let promised = Duration::from_secs(1);
        let heartbeat = AppendEntries {
            prev: LogPosition::ZERO,
            entries: Entries::new(),
            commit: LogIndex::ZERO,
            probe: Some(Probe { round, sent_at, lease: promised }),
        };
        let probe = send(1, 2, 1, Message::AppendEntries(heartbeat));
        cluster.stepped(&mut checker, 1, &[probe]).expect("a heartbeat");
        cluster.node(2).clock = 200_000_000;
        let echo = Echo { round, sent_at, promised };
        cluster.stepped(&mut checker, 2, &[matched(2, 1, 1, 0, Some(echo))]).expect("a promise");
        (cluster, checker)
    }

    fn permitted(leader: u64) -> Action {
        let permit = Some(Permit { leader: NodeId(leader), term: Term(1) });
        send(3, 2, 2, Message::RequestVote(RequestVote { last: LogPosition::ZERO, permit }))
    }

    #[test]
    fn a_vote_with_the_word_of_the_leader() {
        let (mut cluster, mut checker) = promised();
        let word = send(1, 3, 1, Message::TimeoutNow);
        cluster.stepped(&mut checker, 1, &[word]).expect("it transfers leadership");
        cluster.stepped(&mut checker, 3, &[permitted(1)]).expect("as its leader asked");
        let granted = [vote(2, 3, 2, Verdict::Granted)];
        cluster.stepped(&mut checker, 2, &granted).expect("the leader itself wants it");
    }

    #[test]
    fn a_vote_with_the_word_of_the_leader_of_a_later_term() {
        let (mut cluster, mut checker) = promised();
        let word = |term| send(3, 4, term, Message::TimeoutNow);
        let granted = |term| [vote(2, 4, term, Verdict::Granted)];
        // S1 had lost its quorum, and S3 is elected in term 2 while the promise of S2 still runs.
        cluster.stepped(&mut checker, 3, &[word(2)]).expect("it transfers leadership");
        cluster.stepped(&mut checker, 2, &granted(3)).expect("nobody rests on the promise now");
        refused(cluster.stepped(&mut checker, 2, &granted(4)), "before its promise to S1 is over");
        cluster.stepped(&mut checker, 3, &[word(1)]).expect("asked by nobody who leads");
        refused(cluster.stepped(&mut checker, 2, &granted(2)), "before its promise to S1 is over");
    }

    #[test]
    fn a_word_that_nobody_gave() {
        let (mut cluster, mut checker) = promised();
        refused(cluster.stepped(&mut checker, 3, &[permitted(1)]), "which nobody gave");
        let word = send(1, 3, 1, Message::TimeoutNow);
        cluster.stepped(&mut checker, 1, &[word]).expect("it transfers leadership");
        refused(cluster.stepped(&mut checker, 3, &[permitted(2)]), "which nobody gave");
    }

    #[test]
    fn a_vote_after_the_promise_or_for_the_leader() {
        let (mut cluster, mut checker) = promised();
        let for_leader = [vote(2, 1, 2, Verdict::Granted)];
        cluster.stepped(&mut checker, 2, &for_leader).expect("the promise was made to it");
        let refusal = [vote(2, 3, 2, Verdict::LeaderAlive)];
        cluster.stepped(&mut checker, 2, &refusal).expect("as promised");
        cluster.node(2).clock = 1_100_000_000;
        cluster.stepped(&mut checker, 2, &[vote(2, 3, 2, Verdict::Granted)]).expect("it is over");
    }

    #[test]
    fn a_promise_that_a_crash_would_undo() {
        let (mut cluster, mut checker) = promised();
        cluster.node(2).stored.hard_state.promised = Duration::from_millis(900);
        cluster.synced(&mut checker, 2).expect("it ends 900 ms from now");
        cluster.node(2).stored.hard_state.promised = Duration::from_millis(899);
        refused(cluster.synced(&mut checker, 2), "promise of S2 is 899000 µs, and 900000 µs");
        cluster.node(2).clock = 1_100_000_000;
        cluster.node(2).stored.hard_state.promised = Duration::ZERO;
        cluster.synced(&mut checker, 2).expect("it is over");
    }

    #[test]
    fn a_vote_after_a_later_leader_has_spoken() {
        let (mut cluster, mut checker) = promised();
        let granted = |term| [vote(2, 4, term, Verdict::Granted)];
        let heartbeat = AppendEntries {
            prev: LogPosition::ZERO,
            entries: Entries::new(),
            commit: LogIndex::ZERO,
            probe: None,
        };
        let beat = send(3, 4, 2, Message::AppendEntries(heartbeat));
        cluster.stepped(&mut checker, 3, &[beat]).expect("it leads term 2");
        cluster.stepped(&mut checker, 2, &granted(3)).expect("nobody rests on the promise now");
        refused(cluster.stepped(&mut checker, 2, &granted(2)), "before its promise to S1 is over");
        let late = [vote(2, 3, 2, Verdict::Granted)];
        cluster.stepped(&mut checker, 2, &late).expect("it leads the term already");
    }

    #[test]
    fn a_vote_within_the_promise() {
        for broken in [vote(2, 3, 2, Verdict::Granted), request_vote(2, 3, 2)] {
            let (mut cluster, mut checker) = promised();
            cluster.node(2).clock = 1_099_000_000;
            let step = cluster.stepped(&mut checker, 2, &[broken]);
            refused(step, "1000 µs before its promise to S1 is over");
        }
    }
}
