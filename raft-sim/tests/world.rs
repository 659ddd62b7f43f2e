//! The world as its users see it: setups that make sense, faults that do what they say, and records
//! that tell what happened in its order.

use raft_core::{Instant, Membership, NodeId, Protection, RoleKind};
use raft_sim::host::Command;
use raft_sim::plan::{
    ClientSetup, ClockAct, DamageTarget, DiskAct, LinkAct, MembershipChange, ProcessAct,
    RequestAct, SetupError, Stage,
};
use raft_sim::run::play;
use raft_sim::scenario::Scenario;
use raft_sim::world::Cause;
use raft_sim::{Act, Choices, Event, Nobody, Record, Setup, World};
use std::time::Duration;

const fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn world(setup: &Setup) -> World {
    World::new(setup, Choices::seeded(5)).expect("a setup that makes sense")
}

fn records(world: &mut World) -> Vec<Record> {
    let mut records = Vec::new();
    world.run(&mut records).verdict.expect("no property is broken");
    records
}

/// Three nodes, and a moment at which one of them has led for a while.
fn led() -> (Setup, World, NodeId) {
    let setup = Setup::of_voters(3);
    let mut world = world(&setup);
    world.run_until(at(4_000), &mut Nobody).expect("no property is broken");
    let leader = world.leader_that_can_commit().expect("two timeouts are over");
    (setup, world, leader)
}

/// The same run with faults that begin after that moment.
fn with(faults: impl FnOnce(NodeId) -> Vec<(u64, Act)>) -> (World, NodeId) {
    let (mut setup, _, leader) = led();
    let faults = faults(leader);
    setup.timeline = faults.into_iter().map(|(millis, fault)| (at(millis), fault)).collect();
    (world(&setup), leader)
}

fn leader_at(world: &mut World, millis: u64) -> Option<NodeId> {
    world.run_until(at(millis), &mut Nobody).expect("no property is broken");
    world.leader_that_can_commit()
}

#[test]
fn clients_are_served_and_everybody_applies_the_same() {
    let mut setup = Setup::of_voters(3);
    let client = ClientSetup { stop: at(8_000), ..ClientSetup::default() };
    setup.clients = vec![client; 2];
    let mut world = world(&setup);
    let outcome = world.run(&mut Nobody);
    assert_eq!(outcome.verdict, Ok(()));
    assert_eq!(world.converged(), Ok(()));
    assert!(outcome.coverage.operations_done > 100, "{:?}", outcome.coverage);
    assert_eq!(outcome.coverage.operations_unknown, 0);
}

#[test]
fn another_node_leads_after_the_leader_has_crashed() {
    let (mut world, leader) = with(|node| {
        vec![
            (4_100, Act::Process(ProcessAct::Crash { node })),
            (9_000, Act::Process(ProcessAct::Restart { node })),
        ]
    });
    assert_eq!(leader_at(&mut world, 4_099), Some(leader));
    assert_eq!(leader_at(&mut world, 4_101), None);
    let next = leader_at(&mut world, 8_999).expect("two of three are enough");
    assert_ne!(next, leader);
    assert_eq!(leader_at(&mut world, 10_000), Some(next), "who comes back, follows");
    assert_eq!(world.converged(), Ok(()));
}

#[test]
fn a_leader_that_stands_still_is_replaced_and_learns_of_it() {
    let (mut world, leader) = with(|node| {
        vec![
            (4_100, Act::Process(ProcessAct::Pause { node })),
            (8_000, Act::Process(ProcessAct::Resume { node })),
        ]
    });
    assert_eq!(leader_at(&mut world, 4_101), None, "it cannot commit");
    let next = leader_at(&mut world, 7_999).expect("two of three are enough");
    assert_ne!(next, leader);
    assert_eq!(leader_at(&mut world, 10_000), Some(next));
    let state = world.host(leader).and_then(raft_sim::world::Host::state).expect("it runs");
    assert_eq!((state.role, state.leader), (RoleKind::Follower, Some(next)));
}

#[test]
fn a_disk_that_hangs_completes_in_order_when_it_is_released() {
    let (mut world, _) = with(|node| {
        let propose = |millis| (millis, Act::Request(RequestAct::Propose { node, count: 1 }));
        vec![
            (4_100, Act::Disk(DiskAct::HangDisk { node })),
            propose(4_110),
            propose(4_120),
            (4_300, Act::Disk(DiskAct::ReleaseDisk { node })),
        ]
    });
    let records = records(&mut world);
    let done = |record: &&Record| matches!(record.event, Event::PersistDone { .. });
    let in_between = |record: &&Record| (at(4_105)..at(4_300)).contains(&record.time);
    let leader = records.iter().filter(|record| record.time >= at(4_100)).find_map(|record| {
        if let Event::Fault { fault: Act::Disk(DiskAct::HangDisk { node }) } = record.event {
            Some(node)
        } else {
            None
        }
    });
    let of_leader = |record: &&Record| record.node == leader;
    assert_eq!(records.iter().filter(of_leader).filter(in_between).filter(done).count(), 0);
    let committed = records.iter().filter(of_leader).filter_map(|record| record.state).next_back();
    assert!(committed.is_some_and(|state| state.commit == state.last.index));
}

