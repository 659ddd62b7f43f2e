//! Linearizable reads (thesis, 6.4): by read index, or by lease.

use crate::action::Action;
use crate::error::{IgnoreReason, RejectReason};
use crate::input::Consistency;
use crate::message::{Message, ReadIndex, ReadIndexResponse};
use crate::state::core::Core;
use crate::state::quorum;
use crate::state::reads::Origin;
use crate::state::role::{Follower, Leader, Role};
use crate::state::timers::Deadline;
use crate::types::{Instant, LogIndex, NodeId, Round, Token};
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
        Role::Leader(Leader { reads, .. }) if reads.len() >= limit => {
            Err(RejectReason::TooManyReads)
        }
        Role::Leader(Leader { reads, .. }) => {
            reads.add(Origin::Here(token), consistency, core.now);
            Ok(())
        }
        Role::Follower(Follower { leader: Some(_), reads, .. }) => {
            if reads.len() >= limit {
                return Err(RejectReason::TooManyReads);
            }
            reads.add(token);
            Ok(())
        }
        Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
            Err(RejectReason::NotLeader { leader: None })
        }
    }
}

/// Another node wants to read. A question that waits already is a repeat: the first one keeps its
/// place, or a peer further away than its repeats are apart would wait for ever.
pub(crate) fn on_read_index(
    core: &mut Core,
    role: &mut Role,
    from: NodeId,
    m: &ReadIndex,
) -> Result<(), IgnoreReason> {
    let Role::Leader(Leader { reads, .. }) = role else {
        let response = ReadIndexResponse { id: m.id, index: None };
        core.send(from, Message::ReadIndexResponse(response));
        return Ok(());
    };
    if reads.has_question(from, m.id) {
        return Ok(());
    }
    if reads.len() >= core.config.max_pending_reads {
        return Err(IgnoreReason::TooManyReads);
    }
    reads.add(Origin::Peer(from, m.id), Consistency::ReadIndex, core.now);
    Ok(())
}

/// The leader answers: for all earlier questions, too, because its index is not below theirs.
pub(crate) fn on_read_index_response(
    follower: &mut Follower,
    from: NodeId,
    m: &ReadIndexResponse,
    answers: &mut Vec<Action>,
) -> Result<(), IgnoreReason> {
    if follower.leader != Some(from) || !follower.reads.has_question(m.id) {
        return Err(IgnoreReason::Stale);
    }
    while let Some(tokens) = follower.reads.pop_up_to(m.id) {
        answers.extend(tokens.into_iter().map(|token| match m.index {
            Some(index) => Action::ReadReady { token, index },
            None => Action::Rejected { token, reason: RejectReason::LeaderChanged },
        }));
    }
    Ok(())
}

/// Answers what a quorum has confirmed, and what needs no question. Returns whether the rest needs
/// a new one. No read is answered before an entry of the leader's own term is committed: only then
/// does it know what is committed (Raft paper, 8; N8).
///
/// A round that leaves serves all reads that came before it, and none that came later. One that is
/// sent for reads is the only one until it is confirmed: later reads wait for that, or for the next
/// heartbeat, and share the next. So a read takes two round trips at most where none is lost, and
/// however many there are, they cost one round for each round trip.
pub(crate) fn settle_leader(core: &Core, leader: &mut Leader, actions: &mut Vec<Action>) -> bool {
    if leader.reads.is_empty() || core.commit_index < leader.first_index {
        return false;
    }
    let confirmed = confirmed_round(core, leader);
    while let Some((origin, index)) = leader.reads.pop_confirmed(confirmed) {
        actions.push(answer(core, origin, index));
    }
    if confirmed == NOBODY_TO_ASK {
        while let Some(origin) = leader.reads.pop_any() {
            actions.push(answer(core, origin, core.commit_index));
        }
    }
    if lease_until(core, leader).is_some_and(|until| core.now < until) {
        while let Some(origin) = leader.reads.pop_leased() {
            actions.push(answer(core, origin, core.commit_index));
        }
    }
    leader.reads.ask_rest();
    leader.reads.wait_for_round() && (leader.heartbeat_due || !leader.reads.has_round_on_its_way())
}

