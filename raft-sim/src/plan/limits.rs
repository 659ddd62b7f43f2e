//! The limits of the nodes' configuration that a run may draw tighter, or wider, than they are by
//! default.

use raft_core::Config;
use std::time::Duration;

/// Each the field of [`Config`] of its name; `None` for its default.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// [`Config::max_entries_per_message`].
    pub max_entries_per_message: Option<u64>,
    /// [`Config::max_messages_in_flight`].
    pub max_messages_in_flight: Option<usize>,
    /// [`Config::max_entries_in_flight`].
    pub max_entries_in_flight: Option<u64>,
    /// [`Config::max_uncommitted`].
    pub max_uncommitted: Option<u64>,
    /// [`Config::max_pending_reads`].
    pub max_pending_reads: Option<usize>,
    /// [`Config::clock_drift_ppm`].
    pub clock_drift_ppm: Option<u32>,
    /// [`Config::disk_timeout`].
    pub disk_timeout: Option<Duration>,
}

impl Limits {
    /// The configuration within these limits.
    #[must_use]
    pub fn within(&self, mut config: Config) -> Config {
        fn set<T>(field: &mut T, given: Option<T>) {
            if let Some(given) = given {
                *field = given;
            }
        }
        set(&mut config.max_entries_per_message, self.max_entries_per_message);
        set(&mut config.max_messages_in_flight, self.max_messages_in_flight);
        set(&mut config.max_entries_in_flight, self.max_entries_in_flight);
        set(&mut config.max_uncommitted, self.max_uncommitted);
        set(&mut config.max_pending_reads, self.max_pending_reads);
        set(&mut config.clock_drift_ppm, self.clock_drift_ppm);
        set(&mut config.disk_timeout, self.disk_timeout);
        config
    }
}
