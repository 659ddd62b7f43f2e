//! What is known of a proposal. That nobody ever says *lost* of what commits, or *committed* of
//! what does not, is checked after every step of the random runs.

use crate::common::{S2, S3, Setup, Solo, at, says, voters};
use raft_core::{Fate, Input, LogIndex, Message};

fn append(round: u64, prev: raft_core::LogPosition, terms: &[u64], commit: u64) -> Message {
    let mut m = says::append(round, prev, terms);
    m.commit = LogIndex(commit);
    Message::AppendEntries(m)
}

#[test]
fn a_position_is_open_until_its_index_or_a_later_term_is_committed() {
    let mut solo = Solo::of(3);
    let _ = solo.hears(S2, 1, append(1, says::START, &[1, 1], 0));
    assert_eq!(solo.node.fate(at(1, 2)), Fate::Open);
    let _ = solo.hears(S2, 1, append(2, at(1, 2), &[], 2));
    assert_eq!(solo.node.fate(at(1, 2)), Fate::Committed);
    assert_eq!(solo.node.fate(at(1, 3)), Fate::Open, "nobody knows");
}

#[test]
fn a_position_that_was_dropped_here_is_not_lost_yet() {
    let mut solo = Solo::of(3);
    let _ = solo.hears(S2, 1, append(1, says::START, &[1, 1], 1));
    let _ = solo.hears(S3, 2, append(1, at(1, 1), &[2], 1));
    assert_eq!(solo.status().last, at(2, 2));
    assert_eq!(solo.node.fate(at(1, 2)), Fate::Open, "figure 8, read backwards");
    // Its old leader comes back and commits it after all.
    let _ = solo.hears(S2, 3, append(2, at(1, 1), &[1, 3], 3));
    assert_eq!(solo.node.fate(at(1, 2)), Fate::Committed);
    assert_eq!(solo.node.fate(at(2, 2)), Fate::Lost);
}

#[test]
fn a_position_is_lost_when_something_else_is_committed_at_its_index() {
    let mut solo = Solo::of(3);
    let _ = solo.hears(S2, 1, append(1, says::START, &[1, 1], 1));
    let _ = solo.hears(S3, 2, append(1, at(1, 1), &[2], 2));
    assert_eq!(solo.node.fate(at(1, 2)), Fate::Lost);
}

#[test]
fn a_position_is_lost_when_a_later_term_is_committed_below_it() {
    let mut solo = Solo::of(3);
    let _ = solo.hears(S2, 1, append(1, says::START, &[1, 1, 1], 1));
    let _ = solo.hears(S3, 2, append(1, at(1, 1), &[2], 2));
    assert_eq!(solo.node.fate(at(1, 3)), Fate::Lost, "terms in a log do not decrease");
    assert_eq!(solo.node.fate(at(2, 3)), Fate::Open);
}

/// The leader is cut off after the first of two commands has left it: who waits for the first
/// position only is told a lie about the second.
#[test]
fn a_proposal_of_two_commands_is_not_atomic() {
    let mut leader = Solo::leader_of(3);
    let (first, count) = leader.propose(2).accepted().expect("it leads");
    assert_eq!((first, count), (at(1, 2), 2));
    let _ = leader.hears(S2, 2, append(1, at(1, 2), &[2], 3));
    assert_eq!(leader.node.fate(first), Fate::Committed);
    assert_eq!(leader.node.fate(at(1, 3)), Fate::Lost);
}

#[test]
fn what_a_snapshot_covers_is_unknown() {
    let mut solo = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).start();
    let _ = solo.hears(S2, 1, append(1, at(1, 2), &[1], 3));
    let _ = solo.step(Input::SnapshotTaken { position: at(1, 2) });
    assert_eq!(solo.node.fate(at(1, 1)), Fate::Unknown);
    assert_eq!(solo.node.fate(at(1, 2)), Fate::Unknown);
    assert_eq!(solo.node.fate(at(1, 3)), Fate::Committed);
}
