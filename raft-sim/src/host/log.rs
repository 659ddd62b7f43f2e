//! What a host stores: the entries of the log with their content, which the core never sees.

use crate::plan::record::Operation;
use raft_core::driver::Payload;
use raft_core::driver::frame::OVERHEAD;
use raft_core::payload::Content;
use raft_core::{Entries, LogIndex, LogPosition, Run, Term};

/// A command of a client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Command {
    /// Whose it is; 0 is the operator, who waits for no answer.
    pub client: u64,
    /// The number of the operation.
    pub serial: u64,
    /// What it does.
    pub operation: Operation,
}

impl Command {
    /// How much room one takes wherever bytes are limited.
    pub const BYTES: u64 = 24;

    /// The same with what a driver adds to each.
    pub const WEIGHT: u64 = Self::BYTES + OVERHEAD;

    /// The command that the simulator invents for a position of a log that a setup gives.
    pub fn invented(position: LogPosition) -> Self {
        let value = position.term.get() << 32 | position.index.get();
        Self { client: 0, serial: value, operation: Operation::Write { key: 0, value } }
    }
}

/// All of one size: as many numbers as a command of the simulator has.
impl Payload for Command {
    fn bytes(&self) -> u64 {
        Self::BYTES
    }
}

/// One entry.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// Its term.
    pub term: Term,
    /// What it says.
    pub content: Content<Command>,
}

/// The entries after a start: index 0, or what a snapshot covers.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Log {
    start: LogPosition,
    entries: Vec<Entry>,
    /// Where the terms change: the index of the first entry of each run of one term.
    runs: Vec<(LogIndex, Term)>,
}

impl Log {
    /// The log that a setup gives, with invented commands.
    pub fn invented(entries: &Entries) -> Self {
        let mut log = Self::default();
        for run in entries.runs() {
            for _ in 0..run.count() {
                let position = LogPosition::new(run.term(), LogIndex(log.last().index.get() + 1));
                let content = match run {
                    Run::Commands { .. } => Content::Command(Command::invented(position)),
                    Run::Membership { membership, .. } => Content::Membership(membership.clone()),
                };
                log.push(Entry { term: run.term(), content });
            }
        }
        log
    }

    /// An empty log that starts after a position.
    pub const fn starting(start: LogPosition) -> Self {
        Self { start, entries: Vec::new(), runs: Vec::new() }
    }

    /// The position before the first entry.
    pub const fn start(&self) -> LogPosition {
        self.start
    }

    /// The last position.
    pub fn last(&self) -> LogPosition {
        let count = u64::try_from(self.entries.len()).expect("a log fits into memory");
        let index = LogIndex(self.start.index.get() + count);
        self.entries.last().map_or(self.start, |e| LogPosition::new(e.term, index))
    }

    /// Drops everything up to a position that a snapshot covers; all of it, if the log does not
    /// hold that position.
    pub fn compact(&mut self, position: LogPosition) {
        if position.index <= self.start.index {
            return;
        }
        if self.holds(position) {
            let covered = position.index.get() - self.start.index.get();
            self.entries.drain(..usize::try_from(covered).expect("a log fits into memory"));
            let next = LogIndex(position.index.get() + 1);
            let gone = self.runs.partition_point(|(first, _)| *first <= next);
            self.runs.drain(..gone.saturating_sub(1));
            if self.entries.is_empty() {
                self.runs.clear();
            } else if let Some((first, _)) = self.runs.first_mut() {
                *first = next;
            }
        } else {
            self.entries.clear();
            self.runs.clear();
        }
        self.start = position;
    }

    /// Whether the log holds this position, or a snapshot covers its index.
    pub fn covers(&self, position: LogPosition) -> bool {
        position.index < self.start.index || self.holds(position)
    }

    /// The entry at an index.
    pub fn get(&self, index: LogIndex) -> Option<&Entry> {
        self.entries.get(self.offset(index)?)
    }

    /// The position at an index; also the one before the first entry.
    pub fn position(&self, index: LogIndex) -> Option<LogPosition> {
        if index == self.start.index {
            return Some(self.start);
        }
        self.get(index).map(|entry| LogPosition::new(entry.term, index))
    }

    /// Whether the log holds exactly this position.
    pub fn holds(&self, position: LogPosition) -> bool {
        self.position(position.index) == Some(position)
    }

    /// The entries from an index on, with their positions.
    pub fn from(&self, first: LogIndex) -> impl DoubleEndedIterator<Item = (LogPosition, &Entry)> {
        let start = self.offset(first).unwrap_or(0).min(self.entries.len());
        let before = self.start.index.get();
        self.entries[start..].iter().enumerate().map(move |(nth, entry)| {
            let nth = u64::try_from(start + nth + 1).expect("a log fits into memory");
            (LogPosition::new(entry.term, LogIndex(before + nth)), entry)
        })
    }

