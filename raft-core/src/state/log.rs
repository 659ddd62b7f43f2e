//! The log without payloads: runs of terms, and the membership entries.
//!
//! Its size grows with the number of terms and of memberships since the last snapshot, never with
//! the number of commands.

use crate::entries::{Entries, Run, Snapshot};
use crate::membership::Membership;
use crate::message::TermSpan;
use crate::types::{LogIndex, LogPosition, Term};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// How many runs one message carries at most: bounds what one handler does.
const MAX_RUNS_PER_MESSAGE: usize = 256;

/// What every index of the log holds, but for the bytes of commands.
///
/// Invariants: `runs` ascend in `first` and in `term`, the first one starts right after the
/// snapshot; `memberships` ascend in index and lie in the log; `last` is not below the snapshot.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Log {
    snapshot: Snapshot,
    runs: Vec<TermRun>,
    memberships: Vec<(LogIndex, Membership)>,
    last: LogIndex,
}

/// From `first` on the term is `term`, until the next run or the end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct TermRun {
    first: LogIndex,
    term: Term,
}

impl Log {
    /// The log that holds nothing but what the snapshot covers.
    pub(crate) const fn new(snapshot: Snapshot) -> Self {
        let last = snapshot.position.index;
        Self { snapshot, runs: Vec::new(), memberships: Vec::new(), last }
    }

    /// The position before the first entry.
    pub(crate) const fn start(&self) -> LogPosition {
        self.snapshot.position
    }

    pub(crate) const fn last_index(&self) -> LogIndex {
        self.last
    }

    pub(crate) fn last_position(&self) -> LogPosition {
        let term = self.runs.last().map_or(self.start().term, |run| run.term);
        LogPosition::new(term, self.last)
    }

