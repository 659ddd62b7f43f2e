//! The two joins of positions with the bytes of commands, which the core never holds.
//!
//! [`bind`] says, for a write, which payload of which input goes to which position; [`attach`] finds,
//! for a message that is to leave, the payloads of the positions that it names. Both work over any
//! log. [`PayloadLog`] is a small one in memory, for tests, simulations and a first runtime.

use crate::action::{LogWrite, Source};
use crate::entries::{Entries, Run};
use crate::error::PayloadError;
use crate::membership::Membership;
use crate::message::AppendEntries;
use crate::types::{LogIndex, LogPosition, Term};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What stands at a position.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Content<P> {
    /// A client's command.
    Command(P),
    /// The core's own entry; nothing to apply.
    Membership(Box<Membership>),
}

impl<P> Content<P> {
    /// The command, if it is one.
    pub const fn command(&self) -> Option<&P> {
        match self {
            Self::Command(payload) => Some(payload),
            Self::Membership(_) => None,
        }
    }
}

/// What a write puts where: every position with its content, in order.
///
/// `payloads(nth)` are the commands that came with the `nth` input of the call that returned the
/// write. The runtime drops its log from `write.first` on, and then appends these.
///
/// # Errors
///
/// An input carries fewer payloads than it announced. Nothing was written yet: drop the node, for
/// it counts on these positions.
pub fn bind<'a, P: Clone + 'a>(
    write: &LogWrite,
    mut payloads: impl FnMut(usize) -> &'a [P],
) -> Result<Vec<(LogPosition, Content<P>)>, PayloadError> {
    let mut bound = Vec::new();
    let mut index = write.first;
    for chunk in write.chunks.iter() {
        match &chunk.source {
            Source::Membership(membership) => {
                bound.push((
                    LogPosition::new(chunk.term, index),
                    Content::Membership(membership.clone()),
                ));
            }
            Source::Inputs { first, last, skip } => {
                let (mut skip, mut at) = (*skip, index);
                for nth in *first..=*last {
                    let found = payloads(nth);
                    let left = index.plus(chunk.count).since(at);
                    let is_last = nth == *last;
                    let count = if is_last { left } else { left.min(rest_of(found, skip)) };
                    let needed = skip.saturating_add(count);
                    let slice = range_of(skip, needed)
                        .and_then(|range| found.get(range))
                        .ok_or(PayloadError::MissingPayloads { nth, found: found.len(), needed })?;
                    let positions =
                        (at.get()..).map(|at| LogPosition::new(chunk.term, LogIndex(at)));
                    bound.extend(positions.zip(slice.iter().cloned().map(Content::Command)));
                    (skip, at) = (0, at.plus(count));
                }
            }
        }
        index = index.plus(chunk.count);
    }
    Ok(bound)
}

/// The payloads that a message carries, in order: those of its commands.
///
/// `lookup` returns the command that the runtime's log holds at exactly this position, if it does.
/// It may be called at any time after the message was handed out, because the same position is the
/// same command for ever (log matching).
///
/// # Errors
///
/// The log no longer holds a position: drop the message, the core sends another one.
pub fn attach<P>(
    message: &AppendEntries,
    mut lookup: impl FnMut(LogPosition) -> Option<P>,
) -> Result<Vec<P>, PayloadError> {
    let mut payloads = Vec::new();
    let mut before = message.prev.index;
    for run in message.entries.runs() {
        let last = before.plus(run.count());
        if let Run::Commands { term, .. } = run {
            for index in before.get() + 1..=last.get() {
                let position = LogPosition::new(*term, LogIndex(index));
                payloads.push(lookup(position).ok_or(PayloadError::NotHeld(position))?);
            }
        }
        before = last;
    }
    Ok(payloads)
}

/// A log in memory: what stands at each position after a start.
///
/// Invariant: terms do not decrease.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PayloadLog<P> {
    start: LogPosition,
    entries: VecDeque<(Term, Content<P>)>,
}

impl<P: Clone> PayloadLog<P> {
    /// An empty log after `start`: [`LogPosition::ZERO`], or the position of a snapshot.
    pub const fn new(start: LogPosition) -> Self {
        Self { start, entries: VecDeque::new() }
    }

    /// The position before the first entry.
    pub const fn start(&self) -> LogPosition {
        self.start
    }

    /// The position of the last entry; the start if there is none.
    pub fn last(&self) -> LogPosition {
        match self.entries.back() {
            Some((term, _)) => LogPosition::new(*term, self.last_index()),
            None => self.start,
        }
    }

