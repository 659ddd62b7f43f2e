//! The server's lanes with the messages of `raft`: encoded and decoded on tasks, like its frames.

use kv::net::codec::{CodecError, MAX_FRAME, MAX_HEAD, read_bytes};
use kv::net::handshake::welcome;
use kv::net::{Lane, Net, Wire, accept_all, notice_silence};
use protobuf::Message as _;
use raft::eraftpb::{Entry, Message, MessageType};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// As in the server.
const QUEUE: usize = 256;
const BATCH: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);
const BACKOFF: Duration = Duration::from_millis(50);

/// What the transport says to the thread that decides.
#[derive(Debug)]
pub(super) enum Heard {
    /// A message of a peer.
    Message(Message),
    /// A connection to this peer is gone.
    Unreachable(u64),
}

/// Messages on their way out; never waited for.
pub(super) struct Links {
    net: Arc<Net>,
    heard: mpsc::Sender<Heard>,
    runtime: Handle,
    peers: BTreeMap<u64, Link>,
}

struct Link {
    log: mpsc::Sender<Message>,
    talk: mpsc::Sender<Message>,
    way: Way,
}

/// What was sent to a peer and is not acknowledged: each message's last index, and its bytes.
#[derive(Default)]
struct Way {
    sent: VecDeque<(u64, u64)>,
    bytes: u64,
    most: u64,
}

impl Way {
    fn sends(&mut self, message: &Message) {
        let Some(last) = message.entries.last() else { return };
        // What is sent again is not on the way twice.
        while let Some((_, bytes)) = self.sent.pop_back_if(|(last, _)| *last > message.index) {
            self.bytes -= bytes;
        }
        let bytes = message.entries.iter().map(|entry| entry.data.len() as u64).sum();
        self.sent.push_back((last.index, bytes));
        self.bytes += bytes;
        self.most = self.most.max(self.bytes);
    }

    /// It has everything up to here.
    fn acknowledged(&mut self, index: u64) {
        while let Some((_, bytes)) = self.sent.pop_front_if(|(last, _)| *last <= index) {
            self.bytes -= bytes;
        }
    }

    fn lost(&mut self) {
        self.sent.clear();
        self.bytes = 0;
    }
}

impl Links {
    pub(super) const fn new(net: Arc<Net>, heard: mpsc::Sender<Heard>, runtime: Handle) -> Self {
        Self { net, heard, runtime, peers: BTreeMap::new() }
    }

    /// Sends a message, or loses it; whether it was sent. With `batch_append` the crate makes one
    /// message of all that is allowed to be in flight, so it is cut to frames here.
    pub(super) fn send(&mut self, message: Message) -> bool {
        let limit = MAX_FRAME as u64 - MAX_HEAD;
        let frames = cut(message, |entry| u64::from(entry.compute_size()), limit);
        frames.into_iter().all(|frame| self.send_frame(frame))
    }

    fn send_frame(&mut self, message: Message) -> bool {
        let (net, heard, runtime) = (&self.net, &self.heard, &self.runtime);
        let link = self.peers.entry(message.to);
        let link = link.or_insert_with_key(|peer| Link::new(net, heard, runtime, *peer));
        let is_log = message.get_msg_type() == MessageType::MsgAppend;
        if is_log {
            link.way.sends(&message);
        }
        let sent = if is_log { &link.log } else { &link.talk }.try_send(message).is_ok();
        if !sent {
            self.net.metrics.dropped_frames.inc();
        }
        sent
    }

    /// What a peer said makes room on the way to it.
    pub(super) fn hears(&mut self, message: &Message) {
        let Some(link) = self.peers.get_mut(&message.from) else { return };
        if message.get_msg_type() == MessageType::MsgAppendResponse {
            if message.reject {
                link.way.lost();
            } else {
                link.way.acknowledged(message.index);
            }
        }
    }

    /// What is on the way to a peer, and the most that ever was.
    pub(super) fn on_the_way(&self, peer: u64) -> (u64, u64) {
        self.peers.get(&peer).map_or((0, 0), |link| (link.way.bytes, link.way.most))
    }
}

/// The same message in parts, each of which has at most so much in entries, or one entry.
fn cut(mut message: Message, size: impl Fn(&Entry) -> u64, limit: u64) -> Vec<Message> {
    if message.entries.iter().map(&size).sum::<u64>() <= limit {
        return vec![message];
    }
    let (mut parts, mut entries, mut bytes) = (Vec::new(), Vec::new(), 0);
    for entry in message.take_entries() {
        bytes += size(&entry);
        if bytes > limit && !entries.is_empty() {
            bytes = size(&entry);
            parts.push(std::mem::take(&mut entries));
        }
        entries.push(entry);
    }
    parts.push(entries);
    let (mut index, mut log_term) = (message.index, message.log_term);
    let part = |entries: Vec<Entry>| {
        let mut part = Message { index, log_term, ..message.clone() };
        (index, log_term) =
            entries.last().map_or((index, log_term), |last| (last.index, last.term));
        part.set_entries(entries.into());
        part
    };
    parts.into_iter().map(part).collect()
}

impl Link {
    fn new(net: &Arc<Net>, heard: &mpsc::Sender<Heard>, runtime: &Handle, peer: u64) -> Self {
        let spawn = |lane| {
            let (sender, messages) = mpsc::channel(QUEUE);
            let (net, heard) = (Arc::clone(net), heard.clone());
            runtime.spawn(Outlet { net, heard, peer, lane, messages }.run());
            sender
        };
        Self { log: spawn(Lane::Log), talk: spawn(Lane::Talk), way: Way::default() }
    }
}

