//! The world: hosts, links, clients and what is still to happen, as one value.

mod agenda;
mod clients;
mod excuse;
mod faults;
mod host;
mod hostile;
mod inbox;
mod narrate;
mod network;
mod past;
mod pending;
mod scribe;
mod service;
mod snapshots;
mod step;
mod witness;

pub use excuse::{Cause, Excuse};
pub use host::{Host, Process, Unstartable};
pub use network::{Network, Passage};
pub use service::Service;

use crate::checker::Checkers;
use crate::checker::coverage::Exercised;
use crate::checker::history::seen::History;
use crate::checker::sight::Happening;
use crate::host::client::Client;
use crate::host::log::Log;
use crate::host::machine::Machine;
use crate::host::packet::{Arrival, Packet, Payload};
use crate::plan::choice::{Choice, Choices, RollingHash};
use crate::plan::record::{DropReason, Event, Operation, Phase, Sink, Violation};
use crate::plan::setup::{Setup, SetupError};
use crate::world::agenda::Agenda;
use crate::world::pending::Pending;
use crate::world::scribe::Scribe;
use raft_core::payload::attach;
use raft_core::{Envelope, Instant, LogPosition, Message, NodeId, Outcome as Ended};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Whether every checker was content.
    pub verdict: Result<(), Violation>,
    /// A hash of everything that went into the nodes and came out of them, with its time.
    pub hash: u64,
    /// How many things happened.
    pub events: u64,
    /// The simulated time at which it ended.
    pub time: Instant,
    /// What the run had of what can happen.
    pub exercised: Exercised,
    /// How the disk was lost without which it could not come right, if that was to be judged.
    pub excused: Option<Cause>,
}

/// A world. A run is a function of a [`Setup`] and of the answers of [`Choices`], whoever listens.
#[derive(Clone, Debug)]
pub struct World {
    setup: Setup,
    choices: Choices,
    agenda: Agenda,
    hosts: BTreeMap<NodeId, Host>,
    network: Network,
    clients: Vec<Client>,
    checkers: Checkers,
    /// What the clients saw.
    history: History,
    scribe: Scribe,
    lists: step::Lists,
    /// What a disk has just reported; kept for its memory.
    arrivals: Vec<Arrival>,
    /// Positions that a leader accepted, and which nodes have not told their fate yet.
    accepted: BTreeMap<NodeId, BTreeSet<LogPosition>>,
    /// The number of the operator's next request.
    operator: u64,
    /// What the operator asked for and was not answered yet.
    operator_asked: BTreeMap<u64, Operation>,
    /// What it was answered.
    operator_heard: Vec<(u64, Operation, Phase)>,
    /// Whether every clock has kept within the drift bound so far.
    clocks_hold: bool,
    service: Option<NodeId>,
    /// When some node last came to a term that nobody had before.
    term_rose: Instant,
    hash: RollingHash,
    exercised: Exercised,
    losses: excuse::Losses,
    excused: Option<Cause>,
}

impl World {
    /// The world before anything has happened.
    ///
    /// # Errors
    ///
    /// What makes no sense in the setup.
    pub fn new(setup: &Setup, choices: Choices) -> Result<Self, SetupError> {
        Self::replicating(&Machine::default(), setup, choices)
    }

