//! What a message is, for people and for programs: an arm a message.

use crate::view::json::{joined, nanos};
use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Echo, Entries, LogIndex, Membership,
    Message, Probe, Run, Snapshot, Verdict,
};
use serde::Serialize;
use serde_json::{Value, json};

/// A message as it is shown.
pub(crate) struct Description {
    /// What it is called.
    pub(crate) kind: &'static str,
    /// What it is about.
    pub(crate) class: Class,
    /// In a few words, as its sender would say it.
    pub(crate) says: String,
    /// Its fields in the trace.
    pub(crate) keys: Value,
}

/// What a message is about; questions and answers alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    PreVote,
    Vote,
    /// Entries, and answers that say something new.
    Append,
    /// Appends without entries, and answers that acknowledge nothing new.
    Heartbeat,
    Snapshot,
    Transfer,
    Read,
}

/// What is shown of a message.
pub(crate) fn described(message: &Message) -> Description {
    let (kind, class, says, keys) = match message {
        Message::PreVote(m) => (
            "pre-vote",
            Class::PreVote,
            format!("would you vote? {}", m.last),
            json!({ "round": m.round, "last_index": m.last.index, "last_term": m.last.term }),
        ),
        Message::PreVoteResponse(m) => (
            "pre-vote answer",
            Class::PreVote,
            format!("pre-vote: {}", verdict(m.verdict)),
            json!({
                "round": m.round,
                "granted": m.verdict == Verdict::Granted,
                "verdict": m.verdict,
                "last_index": m.last.index,
                "last_term": m.last.term,
            }),
        ),
        Message::RequestVote(m) => {
            let permit =
                m.permit.map(|permit| json!({ "leader": permit.leader, "term": permit.term }));
            let last = (m.last.index, m.last.term);
            let keys = json!({ "last_index": last.0, "last_term": last.1, "permit": permit });
            ("vote request", Class::Vote, format!("vote for me, {}", m.last), keys)
        }
        Message::RequestVoteResponse(m) => (
            "vote answer",
            Class::Vote,
            format!("vote: {}", verdict(m.verdict)),
            json!({
                "granted": m.verdict == Verdict::Granted,
                "verdict": m.verdict,
                "last_index": m.last.index,
                "last_term": m.last.term,
            }),
        ),
        Message::AppendEntries(m) => {
            let class = if m.entries.is_empty() { Class::Heartbeat } else { Class::Append };
            ("append or heartbeat", class, append(m), append_entries(m))
        }
        Message::AppendEntriesResponse(m) => {
            ("append answer", Class::Append, answer(m), append_entries_response(m))
        }
        Message::InstallSnapshot(m) => {
            let says = format!("snapshot up to {}", m.snapshot.position);
            ("snapshot", Class::Snapshot, says, snapshot(&m.snapshot))
        }
        Message::TimeoutNow => {
            ("timeout-now", Class::Transfer, "hold an election now".to_owned(), json!({}))
        }
        Message::ReadIndex(m) => {
            let says = "from where may I read?".to_owned();
            ("read question", Class::Read, says, json!({ "id": m.id }))
        }
        Message::ReadIndexResponse(m) => {
            let nothing = "do not lead".to_owned();
            let says = m.index.map_or(nothing, |index| format!("read from {index} on"));
            ("read answer", Class::Read, says, json!({ "id": m.id, "index": m.index }))
        }
    };
    Description { kind, class, says, keys }
}

fn answer(m: &AppendEntriesResponse) -> String {
    match &m.outcome {
        AppendOutcome::Matched { match_index } => format!("have {match_index}"),
        AppendOutcome::Mismatched { rejected, .. } => format!("do not have {rejected}"),
        AppendOutcome::StaleTerm => "your term is over".to_owned(),
        AppendOutcome::Installing => "installing".to_owned(),
    }
}

fn append(m: &AppendEntries) -> String {
    if m.entries.is_empty() {
        return format!("heartbeat, commit {}", m.commit);
    }
    let first = LogIndex(m.prev.index.get() + 1);
    format!("append {} after {}", span(first, m.entries.count()), m.prev)
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Granted => "yes",
        Verdict::LeaderAlive => "no, a leader lives",
        Verdict::StaleTerm => "no, your term is over",
        Verdict::StaleLog => "no, your log is older",
        Verdict::AlreadyVoted => "no, it is given",
        Verdict::DiskHangs => "no, my disk hangs",
    }
}

fn append_entries(m: &AppendEntries) -> Value {
    let probe = m.probe.map(|Probe { round, sent_at, lease }| {
        json!({ "round": round, "sent_at": sent_at, "lease": nanos(lease) })
    });
    json!({
        "prev_index": m.prev.index,
        "prev_term": m.prev.term,
        "entries": entries(&m.entries, m.prev.index.get()),
        "commit": m.commit,
        "probe": probe,
    })
}

fn append_entries_response(m: &AppendEntriesResponse) -> Value {
    let echo = m.echo.map(|Echo { round, sent_at, promised }| {
        json!({ "round": round, "sent_at": sent_at, "promised": nanos(promised) })
    });
    let outcome = match &m.outcome {
        AppendOutcome::Matched { match_index } => {
            json!({ "success": true, "outcome": "matched", "match_index": match_index })
        }
        AppendOutcome::Mismatched { rejected, hint } => json!({
            "success": false,
            "outcome": "mismatched",
            "rejected_index": rejected.index,
            "rejected_term": rejected.term,
            "hint": hint.iter().map(|span| (span.first, span.last, span.term)).collect::<Vec<_>>(),
        }),
        AppendOutcome::StaleTerm => json!({ "success": false, "outcome": "stale_term" }),
        AppendOutcome::Installing => json!({ "success": false, "outcome": "installing" }),
    };
    joined(outcome, json!({ "echo": echo, "seen": m.seen }))
}

pub(super) fn snapshot(snapshot: &Snapshot) -> Value {
    json!({
        "last_index": snapshot.position.index,
        "last_term": snapshot.position.term,
        "membership": members(&snapshot.membership),
    })
}

pub(super) fn members(membership: &Membership) -> Value {
    json!({
        "voters": membership.voters(),
        "outgoing": membership.outgoing(),
        "learners": membership.learners(),
    })
}

/// Each entry as `[index, term, kind]`, and no more than this: a hostile message can claim to carry
/// more entries than there are atoms.
const MOST_ENTRIES: usize = 10_000;

fn entries(entries: &Entries, after: u64) -> Vec<Value> {
    let each = entries.runs().flat_map(|run| {
        let kind = match run {
            Run::Commands { .. } => "command",
            Run::Membership { .. } => "membership",
        };
        (0..run.count()).map(move |_| (run.term(), kind))
    });
    let indices = (1..).map(|nth| after.saturating_add(nth));
    let entry = |(index, (term, kind)): (u64, _)| json!([index, term, kind]);
    indices.zip(each).take(MOST_ENTRIES).map(entry).collect()
}

/// `5` or `5..7`.
pub(super) fn span(first: LogIndex, count: u64) -> String {
    if count == 1 {
        first.to_string()
    } else {
        format!("{first}..{}", (first.get() + count).saturating_sub(1))
    }
}
