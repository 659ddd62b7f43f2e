//! What an event is in a few words.

use crate::plan::record::{
    DropReason, EntryKind, Event, Lost, NodeState, Operation, Record, Stage,
};
use crate::view::message::{described, span};
use crate::view::style;
use anstyle::Style;
use raft_core::{Consistency, Envelope, Fate, LogIndex, Outcome, TransferOutcome, Write};

/// The words, and how they look.
// Long because it is one table: a row an event.
pub(crate) fn of(record: &Record) -> (String, Style) {
    let style = style_of(&record.event);
    let text = match &record.event {
        Event::Init { .. } => "starts".to_owned(),
        Event::Restart { .. } => "starts again from its disk".to_owned(),
        Event::Crash { lost } => crash(lost),
        Event::Damaged { damage } => format!("does not start: {damage}"),
        Event::WriteFailed => "has no room for a write, and must end".to_owned(),
        Event::PreCandidate { .. } => "holds a pre-vote".to_owned(),
        Event::BecomeCandidate => "holds an election".to_owned(),
        Event::BecomeLeader => "LEADS".to_owned(),
        Event::BecomeFollower { leader: Some(leader) } => {
            format!("gives up, and follows {leader:?}")
        }
        Event::BecomeFollower { leader: None } => "gives up, and follows nobody yet".to_owned(),
        Event::LearnTerm { before } => format!("learns of a later term than {before}"),
        Event::LearnLeader { leader } => format!("follows {leader:?}"),
        Event::Append { first, count, kind: EntryKind::Command } => {
            format!("appends {}", span(first.index, *count))
        }
        Event::Append { first, kind: EntryKind::Membership, .. } => {
            format!("appends {}, the membership", first.index)
        }
        Event::Accept { truncated_from, first, count } => accept(*truncated_from, *first, *count),
        Event::Send { message, .. } => {
            format!("→ {:?} {}", message.to, described(&message.message).says)
        }
        Event::Recv { message } => {
            // The term is worth a word where it is news.
            let known = record.state.is_some_and(|state| state.term == message.term);
            let term = if known { String::new() } else { format!(", term {}", message.term) };
            format!("← {:?} {}{term}", message.from, described(&message.message).says)
        }
        Event::Ignored { message: Some(message), reason } => {
            format!("ignores {:?}'s {}: {reason}", message.from, described(&message.message).kind)
        }
        Event::Ignored { message: None, reason } => format!("does not: {reason}"),
        Event::Drop { message, reason } => {
            format!(
                "lost: {:?} {} ({})",
                message.from,
                described(&message.message).says,
                why(*reason)
            )
        }
        Event::Duplicate { message } => {
            let Envelope { from, to, .. } = message;
            format!("twice: {from:?} → {to:?} {}", described(&message.message).says)
        }
        Event::Persist { write } => format!("writes {}", written(write)),
        Event::PersistDone { .. } => durable(record.state.as_ref()),
        Event::Commit { before, commit } => {
            format!("commits {}", span(LogIndex(before.get() + 1), commit.get() - before.get()))
        }
        Event::Apply { first, through } => {
            let count = (through.index.get() + 1).saturating_sub(first.get());
            format!("applies {}", span(*first, count))
        }
        Event::Membership { membership } => format!("counts on {membership:?}"),
        Event::Propose { count, .. } => format!("is asked to take {}", commands(*count)),
        Event::ReadBegin { consistency, .. } => format!("is asked to read by {}", by(*consistency)),
        Event::ReadReady { index, .. } => format!("may read once {index} is applied"),
        Event::ReadFailed { reason, .. } => format!("does not read: {reason}"),
        Event::Change { target, .. } => format!("is asked to reach {target:?}"),
        Event::Transfer { to: Some(to), .. } => {
            format!("is asked to transfer leadership to {to:?}")
        }
        Event::Transfer { to: None, .. } => "is asked to transfer leadership".to_owned(),
        Event::TransferEnded { outcome, .. } => transferred(*outcome).to_owned(),
        Event::PeerRegressed { peer, acknowledged, rejected } => {
            format!("finds that {peer:?}, which held {acknowledged}, lacks {rejected}")
        }
        Event::SnapshotTaken { position } => format!("has a snapshot up to {position}"),
        Event::SnapshotAsked { to, at_least } => {
            format!("is to send {to:?} a snapshot, {at_least} at least")
        }
        Event::SnapshotSent { to, position, outcome } => {
            format!("the snapshot {position} for {to:?} {}", outcome_words(*outcome))
        }
        Event::InstallBegin { snapshot } => format!("installs the snapshot {}", snapshot.position),
        Event::InstallEnd { position, outcome } => {
            format!("the snapshot {position} {}", outcome_words(*outcome))
        }
        Event::Accepted { first, count, .. } => format!("takes {} at {first}", commands(*count)),
        Event::Rejected { reason, .. } => format!("refuses: {reason}"),
        Event::Fate { position, fate } => format!("{position} is {}", fate_of(*fate)),
        Event::Client { client, operation, phase, .. } => operated(*client, *operation, *phase),
        Event::Fault { fault } => fault.said(),
        Event::Service { leader: Some(leader) } => format!("{leader:?} can commit"),
        Event::Service { leader: None } => "nobody can commit".to_owned(),
    };
    (text, style)
}

