//! A step draws all consequences: nothing is left for the next call, whatever that is.

use crate::common::{S2, S3, Setup, Solo, T, says, voters};
use raft_core::{Input, LogIndex, Protection, RoleKind, Token, Verdict};

/// S1 leads five with a slow disk, and has asked for itself alone; what it proposed since is
/// durable here.
fn about_to_be_alone() -> Solo {
    let setup = Setup::of(voters(&[1, 2, 3, 4, 5])).protection(Protection::Plain);
    let mut solo = setup.slow_disk().start();
    let _ = solo.time_out();
    let _ = solo.persist();
    for id in [S2, S3] {
        let _ = solo.hears(id, 1, says::vote(Verdict::Granted));
    }
    assert_eq!(solo.role(), RoleKind::Leader);
    let _ = solo.persist();
    for id in [S2, S3] {
        let echo = solo.newest_echo(id);
        let _ = solo.hears(id, 1, says::matched(1, echo));
    }
    let change = Input::ChangeMembership { token: Token(9), target: voters(&[1]) };
    assert!(solo.step(change).accepted().is_some());
    let _ = solo.propose(3);
    solo
}

fn is_at_rest(solo: &Solo) {
    let mut again = solo.clone();
    assert!(again.step_all([]).is_empty());
    assert_eq!(again.node, solo.node);
}

#[test]
fn what_the_final_membership_holds_already_is_committed_by_the_acknowledgement_of_the_joint_one() {
    let mut solo = about_to_be_alone();
    let _ = solo.persist();
    let _ = solo.hears(S2, 1, says::matched(2, None));
    assert_eq!(solo.status().commit_index, LogIndex(1), "two of five");
    let all = solo.hears(S3, 1, says::matched(2, None));
    assert_eq!(*solo.node.membership(), voters(&[1]));
    assert_eq!(solo.status().commit_index, LogIndex(5), "S1 is a quorum of itself");
    assert_eq!(all.applied().last().map(|(_, through)| through.index), Some(LogIndex(5)));
    is_at_rest(&solo);
    let _ = solo.persist();
    assert_eq!(solo.status().commit_index, LogIndex(6));
}

#[test]
fn what_the_final_membership_holds_already_is_committed_by_the_completion_of_the_joint_one() {
    let mut solo = about_to_be_alone();
    for id in [S2, S3] {
        let _ = solo.hears(id, 1, says::matched(2, None));
    }
    assert_eq!(solo.status().commit_index, LogIndex(1), "the leader is one of the quorum");
    let _ = solo.persist();
    assert_eq!(solo.status().commit_index, LogIndex(5));
    is_at_rest(&solo);
}

#[test]
fn the_end_of_a_transfer_leaves_a_committed_joint_membership_in_the_same_call() {
    let target = voters(&[1, 2]);
    let mut solo = Solo::leader_of(5);
    let _ = solo.step(Input::ChangeMembership { token: Token(9), target });
    let _ = solo.step(Input::TransferLeadership { token: Token(8), to: Some(S2) });
    let _ = solo.hears(S2, 1, says::matched(2, None));
    let _ = solo.hears(S3, 1, says::matched(2, None));
    assert!(solo.node.membership().is_joint(), "a permit is out");
    let began = solo.now;
    while solo.node.membership().is_joint() {
        let asked = solo.time_out_heartbeat();
        for id in [S2, S3] {
            for m in asked.appends_to(id) {
                let _ = solo.hears(id, 1, says::matched(2, says::echo(&m)));
            }
        }
        is_at_rest(&solo);
    }
    assert!(solo.now.saturating_since(began) <= T + T / 10);
}
