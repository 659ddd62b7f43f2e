//! The desk for snapshots: own, outgoing and incoming ones, and when the log may be compacted.

use crate::driver::boundary::SnapshotTask;
use crate::entries::Snapshot;
use crate::input::Outcome;
use crate::message::{Envelope, InstallSnapshot, Message};
use crate::types::{Instant, LogIndex, LogPosition, NodeId, Term, Ticket};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

/// The desk for snapshots. It moves no bytes: what is to be done with them comes out as
/// [`SnapshotTask`]s.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Desk {
    /// The newest of the own ones that is durable.
    newest: Option<Snapshot>,
    /// The one that is being written.
    taking: Option<Snapshot>,
    /// One was asked for.
    wanted: bool,
    /// The weight that was applied since the last one was begun or installed.
    since: u64,
    /// How much of the log before a snapshot is kept.
    kept: u64,
    /// The weight of the log between marks: each says how much stands after the one before it, up
    /// to its own index.
    marks: VecDeque<(LogIndex, u64)>,
    outgoing: BTreeMap<NodeId, Outgoing>,
    /// The head of the stream that is received.
    incoming: Option<Envelope>,
    installing: Option<Installing>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Outgoing {
    position: LogPosition,
    progress_at: Instant,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Installing {
    from: NodeId,
    snapshot: Snapshot,
    /// The last write before it.
    after: Option<Ticket>,
    handed_out: bool,
}

/// How finely the kept part of the log is measured.
const MARKS: u64 = 16;

impl Desk {
    /// At a start, with the snapshot that was found, if there was one. `kept` is the weight of the
    /// log before a snapshot that is kept for followers.
    pub const fn new(newest: Option<Snapshot>, kept: u64) -> Self {
        Self {
            newest,
            taking: None,
            wanted: false,
            since: 0,
            kept,
            marks: VecDeque::new(),
            outgoing: BTreeMap::new(),
            incoming: None,
            installing: None,
        }
    }

    /// The newest own snapshot that is durable.
    pub const fn newest(&self) -> Option<&Snapshot> {
        self.newest.as_ref()
    }

    /// The operator wants a snapshot.
    pub const fn want(&mut self) {
        self.wanted = true;
    }

    /// Entries of this weight, up to this index, are handed to the state machine.
    pub fn applies(&mut self, through: LogIndex, weight: u64) {
        self.since = self.since.saturating_add(weight);
        match self.marks.back_mut() {
            Some((index, so_far)) if so_far.saturating_add(weight) <= self.kept / MARKS => {
                (*index, *so_far) = (through, *so_far + weight);
            }
            _ => self.marks.push_back((through, weight)),
        }
    }

    /// Whether a snapshot is to be taken of a state machine that has applied everything up to here,
    /// if one is due after this weight. One at a time.
    pub fn is_due(&self, applied: LogIndex, every: u64) -> bool {
        let due = self.wanted || every > 0 && self.since >= every;
        let newest = self.newest.as_ref().map_or(LogIndex::ZERO, |old| old.position.index);
        let is_news = applied > newest;
        due && is_news && self.taking.is_none() && self.installing.is_none()
    }

    /// This one is being written.
    pub fn takes(&mut self, snapshot: Snapshot, tasks: &mut Vec<SnapshotTask>) {
        (self.wanted, self.since) = (false, 0);
        self.taking = Some(snapshot.clone());
        tasks.push(SnapshotTask::Take(snapshot));
    }

    /// It is durable, or could not be written: then it is tried again when the next one is due.
    pub fn taken(&mut self, outcome: Outcome, tasks: &mut Vec<SnapshotTask>) {
        let Some(snapshot) = self.taking.take().filter(|_| outcome == Outcome::Done) else {
            return;
        };
        let newest = self.newest.as_ref().map(|newest| newest.position.index);
        if newest >= Some(snapshot.position.index) {
            // One was installed meanwhile.
            tasks.push(SnapshotTask::Remove { position: snapshot.position });
        } else {
            self.replace(snapshot, tasks);
        }
    }

    /// Up to where the log may be compacted: behind a durable snapshot, before what is kept, and
    /// before what follows a snapshot that is on its way.
    pub fn compacts_to(&self) -> Option<LogIndex> {
        let newest = self.newest.as_ref()?.position.index;
        let mut kept = 0;
        let covered = self.marks.iter().rev().filter(|(index, _)| *index <= newest);
        let mut ends = covered.skip_while(|(_, weight)| {
            let enough = kept >= self.kept;
            kept = kept.saturating_add(*weight);
            !enough
        });
        let end = if self.kept == 0 { Some(newest) } else { ends.next().map(|(index, _)| *index) };
        let streams = self.outgoing.values().map(|stream| stream.position.index);
        streams.chain(end).min().filter(|_| end.is_some())
    }

    /// The log was compacted up to here.
    pub fn compacted(&mut self, through: LogIndex) {
        while self.marks.front().is_some_and(|(index, _)| *index <= through) {
            self.marks.pop_front();
        }
    }

    /// The node wants this peer to have a snapshot. A stream that makes progress goes on.
    pub fn asked_for(
        &mut self,
        (from, to): (NodeId, NodeId),
        term: Term,
        at_least: LogPosition,
        (now, patience): (Instant, Duration),
        tasks: &mut Vec<SnapshotTask>,
    ) {
        if let Some(stream) = self.outgoing.get(&to) {
            let covers = stream.position.index >= at_least.index;
            if covers && now.saturating_since(stream.progress_at) < patience {
                return;
            }
            self.stop(to, tasks);
        }
        let Some(snapshot) = self.newest.clone() else { return };
        let stream = Outgoing { position: snapshot.position, progress_at: now };
        self.outgoing.insert(to, stream);
        let message = Message::InstallSnapshot(InstallSnapshot { snapshot });
        tasks.push(SnapshotTask::Send(Envelope { from, to, term, message }));
    }

    /// The peer takes in what it is sent.
    pub fn progress(&mut self, to: NodeId, now: Instant) {
        if let Some(stream) = self.outgoing.get_mut(&to) {
            stream.progress_at = now;
        }
    }

    /// The stream of this snapshot to this peer has ended. Whether it was known: then the node has
    /// to know it, too.
    pub fn sent(
        &mut self,
        to: NodeId,
        position: LogPosition,
        tasks: &mut Vec<SnapshotTask>,
    ) -> bool {
        let known = self.outgoing.get(&to).is_some_and(|stream| stream.position == position);
        if known {
            self.outgoing.remove(&to);
            self.release(position, tasks);
        }
        known
    }

    /// Stops every stream that is not needed any more, given the peer and what it is sent.
    pub fn stop_unless(
        &mut self,
        needs: impl Fn(NodeId, LogPosition) -> bool,
        tasks: &mut Vec<SnapshotTask>,
    ) {
        let needless = self.outgoing.iter().filter(|(to, stream)| !needs(**to, stream.position));
        for to in needless.map(|(to, _)| *to).collect::<Vec<_>>() {
            self.stop(to, tasks);
        }
    }

    /// The head of a stream is here: take it in, unless the node has no use for it.
    pub fn head(&mut self, envelope: Envelope, wanted: bool, tasks: &mut Vec<SnapshotTask>) {
        let Message::InstallSnapshot(m) = &envelope.message else { return };
        let (from, snapshot) = (envelope.from, m.snapshot.clone());
        let is_newer = self.incoming.as_ref().is_none_or(|old| old.term <= envelope.term);
        if !wanted || self.installing.is_some() || !is_newer {
            tasks.push(SnapshotTask::Discard { from, position: snapshot.position });
            return;
        }
        if let Some(old) = self.incoming.replace(envelope) {
            let discard = |position| SnapshotTask::Discard { from: old.from, position };
            tasks.extend(position_of(&old).map(discard));
        }
        tasks.push(SnapshotTask::Receive { from, snapshot });
    }

    /// The stream of this snapshot from this peer is here, whole, or broke: its head, if it was
    /// wanted.
    pub fn arrived(&mut self, from: NodeId, position: LogPosition) -> Option<Envelope> {
        self.incoming.take_if(|head| head.from == from && position_of(head) == Some(position))
    }

    /// The node wants what has arrived from this peer to be installed after this write.
    pub fn installs(&mut self, from: NodeId, snapshot: Snapshot, after: Option<Ticket>) {
        self.installing = Some(Installing { from, snapshot, after, handed_out: false });
    }

    /// Installs what is to be installed, if everything up to this ticket is durable and everything
    /// that was handed out is applied.
    pub fn install(&mut self, written: Option<Ticket>, tasks: &mut Vec<SnapshotTask>) {
        if let Some(installing) = &mut self.installing
            && !installing.handed_out
            && installing.after <= written
        {
            installing.handed_out = true;
            let Installing { from, snapshot, .. } = installing.clone();
            tasks.push(SnapshotTask::Install { from, snapshot });
        }
    }

    /// It is installed, or could not be: the position, for the node.
    pub fn installed(
        &mut self,
        outcome: Outcome,
        tasks: &mut Vec<SnapshotTask>,
    ) -> Option<LogPosition> {
        let Installing { from, snapshot, .. } = self.installing.take_if(|i| i.handed_out)?;
        let position = snapshot.position;
        match outcome {
            Outcome::Done => {
                self.since = 0;
                self.marks.clear();
                self.replace(snapshot, tasks);
            }
            Outcome::Failed => tasks.push(SnapshotTask::Discard { from, position }),
        }
        Some(position)
    }

    fn replace(&mut self, snapshot: Snapshot, tasks: &mut Vec<SnapshotTask>) {
        if let Some(old) = self.newest.replace(snapshot) {
            self.release(old.position, tasks);
        }
    }

    fn stop(&mut self, to: NodeId, tasks: &mut Vec<SnapshotTask>) {
        if let Some(stream) = self.outgoing.remove(&to) {
            tasks.push(SnapshotTask::Stop { to });
            self.release(stream.position, tasks);
        }
    }

    /// Removes an own snapshot that nobody needs.
    fn release(&self, position: LogPosition, tasks: &mut Vec<SnapshotTask>) {
        let is_newest = self.newest.as_ref().is_some_and(|newest| newest.position == position);
        let is_sent = self.outgoing.values().any(|stream| stream.position == position);
        if !is_newest && !is_sent {
            tasks.push(SnapshotTask::Remove { position });
        }
    }
}

fn position_of(head: &Envelope) -> Option<LogPosition> {
    match &head.message {
        Message::InstallSnapshot(m) => Some(m.snapshot.position),
        _ => None,
    }
}