    /// Every entry, with its position.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (LogPosition, &Entry)> {
        self.from(LogIndex(self.start.index.get() + 1))
    }

    /// The last position of each run of entries of one term.
    pub fn ends_of_runs(&self) -> impl Iterator<Item = LogPosition> {
        let next = self.runs.iter().skip(1).map(|(first, _)| LogIndex(first.get() - 1));
        let ends = next.chain([self.last().index]);
        self.runs.iter().zip(ends).map(|((_, term), end)| LogPosition::new(*term, end))
    }

    /// The values that its commands write.
    pub fn values(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().filter_map(|entry| match entry.content.command()?.operation {
            Operation::Write { value, .. } => Some(value),
            _ => None,
        })
    }

    /// The log as [`Recovered`](raft_core::Recovered) wants it.
    pub fn positions(&self) -> Entries {
        let run = |entry: &Entry| match &entry.content {
            Content::Command(_) => Run::Commands { term: entry.term, count: 1 },
            Content::Membership(m) => Run::Membership { term: entry.term, membership: m.clone() },
        };
        self.entries.iter().map(run).collect()
    }

    /// Drops everything from an index on.
    pub fn truncate(&mut self, first: LogIndex) {
        self.entries.truncate(self.offset(first).unwrap_or(0));
        self.runs.truncate(self.runs.partition_point(|(run, _)| *run < first));
    }

    /// Appends one entry.
    pub fn push(&mut self, entry: Entry) {
        if self.runs.last().is_none_or(|(_, term)| *term != entry.term) {
            self.runs.push((LogIndex(self.last().index.get() + 1), entry.term));
        }
        self.entries.push(entry);
    }

    /// Drops everything from `first` on, then appends.
    ///
    /// # Panics
    ///
    /// If that leaves a gap: the core must never ask for it.
    pub fn write(&mut self, first: LogIndex, entries: &[Entry]) {
        assert!(first > self.start.index && first.get() <= self.last().index.get() + 1, "a gap");
        self.truncate(first);
        for entry in entries {
            self.push(entry.clone());
        }
    }

    /// What stands at exactly this position.
    pub fn content(&self, position: LogPosition) -> Option<&Content<Command>> {
        let entry = self.get(position.index).filter(|entry| entry.term == position.term)?;
        Some(&entry.content)
    }

    fn offset(&self, index: LogIndex) -> Option<usize> {
        usize::try_from(index.get().checked_sub(self.start.index.get() + 1)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Entry, Log};
    use crate::plan::choice::{Choices, Question};
    use raft_core::payload::Content;
    use raft_core::{Entries, LogIndex, LogPosition, Membership, NodeId, Run, Term};

    fn commands(term: u64, count: u64) -> Run {
        Run::Commands { term: Term(term), count }
    }

    fn position(term: u64, index: u64) -> LogPosition {
        LogPosition::new(Term(term), LogIndex(index))
    }

    #[test]
    fn a_log_is_found_again_by_its_positions() {
        let membership = Box::new(Membership::of_voters([NodeId(1)]).expect("one voter"));
        let change = Run::Membership { term: Term(2), membership };
        let entries: Entries = [commands(1, 2), change, commands(2, 2)].into_iter().collect();
        let log = Log::invented(&entries);
        assert_eq!((log.last(), log.positions()), (position(2, 5), entries));
        let command = |position| log.content(position).and_then(|c| c.command().copied());
        assert_eq!(command(position(1, 2)), Some(Command::invented(position(1, 2))));
        assert_eq!(command(position(2, 2)), None, "another term");
        assert_eq!(command(position(2, 3)), None, "no command");
        assert_eq!(command(position(2, 6)), None, "beyond the end");
    }

    #[test]
    fn runs_follow_every_change() {
        for seed in 0..50 {
            let mut choices = Choices::seeded(seed);
            let mut log = Log::default();
            for _ in 0..60 {
                let last = log.last();
                let held = last.index.get() - log.start().index.get();
                let some = log.start().index.get() + choices.below(Question::Setup, held + 1);
                match choices.below(Question::Setup, 8) {
                    0 => log.truncate(LogIndex(some + 1)),
                    1 => log.compact(log.position(LogIndex(some)).expect("held")),
                    2 => log.compact(position(last.term.get(), last.index.get() + 1)),
                    _ => {
                        let next = last.index.get() + 1;
                        let term = last.term.get().max(1) + choices.below(Question::Setup, 2);
                        let content = Content::Command(Command::invented(position(term, next)));
                        log.write(LogIndex(next), &[Entry { term: Term(term), content }]);
                    }
                }
                let all: Vec<_> = log.iter().map(|(position, _)| position).collect();
                let ends = all.chunk_by(|a, b| a.term == b.term).filter_map(|run| run.last());
                assert!(log.ends_of_runs().eq(ends.copied()), "seed {seed}: {log:?}");
            }
        }
    }

    #[test]
    fn what_a_snapshot_covers_goes() {
        let whole = Log::invented(&[commands(1, 3), commands(2, 2)].into_iter().collect());
        let mut log = whole.clone();
        log.compact(position(1, 2));
        assert_eq!((log.start(), log.last()), (position(1, 2), position(2, 5)));
        assert_eq!(log.get(LogIndex(3)), whole.get(LogIndex(3)));
        assert_eq!(log.get(LogIndex(2)), None);
        assert!(log.covers(position(1, 1)) && log.holds(position(1, 2)));
        assert_eq!(log.iter().next().map(|(p, _)| p), Some(position(1, 3)));
        log.compact(position(1, 1));
        assert_eq!(log.start(), position(1, 2), "an older snapshot changes nothing");
        log.compact(position(3, 4));
        assert_eq!((log.start(), log.last()), (position(3, 4), position(3, 4)), "contradicted");
    }

    #[test]
    fn a_write_drops_then_appends() {
        let mut log = Log::invented(&[commands(1, 5)].into_iter().collect());
        let newer = Log::invented(&[commands(3, 1)].into_iter().collect());
        log.write(LogIndex(2), &[newer.get(LogIndex(1)).expect("one entry").clone()]);
        assert_eq!(log.last(), position(3, 2));
        assert!(log.holds(position(1, 1)) && log.holds(LogPosition::ZERO));
        assert!(!log.holds(position(1, 2)) && !log.holds(position(1, 3)));
        assert_eq!(log.from(LogIndex(2)).map(|(p, _)| p).collect::<Vec<_>>(), [position(3, 2)]);
    }
}
