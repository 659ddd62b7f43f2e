//! The state machine: keys and values, in one file of redb.
//!
//! It is durable, but lazily: a crash takes it back to an earlier applied index, which is stored in
//! the same transaction as its effects, and the log is applied again from there. So an apply costs
//! no fsync. Where the log does not reach back so far, the newest snapshot takes its place.

use crate::command::{Command, Record, Reply};
use crate::storage::snapshots::{DESCRIPTION, SnapshotReader, SnapshotWriter};
use crate::storage::{Engine, StorageError};
use raft_core::driver::Entry;
use raft_core::{LogIndex, Snapshot};
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction,
};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const APPLIED: &str = "applied";

/// The tag of a key in a snapshot.
const KEY: u8 = 2;

const CACHE: usize = 64 << 20;

/// The state machine. Clones share it; one thread writes.
#[derive(Clone, Debug)]
pub struct State(Arc<Database>);

impl State {
    /// The state in this file, or an empty one.
    ///
    /// # Errors
    ///
    /// The file is damaged, in use, or cannot be written.
    pub fn create(path: &Path, engine: &dyn Engine) -> Result<Self, StorageError> {
        Self::on(engine.create(path, CACHE)?)
    }

    /// The state in this file.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), and there is none.
    pub fn open(path: &Path, engine: &dyn Engine) -> Result<Self, StorageError> {
        Self::on(engine.open(path, CACHE)?)
    }

    fn on(database: Database) -> Result<Self, StorageError> {
        let state = Self(Arc::new(database));
        let transaction = state.0.begin_write()?;
        transaction.open_table(KEYS)?;
        transaction.open_table(META)?;
        transaction.commit()?;
        Ok(state)
    }

    /// The last index that it has applied.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn applied(&self) -> Result<LogIndex, StorageError> {
        let meta = self.0.begin_read()?.open_table(META)?;
        Ok(LogIndex(meta.get(APPLIED)?.map_or(0, |applied| applied.value())))
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let keys = self.0.begin_read()?.open_table(KEYS)?;
        Ok(keys.get(key)?.map(|value| value.value().to_vec()))
    }

    /// Applies these entries, and gives a reply for each, in one transaction with the index of the last one. Durable at the
    /// next [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// They could not be written.
    pub fn apply(&self, entries: &[Entry<Record>]) -> Result<Vec<Reply>, StorageError> {
        let mut replies = Vec::with_capacity(entries.len());
        let Some(last) = entries.last() else { return Ok(replies) };
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(Durability::None)?;
        for entry in entries {
            // A membership entry has nothing to apply.
            let command = entry.content.command().and_then(|record| Command::decode(record));
            replies.push(match command {
                Some(command) => apply_one(&transaction, &command)?,
                None => Reply::Unreadable,
            });
        }
        transaction.open_table(META)?.insert(APPLIED, last.position.index.get())?;
        transaction.commit()?;
        Ok(replies)
    }

    /// Makes everything durable that was applied.
    ///
    /// # Errors
    ///
    /// It could not.
    pub fn flush(&self) -> Result<(), StorageError> {
        Ok(self.0.begin_write()?.commit()?)
    }

    /// The state as it is now, whatever is applied later.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn view(&self) -> Result<View, StorageError> {
        Ok(View(self.0.begin_read()?))
    }

    /// Replaces everything by a snapshot, atomically and durably.
    ///
    /// # Errors
    ///
    /// The snapshot is damaged, or could not be written: all is as it was.
    pub fn restore(&self, mut snapshot: SnapshotReader) -> Result<Snapshot, StorageError> {
        let transaction = self.0.begin_write()?;
        transaction.delete_table(KEYS)?;
        {
            let mut keys = transaction.open_table(KEYS)?;
            let damaged = || StorageError::damaged("a record of the snapshot");
            while let Some(record) = snapshot.next_record()? {
                let (key, value) = (&record.key[..], &record.value[..]);
                match record.tag {
                    KEY => {
                        let key = std::str::from_utf8(key).map_err(|_| damaged())?;
                        keys.insert(key, value)?;
                    }
                    // The driver asks for them by itself.
                    DESCRIPTION => {}
                    _ => return Err(damaged()),
                }
            }
            let index = snapshot.head().position.index;
            transaction.open_table(META)?.insert(APPLIED, index.get())?;
        }
        transaction.commit()?;
        Ok(snapshot.head().clone())
    }
}

