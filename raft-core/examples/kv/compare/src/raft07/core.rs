//! The thread that decides, around `RawNode`: asynchronous readies, as in the documentation of
//! `advance_append_async`.
//!
//! What favours it: whatever waits is stepped before a `Ready` is taken, all proposals of a turn
//! are one message, and all reads of a turn are one `read_index`.

use crate::raft07::links::{Heard, Links};
use crate::raft07::log::{LogView, bound};
use crate::raft07::next_tick;
use crate::raft07::waiting::{Caller, Waiting, refused};
use bytes::Bytes;
use kv::command::Record;
use kv::disk::DiskTask;
use kv::driver::Hands;
use kv::inbox::{Inbox, Look, Message as Said, Request, Told};
use kv::machine::worker::{MachineTask, Work};
use kv::{clock, fatal};
use raft::eraftpb::{Entry, HardState, Message, MessageType};
use raft::{INVALID_ID, ProgressState, RawNode, ReadOnlyOption, Ready, StateRole};
use raft_core::driver::{BoundLog, BoundWrite, Event, Refusal, Settings};
use raft_core::{
    HardState as Hard, Instant, LogIndex, LogPosition, Membership, NodeId, PeerPhase, PeerStatus,
    RejectReason, RoleKind, Status, Term, Ticket,
};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// As in the server's inbox.
const BATCH: usize = 1024;

pub(super) struct Core {
    node: RawNode<LogView>,
    links: Links,
    hands: Hands,
    waiting: Waiting,
    /// Readies that are not durable, or wait behind one that is not.
    unwritten: VecDeque<Unwritten>,
    /// The last ready that the disk thread has made durable.
    written: u64,
    /// What is committed and not handed to the state machine: one apply at a time, as the driver.
    committed: VecDeque<Entry>,
    applies: bool,
    applied: LogIndex,
    last_context: u64,
    tick: Duration,
    /// To whom a message could not be sent: said when no `Ready` is open.
    unreachable: Vec<u64>,
}

/// A ready whose messages must not leave yet.
struct Unwritten {
    number: u64,
    syncs: bool,
    last: Option<(u64, u64)>,
    messages: Vec<Message>,
}

/// What clients want in one turn.
#[derive(Default)]
struct Wanted {
    commands: Vec<Record>,
    proposers: Vec<(Instant, Caller)>,
    reads: Vec<(Instant, Caller)>,
    lease_reads: Vec<(Instant, Caller)>,
}

impl Core {
    pub(super) fn new(
        node: RawNode<LogView>,
        links: Links,
        hands: Hands,
        applied: LogIndex,
        tick: Duration,
    ) -> Self {
        Self {
            node,
            links,
            hands,
            waiting: Waiting::default(),
            unwritten: VecDeque::new(),
            written: 0,
            committed: VecDeque::new(),
            applies: false,
            applied,
            last_context: 0,
            tick,
            unreachable: Vec::new(),
        }
    }

