//! Random runs with everything that goes wrong, judged at each effect and at the end.

use crate::directed::LONG;
use crate::world::{Bytes, Faults, T, World};
use raft_core::driver::{Event, Settings, SnapshotEvent};
use raft_core::{Consistency, Membership, NodeId};
use std::collections::BTreeMap;
use std::ops::Range;

/// Limits so low that each is met all the time.
pub(crate) fn low(waits: bool) -> Settings {
    let mut settings = Settings::default();
    settings.waits_through_elections = waits;
    settings.frame_bytes = 300;
    settings.command_bytes = 600;
    settings.in_flight_bytes = 900;
    settings.uncommitted_bytes = 4000;
    settings.apply_bytes = 500;
    settings.cached_bytes = 700;
    settings.snapshot_bytes = 3000;
    settings.kept_bytes = 500;
    settings
}

fn run(seed: u64, faults: Faults) -> BTreeMap<&'static str, u64> {
    // Shown where the run fails.
    println!("seed {seed}");
    let mut settings = low(seed.is_multiple_of(2));
    settings.needs_descriptions = seed.is_multiple_of(3);
    let mut world = World::new(3, seed, settings);
    let mut serial = 0_u64;
    for _ in 0..600 {
        world.faults = faults;
        disturb(&mut world, faults);
        if world.rng.chance(40) {
            let at = world.leader().filter(|_| world.rng.chance(90)).unwrap_or(0);
            let count = 1 + world.rng.below(4);
            let command = |nth: u64, size: u64| {
                let mut bytes = format!("{seed}/{}", serial + nth).into_bytes();
                bytes.resize(bytes.len() + usize::try_from(size).expect("small"), b'.');
                Bytes(bytes)
            };
            let commands = (0..count).map(|nth| command(nth, world.rng.below(400))).collect();
            serial += count;
            let patience = if world.rng.chance(50) { T * 10 } else { LONG };
            world.propose(at, commands, patience);
        }
        if world.rng.chance(20) {
            let at = usize::try_from(world.rng.below(3)).expect("small");
            let lease = world.rng.chance(50);
            world.read(at, if lease { Consistency::Lease } else { Consistency::ReadIndex });
        }
        world.tick();
    }
    heal(&mut world);
    world.run(400);
    let leader = world.leader().expect("somebody leads");
    let last = world.propose(leader, vec![Bytes::from("the last".to_string())], LONG);
    world.run(20);
    assert!(world.asked[&last].done && world.answer_to(last).is_none(), "it is applied");
    world.check_end();
    world.seen
}

/// Everything that goes wrong.
pub(crate) const EVERYTHING: Faults = Faults {
    loss: 5,
    crash: 1,
    lies: 3,
    fills: 10,
    slow_disk: 30,
    hung_disk: 1,
    doubles: 5,
    cut: 3,
    alone: 1,
    stalls: 10,
    slow_streams: 10,
    idle_talk: 10,
    late_heads: 5,
    away: 5,
    operator: 2,
};

/// So many from 1 on; or `DRIVER_SEEDS=5000`, or `DRIVER_SEEDS=100000..100300`.
pub(crate) fn seeds(few: u64) -> Range<u64> {
    let Ok(text) = std::env::var("DRIVER_SEEDS") else { return 1..few };
    let number = |text: &str| text.parse().expect("DRIVER_SEEDS is a number or a range");
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 1..number(&text),
    }
}

/// Everything is well from now on.
pub(crate) fn heal(world: &mut World) {
    world.faults = Faults::default();
    world.alone = None;
    world.cuts.clear();
    for at in 0..3 {
        if world.servers[at].driver.is_none() {
            world.start(at);
        }
    }
}

/// Where all nodes are from now on, two that there are not included.
fn describe(world: &mut World, at: usize) {
    let moment = world.now.as_nanos();
    let where_ = |node| Bytes::from(format!("@at {node} address of {moment}"));
    world.propose(at, (1..=5).map(where_).collect(), T * 10);
}

pub(crate) fn disturb(world: &mut World, faults: Faults) {
    let at = usize::try_from(world.rng.below(3)).expect("small");
    if world.servers[at].driver.is_some() && world.rng.chance(faults.crash) {
        world.crash(at);
    } else if world.servers[at].driver.is_none() && world.rng.chance(faults.away) {
        world.start(at);
    }
    if world.rng.chance(faults.cut) {
        let (from, to) = (NodeId(1 + world.rng.below(3)), NodeId(1 + world.rng.below(3)));
        world.cuts.insert((from, to));
    }
    if world.rng.chance(10) {
        world.cuts.clear();
    }
    if world.alone.is_none_or(|(_, until)| until <= world.now) {
        let leader = world.leader().filter(|_| world.rng.chance(faults.alone));
        world.alone = leader.map(|at| (world.servers[at].id, world.now.saturating_add(T * 8)));
    }
    if let Some((id, _)) = world.alone {
        let others = (1..=3).map(NodeId).filter(|other| *other != id);
        world.cuts.extend(others.flat_map(|other| [(id, other), (other, id)]));
    }
    if world.rng.chance(1) {
        world.tell(at, Event::Snapshot(SnapshotEvent::Wanted));
    }
    if world.rng.chance(faults.operator) {
        let at = world.leader().unwrap_or(at);
        let until = world.now.saturating_add(T * 5);
        let node = NodeId(1 + world.rng.below(3));
        let others = (1..=3).map(NodeId).filter(|id| *id != node);
        let target = Membership::new(others, [], [node]).expect("valid");
        if world.rng.chance(70) {
            describe(world, at);
        }
        match world.rng.below(4) {
            0 => world.ask(at, |token| Event::Transfer { token, to: None }),
            1 => world.ask(at, |token| Event::Change { token, target, until }),
            _ => world.ask(at, |token| Event::Promote { token, node, until }),
        };
    }
}

#[test]
fn quiet_runs_end_with_everything_applied_everywhere() {
    for seed in seeds(20) {
        run(seed, Faults::default());
    }
}

#[test]
fn whatever_goes_wrong_no_command_is_bound_wrongly_and_nobody_is_told_what_is_not_so() {
    let mut seen = BTreeMap::new();
    for seed in seeds(60) {
        for (what, count) in run(seed, EVERYTHING) {
            *seen.entry(what).or_default() += count;
        }
    }
    // A few seeds may leave something out.
    if seeds(60).count() < 59 {
        return;
    }
    for what in [
        "changed",
        "transferred",
        "crash",
        "lie",
        "partial frame",
        "pause",
        "take",
        "install",
        "stream",
        "stop",
        "compact",
        "discard",
        "received head",
        "refused head",
        "idle talk",
        "late head",
        "fetch",
        "refused",
        "unknown",
        "lost",
        "read",
        "description taken back",
    ] {
        assert!(seen.get(what).is_some_and(|count: &u64| *count > 0), "never seen: {what}");
    }
}
