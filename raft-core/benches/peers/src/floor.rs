//! What remains without any Raft: the handles have to be moved all the same.

use crate::cluster::{Cluster, Counts, Handle, Runs, Slot};

/// Moves the handles into one log per node, and advances one number per node.
#[derive(Debug)]
pub struct Floor {
    logs: Vec<Vec<Handle>>,
    applied: Vec<u64>,
}

impl Floor {
    /// Copies the handles into a second log, in messages of `batch` handles.
    pub fn copy_in_messages(&mut self, batch: usize) {
        let mut log = Vec::new();
        for handles in self.logs[0].chunks(batch) {
            let mut body = handles.to_vec();
            log.append(&mut body);
        }
        self.logs.push(log);
    }
}

impl Cluster for Floor {
    type Command = Slot;
    type Nodes = ();

    fn new(voters: usize) -> Self {
        Self { logs: vec![Vec::new(); voters], applied: vec![0; voters] }
    }

    fn diverged(_: &Runs, _: &Runs) -> Self {
        Self::new(3)
    }

    fn command(bytes: &[u8]) -> Slot {
        Some(bytes.into())
    }

    fn reserve(&mut self, commands: usize) {
        self.logs.iter_mut().for_each(|log| log.reserve(commands));
    }

    #[inline(never)]
    fn commit(&mut self, batch: Vec<Slot>) {
        let (leader, followers) = self.logs.split_first_mut().expect("a cluster has nodes");
        for log in followers {
            log.extend(batch.iter().flatten().cloned());
        }
        leader.extend(batch.into_iter().flatten());
        for (applied, log) in self.applied.iter_mut().zip(&self.logs) {
            *applied = log.len() as u64;
        }
    }

    fn heartbeat(&mut self) {}

    fn cut(&mut self, _: Option<usize>) {}

    fn counts(&self) -> Counts {
        Counts::default()
    }

    fn applied(&self, node: usize) -> u64 {
        self.applied[node]
    }

    fn visit(&self, node: usize, mut visit: impl FnMut(&[u8])) {
        self.logs[node].iter().for_each(|handle| visit(handle));
    }

    fn into_nodes(self) {}
}

/// The messages of a commit, sent and received in turns as a runtime does it, with nothing decided.
#[derive(Debug)]
pub struct Messages {
    nodes: Vec<Node>,
    inbox: Vec<Message>,
    counts: Counts,
}

#[derive(Default, Debug)]
struct Node {
    log: Vec<Slot>,
    inbox: Vec<Message>,
    acknowledged: usize,
    applied: u64,
}

#[derive(Debug)]
enum Message {
    Propose(Vec<Slot>),
    Append(Vec<Slot>),
    Acknowledge,
    Announce(u64),
}

impl Messages {
    fn turn(&mut self, at: usize) {
        let mut inbox = std::mem::take(&mut self.inbox);
        std::mem::swap(&mut inbox, &mut self.nodes[at].inbox);
        self.counts.turns += 1;
        for message in inbox.drain(..) {
            match message {
                Message::Propose(mut batch) => {
                    let first = self.nodes[at].log.len();
                    self.nodes[at].log.append(&mut batch);
                    self.nodes[at].acknowledged = 0;
                    for to in 1..self.nodes.len() {
                        let body = self.nodes[at].log[first..].to_vec();
                        self.send(to, Message::Append(body));
                    }
                }
                Message::Append(mut body) => {
                    self.nodes[at].log.append(&mut body);
                    self.send(0, Message::Acknowledge);
                }
                Message::Acknowledge => {
                    self.nodes[at].acknowledged += 1;
                }
                Message::Announce(commit) => self.nodes[at].applied = commit,
            }
        }
        let followers = self.nodes.len() - 1;
        if at == 0 && self.nodes[0].acknowledged == followers {
            let commit = self.nodes[0].log.len() as u64;
            (self.nodes[0].applied, self.nodes[0].acknowledged) = (commit, 0);
            for to in 1..=followers {
                self.send(to, Message::Announce(commit));
            }
        }
        self.inbox = inbox;
    }

    fn send(&mut self, to: usize, message: Message) {
        self.counts.messages += 1;
        self.nodes[to].inbox.push(message);
    }
}

impl Cluster for Messages {
    type Command = Slot;
    type Nodes = ();

    fn new(voters: usize) -> Self {
        let nodes = (0..voters).map(|_| Node::default()).collect();
        Self { nodes, inbox: Vec::new(), counts: Counts::default() }
    }

    fn diverged(_: &Runs, _: &Runs) -> Self {
        Self::new(3)
    }

    fn command(bytes: &[u8]) -> Slot {
        Some(bytes.into())
    }

    fn reserve(&mut self, commands: usize) {
        self.nodes.iter_mut().for_each(|node| node.log.reserve(commands));
    }

    #[inline(never)]
    fn commit(&mut self, batch: Vec<Slot>) {
        self.nodes[0].inbox.push(Message::Propose(batch));
        let mut busy = true;
        while busy {
            busy = false;
            for at in 0..self.nodes.len() {
                if !self.nodes[at].inbox.is_empty() {
                    self.turn(at);
                    busy = true;
                }
            }
        }
    }

    fn heartbeat(&mut self) {}

    fn cut(&mut self, _: Option<usize>) {}

    fn counts(&self) -> Counts {
        self.counts
    }

    fn applied(&self, node: usize) -> u64 {
        self.nodes[node].applied
    }

    fn visit(&self, node: usize, mut visit: impl FnMut(&[u8])) {
        self.nodes[node].log.iter().flatten().for_each(|handle| visit(handle));
    }

    fn into_nodes(self) {}
}
