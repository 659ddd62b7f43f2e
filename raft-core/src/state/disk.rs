//! What is durable, what is on its way to the disk, and what is to be written next.
//!
//! The rule of the whole core: no message leaves while a change of the hard state is not durable,
//! and no position counts as held before it is durable. So a runtime cannot send too early, because
//! it has not been handed the message yet.

use crate::action::{Chunk, LogWrite, Source, Write};
use crate::entries::Runs;
use crate::input::HardState;
use crate::membership::Membership;
#[cfg(feature = "serde")]
use crate::types::LIMIT;
use crate::types::{Instant, LogIndex, LogPosition, Term, Ticket};
use crate::work;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;

/// How many writes are remembered one by one. Beyond it the two newest are joined: the completion
/// of the earlier one then proves nothing before that of the later one does.
const MAX_IN_FLIGHT: usize = 1024;

/// What is durable, on its way, and to be written next.
///
/// Invariants, asserted by every write at the ends that it moves, and by `is_sound` everywhere:
///
/// - the tickets in flight ascend, from `first` on and below `next`; there are at most
///   [`MAX_IN_FLIGHT`] of them;
/// - `durable_index` and every `through` lie in the log, and a later write does not end before an
///   earlier one;
/// - `issued_hard_state` is the newest in flight, or the durable one if none is;
/// - no hard state that is durable or in flight promises more than a later one in flight: a crash
///   may leave that one;
/// - what is to be written ends where the log does: asserted when it is issued.
///
/// And between two calls, so that only `is_sound` can tell: `next_write` is empty, but for the
/// restart that a node may begin with, and so is `ends_with`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Disk {
    /// The first ticket of this life.
    first: Ticket,
    /// The next ticket.
    next: Ticket,
    in_flight: VecDeque<InFlight>,
    /// When a write was last said to be durable.
    progress_at: Instant,
    durable_hard_state: HardState,
    /// The newest hard state that was handed out for writing.
    issued_hard_state: HardState,
    /// The log up to here is durable as it stands.
    durable_index: LogIndex,
    next_write: Option<LogWrite>,
    /// The input with whose last command `next_write` ends. Commands of a later input may join the
    /// chunk; an input whose commands were not taken closes it.
    ends_with: Option<usize>,
}

/// Which commands: the input `nth` of this call carries `of` of them, and these come after `skip`.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) nth: usize,
    pub(crate) skip: u64,
    pub(crate) of: u64,
}

/// A write that was handed out.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct InFlight {
    ticket: Ticket,
    hard_state: Option<HardState>,
    /// The last index of the log, as it stands now, that this write makes durable.
    through: Option<LogIndex>,
    issued_at: Instant,
}

impl Disk {
    pub(crate) const fn new(first: Ticket, hard_state: HardState, durable_index: LogIndex) -> Self {
        Self {
            first,
            next: first,
            in_flight: VecDeque::new(),
            progress_at: Instant::ZERO,
            durable_hard_state: hard_state,
            issued_hard_state: hard_state,
            durable_index,
            next_write: None,
            ends_with: None,
        }
    }

    /// The log up to here is durable as it stands.
    pub(crate) const fn durable_index(&self) -> LogIndex {
        self.durable_index
    }

    pub(crate) const fn durable_hard_state(&self) -> &HardState {
        &self.durable_hard_state
    }

    /// Whether messages may leave: term and vote are durable. (An echo promises what is durable.)
    pub(crate) fn is_open(&self, hard_state: &HardState) -> bool {
        let of = |state: &HardState| (state.current_term, state.voted_for);
        of(&self.durable_hard_state) == of(hard_state)
    }

