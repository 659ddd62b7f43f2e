//! A change of the membership needs a quorum of those who are alive and level, or nothing would
//! take its joint entry back.

use crate::common::{Actions, S2, S3, Setup, Solo, T, joint, says, voters};
use raft_core::{Input, LogIndex, Membership, NodeId, RejectReason, RoleKind, Token};

fn change(solo: &mut Solo, target: Membership) -> Actions {
    solo.step(Input::ChangeMembership { token: Token(9), target })
}

/// These answer the heartbeats of this leader for so long, with the whole log; the others are
/// silent.
fn answered_by(solo: &mut Solo, ids: &[NodeId], time: core::time::Duration) {
    let since = solo.now;
    while solo.now.saturating_since(since) < time {
        let asked = solo.time_out_heartbeat();
        let last = solo.status().last.index.get();
        for id in ids {
            for m in asked.appends_to(*id) {
                let _ = solo.hears(*id, 1, says::matched(last, says::echo(&m)));
            }
        }
    }
    assert_eq!(solo.role(), RoleKind::Leader);
}

fn missing(node: NodeId) -> Vec<RejectReason> {
    vec![RejectReason::NoQuorum { node }]
}

#[test]
fn a_membership_that_needs_a_silent_voter_is_refused_until_it_is_back() {
    let mut solo = Solo::leader_of(3);
    answered_by(&mut solo, &[S2], T + T / 2);
    let before = solo.status().last;
    assert_eq!(change(&mut solo, voters(&[1, 3])).rejected(), missing(S3));
    assert_eq!((solo.status().last, solo.node.membership().is_joint()), (before, false));
    assert!(change(&mut solo.clone(), voters(&[1, 2])).accepted().is_some(), "without it");
    answered_by(&mut solo, &[S2, S3], T / 10);
    assert!(change(&mut solo, voters(&[1, 3])).accepted().is_some());
}

#[test]
fn that_a_leader_is_new_is_no_sign_of_life_of_its_voters() {
    let mut solo = Solo::of(3);
    let elected = solo.elect();
    for m in elected.appends_to(S2) {
        let _ = solo.hears(S2, 1, says::matched(1, says::echo(&m)));
    }
    assert_eq!(solo.status().commit_index, LogIndex(1));
    assert_eq!(change(&mut solo, voters(&[1, 3])).rejected(), missing(S3), "within its grace");
}

#[test]
fn that_a_peer_is_new_is_no_sign_of_life_either() {
    // The joint membership of a change that an earlier leader began: S4 and S5 are new to this one.
    let mut solo = Solo::leader_of(3);
    assert!(change(&mut solo, joint(&[1, 2, 3], &[], &[4])).accepted().is_some());
    for _ in 0..2 {
        let last = solo.status().last.index.get();
        for id in [S2, S3, NodeId(4)] {
            // Acknowledged, but nothing was asked that it has answered.
            let _ = solo.hears(id, 1, says::matched(last, None));
        }
    }
    assert!(!solo.status().membership_changes, "the learner is in, and level");
    let refused = change(&mut solo, voters(&[1, 4])).rejected();
    assert_eq!(refused, missing(NodeId(4)));
    let last = solo.status().last.index.get();
    let echo = solo.newest_echo(NodeId(4));
    let _ = solo.hears(NodeId(4), 1, says::matched(last, echo));
    assert!(change(&mut solo, voters(&[1, 4])).accepted().is_some());
}

#[test]
fn a_quorum_of_the_joint_membership_is_needed_not_of_the_target_alone() {
    let mut solo = Setup::of(voters(&[1, 2, 3, 4, 5])).start();
    let elected = solo.elect();
    for m in elected.appends_to(S2) {
        let _ = solo.hears(S2, 1, says::matched(1, says::echo(&m)));
    }
    // It acknowledges, and answers no question: it is not known whether it lives.
    let _ = solo.hears(S3, 1, says::matched(1, None));
    assert_eq!(solo.status().commit_index, LogIndex(1));
    let refused = change(&mut solo, voters(&[1, 2])).rejected();
    assert_eq!(refused, missing(S3), "two of the five that are left");
    let echo = solo.newest_echo(S3);
    let _ = solo.hears(S3, 1, says::matched(1, echo));
    assert!(change(&mut solo, voters(&[1, 2])).accepted().is_some());
}

#[test]
fn a_voter_that_lives_and_lags_is_no_quorum() {
    let mut solo = Solo::leader_of(3);
    let since = solo.now;
    let _ = solo.propose(10);
    while solo.now.saturating_since(since) < 3 * T {
        let asked = solo.time_out_heartbeat();
        for m in asked.appends_to(S2) {
            let last = solo.status().last.index.get();
            let _ = solo.hears(S2, 1, says::matched(last, says::echo(&m)));
        }
        for m in asked.appends_to(S3) {
            let _ = solo.hears(S3, 1, says::matched(1, says::echo(&m)));
        }
    }
    assert_eq!(change(&mut solo, voters(&[1, 3])).rejected(), missing(S3));
    let last = solo.status().last.index.get();
    let _ = solo.hears(S3, 1, says::matched(last, None));
    assert!(change(&mut solo, voters(&[1, 3])).accepted().is_some());
}
