//! Snapshots on their way out: a task and a connection for each.

use crate::inbox::Message as Tell;
use crate::net::codec::{CodecError, encode_head, read_bytes, write_bytes};
use crate::net::{Lane, Net, PATIENCE};
use crate::storage::snapshots::Snapshots;
use raft_core::Outcome;
use raft_core::driver::{Event, SnapshotEvent, SnapshotHead, StreamId};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// A part of the file.
const CHUNK: usize = 256 << 10;
/// How long the peer may take to check and sync what has arrived.
const CHECKING: Duration = Duration::from_mins(1);

/// Snapshots on their way out. The driver thread owns it.
#[derive(Debug)]
pub struct Outgoing {
    net: Arc<Net>,
    snapshots: Snapshots,
    runtime: Handle,
    streams: BTreeMap<StreamId, AbortHandle>,
}

impl Outgoing {
    /// None yet.
    pub const fn new(net: Arc<Net>, snapshots: Snapshots, runtime: Handle) -> Self {
        Self { net, snapshots, runtime, streams: BTreeMap::new() }
    }

    /// Sends this head and then the file that it names.
    pub fn send(&mut self, stream: StreamId, head: SnapshotHead) {
        let (to, position) = (head.to, head.snapshot.position);
        let (net, path) = (Arc::clone(&self.net), self.snapshots.path(position));
        let task = self.runtime.spawn(async move {
            let outcome = match carry(&net, stream, head, &path).await {
                Ok(()) => Outcome::Done,
                Err(error) => {
                    tracing::warn!(to = to.get(), %error, "a snapshot did not arrive");
                    Outcome::Failed
                }
            };
            tracing::info!(to = to.get(), %position, ?outcome, "a snapshot was sent");
            tell(&net, SnapshotEvent::Sent { stream, outcome }).await;
        });
        self.streams.retain(|_, task| !task.is_finished());
        self.streams.insert(stream, task.abort_handle());
    }

    /// Ends this stream.
    pub fn stop(&mut self, stream: StreamId) {
        if let Some(task) = self.streams.remove(&stream) {
            task.abort();
        }
    }
}

async fn carry(
    net: &Net,
    stream: StreamId,
    head: SnapshotHead,
    path: &Path,
) -> Result<(), CodecError> {
    let to = head.to;
    let mut file = File::open(path).await?;
    let mut wire = net.dial(to.get(), Lane::Snapshot).await?;
    let mut bytes = Vec::new();
    encode_head(head, &mut bytes)?;
    wire.write_all(&bytes).await?;
    wire.flush().await?;
    // The peer says whether it wants more than the head.
    answer(&mut wire, PATIENCE, "wanted").await?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).await?;
        let written = write_bytes(&mut wire, &chunk[..read]);
        timeout(PATIENCE, written).await.map_err(io::Error::from)??;
        if read == 0 {
            break;
        }
        tell(net, SnapshotEvent::Progress { stream }).await;
    }
    wire.flush().await?;
    // It has all of it, and it is durable there.
    answer(&mut wire, CHECKING, "taken").await
}

/// Waits for the peer to say exactly this.
async fn answer(
    wire: &mut (impl tokio::io::AsyncRead + Unpin),
    patience: Duration,
    expected: &str,
) -> Result<(), CodecError> {
    let mut bytes = Vec::new();
    let read = read_bytes(wire, &mut bytes);
    let is_there = timeout(patience, read).await.map_err(io::Error::from)??;
    if is_there && bytes == expected.as_bytes() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&bytes).into_owned();
    Err(io::Error::other(format!("it was to be {expected}, and the peer said {said:?}")).into())
}

async fn tell(net: &Net, event: SnapshotEvent) {
    // The driver is gone when the server stops.
    _ = net.outside.send(Tell::Event(Event::Snapshot(event))).await;
}
