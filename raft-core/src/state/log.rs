//! The log without payloads: runs of terms, and the membership entries.
//!
//! Its size grows with the number of terms and of memberships since the last snapshot, never with
//! the number of commands.

use crate::entries::{Entries, Run, Snapshot};
use crate::membership::Membership;
use crate::message::{AppendEntries, TermSpan};
#[cfg(feature = "serde")]
use crate::types::LIMIT;
use crate::types::{LogIndex, LogPosition, Term};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A message with so many runs takes no more; the last step may have added two, commands and a
/// membership.
const ENOUGH_RUNS: usize = AppendEntries::MAX_RUNS - 1;

/// What every index of the log holds, but for the bytes of commands.
///
/// Invariants, asserted by every write at the ends that it moves, and by `is_sound` everywhere:
///
/// - `last` is not below the snapshot, and there are runs exactly if it is above;
/// - `runs` ascend in `first` and in `term`; the first one starts right after the snapshot, in a
///   term that is not earlier, and the last one starts in the log;
/// - `memberships` ascend in index and lie in the log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Log {
    snapshot: Snapshot,
    runs: Vec<TermRun>,
    memberships: Vec<(LogIndex, Box<Membership>)>,
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

    /// The newest membership that differs from the one in force and may still count: what a log
    /// holds above `commit` may be undone, and what stands at `commit` is the last that is known to
    /// be in force. `None` if the one in force is known to be committed.
    pub(crate) fn membership_before(&self, commit: LogIndex) -> Option<&Membership> {
        let in_force = self.membership();
        let uncommitted = self.memberships.iter().rev().take_while(|(index, _)| *index > commit);
        let newer = uncommitted.map(|(_, membership)| &**membership);
        let settled = core::iter::once_with(|| self.membership_at(commit.max(self.start().index)));
        newer.chain(settled).find(|membership| *membership != in_force)
    }

    /// The first index from `first` to `through` that holds a membership entry.
    pub(crate) fn first_membership(&self, first: LogIndex, through: LogIndex) -> Option<LogIndex> {
        let at = self.memberships.partition_point(|(index, _)| *index < first);
        self.memberships.get(at).map(|(index, _)| *index).filter(|index| *index <= through)
    }

    /// The membership entry at `index`, if one is there.
    pub(crate) fn membership_of(&self, index: LogIndex) -> Option<&Membership> {
        let at = self.memberships.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        Some(&self.memberships[at].1)
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
        if let Some(run) = self.runs.last()
            && (run.first.max(self.membership_index().next())..=end).contains(&first)
        {
            // Nearly every message: commands of the newest term, after the newest membership.
            return Entries::of_commands(run.term, end.since(first.prev()));
        }
        let mut entries = Entries::new();
        let mut memberships = {
            let from = self.memberships.partition_point(|(index, _)| *index < first);
            self.memberships[from..].iter().peekable()
        };
        let mut next = first;
        while next <= end && entries.run_count() < ENOUGH_RUNS {
            let Some(of_term) = self.end_of_term(next, end) else { break };
            let term = of_term.term;
            let membership = memberships.next_if(|(index, _)| *index <= of_term.index);
            let commands_end = membership.map_or(of_term.index.next(), |(index, _)| *index);
            if commands_end > next {
                entries.push(Run::Commands { term, count: commands_end.since(next) });
            }
            next = commands_end;
            if let Some((index, membership)) = membership {
                entries.push(Run::Membership { term, membership: membership.clone() });
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
        self.assert_ends();
    }

    /// Appends a membership entry at the end; it is in force from now on.
    pub(crate) fn append_membership(&mut self, term: Term, membership: Membership) {
        self.begin_term(term);
        self.last = self.last.next();
        self.memberships.push((self.last, Box::new(membership)));
        self.assert_ends();
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
        self.assert_ends();
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
        self.assert_ends();
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

    /// Whether every number of it is in its range: for a log that was written down.
    #[cfg(feature = "serde")]
    pub(crate) fn is_in_range(&self) -> bool {
        let LogPosition { term, index } = self.start();
        let zero = (index == LogIndex::ZERO) == (term == Term::ZERO);
        let runs = self.runs.iter().all(|run| run.term > Term::ZERO && run.first > LogIndex::ZERO);
        let members = self.memberships.iter().all(|(_, membership)| !membership.is_empty());
        zero && runs && members && self.last.get() <= LIMIT && index <= self.last
    }

    /// The invariants of the type where a write may break them. What lies between the ends was an
    /// end when it was written.
    fn assert_ends(&self) {
        let (start, last) = (self.start(), self.last);
        debug_assert!(last >= start.index, "the log ends at or above its start");
        match self.runs.first() {
            None => debug_assert_eq!(last, start.index, "entries belong to a run"),
            Some(run) => {
                debug_assert_eq!(run.first, start.index.next(), "runs start right after the start");
                debug_assert!(run.term >= start.term, "terms do not decrease");
            }
        }
        debug_assert!(self.runs.last().is_none_or(|run| run.first <= last), "a run has entries");
        if let [.., a, b] = &self.runs[..] {
            debug_assert!(a.first < b.first && a.term < b.term, "runs ascend");
        }
        if let [.., (a, _), (b, _)] = &self.memberships[..] {
            debug_assert!(a < b, "memberships ascend");
        }
        let lies_in_log = |(at, _): &(LogIndex, _)| *at > start.index && *at <= last;
        let ends = [self.memberships.first(), self.memberships.last()];
        debug_assert!(ends.into_iter().flatten().all(lies_in_log), "memberships lie in the log");
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

#[cfg(test)]
mod tests {
    use super::{ENOUGH_RUNS, Log};
    use crate::entries::{Entries, Run, Snapshot};
    use crate::membership::Membership;
    use crate::message::{AppendEntries, TermSpan};
    use crate::types::{LogIndex, LogPosition, NodeId, Term};
    use alloc::boxed::Box;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "a run has entries")]
    fn a_run_of_no_commands_is_a_bug() {
        let snapshot = Snapshot::genesis(Membership::empty());
        Log::new(snapshot).append_commands(Term(1), 0);
    }

    /// The log as the paper draws it: one entry after the other. The first element is the position
    /// before the first entry.
    #[derive(Clone, Debug)]
    struct Naive {
        start: u64,
        entries: Vec<(u64, Option<Membership>)>,
    }

    impl Naive {
        fn new(snapshot: &Snapshot) -> Self {
            let LogPosition { term, index } = snapshot.position;
            Self {
                start: index.get(),
                entries: vec![(term.get(), Some(snapshot.membership.clone()))],
            }
        }

        fn last(&self) -> u64 {
            self.start + self.entries.len() as u64 - 1
        }

        fn get(&self, index: u64) -> Option<&(u64, Option<Membership>)> {
            self.entries.get(usize::try_from(index.checked_sub(self.start)?).ok()?)
        }

        fn term(&self, index: u64) -> Option<u64> {
            self.get(index).map(|(term, _)| *term)
        }

        fn membership(&self) -> &Membership {
            let newest = self.entries.iter().rev().find_map(|(_, membership)| membership.as_ref());
            newest.expect("the snapshot has one")
        }

        /// What `Log::entries` is to return.
        fn slice(&self, first: u64, count: u64) -> Entries {
            let here = (first..).take_while(|i| *i <= self.last() && i - first < count);
            here.map(|index| match self.get(index).expect("in the log") {
                (term, None) => Run::Commands { term: Term(*term), count: 1 },
                (term, Some(membership)) => {
                    Run::Membership { term: Term(*term), membership: Box::new(membership.clone()) }
                }
            })
            .collect()
        }

        fn spans_down_from(&self, index: u64, limit: usize) -> Vec<TermSpan> {
            let lowest = self.start.max(1);
            let mut spans: Vec<TermSpan> = Vec::new();
            for index in (lowest..=index.min(self.last())).rev() {
                let term = Term(self.term(index).expect("in the log"));
                let full = spans.len() == limit;
                match spans.last_mut() {
                    Some(span) if span.term == term => span.first = LogIndex(index),
                    _ if full => break,
                    _ => {
                        spans.push(TermSpan {
                            term,
                            first: LogIndex(index),
                            last: LogIndex(index),
                        });
                    }
                }
            }
            spans
        }
    }

    #[derive(Clone, Debug)]
    enum Deed {
        Commands { later: u64, count: u64 },
        Membership { later: u64, voter: u64 },
        Truncate { back: u64 },
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let commands =
            (0_u64..3, 1_u64..5).prop_map(|(later, count)| Deed::Commands { later, count });
        let membership =
            (0_u64..2, 1_u64..9).prop_map(|(later, voter)| Deed::Membership { later, voter });
        let truncate = (0_u64..6).prop_map(|back| Deed::Truncate { back });
        prop::collection::vec(prop_oneof![4 => commands, 2 => membership, 1 => truncate], 0..20)
    }

    fn snapshots() -> impl Strategy<Value = Snapshot> {
        let membership = Membership::of_voters([NodeId(1)]).expect("valid");
        let at = prop_oneof![Just((0, 0)), (1_u64..4, 1_u64..6)];
        at.prop_map(move |(term, index)| Snapshot {
            position: LogPosition::new(Term(term), LogIndex(index)),
            membership: membership.clone(),
        })
    }

    fn carry_out(log: &mut Log, naive: &mut Naive, deed: &Deed) {
        let term = log.last_position().term.get().max(1);
        match *deed {
            Deed::Commands { later, count } => {
                log.append_commands(Term(term + later), count);
                naive.entries.extend((0..count).map(|_| (term + later, None)));
            }
            Deed::Membership { later, voter } => {
                let membership = Membership::of_voters([NodeId(voter)]).expect("valid");
                log.append_membership(Term(term + later), membership.clone());
                naive.entries.push((term + later, Some(membership)));
            }
            Deed::Truncate { back } => {
                let index = naive.last().saturating_sub(back).max(naive.start) + 1;
                log.truncate_from(LogIndex(index));
                naive.entries.truncate(usize::try_from(index - naive.start).expect("small"));
            }
        }
    }

    fn both(snapshot: Snapshot, deeds: &[Deed]) -> (Log, Naive) {
        let (mut naive, mut log) = (Naive::new(&snapshot), Log::new(snapshot));
        for deed in deeds {
            carry_out(&mut log, &mut naive, deed);
        }
        (log, naive)
    }

    proptest! {
        #[test]
        fn the_log_is_the_list_of_its_entries(snapshot in snapshots(), deeds in deeds()) {
            let (log, naive) = both(snapshot, &deeds);
            prop_assert!(log.is_sound());
            prop_assert_eq!(log.last_index().get(), naive.last());
            prop_assert_eq!(Some(log.last_position().term.get()), naive.term(naive.last()));
            prop_assert_eq!(log.membership(), naive.membership());
            for index in 0..naive.last() + 3 {
                let term = naive.term(index).map(Term);
                prop_assert_eq!(log.term_at(LogIndex(index)), term);
                prop_assert_eq!(log.position_at(LogIndex(index)).map(|p| p.term), term);
                for other in 0..8 {
                    let matches = index < naive.start || naive.term(index) == Some(other);
                    let position = LogPosition::new(Term(other), LogIndex(index));
                    prop_assert_eq!(log.matches(position), matches);
                }
            }
        }

        #[test]
        fn dropping_and_appending_again_is_as_if_it_never_was(
            snapshot in snapshots(), before in deeds(), after in deeds(),
        ) {
            let (mut log, mut naive) = both(snapshot.clone(), &before);
            let kept = log.clone();
            let first = log.last_index().next();
            let only_appends = after.iter().filter(|deed| !matches!(deed, Deed::Truncate { .. }));
            only_appends.for_each(|deed| carry_out(&mut log, &mut naive, deed));
            log.truncate_from(first);
            prop_assert_eq!(log, kept);
        }

        #[test]
        fn entries_are_a_slice_of_the_list(
            snapshot in snapshots(), deeds in deeds(), skip in 0_u64..40, count in 0_u64..40,
        ) {
            let (log, naive) = both(snapshot, &deeds);
            let first = (naive.start + 1 + skip).min(naive.last() + 1);
            prop_assert_eq!(log.entries(LogIndex(first), count), naive.slice(first, count));
            prop_assert_eq!(log.entries(LogIndex(first), u64::MAX), naive.slice(first, u64::MAX));
        }

        #[test]
        fn the_first_difference_is_the_first_index_that_is_missing_or_of_another_term(
            snapshot in snapshots(), deeds in deeds(), from in 1_u64..30, len in 0_u64..10,
            term in 0_u64..8,
        ) {
            let (log, naive) = both(snapshot, &deeds);
            // Nobody asks for what follows a gap.
            let from = from.min(naive.last() + 1);
            let through = from + len;
            let naive = (from.max(naive.start)..=through).find(|i| naive.term(*i) != Some(term));
            let found = log.first_difference(LogIndex(from), LogIndex(through), Term(term));
            prop_assert_eq!(found.map(LogIndex::get), naive);
        }

        #[test]
        fn the_end_of_a_term_is_its_last_index(
            snapshot in snapshots(), deeds in deeds(), from in 0_u64..30, len in 0_u64..10,
        ) {
            let (log, naive) = both(snapshot, &deeds);
            let through = from + len;
            let expected = (from > naive.start && from <= naive.last()).then(|| {
                (from..=through).take_while(|i| naive.term(*i) == naive.term(from)).last()
            });
            let end = log.end_of_term(LogIndex(from), LogIndex(through));
            prop_assert_eq!(end.map(|p| Some(p.index.get())), expected);
        }

        #[test]
        fn spans_name_every_term_from_the_top_down(
            snapshot in snapshots(), deeds in deeds(), index in 0_u64..40, limit in 1_usize..6,
        ) {
            let (log, naive) = both(snapshot, &deeds);
            let spans = log.spans_down_from(LogIndex(index), limit);
            prop_assert_eq!(spans, naive.spans_down_from(index, limit));
        }

        /// Two logs that share a history and then have leaders of their own, each compacted
        /// somewhere in the shared part.
        #[test]
        fn agreement_is_the_greatest_index_that_both_hold(
            shared in prop::collection::vec(0_u64..3, 1..12),
            mine in prop::collection::vec(0_u64..3, 0..12),
            theirs in prop::collection::vec(0_u64..3, 0..12),
            compacted in (0_usize..6, 0_usize..6),
            at in 0_u64..30,
            limit in 1_usize..6,
        ) {
            // Terms of one log are even where they are its own, those of the other are odd.
            let own = |offset: u64, steps: &[u64]| {
                let mut term = 100 + offset;
                steps.iter().map(|step| { term += 2 * step; term }).collect::<Vec<_>>()
            };
            let shared: Vec<u64> =
                shared.iter().scan(1, |term, step| { *term += step; Some(*term) }).collect();
            let mine = [shared.clone(), own(0, &mine)].concat();
            let theirs = [shared.clone(), own(1, &theirs)].concat();
            let most = shared.len() - 1;
            let (mine_start, theirs_start) = (compacted.0.min(most), compacted.1.min(most));
            let (log, peer) = (log_of(&mine, mine_start), log_of(&theirs, theirs_start));

            let spans = peer.spans_down_from(LogIndex(at), limit);
            let lowest = spans.last().map_or(1, |span| span.first.get());
            let holds = |i: u64| {
                let index = LogIndex(i);
                log.term_at(index).is_some() && log.term_at(index) == peer.term_at(index)
            };
            let top = at.min(peer.last_index().get());
            let greatest = (lowest..=top).rev().find(|i| holds(*i));
            let expected = greatest.unwrap_or(lowest - 1);
            prop_assert_eq!(log.agreement(&spans).get(), expected);
        }
    }

    /// The log of these terms, of which the first `compacted` are in a snapshot.
    fn log_of(terms: &[u64], compacted: usize) -> Log {
        let term = compacted.checked_sub(1).map_or(0, |at| terms[at]);
        let position = LogPosition::new(Term(term), LogIndex(compacted as u64));
        let mut log = Log::new(Snapshot { position, membership: Membership::empty() });
        terms[compacted..].iter().for_each(|term| log.append_commands(Term(*term), 1));
        log
    }

    #[test]
    fn a_message_carries_a_bounded_number_of_runs() {
        let terms: Vec<u64> = (1..1000).collect();
        let entries = log_of(&terms, 0).entries(LogIndex(1), u64::MAX);
        assert_eq!(entries.run_count(), ENOUGH_RUNS);
        assert_eq!(entries.count(), ENOUGH_RUNS as u64);
    }

    #[test]
    fn no_message_has_more_runs_than_its_receiver_takes() {
        let mut log = log_of(&[], 0);
        for term in 1..400 {
            log.append_commands(Term(term), 1);
            log.append_membership(Term(term), Membership::empty());
        }
        let counts = |first| log.entries(LogIndex(first), u64::MAX).run_count();
        let most = (1..300).map(counts).max();
        assert_eq!(most, Some(AppendEntries::MAX_RUNS), "a membership may come on top");
    }

    #[test]
    fn the_size_of_a_log_does_not_grow_with_the_number_of_commands() {
        let mut log = log_of(&[], 0);
        (0..1000).for_each(|_| log.append_commands(Term(1), 1 << 40));
        assert_eq!((log.runs.len(), log.last_index()), (1, LogIndex(1000 << 40)));
    }
}
