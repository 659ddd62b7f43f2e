//! Who asks is answered, and who must ask does: when the step is over and the write that it waits
//! for is done, not later.
//!
//! Every question has its answer in the protocol, a refusal at least. One that is left out costs a
//! heartbeat or an election timeout, is asked again, and nobody ever hears of it. It is due at once
//! but for two reasons to wait: term and vote must be durable before anything leaves, and entries
//! before they are acknowledged. It dies with the term, and what a follower owes its leader with
//! that leader, or when the node is of no use to it: its disk hangs, or an install takes too long.
//!
//! As good as questions are: leadership, which a new leader must tell everybody; a candidacy, and
//! the permit of a leader that transfers leadership to somebody who holds all of its log.

use crate::checker::by_id::ById;
use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Open;
use crate::checker::sight::Sight;
use crate::checker::sight::leads_on;
use crate::plan::choice::nanos;
use raft_core::{
    Action, AppendEntries, AppendOutcome, Config, Envelope, Input, LogIndex, Message, NodeId,
    RoleKind, Round, Status, Term, Ticket,
};

#[derive(Clone, Default, Debug)]
pub(super) struct Answers {
    judged: u64,
    minds: ById<Mind>,
}

/// What one node owes, in one life.
#[derive(Clone, Default, Debug)]
struct Mind {
    duties: Vec<Duty>,
    /// The newest round of its leader, in a term.
    seen: Option<(NodeId, Term, Round)>,
    installing_since: Option<u64>,
    /// What each peer has acknowledged to it, as a leader, and whom it gave a permit.
    acknowledged: ById<LogIndex>,
    permitted: Option<NodeId>,
}

#[derive(Clone, Copy, Debug)]
struct Duty {
    to: NodeId,
    term: Term,
    /// The write that it waits for, besides those of term and vote.
    after: Option<Ticket>,
    what: Due,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    PreVoteResponse(Round),
    RequestVoteResponse,
    /// To the leader of an earlier term.
    StaleTerm,
    /// To its leader: that it is there, and has seen this round.
    Contact(Option<Round>),
    /// To its leader: that its log is durable up to here, or does not match.
    Entries(LogIndex),
    /// That it does not lead.
    ReadIndexResponse(Round),
    PreVote,
    RequestVote,
    AppendEntries,
}

