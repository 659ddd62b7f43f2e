//! The door: what cannot be is refused before it has changed anything.
//!
//! A peer may be of another version, broken or hostile. Its message is looked at here as far as
//! this node can judge it, so that the handlers need not doubt what they are given.

use crate::error::IgnoreReason;
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
    require(from.get() <= LIMIT && term.get() <= LIMIT)?;
    match message {
        Message::PreVote(m) => require(m.round.get() <= LIMIT && can_be(m.last, *term)),
        Message::PreVoteResponse(m) => require(m.round.get() <= LIMIT && can_be(m.last, *term)),
        // A candidate has raised its term above everything in its log.
        Message::RequestVote(m) => require(can_be(m.last, *term) && m.last.term < *term),
        Message::RequestVoteResponse(m) => require(can_be(m.last, *term)),
        Message::AppendEntries(m) => check_append(core, role, *from, *term, m),
        Message::AppendEntriesResponse(m) => check_append_response(core, role, *term, m),
        Message::InstallSnapshot(m) => check_install(core, *from, *term, m),
        Message::TimeoutNow => require(*term > Term::ZERO),
        Message::ReadIndex(m) => require(m.id.get() <= LIMIT),
        Message::ReadIndexResponse(m) => {
            require(m.id.get() <= LIMIT && m.index.is_none_or(|index| index.get() <= LIMIT))
        }
    }
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
    m.entries.check(m.prev, term).map_err(IgnoreReason::MalformedEntries)?;
    if term < core.term() {
        return Ok(());
    }
    check_first_leader(core, from, term)?;
    match first_contradiction(core, m, settled(core, role, term)) {
        Some(at) => Err(IgnoreReason::Contradiction { at }),
        None => Ok(()),
    }
}

fn check_install(
    core: &Core,
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
    if position.index <= core.commit_index && !core.log.matches(position) {
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
            require(can_be(*rejected, term) && hint.len() <= MAX_HINT && sane && descending)
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

/// Whether a log of a node in `term` can hold `position`.
fn can_be(position: LogPosition, term: Term) -> bool {
    position.index.get() <= LIMIT
        && position.term <= term
        && (position.index == LogIndex::ZERO) == (position.term == Term::ZERO)
}

fn require(condition: bool) -> Result<(), IgnoreReason> {
    if condition { Ok(()) } else { Err(IgnoreReason::Malformed) }
}
