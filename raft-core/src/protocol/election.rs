//! Elections: pre-vote, vote, and the lease that refuses both (Raft paper, 5.2 and 5.4.1; thesis,
//! 4.2.3, 6.2 and 9.6).

use crate::config::Protection;
use crate::error::IgnoreReason;
use crate::message::{
    Message, Permit, PreVote, PreVoteResponse, RequestVote, RequestVoteResponse, Verdict,
};
use crate::protocol::transition::{
    become_candidate, become_follower, become_leader, become_pre_candidate,
};
use crate::state::core::Core;
use crate::state::quorum;
use crate::state::role::{Candidate, Leader, NodeSet, PreCandidate, Role};
use crate::state::timers::Deadline;
use crate::types::{Instant, LogPosition, NodeId, Term};
use alloc::vec::Vec;

/// The election timer has run out, or a round has taken too long: once more (N1, N10, N16).
pub(crate) fn on_election_timeout(core: &mut Core, role: &mut Role) {
    if may_campaign(core).is_err() || core.vote_waits {
        // A slow disk must not make a node raise its term again and again.
        core.reset_election_timer();
    } else if !core.lease.is_over(core.now) {
        // A promise of an earlier life, or to a leader with a longer timeout, binds this node too.
        let jitter = core.rng.below(core.config.timeout_nanos());
        let after = core.lease.until().plus_nanos(jitter);
        core.timers.set(Deadline::Election, Some(after));
    } else {
        campaign(core, role);
    }
}

/// The operator asks for an election.
pub(crate) fn on_campaign(core: &mut Core, role: &mut Role) -> Result<(), IgnoreReason> {
    if matches!(role, Role::Leader(_)) {
        return Err(IgnoreReason::LeaderAlive);
    }
    may_campaign(core)?;
    match role {
        Role::PreCandidate(_) | Role::Candidate(_) => Err(IgnoreReason::AlreadyCampaigning),
        _ if !core.lease.is_over(core.now) => Err(IgnoreReason::LeaderAlive),
        Role::Follower(_) | Role::Leader(_) => {
            campaign(core, role);
            Ok(())
        }
    }
}

/// Whether this node may hold an election, as far as leases allow it, or why not.
pub(crate) fn may_campaign(core: &Core) -> Result<(), IgnoreReason> {
    if !core.has_a_vote() {
        return Err(IgnoreReason::NotAVoter);
    }
    if core.term() >= Term::LAST {
        return Err(IgnoreReason::LastTerm);
    }
    if core.room() == 0 {
        return Err(IgnoreReason::LogFull);
    }
    if core.installing.is_some() {
        return Err(IgnoreReason::Installing);
    }
    if core.disk_hangs() {
        return Err(IgnoreReason::DiskHangs);
    }
    Ok(())
}

/// Would this node vote for the sender? The question changes nothing (thesis, 9.6).
pub(crate) fn on_pre_vote(core: &mut Core, role: &Role, from: NodeId, term: Term, m: &PreVote) {
    let verdict = if hears_a_leader(core, role) {
        Verdict::LeaderAlive
    } else if term < core.term() {
        Verdict::StaleTerm
    } else if core.disk_hangs() {
        Verdict::DiskHangs
    } else {
        up_to_date(core, m.last)
    };
    let last = core.log.last_position();
    core.send(from, Message::PreVoteResponse(PreVoteResponse { round: m.round, verdict, last }));
}

/// A voter says whether it would vote for this node. Only a refusal teaches a higher term: a voter
/// that would say yes is not ahead.
pub(crate) fn on_pre_vote_response(
    core: &mut Core,
    role: &mut Role,
    from: NodeId,
    term: Term,
    m: &PreVoteResponse,
) -> Result<(), IgnoreReason> {
    let Role::PreCandidate(PreCandidate { round, granted, refused, .. }) = role else {
        return Err(IgnoreReason::Stale);
    };
    if m.round != *round {
        return Err(IgnoreReason::Stale);
    }
    if !core.membership().is_voter(from) {
        return Err(IgnoreReason::UnknownVoter);
    }
    if refused.contains(from) {
        // What it says after a refusal may have been said before it.
        return Err(IgnoreReason::Stale);
    }
    let at = granted.partition_point(|(id, _)| *id < from);
    let known = granted.get(at).is_some_and(|(id, _)| *id == from);
    match m.verdict {
        Verdict::Granted if known => granted[at].1 = core.now,
        Verdict::Granted => granted.insert(at, (from, core.now)),
        _ if term > core.term() => become_follower(core, role, term, None),
        _ => {
            // It may have said yes before: it has heard a leader since, or has a newer log.
            granted.retain(|(id, _)| *id != from);
            refused.insert(from);
        }
    }
    Ok(())
}

