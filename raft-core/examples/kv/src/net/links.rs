//! The two lasting connections to each peer: a task and a bounded queue for each.

use crate::command::Record;
use crate::inbox::Message as Tell;
use crate::net::codec::encode;
use crate::net::{Lane, Net, PATIENCE, Wire};
use raft_core::driver::{Event, Frame};
use raft_core::{LogIndex, Message, NodeId};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// How many frames wait for a connection. The driver's `in_flight_bytes` bounds their bytes.
const QUEUE: usize = 256;
/// How many frames are written at once.
const BATCH: usize = 16;
const SHORTEST_BACKOFF: Duration = Duration::from_millis(20);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// Frames on their way out. The driver thread owns it, and never waits for it.
#[derive(Debug)]
pub struct Links {
    net: Arc<Net>,
    runtime: Handle,
    peers: BTreeMap<NodeId, Link>,
}

#[derive(Debug)]
struct Link {
    log: mpsc::Sender<Frame<Record>>,
    talk: mpsc::Sender<Frame<Record>>,
    /// The driver was told that no entries are taken, and not yet that they are again.
    pauses: bool,
    /// The task is to say when there is room again.
    wants_room: Arc<AtomicBool>,
}

impl Links {
    /// No connections yet: they are made when something is to be sent.
    pub const fn new(net: Arc<Net>, runtime: Handle) -> Self {
        Self { net, runtime, peers: BTreeMap::new() }
    }

    /// Sends a frame, or loses it. Where there is no room for its entries the driver is to be told,
    /// and everything with entries is lost until [`resumed`](Self::resumed): so what the peer was
    /// sent ends where the driver believes it ends.
    pub fn send(&mut self, frame: Frame<Record>) -> Option<Event<Record>> {
        let peer = frame.envelope().to;
        let (net, runtime) = (&self.net, &self.runtime);
        let link = self.peers.entry(peer).or_insert_with(|| Link::new(net, runtime, peer));
        let before = entries_after(&frame);
        if link.pauses && before.is_some() {
            return None;
        }
        let is_log = matches!(frame.envelope().message, Message::AppendEntries(_));
        let lane = if is_log { &link.log } else { &link.talk };
        if lane.try_send(frame).is_ok() {
            return None;
        }
        self.net.metrics.dropped_frames.inc();
        let after = before?;
        link.pauses = true;
        link.wants_room.store(true, Ordering::Release);
        Some(Event::Paused { peer, after: Some(after) })
    }

    /// The driver is being told that there is room for this peer again.
    pub fn resumed(&mut self, peer: NodeId) {
        if let Some(link) = self.peers.get_mut(&peer) {
            link.pauses = false;
        }
    }
}

impl Link {
    fn new(net: &Arc<Net>, runtime: &Handle, peer: NodeId) -> Self {
        let wants_room = Arc::new(AtomicBool::new(false));
        let spawn = |lane| {
            let (sender, frames) = mpsc::channel(QUEUE);
            let (net, wants_room) = (Arc::clone(net), Arc::clone(&wants_room));
            let outlet = Outlet { net, peer, lane, frames, wants_room, backoff: SHORTEST_BACKOFF };
            runtime.spawn(outlet.run());
            sender
        };
        let (log, talk) = (spawn(Lane::Log), spawn(Lane::Talk));
        Self { log, talk, pauses: false, wants_room }
    }
}

/// The index before the entries of a frame, if it has some.
fn entries_after(frame: &Frame<Record>) -> Option<LogIndex> {
    match &frame.envelope().message {
        Message::AppendEntries(m) if !m.entries.is_empty() => Some(m.prev.index),
        _ => None,
    }
}

/// The task behind one lane to one peer.
struct Outlet {
    net: Arc<Net>,
    peer: NodeId,
    lane: Lane,
    frames: mpsc::Receiver<Frame<Record>>,
    wants_room: Arc<AtomicBool>,
    backoff: Duration,
}

