//! Snapshots that arrive: the head goes to the driver, and what it says of it decides about the
//! rest.
//!
//! The driver names a stream by its peer and its position. From one peer there is at most one whose
//! fate is open, and one that was wanted: it is being received, or waits to be installed.

use crate::command::Record;
use crate::inbox::Message as Tell;
use crate::net::codec::{CodecError, decode, read_bytes, write_bytes};
use crate::net::{Net, PATIENCE, Wire};
use crate::storage::snapshots::{Snapshots, check};
use crate::storage::{FileSystem, StorageError};
use raft_core::driver::{Event, SnapshotEvent};
use raft_core::{LogPosition, Message, NodeId, Snapshot};
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
    peers: Arc<Mutex<BTreeMap<NodeId, Streams>>>,
}

#[derive(Debug, Default)]
struct Streams {
    open: Option<Stream>,
    wanted: Option<Stream>,
    /// How many there were: each has a file of its own.
    count: u64,
}

#[derive(Clone, Debug)]
struct Stream {
    position: LogPosition,
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
        Self { dir, files, peers: Arc::default() }
    }

    /// The driver wants this one. If it is gone, it is told so.
    pub fn receive(&self, from: NodeId, position: LogPosition) -> Option<Event<Record>> {
        let mut peers = self.lock();
        let streams = peers.entry(from).or_default();
        match streams.open.take_if(|stream| stream.position == position) {
            Some(stream) => {
                stream.verdict.send_replace(Verdict::Wanted);
                if let Some(old) = streams.wanted.replace(stream) {
                    old.throw_away();
                }
                None
            }
            None => Some(Event::Snapshot(SnapshotEvent::Broken { from, position })),
        }
    }

    /// The driver does not want this one, or not any more.
    pub fn discard(&self, from: NodeId, position: LogPosition) {
        let mut peers = self.lock();
        let Some(streams) = peers.get_mut(&from) else { return };
        let open = streams.open.take_if(|stream| stream.position == position);
        let known = open.or_else(|| streams.wanted.take_if(|s| s.position == position));
        if let Some(stream) = known {
            stream.throw_away();
        }
    }

    /// What has arrived from this peer gets this name, durably.
    ///
    /// # Errors
    ///
    /// It is not there, or as the file system says.
    pub fn adopt(&self, from: NodeId, to: &Path) -> Result<(), StorageError> {
        let wanted = self.lock().get_mut(&from).and_then(|streams| streams.wanted.take());
        let stream = wanted.ok_or_else(|| io::Error::other("no snapshot has arrived"))?;
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
        let head = decode(from, &bytes).inspect_err(|_| net.metrics.refused_frames.inc())?;
        let Message::InstallSnapshot(m) = &head.envelope().message else {
            return Err(CodecError::Malformed);
        };
        let snapshot = m.snapshot.clone();
        let position = snapshot.position;
        let Some(stream) = self.opened(from, position) else {
            return Err(io::Error::other("another snapshot of this peer is being judged").into());
        };
        _ = net.outside.send(Tell::Event(Event::Frame(head))).await;
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
            received = receive(wire, &stream, &snapshot) => received,
            () = given_up => {
                // It may have been thrown away before it had a file.
                _ = stream.files.remove(&stream.path);
                return Ok(());
            }
        };
        let event = match &received {
            Ok(()) => SnapshotEvent::Arrived { from, position },
            Err(_) => SnapshotEvent::Broken { from, position },
        };
        if self.ended(from, &stream, received.is_ok()) {
            _ = net.outside.send(Tell::Event(Event::Snapshot(event))).await;
        }
        received?;
        write_bytes(wire, b"taken").await?;
        Ok(wire.flush().await?)
    }

    fn opened(&self, from: NodeId, position: LogPosition) -> Option<Stream> {
        let mut peers = self.lock();
        let streams = peers.entry(from).or_default();
        if streams.open.is_some() {
            return None;
        }
        streams.count += 1;
        let path = self.dir.join(format!("from-{from}-{}.part", streams.count));
        let (verdict, _) = watch::channel(Verdict::Open);
        let stream = Stream { position, path, files: Arc::clone(&self.files), verdict };
        streams.open = Some(stream.clone());
        Some(stream)
    }

    /// It was received, or broke. Whether the driver still waits to hear of it.
    fn ended(&self, from: NodeId, stream: &Stream, whole: bool) -> bool {
        let mut peers = self.lock();
        let Some(streams) = peers.get_mut(&from) else { return false };
        let is_wanted = streams.wanted.as_ref().is_some_and(|wanted| wanted.path == stream.path);
        if is_wanted && !whole {
            streams.wanted = None;
        }
        if !is_wanted || !whole {
            stream.throw_away();
        }
        is_wanted
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Streams>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
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
    use crate::command::Record;
    use crate::inbox::{Message as Tell, inbox};
    use crate::net::codec::{encode, read_bytes, write_bytes};
    use crate::net::{Net, Wire};
    use crate::storage::Files;
    use crate::storage::snapshots::Snapshots;
    use raft_core::driver::{Event, Frame, SnapshotEvent};
    use raft_core::{
        Envelope, InstallSnapshot, LogIndex, LogPosition, Membership, Message, NodeId, Snapshot,
        Term,
    };
    use std::fs;
    use std::sync::Arc;
    use tempfile::TempDir;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    const PEER: NodeId = NodeId(2);

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
        let incoming = Incoming::new(&Snapshots::open(dir.path(), Arc::new(Files)).expect("room"));
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
                assert!(matches!(&messages[..], [Tell::Event(Event::Frame(_))]), "the head");
                match driver {
                    Driver::DoesNot => incoming.discard(PEER, head().position),
                    _ => assert_eq!(incoming.receive(PEER, head().position), None),
                }
            };
            let sends = send(&mut there, &file, || {
                if driver == Driver::ChangesItsMind {
                    incoming.discard(PEER, head().position);
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
                Tell::Event(Event::Snapshot(SnapshotEvent::Arrived { .. })) => "arrived".into(),
                Tell::Event(Event::Snapshot(SnapshotEvent::Broken { .. })) => "broken".into(),
                other => format!("{other:?}"),
            });
            let told: Vec<String> = told.collect();
            let adopted = incoming.adopt(PEER, &dir.path().join("adopted")).is_ok();
            assert_eq!(adopted, told == ["arrived"], "what has arrived, and nothing else");
            (said, told)
        })
    }

    async fn send(there: &mut DuplexStream, file: &[u8], meanwhile: impl FnOnce()) -> String {
        let message = Message::InstallSnapshot(InstallSnapshot { snapshot: head() });
        let envelope = Envelope { from: PEER, to: NodeId(1), term: Term(3), message };
        let (mut bytes, frame) = (Vec::new(), Frame::<Record>::new(envelope, Vec::new()));
        encode(&frame.expect("no lie"), &mut bytes).expect("short");
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