/// A candidate asks for a vote (Raft paper, 5.2, 5.4.1).
///
/// The lease comes first: within it a request changes neither term nor vote nor timer, or one node
/// that does not hear the leader would depose it again and again (thesis, 4.2.3; N14).
pub(crate) fn on_request_vote(
    core: &mut Core,
    role: &mut Role,
    from: NodeId,
    term: Term,
    m: &RequestVote,
) {
    let verdict = if hears_a_leader(core, role) && !is_permitted(core, role, term, m.permit) {
        Verdict::LeaderAlive
    } else if term < core.term() {
        Verdict::StaleTerm
    } else {
        if term > core.term() {
            become_follower(core, role, term, None);
        }
        let mut taken = core.hard_state.voted_for.into_iter().chain(core.elected);
        if taken.any(|other| other != from) {
            Verdict::AlreadyVoted
        } else {
            up_to_date(core, m.last)
        }
    };
    if verdict == Verdict::Granted && core.hard_state.voted_for.is_none() {
        core.hard_state.voted_for = Some(from);
        // Having voted, this node waits for the one it voted for (Raft paper, 5.2; N2).
        become_follower(core, role, core.term(), None);
        core.reset_election_timer();
        core.vote_waits = true;
    }
    let last = core.log.last_position();
    core.send(from, Message::RequestVoteResponse(RequestVoteResponse { verdict, last }));
}

/// A voter answers this candidate, in this term.
pub(crate) fn on_request_vote_response(
    core: &Core,
    candidate: &mut Candidate,
    from: NodeId,
    m: &RequestVoteResponse,
) -> Result<(), IgnoreReason> {
    if !core.membership().is_voter(from) {
        return Err(IgnoreReason::UnknownVoter);
    }
    if m.verdict == Verdict::Granted {
        candidate.granted.insert(from);
    } else {
        candidate.refused.insert(from);
    }
    Ok(())
}

/// A vote that comes when the election has taken too long, and the term is still the same, counts:
/// where disks are slow it may be the only one that does.
pub(crate) fn on_late_vote(
    core: &Core,
    candidate: &mut PreCandidate,
    from: NodeId,
    m: &RequestVoteResponse,
) -> Result<(), IgnoreReason> {
    let Some(votes) = candidate.votes.as_mut().filter(|_| m.verdict == Verdict::Granted) else {
        return Err(IgnoreReason::Stale);
    };
    if !core.membership().is_voter(from) {
        return Err(IgnoreReason::UnknownVoter);
    }
    votes.insert(from);
    Ok(())
}

/// Who has not answered is asked again: one lost message must not cost an election. The receiver of
/// a repeat changes nothing, so it resets no timer there (N2).
///
/// Where votes are not refused for a leader that lives, would-be votes are asked for once: a node
/// that was cut off must hear the leader's next heartbeat before it asks again (N13).
pub(crate) fn on_repeat(core: &mut Core, role: &Role) {
    let last = core.log.last_position();
    let request = match role {
        Role::PreCandidate(_) if !core.has_leases() => {
            return core.timers.set(Deadline::Repeat, None);
        }
        Role::PreCandidate(asks) => Message::PreVote(PreVote { round: asks.round, last }),
        Role::Candidate(asks) => Message::RequestVote(RequestVote { last, permit: asks.permit }),
        Role::Follower(_) | Role::Leader(_) => return core.timers.set(Deadline::Repeat, None),
    };
    let answered = |id| match role {
        Role::PreCandidate(asks) => asks.refused.contains(id) || would_vote(core, asks, id),
        Role::Candidate(asks) => asks.refused.contains(id) || asks.granted.contains(id),
        Role::Follower(_) | Role::Leader(_) => true,
    };
    let others = core.membership().all_voters().filter(|id| *id != core.id());
    let silent: Vec<_> = others.filter(|id| !answered(*id)).collect();
    for id in silent {
        core.send(id, request.clone());
    }
    core.timers.set(Deadline::Repeat, Some(core.next_repeat()));
}

