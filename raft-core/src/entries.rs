//! Log entries without their content: runs of a term, memberships, and what a snapshot covers.

use crate::error::EntriesError;
use crate::membership::Membership;
use crate::types::{LIMIT, LogPosition, Term};
use crate::work;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// A short list of which a single element owns no heap memory.
///
/// Nearly every message carries one run or none, so the common case does not allocate.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "Vec<T>", into = "Vec<T>"))]
#[cfg_attr(feature = "serde", serde(bound(serialize = "T: Clone + serde::Serialize")))]
pub struct Runs<T>(Items<T>);

/// Each length has one form, so that equal lists are equal values: `Many` are at least two.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Items<T> {
    None,
    One(T),
    Many(Vec<T>),
}

impl<T> Runs<T> {
    /// The empty list.
    pub const fn new() -> Self {
        Self(Items::None)
    }

    /// The list of one element.
    pub(crate) const fn one(item: T) -> Self {
        Self(Items::One(item))
    }

    /// Appends at the end.
    pub fn push(&mut self, item: T) {
        match &mut self.0 {
            Items::Many(items) => items.push(item),
            Items::None | Items::One(_) => {
                self.0 = match core::mem::replace(&mut self.0, Items::None) {
                    Items::One(first) => {
                        // Where there are two there will be more.
                        let mut items = Vec::with_capacity(4);
                        items.extend([first, item]);
                        Items::Many(items)
                    }
                    Items::None | Items::Many(_) => Items::One(item),
                };
            }
        }
    }

    /// Removes the last element and returns it.
    pub fn pop(&mut self) -> Option<T> {
        let Items::Many(items) = &mut self.0 else {
            return Vec::from(core::mem::take(self)).pop();
        };
        let last = items.pop();
        if items.len() == 1 {
            self.0 = items.pop().map_or(Items::None, Items::One);
        }
        last
    }

    /// The last element.
    pub fn last(&self) -> Option<&T> {
        self.as_slice().last()
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        match &mut self.0 {
            Items::None => None,
            Items::One(item) => Some(item),
            Items::Many(items) => items.last_mut(),
        }
    }

    /// From the first element to the last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + Clone {
        self.as_slice().iter()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    fn as_slice(&self) -> &[T] {
        match &self.0 {
            Items::None => &[],
            Items::One(item) => core::slice::from_ref(item),
            Items::Many(items) => items,
        }
    }
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<Vec<T>> for Runs<T> {
    fn from(mut items: Vec<T>) -> Self {
        Self(match items.len() {
            0 | 1 => items.pop().map_or(Items::None, Items::One),
            _ => Items::Many(items),
        })
    }
}

impl<T> From<Runs<T>> for Vec<T> {
    fn from(runs: Runs<T>) -> Self {
        match runs.0 {
            Items::None => Self::new(),
            Items::One(item) => vec![item],
            Items::Many(items) => {
                work::looked_at(items.len());
                items
            }
        }
    }
}

impl<T> FromIterator<T> for Runs<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut runs = Self::new();
        items.into_iter().for_each(|item| runs.push(item));
        runs
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

