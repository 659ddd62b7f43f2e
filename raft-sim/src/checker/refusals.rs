//! Whatever is refused had to be: each reason that a node gives is the case, as seen from outside.
//!
//! A refusal for a reason that is none loses time: a client tries again elsewhere, an operator
//! waits, an election is held once more. Nothing that is safe forbids it, and retries hide it.
//!
//! Judged are the answers to requests, the refusals of messages for want of room, and the verdicts
//! of voters, where they leave in the step that took the question. What a leader believes of its
//! peers cannot be seen: that somebody has not caught up, or that no quorum is alive, is judged
//! only as far as it names somebody whom it may concern.

use crate::checker::by_id::ById;
use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use crate::checker::sight::{is_open, leads_on};
use crate::plan::choice::nanos;
use raft_core::types::LIMIT;
use raft_core::{
    Action, Config, Envelope, IgnoreReason, Input, LogPosition, Message, NodeId, Permit,
    Protection, RejectReason, RoleKind, Status, Term, Token, TransferOutcome, Verdict,
};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Default, Debug)]
pub(super) struct Refusals {
    judged: u64,
    minds: ById<Mind>,
    /// Who was seen to lead each term.
    led: BTreeMap<Term, NodeId>,
}

/// What is known of a node, in one life. Times are those of its clock.
#[derive(Clone, Default, Debug)]
struct Mind {
    /// Until when an earlier life may have promised to give no vote.
    kept: u64,
    /// Until when this one may have.
    bound: u64,
    /// The longest lease that a leader has asked for and that it may have promised.
    lease: Duration,
    /// The leader that last asked for one.
    asked_by: Option<Permit>,
    /// Since when requests are under way, and how long they may take.
    asked: BTreeMap<Token, (u64, Duration)>,
}

