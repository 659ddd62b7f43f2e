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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    /// Up to where the node was told to compact the log.
    compacted: LogIndex,
    outgoing: BTreeMap<NodeId, Outgoing>,
    /// The head of the stream that is received.
    incoming: Option<Envelope>,
    installing: Option<Installing>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Outgoing {
    position: LogPosition,
    progress_at: Instant,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
            compacted: LogIndex::ZERO,
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
                (*index, *so_far) = (through, so_far.saturating_add(weight));
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
        let least = streams.chain(end).min().filter(|_| end.is_some())?;
        (least > self.compacted).then_some(least)
    }

    /// The node is told to compact the log up to here: once, whatever it says.
    pub fn compacted(&mut self, through: LogIndex) {
        self.compacted = through;
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
        let of_old = |old: &Envelope| (old.term, old.from, position_of(old));
        let old = self.incoming.as_ref().map(of_old);
        let is_newer = old.is_none_or(|(term, ..)| term <= envelope.term);
        // The same again: the first one goes on.
        let is_double = old == Some(of_old(&envelope));
        if !wanted || self.installing.is_some() || !is_newer || is_double {
            tasks.push(SnapshotTask::Discard { from, position: snapshot.position });
            return;
        }
        // One of the same name takes its place: else the new one would be discarded by that name.
        if let Some(old) = self.incoming.replace(envelope)
            && let Some(position) = position_of(&old)
            && (old.from, position) != (from, snapshot.position)
        {
            tasks.push(SnapshotTask::Discard { from: old.from, position });
        }
        tasks.push(SnapshotTask::Receive { from, snapshot });
    }

    /// The stream of this snapshot from this peer is here, whole, or broke: its head, if it was
    /// wanted.
    pub fn arrived(&mut self, from: NodeId, position: LogPosition) -> Option<Envelope> {
        self.incoming.take_if(|head| head.from == from && position_of(head) == Some(position))
    }

    /// Whether this one is being received from this peer.
    pub fn is_incoming(&self, from: NodeId, position: LogPosition) -> bool {
        let is_this = |head: &Envelope| (head.from, position_of(head)) == (from, Some(position));
        self.incoming.as_ref().is_some_and(is_this)
    }

    /// Whether what has arrived from this peer is to be installed.
    pub fn is_installing(&self, from: NodeId, position: LogPosition) -> bool {
        let this = (from, position);
        self.installing.as_ref().is_some_and(|i| (i.from, i.snapshot.position) == this)
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

#[cfg(test)]
mod tests {
    use super::Desk;
    use crate::driver::boundary::SnapshotTask;
    use crate::entries::Snapshot;
    use crate::input::Outcome;
    use crate::membership::Membership;
    use crate::message::{Envelope, InstallSnapshot, Message};
    use crate::types::{Instant, LogIndex, LogPosition, NodeId, Term, Ticket};
    use alloc::vec::Vec;
    use core::time::Duration;

    const ME: NodeId = NodeId(1);
    const PEER: NodeId = NodeId(2);

    fn at(index: u64) -> LogPosition {
        LogPosition::new(Term(1), LogIndex(index))
    }

    fn snapshot(index: u64) -> Snapshot {
        Snapshot { position: at(index), membership: Membership::empty() }
    }

    fn tasks(of: impl FnOnce(&mut Vec<SnapshotTask>)) -> Vec<SnapshotTask> {
        let mut tasks = Vec::new();
        of(&mut tasks);
        tasks
    }

    /// A snapshot at this index is taken, and durable.
    fn take(desk: &mut Desk, index: u64) -> Vec<SnapshotTask> {
        let taken = tasks(|tasks| desk.takes(snapshot(index), tasks));
        assert_eq!(taken, [SnapshotTask::Take(snapshot(index))]);
        tasks(|tasks| desk.taken(Outcome::Done, tasks))
    }

    fn ask(desk: &mut Desk, now: u64) -> Vec<SnapshotTask> {
        let patience = (Instant::from_nanos(now), Duration::from_nanos(10));
        tasks(|tasks| desk.asked_for((ME, PEER), Term(7), at(1), patience, tasks))
    }

    fn head(from: u64, term: u64, index: u64) -> Envelope {
        let message = Message::InstallSnapshot(InstallSnapshot { snapshot: snapshot(index) });
        Envelope { from: NodeId(from), to: ME, term: Term(term), message }
    }

    const fn discard(from: u64, index: u64) -> SnapshotTask {
        let position = LogPosition::new(Term(1), LogIndex(index));
        SnapshotTask::Discard { from: NodeId(from), position }
    }

    #[test]
    fn one_snapshot_at_a_time_is_taken_when_enough_was_applied_or_somebody_asks() {
        let mut desk = Desk::new(None, 0);
        desk.applies(LogIndex(3), 99);
        assert!(!desk.is_due(LogIndex(3), 100) && !desk.is_due(LogIndex(3), 0));
        desk.applies(LogIndex(4), 1);
        assert!(desk.is_due(LogIndex(4), 100));
        let _ = tasks(|tasks| desk.takes(snapshot(4), tasks));
        desk.applies(LogIndex(9), 500);
        assert!(!desk.is_due(LogIndex(9), 100), "one is being written");
        assert_eq!(tasks(|tasks| desk.taken(Outcome::Failed, tasks)), []);
        assert_eq!((desk.newest(), desk.is_due(LogIndex(9), 100)), (None, true));
        assert_eq!(take(&mut desk, 9), []);
        desk.want();
        assert!(!desk.is_due(LogIndex(9), 100), "it would be the same");
        assert!(desk.is_due(LogIndex(10), 0));
        assert_eq!(take(&mut desk, 10), [SnapshotTask::Remove { position: at(9) }]);
    }

    #[test]
    fn the_log_is_compacted_behind_a_durable_snapshot_and_keeps_what_followers_need() {
        let mut desk = Desk::new(None, 100);
        for index in 1..=20 {
            desk.applies(LogIndex(index), 30);
        }
        assert_eq!(desk.compacts_to(), None, "there is no snapshot");
        let _ = tasks(|tasks| desk.takes(snapshot(15), tasks));
        assert_eq!(desk.compacts_to(), None, "it is not durable");
        desk.taken(Outcome::Done, &mut Vec::new());
        assert_eq!(desk.compacts_to(), Some(LogIndex(11)), "four of 30 each are kept");
        desk.compacted(LogIndex(11));
        assert_eq!(desk.compacts_to(), None);
        let mut keeps_nothing = Desk::new(None, 0);
        take(&mut keeps_nothing, 15);
        assert_eq!(keeps_nothing.compacts_to(), Some(LogIndex(15)));
    }

    #[test]
    fn a_stream_that_makes_progress_is_not_doubled_and_keeps_the_log_behind_it() {
        let mut desk = Desk::new(Some(snapshot(5)), 0);
        let [SnapshotTask::Send(sent)] = &ask(&mut desk, 0)[..] else { panic!("it is sent") };
        assert_eq!((sent.from, sent.to, sent.term), (ME, PEER, Term(7)));
        desk.progress(PEER, Instant::from_nanos(8));
        assert_eq!(ask(&mut desk, 17), []);
        assert_eq!(take(&mut desk, 9), [], "the old one is sent still");
        assert_eq!(desk.compacts_to(), Some(LogIndex(5)));
        let again = ask(&mut desk, 18);
        assert_eq!(again[0], SnapshotTask::Stop { to: PEER });
        assert_eq!(again[1], SnapshotTask::Remove { position: at(5) });
        assert!(matches!(&again[2], SnapshotTask::Send(_)));
        assert_eq!(desk.compacts_to(), Some(LogIndex(9)));
        assert!(!desk.sent(PEER, at(5), &mut Vec::new()), "of the one that was stopped");
        assert!(desk.sent(PEER, at(9), &mut Vec::new()));
        assert!(!desk.sent(PEER, at(9), &mut Vec::new()), "once");
    }

    #[test]
    fn a_stream_that_nobody_needs_is_stopped() {
        let mut desk = Desk::new(Some(snapshot(5)), 0);
        let _ = ask(&mut desk, 0);
        assert_eq!(tasks(|tasks| desk.stop_unless(|_, _| true, tasks)), []);
        let stopped = tasks(|tasks| desk.stop_unless(|to, of| (to, of) != (PEER, at(5)), tasks));
        assert_eq!(stopped, [SnapshotTask::Stop { to: PEER }]);
    }

    #[test]
    fn one_stream_is_received_and_what_is_not_wanted_is_thrown_away() {
        let mut desk = Desk::new(None, 0);
        let mut hear = |envelope, wanted| tasks(|tasks| desk.head(envelope, wanted, tasks));
        assert_eq!(hear(head(2, 3, 5), false), [discard(2, 5)]);
        let receive = |from, index| SnapshotTask::Receive { from, snapshot: snapshot(index) };
        assert_eq!(hear(head(2, 3, 5), true), [receive(PEER, 5)]);
        assert_eq!(hear(head(3, 2, 9), true), [discard(3, 9)], "of an earlier leader");
        assert_eq!(hear(head(3, 4, 9), true), [discard(2, 5), receive(NodeId(3), 9)]);
        assert_eq!(hear(head(3, 4, 9), true), [discard(3, 9)], "the first one goes on");
        assert_eq!(hear(head(3, 5, 9), true), [receive(NodeId(3), 9)], "not the new one with it");
        assert_eq!(desk.arrived(PEER, at(5)), None, "it was discarded");
        assert_eq!(desk.arrived(NodeId(3), at(9)), Some(head(3, 5, 9)));
        assert_eq!(desk.arrived(NodeId(3), at(9)), None, "once");
    }

    #[test]
    fn an_install_waits_for_the_writes_before_it_and_takes_the_place_of_older_ones() {
        let mut desk = Desk::new(Some(snapshot(5)), 0);
        let _ = tasks(|tasks| desk.takes(snapshot(7), tasks));
        desk.installs(PEER, snapshot(9), Some(Ticket(4)));
        assert_eq!(tasks(|tasks| desk.install(Some(Ticket(3)), tasks)), []);
        assert_eq!(desk.installed(Outcome::Done, &mut Vec::new()), None, "nobody was told to");
        let told = tasks(|tasks| desk.install(Some(Ticket(4)), tasks));
        assert_eq!(told, [SnapshotTask::Install { from: PEER, snapshot: snapshot(9) }]);
        assert_eq!(tasks(|tasks| desk.install(Some(Ticket(5)), tasks)), [], "once");
        let hear = tasks(|tasks| desk.head(head(3, 9, 12), true, tasks));
        assert_eq!(hear, [discard(3, 12)], "one after the other");
        assert!(desk.is_installing(PEER, at(9)) && !desk.is_installing(NodeId(3), at(9)));
        let done = tasks(|tasks| _ = desk.installed(Outcome::Done, tasks));
        assert_eq!(done, [SnapshotTask::Remove { position: at(5) }]);
        let late = tasks(|tasks| desk.taken(Outcome::Done, tasks));
        assert_eq!(late, [SnapshotTask::Remove { position: at(7) }], "it is older");
        assert_eq!(desk.newest(), Some(&snapshot(9)));
        desk.installs(PEER, snapshot(12), None);
        let _ = tasks(|tasks| desk.install(None, tasks));
        let failed = tasks(|tasks| _ = desk.installed(Outcome::Failed, tasks));
        assert_eq!((failed, desk.newest()), ([discard(2, 12)].to_vec(), Some(&snapshot(9))));
    }
}