    /// Since when writes wait and none completes. Progress counts, not age: where one fsync serves
    /// many writes, each waits for the one before its own too.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        self.in_flight.front().map(|write| write.issued_at.max(self.progress_at))
    }

    /// The log has been replaced by a snapshot that ends at `index`: no earlier write says anything
    /// about it any more.
    pub(crate) fn replaced(&mut self, index: LogIndex) {
        self.durable_index = index;
        for write in &mut self.in_flight {
            write.through = None;
        }
        self.assert_ends(index);
    }

    /// The log that was found beside a snapshot is dropped; the first write says so.
    pub(crate) fn restart_after(&mut self, start: LogPosition) {
        let restart_after = Some(start);
        self.next_write = Some(LogWrite { restart_after, ..LogWrite::from(start.index.next()) });
        self.assert_ends(start.index);
    }

    /// The log gets a membership after `last`, its last index so far.
    pub(crate) fn append_membership(&mut self, last: LogIndex, term: Term, entry: Membership) {
        self.push(last, Chunk::of_membership(term, entry));
        self.ends_with = None;
        self.assert_ends(last);
    }

    /// The log gets `count` commands after `last`, its last index so far. All that several inputs
    /// bring in one term is one chunk.
    pub(crate) fn append_commands(&mut self, last: LogIndex, term: Term, count: u64, part: Part) {
        let Part { nth, skip, of } = part;
        let joins = skip == 0 && self.ends_with.is_some();
        self.ends_with = (skip + count == of).then_some(nth);
        let newest = self.next_write.as_mut().and_then(|write| write.chunks.last_mut());
        match newest {
            Some(Chunk { term: same, count: so_far, source: Source::Inputs { last, .. } })
                if joins && *same == term =>
            {
                (*last, *so_far) = (nth, *so_far + count);
            }
            _ => self.push(last, Chunk::of_input(term, count, nth, skip)),
        }
        self.assert_ends(last);
    }

    /// Whether commands of inputs after `nth` may still join those of an input before it: if `nth`
    /// carries commands, they were not taken.
    pub(crate) fn ends_before(&self, nth: usize) -> bool {
        self.ends_with.is_some_and(|end| end < nth)
    }

    /// No later commands join those so far.
    pub(crate) const fn close_chunk(&mut self) {
        self.ends_with = None;
    }

    fn push(&mut self, last: LogIndex, chunk: Chunk) {
        if let Some(write) = &mut self.next_write {
            return write.chunks.push(chunk);
        }
        let (first, chunks) = (last.next(), Runs::one(chunk));
        self.next_write = Some(LogWrite { restart_after: None, first, chunks });
    }

    /// The log, which ends at `last` so far, loses everything from `index` on. A write that is on
    /// its way proves nothing any more about what it wrote there: a later ticket drops it.
    pub(crate) fn truncate_from(&mut self, last: LogIndex, index: LogIndex) {
        let kept = index.prev();
        self.ends_with = None;
        self.durable_index = self.durable_index.min(kept);
        for write in &mut self.in_flight {
            write.through = write.through.map(|through| through.min(kept));
        }
        let write = self.next_write.get_or_insert(LogWrite::from(index));
        if write.first >= index {
            *write = LogWrite { restart_after: write.restart_after, ..LogWrite::from(index) };
        }
        // What is to be written ends where the log does.
        let mut dropped = last.since(kept);
        while dropped > 0
            && let Some(mut chunk) = write.chunks.pop()
        {
            work::looked_at(1);
            if chunk.count > dropped {
                chunk.count -= dropped;
                write.chunks.push(chunk);
                break;
            }
            dropped -= chunk.count;
        }
        self.assert_ends(last.min(kept));
    }

    /// Whether anything has changed since the last write was issued.
    pub(crate) fn lacks(&self, hard_state: &HardState) -> bool {
        self.next_write.is_some() || self.issued_hard_state != *hard_state
    }

    /// The write that makes durable what has changed since the last one. The log ends at `last`.
    pub(crate) fn issue(&mut self, hard_state: &HardState, last: LogIndex, now: Instant) -> Write {
        let log = self.next_write.take();
        self.ends_with = None;
        let hard_state = (self.issued_hard_state != *hard_state).then_some(*hard_state);
        let ticket = self.next;
        self.next = ticket.next();
        if let Some(changed) = hard_state {
            self.lower_promise(changed.promised);
            self.issued_hard_state = changed;
        }
        debug_assert!(
            log.as_ref().is_none_or(|log| log.last_index() == last),
            "what is written ends where the log does"
        );
        let through = log.is_some().then_some(last);
        let mut write = InFlight { ticket, hard_state, through, issued_at: now };
        if self.in_flight.len() == MAX_IN_FLIGHT
            && let Some(newest) = self.in_flight.pop_back()
        {
            write.hard_state = write.hard_state.or(newest.hard_state);
            write.through = write.through.or(newest.through);
            write.issued_at = newest.issued_at;
        }
        self.in_flight.push_back(write);
        self.assert_ends(last);
        Write { ticket, hard_state, log }
    }

    /// A write is handed out that lowers the promise. From now on a crash may leave no more of it,
    /// whatever else is durable, or on its way and completes before that write does.
    fn lower_promise(&mut self, to: Duration) {
        if to >= self.issued_hard_state.promised {
            return;
        }
        let states = self.in_flight.iter_mut().filter_map(|write| write.hard_state.as_mut());
        for state in states.chain([&mut self.durable_hard_state]) {
            state.promised = state.promised.min(to);
        }
    }

    /// Every write up to `ticket` is durable. `None` if this life did not issue it. The log ends at
    /// `last`.
    pub(crate) fn completed(&mut self, ticket: Ticket, last: LogIndex, now: Instant) -> Option<()> {
        if ticket < self.first || ticket >= self.next {
            return None;
        }
        while self.in_flight.front().is_some_and(|write| write.ticket <= ticket)
            && let Some(write) = self.in_flight.pop_front()
        {
            self.progress_at = now;
            if let Some(hard_state) = write.hard_state {
                self.durable_hard_state = hard_state;
            }
            if let Some(through) = write.through {
                self.durable_index = self.durable_index.max(through);
            }
        }
        self.assert_ends(last);
        Some(())
    }

    /// Whether every number of it can be: for what was written down. The log starts after `start`.
    #[cfg(feature = "serde")]
    pub(crate) fn is_in_range(
        &self,
        hard_state: &HardState,
        start: LogPosition,
        now: Instant,
    ) -> bool {
        let restarts =
            LogWrite { restart_after: Some(start), ..LogWrite::from(start.index.next()) };
        let states = self.in_flight.iter().filter_map(|write| write.hard_state);
        let all = core::iter::once(self.durable_hard_state).chain(states);
        self.first.get() > 0
            && self.first <= self.next
            && self.next.get() <= LIMIT
            && self.in_flight.iter().all(|write| write.issued_at <= now)
            && self.issued_hard_state == *hard_state
            && all.clone().zip(all.skip(1)).all(|(a, b)| a.current_term <= b.current_term)
            && self.progress_at <= now
            && self.next_write.as_ref().is_none_or(|write| *write == restarts)
    }

    /// Whether the invariants of the type hold beside a log that ends at `last`.
    pub(crate) fn is_sound(&self, last: LogIndex) -> bool {
        let tickets = self.in_flight.iter().map(|write| write.ticket);
        let mut ends = self.in_flight.iter().filter_map(|write| write.through);
        tickets.clone().zip(tickets.clone().skip(1)).all(|(a, b)| a < b)
            && tickets.clone().all(|ticket| ticket >= self.first && ticket < self.next)
            && self.in_flight.len() <= MAX_IN_FLIGHT
            && ends.clone().is_sorted()
            && ends.all(|index| index <= last)
            && self.durable_index <= last
            && self.newest_hard_state() == self.issued_hard_state
            && self.promises().is_sorted()
            && self.next_write.as_ref().is_none_or(|write| write.last_index() == last)
            && self.next_write.as_ref().is_none_or(|write| write.restart_after.is_some())
            && self.ends_with.is_none()
    }

    /// What is promised by the hard state that is durable, and by those in flight.
    fn promises(&self) -> impl Iterator<Item = Duration> {
        let states = self.in_flight.iter().filter_map(|write| write.hard_state);
        core::iter::once(self.durable_hard_state).chain(states).map(|state| state.promised)
    }

    /// What was handed out last of the hard state.
    fn newest_hard_state(&self) -> HardState {
        let newest = self.in_flight.iter().rev().find_map(|write| write.hard_state);
        newest.unwrap_or(self.durable_hard_state)
    }

    /// The invariants of the type where a write may break them, beside a log that ends at `last`.
    /// What lies between the ends was an end when it was written.
    fn assert_ends(&self, last: LogIndex) {
        let (oldest, newest) = (self.in_flight.front(), self.in_flight.back());
        debug_assert!(
            oldest.is_none_or(|write| write.ticket >= self.first),
            "tickets of this life"
        );
        debug_assert!(newest.is_none_or(|write| write.ticket < self.next), "tickets ascend");
        debug_assert!(self.in_flight.len() <= MAX_IN_FLIGHT, "few writes are remembered");
        debug_assert!(self.durable_index <= last, "what is durable lies in the log");
        if let Some(newest) = newest {
            let within = newest.through.is_none_or(|index| index <= last);
            debug_assert!(within, "what will be durable lies in the log");
            let issued = newest.hard_state.is_none_or(|state| state == self.issued_hard_state);
            debug_assert!(issued, "the newest hard state is on its way");
            if let Some(before) = self.in_flight.iter().rev().nth(1) {
                debug_assert!(before.ticket < newest.ticket, "tickets ascend");
                let ends = before.through.zip(newest.through);
                debug_assert!(ends.is_none_or(|(a, b)| a <= b), "later writes end no earlier");
            }
        } else {
            let durable = self.durable_hard_state == self.issued_hard_state;
            debug_assert!(durable, "what is not on its way is durable");
        }
    }
}

