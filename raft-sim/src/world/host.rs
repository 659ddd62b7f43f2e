//! A host: the runtime around one node, with its disk, its log of commands and its state machine.

use crate::checker::sight::{Open, View};
use crate::host::clock::Clock;
use crate::host::disk::Disk;
use crate::host::ledger::Ledger;
use crate::host::log::{Command, Log};
use crate::host::machine::Machine;
use crate::host::packet::Arrival;
use crate::host::shelf::Shelf;
use crate::host::stored::Stored;
use crate::plan::choice::{Choices, Question};
use crate::plan::damage::Damage;
use crate::plan::record::{NodeState, Operation};
use crate::plan::setup::{NodeSetup, Setup};
use raft_core::driver::{Commit, Driver, Event};
use raft_core::payload::Content;
use raft_core::{
    Config, Instant, LogPosition, Membership, Node, NodeId, Protection, Recovered, Snapshot,
    StartError, Status, Token,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a running process has in memory.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Process {
    /// The driver, and the node in it.
    pub driver: Driver<Command>,
    /// What the node said of itself after its last step.
    pub status: Status,
    /// The deadline that the node named after its last step.
    pub deadline: Option<Instant>,
    /// When the driver is to be called next.
    pub wakes: Option<Instant>,
    /// The time that the node was told last.
    pub told: Instant,
    /// The log as the disk will hold it: with the writes on their way. Only looked at.
    pub log: Log,
    /// The state machine.
    pub machine: Machine,
    /// Which write each message rests on.
    pub ledger: Ledger,
    /// What the reads under way want to know.
    pub queries: BTreeMap<Token, Operation>,
    /// Until when those who have asked for something wait, by the node's clock; `None` for who has
    /// asked again under the same token before the first answer: nobody can tell which one it is.
    pub patience: BTreeMap<Token, Option<Instant>>,
    /// What is to be applied, and when.
    pub applies: Option<(Instant, Vec<Commit<Command>>)>,
    /// The snapshots besides the one on the disk.
    pub shelf: Shelf,
    /// What the driver is to be told as soon as the call under way is over.
    pub events: Vec<Event<Command>>,
    /// Until when the last report of the disk waits.
    pub reported_at: Instant,
    /// What has arrived and was not stepped yet.
    pub inbox: Vec<Arrival>,
    /// When the next look into a gathering inbox is due.
    pub poll_at: Option<Instant>,
    /// The earliest wake-up that is on its way.
    pub wake_at: Option<Instant>,
    clock_offset: Duration,
}

impl Process {
    /// The node.
    pub const fn node(&self) -> &Node {
        self.driver.node()
    }

    /// Somebody is answered: until when he waited, if that is known.
    pub fn answered(&mut self, token: Token) -> Option<Instant> {
        let until = self.patience.get(&token).copied()?;
        if until.is_some() {
            self.patience.remove(&token);
        }
        until
    }
}

/// Why a host does not run its node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unstartable {
    /// Its disk has lost what was durable.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The node refuses.
    #[error(transparent)]
    Refused(#[from] StartError),
}

/// One host.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Host {
    setup: NodeSetup,
    /// The membership it was given.
    given: Membership,
    /// How often it was started.
    pub life: u64,
    /// The seeds of its lives.
    seeds: BTreeSet<u64>,
    /// The process, while it runs.
    pub process: Option<Process>,
    /// The disk.
    pub disk: Disk,
    /// Whether the process stands still.
    pub paused: bool,
    /// Whether it is to crash in its next step.
    pub crash_in_step: bool,
    /// Its clock.
    pub clock: Clock,
    /// Its state machine before the first command.
    genesis: Machine,
    /// Its state machine when its last process stopped.
    machine: Machine,
    /// What it would be seen by while it is down.
    last_membership: Membership,
}