impl Checker for Answers {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let id = sight.node.id;
        match (sight.observed, sight.node.status) {
            (Observed::Stepped { before, whole: true, .. }, Some(after)) => {
                let mind = self.minds.entry(id);
                self.judged += mind.step(sight, before, after)?;
                Ok(())
            }
            (Observed::Started | Observed::Crashed | Observed::Stepped { .. }, _) => {
                self.minds.remove(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Mind {
    /// Takes in a step; how many duties it brought.
    fn step(&mut self, sight: &Sight<'_>, before: &Status, after: &Status) -> Result<u64, String> {
        // What comes in one call with the write that ends a hang may have come before it.
        let was_stuck = sight.inputs().len() > 1 && self.was_stuck(sight);
        self.forget(sight, after);
        let known = self.duties.len();
        self.take(sight, before, after);
        if was_stuck {
            let new = self.duties.split_off(known);
            let to_leader = |duty: &Duty| matches!(duty.what, Due::Contact(_) | Due::Entries(_));
            self.duties.extend(new.into_iter().filter(|duty| !to_leader(duty)));
        }
        self.take_role(sight, before, after);
        let new = u64::try_from(self.duties.len() - known).expect("a few messages");
        if !self.duties.is_empty() {
            for envelope in sight.sent() {
                self.duties.retain(|duty| !duty.is_met_by(envelope));
            }
        }
        let due = |duty: &&Duty| sight.writes.is_open() && sight.writes.is_done(duty.after);
        if let Some(Duty { to, what, .. }) = self.duties.iter().find(due) {
            return Err(format!("{:?} owes {to:?} {what:?}, and nothing waits", after.id));
        }
        takes_over(sight, before, after)?;
        self.hands_over(sight, before, after)?;
        Ok(new)
    }

    /// What nobody waits for any more.
    fn forget(&mut self, sight: &Sight<'_>, after: &Status) {
        let now = sight.node.clock;
        self.installing_since = match after.installing {
            Some(_) => self.installing_since.or(Some(now)),
            None => None,
        };
        if self.duties.is_empty() {
            return;
        }
        let silent = self.is_stuck(sight) || forgets_its_leader(sight, after);
        self.duties.retain(|duty| {
            duty.term == after.term
                && match duty.what {
                    Due::Contact(_) | Due::Entries(_) => !silent && after.leader == Some(duty.to),
                    Due::PreVote => after.role == RoleKind::PreCandidate,
                    Due::RequestVote => after.role == RoleKind::Candidate,
                    // Who leads needs no vote any more: its next answer serves it as well.
                    Due::RequestVoteResponse => after.leader != Some(duty.to),
                    _ => true,
                }
        });
    }

    /// Whether the node is of no use to a leader, and silent.
    fn is_stuck(&self, sight: &Sight<'_>) -> bool {
        let Some(config) = sight.node.node.map(Open::config) else { return true };
        self.installs_long(sight, config) || sight.writes.hang(config, sight.node.clock)
    }

    /// Whether it was when the step began.
    fn was_stuck(&self, sight: &Sight<'_>) -> bool {
        let Some(config) = sight.node.node.map(Open::config) else { return true };
        self.installs_long(sight, config) || sight.writes.hung(config, sight.node.clock)
    }

    fn installs_long(&self, sight: &Sight<'_>, config: &Config) -> bool {
        let (now, patience) = (sight.node.clock, nanos(config.snapshot_timeout));
        self.installing_since.is_some_and(|at| at.saturating_add(patience) <= now)
    }

    /// What the messages of a step ask for.
    fn take(&mut self, sight: &Sight<'_>, before: &Status, after: &Status) {
        // In a step in which the term rises nobody sees what came before that.
        let is_clear = before.term == after.term || sight.inputs().len() == 1;
        for input in sight.inputs() {
            let Input::Message(envelope) = input else { continue };
            let is_new = self.is_new(envelope, after);
            if !is_clear || is_ignored(sight, envelope.from) || envelope.to != after.id {
                continue;
            }
            let (to, term) = (envelope.from, after.term);
            let mut owe = |what, after| self.duties.push(Duty { to, term, after, what });
            match &envelope.message {
                Message::PreVote(m) => owe(Due::PreVoteResponse(m.round), None),
                Message::RequestVote(_) => owe(Due::RequestVoteResponse, None),
                Message::ReadIndex(m) => {
                    let leads = [before, after].iter().any(|s| s.role == RoleKind::Leader);
                    if envelope.term == term && before.term == term && !leads {
                        owe(Due::ReadIndexResponse(m.id), None);
                    }
                }
                Message::AppendEntries(_) | Message::InstallSnapshot(_)
                    if envelope.term < after.term =>
                {
                    owe(Due::StaleTerm, None);
                }
                Message::AppendEntries(_) | Message::InstallSnapshot(_) => {
                    self.take_of_leader(sight, before, after, (envelope, is_new));
                }
                _ => {}
            }
        }
    }

    /// Whether a message of a leader brings a round that its receiver has not seen.
    fn is_new(&mut self, envelope: &Envelope, after: &Status) -> bool {
        let Message::AppendEntries(AppendEntries { probe: Some(probe), .. }) = &envelope.message
        else {
            return false;
        };
        let (leader, term) = (envelope.from, envelope.term);
        let known = self.seen.filter(|(of, at, _)| (*of, *at) == (leader, term));
        let is_new = term == after.term && known.is_none_or(|(_, _, seen)| probe.round > seen);
        if is_new {
            self.seen = Some((leader, term, probe.round));
        }
        is_new
    }

    /// What a message of its leader asks for.
    fn take_of_leader(
        &mut self,
        sight: &Sight<'_>,
        before: &Status,
        after: &Status,
        (envelope, is_new): (&Envelope, bool),
    ) {
        let (to, term) = (envelope.from, after.term);
        let stays = after.leader == Some(to) && !forgets_its_leader(sight, after);
        if !stays || self.is_stuck(sight) {
            return;
        }
        let newest = sight.writes.newest();
        let mut owe = |what, after| self.duties.push(Duty { to, term, after, what });
        match &envelope.message {
            Message::AppendEntries(m) => {
                if let Some(probe) = m.probe
                    && (is_new || m.entries.is_empty())
                {
                    owe(Due::Contact(Some(probe.round)), None);
                }
                if !m.entries.is_empty() {
                    owe(Due::Entries(m.last_position().index), newest);
                }
            }
            // One that is to be installed is acknowledged when it is.
            _ if before.installing == after.installing && sight.inputs().len() == 1 => {
                owe(Due::Contact(None), None);
            }
            _ => {}
        }
    }

    /// What a new role asks of the node.
    fn take_role(&mut self, sight: &Sight<'_>, before: &Status, after: &Status) {
        if (before.role, before.term) == (after.role, after.term) {
            return;
        }
        let (id, term, membership) = (after.id, after.term, sight.node.membership);
        let duty = |what| move |to| Duty { to, term, after: None, what };
        let voters = membership.all_voters().filter(|to| *to != id);
        match after.role {
            RoleKind::Follower => {}
            RoleKind::PreCandidate => self.duties.extend(voters.map(duty(Due::PreVote))),
            RoleKind::Candidate => self.duties.extend(voters.map(duty(Due::RequestVote))),
            RoleKind::Leader => {
                let others = membership.members().filter(|to| *to != id);
                self.duties.extend(others.map(duty(Due::AppendEntries)));
            }
        }
    }

    /// A leader that transfers leadership gives its permit as soon as the other holds all of its
    /// log, and again with each heartbeat.
    fn hands_over(
        &mut self,
        sight: &Sight<'_>,
        before: &Status,
        after: &Status,
    ) -> Result<(), String> {
        if !leads_on(before, after) {
            self.acknowledged.clear();
            self.permitted = None;
            return Ok(());
        }
        for input in sight.inputs() {
            if let Input::Message(envelope) = input
                && let Message::AppendEntriesResponse(m) = &envelope.message
                && let AppendOutcome::Matched { match_index } = m.outcome
                && envelope.term == after.term
                && !is_ignored(sight, envelope.from)
            {
                let known = self.acknowledged.entry(envelope.from);
                *known = match_index.max(*known);
            }
        }
        let to = after.transfers_to;
        if before.transfers_to != to {
            self.permitted = None;
        }
        let Some(to) = to else { return Ok(()) };
        let is_level = self.acknowledged.get(to) == Some(&after.last.index);
        let is_due = match self.permitted {
            Some(_) => is_heartbeat(sight, before, after),
            None => is_level,
        };
        let permits = |e: &Envelope| e.to == to && matches!(e.message, Message::TimeoutNow);
        if sight.sent().any(permits) {
            self.permitted = Some(to);
        } else if is_due {
            return Err(format!("{:?} hands over to {to:?}, and does not tell it so", after.id));
        }
        Ok(())
    }
}

impl Duty {
    fn is_met_by(&self, envelope: &Envelope) -> bool {
        if envelope.to != self.to {
            return false;
        }
        match (self.what, &envelope.message) {
            (Due::PreVoteResponse(round), Message::PreVoteResponse(m)) => m.round >= round,
            (Due::ReadIndexResponse(id), Message::ReadIndexResponse(m)) => m.id >= id,
            (Due::RequestVoteResponse, Message::RequestVoteResponse(_))
            | (Due::PreVote, Message::PreVote(_))
            | (Due::RequestVote, Message::RequestVote(_))
            | (Due::AppendEntries, Message::AppendEntries(_)) => true,
            (Due::StaleTerm, Message::AppendEntriesResponse(m)) => {
                m.outcome == AppendOutcome::StaleTerm
            }
            (Due::Contact(round), Message::AppendEntriesResponse(m)) => {
                m.echo.map(|echo| echo.round) >= round
            }
            (Due::Entries(last), Message::AppendEntriesResponse(m)) => match m.outcome {
                AppendOutcome::Matched { match_index } => match_index >= last,
                AppendOutcome::Mismatched { .. } | AppendOutcome::Installing => true,
                AppendOutcome::StaleTerm => false,
            },
            _ => false,
        }
    }
}

/// Who is asked to take over, and does not refuse, is a candidate in the next term.
fn takes_over(sight: &Sight<'_>, before: &Status, after: &Status) -> Result<(), String> {
    let [Input::Message(Envelope { from, term, message: Message::TimeoutNow, .. })] =
        sight.inputs()
    else {
        return Ok(());
    };
    let campaigns = after.term > before.term && after.voted_for == Some(after.id);
    if *term != before.term || campaigns || is_ignored(sight, *from) {
        return Ok(());
    }
    Err(format!("{:?} does nothing about the word of {from:?} to take over", after.id))
}

/// Whether something that this peer said was refused.
fn is_ignored(sight: &Sight<'_>, peer: NodeId) -> bool {
    let of =
        |action: &Action| matches!(action, Action::Ignored { from, .. } if *from == Some(peer));
    sight.actions().iter().any(of)
}

/// Whether a follower starts afresh with the leader that it has: because of a late request for its
/// vote, or because it was told to campaign, and heard the leader in the same step.
fn forgets_its_leader(sight: &Sight<'_>, after: &Status) -> bool {
    sight.inputs().iter().any(|input| match input {
        Input::Campaign => true,
        Input::Message(e) => {
            matches!(e.message, Message::RequestVote(_)) && Some(e.from) == after.leader
        }
        _ => false,
    })
}

/// Whether a leader's step is a heartbeat: it asks everybody, and for no read.
fn is_heartbeat(sight: &Sight<'_>, before: &Status, after: &Status) -> bool {
    let asks = |envelope: &Envelope| match &envelope.message {
        Message::AppendEntries(m) => m.entries.is_empty() && m.probe.is_some(),
        _ => false,
    };
    sight.inputs() == [Input::Wake]
        && before.pending_reads == 0
        && after.pending_reads == 0
        && sight.sent().any(asks)
}

#[cfg(test)]
mod tests {
    use super::Answers;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::append;
    use crate::checker::fixture::matched;
    use crate::checker::fixture::position;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::request_vote;
    use crate::checker::fixture::send;
    use crate::checker::fixture::taken;
    use crate::checker::fixture::vote;
    use raft_core::{
        Action, AppendEntries, Config, Echo, Entries, HardState, IgnoreReason, Input, Instant,
        LogIndex, Message, NodeId, PreVote, PreVoteResponse, Probe, ReadIndex, ReadIndexResponse,
        RoleKind, Round, Run, Term, Ticket, Verdict, Write,
    };
    use std::time::Duration;

    /// S1 follows S2 in term 1.
    fn follower() -> (Cluster, Answers) {
        let mut cluster = Cluster::of(3);
        let node = cluster.node(1).configured(Config::new(NodeId(1), 1)).vote(1, 2);
        node.status.leader = Some(NodeId(2));
        (cluster, Answers::default())
    }

    fn write(ticket: u64, term: Option<u64>) -> Action {
        let hard_state =
            term.map(|term| HardState { current_term: Term(term), ..HardState::default() });
        Action::Persist(Write { ticket: Ticket(ticket), hard_state, log: None })
    }

    const fn written(ticket: u64) -> Input {
        Input::Persisted { ticket: Ticket(ticket) }
    }

    fn echo(round: u64) -> Echo {
        let (sent_at, promised) = (Instant::ZERO, Duration::ZERO);
        Echo { round: Round(round), sent_at, promised }
    }

    /// S2 sends S1 so many entries, and a question.
    fn question(round: u64, count: u64) -> Input {
        let entries: Entries =
            (count > 0).then_some(Run::Commands { term: Term(1), count }).into_iter().collect();
        let (sent_at, lease) = (Instant::ZERO, Duration::ZERO);
        let probe = Some(Probe { round: Round(round), sent_at, lease });
        let (prev, commit) = (position(0, 0), LogIndex(0));
        let message = AppendEntries { prev, entries, commit, probe };
        taken(send(2, 1, 1, Message::AppendEntries(message)))
    }

    fn pre_vote() -> Input {
        let message = PreVote { round: Round(4), last: position(0, 0) };
        taken(send(3, 1, 1, Message::PreVote(message)))
    }

    fn would(round: u64) -> Action {
        let (round, verdict, last) = (Round(round), Verdict::StaleLog, position(0, 0));
        send(1, 3, 1, Message::PreVoteResponse(PreVoteResponse { round, verdict, last }))
    }

    #[test]
    fn each_question_without_an_answer() {
        let read = Message::ReadIndex(ReadIndex { id: Round(7) });
        let answer = ReadIndexResponse { id: Round(7), index: None };
        let cases = [
            (pre_vote(), would(4), "owes S3 PreVoteResponse"),
            (taken(request_vote(3, 1, 1)), vote(1, 3, 1, Verdict::AlreadyVoted), "owes S3 Requ"),
            (question(5, 0), matched(1, 2, 1, 0, Some(echo(5))), "owes S2 Contact"),
            (
                taken(send(3, 1, 1, read)),
                send(1, 3, 1, Message::ReadIndexResponse(answer)),
                "owes S3 ReadIndexResponse",
            ),
        ];
        for (asked, answer, owed) in cases {
            let (mut cluster, mut checker) = follower();
            let took = [asked];
            cluster.takes(&mut checker, 1, &took, &[answer]).expect("it answers");
            refused(cluster.takes(&mut checker, 1, &took, &[]), owed);
        }
    }

    #[test]
    fn an_answer_to_somebody_else_or_to_another_question() {
        let (mut cluster, mut checker) = follower();
        refused(cluster.takes(&mut checker, 1, &[pre_vote()], &[would(3)]), "owes S3");
        let (mut cluster, mut checker) = follower();
        let late = [matched(1, 2, 1, 0, Some(echo(4)))];
        refused(cluster.takes(&mut checker, 1, &[question(5, 0)], &late), "owes S2 Contact");
    }

    #[test]
    fn an_answer_waits_for_term_and_vote_and_no_longer() {
        for told in [true, false] {
            let (mut cluster, mut checker) = follower();
            cluster.stepped(&mut checker, 1, &[write(7, Some(1))]).expect("a vote");
            cluster.takes(&mut checker, 1, &[pre_vote()], &[]).expect("it waits");
            let then = if told { vec![would(4)] } else { Vec::new() };
            let result = cluster.takes(&mut checker, 1, &[written(7)], &then);
            if told { result.expect("it answers") } else { refused(result, "owes S3") }
        }
    }

    #[test]
    fn entries_are_acknowledged_when_they_are_durable() {
        let (mut cluster, mut checker) = follower();
        let at_once = [write(7, None), matched(1, 2, 1, 0, Some(echo(5)))];
        cluster.takes(&mut checker, 1, &[question(5, 3)], &at_once).expect("not durable yet");
        let less = [matched(1, 2, 1, 2, Some(echo(5)))];
        refused(cluster.takes(&mut checker, 1, &[written(7)], &less), "owes S2 Entries(i3)");
    }

    #[test]
    fn what_nobody_waits_for_any_more() {
        let forgets: [fn(&mut Cluster); 3] = [
            |cluster| {
                cluster.node(1).vote(2, 3);
            },
            |cluster| cluster.node(1).status.leader = None,
            |cluster| cluster.node(1).clock = 10_000_000_000,
        ];
        for forget in forgets {
            let (mut cluster, mut checker) = follower();
            let waits = [write(7, Some(1))];
            cluster.takes(&mut checker, 1, &[question(5, 0)], &waits).expect("it waits");
            forget(&mut cluster);
            cluster.stepped(&mut checker, 1, &[]).expect("nobody waits, or the disk hangs");
            cluster.node(1).vote(1, 2).status.leader = Some(NodeId(2));
            cluster.takes(&mut checker, 1, &[written(7)], &[]).expect("it is forgotten");
        }
        let (mut cluster, mut checker) = follower();
        let stale = Action::Ignored { from: Some(NodeId(3)), reason: IgnoreReason::Stale };
        cluster.takes(&mut checker, 1, &[pre_vote()], &[stale]).expect("it was refused");
    }

    #[test]
    fn a_new_role_tells_everybody() {
        let cases =
            [(RoleKind::Candidate, request_vote(1, 2, 2)), (RoleKind::Leader, append(1, 2, 2))];
        for (role, message) in cases {
            let (mut cluster, mut checker) = follower();
            let before = cluster.node(1).status;
            let status = &mut cluster.node(1).vote(2, 1).status;
            (status.role, status.leader) = (role, None);
            let one = [message];
            let step = cluster.takes_from(&mut checker, 1, &before, &[Input::Wake], &one);
            refused(step, "owes S3");
        }
    }

    #[test]
    fn who_is_told_to_take_over_campaigns() {
        let (mut cluster, mut checker) = follower();
        let word = [taken(send(2, 1, 1, Message::TimeoutNow))];
        let hangs = Action::Ignored { from: Some(NodeId(2)), reason: IgnoreReason::DiskHangs };
        cluster.takes(&mut checker, 1, &word, &[hangs]).expect("it says why not");
        refused(cluster.takes(&mut checker, 1, &word, &[]), "does nothing about the word of S2");
    }

    #[test]
    fn the_word_leaves_when_the_other_is_level_and_with_each_heartbeat() {
        let (mut cluster, mut checker) = follower();
        cluster.node(1).leads(1).status.transfers_to = Some(NodeId(3));
        cluster.node(1).status.leader = Some(NodeId(1));
        cluster.node(1).fill(&[1, 1]);
        let level = |index| [taken(matched(3, 1, 1, index, None))];
        let word = send(1, 3, 1, Message::TimeoutNow);
        cluster.takes(&mut checker, 1, &level(1), &[]).expect("it lacks an entry");
        let mut other = checker.clone();
        refused(cluster.takes(&mut other, 1, &level(2), &[]), "hands over to S3");
        let told = std::slice::from_ref(&word);
        cluster.takes(&mut checker, 1, &level(2), told).expect("it is told");
        let Input::Message(beat) = question(9, 0) else { unreachable!("a message") };
        let beat = Action::Send(beat);
        cluster.takes(&mut checker, 1, &[Input::Wake], &[word, beat.clone()]).expect("again");
        refused(cluster.takes(&mut checker, 1, &[Input::Wake], &[beat]), "hands over to S3");
    }
}
