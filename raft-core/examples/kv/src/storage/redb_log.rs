//! The log on redb: copy-on-write B-trees in one file, one fsync for a commit.
//!
//! Writes gather in a transaction, and [`Log::sync`] commits it: so a group of writes is durable as
//! a whole or not at all, and a torn tail is the engine's to cut. Each entry has a checksum of its
//! own besides, for the engine checks its pages only when it repairs a file.

use crate::command::Record;
use crate::storage::{Engine, Log, LogReader, RecoveredLog, StorageError};
use raft_core::driver::{BoundLog, BoundWrite, Entry, Payload};
use raft_core::payload::Content;
use raft_core::{Entries, HardState, LogIndex, LogPosition, Membership, Run, Term};
use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, Table, TableDefinition,
    WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const HARD_STATE: &str = "hard state";
/// The position before the first entry.
const START: &str = "start";

/// Bytes of the log that the engine keeps in memory; the driver keeps the newest ones itself.
const CACHE: usize = 16 << 20;

/// A log on redb.
pub struct RedbLog {
    database: Arc<Database>,
    /// What was asked for since the last sync.
    open: Option<WriteTransaction>,
}

impl RedbLog {
    /// A log in this file: a new one, or the one that is there.
    ///
    /// # Errors
    ///
    /// The file is damaged, in use, or cannot be written.
    pub fn create(path: &Path, engine: &dyn Engine) -> Result<Self, StorageError> {
        Self::on(engine.create(path, CACHE)?)
    }

    /// The log in this file.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), and there is none.
    pub fn open(path: &Path, engine: &dyn Engine) -> Result<Self, StorageError> {
        Self::on(engine.open(path, CACHE)?)
    }

    /// A log on anything that stores bytes: where tests make writes fail, tear and vanish.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    pub fn on_backend(backend: impl StorageBackend) -> Result<Self, StorageError> {
        Self::on(Builder::new().set_cache_size(CACHE).create_with_backend(backend)?)
    }

    fn on(mut database: Database) -> Result<Self, StorageError> {
        // The engine checks its pages only where it repairs a file. Damage to one in between may
        // hide any entry, and even all of them: the checksum of an entry says nothing of that.
        let begun = Instant::now();
        if !database.check_integrity()? {
            return Err(StorageError::damaged("the log"));
        }
        tracing::info!(ms = begun.elapsed().as_millis(), "the pages of the log were checked");
        let mut log = Self { database: Arc::new(database), open: None };
        let transaction = log.transaction()?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(META)?;
        log.sync()?;
        Ok(log)
    }

    fn transaction(&mut self) -> Result<&WriteTransaction, StorageError> {
        Ok(match &mut self.open {
            Some(open) => open,
            none => none.insert(self.database.begin_write()?),
        })
    }

    fn put(&mut self, key: &str, value: &impl Serialize) -> Result<(), StorageError> {
        let bytes = postcard::to_stdvec(value).expect("it has an encoding");
        self.transaction()?.open_table(META)?.insert(key, &bytes[..])?;
        Ok(())
    }

    fn write_log(&mut self, log: &BoundLog<Record>) -> Result<(), StorageError> {
        if let Some(position) = log.restart_after {
            self.restart(position)?;
        }
        let mut table = self.transaction()?.open_table(ENTRIES)?;
        drop_from(&mut table, log.first)?;
        for entry in &log.entries {
            table.insert(entry.position.index.get(), &encode(entry)[..])?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedbLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbLog").field("unsynced", &self.open.is_some()).finish_non_exhaustive()
    }
}

impl Log for RedbLog {
    type Reader = RedbReader;

    fn recover(&mut self) -> Result<RecoveredLog, StorageError> {
        let transaction = self.database.begin_read()?;
        let meta = transaction.open_table(META)?;
        let prev: LogPosition = get(&meta, START)?.unwrap_or_default();
        let (mut entries, mut book) = (Entries::new(), Vec::new());
        let mut last = prev.index.get();
        for found in transaction.open_table(ENTRIES)?.range::<u64>(..)? {
            let (index, value) = found?;
            last += 1;
            let entry = decode(index.value(), value.value())?;
            if index.value() != last {
                return Err(StorageError::damaged(format!("the log: {last} is missing")));
            }
            if entry.content.command().is_none_or(|record| record.describes().is_some()) {
                book.push(entry.clone());
            }
            let term = entry.position.term;
            entries.push(match entry.content {
                Content::Command(_) => Run::Commands { term, count: 1 },
                Content::Membership(membership) => Run::Membership { term, membership },
            });
        }
        let hard_state: HardState = get(&meta, HARD_STATE)?.unwrap_or_default();
        Ok(RecoveredLog { hard_state, prev, entries, book })
    }

