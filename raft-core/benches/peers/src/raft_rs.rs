//! The crate `raft`: `RawNode` with `MemStorage`, driven as in its own examples.
//!
//! What favours it: the entries of a batch are proposed in one message, they are made before the
//! clock starts, and all that waits for a node is stepped before one `Ready` is taken.

use crate::cluster::{Cluster, Counts, Meter, Runs};
use raft::eraftpb::{Entry, HardState, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, GetEntriesContext, INVALID_ID, RawNode, StateRole, Storage};
use slog::{Discard, Logger, o};
use std::fmt;

/// The default of the best-known user of the crate.
const MAX_SIZE_PER_MESSAGE: u64 = 1 << 20;

/// A cluster of `raft` nodes.
pub struct RaftRs<M> {
    members: Vec<Member>,
    cut: Option<usize>,
    inbox: Vec<Message>,
    counts: Counts,
    meter: M,
}

struct Member {
    node: RawNode<MemStorage>,
    inbox: Vec<Message>,
    applied: u64,
}

impl<M> fmt::Debug for RaftRs<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftRs").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl<M: Meter> RaftRs<M> {
    fn start(logs: &[&Runs], cut: Option<usize>) -> Self {
        let voters: Vec<u64> = (1..=logs.len() as u64).collect();
        let logger = Logger::root(Discard, o!());
        let member = |(id, log): (&u64, &&Runs)| {
            let config = Config {
                id: *id,
                election_tick: 100,
                heartbeat_tick: 1,
                max_size_per_msg: MAX_SIZE_PER_MESSAGE,
                max_inflight_msgs: 256,
                check_quorum: true,
                pre_vote: true,
                batch_append: true,
                ..Config::default()
            };
            let storage = MemStorage::new_with_conf_state((voters.clone(), vec![]));
            recover(&storage, log);
            let node = RawNode::new(&config, storage, &logger).expect("a state that can be");
            Member { node, inbox: Vec::new(), applied: 0 }
        };
        let mut cluster = Self {
            members: voters.iter().zip(logs).map(member).collect(),
            cut,
            inbox: Vec::new(),
            counts: Counts::default(),
            meter: M::default(),
        };
        cluster.members[0].node.campaign().expect("a voter");
        cluster.give(Message::default());
        assert_eq!(cluster.members[0].node.raft.state, StateRole::Leader, "node 0 was elected");
        cluster
    }

    /// Gives node 0 a message, if it is one, and lets every node act until nothing is left to do.
    fn give(&mut self, message: Message) {
        if message.to == INVALID_ID {
            self.turn(0);
        } else {
            self.members[0].inbox.push(message);
        }
        let mut busy = true;
        while busy {
            busy = false;
            for at in 0..self.members.len() {
                if !self.members[at].inbox.is_empty() {
                    self.turn(at);
                    busy = true;
                }
            }
        }
    }

    fn turn(&mut self, at: usize) {
        let mut inbox = std::mem::take(&mut self.inbox);
        std::mem::swap(&mut inbox, &mut self.members[at].inbox);
        self.counts.turns += 1;
        for message in inbox.drain(..) {
            let node = &mut self.members[at].node;
            self.meter.enter(|| node.step(message)).expect("a message of a peer");
        }
        self.inbox = inbox;
        while self.members[at].node.has_ready() {
            self.act(at);
        }
    }

    /// Takes one `Ready` and carries it out.
    fn act(&mut self, at: usize) {
        let node = &mut self.members[at].node;
        let mut ready = self.meter.enter(|| node.ready());
        self.send(at, ready.take_messages());

        let member = &mut self.members[at];
        let committed = ready.take_committed_entries();
        member.applied = committed.last().map_or(member.applied, |entry| entry.index);
        drop(committed);
        let mut store = member.node.raft.raft_log.store.wl();
        if !ready.entries().is_empty() {
            store.append(ready.entries()).expect("entries that follow the log");
        }
        if let Some(hard_state) = ready.hs() {
            store.set_hardstate(hard_state.clone());
        }
        drop(store);
        self.send(at, ready.take_persisted_messages());

        let member = &mut self.members[at];
        let node = &mut member.node;
        let mut light = self.meter.enter(|| node.advance(ready));
        if let Some(commit) = light.commit_index() {
            node.raft.raft_log.store.wl().mut_hard_state().set_commit(commit);
        }
        let committed = light.take_committed_entries();
        member.applied = committed.last().map_or(member.applied, |entry| entry.index);
        drop(committed);
        self.meter.enter(|| node.advance_apply());
        self.send(at, light.take_messages());
    }

    fn send(&mut self, at: usize, messages: Vec<Message>) {
        for message in messages {
            let to = usize::try_from(message.to - 1).expect("few nodes");
            self.counts.messages += 1;
            if self.cut != Some(at) && self.cut != Some(to) {
                self.counts.rejections += u64::from(message.reject);
                self.members[to].inbox.push(message);
            }
        }
    }
}

impl<M: Meter> Cluster for RaftRs<M> {
    type Command = Entry;
    type Nodes = Vec<RawNode<MemStorage>>;

    fn new(voters: usize) -> Self {
        Self::start(&vec![&Vec::new(); voters], None)
    }

    fn diverged(ahead: &Runs, behind: &Runs) -> Self {
        Self::start(&[ahead, behind, ahead], Some(1))
    }

    fn command(bytes: &[u8]) -> Entry {
        Entry { data: bytes.to_vec(), ..Entry::default() }
    }

    fn reserve(&mut self, _: usize) {
        // `MemStorage` holds the log, and has no such thing.
    }

    #[inline(never)]
    fn commit(&mut self, batch: Vec<Entry>) {
        let mut message = Message { to: 1, from: 1, entries: batch, ..Message::default() };
        message.set_msg_type(MessageType::MsgPropose);
        self.give(message);
    }

    #[inline(never)]
    fn heartbeat(&mut self) {
        let node = &mut self.members[0].node;
        self.meter.enter(|| node.tick());
        self.give(Message::default());
    }

    fn cut(&mut self, node: Option<usize>) {
        self.cut = node;
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn applied(&self, node: usize) -> u64 {
        self.members[node].applied
    }

    fn visit(&self, node: usize, mut visit: impl FnMut(&[u8])) {
        let member = &self.members[node];
        let context = GetEntriesContext::empty(false);
        let store = member.node.store();
        let entries = store.entries(1, member.applied + 1, None, context).expect("in memory");
        entries.iter().filter(|entry| !entry.data.is_empty()).for_each(|entry| visit(&entry.data));
    }

    fn into_nodes(self) -> Self::Nodes {
        self.members.into_iter().map(|member| member.node).collect()
    }
}

fn recover(storage: &MemStorage, log: &Runs) {
    let mut entries = Vec::new();
    for (term, count) in log {
        for _ in 0..*count {
            let index = entries.len() as u64 + 1;
            let data = b"diverged".to_vec();
            entries.push(Entry { term: *term, index, data, ..Entry::default() });
        }
    }
    let Some((term, _)) = log.last() else { return };
    let mut store = storage.wl();
    store.append(&entries).expect("entries that follow the log");
    store.set_hardstate(HardState { term: *term, vote: 0, commit: 0 });
}
