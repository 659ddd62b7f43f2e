//! Runs whose setup is drawn, too: another mix of sizes, speeds and faults each time, and a quiet
//! end in which the cluster must converge.
//!
//! Faults happen during [`STORM`]; then every node runs, every link and every disk works, and after
//! [`QUIET_TIMEOUTS`] election timeouts there must be a leader, everybody must have applied the
//! same, and no client may wait any more. In some runs with full protection links stay cut, in a
//! pattern that does not change: then there must be a leader if any node can win.
//!
//! Each kind of draw answers to a question of its own, and each fault of the storm has a stream of
//! its own by its number and its family. So a draw that is new takes a new [`Question`], and leaves
//! all others as they were; no question is put between those of another kind.

mod aimed;
mod calls;
mod caps;
mod clocks;
mod draw;
mod end;
mod lives;
mod members;
mod minority;
mod network;
mod sequences;
mod stay;
mod storm;

use crate::host::machine::Machine;
use crate::plan::choice::{Choices, Question};
use crate::plan::record::Sink;
use crate::plan::setup::{NodeSetup, Setup};
use crate::run::swarm::draw::Draw;
use crate::run::swarm::lives::longest_timeout;
use crate::run::swarm::storm::Kinds;
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
    let setup = draw_storm(&mut choices, storm);
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
    draw_storm(choices, STORM)
}

/// Draws a setup with faults for another time than [`STORM`].
pub(crate) fn draw_storm(choices: &mut Choices, storm: Duration) -> Setup {
    let mut draw = Draw { choices, question: Question::Setup, storm };
    let voters = [3, 3, 5, 2, 4, 1][draw.index(6)];
    let learners = u64::from(draw.one_in(5));
    let timeout = draw.millis(100, 300);
    let heartbeat_interval = timeout / [10, 4, 2][draw.index(3)];
    let protection = draw.protection();
    // Nodes that may join later know of no cluster.
    let spare = draw.below(3);
    let ids = (1..=voters + learners).map(NodeId);
    let mut nodes: Vec<NodeSetup> = ids.map(NodeSetup::new).collect();
    let mixed = draw.mix(&mut nodes, timeout);
    let is_full = protection == Protection::Full && !mixed;
    let lives = draw.of(Question::StormLives).lives(is_full);
    let is_full = is_full && !lives.is_some_and(|lives| lives.mixes);
    if is_full {
        draw.stretch(&mut nodes, timeout);
    }
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
        limits: draw.of(Question::SetupLimits).limits(),
        gathering: draw.often(Duration::from_millis(2)),
        build_delay: draw.often(Duration::from_millis(10)),
        link: draw.of(Question::SetupLinks).link(),
        disk: draw.of(Question::SetupDisk).disk_profile(),
        snapshots: draw.of(Question::SetupSnapshots).snapshots(timeout),
        clients: Vec::new(),
        ..Setup::of_voters(1)
    };
    draw.of(Question::SetupSlowDisk).slow_disk(&mut setup);
    draw.of(Question::SetupPasts).long_pasts(&mut setup);
    draw.of(Question::SetupReports).late_reports(&mut setup);
    draw.of(Question::SetupApplies).late_applies(&mut setup);
    draw.drivers(&mut setup);
    setup.snapshots.install = draw.of(Question::SetupInstalls).install(timeout);
    let kinds = draw.of(Question::StormKinds).kinds(&setup, is_full);
    draw.clients(&mut setup, !kinds.jumps);
    draw.storms(&mut setup, kinds);
    if let Some(lives) = lives {
        draw.of(Question::StormLives).change_lives(&mut setup, lives);
    }
    setup.duration = storm + longest_timeout(&setup) * QUIET_TIMEOUTS;
    // Full protection, or one level and one T, promise a leader wherever one is possible.
    let breaks = voters >= 3 && (is_full || !mixed && lives.is_none());
    let group = draw.of(Question::EndMinority).group(&setup).filter(|_| breaks);
    let settles = is_full && breaks && group.is_none();
    draw.of(Question::End).end(&mut setup, settles);
    if let Some(group) = group {
        draw.of(Question::EndMinority).break_the_others(&mut setup, &group);
    }
    setup
}

impl Draw<'_> {
    /// What happens before the quiet end. Each draw adds to what those before it drew.
    fn storms(&mut self, setup: &mut Setup, kinds: Kinds) {
        self.of(Question::Storm).storm(setup, kinds);
        self.of(Question::StormAimed).aimed(setup, kinds);
        self.of(Question::StormMembers).members(setup, kinds);
        self.of(Question::StormBack).steps_back(setup, kinds);
        self.of(Question::StormDeceived).deceived(setup, kinds);
        self.of(Question::StormStayers).stayers(setup, kinds);
        self.of(Question::StormPauses).pauses(setup);
        self.of(Question::StormFlood).flood(setup);
        self.of(Question::StormLies).lies(setup);
        self.of(Question::StormSequences).sequences(setup, kinds);
        self.of(Question::StormCalls).two_leaders_in_a_call(setup);
    }
}

