//! Runs whose setup is drawn, too: another mix of sizes, speeds and faults each time, and a quiet
//! end in which the cluster must converge.
//!
//! Faults happen during [`STORM`]; then every node runs, every link and every disk works, and after
//! [`QUIET_TIMEOUTS`] election timeouts there must be a leader, everybody must have applied the
//! same, and no client may wait any more. In some runs with full protection links stay cut, in a
//! pattern that does not change: then there must be a leader if any node can win.

use crate::plan::act::any::Act;
use crate::plan::act::{DiskAct, LinkAct, ProcessAct};
mod draw;
mod network;

use crate::host::machine::Machine;
use crate::plan::choice::Choices;
use crate::plan::profile::{DiskProfile, LinkProfile};
use crate::plan::record::Sink;
use crate::plan::setup::{NodeSetup, Setup};
use crate::run::swarm::draw::{Draw, Kinds};
use crate::world::{RunOutcome, World};
use raft_core::{Instant, Membership, NodeId, Protection};
use std::time::Duration;

/// How long faults happen.
pub const STORM: Duration = Duration::from_secs(6);

/// How many election timeouts the quiet end lasts.
pub const QUIET_TIMEOUTS: u32 = 40;

/// One run: its setup and everything else is decided by the choices.
///
/// # Panics
///
/// If the drawn setup makes no sense, which is a bug of this file.
pub fn run_drawn(mut choices: Choices, sink: &mut dyn Sink) -> RunOutcome {
    let setup = draw_setup(&mut choices);
    play(&Machine::default(), &setup, choices, sink)
}

/// As [`run_drawn`], with faults for another time than [`STORM`].
///
/// # Panics
///
/// If the drawn setup makes no sense, which is a bug of this file.
pub fn run_storm(mut choices: Choices, storm: Duration, sink: &mut dyn Sink) -> RunOutcome {
    let setup = setup_of_storm(&mut choices, storm);
    play(&Machine::default(), &setup, choices, sink)
}

/// One run with a state machine of one's own; every client speaks to it.
///
/// # Panics
///
/// If the drawn setup makes no sense, which is a bug of this file.
pub fn run_replicating(machine: &Machine, mut choices: Choices, sink: &mut dyn Sink) -> RunOutcome {
    let mut setup = draw_setup(&mut choices);
    for client in &mut setup.clients {
        client.own = true;
    }
    play(machine, &setup, choices, sink)
}

fn play(machine: &Machine, setup: &Setup, choices: Choices, sink: &mut dyn Sink) -> RunOutcome {
    let world = World::replicating(machine, setup, choices);
    let mut world = world.expect("a drawn setup makes sense");
    let end = Instant::ZERO.saturating_add(setup.duration);
    let verdict = world
        .run_until(end, sink)
        .and_then(|()| world.wait_to_converge(sink, &mut |_| {}))
        .and_then(|()| world.conclude(true));
    world.outcome(verdict)
}

/// Draws a setup.
pub fn draw_setup(choices: &mut Choices) -> Setup {
    setup_of_storm(choices, STORM)
}