impl LogWrite {
    /// Drops everything from `first` on, so far.
    const fn from(first: LogIndex) -> Self {
        Self { restart_after: None, first, chunks: Runs::new() }
    }
}

impl Chunk {
    /// `count` commands of the input `nth` of this call, after `skip` of them.
    pub(crate) const fn of_input(term: Term, count: u64, nth: usize, skip: u64) -> Self {
        Self { term, count, source: Source::Inputs { first: nth, last: nth, skip } }
    }

    /// A membership entry.
    pub(crate) fn of_membership(term: Term, membership: Membership) -> Self {
        Self { term, count: 1, source: Source::Membership(Box::new(membership)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Disk, MAX_IN_FLIGHT, Part};
    use crate::action::Write;
    use crate::input::HardState;
    use crate::types::{Instant, LogIndex, Term, Ticket};
    use core::time::Duration;

    const HARD_STATE: HardState =
        HardState { current_term: Term(1), voted_for: None, promised: Duration::ZERO };

    fn disk() -> Disk {
        Disk::new(Ticket(5), HARD_STATE, LogIndex(9))
    }

    fn commands(disk: &mut Disk, after: u64, count: u64) {
        disk.append_commands(LogIndex(after), Term(1), count, Part { nth: 0, skip: 0, of: count });
    }

    /// The log ends at `last`.
    fn issue(disk: &mut Disk, last: u64) -> Write {
        assert!(disk.lacks(&HARD_STATE), "something has changed");
        disk.issue(&HARD_STATE, LogIndex(last), Instant::ZERO)
    }

    fn completed(disk: &mut Disk, ticket: Ticket, last: u64) -> Option<()> {
        disk.completed(ticket, LogIndex(last), Instant::ZERO)
    }

    #[test]
    fn a_completion_never_counts_what_a_later_ticket_dropped() {
        let mut disk = disk();
        commands(&mut disk, 9, 2);
        let first = issue(&mut disk, 11);
        disk.truncate_from(LogIndex(11), LogIndex(10));
        commands(&mut disk, 9, 1);
        let second = issue(&mut disk, 10);
        assert_eq!(completed(&mut disk, first.ticket, 10), Some(()));
        assert_eq!(disk.durable_index(), LogIndex(9));
        assert_eq!(completed(&mut disk, second.ticket, 10), Some(()));
        assert_eq!(disk.durable_index(), LogIndex(10));
    }

    #[test]
    fn what_one_call_appends_and_drops_again_is_not_written() {
        let mut disk = disk();
        commands(&mut disk, 9, 5);
        disk.truncate_from(LogIndex(14), LogIndex(12));
        disk.append_commands(LogIndex(11), Term(2), 1, Part { nth: 1, skip: 0, of: 1 });
        let log = issue(&mut disk, 12).log.expect("a change of the log");
        assert_eq!((log.first, log.last_index()), (LogIndex(10), LogIndex(12)));
        let counts: alloc::vec::Vec<_> = log.chunks.iter().map(|c| (c.term, c.count)).collect();
        assert_eq!(counts, [(Term(1), 2), (Term(2), 1)]);
    }

    #[test]
    fn dropping_below_what_one_call_appends_drops_it_all() {
        let mut disk = disk();
        commands(&mut disk, 9, 5);
        disk.truncate_from(LogIndex(14), LogIndex(8));
        let log = issue(&mut disk, 7).log.expect("a change of the log");
        assert_eq!((log.first, log.last_index()), (LogIndex(8), LogIndex(7)));
        assert_eq!(disk.durable_index(), LogIndex(7));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "what is written ends where the log does")]
    fn a_write_that_ends_elsewhere_than_the_log_is_a_bug() {
        let mut disk = disk();
        commands(&mut disk, 9, 1);
        let _ = issue(&mut disk, 11);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "what is durable lies in the log")]
    fn what_is_durable_beyond_the_log_is_a_bug() {
        let mut disk = disk();
        commands(&mut disk, 9, 1);
        let ticket = issue(&mut disk, 10).ticket;
        let _ = completed(&mut disk, ticket, 8);
    }