    /// Steps what waits until it is told to stop.
    pub(super) fn run(
        mut self,
        mut inbox: Inbox,
        mut peers: mpsc::Receiver<Heard>,
        runtime: &Handle,
    ) {
        let (mut done, mut said, mut heard) = (Vec::new(), Vec::new(), Vec::new());
        let mut due = next_tick(std::time::Instant::now(), self.tick);
        loop {
            let patience = due.saturating_duration_since(std::time::Instant::now());
            runtime.block_on(async {
                tokio::select! {
                    _ = inbox.collect(patience, &mut done, &mut said) => {}
                    _ = peers.recv_many(&mut heard, BATCH) => {
                        // What waits in the other queues goes into the same turn.
                        inbox.collect(Duration::ZERO, &mut done, &mut said).await;
                    }
                }
            });
            while heard.len() < BATCH
                && let Ok(more) = peers.try_recv()
            {
                heard.push(more);
            }
            heard.drain(..).for_each(|heard| self.hear(heard));
            done.drain(..).for_each(|event| self.is_done(&event));
            let (mut wanted, mut goes_on, mut looks) = (Wanted::default(), true, Vec::new());
            for message in said.drain(..) {
                match message {
                    Said::Request(request, caller) => wanted.add(request, caller),
                    Said::Look(caller) => looks.push(caller),
                    Said::Event(_) => {}
                    Said::Stop => goes_on = false,
                }
            }
            self.propose(wanted.commands, wanted.proposers);
            self.read(wanted.reads, ReadOnlyOption::Safe);
            self.read(wanted.lease_reads, ReadOnlyOption::LeaseBased);
            if due <= std::time::Instant::now() {
                self.node.tick();
                self.waiting.time_is(clock::now());
                due = next_tick(due, self.tick);
            }
            while self.node.has_ready() {
                self.carry_out();
                let unreachable = std::mem::take(&mut self.unreachable);
                for peer in unreachable {
                    self.node.report_unreachable(peer);
                }
            }
            self.apply();
            for caller in looks {
                _ = caller.send(self.look());
            }
            if !goes_on {
                return;
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Message(message) => {
                self.links.hears(&message);
                // A message of an old term, or of a stranger: nothing comes of it.
                _ = self.node.step(message);
            }
            Heard::Unreachable(peer) => self.node.report_unreachable(peer),
        }
    }

    fn is_done(&mut self, event: &Event<Record>) {
        match event {
            Event::Written { ticket } => {
                self.written = ticket.get();
                self.release();
            }
            Event::Applied { through } => {
                self.applies = false;
                self.applied = *through;
                self.node.advance_apply_to(through.get());
                self.waiting.applied(*through);
            }
            _ => {}
        }
    }

    fn propose(&mut self, commands: Vec<Record>, callers: Vec<(Instant, Caller)>) {
        if commands.is_empty() {
            return;
        }
        let entry = |data: Record| Entry { data: Bytes::from_owner(data), ..Entry::default() };
        let entries: Vec<_> = commands.into_iter().map(entry).collect();
        let mut message = Message { from: self.node.raft.id, ..Message::default() };
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries(entries.into());
        let leads = self.node.raft.state == StateRole::Leader;
        // A follower would pass it on; the server points its clients to the leader.
        if leads && self.node.step(message).is_ok() {
            let first = self.node.raft.raft_log.last_index() + 1 - callers.len() as u64;
            self.waiting.proposed(first, self.node.raft.term, callers);
            return;
        }
        let refusal = if leads {
            Refusal::TooManyUncommitted { waiting: self.node.raft.uncommitted_size() as u64 }
        } else {
            let leader = Some(self.node.raft.leader_id).filter(|id| *id != INVALID_ID);
            RejectReason::NotLeader { leader: leader.map(NodeId) }.into()
        };
        for (_, caller) in callers {
            _ = caller.send(refused(refusal));
        }
    }

    fn read(&mut self, callers: Vec<(Instant, Caller)>, how: ReadOnlyOption) {
        if callers.is_empty() {
            return;
        }
        self.last_context += 1;
        self.waiting.asked(self.last_context, callers);
        // The option is that of the moment at which it is asked.
        self.node.raft.read_only.option = how;
        let context = [self.node.raft.id, self.last_context].map(u64::to_le_bytes);
        self.node.read_index(context.as_flattened().to_vec());
        self.node.raft.read_only.option = ReadOnlyOption::Safe;
    }

    /// Takes one `Ready` and carries it out: messages of a leader leave while its disk writes.
    fn carry_out(&mut self) {
        let mut ready = self.node.ready();
        if let Some(state) = ready.ss() {
            self.role(state.raft_state, state.leader_id);
        }
        self.send(ready.take_messages());
        for read in ready.take_read_states() {
            let [_, context] = read.request_ctx.as_chunks().0 else { continue };
            self.waiting.may_read(u64::from_le_bytes(*context), read.index);
        }
        self.committed.extend(ready.take_committed_entries());
        let syncs = ready.must_sync();
        if syncs {
            self.write(&ready);
        }
        let last = ready.entries().last().map(|entry| (entry.index, entry.term));
        let (number, messages) = (ready.number(), ready.take_persisted_messages());
        self.node.mut_store().append(ready.entries());
        self.unwritten.push_back(Unwritten { number, syncs, last, messages });
        self.node.advance_append_async(ready);
        self.release();
        // What needs no apply is answered now.
        self.waiting.applied(self.applied);
    }

    fn role(&mut self, role: StateRole, leader: u64) {
        tracing::info!(?role, leader, term = self.node.raft.term, "the role");
        self.hands.metrics.role_changes.inc();
        if role != StateRole::Leader {
            self.waiting.leadership_is_lost();
        }
    }

    fn write(&self, ready: &Ready) {
        let hard_state = ready.hs().map(|hs: &HardState| Hard {
            current_term: Term(hs.term),
            voted_for: Some(hs.vote).filter(|vote| *vote != INVALID_ID).map(NodeId),
            ..Hard::default()
        });
        let entries: Vec<_> = ready.entries().iter().map(bound).collect();
        let log = entries.first().map(|entry| entry.position.index).map(|first| BoundLog {
            restart_after: None,
            first,
            entries,
        });
        let write = BoundWrite { ticket: Ticket(ready.number()), hard_state, log };
        if self.hands.disk.send(DiskTask::Write(write)).is_err() {
            fatal("a thread is gone", &"disk");
        }
    }

    /// Readies are durable in their order, and then their messages may leave.
    fn release(&mut self) {
        let written = self.written;
        let is_durable = |ready: &mut Unwritten| !ready.syncs || ready.number <= written;
        let mut durable = None;
        while let Some(ready) = self.unwritten.pop_front_if(is_durable) {
            durable = Some(ready.number);
            if let Some((index, term)) = ready.last {
                self.node.mut_store().is_durable(index, term);
            }
            self.send(ready.messages);
        }
        if let Some(number) = durable {
            self.node.on_persist_ready(number);
        }
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            let (to, is_append) = (message.to, message.get_msg_type() == MessageType::MsgAppend);
            if !self.links.send(message) && is_append {
                self.unreachable.push(to);
            }
        }
    }