#[test]
fn a_cut_is_directed() {
    for protection in [Protection::Plain, Protection::Full] {
        let (mut setup, _, leader) = led();
        let follower = NodeId(if leader == NodeId(1) { 2 } else { 1 });
        setup.protection = protection;
        setup.timeline = vec![(at(4_100), Act::Link(LinkAct::Cut { from: leader, to: follower }))];
        let records = records(&mut world(&setup));
        let cut = records.iter().filter(|record| record.time > at(4_100));
        let received = |from, to| {
            let hears = |record: &&Record| match &record.event {
                Event::Recv { message } => (message.from, message.to) == (from, to),
                _ => false,
            };
            cut.clone().filter(hears).count()
        };
        assert_eq!(received(leader, follower), 0);
        assert!(received(follower, leader) > 0, "the follower asks for votes");
    }
}

#[test]
fn a_leader_is_one_before_its_first_entry_and_its_sends_rest_on_durable_writes() {
    let records = records(&mut world(&Setup::of_voters(3)));
    let elected = records.iter().position(|record| record.event == Event::BecomeLeader);
    let elected = elected.expect("somebody is elected");
    let state = records[elected].state.expect("it runs");
    assert_eq!((state.role, state.last.index.get()), (RoleKind::Leader, 0));
    assert!(matches!(records[elected + 1].event, Event::Append { count: 1, .. }));
    let appended = records[elected + 1].state.expect("it runs");
    assert_eq!(appended.last.index.get(), 1);
    assert_eq!(appended.durable_last.index.get(), 0, "its write is only now on its way");

    let mut done = Vec::new();
    for record in &records {
        match &record.event {
            Event::PersistDone { ticket } => done.push((record.node, *ticket)),
            Event::Send { obligation: Some(ticket), .. } => {
                let covered = |(node, t): &(_, _)| *node == record.node && t >= ticket;
                assert!(done.iter().any(covered), "record {}", record.seq);
            }
            _ => {}
        }
    }
    assert!(!done.is_empty());
}

/// S3 hears nothing of the leader and asks S2 again and again; S2 is back from a crash before its
/// promise to the leader is over, and before it hears it again.
#[test]
fn a_promise_outlives_a_crash() {
    let mut setup = Setup::of_voters(3);
    setup.election_timeout = Duration::from_millis(200);
    setup.heartbeat_interval = Duration::from_millis(40);
    setup.link.max_delay = setup.link.min_delay;
    setup.duration = Duration::from_secs(12);
    let (s1, s2, s3) = (NodeId(1), NodeId(2), NodeId(3));
    let cut = [
        Act::Link(LinkAct::Cut { from: s1, to: s3 }),
        Act::Link(LinkAct::Cut { from: s3, to: s1 }),
    ];
    setup.timeline = vec![(at(10), Act::Request(RequestAct::Campaign { node: s1 }))];
    setup.timeline.extend(cut.map(|fault| (at(1_000), fault)));
    for millis in (1_500..11_500).step_by(270) {
        setup.timeline.push((at(millis), Act::Process(ProcessAct::Crash { node: s2 })));
        setup.timeline.push((at(millis + 2), Act::Process(ProcessAct::Restart { node: s2 })));
    }
    for seed in 0..20 {
        let mut world = World::new(&setup, Choices::seeded(seed)).expect("it makes sense");
        let outcome = world.run(&mut Nobody);
        assert_eq!(outcome.verdict, Ok(()));
        assert_eq!(outcome.coverage.leaders, 1, "seed {seed}: {:?}", outcome.coverage);
        assert!(outcome.coverage.refused_for_leader > 20, "{:?}", outcome.coverage);
    }
}

#[test]
fn an_operation_that_nobody_takes_has_failed_and_one_that_is_swallowed_is_unknown() {
    let mut setup = Setup::of_voters(3);
    let patience = Duration::from_millis(300);
    setup.clients = vec![ClientSetup { start: at(4_100), patience, ..ClientSetup::default() }];
    setup.timeline =
        (1..=3).map(|id| (at(4_050), Act::Link(LinkAct::Isolate { node: NodeId(id) }))).collect();
    let records = records(&mut world(&setup));
    let ends: Vec<Stage> = records
        .iter()
        .filter_map(|record| match record.event {
            Event::Client { phase, .. } if phase != Stage::Invoked => Some(phase),
            _ => None,
        })
        .collect();
    assert_eq!(ends.first(), Some(&Stage::Unknown), "the leader took it, and cannot commit");
    assert!(ends.contains(&Stage::Failed), "there is no leader any more: {ends:?}");
}

