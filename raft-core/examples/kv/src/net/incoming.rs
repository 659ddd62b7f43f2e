//! Snapshots that arrive: the head goes to the driver, and what it says of it decides about the
//! rest.
//!
//! A stream gets its id here, and is kept under it until the driver has no use for it any more.

use crate::inbox::Message as Tell;
use crate::net::codec::{CodecError, decode_head, read_bytes, write_bytes};
use crate::net::{Net, PATIENCE, Wire};
use crate::storage::snapshots::{ARRIVING, Snapshots, check};
use crate::storage::{FileSystem, StorageError};
use raft_core::driver::{Event, SnapshotEvent, StreamId};
use raft_core::{NodeId, Snapshot};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::timeout;

/// Snapshots that arrive; shared by their connections, the driver thread and the state machine.
#[derive(Clone, Debug)]
pub struct Incoming {
    dir: PathBuf,
    files: Arc<dyn FileSystem>,
    streams: Arc<Mutex<Streams>>,
}

#[derive(Debug, Default)]
struct Streams {
    /// Those that have not ended.
    open: BTreeMap<StreamId, Stream>,
    /// The id that was given last; it names the file, too.
    last: u64,
}

#[derive(Clone, Debug)]
struct Stream {
    path: PathBuf,
    files: Arc<dyn FileSystem>,
    verdict: watch::Sender<Verdict>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Open,
    Wanted,
    Unwanted,
}

impl Incoming {
    /// Gathers files beside these.
    pub fn new(snapshots: &Snapshots) -> Self {
        let (dir, files) = (snapshots.dir().to_path_buf(), Arc::clone(snapshots.files()));
        Self { dir, files, streams: Arc::default() }
    }

    /// The driver wants this one.
    pub fn receive(&self, stream: StreamId) {
        if let Some(stream) = self.lock().open.get(&stream) {
            stream.verdict.send_replace(Verdict::Wanted);
        }
    }

    /// The driver does not want this one, or not any more.
    pub fn discard(&self, stream: StreamId) {
        if let Some(stream) = self.lock().open.remove(&stream) {
            stream.throw_away();
        }
    }

    /// What has arrived on this stream gets this name, durably.
    ///
    /// # Errors
    ///
    /// It is not there, or as the file system says.
    pub fn adopt(&self, stream: StreamId, to: &Path) -> Result<(), StorageError> {
        let arrived = self.lock().open.remove(&stream);
        let stream = arrived.ok_or_else(|| io::Error::other("no snapshot has arrived"))?;
        self.files.rename(&stream.path, to)?;
        Ok(self.files.sync_dir(&self.dir)?)
    }

    /// Serves a connection that brings a snapshot.
    pub(super) async fn take(
        &self,
        wire: &mut Box<dyn Wire>,
        from: NodeId,
        net: &Net,
    ) -> Result<(), CodecError> {
        let mut bytes = Vec::new();
        let read = read_bytes(wire, &mut bytes);
        if !timeout(PATIENCE, read).await.map_err(io::Error::from)?? {
            return Ok(());
        }
        let head = decode_head(from, &bytes).inspect_err(|_| net.metrics.refused_frames.inc())?;
        let snapshot = head.snapshot.clone();
        let (id, stream) = self.opened();
        let event = SnapshotEvent::Head { stream: id, head };
        _ = net.outside.send(Tell::Event(Event::Snapshot(event))).await;
        let mut verdict = stream.verdict.subscribe();
        let said = verdict.wait_for(|verdict| *verdict != Verdict::Open).await;
        let is_wanted = said.is_ok_and(|said| *said == Verdict::Wanted);
        if !is_wanted {
            return Ok(write_bytes(wire, b"not wanted").await?);
        }
        let given_up = async {
            _ = verdict.wait_for(|verdict| *verdict == Verdict::Unwanted).await;
        };
        let received = tokio::select! {
            biased;
            () = given_up => {
                // It may have been thrown away before it had a file.
                _ = stream.files.remove(&stream.path);
                return Ok(());
            }
            received = receive(wire, &stream, &snapshot) => received,
        };
        let event = if received.is_ok() {
            SnapshotEvent::Arrived { stream: id }
        } else {
            self.discard(id);
            SnapshotEvent::Broken { stream: id }
        };
        _ = net.outside.send(Tell::Event(Event::Snapshot(event))).await;
        received?;
        write_bytes(wire, b"taken").await?;
        Ok(wire.flush().await?)
    }

