//! The end of the log with its content: what is not durable yet, and as much before it as is kept
//! for peers and for the state machine.

use crate::driver::frame::{BoundLog, Payload, weight};
use crate::payload::Content;
use crate::types::{LogIndex, LogPosition, Term};
use alloc::collections::VecDeque;

/// The end of the log with its content.
///
/// Invariants: it ends where the log ends; `weight` is the sum of what it holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tail<P> {
    /// The index before the first entry that is held.
    start: LogIndex,
    entries: VecDeque<(Term, Content<P>)>,
    weight: u64,
}

impl<P: Payload> Tail<P> {
    /// Nothing of a log that ends at this index.
    pub const fn new(last: LogIndex) -> Self {
        Self { start: last, entries: VecDeque::new(), weight: 0 }
    }

    /// The index of the last entry of the log.
    pub fn last(&self) -> LogIndex {
        self.start.plus(self.entries.len() as u64)
    }

    /// The weight of what is held.
    pub const fn weight(&self) -> u64 {
        self.weight
    }

    /// Follows a write, which the node has asked for: so it leaves no gap.
    pub fn write(&mut self, log: &BoundLog<P>) {
        if let Some(position) = log.restart_after {
            *self = Self::new(position.index);
        }
        while self.last() >= log.first
            && let Some((_, content)) = self.entries.pop_back()
        {
            self.weight -= weight(&content);
        }
        // It may reach into what is on the disk only.
        self.start = self.start.min(log.first.prev());
        debug_assert_eq!(self.last(), log.first.prev(), "a write leaves no gap");
        for entry in &log.entries {
            self.weight += weight(&entry.content);
            self.entries.push_back((entry.position.term, entry.content.clone()));
        }
    }

    /// What stands at exactly this position, if it is held.
    pub fn get(&self, position: LogPosition) -> Option<&Content<P>> {
        let at = position.index.get().checked_sub(self.start.get())?.checked_sub(1)?;
        let (term, content) = self.entries.get(usize::try_from(at).ok()?)?;
        (*term == position.term).then_some(content)
    }

    /// Drops from the front what is durable, until no more than `limit` is held.
    pub fn evict(&mut self, durable: LogIndex, limit: u64) {
        while self.weight > limit
            && self.start < durable
            && let Some((_, content)) = self.entries.pop_front()
        {
            self.weight -= weight(&content);
            self.start = self.start.next();
        }
    }
}
