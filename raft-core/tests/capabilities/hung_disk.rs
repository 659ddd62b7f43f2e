//! A disk that hangs: the leader steps down, and nobody campaigns with one.

use crate::common::world::World;
use crate::common::{S1, S2, Setup, T, ms, says, voters};
use raft_core::{IgnoreReason, Input, Message, NodeId, RoleKind};

/// S1 leads `n` nodes.
fn world(seed: u64, n: u64) -> World {
    let mut world = World::new(seed, n, &voters(&(1..=n).collect::<Vec<_>>()));
    world.elect(S1);
    world.run(T);
    world
}

/// From now on the disk of `id` answers no more.
fn hangs(world: &mut World, id: NodeId) {
    world.host_mut(id).prompt = false;
}

#[test]
fn a_leader_whose_disk_hangs_hands_over_and_steps_down() {
    let mut world = world(1, 3);
    let limit = world.node(S1).config().disk_timeout;
    hangs(&mut world, S1);
    let _ = world.propose(S1, 1);
    world.run(limit.saturating_sub(ms(1)));
    assert_eq!(world.role(S1), RoleKind::Leader, "it waits that long");
    world.run(ms(10));
    let leader = world.leader().expect("nobody had to wait for a timeout");
    assert_ne!(leader, S1);
    let _ = world.propose(leader, 1);
    world.run(T);
    assert_eq!(world.state_of(S2).len(), 2, "the others go on");
}

#[test]
fn a_leader_whose_disk_is_slow_but_works_stays_leader() {
    let mut world = world(2, 3);
    let limit = world.node(S1).config().disk_timeout;
    hangs(&mut world, S1);
    for _ in 0..6 {
        let _ = world.propose(S1, 1);
        world.run(limit / 2);
        // Half of what waits: the oldest write is always younger than the limit.
        let waiting = world.host(S1).waiting_jobs();
        world.disk_completes(S1, waiting);
        assert_eq!(world.leader(), Some(S1));
    }
}

#[test]
fn the_age_that_counts_is_that_of_the_oldest_write() {
    let mut world = world(3, 3);
    hangs(&mut world, S1);
    for _ in 0..4 {
        let _ = world.propose(S1, 1);
        world.run(T * 3 / 5);
    }
    assert_ne!(world.leader(), Some(S1), "new writes do not make the old one younger");
}

#[test]
fn a_node_whose_disk_hangs_does_not_campaign() {
    let mut world = world(4, 3);
    hangs(&mut world, S1);
    let _ = world.propose(S1, 1);
    world.run(T * 3);
    world.isolate(S1);
    let term = world.status(S1).term;
    world.run(T * 10);
    assert_eq!((world.role(S1), world.status(S1).term), (RoleKind::Follower, term));
    let _ = world.input(S1, Input::Campaign);
    assert_eq!(world.role(S1), RoleKind::Follower);
    world.host_mut(S1).prompt = true;
    let waiting = world.host(S1).waiting_jobs();
    world.disk_completes(S1, waiting);
    world.run(T * 3);
    assert_eq!(world.role(S1), RoleKind::PreCandidate, "the disk is back, and so is it");
}

#[test]
fn a_node_whose_disk_hangs_takes_no_leadership_over() {
    let mut solo = Setup::of(voters(&[1, 2, 3])).slow_disk().start();
    let _ = solo.hears(S2, 1, says::appends(1, says::START, &[1]));
    for round in 2..12 {
        let _ = solo.pass(T / 4);
        let _ = solo.hears(S2, 1, says::hello(round));
    }
    let ignored = solo.hears(S2, 1, Message::TimeoutNow).ignored();
    assert_eq!((ignored, solo.role()), (vec![IgnoreReason::DiskHangs], RoleKind::Follower));
    let _ = solo.persist();
    let _ = solo.hears(S2, 1, Message::TimeoutNow);
    assert_eq!(solo.role(), RoleKind::Candidate);
}

#[test]
fn a_lone_voter_stays_leader_for_it_has_nobody_to_transfer_to() {
    let mut solo = Setup::of(voters(&[1])).slow_disk().start();
    let _ = solo.wake();
    let _ = solo.persist();
    assert_eq!(solo.role(), RoleKind::Leader);
    let _ = solo.propose(1);
    for _ in 0..10 {
        let _ = solo.pass(T);
        let _ = solo.wake();
    }
    assert_eq!(solo.role(), RoleKind::Leader);
}
