//! A run as NDJSON, one event a line: the format is documented in `docs/TRACE.md`.

use crate::plan::damage::Damage;
use crate::plan::record::{
    DropReason, EntryKind, Event, Lost, NodeState, Operation, Record, Sink, Stage,
};
use crate::view::json::{joined, nanos};
use crate::view::message::{described, members, snapshot};
use raft_core::{
    Config, Consistency, Envelope, HardState, Instant, LogPosition, NodeId, Source, Write,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io;

/// Writes each record as one line.
///
/// It goes silent at the first error, which [`finish`](Self::finish) gives back.
#[derive(Debug)]
pub struct Trace<W> {
    to: W,
    failed: Option<io::Error>,
}

impl<W: io::Write> Trace<W> {
    /// A trace that is written to `to`, which should be buffered.
    pub const fn new(to: W) -> Self {
        Self { to, failed: None }
    }

    /// Ends the trace.
    ///
    /// # Errors
    ///
    /// The first error that writing it met.
    pub fn finish(mut self) -> io::Result<()> {
        match self.failed {
            Some(error) => Err(error),
            None => self.to.flush(),
        }
    }
}

impl<W: io::Write> Sink for Trace<W> {
    fn record(&mut self, record: Record) {
        if self.failed.is_none() {
            self.failed = writeln!(self.to, "{}", trace_line(&record)).err();
        }
    }
}

/// One record as one line of JSON, without the line break.
pub fn trace_line(record: &Record) -> String {
    let (event, more) = event(&record.event);
    let line = Line {
        time: record.time.as_nanos(),
        seq: record.seq,
        node: record.node,
        event,
        more,
        state: record.state.map(|state| State::of(&state)),
    };
    serde_json::to_string(&line).expect("numbers, texts and string keys only")
}

/// The name of an event.
pub(crate) fn name(of: &Event) -> &'static str {
    event(of).0
}

/// The order of the keys on a line.
#[derive(Serialize)]
struct Line {
    time: u64,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    event: &'static str,
    #[serde(flatten)]
    more: Map<String, Value>,
    #[serde(flatten)]
    state: Option<State>,
}

#[derive(Serialize)]
struct State {
    role: &'static str,
    term: u64,
    vote: Option<NodeId>,
    last_index: u64,
    last_term: u64,
    commit: u64,
    applied: u64,
    durable_index: u64,
    durable_last_term: u64,
    durable_term: u64,
    durable_vote: Option<NodeId>,
    lease_until: Option<Instant>,
}

impl State {
    fn of(state: &NodeState) -> Self {
        Self {
            role: state.role.name(),
            term: state.term.get(),
            vote: state.vote,
            last_index: state.last.index.get(),
            last_term: state.last.term.get(),
            commit: state.commit.get(),
            applied: state.applied.get(),
            durable_index: state.durable_last.index.get(),
            durable_last_term: state.durable_last.term.get(),
            durable_term: state.durable.current_term.get(),
            durable_vote: state.durable.voted_for,
            lease_until: state.lease_until,
        }
    }
}

