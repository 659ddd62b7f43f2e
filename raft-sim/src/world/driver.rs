//! The world as one value, and how it is driven: what comes next is taken from the agenda and given
//! to the handler that it is for, with the parts that this handler may touch.

use crate::checker::coverage::Coverage;
use crate::host::log::Log;
use crate::host::machine::Machine;
use crate::plan::choice::{Choice, Choices};
use crate::plan::record::{Sink, Violation};
use crate::plan::setup::{Setup, SetupError};
use crate::world::acts::{on_act, strike};
use crate::world::agenda::Agenda;
use crate::world::clients::{self, Clients};
use crate::world::env::Env;
use crate::world::excuse::{Cause, Excuse};
use crate::world::host::Host;
use crate::world::hosts::Hosts;
use crate::world::network::Network;
use crate::world::operator::Operator;
use crate::world::pending::Pending;
use crate::world::service::{Service, leader};
use crate::world::watch::{Fact, Watch};
use crate::world::{converge, inbox, life, send};
use raft_core::{Instant, NodeId, Term};

/// The outcome of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunOutcome {
    /// Whether every checker was content.
    pub verdict: Result<(), Violation>,
    /// A hash of everything that went into the nodes and came out of them, with its time.
    pub hash: u64,
    /// How many things happened.
    pub events: u64,
    /// The simulated time at its end.
    pub time: Instant,
    /// What the run had of what can happen.
    pub coverage: Coverage,
    /// How the disk was lost without which it could not converge, if that was to be judged.
    pub excused: Option<Cause>,
    /// How often a leader came late, where disks are fast and where they are slow.
    pub late: [u64; 2],
}

/// A world. A run is a function of a [`Setup`] and of the answers of [`Choices`], whoever listens.
#[derive(Clone, Debug)]
pub struct World {
    env: Env,
    hosts: Hosts,
    network: Network,
    clients: Clients,
    operator: Operator,
}

/// For how many T, with a write each, a run may go on at its end until the cluster converges.
const PATIENCE: u32 = 30;

/// The same while logs still grow, are committed and applied: where little fits a frame, a flood
/// goes by entry after entry.
const MOST: u32 = 20 * PATIENCE;

impl World {
    /// The world before anything has happened.
    ///
    /// # Errors
    ///
    /// What makes no sense in the setup.
    pub fn new(setup: &Setup, choices: Choices) -> Result<Self, SetupError> {
        Self::replicating(&Machine::default(), setup, choices)
    }

    /// The same with a state machine of one's own, as it is before the first command. Clients speak
    /// to it if their setup [says so](crate::plan::profile::ClientSetup::own).
    ///
    /// # Errors
    ///
    /// What makes no sense in the setup.
    pub fn replicating(
        machine: &Machine,
        setup: &Setup,
        choices: Choices,
    ) -> Result<Self, SetupError> {
        setup.check()?;
        let logs = setup.nodes.iter().map(|node| Log::invented(&node.entries));
        let given = logs.flat_map(|log| log.values().collect::<Vec<_>>()).collect();
        let watch = Watch::new(machine, given);
        Ok(Self {
            env: Env::new(setup.clone(), choices, first_agenda(setup), watch),
            hosts: Hosts::new(setup.nodes.iter().map(|node| Host::new(setup, node, machine))),
            network: Network::new(setup),
            clients: Clients::new(&setup.clients),
            operator: Operator::default(),
        })
    }

    /// Runs to the end of the setup's duration.
    pub fn run(&mut self, sink: &mut dyn Sink) -> RunOutcome {
        let end = Instant::ZERO.saturating_add(self.env.setup.duration);
        let verdict = self.run_until(end, sink).and_then(|()| self.conclude(false));
        self.outcome(verdict)
    }

    /// The outcome of a run with this verdict.
    pub fn outcome(&self, verdict: Result<(), Violation>) -> RunOutcome {
        let watch = &self.env.watch;
        let (hash, coverage, excused) = (watch.hash_value(), watch.coverage(), watch.excused());
        let late = watch.premises().contract().fail_overs().map(|fail_overs| fail_overs.late);
        let (events, time) = (self.events(), self.now());
        RunOutcome { verdict, hash, events, time, coverage, excused, late }
    }

