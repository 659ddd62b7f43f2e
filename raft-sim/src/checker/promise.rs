//! A node that promised a lease to a leader votes for nobody else until it is over, its own candidacy
//! included, whatever happens to it meanwhile.
//!
//! The promise is `promised` after the leader sent the probe. Simulated clocks have offsets, but run
//! alike, so both ends of it can be put on the simulated time.

use super::{Checker, Sight};
use crate::choice::nanos;
use raft_core::{Message, NodeId, Permit, Term, Verdict};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct Promise {
    /// How far the clock of a term's leader was ahead.
    leader_clocks: BTreeMap<(NodeId, Term), u64>,
    /// Until when, in simulated time, each node may vote only for whom.
    promises: BTreeMap<(NodeId, NodeId), u64>,
    /// Which candidate of a term was told by which leader of the term before to stand.
    permits: BTreeMap<(NodeId, Term), NodeId>,
}

impl Checker for Promise {
    fn name(&self) -> &'static str {
        "promise"
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        for envelope in sight.sent() {
            let (from, to, term) = (envelope.from, envelope.to, envelope.term);
            match &envelope.message {
                Message::AppendEntries(_) => {
                    self.leader_clocks.insert((from, term), nanos(sight.node.clock_offset));
                }
                Message::AppendEntriesResponse(response) => {
                    if let (Some(echo), Some(ahead)) =
                        (response.echo, self.leader_clocks.get(&(to, term)))
                    {
                        let sent = echo.sent_at.as_nanos().saturating_sub(*ahead);
                        let until = self.promises.entry((from, to)).or_default();
                        *until = sent.saturating_add(nanos(echo.promised)).max(*until);
                    }
                }
                Message::TimeoutNow => {
                    self.permits.insert((to, Term(term.get() + 1)), from);
                }
                Message::RequestVote(request) => {
                    self.permit(from, term, request.permit)?;
                    self.votes(sight.now, from, from, term)?;
                }
                Message::RequestVoteResponse(response) => {
                    if response.verdict == Verdict::Granted {
                        self.votes(sight.now, from, to, term)?;
                    }
                }
                Message::PreVote(_)
                | Message::PreVoteResponse(_)
                | Message::InstallSnapshot(_)
                | Message::ReadIndex(_)
                | Message::ReadIndexResponse(_) => {}
            }
        }
        Ok(())
    }
}

impl Promise {
    /// A permit is the word of the leader that it names.
    fn permit(&self, from: NodeId, term: Term, permit: Option<Permit>) -> Result<(), String> {
        let Some(permit) = permit else { return Ok(()) };
        let given = self.permits.get(&(from, term)) == Some(&permit.leader);
        if given && permit.term.get() + 1 == term.get() {
            return Ok(());
        }
        Err(format!("{from:?} asks for votes of term {term} with {permit:?}, which nobody gave"))
    }

    fn votes(&self, now: u64, voter: NodeId, to: NodeId, term: Term) -> Result<(), String> {
        let mut promises = self.promises.range((voter, NodeId(0))..=(voter, NodeId(u64::MAX)));
        let permitted = self.permits.get(&(to, term));
        let bound = |leader: NodeId| leader != to && permitted != Some(&leader);
        match promises.find(|((_, leader), until)| bound(*leader) && **until > now) {
            Some(((_, leader), until)) => Err(format!(
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
    use crate::checker::fixture::{Cluster, append, matched, refused, request_vote, vote};
    use raft_core::{Echo, Instant, Round, Verdict};
    use std::time::Duration;

    /// At 200 ms S2 answers a probe that S1 sent at 100 ms, and promises 1 s. The clock of S1 is one
    /// hour ahead.
    fn promised() -> (Cluster, Promise) {
        let (mut cluster, mut checker) = (Cluster::of(3), Promise::default());
        let hour = Duration::from_secs(3600);
        cluster.node(1).clock_offset = hour;
        cluster.stepped(&mut checker, 1, &[append(1, 2, 1)]).expect("a heartbeat");
        cluster.now = 200_000_000;
        let sent_at = Instant::ZERO.saturating_add(hour + Duration::from_millis(100));
        let echo = Echo { round: Round(1), sent_at, promised: Duration::from_secs(1) };
        cluster.stepped(&mut checker, 2, &[matched(2, 1, 1, 0, Some(echo))]).expect("a promise");
        (cluster, checker)
    }

    #[test]
    fn a_vote_after_the_promise_or_for_the_leader() {
        let (mut cluster, mut checker) = promised();
        let for_leader = [vote(2, 1, 2, Verdict::Granted)];
        cluster.stepped(&mut checker, 2, &for_leader).expect("the promise was made to it");
        let refusal = [vote(2, 3, 2, Verdict::LeaderAlive)];
        cluster.stepped(&mut checker, 2, &refusal).expect("as promised");
        cluster.now = 1_100_000_000;
        cluster.stepped(&mut checker, 2, &[vote(2, 3, 2, Verdict::Granted)]).expect("it is over");
    }

    #[test]
    fn a_vote_within_the_promise() {
        for broken in [vote(2, 3, 2, Verdict::Granted), request_vote(2, 3, 2)] {
            let (mut cluster, mut checker) = promised();
            cluster.now = 1_099_000_000;
            let step = cluster.stepped(&mut checker, 2, &[broken]);
            refused(step, "1000 µs before its promise to S1 is over");
        }
    }
}
