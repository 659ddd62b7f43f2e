//! What a run is, as plain data: with a seed it decides everything that happens.

mod change;
mod fault;
mod limits;
mod shape;

pub use change::Change;
pub use fault::{Fault, Hostile, MessageKind};
pub use limits::Limits;
pub use shape::{Shape, Whom};

use raft_core::{
    Config, Entries, HardState, Instant, LogPosition, Membership, Node, NodeId, Protection,
    Recovered, StartError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a run is. [`World::new`](crate::World::new) makes a world of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Setup {
    /// The membership with which every node starts that has none of its own.
    pub membership: Membership,
    /// The nodes, in the order of their columns.
    pub nodes: Vec<NodeSetup>,
    /// How a node protects a working leader, unless it says otherwise itself.
    pub protection: Protection,
    /// T, unless a node says otherwise itself.
    pub election_timeout: Duration,
    /// The heartbeat interval, unless a node says otherwise itself.
    pub heartbeat_interval: Duration,
    /// The limits of every node.
    pub limits: Limits,
    /// The greatest offset of a node's clock. Each life of a node draws its own, from zero on, so
    /// that instants of two clocks, or of two lives, mean nothing to one another.
    pub clock_offset: Duration,
    /// How long a host may let inputs gather before it steps them as one; zero: each by itself, which
    /// is what a trace wants to show.
    pub gathering: Duration,
    /// How long a host may take from the moment that it is told to send a message to the moment that
    /// it reads the commands that the message names.
    pub build_delay: Duration,
    /// Every directed link that is not named in [`links`](Self::links).
    pub link: LinkProfile,
    /// Directed links, (from, to), that differ.
    pub links: BTreeMap<(NodeId, NodeId), LinkProfile>,
    /// Every disk.
    pub disk: DiskProfile,
    /// When snapshots are taken, and how they travel.
    pub snapshots: SnapshotProfile,
    /// The clients, in the order of their numbers, from 1 on.
    pub clients: Vec<ClientSetup>,
    /// How long the run lasts.
    pub duration: Duration,
    /// What is done to the world, and when. Faults of one moment happen in the order of this list,
    /// before anything else of that moment.
    pub timeline: Vec<(Instant, Fault)>,
}

impl Setup {
    /// Nodes `1..=count`, all of them voters, with T = 1 s, a heartbeat each 100 ms, links of
    /// 1 to 5 ms without loss, disks of 1 to 3 ms, no clients, and ten seconds to live.
    ///
    /// # Panics
    ///
    /// If `count` is 0 or above [`Membership::MAX_VOTERS`].
    pub fn of_voters(count: u64) -> Self {
        let ids = (1..=count).map(NodeId);
        Self {
            membership: Membership::of_voters(ids.clone()).expect("from 1 to MAX_VOTERS voters"),
            nodes: ids.map(NodeSetup::new).collect(),
            protection: Protection::Full,
            election_timeout: Duration::from_secs(1),
            heartbeat_interval: Duration::from_millis(100),
            limits: Limits::default(),
            clock_offset: Duration::ZERO,
            gathering: Duration::ZERO,
            build_delay: Duration::ZERO,
            link: LinkProfile::default(),
            links: BTreeMap::new(),
            disk: DiskProfile::default(),
            snapshots: SnapshotProfile::default(),
            clients: Vec::new(),
            duration: Duration::from_secs(10),
            timeline: Vec::new(),
        }
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    ///
    /// Names the first thing that does not.
    pub fn check(&self) -> Result<(), SetupError> {
        let ids: BTreeSet<NodeId> = self.nodes.iter().map(|node| node.id).collect();
        if ids.is_empty() || ids.len() != self.nodes.len() {
            return Err(SetupError::Nodes);
        }
        for node in &self.nodes {
            let refused = |error| SetupError::Node { node: node.id, error };
            let membership = node.membership.as_ref().unwrap_or(&self.membership).clone();
            let recovered = Recovered {
                hard_state: node.hard_state,
                entries: node.entries.clone(),
                ..Recovered::fresh(membership)
            };
            Node::new(self.config(node, 0), recovered, Instant::ZERO).map_err(refused)?;
        }
        let named = self.links.keys().copied().flat_map(|(from, to)| [from, to]);
        let named = named.chain(self.timeline.iter().flat_map(|(_, fault)| fault.nodes()));
        let named = named.chain(self.clients.iter().filter_map(|client| client.home));
        if let Some(node) = named.into_iter().find(|node| !ids.contains(node)) {
            return Err(SetupError::Unknown { node });
        }
        let set = self.timeline.iter().filter_map(|(_, fault)| match fault {
            Fault::SetLink { profile, .. } => Some(profile),
            _ => None,
        });
        let mut profiles = self.links.values().chain([&self.link]).chain(set);
        let periods = self.timeline.iter().filter_map(|(_, fault)| match fault {
            Fault::Flap { period, .. } => Some(period),
            _ => None,
        });
        if periods.into_iter().any(Duration::is_zero) {
            return Err(SetupError::Range);
        }
        let mut disks = self.timeline.iter().filter_map(|(_, fault)| match fault {
            Fault::SetDisk { profile, .. } => Some(profile),
            _ => None,
        });
        let thinks = self.clients.iter().all(|client| client.min_think <= client.max_think);
        if !thinks
            || self.disk.min_latency > self.disk.max_latency
            || disks.any(|profile| profile.min_latency > profile.max_latency)
            || profiles.any(|profile| profile.min_delay > profile.max_delay)
        {
            return Err(SetupError::Range);
        }
        Ok(())
    }

    /// The configuration of one node, with the seed of one of its lives.
    pub fn config(&self, node: &NodeSetup, seed: u64) -> Config {
        let timeout = node.election_timeout.unwrap_or(self.election_timeout);
        self.limits.within(Config {
            heartbeat_interval: node.heartbeat_interval.unwrap_or(self.heartbeat_interval),
            protection: node.protection.unwrap_or(self.protection),
            snapshot_timeout: self.snapshots.timeout.unwrap_or(timeout * 60),
            ..Config::new(node.id, seed).with_election_timeout(timeout)
        })
    }
}

/// What makes no sense in a [`Setup`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SetupError {
    /// There are no nodes, or two with one id.
    #[error("a setup needs nodes, each with an id of its own")]
    Nodes,
    /// A node cannot start.
    #[error("{node:?} cannot start: {error}")]
    Node {
        /// The node.
        node: NodeId,
        /// Why.
        error: StartError,
    },
    /// A link, a fault or a client names a node that does not exist.
    #[error("{node:?} does not exist")]
    Unknown {
        /// The node.
        node: NodeId,
    },
    /// A range whose end is below its start, or a period of zero.
    #[error("a delay, a latency or a pause ends before it begins, or a period is zero")]
    Range,
}

/// One node of a [`Setup`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NodeSetup {
    /// Its id.
    pub id: NodeId,
    /// Its own T.
    pub election_timeout: Option<Duration>,
    /// Its own heartbeat interval.
    pub heartbeat_interval: Option<Duration>,
    /// Its own protection.
    pub protection: Option<Protection>,
    /// The membership it was given at its start; `None` for that of the [`Setup`].
    pub membership: Option<Membership>,
    /// What its disk holds at the start besides the log.
    pub hard_state: HardState,
    /// What its log holds at the start, after [`LogPosition::ZERO`]. The simulator invents the
    /// commands: the same position has the same command on every node.
    pub entries: Entries,
    /// Whether it starts with the run, or only with a [`Fault::Restart`].
    pub starts: bool,
}

