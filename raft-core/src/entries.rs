//! Log entries without their content: runs of a term, memberships, and what a snapshot covers.

use crate::error::EntriesError;
use crate::membership::Membership;
use crate::types::{LIMIT, LogPosition, Term};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// A short list of which the first element owns no heap memory.
///
/// Nearly every message carries one run or none, so the common case does not allocate.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "Vec<T>", into = "Vec<T>"))]
#[cfg_attr(feature = "serde", serde(bound(serialize = "T: Clone + serde::Serialize")))]
pub struct Runs<T> {
    head: Option<T>,
    tail: Vec<T>,
}

impl<T> Runs<T> {
    /// The empty list.
    pub const fn new() -> Self {
        Self { head: None, tail: Vec::new() }
    }

    /// Appends at the end.
    pub fn push(&mut self, item: T) {
        match self.head {
            None => self.head = Some(item),
            Some(_) => self.tail.push(item),
        }
    }

    /// Removes the last element and returns it.
    pub fn pop(&mut self) -> Option<T> {
        self.tail.pop().or_else(|| self.head.take())
    }

    /// The last element.
    pub fn last(&self) -> Option<&T> {
        self.tail.last().or(self.head.as_ref())
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.tail.last_mut().or(self.head.as_mut())
    }

    /// From the first element to the last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + Clone {
        self.head.iter().chain(self.tail.iter())
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        usize::from(self.head.is_some()) + self.tail.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<Vec<T>> for Runs<T> {
    fn from(items: Vec<T>) -> Self {
        items.into_iter().collect()
    }
}

impl<T> From<Runs<T>> for Vec<T> {
    fn from(runs: Runs<T>) -> Self {
        runs.head.into_iter().chain(runs.tail).collect()
    }
}

impl<T> FromIterator<T> for Runs<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        Self { head: items.next(), tail: items.collect() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Runs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Consecutive entries of one term and one kind.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Run {
    /// `count` commands of clients. Their bytes are the runtime's.
    Commands {
        /// The term in which they were appended.
        term: Term,
        /// How many; at least 1.
        count: u64,
    },
    /// One membership entry. The core must know its content, so it has no payload.
    Membership {
        /// The term in which it was appended.
        term: Term,
        /// The membership that is in force from this entry on.
        membership: Box<Membership>,
    },
}

impl Run {
    /// The term of its entries.
    pub const fn term(&self) -> Term {
        match self {
            Self::Commands { term, .. } | Self::Membership { term, .. } => *term,
        }
    }

    /// The number of its entries.
    pub const fn count(&self) -> u64 {
        match self {
            Self::Commands { count, .. } => *count,
            Self::Membership { .. } => 1,
        }
    }

    /// How many of its entries have a payload that the runtime must supply.
    pub const fn commands(&self) -> u64 {
        match self {
            Self::Commands { count, .. } => *count,
            Self::Membership { .. } => 0,
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commands { term, count } => write!(f, "{count}×{term:?}"),
            Self::Membership { term, membership } => write!(f, "{membership:?}×{term:?}"),
        }
    }
}

/// Consecutive entries of a log, without the bytes of their commands.
///
/// Invariants, checked by [`Entries::check`] for what comes from outside: no run is empty, terms do
/// not decrease, neighbouring runs of commands differ in their term, so that equal entries are
/// equal values.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Entries {
    runs: Runs<Run>,
}

impl Entries {
    /// No entries.
    pub const fn new() -> Self {
        Self { runs: Runs::new() }
    }

    /// Appends a run, joined with the last one where both are commands of one term.
    pub fn push(&mut self, run: Run) {
        if let Run::Commands { term, count } = run
            && let Some(Run::Commands { term: last, count: so_far }) = self.runs.last_mut()
            && *last == term
        {
            *so_far = so_far.saturating_add(count);
            return;
        }
        self.runs.push(run);
    }

    /// The runs, in the order of the log.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> + Clone {
        self.runs.iter()
    }

    /// The number of runs.
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// The number of entries; it saturates for entries that [`check`](Self::check) refuses.
    pub fn count(&self) -> u64 {
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.count()))
    }

    /// The number of entries that have a payload.
    pub fn commands(&self) -> u64 {
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.commands()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The position of the last entry if these follow `prev`; `prev` if there are none.
    pub fn last_position(&self, prev: LogPosition) -> LogPosition {
        let Some(last) = self.runs.last() else { return prev };
        LogPosition::new(last.term(), prev.index.plus(self.count()))
    }

    /// Whether these can stand after `prev` in a log of a node whose current term is `current`.
    ///
    /// # Errors
    ///
    /// Names the first rule that is broken.
    pub fn check(&self, prev: LogPosition, current: Term) -> Result<(), EntriesError> {
        let (mut term, mut index, mut commands) = (prev.term, prev.index, false);
        for run in self.runs.iter() {
            let joins = matches!(run, Run::Commands { .. });
            if run.count() == 0 {
                return Err(EntriesError::EmptyRun);
            }
            if run.term() < term || run.term() == Term::ZERO {
                return Err(EntriesError::DecreasingTerm { after: index });
            }
            if joins && commands && run.term() == term {
                return Err(EntriesError::NotJoined);
            }
            index = index.plus(run.count());
            if index.get() > LIMIT {
                return Err(EntriesError::BeyondLimit);
            }
            (term, commands) = (run.term(), joins);
        }
        if term > current {
            return Err(EntriesError::TermAboveCurrent { term, current });
        }
        Ok(())
    }

    /// Splits into the first `count` entries and the rest.
    #[must_use]
    pub fn split_at(self, count: u64) -> (Self, Self) {
        let (mut head, mut tail, mut left) = (Self::new(), Self::new(), count);
        for run in Vec::from(self.runs) {
            let here = run.count().min(left);
            left -= here;
            match run {
                _ if here == run.count() => head.push(run),
                Run::Commands { term, count } => {
                    if here > 0 {
                        head.push(Run::Commands { term, count: here });
                    }
                    tail.push(Run::Commands { term, count: count - here });
                }
                run @ Run::Membership { .. } => tail.push(run),
            }
        }
        (head, tail)
    }
}

impl FromIterator<Run> for Entries {
    fn from_iter<I: IntoIterator<Item = Run>>(runs: I) -> Self {
        let mut entries = Self::new();
        runs.into_iter().for_each(|run| entries.push(run));
        entries
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.runs.fmt(f)
    }
}

/// What a snapshot covers. Its content is the runtime's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// The last position that it covers.
    pub position: LogPosition,
    /// The membership in force at that position.
    pub membership: Membership,
}

impl Snapshot {
    /// The snapshot of nothing: what a cluster starts from.
    pub const fn genesis(membership: Membership) -> Self {
        Self { position: LogPosition::ZERO, membership }
    }
}