/// Every peer was asked in the last round: the reads that waited for a question wait for its
/// answer.
pub(crate) fn asked(core: &Core, leader: &mut Leader) {
    leader.reads.asked(core.round, core.commit_index);
}

/// Sets the deadline at which a leader gives up the oldest read.
pub(crate) fn settle_leader_deadline(core: &mut Core, leader: &Leader) {
    let given_up = leader.reads.oldest().map(|at| at.saturating_add(patience(core)));
    core.timers.set(Deadline::Read, given_up);
}

/// A follower asks its leader once for all new reads of a call. Sets the deadlines at which it
/// gives up the oldest read, and repeats the question.
pub(crate) fn settle_follower(core: &mut Core, follower: &mut Follower) {
    let reads = &mut follower.reads;
    if let Some(leader) = follower.leader.filter(|_| reads.has_new()) {
        let id = core.next_round();
        reads.asked(id, core.now);
        core.send(leader, Message::ReadIndex(ReadIndex { id }));
    }
    let interval = core.config.heartbeat_interval;
    let given_up = reads.oldest().map(|at| at.saturating_add(patience(core)));
    let repeated = reads.sent_at().map(|at| at.saturating_add(interval));
    core.timers.set(Deadline::Read, given_up);
    core.timers.set(Deadline::ReadRepeat, repeated);
}

/// Acts on the deadlines of reads.
pub(crate) fn wake(core: &mut Core, role: &mut Role) {
    if core.timers.is_due(Deadline::Read, core.now) {
        on_timeout(core, role);
    }
    if core.timers.is_due(Deadline::ReadRepeat, core.now)
        && let Role::Follower(follower) = role
    {
        repeat_question(core, follower);
    }
}

/// Every read ends: one that is older than 2T is given up.
fn on_timeout(core: &mut Core, role: &mut Role) {
    let (now, patience) = (core.now, patience(core));
    let is_old = |asked_at: Instant| asked_at.saturating_add(patience) <= now;
    let reason = RejectReason::TimedOut;
    let late = |token| Action::Rejected { token, reason };
    match role {
        Role::Leader(Leader { reads, .. }) => {
            while reads.oldest().is_some_and(is_old) {
                // A node that asked gives up by itself.
                if let Some(Origin::Here(token)) = reads.give_up_oldest() {
                    core.outcomes.push(late(token));
                }
            }
        }
        Role::Follower(Follower { reads, .. }) => {
            while reads.oldest().is_some_and(is_old) {
                core.outcomes.extend(reads.pop_oldest().into_iter().flatten().map(late));
            }
        }
        Role::PreCandidate(_) | Role::Candidate(_) => {}
    }
}

/// The question or its answer may be lost. The newest one stands for all.
fn repeat_question(core: &mut Core, follower: &mut Follower) {
    if let (Some(leader), Some(id)) = (follower.leader, follower.reads.newest_question()) {
        follower.reads.repeated(core.now);
        core.send(leader, Message::ReadIndex(ReadIndex { id }));
    }
}

/// Until when, by the leader's clock, nobody else can be elected: the quorum-th latest promise.
/// `None` where there is no lease to count on.
pub(crate) fn lease_until(core: &Core, leader: &Leader) -> Option<Instant> {
    if !core.has_leases() || leader.lease_void || core.clock_is_behind {
        return None;
    }
    // The leader itself votes for nobody else while it leads.
    let promised = leader.of_each(core.id(), u64::MAX, |peer| peer.lease_until.as_nanos());
    Some(Instant::from_nanos(quorum::reached(core.membership(), promised)))
}

/// The clock has gone back: it no longer tells how much time has passed since earlier questions,
/// not even when it has caught up.
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

/// The answer to a read. A leader's term is durable, so it may leave at once.
fn answer(core: &Core, origin: Origin, index: LogIndex) -> Action {
    match origin {
        Origin::Here(token) => Action::ReadReady { token, index },
        Origin::Peer(to, id) => {
            let response = ReadIndexResponse { id, index: Some(index) };
            core.let_out(to, Message::ReadIndexResponse(response))
        }
    }
}

/// How long a read waits.
fn patience(core: &Core) -> Duration {
    core.config.election_timeout.saturating_mul(2)
}
