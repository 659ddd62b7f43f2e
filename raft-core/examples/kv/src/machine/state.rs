//! The state machine: keys and values, and sessions, in one file of redb.
//!
//! It is durable, but lazily: a crash takes it back to an earlier applied index, which is stored in
//! the same transaction as its effects, and the log is applied again from there. So an apply costs
//! no fsync. Where the log does not reach back so far, the newest snapshot takes its place.
//!
//! Sessions are in memory. In the file is what they were at the last flush, and what each entry has
//! done to them since: that is written with the entry's effects, so no crash parts the two.

use crate::command::{Command, Record, Reply, Write};
use crate::storage::snapshots::{DESCRIPTION, SnapshotReader, SnapshotWriter};
use crate::storage::{Engine, StorageError};
use raft_core::driver::Entry;
use raft_core::driver::sessions::{Request, SessionId, SessionLimits, Sessions};
use raft_core::{LogIndex, Snapshot};
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const APPLIED: &str = "applied";
/// Under 0 all sessions, as of a flush; under an index what that entry has done to them since.
const SESSIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("sessions");
const ALL: u64 = 0;

/// The tags of keys, and of what is known of sessions, in a snapshot.
const KEY: u8 = 2;
const SESSION: u8 = 3;

const CACHE: usize = 64 << 20;

/// The state machine. Clones share it; one thread writes.
#[derive(Clone, Debug)]
pub struct State(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    database: Database,
    sessions: Mutex<Sessions<Reply>>,
}

