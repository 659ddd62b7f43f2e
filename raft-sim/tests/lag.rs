//! Hosts that lag: each write is reported late and by itself, and state machines apply late. Reads
//! wait, what was handed out comes before an install, and in the end everybody is level.

use raft_core::{Instant, NodeId};
use raft_sim::plan::{ClientSetup, LagProfile, ProcessAct, RequestAct, SnapshotProfile};
use raft_sim::{Act, Choices, Coverage, Event, Record, Setup, World};
use std::time::Duration;

const SEEDS: u64 = 20;

const fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

const fn lag(reports: u64, applies: u64) -> LagProfile {
    let (reports, applies) = (Duration::from_millis(reports), Duration::from_millis(applies));
    LagProfile { reports, applies, until: at(7_000) }
}

/// What is recorded, and what was covered, of a run in which nothing is broken.
fn played(setup: &Setup, seed: u64) -> (Vec<Record>, Coverage) {
    let mut world = World::new(setup, Choices::seeded(seed)).expect("a setup that makes sense");
    let mut records: Vec<Record> = Vec::new();
    let outcome = world.run(&mut records);
    assert_eq!(outcome.verdict, Ok(()), "seed {seed}");
    assert_eq!(world.converged(), Ok(()), "seed {seed}");
    (records, outcome.coverage)
}

/// When something of the only node is recorded, between 2 s and the end of the lag.
fn times(records: &[Record], is: fn(&Event) -> bool) -> Vec<Instant> {
    let of = records.iter().filter(|record| record.time > at(2_000) && record.time < at(7_000));
    of.filter(|record| is(&record.event)).map(|record| record.time).collect()
}

/// One voter, which is asked for five commands in one moment.
fn alone(lag: LagProfile) -> Setup {
    let propose = Act::Request(RequestAct::Propose { node: NodeId(1), count: 1 });
    let timeline = (0..5).map(|_| (at(3_000), propose.clone())).collect();
    Setup { lag, timeline, ..Setup::of_voters(1) }
}

#[test]
fn each_write_is_reported_late_and_by_itself() {
    let mut apart = 0;
    for seed in 0..SEEDS {
        let (records, coverage) = played(&alone(lag(200, 0)), seed);
        let done = times(&records, |event| matches!(event, Event::PersistDone { .. }));
        let applied = times(&records, |event| matches!(event, Event::Apply { .. }));
        assert!(applied.last() > done.last(), "seed {seed}: it hears of it later");
        assert!(applied.is_sorted());
        apart += usize::from(applied.len() > 1);
        assert!(coverage.reports_late > 0 && coverage.applies_late == 0);
    }
    assert!(apart > 10, "what became durable together is reported singly: {apart}");
}

#[test]
fn what_is_handed_out_is_applied_late_and_in_order() {
    for seed in 0..SEEDS {
        let (records, coverage) = played(&alone(lag(0, 400)), seed);
        let commits = times(&records, |event| matches!(event, Event::Commit { .. }));
        let applied = times(&records, |event| matches!(event, Event::Apply { .. }));
        assert!(applied.last() > commits.last(), "seed {seed}");
        assert!(coverage.applies_late > 0 && coverage.reports_late == 0);
    }
}

#[test]
fn nothing_lags_after_its_end() {
    let setup = Setup { lag: LagProfile { until: at(3_000), ..lag(200, 400) }, ..alone(lag(0, 0)) };
    for seed in 0..SEEDS {
        let (records, _) = played(&setup, seed);
        let done = times(&records, |event| matches!(event, Event::PersistDone { .. }));
        let applied = times(&records, |event| matches!(event, Event::Apply { .. }));
        assert_eq!(done.last(), applied.last(), "seed {seed}: applied when durable");
    }
}

/// A cluster whose state machines are up to 2T behind takes snapshots, and a node that was away is
/// caught up by one, while clients read anywhere.
#[test]
fn reads_wait_and_snapshots_come_while_state_machines_lag() {
    let node = NodeId(3);
    let client = ClientSetup {
        query_percent: 60,
        leases: true,
        patience: Duration::from_secs(5),
        stop: at(8_000),
        ..ClientSetup::default()
    };
    let setup = Setup {
        lag: lag(20, 2_000),
        snapshots: SnapshotProfile { every: 3, ..SnapshotProfile::default() },
        clients: vec![client, client],
        timeline: vec![
            (at(2_000), Act::Process(ProcessAct::Crash { node })),
            (at(5_000), Act::Process(ProcessAct::Restart { node })),
        ],
        duration: Duration::from_secs(15),
        ..Setup::of_voters(3)
    };
    let mut counts = [0; 4];
    for seed in 0..SEEDS {
        let seen = played(&setup, seed).1;
        let these = [seen.applies_late, seen.reads_served, seen.snapshots_sent, seen.installs];
        counts = std::array::from_fn(|nth| counts[nth] + these[nth]);
    }
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}
