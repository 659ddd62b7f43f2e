//! Who may hold an election: a voter, and who was one in the last membership before, until it is
//! known that the one in force is committed.

use crate::common::{S1, S2, S3, Setup, Solo, T, joint, ms, says, voters};
use raft_core::{
    AppendEntries, Entries, LogIndex, Membership, Message, RoleKind, Run, Term, Verdict,
};

/// Memberships of term 1 that follow one another from index 1 on.
fn memberships(all: &[Membership], commit: u64) -> Message {
    let run = |m: &Membership| Run::Membership { term: Term(1), membership: Box::new(m.clone()) };
    let entries: Entries = all.iter().map(run).collect();
    let m = AppendEntries { entries, ..says::append(1, says::START, &[]) };
    Message::AppendEntries(AppendEntries { commit: LogIndex(commit), ..m })
}

/// S3 joins S1 and S2, and is removed again: four entries.
fn joins_and_leaves() -> [Membership; 4] {
    let joins = joint(&[1, 2, 3], &[1, 2], &[]);
    [joins, voters(&[1, 2, 3]), joint(&[1, 2], &[1, 2, 3], &[]), voters(&[1, 2])]
}

/// S3, which knew nothing, is told all of it at once, and that so much is committed.
fn joiner(commit: u64) -> Solo {
    let mut solo = Setup::of(Membership::empty()).id(S3).start();
    let _ = solo.hears(S1, 1, memberships(&joins_and_leaves(), commit));
    assert_eq!(*solo.node.membership(), voters(&[1, 2]));
    solo
}

#[test]
fn who_is_removed_by_what_may_be_undone_waits_for_an_election() {
    assert!(joiner(0).node.deadline().is_some(), "nothing is committed");
    assert!(joiner(3).node.deadline().is_some(), "the joint membership is, in the same append");
    assert_eq!(joiner(4).node.deadline(), None, "the last one is known to be committed");
}

#[test]
fn who_is_removed_waits_for_no_election_once_it_knows_that_this_is_committed() {
    let mut solo = joiner(3);
    let _ =
        solo.hears(S1, 1, says::announcement(raft_core::LogPosition::new(Term(1), LogIndex(4)), 4));
    assert_eq!(solo.node.deadline(), None);
}

#[test]
fn who_was_removed_is_a_voter_again_where_that_is_undone() {
    let mut solo = joiner(0);
    let before = raft_core::LogPosition::new(Term(1), LogIndex(3));
    let _ = solo.hears(S2, 2, says::appends(9, before, &[2]));
    assert!(solo.node.membership().is_voter(S3), "the joint membership is in force again");
    assert_eq!(solo.node.check(), Ok(()), "and the node knows");
}

#[test]
fn who_is_removed_waits_for_an_election_after_a_restart_that_forgot_the_commit() {
    let mut solo = joiner(4);
    solo.crash_and_restart();
    assert_eq!(solo.status().commit_index, LogIndex(0));
    let _ = solo.pass(T);
    let _ = solo.time_out();
    assert_eq!(solo.role(), RoleKind::PreCandidate, "only it may hold what the others need");
}

#[test]
fn a_voter_of_two_changes_ago_waits_for_none_after_a_restart() {
    let learns = |new: &[u64], old: &[u64]| joint(new, old, &[3]);
    let log = [
        learns(&[1, 2], &[1, 2, 3]),
        learns(&[1, 2], &[]),
        learns(&[1, 2, 4], &[1, 2]),
        learns(&[1, 2, 4], &[]),
    ];
    let mut solo = Setup::of(voters(&[1, 2, 3])).id(S3).start();
    let _ = solo.hears(S1, 1, memberships(&log, 4));
    assert_eq!(solo.node.deadline(), None);
    solo.crash_and_restart();
    assert_eq!((solo.status().commit_index, solo.node.deadline()), (LogIndex(0), None));
}

#[test]
fn a_candidate_counts_itself_only_where_it_votes() {
    let mut solo = joiner(3);
    let round = loop {
        if let Some(round) = solo.pass(T).time_out().pre_vote_round() {
            break round;
        }
    };
    let yes = || says::pre_vote_answer(round, Verdict::Granted);
    let _ = solo.hears(S1, 1, yes());
    assert_eq!(solo.role(), RoleKind::PreCandidate, "one of S1 and S2");
    let _ = solo.hears(S2, 1, yes());
    assert_eq!(solo.role(), RoleKind::Candidate);
    let _ = solo.hears(S1, 2, says::vote(Verdict::Granted));
    assert_eq!(solo.role(), RoleKind::Candidate, "one of S1 and S2");
    let _ = solo.hears(S2, 2, says::vote(Verdict::Granted));
    assert_eq!(solo.role(), RoleKind::Leader);
}

#[test]
fn who_has_no_vote_in_its_own_membership_waits_for_up_to_t_longer() {
    let mut solo = joiner(3);
    let mut waits = Vec::new();
    for _ in 0..200 {
        let _ = solo.pass(ms(1)).hears(S1, 1, says::hello(2));
        waits.push(solo.patience());
    }
    assert!(waits.iter().all(|wait| (T..3 * T).contains(wait)));
    let later = waits.iter().filter(|wait| **wait >= 2 * T).count();
    assert!((60..140).contains(&later), "{later} of 200 wait for 2T or longer");
    assert!(waits.iter().any(|wait| *wait < T + T / 10), "the others do not always go first");
    // A voter does not.
    let mut voter = Setup::of(voters(&[1, 2, 3])).id(S3).start();
    for _ in 0..200 {
        let _ = voter.pass(ms(1)).hears(S1, 1, says::hello(2));
        assert!((T..2 * T).contains(&voter.patience()));
    }
}
