//! Bugs, planted one at a time in the server's log: what it is asked, or says, is changed.

use kv::command::Record;
use kv::storage::redb_log::{RedbLog, RedbReader};
use kv::storage::{Log, LogReader, RecoveredLog, StorageError};
use raft_core::driver::BoundWrite;
use raft_core::payload::Content;
use raft_core::{LogIndex, LogPosition, Run, Term};
use raft_sim::kit::Duty;

/// What is wrong with the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bug {
    /// Every third sync says that all is durable, and nothing was done.
    SyncsSometimes,
    /// An error of the engine's commit is not looked at.
    TakesAFailedSyncForDone,
    /// Entries are written over those in conflict, and what lies behind them stays.
    ForgetsTheDrop,
    /// The hard state has a transaction of its own, after the entries of its term.
    HardStateAfterTheEntries,
    /// The last entries of a write have a transaction of their own, before the first ones.
    LastEntriesFirst,
    /// A vote is not written.
    ForgetsTheVote,
    /// Only the first 8 KiB of a command are written.
    CutsLongCommands,
    /// One entry more is released than was asked for.
    ReleasesTooMuch,
    /// A restart leaves the log as it was.
    RestartKeepsTheLog,
    /// A file that is damaged is thrown away, and a new one made.
    BeginsAnewWhereDamaged,
    /// Memberships are recovered as commands.
    ForgetsMemberships,
    /// An entry is read by its index, whatever its term.
    ReadsByIndex,
}

/// Each of them, and the duty that it does not do.
pub(crate) const ALL: [(Bug, Duty); 12] = [
    (Bug::SyncsSometimes, Duty::Reads),
    (Bug::TakesAFailedSyncForDone, Duty::SaysFailure),
    (Bug::ForgetsTheDrop, Duty::Reads),
    (Bug::HardStateAfterTheEntries, Duty::Prefix),
    (Bug::LastEntriesFirst, Duty::Recovers),
    (Bug::ForgetsTheVote, Duty::Reopens),
    (Bug::CutsLongCommands, Duty::Reads),
    (Bug::ReleasesTooMuch, Duty::Reads),
    (Bug::RestartKeepsTheLog, Duty::Reopens),
    (Bug::BeginsAnewWhereDamaged, Duty::NoticesDamage),
    (Bug::ForgetsMemberships, Duty::Reopens),
    (Bug::ReadsByIndex, Duty::Reads),
];

pub(crate) fn recovers(
    bug: Option<Bug>,
    found: Result<RecoveredLog, StorageError>,
) -> Result<RecoveredLog, StorageError> {
    match (bug, found) {
        (Some(Bug::ForgetsMemberships), Ok(found)) => {
            let command = |run: &Run| Run::Commands { term: run.term(), count: run.count() };
            let entries = found.entries.runs().map(command).collect();
            Ok(RecoveredLog { entries, ..found })
        }
        (_, found) => found,
    }
}

pub(crate) fn writes(
    bug: Option<Bug>,
    log: &mut RedbLog,
    write: &BoundWrite<Record>,
) -> Result<(), StorageError> {
    let mut changed = write.clone();
    match (bug, &mut changed.hard_state, &mut changed.log) {
        (Some(Bug::ForgetsTheDrop), _, Some(log)) => log.first = LogIndex::MAX,
        (Some(Bug::HardStateAfterTheEntries), hard_state, Some(_)) => {
            let hard_state = hard_state.take();
            log.write(&changed)?;
            log.sync()?;
            changed = BoundWrite { hard_state, log: None, ..changed };
        }
        (Some(Bug::LastEntriesFirst), _, Some(part)) if part.entries.len() > 1 => {
            let last = part.entries.split_off(part.entries.len() / 2);
            let first = std::mem::replace(&mut part.entries, last);
            log.write(&changed)?;
            log.sync()?;
            let part = changed.log.as_mut().expect("as above");
            (part.entries, part.first) = (first, LogIndex::MAX);
        }
        (Some(Bug::ForgetsTheVote), Some(hard_state), _) => hard_state.voted_for = None,
        (Some(Bug::CutsLongCommands), _, Some(log)) => {
            for entry in &mut log.entries {
                if let Content::Command(record) = &mut entry.content {
                    *record = record[..record.len().min(8 << 10)].into();
                }
            }
        }
        (Some(Bug::RestartKeepsTheLog), _, Some(log)) => log.restart_after = None,
        _ => {}
    }
    log.write(&changed)
}

pub(crate) fn releases(bug: Option<Bug>, through: LogPosition) -> LogPosition {
    let more = u64::from(bug == Some(Bug::ReleasesTooMuch));
    LogPosition::new(through.term, LogIndex(through.index.get() + more))
}

pub(crate) fn reads(
    bug: Option<Bug>,
    reader: &RedbReader,
    position: LogPosition,
) -> Result<Option<Content<Record>>, StorageError> {
    if bug != Some(Bug::ReadsByIndex) {
        return reader.read(position);
    }
    for term in (1..100).map(Term) {
        if let Some(found) = reader.read(LogPosition::new(term, position.index))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
