//! Snapshots that arrive: the head goes to the driver, and what it says of it decides about the
//! rest.
//!
//! The driver names a stream by its peer and its position. From one peer there is at most one whose
//! fate is open, and one that was wanted: it is being received, or waits to be installed.

use crate::command::Record;
use crate::inbox::Message as Tell;
use crate::net::codec::{CodecError, decode, read_bytes, write_bytes};
use crate::net::{Net, PATIENCE, Wire};
use crate::storage::StorageError;
use crate::storage::snapshots::{check, sync_dir};
use raft_core::driver::{Event, SnapshotEvent};
use raft_core::{LogPosition, Message, NodeId, Snapshot};
use std::collections::BTreeMap;
use std::fs;
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
    verdict: watch::Sender<Verdict>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Open,
    Wanted,
    Unwanted,
}

impl Incoming {
    /// Gathers files in this directory.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, peers: Arc::default() }
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
        fs::rename(&stream.path, to)?;
        Ok(sync_dir(&self.dir)?)
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
        if said.map_or(true, |said| *said == Verdict::Unwanted) {
            return Ok(write_bytes(wire, b"not wanted").await?);
        }
        let received = tokio::select! {
            received = receive(wire, &stream.path, &snapshot) => received,
            _ = verdict.wait_for(|verdict| *verdict == Verdict::Unwanted) => return Ok(()),
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
        let stream = Stream { position, path, verdict };
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
        _ = fs::remove_file(&self.path);
    }
}

/// Takes in the file that follows the head, checks it, and makes it durable.
async fn receive(wire: &mut Box<dyn Wire>, path: &Path, head: &Snapshot) -> Result<(), CodecError> {
    write_bytes(wire, b"wanted").await?;
    wire.flush().await?;
    let (mut file, mut bytes) = (File::create(path).await?, Vec::new());
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
    file.sync_all().await?;
    let path = path.to_path_buf();
    let checked = tokio::task::spawn_blocking(move || check(&path)).await;
    let found = checked.map_err(io::Error::other)?.map_err(io::Error::other)?;
    if found != *head {
        return Err(CodecError::Malformed);
    }
    Ok(())
}