    /// The term at `index`, for the start of the log and every index up to the last one.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.start().index {
            return Some(self.start().term);
        }
        self.run_at(index).map(|at| self.runs[at].term)
    }

    /// The position at `index`, see [`term_at`](Self::term_at).
    pub(crate) fn position_at(&self, index: LogIndex) -> Option<LogPosition> {
        self.term_at(index).map(|term| LogPosition::new(term, index))
    }

    /// Whether this log is known to match any log that holds `position`: it holds it, or the
    /// position is covered by the snapshot and so is committed.
    pub(crate) fn matches(&self, position: LogPosition) -> bool {
        position.index < self.start().index || self.term_at(position.index) == Some(position.term)
    }

    /// The membership in force: the newest in the log, committed or not (Raft paper, 6).
    pub(crate) fn membership(&self) -> &Membership {
        self.memberships.last().map_or(&self.snapshot.membership, |(_, membership)| membership)
    }

    /// Where the membership in force stands; the start of the log if a snapshot covers it.
    pub(crate) fn membership_index(&self) -> LogIndex {
        self.memberships.last().map_or(self.start().index, |(index, _)| *index)
    }

    /// The membership in force at `index`, which is not below the start.
    pub(crate) fn membership_at(&self, index: LogIndex) -> &Membership {
        let up_to = self.memberships.partition_point(|(at, _)| *at <= index);
        match up_to.checked_sub(1) {
            Some(at) => &self.memberships[at].1,
            None => &self.snapshot.membership,
        }
    }

    /// The last index from `from` on, up to `through`, that has the term of `from`.
    pub(crate) fn end_of_term(&self, from: LogIndex, through: LogIndex) -> Option<LogPosition> {
        let at = self.run_at(from)?;
        Some(LogPosition::new(self.runs[at].term, self.end_of_run(at).min(through)))
    }

    /// The first index from `from` to `through` that is missing here or has another term than
    /// `term`. Indices that the snapshot covers are committed, and count as equal.
    pub(crate) fn first_difference(
        &self,
        from: LogIndex,
        through: LogIndex,
        term: Term,
    ) -> Option<LogIndex> {
        let start = self.start();
        let mut from = from.max(start.index);
        if from == start.index && from > LogIndex::ZERO && from <= through {
            if term != start.term {
                return Some(from);
            }
            from = from.next();
        }
        if from > through {
            return None;
        }
        match self.run_at(from) {
            Some(at) if self.runs[at].term == term => {
                let end = self.end_of_run(at);
                (end < through).then(|| end.next())
            }
            _ => Some(from),
        }
    }

    /// The entries from `first` on, at most `count` of them, and not more runs than one message
    /// carries. `first` lies in the log, or right after it.
    pub(crate) fn entries(&self, first: LogIndex, count: u64) -> Entries {
        let end = LogIndex(self.last.get().min(first.prev().plus(count).get()));
        let mut entries = Entries::new();
        let mut memberships = {
            let from = self.memberships.partition_point(|(index, _)| *index < first);
            self.memberships[from..].iter().peekable()
        };
        let mut next = first;
        while next <= end && entries.run_count() < MAX_RUNS_PER_MESSAGE {
            let Some(of_term) = self.end_of_term(next, end) else { break };
            let term = of_term.term;
            let membership = memberships.next_if(|(index, _)| *index <= of_term.index);
            let commands_end = membership.map_or(of_term.index.next(), |(index, _)| *index);
            if commands_end > next {
                entries.push(Run::Commands { term, count: commands_end.since(next) });
            }
            next = commands_end;
            if let Some((index, membership)) = membership {
                entries.push(Run::Membership { term, membership: Box::new(membership.clone()) });
                next = index.next();
            }
        }
        entries
    }

    /// What stands at and below `index`, from the top down, as far as `limit` terms.
    pub(crate) fn spans_down_from(&self, index: LogIndex, limit: usize) -> Vec<TermSpan> {
        let top = index.min(self.last);
        let from = self.run_at(top).map_or(0, |at| at + 1);
        let mut spans: Vec<_> = (0..from)
            .rev()
            .take(limit)
            .map(|at| TermSpan {
                term: self.runs[at].term,
                first: self.runs[at].first,
                last: self.end_of_run(at).min(top),
            })
            .collect();
        let start = self.start();
        if start.index == LogIndex::ZERO || start.index > top {
            return spans;
        }
        // The term may go on across the snapshot's end: it is named once.
        let full = spans.len() == limit;
        match spans.last_mut() {
            Some(span) if span.term == start.term => span.first = start.index,
            _ if full => {}
            _ => spans.push(TermSpan { term: start.term, first: start.index, last: start.index }),
        }
        spans
    }

    /// The greatest index at which this log and one with these `spans`, from the top down, hold the
    /// same entry; the index below the spans if there is none.
    pub(crate) fn agreement(&self, spans: &[TermSpan]) -> LogIndex {
        for span in spans {
            let at = self.runs.partition_point(|run| run.term < span.term);
            let here = match self.runs.get(at) {
                Some(run) if run.term == span.term => {
                    let first =
                        if self.start().term == span.term { self.start().index } else { run.first };
                    first..=self.end_of_run(at)
                }
                _ if self.start().term == span.term => self.start().index..=self.start().index,
                _ => continue,
            };
            let last = span.last.min(*here.end());
            if last >= span.first.max(*here.start()) {
                return last;
            }
        }
        spans.last().map_or(LogIndex::ZERO, |span| span.first.prev())
    }

    /// Appends commands at the end. The term is not below the last one.
    pub(crate) fn append_commands(&mut self, term: Term, count: u64) {
        self.begin_term(term);
        self.last = self.last.plus(count);
    }

    /// Appends a membership entry at the end; it is in force from now on.
    pub(crate) fn append_membership(&mut self, term: Term, membership: Membership) {
        self.begin_term(term);
        self.last = self.last.next();
        self.memberships.push((self.last, membership));
    }

    /// Appends a run at the end.
    pub(crate) fn append_run(&mut self, run: &Run) {
        match run {
            Run::Commands { term, count } => self.append_commands(*term, *count),
            Run::Membership { term, membership } => {
                self.append_membership(*term, Membership::clone(membership));
            }
        }
    }

    /// Drops everything from `index` on; the membership before it is in force again.
    pub(crate) fn truncate_from(&mut self, index: LogIndex) {
        debug_assert!(index > self.start().index, "what a snapshot covers is never dropped");
        self.runs.truncate(self.runs.partition_point(|run| run.first < index));
        self.memberships.truncate(self.memberships.partition_point(|(at, _)| *at < index));
        self.last = self.last.min(index.prev());
    }

    /// Forgets everything up to and including `position`, which the log holds.
    pub(crate) fn compact(&mut self, position: LogPosition) {
        debug_assert_eq!(self.position_at(position.index), Some(position));
        let membership = self.membership_at(position.index).clone();
        let after = position.index.next();
        self.memberships.retain(|(index, _)| *index > position.index);
        let gone = self.runs.partition_point(|run| run.first <= after).saturating_sub(1);
        self.runs.drain(..gone);
        match self.runs.first_mut() {
            Some(run) if after <= self.last => run.first = run.first.max(after),
            _ => self.runs.clear(),
        }
        self.snapshot = Snapshot { position, membership };
    }

    /// Whether the invariants of the type hold.
    pub(crate) fn is_sound(&self) -> bool {
        let start = self.start();
        let ascending =
            self.runs.windows(2).all(|w| w[0].first < w[1].first && w[0].term < w[1].term);
        let within = self.runs.last().is_none_or(|run| run.first <= self.last);
        let from_start = match self.runs.first() {
            Some(run) => run.first == start.index.next() && run.term >= start.term,
            None => self.last == start.index,
        };
        let members = self.memberships.windows(2).all(|w| w[0].0 < w[1].0)
            && self.memberships.iter().all(|(at, _)| *at > start.index && *at <= self.last);
        ascending && within && from_start && members && self.last >= start.index
    }

    fn begin_term(&mut self, term: Term) {
        debug_assert!(term >= self.last_position().term, "terms in a log do not decrease");
        if self.runs.last().is_none_or(|run| run.term != term) {
            self.runs.push(TermRun { first: self.last.next(), term });
        }
    }

    /// Which run holds `index`; `None` at and below the start, and above the end.
    fn run_at(&self, index: LogIndex) -> Option<usize> {
        if index <= self.start().index || index > self.last {
            return None;
        }
        match self.runs.last() {
            // Nearly every question is about the newest term.
            Some(run) if run.first <= index => Some(self.runs.len() - 1),
            _ => self.runs.partition_point(|run| run.first <= index).checked_sub(1),
        }
    }

    fn end_of_run(&self, at: usize) -> LogIndex {
        self.runs.get(at + 1).map_or(self.last, |next| next.first.prev())
    }
}
