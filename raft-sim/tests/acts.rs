//! Acts do what they say: those that are aimed find their node, settings change at a restart, and a
//! clock that steps back is seen.

use raft_core::{Instant, NodeId, Protection, RoleKind};
use raft_sim::plan::{ClockAct, ProcessAct, RequestAct, SnapshotProfile, Target};
use raft_sim::{Act, Choices, Event, Nobody, Record, Setup, World};
use std::time::Duration;

const fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

const fn crash(node: NodeId) -> Act {
    Act::Process(ProcessAct::Crash { node })
}

const fn restart(node: NodeId) -> Act {
    Act::Process(ProcessAct::Restart { node })
}

/// Three nodes to which this is done, and what is recorded.
fn played(timeline: Vec<(Instant, Act)>) -> (World, Vec<Record>) {
    let setup = Setup { timeline, ..Setup::of_voters(3) };
    let mut world = World::new(&setup, Choices::seeded(5)).expect("a setup that makes sense");
    let mut records = Vec::new();
    world.run(&mut records).verdict.expect("no property is broken");
    (world, records)
}

/// When something was done, and what.
fn done(records: &[Record]) -> Vec<(Instant, Act)> {
    let fault = |record: &Record| match &record.event {
        Event::Fault { fault } => Some((record.time, fault.clone())),
        _ => None,
    };
    records.iter().filter_map(fault).collect()
}

#[test]
fn an_aimed_act_waits_for_its_target_and_strikes_in_that_moment() {
    let aimed = |within, act: fn(NodeId) -> Act| Act::aimed(Target::Leader, within, act);
    let (_, records) = played(vec![
        // Nobody leads yet, and this one does not wait.
        (at(0), aimed(Duration::ZERO, |node| Act::Process(ProcessAct::Pause { node }))),
        (at(10), aimed(Duration::from_secs(5), crash)),
        (at(9_000), Act::aimed(Target::Struck, Duration::ZERO, restart)),
    ]);
    let first = records.iter().find_map(|record| match record.event {
        Event::BecomeLeader => Some((record.time, record.node.expect("of a node"))),
        _ => None,
    });
    let (time, leader) = first.expect("somebody leads");
    assert_eq!(done(&records), [(time, crash(leader)), (at(9_000), restart(leader))]);
}

#[test]
fn an_aimed_act_whose_time_is_over_does_nothing() {
    let within = Duration::from_millis(200);
    let (world, records) = played(vec![(at(10), Act::aimed(Target::Leader, within, crash))]);
    assert_eq!(done(&records), []);
    assert!(world.leader_that_can_commit().is_some(), "somebody leads later");
}

#[test]
fn each_target_is_what_its_name_says() {
    let wait = Duration::from_secs(4);
    for (target, is) in [
        (Target::ChangingLeader, RoleKind::Leader),
        (Target::Promised, RoleKind::Follower),
        (Target::Leader, RoleKind::Leader),
    ] {
        let (_, records) = played(vec![(at(0), Act::aimed(target, wait, crash))]);
        let [(time, Act::Process(ProcessAct::Crash { node }))] = done(&records)[..] else {
            panic!("{target:?}: one crash")
        };
        let mut of_node = records.iter().filter(|record| record.node == Some(node));
        let last = of_node.rfind(|record| record.time <= time && record.state.is_some());
        assert_eq!(last.and_then(|record| record.state).map(|state| state.role), Some(is));
    }
}

#[test]
fn a_node_that_installs_is_found_while_it_does() {
    let propose = |node| Act::Request(RequestAct::Propose { node, count: 10 });
    let mut setup = Setup::of_voters(3);
    let every = Act::aimed(Target::Leader, Duration::from_secs(3), propose);
    setup.timeline = vec![
        (at(0), crash(NodeId(3))),
        (at(0), every.clone()),
        (at(4_000), every),
        (at(6_000), restart(NodeId(3))),
        (at(6_000), Act::aimed(Target::Installing, Duration::from_secs(3), crash)),
    ];
    setup.snapshots =
        SnapshotProfile { every: 4, install: Duration::from_secs(2), ..SnapshotProfile::default() };
    let mut world = World::new(&setup, Choices::seeded(5)).expect("a setup that makes sense");
    let mut records: Vec<Record> = Vec::new();
    let outcome = world.run(&mut records);
    assert_eq!(outcome.verdict, Ok(()));
    let begins = records.iter().find_map(|record| match record.event {
        Event::InstallBegin { .. } => Some((record.time, record.node)),
        _ => None,
    });
    let (time, node) = begins.expect("a snapshot is installed");
    assert_eq!(node, Some(NodeId(3)));
    assert_eq!(done(&records).last(), Some(&(time, crash(NodeId(3)))));
    assert_eq!((outcome.coverage.struck_installing, outcome.coverage.installs), (1, 0));
}

#[test]
fn settings_change_with_the_next_start_and_not_before() {
    let node = NodeId(2);
    let timeout = Duration::from_secs(3);
    let setup = Setup {
        timeline: vec![
            (at(1), Act::Process(ProcessAct::SetTimeout { node, timeout })),
            (
                at(1),
                Act::Process(ProcessAct::SetProtection { node, protection: Protection::Plain }),
            ),
            (at(5_000), crash(node)),
            (at(5_500), restart(node)),
        ],
        ..Setup::of_voters(3)
    };
    let mut world = World::new(&setup, Choices::seeded(5)).expect("a setup that makes sense");
    let mut settings = |millis| {
        world.run_until(at(millis), &mut Nobody).expect("no property is broken");
        let process = world.host(node).and_then(|host| host.process.as_ref()).expect("it runs");
        (process.node().config().election_timeout, process.node().config().protection)
    };
    assert_eq!(settings(4_999), (Duration::from_secs(1), Protection::Full));
    assert_eq!(settings(5_500), (timeout, Protection::Plain));
    let timeout = Duration::ZERO;
    let timeline = vec![(at(1), Act::Process(ProcessAct::SetTimeout { node, timeout }))];
    assert!(Setup { timeline, ..Setup::of_voters(3) }.check().is_err(), "it could not start");
}

#[test]
fn a_leader_whose_clock_steps_back_holds_no_lease_until_it_has_caught_up_and_asked_again() {
    let back = |node| Act::Clock(ClockAct::StepBack { node, back: 400 });
    let setup = Setup {
        timeline: vec![(at(4_000), Act::aimed(Target::Leader, Duration::ZERO, back))],
        ..Setup::of_voters(3)
    };
    let mut world = World::new(&setup, Choices::seeded(5)).expect("a setup that makes sense");
    let mut lease = |millis| {
        world.run_until(at(millis), &mut Nobody).expect("no property is broken");
        let leader = world.leader_that_can_commit().expect("it goes on leading");
        let process = world.host(leader).and_then(|host| host.process.as_ref()).expect("it runs");
        process.status.lease_until.is_some_and(|until| until > Instant::ZERO)
    };
    assert!(lease(3_999));
    assert!(!lease(4_000));
    assert!(!lease(4_390), "its clock has not caught up");
    assert!(lease(4_700));
}
