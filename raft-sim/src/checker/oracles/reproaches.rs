//! The properties of what nodes say of one another and refuse, word by word.

use crate::checker::oracles::duties::{before, disks, life, messages, nanos};
use crate::checker::oracles::history::{Recorded, Seen};
use raft_core::types::LIMIT;
use raft_core::{
    Action, Config, IgnoreReason as R, Input, Message, NodeId, Permit, Protection,
    RejectReason as No, RoleKind, Status, Term, Token, TransferOutcome, Verdict,
};

/// What is sent is possible, true, and meant for whom it reaches; nobody says otherwise of it.
pub(super) fn accusations(_: &[Seen], now: &Seen) -> bool {
    let members: Vec<_> = now.nodes.keys().copied().filter(|id| *id != now.id).collect();
    now.actions().iter().all(|action| match action {
        Action::PeerRegressed { .. } => false,
        Action::Ignored { from, reason } => {
            let invented = now.inputs().iter().any(|input| match input {
                Input::Message(e) => {
                    *from == Some(e.from) && (e.to != now.id || !members.contains(&e.from))
                }
                _ => false,
            });
            invented
                || matches!(
                    reason,
                    R::Stale
                        | R::UnknownPeer
                        | R::UnknownVoter
                        | R::CannotCompact(_)
                        | R::Overloaded
                        | R::TooManyReads
                        | R::LeaderAlive
                        | R::NotAVoter
                        | R::AlreadyCampaigning
                        | R::DiskHangs
                        | R::Installing
                        | R::LastTerm
                        | R::LogFull
                )
        }
        _ => true,
    })
}

/// A step, with what was before it.
struct Case<'a> {
    past: &'a [Seen],
    now: &'a Seen,
    before: &'a Status,
    after: &'a Status,
    config: Option<&'a Config>,
}

/// "A refusal says what is the case."
pub(super) fn refusals(past: &[Seen], now: &Seen) -> bool {
    let (Recorded::Stepped { whole: true, .. }, Some(after)) = (&now.what, now.status()) else {
        return true;
    };
    let config = now.node().node.as_ref().map(|node| &node.config);
    let case = Case { past, now, before: before(now), after, config };
    now.actions().iter().enumerate().all(|(nth, action)| match action {
        Action::Rejected { token, reason } => case.rejects(*token, *reason, nth),
        Action::TransferEnded { token, outcome: TransferOutcome::TimedOut } => case.is_late(*token),
        Action::TransferEnded { .. } => !case.leads_on(),
        Action::Ignored { reason, .. } => case.ignores(*reason),
        Action::Send(e) => {
            let (Message::PreVoteResponse(_) | Message::RequestVoteResponse(_)) = &e.message else {
                return true;
            };
            case.votes(e.to, &e.message)
        }
        _ => true,
    })
}

