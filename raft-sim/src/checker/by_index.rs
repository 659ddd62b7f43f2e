//! What checkers remember of each index of the log.

use raft_core::LogIndex;
use std::collections::VecDeque;

/// A value for each index of some stretch of the log, with holes. As a log has few holes, whatever
/// its length, a value is found in one step.
#[derive(Clone, Debug)]
pub(super) struct ByIndex<T> {
    /// The index of the first slot.
    first: LogIndex,
    slots: VecDeque<Option<T>>,
}

impl<T> Default for ByIndex<T> {
    fn default() -> Self {
        Self { first: LogIndex::ZERO, slots: VecDeque::new() }
    }
}

impl<T> ByIndex<T> {
    pub(super) fn get(&self, index: LogIndex) -> Option<&T> {
        self.slots.get(self.slot(index)?)?.as_ref()
    }

    /// Puts a value in the place of what was there.
    pub(super) fn insert(&mut self, index: LogIndex, value: T) {
        if self.slots.is_empty() {
            self.first = index;
        }
        while index < self.first {
            self.first = LogIndex(self.first.get() - 1);
            self.slots.push_front(None);
        }
        let slot = self.slot(index).expect("it is not before the first");
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some(value);
    }

    /// The value at the greatest index below this one that has any.
    pub(super) fn last_below(&self, index: LogIndex) -> Option<&T> {
        let below = self.slot(index)?.min(self.slots.len());
        self.slots.range(..below).rev().flatten().next()
    }

    /// How far it goes: one more than the greatest index that ever had a value.
    pub(super) fn end(&self) -> LogIndex {
        let count = u64::try_from(self.slots.len()).expect("a log fits into memory");
        LogIndex(self.first.get() + count)
    }

    /// Forgets everything below an index.
    pub(super) fn forget(&mut self, below: LogIndex) {
        let Some(slot) = self.slot(below) else { return };
        self.slots.drain(..slot.min(self.slots.len()));
        self.first = below;
    }

    fn slot(&self, index: LogIndex) -> Option<usize> {
        usize::try_from(index.get().checked_sub(self.first.get())?).ok()
    }
}

/// How many of these, in the order of their indices, stand at or below one: mostly all.
pub(super) fn up_to<T>(sorted: &[(LogIndex, T)], index: LogIndex) -> usize {
    match sorted.last() {
        Some((last, _)) if *last > index => sorted.partition_point(|(at, _)| *at <= index),
        _ => sorted.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::ByIndex;
    use crate::plan::choice::{Choices, Question};
    use raft_core::LogIndex;
    use std::collections::BTreeMap;

    #[test]
    fn it_is_a_map() {
        for seed in 0..50 {
            let mut choices = Choices::seeded(seed);
            let mut below = |bound| choices.below(Question::Setup, bound);
            let (mut fast, mut map) = (ByIndex::default(), BTreeMap::new());
            for value in 0..200 {
                let index = LogIndex(below(40));
                if below(20) == 0 {
                    fast.forget(index);
                    map = map.split_off(&index);
                } else {
                    fast.insert(index, value);
                    map.insert(index, value);
                }
                for index in (0..42).map(LogIndex) {
                    assert_eq!(fast.get(index), map.get(&index));
                    let last = map.range(..index).next_back().map(|(_, value)| value);
                    assert_eq!(fast.last_below(index), last);
                }
                let last = map.keys().next_back();
                assert!(last.is_none_or(|last| fast.end() > *last));
            }
        }
    }
}