impl Checker for Refusals {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let (id, now) = (sight.node.id, sight.node.clock);
        match (sight.observed, sight.node.status) {
            (Observed::Started, _) => {
                let kept = now.saturating_add(nanos(sight.node.stored.hard_state.promised));
                self.minds.insert(id, Mind { kept, ..Mind::default() });
            }
            (Observed::Crashed, _) => {
                self.minds.remove(id);
            }
            (Observed::Asked { token, within }, _) => {
                let mind = self.minds.entry(id);
                mind.asked.insert(token, (now, within));
            }
            (Observed::Stepped { before, whole, .. }, Some(after)) => {
                if after.role == RoleKind::Leader {
                    self.led.insert(after.term, id);
                }
                if !whole {
                    return Ok(());
                }
                let mind = self.minds.entry(id);
                mind.hear(sight, before);
                let step = Step { sight, before, after, mind, led: &self.led };
                self.judged += step.judge()?;
                if !mind.asked.is_empty() {
                    sight.actions().iter().filter_map(ended).for_each(|token| {
                        mind.asked.remove(&token);
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Mind {
    /// What the leader says, and what may have been promised to it.
    fn hear(&mut self, sight: &Sight<'_>, before: &Status) {
        let Some(node) = sight.node.node else { return };
        let config = node.config();
        if config.protection != Protection::Full {
            return;
        }
        for input in sight.inputs() {
            let Input::Message(Envelope { from, term, message, .. }) = input else { continue };
            if *term < before.term {
                continue;
            }
            if let Message::AppendEntries(m) = message
                && let Some(probe) = m.probe
            {
                self.asked_by = Some(Permit { leader: *from, term: *term });
                if probe.lease <= config.longest_promise {
                    self.lease = self.lease.max(probe.lease);
                }
            }
            if matches!(message, Message::AppendEntries(_) | Message::InstallSnapshot(_)) {
                let lease = nanos(self.lease.max(config.election_timeout));
                self.bound = self.bound.max(sight.node.clock.saturating_add(lease));
            }
        }
    }
}

/// The request that an action ends.
const fn ended(action: &Action) -> Option<Token> {
    match action {
        Action::ReadReady { token, .. }
        | Action::Rejected { token, .. }
        | Action::TransferEnded { token, .. } => Some(*token),
        _ => None,
    }
}

/// A step of a node, and all that is known about it.
struct Step<'a> {
    sight: &'a Sight<'a>,
    before: &'a Status,
    after: &'a Status,
    mind: &'a Mind,
    led: &'a BTreeMap<Term, NodeId>,
}

impl Step<'_> {
    /// Judges every refusal of the step; how many there were.
    fn judge(&self) -> Result<u64, String> {
        let (mut judged, mut accepted) = (0, 0);
        for action in self.sight.actions() {
            let holds = match action {
                Action::Accepted { count, .. } => {
                    accepted += count;
                    continue;
                }
                Action::Rejected { token, reason } => self.rejection(*token, *reason, accepted),
                Action::TransferEnded { token, outcome } => self.end_of_transfer(*token, *outcome),
                Action::Ignored { reason, .. } => self.ignores(*reason),
                Action::Send(envelope) => match self.verdict(envelope) {
                    Some(holds) => holds,
                    None => continue,
                },
                _ => continue,
            };
            judged += 1;
            if !holds {
                return Err(format!("{:?} says {action:?}, which is not the case", self.after.id));
            }
        }
        Ok(judged)
    }

    fn leads_on(&self) -> bool {
        leads_on(self.before, self.after)
    }

    /// Whether role, term and leader are what they were, throughout.
    fn stays(&self) -> bool {
        let of = |status: &Status| (status.role, status.term, status.leader);
        let moves = |input: &Input| match input {
            Input::Campaign => self.sight.inputs().len() > 1,
            Input::Message(envelope) => matches!(envelope.message, Message::RequestVote(_)),
            _ => false,
        };
        of(self.before) == of(self.after) && !self.sight.inputs().iter().any(moves)
    }

    /// Whether the membership is what it was, as far as the log tells.
    fn keeps_members(&self) -> bool {
        self.before.last == self.after.last && !self.before.membership_changes
    }

    fn config(&self) -> Option<&Config> {
        Some(self.sight.node.node?.config())
    }

    fn rejection(&self, token: Token, reason: RejectReason, accepted: u64) -> bool {
        let is_it = |input: &&Input| match input {
            Input::Propose { token: other, .. }
            | Input::Read { token: other, .. }
            | Input::ChangeMembership { token: other, .. }
            | Input::TransferLeadership { token: other, .. } => *other == token,
            _ => false,
        };
        match (self.sight.inputs().iter().find(is_it), reason) {
            (_, RejectReason::TimedOut) => self.is_late(token),
            (_, RejectReason::LeaderChanged) => self.lost_its_leader(),
            (Some(Input::Read { .. }), RejectReason::NotLeader { leader: None }) => {
                !(self.stays() && self.before.leader.is_some())
            }
            (Some(Input::Read { .. }), RejectReason::TooManyReads) => self.reads_are_many(),
            (Some(Input::Read { .. }) | None, _) => false,
            (Some(_), RejectReason::NotLeader { leader }) => {
                let known = [self.before.leader, self.after.leader].contains(&leader);
                !self.leads_on() && (known || !self.stays())
            }
            (Some(_), RejectReason::TransferInProgress) => {
                let under_way = [self.before, self.after].iter().any(|s| s.transfers_to.is_some());
                under_way || !self.leads_on()
            }
            (Some(Input::Propose { count, .. }), reason) => {
                self.refuses_commands(*count, reason, accepted)
            }
            (Some(Input::TransferLeadership { .. }), reason) => self.refuses_transfer(reason),
            (Some(input), reason) => self.refuses_change(input, reason, accepted),
        }
    }

    fn refuses_commands(&self, count: u64, reason: RejectReason, accepted: u64) -> bool {
        match reason {
            RejectReason::BadCount { count: named } => {
                named == count && !(1..LIMIT / 2).contains(&count)
            }
            RejectReason::LogFull => self.log_is_full(count),
            RejectReason::TooManyUncommitted { waiting } if self.leads_on() => {
                let log = self.before.last.index.get() + accepted;
                let open = log.saturating_sub(self.before.commit_index.get());
                let most = self.config().map_or(0, |config| config.max_uncommitted);
                waiting == open && count.saturating_add(open) > most
            }
            RejectReason::TooManyUncommitted { .. } => true,
            _ => false,
        }
    }

    fn refuses_transfer(&self, reason: RejectReason) -> bool {
        let (id, voters) = (self.after.id, self.sight.node.membership.voters());
        let unknown = !self.leads_on() || !self.keeps_members();
        match reason {
            RejectReason::CannotLead { node } => unknown || node == id || !voters.contains(&node),
            RejectReason::NoOtherVoter => unknown || voters.iter().all(|voter| *voter == id),
            _ => false,
        }
    }

    fn refuses_change(&self, input: &Input, reason: RejectReason, accepted: u64) -> bool {
        let Input::ChangeMembership { target, .. } = input else { return false };
        let membership = self.sight.node.membership;
        let unknown = !self.leads_on() || !self.keeps_members();
        match reason {
            RejectReason::BadMembership => target.is_empty() || target.is_joint(),
            RejectReason::LogFull => self.log_is_full(1),
            RejectReason::TermNotCommitted => {
                let committed = self.sight.node.log.position(self.before.commit_index);
                !self.leads_on() || committed.is_none_or(|at| at.term < self.after.term)
            }
            RejectReason::ChangeInProgress => {
                !self.leads_on() || self.before.membership_changes || accepted > 0
            }
            RejectReason::AlreadyInForce => unknown || membership == target,
            RejectReason::NotCaughtUp { node } => {
                target.voters().contains(&node) && (unknown || !membership.is_voter(node))
            }
            RejectReason::NoQuorum { node } => {
                node != self.after.id
                    && (unknown || target.voters().contains(&node) || membership.is_voter(node))
            }
            _ => false,
        }
    }

    /// What it was asked for is over because the time for it is, or the role.
    fn end_of_transfer(&self, token: Token, outcome: TransferOutcome) -> bool {
        match outcome {
            TransferOutcome::TimedOut => self.is_late(token),
            TransferOutcome::SteppedDown | TransferOutcome::LeadershipLost => !self.leads_on(),
        }
    }

    fn is_late(&self, token: Token) -> bool {
        let asked = self.mind.asked.get(&token);
        asked.is_some_and(|(at, within)| at.saturating_add(nanos(*within)) <= self.sight.node.clock)
    }

    fn lost_its_leader(&self) -> bool {
        let nobody = |input: &Input| match input {
            Input::Message(Envelope { message: Message::ReadIndexResponse(m), .. }) => {
                m.index.is_none()
            }
            _ => false,
        };
        !self.stays() || self.sight.inputs().iter().any(nobody)
    }

    /// Whether so many reads wait, or came in this step, that one was too many.
    fn reads_are_many(&self) -> bool {
        let reads = |input: &&Input| match input {
            Input::Read { .. } => true,
            Input::Message(envelope) => matches!(envelope.message, Message::ReadIndex(_)),
            _ => false,
        };
        let came = self.sight.inputs().iter().filter(reads).count();
        let most = self.config().map_or(0, |config| config.max_pending_reads);
        self.before.pending_reads + came > most
    }

    fn log_is_full(&self, count: u64) -> bool {
        self.after.last.index.get().saturating_add(count) > LIMIT / 2
    }

    fn ignores(&self, reason: IgnoreReason) -> bool {
        let either = |says: fn(&Status) -> bool| says(self.before) || says(self.after);
        let unknown = self.before.last != self.after.last;
        if self.sight.inputs().len() > 1 && !self.stays() {
            // Nobody sees what it was in between.
            return true;
        }
        match reason {
            IgnoreReason::Overloaded => !is_open(self.before),
            IgnoreReason::TooManyReads => self.reads_are_many(),
            IgnoreReason::Installing => either(|status| status.installing.is_some()),
            IgnoreReason::LastTerm => self.after.term.get() > LIMIT / 2,
            IgnoreReason::LogFull => self.log_is_full(1),
            IgnoreReason::DiskHangs => self.hangs(),
            IgnoreReason::NotAVoter => {
                unknown || !self.sight.node.membership.is_voter(self.after.id)
            }
            IgnoreReason::AlreadyCampaigning => {
                either(|status| matches!(status.role, RoleKind::PreCandidate | RoleKind::Candidate))
            }
            IgnoreReason::LeaderAlive => {
                let asked = self.sight.inputs().iter().find_map(|input| match input {
                    Input::Message(e) if e.message == Message::TimeoutNow => Some(e),
                    _ => None,
                });
                match asked {
                    Some(envelope) => self.keeps_from(envelope.from, envelope.term),
                    None => either(|status| status.role == RoleKind::Leader) || self.is_bound(),
                }
            }
            IgnoreReason::Stale => self.may_be_stale(),
            _ => true,
        }
    }

    /// Whether what it took in may be too old. The leader of the current term never is, and an
    /// earlier one is told so; nor is what comes from a later term.
    fn may_be_stale(&self) -> bool {
        let [Input::Message(Envelope { term, message, .. })] = self.sight.inputs() else {
            return true;
        };
        match message {
            Message::AppendEntries(_) | Message::InstallSnapshot(_) => false,
            // What they ask and answer is about another term than that of the sender.
            Message::PreVote(_) | Message::PreVoteResponse(_) | Message::RequestVote(_) => true,
            _ => *term <= self.before.term,
        }
    }

    /// Whether the disk hangs, or did before this step.
    fn hangs(&self) -> bool {
        let completes = |input: &Input| matches!(input, Input::Persisted { .. });
        let hang = |config| self.sight.writes.hang(config, self.sight.node.clock);
        self.sight.inputs().iter().any(completes) || self.config().is_none_or(hang)
    }

    /// Whether it may have promised not to vote yet.
    fn is_bound(&self) -> bool {
        !self.sight.clocks_hold || self.sight.node.clock < self.mind.kept.max(self.mind.bound)
    }

    /// Whether a promise binds it that is not one to this leader in this term: one of an earlier
    /// life, or one to a leader of before, as long as this one has not asked for any.
    fn keeps_from(&self, leader: NodeId, term: Term) -> bool {
        let (clock, asked) = (self.sight.node.clock, Some(Permit { leader, term }));
        let other = self.mind.asked_by != asked && self.is_bound();
        !self.sight.clocks_hold || clock < self.mind.kept || other
    }

    /// Whether what a voter says is the case; `None` where it says yes, or was asked before.
    fn verdict(&self, answer: &Envelope) -> Option<bool> {
        let verdict = match &answer.message {
            Message::PreVoteResponse(m) => m.verdict,
            Message::RequestVoteResponse(m) => m.verdict,
            _ => return None,
        };
        let [Input::Message(Envelope { from, term, message, .. })] = self.sight.inputs() else {
            return None;
        };
        let (last, permit) = match message {
            Message::PreVote(m) => (m.last, None),
            Message::RequestVote(m) => (m.last, m.permit),
            _ => return None,
        };
        if *from != answer.to || verdict == Verdict::Granted {
            return None;
        }
        Some(self.has_to_refuse(verdict, *from, *term, last, permit))
    }

    fn has_to_refuse(
        &self,
        verdict: Verdict,
        from: NodeId,
        term: Term,
        last: LogPosition,
        permit: Option<Permit>,
    ) -> bool {
        match verdict {
            Verdict::Granted => true,
            Verdict::StaleTerm => term < self.after.term,
            Verdict::StaleLog => last < self.after.last,
            Verdict::AlreadyVoted => {
                let other = |id: Option<&NodeId>| id.is_some_and(|id| *id != from);
                other(self.after.voted_for.as_ref()) || other(self.led.get(&term))
            }
            Verdict::DiskHangs => self.hangs(),
            Verdict::LeaderAlive => match permit.filter(|permit| self.knows(*permit, term)) {
                // It is its own word.
                Some(permit) if permit.leader == self.after.id => false,
                Some(permit) => self.keeps_from(permit.leader, permit.term),
                None => self.before.role == RoleKind::Leader || self.is_bound(),
            },
        }
    }

    /// Whether the permit is that of the leader which this node follows, or is, for this term.
    fn knows(&self, permit: Permit, term: Term) -> bool {
        (self.before.leader, self.before.term) == (Some(permit.leader), permit.term)
            && permit.term.get() + 1 == term.get()
    }
}

#[cfg(test)]
mod tests {
    use super::Refusals;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::append;
    use crate::checker::fixture::position;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::request_vote;
    use crate::checker::fixture::send;
    use crate::checker::fixture::taken;
    use crate::checker::fixture::vote;
    use raft_core::{
        Action, Config, Consistency, IgnoreReason, Input, Membership, Message, NodeId, Permit,
        RejectReason, RequestVote, RoleKind, Term, Token, TransferOutcome, Verdict,
    };
    use std::time::Duration;

    const TOKEN: Token = Token(7);

    /// S1 leads term 1 with one entry that is committed and one that is not; small limits.
    fn led() -> (Cluster, Refusals) {
        let mut cluster = Cluster::of(3);
        let mut config = Config::new(NodeId(1), 1);
        (config.max_uncommitted, config.max_pending_reads) = (3, 2);
        let node = cluster.node(1).configured(config).leads(1).fill(&[1, 1]).commits(1);
        node.status.leader = Some(NodeId(1));
        (cluster, Refusals::default())
    }

    /// S1 follows S2.
    fn follower() -> (Cluster, Refusals) {
        let (mut cluster, checker) = led();
        let status = &mut cluster.node(1).status;
        (status.role, status.leader) = (RoleKind::Follower, Some(NodeId(2)));
        (cluster, checker)
    }

    fn says(
        (cluster, checker): &mut (Cluster, Refusals),
        input: Input,
        action: Action,
    ) -> Result<(), String> {
        cluster.takes(checker, 1, &[input], &[action])
    }

    fn rejects(reason: RejectReason) -> Action {
        Action::Rejected { token: TOKEN, reason }
    }

    const fn propose(count: u64) -> Input {
        Input::Propose { token: TOKEN, count }
    }

    fn change(target: Membership) -> Input {
        Input::ChangeMembership { token: TOKEN, target }
    }

    const fn transfer(to: u64) -> Input {
        Input::TransferLeadership { token: TOKEN, to: Some(NodeId(to)) }
    }

    const READ: Input = Input::Read { token: TOKEN, consistency: Consistency::ReadIndex };

    #[test]
    fn reasons_that_are_none() {
        let target = || Membership::of_voters([1, 2].map(NodeId)).expect("two");
        let node = NodeId(3);
        let cases = [
            (propose(1), RejectReason::NotLeader { leader: None }),
            (propose(1), RejectReason::TransferInProgress),
            (propose(1), RejectReason::BadCount { count: 1 }),
            (propose(1), RejectReason::LogFull),
            (propose(2), RejectReason::TooManyUncommitted { waiting: 1 }),
            (propose(3), RejectReason::TooManyUncommitted { waiting: 2 }),
            (propose(1), RejectReason::ClockOutOfRange),
            (change(target()), RejectReason::BadMembership),
            (change(target()), RejectReason::TermNotCommitted),
            (change(target()), RejectReason::ChangeInProgress),
            (change(target()), RejectReason::AlreadyInForce),
            (change(target()), RejectReason::NotCaughtUp { node }),
            (change(target()), RejectReason::NoQuorum { node: NodeId(1) }),
            (transfer(2), RejectReason::CannotLead { node: NodeId(2) }),
            (transfer(2), RejectReason::NoOtherVoter),
            (READ, RejectReason::TooManyReads),
            (READ, RejectReason::LeaderChanged),
            (READ, RejectReason::TimedOut),
            (READ, RejectReason::NotLeader { leader: None }),
        ];
        for (input, reason) in cases {
            let step = says(&mut led(), input, rejects(reason));
            refused(step, "which is not the case");
        }
        for reason in [RejectReason::NotLeader { leader: None }, RejectReason::LogFull] {
            refused(says(&mut follower(), READ, rejects(reason)), "which is not the case");
        }
    }

    #[test]
    fn reasons_that_are_some() {
        let whole = || Membership::of_voters([1, 2, 3].map(NodeId)).expect("three");
        let cases = [
            (propose(0), RejectReason::BadCount { count: 0 }),
            (propose(3), RejectReason::TooManyUncommitted { waiting: 1 }),
            (change(whole()), RejectReason::AlreadyInForce),
            (change(Membership::empty()), RejectReason::BadMembership),
            (transfer(1), RejectReason::CannotLead { node: NodeId(1) }),
            (transfer(9), RejectReason::CannotLead { node: NodeId(9) }),
        ];
        for (input, reason) in cases {
            says(&mut led(), input, rejects(reason)).expect("it is so");
        }
        let elsewhere = RejectReason::NotLeader { leader: Some(NodeId(2)) };
        says(&mut follower(), propose(1), rejects(elsewhere)).expect("S2 leads");
        let mut busy = led();
        busy.0.node(1).status.pending_reads = 2;
        says(&mut busy, READ, rejects(RejectReason::TooManyReads)).expect("two wait");
        busy.0.node(1).status.transfers_to = Some(NodeId(2));
        says(&mut busy, propose(1), rejects(RejectReason::TransferInProgress)).expect("so it is");
        busy.0.node(1).status.membership_changes = true;
        says(&mut busy, change(whole()), rejects(RejectReason::ChangeInProgress)).expect("too");
    }

    #[test]
    fn time_that_has_not_passed() {
        let ends = [
            rejects(RejectReason::TimedOut),
            Action::TransferEnded { token: TOKEN, outcome: TransferOutcome::TimedOut },
        ];
        for end in ends {
            for millis in [999, 1000] {
                let (mut cluster, mut checker) = led();
                cluster.asked(&mut checker, 1, TOKEN, Duration::from_secs(1)).expect("asked");
                cluster.node(1).clock = millis * 1_000_000;
                let step = cluster.stepped(&mut checker, 1, std::slice::from_ref(&end));
                if millis < 1000 { refused(step, "TimedOut") } else { step.expect("it is late") }
            }
        }
        let over = Action::TransferEnded { token: TOKEN, outcome: TransferOutcome::LeadershipLost };
        refused(says(&mut led(), Input::Wake, over), "LeadershipLost");
    }

    #[test]
    fn what_is_ignored_for_no_reason() {
        for reason in [
            IgnoreReason::Overloaded,
            IgnoreReason::TooManyReads,
            IgnoreReason::Installing,
            IgnoreReason::LastTerm,
            IgnoreReason::LogFull,
            IgnoreReason::DiskHangs,
            IgnoreReason::NotAVoter,
            IgnoreReason::AlreadyCampaigning,
            IgnoreReason::LeaderAlive,
        ] {
            let ignores = Action::Ignored { from: None, reason };
            refused(says(&mut follower(), Input::Campaign, ignores), "which is not the case");
        }
    }

    #[test]
    fn what_cannot_be_too_old() {
        let stale = || Action::Ignored { from: Some(NodeId(2)), reason: IgnoreReason::Stale };
        refused(says(&mut follower(), taken(append(2, 1, 1)), stale()), "which is not the case");
        let of = |term| taken(vote(2, 1, term, Verdict::Granted));
        says(&mut follower(), of(1), stale()).expect("nobody can say");
        refused(says(&mut follower(), of(2), stale()), "which is not the case");
    }

    /// S3 asks S1 for its vote of term 2, with this last index in term 1 and this permit.
    fn asks(last: u64, permit: Option<Permit>) -> Input {
        let last = position(1, last);
        taken(send(3, 1, 2, Message::RequestVote(RequestVote { last, permit })))
    }

    #[test]
    fn verdicts_that_are_none() {
        for verdict in [
            Verdict::LeaderAlive,
            Verdict::StaleTerm,
            Verdict::StaleLog,
            Verdict::AlreadyVoted,
            Verdict::DiskHangs,
        ] {
            let mut at = follower();
            at.0.node(1).status.term = Term(2);
            at.0.node(1).status.voted_for = None;
            let no = vote(1, 3, 2, verdict);
            refused(says(&mut at, asks(2, None), no), "which is not the case");
        }
        let mut at = follower();
        at.0.node(1).status.voted_for = Some(NodeId(2));
        let late = taken(request_vote(3, 1, 0));
        says(&mut at, late, vote(1, 3, 1, Verdict::StaleTerm)).expect("it is of an earlier term");
        says(&mut at, asks(1, None), vote(1, 3, 2, Verdict::StaleLog)).expect("it lacks an entry");
        says(&mut at, asks(2, None), vote(1, 3, 2, Verdict::AlreadyVoted)).expect("it has");
    }

    #[test]
    fn a_voter_keeps_its_promise_and_no_longer_and_knows_a_permit() {
        let permit = Some(Permit { leader: NodeId(2), term: Term(1) });
        let no = || vote(1, 3, 1, Verdict::LeaderAlive);
        let mut at = follower();
        says(
            &mut at,
            taken(append(2, 1, 1)),
            Action::Ignored { from: None, reason: IgnoreReason::UnknownPeer },
        )
        .expect("its leader");
        at.0.node(1).clock = 999_999_999;
        says(&mut at, asks(2, None), no()).expect("T is not over");
        says(&mut at, asks(2, permit), no()).expect("another may have been promised more");
        at.0.node(1).clock = 1_000_000_000;
        refused(says(&mut at, asks(2, None), no()), "LeaderAlive");
        let (mut cluster, mut checker) = follower();
        cluster.node(1).stored.hard_state.promised = Duration::from_secs(3);
        cluster.started(&mut checker, 1).expect("an earlier life may have promised so much");
        cluster.node(1).clock = 2_999_999_999;
        let mut at = (cluster, checker);
        let word = taken(send(2, 1, 1, Message::TimeoutNow));
        let alive = || Action::Ignored { from: Some(NodeId(2)), reason: IgnoreReason::LeaderAlive };
        says(&mut at, word.clone(), alive()).expect("it keeps that");
        at.0.node(1).clock = 3_000_000_000;
        refused(says(&mut at, word, alive()), "LeaderAlive");
        says(&mut led(), asks(2, None), no()).expect("it leads");
        let own = Some(Permit { leader: NodeId(1), term: Term(1) });
        refused(says(&mut led(), asks(2, own), no()), "LeaderAlive");
    }
}