    /// Lets everything happen up to and including a moment.
    ///
    /// # Errors
    ///
    /// The first property that is broken; the run cannot go on after it.
    pub fn run_until(&mut self, until: Instant, sink: &mut dyn Sink) -> Result<(), Violation> {
        while self.advance(until, sink)? {}
        Ok(())
    }

    /// Lets the next thing happen, if it comes until a moment; else it is that moment now.
    ///
    /// # Errors
    ///
    /// The first property that is broken.
    pub fn advance(&mut self, until: Instant, sink: &mut dyn Sink) -> Result<bool, Violation> {
        self.env.watch.listen(sink.listens());
        if self.events() == 0 {
            self.env.tell(&self.hosts, Fact::Service { leader: None })?;
        }
        let Some(pending) = self.env.agenda.next(until) else { return Ok(false) };
        let verdict = self.happen(pending).and_then(|()| {
            let Self { env, hosts, network, operator, .. } = self;
            strike(env, hosts, network, operator)
        });
        let (scene, watch) = self.env.scene(&self.hosts);
        let verdict = verdict.and_then(|()| watch.operator_hears(scene));
        watch.look_for_unheard_loss(scene);
        let verdict = verdict.and_then(|()| watch.look_at_the_contract(scene, &self.network));
        let observed = watch.observe_service(scene, &self.network);
        watch.hand_over(sink);
        verdict.and(observed).map(|()| true)
    }

    /// Lets a run that has not [converged](Self::converged) at its end go on, T and a write at a
    /// time, 30 times at most, and for as long as the contract of `docs/LIVENESS.md` allows for a
    /// leader: elections are random, so no fixed time is enough for each. As long as there is
    /// progress it may go on for 600 times.
    ///
    /// # Errors
    ///
    /// The violation that ends the run.
    pub fn wait_to_converge(
        &mut self,
        sink: &mut dyn Sink,
        look: &mut dyn FnMut(&Self),
    ) -> Result<(), Violation> {
        let round = converge::round(&self.env, &self.hosts);
        let mut reached = 0;
        for nth in 0.. {
            let due = self.env.watch.premises().contract().due();
            let progress = converge::progress(&self.hosts);
            let goes_on = progress > reached && nth < MOST;
            reached = reached.max(progress);
            let is_over = nth >= PATIENCE && !goes_on && due.is_none_or(|due| due < self.now());
            if is_over || self.is_beyond_repair() || self.converged().is_ok() {
                break;
            }
            let end = self.now().saturating_add(round);
            while self.advance(end, sink)? {
                look(self);
            }
        }
        Ok(())
    }

