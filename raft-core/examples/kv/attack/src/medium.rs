//! A file that forgets at a crash what was not synced: the layer between the engine and the file.
//!
//! `kill -9` ends a process, and the system still writes all that the process has handed to it: by
//! itself it tests no fsync. So a node under attack writes through a [`Medium`]. What was synced
//! is in the file. What was written since is in a journal beside it; a sync moves it into the file.
//! After the kill [`crash`] does what a power cut does: of the journal it takes over a beginning
//! that ends at any byte, or sectors at random, and throws the rest away.
//!
//! The file itself is never synced: nothing here survives a crash of the *machine*, and nothing
//! has to.
//!
//! A sync takes as long as the [orders](Orders) of the node say, and fails if they say so.

use crate::dice::Dice;
use crate::lock;
use crate::names::Names;
use kv::storage::{Engine, FileSystem, StorageError};
use redb::{Builder, Database, StorageBackend};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a node's disks are to do: a file that the attack writes and that is read at each sync.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Orders {
    /// A sync takes so much longer.
    pub slow: Duration,
    /// The next sync of the database in this file fails, or of a [file of snapshots](crate::names).
    pub fail: Option<String>,
}

impl Orders {
    /// Gives them.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        let fail = self.fail.as_deref().unwrap_or("-");
        let part = path.with_extension("part");
        fs::write(&part, format!("{} {fail}", self.slow.as_millis()))?;
        fs::rename(part, path)
    }

    /// What was ordered; nothing where there is no file.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut words = text.split_whitespace();
        let slow = words.next().and_then(|slow| slow.parse().ok()).unwrap_or(0);
        let fail = words.next().filter(|fail| *fail != "-").map(String::from);
        Self { slow: Duration::from_millis(slow), fail }
    }
}

/// Where it is said that a sync was made to fail.
pub fn mark_of_failure(orders: &Path) -> PathBuf {
    orders.with_extension("failed")
}

/// Opens databases on [`Medium`]s, and has files of snapshots on [`Names`].
#[derive(Clone, Debug)]
pub struct Faulty {
    orders: PathBuf,
}

impl Faulty {
    /// Their orders are in this file.
    pub const fn new(orders: PathBuf) -> Self {
        Self { orders }
    }
}

impl Engine for Faulty {
    fn create(&self, path: &Path, cache: usize) -> Result<Database, StorageError> {
        let medium = Medium::new(path, &self.orders, true)?;
        Ok(Builder::new().set_cache_size(cache).create_with_backend(medium)?)
    }

    fn open(&self, path: &Path, cache: usize) -> Result<Database, StorageError> {
        let medium = Medium::new(path, &self.orders, false)?;
        Ok(Builder::new().set_cache_size(cache).create_with_backend(medium)?)
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(Names::new(self.orders.clone()))
    }
}

/// A file, and what was written to it since it was synced.
#[derive(Debug)]
pub struct Medium {
    name: String,
    orders: PathBuf,
    contents: Mutex<Contents>,
}

#[derive(Debug)]
struct Contents {
    /// As it is read.
    now: Vec<u8>,
    pending: Vec<Change>,
    file: File,
    journal: File,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Change {
    Length(u64),
    Bytes(u64, Vec<u8>),
}

impl Medium {
    /// The medium in this file.
    ///
    /// # Errors
    ///
    /// As the file system says; or a crash has not been carried out on it ([`crash`]).
    pub fn new(path: &Path, orders: &Path, creates: bool) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(creates).truncate(false).open(path)?;
        let mut now = Vec::new();
        file.read_to_end(&mut now)?;
        let journal = journal_of(path);
        if fs::metadata(&journal).is_ok_and(|found| found.len() > 0) {
            return Err(io::Error::other("a journal is left: its crash was not carried out"));
        }
        let journal = OpenOptions::new().append(true).create(true).open(journal)?;
        let contents = Mutex::new(Contents { now, pending: Vec::new(), file, journal });
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self { name: name.unwrap_or_default(), orders: orders.to_path_buf(), contents })
    }
}

