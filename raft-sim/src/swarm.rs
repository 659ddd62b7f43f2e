//! Runs whose setup is drawn, too: another mix of sizes, speeds and faults each time, and a quiet end
//! in which everything must come right.
//!
//! Faults happen during [`STORM`]; then every node runs, every link and every disk works, and after
//! [`CALM_TIMEOUTS`] election timeouts there must be a leader, everybody must have applied the same,
//! and no client may wait any more.

use crate::choice::{Choices, Question, nanos};
use crate::machine::Machine;
use crate::record::Sink;
use crate::setup::{
    Change, ClientSetup, DiskProfile, Fault, LinkProfile, MessageKind, NodeSetup, Setup,
    SnapshotProfile,
};
use crate::world::{Outcome, World};
use raft_core::{Consistency, Instant, Membership, NodeId, Protection};
use std::time::Duration;

/// How long faults happen.
pub const STORM: Duration = Duration::from_secs(6);

/// How many election timeouts the quiet end lasts.
pub const CALM_TIMEOUTS: u32 = 40;

/// One run: its setup and everything else is decided by the choices.
///
/// # Panics
///
/// If the drawn setup makes no sense, which is a bug of this file.
pub fn run(mut choices: Choices, sink: &mut dyn Sink) -> Outcome {
    let setup = setup(&mut choices);
    play(&Machine::default(), &setup, choices, sink)
}

/// One run with a state machine of one's own; every client speaks to it.
///
/// # Panics
///
/// If the drawn setup makes no sense, which is a bug of this file.
pub fn run_replicating(machine: &Machine, mut choices: Choices, sink: &mut dyn Sink) -> Outcome {
    let mut setup = setup(&mut choices);
    for client in &mut setup.clients {
        client.own = true;
    }
    play(machine, &setup, choices, sink)
}

fn play(machine: &Machine, setup: &Setup, choices: Choices, sink: &mut dyn Sink) -> Outcome {
    let world = World::replicating(machine, setup, choices);
    let mut world = world.expect("a drawn setup makes sense");
    let outcome = world.run(sink);
    let verdict = outcome.verdict.clone().and_then(|()| world.converged());
    Outcome { verdict, ..outcome }
}

/// Draws a setup.
pub fn setup(choices: &mut Choices) -> Setup {
    let mut draw = Draw { choices };
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
        gathering: draw.often(Duration::from_millis(2)),
        build_delay: draw.often(Duration::from_millis(10)),
        link: draw.link(),
        disk: DiskProfile { min_latency: Duration::ZERO, max_latency: draw.millis(0, 30) },
        snapshots: draw.snapshots(timeout),
        clients: Vec::new(),
        duration: STORM + timeout * CALM_TIMEOUTS,
        ..Setup::of_voters(1)
    };
    // Jumps are beyond any drift bound: they have no lease reads beside them.
    let jumps = draw.one_in(4);
    for _ in 0..draw.index(4) {
        setup.clients.push(draw.client(&setup, !jumps));
    }
    // A node that is removed and never hears of it is held off by the full protection only.
    let kinds = Kinds { jumps, removals: protection == Protection::Full && !mixed };
    draw.storm(&mut setup, kinds);
    calm(&mut setup);
    setup
}

/// Ends every fault.
fn calm(setup: &mut Setup) {
    let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
    let profile = LinkProfile {
        min_delay: Duration::from_micros(100),
        max_delay: setup.election_timeout / 20,
        loss_ppm: 0,
        duplicate_ppm: 0,
    };
    let at = Instant::ZERO.saturating_add(STORM);
    let mut add = |fault| setup.timeline.push((at, fault));
    add(Fault::HealAll);
    for node in ids.iter().copied() {
        add(Fault::ReleaseDisk { node });
        add(Fault::Resume { node });
        add(Fault::Restart { node });
        for to in ids.iter().copied().filter(|to| *to != node) {
            add(Fault::SetLink { from: node, to, profile });
        }
    }
}

/// Which faults a run may have besides the common ones.
#[derive(Clone, Copy)]
struct Kinds {
    jumps: bool,
    removals: bool,
}

/// What is drawn for a setup.
struct Draw<'a> {
    choices: &'a mut Choices,
}