    /// What is to be said of a run as a whole, once its time is over: whether what the clients saw
    /// can have happened one after another, and, where the run `converges`, whether the cluster
    /// has [converged](Self::converged). That is not asked of a run which
    /// [a loss excuses](Self::excuses), for it could not.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn conclude(&mut self, converges: bool) -> Result<(), Violation> {
        let Self { env, hosts, network, clients, .. } = self;
        converge::conclude(env, hosts, network, clients, converges)
    }

    /// Whether the cluster has converged: there is a leader, its term has stood still for a while,
    /// everybody whom it reaches has committed and applied the same, and no client waits. To be
    /// asked when nothing has changed for a long time. Where links are cut all that time there need
    /// not be a leader, if no node can win.
    ///
    /// # Errors
    ///
    /// What has not.
    pub fn converged(&self) -> Result<(), Violation> {
        converge::converged(&self.env, &self.hosts, &self.network, &self.clients)
    }

    /// The losses that excuse this run, in the order of time: a membership that was in force at the
    /// moment of the loss had no quorum of disks left, and has none now.
    pub fn excuses(&self) -> impl Iterator<Item = &Excuse> {
        self.env.watch.losses().excuses(&self.hosts)
    }

    /// Whether so many disks are lost for ever that a membership that was in force when one of them
    /// was lost can elect nobody.
    pub fn is_beyond_repair(&self) -> bool {
        self.excuses().next().is_some()
    }

    /// Who serves, or could.
    pub fn service(&self) -> Service {
        Service::of(&self.hosts, &self.network, self.now())
    }

    /// The leader that can commit, see [`Event::Service`](crate::plan::record::Event::Service).
    pub fn leader_that_can_commit(&self) -> Option<NodeId> {
        leader(&self.hosts, &self.network, self.now())
    }

    /// The highest term of any node that runs.
    pub fn highest_term(&self) -> Term {
        let running = self.hosts().filter_map(|host| host.process.as_ref());
        running.map(|process| process.status.term).max().unwrap_or_default()
    }

    /// The simulated time.
    pub const fn now(&self) -> Instant {
        self.env.now()
    }

    /// A host of this world.
    pub fn host(&self, id: NodeId) -> Option<&Host> {
        self.hosts.get(id)
    }

    /// Every host, in the order of the ids.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter()
    }

    /// What the choices were, if they were [recorded](Choices::recorded).
    pub fn tape(&self) -> &[Choice] {
        self.env.choices.tape()
    }

    /// When the next thing happens, and what it is, in a few words.
    pub fn next(&self) -> Option<(Instant, String)> {
        let (time, pending) = self.env.agenda.peek()?;
        let words = match pending {
            Pending::Act(index) => format!("act {}", self.env.setup.timeline[*index].1.said()),
            pending => pending.to_string(),
        };
        Some((time, words))
    }

    /// The hash of everything so far that went into the nodes and came out of them, with its time.
    pub const fn hash(&self) -> u64 {
        self.env.watch.hash_value()
    }

    /// How many things have happened.
    pub const fn events(&self) -> u64 {
        self.env.agenda.events()
    }

    pub(crate) fn violation(&self, checker: &'static str, sentence: String) -> Violation {
        self.env.violation(checker, sentence)
    }

    /// How the contract is kept.
    #[cfg(test)]
    pub(crate) const fn contract(&self) -> &crate::checker::contract::Contract {
        self.env.watch.premises().contract()
    }

    /// Everything that is shown to the checkers is kept, too.
    #[cfg(test)]
    pub(crate) const fn checkers(&mut self) -> &mut crate::checker::Checkers {
        self.env.watch.checkers()
    }

    /// Who handles what.
    fn happen(&mut self, pending: Pending) -> Result<(), Violation> {
        let Self { env, hosts, network, clients, operator } = self;
        if env.agenda.stands_still() {
            return Err(env.violation("progress", "time stands still".to_owned()));
        }
        match pending {
            Pending::Start(node) => life::start(env, hosts, node),
            Pending::Act(index) => on_act(env, hosts, network, operator, index),
            Pending::Disk { node, life } => inbox::on_disk(env, hosts, network, node, life),
            Pending::Apply { node, life } => inbox::on_apply(env, hosts, network, node, life),
            Pending::Report { node, life, event } => {
                inbox::on_report(env, hosts, network, node, life, event)
            }
            Pending::Build { life, envelope, payload } => {
                send::on_build(env, hosts, network, life, envelope, payload)
            }
            Pending::Deliver(packet) => inbox::on_deliver(env, hosts, network, packet),
            Pending::Poll { node, life } => inbox::on_poll(env, hosts, network, node, life),
            Pending::Wake { node, life } => inbox::on_wake(env, hosts, network, node, life),
            Pending::Request { node, request } => {
                inbox::on_request(env, hosts, network, node, request)
            }
            Pending::Answer { from, client, serial, answer } => {
                clients::on_answer(env, hosts, clients, client, serial, (from, answer))
            }
            Pending::Turn { client } => clients::on_turn(env, hosts, clients, client),
            Pending::Retry { client, serial } => {
                clients::attempt(env, hosts, clients, client, serial);
                Ok(())
            }
            Pending::AskAgain { client, serial, attempt } => {
                clients::on_ask_again(env, hosts, clients, client, serial, attempt)
            }
            Pending::GiveUp { client, serial } => {
                clients::on_give_up(env, hosts, clients, client, serial)
            }
        }
    }
}

/// What is to happen in any case: nodes start, the timeline comes true, and clients begin.
fn first_agenda(setup: &Setup) -> Agenda {
    let mut agenda = Agenda::default();
    for node in setup.nodes.iter().filter(|node| node.starts) {
        agenda.schedule(Instant::ZERO, Pending::Start(node.id));
    }
    for (index, (time, _)) in setup.timeline.iter().enumerate() {
        agenda.schedule(*time, Pending::Act(index));
    }
    for (client, what) in (1..).zip(&setup.clients) {
        agenda.schedule(what.start, Pending::Turn { client });
    }
    agenda
}