/// Whether `id` has said of late that it would vote for this node. What it said longer than T/2 ago
/// counts for nothing, or answers of different moments would add up to a quorum that never was.
fn would_vote(core: &Core, asks: &PreCandidate, id: NodeId) -> bool {
    let at = asks.granted.binary_search_by_key(&id, |(voter, _)| *voter);
    let said_at = at.ok().map(|at| asks.granted[at].1);
    let half = core.config.election_timeout / 2;
    said_at.is_some_and(|at| at.saturating_add(half) > core.now)
}

/// Draws the consequence of the votes that are in: from would-win to candidate, from candidate to
/// leader. A node's own vote counts once it is durable.
pub(crate) fn settle_votes(core: &mut Core, role: &mut Role) {
    let (is_elected, would_win) = match &*role {
        Role::Follower(_) | Role::Leader(_) => return,
        // A log that is about to be replaced lacks what is committed: it cannot win.
        Role::PreCandidate(_) | Role::Candidate(_) if core.installing.is_some() => return,
        Role::PreCandidate(asks) => {
            let is_elected = asks.votes.as_ref().is_some_and(|votes| has_votes(core, votes));
            (is_elected, has_quorum(core, |id| would_vote(core, asks, id)))
        }
        Role::Candidate(Candidate { granted, .. }) => (has_votes(core, granted), false),
    };
    if is_elected {
        become_leader(core, role);
    } else if would_win {
        become_candidate(core, role, None);
    }
}

/// Whether a quorum has voted for this node in the current term, itself included.
fn has_votes(core: &Core, granted: &NodeSet) -> bool {
    core.is_open() && has_quorum(core, |id| granted.contains(id))
}

fn has_quorum(core: &Core, says_yes: impl Fn(NodeId) -> bool) -> bool {
    quorum::has_quorum(core.membership(), |id| id == core.id() || says_yes(id))
}

/// Only who may hold an election waits for one. It is decided after the commit has moved: the
/// membership in force may be known to be committed since, or undone.
pub(crate) fn settle_timer(core: &mut Core, role: &Role) {
    let waits = core.timers.get(Deadline::Election).is_some();
    let may = !matches!(role, Role::Leader(_)) && core.has_a_vote();
    if may == waits {
        return;
    }
    if may {
        core.reset_election_timer();
    } else {
        core.timers.set(Deadline::Election, None);
    }
}

/// The leader looks whether a quorum has answered something that it sent within T (thesis, 6.2). If
/// not, it steps down, and with that every kind of its traffic ends: a leader that reaches no
/// quorum must not keep anybody from electing another.
pub(crate) fn on_check_quorum(core: &mut Core, role: &mut Role) {
    let Role::Leader(leader) = role else { return };
    let until = quorum_heard_at(core, leader).saturating_add(core.config.election_timeout);
    if until > core.now {
        core.timers.set(Deadline::CheckQuorum, Some(until));
    } else {
        become_follower(core, role, core.term(), None);
    }
}

fn campaign(core: &mut Core, role: &mut Role) {
    match core.config.protection {
        Protection::Plain => become_candidate(core, role, None),
        Protection::PreVote | Protection::Full => become_pre_candidate(core, role),
    }
}

/// Whether votes are refused because a leader is alive: this node has promised one not to vote yet,
/// or is one that hears its quorum.
fn hears_a_leader(core: &Core, role: &Role) -> bool {
    if !core.lease.is_over(core.now) {
        return true;
    }
    let Role::Leader(leader) = role else { return false };
    let heard = quorum_heard_at(core, leader);
    core.has_leases() && heard.saturating_add(core.config.election_timeout) > core.now
}

/// Whether the leader that this node hears has itself asked for the vote, for this very term.
fn is_permitted(core: &Core, role: &Role, term: Term, permit: Option<Permit>) -> bool {
    let heard = match role {
        Role::Leader(_) => Some(Permit { leader: core.id(), term: core.term() }),
        Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => core.lease.holder(),
    };
    permit.is_some_and(|permit| permit.term.next() == term && heard == Some(permit))
}

/// A vote goes to a log that is at least as up to date as this one (Raft paper, 5.4.1; N12).
fn up_to_date(core: &Core, last: LogPosition) -> Verdict {
    if last >= core.log.last_position() { Verdict::Granted } else { Verdict::StaleLog }
}

/// The moment at which a quorum was surely heard: the quorum-th newest send time that was
/// acknowledged. The leader hears itself now.
fn quorum_heard_at(core: &Core, leader: &Leader) -> Instant {
    let heard = leader.of_each(core.id(), core.now.as_nanos(), |peer| peer.heard_at.as_nanos());
    Instant::from_nanos(quorum::reached(core.membership(), heard))
}