#[cfg(test)]
mod tests {
    use super::{draw_setup, run_drawn};
    use crate::checker::coverage::least;
    use crate::plan::act::any::Act;
    use crate::plan::act::{DiskAct, LinkAct};
    use crate::plan::choice::{Choices, Question};
    use crate::plan::record::Nobody;
    use crate::plan::setup::Setup;
    use std::collections::BTreeMap;

    /// How many runs; the environment can ask for more.
    fn runs() -> u64 {
        std::env::var("RAFT_SIM_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(800)
    }

    #[test]
    fn storms_break_nothing_and_everything_comes_right_after_them() {
        let mut covered: BTreeMap<&str, u64> = BTreeMap::new();
        let mut broken = Vec::new();
        for seed in 0..runs() {
            let outcome = run_drawn(Choices::seeded(seed), &mut Nobody);
            for (name, count) in outcome.coverage.counts() {
                *covered.entry(name).or_default() += u64::from(count > 0);
            }
            if let Err(violation) = outcome.verdict {
                broken.push(format!("seed {seed}: {violation}"));
            }
        }
        assert!(broken.is_empty(), "{} runs: {broken:#?}", broken.len());
        let rare = covered.iter().filter(|(name, has)| **has < least(name, runs()));
        let rare: Vec<_> = rare.map(|(name, has)| (name, has, least(name, runs()))).collect();
        assert!(rare.is_empty(), "covered in too few of {} runs: {rare:?}", runs());
    }

    /// The setup of a seed, and the one after a question more of this kind.
    fn setups(seed: u64, question: Question) -> [Setup; 2] {
        let mut choices = Choices::seeded(seed);
        choices.below(question, 1000);
        [draw_setup(&mut Choices::seeded(seed)), draw_setup(&mut choices)]
    }

    #[test]
    fn a_draw_more_of_one_kind_leaves_the_rest_of_a_setup_as_it_was() {
        type Moves = fn(&mut Setup, &Setup);
        // What follows from limits besides themselves: how far clocks may be off.
        let clocks = |setup: &mut Setup| {
            setup.timeline.retain(|(_, act)| !act.said().contains("the clock of"));
        };
        let cases: [(Question, Moves); 8] = [
            (Question::SetupLimits, |setup, other| setup.limits = other.limits),
            // The storm gives some links and disks back what they had.
            (Question::SetupLinks, |setup, other| {
                setup.link = other.link;
                for ((_, act), (_, theirs)) in setup.timeline.iter_mut().zip(&other.timeline) {
                    if let Act::Link(LinkAct::SetLink { .. }) = theirs {
                        act.clone_from(theirs);
                    }
                }
            }),
            (Question::SetupDisk, |setup, other| {
                setup.disk = other.disk;
                for ((_, act), (_, theirs)) in setup.timeline.iter_mut().zip(&other.timeline) {
                    if let Act::Disk(DiskAct::SetDisk { .. }) = theirs {
                        act.clone_from(theirs);
                    }
                }
            }),
            (Question::SetupSnapshots, |setup, other| setup.snapshots = other.snapshots),
            (Question::SetupClients, |setup, other| setup.clients.clone_from(&other.clients)),
            (Question::SetupReaders, |setup, other| setup.clients.clone_from(&other.clients)),
            (Question::StormLoss, |setup, other| setup.timeline.clone_from(&other.timeline)),
            (Question::End, |setup, other| setup.timeline.clone_from(&other.timeline)),
        ];
        for (question, moves) in cases {
            let mut moved = 0;
            for seed in 0..30 {
                let [mut setup, mut other] = setups(seed, question);
                clocks(&mut setup);
                clocks(&mut other);
                moved += u32::from(setup != other);
                moves(&mut setup, &other);
                assert_eq!(setup, other, "seed {seed}, {question:?}");
            }
            assert!(moved > 0, "{question:?} is asked");
        }
    }

    #[test]
    fn a_client_is_drawn_alike_however_many_there_are() {
        let mut more = 0;
        for seed in 0..60 {
            let [setup, other] = setups(seed, Question::SetupClients);
            let drawn = |setup: &Setup| {
                let clients = setup.clients.iter().filter(|client| client.home.is_none());
                clients.copied().collect::<Vec<_>>()
            };
            let [one, two] = [drawn(&setup), drawn(&other)];
            assert!(one.iter().zip(&two).all(|(a, b)| a == b), "seed {seed}");
            more += usize::from(one.len() != two.len());
        }
        assert!(more > 10);
    }

    #[test]
    fn each_fault_has_a_stream_of_its_own() {
        let families = [
            Question::StormProcess,
            Question::StormDisk,
            Question::StormNetwork,
            Question::StormRequest,
            Question::StormClock,
            Question::StormHostile,
        ];
        for question in families {
            for seed in 0..30 {
                let [setup, other] = setups(seed, question);
                assert_eq!(setup, other, "seed {seed}: what was asked before it moves no fault");
            }
        }
    }
}