    fn write(&mut self, write: &BoundWrite<Record>) -> Result<(), StorageError> {
        if let Some(hard_state) = &write.hard_state {
            self.put(HARD_STATE, hard_state)?;
        }
        write.log.as_ref().map_or(Ok(()), |log| self.write_log(log))
    }

    fn release(&mut self, through: LogPosition) -> Result<(), StorageError> {
        let mut table = self.transaction()?.open_table(ENTRIES)?;
        table.retain_in(..=through.index.get(), |_, _| false)?;
        drop(table);
        self.put(START, &through)
    }

    fn restart(&mut self, after: LogPosition) -> Result<(), StorageError> {
        let mut table = self.transaction()?.open_table(ENTRIES)?;
        drop_from(&mut table, LogIndex::ZERO)?;
        drop(table);
        self.put(START, &after)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        Ok(self.open.take().map_or(Ok(()), WriteTransaction::commit)?)
    }

    fn reader(&self) -> RedbReader {
        RedbReader(Arc::clone(&self.database))
    }
}

/// Reads a [`RedbLog`] beside its writer.
#[derive(Clone, Debug)]
pub struct RedbReader(Arc<Database>);

impl LogReader for RedbReader {
    fn read(&self, position: LogPosition) -> Result<Option<Content<Record>>, StorageError> {
        let table = self.0.begin_read()?.open_table(ENTRIES)?;
        let index = position.index.get();
        let Some(value) = table.get(index)? else { return Ok(None) };
        let entry = decode(index, value.value())?;
        Ok((entry.position == position).then_some(entry.content))
    }

