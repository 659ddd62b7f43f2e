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

#[cfg(test)]
mod tests {
    use super::{DiskTask, start};
    use crate::command::Record;
    use crate::inbox::inbox;
    use crate::storage::{Log, LogReader, RecoveredLog, StorageError};
    use raft_core::driver::{BoundWrite, Event};
    use raft_core::payload::Content;
    use raft_core::{LogPosition, Ticket};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// Knows what it was asked to write, and shows up to where that is durable.
    #[derive(Default)]
    struct Slow {
        written: u64,
        durable: Arc<AtomicU64>,
    }

    struct Nothing;

    impl LogReader for Nothing {
        fn read(&self, _: LogPosition) -> Result<Option<Content<Record>>, StorageError> {
            Ok(None)
        }
    }

    impl Log for Slow {
        type Reader = Nothing;

        fn recover(&mut self) -> Result<RecoveredLog, StorageError> {
            unreachable!("the thread is given a log that was recovered")
        }

        fn write(&mut self, write: &BoundWrite<Record>) -> Result<(), StorageError> {
            self.written = write.ticket.get();
            Ok(())
        }

        fn release(&mut self, _: LogPosition) -> Result<(), StorageError> {
            Ok(())
        }

        fn restart(&mut self, _: LogPosition) -> Result<(), StorageError> {
            Ok(())
        }

        fn sync(&mut self) -> Result<(), StorageError> {
            std::thread::sleep(Duration::from_millis(5));
            self.durable.store(self.written, Ordering::Release);
            Ok(())
        }

        fn reader(&self) -> Nothing {
            Nothing
        }
    }

    #[test]
    fn what_is_said_to_be_written_is_durable_and_what_waits_shares_a_sync() {
        let (mut inbox, done, _outside) = inbox();
        let log = Slow::default();
        let durable = Arc::clone(&log.durable);
        let (disk, thread) = start(log, done, Arc::default());
        let last = 100;
        for ticket in (1..=last).map(Ticket) {
            let write = BoundWrite { ticket, hard_state: None, log: None };
            disk.send(DiskTask::Write(write)).expect("it runs");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("room");
        let (mut events, mut messages, mut said) = (Vec::new(), Vec::new(), Vec::new());
        while said.last() != Some(&last) {
            let waits = inbox.collect(Duration::from_secs(5), &mut events, &mut messages);
            assert!(runtime.block_on(waits));
            for event in events.drain(..) {
                let Event::Written { ticket } = event else { panic!("{event:?}") };
                assert!(durable.load(Ordering::Acquire) >= ticket.get());
                said.push(ticket.get());
            }
        }
        assert!(said.is_sorted() && said.len() < 50, "{said:?}");
        drop(disk);
        thread.join().expect("it ends when nobody can tell it anything");
    }
}