struct Outlet {
    net: Arc<Net>,
    heard: mpsc::Sender<Heard>,
    peer: u64,
    lane: Lane,
    messages: mpsc::Receiver<Message>,
}

impl Outlet {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.messages.recv_many(&mut batch, BATCH).await > 0 {
            match self.net.dial(self.peer, self.lane).await {
                Ok(wire) => {
                    let why = self.serve(wire, &mut batch).await;
                    tracing::info!(peer = self.peer, lane = ?self.lane, ?why, "lost");
                }
                Err(error) => {
                    tracing::debug!(peer = self.peer, lane = ?self.lane, %error, "no way");
                    sleep(BACKOFF).await;
                }
            }
            batch.clear();
            while self.messages.try_recv().is_ok() {
                self.net.metrics.dropped_frames.inc();
            }
            _ = self.heard.send(Heard::Unreachable(self.peer)).await;
        }
    }

    async fn serve(&mut self, wire: Box<dyn Wire>, batch: &mut Vec<Message>) -> io::Result<()> {
        let (mut back, mut out) = split(wire);
        let (mut bytes, mut ignored) = (Vec::new(), [0; 64]);
        loop {
            bytes.clear();
            for message in batch.drain(..) {
                encode(&message, &mut bytes);
                self.net.metrics.sent_frames.inc();
            }
            let written = async {
                out.write_all(&bytes).await?;
                out.flush().await
            };
            timeout(PATIENCE, written).await??;
            tokio::select! {
                read = back.read(&mut ignored) => return read.map(drop),
                count = self.messages.recv_many(batch, BATCH) => if count == 0 { return Ok(()) },
            }
        }
    }
}

/// A length, then the message.
fn encode(message: &Message, out: &mut Vec<u8>) {
    let begun = out.len();
    out.extend([0; 4]);
    message.write_to_vec(out).expect("every message has an encoding");
    let length = u32::try_from(out.len() - begun - 4).expect("a message has at most a frame");
    out[begun..begun + 4].copy_from_slice(&length.to_le_bytes());
}

/// Serves whoever connects, for as long as the server runs.
pub(super) async fn listen(listener: TcpListener, net: Arc<Net>, heard: mpsc::Sender<Heard>) {
    let take = move |stream| {
        let (net, heard) = (Arc::clone(&net), heard.clone());
        async move { hear(stream, &net, &heard).await }
    };
    accept_all(listener, take).await;
}

async fn hear(
    mut stream: TcpStream,
    net: &Net,
    heard: &mpsc::Sender<Heard>,
) -> Result<(), CodecError> {
    notice_silence(&stream)?;
    let hello = welcome(&mut stream, &net.cluster, net.id);
    let hello = timeout(PATIENCE, hello).await.map_err(io::Error::from)??;
    net.addresses.heard(hello.from, hello.address);
    // As the server, which hides encryption behind it.
    let wire: Box<dyn Wire> = Box::new(stream);
    let mut reader = BufReader::with_capacity(64 << 10, wire);
    let mut bytes = Vec::new();
    while read_bytes(&mut reader, &mut bytes).await? {
        let message = Message::parse_from_bytes(&bytes).map_err(|_| CodecError::Malformed)?;
        if message.from != hello.from {
            return Err(CodecError::Malformed);
        }
        net.metrics.received_frames.inc();
        if heard.send(Heard::Message(message)).await.is_err() {
            break;
        }
        bytes.shrink_to(64 << 10);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Way, cut};
    use raft::eraftpb::{Entry, Message};

    /// Entries of these sizes, from an index on.
    fn append(first: u64, sizes: &[usize]) -> Message {
        let entry = |(index, size): (u64, &usize)| Entry {
            index,
            data: vec![0; *size].into(),
            ..Entry::default()
        };
        let entries: Vec<_> = (first..).zip(sizes).map(entry).collect();
        Message { index: first - 1, entries: entries.into(), ..Message::default() }
    }

    #[test]
    fn what_is_on_the_way_is_what_was_sent_and_not_acknowledged() {
        let mut way = Way::default();
        way.sends(&append(1, &[10, 20]));
        way.sends(&append(3, &[5]));
        way.sends(&append(4, &[]));
        assert_eq!((way.bytes, way.most), (35, 35));
        way.acknowledged(1);
        assert_eq!(way.bytes, 35, "a message is acknowledged with its last entry");
        way.acknowledged(2);
        assert_eq!((way.bytes, way.most), (5, 35));
        way.sends(&append(4, &[7]));
        way.sends(&append(3, &[5, 7]));
        assert_eq!((way.bytes, way.most), (12, 35), "what is sent again is not there twice");
        way.lost();
        assert_eq!((way.bytes, way.most), (0, 35));
    }

    #[test]
    fn the_parts_of_a_message_follow_each_other_and_none_is_too_large() {
        let mut message = append(8, &[30, 10, 20, 90, 5]);
        (message.log_term, message.commit) = (2, 9);
        message.entries.iter_mut().for_each(|entry| entry.term = 3);
        let size = |entry: &Entry| entry.data.len() as u64;
        assert_eq!(cut(message.clone(), size, 155), [message.clone()]);
        let parts = cut(message, size, 50);
        let seen: Vec<_> = parts
            .iter()
            .map(|part| (part.index, part.log_term, part.commit, part.entries.len()))
            .collect();
        assert_eq!(seen, [(7, 2, 9, 2), (9, 3, 9, 1), (10, 3, 9, 1), (11, 3, 9, 1)]);
    }
}
