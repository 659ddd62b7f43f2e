//! `raft-core`: the runtime keeps the bytes, `step_all` with buffers that are used again.

use crate::cluster::{Cluster, Counts, Meter, Runs, Slot};
use raft_core::{
    Action, AppendEntries, AppendOutcome, Config, Entries, Envelope, Input, Instant, LogIndex,
    LogPosition, LogWrite, Membership, Message, Node, NodeId, Recovered, Run, Source, Term, Ticket,
    Token,
};
use std::time::Duration;

/// A cluster of `raft-core` nodes.
#[derive(Debug)]
pub struct Ours<M> {
    members: Vec<Member>,
    now: Instant,
    cut: Option<usize>,
    // The buffers of a turn.
    inbox: Inbox,
    actions: Vec<Action>,
    counts: Counts,
    meter: M,
}

#[derive(Debug)]
struct Member {
    node: Node,
    log: Vec<Slot>,
    inbox: Inbox,
    applied: LogIndex,
}

/// What waits for a node: inputs, and the commands that came with one of them.
#[derive(Default, Debug)]
struct Inbox {
    inputs: Vec<Input>,
    bodies: Vec<(usize, Vec<Slot>)>,
}

impl<M: Meter> Ours<M> {
    fn start(recovered: impl Iterator<Item = (Recovered, Vec<Slot>)>, cut: Option<usize>) -> Self {
        let now = Instant::from_nanos(1);
        let member = |(nth, (recovered, log)): (u64, (Recovered, Vec<Slot>))| {
            let config =
                Config::new(NodeId(nth), 7 + nth).with_election_timeout(Duration::from_secs(60));
            let node = Node::new(config, recovered, now).expect("a state that can be");
            Member { node, log, inbox: Inbox::default(), applied: LogIndex::ZERO }
        };
        let mut cluster = Self {
            members: (0..).zip(recovered).map(member).collect(),
            now,
            cut,
            inbox: Inbox::default(),
            actions: Vec::new(),
            counts: Counts::default(),
            meter: M::default(),
        };
        cluster.give(Input::Campaign, Vec::new());
        let status = cluster.members[0].node.status();
        assert_eq!(status.leader, Some(NodeId(0)), "node 0 was elected");
        assert_eq!(status.commit_index, status.last.index, "and has committed its first entry");
        cluster
    }

    /// Gives node 0 an input, and lets every node act until there is nothing left to do.
    fn give(&mut self, input: Input, body: Vec<Slot>) {
        self.members[0].inbox.push(input, body);
        let mut busy = true;
        while busy {
            busy = false;
            for at in 0..self.members.len() {
                if !self.members[at].inbox.inputs.is_empty() {
                    self.turn(at);
                    busy = true;
                }
            }
        }
    }

    /// A node takes what waits for it and acts on it; a write is made at once, and reported.
    fn turn(&mut self, at: usize) {
        let member = &mut self.members[at];
        std::mem::swap(&mut member.inbox, &mut self.inbox);
        self.now = self.now.saturating_add(Duration::from_nanos(100));
        self.counts.turns += 1;
        let (inputs, now, actions) = (&self.inbox.inputs, self.now, &mut self.actions);
        self.meter.enter(|| member.node.step_all(inputs, now, actions));
        while let Some(ticket) = self.act(at) {
            let (member, actions) = (&mut self.members[at], &mut self.actions);
            let report = Input::Persisted { ticket };
            self.meter.enter(|| member.node.step_all([&report], now, actions));
        }
        self.inbox.inputs.clear();
        self.inbox.bodies.clear();
    }