impl Host {
    /// A host that was not started yet.
    pub fn new(setup: &Setup, node: &NodeSetup, machine: &Machine) -> Self {
        let log = Log::invented(&node.entries);
        let stored = Stored { hard_state: node.hard_state, snapshot: None, log };
        let given = node.membership.as_ref().unwrap_or(&setup.membership);
        Self {
            setup: node.clone(),
            given: given.clone(),
            life: 0,
            seeds: BTreeSet::new(),
            process: None,
            disk: Disk::new(setup.disk, stored),
            paused: false,
            crash_in_step: false,
            clock: Clock::new(),
            genesis: machine.clone(),
            machine: machine.clone(),
            last_membership: given.clone(),
        }
    }

    /// Its id.
    pub const fn id(&self) -> NodeId {
        self.setup.id
    }

    /// The membership it was given.
    pub const fn given_membership(&self) -> &Membership {
        &self.given
    }

    /// Whether its process runs, and does not stand still.
    pub const fn runs(&self) -> bool {
        self.process.is_some() && !self.paused
    }

    /// The membership in force, or in force last.
    pub fn membership(&self) -> &Membership {
        self.process.as_ref().map_or(&self.last_membership, |process| process.node().membership())
    }

    /// The last position of its log; of what its disk holds while it is down.
    pub fn last(&self) -> LogPosition {
        self.process.as_ref().map_or(&self.disk.stored().log, |process| &process.log).last()
    }

    /// Starts the process from what the disk holds; returns the configuration of this life, and
    /// whether a record was cut off that a crash had torn.
    ///
    /// # Errors
    ///
    /// If the disk is damaged; or if the node refuses, which it must not: what a disk holds that is
    /// not damaged can come from a crash.
    pub fn start(
        &mut self,
        setup: &Setup,
        now: Instant,
        choices: &mut Choices,
    ) -> Result<(Config, bool), Unstartable> {
        let was_torn = self.disk.recover()?;
        let seed = self.fresh_seed(choices.below(Question::NodeSeed, u64::MAX));
        let config = setup.config(&self.setup, seed);
        let clock_offset =
            choices.duration(Question::ClockOffset, Duration::ZERO, setup.clock_offset);
        let Stored { hard_state, snapshot, mut log } = self.disk.stored().clone();
        let snapshots = Shelf::new(snapshot.clone());
        let genesis = || (Snapshot::genesis(self.given.clone()), self.genesis.clone());
        let (snapshot, restored) = snapshot.map_or_else(genesis, |i| (i.snapshot, i.machine));
        // A state machine that is durable itself goes on where it was; another begins anew.
        let durable = choices.below(Question::DurableApplied, 2) == 1;
        let ahead = self.machine.applied() > restored.applied();
        let machine = if durable && ahead { self.machine.clone() } else { restored };
        let (position, prev, entries) = (snapshot.position, log.start(), log.positions());
        let recovered =
            Recovered { hard_state, snapshot, prev, entries, applied: machine.applied() };
        let local = Instant::from_nanos(self.clock.reading(now)).saturating_add(clock_offset);
        let node = Node::new(config.clone(), recovered, local)?;
        let settings = setup.driver.settings(setup.snapshots.every, Command::WEIGHT);
        log.compact(position);
        self.life += 1;
        self.paused = false;
        self.crash_in_step = false;
        self.process = Some(Process {
            status: node.status(),
            deadline: node.deadline(),
            wakes: node.deadline(),
            told: local,
            driver: Driver::new(node, settings).expect("a setup that makes sense"),
            log,
            machine,
            ledger: Ledger::new(hard_state),
            queries: BTreeMap::new(),
            patience: BTreeMap::new(),
            applies: None,
            shelf: snapshots,
            events: Vec::new(),
            reported_at: now,
            inbox: Vec::new(),
            poll_at: None,
            wake_at: None,
            clock_offset,
        });
        Ok((config, was_torn))
    }

    /// A seed that no earlier life had, this one if it may be: what chooses may be a fuzzer, which
    /// chooses the same twice.
    fn fresh_seed(&mut self, mut seed: u64) -> u64 {
        while !self.seeds.insert(seed) {
            seed = seed.wrapping_add(1);
        }
        seed
    }