/// What an entry has done to the sessions.
#[derive(Serialize, Deserialize)]
enum Did {
    Opened,
    Closed(SessionId),
    /// And what was answered, where that was not the word of the session itself.
    Asked(Request, Option<Reply>),
}

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
        let transaction = database.begin_write()?;
        transaction.open_table(KEYS)?;
        transaction.open_table(META)?;
        let sessions = Mutex::new(sessions(&transaction.open_table(SESSIONS)?)?);
        transaction.commit()?;
        Ok(Self(Arc::new(Shared { database, sessions })))
    }

    /// The last index that it has applied.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn applied(&self) -> Result<LogIndex, StorageError> {
        let meta = self.0.database.begin_read()?.open_table(META)?;
        Ok(LogIndex(meta.get(APPLIED)?.map_or(0, |applied| applied.value())))
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let keys = self.0.database.begin_read()?.open_table(KEYS)?;
        Ok(keys.get(key)?.map(|value| value.value().to_vec()))
    }

    /// Applies these entries, and gives a reply for each. It is one transaction, with the index of
    /// the last one, and durable at the next [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// They could not be written.
    pub fn apply(&self, entries: &[Entry<Record>]) -> Result<Vec<Reply>, StorageError> {
        let mut replies = Vec::with_capacity(entries.len());
        let Some(last) = entries.last() else { return Ok(replies) };
        let mut transaction = self.0.database.begin_write()?;
        transaction.set_durability(Durability::None)?;
        let mut sessions = self.sessions();
        for entry in entries {
            // A membership entry has nothing to apply.
            let command = entry.content.command().and_then(|record| Command::decode(record));
            replies.push(match command {
                Some(command) => {
                    apply_one(&transaction, &mut sessions, entry.position.index, &command)?
                }
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
        let transaction = self.0.database.begin_write()?;
        {
            let mut table = transaction.open_table(SESSIONS)?;
            if table.last()?.is_some_and(|(index, _)| index.value() > ALL) {
                table.retain(|_, _| false)?;
                table.insert(ALL, &encode(&*self.sessions())[..])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions<Reply>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as it is now, whatever is applied later.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn view(&self) -> Result<View, StorageError> {
        Ok(View(self.0.database.begin_read()?))
    }

    /// Replaces everything by a snapshot, atomically and durably.
    ///
    /// # Errors
    ///
    /// The snapshot is damaged, or could not be written: all is as it was.
    pub fn restore(&self, mut snapshot: SnapshotReader) -> Result<Snapshot, StorageError> {
        let transaction = self.0.database.begin_write()?;
        transaction.delete_table(KEYS)?;
        transaction.delete_table(SESSIONS)?;
        let restored = {
            let mut keys = transaction.open_table(KEYS)?;
            let mut table = transaction.open_table(SESSIONS)?;
            let damaged = || StorageError::damaged("a record of the snapshot");
            while let Some(record) = snapshot.next_record()? {
                let (key, value) = (&record.key[..], &record.value[..]);
                match record.tag {
                    KEY => {
                        let key = std::str::from_utf8(key).map_err(|_| damaged())?;
                        keys.insert(key, value)?;
                    }
                    SESSION => {
                        let index = key.try_into().map_err(|_| damaged())?;
                        table.insert(u64::from_le_bytes(index), value)?;
                    }
                    // The driver asks for them by itself.
                    DESCRIPTION => {}
                    _ => return Err(damaged()),
                }
            }
            let index = snapshot.head().position.index;
            transaction.open_table(META)?.insert(APPLIED, index.get())?;
            sessions(&table)?
        };
        transaction.commit()?;
        *self.sessions() = restored;
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
        for found in self.0.open_table(SESSIONS)?.range::<u64>(..)? {
            let (index, value) = found?;
            to.record(SESSION, &index.value().to_le_bytes(), value.value())?;
        }
        Ok(())
    }
}

/// The sessions, as a table has them.
fn sessions(
    table: &impl ReadableTable<u64, &'static [u8]>,
) -> Result<Sessions<Reply>, StorageError> {
    let damaged = |_| StorageError::damaged("a session");
    let mut sessions = Sessions::new(SessionLimits::default());
    for found in table.range::<u64>(..)? {
        let (index, value) = found?;
        if index.value() == ALL {
            sessions = postcard::from_bytes(value.value()).map_err(damaged)?;
            continue;
        }
        let at = LogIndex(index.value());
        match postcard::from_bytes(value.value()).map_err(damaged)? {
            Did::Opened => _ = sessions.open(at),
            Did::Closed(id) => _ = sessions.close(id),
            Did::Asked(request, reply) => {
                _ = sessions.apply(at, request, || reply.unwrap_or(Reply::Unreadable));
            }
        }
    }
    Ok(sessions)
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("it has an encoding")
}

fn apply_one(
    transaction: &WriteTransaction,
    sessions: &mut Sessions<Reply>,
    at: LogIndex,
    command: &Command,
) -> Result<Reply, StorageError> {
    let (reply, did) = match command {
        Command::Write(write) => return carry_out(transaction, write),
        Command::Address { .. } => return Ok(Reply::Noted),
        Command::Once(request, write) => {
            let mut failed = None;
            let answer = sessions.apply(at, *request, || {
                let carried_out = carry_out(transaction, write);
                carried_out.unwrap_or_else(|error| {
                    failed = Some(error);
                    Reply::Unreadable
                })
            });
            let answer = answer.copied();
            if let Some(error) = failed {
                return Err(error);
            }
            (answer.unwrap_or_else(Reply::NotOnce), Did::Asked(*request, answer.ok()))
        }
        Command::Open => (Reply::Opened(sessions.open(at)), Did::Opened),
        Command::Close(id) => (Reply::Applied { existed: sessions.close(*id) }, Did::Closed(*id)),
    };
    transaction.open_table(SESSIONS)?.insert(at.get(), &encode(&did)[..])?;
    Ok(reply)
}

fn carry_out(transaction: &WriteTransaction, write: &Write) -> Result<Reply, StorageError> {
    let mut keys = transaction.open_table(KEYS)?;
    let existed = match write {
        Write::Put { key, value } => keys.insert(&key[..], &value[..])?.is_some(),
        Write::Delete { key } => keys.remove(&key[..])?.is_some(),
        Write::Append { key, more } => {
            let mut value = keys.get(&key[..])?.map_or_else(Vec::new, |was| was.value().to_vec());
            value.extend(more);
            if value.len() > Command::MAX_VALUE {
                return Ok(Reply::TooLong);
            }
            keys.insert(&key[..], &value[..])?;
            return Ok(Reply::Appended { length: value.len() as u64 });
        }
    };
    Ok(Reply::Applied { existed })
}

#[cfg(test)]
mod tests {
    use super::{State, View, encode};
    use crate::address::Address;
    use crate::command::{Command, Record, Reply, Write};
    use crate::storage::Files;
    use crate::storage::snapshots::{LONGEST, Snapshots};
    use raft_core::driver::Entry;
    use raft_core::driver::sessions::{Request, SessionError, SessionId, SessionLimits, Sessions};
    use raft_core::payload::Content;
    use raft_core::{LogIndex, LogPosition, Membership, Snapshot, Term};
    use std::sync::Arc;

    fn entry(index: u64, command: &Command) -> Entry<Record> {
        let position = LogPosition::new(Term(1), LogIndex(index));
        Entry { position, content: Content::Command(command.encode()) }
    }

    fn put(index: u64, key: &str, value: &'static str) -> Entry<Record> {
        entry(index, &Command::Write(Write::Put { key: key.into(), value: value.into() }))
    }

    const fn applied(existed: bool) -> Reply {
        Reply::Applied { existed }
    }

    #[test]
    fn commands_are_applied_together_with_their_index() {
        let dir = tempfile::tempdir().expect("room");
        let state = State::create(&dir.path().join("state"), &Files).expect("room");
        let delete = entry(3, &Command::Write(Write::Delete { key: "a".into() }));
        let position = LogPosition::new(Term(1), LogIndex(4));
        let garbage = Entry { position, content: Content::Command([99][..].into()) };
        let replies = state.apply(&[put(1, "a", "1"), put(2, "a", "2"), delete, garbage]);
        let expected = [applied(false), applied(true), applied(true), Reply::Unreadable];
        assert_eq!(replies.expect("room"), expected);
        assert_eq!(state.get("a").expect("readable"), None);
        assert_eq!(state.applied().expect("readable"), LogIndex(4));
    }

    /// A snapshot of this view, which is that of this index.
    fn write(view: &View, snapshots: &Snapshots, index: u64, book: &[Record]) -> Snapshot {
        let position = LogPosition::new(Term(1), LogIndex(index));
        let head = Snapshot { position, membership: Membership::empty() };
        let mut writer = snapshots.create(&head, book).expect("room");
        view.write(&mut writer).expect("room");
        writer.finish().expect("room");
        head
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
        let book = known.content.command().cloned().into_iter().collect::<Vec<_>>();
        let head = write(&view, &snapshots, 2, &book);
        let position = head.position;

        let other = State::create(&dir.path().join("other"), &Files).expect("room");
        other.apply(&[put(1, "b", "1")]).expect("room");
        let found = other.restore(snapshots.read(position).expect("there")).expect("whole");
        assert_eq!(found, head);
        assert_eq!(other.get("a").expect("readable"), Some(b"1".to_vec()));
        assert_eq!(other.get("b").expect("readable"), None);
        assert_eq!(other.applied().expect("readable"), LogIndex(2));
        assert_eq!(snapshots.described(position).expect("there"), book);
    }

    /// The client's command of this number, which adds an x.
    fn adds(index: u64, number: u64, received: u64) -> Entry<Record> {
        let write = Write::Append { key: "a".into(), more: b"x"[..].into() };
        entry(index, &Command::Once(Request { session: SessionId(0), number, received }, write))
    }

    const fn appended(length: u64) -> Reply {
        Reply::Appended { length }
    }

    #[test]
    fn what_comes_again_gets_the_first_answer_and_is_not_applied_again() {
        let dir = tempfile::tempdir().expect("room");
        let state = State::create(&dir.path().join("state"), &Files).expect("room");
        let open = entry(1, &Command::Open);
        let replies = state.apply(&[open, adds(2, 1, 0), adds(3, 2, 0), adds(4, 1, 0)]);
        let opened = Reply::Opened(SessionId(0));
        assert_eq!(replies.expect("room"), [opened, appended(1), appended(2), appended(1)]);
        let late = Reply::NotOnce(SessionError::Received { received: 1 });
        let malformed = SessionError::Malformed { number: 4, received: 4 };
        let replies = state.apply(&[adds(5, 3, 1), adds(6, 1, 0), adds(7, 4, 4)]);
        assert_eq!(replies.expect("room"), [appended(3), late, Reply::NotOnce(malformed)]);
        let close = entry(8, &Command::Close(SessionId(0)));
        let replies = state.apply(&[close.clone(), close, adds(10, 4, 0)]).expect("room");
        let expired = Reply::NotOnce(SessionError::Expired);
        assert_eq!(replies, [applied(true), applied(false), expired]);
        assert_eq!(state.get("a").expect("readable"), Some(b"xxx".to_vec()));
    }

    #[test]
    fn sessions_come_back_with_a_snapshot_and_at_a_start_whether_they_were_flushed_or_not() {
        let dir = tempfile::tempdir().expect("room");
        let path = dir.path().join("state");
        let state = State::create(&path, &Files).expect("room");
        let mut index = 1;
        state.apply(&[entry(index, &Command::Open)]).expect("room");
        for number in 1..8 {
            index += 1;
            state.apply(&[adds(index, number, number / 3)]).expect("room");
            if number % 3 == 0 {
                state.flush().expect("room");
            }
            let snapshots = dir.path().join("snapshots");
            let snapshots = Snapshots::open(&snapshots, Arc::new(Files)).expect("room");
            let head = write(&state.view().expect("readable"), &snapshots, index, &[]);
            let other = State::create(&dir.path().join(format!("{number}")), &Files);
            let other = other.expect("room");
            other.restore(snapshots.read(head.position).expect("there")).expect("whole");
            let (first, last) = (number / 3 + 1, number);
            let replies = other.apply(&[adds(90, first, 0), adds(91, last, 0), adds(92, 99, 0)]);
            let expected = [appended(first), appended(last), appended(last + 1)];
            assert_eq!(replies.expect("room"), expected);
        }
        drop(state);
        let state = State::open(&path, &Files).expect("whole");
        assert_eq!(
            state
                .apply(&[adds(20, 7, 0), adds(21, 8, 0), entry(22, &Command::Open)])
                .expect("room"),
            [appended(7), appended(8), Reply::Opened(SessionId(1))],
            "and nothing of what was flushed is done again"
        );
    }

    #[test]
    fn as_many_sessions_as_there_may_be_go_into_one_record_of_a_snapshot() {
        let limits = SessionLimits::default();
        let at = LogIndex(1 << 62);
        let mut sessions = Sessions::new(limits);
        for _ in 0..limits.sessions.get() {
            let session = sessions.open(at);
            for nth in 0..limits.answers.get() {
                let (number, received) = (u64::MAX - nth, 1 << 62);
                let answered =
                    sessions.apply(at, Request { session, number, received }, || appended(1 << 62));
                answered.expect("so many are kept");
            }
        }
        assert!(encode(&sessions).len() < LONGEST as usize);
    }
}