    /// Carries out the log part of a write, see [`bind`].
    ///
    /// # Errors
    ///
    /// As for [`bind`]; and a write that would leave a gap, or drop what was compacted. The log is
    /// as it was.
    pub fn write<'a>(
        &mut self,
        write: &LogWrite,
        payloads: impl FnMut(usize) -> &'a [P],
    ) -> Result<(), PayloadError>
    where
        P: 'a,
    {
        let (start, last) = match write.restart_after {
            Some(position) => (position.index.next(), position.index),
            None => (self.start.index.next(), self.last_index()),
        };
        if write.first < start || write.first > last.next() {
            return Err(PayloadError::OutOfOrder { first: write.first, start, last });
        }
        let bound = bind(write, payloads)?;
        if let Some(position) = write.restart_after {
            *self = Self::new(position);
        }
        self.truncate_from(write.first);
        self.entries.extend(bound.into_iter().map(|(position, content)| (position.term, content)));
        Ok(())
    }

    /// Appends one entry: for logs that are read back from a disk.
    pub fn push(&mut self, term: Term, content: Content<P>) {
        self.entries.push_back((term, content));
    }

    /// Drops everything from `index` on.
    pub fn truncate_from(&mut self, index: LogIndex) {
        let kept = index.prev().since(self.start.index);
        self.entries.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
    }

    /// Drops everything up to and including `position`, which a snapshot covers. If the log does not
    /// hold the position it contradicts the snapshot, or is older, and is dropped whole.
    pub fn compact(&mut self, position: LogPosition) {
        if position.index <= self.start.index {
            return;
        }
        let held = self.entry(position).is_some();
        let covered = if held { position.index.since(self.start.index) } else { u64::MAX };
        let covered = usize::try_from(covered).unwrap_or(usize::MAX).min(self.entries.len());
        self.entries.drain(..covered);
        self.start = position;
    }

    /// What stands at exactly this position, if the log holds it.
    pub fn entry(&self, position: LogPosition) -> Option<&Content<P>> {
        let (term, content) = self.at(position.index)?;
        (*term == position.term).then_some(content)
    }

    /// What stands at `index`.
    pub fn get(&self, index: LogIndex) -> Option<(LogPosition, &Content<P>)> {
        let (term, content) = self.at(index)?;
        Some((LogPosition::new(*term, index), content))
    }

    /// The payloads of a message that is to leave, see [`attach`].
    ///
    /// # Errors
    ///
    /// As for [`attach`].
    pub fn attach(&self, message: &AppendEntries) -> Result<Vec<P>, PayloadError> {
        attach(message, |position| self.entry(position)?.command().cloned())
    }

    /// The entries from `first` to `through`, both included, as an
    /// [`Apply`](crate::Action::Apply) names them. What the log does not hold is left out.
    pub fn range(
        &self,
        first: LogIndex,
        through: LogIndex,
    ) -> impl Iterator<Item = (LogPosition, &Content<P>)> {
        (first.get()..=through.get().min(self.last_index().get()))
            .filter_map(|index| self.get(LogIndex(index)))
    }

    /// The log as [`Recovered`](crate::Recovered) wants it: positions, without commands.
    pub fn positions(&self) -> Entries {
        let run = |(term, content): &(Term, Content<P>)| match content {
            Content::Command(_) => Run::Commands { term: *term, count: 1 },
            Content::Membership(membership) => {
                Run::Membership { term: *term, membership: membership.clone() }
            }
        };
        self.entries.iter().map(run).collect()
    }

    fn at(&self, index: LogIndex) -> Option<&(Term, Content<P>)> {
        let at = index.get().checked_sub(self.start.index.get() + 1)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    fn last_index(&self) -> LogIndex {
        self.start.index.plus(self.entries.len() as u64)
    }
}

fn rest_of<P>(found: &[P], skip: u64) -> u64 {
    u64::try_from(found.len()).map_or(u64::MAX, |count| count.saturating_sub(skip))
}

