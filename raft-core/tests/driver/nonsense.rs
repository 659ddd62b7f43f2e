//! Whatever a runtime says, in whatever order: no call panics, none breaks the node, and none
//! binds a command to a position at which no leader put it.

use crate::world::{Bytes, Rng};
use raft_core::driver::{
    Driver, Effect, Event, Frame, Host, Settings, SnapshotEvent, SnapshotHead, StreamId,
};
use raft_core::payload::Content;
use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Config, Consistency, Envelope, Instant,
    LogIndex, LogPosition, Membership, Message, Node, NodeId, Outcome, Recovered,
    RequestVoteResponse, Run, Snapshot, Term, Ticket, Token, Verdict,
};
use std::collections::BTreeMap;

pub(crate) struct Nothing;

impl Host<Bytes> for Nothing {
    fn read(&mut self, position: LogPosition) -> Option<Content<Bytes>> {
        (!position.index.get().is_multiple_of(3)).then(|| Content::Command(Bytes(Vec::new())))
    }
}

fn position(rng: &mut Rng) -> LogPosition {
    match rng.below(8) {
        0 => LogPosition::ZERO,
        _ => LogPosition::new(Term(1 + rng.below(4)), LogIndex(1 + rng.below(12))),
    }
}

fn outcome(rng: &mut Rng) -> Outcome {
    if rng.chance(50) { Outcome::Done } else { Outcome::Failed }
}

/// A message of anybody, with the payloads that it announces: each says where it is to stand.
fn frame(rng: &mut Rng) -> Frame<Bytes> {
    let (prev, term) = (position(rng), Term(1 + rng.below(5)));
    let run = |count| Run::Commands { term: prev.term.max(Term(1)), count };
    let entries = (rng.chance(70)).then(|| run(1 + rng.below(3))).into_iter().collect();
    let append = AppendEntries { prev, entries, commit: LogIndex(rng.below(14)), probe: None };
    let of_term = append.entries.runs().next().map_or(Term::ZERO, Run::term);
    let commands = append.entries.commands();
    let outcome = AppendOutcome::Matched { match_index: LogIndex(rng.below(14)) };
    let (verdict, last) = (Verdict::Granted, position(rng));
    let (message, commands) = match rng.below(4) {
        1 => (Message::RequestVoteResponse(RequestVoteResponse { verdict, last }), 0),
        2 => {
            let response = AppendEntriesResponse { outcome, echo: None, seen: None };
            (Message::AppendEntriesResponse(response), 0)
        }
        _ => (Message::AppendEntries(append), commands),
    };
    let payload = |nth| {
        let at = LogPosition::new(of_term, LogIndex(prev.index.get() + 1 + nth));
        Bytes::from(at.to_string())
    };
    let from = NodeId(2 + rng.below(2));
    let envelope = Envelope { from, to: NodeId(1), term, message };
    Frame::new(envelope, (0..commands).map(payload).collect()).expect("whole")
}

pub(crate) fn event(rng: &mut Rng, tickets: &[Ticket]) -> Event<Bytes> {
    let (token, until) = (Token(rng.below(4)), Instant::from_nanos(rng.below(1 << 34)));
    let (peer, at) = (NodeId(1 + rng.below(4)), position(rng));
    let target = Membership::of_voters([NodeId(1), peer]).unwrap_or_default();
    let snapshot = Snapshot { position: at, membership: target.clone() };
    let (from, to, term) = (NodeId(2 + rng.below(2)), NodeId(1), Term(1 + rng.below(5)));
    let (stream, head) = (StreamId(rng.below(4)), SnapshotHead { from, to, term, snapshot });
    let known = tickets.last().copied().unwrap_or(Ticket(9));
    match rng.below(20) {
        0..=3 => Event::Frame(frame(rng)),
        4 => Event::Snapshot(SnapshotEvent::Head { stream, head }),
        5 => Event::Wake,
        6 => Event::Propose { token, commands: Vec::new(), until },
        7 => Event::Read { token, consistency: Consistency::ReadIndex, until },
        8 => Event::Change { token, target, until },
        9 => Event::Promote { token, node: peer, until },
        10 => Event::Transfer { token, to: Some(peer) },
        11 => Event::Campaign,
        12 => Event::Applied { through: LogIndex(rng.below(20)) },
        13 => Event::Paused { peer, after: rng.chance(50).then_some(at.index) },
        14 => Event::Resumed { peer },
        15 => Event::Unreachable { peer },
        16 => Event::Fetched,
        17 | 18 => Event::Written { ticket: if rng.chance(90) { known } else { Ticket(3) } },
        _ => Event::Snapshot(match rng.below(7) {
            0 => SnapshotEvent::Wanted,
            1 => SnapshotEvent::Taken { outcome: outcome(rng) },
            2 => SnapshotEvent::Progress { stream },
            3 => SnapshotEvent::Sent { stream, outcome: outcome(rng) },
            4 => SnapshotEvent::Arrived { stream },
            5 => SnapshotEvent::Broken { stream },
            _ => SnapshotEvent::Installed { outcome: outcome(rng) },
        }),
    }
}

#[test]
fn nothing_that_a_runtime_says_breaks_a_driver() {
    let mut effects_seen = BTreeMap::<&str, u64>::new();
    for seed in 1..1500 {
        let mut rng = Rng::new(seed);
        let alone = seed % 3 == 0;
        let voters = (1..=if alone { 1 } else { 3 }).map(NodeId);
        let members = Membership::of_voters(voters).expect("voters");
        let config = Config::new(NodeId(1), seed);
        let node = Node::new(config, Recovered::fresh(members), Instant::ZERO).expect("fresh");
        let mut settings = Settings::default();
        (settings.snapshot_bytes, settings.kept_bytes, settings.cached_bytes) = (100, 0, 0);
        let (mut driver, mut tickets, mut now) =
            (Driver::new(node, settings).expect("valid"), Vec::new(), 0);
        for _ in 0..60 {
            now += rng.below(1 << 28);
            // Some of the time at the end of the range, where the node refuses everything.
            let now = if seed % 5 == 0 && rng.chance(20) { u64::MAX - 1 } else { now };
            let events: Vec<_> = (0..rng.below(4)).map(|_| event(&mut rng, &tickets)).collect();
            let mut effects = Vec::new();
            driver.step(events, Instant::from_nanos(now), &mut Nothing, &mut effects);
            assert_eq!(driver.node().check(), Ok(()), "seed {seed}");
            for effect in effects {
                let name = match effect {
                    Effect::Write(write) => {
                        tickets.push(write.ticket);
                        for entry in write.log.iter().flat_map(|log| &log.entries) {
                            let Content::Command(command) = &entry.content else { continue };
                            assert_eq!(*command, Bytes::from(entry.position.to_string()));
                        }
                        "write"
                    }
                    Effect::Send(_) => "send",
                    Effect::Apply(_) => "apply",
                    Effect::Answer { .. } => "answer",
                    Effect::Snapshot(_) => "snapshot",
                    Effect::Compact { .. } => "compact",
                    Effect::Fetch { .. } => "fetch",
                    Effect::Notice(_) => "notice",
                };
                *effects_seen.entry(name).or_default() += 1;
            }
        }
    }
    assert_eq!(effects_seen.len(), 8, "{effects_seen:?}");
}
