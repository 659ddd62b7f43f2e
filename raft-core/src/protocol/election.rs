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
use crate::state::role::{Candidate, Leader, PreCandidate, Role};
use crate::state::timers::Deadline;
use crate::types::{Instant, LogPosition, NodeId, Term};
use core::time::Duration;

/// The election timer has run out, or a round has taken too long: once more (N1, N10, N16).
pub(crate) fn on_election_timeout(core: &mut Core, role: &mut Role) {
    if !core.may_campaign() {
        core.reset_election_timer();
    } else if core.installing.is_some() || core.disk_hangs() || waits_for_own_vote(core, role) {
        core.reset_election_timer();
    } else if core.now < core.lease_until {
        // A promise of an earlier life, or to a leader with a longer timeout, binds this node too.
        let jitter = core.rng.below(core.config.timeout_nanos());
        let after = core.lease_until.saturating_add(Duration::from_nanos(jitter));
        core.timers.set(Deadline::Election, Some(after));
    } else {
        campaign(core, role);
    }
}

/// The operator asks for an election.
pub(crate) fn on_campaign(core: &mut Core, role: &mut Role) -> Result<(), IgnoreReason> {
    match role {
        Role::Leader(_) => Err(IgnoreReason::LeaderAlive),
        _ if !core.may_campaign() => Err(IgnoreReason::NotAVoter),
        _ if core.installing.is_some() || core.disk_hangs() => Err(IgnoreReason::Overloaded),
        Role::PreCandidate(_) | Role::Candidate(_) => Err(IgnoreReason::AlreadyCampaigning),
        Role::Follower(_) if core.now < core.lease_until => Err(IgnoreReason::LeaderAlive),
        Role::Follower(_) => {
            campaign(core, role);
            Ok(())
        }
    }
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
    let Role::PreCandidate(PreCandidate { round, granted }) = role else {
        return Err(IgnoreReason::Stale);
    };
    if m.round != *round {
        return Err(IgnoreReason::Stale);
    }
    if !core.membership().is_voter(from) {
        return Err(IgnoreReason::UnknownPeer);
    }
    match m.verdict {
        Verdict::Granted => granted.insert(from),
        _ if term > core.term() => become_follower(core, role, term, None),
        _ => {}
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
        return Err(IgnoreReason::UnknownPeer);
    }
    if m.verdict == Verdict::Granted {
        candidate.granted.insert(from);
    }
    Ok(())
}

/// Draws the consequence of the votes that are in: from would-win to candidate, from candidate to
/// leader. A node's own vote counts once it is durable.
pub(crate) fn settle_votes(core: &mut Core, role: &mut Role) {
    if core.installing.is_some() {
        // A log that is about to be replaced lacks what is committed: it cannot win.
        return;
    }
    if let Role::PreCandidate(PreCandidate { granted, .. }) = role
        && quorum::has_quorum(core.membership(), |id| id == core.id() || granted.contains(id))
    {
        become_candidate(core, role, None);
    }
    if let Role::Candidate(Candidate { granted }) = role
        && core.is_open()
        && quorum::has_quorum(core.membership(), |id| id == core.id() || granted.contains(id))
    {
        become_leader(core, role);
    }
}

/// Only who may hold an election waits for one. It is decided after the commit has moved: the
/// membership in force may be known to be committed since, or undone.
pub(crate) fn settle_timer(core: &mut Core, role: &Role) {
    let waits = core.timers.get(Deadline::Election).is_some();
    let may = !matches!(role, Role::Leader(_)) && core.has_a_vote();
    if may && !waits {
        core.reset_election_timer();
    } else if waits && !may {
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

/// A candidate whose own vote is not durable yet has asked nobody: a slow disk must not make it raise
/// its term again and again.
fn waits_for_own_vote(core: &Core, role: &Role) -> bool {
    matches!(role, Role::Candidate(_)) && !core.is_open()
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
    if core.now < core.lease_until {
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
        Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => core.lease_with,
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