impl Draw<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.choices.below(Question::Setup, bound)
    }

    fn index(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).expect("a small bound")
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == n - 1
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from + 1))
    }

    /// Nothing in half of the runs.
    fn often(&mut self, value: Duration) -> Duration {
        if self.one_in(2) { value } else { Duration::ZERO }
    }

    fn link(&mut self) -> LinkProfile {
        const MOST: u64 = 200_000;
        let loss = self.below(MOST) * self.below(2);
        let duplicate = self.below(MOST) * self.below(2);
        LinkProfile {
            min_delay: Duration::from_micros(100),
            max_delay: Duration::from_micros(500) + self.millis(0, 40),
            loss_ppm: u32::try_from(loss).expect("below a million"),
            duplicate_ppm: u32::try_from(duplicate).expect("below a million"),
        }
    }

    fn client(&mut self, setup: &Setup, leases: bool) -> ClientSetup {
        let min_think = self.millis(1, 20);
        ClientSetup {
            min_think,
            max_think: min_think + self.millis(0, 100),
            write_percent: 50,
            query_percent: [0, 60][self.index(2)],
            leases,
            own: false,
            ask_again: self.one_in(3).then(|| self.millis(20, 200)),
            keys: 1 + self.below(3),
            patience: self.millis(100, 1000),
            start: Instant::ZERO,
            stop: Instant::ZERO.saturating_add(STORM + setup.election_timeout * 20),
        }
    }

    fn snapshots(&mut self, timeout: Duration) -> SnapshotProfile {
        SnapshotProfile {
            every: [0, 4, 40][self.index(3)],
            delay: self.millis(0, 100),
            failure_ppm: [0, 300_000][self.index(2)],
            timeout: Some(timeout * 8),
        }
    }

    /// What operators and clocks do.
    fn operation(&mut self, ids: &[NodeId], kinds: Kinds) -> Fault {
        let nodes = u64::try_from(ids.len()).expect("a few nodes");
        let (node, other) = (ids[self.index(nodes)], ids[self.index(nodes)]);
        match self.below(10) {
            0 => Fault::TakeSnapshot { node },
            1 => Fault::Unreachable { node, peer: other },
            2 => Fault::Read { node, consistency: Consistency::ReadIndex },
            3 if !kinds.jumps => Fault::Read { node, consistency: Consistency::Lease },
            4 | 5 => {
                let to = (!self.one_in(3)).then_some(other);
                Fault::Transfer { node: self.one_in(4).then_some(node), to }
            }
            6 if kinds.jumps => {
                let millis = i64::try_from(self.below(1000)).expect("a second");
                Fault::JumpClock { node, millis: if self.one_in(2) { -millis } else { millis } }
            }
            6 => {
                let ppm = i32::try_from(self.below(2001)).expect("a small number");
                Fault::SetClock { node, ppm: ppm - 1000 }
            }
            _ => Fault::ChangeMembership { node: None, change: self.change(node, other, kinds) },
        }
    }

    fn change(&mut self, node: NodeId, other: NodeId, kinds: Kinds) -> Change {
        match self.below(6) {
            0 if kinds.removals => Change::Remove(node),
            1 if kinds.removals => Change::Replace { old: node, new: other },
            2 => Change::Demote(node),
            3 => Change::AddLearner(node),
            _ => Change::Promote(node),
        }
    }

    /// Faults at random moments, most of them with their end.
    fn storm(&mut self, setup: &mut Setup, kinds: Kinds) {
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        // The calm answer is the long pause.
        let longest = nanos(Duration::from_millis(1700 - 2 * self.below(800)));
        let end = nanos(STORM);
        let mut at = longest - self.below(longest);
        let mut timeline = Vec::new();
        while at < end {
            let longest_outage = [1500, 300, 30][self.index(3)];
            let after = at + 1_000_000 * (1 + self.below(longest_outage));
            let time = Instant::from_nanos;
            let (fault, repair) =
                if self.one_in(3) { (self.operation(&ids, kinds), None) } else { self.fault(&ids) };
            timeline.push((time(at), fault));
            timeline.extend(repair.filter(|_| after < end).map(|repair| (time(after), repair)));
            at += longest - self.below(longest - nanos(Duration::from_millis(1)));
        }
        timeline.sort_by_key(|(time, _)| *time);
        setup.timeline = timeline;
    }

    /// A fault, and what ends it.
    fn fault(&mut self, ids: &[NodeId]) -> (Fault, Option<Fault>) {
        let nodes = u64::try_from(ids.len()).expect("a few nodes");
        let node = ids[self.index(nodes)];
        let others: Vec<NodeId> = ids.iter().copied().filter(|id| *id != node).collect();
        let (from, to) = match others.len() {
            0 => return (Fault::CrashInStep { node }, Some(Fault::Restart { node })),
            _ => (node, others[self.index(nodes - 1)]),
        };
        let kind = MessageKind::ALL[self.index(10)];
        match self.below(14) {
            0 | 1 => (Fault::Cut { from, to }, Some(Fault::Heal { from, to })),
            2 => (Fault::Isolate { node }, Some(Fault::HealAll)),
            3 | 4 => (Fault::Crash { node }, Some(Fault::Restart { node })),
            5 | 6 => (Fault::CrashInStep { node }, Some(Fault::Restart { node })),
            7 => (Fault::Pause { node }, Some(Fault::Resume { node })),
            8 => (Fault::HangDisk { node }, Some(Fault::ReleaseDisk { node })),
            9 => (Fault::DropKind { from, to, kind }, Some(Fault::PassKind { from, to, kind })),
            10 => (Fault::Campaign { node }, None),
            11 | 12 => (Fault::Propose { node, count: 1 + self.below(20) }, None),
            _ => {
                let profile = self.link();
                (Fault::SetLink { from, to, profile }, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::choice::Choices;
    use crate::exercised::Exercised;
    use crate::record::Nobody;

    /// How many runs; the environment can ask for more.
    fn runs() -> u64 {
        std::env::var("RAFT_SIM_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(800)
    }

    #[test]
    fn storms_break_nothing_and_everything_comes_right_after_them() {
        let mut seen = Exercised::default();
        let mut broken = Vec::new();
        for seed in 0..runs() {
            let outcome = run(Choices::seeded(seed), &mut Nobody);
            seen.add(&outcome.exercised);
            if let Err(violation) = outcome.verdict {
                broken.push(format!("seed {seed}: {violation}"));
            }
        }
        assert!(broken.is_empty(), "{} runs: {broken:#?}", broken.len());
        let never: Vec<_> = seen.counts().into_iter().filter(|(_, count)| *count == 0).collect();
        assert!(never.is_empty(), "never exercised: {never:?}");
    }
}
