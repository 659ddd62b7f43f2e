//! How links, disks, snapshots and clients behave.

use crate::plan::text::{quoted, span};
use raft_core::driver::Settings;
use raft_core::{Instant, NodeId};
use std::time::Duration;

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

impl LinkProfile {
    /// The keys of a scenario file with their values.
    pub(crate) fn keys(&self) -> Vec<(&'static str, String)> {
        let Self { min_delay, max_delay, loss_ppm, duplicate_ppm } = *self;
        let mut keys = vec![("delay", quoted(span(min_delay, max_delay)))];
        for (name, ppm) in [("loss_ppm", loss_ppm), ("duplicate_ppm", duplicate_ppm)] {
            if ppm > 0 {
                keys.push((name, ppm.to_string()));
            }
        }
        keys
    }
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
    /// How many of a million installations fail. If not 0, what became of a snapshot that was sent
    /// is sometimes reported late, or never.
    pub failure_ppm: u32,
    /// From then on none fails or takes long, and each report comes.
    pub failures_until: Instant,
    /// [`Config::snapshot_timeout`](raft_core::Config::snapshot_timeout); 60 T if it is not given.
    pub timeout: Option<Duration>,
    /// How much longer than a write an installation may take, as long as installations may fail.
    pub install: Duration,
}

impl SnapshotProfile {
    /// How much longer an installation may take that begins now.
    pub fn installing(&self, now: Instant) -> Duration {
        if now < self.failures_until { self.install } else { Duration::ZERO }
    }

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
            install: Duration::ZERO,
        }
    }
}

/// The limits and habits of the drivers: each limit is the field of
/// [`Settings`](raft_core::driver::Settings) of its name, in bytes; `None` for its default. A
/// command counts [`Command::WEIGHT`](crate::host::Command::WEIGHT).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct DriverProfile {
    /// What one frame carries at most.
    pub frame_bytes: Option<u64>,
    /// What is on the way to one peer at most.
    pub in_flight_bytes: Option<u64>,
    /// What a leader accepts before it is committed.
    pub uncommitted_bytes: Option<u64>,
    /// What is applied at once.
    pub apply_bytes: Option<u64>,
    /// What is kept in memory of the log that is durable.
    pub cached_bytes: Option<u64>,
    /// What is kept of the log before a snapshot; nothing if it is not given.
    pub kept_bytes: Option<u64>,
    /// Whether whoever waits is told that nobody knows when leadership is lost; else he waits on.
    pub gives_up: bool,
    /// How many of a million entries that a driver reads off the disk are not at hand at once.
    pub miss_ppm: u32,
    /// How long whoever asks a node waits there; then he is told that his time is over. A promotion
    /// waits so long for the learner to catch up. If it is not given, everybody waits for ever, and
    /// a promotion is asked for once.
    pub patience: Option<Duration>,
}

impl DriverProfile {
    /// The settings of a driver that takes a snapshot after so many commands.
    pub fn settings(&self, every: u64, command: u64) -> Settings {
        let mut settings = Settings::default();
        let fields = [
            (&mut settings.frame_bytes, self.frame_bytes),
            (&mut settings.in_flight_bytes, self.in_flight_bytes),
            (&mut settings.uncommitted_bytes, self.uncommitted_bytes),
            (&mut settings.apply_bytes, self.apply_bytes),
            (&mut settings.cached_bytes, self.cached_bytes),
        ];
        for (field, given) in fields {
            *field = given.unwrap_or(*field);
        }
        // A frame is cut at what may be on the way, too.
        settings.frame_bytes = settings.frame_bytes.min(settings.in_flight_bytes);
        settings.snapshot_bytes = every.saturating_mul(command);
        settings.kept_bytes = self.kept_bytes.unwrap_or(0);
        settings.waits_through_elections = !self.gives_up;
        settings
    }
}

/// How far a host lags behind its disk and its node, up to a moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LagProfile {
    /// For how long at most the node is not told that a write is durable. Each write is reported by
    /// itself, in order, however many one sync has made durable.
    pub reports: Duration,
    /// For how long at most what is handed out to be applied waits until it is. What was handed out
    /// is applied in order, and before a snapshot is installed.
    pub applies: Duration,
    /// From then on nothing new lags.
    pub until: Instant,
}

impl LagProfile {
    /// How long a report may wait that begins to wait now.
    pub fn reporting(&self, now: Instant) -> Duration {
        if now < self.until { self.reports } else { Duration::ZERO }
    }

    /// How long entries may wait that begin to wait now.
    pub fn applying(&self, now: Instant) -> Duration {
        if now < self.until { self.applies } else { Duration::ZERO }
    }
}

impl Default for LagProfile {
    fn default() -> Self {
        Self { reports: Duration::ZERO, applies: Duration::ZERO, until: Instant::MAX }
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
    /// [`Operation::Apply`](crate::plan::record::Operation::Apply) instead of writes and reads.
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
