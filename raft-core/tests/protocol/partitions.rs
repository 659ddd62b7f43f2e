//! The user's two pictures: what a cut network does to a working leader at each level of
//! protection.

use crate::common::cluster::Cluster;
use crate::common::{S1, S2, S3, Setup, T, voters};
use raft_core::{Protection, RoleKind};

/// Three nodes that S1 leads in term 1.
fn led_by_s1(protection: Protection) -> Cluster {
    let mut all = Cluster::of(3, protection);
    all.elect(S1);
    assert_eq!((all.term(S1), all.leader()), (1, Some(S1)));
    all
}

#[test]
fn n13_symmetric_partition_with_pre_vote_the_term_and_the_leader_stay() {
    for protection in [Protection::PreVote, Protection::Full] {
        let mut all = led_by_s1(protection);
        all.isolate(S2);
        all.run(20 * T);
        assert_eq!((all.role(S2), all.term(S2)), (RoleKind::PreCandidate, 1), "{protection:?}");
        all.heal();
        all.run(5 * T);
        assert_eq!((all.role(S1), all.term(S1)), (RoleKind::Leader, 1), "{protection:?}");
        assert_eq!(all.role(S2), RoleKind::Follower);
        assert_eq!(all.leaders.len(), 1);
    }
}

#[test]
fn n13_symmetric_partition_without_pre_vote_the_leader_is_deposed_after_the_heal() {
    let mut all = led_by_s1(Protection::Plain);
    all.isolate(S2);
    all.run(20 * T);
    let grown = all.term(S2);
    assert!(grown > 10, "{grown}: one term for each timeout");
    all.heal();
    all.run(5 * T);
    assert!(all.term(S1) >= grown && all.leaders.len() > 1);
}

#[test]
fn n14_asymmetric_partition_with_pre_vote_alone_the_leader_is_deposed() {
    let mut all = led_by_s1(Protection::PreVote);
    all.cut_both_ways(S1, S2);
    all.run(20 * T);
    assert!(all.leaders.len() > 1, "S3 would vote, though it hears S1");
}

#[test]
fn n14_asymmetric_partition_with_the_lease_the_leader_stays() {
    let mut all = led_by_s1(Protection::Full);
    all.cut_both_ways(S1, S2);
    all.run(20 * T);
    assert_eq!((all.role(S1), all.term(S1), all.term(S2)), (RoleKind::Leader, 1, 1));
    assert_eq!(all.leaders.len(), 1);
}

#[test]
fn n14_one_way_partition_with_the_lease_the_leader_stays() {
    // S2 does not hear S1, but S1 hears the requests of S2.
    for (protection, stays) in
        [(Protection::Plain, false), (Protection::PreVote, false), (Protection::Full, true)]
    {
        let mut all = led_by_s1(protection);
        all.cut(S1, S2);
        all.run(20 * T);
        assert_eq!(all.leaders.len() == 1, stays, "{protection:?}");
        assert_eq!(all.term(S1) == 1, stays, "{protection:?}");
    }
}

#[test]
fn n14_one_way_partition_a_node_that_does_not_even_ask_first_cannot_depose_the_leader() {
    // S2 is of the lowest level: its vote requests, in ever later terms, reach S1 and S3.
    let level = |id| if id == S2 { Protection::Plain } else { Protection::Full };
    let of = |id| Setup::of(voters(&[1, 2, 3])).id(id).protection(level(id));
    let mut all = Cluster::start([S1, S2, S3].map(of));
    all.elect(S1);
    all.cut(S1, S2);
    all.run(20 * T);
    assert!(all.term(S2) > 10);
    assert_eq!((all.role(S1), all.term(S1), all.term(S3)), (RoleKind::Leader, 1, 1));
    assert_eq!(all.leaders.len(), 1);
}

#[test]
fn a_node_that_comes_back_with_a_far_higher_term_is_taken_in() {
    let mut all = led_by_s1(Protection::Full);
    all.isolate(S2);
    let _ = all.act(S2, |node| {
        // It has seen the term of a candidate that is gone.
        node.hears(raft_core::NodeId(9), 50, crate::common::says::stale_term())
    });
    assert_eq!(all.term(S2), 50);
    all.run(3 * T);
    all.heal();
    all.run(6 * T);
    let leader = all.leader().expect("there is a leader");
    assert!(all.term(leader) > 50, "an older leader is told that its term is over");
    assert!(all.nodes.values().all(|node| node.status().leader == Some(leader)));
}

#[test]
fn a_leader_that_hears_nobody_makes_room_for_another() {
    let mut all = led_by_s1(Protection::Full);
    // It can send, and it cannot receive.
    all.cut(S2, S1);
    all.cut(S3, S1);
    all.run(6 * T);
    let leader = all.leader().expect("there is a leader");
    assert_ne!(leader, S1);
    assert_ne!(all.role(S1), RoleKind::Leader);
}
