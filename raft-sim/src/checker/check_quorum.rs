//! With full protection, a leader that has no answer of a quorum to anything that it sent within T
//! is gone at its next wake (thesis, 6.2).
//!
//! What was sent when stands in the message, and comes back in the answer. A new leader and a new
//! peer have a grace of T; a membership that has just changed, too, for the deadline was set by the
//! one before it. Where a clock has jumped nobody outside can tell what the node takes the time
//! for.

use crate::checker::by_id::ById;
use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Open;
use crate::checker::sight::Sight;
use crate::plan::choice::nanos;
use raft_core::{Input, Membership, Message, NodeId, Protection, RoleKind, Round, Status, Term};

#[derive(Clone, Default, Debug)]
pub(super) struct CheckQuorum {
    judged: u64,
    leaders: ById<Leadership>,
}

/// What a leader has heard, by its own clock.
#[derive(Clone, Debug)]
struct Leadership {
    term: Term,
    /// The send time of the newest message that each member has answered.
    heard: ById<u64>,
    /// The newest round before each member was first added: an answer to it is none of the member.
    added: ById<Round>,
    /// The newest round that was sent.
    newest: Round,
    membership: Membership,
    changed_at: u64,
}

impl Checker for CheckQuorum {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let id = sight.node.id;
        match (sight.observed, sight.node.status) {
            (Observed::Stepped { .. }, Some(after)) if after.role == RoleKind::Leader => {
                let now = local(sight);
                let known = self.leaders.get_mut(id).filter(|known| known.term == after.term);
                if let Some(leadership) = known {
                    leadership.hear(sight, after);
                    self.judged += leadership.judge(sight, after, now)?;
                    leadership.learn(sight, now);
                } else {
                    self.leaders.insert(id, Leadership::begin(sight, after, now));
                }
                Ok(())
            }
            (Observed::Stepped { .. } | Observed::Crashed | Observed::Started, _) => {
                self.leaders.remove(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Leadership {
    fn begin(sight: &Sight<'_>, leader: &Status, now: u64) -> Self {
        let membership = sight.node.membership.clone();
        let mut begun = Self {
            term: leader.term,
            heard: membership.members().map(|member| (member, now)).collect(),
            added: membership.members().map(|member| (member, Round(0))).collect(),
            newest: Round(0),
            membership,
            changed_at: now,
        };
        begun.learn(sight, now);
        begun
    }

    /// What came back.
    fn hear(&mut self, sight: &Sight<'_>, leader: &Status) {
        for input in sight.inputs() {
            if let Input::Message(envelope) = input
                && let Message::AppendEntriesResponse(m) = &envelope.message
                && let Some(echo) = m.echo
                && envelope.term == leader.term
                && self.added.get(envelope.from).is_some_and(|added| echo.round > *added)
                && let Some(heard) = self.heard.get_mut(envelope.from)
            {
                *heard = echo.sent_at.as_nanos().max(*heard);
            }
        }
    }

    fn judge(&self, sight: &Sight<'_>, leader: &Status, now: u64) -> Result<u64, String> {
        let Some(config) = sight.node.node.map(Open::config) else { return Ok(0) };
        let timeout = nanos(config.election_timeout);
        let settled = &self.membership == sight.node.membership
            && self.changed_at.saturating_add(timeout) <= now;
        if !sight.inputs().contains(&Input::Wake)
            || !settled
            || !sight.clocks_hold
            || !sight.is_whole()
            || config.protection != Protection::Full
        {
            return Ok(0);
        }
        let halves = [self.membership.voters(), self.membership.outgoing()];
        let heard = halves.into_iter().filter(|half| !half.is_empty());
        let heard = heard.map(|half| self.heard_by(half, leader.id, now)).min().unwrap_or(now);
        if heard.saturating_add(timeout) > now {
            return Ok(1);
        }
        Err(format!(
            "{:?} leads on, and no quorum has answered anything that it sent in the last {} µs",
            leader.id,
            now.saturating_sub(heard) / 1_000
        ))
    }

    /// When a majority of these was surely there.
    fn heard_by(&self, half: &[NodeId], leader: NodeId, now: u64) -> u64 {
        let of =
            |id: &NodeId| if *id == leader { now } else { self.heard.get(*id).map_or(0, |at| *at) };
        let mut times: Vec<u64> = half.iter().map(of).collect();
        times.sort_unstable();
        times[(times.len() - 1) / 2]
    }

    /// Who belongs to it now, and what was asked.
    fn learn(&mut self, sight: &Sight<'_>, now: u64) {
        if &self.membership != sight.node.membership {
            self.membership = sight.node.membership.clone();
            self.changed_at = now;
            let (membership, newest) = (&self.membership, self.newest);
            self.heard.retain(|id| membership.contains(id));
            for member in membership.members() {
                self.heard.get_or(member, || now);
                // One that comes back may not have been forgotten in between.
                self.added.get_or(member, || newest);
            }
        }
        for envelope in sight.sent() {
            if let Message::AppendEntries(m) = &envelope.message
                && let Some(probe) = m.probe
            {
                self.newest = self.newest.max(probe.round);
            }
        }
    }
}

fn local(sight: &Sight<'_>) -> u64 {
    sight.node.clock.saturating_add(nanos(sight.node.clock_offset))
}

#[cfg(test)]
mod tests {
    use super::CheckQuorum;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::matched;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::taken;
    use raft_core::{Config, Echo, Input, Instant, Membership, NodeId, Protection, Round};
    use std::time::Duration;

    /// S1 leads three voters from 1 s of its clock on; T is 1 s.
    fn led() -> (Cluster, CheckQuorum) {
        let (mut cluster, mut checker) = (Cluster::of(3), CheckQuorum::default());
        let node = cluster.node(1).configured(Config::new(NodeId(1), 1)).leads(1);
        node.clock = 1_000_000_000;
        cluster.stepped(&mut checker, 1, &[]).expect("it was elected");
        (cluster, checker)
    }

    /// It is woken at this time of its clock.
    fn wakes(cluster: &mut Cluster, checker: &mut CheckQuorum, millis: u64) -> Result<(), String> {
        cluster.node(1).clock = millis * 1_000_000;
        cluster.takes(checker, 1, &[Input::Wake], &[])
    }

    /// S2 answers what was sent at this time.
    fn heard(cluster: &mut Cluster, checker: &mut CheckQuorum, millis: u64) {
        let sent_at = Instant::from_nanos(millis * 1_000_000);
        let echo = Some(Echo { round: Round(millis), sent_at, promised: Duration::ZERO });
        let answer = [taken(matched(2, 1, 1, 0, echo))];
        cluster.takes(checker, 1, &answer, &[]).expect("an answer");
    }

    #[test]
    fn a_leader_without_a_quorum_goes_when_its_grace_is_over() {
        let (mut cluster, mut checker) = led();
        wakes(&mut cluster, &mut checker, 1999).expect("its grace");
        wakes(&mut cluster, &mut checker, 2000).expect_err("it is over");
    }

    #[test]
    fn what_counts_is_when_the_question_was_sent() {
        let (mut cluster, mut checker) = led();
        cluster.node(1).clock = 1_900_000_000;
        heard(&mut cluster, &mut checker, 1500);
        wakes(&mut cluster, &mut checker, 2499).expect("S2 was heard");
        refused(wakes(&mut cluster, &mut checker, 2500), "in the last 1000000");
        let (mut cluster, mut checker) = led();
        heard(&mut cluster, &mut checker, 1500);
        let echo = Some(Echo {
            round: Round(9),
            sent_at: Instant::from_nanos(2_000_000_000),
            promised: Duration::ZERO,
        });
        let stranger = [taken(matched(9, 1, 1, 0, echo)), taken(matched(2, 1, 0, 0, echo))];
        cluster.takes(&mut checker, 1, &stranger, &[]).expect("of nobody, and of another term");
        refused(wakes(&mut cluster, &mut checker, 2500), "leads on");
    }

    #[test]
    fn both_halves_count_and_a_change_has_a_grace() {
        let (mut cluster, mut checker) = led();
        let joint = Membership::new([1, 2].map(NodeId), [1, 3].map(NodeId), []).expect("joint");
        cluster.node(1).membership = joint;
        cluster.node(1).clock = 1_500_000_000;
        cluster.stepped(&mut checker, 1, &[]).expect("a change");
        wakes(&mut cluster, &mut checker, 2499).expect("its grace");
        heard(&mut cluster, &mut checker, 2400);
        refused(wakes(&mut cluster, &mut checker, 2500), "leads on");
    }

    #[test]
    fn who_does_not_check_and_whose_clock_jumps() {
        let (mut cluster, mut checker) = led();
        cluster.clocks_hold = false;
        wakes(&mut cluster, &mut checker, 5000).expect("nobody knows");
        cluster.clocks_hold = true;
        let mut config = Config::new(NodeId(1), 1);
        config.protection = Protection::PreVote;
        cluster.node(1).configured(config);
        wakes(&mut cluster, &mut checker, 5000).expect("it does not check");
    }
}