    /// The same with a state machine of one's own, as it is before the first command. Clients speak to
    /// it if their setup [says so](crate::plan::profile::ClientSetup::own).
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
        let clients = (1..).zip(&setup.clients);
        let logs = setup.nodes.iter().map(|node| Log::invented(&node.entries));
        let given = logs.flat_map(|log| log.values().collect::<Vec<_>>()).collect();
        let host = |node| Host::new(setup, node, machine);
        let mut world = Self {
            choices,
            agenda: Agenda::default(),
            hosts: setup.nodes.iter().map(|node| (node.id, host(node))).collect(),
            network: Network::new(setup),
            clients: clients.map(|(number, client)| Client::new(number, *client)).collect(),
            checkers: Checkers::of(machine),
            history: History::after(given),
            scribe: Scribe::default(),
            lists: step::Lists::default(),
            arrivals: Vec::new(),
            accepted: BTreeMap::new(),
            operator: 0,
            operator_asked: BTreeMap::new(),
            operator_heard: Vec::new(),
            clocks_hold: true,
            service: None,
            term_rose: Instant::ZERO,
            hash: RollingHash::new(),
            exercised: Exercised::default(),
            losses: excuse::Losses::default(),
            excused: None,
            setup: setup.clone(),
        };
        for node in setup.nodes.iter().filter(|node| node.starts) {
            world.schedule(Instant::ZERO, Pending::Start(node.id));
        }
        for (nth, (time, _)) in setup.timeline.iter().enumerate() {
            world.schedule(*time, Pending::Fault(nth));
        }
        for (client, what) in (1..).zip(&setup.clients) {
            world.schedule(what.start, Pending::Turn { client });
        }
        Ok(world)
    }

    /// Runs to the end of the setup's duration.
    pub fn run(&mut self, sink: &mut dyn Sink) -> Outcome {
        let end = Instant::ZERO.saturating_add(self.setup.duration);
        let verdict = self.run_until(end, sink).and_then(|()| self.conclude(false));
        self.outcome(verdict)
    }

    /// What is to be said of a run that ended so.
    pub fn outcome(&self, verdict: Result<(), Violation>) -> Outcome {
        let (hash, mut exercised) = (self.hash.value(), self.exercised);
        self.checkers.count(&mut exercised);
        let (events, time, excused) = (self.agenda.events(), self.agenda.now(), self.excused);
        Outcome { verdict, hash, events, time, exercised, excused }
    }

    /// When the next thing happens, and what it is, in a few words.
    pub fn next(&self) -> Option<(Instant, String)> {
        let (time, pending) = self.agenda.peek()?;
        let words = match pending {
            Pending::Fault(nth) => format!("fault {:?}", self.setup.timeline[*nth].1),
            pending => pending.to_string(),
        };
        Some((time, words))
    }

    /// The hash of everything so far that went into the nodes and came out of them, with its time.
    pub const fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// How many things have happened.
    pub const fn events(&self) -> u64 {
        self.agenda.events()
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
        self.scribe.listens = sink.listens();
        if self.agenda.events() == 0 {
            self.tell(None, Event::Service { leader: None });
        }
        let Some(pending) = self.agenda.next(until) else { return Ok(false) };
        let verdict = self.happen(pending).and_then(|()| self.hear_operator());
        self.look_for_unheard_loss();
        self.observe_service();
        self.scribe.hand_over(sink);
        verdict.map(|()| true)
    }

    /// The simulated time.
    pub const fn now(&self) -> Instant {
        self.agenda.now()
    }

    /// A host of this world.
    pub fn host(&self, id: NodeId) -> Option<&Host> {
        self.hosts.get(&id)
    }

    /// Every host, in the order of the ids.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// Everything that is shown to the checkers is kept, too.
    #[cfg(test)]
    pub(crate) fn checkers(&mut self) -> &mut Checkers {
        &mut self.checkers
    }

    /// What the choices were, if they were [recorded](Choices::recorded).
    pub fn tape(&self) -> &[Choice] {
        self.choices.tape()
    }

    /// The leader that can commit, see [`Event::Service`].
    pub fn leader_that_can_commit(&self) -> Option<NodeId> {
        self.find_service()
    }

    fn schedule(&mut self, time: Instant, pending: Pending) {
        self.agenda.schedule(time, pending);
    }

    fn happen(&mut self, pending: Pending) -> Result<(), Violation> {
        if self.agenda.stands_still() {
            return Err(self.violation("progress", "time stands still".to_owned()));
        }
        match pending {
            Pending::Start(node) => self.start(node),
            Pending::Fault(nth) => self.fault(nth),
            Pending::Disk { node, life } => self.disk(node, life),
            Pending::Report { node, life, input } => self.report(node, life, input),
            Pending::Build { life, envelope, machine } => {
                self.build(life, envelope, machine);
                Ok(())
            }
            Pending::Deliver(packet) => self.deliver(packet),
            Pending::Poll { node, life } => self.poll(node, life),
            Pending::Request { node, request } => self.request(node, request),
            Pending::Answer { client, serial, answer } => self.answer(client, serial, answer),
            Pending::Turn { client } => self.turn(client),
            Pending::Retry { client, serial } => {
                self.attempt(client, serial);
                Ok(())
            }
            Pending::AskAgain { client, serial, attempt } => {
                self.ask_again(client, serial, attempt);
                Ok(())
            }
            Pending::GiveUp { client, serial } => self.give_up(client, serial),
            Pending::Wake { node, life } => self.wake(node, life),
        }
    }

    /// The process, if it is the one of this life.
    fn lives(&self, node: NodeId, life: u64) -> bool {
        self.hosts.get(&node).is_some_and(|host| host.process.is_some() && host.life == life)
    }

    fn start(&mut self, id: NodeId) -> Result<(), Violation> {
        let host = self.hosts.get_mut(&id).expect("the setup names nodes that exist");
        if host.process.is_some() {
            host.crash_in_step = false;
            return Ok(());
        }
        let first = host.life == 0;
        let config = match host.start(&self.setup, self.agenda.now(), &mut self.choices) {
            Ok((config, was_torn)) => {
                self.exercised.torn_records += u64::from(was_torn);
                config
            }
            Err(Unstartable::Damaged(damage)) => {
                self.exercised.damaged_starts += 1;
                self.take_into_hash(&(id, damage));
                self.tell(Some(id), Event::Damaged { damage });
                return Ok(());
            }
            Err(Unstartable::Refused(error)) => {
                let sentence = format!("{id:?} refuses what a crash can leave behind: {error}");
                return Err(self.violation("recovery", sentence));
            }
        };
        self.has_a_disk(id);
        self.take_into_hash(&(id, "start", config.seed));
        let config = Box::new(config);
        let membership = self.hosts[&id].given_membership().clone();
        if first {
            self.tell(Some(id), Event::Init { config, membership });
        } else {
            self.exercised.restarts += 1;
            self.tell(Some(id), Event::Restart { config });
        }
        self.show(id, Happening::Started)?;
        self.schedule_wake(id);
        Ok(())
    }

    /// Ends a process, and lets the disk lose what it may.
    fn crash(&mut self, id: NodeId, actions_lost: usize) -> Result<(), Violation> {
        let host = self.hosts.get_mut(&id).expect("the setup names nodes that exist");
        if host.process.is_none() {
            return Ok(());
        }
        host.stop();
        let mut lost = host.disk.crash(&mut self.choices);
        lost.actions = actions_lost;
        self.exercised.crashes += 1;
        self.exercised.lost_writes += u64::from(lost.survived < lost.in_flight);
        self.exercised.surviving_writes += u64::from(lost.survived > 0);
        self.exercised.torn_writes += u64::from(lost.torn);
        self.look_for_loss(id);
        self.take_into_hash(&(id, "crash", lost));
        self.tell(Some(id), Event::Crash { lost });
        self.show(id, Happening::Crashed)
    }

    fn disk(&mut self, id: NodeId, life: u64) -> Result<(), Violation> {
        if !self.lives(id, life) {
            return Ok(());
        }
        let host = self.hosts.get_mut(&id).expect("it lives");
        let (reports, failed) = host.disk.complete(self.agenda.now(), &mut self.choices);
        let mut arrivals = std::mem::take(&mut self.arrivals);
        arrivals.extend(reports.into_iter().filter_map(|report| self.reported(id, report)));
        self.show(id, Happening::Synced)?;
        for arrival in arrivals.drain(..) {
            if self.lives(id, life) {
                self.arrive(id, arrival)?;
            }
        }
        self.arrivals = arrivals;
        if failed && self.lives(id, life) {
            // To go on would be to promise what cannot be kept.
            self.exercised.writes_failed += 1;
            self.tell(Some(id), Event::WriteFailed);
            return self.crash(id, 0);
        }
        Ok(())
    }

    /// Reads the commands that a message names, and gives it to the link.
    fn build(&mut self, life: u64, envelope: Envelope, machine: Option<Box<Machine>>) {
        if !self.lives(envelope.from, life) {
            return self.drop_message(envelope, DropReason::Down);
        }
        let log = &self.hosts[&envelope.from].process.as_ref().expect("it lives").log;
        let commands = match &envelope.message {
            Message::AppendEntries(append) => attach(append, |position| log.command(position)),
            _ => Ok(Vec::new()),
        };
        let Ok(commands) = commands else {
            return self.drop_message(envelope, DropReason::PayloadGone);
        };
        let (first, again) =
            match self.network.send(&envelope, self.agenda.now(), &mut self.choices) {
                Passage::Arrives(first, again) => (first, again),
                Passage::Lost(reason) => return self.drop_message(envelope, reason),
            };
        if again.is_some() {
            self.exercised.duplicates += 1;
            self.tell(None, Event::Duplicate { message: envelope.clone() });
        }
        let packet =
            self.network.packet(envelope, Payload { commands, machine }, self.agenda.now());
        self.network.leaves(&packet);
        match again {
            None => self.schedule(first, Pending::Deliver(packet)),
            Some(again) => {
                self.schedule(first, Pending::Deliver(packet.clone()));
                self.schedule(again, Pending::Deliver(packet));
            }
        }
    }

    fn deliver(&mut self, packet: Packet) -> Result<(), Violation> {
        let to = packet.envelope.to;
        let receives = self.hosts.get(&to).is_some_and(|host| host.process.is_some());
        if !self.network.arrives(&packet, self.agenda.now()) {
            self.drop_message(packet.envelope, DropReason::Cut);
            return Ok(());
        }
        if !receives {
            self.drop_message(packet.envelope, DropReason::Down);
            return Ok(());
        }
        self.sent(&packet.envelope, Ended::Done);
        self.arrive(to, Arrival::Message(packet))
    }

    fn drop_message(&mut self, message: Envelope, reason: DropReason) {
        self.exercised.dropped(reason);
        self.sent(&message, Ended::Failed);
        self.tell(None, Event::Drop { message, reason });
    }

    fn tell(&mut self, node: Option<NodeId>, event: Event) {
        if self.scribe.listens {
            let state = node.and_then(|id| self.hosts[&id].state());
            self.scribe.write(self.agenda.now(), node, event, state);
        }
    }

    fn take_into_hash(&mut self, what: &impl Hash) {
        self.hash.take(&self.agenda.now());
        self.hash.take(what);
    }
}
