//! The tunables of one node: as against `membership`, who belongs to the cluster.

use crate::error::ConfigError;
use crate::types::{LIMIT, NodeId, nanos};
use core::time::Duration;

/// How a node protects a working leader from elections that it does not need.
///
/// One enum, so that no unsound mixture can be configured: a lease without check-quorum would let a
/// leader that reaches no quorum keep its followers from electing another for ever.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Protection {
    /// The Raft paper and no more: whoever times out raises the term. Here to be compared with.
    Plain,
    /// A node asks whether it would win before it raises its term (thesis, 9.6). It survives a node
    /// that is cut off, not one that is heard by some (N13, N14). Here to be compared with.
    PreVote,
    /// Pre-vote; voters refuse while they hear a leader (thesis, 4.2.3 and 6.4.1); and a leader
    /// that does not hear a quorum steps down (thesis, 6.2).
    #[default]
    Full,
}

/// The tunables of one node.
///
/// Nodes of one cluster may differ in all of it, but for the time of a rolling upgrade only in
/// `protection`: the liveness of the cluster is that of its weakest level.
///
/// It begins with [`Config::new`]; every field can be set then. A later version may have more of
/// them, so that a literal of all of them is not possible outside of this crate:
///
/// ```
/// # use raft_core::{Config, NodeId};
/// let mut config = Config::new(NodeId(1), 42);
/// config.max_uncommitted = 1000;
/// ```
///
/// ```compile_fail,E0639
/// # use raft_core::{Config, NodeId};
/// let config = Config { max_uncommitted: 1000, ..Config::new(NodeId(1), 42) };
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// A number that is fresh at each start of the process: deadlines, tickets and rounds follow
    /// from it. Take it from the operating system, and record it where runs are replayed.
    pub seed: u64,
    /// T. A node that hears no leader for T, and a random time in `[0, T)` more, asks for votes. It
    /// must be well above the time of a broadcast and below the time between failures (Raft paper,
    /// 5.6). At least 1 µs, at most one day; by default 1 s. With [`Protection::Plain`] it should
    /// be the same at every node: one that times out much earlier than the others, and cannot win,
    /// resets their election timers each time (N2).
    pub election_timeout: Duration,
    /// How often a leader asks its followers for a sign of life. At most half of
    /// `election_timeout`; by default a tenth of it.
    pub heartbeat_interval: Duration,
    /// See [`Protection`].
    pub protection: Protection,
    /// The greatest lease that this node promises to a leader, whose election timeout may be longer
    /// than its own; it promises nothing to a leader who asks for more. At least
    /// `election_timeout`, at most ten days; by default four times that.
    pub longest_promise: Duration,
    /// How many entries one `AppendEntries` carries at most. At least 1; by default 1024.
    pub max_entries_per_message: u64,
    /// How many `AppendEntries` with entries are on their way to one follower at most. From 1 to
    /// 4096; by default 64.
    pub max_messages_in_flight: usize,
    /// How many entries are on their way to one follower at most. At least 1; by default 65 536.
    pub max_entries_in_flight: u64,
    /// How many entries of this leader may wait for their commit; more are refused as
    /// [`TooManyUncommitted`](crate::RejectReason::TooManyUncommitted). At least 1; by default
    /// 1 048 576.
    pub max_uncommitted: u64,
    /// How many reads wait at most; more are refused as
    /// [`TooManyReads`](crate::RejectReason::TooManyReads). At least 1; by default 65 536.
    pub max_pending_reads: usize,
    /// By how much the rate of any clock of the cluster may be off, in parts per million: a lease
    /// is shorter than what was promised by twice this. At most 100 000; by default 1000.
    pub clock_drift_ppm: u32,
    /// A disk hangs if writes wait and none completes for so long. A leader whose disk hangs hands
    /// over or steps down, and a follower is silent to its leader until a write completes: who can
    /// write nothing helps nobody to commit. At least 1 µs, at most one day; by default 2T.
    pub disk_timeout: Duration,
    /// For how long a snapshot may be on its way to a peer before it is taken as lost, and for how
    /// long a node may install one before it is silent to its leader. At least 1 µs, at most one
    /// day; by default 60T.
    pub snapshot_timeout: Duration,
}

