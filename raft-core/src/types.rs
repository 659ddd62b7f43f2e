//! The words of the protocol as newtypes: nobody adds a term to an index by accident.

use core::fmt;
use core::time::Duration;

/// The greatest index, count, round, ticket or id that is accepted from outside. Above it a number
/// is malformed. For terms see [`TERM_REACH`].
pub const LIMIT: u64 = 1 << 62;

/// How far above a node's own term a message may be. One that is further ahead is refused, or a
/// single message with a term near the end of the range would end all elections: no later term
/// could exceed it.
///
/// The limit moves with the node's own term, so wherever a message has taken a node there is room
/// above it. The end of the range of terms, `u64::MAX - 1`, is 2^24 such messages away.
pub const TERM_REACH: u64 = 1 << 40;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(transparent))]
        pub struct $name(pub u64);

        impl $name {
            /// The number inside.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

number! {
    /// The identity of a node, unique in its cluster for ever.
    ///
    /// A node whose disk is lost comes back under a new id: under the old one it would have
    /// forgotten votes and acknowledgements that others count on.
    NodeId, "S"
}

number! {
    /// A term: the logical clock of Raft. Every node starts in term 0 (Raft paper, 5.1; N6), the
    /// first election is held in term 1.
    Term, "t"
}

number! {
    /// A position in the log counted from 1; 0 is the position before the first entry.
    LogIndex, "i"
}

number! {
    /// Names a write to the disk, see [`Write`](crate::Write). Tickets of one life of a node grow
    /// by one; they start at a number drawn from the seed, so that none is valid in another life.
    Ticket, "w"
}

number! {
    /// Names what a leader or a pre-candidate sent at one moment, so that an answer can be matched
    /// with its question. Rounds of one life grow; they start at a number drawn from the seed.
    Round, "r"
}

number! {
    /// The caller's own name for a request; it comes back in the answer and means nothing here.
    Token, "#"
}

impl Term {
    /// The term before the first election.
    pub const ZERO: Self = Self(0);

    /// The last term: nobody campaigns in it. It has a successor, so nothing overflows.
    pub(crate) const LAST: Self = Self(u64::MAX - 1);

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The greatest term of a message that a node of this term takes.
    pub(crate) fn furthest(self) -> Self {
        Self(self.0.saturating_add(TERM_REACH)).min(Self::LAST)
    }
}

impl LogIndex {
    /// The position before the first entry.
    pub const ZERO: Self = Self(0);
    /// Above every index.
    pub const MAX: Self = Self(u64::MAX);

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(crate) const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    pub(crate) const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// How many entries lie in `(other, self]`; 0 if `self` is not above `other`.
    pub(crate) const fn since(self, other: Self) -> u64 {
        self.0.saturating_sub(other.0)
    }
}

impl Ticket {
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Round {
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The name of a log entry: entries of two nodes at the same position are the same entry, and so
/// are all entries before them (log matching, Raft paper, 5.3).
///
/// The order is the one in which votes are given (Raft paper, 5.4.1; N12): the greater last term is
/// the more up to date, and with equal terms the longer log.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LogPosition {
    /// The term in which the entry was appended by its leader.
    pub term: Term,
    /// Where it stands in the log.
    pub index: LogIndex,
}

impl LogPosition {
    /// The position before the first entry: every log holds it.
    pub const ZERO: Self = Self { term: Term::ZERO, index: LogIndex::ZERO };

    /// The position `(term, index)`.
    pub const fn new(term: Term, index: LogIndex) -> Self {
        Self { term, index }
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.term, self.index)
    }
}

impl fmt::Debug for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A moment on this node's own monotonic clock, in nanoseconds from an origin of its choice.
///
/// The clock must count the time that the machine is suspended, or a lease would outlive its time.
/// Instants of different nodes are never compared.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);
    /// The end of the range.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The moment `duration` later; [`Instant::MAX`] if that is beyond the range.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        self.plus_nanos(nanos(duration))
    }

    /// The moment `nanos` nanoseconds later; [`Instant::MAX`] if that is beyond the range.
    pub(crate) const fn plus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is the later one.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}ns", self.0)
    }
}

/// A duration in nanoseconds, cut off at the end of the range.
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let whole = duration.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(duration.subsec_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::{Instant, LogIndex, LogPosition, Term, nanos};
    use core::time::Duration;
    use quickcheck::quickcheck;

    fn position(term: u64, index: u64) -> LogPosition {
        LogPosition::new(Term(term), LogIndex(index))
    }

    quickcheck! {
        /// N12, against the paper's sentence: last term first, then length.
        fn order_of_positions_is_last_term_first_then_length(a: (u64, u64), b: (u64, u64)) -> bool {
            let newer = if a.0 == b.0 { a.1 >= b.1 } else { a.0 > b.0 };
            (position(a.0, a.1) >= position(b.0, b.1)) == newer
        }

        fn a_later_instant_is_later_by_the_duration(start: u64, nanos: u64) -> bool {
            let start = Instant::from_nanos(start >> 1);
            let duration = Duration::from_nanos(nanos >> 1);
            start.saturating_add(duration).saturating_since(start) == duration
        }
    }

    #[test]
    fn durations_beyond_the_range_are_cut_off() {
        assert_eq!(nanos(Duration::MAX), u64::MAX);
        assert_eq!(Instant::from_nanos(7).saturating_add(Duration::MAX), Instant::MAX);
    }
}
