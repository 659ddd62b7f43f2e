//! The log, driven by the kit: a crash at every write, syncs that fail, damage on the platter; and
//! what the kit says of a log with a bug.

mod bugs;

use bugs::Bug;
use kv::command::Record;
use kv::storage::redb_log::{RedbLog, RedbReader};
use kv::storage::{Log as _, StorageError};
use raft_core::LogPosition;
use raft_core::driver::BoundWrite;
use raft_core::payload::Content;
use raft_sim::kit::{self, Failure, Medium, RecoveredLog, Report, Torture};
use redb::StorageBackend;
use std::io;

/// A file of the kit's medium, under the engine.
#[derive(Clone, Debug)]
struct File(Medium);

const NAME: &str = "log.redb";

impl File {
    /// The file is there, as it is when the server opens it.
    fn on(medium: &Medium) -> io::Result<Self> {
        if medium.names().is_empty() {
            medium.set_len(NAME, 0)?;
            medium.sync_dir()?;
        }
        Ok(Self(medium.clone()))
    }
}

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        self.0.len(NAME)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(NAME, offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(NAME, length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync(NAME)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(NAME, offset, bytes)
    }
}

/// The server's log, as the kit drives it; and with a bug.
struct Driven {
    log: RedbLog,
    reader: RedbReader,
    bug: Option<Bug>,
    /// How much was asked of it.
    calls: u64,
}

impl Driven {
    fn open(medium: &Medium, bug: Option<Bug>) -> Result<Self, StorageError> {
        let opened = RedbLog::on_backend(File::on(medium)?);
        let log = match (bug, opened) {
            (Some(Bug::BeginsAnewWhereDamaged), Err(_)) => {
                medium.remove(NAME)?;
                RedbLog::on_backend(File::on(medium)?)?
            }
            (_, opened) => opened?,
        };
        let reader = log.reader();
        Ok(Self { log, reader, bug, calls: 0 })
    }
}

impl kit::Log<Record> for Driven {
    type Error = StorageError;

    fn recover(&mut self) -> Result<RecoveredLog, StorageError> {
        let found = self.log.recover();
        let found = bugs::recovers(self.bug, found)?;
        let kv::storage::RecoveredLog { hard_state, prev, entries, .. } = found;
        Ok(RecoveredLog { hard_state, prev, entries })
    }

    fn write(&mut self, write: &BoundWrite<Record>) -> Result<(), StorageError> {
        bugs::writes(self.bug, &mut self.log, write)
    }

    fn release(&mut self, through: LogPosition) -> Result<(), StorageError> {
        self.log.release(bugs::releases(self.bug, through))
    }

    fn restart(&mut self, after: LogPosition) -> Result<(), StorageError> {
        if self.bug == Some(Bug::RestartKeepsTheLog) { Ok(()) } else { self.log.restart(after) }
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.calls += 1;
        match self.bug {
            Some(Bug::SyncsSometimes) if self.calls.is_multiple_of(3) => Ok(()),
            Some(Bug::TakesAFailedSyncForDone) => {
                _ = self.log.sync();
                Ok(())
            }
            _ => self.log.sync(),
        }
    }

    fn read(&mut self, position: LogPosition) -> Result<Option<Content<Record>>, StorageError> {
        bugs::reads(self.bug, &self.reader, position)
    }
}

fn drive(torture: &Torture, bug: Option<Bug>) -> Result<Report, Box<Failure>> {
    torture.run::<Record, _, _>(|medium| Driven::open(medium, bug))
}

fn torture() -> Torture {
    Torture { seeds: 0..3, ..Torture::default() }
}

#[test]
fn the_log_passes_the_kit() {
    let report = drive(&torture(), None).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report:?}");
    assert!(report.boundaries > 86 && report.crashes > 516, "{report:?}");
    assert!(report.torn > 0 && report.failed_syncs > 0 && report.noticed > 0, "{report:?}");
}

#[test]
fn each_planted_bug_is_seen_as_the_duty_that_is_not_done() {
    for (bug, duty) in bugs::ALL {
        let Err(failure) = drive(&torture(), Some(bug)) else { panic!("{bug:?} is not seen") };
        println!("{bug:?}: {failure}\n");
        assert_eq!(failure.duty, duty, "{bug:?}: {failure}");
    }
}