/// The name of an event, and what it says.
// Long because it is one table: a row an event.
fn event(event: &Event) -> (&'static str, Map<String, Value>) {
    let (name, value) = match event {
        Event::Init { config, membership } => {
            ("init", json!({ "membership": members(membership), "config": tunables(config) }))
        }
        Event::Restart { config } => ("restart", json!({ "config": tunables(config) })),
        Event::Crash { lost } => ("crash", json!({ "lost": losses(lost) })),
        Event::Damaged { damage } => ("damaged", damaged(*damage)),
        Event::WriteFailed => ("write_failed", json!({})),
        Event::PreCandidate { round } => ("pre_candidate", json!({ "round": round })),
        Event::BecomeCandidate => ("become_candidate", json!({})),
        Event::BecomeLeader => ("become_leader", json!({})),
        Event::BecomeFollower { leader } => ("become_follower", json!({ "leader": leader })),
        Event::LearnTerm { before } => ("learn_term", json!({ "before": before })),
        Event::LearnLeader { leader } => ("learn_leader", json!({ "leader": leader })),
        Event::Append { first, count, kind } => {
            ("append", json!({ "first": first.index, "count": count, "kind": entry_kind(*kind) }))
        }
        Event::Accept { truncated_from, first, count } => {
            ("accept", json!({ "truncated_from": truncated_from, "first": first, "count": count }))
        }
        Event::Send { message, obligation } => {
            ("send", json!({ "msg": msg(message), "obligations": list(*obligation) }))
        }
        Event::Recv { message } => ("recv", json!({ "msg": msg(message) })),
        Event::Ignored { message, reason } => {
            ("ignored", json!({ "msg": message.as_ref().map(msg), "reason": reason }))
        }
        Event::Drop { message, reason } => {
            ("drop", json!({ "msg": msg(message), "reason": drop_reason(*reason) }))
        }
        Event::Duplicate { message } => ("duplicate", json!({ "msg": msg(message) })),
        Event::Persist { write } => ("persist", persist(write)),
        Event::PersistDone { ticket } => ("persist_done", json!({ "ticket": ticket })),
        Event::Commit { before, .. } => ("commit", json!({ "before": before })),
        Event::Apply { first, through } => {
            ("apply", json!({ "first": first, "last": through.index, "entry_term": through.term }))
        }
        Event::Membership { membership } => {
            ("membership", json!({ "membership": members(membership) }))
        }
        Event::Propose { token, count } => ("propose", json!({ "token": token, "count": count })),
        Event::ReadBegin { token, consistency } => {
            ("read_begin", json!({ "token": token, "consistency": consistency }))
        }
        Event::ReadReady { token, index } => {
            ("read_ready", json!({ "token": token, "index": index }))
        }
        Event::ReadFailed { token, reason } => {
            ("read_failed", json!({ "token": token, "reason": reason }))
        }
        Event::Change { token, target } => {
            ("change_membership", json!({ "token": token, "target": members(target) }))
        }
        Event::Transfer { token, to } => ("transfer", json!({ "token": token, "to": to })),
        Event::TransferEnded { token, outcome } => {
            ("transfer_ended", json!({ "token": token, "outcome": outcome }))
        }
        Event::PeerRegressed { peer, acknowledged, rejected } => {
            let more = json!({ "peer": peer, "acknowledged": acknowledged, "rejected": rejected });
            ("peer_regressed", more)
        }
        Event::SnapshotTaken { position } => ("snapshot_taken", covered(*position)),
        Event::SnapshotAsked { to, at_least } => {
            ("snapshot_asked", joined(json!({ "to": to }), covered(*at_least)))
        }
        Event::SnapshotSent { to, position, outcome } => {
            let more = json!({ "to": to, "outcome": outcome });
            ("snapshot_sent", joined(more, covered(*position)))
        }
        Event::InstallBegin { snapshot: covers } => ("install_begin", snapshot(covers)),
        Event::InstallEnd { position, outcome } => {
            ("install_end", joined(json!({ "outcome": outcome }), covered(*position)))
        }
        Event::Accepted { token, first, count } => {
            ("accepted", json!({ "token": token, "first": first.index, "count": count }))
        }
        Event::Rejected { token, reason } => {
            ("rejected", json!({ "token": token, "reason": reason }))
        }
        Event::Fate { position, fate } => {
            let (term, index) = (position.term, position.index);
            ("fate", json!({ "index": index, "entry_term": term, "fate": fate }))
        }
        Event::Client { client, serial, operation, phase } => {
            ("client", operated(*client, *serial, *operation, *phase))
        }
        Event::Fault { fault } => ("fault", json!({ "fault": fault.recorded() })),
        Event::Service { leader } => ("service", json!({ "leader": leader })),
    };
    match value {
        Value::Object(more) => (name, more),
        _ => unreachable!("each arm above makes an object"),
    }
}