impl NodeSetup {
    /// A node that has never run, with the defaults of the [`Setup`].
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            election_timeout: None,
            heartbeat_interval: None,
            protection: None,
            membership: None,
            hard_state: HardState::default(),
            entries: Entries::new(),
            starts: true,
        }
    }

    /// The last position of its log at the start.
    pub fn last(&self) -> LogPosition {
        self.entries.last_position(LogPosition::ZERO)
    }
}

/// How a directed link treats messages. A delay is drawn anew for each copy, so messages overtake
/// one another where the range allows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkProfile {
    /// The shortest delay.
    pub min_delay: Duration,
    /// The longest delay, not below the shortest.
    pub max_delay: Duration,
    /// How many of a million messages are lost.
    pub loss_ppm: u32,
    /// How many of a million messages arrive twice.
    pub duplicate_ppm: u32,
}

impl Default for LinkProfile {
    fn default() -> Self {
        Self {
            min_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(5),
            loss_ppm: 0,
            duplicate_ppm: 0,
        }
    }
}

/// How long a disk takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DiskProfile {
    /// The shortest time from a write to its completion.
    pub min_latency: Duration,
    /// The longest time from a write to its completion, where no earlier write holds it up.
    pub max_latency: Duration,
}

impl Default for DiskProfile {
    fn default() -> Self {
        Self { min_latency: Duration::from_millis(1), max_latency: Duration::from_millis(3) }
    }
}

