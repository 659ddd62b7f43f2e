//! Many groups between one pair of nodes: their heartbeats, and the answers, go in one message.

use crate::common::Solo;
use crate::common::{S1, S2, Setup, T, voters};
use raft_core::{AppendEntries, AppendOutcome, Envelope, Message};

const GROUPS: u64 = 10_000;

/// A runtime's own small format: a heartbeat in a batch between one pair of nodes, where sender and
/// receiver stand once, is its group and seven numbers.
fn write_heartbeat(to: &mut Vec<u8>, group: u64, envelope: &Envelope) {
    let Message::AppendEntries(m) = &envelope.message else { panic!("{envelope:?}") };
    let AppendEntries { prev, entries, commit, probe } = m;
    assert!(entries.is_empty());
    let probe = probe.expect("a heartbeat asks");
    let lease = u64::try_from(probe.lease.as_nanos()).expect("short");
    let numbers = [
        group,
        envelope.term.get(),
        prev.term.get(),
        prev.index.get(),
        commit.get(),
        probe.round.get(),
        probe.sent_at.as_nanos(),
        lease,
    ];
    for n in numbers {
        write_number(to, n);
    }
}

fn write_answer(to: &mut Vec<u8>, group: u64, envelope: &Envelope) {
    let Message::AppendEntriesResponse(m) = &envelope.message else { panic!("{envelope:?}") };
    let AppendOutcome::Matched { match_index } = m.outcome else { panic!("{m:?}") };
    let echo = m.echo.expect("an answer echoes");
    let promised = u64::try_from(echo.promised.as_nanos()).expect("short");
    let numbers = [
        group,
        envelope.term.get(),
        match_index.get(),
        echo.round.get(),
        echo.sent_at.as_nanos(),
        promised,
    ];
    for n in numbers {
        write_number(to, n);
    }
}

/// LEB128.
fn write_number(to: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        to.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    to.push(n.to_le_bytes()[0]);
}

/// A group that S1 leads and S2 follows in.
fn group(seed: u64) -> (Solo, Solo) {
    let start = |id| {
        let of = Setup::of(voters(&[1, 2])).id(id);
        of.config(|config| config.seed = seed).start()
    };
    let (mut leader, mut follower) = (start(S1), start(S2));
    let mut on_the_way = leader.step(raft_core::Input::Campaign).sent();
    while let Some(envelope) = on_the_way.pop() {
        let to = if envelope.to == S1 { &mut leader } else { &mut follower };
        on_the_way.extend(to.step(envelope).sent());
    }
    assert_eq!(leader.status().commit_index, leader.status().last.index);
    (leader, follower)
}

#[test]
fn the_heartbeats_of_ten_thousand_groups_are_one_small_message_each_way() {
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for nth in 0..GROUPS {
        let (mut leader, mut follower) = group(nth);
        let beats = leader.pass(T / 10).wake().sent();
        assert_eq!(beats.len(), 1, "one message a peer");
        write_heartbeat(&mut there, nth, &beats[0]);
        follower.now = leader.now;
        let answers = follower.step(beats[0].clone()).sent();
        assert_eq!(answers.len(), 1, "one answer");
        write_answer(&mut back, nth, &answers[0]);
        // The answer moves nothing else: no further message, no write.
        assert!(leader.step(answers[0].clone()).is_empty());
    }
    let per_group = |bytes: &Vec<u8>| bytes.len() as u64 / GROUPS;
    assert!(per_group(&there) <= 32, "{} bytes a heartbeat", per_group(&there));
    assert!(per_group(&back) <= 28, "{} bytes an answer", per_group(&back));
}

#[test]
fn heartbeats_of_one_moment_may_arrive_late_and_in_any_order() {
    let (mut leader, mut follower) = group(7);
    let first = leader.pass(T / 10).wake().sent().remove(0);
    let second = leader.pass(T / 10).wake().sent().remove(0);
    follower.now = leader.now;
    let answers = [second, first].map(|envelope| follower.step(envelope).sent());
    let before = leader.status().lease_until;
    for envelope in answers.into_iter().flatten() {
        assert!(leader.step(envelope).ignored().is_empty());
    }
    assert!(leader.status().lease_until > before);
}
