//! A host: the runtime around one node, with its disk, its log of commands and its state machine.

use crate::checker::View;
use crate::choice::{Choices, Question};
use crate::client::Request;
use crate::disk::{Disk, Stored};
use crate::log::{Command, Entry, Log};
use crate::network::Packet;
use crate::obligation::Ledger;
use crate::record::{NodeState, Operation};
use crate::setup::{NodeSetup, Setup};
use raft_core::payload::Content;
use raft_core::{
    Config, Input, Instant, LogIndex, LogPosition, Membership, Node, NodeId, Recovered, Snapshot,
    StartError, Status, Ticket, Token,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// What comes to a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Arrival {
    /// A message.
    Message(Packet),
    /// A completion of its disk.
    Persisted(Ticket),
    /// Commands of a client.
    Request(Request),
    /// A wish of the operator, a report of the host, or a read: what comes without bytes.
    Told(Input),
    /// Its deadline has passed.
    Wake,
}

impl Arrival {
    /// What the core is told, and the bytes that stay with the host.
    pub fn split(self) -> (Input, Vec<Command>) {
        match self {
            Self::Message(packet) => (Input::Message(packet.envelope), packet.commands),
            Self::Persisted(ticket) => (Input::Persisted { ticket }, Vec::new()),
            Self::Request(Request { token, commands }) => {
                let count = u64::try_from(commands.len()).expect("a request fits into memory");
                (Input::Propose { token, count }, commands)
            }
            Self::Told(input) => (input, Vec::new()),
            Self::Wake => (Input::Wake, Vec::new()),
        }
    }
}

/// The state machine: the last value of each key.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Machine {
    values: BTreeMap<u64, u64>,
    applied: LogIndex,
}

impl Machine {
    /// Applies the next entry. A write answers what it wrote, a read what was written last.
    pub fn apply(&mut self, entry: &Entry) -> Option<u64> {
        self.applied = LogIndex(self.applied.get() + 1);
        let Content::Command(command) = &entry.content else { return None };
        match command.operation {
            Operation::Write { key, value } => {
                self.values.insert(key, value);
                Some(value)
            }
            Operation::Read { key } => self.values.get(&key).copied(),
        }
    }

    /// The last index applied.
    pub const fn applied(&self) -> LogIndex {
        self.applied
    }
}

/// What a running process has in memory.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Process {
    /// The node.
    pub node: Node,
    /// What it said of itself after its last step.
    pub status: Status,
    /// The log as the host reads it: the disk's, with the writes on their way.
    pub log: Log,
    /// The state machine.
    pub machine: Machine,
    /// Which write each message rests on.
    pub ledger: Ledger,
    /// Who waits for which position.
    pub waiting: BTreeMap<LogIndex, (LogPosition, Token)>,
    /// What has arrived and was not stepped yet.
    pub inbox: Vec<Arrival>,
    /// When the next look into a gathering inbox is due.
    pub poll_at: Option<Instant>,
    /// The earliest wake-up that is on its way.
    pub wake_at: Option<Instant>,
    clock_offset: Duration,
}

impl Process {
    /// The node's own clock.
    pub const fn clock(&self, now: Instant) -> Instant {
        now.saturating_add(self.clock_offset)
    }

    /// When the node's deadline is, in simulated time.
    pub fn deadline(&self) -> Option<Instant> {
        let origin = Instant::ZERO.saturating_add(self.clock_offset);
        let after = self.node.deadline()?.saturating_since(origin);
        Some(Instant::ZERO.saturating_add(after))
    }
}

/// One host.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Host {
    setup: NodeSetup,
    /// The membership it was given.
    given: Membership,
    /// How often it was started.
    pub life: u64,
    /// The process, while it runs.
    pub process: Option<Process>,
    /// The disk.
    pub disk: Disk,
    /// Whether the process stands still.
    pub paused: bool,
    /// Whether it is to crash in its next step.
    pub crash_in_step: bool,
    /// How far its state machine had come when it ended last.
    applied: LogIndex,
    /// What it would be seen by while it is down.
    last_membership: Membership,
}

impl Host {
    /// A host that was not started yet.
    pub fn new(setup: &Setup, node: &NodeSetup) -> Self {
        let stored = Stored { hard_state: node.hard_state, log: Log::invented(&node.entries) };
        let given = node.membership.as_ref().unwrap_or(&setup.membership);
        Self {
            setup: node.clone(),
            given: given.clone(),
            life: 0,
            process: None,
            disk: Disk::new(setup.disk, stored),
            paused: false,
            crash_in_step: false,
            applied: LogIndex::ZERO,
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
        self.process.as_ref().map_or(&self.last_membership, |process| process.node.membership())
    }

    /// Starts the process from what the disk holds; returns the configuration of this life.
    ///
    /// # Errors
    ///
    /// If the node refuses: what the simulated disk holds can come from a crash, so it must not.
    pub fn start(
        &mut self,
        setup: &Setup,
        now: Instant,
        choices: &mut Choices,
    ) -> Result<Config, StartError> {
        let config = setup.config(&self.setup, choices.below(Question::NodeSeed, u64::MAX));
        let clock_offset =
            choices.duration(Question::ClockOffset, Duration::ZERO, setup.clock_offset);
        // A state machine that is durable itself goes on where it was; another begins anew.
        let durable = choices.below(Question::DurableApplied, 2) == 1;
        let applied = if durable { self.applied } else { LogIndex::ZERO };
        let Stored { hard_state, log } = self.disk.stored().clone();
        let recovered = Recovered {
            hard_state,
            snapshot: Snapshot::genesis(self.given.clone()),
            prev: LogPosition::ZERO,
            entries: log.positions(),
            applied,
        };
        let node = Node::new(config.clone(), recovered, now.saturating_add(clock_offset))?;
        let mut machine = Machine::default();
        for (_, entry) in log.iter().take_while(|(position, _)| position.index <= applied) {
            machine.apply(entry);
        }
        self.life += 1;
        self.paused = false;
        self.crash_in_step = false;
        self.process = Some(Process {
            status: node.status(),
            node,
            log,
            machine,
            ledger: Ledger::new(hard_state),
            waiting: BTreeMap::new(),
            inbox: Vec::new(),
            poll_at: None,
            wake_at: None,
            clock_offset,
        });
        Ok(config)
    }

    /// Ends the process. What the disk loses is the caller's to decide.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            self.applied = process.machine.applied;
            self.last_membership = process.node.membership().clone();
        }
    }

    /// What is seen of it from outside.
    pub fn view(&self) -> View<'_> {
        let stored = self.disk.stored();
        let process = self.process.as_ref();
        View {
            id: self.id(),
            life: self.life,
            status: process.map(|process| &process.status),
            membership: self.membership(),
            stored,
            log: process.map_or(&stored.log, |process| &process.log),
            clock_offset: process.map_or(Duration::ZERO, |process| process.clock_offset),
        }
    }

    /// What a record says of it; `None` while it is down.
    pub fn state(&self) -> Option<NodeState> {
        let Process { status, machine, .. } = self.process.as_ref()?;
        Some(NodeState { applied: machine.applied, ..self.state_of(status) })
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
        }
    }
}