fn damaged(damage: Damage) -> Value {
    match damage {
        Damage::HardState => json!({ "part": "hard_state" }),
        Damage::Snapshot => json!({ "part": "snapshot" }),
        Damage::Entry { at } => json!({ "part": "entry", "index": at }),
        Damage::Gone => json!({ "part": "everything" }),
    }
}

const fn entry_kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Command => "command",
        EntryKind::Membership => "membership",
    }
}

const fn drop_reason(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Cut => "cut",
        DropReason::Kind => "kind",
        DropReason::Loss => "loss",
        DropReason::Down => "down",
        DropReason::Unwanted => "unwanted",
    }
}

fn msg(envelope: &Envelope) -> Value {
    let Envelope { from, to, term, message } = envelope;
    let head = json!({ "type": message.name(), "from": from, "to": to, "term": term });
    joined(head, described(message).keys)
}

fn covered(position: LogPosition) -> Value {
    json!({ "covers_index": position.index, "covers_term": position.term })
}

fn persist(write: &Write) -> Value {
    let log = write.log.as_ref().map(|log| {
        let chunks = log.chunks.iter().map(|chunk| {
            let kind = match chunk.source {
                Source::Inputs { .. } => "command",
                Source::Membership(_) => "membership",
            };
            json!({ "term": chunk.term, "count": chunk.count, "kind": kind })
        });
        json!({ "first": log.first, "chunks": chunks.collect::<Vec<_>>() })
    });
    let hard_state = write.hard_state.map(|HardState { current_term, voted_for, promised }| {
        json!({ "term": current_term, "vote": voted_for, "promised": nanos(promised) })
    });
    json!({ "ticket": write.ticket, "hard_state": hard_state, "log": log })
}

fn operated(client: u64, serial: u64, operation: Operation, phase: Stage) -> Value {
    let by = |consistency| match consistency {
        Consistency::ReadIndex => "read_index",
        Consistency::Lease => "lease_read",
    };
    let (op, key, written) = match operation {
        Operation::Write { key, value } => ("write", key, Some(value)),
        Operation::Read { key } => ("read", key, None),
        Operation::Query { key, consistency } => (by(consistency), key, None),
        Operation::Apply { command } => ("apply", command, None),
        Operation::Ask { question, consistency } => (by(consistency), question, None),
    };
    let head = json!({ "client": client, "serial": serial, "op": op, "key": key });
    let tail = match phase {
        Stage::Invoked => json!({ "phase": "invoke", "value": written }),
        Stage::Returned { value, position } => json!({
            "phase": "return",
            "value": value,
            "index": position.index,
            "entry_term": position.term,
        }),
        Stage::Unknown => json!({ "phase": "unknown", "value": written }),
        Stage::Failed => json!({ "phase": "failed", "value": written }),
    };
    joined(head, tail)
}

fn tunables(config: &Config) -> Value {
    json!({
        "protection": config.protection,
        "election_timeout": nanos(config.election_timeout),
        "heartbeat_interval": nanos(config.heartbeat_interval),
        "longest_promise": nanos(config.longest_promise),
        "max_entries_per_message": config.max_entries_per_message,
        "max_messages_in_flight": config.max_messages_in_flight,
        "max_entries_in_flight": config.max_entries_in_flight,
        "max_uncommitted": config.max_uncommitted,
        "max_pending_reads": config.max_pending_reads,
        "clock_drift_ppm": config.clock_drift_ppm,
        "disk_timeout": nanos(config.disk_timeout),
        "seed": config.seed,
    })
}

fn losses(lost: &Lost) -> Value {
    json!({
        "in_flight": lost.in_flight,
        "survived": lost.survived,
        "torn": lost.torn,
        "actions": lost.actions,
    })
}

fn list<T>(item: Option<T>) -> Vec<T> {
    item.into_iter().collect()
}
