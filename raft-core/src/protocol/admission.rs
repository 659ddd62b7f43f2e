//! Admission: what cannot be is refused before it has changed anything.
//!
//! A peer may be of another version, broken or hostile. Its message is looked at here as far as
//! this node can judge it, so that the handlers need not doubt what they are given.

use crate::entries::Run;
use crate::error::{EntriesError, IgnoreReason};
use crate::message::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Envelope, InstallSnapshot, Message,
};
use crate::protocol::replication::MAX_HINT;
use crate::state::core::{Core, MAX_WAITING};
use crate::state::role::Role;
use crate::types::{LIMIT, LogIndex, LogPosition, NodeId, Term};

/// Whether a message may be handled at all.
pub(crate) fn check(core: &Core, role: &Role, envelope: &Envelope) -> Result<(), IgnoreReason> {
    let Envelope { from, to, term, message } = envelope;
    if *to != core.id() || *from == core.id() {
        return Err(IgnoreReason::Misrouted);
    }
    if core.outbox.len() >= MAX_WAITING {
        return Err(IgnoreReason::Overloaded);
    }
    require(from.get() <= LIMIT)?;
    check_term(core, *term)?;
    match message {
        Message::PreVote(m) => require(m.round.get() <= LIMIT && can_be(m.last, *term)),
        Message::PreVoteResponse(m) => require(m.round.get() <= LIMIT && can_be(m.last, *term)),
        // A candidate has raised its term above everything in its log.
        Message::RequestVote(m) => {
            let permit = m.permit.is_none_or(|p| p.leader.get() <= LIMIT && p.term < *term);
            require(can_be(m.last, *term) && m.last.term < *term && permit)
        }
        Message::RequestVoteResponse(m) => require(can_be(m.last, *term)),
        Message::AppendEntries(m) => check_append(core, role, *from, *term, m),
        Message::AppendEntriesResponse(m) => check_append_response(core, role, *term, m),
        Message::InstallSnapshot(m) => check_install(core, role, *from, *term, m),
        Message::TimeoutNow => require(*term > Term::ZERO),
        Message::ReadIndex(m) => require(m.id.get() <= LIMIT),
        Message::ReadIndexResponse(m) => {
            require(m.id.get() <= LIMIT && m.index.is_none_or(|index| index.get() <= LIMIT))
        }
    }
}

/// Every other term in a message is at most that of its envelope.
fn check_term(core: &Core, term: Term) -> Result<(), IgnoreReason> {
    let (current, furthest) = (core.term(), core.term().furthest());
    require(term.get() <= LIMIT.max(furthest.get()))?;
    if term > furthest {
        return Err(IgnoreReason::TermTooFarAhead { term, current });
    }
    Ok(())
}

fn check_append(
    core: &Core,
    role: &Role,
    from: NodeId,
    term: Term,
    m: &AppendEntries,
) -> Result<(), IgnoreReason> {
    require(term > Term::ZERO && can_be(m.prev, term) && m.commit.get() <= LIMIT)?;
    require(m.probe.is_none_or(|probe| probe.round.get() <= LIMIT))?;
    let runs = m.entries.run_count();
    if runs > AppendEntries::MAX_RUNS {
        return Err(IgnoreReason::MalformedEntries(EntriesError::TooManyRuns { runs }));
    }
    m.entries.check(m.prev, term).map_err(IgnoreReason::MalformedEntries)?;
    if term < core.term() {
        return Ok(());
    }
    check_first_leader(core, from, term)?;
    if let Some(at) = first_contradiction(core, m, settled(core, role, term)) {
        return Err(IgnoreReason::Contradiction { at });
    }
    if m.prev.index < core.log.last_index()
        && let Some(at) = first_other_content(core, m)
    {
        return Err(IgnoreReason::Contradiction { at });
    }
    Ok(())
}

fn check_install(
    core: &Core,
    role: &Role,
    from: NodeId,
    term: Term,
    m: &InstallSnapshot,
) -> Result<(), IgnoreReason> {
    let position = m.snapshot.position;
    require(term > Term::ZERO && can_be(position, term) && position.index > LogIndex::ZERO)?;
    require(!m.snapshot.membership.is_empty())?;
    if term < core.term() {
        return Ok(());
    }
    check_first_leader(core, from, term)?;
    let settled = settled(core, role, term);
    let contradicts = if core.log.position_at(position.index) == Some(position) {
        // The same position is the same log up to there, and so the same membership.
        core.log.membership_at(position.index) != &m.snapshot.membership
    } else if position.index > settled {
        // What is settled lies below it, and terms in a log do not decrease.
        core.log.term_at(settled).is_some_and(|term| position.term < term)
    } else {
        !core.log.matches(position)
    };
    if contradicts {
        return Err(IgnoreReason::Contradiction { at: position.index });
    }
    Ok(())
}

