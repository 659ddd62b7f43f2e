//! A record that keeps every rule, and how each rule is broken.

use crate::kit::{HostChecker, HostEvent, Rule};
use raft_core::{
    Action, Chunk, Envelope, HardState, Input, Instant, LogIndex, LogPosition, LogWrite,
    Membership, Message, NodeId, Outcome, Recovered, RequestVote, Run, Snapshot, Source, Term,
    Ticket, Token, Write,
};
use std::time::Duration;

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term(term), LogIndex(index))
}

fn hard_state(term: u64) -> HardState {
    let voted_for = Some(NodeId(1));
    HardState { current_term: Term(term), voted_for, promised: Duration::ZERO }
}

fn members() -> Membership {
    Membership::of_voters((1..=3).map(NodeId)).unwrap()
}

fn step<const I: usize, const A: usize>(
    now: u64,
    inputs: [Input; I],
    actions: [Action; A],
) -> HostEvent {
    let (inputs, actions) = (Vec::from(inputs), Vec::from(actions));
    let deadline = Some(Instant::from_nanos(100));
    HostEvent::Stepped { now: Instant::from_nanos(now), inputs, actions, deadline }
}

fn persist(ticket: u64, term: u64, entries: u64) -> Action {
    let source = Source::Inputs { first: 0, last: 0, skip: 0 };
    let chunks = [Chunk { term: Term(term), count: entries, source }].into_iter().collect();
    let log = LogWrite { restart_after: None, first: LogIndex(1), chunks };
    let hard_state = Some(hard_state(term));
    Action::Persist(Write { ticket: Ticket(ticket), hard_state, log: (entries > 0).then_some(log) })
}

fn vote_request(to: u64) -> Envelope {
    let last = LogPosition::ZERO;
    let message = Message::RequestVote(RequestVote { last, permit: None });
    Envelope { from: NodeId(1), to: NodeId(to), term: Term(1), message }
}

fn started(id: u64, seed: u64, recovered: Recovered) -> HostEvent {
    HostEvent::Started { id: NodeId(id), seed, recovered, now: Instant::ZERO }
}

/// What is found after the install.
fn found() -> Recovered {
    Recovered {
        hard_state: hard_state(2),
        snapshot: Snapshot { position: at(2, 50), membership: members() },
        prev: at(2, 50),
        ..Recovered::fresh(members())
    }
}

/// Two lives: an election, a proposal, a read, a snapshot, an install, a crash.
fn good() -> Vec<HostEvent> {
    let (written, durable) = (
        |ticket| HostEvent::Written { ticket: Ticket(ticket) },
        |ticket| HostEvent::Durable { ticket: Ticket(ticket) },
    );
    let persisted = |ticket| Input::Persisted { ticket: Ticket(ticket) };
    let propose = Input::Propose { token: Token(1), count: 2 };
    let consistency = raft_core::Consistency::ReadIndex;
    let read = Input::Read { token: Token(2), consistency };
    let accepted = Action::Accepted { token: Token(1), first: at(1, 1), count: 2 };
    let ready = Action::ReadReady { token: Token(2), index: LogIndex(2) };
    let apply = Action::Apply { first: LogIndex(1), through: at(1, 2) };
    let install = Action::InstallSnapshot { snapshot: found().snapshot };
    let outcome = Outcome::Done;
    let installed = Input::SnapshotInstalled { position: at(2, 50), outcome };
    vec![
        started(1, 7, Recovered::fresh(members())),
        step(1, [Input::Wake], [persist(1, 1, 0)]),
        written(1),
        durable(1),
        step(
            2,
            [persisted(1), propose, read],
            [Action::Send(vote_request(2)), persist(2, 1, 2), accepted],
        ),
        HostEvent::Sent { envelope: vote_request(2) },
        written(2),
        durable(2),
        step(3, [persisted(2)], [apply, ready]),
        HostEvent::Applied { first: LogIndex(1), through: at(1, 2) },
        HostEvent::Answered { token: Token(1), done: true },
        HostEvent::Answered { token: Token(2), done: true },
        HostEvent::SnapshotDurable { position: at(1, 2) },
        step(4, [Input::SnapshotTaken { position: at(1, 2) }], []),
        HostEvent::Released { through: at(1, 2) },
        step(5, [Input::Wake], [persist(3, 2, 0), install]),
        written(3),
        durable(3),
        HostEvent::SnapshotDurable { position: at(2, 50) },
        HostEvent::Installed { position: at(2, 50) },
        step(6, [persisted(3), installed], []),
        HostEvent::Ended,
        started(1, 8, found()),
        HostEvent::Ended,
    ]
}

/// The first objection: its rule, and its line.
fn objection(record: &[HostEvent]) -> Option<(Rule, u64)> {
    let mut checker = HostChecker::new(Duration::from_nanos(10));
    let seen = record.iter().find_map(|event| checker.see(event).err());
    seen.map(|objection| (objection.rule, objection.line))
}

