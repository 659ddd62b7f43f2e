//! What peers say, as short as it can be said.

use super::{T, at, commands};
use core::time::Duration;
use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Echo, Instant, LogIndex, LogPosition,
    Message, PreVote, PreVoteResponse, Probe, RequestVote, RequestVoteResponse, Round, Term,
    TermSpan, Verdict,
};

pub(crate) fn pre_vote(last: LogPosition) -> Message {
    Message::PreVote(PreVote { round: Round(77), last })
}

pub(crate) fn pre_vote_answer(round: Round, verdict: Verdict) -> Message {
    Message::PreVoteResponse(PreVoteResponse { round, verdict, last: LogPosition::ZERO })
}

pub(crate) fn request_vote(last: LogPosition) -> Message {
    Message::RequestVote(RequestVote { last, permit: None })
}

pub(crate) fn vote(verdict: Verdict) -> Message {
    Message::RequestVoteResponse(RequestVoteResponse { verdict, last: LogPosition::ZERO })
}

/// A leader's question that asks for the lease `T`.
pub(crate) const fn probe(round: u64) -> Probe {
    probe_for(round, T)
}

pub(crate) const fn probe_for(round: u64, lease: Duration) -> Probe {
    Probe { round: Round(round), sent_at: Instant::from_nanos(round), lease }
}

/// Append one command of each of these terms after `prev`.
pub(crate) fn append(round: u64, prev: LogPosition, terms: &[u64]) -> AppendEntries {
    let entries = commands(terms);
    AppendEntries { prev, entries, commit: LogIndex::ZERO, probe: Some(probe(round)) }
}

pub(crate) fn appends(round: u64, prev: LogPosition, terms: &[u64]) -> Message {
    Message::AppendEntries(append(round, prev, terms))
}

/// No entries; the leader's log holds `prev`.
pub(crate) fn heartbeat(round: u64, prev: LogPosition) -> Message {
    appends(round, prev, &[])
}

/// A heartbeat of a leader whose log is empty.
pub(crate) fn hello(round: u64) -> Message {
    heartbeat(round, LogPosition::ZERO)
}

/// Commands after `prev`, and no question beside them.
pub(crate) fn bulk(prev: LogPosition, terms: &[u64]) -> Message {
    Message::AppendEntries(AppendEntries { probe: None, ..append(0, prev, terms) })
}

/// The same answer of a node that has seen this round, and none later.
pub(crate) fn having_seen(mut answer: Message, round: Round) -> Message {
    if let Message::AppendEntriesResponse(m) = &mut answer {
        m.seen = Some(round);
    }
    answer
}

/// Everything up to `commit` is committed, and no answer is wanted.
pub(crate) fn announcement(prev: LogPosition, commit: u64) -> Message {
    let m = append(0, prev, &[]);
    Message::AppendEntries(AppendEntries { commit: LogIndex(commit), probe: None, ..m })
}

/// Who echoes a round has seen it; [`Solo`](super::Solo) adds the newest one where none is echoed.
fn seen(echo: Option<Echo>) -> Option<Round> {
    echo.map(|echo| echo.round)
}

pub(crate) fn matched(match_index: u64, echo: Option<Echo>) -> Message {
    let outcome = AppendOutcome::Matched { match_index: LogIndex(match_index) };
    Message::AppendEntriesResponse(AppendEntriesResponse { outcome, echo, seen: seen(echo) })
}

/// A log that does not hold `rejected`, but these spans `(term, first, last)`, from the top down.
pub(crate) fn mismatched(
    rejected: LogPosition,
    spans: &[(u64, u64, u64)],
    echo: Option<Echo>,
) -> Message {
    let hint = spans.iter().map(|(term, first, last)| TermSpan {
        term: Term(*term),
        first: LogIndex(*first),
        last: LogIndex(*last),
    });
    let outcome = AppendOutcome::Mismatched { rejected, hint: hint.collect() };
    Message::AppendEntriesResponse(AppendEntriesResponse { outcome, echo, seen: seen(echo) })
}

/// *Your term is over.*
pub(crate) fn stale_term() -> Message {
    let outcome = AppendOutcome::StaleTerm;
    Message::AppendEntriesResponse(AppendEntriesResponse { outcome, echo: None, seen: None })
}

/// The probe of a message as its receiver gives it back, with the promise that was asked for.
pub(crate) fn echo(m: &AppendEntries) -> Option<Echo> {
    m.probe.map(|Probe { round, sent_at, lease }| Echo { round, sent_at, promised: lease })
}

/// Whether a leader wants an answer to this.
pub(crate) fn is_question(message: &Message) -> bool {
    matches!(message, Message::AppendEntries(m) if m.probe.is_some())
}

/// The position before the first entry.
pub(crate) const START: LogPosition = at(0, 0);