fn setup_of_storm(choices: &mut Choices, storm: Duration) -> Setup {
    let mut draw = Draw { choices, storm };
    let voters = [3, 3, 5, 2, 4, 1][draw.index(6)];
    let learners = u64::from(draw.one_in(5));
    let protections = [Protection::Full, Protection::PreVote, Protection::Plain, Protection::Full];
    let timeout = draw.millis(100, 300);
    let heartbeat_interval = timeout / [10, 4, 2][draw.index(3)];
    let protection = protections[draw.index(4)];
    let ids = (1..=voters + learners).map(NodeId);
    let mut nodes: Vec<NodeSetup> = ids.clone().map(NodeSetup::new).collect();
    let mixed = draw.one_in(8);
    if mixed {
        // A rolling upgrade, or a careless operator.
        for node in &mut nodes {
            node.protection = Some(protections[draw.index(4)]);
            node.election_timeout = Some(timeout + draw.millis(0, 25));
        }
    }
    // Nodes that may join later know of no cluster.
    let spare = draw.below(3);
    for id in (1..=spare).map(|nth| NodeId(voters + learners + nth)) {
        nodes.push(NodeSetup { membership: Some(Membership::empty()), ..NodeSetup::new(id) });
    }
    let membership =
        Membership::new((1..=voters).map(NodeId), [], (voters + 1..=voters + learners).map(NodeId));
    let mut setup = Setup {
        membership: membership.expect("a few voters, and perhaps a learner"),
        nodes,
        protection,
        election_timeout: timeout,
        heartbeat_interval,
        clock_offset: draw.often(Duration::from_secs(3600)),
        limits: draw.limits(),
        gathering: draw.often(Duration::from_millis(2)),
        build_delay: draw.often(Duration::from_millis(10)),
        link: draw.link(),
        disk: DiskProfile { min_latency: Duration::ZERO, max_latency: draw.millis(0, 30) },
        snapshots: draw.snapshots(timeout),
        clients: Vec::new(),
        duration: storm + timeout * QUIET_TIMEOUTS,
        ..Setup::of_voters(1)
    };
    // Jumps are beyond any drift bound: they have no lease reads beside them.
    let jumps = draw.one_in(4);
    for _ in 0..draw.index(4) {
        setup.clients.push(draw.client(&setup, !jumps));
    }
    // Somebody reads at every node: who leads no more and answers all the same has readers, then.
    if draw.one_in(5) {
        for home in (1..=voters).map(NodeId) {
            setup.clients.push(draw.reader(&setup, !jumps, home));
        }
    }
    // A node that is removed and never hears of it is held off by the full protection only.
    let kinds = Kinds {
        jumps,
        removals: protection == Protection::Full && !mixed,
        hostile: draw.one_in(3),
        drift_ppm: setup.config(&setup.nodes[0], 0).clock_drift_ppm,
    };
    draw.storm(&mut setup, kinds);
    // Only full protection promises a leader wherever one is possible.
    let settles = protection == Protection::Full && !mixed && voters >= 3 && draw.one_in(4);
    let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
    let pattern = settles.then(|| draw.reach(&ids));
    let end = Instant::ZERO.saturating_add(storm);
    quiet_end(&mut setup, end);
    setup.timeline.extend(pattern.map(|pattern| (end, pattern)));
    setup
}

/// Ends every fault.
fn quiet_end(setup: &mut Setup, at: Instant) {
    let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
    let profile = LinkProfile {
        min_delay: Duration::from_micros(100),
        max_delay: setup.election_timeout / 20,
        loss_ppm: 0,
        duplicate_ppm: 0,
    };
    let disk =
        DiskProfile { min_latency: Duration::ZERO, max_latency: setup.election_timeout / 20 };
    let mut add = |fault| setup.timeline.push((at, fault));
    add(Act::Link(LinkAct::HealAll));
    for node in ids.iter().copied() {
        add(Act::Disk(DiskAct::ReleaseDisk { node }));
        add(Act::Disk(DiskAct::FreeDisk { node }));
        add(Act::Disk(DiskAct::SetDisk { node, profile: disk }));
        add(Act::Process(ProcessAct::Resume { node }));
        add(Act::Process(ProcessAct::Restart { node }));
        for to in ids.iter().copied().filter(|to| *to != node) {
            add(Act::Link(LinkAct::SetLink { from: node, to, profile }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::run_drawn;
    use crate::checker::coverage::Coverage;
    use crate::plan::choice::Choices;
    use crate::plan::record::Nobody;

    /// How many runs; the environment can ask for more.
    fn runs() -> u64 {
        std::env::var("RAFT_SIM_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(800)
    }

    #[test]
    fn storms_break_nothing_and_everything_comes_right_after_them() {
        let mut seen = Coverage::default();
        let mut broken = Vec::new();
        for seed in 0..runs() {
            let outcome = run_drawn(Choices::seeded(seed), &mut Nobody);
            seen.add(&outcome.coverage);
            if let Err(violation) = outcome.verdict {
                broken.push(format!("seed {seed}: {violation}"));
            }
        }
        assert!(broken.is_empty(), "{} runs: {broken:#?}", broken.len());
        let never: Vec<_> = seen.counts().into_iter().filter(|(_, count)| *count == 0).collect();
        assert!(never.is_empty(), "never exercised: {never:?}");
    }
}
