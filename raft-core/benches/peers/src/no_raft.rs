//! The crate `noraft`: positions only, as in the core; the runtime keeps the bytes.
//!
//! What favours it: all proposals of a batch, and all answers that wait for a node, are taken in
//! before its actions are carried out once. It has no announcement of a commit; the leader's
//! heartbeat is one, and is sent as soon as the commit index has moved.

use crate::cluster::{Cluster, Counts, Meter, Runs, Slot};
use noraft::{
    Action, ClusterConfig, Log, LogEntries, LogEntry, LogPosition, Message, Node, NodeId, Term,
};

/// A cluster of `noraft` nodes.
#[derive(Debug)]
pub struct NoRaft<M> {
    members: Vec<Member>,
    cut: Option<usize>,
    inbox: Vec<(Message, Vec<Slot>)>,
    counts: Counts,
    meter: M,
}

#[derive(Debug)]
struct Member {
    node: Node,
    log: Vec<Slot>,
    inbox: Vec<(Message, Vec<Slot>)>,
    applied: u64,
}

impl<M: Meter> NoRaft<M> {
    fn start(nodes: impl Iterator<Item = (Node, Vec<Slot>)>, cut: Option<usize>) -> Self {
        let member = |(node, log)| Member { node, log, inbox: Vec::new(), applied: 0 };
        Self {
            members: nodes.map(member).collect(),
            cut,
            inbox: Vec::new(),
            counts: Counts::default(),
            meter: M::default(),
        }
    }

    fn settle(&mut self) {
        assert!(self.members[0].node.role().is_leader() || self.counts.turns == 0);
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
        for (message, body) in inbox.drain(..) {
            let node = &mut self.members[at].node;
            self.meter.enter(|| node.handle_message(&message)).expect("a message of a peer");
            if !body.is_empty() {
                let Message::AppendEntriesCall { entries, .. } = &message else {
                    unreachable!("only these have commands")
                };
                self.act(at, entries.prev_position(), body);
            }
        }
        self.inbox = inbox;
        self.act(at, LogPosition::ZERO, Vec::new());
    }

    /// Carries out what a node asks for. `body` is what came in, and stands after `prev`.
    fn act(&mut self, at: usize, prev: LogPosition, mut body: Vec<Slot>) {
        loop {
            let node = &mut self.members[at].node;
            let Some(action) = self.meter.enter(|| node.actions_mut().next()) else { break };
            match action {
                Action::SetElectionTimeout | Action::SaveCurrentTerm | Action::SaveVotedFor => {}
                Action::AppendLogEntries(entries) => {
                    self.members[at].write(&entries, prev, &mut body);
                }
                Action::BroadcastMessage(message) => {
                    let peers: Vec<NodeId> = self.members[at].node.peers().collect();
                    for to in peers {
                        self.send(at, to, message.clone());
                    }
                }
                Action::SendMessage(to, message) => self.send(at, to, message),
                Action::InstallSnapshot(_) => unreachable!("nothing is compacted here"),
            }
        }
        let Member { node, applied, .. } = &mut self.members[at];
        let commit = node.commit_index().get();
        if commit > *applied {
            *applied = commit;
            if self.meter.enter(|| node.heartbeat()) {
                self.act(at, LogPosition::ZERO, Vec::new());
            }
        }
    }

    fn send(&mut self, at: usize, to: NodeId, message: Message) {
        let to = size(to.get());
        self.counts.messages += 1;
        if self.cut == Some(at) || self.cut == Some(to) {
            return;
        }
        let mut body = Vec::new();
        match &message {
            Message::AppendEntriesCall { entries, .. } if !entries.is_empty() => {
                let first = size(entries.prev_position().index.get());
                body.extend_from_slice(&self.members[at].log[first..first + entries.len()]);
            }
            Message::AppendEntriesReply { last_position, .. } => {
                let leader = self.members[to].node.log().entries();
                self.counts.rejections += u64::from(!leader.contains(*last_position));
            }
            _ => {}
        }
        self.members[to].inbox.push((message, body));
    }
}

impl Member {
    /// Replaces everything after the entries' anchor by them.
    fn write(&mut self, entries: &LogEntries, prev: LogPosition, body: &mut Vec<Slot>) {
        let anchor = size(entries.prev_position().index.get());
        self.log.truncate(anchor);
        let known = anchor - size(prev.index.get());
        if body.is_empty() {
            self.log.resize(anchor + entries.len(), None);
        } else if known == 0 {
            self.log.append(body);
        } else {
            self.log.extend_from_slice(&body[known..]);
        }
    }
}

impl<M: Meter> Cluster for NoRaft<M> {
    type Command = Slot;
    type Nodes = Vec<Node>;

    fn new(voters: usize) -> Self {
        let ids: Vec<NodeId> = (0..voters as u64).map(NodeId::new).collect();
        let mut cluster = Self::start(ids.iter().map(|id| (Node::start(*id), Vec::new())), None);
        cluster.members[0].node.create_cluster(&ids);
        cluster.act(0, LogPosition::ZERO, Vec::new());
        cluster.settle();
        cluster
    }

    fn diverged(ahead: &Runs, behind: &Runs) -> Self {
        let mut config = ClusterConfig::new();
        config.voters.extend((0..3).map(NodeId::new));
        let node = |(id, runs): (u64, &Runs)| {
            let log = Log::new(config.clone(), entries(runs));
            let slots = vec![Self::command(b"diverged"); log.entries().len()];
            let term = Term::new(runs.last().map_or(0, |(term, _)| *term));
            (Node::restart(NodeId::new(id), term, None, log), slots)
        };
        let mut cluster = Self::start((0..).zip([ahead, behind, ahead]).map(node), Some(1));
        cluster.members[0].node.handle_election_timeout();
        cluster.act(0, LogPosition::ZERO, Vec::new());
        cluster.settle();
        cluster
    }

    fn command(bytes: &[u8]) -> Slot {
        Some(bytes.into())
    }

    fn reserve(&mut self, commands: usize) {
        self.members.iter_mut().for_each(|member| member.log.reserve(commands));
    }

    #[inline(never)]
    fn commit(&mut self, batch: Vec<Slot>) {
        let node = &mut self.members[0].node;
        let prev = node.log().last_position();
        self.counts.turns += 1;
        for _ in 0..batch.len() {
            self.meter.enter(|| node.propose_command());
        }
        self.act(0, prev, batch);
        self.settle();
    }

    #[inline(never)]
    fn heartbeat(&mut self) {
        let node = &mut self.members[0].node;
        self.counts.turns += 1;
        self.meter.enter(|| node.heartbeat());
        self.act(0, LogPosition::ZERO, Vec::new());
        self.settle();
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
        let applied = &member.log[..size(member.applied)];
        applied.iter().flatten().for_each(|handle| visit(handle));
    }

    fn into_nodes(self) -> Vec<Node> {
        self.members.into_iter().map(|member| member.node).collect()
    }
}

/// In this crate an entry of its own stands at the beginning of each term.
fn entries(runs: &Runs) -> LogEntries {
    let entries = runs.iter().flat_map(|(term, count)| {
        let rest = (1..*count).map(|_| LogEntry::Command);
        std::iter::once(LogEntry::Term(Term::new(*term))).chain(rest)
    });
    LogEntries::from_iter(LogPosition::ZERO, entries)
}

fn size(count: u64) -> usize {
    usize::try_from(count).expect("what is in memory can be counted")
}