    #[test]
    fn tickets_of_another_life_are_refused() {
        let mut disk = disk();
        commands(&mut disk, 9, 1);
        let issued = issue(&mut disk, 10).ticket;
        assert_eq!(completed(&mut disk, Ticket(issued.get() + 1), 10), None);
        assert_eq!(completed(&mut disk, Ticket(4), 10), None);
        assert_eq!(completed(&mut disk, issued, 10), Some(()));
        assert_eq!(completed(&mut disk, issued, 10), Some(()), "twice is harmless");
    }

    #[test]
    fn writes_in_flight_are_bounded_and_still_complete() {
        let mut disk = disk();
        let mut last = 9;
        let tickets: alloc::vec::Vec<_> = (0..3 * MAX_IN_FLIGHT)
            .map(|_| {
                commands(&mut disk, last, 1);
                last += 1;
                issue(&mut disk, last).ticket
            })
            .collect();
        assert!(disk.is_sound(LogIndex(last)));
        assert_eq!(completed(&mut disk, tickets[2 * MAX_IN_FLIGHT], last), Some(()));
        assert_eq!(disk.durable_index(), LogIndex(9 + MAX_IN_FLIGHT as u64 - 1));
        assert_eq!(completed(&mut disk, *tickets.last().expect("not empty"), last), Some(()));
        assert_eq!(disk.durable_index(), LogIndex(last));
    }
}