fn range_of(from: u64, to: u64) -> Option<core::ops::Range<usize>> {
    Some(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{Content, PayloadLog, bind};
    use crate::action::{Chunk, LogWrite, Source};
    use crate::entries::{Entries, Run};
    use crate::error::PayloadError;
    use crate::membership::Membership;
    use crate::message::AppendEntries;
    use crate::types::{LogIndex, LogPosition, Term};
    use alloc::{vec, vec::Vec};
    use quickcheck::quickcheck;

    fn position(term: u64, index: u64) -> LogPosition {
        LogPosition::new(Term(term), LogIndex(index))
    }

    fn write(first: u64, chunks: impl IntoIterator<Item = Chunk>) -> LogWrite {
        let chunks = chunks.into_iter().collect();
        LogWrite { restart_after: None, first: LogIndex(first), chunks }
    }

    fn commands(term: u64, count: u64, nth: usize, skip: u64) -> Chunk {
        Chunk::of_input(Term(term), count, nth, skip)
    }

    #[test]
    fn a_chunk_takes_the_commands_of_several_inputs_one_after_the_other() {
        let inputs: [&[char]; 4] = [&['a', 'b'], &[], &['c'], &['d', 'e']];
        let bind_all = |count, skip, last| {
            let source = Source::Inputs { first: 0, last, skip };
            let w = write(1, [Chunk { term: Term(1), count, source }]);
            let bound = bind(&w, |nth| inputs[nth])?;
            assert!(bound.iter().zip(1..).all(|((at, _), index)| *at == position(1, index)));
            Ok(bound.iter().filter_map(|(_, content)| content.command().copied()).collect())
        };
        assert_eq!(bind_all(5, 0, 3), Ok(vec!['a', 'b', 'c', 'd', 'e']));
        assert_eq!(bind_all(3, 1, 3), Ok(vec!['b', 'c', 'd']), "the end of the last was dropped");
        assert_eq!(bind_all(2, 1, 2), Ok(vec!['b', 'c']));
        let missing =
            |nth, found, needed| Err(PayloadError::MissingPayloads { nth, found, needed });
        assert_eq!(bind_all(6, 0, 3), missing(3, 2, 3));
        assert_eq!(bind_all(1, 3, 2), missing(0, 2, 3));
    }

    /// Positions 1/1 a, 1/2 membership, 2/3 b, 2/4 c.
    fn log() -> PayloadLog<char> {
        let mut log = PayloadLog::new(LogPosition::ZERO);
        let chunks = [
            commands(1, 1, 0, 0),
            Chunk::of_membership(Term(1), Membership::empty()),
            commands(2, 2, 1, 1),
        ];
        let inputs: [&[char]; 2] = [&['a'], &['x', 'b', 'c']];
        log.write(&write(1, chunks), |nth| inputs[nth]).expect("complete");
        log
    }

    fn message(prev: LogPosition, entries: Entries) -> AppendEntries {
        AppendEntries { prev, entries, commit: LogIndex(0), probe: None }
    }

    #[test]
    fn every_command_of_a_write_comes_from_its_own_input() {
        let log = log();
        assert_eq!(log.entry(position(1, 1)), Some(&Content::Command('a')));
        assert_eq!(log.entry(position(2, 3)), Some(&Content::Command('b')));
        assert_eq!(log.entry(position(1, 3)), None, "another term is another entry");
        assert_eq!(log.last(), position(2, 4));
    }

    #[test]
    fn an_input_with_too_few_payloads_is_refused_and_nothing_is_written() {
        let mut log = log();
        let before = log.clone();
        let missing = PayloadError::MissingPayloads { nth: 0, found: 1, needed: 2 };
        assert_eq!(log.write(&write(2, [commands(3, 2, 0, 0)]), |_| &['z']), Err(missing));
        assert_eq!(log, before);
    }

    #[test]
    fn a_write_that_would_leave_a_gap_is_refused() {
        let mut log = log();
        let refused = log.write(&write(6, [commands(3, 1, 0, 0)]), |_| &['z']);
        let (start, last) = (LogIndex(1), LogIndex(4));
        assert_eq!(refused, Err(PayloadError::OutOfOrder { first: LogIndex(6), start, last }));
    }

    #[test]
    fn a_message_whose_positions_are_gone_is_dropped() {
        let mut log = log();
        let entries: Entries = [Run::Commands { term: Term(2), count: 2 }].into_iter().collect();
        let m = message(position(1, 2), entries);
        assert_eq!(log.attach(&m), Ok(['b', 'c'].to_vec()));
        log.write(&write(4, [commands(3, 1, 0, 0)]), |_| &['z']).expect("replaces the last one");
        assert_eq!(log.attach(&m), Err(PayloadError::NotHeld(position(2, 4))));
    }

    #[test]
    fn compaction_keeps_what_follows_a_held_position_and_drops_a_log_that_contradicts() {
        let mut kept = log();
        kept.compact(position(2, 3));
        assert_eq!((kept.start(), kept.last()), (position(2, 3), position(2, 4)));
        let mut dropped = log();
        dropped.compact(position(3, 3));
        assert_eq!((dropped.start(), dropped.last()), (position(3, 3), position(3, 3)));
    }

    quickcheck! {
        /// What is written can be sent, received and written again, and is the same log.
        fn a_log_survives_the_way_through_messages(runs: Vec<(u8, u8)>, cut: u64) -> bool {
            let mut term = 1;
            let mut log = PayloadLog::new(LogPosition::ZERO);
            for (step, count) in runs {
                term += u64::from(step);
                for n in 0..=count % 8 {
                    let content = Content::Command((term, n));
                    log.push(Term(term), content);
                }
            }
            let whole = message(LogPosition::ZERO, log.positions());
            let at = cut % (whole.entries.count() + 1);
            let (head, tail) = whole.split_at(at);
            let mut copy = PayloadLog::new(LogPosition::ZERO);
            for m in [head, tail] {
                let payloads = log.attach(&m).expect("held");
                let (mut skip, mut chunks) = (0, Vec::new());
                for run in m.entries.runs() {
                    chunks.push(Chunk::of_input(run.term(), run.count(), 0, skip));
                    skip += run.commands();
                }
                let w = write(m.prev.index.get() + 1, chunks);
                let all_bound = bind(&w, |_| &payloads[..]).is_ok_and(|b| b.len() == payloads.len());
                assert!(all_bound);
                copy.write(&w, |_| &payloads[..]).expect("complete");
            }
            copy == log
        }
    }
}