/// The state at one moment.
pub struct View(ReadTransaction);

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("View").finish_non_exhaustive()
    }
}

impl View {
    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// It could not.
    pub fn write(&self, to: &mut SnapshotWriter) -> Result<(), StorageError> {
        for found in self.0.open_table(KEYS)?.range::<&str>(..)? {
            let (key, value) = found?;
            to.record(KEY, key.value().as_bytes(), value.value())?;
        }
        Ok(())
    }
}

fn apply_one(transaction: &WriteTransaction, command: &Command) -> Result<Reply, StorageError> {
    let existed = match command {
        Command::Put { key, value } => {
            transaction.open_table(KEYS)?.insert(&key[..], &value[..])?.is_some()
        }
        Command::Delete { key } => transaction.open_table(KEYS)?.remove(&key[..])?.is_some(),
        Command::Address { .. } => return Ok(Reply::Noted),
    };
    Ok(Reply::Applied { existed })
}

#[cfg(test)]
mod tests {
    use super::State;
    use crate::address::Address;
    use crate::command::{Command, Record, Reply};
    use crate::storage::Files;
    use crate::storage::snapshots::Snapshots;
    use raft_core::driver::Entry;
    use raft_core::payload::Content;
    use raft_core::{LogIndex, LogPosition, Membership, Snapshot, Term};
    use std::sync::Arc;

    fn entry(index: u64, command: &Command) -> Entry<Record> {
        let position = LogPosition::new(Term(1), LogIndex(index));
        Entry { position, content: Content::Command(command.encode()) }
    }

    fn put(index: u64, key: &str, value: &'static str) -> Entry<Record> {
        entry(index, &Command::Put { key: key.into(), value: value.into() })
    }

    const fn applied(existed: bool) -> Reply {
        Reply::Applied { existed }
    }

    #[test]
    fn commands_are_applied_together_with_their_index() {
        let dir = tempfile::tempdir().expect("room");
        let state = State::create(&dir.path().join("state"), &Files).expect("room");
        let delete = entry(3, &Command::Delete { key: "a".into() });
        let position = LogPosition::new(Term(1), LogIndex(4));
        let garbage = Entry { position, content: Content::Command([99][..].into()) };
        let replies = state.apply(&[put(1, "a", "1"), put(2, "a", "2"), delete, garbage]);
        let expected = [applied(false), applied(true), applied(true), Reply::Unreadable];
        assert_eq!(replies.expect("room"), expected);
        assert_eq!(state.get("a").expect("readable"), None);
        assert_eq!(state.applied().expect("readable"), LogIndex(4));
    }

    #[test]
    fn a_snapshot_is_the_state_at_its_moment_and_replaces_another_state() {
        let dir = tempfile::tempdir().expect("room");
        let snapshots =
            Snapshots::open(&dir.path().join("snapshots"), Arc::new(Files)).expect("room");
        let state = State::create(&dir.path().join("state"), &Files).expect("room");
        let address = Address { raft: "a:1".into(), http: "a:2".into() };
        let known = entry(2, &Command::Address { node: 4, address });
        let replies = state.apply(&[put(1, "a", "1"), known.clone()]).expect("room");
        assert_eq!(replies, [applied(false), Reply::Noted]);
        let view = state.view().expect("readable");
        state.apply(&[put(3, "a", "later")]).expect("room");
        let position = LogPosition::new(Term(1), LogIndex(2));
        let head = Snapshot { position, membership: Membership::empty() };
        let book = known.content.command().cloned().into_iter().collect::<Vec<_>>();
        let mut writer = snapshots.create(&head, &book).expect("room");
        view.write(&mut writer).expect("room");
        writer.finish().expect("room");

        let other = State::create(&dir.path().join("other"), &Files).expect("room");
        other.apply(&[put(1, "b", "1")]).expect("room");
        let found = other.restore(snapshots.read(position).expect("there")).expect("whole");
        assert_eq!(found, head);
        assert_eq!(other.get("a").expect("readable"), Some(b"1".to_vec()));
        assert_eq!(other.get("b").expect("readable"), None);
        assert_eq!(other.applied().expect("readable"), LogIndex(2));
        assert_eq!(snapshots.described(position).expect("there"), book);
    }
}