impl Case<'_> {
    fn clock(&self) -> u64 {
        self.now.clocks[&self.now.id]
    }

    /// What happened to the node in this life before this step.
    fn mine(&self) -> impl DoubleEndedIterator<Item = &Seen> {
        let id = self.now.id;
        let crash = |seen: &Seen| {
            let gone = matches!(seen.what, Recorded::Started | Recorded::Crashed);
            seen.id == id && gone
        };
        let begin = self.past.iter().rposition(crash).unwrap_or(0);
        self.past[begin..].iter().filter(move |seen| seen.id == id)
    }

    fn leads_on(&self) -> bool {
        let leads = |status: &Status| (status.role == RoleKind::Leader).then_some(status.term);
        leads(self.before).is_some() && leads(self.before) == leads(self.after)
    }

    fn stays(&self) -> bool {
        let of = |status: &Status| (status.role, status.term, status.leader);
        let votes = messages(self.now).any(|e| matches!(e.message, Message::RequestVote(_)));
        let inputs = self.now.inputs();
        let campaigns = inputs.len() > 1 && inputs.contains(&Input::Campaign);
        of(self.before) == of(self.after) && !votes && !campaigns
    }

    fn full(&self, more: u64) -> bool {
        self.after.last.index.get().saturating_add(more) > LIMIT / 2
    }

    fn is_late(&self, name: Token) -> bool {
        let ends = |seen: &Seen| {
            seen.actions().iter().any(|action| match action {
                Action::ReadReady { token, .. }
                | Action::Rejected { token, .. }
                | Action::TransferEnded { token, .. } => *token == name,
                _ => false,
            })
        };
        let whole = |seen: &Seen| matches!(seen.what, Recorded::Stepped { whole: true, .. });
        let all: Vec<&Seen> = self.mine().collect();
        let asked = all.iter().rposition(|seen| match seen.what {
            Recorded::Asked { token, .. } => token == name,
            _ => false,
        });
        let Some(asked) = asked else { return false };
        let Recorded::Asked { within, .. } = all[asked].what else { return false };
        let ended = all[asked..].iter().any(|seen| whole(seen) && ends(seen));
        let since = all[asked].clocks[&self.now.id];
        !ended && since.saturating_add(nanos(within)) <= self.clock()
    }

    fn reads_are_many(&self) -> bool {
        let reads = |input: &&Input| match input {
            Input::Read { .. } => true,
            Input::Message(e) => matches!(e.message, Message::ReadIndex(_)),
            _ => false,
        };
        let came = self.now.inputs().iter().filter(reads).count();
        let most = self.config.map_or(0, |config| config.max_pending_reads);
        self.before.pending_reads + came > most
    }

    fn rejects(&self, name: Token, reason: No, nth: usize) -> bool {
        let request = self.now.inputs().iter().find(|input| match input {
            Input::Propose { token, .. }
            | Input::Read { token, .. }
            | Input::ChangeMembership { token, .. }
            | Input::TransferLeadership { token, .. } => *token == name,
            _ => false,
        });
        let accepted = self.now.actions()[..nth].iter().map(|action| match action {
            Action::Accepted { count, .. } => *count,
            _ => 0,
        });
        let accepted: u64 = accepted.sum();
        match reason {
            No::TimedOut => return self.is_late(name),
            No::LeaderChanged => {
                let nobody = messages(self.now).any(|e| match &e.message {
                    Message::ReadIndexResponse(m) => m.index.is_none(),
                    _ => false,
                });
                return !self.stays() || nobody;
            }
            _ => {}
        }
        let known = self.before.leader.is_some();
        match (request, reason) {
            (None, _) => false,
            (Some(Input::Read { .. }), No::TooManyReads) => self.reads_are_many(),
            (Some(Input::Read { .. }), No::NotLeader { leader: None }) => !known || !self.stays(),
            (Some(Input::Read { .. }), _) => false,
            (_, No::NotLeader { leader }) => {
                let named = leader == self.before.leader || leader == self.after.leader;
                !self.leads_on() && (named || !self.stays())
            }
            (_, No::TransferInProgress) => {
                let to = self.before.transfers_to.or(self.after.transfers_to);
                to.is_some() || !self.leads_on()
            }
            (Some(Input::Propose { count, .. }), No::TooManyUncommitted { waiting }) => {
                let open = (self.before.last.index.get() + accepted)
                    .saturating_sub(self.before.commit_index.get());
                let most = self.config.map_or(0, |config| config.max_uncommitted);
                !self.leads_on() || waiting == open && count.saturating_add(open) > most
            }
            (Some(Input::Propose { count, .. }), No::BadCount { count: named }) => {
                *count == named && (*count == 0 || *count >= LIMIT / 2)
            }
            (Some(Input::Propose { count, .. }), No::LogFull) => self.full(*count),
            (Some(input), reason) => self.rejects_of_operator(input, reason, accepted),
        }
    }

    fn rejects_of_operator(&self, input: &Input, reason: No, accepted: u64) -> bool {
        let (id, membership) = (self.now.id, &self.now.node().membership);
        let moved = self.before.last != self.after.last || self.before.membership_changes;
        let unknown = !self.leads_on() || moved;
        match (input, reason) {
            (Input::TransferLeadership { .. }, No::CannotLead { node }) => {
                unknown || node == id || !membership.voters().contains(&node)
            }
            (Input::TransferLeadership { .. }, No::NoOtherVoter) => {
                unknown || !membership.voters().iter().any(|voter| *voter != id)
            }
            (Input::ChangeMembership { target, .. }, No::BadMembership) => {
                target.voters().is_empty() || !target.outgoing().is_empty()
            }
            (Input::ChangeMembership { .. }, No::LogFull) => self.full(1),
            (Input::ChangeMembership { .. }, No::TermNotCommitted) => {
                let at = self.now.node().log.position(self.before.commit_index);
                !self.leads_on() || at.is_none_or(|at| at.term < self.after.term)
            }
            (Input::ChangeMembership { .. }, No::ChangeInProgress) => {
                !self.leads_on() || self.before.membership_changes || accepted > 0
            }
            (Input::ChangeMembership { target, .. }, No::AlreadyInForce) => {
                unknown || target == membership
            }
            (Input::ChangeMembership { target, .. }, No::NotCaughtUp { node }) => {
                target.voters().contains(&node) && (unknown || !membership.is_voter(node))
            }
            (Input::ChangeMembership { target, .. }, No::NoQuorum { node }) => {
                let votes = target.voters().contains(&node) || membership.is_voter(node);
                node != id && (unknown || votes)
            }
            _ => false,
        }
    }

    fn ignores(&self, reason: R) -> bool {
        if self.now.inputs().len() > 1 && !self.stays() {
            return true;
        }
        let either = [self.before, self.after];
        let votes = self.now.node().membership.is_voter(self.now.id);
        match reason {
            R::Overloaded => {
                let durable = self.before.durable_hard_state;
                durable.current_term != self.before.term
                    || durable.voted_for != self.before.voted_for
            }
            R::TooManyReads => self.reads_are_many(),
            R::Installing => either.iter().any(|status| status.installing.is_some()),
            R::LastTerm => self.after.term.get() > LIMIT / 2,
            R::LogFull => self.full(1),
            R::DiskHangs => self.hangs(),
            R::NotAVoter => self.before.last != self.after.last || !votes,
            R::AlreadyCampaigning => either
                .iter()
                .any(|status| !matches!(status.role, RoleKind::Follower | RoleKind::Leader)),
            R::LeaderAlive => {
                let word = messages(self.now).find(|e| e.message == Message::TimeoutNow);
                match word {
                    Some(e) => self.keeps_from(Permit { leader: e.from, term: e.term }),
                    None => self.is_bound() || either.iter().any(|s| s.role == RoleKind::Leader),
                }
            }
            R::Stale => {
                let only = messages(self.now).next().filter(|_| self.now.inputs().len() == 1);
                only.is_none_or(|e| match e.message {
                    Message::PreVote(_) | Message::PreVoteResponse(_) | Message::RequestVote(_) => {
                        true
                    }
                    Message::AppendEntries(_) | Message::InstallSnapshot(_) => false,
                    _ => e.term <= self.before.term,
                })
            }
            _ => true,
        }
    }

    fn hangs(&self) -> bool {
        let steps = life(self.past, self.now);
        let completes = |input: &Input| matches!(input, Input::Persisted { .. });
        self.now.inputs().iter().any(completes) || disks(&steps).last().is_some_and(|d| d.hangs)
    }

    /// What its leaders have said to it in this life: who, in which term, when by its own clock,
    /// and the lease that one asked for.
    fn contacts(&self) -> Vec<(Permit, u64, Option<std::time::Duration>)> {
        let mut all = Vec::new();
        for seen in self.mine().chain([self.now]) {
            let Recorded::Stepped { whole: true, before, .. } = &seen.what else { continue };
            let Some(node) = seen.node().node.as_ref().filter(|_| seen.status().is_some()) else {
                continue;
            };
            if node.config.protection != Protection::Full {
                continue;
            }
            for e in messages(seen).filter(|e| e.term >= before.term) {
                let who = Permit { leader: e.from, term: e.term };
                let lease = match &e.message {
                    Message::AppendEntries(m) => m.probe.map(|probe| probe.lease),
                    Message::InstallSnapshot(_) => None,
                    _ => continue,
                };
                all.push((who, seen.clocks[&seen.id], lease));
            }
        }
        all
    }

    fn kept(&self) -> u64 {
        let started = |seen: &&Seen| matches!(seen.what, Recorded::Started);
        self.mine().find(started).map_or(0, |seen| {
            let promised = seen.node().stored.hard_state.promised;
            seen.clocks[&seen.id].saturating_add(nanos(promised))
        })
    }

    fn is_bound(&self) -> bool {
        let Some(config) = self.config else { return !self.now.clocks_hold };
        let mut lease = config.election_timeout;
        let mut until = self.kept();
        for (_, at, asked) in self.contacts() {
            lease = asked
                .filter(|asked| *asked <= config.longest_promise)
                .map_or(lease, |asked| lease.max(asked));
            until = until.max(at.saturating_add(nanos(lease)));
        }
        !self.now.clocks_hold || self.clock() < until
    }

    fn keeps_from(&self, word: Permit) -> bool {
        let contacts = self.contacts();
        let asked = contacts.iter().rev().find(|(_, _, lease)| lease.is_some());
        let other = asked.is_none_or(|(who, _, _)| *who != word);
        !self.now.clocks_hold || self.clock() < self.kept() || other && self.is_bound()
    }

    fn votes(&self, to: NodeId, answer: &Message) -> bool {
        let verdict = match answer {
            Message::PreVoteResponse(m) => m.verdict,
            Message::RequestVoteResponse(m) => m.verdict,
            _ => return true,
        };
        let [Input::Message(e)] = self.now.inputs() else { return true };
        let (last, permit) = match &e.message {
            Message::PreVote(m) => (m.last, None),
            Message::RequestVote(m) => (m.last, m.permit),
            _ => return true,
        };
        let follows = (self.before.leader, self.before.term);
        let known = permit
            .filter(|p| follows == (Some(p.leader), p.term) && Term(p.term.get() + 1) == e.term);
        let led = |seen: &Seen| {
            let leads = |s: &Status| s.role == RoleKind::Leader && s.term == e.term;
            let stepped = matches!(seen.what, Recorded::Stepped { .. });
            stepped && seen.status().is_some_and(leads) && seen.id != e.from
        };
        e.from != to
            || match verdict {
                Verdict::Granted => true,
                Verdict::StaleTerm => self.after.term > e.term,
                Verdict::StaleLog => self.after.last > last,
                Verdict::AlreadyVoted => {
                    self.after.voted_for.is_some_and(|id| id != e.from)
                        || self.past.iter().chain([self.now]).any(led)
                }
                Verdict::DiskHangs => self.hangs(),
                Verdict::LeaderAlive => match known {
                    Some(word) => word.leader != self.now.id && self.keeps_from(word),
                    None => self.before.role == RoleKind::Leader || self.is_bound(),
                },
            }
    }
}
