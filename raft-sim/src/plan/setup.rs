//! What a run is, as plain data: with a seed it decides everything that happens.
use crate::plan::act::any::Act;
use crate::plan::act::{DiskAct, LinkAct, ProcessAct};
use crate::plan::limits::Limits;
use crate::plan::profile::{
    ClientSetup, DiskProfile, DriverProfile, LagProfile, LinkProfile, SnapshotProfile,
};
use raft_core::driver::SettingsError;
use raft_core::{
    Config, Entries, HardState, Instant, LogPosition, Membership, Node, NodeId, Protection,
    Recovered, StartError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a run is. [`World::new`](crate::world::World::new) makes a world of it.
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
    /// How long a host may let inputs gather before it steps them as one; zero: each by itself,
    /// which is what a trace wants to show.
    pub gathering: Duration,
    /// How long a host may take from the moment at which it is to send a message to the moment
    /// that it reads the commands that the message names.
    pub build_delay: Duration,
    /// Every directed link that is not named in [`links`](Self::links).
    pub link: LinkProfile,
    /// Directed links, (from, to), that differ.
    pub links: BTreeMap<(NodeId, NodeId), LinkProfile>,
    /// Every disk.
    pub disk: DiskProfile,
    /// When snapshots are taken, and how they travel.
    pub snapshots: SnapshotProfile,
    /// How far hosts lag behind.
    pub lag: LagProfile,
    /// The limits and habits of the drivers.
    pub driver: DriverProfile,
    /// The clients, in the order of their numbers, from 1 on.
    pub clients: Vec<ClientSetup>,
    /// Whether a lease that is broken is an alarm, too, after a clock has deceived its node. If
    /// not, it is counted.
    pub strict_leases: bool,
    /// How long the run lasts.
    pub duration: Duration,
    /// What is done to the world, and when. Faults of one moment happen in the order of this list,
    /// before anything else of that moment.
    pub timeline: Vec<(Instant, Act)>,
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
            lag: LagProfile::default(),
            driver: DriverProfile::default(),
            clients: Vec::new(),
            strict_leases: false,
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
        self.check_changes()?;
        self.driver.settings(0, 0).check().map_err(|error| SetupError::Driver { error })?;
        let named = self.links.keys().copied().flat_map(|(from, to)| [from, to]);
        let named = named.chain(self.timeline.iter().flat_map(|(_, fault)| fault.nodes()));
        let named = named.chain(self.clients.iter().filter_map(|client| client.home));
        if let Some(node) = named.into_iter().find(|node| !ids.contains(node)) {
            return Err(SetupError::Unknown { node });
        }
        let set = self.timeline.iter().filter_map(|(_, fault)| match fault {
            Act::Link(LinkAct::SetLink { profile, .. }) => Some(profile),
            _ => None,
        });
        let mut profiles = self.links.values().chain([&self.link]).chain(set);
        let periods = self.timeline.iter().filter_map(|(_, fault)| match fault {
            Act::Link(LinkAct::Flap { period, .. }) => Some(period),
            _ => None,
        });
        if periods.into_iter().any(Duration::is_zero) {
            return Err(SetupError::Range);
        }
        let mut disks = self.timeline.iter().filter_map(|(_, fault)| match fault {
            Act::Disk(DiskAct::SetDisk { profile, .. }) => Some(profile),
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

    /// Whether every node can start with what the timeline sets for its next start.
    fn check_changes(&self) -> Result<(), SetupError> {
        for (_, act) in &self.timeline {
            let Act::Process(ProcessAct::SetTimeout { node, timeout }) = *act else { continue };
            let changed = NodeSetup { election_timeout: Some(timeout), ..NodeSetup::new(node) };
            let refused = |error| SetupError::Node { node, error: StartError::Config(error) };
            self.config(&changed, 0).check().map_err(refused)?;
        }
        Ok(())
    }

    /// The configuration of one node, with the seed of one of its lives.
    pub fn config(&self, node: &NodeSetup, seed: u64) -> Config {
        let timeout = node.election_timeout.unwrap_or(self.election_timeout);
        let mut config = Config::new(node.id, seed).with_election_timeout(timeout);
        config.heartbeat_interval = node.heartbeat_interval.unwrap_or(self.heartbeat_interval);
        config.protection = node.protection.unwrap_or(self.protection);
        config.snapshot_timeout = self.snapshots.timeout.unwrap_or(timeout * 60);
        self.limits.within(config)
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
    /// The limits of the drivers.
    #[error("no driver can start: {error}")]
    Driver {
        /// Why.
        error: SettingsError,
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
    /// Whether it starts with the run, or only with a
    /// [`ProcessAct::Restart`](crate::plan::ProcessAct::Restart).
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