const fn style_of(event: &Event) -> Style {
    match event {
        Event::BecomeLeader => style::LEADER,
        Event::BecomeCandidate | Event::PreCandidate { .. } => style::ASKING,
        Event::Fault { .. } | Event::Service { .. } => style::TITLE,
        Event::Drop { .. } | Event::Crash { .. } | Event::Damaged { .. } | Event::WriteFailed => {
            style::BAD
        }
        Event::Recv { .. } | Event::Client { .. } => style::DIM,
        _ => style::PLAIN,
    }
}

fn accept(truncated_from: Option<LogIndex>, first: LogIndex, count: u64) -> String {
    match (truncated_from, count) {
        (None, _) => format!("takes {}", span(first, count)),
        (Some(from), 0) => format!("drops all from {from} on"),
        (Some(from), _) => format!("drops all from {from} on, takes {}", span(first, count)),
    }
}

fn written(write: &Write) -> String {
    let state = write.hard_state.map(|state| {
        let vote = state.voted_for.map_or(String::new(), |vote| format!(", vote {vote:?}"));
        let promised = state.promised.as_millis();
        let promise =
            if promised == 0 { String::new() } else { format!(", promise {promised} ms") };
        format!("term {}{vote}{promise}", state.current_term)
    });
    let log = write.log.as_ref().map(|log| {
        let count = (log.last_index().get() + 1).saturating_sub(log.first.get());
        if count == 0 { format!("the cut at {}", log.first) } else { span(log.first, count) }
    });
    state.into_iter().chain(log).collect::<Vec<_>>().join("; ")
}

fn durable(state: Option<&NodeState>) -> String {
    let Some(NodeState { durable, durable_last, .. }) = state else { return String::new() };
    let vote = durable.voted_for.map_or(String::new(), |vote| format!(", vote {vote:?}"));
    format!("durable: term {}{vote}, log {durable_last}", durable.current_term)
}

fn crash(lost: &Lost) -> String {
    let gone = lost.in_flight - lost.survived;
    match (gone, lost.torn) {
        (0, _) => "crashes".to_owned(),
        (gone, false) => format!("crashes, loses {}", writes(gone)),
        (gone, true) => format!("crashes, loses {}, one in part", writes(gone)),
    }
}

fn writes(count: usize) -> String {
    if count == 1 { "a write".to_owned() } else { format!("{count} writes") }
}

fn operated(client: u64, operation: Operation, phase: Stage) -> String {
    let what = match operation {
        Operation::Write { key, value } => format!("k{key} := {}", named(value)),
        Operation::Read { key } => format!("k{key}?"),
        Operation::Query { key, consistency } => format!("k{key}? by {}", by(consistency)),
        Operation::Apply { command } => format!("command {command}"),
        Operation::Ask { question, consistency } => {
            format!("question {question} by {}", by(consistency))
        }
    };
    let outcome = match (phase, operation) {
        (Stage::Invoked, _) => String::new(),
        (Stage::Returned { .. }, Operation::Write { .. }) => " done".to_owned(),
        (Stage::Returned { value, .. }, Operation::Read { .. } | Operation::Query { .. }) => {
            value.map_or(" nothing".to_owned(), |value| format!(" {}", named(value)))
        }
        (Stage::Returned { value, .. }, Operation::Apply { .. } | Operation::Ask { .. }) => {
            value.map_or(" done".to_owned(), |value| format!(" {value}"))
        }
        (Stage::Unknown, _) => " given up".to_owned(),
        (Stage::Failed, _) => " failed".to_owned(),
    };
    format!("client {client}: {what}{outcome}")
}

/// A value by its writer and the number of its operation, which is how clients make them.
fn named(value: u64) -> String {
    format!("{}.{}", value >> 32, value & 0xffff_ffff)
}

const fn by(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::ReadIndex => "read index",
        Consistency::Lease => "lease",
    }
}

const fn transferred(outcome: TransferOutcome) -> &'static str {
    match outcome {
        TransferOutcome::SteppedDown => "has transferred leadership",
        TransferOutcome::LeadershipLost => "lost leadership before it could transfer it",
        TransferOutcome::TimedOut => "leads on: the other did not take over",
    }
}

const fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "is there",
        Outcome::Failed => "has failed",
    }
}

fn commands(count: u64) -> String {
    if count == 1 { "a command".to_owned() } else { format!("{count} commands") }
}

const fn fate_of(fate: Fate) -> &'static str {
    match fate {
        Fate::Committed => "committed",
        Fate::Lost => "lost for certain",
        Fate::Open => "open",
        Fate::Unknown => "unknown",
    }
}

const fn why(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Cut => "cut",
        DropReason::Kind => "filtered",
        DropReason::Loss => "chance",
        DropReason::Down => "nobody there",
        DropReason::Unwanted => "not wanted",
    }
}