const SHORTEST: Duration = Duration::from_micros(1);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Config {
    /// The upper end of the range of `longest_promise`.
    pub(crate) const LONGEST_PROMISE: Duration = DAY.saturating_mul(10);

    /// The defaults for node `id`, with a `seed` that is fresh at each start.
    pub const fn new(id: NodeId, seed: u64) -> Self {
        Self {
            id,
            seed,
            election_timeout: Duration::from_secs(1),
            heartbeat_interval: Duration::from_millis(100),
            protection: Protection::Full,
            longest_promise: Duration::from_secs(4),
            max_entries_per_message: 1024,
            max_messages_in_flight: 64,
            max_entries_in_flight: 1 << 16,
            max_uncommitted: 1 << 20,
            max_pending_reads: 1 << 16,
            clock_drift_ppm: 1000,
            disk_timeout: Duration::from_secs(2),
            snapshot_timeout: Duration::from_secs(60),
        }
    }

    /// The same with another T, and what hangs on it in the default proportions.
    #[must_use]
    pub fn with_election_timeout(self, timeout: Duration) -> Self {
        Self {
            election_timeout: timeout,
            heartbeat_interval: timeout / 10,
            longest_promise: timeout.saturating_mul(4).min(Self::LONGEST_PROMISE),
            disk_timeout: timeout.saturating_mul(2).min(DAY),
            snapshot_timeout: timeout.saturating_mul(60).min(DAY),
            ..self
        }
    }

    /// Whether every value is in its range.
    ///
    /// [`Node::new`](crate::Node::new) calls this, so nobody can forget it.
    ///
    /// # Errors
    ///
    /// Names the first value that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let t = self.election_timeout;
        let in_range = [
            ("id", self.id.get() <= LIMIT),
            ("election_timeout", (SHORTEST..=DAY).contains(&t)),
            ("heartbeat_interval", nanos(self.heartbeat_interval) > 0),
            ("heartbeat_interval", nanos(self.heartbeat_interval) <= nanos(t) / 2),
            ("longest_promise", (t..=Self::LONGEST_PROMISE).contains(&self.longest_promise)),
            ("max_entries_per_message", (1..=LIMIT).contains(&self.max_entries_per_message)),
            ("max_messages_in_flight", (1..=4096).contains(&self.max_messages_in_flight)),
            ("max_entries_in_flight", (1..=LIMIT).contains(&self.max_entries_in_flight)),
            ("max_uncommitted", (1..=LIMIT).contains(&self.max_uncommitted)),
            ("max_pending_reads", self.max_pending_reads > 0),
            ("clock_drift_ppm", self.clock_drift_ppm <= 100_000),
            ("disk_timeout", (SHORTEST..=DAY).contains(&self.disk_timeout)),
            ("snapshot_timeout", (SHORTEST..=DAY).contains(&self.snapshot_timeout)),
        ];
        match in_range.iter().find(|(_, ok)| !ok) {
            Some((field, _)) => Err(ConfigError::OutOfRange { field }),
            None => Ok(()),
        }
    }

    /// How much of a promise a leader may count on, by its own clock, in nanoseconds: the other's
    /// may run fast by the drift bound, and its own slow.
    pub(crate) fn safe_lease_nanos(&self, promised: Duration) -> u64 {
        let (drift, million) = (u128::from(self.clock_drift_ppm), 1_000_000_u128);
        let safe = u128::from(nanos(promised)) * (million - drift) / (million + drift);
        u64::try_from(safe).expect("no longer than the promise")
    }

    /// T in nanoseconds.
    pub(crate) const fn timeout_nanos(&self) -> u64 {
        nanos(self.election_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::Config;
    use crate::error::ConfigError;
    use crate::types::NodeId;
    use core::time::Duration;

    #[test]
    fn defaults_are_valid() {
        let config = Config::new(NodeId(1), 7);
        assert_eq!(config.check(), Ok(()));
        for timeout in [Duration::from_millis(150), Duration::from_secs(3600), super::DAY] {
            assert_eq!(config.clone().with_election_timeout(timeout).check(), Ok(()));
        }
    }

    #[test]
    fn every_value_out_of_its_range_is_refused_by_name() {
        type Spoil = fn(&mut Config);
        let cases: [(&str, Spoil); 15] = [
            ("id", |c| c.id = NodeId(u64::MAX)),
            ("election_timeout", |c| c.election_timeout = Duration::ZERO),
            ("election_timeout", |c| c.election_timeout = Duration::MAX),
            ("heartbeat_interval", |c| c.heartbeat_interval = Duration::ZERO),
            ("heartbeat_interval", |c| c.heartbeat_interval = c.election_timeout),
            ("longest_promise", |c| c.longest_promise = Duration::ZERO),
            ("max_entries_per_message", |c| c.max_entries_per_message = 0),
            ("max_messages_in_flight", |c| c.max_messages_in_flight = 0),
            ("max_messages_in_flight", |c| c.max_messages_in_flight = 1 << 20),
            ("max_entries_in_flight", |c| c.max_entries_in_flight = 0),
            ("max_uncommitted", |c| c.max_uncommitted = 0),
            ("max_pending_reads", |c| c.max_pending_reads = 0),
            ("clock_drift_ppm", |c| c.clock_drift_ppm = 100_001),
            ("disk_timeout", |c| c.disk_timeout = Duration::MAX),
            ("snapshot_timeout", |c| c.snapshot_timeout = Duration::ZERO),
        ];
        for (field, spoil) in cases {
            let mut config = Config::new(NodeId(1), 7);
            spoil(&mut config);
            assert_eq!(config.check(), Err(ConfigError::OutOfRange { field }));
        }
    }
}