    /// Commands of one term; at least 1.
    pub(crate) const fn of_commands(term: Term, count: u64) -> Self {
        Self { runs: Runs::one(Run::Commands { term, count }) }
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
        work::looked_at(self.runs.len());
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.count()))
    }

    /// The number of entries that have a payload.
    pub fn commands(&self) -> u64 {
        work::looked_at(self.runs.len());
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.commands()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The position of the last entry if these follow `prev`; `prev` if there are none.
    pub fn last_position(&self, prev: LogPosition) -> LogPosition {
        let Some(last) = self.runs().rfind(|run| run.count() > 0) else { return prev };
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
            if matches!(run, Run::Membership { membership, .. } if membership.is_empty()) {
                return Err(EntriesError::EmptyMembership);
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

    /// Splits into the first `count` entries and the rest, in their order.
    #[must_use]
    pub fn split_at(self, count: u64) -> (Self, Self) {
        let (mut head, mut tail, mut left) = (Self::new(), Self::new(), count);
        for run in Vec::from(self.runs) {
            let here = run.count().min(left);
            let is_over = left == 0;
            left -= here;
            match run {
                // A run without entries stays where it stands.
                _ if is_over => tail.push(run),
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

#[cfg(test)]
mod tests {
    use super::{Entries, Run, Runs};
    use crate::error::EntriesError;
    use crate::membership::Membership;
    use crate::types::{LIMIT, LogIndex, LogPosition, NodeId, Term};
    use alloc::boxed::Box;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn commands(term: u64, count: u64) -> Run {
        Run::Commands { term: Term(term), count }
    }

    fn membership(term: u64) -> Run {
        let membership = Membership::of_voters([NodeId(1)]).expect("valid");
        Run::Membership { term: Term(term), membership: Box::new(membership) }
    }

    fn runs() -> impl Strategy<Value = Vec<Run>> {
        let run = (1_u64..4, 0_u64..4).prop_map(|(term, count)| match count {
            0 => membership(term),
            _ => commands(term, count),
        });
        prop::collection::vec(run, 0..8)
    }

    /// Each entry by itself: its term, and whether it is a membership.
    fn one_by_one(entries: &Entries) -> Vec<(u64, bool)> {
        let of_run = |run: &Run| {
            let entry = (run.term().get(), matches!(run, Run::Membership { .. }));
            vec![entry; usize::try_from(run.count()).expect("small")]
        };
        entries.runs().flat_map(of_run).collect()
    }

    proptest! {
        #[test]
        fn runs_are_a_list(items in prop::collection::vec(0_u8..9, 0..5), pops in 0_usize..6) {
            let (mut runs, mut list) = (items.iter().copied().collect::<Runs<_>>(), items);
            for _ in 0..pops {
                prop_assert_eq!(runs.pop(), list.pop());
            }
            prop_assert_eq!(runs.iter().copied().collect::<Vec<_>>(), list.clone());
            prop_assert_eq!((runs.len(), runs.is_empty()), (list.len(), list.is_empty()));
            prop_assert_eq!(runs.last(), list.last());
            prop_assert_eq!(&runs, &Runs::from(list.clone()), "equal lists are equal values");
            runs.push(7);
            list.push(7);
            prop_assert_eq!(Vec::from(runs), list);
        }

        #[test]
        fn entries_hold_what_was_pushed_with_equal_neighbours_joined(runs in runs()) {
            let entries: Entries = runs.iter().cloned().collect();
            let singly: Entries = runs.iter().flat_map(|run| match run {
                Run::Commands { term, count } => {
                    vec![commands(term.get(), 1); usize::try_from(*count).expect("small")]
                }
                run @ Run::Membership { .. } => vec![run.clone()],
            }).collect();
            prop_assert_eq!(&entries, &singly);
            let all = one_by_one(&entries);
            prop_assert_eq!(entries.count(), all.len() as u64);
            let with_payload = all.iter().filter(|(_, membership)| !membership).count();
            prop_assert_eq!(entries.commands(), with_payload as u64);
        }

        #[test]
        fn check_accepts_what_does_not_decrease_and_is_not_later_than_now(
            runs in runs(), prev_term in 1_u64..4, current in 1_u64..5,
        ) {
            let entries: Entries = runs.into_iter().collect();
            let prev = LogPosition::new(Term(prev_term), LogIndex(9));
            let terms: Vec<u64> =
                [prev_term].into_iter().chain(one_by_one(&entries).iter().map(|e| e.0)).collect();
            let possible = terms.is_sorted() && terms.last() <= Some(&current);
            prop_assert_eq!(entries.check(prev, Term(current)).is_ok(), possible);
        }

        #[test]
        fn a_split_is_a_split_of_the_list(runs in runs(), at in 0_u64..30) {
            let entries: Entries = runs.into_iter().collect();
            let all = one_by_one(&entries);
            let (head, tail) = entries.split_at(at);
            let at = all.len().min(usize::try_from(at).expect("small"));
            prop_assert_eq!(one_by_one(&head), all[..at].to_vec());
            prop_assert_eq!(one_by_one(&tail), all[at..].to_vec());
        }
    }

    proptest! {
        /// Not even those that `check` refuses: a run without entries, or counts that overflow.
        #[test]
        fn a_split_never_changes_the_order_of_runs(
            runs in prop::collection::vec(
                (1_u64..4, prop_oneof![Just(0), 0_u64..4, Just(u64::MAX)]), 0..8,
            ),
            at in prop_oneof![0_u64..30, Just(u64::MAX)],
        ) {
            let runs = runs.into_iter().map(|(term, count)| match count {
                3 => membership(term),
                _ => commands(term, count),
            });
            let entries: Entries = runs.collect();
            let whole = entries.clone();
            let (head, tail) = entries.split_at(at);
            prop_assert!(head.count() <= at);
            let terms = |entries: &Entries| entries.runs().map(Run::term).collect::<Vec<_>>();
            let (mut joined, cut) = (terms(&head), head.run_count() + tail.run_count());
            let rest = terms(&tail);
            let is_one_cut = cut == whole.run_count() + 1;
            prop_assert!(is_one_cut || cut == whole.run_count());
            joined.extend(&rest[usize::from(is_one_cut)..]);
            prop_assert_eq!(joined, terms(&whole));
            let rejoined: Entries = head.runs().chain(tail.runs()).cloned().collect();
            prop_assert_eq!(rejoined, whole);
            let prev = LogPosition::new(Term(1), LogIndex(5));
            prop_assert!(head.count() > 0 || head.last_position(prev) == prev);
        }
    }

    #[test]
    fn what_no_log_can_hold_is_refused_by_name() {
        let check = |runs: &[Run]| {
            let entries = Entries { runs: runs.iter().cloned().collect() };
            entries.check(LogPosition::new(Term(2), LogIndex(4)), Term(5))
        };
        assert_eq!(check(&[commands(2, 1), membership(2), commands(2, 1)]), Ok(()));
        assert_eq!(check(&[commands(2, 0)]), Err(EntriesError::EmptyRun));
        assert_eq!(check(&[commands(2, 1), commands(2, 1)]), Err(EntriesError::NotJoined));
        let decreasing = EntriesError::DecreasingTerm { after: LogIndex(7) };
        assert_eq!(check(&[commands(3, 3), membership(2)]), Err(decreasing));
        assert_eq!(check(&[commands(3, LIMIT)]), Err(EntriesError::BeyondLimit));
        assert_eq!(check(&[commands(3, u64::MAX), membership(4)]), Err(EntriesError::BeyondLimit));
        let later = EntriesError::TermAboveCurrent { term: Term(6), current: Term(5) };
        assert_eq!(check(&[membership(6)]), Err(later));
    }
}
