//! The address book follows the log: into what is not committed, back out of it, through snapshots
//! and restarts.

use crate::directed::{LONG, commands, isolate, led};
use crate::world::{Bytes, World};
use raft_core::driver::{Answer, Event, Payload, Refusal, Settings};
use raft_core::{Membership, NodeId, Token};

fn described() -> Settings {
    let mut settings = Settings::default();
    settings.needs_descriptions = true;
    settings
}

/// These nodes are at this place from now on.
fn describe(world: &mut World, at: usize, nodes: &[u64], place: &str) -> Token {
    let of = |node: &u64| Bytes::from(format!("@at {node} {place}"));
    world.propose(at, nodes.iter().map(of).collect(), LONG)
}

fn join(world: &mut World, at: usize, voters: &[u64], learners: &[u64]) -> Token {
    let ids = |list: &[u64]| list.iter().copied().map(NodeId).collect::<Vec<_>>();
    let target = Membership::new(ids(voters), [], ids(learners)).expect("valid");
    let until = world.now.saturating_add(LONG);
    world.ask(at, |token| Event::Change { token, target, until })
}

/// Where this server finds these nodes.
fn places(world: &World, at: usize) -> Vec<(u64, String)> {
    let book = world.servers[at].driver.as_ref().expect("it runs").book();
    let place = |node: u64| {
        let text = String::from_utf8(book.get(NodeId(node))?.0.clone()).expect("a text");
        Some((node, text.split(' ').nth(2)?.to_string()))
    };
    (1..=5).filter_map(place).collect()
}

fn all(nodes: &[u64], place: &str) -> Vec<(u64, String)> {
    nodes.iter().map(|node| (*node, place.to_string())).collect()
}

#[test]
fn a_description_that_is_truncated_is_taken_back() {
    let (mut world, leader) = led(3, described());
    describe(&mut world, leader, &[1, 2, 3], "home");
    world.run(20);
    isolate(&mut world, leader);
    describe(&mut world, leader, &[1, 4], "elsewhere");
    world.run(2);
    let moved = [(1, "elsewhere"), (2, "home"), (3, "home"), (4, "elsewhere")];
    assert_eq!(places(&world, leader), moved.map(|(node, place)| (node, place.to_string())));
    world.run(100);
    let other = world.leader().expect("the others elect");
    assert_ne!(other, leader);
    world.propose(other, commands(1, 5), LONG);
    world.run(20);
    world.cuts.clear();
    world.run(100);
    for at in 0..3 {
        assert_eq!(places(&world, at), all(&[1, 2, 3], "home"), "at {at}");
    }
    world.check_end();
}

#[test]
fn a_member_moves_without_a_change_of_the_membership() {
    let (mut world, leader) = led(3, described());
    describe(&mut world, leader, &[1, 2, 3], "home");
    world.run(20);
    describe(&mut world, leader, &[2], "elsewhere");
    world.run(20);
    for at in 0..3 {
        assert_eq!(places(&world, at)[1], (2, "elsewhere".to_string()));
    }
}

#[test]
fn a_change_is_refused_while_the_log_does_not_say_how_to_reach_every_member() {
    let (mut world, leader) = led(4, described());
    let refused = |node| Some(Answer::Refused(Refusal::NotDescribed { node: NodeId(node) }));
    let nobody = join(&mut world, leader, &[1, 2, 3], &[4]);
    world.run(2);
    assert_eq!(world.answer_to(nobody), refused(1), "nor those of the beginning");
    describe(&mut world, leader, &[1, 2, 3], "home");
    let (early, again) =
        (join(&mut world, leader, &[1, 2, 3], &[4]), join(&mut world, leader, &[1, 2, 3], &[4]));
    world.run(2);
    assert_eq!((world.answer_to(early), world.answer_to(again)), (refused(4), refused(4)));
    // In one call: the description stands before the change.
    describe(&mut world, leader, &[4], "home");
    let joins = join(&mut world, leader, &[1, 2, 3], &[4]);
    world.run(40);
    assert_eq!(world.answer_to(joins), Some(Answer::Changed));
    world.check_end();
}

/// It finds everybody in its log, or in the snapshot that it is brought up by; whoever has left is
/// forgotten; and all of it is there after a restart.
#[test]
fn a_joiner_with_no_book_gets_one_by_log_or_by_snapshot_and_keeps_it() {
    for by_snapshot in [false, true] {
        let mut settings = described();
        if by_snapshot {
            (settings.snapshot_bytes, settings.kept_bytes) = (2000, 0);
        }
        let (mut world, leader) = led(4, settings);
        describe(&mut world, leader, &[1, 2, 3, 5], "home");
        for _ in 0..30 {
            world.propose(leader, commands(3, 40), LONG);
            world.run(2);
        }
        assert_eq!(places(&world, 3), []);
        describe(&mut world, leader, &[4], "home");
        let joins = join(&mut world, leader, &[1, 2, 3], &[4]);
        world.run(100);
        assert_eq!(world.answer_to(joins), Some(Answer::Changed));
        assert_eq!(world.seen.contains_key("install"), by_snapshot);
        let home = all(&[1, 2, 3, 4], "home");
        for at in 0..4 {
            assert_eq!(places(&world, at), home, "at {at}: the fifth never was a member");
        }
        describe(&mut world, leader, &[leader as u64 + 1], "elsewhere");
        world.run(20);
        let before: Vec<_> = (0..4).map(|at| places(&world, at)).collect();
        for at in 0..4 {
            world.crash(at);
            world.start(at);
        }
        world.run(100);
        let after: Vec<_> = (0..4).map(|at| places(&world, at)).collect();
        assert_eq!(before, after);
        assert!(after.iter().all(|places| *places == after[0] && *places != home));
        world.check_end();
    }
}

#[test]
fn what_describes_nobody_is_in_no_book() {
    let bytes = Bytes::from("@at home".to_string());
    assert_eq!((bytes.describes(), bytes.bytes()), (None, 8));
    assert_eq!("@at 1 home".describes(), None, "others say of nobody");
}