    fn apply(&mut self) {
        if self.applies || self.committed.is_empty() {
            return;
        }
        let (mut work, mut bytes) = (Vec::new(), 0);
        while bytes < Settings::default().apply_bytes
            && let Some(entry) = self.committed.pop_front()
        {
            bytes += entry.data.len() as u64;
            let caller = self.waiting.committed(entry.index, entry.term);
            work.push(Work { entry: bound(&entry), caller });
        }
        self.applies = true;
        if self.hands.machine.send(MachineTask::Apply(work)).is_err() {
            fatal("a thread is gone", &"machine");
        }
    }

    fn look(&self) -> Look {
        let (raft, now) = (&self.node.raft, clock::now());
        let leads = raft.state == StateRole::Leader;
        let others = raft.prs().iter().filter(|(id, _)| leads && **id != raft.id);
        let peers = others.map(|(id, progress)| {
            let peer = PeerStatus {
                id: NodeId(*id),
                match_index: LogIndex(progress.matched),
                next_index: LogIndex(progress.next_idx),
                sent_through: LogIndex(progress.next_idx.saturating_sub(1)),
                phase: match progress.state {
                    ProgressState::Probe => PeerPhase::Probe,
                    ProgressState::Replicate => PeerPhase::Replicate,
                    ProgressState::Snapshot => PeerPhase::Snapshot,
                },
                messages_in_flight: progress.ins.count(),
                heard_at: now,
                caught_up: true,
                leaving: false,
            };
            (peer, self.links.on_the_way(*id))
        });
        let peers: Vec<_> = peers.collect();
        let voters = raft.prs().iter().map(|(id, _)| NodeId(*id));
        Look {
            now,
            status: self.status(),
            membership: Membership::of_voters(voters).expect("the crate has checked it"),
            most: peers.iter().map(|(peer, way)| (peer.id, way.1)).collect(),
            peers: peers.into_iter().map(|(peer, way)| (peer, way.0)).collect(),
            heard: Vec::new(),
            applied: self.applied,
            waiting: self.waiting.count(),
        }
    }

    fn status(&self) -> Status {
        let raft = &self.node.raft;
        let node = |id: u64| Some(id).filter(|id| *id != INVALID_ID).map(NodeId);
        let position = |index: u64| {
            LogPosition::new(Term(raft.raft_log.term(index).unwrap_or(0)), LogIndex(index))
        };
        Status {
            id: NodeId(raft.id),
            role: match raft.state {
                StateRole::Follower => RoleKind::Follower,
                StateRole::PreCandidate => RoleKind::PreCandidate,
                StateRole::Candidate => RoleKind::Candidate,
                StateRole::Leader => RoleKind::Leader,
            },
            term: Term(raft.term),
            voted_for: node(raft.vote),
            leader: node(raft.leader_id),
            last: position(raft.raft_log.last_index()),
            commit_index: LogIndex(raft.raft_log.committed),
            last_applied: self.applied,
            durable: position(raft.raft_log.persisted),
            durable_hard_state: Hard::default(),
            log_start: position(raft.raft_log.first_index().saturating_sub(1)),
            installing: None,
            lease_until: None,
            pending_reads: raft.pending_read_count(),
            membership_changes: false,
            transfers_to: raft.lead_transferee.and_then(node),
        }
    }
}

impl Wanted {
    fn add(&mut self, request: Request, caller: Caller) {
        match request {
            Request::Propose { command, until } => {
                self.commands.push(command);
                self.proposers.push((until, caller));
            }
            Request::Read { lease: false, until } => self.reads.push((until, caller)),
            Request::Read { lease: true, until } => self.lease_reads.push((until, caller)),
            Request::Change { .. } | Request::Transfer { .. } | Request::Snapshot => {
                _ = caller.send(Told::Impossible("it is no part of what is compared".into()));
            }
        }
    }
}
