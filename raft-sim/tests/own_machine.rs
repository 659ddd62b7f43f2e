//! Somebody else's state machine in the simulator: a bank, correct and with planted bugs.

use raft_core::Instant;
use raft_sim::host::{Machine, StateMachine};
use raft_sim::plan::{ClientSetup, ProcessAct};
use raft_sim::{Act, Choices, Nobody, Setup, World, run};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What can be wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bug {
    None,
    /// What it answers depends on a clock.
    AnswersByClock,
    /// What it holds depends on a clock.
    HoldsByClock,
}

/// Accounts, each with the money on it. Command n moves one coin from account n to the next; nobody
/// may owe more than three.
#[derive(Clone, Debug)]
struct Bank {
    bug: Bug,
    accounts: BTreeMap<u64, i64>,
    /// What every copy shares, and no state machine may look at.
    clock: Arc<AtomicU64>,
}

impl Bank {
    fn with(bug: Bug) -> Machine {
        Machine::of(Self { bug, accounts: BTreeMap::new(), clock: Arc::default() })
    }
}

impl Hash for Bank {
    fn hash<H: Hasher>(&self, hash: &mut H) {
        self.accounts.hash(hash);
    }
}

impl StateMachine for Bank {
    fn apply(&mut self, command: u64) -> u64 {
        let noon = self.clock.fetch_add(1, Ordering::Relaxed).is_multiple_of(100);
        let from = self.accounts.entry(command).or_default();
        if *from <= -3 {
            return 0;
        }
        *from -= if noon && self.bug == Bug::HoldsByClock { 2 } else { 1 };
        *self.accounts.entry(command + 1).or_default() += 1;
        if noon && self.bug == Bug::AnswersByClock { 12 } else { 1 }
    }

    fn read(&self, question: u64) -> u64 {
        self.accounts.get(&question).copied().unwrap_or_default().cast_unsigned()
    }
}

/// Three nodes that take snapshots, of which one is away for a while.
fn setup() -> Setup {
    let mut setup = Setup::of_voters(3);
    setup.snapshots.every = 20;
    let client = ClientSetup {
        own: true,
        query_percent: 60,
        ask_again: Some(Duration::from_millis(40)),
        stop: Instant::from_nanos(8_000_000_000),
        ..ClientSetup::default()
    };
    setup.clients = vec![client; 3];
    let at = |millis: u64, fault| (Instant::from_nanos(millis * 1_000_000), fault);
    let node = raft_core::NodeId(3);
    setup.timeline = vec![
        at(2_000, Act::Process(ProcessAct::Crash { node })),
        at(5_000, Act::Process(ProcessAct::Restart { node })),
    ];
    setup
}

fn verdict(bug: Bug, seed: u64) -> Result<(), &'static str> {
    let world = World::replicating(&Bank::with(bug), &setup(), Choices::seeded(seed));
    let mut world = world.expect("the setup makes sense");
    let outcome = world.run(&mut Nobody);
    let done = outcome.coverage.operations_done;
    assert!(outcome.verdict.is_err() || done > 100, "seed {seed}: {done} operations");
    outcome.verdict.map_err(|violation| violation.checker)
}

#[test]
fn a_correct_state_machine_is_found_correct() {
    for seed in 0..5 {
        assert_eq!(verdict(Bug::None, seed), Ok(()), "seed {seed}");
    }
}

#[test]
fn a_state_machine_in_storms_takes_each_command_once() {
    let mut repeated = 0;
    for seed in 0..60 {
        let bank = Bank::with(Bug::None);
        let outcome = run::run_replicating(&bank, Choices::seeded(seed), &mut Nobody);
        assert_eq!(outcome.verdict, Ok(()), "seed {seed}");
        repeated += outcome.coverage.repeated;
    }
    assert!(repeated > 0, "no command came twice, so the sessions were not tried");
}

#[test]
fn a_state_machine_that_looks_at_a_clock_is_found() {
    for bug in [Bug::AnswersByClock, Bug::HoldsByClock] {
        let found = (0..5).filter(|seed| verdict(bug, *seed) == Err("snapshot_coherence"));
        assert!(found.count() > 0, "{bug:?}: what a session keeps is part of the state, too");
    }
}
