//! The thread of the state machine: applies, takes and installs, one after the other.

use crate::command::Record;
use crate::disk::{Disk, DiskTask};
use crate::fatal;
use crate::inbox::{Completions, Told};
use crate::machine::State;
use crate::net::Incoming;
use crate::storage::StorageError;
use crate::storage::snapshots::Snapshots;
use raft_core::driver::{Entry, Event, SnapshotEvent, StreamId};
use raft_core::{LogPosition, Outcome, Snapshot};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use tokio::sync::oneshot;

/// A crash applies no more than about so much again. And what is not durable takes room on disk.
const FLUSH_BYTES: usize = 8 << 20;
const FLUSH_TURNS: u32 = 1000;

/// A committed entry, and who is told what the state machine says to it.
#[derive(Debug)]
pub struct Work {
    /// The entry.
    pub entry: Entry<Record>,
    /// Who waits.
    pub caller: Option<oneshot::Sender<Told>>,
}

/// What the state machine is to do, in this order.
#[derive(Debug)]
pub enum MachineTask {
    /// Apply these.
    Apply(Vec<Work>),
    /// Take a snapshot of what is applied now, with this address book.
    Take(Snapshot, Vec<Record>),
    /// Replace everything by what has arrived on this stream.
    Install(StreamId, Snapshot),
    /// Delete a snapshot of the own.
    Remove(LogPosition),
}

/// The way to the thread; it ends, and makes durable what it has applied, when this is dropped.
pub type Machine = Sender<MachineTask>;

/// What the thread works with.
#[derive(Debug)]
pub struct Worker {
    /// The state machine.
    pub state: State,
    /// The files.
    pub snapshots: Snapshots,
    /// What arrives from peers.
    pub incoming: Incoming,
    /// The log, which an install restarts.
    pub disk: Disk,
    /// The driver.
    pub done: Completions,
}

impl Worker {
    /// Starts the thread.
    pub fn start(self) -> (Machine, JoinHandle<()>) {
        let (machine, tasks) = channel();
        let run = move || {
            if let Err(error) = self.work(&tasks) {
                fatal("the state machine cannot go on", &error);
            }
        };
        let thread = Builder::new().name("machine".into()).spawn(run);
        (machine, thread.expect("the system has room for a thread"))
    }

    fn work(self, tasks: &Receiver<MachineTask>) -> Result<(), StorageError> {
        let (mut bytes, mut turns) = (0, 0);
        while let Ok(task) = tasks.recv() {
            match task {
                MachineTask::Apply(work) => {
                    bytes += self.apply(work)?;
                    turns += 1;
                    if bytes >= FLUSH_BYTES || turns >= FLUSH_TURNS {
                        self.state.flush()?;
                        (bytes, turns) = (0, 0);
                    }
                }
                MachineTask::Take(snapshot, book) => {
                    // So a crash from now on needs no part of the log that the snapshot releases.
                    self.state.flush()?;
                    self.take(snapshot, book)?;
                }
                MachineTask::Install(stream, snapshot) => self.install(stream, &snapshot)?,
                MachineTask::Remove(position) => self.snapshots.remove(position)?,
            }
        }
        self.state.flush()
    }

    fn apply(&self, work: Vec<Work>) -> Result<usize, StorageError> {
        let (entries, callers): (Vec<_>, Vec<_>) =
            work.into_iter().map(|work| (work.entry, work.caller)).unzip();
        let Some(last) = entries.last().map(|entry| entry.position.index) else { return Ok(0) };
        let replies = self.state.apply(&entries)?;
        for (caller, reply) in callers.into_iter().zip(replies) {
            if let Some(caller) = caller {
                // A client that has hung up needs no answer.
                _ = caller.send(Told::Applied(reply));
            }
        }
        self.done.say(Event::Applied { through: last });
        let bytes = |entry: &Entry<Record>| entry.content.command().map_or(0, |c| c.len());
        Ok(entries.iter().map(bytes).sum())
    }

    /// The view is that of this moment; what is applied later does not change it, so the file may
    /// be written beside.
    fn take(&self, snapshot: Snapshot, book: Vec<Record>) -> Result<(), StorageError> {
        let view = self.state.view()?;
        let (snapshots, done) = (self.snapshots.clone(), self.done.clone());
        let write = move || {
            let written = snapshots.create(&snapshot, &book).and_then(|mut writer| {
                view.write(&mut writer)?;
                writer.finish()
            });
            if let Err(error) = written {
                fatal("a snapshot cannot be written", &error);
            }
            done.say(Event::Snapshot(SnapshotEvent::Taken { outcome: Outcome::Done }));
        };
        Builder::new().name("snapshot".into()).spawn(write)?;
        Ok(())
    }

    /// The file first, then the state machine, then the log: a crash between them leaves a snapshot
    /// that is newer than the rest, from which the next start goes on.
    fn install(&self, stream: StreamId, snapshot: &Snapshot) -> Result<(), StorageError> {
        let position = snapshot.position;
        self.incoming.adopt(stream, &self.snapshots.path(position))?;
        let restored = self.state.restore(self.snapshots.read(position)?)?;
        if restored != *snapshot {
            return Err(StorageError::damaged("the head of a snapshot"));
        }
        let (said, durable) = channel();
        _ = self.disk.send(DiskTask::Restart(position, said));
        if durable.recv().is_ok() {
            let outcome = Outcome::Done;
            self.done.say(Event::Snapshot(SnapshotEvent::Installed { outcome }));
        }
        Ok(())
    }
}