#[test]
fn the_record_of_an_answer_names_who_gave_it() {
    let mut setup = Setup::of_voters(3);
    setup.clients = vec![ClientSetup { start: at(3_000), ..ClientSetup::default() }];
    let records = records(&mut world(&setup));
    let led = records.iter().find(|record| record.event == Event::BecomeLeader);
    let leader = led.expect("somebody leads").node;
    let answered = records.iter().filter(|record| {
        matches!(record.event, Event::Client { phase: Stage::Returned { .. }, .. })
    });
    let named: Vec<_> = answered.map(|record| record.node).collect();
    assert!(named.len() > 10 && named.iter().all(|node| *node == leader), "{named:?}");
}

#[test]
fn setups_that_make_no_sense_are_refused() {
    let refused = |spoil: fn(&mut Setup)| {
        let mut setup = Setup::of_voters(3);
        spoil(&mut setup);
        World::new(&setup, Choices::seeded(0)).map(drop).expect_err("it makes no sense")
    };
    assert_eq!(refused(|s| s.nodes.clear()), SetupError::Nodes);
    assert_eq!(refused(|s| s.nodes[1].id = NodeId(1)), SetupError::Nodes);
    let stranger = |s: &mut Setup| {
        s.timeline.push((at(1), Act::Process(ProcessAct::Pause { node: NodeId(9) })));
    };
    assert_eq!(refused(stranger), SetupError::Unknown { node: NodeId(9) });
    assert_eq!(refused(|s| s.disk.min_latency = Duration::from_secs(1)), SetupError::Range);
    assert_eq!(refused(|s| s.link.min_delay = Duration::from_secs(1)), SetupError::Range);
    let timeout = refused(|s| s.election_timeout = Duration::ZERO);
    assert!(timeout.to_string().contains("S1 cannot start: `election_timeout`"), "{timeout}");
    let beyond = refused(|s| {
        let run = raft_core::Run::Commands { term: raft_core::Term(3), count: 1 };
        s.nodes[2].entries = [run].into_iter().collect();
    });
    assert!(beyond.to_string().contains("S3 cannot start"), "{beyond}");
    let nothing = refused(|s| s.driver.apply_bytes = Some(0));
    assert!(nothing.to_string().contains("no driver can start: apply_bytes is 0"), "{nothing}");
}

/// What excuses three nodes after this, and that it is counted when the run is judged.
fn excused(timeline: &[(u64, Act)]) -> Vec<(NodeId, Cause)> {
    let mut setup = Setup::of_voters(3);
    setup.timeline = timeline.iter().map(|(time, fault)| (at(*time), fault.clone())).collect();
    let mut world = world(&setup);
    assert_eq!(world.run_until(at(12_000), &mut Nobody), Ok(()));
    let excuses: Vec<_> = world.excuses().map(|excuse| (excuse.node, excuse.cause)).collect();
    let verdict = world.conclude(true);
    let outcome = world.outcome(verdict.clone());
    assert_eq!(outcome.excused, excuses.first().map(|(_, cause)| *cause));
    assert!(excuses.is_empty() || verdict.is_ok());
    excuses
}

fn of_two(fault: fn(NodeId) -> Act) -> [(u64, Act); 2] {
    [1, 2].map(|id| (5_000, fault(NodeId(id))))
}

#[test]
fn what_is_only_down_could_come_right_and_what_is_lost_could_not() {
    let crash = of_two(|node| Act::Process(ProcessAct::Crash { node }));
    assert_eq!(excused(&crash), []);
    assert_eq!(
        excused(&of_two(|node| Act::Disk(DiskAct::Destroy { node }))),
        [(NodeId(2), Cause::Destroyed)]
    );
    let wipe = of_two(|node| Act::Disk(DiskAct::Wipe { node }));
    assert_eq!(excused(&[&crash[..], &wipe].concat()), [(NodeId(2), Cause::Wiped)]);
    let damage = of_two(|node| Act::Disk(DiskAct::Damage { node, part: DamageTarget::HardState }));
    let both = [(NodeId(2), Cause::Damaged)];
    assert_eq!(excused(&[&crash[..], &damage].concat()), both, "damaged while it is down");
    assert_eq!(excused(&[&damage[..], &crash].concat()), both, "lost when the process ends");
    assert_eq!(excused(&damage), [], "a process that runs has it all in memory");
}

