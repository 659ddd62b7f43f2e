//! Linearizable reads (thesis, 6.4): by read index, or by lease.

use crate::action::Action;
use crate::error::{IgnoreReason, RejectReason};
use crate::input::Consistency;
use crate::message::{Message, ReadIndex, ReadIndexResponse};
use crate::state::core::Core;
use crate::state::quorum;
use crate::state::reads::{LeaderRead, Origin, Question};
use crate::state::role::{Follower, Leader, Role};
use crate::types::{Instant, NodeId, Round, Token};
use alloc::vec::Vec;
use core::time::Duration;

/// The runtime wants to read.
pub(crate) fn on_read(
    core: &Core,
    role: &mut Role,
    token: Token,
    consistency: Consistency,
) -> Result<(), RejectReason> {
    let limit = core.config.max_pending_reads;
    match role {
        Role::Leader(leader) if leader.reads.0.len() >= limit => Err(RejectReason::TooManyReads),
        Role::Leader(leader) => {
            let (origin, asked_at) = (Origin::Here(token), core.now);
            let read = LeaderRead { origin, consistency, asked_at, question: None };
            leader.reads.0.push_back(read);
            Ok(())
        }
        Role::Follower(Follower { leader: Some(_), reads, .. }) => {
            if reads.len() >= limit {
                return Err(RejectReason::TooManyReads);
            }
            reads.new.push(token);
            Ok(())
        }
        Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
            Err(RejectReason::NotLeader { leader: None })
        }
    }
}

/// Another node wants to read.
pub(crate) fn on_read_index(
    core: &mut Core,
    role: &mut Role,
    from: NodeId,
    m: &ReadIndex,
) -> Result<(), IgnoreReason> {
    let Role::Leader(leader) = role else {
        let response = ReadIndexResponse { id: m.id, index: None };
        core.send(from, Message::ReadIndexResponse(response));
        return Ok(());
    };
    if leader.reads.0.len() >= core.config.max_pending_reads {
        return Err(IgnoreReason::Overloaded);
    }
    leader.reads.0.push_back(LeaderRead {
        origin: Origin::Peer(from, m.id),
        consistency: Consistency::ReadIndex,
        asked_at: core.now,
        question: None,
    });
    Ok(())
}

/// The leader answers: for all earlier questions, too, because its index is not below theirs.
pub(crate) fn on_read_index_response(
    follower: &mut Follower,
    from: NodeId,
    m: &ReadIndexResponse,
    actions: &mut Vec<Action>,
) -> Result<(), IgnoreReason> {
    let asked = &mut follower.reads.asked;
    if follower.leader != Some(from) || !asked.iter().any(|question| question.id == m.id) {
        return Err(IgnoreReason::Stale);
    }
    while asked.front().is_some_and(|question| question.id <= m.id)
        && let Some(question) = asked.pop_front()
    {
        actions.extend(question.tokens.into_iter().map(|token| match m.index {
            Some(index) => Action::ReadReady { token, index },
            None => Action::Rejected { token, reason: RejectReason::LeaderChanged },
        }));
    }
    Ok(())
}

/// Answers what a quorum has confirmed, and what needs no question. Returns whether the rest needs a
/// new one. No read is answered before an entry of the leader's own term is committed: only then does
/// it know what is committed (Raft paper, 8; N8).
pub(crate) fn settle_leader(
    core: &mut Core,
    leader: &mut Leader,
    actions: &mut Vec<Action>,
) -> bool {
    if leader.reads.0.is_empty() || core.commit_index < leader.first_index {
        return false;
    }
    let confirmed = confirmed_round(core, leader);
    let lease = lease_until(core, leader).is_some_and(|until| core.now < until);
    let mut asks = false;
    let mut reads = core::mem::take(&mut leader.reads.0);
    reads.retain(|read| {
        let index = match read.question {
            Some((index, round)) if round <= confirmed => index,
            Some(_) => return true,
            None if confirmed == NOBODY_TO_ASK => core.commit_index,
            None if lease && read.consistency == Consistency::Lease => core.commit_index,
            None => {
                asks = true;
                return true;
            }
        };
        match read.origin {
            Origin::Here(token) => actions.push(Action::ReadReady { token, index }),
            Origin::Peer(peer, id) => {
                let response = ReadIndexResponse { id, index: Some(index) };
                core.send(peer, Message::ReadIndexResponse(response));
            }
        }
        false
    });
    leader.reads.0 = reads;
    asks
}

