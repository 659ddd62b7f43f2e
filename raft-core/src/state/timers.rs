//! The table of deadlines. Only [`Wake`](crate::Input::Wake) acts on them.

use crate::types::Instant;

/// The last moment at which a node does anything. Deadlines must not run over the end of the clock:
/// T is at most a day, and the last moment of an election lies less than 2T ahead.
pub(crate) const LAST_MOMENT: Instant =
    Instant::from_nanos(u64::MAX - 2 * 24 * 60 * 60 * 1_000_000_000);

/// Every moment at which a node may act by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Deadline {
    /// No leader was heard for the election timeout, or the election has taken too long.
    Election,
    /// Who has not answered a request of this candidate is asked again.
    Repeat,
    /// The leader asks its followers for a sign of life.
    Heartbeat,
    /// The leader looks whether it still hears a quorum.
    CheckQuorum,
    /// The oldest read has waited too long.
    Read,
    /// A follower's question to its leader is repeated.
    ReadRepeat,
    /// The transfer of leadership has taken too long.
    Transfer,
    /// The leader's oldest write has waited too long.
    Disk,
}

/// When each [`Deadline`] is due; `None` where it is not set.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Timers([Option<Instant>; 8]);

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

    /// The latest deadline.
    #[cfg(feature = "serde")]
    pub(crate) fn latest(&self) -> Option<Instant> {
        self.0.into_iter().flatten().max()
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::{Deadline, Timers};
    use crate::types::Instant;

    const ALL: [Deadline; 3] = [Deadline::Election, Deadline::Heartbeat, Deadline::CheckQuorum];

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn each_deadline_stands_alone_and_the_earliest_is_next() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        for (nanos, deadline) in (10..).zip(ALL) {
            timers.set(deadline, Some(at(nanos)));
        }
        for (nanos, deadline) in (10..).zip(ALL) {
            assert_eq!(timers.get(deadline), Some(at(nanos)));
            assert_eq!(timers.next(), Some(at(nanos)), "the ones before it are gone");
            timers.set(deadline, None);
        }
        assert_eq!(timers, Timers::default());
    }

    #[test]
    fn a_deadline_is_due_at_its_moment_and_after() {
        let mut timers = Timers::default();
        for deadline in ALL {
            assert!(!timers.is_due(deadline, Instant::MAX), "it is not set");
            timers.set(deadline, Some(at(10)));
            assert!(!timers.is_due(deadline, at(9)));
            assert!(timers.is_due(deadline, at(10)) && timers.is_due(deadline, at(11)));
        }
    }
}
