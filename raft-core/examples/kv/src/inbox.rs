//! What the driver thread is told, and by whom.
//!
//! Two queues. *Completions* come from the server's own threads and are few: at most one for each
//! effect that the driver has handed out, so this queue needs no bound, and no thread ever waits to
//! tell the driver that it is ready (a circle of bounded queues can stand still for ever).
//! *Everything else* (frames, requests) comes from outside, and waits where the queue is full: so a
//! node that is too slow is slow to read its sockets, and TCP tells the others.

use crate::address::Address;
use crate::command::{Record, Reply};
use raft_core::driver::{Answer, Event};
use raft_core::{Instant, LogIndex, Membership, NodeId, PeerStatus, Status};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many frames and requests may wait for the driver.
const WAITING: usize = 1024;
/// How much is stepped at once at most.
const BATCH: usize = 1024;

/// What somebody outside wants.
#[derive(Debug)]
pub enum Message {
    /// The network.
    Event(Event<Record>),
    /// A client or an operator.
    Request(Request, oneshot::Sender<Told>),
    /// Whoever looks at the node.
    Look(oneshot::Sender<Look>),
    /// The end: what was said before is still stepped, and nothing after it.
    Stop,
}

/// What clients and operators can ask for.
#[derive(Debug)]
pub enum Request {
    /// Replicate a command.
    Propose {
        /// The command.
        command: Record,
        /// When the caller gives up.
        until: Instant,
    },
    /// When may the state machine be read?
    Read {
        /// By the lease, where there is one, instead of by the word of a quorum.
        lease: bool,
        /// When the caller gives up.
        until: Instant,
    },
    /// Change the membership, as it is when the driver comes to it.
    Change {
        /// How.
        change: Change,
        /// Where the node is that comes.
        address: Option<Address>,
        /// When the caller gives up.
        until: Instant,
    },
    /// Hand over leadership.
    Transfer {
        /// To whom, or to the voter whose log is the most complete.
        to: Option<NodeId>,
    },
    /// Take a snapshot.
    Snapshot,
}

/// A change of the membership by one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Receives the log, and has no say.
    AddLearner(NodeId),
    /// Becomes a voter when it has caught up.
    Promote(NodeId),
    /// Belongs to the cluster no more.
    Remove(NodeId),
}

/// What the driver, or the state machine, told a caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// What became of the request.
    Answer(Answer),
    /// What the state machine said to the command.
    Applied(Reply),
    /// Nothing more is to be said: it was taken.
    Taken,
    /// The membership that was asked for cannot be.
    Impossible(String),
}

/// What a node looks like.
#[derive(Clone, Debug)]
pub struct Look {
    /// When.
    pub now: Instant,
    /// The node.
    pub status: Status,
    /// Who belongs to the cluster.
    pub membership: Membership,
    /// Its peers, if it leads; and the bytes that are on the way to each.
    pub peers: Vec<(PeerStatus, u64)>,
    /// When each was heard last, whoever leads.
    pub heard: Vec<(NodeId, Instant)>,
    /// The most bytes that were ever on the way to each peer at once.
    pub most: Vec<(NodeId, u64)>,
    /// What the state machine has applied.
    pub applied: LogIndex,
    /// How many callers wait.
    pub waiting: usize,
}

/// The way to tell the driver that something was done.
#[derive(Clone, Debug)]
pub struct Completions(mpsc::UnboundedSender<Event<Record>>);

impl Completions {
    /// Says it. Nobody listens while the server stops.
    pub fn say(&self, event: Event<Record>) {
        _ = self.0.send(event);
    }
}

/// The way to ask the driver for something.
pub type Outside = mpsc::Sender<Message>;

/// What waits for the driver.
#[derive(Debug)]
pub struct Inbox {
    done: mpsc::UnboundedReceiver<Event<Record>>,
    outside: mpsc::Receiver<Message>,
}

/// An inbox, and the two ways into it.
pub fn inbox() -> (Inbox, Completions, Outside) {
    let (completions, done) = mpsc::unbounded_channel();
    let (sender, outside) = mpsc::channel(WAITING);
    (Inbox { done, outside }, Completions(completions), sender)
}

impl Inbox {
    /// Waits until something is here, or for so long; then takes all that is here. Whether anybody
    /// is left who could say something.
    pub async fn collect(
        &mut self,
        patience: Duration,
        done: &mut Vec<Event<Record>>,
        messages: &mut Vec<Message>,
    ) -> bool {
        let mut is_open = true;
        // A timer that is over at once is still one tick of the runtime, a millisecond.
        if !patience.is_zero() {
            let waited = async {
                tokio::select! {
                    found = self.done.recv_many(done, BATCH) => found > 0,
                    found = self.outside.recv_many(messages, BATCH) => found > 0,
                }
            };
            is_open = tokio::time::timeout(patience, waited).await.unwrap_or(true);
        }
        // What waits in the other queue goes into the same step.
        while done.len() < BATCH
            && let Ok(event) = self.done.try_recv()
        {
            done.push(event);
        }
        while messages.len() < BATCH
            && let Ok(message) = self.outside.try_recv()
        {
            messages.push(message);
        }
        is_open
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, inbox};
    use raft_core::driver::Event;
    use std::time::{Duration, Instant};

    #[test]
    fn who_has_no_patience_takes_what_is_here_and_does_not_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (mut inbox, done, outside) = inbox();
        done.say(Event::Wake);
        outside.try_send(Message::Stop).expect("room");
        let (mut events, mut messages) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        runtime.expect("room").block_on(async {
            for _ in 0..200 {
                assert!(inbox.collect(Duration::ZERO, &mut events, &mut messages).await);
            }
        });
        assert!(begun.elapsed() < Duration::from_millis(150), "{:?}", begun.elapsed());
        assert!(matches!((&events[..], &messages[..]), ([Event::Wake], [Message::Stop])));
    }
}
