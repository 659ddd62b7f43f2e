//! What a clock may do to a lease: nothing, where its node sees it or is down; else it is an alarm
//! where leases are held to strictly, and counted where not.

use raft_core::{Instant, NodeId};
use raft_sim::plan::{ClockAct, LinkAct, ProcessAct, RequestAct};
use raft_sim::{Act, Choices, Nobody, Setup, World};

const SEEDS: u64 = 20;

const fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

const fn jump(node: u64, millis: i64) -> Act {
    Act::Clock(ClockAct::JumpClock { node: NodeId(node), millis })
}

fn process(act: fn(NodeId) -> ProcessAct, node: u64) -> Act {
    Act::Process(act(NodeId(node)))
}

const PAUSE: fn(NodeId) -> ProcessAct = |node| ProcessAct::Pause { node };
const RESUME: fn(NodeId) -> ProcessAct = |node| ProcessAct::Resume { node };
const CRASH: fn(NodeId) -> ProcessAct = |node| ProcessAct::Crash { node };
const RESTART: fn(NodeId) -> ProcessAct = |node| ProcessAct::Restart { node };

/// S1 leads with T = 1 s, and nobody reaches it from 3 s on, beside what is done. In how many runs
/// a checker raises an alarm, and how many leases are counted as broken.
fn played(acts: &[(u64, Act)], strict_leases: bool) -> (u64, u64) {
    let mut timeline = vec![
        (at(0), Act::Request(RequestAct::Campaign { node: NodeId(1) })),
        (at(3_000), Act::Link(LinkAct::Isolate { node: NodeId(1) })),
    ];
    timeline.extend(acts.iter().map(|(millis, act)| (at(*millis), act.clone())));
    timeline.sort_by_key(|(time, _)| *time);
    let setup = Setup { timeline, strict_leases, ..Setup::of_voters(3) };
    let (mut alarms, mut broken) = (0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(&setup, Choices::seeded(seed)).expect("it makes sense");
        let outcome = world.run(&mut Nobody);
        broken += outcome.coverage.leases_broken;
        if let Err(violation) = outcome.verdict {
            assert_eq!(violation.checker, "lease_disjointness", "{violation}");
            alarms += 1;
        }
    }
    (alarms, broken)
}

/// Both ways to look at it: the alarms, and what is counted.
fn judged(acts: &[(u64, Act)]) -> [(u64, u64); 2] {
    [true, false].map(|strict| played(acts, strict))
}

const HARMLESS: [(u64, u64); 2] = [(0, 0), (0, 0)];
const BROKEN: [(u64, u64); 2] = [(SEEDS, 0), (0, SEEDS)];

#[test]
fn a_clock_that_goes_back_unseen_at_a_leader_breaks_its_lease() {
    let acts = [(3_000, process(PAUSE, 1)), (4_900, jump(1, -1_900)), (4_900, process(RESUME, 1))];
    assert_eq!(judged(&acts), BROKEN);
}

#[test]
fn clocks_that_jump_forward_at_voters_break_the_lease_of_their_leader() {
    assert_eq!(judged(&[(3_000, jump(2, 2_000)), (3_050, jump(3, 2_000))]), BROKEN);
}

#[test]
fn a_clock_that_is_off_by_more_than_its_bound_breaks_a_lease() {
    let clock = |node, ppm| Act::Clock(ClockAct::SetClock { node: NodeId(node), ppm });
    let acts = [(2_900, clock(1, -900_000)), (2_900, clock(2, 0)), (3_000, clock(3, 0))];
    assert_eq!(judged(&acts), BROKEN);
}

#[test]
fn a_clock_that_goes_back_and_is_seen_to_breaks_none() {
    let step = Act::Clock(ClockAct::StepBack { node: NodeId(1), back: 1_900 });
    assert_eq!(judged(&[(3_000, step)]), HARMLESS);
    // The next step sees it if there is one before the clock has caught up.
    let step = Act::Request(RequestAct::Propose { node: NodeId(1), count: 1 });
    assert_eq!(judged(&[(3_000, jump(1, -1_900)), (3_010, step)]), HARMLESS);
    assert_eq!(judged(&[(3_000, jump(1, -1_900))]), BROKEN, "it sleeps until then");
}

#[test]
fn a_clock_that_goes_back_at_a_voter_or_forward_at_a_leader_breaks_none() {
    assert_eq!(judged(&[(3_000, jump(2, -1_900)), (3_000, jump(3, -1_900))]), HARMLESS);
    assert_eq!(judged(&[(3_000, jump(1, 1_900))]), HARMLESS);
}

#[test]
fn what_a_clock_does_while_its_node_is_down_breaks_no_lease() {
    let mut acts = Vec::new();
    for node in [2, 3] {
        let at = [(3_000, process(CRASH, node)), (3_100, jump(node, 5_000))];
        acts.extend(at);
        acts.push((3_100, process(RESTART, node)));
    }
    assert_eq!(judged(&acts), HARMLESS);
}