impl Contents {
    fn change(&mut self, change: Change) -> io::Result<()> {
        self.journal.write_all(&encode(&change))?;
        apply(&change, &mut self.now);
        self.pending.push(change);
        Ok(())
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.contents).now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (contents, from) = (lock(&self.contents), small(offset));
        let found = contents.now.get(from..from + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        lock(&self.contents).change(Change::Length(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        let orders = Orders::read(&self.orders);
        // Nobody who reads waits for it.
        std::thread::sleep(orders.slow);
        if Orders::read(&self.orders).fail.as_ref() == Some(&self.name) {
            fs::write(mark_of_failure(&self.orders), &self.name)?;
            return Err(io::Error::other("the attack has made this sync fail"));
        }
        let mut contents = lock(&self.contents);
        for change in std::mem::take(&mut contents.pending) {
            write_to(&contents.file, &change)?;
        }
        contents.journal.set_len(0)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        lock(&self.contents).change(Change::Bytes(offset, bytes.to_vec()))
    }
}

/// What a crash has left of what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Torn {
    /// How many bytes had been written, or names changed, since the last sync.
    pub unsynced: u64,
    /// How many of them are there now.
    pub kept: u64,
}

/// Sectors are written whole, in any order, where a disk has a cache of its own.
pub const SECTOR: usize = 512;

/// Does to a medium, whose process has been killed, what a power cut does to a disk.
///
/// # Errors
///
/// As the file system says.
pub fn crash(path: &Path, dice: &mut Dice) -> io::Result<Torn> {
    let journal = journal_of(path);
    let Ok(bytes) = fs::read(&journal) else { return Ok(Torn::default()) };
    if bytes.is_empty() {
        return Ok(Torn::default());
    }
    let file = OpenOptions::new().write(true).open(path)?;
    let unsynced = bytes.len() as u64;
    let mut kept = 0;
    if dice.happens(700) {
        // All of it, nothing of it, or up to any byte.
        kept = match dice.below(8) {
            0 => 0,
            1 => unsynced,
            _ => dice.below(unsynced + 1),
        };
        for change in decode(&bytes[..small(kept)]) {
            write_to(&file, &change)?;
        }
    } else {
        for change in decode(&bytes) {
            let Change::Bytes(offset, bytes) = change else {
                write_to(&file, &change)?;
                continue;
            };
            for (nth, sector) in bytes.chunks(SECTOR).enumerate() {
                if dice.happens(600) {
                    kept += sector.len() as u64;
                    file.write_all_at(sector, offset + (nth * SECTOR) as u64)?;
                }
            }
        }
    }
    fs::write(&journal, [])?;
    Ok(Torn { unsynced, kept })
}

fn journal_of(path: &Path) -> PathBuf {
    path.with_extension("journal")
}

/// A kind, where, how much, the bytes.
const HEAD: usize = 1 + 8 + 8;

fn encode(change: &Change) -> Vec<u8> {
    let (kind, offset, bytes) = match change {
        Change::Length(length) => (0, *length, &[][..]),
        Change::Bytes(offset, bytes) => (1, *offset, &bytes[..]),
    };
    let mut out = Vec::with_capacity(HEAD + bytes.len());
    out.push(kind);
    out.extend(offset.to_le_bytes());
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
    out
}

/// What is there of a journal; of the last write what is left of its bytes.
fn decode(mut bytes: &[u8]) -> Vec<Change> {
    let mut changes = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() {
        let number = |from: usize| {
            let bytes = head[from..from + 8].try_into().expect("eight of them");
            u64::from_le_bytes(bytes)
        };
        let (offset, length) = (number(1), small(number(9)));
        let (taken, rest) = rest.split_at(length.min(rest.len()));
        changes.push(match head[0] {
            0 => Change::Length(offset),
            _ => Change::Bytes(offset, taken.to_vec()),
        });
        bytes = rest;
    }
    changes
}

fn apply(change: &Change, now: &mut Vec<u8>) {
    match change {
        Change::Length(length) => now.resize(small(*length), 0),
        Change::Bytes(offset, bytes) => {
            let from = small(*offset);
            let end = from + bytes.len();
            now.resize(now.len().max(end), 0);
            now[from..end].copy_from_slice(bytes);
        }
    }
}

fn write_to(file: &File, change: &Change) -> io::Result<()> {
    match change {
        Change::Length(length) => file.set_len(*length),
        Change::Bytes(offset, bytes) => file.write_all_at(bytes, *offset),
    }
}

/// What lies in a file of the attack lies in memory, too.
pub fn small(offset: u64) -> usize {
    usize::try_from(offset).expect("it fits into memory")
}

#[cfg(test)]
mod tests {
    use super::{Faulty, Medium, Orders, Torn, crash, mark_of_failure};
    use crate::dice::Dice;
    use kv::storage::Engine;
    use redb::{ReadableDatabase, StorageBackend, TableDefinition};
    use std::fs;
    use std::time::{Duration, Instant};