#[test]
fn a_record_that_keeps_every_rule_is_not_objected_to() {
    assert_eq!(objection(&good()), None);
    let lines = good().into_iter().map(|event| serde_json::to_string(&event).unwrap() + "\n");
    let record: String = lines.collect();
    let summary = HostChecker::check(Duration::from_nanos(10), record.as_bytes()).unwrap();
    assert_eq!((summary.lives, summary.durable, summary.applied, summary.done), (2, 3, 2, 2));
    assert_eq!((summary.sent, summary.snapshots, summary.installed), (1, 2, 1));
}

/// A way to break the record, the rule that is broken, and the line at which it is seen.
type Broken = (Rule, u64, fn(&mut Vec<HostEvent>));

const BROKEN: &[Broken] = &[
    (Rule::WriteOrder, 3, |all| all[2] = HostEvent::Written { ticket: Ticket(2) }),
    (Rule::WriteOrder, 3, |all| all.swap(2, 3)),
    (Rule::PersistedEarly, 4, |all| drop(all.remove(3))),
    (Rule::AfterFailure, 5, |all| all[3] = HostEvent::WriteFailed),
    (Rule::ApplyOrder, 11, |all| all.insert(9, all[9].clone())),
    (Rule::ApplyOrder, 10, |all| {
        all[9] = HostEvent::Applied { first: LogIndex(2), through: at(1, 2) };
    }),
    (Rule::ApplyUnsaid, 9, |all| all.swap(8, 9)),
    (Rule::ApplyUnsaid, 10, |all| {
        all[9] = HostEvent::Applied { first: LogIndex(1), through: at(2, 2) };
    }),
    (Rule::AnswerEarly, 10, |all| all.swap(9, 10)),
    (Rule::AnswerEarly, 10, |all| all.swap(9, 11)),
    (Rule::AnswerTwice, 12, |all| all.insert(10, all[10].clone())),
    (Rule::TokenReused, 5, |all| {
        let propose = Input::Propose { token: Token(1), count: 1 };
        all[4] = step(2, [propose.clone(), propose], []);
    }),
    (Rule::SentUndurable, 3, |all| {
        all[1] = step(1, [Input::Wake], [persist(1, 1, 0), Action::Send(vote_request(2))]);
        all.insert(2, HostEvent::Sent { envelope: vote_request(2) });
    }),
    (Rule::SentUnsaid, 6, |all| all[5] = HostEvent::Sent { envelope: vote_request(3) }),
    (Rule::SnapshotAhead, 10, |all| all.swap(9, 12)),
    (Rule::SnapshotSaidEarly, 13, |all| all.swap(12, 13)),
    (Rule::SnapshotSaidEarly, 20, |all| drop(all.remove(19))),
    (Rule::ReleasedEarly, 13, |all| all.swap(12, 14)),
    (Rule::InstallEarly, 18, |all| drop(all.remove(17))),
    (Rule::InstallEarly, 19, |all| drop(all.remove(18))),
    (Rule::RecoveredOther, 23, |all| {
        all[22] = started(1, 8, Recovered { hard_state: hard_state(1), ..found() });
    }),
    (Rule::RecoveredOther, 23, |all| {
        let entries = [Run::Commands { term: Term(2), count: 1 }].into_iter().collect();
        all[22] = started(1, 8, Recovered { entries, ..found() });
    }),
    (Rule::RecoveredOther, 23, |all| {
        let position = at(1, 2);
        let snapshot = Snapshot { position, membership: members() };
        all[22] = started(1, 8, Recovered { snapshot, ..found() });
    }),
    (Rule::RecoveredOther, 23, |all| {
        let snapshot = Snapshot { position: at(2, 51), membership: members() };
        all[22] = started(1, 8, Recovered { snapshot, ..found() });
    }),
    (Rule::RecoveredOther, 23, |all| {
        all[22] = started(1, 8, Recovered { applied: LogIndex(51), ..found() });
    }),
    (Rule::ClockBack, 9, |all| {
        all[8] = step(1, [Input::Wake], []);
    }),
    (Rule::WokenLate, 14, |all| all[13] = step(111, [Input::Wake], [])),
    (Rule::SeedReused, 23, |all| all[22] = started(1, 7, found())),
    (Rule::IdChanged, 23, |all| all[22] = started(2, 8, found())),
    (Rule::NotRunning, 1, |all| drop(all.remove(0))),
    (Rule::NotRunning, 22, |all| drop(all.remove(21))),
];

#[test]
fn each_rule_is_seen_where_it_is_broken() {
    for (nth, (rule, line, breaks)) in BROKEN.iter().enumerate() {
        let mut record = good();
        breaks(&mut record);
        assert_eq!(objection(&record), Some((*rule, *line)), "the {nth}th: {rule:?}");
    }
    let mut rules: Vec<Rule> = BROKEN.iter().map(|(rule, ..)| *rule).collect();
    rules.dedup();
    assert_eq!(rules.len(), 20, "every rule");
}
