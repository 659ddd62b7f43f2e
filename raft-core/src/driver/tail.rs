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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
            self.weight = self.weight.saturating_sub(weight(&content));
        }
        // It may reach into what is on the disk only.
        self.start = self.start.min(log.first.prev());
        debug_assert_eq!(self.last(), log.first.prev(), "a write leaves no gap");
        for entry in &log.entries {
            self.weight = self.weight.saturating_add(weight(&entry.content));
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
            self.weight = self.weight.saturating_sub(weight(&content));
            self.start = self.start.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;
    use crate::driver::frame::{BoundLog, Entry, OVERHEAD};
    use crate::payload::Content;
    use crate::types::{LogIndex, LogPosition, Term};
    use alloc::string::{String, ToString};

    fn at(term: u64, index: u64) -> LogPosition {
        LogPosition::new(Term(term), LogIndex(index))
    }

    /// Writes entries of these terms from `first` on; each says where it stands.
    fn write(tail: &mut Tail<String>, first: u64, terms: &[u64], restart: Option<LogPosition>) {
        let entry = |(nth, term): (usize, &u64)| {
            let position = at(*term, first + nth as u64);
            Entry { position, content: Content::Command(position.to_string()) }
        };
        let entries = terms.iter().enumerate().map(entry).collect();
        tail.write(&BoundLog { restart_after: restart, first: LogIndex(first), entries });
    }

    fn get(tail: &Tail<String>, term: u64, index: u64) -> Option<&str> {
        tail.get(at(term, index))?.command().map(String::as_str)
    }

    #[test]
    fn it_holds_what_was_written_under_exactly_its_position() {
        let mut tail = Tail::new(LogIndex(4));
        write(&mut tail, 5, &[1, 1, 2], None);
        assert_eq!((get(&tail, 1, 6), get(&tail, 2, 7)), (Some("1/6"), Some("2/7")));
        assert_eq!((get(&tail, 1, 7), get(&tail, 1, 4), get(&tail, 2, 8)), (None, None, None));
        write(&mut tail, 6, &[3], None);
        assert_eq!((get(&tail, 1, 6), get(&tail, 3, 6)), (None, Some("3/6")));
        assert_eq!(tail.last(), LogIndex(6));
        assert_eq!(tail.weight(), 2 * (OVERHEAD + 3));
    }

    #[test]
    fn a_write_may_reach_below_what_is_held() {
        let mut tail = Tail::new(LogIndex(4));
        write(&mut tail, 5, &[1], None);
        write(&mut tail, 3, &[2, 2], None);
        assert_eq!((get(&tail, 2, 3), get(&tail, 1, 5)), (Some("2/3"), None));
        assert_eq!(tail.last(), LogIndex(4));
        write(&mut tail, 10, &[5], Some(at(4, 9)));
        assert_eq!((get(&tail, 5, 10), tail.last()), (Some("5/10"), LogIndex(10)));
        assert_eq!(tail.weight(), OVERHEAD + 4);
    }

    #[test]
    fn what_is_not_durable_is_never_dropped() {
        let mut tail = Tail::new(LogIndex(0));
        write(&mut tail, 1, &[1, 1, 1], None);
        tail.evict(LogIndex(2), 0);
        assert_eq!((get(&tail, 1, 2), get(&tail, 1, 3)), (None, Some("1/3")));
        tail.evict(LogIndex(3), 1000);
        assert_eq!(get(&tail, 1, 3), Some("1/3"), "it has room");
        assert_eq!((tail.last(), tail.weight()), (LogIndex(3), OVERHEAD + 3));
    }
}
