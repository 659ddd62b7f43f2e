//! A run is a function of its setup and of its choices, and of nothing else: the rolling hash of
//! everything that went into the nodes and came out of them says so.

use raft_sim::{Choices, Nobody, Record, RunOutcome, Setup, World, run};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn run(seed: u64) -> RunOutcome {
    run::run_drawn(Choices::seeded(seed), &mut Nobody)
}

#[test]
fn the_same_seed_is_the_same_run_and_another_seed_another() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
        assert_ne!(run(seed).hash, run(seed + 1).hash);
    }
}

#[test]
fn listening_changes_nothing() {
    for seed in 0..20 {
        let mut records: Vec<Record> = Vec::new();
        let heard = run::run_drawn(Choices::seeded(seed), &mut records);
        assert_eq!(heard, run(seed));
        assert!((0..).zip(&records).all(|(seq, record)| record.seq == seq), "no gaps");
        assert!(records.is_sorted_by_key(|record| record.time));
    }
}

#[test]
fn a_tape_replays_a_run() {
    for seed in 0..20 {
        let mut choices = Choices::seeded(seed).recorded();
        let setup = run::draw_setup(&mut choices);
        let mut world = World::new(&setup, choices).expect("a drawn setup makes sense");
        let first = world.run(&mut Nobody);
        let mut tape = Choices::replayed(world.tape().to_vec());
        assert_eq!(run::draw_setup(&mut tape), setup);
        let mut again = World::new(&setup, tape).expect("the same setup");
        assert_eq!(again.run(&mut Nobody), first);
    }
}

#[test]
fn a_clone_of_a_world_goes_on_as_the_world_does() {
    let setup = Setup::of_voters(5);
    let mut world = World::new(&setup, Choices::seeded(3)).expect("a setup of voters");
    let middle = raft_core::Instant::from_nanos(1_300_000_000);
    world.run_until(middle, &mut Nobody).expect("no property is broken");
    let mut clone = world.clone();
    assert_eq!(world.run(&mut Nobody), clone.run(&mut Nobody));
}

/// The hashes of a few seeds, the same in every build and on every platform. They change whenever
/// the core or the simulator behaves otherwise; with `UPDATE_GOLDEN` set they are written anew.
#[test]
fn a_few_hashes_are_pinned() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hashes.txt");
    let mut found = String::new();
    for seed in 0..8 {
        let hash = run(seed).hash;
        writeln!(found, "seed {seed}: {hash:016x}").expect("a string takes everything");
    }
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).expect("the golden files can be written");
        return;
    }
    let pinned = fs::read_to_string(&path).expect("the golden files are there");
    assert_eq!(found, pinned, "if this is meant, set UPDATE_GOLDEN and look at the difference");
}