#[test]
fn a_wiped_node_that_is_started_again_excuses_nothing() {
    // It had promised nothing yet: later it must not come back under its old id.
    let mut timeline = vec![(0, Act::Process(ProcessAct::Crash { node: NodeId(1) }))];
    timeline.push((0, Act::Disk(DiskAct::Wipe { node: NodeId(1) })));
    timeline.push((100, Act::Process(ProcessAct::Restart { node: NodeId(1) })));
    timeline.push((8_000, Act::Disk(DiskAct::Destroy { node: NodeId(2) })));
    assert_eq!(excused(&timeline), []);
    timeline.remove(2);
    assert_eq!(excused(&timeline), [(NodeId(2), Cause::Destroyed)]);
}

#[test]
fn an_excuse_is_judged_by_what_was_in_force_when_the_disk_was_lost() {
    let lose = |time| (time, Act::Disk(DiskAct::Destroy { node: NodeId(3) }));
    let target = || Membership::new([NodeId(1), NodeId(3)], [], []).expect("two voters");
    let name = |time| {
        (
            time,
            Act::Request(RequestAct::ChangeMembership {
                node: None,
                change: MembershipChange::To(target()),
            }),
        )
    };
    assert_eq!(excused(&[lose(4_000), name(9_000)]), [], "whoever lets it in is to blame");
    assert_eq!(excused(&[name(4_000), lose(9_000)]), [(NodeId(3), Cause::Destroyed)]);
    assert_eq!(excused(&[lose(9_000)]), []);
    // A leader that has just heard S3 cannot know.
    let lead = |time| (time, Act::Request(RequestAct::Campaign { node: NodeId(1) }));
    assert_eq!(excused(&[lead(0), lose(4_000), name(4_020)]), [(NodeId(3), Cause::Unheard)]);
    // Nor can one whose clock stands still, or whose T is longer by now.
    let back = (3_990, Act::Clock(ClockAct::JumpClock { node: NodeId(1), millis: -3_000 }));
    let late = [lead(0), back, lose(4_000), name(6_500)];
    assert_eq!(excused(&late), [(NodeId(3), Cause::Unheard)]);
    let (node, timeout) = (NodeId(1), Duration::from_secs(2));
    let longer = [
        (1, Act::Process(ProcessAct::SetTimeout { node, timeout })),
        (1, Act::Process(ProcessAct::Crash { node })),
        (1, Act::Process(ProcessAct::Restart { node })),
        lead(2),
    ];
    let late = [&longer[..], &[lose(6_000), name(7_700)]].concat();
    assert_eq!(excused(&late), [(NodeId(3), Cause::Unheard)]);
}

#[test]
fn a_scenario_says_how_many_excuses_there_are() {
    let play = |faults: &str, wanted: &str| {
        let text = format!(
            "title = \"t\"\nstory = \"s\"\n[cluster]\nvoters = 3\nelection_timeout = \"500 ms\"\n\
             [run]\nduration = \"6 s\"\nprotection = [\"full\"]\ntimeline = [\n\
             {{ at = \"2 s\", do = \"{faults}\" }} ]\n\
             [[expect]]\nthat = \"e\"\nexcused = {wanted}\n"
        );
        let scenario = Scenario::read("x", "x.toml", &text).expect("a good file");
        play(&scenario, Protection::Full, 1, &mut Nobody)
    };
    assert!(play("destroy S3", "0").is_good());
    assert!(play("destroy S2,S3", "1").is_good());
    assert!(play("destroy S1,S2,S3", "\"1..2\"").is_good());
    let played = play("destroy S2,S3", "0");
    assert_eq!(played.checks[0].failures, ["excused: expected 0, saw 1"]);
}

#[test]
fn a_run_goes_on_at_its_end_as_long_as_entries_go_through() {
    let mut setup = Setup::of_voters(3);
    setup.driver.in_flight_bytes = Some(Command::WEIGHT);
    setup.duration = Duration::from_secs(3);
    let (one, last) = (NodeId(1), NodeId(3));
    setup.timeline = vec![
        (at(0), Act::Request(RequestAct::Campaign { node: one })),
        (at(1_000), Act::Link(LinkAct::Isolate { node: last })),
        (at(1_100), Act::Request(RequestAct::Propose { node: one, count: 4_000 })),
        (at(2_900), Act::Link(LinkAct::HealAll)),
    ];
    let mut world = world(&setup);
    assert_eq!(world.run_until(at(3_000), &mut Nobody), Ok(()));
    let patience = (setup.election_timeout + setup.disk.max_latency) * 30;
    assert_eq!(world.wait_to_converge(&mut Nobody, &mut |_| {}), Ok(()));
    assert_eq!(world.converged(), Ok(()));
    assert!(world.now() > at(3_000).saturating_add(patience), "{:?}", world.now());
}