    /// Its T from its next start on.
    pub const fn set_timeout(&mut self, timeout: Duration) {
        self.setup.election_timeout = Some(timeout);
    }

    /// Its protection from its next start on.
    pub const fn set_protection(&mut self, protection: Protection) {
        self.setup.protection = Some(protection);
    }

    /// Its T; while it is down, the one that it starts with next.
    pub fn timeout(&self, setup: &Setup) -> Duration {
        let next = || self.next_config(setup).election_timeout;
        self.process.as_ref().map_or_else(next, |process| process.node().config().election_timeout)
    }

    /// The settings that it starts with when it starts next; the seed is another then.
    pub fn next_config(&self, setup: &Setup) -> Config {
        setup.config(&self.setup, 0)
    }

    /// Whether the memberships in its log let it hold an election: it is a voter in the one in
    /// force or, unless that is known to be committed, in the last different one before it. While
    /// it is down, what it starts with is asked: its disk knows nothing to be committed but what a
    /// snapshot covers.
    pub fn may_campaign(&self) -> bool {
        let (id, stored) = (self.id(), self.disk.stored());
        let snapshot = stored.snapshot.as_ref().map(|image| &image.snapshot.membership);
        let start: &Membership = snapshot.unwrap_or(&self.given);
        let (log, committed) = match &self.process {
            Some(process) => (&process.log, process.status.commit_index),
            None => (&stored.log, stored.log.start().index),
        };
        let in_log = || {
            log.iter().rev().filter_map(|(position, entry)| match &entry.content {
                Content::Membership(membership) => Some((position.index, &**membership)),
                Content::Command(_) => None,
            })
        };
        let newest = || in_log().next().map_or(start, |(_, newest)| newest);
        let now = self.process.as_ref().map_or_else(newest, |process| process.node().membership());
        if now.is_voter(id) {
            return true;
        }
        // Each leader's first entry repeats the membership that it found.
        let (mut in_log, mut since) = (in_log(), None);
        let earlier = loop {
            match in_log.next() {
                Some((index, membership)) if membership == now => since = Some(index),
                earlier => break earlier.map(|(_, membership)| membership),
            }
        };
        since.is_some_and(|index| index > committed) && earlier.unwrap_or(start).is_voter(id)
    }