    #[test]
    fn a_crash_keeps_what_was_synced_and_a_beginning_of_the_rest_up_to_any_byte() {
        let dir = tempfile::tempdir().expect("room");
        let (path, orders) = (dir.path().join("log.redb"), dir.path().join("orders"));
        let (mut torn_inside, mut ends) = (0, Vec::new());
        for seed in 0..200 {
            _ = fs::remove_file(&path);
            let medium = Medium::new(&path, &orders, true).expect("room");
            medium.write(0, &[1; 2000]).expect("room");
            medium.sync_data().expect("it works");
            medium.write(0, &[2; 1000]).expect("room");
            medium.write(1000, &[3; 1000]).expect("room");
            drop(medium);
            let early = Medium::new(&path, &orders, false);
            assert!(early.is_err(), "nobody may see what is in the journal");
            assert_eq!(fs::read(&path).expect("there"), [1; 2000], "it was held back");
            let torn = crash(&path, &mut Dice::new(seed)).expect("room");
            assert!(torn.unsynced > 2000 && torn.kept <= torn.unsynced, "{torn:?}");
            let found = fs::read(&path).expect("there");
            let end = found.iter().position(|byte| *byte == 1).unwrap_or(2000);
            if found[end..].iter().all(|byte| *byte == 1) {
                ends.push(end);
                torn_inside += usize::from(!end.is_multiple_of(500));
            }
            drop(Medium::new(&path, &orders, false).expect("the crash is over"));
        }
        assert!(torn_inside > 50, "{torn_inside} ends inside a write");
        assert!(ends.contains(&0) && ends.contains(&2000), "all and nothing are ends, too");
    }

    #[test]
    fn a_database_is_whole_after_every_crash_and_has_what_was_committed() {
        const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("t");
        let dir = tempfile::tempdir().expect("room");
        let (path, orders) = (dir.path().join("log.redb"), dir.path().join("orders"));
        let (faulty, mut torn) = (Faulty::new(orders.clone()), 0);
        let mut committed = 0;
        drop(faulty.create(&path, 1 << 20).expect("room"));
        for seed in 0..40 {
            crash(&path, &mut Dice::new(seed)).expect("room");
            let database = faulty.open(&path, 1 << 20).expect("whole");
            if committed > 0 {
                let table = database.begin_read().expect("whole").open_table(TABLE);
                let table = table.expect("there");
                for key in 0..committed {
                    assert!(table.get(key).expect("whole").is_some(), "{key} is lost");
                }
            }
            let put = |key: u64| {
                let transaction = database.begin_write().expect("room");
                transaction.open_table(TABLE).expect("room").insert(key, &[7; 900][..])?;
                transaction.commit().map_err(redb::Error::from)
            };
            put(committed).expect("it works");
            committed += 1;
            // The next one fails, and is found or not.
            let fail = Some("log.redb".to_string());
            Orders { slow: Duration::ZERO, fail }.give(&orders).expect("room");
            put(committed).expect_err("its sync fails");
            Orders::default().give(&orders).expect("room");
            drop(database);
            torn += usize::from(crash(&path, &mut Dice::new(seed)).expect("room").unsynced > 0);
        }
        assert!(torn > 30, "{torn} crashes found something that was not synced");
    }

    #[test]
    fn a_sync_takes_as_long_as_ordered_and_fails_when_ordered_and_leaves_a_mark() {
        let dir = tempfile::tempdir().expect("room");
        let (path, orders) = (dir.path().join("state.redb"), dir.path().join("orders"));
        let medium = Medium::new(&path, &orders, true).expect("room");
        medium.write(0, b"a").expect("room");
        Orders { slow: Duration::from_millis(60), fail: None }.give(&orders).expect("room");
        let begun = Instant::now();
        medium.sync_data().expect("it works");
        assert!(begun.elapsed() >= Duration::from_millis(60));
        let others = Orders { slow: Duration::ZERO, fail: Some("log.redb".into()) };
        others.give(&orders).expect("room");
        medium.sync_data().expect("another one is meant");
        medium.write(1, b"b").expect("room");
        let own = Orders { slow: Duration::ZERO, fail: Some("state.redb".into()) };
        own.give(&orders).expect("room");
        assert_eq!(Orders::read(&orders), own);
        medium.sync_data().expect_err("this one");
        assert_eq!(fs::read(mark_of_failure(&orders)).expect("there"), b"state.redb");
        assert_eq!(fs::read(&path).expect("there"), b"a");
        drop(medium);
        let torn = crash(&path, &mut Dice::new(1)).expect("room");
        assert_ne!(torn, Torn::default());
    }
}
