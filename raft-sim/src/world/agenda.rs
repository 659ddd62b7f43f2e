//! The time, and what is still to happen, in the order of its time, its rank and its number.

use crate::world::pending::Pending;
use raft_core::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The time, and what is still to happen: only what is taken out of it lets time pass. The heap
/// holds the keys only; what is to happen stays where it was put.
#[derive(Clone, Default, Debug)]
pub(super) struct Agenda {
    now: Instant,
    /// How many things have happened.
    events: u64,
    /// How many things have happened at this moment.
    at_once: u64,
    heap: BinaryHeap<Reverse<Key>>,
    slots: Vec<Option<Pending>>,
    free: Vec<usize>,
    /// How many were ever put in: no two keys are equal.
    scheduled: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    time: Instant,
    rank: u8,
    number: u64,
    slot: usize,
}

impl Agenda {
    /// How many things may happen at one moment.
    const MOST_AT_ONCE: u64 = 1_000_000;

    /// The simulated time.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// How many things have happened.
    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    /// Whether so many things have happened at this moment that it will never pass.
    pub(super) const fn stands_still(&self) -> bool {
        self.at_once > Self::MOST_AT_ONCE
    }

    /// Something is to happen at a time.
    pub(super) fn schedule(&mut self, time: Instant, pending: Pending) {
        self.scheduled += 1;
        let (rank, number) = (pending.rank(), self.scheduled);
        let slot = self.free.pop().unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(pending);
        self.heap.push(Reverse(Key { time, rank, number, slot }));
    }

    /// What comes next.
    pub(super) fn peek(&self) -> Option<(Instant, &Pending)> {
        let Reverse(Key { time, slot, .. }) = *self.heap.peek()?;
        Some((time, self.slots[slot].as_ref()?))
    }

    /// Lets time pass until what comes next, and takes that out; if it comes after `until`, it is
    /// `until` now.
    pub(super) fn next(&mut self, until: Instant) -> Option<Pending> {
        let Some(Reverse(Key { time, slot, .. })) =
            self.heap.peek().copied().filter(|key| key.0.time <= until)
        else {
            self.now = until.max(self.now);
            return None;
        };
        self.heap.pop();
        self.free.push(slot);
        self.at_once = if time == self.now { self.at_once + 1 } else { 0 };
        self.now = time;
        self.events += 1;
        Some(self.slots[slot].take().expect("a key has its slot to itself"))
    }
}

#[cfg(test)]
mod tests {
    use super::Agenda;
    use crate::world::pending::Pending;
    use raft_core::{Instant, NodeId};

    #[test]
    fn time_then_rank_then_number() {
        let mut agenda = Agenda::default();
        let at = Instant::from_nanos;
        agenda.schedule(at(2), Pending::Act(0));
        agenda.schedule(at(1), Pending::Turn { client: 1 });
        agenda.schedule(at(1), Pending::Act(1));
        agenda.schedule(at(1), Pending::Act(2));
        agenda.schedule(at(1), Pending::Start(NodeId(1)));
        assert_eq!(agenda.next(at(1)), Some(Pending::Start(NodeId(1))));
        agenda.schedule(at(1), Pending::Start(NodeId(2)));
        let rest: Vec<_> = std::iter::from_fn(|| agenda.next(at(2))).collect();
        let (one, two, turn) = (Pending::Act(1), Pending::Act(2), Pending::Turn { client: 1 });
        assert_eq!(rest, [Pending::Start(NodeId(2)), one, two, turn, Pending::Act(0)]);
        assert_eq!((agenda.now(), agenda.events()), (at(2), 6));
    }

    #[test]
    fn what_comes_later_stays() {
        let mut agenda = Agenda::default();
        let at = Instant::from_nanos;
        agenda.schedule(at(5), Pending::Act(0));
        assert_eq!(agenda.next(at(4)), None);
        assert_eq!((agenda.now(), agenda.events()), (at(4), 0));
        assert!(agenda.next(at(5)).is_some());
        assert_eq!(agenda.next(Instant::MAX), None);
    }

    #[test]
    fn a_moment_at_which_too_much_happens_stands_still() {
        let mut agenda = Agenda { at_once: Agenda::MOST_AT_ONCE, ..Agenda::default() };
        agenda.schedule(Instant::ZERO, Pending::Act(0));
        assert!(!agenda.stands_still());
        agenda.next(Instant::ZERO);
        assert!(agenda.stands_still());
        agenda.schedule(Instant::from_nanos(1), Pending::Act(0));
        agenda.next(Instant::MAX);
        assert!(!agenda.stands_still());
    }
}