    /// Carries out what a node asks for. Returns the ticket of its last write.
    fn act(&mut self, at: usize) -> Option<Ticket> {
        let mut written = None;
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            let member = &mut self.members[at];
            match action {
                Action::Persist(write) => {
                    if let Some(log) = write.log {
                        member.write(&log, &mut self.inbox.bodies);
                    }
                    written = Some(write.ticket);
                }
                Action::Send(envelope) => self.send(at, envelope),
                Action::Apply { through, .. } => member.applied = through.index,
                Action::Accepted { .. } | Action::RoleChanged { .. } => {}
                Action::ReadReady { .. }
                | Action::SendSnapshot { .. }
                | Action::InstallSnapshot { .. }
                | Action::PeerRegressed { .. }
                | Action::TransferEnded { .. } => unreachable!("nobody asks for it"),
                Action::Rejected { reason, .. } => panic!("a proposal is refused: {reason}"),
                Action::Ignored { .. } => assert!(self.cut.is_some(), "nothing is stale here"),
            }
        }
        self.actions = actions;
        written
    }

    fn send(&mut self, at: usize, envelope: Envelope) {
        let to = usize::try_from(envelope.to.get()).expect("few nodes");
        self.counts.messages += 1;
        if self.cut == Some(at) || self.cut == Some(to) {
            return;
        }
        let body = match &envelope.message {
            Message::AppendEntries(m) => self.members[at].attach(m),
            Message::AppendEntriesResponse(m) => {
                let rejected = matches!(m.outcome, AppendOutcome::Mismatched { .. });
                self.counts.rejections += u64::from(rejected);
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.members[to].inbox.push(Input::Message(envelope), body);
    }
}

impl Inbox {
    fn push(&mut self, input: Input, body: Vec<Slot>) {
        if !body.is_empty() {
            self.bodies.push((self.inputs.len(), body));
        }
        self.inputs.push(input);
    }
}

impl Member {
    /// Carries out the log part of a write.
    fn write(&mut self, write: &LogWrite, bodies: &mut [(usize, Vec<Slot>)]) {
        self.log.truncate(position(write.first));
        for chunk in write.chunks.iter() {
            match &chunk.source {
                Source::Membership(_) => self.log.push(None),
                Source::Inputs { first, last, skip } => {
                    let (end, mut skip) = (self.log.len() + size(chunk.count), size(*skip));
                    let inputs = *first..=*last;
                    for (_, body) in bodies.iter_mut().filter(|(nth, _)| inputs.contains(nth)) {
                        let count = (body.len() - skip).min(end - self.log.len());
                        if count == body.len() {
                            self.log.append(body);
                        } else {
                            self.log.extend_from_slice(&body[skip..skip + count]);
                        }
                        skip = 0;
                    }
                    assert_eq!(self.log.len(), end, "all of it came along");
                }
            }
        }
    }

    /// The commands that a message names.
    fn attach(&self, message: &AppendEntries) -> Vec<Slot> {
        let (mut body, mut at) = (Vec::new(), size(message.prev.index.get()));
        for run in message.entries.runs() {
            let end = at + size(run.count());
            if run.commands() > 0 {
                body.extend_from_slice(&self.log[at..end]);
            }
            at = end;
        }
        body
    }
}

impl<M: Meter> Cluster for Ours<M> {
    type Command = Slot;
    type Nodes = Vec<Node>;

    fn new(voters: usize) -> Self {
        let fresh = Recovered::fresh(membership(voters));
        Self::start((0..voters).map(|_| (fresh.clone(), Vec::new())), None)
    }

    fn diverged(ahead: &Runs, behind: &Runs) -> Self {
        let recovered = |runs: &Runs| {
            let mut recovered = Recovered::fresh(membership(3));
            recovered.hard_state.current_term = Term(runs.last().map_or(0, |(term, _)| *term));
            let commands =
                |(term, count): &(u64, u64)| Run::Commands { term: Term(*term), count: *count };
            recovered.entries = runs.iter().map(commands).collect::<Entries>();
            let log = vec![Self::command(b"diverged"); size(recovered.entries.count())];
            (recovered, log)
        };
        Self::start([ahead, behind, ahead].into_iter().map(recovered), Some(1))
    }

    fn command(bytes: &[u8]) -> Slot {
        Some(bytes.into())
    }

    fn reserve(&mut self, commands: usize) {
        self.members.iter_mut().for_each(|member| member.log.reserve(commands));
    }

    #[inline(never)]
    fn commit(&mut self, batch: Vec<Slot>) {
        let count = batch.len() as u64;
        self.give(Input::Propose { token: Token(0), count }, batch);
    }

    #[inline(never)]
    fn heartbeat(&mut self) {
        self.now = self.members[0].node.deadline().expect("a leader has heartbeats");
        self.give(Input::Wake, Vec::new());
    }

    fn cut(&mut self, node: Option<usize>) {
        self.cut = node;
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn applied(&self, node: usize) -> u64 {
        self.members[node].applied.get()
    }

    fn visit(&self, node: usize, mut visit: impl FnMut(&[u8])) {
        let member = &self.members[node];
        let applied = &member.log[..size(member.applied.get())];
        applied.iter().flatten().for_each(|handle| visit(handle));
    }

    fn into_nodes(self) -> Vec<Node> {
        self.members.into_iter().map(|member| member.node).collect()
    }
}

fn membership(voters: usize) -> Membership {
    Membership::of_voters((0..voters as u64).map(NodeId)).expect("valid")
}

fn position(index: LogIndex) -> usize {
    size(index.get() - LogPosition::ZERO.index.get() - 1)
}

fn size(count: u64) -> usize {
    usize::try_from(count).expect("what is in memory can be counted")
}
