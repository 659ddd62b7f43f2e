//! The two joins of positions with the bytes of commands, which the core never holds.
//!
//! [`check_payloads`] says, where a frame arrives, whether it carries what its message announces;
//! [`bind`], for a write, which payload of which input goes to which position; [`attach`] finds,
//! for a message that is to leave, the payloads of the positions that it names. All work over any
//! log. [`PayloadLog`] is a small one in memory, for tests, simulations and a first runtime.

use crate::action::{LogWrite, Source};
use crate::entries::{Entries, Run, Snapshot};
use crate::error::PayloadError;
use crate::input::{HardState, Input, Recovered};
use crate::membership::Membership;
use crate::message::{AppendEntries, Message};
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

/// Whether a frame carries as many payloads as its message announces. A runtime asks this where the
/// frame arrives, and drops one that lies before the core sees it: the core counts on what is
/// announced, and [`bind`] refuses what does not hold it.
///
/// # Errors
///
/// [`PayloadError::WrongCount`].
pub fn check_payloads(message: &Message, found: usize) -> Result<(), PayloadError> {
    right_count(message.commands(), found)
}

/// What a write puts where: every position with its content, in order.
///
/// `beside(nth)` is the `nth` input of the call that returned the write, and the payloads that came
/// with it; `None` where there was no such input. The runtime drops its log from `write.first` on,
/// and then appends these.
///
/// # Errors
///
/// An input came with fewer or more payloads than it announces, so that a command would come to a
/// position at which no leader put it; or these are not the inputs of the call. Nothing was written
/// yet: drop the node, for it counts on these positions. See [`check_payloads`] for how to never
/// come here.
pub fn bind<'a, P: Clone + 'a>(
    write: &LogWrite,
    mut beside: impl FnMut(usize) -> Option<(&'a Input, &'a [P])>,
) -> Result<Vec<(LogPosition, Content<P>)>, PayloadError> {
    check_write(write)?;
    let (mut bound, mut index, mut counted) = (Vec::new(), write.first, None);
    for chunk in write.chunks.iter() {
        let (first, last, mut skip) = match &chunk.source {
            Source::Inputs { first, last, skip } => (*first, *last, *skip),
            Source::Membership(membership) => {
                let content = Content::Membership(membership.clone());
                bound.push((LogPosition::new(chunk.term, index), content));
                index = index.plus(1);
                continue;
            }
        };
        let mut left = chunk.count;
        for nth in first..=last {
            let missing =
                |found, needed| PayloadError::MissingPayloads { input: nth, found, needed };
            let (input, found) = beside(nth).ok_or(missing(0, skip.saturating_add(left)))?;
            // Several chunks may take from one input; it is counted once.
            if counted.replace(nth) != Some(nth) {
                right_count(input.commands(), found.len())?;
            }
            let count = if nth == last { left } else { left.min(rest_of(found, skip)) };
            let needed = skip.saturating_add(count);
            let slice = range_of(skip, needed)
                .and_then(|range| found.get(range))
                .ok_or(missing(found.len(), needed))?;
            for payload in slice {
                let content = Content::Command(payload.clone());
                bound.push((LogPosition::new(chunk.term, index), content));
                index = index.plus(1);
            }
            (skip, left) = (0, left - count);
            if left == 0 {
                break;
            }
        }
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
        for _ in 0..run.count() {
            let position = LogPosition::new(run.term(), before.plus(1));
            if position.index == before {
                return Err(PayloadError::NotHeld(position));
            }
            if let Run::Commands { .. } = run {
                payloads.push(lookup(position).ok_or(PayloadError::NotHeld(position))?);
            }
            before = position.index;
        }
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
        beside: impl FnMut(usize) -> Option<(&'a Input, &'a [P])>,
    ) -> Result<(), PayloadError>
    where
        P: 'a,
    {
        let (before, last) = match write.restart_after {
            Some(position) => (position.index, position.index),
            None => (self.start.index, self.last_index()),
        };
        if write.first <= before || write.first.prev() > last {
            let (first, start) = (write.first, before.plus(1));
            return Err(PayloadError::OutOfOrder { first, start, last });
        }
        let bound = bind(write, beside)?;
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

    /// Drops everything up to and including `position`, which a snapshot covers. If the log does
    /// not hold the position it contradicts the snapshot, or is older, and is dropped whole.
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
        let first = first.max(self.start.index.plus(1));
        (first.get()..=through.get().min(self.last_index().get()))
            .filter_map(|index| self.get(LogIndex(index)))
    }

    /// The log as [`Recovered`] wants it: positions, without commands.
    pub fn positions(&self) -> Entries {
        let run = |(term, content): &(Term, Content<P>)| match content {
            Content::Command(_) => Run::Commands { term: *term, count: 1 },
            Content::Membership(membership) => {
                Run::Membership { term: *term, membership: membership.clone() }
            }
        };
        self.entries.iter().map(run).collect()
    }

    /// What a node starts from where this log is durable, beside this hard state and this snapshot,
    /// and the state machine starts from the snapshot. One that is durable by itself says how far
    /// it is: [`Recovered::applied`].
    pub fn recovered(&self, hard_state: HardState, snapshot: Snapshot) -> Recovered {
        let (prev, entries, applied) = (self.start, self.positions(), snapshot.position.index);
        Recovered { hard_state, snapshot, prev, entries, applied }
    }

    fn at(&self, index: LogIndex) -> Option<&(Term, Content<P>)> {
        let at = index.get().checked_sub(self.start.index.get())?.checked_sub(1)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    fn last_index(&self) -> LogIndex {
        self.start.index.plus(self.entries.len() as u64)
    }
}

fn right_count(announced: u64, found: usize) -> Result<(), PayloadError> {
    if u64::try_from(found) == Ok(announced) {
        return Ok(());
    }
    Err(PayloadError::WrongCount { announced, found })
}

/// Whether a core may have asked for this write.
fn check_write(write: &LogWrite) -> Result<(), PayloadError> {
    let (mut last, mut term) = (write.first.get().checked_sub(1), Term::ZERO);
    for chunk in write.chunks.iter() {
        let is_whole = match chunk.source {
            Source::Inputs { first, last, .. } => first <= last && chunk.count > 0,
            Source::Membership(_) => chunk.count == 1,
        };
        let fits = is_whole && chunk.term >= term;
        last = last.filter(|_| fits).and_then(|last| last.checked_add(chunk.count));
        term = chunk.term;
    }
    last.map(|_| ()).ok_or(PayloadError::MalformedWrite)
}

fn rest_of<P>(found: &[P], skip: u64) -> u64 {
    u64::try_from(found.len()).map_or(u64::MAX, |count| count.saturating_sub(skip))
}

fn range_of(from: u64, to: u64) -> Option<core::ops::Range<usize>> {
    Some(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{Content, PayloadLog, attach, bind, check_payloads};
    use crate::action::{Chunk, LogWrite, Source};
    use crate::entries::{Entries, Run};
    use crate::error::PayloadError;
    use crate::input::Input;
    use crate::membership::Membership;
    use crate::message::{AppendEntries, Envelope, Message};
    use crate::types::{LogIndex, LogPosition, NodeId, Term, Token};
    use alloc::boxed::Box;
    use alloc::{vec, vec::Vec};
    use proptest::prelude::*;
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

    fn propose(count: u64) -> Input {
        Input::Propose { token: Token(1), count }
    }

    /// Inputs that announce what comes with them.
    fn honest<'a>(payloads: &[&'a [char]]) -> Vec<(Input, &'a [char])> {
        let of = |payloads: &&'a [char]| (propose(payloads.len() as u64), *payloads);
        payloads.iter().map(of).collect()
    }

    type Beside<'a> = (&'a Input, &'a [char]);

    fn of<'a>(inputs: &'a [(Input, &'a [char])]) -> impl Fn(usize) -> Option<Beside<'a>> {
        |nth| inputs.get(nth).map(|(input, payloads)| (input, *payloads))
    }

    #[test]
    fn a_chunk_takes_the_commands_of_several_inputs_one_after_the_other() {
        let inputs = honest(&[&['a', 'b'], &[], &['c'], &['d', 'e']]);
        let bind_all = |count, skip, last| {
            let source = Source::Inputs { first: 0, last, skip };
            let w = write(1, [Chunk { term: Term(1), count, source }]);
            let bound = bind(&w, of(&inputs))?;
            assert!(bound.iter().zip(1..).all(|((at, _), index)| *at == position(1, index)));
            Ok(bound.iter().filter_map(|(_, content)| content.command().copied()).collect())
        };
        assert_eq!(bind_all(5, 0, 3), Ok(vec!['a', 'b', 'c', 'd', 'e']));
        assert_eq!(bind_all(3, 1, 3), Ok(vec!['b', 'c', 'd']), "the end of the last was dropped");
        assert_eq!(bind_all(2, 1, 2), Ok(vec!['b', 'c']));
        let missing =
            |nth, found, needed| Err(PayloadError::MissingPayloads { input: nth, found, needed });
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
        let inputs = honest(&[&['a'], &['x', 'b', 'c']]);
        log.write(&write(1, chunks), of(&inputs)).expect("complete");
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
        let missing = PayloadError::MissingPayloads { input: 0, found: 1, needed: 2 };
        assert_eq!(
            log.write(&write(2, [commands(3, 2, 0, 0)]), of(&honest(&[&['z']]))),
            Err(missing)
        );
        assert_eq!(log, before);
    }

    /// An append of `count` commands of term 1 after `prev`.
    fn append(prev: u64, count: u64) -> Input {
        let term = Term(u64::from(prev > 0));
        let entries = [Run::Commands { term: Term(1), count }].into_iter().collect();
        let message = message(LogPosition::new(term, LogIndex(prev)), entries);
        let (from, to, term) = (NodeId(2), NodeId(1), Term(1));
        Envelope { from, to, term, message: Message::AppendEntries(message) }.into()
    }

    /// Both inputs together carry enough, or even the right number; but a command would stand where
    /// no leader put it.
    #[test]
    fn frames_that_lie_about_their_counts_are_refused_and_nothing_is_written() {
        let announced = [append(0, 1), append(1, 1)];
        let wrong = |announced, found| Err(PayloadError::WrongCount { announced, found });
        let cases: [([&[char]; 2], _); 4] = [
            ([&['a', 'E'], &['b']], wrong(1, 2)),
            ([&['a', 'E'], &[]], wrong(1, 2)),
            ([&[], &['b', 'E']], wrong(1, 0)),
            ([&['a'], &['b', 'E']], wrong(1, 2)),
        ];
        let source = Source::Inputs { first: 0, last: 1, skip: 0 };
        let w = write(1, [Chunk { term: Term(1), count: 2, source }]);
        for (payloads, refused) in cases {
            let beside = |nth: usize| Some((&announced[nth], payloads[nth]));
            assert_eq!(bind(&w, beside).map(|_| ()), refused, "{payloads:?}");
            let mut log = PayloadLog::new(LogPosition::ZERO);
            assert_eq!(log.write(&w, beside), refused, "{payloads:?}");
            assert_eq!(log, PayloadLog::new(LogPosition::ZERO));
        }
        // An input between them whose commands are not needed has to be honest, too.
        let source = Source::Inputs { first: 0, last: 2, skip: 0 };
        let w = write(1, [Chunk { term: Term(1), count: 2, source }]);
        let (wake, none) = (Input::Wake, &['E'][..]);
        let beside = |nth: usize| {
            Some([(&announced[0], &['a'][..]), (&wake, none), (&announced[1], &['b'])][nth])
        };
        assert_eq!(bind(&w, beside).map(|_| ()), wrong(0, 1));
    }

    #[test]
    fn a_frame_is_refused_where_it_arrives_unless_it_carries_what_it_announces() {
        let Input::Message(Envelope { message, .. }) = append(0, 2) else { unreachable!() };
        assert_eq!(check_payloads(&message, 2), Ok(()));
        for found in [0, 1, 3, usize::MAX] {
            let wrong = PayloadError::WrongCount { announced: 2, found };
            assert_eq!(check_payloads(&message, found), Err(wrong));
        }
        assert_eq!(check_payloads(&Message::TimeoutNow, 0), Ok(()));
        assert!(check_payloads(&Message::TimeoutNow, 1).is_err());
    }

    #[test]
    fn inputs_of_another_call_are_refused() {
        let w = write(1, [commands(1, 2, 3, 0)]);
        let missing = PayloadError::MissingPayloads { input: 3, found: 0, needed: 2 };
        assert_eq!(bind(&w, of(&honest(&[&['a', 'b']]))), Err(missing));
    }

    /// What is known of the first input is skipped, the second one joins it.
    #[test]
    fn a_chunk_that_joins_takes_the_rest_of_the_first_input_and_all_of_the_next() {
        let mut log = log();
        let source = Source::Inputs { first: 0, last: 1, skip: 2 };
        let w = write(4, [Chunk { term: Term(2), count: 3, source }]);
        let inputs = honest(&[&['x', 'b', 'd'], &['e', 'f']]);
        log.write(&w, of(&inputs)).expect("complete");
        let found: Vec<_> =
            log.range(LogIndex(3), LogIndex(9)).map(|(at, c)| (at, c.command())).collect();
        let wanted = [(3, 'b'), (4, 'd'), (5, 'e'), (6, 'f')];
        assert!(found.iter().zip(&wanted).all(|(a, b)| *a == (position(2, b.0), Some(&b.1))));
        assert_eq!(found.len(), wanted.len());
    }

    #[test]
    fn a_write_that_restarts_the_log_drops_all_of_it() {
        let restart = |first, chunks: &[Chunk]| LogWrite {
            restart_after: Some(position(3, 9)),
            ..write(first, chunks.iter().cloned())
        };
        let inputs = honest(&[&['y', 'z']]);
        let mut log = log();
        log.write(&restart(10, &[commands(3, 2, 0, 0)]), of(&inputs)).expect("complete");
        assert_eq!((log.start(), log.last()), (position(3, 9), position(3, 11)));
        assert_eq!(log.entry(position(3, 10)), Some(&Content::Command('y')));
        let mut empty = log.clone();
        empty.write(&restart(10, &[]), of(&inputs)).expect("nothing to append");
        assert_eq!((empty.start(), empty.last()), (position(3, 9), position(3, 9)));
        for first in [9, 11, 12] {
            let refused = log.clone().write(&restart(first, &[commands(3, 1, 0, 1)]), of(&inputs));
            let (start, last) = (LogIndex(10), LogIndex(9));
            let out_of_order = PayloadError::OutOfOrder { first: LogIndex(first), start, last };
            assert_eq!(refused, Err(out_of_order));
        }
        let before = log.clone();
        let lies = |_| Some((&Input::Wake, &['y', 'z'][..]));
        assert!(log.write(&restart(10, &[commands(3, 2, 0, 0)]), lies).is_err());
        assert_eq!(log, before, "it is not dropped by a write that is refused");
    }

    /// A number at an end of its range, or any small one.
    fn extreme() -> impl Strategy<Value = u64> {
        let ends = vec![0, 1, 2, u64::MAX >> 1, u64::MAX - 2, u64::MAX - 1, u64::MAX];
        prop_oneof![0_u64..12, prop::sample::select(ends)]
    }

    fn extreme_position() -> impl Strategy<Value = LogPosition> {
        (extreme(), extreme()).prop_map(|(term, index)| position(term, index))
    }

    fn extreme_chunk() -> impl Strategy<Value = Chunk> {
        let n = || prop_oneof![9 => 0_usize..4, 1 => prop::sample::select(vec![usize::MAX])];
        (extreme(), extreme(), n(), n(), prop_oneof![4 => 0_u64..3, 1 => extreme()]).prop_map(
            |(term, count, first, last, skip)| {
                let source = match first {
                    3 => Source::Membership(Box::new(Membership::empty())),
                    _ => Source::Inputs { first, last, skip },
                };
                Chunk { term: Term(term), count, source }
            },
        )
    }

    fn extreme_run() -> impl Strategy<Value = Run> {
        (extreme(), extreme(), 0_u8..4).prop_map(|(term, count, kind)| {
            let (term, membership) = (Term(term), Box::new(Membership::empty()));
            match kind {
                0 => Run::Membership { term, membership },
                _ => Run::Commands { term, count },
            }
        })
    }

    proptest! {
        /// No value of any field overflows; a write that is refused has changed nothing, and one
        /// that is taken ends where it says.
        #[test]
        fn extreme_values_are_errors(
            start in extreme_position(),
            restart_after in prop::option::weighted(0.2, extreme_position()),
            first in prop_oneof![extreme(), Just(0)],
            near in any::<bool>(),
            chunks in prop::collection::vec(extreme_chunk(), 0..3),
            held in 0_usize..4,
        ) {
            let mut log = PayloadLog::new(start);
            (0..held).for_each(|_| log.push(start.term, Content::Command('h')));
            let first = if near { log.last().index.get().saturating_add(1) } else { first };
            let w = LogWrite { restart_after, ..write(first, chunks) };
            let last = w.last_index();
            let inputs = honest(&[&['a'], &['b', 'c'], &[], &['d']]);
            let before = log.clone();
            if log.write(&w, of(&inputs)).is_ok() {
                prop_assert_eq!(log.last().index, last);
            } else {
                prop_assert_eq!(&log, &before);
            }
        }

        #[test]
        fn what_a_log_does_not_hold_is_not_found(
            start in extreme_position(),
            asked in extreme_position(),
            through in extreme(),
            runs in prop::collection::vec(extreme_run(), 0..4),
            held in 0_usize..4,
        ) {
            let mut log = PayloadLog::new(start);
            (0..held).for_each(|_| log.push(start.term, Content::Command('h')));
            let inside = asked.index > start.index && asked.index <= log.last().index;
            if start.index.get() < u64::MAX - 4 {
                prop_assert_eq!(log.get(asked.index).is_some(), inside);
                let range = log.range(asked.index, LogIndex(through));
                let first = asked.index.get().max(start.index.get() + 1);
                let end = through.min(log.last().index.get());
                prop_assert_eq!(range.count() as u64, (end + 1).saturating_sub(first));
            } else {
                let _ = (log.get(asked.index), log.range(asked.index, LogIndex(through)).count());
            }
            let m = message(asked, runs.into_iter().collect());
            let attached = attach(&m, |at| log.entry(at)?.command().copied());
            if let Ok(payloads) = attached {
                prop_assert!(payloads.len() <= held);
                prop_assert_eq!(payloads.len() as u64, m.entries.commands());
            }
            let (mut cut, mut compacted) = (log.clone(), log);
            cut.truncate_from(asked.index);
            prop_assert!(asked.index <= start.index || cut.last().index <= asked.index);
            compacted.compact(asked);
            prop_assert!(compacted.start().index >= start.index);
        }
    }

    #[test]
    fn a_write_that_would_leave_a_gap_is_refused() {
        let mut log = log();
        let refused = log.write(&write(6, [commands(3, 1, 0, 0)]), of(&honest(&[&['z']])));
        let (start, last) = (LogIndex(1), LogIndex(4));
        assert_eq!(refused, Err(PayloadError::OutOfOrder { first: LogIndex(6), start, last }));
    }

    #[test]
    fn a_message_whose_positions_are_gone_is_dropped() {
        let mut log = log();
        let entries: Entries = [Run::Commands { term: Term(2), count: 2 }].into_iter().collect();
        let m = message(position(1, 2), entries);
        assert_eq!(log.attach(&m), Ok(['b', 'c'].to_vec()));
        log.write(&write(4, [commands(3, 1, 0, 0)]), of(&honest(&[&['z']])))
            .expect("replaces the last one");
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
                let input = propose(payloads.len() as u64);
                let beside = |_| Some((&input, &payloads[..]));
                let all_bound = bind(&w, beside).is_ok_and(|b| b.len() == payloads.len());
                assert!(all_bound);
                copy.write(&w, beside).expect("complete");
            }
            copy == log
        }
    }
}