impl Outlet {
    /// Connects when something is to be sent, and again when the connection is gone.
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.frames.recv_many(&mut batch, BATCH).await > 0 {
            match self.net.dial(self.peer.get(), self.lane).await {
                Ok(wire) => {
                    tracing::info!(peer = self.peer.get(), lane = ?self.lane, "connected");
                    self.backoff = SHORTEST_BACKOFF;
                    let why = self.serve(wire, &mut batch).await;
                    tracing::info!(peer = self.peer.get(), lane = ?self.lane, ?why, "lost");
                    self.unreachable().await;
                }
                Err(error) => {
                    tracing::debug!(peer = self.peer.get(), lane = ?self.lane, %error, "no way");
                    self.unreachable().await;
                    sleep(self.backoff).await;
                    self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
                }
            }
            // What waited meanwhile is old. The driver sends again what is still needed.
            batch.clear();
            while self.frames.try_recv().is_ok() {
                self.net.metrics.dropped_frames.inc();
            }
            self.has_room().await;
        }
    }

    /// Writes frames until the connection is closed, breaks, or takes nothing in.
    async fn serve(
        &mut self,
        wire: Box<dyn Wire>,
        batch: &mut Vec<Frame<Record>>,
    ) -> io::Result<()> {
        let (mut back, mut out) = split(wire);
        let (mut bytes, mut ignored) = (Vec::new(), [0; 64]);
        loop {
            bytes.clear();
            for frame in batch.drain(..) {
                match encode(&frame, &mut bytes) {
                    Ok(()) => self.net.metrics.sent_frames.inc(),
                    Err(error) => tracing::error!(%error, "a frame cannot leave"),
                }
            }
            let written = async {
                out.write_all(&bytes).await?;
                out.flush().await
            };
            timeout(PATIENCE, written).await??;
            self.has_room().await;
            tokio::select! {
                // Nobody speaks on this side: what can be read is the end.
                read = back.read(&mut ignored) => return read.map(drop),
                count = self.frames.recv_many(batch, BATCH) => if count == 0 { return Ok(()) },
            }
        }
    }

    /// Tells the driver that entries are taken again, if it waits for that.
    async fn has_room(&self) {
        let is_log = self.lane == Lane::Log && self.frames.len() < QUEUE / 2;
        if is_log && self.wants_room.swap(false, Ordering::AcqRel) {
            self.tell(Event::Resumed { peer: self.peer }).await;
        }
    }

    async fn unreachable(&self) {
        if self.lane == Lane::Log {
            self.tell(Event::Unreachable { peer: self.peer }).await;
        }
    }

    async fn tell(&self, event: Event<Record>) {
        // The driver is gone when the server stops.
        _ = self.net.outside.send(Tell::Event(event)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH, Links, QUEUE};
    use crate::address::{Address, Addresses, Member};
    use crate::command::Record;
    use crate::inbox::{Inbox, inbox};
    use crate::net::Net;
    use raft_core::driver::{Event, Frame};
    use raft_core::{AppendEntries, Envelope, LogIndex, LogPosition, Message, NodeId, Run, Term};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::net::TcpListener;
    use tokio::runtime::{Builder, Runtime};

    const PEER: NodeId = NodeId(2);

    /// One entry after this index, or a heartbeat.
    fn append(prev: u64, is_empty: bool) -> Frame<Record> {
        let run = (!is_empty).then_some(Run::Commands { term: Term(1), count: 1 });
        let payloads = run.iter().map(|_| b"x"[..].into()).collect();
        let prev = LogPosition::new(Term(1), LogIndex(prev));
        let entries = run.into_iter().collect();
        let m = AppendEntries { prev, entries, commit: LogIndex(0), probe: None };
        let message = Message::AppendEntries(m);
        let envelope = Envelope { from: NodeId(1), to: PEER, term: Term(1), message };
        Frame::new(envelope, payloads).expect("no lie")
    }

    fn links(runtime: &Runtime, raft: String) -> (Links, Inbox) {
        let (inbox, _, outside) = inbox();
        let address = Address { raft, http: String::new() };
        let addresses = Addresses::of_arguments(&[Member { id: 2, address: address.clone() }]);
        let (cluster, metrics) = ("c".into(), Arc::default());
        let net = Net { cluster, id: 1, address, addresses, tls: None, outside, metrics };
        (Links::new(Arc::new(net), runtime.handle().clone()), inbox)
    }

    #[test]
    fn a_full_lane_pauses_once_and_resumes_when_there_is_room() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("room");
        // It accepts, and says nothing: the lane waits for the handshake.
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (mut links, mut inbox) = links(&runtime, address);
        let told: Vec<_> = (1..=1000).filter_map(|prev| links.send(append(prev, false))).collect();
        let [Event::Paused { peer: PEER, after: Some(after) }] = &told[..] else {
            panic!("{told:?}")
        };
        let taken = after.get();
        assert!((QUEUE..=QUEUE + BATCH).contains(&(usize::try_from(taken).expect("small") - 1)));
        assert_eq!(links.send(append(taken, true)), None, "a heartbeat is lost without a word");

        // The peer is gone: what waited is dropped, so there is room.
        drop(listener);
        let (mut events, mut messages) = (Vec::new(), Vec::new());
        let end = std::time::Instant::now() + Duration::from_secs(20);
        let resumes = |message: &crate::inbox::Message| {
            matches!(message, crate::inbox::Message::Event(Event::Resumed { peer: PEER }))
        };
        while !messages.iter().any(resumes) && std::time::Instant::now() < end {
            let waits = inbox.collect(Duration::from_secs(1), &mut events, &mut messages);
            runtime.block_on(waits);
        }
        assert_eq!(messages.iter().filter(|message| resumes(message)).count(), 1);
        assert_eq!(links.send(append(taken, false)), None, "the driver does not know it yet");
        links.resumed(PEER);
        let again = (1..=1000).filter_map(|prev| links.send(append(taken + prev, false)));
        assert_eq!(again.count(), 1, "entries are taken again, until it is full again");
    }
}
