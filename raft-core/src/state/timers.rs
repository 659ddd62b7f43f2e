//! The table of deadlines. Only [`Wake`](crate::Input::Wake) acts on them.

use crate::types::Instant;

/// Every moment at which a node may act by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Deadline {
    /// No leader was heard for the election timeout, or the election has taken too long.
    Election,
    /// The leader asks its followers for a sign of life.
    Heartbeat,
    /// The leader looks whether it still hears a quorum.
    CheckQuorum,
    /// The oldest read has waited too long.
    Read,
    /// The transfer of the office has taken too long.
    Transfer,
    /// The leader's oldest write has waited too long.
    Disk,
}

/// When each [`Deadline`] is due; `None` where it is not set.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Timers([Option<Instant>; 6]);

impl Timers {
    pub(crate) const fn get(&self, deadline: Deadline) -> Option<Instant> {
        self.0[deadline as usize]
    }

    pub(crate) const fn set(&mut self, deadline: Deadline, at: Option<Instant>) {
        self.0[deadline as usize] = at;
    }

    pub(crate) fn is_due(&self, deadline: Deadline, now: Instant) -> bool {
        self.get(deadline).is_some_and(|at| at <= now)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.into_iter().flatten().min()
    }
}