    /// Ends the process. What the disk loses is the caller's to decide.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            self.last_membership = process.node().membership().clone();
            self.machine = process.machine;
        }
    }

    /// Forgets everything that it had on its disk; it must be down.
    pub fn wipe(&mut self) {
        self.disk.wipe();
        self.machine = self.genesis.clone();
        self.last_membership = self.given.clone();
    }

    /// The time as its node sees it.
    pub fn local(&self, now: Instant) -> Instant {
        Instant::from_nanos(self.clock.reading(now)).saturating_add(self.clock_offset())
    }

    /// When its driver is to be called next, in simulated time.
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.simulated(self.process.as_ref()?.wakes?))
    }

    /// The simulated time at which its node sees this time, as far as can be said now.
    fn simulated(&self, local: Instant) -> Instant {
        let origin = Instant::ZERO.saturating_add(self.clock_offset());
        let reading = local.saturating_since(origin);
        self.clock.when(u64::try_from(reading.as_nanos()).unwrap_or(u64::MAX))
    }

    fn clock_offset(&self) -> Duration {
        self.process.as_ref().map_or(Duration::ZERO, |process| process.clock_offset)
    }

    /// What is seen of it from outside.
    pub fn view(&self, now: Instant) -> View<'_> {
        let stored = self.disk.stored();
        let process = self.process.as_ref();
        View {
            id: self.id(),
            life: self.life,
            status: process.map(|process| &process.status),
            membership: self.membership(),
            node: process.map(|process| process.node() as &dyn Open),
            stored,
            log: process.map_or(&stored.log, |process| &process.log),
            machine: process.map(|process| &process.machine),
            clock: self.clock.elapsed(now),
            clock_offset: self.clock_offset(),
            local: self.local(now),
            told: process.map_or(Instant::ZERO, |process| process.told),
            deadline: process.and_then(|process| process.deadline),
        }
    }

    /// What a record says of it; `None` while it is down.
    pub fn state(&self) -> Option<NodeState> {
        let Process { status, machine, .. } = self.process.as_ref()?;
        Some(NodeState { applied: machine.applied(), ..self.state_of(status) })
    }

    /// What a record says of a node with this status on this host.
    pub fn state_of(&self, status: &Status) -> NodeState {
        let stored = self.disk.stored();
        NodeState {
            role: status.role,
            term: status.term,
            vote: status.voted_for,
            leader: status.leader,
            last: status.last,
            commit: status.commit_index,
            applied: status.last_applied,
            durable_last: stored.log.last(),
            durable: stored.hard_state,
            lease_until: status.lease_until.map(|local| self.simulated(local)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Host;
    use crate::host::machine::Machine;
    use crate::plan::act::{Act, ProcessAct};
    use crate::plan::choice::Choices;
    use crate::plan::record::Nobody;
    use crate::plan::setup::Setup;
    use crate::world::World;
    use raft_core::{Instant, Membership, NodeId, Run, Term};

    /// Voters, and those of the half that is left.
    type Halves = (&'static [u64], &'static [u64]);

    /// Whether S1 of three may campaign whose log has these memberships, while it runs and when it
    /// is down; nothing is known to be committed.
    fn may_campaign(memberships: &[Halves]) -> [bool; 2] {
        let mut setup = Setup::of_voters(3);
        let run = |halves: &Halves| {
            let [new, old] = [halves.0, halves.1].map(|ids| ids.iter().copied().map(NodeId));
            let members = Membership::new(new, old, []).expect("voters");
            Run::Membership { term: Term(1), membership: Box::new(members) }
        };
        setup.nodes[0].entries = memberships.iter().map(run).collect();
        setup.nodes[0].hard_state.current_term = Term(1);
        for other in &mut setup.nodes[1..] {
            other.starts = false;
        }
        let down = Instant::from_nanos(1_000_000);
        setup.timeline.push((down, Act::Process(ProcessAct::Crash { node: NodeId(1) })));
        let mut world = World::new(&setup, Choices::seeded(1)).expect("sense");
        [Instant::ZERO, down].map(|until| {
            assert_eq!(world.run_until(until, &mut Nobody), Ok(()));
            let host = world.host(NodeId(1)).expect("three");
            assert_eq!(host.runs(), until == Instant::ZERO);
            host.may_campaign()
        })
    }

    /// Rounds and tickets follow from the seed: with one seed, what was said to an earlier life
    /// would be taken for an answer to this one.
    #[test]
    fn no_two_lives_have_one_seed_even_if_the_same_is_chosen() {
        let (setup, machine) = (Setup::of_voters(3), Machine::default());
        let mut host = Host::new(&setup, &setup.nodes[0], &machine);
        let seeds = [1, 2, 3].map(|life| {
            let same = &mut Choices::from_bytes(&[]);
            let (config, _) = host.start(&setup, Instant::ZERO, same).expect("an empty disk");
            assert_eq!(host.life, life);
            config.seed
        });
        assert_eq!(seeds, [0, 1, 2]);
    }

    #[test]
    fn who_lost_its_vote_may_campaign_until_that_is_committed_whether_it_runs_or_not() {
        const LEAVING: Halves = (&[2, 3], &[1, 2, 3]);
        const LEFT: Halves = (&[2, 3], &[]);
        let cases: [(&[Halves], bool); 5] = [
            (&[], true),
            (&[LEAVING], true),
            (&[LEAVING, LEFT], true),
            (&[LEAVING, LEFT, LEFT], true),
            (&[LEAVING, LEFT, (&[2], &[2, 3])], false),
        ];
        for (memberships, may) in cases {
            assert_eq!(may_campaign(memberships), [may; 2], "{memberships:?}");
        }
    }
}