    fn opened(&self) -> (StreamId, Stream) {
        let mut streams = self.lock();
        streams.last += 1;
        let path = self.dir.join(format!("{ARRIVING}{}.part", streams.last));
        let (verdict, _) = watch::channel(Verdict::Open);
        let stream = Stream { path, files: Arc::clone(&self.files), verdict };
        let id = StreamId(streams.last);
        streams.open.insert(id, stream.clone());
        (id, stream)
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn throw_away(&self) {
        self.verdict.send_replace(Verdict::Unwanted);
        // It may have no file yet; what is left is removed at the next start.
        _ = self.files.remove(&self.path);
    }
}

/// Takes in the file that follows the head, checks it, and makes it durable.
async fn receive(
    wire: &mut Box<dyn Wire>,
    stream: &Stream,
    head: &Snapshot,
) -> Result<(), CodecError> {
    write_bytes(wire, b"wanted").await?;
    wire.flush().await?;
    // Made here, not on a thread that would make it after this was given up.
    let (mut file, mut bytes) = (File::from_std(stream.files.create(&stream.path)?), Vec::new());
    loop {
        let read = read_bytes(wire, &mut bytes);
        if !timeout(PATIENCE, read).await.map_err(io::Error::from)?? {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if bytes.is_empty() {
            break;
        }
        file.write_all(&bytes).await?;
    }
    file.flush().await?;
    let (file, files, path) =
        (file.into_std().await, Arc::clone(&stream.files), stream.path.clone());
    let checked = tokio::task::spawn_blocking(move || {
        files.sync(&path, &file)?;
        check(&path)
    });
    let found = checked.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
    if found != *head {
        return Err(CodecError::Malformed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Incoming;
    use crate::address::{Address, Addresses};
    use crate::inbox::{Message as Tell, inbox};
    use crate::net::codec::{encode_head, read_bytes, write_bytes};
    use crate::net::{Net, Wire};
    use crate::storage::Files;
    use crate::storage::snapshots::Snapshots;
    use crate::storage::told::Told;
    use raft_core::driver::{Event, SnapshotEvent, SnapshotHead, StreamId};
    use raft_core::{LogIndex, LogPosition, Membership, NodeId, Snapshot, Term};
    use std::fs;
    use std::sync::Arc;
    use tempfile::TempDir;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    const PEER: NodeId = NodeId(2);
    const STREAM: StreamId = StreamId(1);

    fn head() -> Snapshot {
        let position = LogPosition::new(Term(3), LogIndex(9));
        Snapshot { position, membership: Membership::empty() }
    }

    /// What the driver says when the head is there.
    #[derive(Clone, Copy, PartialEq)]
    enum Driver {
        Wants,
        DoesNot,
        ChangesItsMind,
    }

    /// Sends a snapshot, one bit of which may be wrong; what the sender hears in the end, and what
    /// the driver.
    fn bring(dir: &TempDir, driver: Driver, spoilt: bool) -> (String, Vec<String>) {
        let theirs = Snapshots::open(&dir.path().join("theirs"), Arc::new(Files)).expect("room");
        let mut writer = theirs.create(&head(), &[]).expect("room");
        writer.record(2, b"key", &[7; 1000]).expect("room");
        writer.finish().expect("room");
        let mut file = fs::read(theirs.path(head().position)).expect("there");
        file[40] ^= u8::from(spoilt);
        let files = Arc::<Told>::default();
        let incoming = Incoming::new(&Snapshots::open(dir.path(), files.clone()).expect("room"));
        let (mut inbox, _, outside) = inbox();
        let address = Address { raft: String::new(), http: String::new() };
        let (cluster, addresses, metrics) = ("c".into(), Addresses::default(), Arc::default());
        let net = Net { cluster, id: 1, address, addresses, tls: None, outside, metrics };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (mut there, here) = duplex(1 << 16);
        let mut here: Box<dyn Wire> = Box::new(here);
        runtime.expect("room").block_on(async {
            let decides = async {
                let (mut events, mut messages) = (Vec::new(), Vec::new());
                inbox.collect(std::time::Duration::from_secs(5), &mut events, &mut messages).await;
                let [Tell::Event(Event::Snapshot(SnapshotEvent::Head { stream, head: came }))] =
                    &messages[..]
                else {
                    panic!("the head, and not {messages:?}")
                };
                assert_eq!((*stream, came.from, &came.snapshot), (STREAM, PEER, &head()));
                match driver {
                    Driver::DoesNot => incoming.discard(STREAM),
                    _ => incoming.receive(STREAM),
                }
            };
            let sends = send(&mut there, &file, || {
                if driver == Driver::ChangesItsMind {
                    incoming.discard(STREAM);
                }
            });
            let takes = async {
                // Its error is the sender's.
                _ = incoming.take(&mut here, PEER, &net).await;
                drop(here);
            };
            let (said, (), ()) = tokio::join!(sends, takes, decides);
            drop(net);
            let (mut events, mut messages) = (Vec::new(), Vec::new());
            inbox.collect(std::time::Duration::ZERO, &mut events, &mut messages).await;
            let told = messages.iter().map(|message| match message {
                Tell::Event(Event::Snapshot(SnapshotEvent::Arrived { stream: STREAM })) => {
                    "arrived".into()
                }
                Tell::Event(Event::Snapshot(SnapshotEvent::Broken { stream: STREAM })) => {
                    "broken".into()
                }
                other => format!("{other:?}"),
            });
            let told: Vec<String> = told.collect();
            let adopted = incoming.adopt(STREAM, &dir.path().join("adopted")).is_ok();
            assert_eq!(adopted, told == ["arrived"], "what has arrived, and nothing else");
            let durable = ["create", "sync", "rename", "sync the directory"];
            assert!(!adopted || files.so_far() == durable, "the file first, and then its name");
            (said, told)
        })
    }

    async fn send(there: &mut DuplexStream, file: &[u8], meanwhile: impl FnOnce()) -> String {
        let (from, to, term, snapshot) = (PEER, NodeId(1), Term(3), head());
        let mut bytes = Vec::new();
        let head = SnapshotHead { from, to, term, snapshot };
        encode_head(head, &mut bytes).expect("short");
        there.write_all(&bytes).await.expect("it listens");
        let mut said = Vec::new();
        read_bytes(there, &mut said).await.expect("it answers");
        if said == b"wanted" {
            meanwhile();
            // It may have hung up.
            _ = write_bytes(there, file).await;
            _ = write_bytes(there, &[]).await;
            said.clear();
            _ = read_bytes(there, &mut said).await;
        }
        String::from_utf8(said).expect("text")
    }

    #[test]
    fn what_the_driver_wants_is_taken_whole_or_not_at_all() {
        let dir = || tempfile::tempdir().expect("room");
        let cases: [(Driver, bool, &str, &[&str]); 4] = [
            (Driver::Wants, false, "taken", &["arrived"]),
            (Driver::Wants, true, "", &["broken"]),
            (Driver::DoesNot, false, "not wanted", &[]),
            (Driver::ChangesItsMind, false, "", &[]),
        ];
        for (driver, spoilt, said, told) in cases {
            let dir = dir();
            let (sender, heard) = bring(&dir, driver, spoilt);
            assert_eq!(
                (&sender[..], &heard.iter().map(|t| &t[..]).collect::<Vec<_>>()[..]),
                (said, told)
            );
            let left = fs::read_dir(dir.path()).expect("there").filter(|entry| {
                entry.as_ref().is_ok_and(|e| e.path().extension().is_some_and(|e| e == "part"))
            });
            assert_eq!(left.count(), 0, "nothing is left behind");
        }
    }
}
