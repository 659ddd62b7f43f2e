//! How fast worlds run, with every checker on: events in a second of one core, by runs of different
//! lengths, and simulated time by the time that it took.
//!
//! `cargo bench -p raft-sim --bench rate`; an argument names the figures that are wanted.

use raft_core::{Instant, NodeId, Protection};
use raft_sim::plan::{Act, ClientSetup, LinkAct, ProcessAct};
use raft_sim::{Choices, Nobody, Setup, World, run};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// How many events a run of each length has.
const LENGTHS: [u64; 3] = [10_000, 100_000, 1_000_000];

fn main() {
    // What cargo adds by itself begins with a dash.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let figures: [(&str, fn()); 3] = [
        ("drawn", drawn),
        ("compacted", || long("compacted", 200)),
        ("growing", || long("growing", 0)),
    ];
    println!("{:<34} {:>10} {:>12} {:>14}", "", "events", "events/s", "simulated/real");
    for (name, measure) in figures {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            measure();
        }
    }
}

/// Runs as a sweep has them: short, with another setup and other faults each.
fn drawn() {
    let sweep = |seeds: u64| {
        let (mut events, mut simulated) = (0, Duration::ZERO);
        for seed in 0..seeds {
            simulated += run::draw_setup(&mut Choices::seeded(seed)).duration;
            let outcome = run::run_drawn(Choices::seeded(seed), &mut Nobody);
            assert_eq!(outcome.verdict, Ok(()), "seed {seed}");
            events += outcome.events;
        }
        (events, simulated)
    };
    sweep(20);
    let start = thread_nanos();
    let (events, simulated) = sweep(500);
    tell("500 drawn runs", events, simulated, thread_nanos() - start);
}

/// One run without an end: three voters and three clients, and every ten seconds a crash, a cut or
/// a pause.
fn long(name: &str, snapshots: u64) {
    for events in LENGTHS {
        // Short runs are repeated, so that each figure takes about as long to obtain.
        let times = LENGTHS[2] / events;
        let (mut done, mut simulated) = (0, Duration::ZERO);
        let start = thread_nanos();
        for seed in 0..times {
            let setup = endless(snapshots);
            let mut world = World::new(&setup, Choices::seeded(seed)).expect("it makes sense");
            let mut outcome = world.outcome(Ok(()));
            while outcome.events < events {
                let until = world.now().saturating_add(Duration::from_millis(200));
                let verdict = world.run_until(until, &mut Nobody);
                assert_eq!(verdict, Ok(()), "seed {seed}");
                outcome = world.outcome(verdict);
            }
            done += outcome.events;
            simulated += world.now().saturating_since(Instant::ZERO);
        }
        let took = thread_nanos() - start;
        tell(&format!("{name}, {times} x {events}"), done, simulated, took);
    }
}

fn endless(snapshots: u64) -> Setup {
    let at = |millis: u64, fault| (Instant::from_nanos(millis * 1_000_000), fault);
    let mut timeline = Vec::new();
    for nth in 0..2_000 {
        let (node, to) = (NodeId(1 + nth % 3), NodeId(1 + (nth + 1) % 3));
        let (fault, repair) = match nth % 4 {
            0 => (
                Act::Process(ProcessAct::Crash { node }),
                Act::Process(ProcessAct::Restart { node }),
            ),
            1 => (
                Act::Link(LinkAct::Cut { from: node, to }),
                Act::Link(LinkAct::Heal { from: node, to }),
            ),
            2 => (Act::Link(LinkAct::Isolate { node }), Act::Link(LinkAct::HealAll)),
            _ => (
                Act::Process(ProcessAct::Pause { node }),
                Act::Process(ProcessAct::Resume { node }),
            ),
        };
        timeline.push(at(5_000 + 10_000 * nth, fault));
        timeline.push(at(7_000 + 10_000 * nth, repair));
    }
    let client = ClientSetup {
        query_percent: 30,
        leases: true,
        min_think: Duration::ZERO,
        max_think: Duration::from_millis(5),
        ..ClientSetup::default()
    };
    let mut setup = Setup { timeline, clients: vec![client; 3], ..Setup::of_voters(3) };
    setup.protection = Protection::Full;
    setup.snapshots.every = snapshots;
    setup
}

fn tell(what: &str, events: u64, simulated: Duration, nanos: u64) {
    let by = |count: u128| count / u128::from(nanos.max(1));
    let rate = by(u128::from(events) * 1_000_000_000);
    println!("{what:<34} {events:>10} {rate:>12} {:>14}", by(simulated.as_nanos()));
}

/// The time that this thread has spent on a processor: others may share the machine.
fn thread_nanos() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + nanos.unwrap_or(0)
}