/// There is one leader in a term, so whoever else says that it leads is wrong.
fn check_first_leader(core: &Core, from: NodeId, term: Term) -> Result<(), IgnoreReason> {
    match core.elected.filter(|first| term == core.term() && *first != from) {
        Some(first) => Err(IgnoreReason::SecondLeader { first }),
        None => Ok(()),
    }
}

fn check_append_response(
    core: &Core,
    role: &Role,
    term: Term,
    m: &AppendEntriesResponse,
) -> Result<(), IgnoreReason> {
    require(m.echo.is_none_or(|echo| echo.round.get() <= LIMIT))?;
    require(m.seen.is_none_or(|seen| seen.get() <= LIMIT))?;
    match &m.outcome {
        AppendOutcome::Matched { match_index } => {
            let last = core.log.last_index();
            let mine = matches!(role, Role::Leader(_)) && term == core.term();
            if mine && *match_index > last {
                return Err(IgnoreReason::ImpossibleAcknowledgement {
                    match_index: *match_index,
                    last,
                });
            }
            require(match_index.get() <= LIMIT)
        }
        AppendOutcome::Mismatched { rejected, hint } => {
            let sane = hint.iter().all(|span| {
                can_be(LogPosition::new(span.term, span.first), term)
                    && span.first <= span.last
                    && span.last <= rejected.index
            });
            let descending = hint
                .windows(2)
                .all(|pair| pair[0].term > pair[1].term && pair[0].first > pair[1].last);
            // Every log holds the position before the first entry.
            let possible = can_be(*rejected, term) && rejected.index > LogIndex::ZERO;
            require(possible && hint.len() <= MAX_HINT && sane && descending)
        }
        AppendOutcome::StaleTerm | AppendOutcome::Installing => Ok(()),
    }
}

/// Up to here nothing may change: it is committed, or the leader of this very term has said so.
fn settled(core: &Core, role: &Role, term: Term) -> LogIndex {
    match role {
        Role::Follower(follower) if term == core.term() => follower.verified.max(core.commit_index),
        _ => core.commit_index,
    }
}

/// The first index at or below `settled` at which the message says something else than the log.
fn first_contradiction(core: &Core, m: &AppendEntries, settled: LogIndex) -> Option<LogIndex> {
    if m.prev.index > settled {
        return None;
    }
    if !core.log.matches(m.prev) {
        return Some(m.prev.index);
    }
    if m.prev.index == settled {
        // Nearly every message: it goes on where what is settled ends.
        return None;
    }
    let mut before = m.prev.index;
    for run in m.entries.runs() {
        if before >= settled {
            break;
        }
        let last = before.plus(run.count()).min(settled);
        if let Some(at) = core.log.first_difference(before.next(), last, run.term()) {
            return Some(at);
        }
        before = last;
    }
    None
}

/// The first index at which this log holds the same position as the message, but not the same
/// entry: a command where the other is a membership, or another membership. There is none in what
/// goes on where this log ends, as nearly every message does.
fn first_other_content(core: &Core, m: &AppendEntries) -> Option<LogIndex> {
    let mut before = m.prev.index;
    for run in m.entries.runs() {
        if before >= core.log.last_index() {
            break;
        }
        let first = before.next();
        before = before.plus(run.count());
        if before <= core.log.start().index {
            continue;
        }
        let held = core.log.first_difference(first, before, run.term());
        let through = held.map_or(before, LogIndex::prev);
        let other = match run {
            Run::Commands { .. } => core.log.first_membership(first, through),
            Run::Membership { membership, .. } if through == before => {
                let same = core.log.membership_of(through) == Some(&**membership);
                (!same).then_some(through)
            }
            Run::Membership { .. } => None,
        };
        if other.is_some() || held.is_some() {
            return other;
        }
    }
    None
}

/// Whether a log of a node in `term` can hold `position`.
fn can_be(position: LogPosition, term: Term) -> bool {
    position.index.get() <= LIMIT
        && position.term <= term
        && (position.index == LogIndex::ZERO) == (position.term == Term::ZERO)
}

fn require(condition: bool) -> Result<(), IgnoreReason> {
    if condition { Ok(()) } else { Err(IgnoreReason::Malformed) }
}
