//! The log, read ahead on a thread of its own: whoever is far behind waits for the disk, and not
//! the thread that decides.

use crate::command::Record;
use crate::fatal;
use crate::inbox::Completions;
use crate::storage::snapshots::Snapshots;
use crate::storage::{LogReader, StorageError};
use raft_core::LogPosition;
use raft_core::driver::{Entry, Event, Host};
use raft_core::payload::Content;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// What is read at once: more than a frame, so that one wait serves several of them.
const WINDOW: u64 = 4 << 20;
/// How many windows are kept: followers that are far behind are rarely at one place.
const WINDOWS: usize = 8;

/// What the thread has read, and what it has still to read.
#[derive(Default)]
struct Shelf {
    /// Consecutive entries, each of the last few reads.
    windows: VecDeque<Vec<Entry<Record>>>,
    /// What was asked for and is not answered.
    asked: BTreeSet<LogPosition>,
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the driver reads: what was fetched for it, and nothing else.
pub struct ReadAhead {
    snapshots: Snapshots,
    shelf: Arc<Mutex<Shelf>>,
    /// To the thread; it ends when this is gone.
    asks: Option<Sender<LogPosition>>,
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Starts the thread.
    pub fn start(log: impl LogReader + 'static, snapshots: Snapshots, done: Completions) -> Self {
        let (shelf, (asks, asked)) = (Arc::<Mutex<Shelf>>::default(), channel());
        let filled = Arc::clone(&shelf);
        let run = move || {
            if let Err(error) = work(&log, &filled, &asked, &done) {
                fatal("the log cannot be read", &error);
            }
        };
        let thread = Builder::new().name("reader".into()).spawn(run);
        let thread = Some(thread.expect("the system has room for a thread"));
        Self { snapshots, shelf, asks: Some(asks), thread }
    }

    /// The driver lacks this entry: it is read, and the driver is told. Two peers may lack the same
    /// one: it is read once.
    pub fn fetch(&self, position: LogPosition) {
        if !lock(&self.shelf).asked.insert(position) {
            return;
        }
        let told = self.asks.as_ref().map(|asks| asks.send(position));
        if !matches!(told, Some(Ok(()))) {
            fatal("a thread is gone", &"reader");
        }
    }
}

impl Host<Record> for ReadAhead {
    fn read(&mut self, position: LogPosition) -> Option<Content<Record>> {
        let fetched = lock(&self.shelf);
        // The newest first: what was fetched last is asked for next.
        let found = fetched.windows.iter().rev().find_map(|window| {
            let first = window.first()?.position.index.get();
            let nth = position.index.get().checked_sub(first)?;
            let entry = window.get(usize::try_from(nth).ok()?)?;
            // A log that was written anew has other entries there.
            (entry.position == position).then(|| entry.content.clone())
        });
        drop(fetched);
        found
    }

    /// A few addresses at the beginning of a file that was just read; this is the one file that the
    /// thread that decides reads, and it does so when it has installed a snapshot.
    fn described(&mut self, snapshot: LogPosition) -> Vec<Record> {
        let described = self.snapshots.described(snapshot);
        described.unwrap_or_else(|error| fatal("a snapshot cannot be read", &error))
    }
}

impl fmt::Debug for ReadAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead").finish_non_exhaustive()
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            // A panic there ends the process.
            _ = thread.join();
        }
    }
}