    fn read_on(&self, from: LogPosition, bytes: u64) -> Result<Vec<Entry<Record>>, StorageError> {
        let table = self.0.begin_read()?.open_table(ENTRIES)?;
        let (mut entries, mut left) = (Vec::new(), bytes);
        for found in table.range(from.index.get()..)? {
            let (index, value) = found?;
            let size = value.value().len() as u64;
            if !entries.is_empty() && size > left {
                break;
            }
            left = left.saturating_sub(size);
            let entry = decode(index.value(), value.value())?;
            if entries.is_empty() && entry.position != from {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

fn drop_from(table: &mut Table<'_, u64, &[u8]>, first: LogIndex) -> Result<(), StorageError> {
    // Nearly always there is nothing to drop, and looking at the last key is all it costs.
    let last = table.last()?.map(|(index, _)| index.value());
    if last >= Some(first.get()) {
        table.retain_in(first.get().., |_, _| false)?;
    }
    Ok(())
}

fn get<T: DeserializeOwned>(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<T>, StorageError> {
    let Some(found) = meta.get(key)? else { return Ok(None) };
    postcard::from_bytes(found.value()).map(Some).map_err(|_| StorageError::damaged(key))
}

/// Checksum, term, kind, content.
const HEAD: usize = 4 + 8 + 1;
const COMMAND: u8 = 0;
const MEMBERSHIP: u8 = 1;

fn encode(entry: &Entry<Record>) -> Vec<u8> {
    let (kind, content) = match &entry.content {
        Content::Command(record) => (COMMAND, record.clone()),
        Content::Membership(membership) => {
            let bytes = postcard::to_stdvec(membership).expect("it has an encoding");
            (MEMBERSHIP, bytes.into())
        }
    };
    let mut bytes = Vec::with_capacity(HEAD + content.len());
    bytes.extend([0; 4]);
    bytes.extend(entry.position.term.get().to_le_bytes());
    bytes.push(kind);
    bytes.extend(&content[..]);
    let sum = checksum(entry.position.index.get(), &bytes[4..]);
    bytes[..4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn decode(index: u64, bytes: &[u8]) -> Result<Entry<Record>, StorageError> {
    let damaged = || StorageError::damaged(format!("the entry at {index}"));
    let (sum, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*sum) != checksum(index, rest) {
        return Err(damaged());
    }
    let (term, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    let position = LogPosition::new(Term(u64::from_le_bytes(*term)), LogIndex(index));
    let content = match rest.split_first() {
        Some((&COMMAND, record)) => Content::Command(record.into()),
        Some((&MEMBERSHIP, bytes)) => {
            let membership: Membership = postcard::from_bytes(bytes).map_err(|_| damaged())?;
            Content::Membership(Box::new(membership))
        }
        _ => return Err(damaged()),
    };
    Ok(Entry { position, content })
}

fn checksum(index: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&index.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::{RedbLog, decode, encode};
    use crate::command::Record;
    use crate::storage::{Log, LogReader};
    use raft_core::driver::{BoundLog, BoundWrite, Entry};
    use raft_core::payload::Content;
    use raft_core::{HardState, LogIndex, LogPosition, Membership, NodeId, Term, Ticket};
    use redb::backends::InMemoryBackend;

    fn at(term: u64, index: u64) -> LogPosition {
        LogPosition::new(Term(term), LogIndex(index))
    }

    fn command(term: u64, index: u64) -> Entry<Record> {
        let content = Content::Command(format!("{term}/{index}").into_bytes().into());
        Entry { position: at(term, index), content }
    }

    fn write(first: u64, terms: &[u64], restart: Option<LogPosition>) -> BoundWrite<Record> {
        let entries = (first..).zip(terms).map(|(index, term)| command(*term, index)).collect();
        let log = BoundLog { restart_after: restart, first: LogIndex(first), entries };
        BoundWrite { ticket: Ticket(1), hard_state: None, log: Some(log) }
    }

    fn log() -> RedbLog {
        RedbLog::on_backend(InMemoryBackend::new()).expect("memory")
    }

    /// The start of the log, and the term of each entry.
    fn found(log: &mut RedbLog) -> (LogPosition, Vec<u64>) {
        let found = log.recover().expect("whole");
        let terms = found.entries.runs().flat_map(|run| (0..run.count()).map(|_| run.term().get()));
        (found.prev, terms.collect())
    }

    #[test]
    fn what_is_synced_is_found_and_what_is_not_is_not() {
        let mut log = log();
        let reader = log.reader();
        log.write(&write(1, &[1, 1, 2], None)).expect("room");
        assert_eq!(reader.read(at(1, 2)).expect("whole"), None);
        assert_eq!(found(&mut log), (LogPosition::ZERO, vec![]));
        log.sync().expect("memory");
        assert_eq!(found(&mut log), (LogPosition::ZERO, vec![1, 1, 2]));
        assert_eq!(reader.read(at(1, 2)).expect("whole"), Some(command(1, 2).content));
        assert_eq!(reader.read(at(2, 2)).expect("whole"), None, "another term");
    }

    #[test]
    fn a_write_drops_what_follows_its_first_index() {
        let mut log = log();
        log.write(&write(1, &[1, 1, 1, 1], None)).expect("room");
        log.write(&write(3, &[2], None)).expect("room");
        log.sync().expect("memory");
        assert_eq!(found(&mut log), (LogPosition::ZERO, vec![1, 1, 2]));
    }

    #[test]
    fn a_log_is_released_from_its_start_and_restarted_behind_a_snapshot() {
        let mut log = log();
        log.write(&write(1, &[1, 1, 1], None)).expect("room");
        log.release(at(1, 2)).expect("room");
        log.sync().expect("memory");
        assert_eq!(found(&mut log), (at(1, 2), vec![1]));
        log.write(&write(8, &[4], Some(at(3, 7)))).expect("room");
        log.sync().expect("memory");
        assert_eq!(found(&mut log), (at(3, 7), vec![4]));
        log.restart(at(5, 20)).expect("room");
        log.sync().expect("memory");
        assert_eq!(found(&mut log), (at(5, 20), vec![]));
    }

    #[test]
    fn the_hard_state_is_the_newest_that_was_synced() {
        let mut log = log();
        let hard_state = HardState { current_term: Term(4), ..HardState::default() };
        let write = BoundWrite { ticket: Ticket(1), hard_state: Some(hard_state), log: None };
        log.write(&write).expect("room");
        log.sync().expect("memory");
        assert_eq!(log.recover().expect("whole").hard_state, hard_state);
    }

    #[test]
    fn an_entry_that_was_changed_or_moved_is_damaged() {
        let membership = Membership::of_voters([NodeId(1)]).expect("valid");
        let content = Content::Membership(Box::new(membership));
        for entry in [command(3, 9), Entry { position: at(3, 9), content }] {
            let bytes = encode(&entry);
            assert_eq!(decode(9, &bytes).expect("whole"), entry);
            assert!(decode(8, &bytes).is_err(), "it stands somewhere else");
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                assert!(decode(9, &changed).is_err());
                assert!(decode(9, &bytes[..at]).is_err());
            }
        }
    }
}