/// Every peer was asked in the last round: the reads that waited for a question wait for its answer.
pub(crate) fn asked(core: &Core, leader: &mut Leader) {
    for read in leader.reads.0.iter_mut().filter(|read| read.question.is_none()) {
        read.question = Some((core.commit_index, core.round));
    }
}

/// A follower asks its leader once for all new reads.
pub(crate) fn settle_follower(core: &mut Core, follower: &mut Follower) {
    let Some(leader) = follower.leader.filter(|_| !follower.reads.new.is_empty()) else { return };
    let (id, tokens) = (core.next_round(), core::mem::take(&mut follower.reads.new));
    follower.reads.asked.push_back(Question { id, asked_at: core.now, tokens });
    core.send(leader, Message::ReadIndex(ReadIndex { id }));
}

/// Every read ends: one that is older than 2T is given up.
pub(crate) fn on_timeout(core: &mut Core, role: &mut Role) {
    let old = |asked_at: Instant| asked_at.saturating_add(patience(core)) <= core.now;
    let mut late = Vec::new();
    match role {
        Role::Leader(leader) => {
            while leader.reads.0.front().is_some_and(|read| old(read.asked_at)) {
                late.extend(leader.reads.0.pop_front().and_then(|read| match read.origin {
                    Origin::Here(token) => Some(token),
                    // The node that asked gives up by itself.
                    Origin::Peer(..) => None,
                }));
            }
        }
        Role::Follower(Follower { reads, .. }) => {
            while reads.asked.front().is_some_and(|question| old(question.asked_at)) {
                late.extend(reads.asked.pop_front().into_iter().flat_map(|q| q.tokens));
            }
        }
        Role::PreCandidate(_) | Role::Candidate(_) => {}
    }
    let reason = RejectReason::TimedOut;
    core.ended.extend(late.into_iter().map(|token| Action::Rejected { token, reason }));
}

/// When the oldest read is given up.
pub(crate) fn deadline(core: &Core, role: &Role) -> Option<Instant> {
    let oldest = match role {
        Role::Leader(leader) => leader.reads.0.front().map(|read| read.asked_at),
        Role::Follower(follower) => follower.reads.asked.front().map(|question| question.asked_at),
        Role::PreCandidate(_) | Role::Candidate(_) => None,
    };
    Some(oldest?.saturating_add(patience(core)))
}

/// Until when, by the leader's clock, nobody else can be elected: the quorum-th latest promise. `None`
/// where there is no lease to count on.
pub(crate) fn lease_until(core: &Core, leader: &Leader) -> Option<Instant> {
    if !core.has_leases() || leader.lease_void || core.clock_is_behind {
        return None;
    }
    // The leader itself votes for nobody else while it leads.
    let promised = leader.of_each(core.id(), u64::MAX, |peer| peer.lease_until.as_nanos());
    Some(Instant::from_nanos(quorum::reached(core.membership(), promised)))
}

/// The clock has gone back: it no longer tells how much time has passed since earlier questions, not
/// even when it has caught up.
pub(crate) fn forget_leases(core: &mut Core, role: &mut Role) {
    core.untimed = core.round;
    if let Role::Leader(leader) = role {
        for (_, peer) in &mut leader.peers {
            peer.lease_until = Instant::ZERO;
        }
    }
}

/// The leader is a quorum by itself.
const NOBODY_TO_ASK: Round = Round(u64::MAX);

/// The newest round that a quorum has acknowledged.
fn confirmed_round(core: &Core, leader: &Leader) -> Round {
    let heard = leader.of_each(core.id(), NOBODY_TO_ASK.get(), |peer| peer.heard.get());
    Round(quorum::reached(core.membership(), heard))
}

fn patience(core: &Core) -> Duration {
    core.config.election_timeout.saturating_mul(2)
}