fn work(
    log: &impl LogReader,
    shelf: &Mutex<Shelf>,
    asked: &Receiver<LogPosition>,
    done: &Completions,
) -> Result<(), StorageError> {
    let mut gone = None;
    while let Ok(position) = asked.recv() {
        let window = log.read_on(position, WINDOW)?;
        let mut shelf = lock(shelf);
        shelf.asked.remove(&position);
        if window.is_empty() {
            // It may have been released, or written anew, since it was asked for. Then the driver
            // knows that by now, and does not ask for it again.
            if gone == Some(position) {
                return Err(StorageError::damaged(format!(
                    "the log, in which {position} is missing,"
                )));
            }
            gone = Some(position);
        } else {
            if shelf.windows.len() == WINDOWS {
                shelf.windows.pop_front();
            }
            shelf.windows.push_back(window);
        }
        drop(shelf);
        done.say(Event::Fetched);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ReadAhead, Shelf, WINDOWS, work};
    use crate::command::Record;
    use crate::inbox::{Inbox, Outside, inbox};
    use crate::storage::redb_log::RedbLog;
    use crate::storage::snapshots::Snapshots;
    use crate::storage::{Files, Log, LogReader, StorageError};
    use raft_core::driver::{BoundLog, BoundWrite, Entry, Event, Host};
    use raft_core::payload::Content;
    use raft_core::{LogIndex, LogPosition, Term, Ticket};
    use redb::backends::InMemoryBackend;
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    const fn at(index: u64) -> LogPosition {
        LogPosition::new(Term(1), LogIndex(index))
    }

    fn content(index: u64, bytes: usize) -> Content<Record> {
        Content::Command(vec![index.to_le_bytes()[0]; bytes].into())
    }

    fn no_snapshots() -> Snapshots {
        let dir = tempfile::tempdir().expect("room");
        Snapshots::open(dir.path(), Arc::new(Files)).expect("room")
    }

    /// A log of so many entries of so many bytes, and who reads it.
    fn reads(count: u64, bytes: usize) -> (ReadAhead, Waits) {
        let mut log = RedbLog::on_backend(InMemoryBackend::new()).expect("memory");
        let entry = |index| Entry { position: at(index), content: content(index, bytes) };
        let entries = (1..=count).map(entry).collect();
        let bound = BoundLog { restart_after: None, first: LogIndex(1), entries };
        let write = BoundWrite { ticket: Ticket(1), hard_state: None, log: Some(bound) };
        log.write(&write).expect("memory");
        log.sync().expect("memory");
        let (inbox, done, outside) = inbox();
        (ReadAhead::start(log.reader(), no_snapshots(), done), Waits { inbox, _outside: outside })
    }

    /// Who waits for what was fetched.
    struct Waits {
        inbox: Inbox,
        _outside: Outside,
    }

    async fn fetch(log: &ReadAhead, waits: &mut Waits, position: LogPosition) {
        log.fetch(position);
        let (mut events, mut messages) = (Vec::new(), Vec::new());
        waits.inbox.collect(Duration::from_mins(1), &mut events, &mut messages).await;
        assert_eq!(events, [Event::Fetched]);
    }

    #[tokio::test]
    async fn what_is_not_at_hand_is_fetched_with_what_follows_it() {
        let (mut log, mut waits) = reads(20, 300_000);
        assert_eq!(log.read(at(3)), None, "the thread that decides reads no disk");
        fetch(&log, &mut waits, at(3)).await;
        for index in 3..=15 {
            assert_eq!(log.read(at(index)), Some(content(index, 300_000)), "{index}");
        }
        assert_eq!((log.read(at(2)), log.read(at(20))), (None, None));
        assert_eq!(log.read(LogPosition::new(Term(2), LogIndex(3))), None, "another entry");
    }

    #[tokio::test]
    async fn an_entry_larger_than_a_window_is_read_alone() {
        let (mut log, mut waits) = reads(3, 5_000_000);
        fetch(&log, &mut waits, at(2)).await;
        assert_eq!(log.read(at(2)), Some(content(2, 5_000_000)));
        assert_eq!(log.read(at(3)), None);
    }

    #[tokio::test]
    async fn no_more_than_the_last_few_windows_are_kept() {
        let count = u64::try_from(WINDOWS).expect("a few") + 1;
        let (mut log, mut waits) = reads(count, 5_000_000);
        for index in 1..=count {
            fetch(&log, &mut waits, at(index)).await;
        }
        assert_eq!((log.read(at(1)), log.read(at(2))), (None, Some(content(2, 5_000_000))));
        fetch(&log, &mut waits, at(1)).await;
        assert_eq!(log.read(at(1)), Some(content(1, 5_000_000)), "it is read again");
    }

    #[test]
    fn what_is_asked_for_again_and_is_not_there_is_damage() {
        let log = RedbLog::on_backend(InMemoryBackend::new()).expect("memory");
        let (asks, asked) = channel();
        let (_inbox, done, _outside) = inbox();
        for position in [at(7), at(8), at(7)] {
            asks.send(position).expect("it is heard");
        }
        drop(asks);
        assert!(work(&log.reader(), &Mutex::new(Shelf::default()), &asked, &done).is_ok());
        let (asks, asked) = channel();
        asks.send(at(7)).expect("it is heard");
        asks.send(at(7)).expect("it is heard");
        let again = work(&log.reader(), &Mutex::new(Shelf::default()), &asked, &done);
        assert_eq!(
            again.expect_err("it is gone").to_string(),
            "the log, in which 1/7 is missing, is damaged"
        );
    }

    /// A log whose entries were all released, and which waits before it says so.
    struct Released(Receiver<()>);

    impl LogReader for Released {
        fn read(&self, _: LogPosition) -> Result<Option<Content<Record>>, StorageError> {
            _ = self.0.recv();
            Ok(None)
        }
    }

    #[tokio::test]
    async fn what_two_peers_lack_is_read_once_and_its_release_meanwhile_is_no_damage() {
        let (goes_on, waits) = channel();
        let (mut inbox, done, _outside) = inbox();
        let log = ReadAhead::start(Released(waits), no_snapshots(), done);
        for position in [at(7), at(7), at(8)] {
            log.fetch(position);
        }
        drop(goes_on);
        // It ends when it has read everything; if it takes 7 for damaged, so does the process.
        drop(log);
        let (mut events, mut messages) = (Vec::new(), Vec::new());
        while events.len() < 2 {
            inbox.collect(Duration::from_mins(1), &mut events, &mut messages).await;
        }
        assert_eq!(events, [Event::Fetched, Event::Fetched]);
    }

    #[tokio::test]
    async fn what_was_released_meanwhile_is_no_fault() {
        let (mut log, mut waits) = reads(2, 10);
        fetch(&log, &mut waits, at(7)).await;
        assert_eq!(log.read(at(7)), None);
    }
}
