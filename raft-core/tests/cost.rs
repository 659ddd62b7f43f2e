//! What one input may bring in, and what one call hands out: bounded, whatever a peer or a log
//! holds. How the work grows is counted in `src/work.rs`.

#[path = "common/mod.rs"]
mod common;

use common::{Actions, S2, Setup, Solo, at, says, voters};
use raft_core::{AppendEntries, EntriesError, IgnoreReason, LogIndex, Message, Term};

/// Node 2, the leader of term `n`, appends a command of each of the terms 1 to `n`.
fn append(n: u64) -> AppendEntries {
    says::append(1, says::START, &(1..=n).collect::<Vec<_>>())
}

fn hears(solo: &mut Solo, term: u64, m: AppendEntries) -> Actions {
    solo.hears(S2, term, Message::AppendEntries(m))
}

#[test]
fn a_message_of_more_runs_than_a_leader_sends_is_refused() {
    let most = AppendEntries::MAX_RUNS as u64;
    let mut solo = Solo::of(3);
    let refused = hears(&mut solo, most + 1, append(most + 1)).ignored();
    let reason = EntriesError::TooManyRuns { runs: AppendEntries::MAX_RUNS + 1 };
    assert_eq!(refused, [IgnoreReason::MalformedEntries(reason)]);
    assert_eq!(solo.status().term, Term(0), "nothing has changed");
    assert_eq!(hears(&mut solo, most, append(most)).ignored(), []);
    assert_eq!(solo.status().last, at(most, most));
}

#[test]
fn the_parts_of_a_message_that_is_accepted_are_accepted() {
    let most = AppendEntries::MAX_RUNS as u64;
    for count in [0, 1, most / 2, most - 1, most] {
        let mut solo = Solo::of(3);
        let (head, tail) = append(most).split_at(count);
        for part in [head, tail] {
            assert_eq!(hears(&mut solo, most, part).ignored(), []);
        }
        assert_eq!(solo.status().last, at(most, most));
    }
}

/// A log may have any number of runs: only messages are limited.
#[test]
fn a_node_starts_from_a_log_of_many_terms() {
    let terms: Vec<u64> = (1..=3000).collect();
    let solo = Setup::of(voters(&[1, 2, 3])).log(&terms).start();
    assert_eq!(solo.status().last, at(3000, 3000));
}

/// A follower that holds a command of each of the terms 1 to `n`, and hears that all is committed.
fn after_a_commit_over(n: u64) -> (Solo, Actions) {
    let terms: Vec<u64> = (1..=n).collect();
    let mut solo = Setup::of(voters(&[1, 2, 3])).log(&terms).start();
    let _ = solo.hears(S2, n, says::heartbeat(1, at(n, n)));
    let actions = solo.hears(S2, n, says::announcement(at(n, n), n));
    (solo, actions)
}

#[test]
fn a_commit_over_many_terms_is_handed_out_in_pieces_in_order() {
    let (mut solo, mut actions) = after_a_commit_over(5000);
    let (began, mut applied) = (solo.now, Vec::new());
    loop {
        assert!(actions.applied().len() <= 1024, "one call");
        applied.extend(actions.applied());
        if solo.deadline() > solo.now {
            break;
        }
        actions = solo.wake();
        assert_eq!(actions.applied().len(), actions.0.len(), "nothing but what is to be applied");
        assert!(!actions.is_empty(), "a deadline that is due at once is for something");
    }
    assert_eq!(solo.now, began);
    assert_eq!(applied, (1..=5000).map(|i| (i, at(i, i))).collect::<Vec<_>>());
    assert!(solo.wake().is_empty());
}

/// Whatever comes next goes on, and nothing else waits for it: the node is as committed as it says.
#[test]
fn any_call_goes_on_applying() {
    let (mut solo, actions) = after_a_commit_over(3000);
    assert_eq!(actions.applied().len(), 1024);
    assert_eq!(solo.status().commit_index, LogIndex(3000));
    let _ = solo.hears(S2, 3000, says::heartbeat(2, at(3000, 3000)));
    assert_eq!(solo.status().last_applied, LogIndex(2048));
    let _ = solo.step_all([]);
    assert_eq!(solo.status().last_applied, LogIndex(3000));
    assert!(solo.deadline() > solo.now);
}
