//! What must survive a crash: the log ([`Log`]), and snapshots ([`snapshots`]).

pub mod ahead;
pub mod redb_log;
pub mod snapshots;

use crate::command::Record;
use raft_core::driver::{BoundWrite, Entry};
use raft_core::payload::Content;
use raft_core::{Entries, HardState, LogPosition};
use redb::{Builder, Database};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// How the two databases of a node, log and state machine, come to their files, and what changes
/// the files of snapshots. A server takes [`Files`]; an attack puts something that fails between.
pub trait Engine {
    /// A database in this file, with a cache of so many bytes: a new one, or the one that is there.
    ///
    /// # Errors
    ///
    /// The file is damaged, in use, or cannot be written.
    fn create(&self, path: &Path, cache: usize) -> Result<Database, StorageError>;

    /// The database in this file.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), and there is none.
    fn open(&self, path: &Path, cache: usize) -> Result<Database, StorageError>;

    /// What changes the files of snapshots.
    fn file_system(&self) -> Arc<dyn FileSystem>;
}

/// What changes files that are no databases. They are read, and what was created is written, as
/// ever. What was written is durable when the file was synced; a name, or that it is gone, when the
/// directory was.
pub trait FileSystem: fmt::Debug + Send + Sync {
    /// A new file, which takes the place of the one that has this name.
    ///
    /// # Errors
    ///
    /// As the system says; so of all of them.
    fn create(&self, path: &Path) -> io::Result<File>;

    /// Makes durable what was written to this file, which has this name.
    ///
    /// # Errors
    ///
    /// Nobody knows what is durable then.
    fn sync(&self, path: &Path, file: &File) -> io::Result<()>;

    /// Gives a file another name, at once.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes durable which names there are.
    ///
    /// # Errors
    ///
    /// Nobody knows what is durable then.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The files themselves.
#[derive(Clone, Copy, Debug)]
pub struct Files;

impl Engine for Files {
    fn create(&self, path: &Path, cache: usize) -> Result<Database, StorageError> {
        Ok(Builder::new().set_cache_size(cache).create(path)?)
    }

    fn open(&self, path: &Path, cache: usize) -> Result<Database, StorageError> {
        Ok(Builder::new().set_cache_size(cache).open(path)?)
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(*self)
    }
}

impl FileSystem for Files {
    fn create(&self, path: &Path) -> io::Result<File> {
        File::create(path)
    }

    fn sync(&self, _: &Path, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// The duties of a log. The disk thread owns it and calls nobody else's; a kit may drive it through
/// crashes at every boundary and compare with a model.
///
/// - Changes are carried out in the order in which they are asked for.
/// - A crash leaves what was durable at the last [`sync`](Self::sync), and any beginning of what
///   was asked for since, a write torn inside included: hard state first, then the drop, then entry
///   by entry. Never a part of an entry, and never an entry without those before it.
/// - What was made durable is found again, byte by byte, or recovery fails: it is not passed over.
/// - After an error nothing else is called: a failed write is a crash.
pub trait Log: Send {
    /// Reads what is durable.
    type Reader: LogReader;

    /// What is durable. Called once, before anything else.
    ///
    /// # Errors
    ///
    /// What was durable cannot be read.
    fn recover(&mut self) -> Result<RecoveredLog, StorageError>;

    /// Hard state; then restart; then drop; then append.
    ///
    /// # Errors
    ///
    /// It could not.
    fn write(&mut self, write: &BoundWrite<Record>) -> Result<(), StorageError>;

    /// Forgets the log up to here, this position included; it starts after it.
    ///
    /// # Errors
    ///
    /// It could not.
    fn release(&mut self, through: LogPosition) -> Result<(), StorageError>;

    /// Empties the log; it starts after this position.
    ///
    /// # Errors
    ///
    /// It could not.
    fn restart(&mut self, after: LogPosition) -> Result<(), StorageError>;

    /// Makes everything durable that was asked for before: one fsync for all of it.
    ///
    /// # Errors
    ///
    /// It could not; nobody knows what is durable then.
    fn sync(&mut self) -> Result<(), StorageError>;

    /// A view for another thread.
    fn reader(&self) -> Self::Reader;
}

/// Reads a log beside its writer.
pub trait LogReader: Send {
    /// What stands at exactly this position, as of the last sync.
    ///
    /// # Errors
    ///
    /// What stands there cannot be read.
    fn read(&self, position: LogPosition) -> Result<Option<Content<Record>>, StorageError>;

    /// The same, with what follows it, up to so many bytes of commands; nothing if it is not there.
    ///
    /// # Errors
    ///
    /// What stands there cannot be read.
    fn read_on(&self, from: LogPosition, bytes: u64) -> Result<Vec<Entry<Record>>, StorageError> {
        let _ = bytes;
        let found = self.read(from)?;
        Ok(found.map(|content| Entry { position: from, content }).into_iter().collect())
    }
}

/// What a log finds when it is opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecoveredLog {
    /// The newest hard state.
    pub hard_state: HardState,
    /// The position before the first entry.
    pub prev: LogPosition,
    /// The terms of the entries, and the memberships among them.
    pub entries: Entries,
    /// The entries from which the address book follows: addresses, and memberships.
    pub book: Vec<Entry<Record>>,
}

/// Why something could not be stored, or found again.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The engine says so.
    #[error("the engine: {0}")]
    Engine(Box<redb::Error>),
    /// The file system says so.
    #[error("a file: {0}")]
    File(#[from] io::Error),
    /// It was stored, and is not what was stored.
    #[error("{0} is damaged")]
    Damaged(String),
}

impl StorageError {
    /// It was stored, and is not what was stored.
    pub fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}

macro_rules! engine_errors {
    ($($of:ident),*) => {
        $(impl From<redb::$of> for StorageError {
            fn from(error: redb::$of) -> Self {
                Self::Engine(Box::new(error.into()))
            }
        })*
    };
}

engine_errors!(DatabaseError, TransactionError, TableError, StorageError, CommitError);
engine_errors!(SetDurabilityError);

/// Files that tell in which order they were made durable.
#[cfg(test)]
pub(crate) mod told {
    use super::{FileSystem, Files};
    use std::fs::File;
    use std::io;
    use std::path::Path;
    use std::sync::Mutex;

    #[derive(Debug, Default)]
    pub(crate) struct Told(Mutex<Vec<&'static str>>);

    impl Told {
        /// What was done until now.
        pub(crate) fn so_far(&self) -> Vec<&'static str> {
            std::mem::take(&mut self.0.lock().expect("nobody has panicked"))
        }

        fn tell(&self, what: &'static str) {
            self.0.lock().expect("nobody has panicked").push(what);
        }
    }

    impl FileSystem for Told {
        fn create(&self, path: &Path) -> io::Result<File> {
            self.tell("create");
            FileSystem::create(&Files, path)
        }

        fn sync(&self, path: &Path, file: &File) -> io::Result<()> {
            self.tell("sync");
            Files.sync(path, file)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.tell("rename");
            Files.rename(from, to)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            Files.remove(path)
        }

        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            self.tell("sync the directory");
            Files.sync_dir(dir)
        }
    }
}
