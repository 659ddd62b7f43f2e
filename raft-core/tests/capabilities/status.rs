//! A cheap view of a node, for dashboards.

use crate::common::{S1, S2, S3, Setup, Solo, at, joint, says, voters};
use raft_core::{
    Consistency, Input, LogIndex, PeerPhase, RejectReason, RoleKind, Status, Term, Token,
};

#[test]
fn a_status_says_what_a_leader_is_about() {
    let mut solo = Solo::leader_of(3);
    let _ = solo.propose(2);
    let _ = solo.hears(S2, 1, says::matched(2, None));
    let _ = solo.step(Input::Read { token: Token(1), consistency: Consistency::ReadIndex });
    let _ = solo.step(Input::TransferLeadership { token: Token(2), to: Some(S2) });
    let Status { role, term, voted_for, leader, last, commit_index, last_applied, .. } =
        solo.status();
    assert_eq!((role, term, voted_for, leader), (RoleKind::Leader, Term(1), Some(S1), Some(S1)));
    assert_eq!((last, commit_index, last_applied), (at(1, 3), LogIndex(2), LogIndex(2)));
    let now = solo.status();
    assert_eq!((now.durable, now.durable_hard_state.current_term), (at(1, 3), Term(1)));
    assert_eq!((now.pending_reads, now.transfers_to), (1, Some(S2)));
    assert!(now.lease_until.is_some_and(|until| until > solo.now));
    assert!(!now.membership_changes && now.installing.is_none());
    let peers: Vec<_> = solo.node.peers().map(|p| (p.id, p.match_index.get(), p.phase)).collect();
    assert_eq!(peers, [(S2, 2, PeerPhase::Replicate), (S3, 1, PeerPhase::Replicate)]);
}

#[test]
fn a_status_tells_a_change_of_the_membership_that_is_under_way() {
    let mut solo = Solo::leader_of(3);
    let target = joint(&[1, 2, 3], &[], &[4]);
    let _ = solo.step(Input::ChangeMembership { token: Token(1), target });
    assert!(solo.status().membership_changes, "joint");
    let _ = solo.hears(S2, 1, says::matched(2, None));
    assert!(!solo.node.membership().is_joint());
    assert!(solo.status().membership_changes, "not committed");
    let _ = solo.hears(S2, 1, says::matched(3, None));
    assert!(!solo.status().membership_changes);
}

#[test]
fn a_follower_has_no_peers_and_no_lease_and_knows_its_leader() {
    let mut solo = Solo::of(3);
    let _ = solo.hears(S2, 4, says::hello(1));
    let now = solo.status();
    assert_eq!((now.role, now.leader, now.lease_until), (RoleKind::Follower, Some(S2), None));
    assert_eq!(solo.node.peers().count(), 0);
    let refused = solo.propose(1).rejected();
    assert_eq!(refused, [RejectReason::NotLeader { leader: Some(S2) }]);
}

#[test]
fn what_is_durable_is_told_apart_from_what_is_not() {
    let mut solo = Setup::of(voters(&[1, 2, 3])).slow_disk().start();
    let _ = solo.hears(S2, 1, says::appends(1, says::START, &[1, 1]));
    let now = solo.status();
    assert_eq!((now.last, now.durable), (at(1, 2), at(0, 0)));
    assert_eq!((now.term, now.durable_hard_state.current_term), (Term(1), Term(0)));
    let _ = solo.persist();
    assert_eq!(solo.status().durable, at(1, 2));
}

#[cfg(feature = "serde")]
#[test]
fn a_status_and_a_node_survive_json() {
    let mut solo = Solo::leader_of(3);
    let target = voters(&[1, 2]);
    let _ = solo.step(Input::ChangeMembership { token: Token(1), target });
    let _ = solo.step(Input::Read { token: Token(1), consistency: Consistency::ReadIndex });
    let text = serde_json::to_string(&solo.status()).expect("plain data");
    assert_eq!(serde_json::from_str::<Status>(&text).expect("the same data"), solo.status());
    let text = serde_json::to_string(&solo.node).expect("plain data");
    let again: raft_core::Node = serde_json::from_str(&text).expect("the same data");
    assert_eq!(again, solo.node);
}
