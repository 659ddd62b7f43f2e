//! The disk thread: owns the log, writes in order, and shares one fsync among all that waits.

use crate::command::Record;
use crate::fatal;
use crate::inbox::Completions;
use crate::metrics::Metrics;
use crate::storage::{Log, StorageError};
use raft_core::driver::{BoundWrite, Event};
use raft_core::{LogPosition, Ticket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// How many writes share an fsync at most: what waits beyond it waits for the next one.
const GROUP: usize = 4096;

/// What the log is to do, in this order.
#[derive(Debug)]
pub enum DiskTask {
    /// Make it durable, and say so.
    Write(BoundWrite<Record>),
    /// Forget the log up to here.
    Release(LogPosition),
    /// A snapshot has taken the place of the log: empty it, durably, and say so here.
    Restart(LogPosition, Sender<()>),
}

/// The way to the disk thread; it ends when the last one is dropped. Its length is bounded by what
/// the driver may have on the way: see the README.
pub type Disk = Sender<DiskTask>;

/// Starts the thread.
pub fn start(
    log: impl Log + 'static,
    done: Completions,
    metrics: Arc<Metrics>,
) -> (Disk, JoinHandle<()>) {
    let (disk, tasks) = channel();
    let run = move || {
        if let Err(error) = work(log, &tasks, &done, &metrics) {
            fatal("the log cannot be written", &error);
        }
    };
    let thread = std::thread::Builder::new().name("disk".into()).spawn(run);
    (disk, thread.expect("the system has room for a thread"))
}

fn work(
    mut log: impl Log,
    tasks: &Receiver<DiskTask>,
    done: &Completions,
    metrics: &Metrics,
) -> Result<(), StorageError> {
    while let Ok(first) = tasks.recv() {
        let group = std::iter::once(first).chain(tasks.try_iter()).take(GROUP);
        let (mut last, mut restarted, mut writes) = (None::<Ticket>, Vec::new(), 0_u32);
        for task in group {
            match task {
                DiskTask::Write(write) => {
                    log.write(&write)?;
                    (last, writes) = (Some(write.ticket), writes + 1);
                }
                DiskTask::Release(through) => log.release(through)?,
                DiskTask::Restart(after, said) => {
                    log.restart(after)?;
                    restarted.push(said);
                }
            }
        }
        let begun = Instant::now();
        log.sync()?;
        metrics.synced(begun.elapsed(), writes);
        if let Some(ticket) = last {
            done.say(Event::Written { ticket });
        }
        for said in restarted {
            // Whoever does not listen any more is being stopped.
            _ = said.send(());
        }
    }
    Ok(())
}