/// When snapshots are taken, and how they travel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SnapshotProfile {
    /// A host takes one after so many applied entries; 0 for never.
    pub every: u64,
    /// How long one is on its way at least, besides the delay of its link.
    pub delay: Duration,
    /// How many of a million installations fail. If not 0, what became of a snapshot that was sent is
    /// sometimes reported late, or never.
    pub failure_ppm: u32,
    /// From then on none fails, and each report comes.
    pub failures_until: Instant,
    /// [`Config::snapshot_timeout`]; 60 T if it is not given.
    pub timeout: Option<Duration>,
}

impl SnapshotProfile {
    /// How many of a million installations fail that begin now.
    pub fn failing(&self, now: Instant) -> u32 {
        if now < self.failures_until { self.failure_ppm } else { 0 }
    }
}

impl Default for SnapshotProfile {
    fn default() -> Self {
        Self {
            every: 0,
            delay: Duration::from_millis(20),
            failure_ppm: 0,
            failures_until: Instant::MAX,
            timeout: None,
        }
    }
}

/// One client: it does one operation at a time, and thinks in between.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientSetup {
    /// The shortest pause after an operation.
    pub min_think: Duration,
    /// The longest pause after an operation.
    pub max_think: Duration,
    /// How many of a hundred operations are writes; the others read.
    pub write_percent: u32,
    /// How many of a hundred reads go to any node, without the log.
    pub query_percent: u32,
    /// Whether half of these are lease reads.
    pub leases: bool,
    /// How many keys it uses, or how many commands and questions of a state machine that is not the
    /// simulator's own; at least 1.
    pub keys: u64,
    /// Whether it speaks to such a state machine:
    /// [`Operation::Apply`](crate::record::Operation::Apply) instead of writes and reads.
    pub own: bool,
    /// The node that it always asks, whoever leads; `None` if it looks for the leader.
    pub home: Option<NodeId>,
    /// How long it waits until it gives the same command to another node; `None` if it never does.
    pub ask_again: Option<Duration>,
    /// How long it waits for an answer before it gives the operation up, with an unknown outcome.
    pub patience: Duration,
    /// When it begins.
    pub start: Instant,
    /// When it begins no further operation.
    pub stop: Instant,
}

impl Default for ClientSetup {
    fn default() -> Self {
        Self {
            min_think: Duration::from_millis(20),
            max_think: Duration::from_millis(60),
            write_percent: 50,
            query_percent: 0,
            leases: false,
            keys: 3,
            own: false,
            home: None,
            ask_again: None,
            patience: Duration::from_secs(2),
            start: Instant::ZERO,
            stop: Instant::MAX,
        }
    }
}
