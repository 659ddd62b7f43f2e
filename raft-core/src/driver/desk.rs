//! The desk for snapshots: own, outgoing and incoming ones, and when the log may be compacted.

use crate::driver::boundary::{SnapshotTask, StreamId};
use crate::driver::frame::SnapshotHead;
use crate::entries::Snapshot;
use crate::input::Outcome;
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
    /// The id that was given to an outgoing stream last.
    last_sent: StreamId,
    incoming: Option<Incoming>,
    /// What the node installs, and nothing has come of it.
    missing: Option<LogPosition>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Outgoing {
    stream: StreamId,
    position: LogPosition,
    progress_at: Instant,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Incoming {
    stream: StreamId,
    head: SnapshotHead,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
enum Stage {
    /// The runtime takes it in.
    Arriving,
    /// It is whole, and the node judges it in this call.
    Arrived,
    /// The node wants it to be installed, after this write.
    Wanted { after: Option<Ticket> },
    /// The runtime installs it.
    Installing,
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
            last_sent: StreamId(0),
            incoming: None,
            missing: None,
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
        let arriving = |incoming: &Incoming| incoming.stage == Stage::Arriving;
        due && is_news && self.taking.is_none() && self.incoming.as_ref().is_none_or(arriving)
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
        let stream = StreamId(self.last_sent.0.wrapping_add(1));
        self.last_sent = stream;
        let outgoing = Outgoing { stream, position: snapshot.position, progress_at: now };
        self.outgoing.insert(to, outgoing);
        tasks.push(SnapshotTask::Send { stream, head: SnapshotHead { from, to, term, snapshot } });
    }

    /// The peer takes in what it is sent.
    pub fn progress(&mut self, stream: StreamId, now: Instant) {
        let mut outgoing = self.outgoing.values_mut();
        if let Some(outgoing) = outgoing.find(|outgoing| outgoing.stream == stream) {
            outgoing.progress_at = now;
        }
    }

    /// This stream has ended: what was sent to whom, for the node, if it had not ended before.
    pub fn sent(
        &mut self,
        stream: StreamId,
        tasks: &mut Vec<SnapshotTask>,
    ) -> Option<(NodeId, LogPosition)> {
        let to = *self.outgoing.iter().find(|(_, outgoing)| outgoing.stream == stream)?.0;
        let position = self.outgoing.remove(&to)?.position;
        self.release(position, tasks);
        Some((to, position))
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

    /// The head of a stream is here: take it in, unless the node has no use for it. One at a time:
    /// only a head of a later term, or another one of the same, takes the place of what arrives.
    pub fn head(
        &mut self,
        stream: StreamId,
        head: SnapshotHead,
        wanted: bool,
        tasks: &mut Vec<SnapshotTask>,
    ) {
        // An id that is used twice: nobody knows any more whose content stands under it.
        let is_open = |old: &mut Incoming| old.stream == stream && old.stage != Stage::Installing;
        let open = self.incoming.take_if(is_open);
        if let Some(Incoming { head, stage: Stage::Wanted { .. }, .. }) = &open {
            self.missing = Some(head.snapshot.position);
        }
        let stays = |old: &Incoming| {
            old.stage != Stage::Arriving || old.head.term > head.term || old.head == head
        };
        if open.is_some() || !wanted || self.incoming.as_ref().is_some_and(stays) {
            return tasks.push(SnapshotTask::Discard { stream });
        }
        let (from, snapshot) = (head.from, head.snapshot.clone());
        let incoming = Incoming { stream, head, stage: Stage::Arriving };
        if let Some(old) = self.incoming.replace(incoming) {
            tasks.push(SnapshotTask::Discard { stream: old.stream });
        }
        tasks.push(SnapshotTask::Receive { stream, from, snapshot });
    }

    /// This stream is here, whole: its head, for the node, if it was to be received.
    pub fn arrived(&mut self, stream: StreamId) -> Option<SnapshotHead> {
        let incoming = self.incoming.as_mut().filter(|old| old.is_arriving(stream))?;
        incoming.stage = Stage::Arrived;
        Some(incoming.head.clone())
    }

    /// This stream broke.
    pub fn broken(&mut self, stream: StreamId) {
        self.incoming.take_if(|old| old.is_arriving(stream));
    }

    /// The node wants what has arrived to be installed after this write.
    pub fn installs(&mut self, snapshot: &Snapshot, after: Option<Ticket>) {
        match &mut self.incoming {
            Some(Incoming { stage: stage @ Stage::Arrived, head, .. })
                if head.snapshot == *snapshot =>
            {
                *stage = Stage::Wanted { after };
            }
            // Its head was taken for old news, and it was not: nothing is here to be installed.
            _ => self.missing = Some(snapshot.position),
        }
    }

    /// The node was stepped: what has arrived is not wanted, unless it is to be installed.
    pub fn judged(&mut self, tasks: &mut Vec<SnapshotTask>) {
        if let Some(old) = self.incoming.take_if(|old| old.stage == Stage::Arrived) {
            tasks.push(SnapshotTask::Discard { stream: old.stream });
        }
    }

    /// The position of what the node installs, and it is not here: said once.
    pub const fn missing(&mut self) -> Option<LogPosition> {
        self.missing.take()
    }

    /// Installs what is to be installed, if everything up to this ticket is durable and everything
    /// that was handed out is applied.
    pub fn install(&mut self, written: Option<Ticket>, tasks: &mut Vec<SnapshotTask>) {
        if let Some(Incoming { stream, head, stage }) = &mut self.incoming
            && let Stage::Wanted { after } = *stage
            && after <= written
        {
            *stage = Stage::Installing;
            let (stream, snapshot) = (*stream, head.snapshot.clone());
            tasks.push(SnapshotTask::Install { stream, snapshot });
        }
    }

    /// It is installed, or could not be: the position, for the node.
    pub fn installed(
        &mut self,
        outcome: Outcome,
        tasks: &mut Vec<SnapshotTask>,
    ) -> Option<LogPosition> {
        let snapshot = self.incoming.take_if(|old| old.stage == Stage::Installing)?.head.snapshot;
        let position = snapshot.position;
        if outcome == Outcome::Done {
            self.since = 0;
            self.marks.clear();
            self.replace(snapshot, tasks);
        }
        Some(position)
    }

    fn replace(&mut self, snapshot: Snapshot, tasks: &mut Vec<SnapshotTask>) {
        if let Some(old) = self.newest.replace(snapshot) {
            self.release(old.position, tasks);
        }
    }

    fn stop(&mut self, to: NodeId, tasks: &mut Vec<SnapshotTask>) {
        if let Some(Outgoing { stream, position, .. }) = self.outgoing.remove(&to) {
            tasks.push(SnapshotTask::Stop { stream });
            self.release(position, tasks);
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

impl Incoming {
    fn is_arriving(&self, stream: StreamId) -> bool {
        self.stream == stream && self.stage == Stage::Arriving
    }
}

#[cfg(test)]
mod tests {
    use super::{Desk, Stage};
    use crate::driver::boundary::{SnapshotTask, StreamId};
    use crate::driver::frame::SnapshotHead;
    use crate::entries::Snapshot;
    use crate::input::Outcome;
    use crate::membership::Membership;
    use crate::types::{Instant, LogIndex, LogPosition, NodeId, Term, Ticket};
    use alloc::vec;
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

    fn head(from: u64, term: u64, index: u64) -> SnapshotHead {
        let (from, term, snapshot) = (NodeId(from), Term(term), snapshot(index));
        SnapshotHead { from, to: ME, term, snapshot }
    }

    const fn discard(stream: u64) -> SnapshotTask {
        SnapshotTask::Discard { stream: StreamId(stream) }
    }

    fn receive(stream: u64, from: u64, index: u64) -> SnapshotTask {
        let (stream, from) = (StreamId(stream), NodeId(from));
        SnapshotTask::Receive { stream, from, snapshot: snapshot(index) }
    }

    /// A stream is here, and the node wants it to be installed after this write.
    fn arrive(desk: &mut Desk, stream: u64, index: u64, after: Option<Ticket>) {
        let heard = tasks(|tasks| desk.head(StreamId(stream), head(2, 9, index), true, tasks));
        assert_eq!(heard, [receive(stream, 2, index)]);
        assert_eq!(desk.arrived(StreamId(stream)), Some(head(2, 9, index)));
        desk.installs(&snapshot(index), after);
        assert_eq!((tasks(|tasks| desk.judged(tasks)), desk.missing()), (Vec::new(), None));
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
        desk.want();
        arrive(&mut desk, 1, 20, None);
        assert!(!desk.is_due(LogIndex(11), 0), "all that it would cover is to be replaced");
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
        let leaves = |stream, index| {
            let sent =
                SnapshotHead { from: ME, to: PEER, term: Term(7), snapshot: snapshot(index) };
            SnapshotTask::Send { stream: StreamId(stream), head: sent }
        };
        assert_eq!(ask(&mut desk, 0), [leaves(1, 5)]);
        desk.progress(StreamId(1), Instant::from_nanos(8));
        desk.progress(StreamId(2), Instant::from_nanos(99));
        assert_eq!(ask(&mut desk, 17), []);
        assert_eq!(take(&mut desk, 9), [], "the old one is sent still");
        assert_eq!(desk.compacts_to(), Some(LogIndex(5)));
        let again = ask(&mut desk, 18);
        let (stop, remove) =
            (SnapshotTask::Stop { stream: StreamId(1) }, SnapshotTask::Remove { position: at(5) });
        assert_eq!(again, [stop, remove, leaves(2, 9)]);
        assert_eq!(desk.compacts_to(), Some(LogIndex(9)));
        let mut sent = |stream| desk.sent(StreamId(stream), &mut Vec::new());
        assert_eq!(sent(1), None, "of the one that was stopped");
        assert_eq!((sent(2), sent(2)), (Some((PEER, at(9))), None), "once");
        assert_eq!(ask(&mut desk, 18), [leaves(3, 9)], "another stream of the same snapshot");
        assert_eq!(desk.sent(StreamId(2), &mut Vec::new()), None, "which is not the old one");
        desk.progress(StreamId(2), Instant::from_nanos(99));
        let stop = SnapshotTask::Stop { stream: StreamId(3) };
        assert_eq!(
            ask(&mut desk, 28),
            [stop, leaves(4, 9)],
            "the old one makes no progress for it"
        );
    }

    #[test]
    fn a_stream_that_nobody_needs_is_stopped() {
        let mut desk = Desk::new(Some(snapshot(5)), 0);
        let _ = ask(&mut desk, 0);
        assert_eq!(tasks(|tasks| desk.stop_unless(|_, _| true, tasks)), []);
        let stopped = tasks(|tasks| desk.stop_unless(|to, of| (to, of) != (PEER, at(5)), tasks));
        assert_eq!(stopped, [SnapshotTask::Stop { stream: StreamId(1) }]);
    }

    #[test]
    fn one_stream_is_received_and_what_is_not_wanted_is_thrown_away() {
        let mut desk = Desk::new(None, 0);
        let mut hear =
            |id, head, wanted| tasks(|tasks| desk.head(StreamId(id), head, wanted, tasks));
        assert_eq!(hear(1, head(2, 3, 5), false), [discard(1)]);
        assert_eq!(hear(2, head(2, 3, 5), true), [receive(2, 2, 5)]);
        assert_eq!(hear(3, head(3, 2, 9), true), [discard(3)], "of an earlier leader");
        assert_eq!(hear(4, head(3, 4, 9), true), [discard(2), receive(4, 3, 9)]);
        assert_eq!(hear(5, head(3, 4, 9), true), [discard(5)], "the first one goes on");
        assert_eq!(hear(6, head(3, 5, 9), true), [discard(4), receive(6, 3, 9)]);
        assert_eq!(desk.arrived(StreamId(4)), None, "it was discarded");
        desk.broken(StreamId(4));
        assert_eq!(desk.arrived(StreamId(6)), Some(head(3, 5, 9)));
        assert_eq!(desk.arrived(StreamId(6)), None, "once");
        desk.broken(StreamId(6));
        assert_eq!(tasks(|tasks| desk.judged(tasks)), [discard(6)], "the node does not want it");
        assert_eq!(tasks(|tasks| desk.judged(tasks)), [], "once");
        let again = tasks(|tasks| desk.head(StreamId(7), head(3, 5, 9), true, tasks));
        assert_eq!(again, [receive(7, 3, 9)]);
        desk.broken(StreamId(7));
        assert_eq!(desk.arrived(StreamId(7)), None, "it broke");
    }

    #[test]
    fn an_id_that_is_used_twice_ends_both_streams() {
        let mut desk = Desk::new(None, 0);
        let twice =
            |desk: &mut Desk| tasks(|tasks| desk.head(StreamId(1), head(2, 99, 99), true, tasks));
        let heard = tasks(|tasks| desk.head(StreamId(1), head(2, 3, 5), true, tasks));
        assert_eq!(heard, [receive(1, 2, 5)]);
        assert_eq!(twice(&mut desk), [discard(1)]);
        assert_eq!(desk.arrived(StreamId(1)), None, "of whichever of them");
        arrive(&mut desk, 1, 9, None);
        assert_eq!((twice(&mut desk), desk.missing()), (vec![discard(1)], Some(at(9))));
        assert_eq!(tasks(|tasks| desk.install(None, tasks)), []);
        arrive(&mut desk, 1, 9, None);
        let _ = tasks(|tasks| desk.install(None, tasks));
        assert_eq!((twice(&mut desk), desk.missing()), (vec![discard(1)], None));
        assert_eq!(desk.installed(Outcome::Done, &mut Vec::new()), Some(at(9)), "it goes on");
    }

    #[test]
    fn an_install_waits_for_the_writes_before_it_and_takes_the_place_of_older_ones() {
        let mut desk = Desk::new(Some(snapshot(5)), 0);
        let _ = tasks(|tasks| desk.takes(snapshot(7), tasks));
        arrive(&mut desk, 1, 9, Some(Ticket(4)));
        assert_eq!(tasks(|tasks| desk.install(Some(Ticket(3)), tasks)), []);
        assert_eq!(desk.installed(Outcome::Done, &mut Vec::new()), None, "nobody was told to");
        let later = tasks(|tasks| desk.head(StreamId(8), head(3, 99, 12), true, tasks));
        assert_eq!(later, [discard(8)], "what waits is not replaced");
        let told = tasks(|tasks| desk.install(Some(Ticket(4)), tasks));
        let install = SnapshotTask::Install { stream: StreamId(1), snapshot: snapshot(9) };
        assert_eq!(told, [install]);
        assert_eq!(tasks(|tasks| desk.install(Some(Ticket(5)), tasks)), [], "once");
        let hear = tasks(|tasks| desk.head(StreamId(2), head(3, 99, 12), true, tasks));
        assert_eq!(hear, [discard(2)], "one after the other");
        let done = tasks(|tasks| _ = desk.installed(Outcome::Done, tasks));
        assert_eq!(done, [SnapshotTask::Remove { position: at(5) }]);
        let late = tasks(|tasks| desk.taken(Outcome::Done, tasks));
        assert_eq!(late, [SnapshotTask::Remove { position: at(7) }], "it is older");
        assert_eq!(desk.newest(), Some(&snapshot(9)));
        arrive(&mut desk, 3, 12, None);
        let _ = tasks(|tasks| desk.install(None, tasks));
        let failed =
            tasks(|tasks| assert_eq!(desk.installed(Outcome::Failed, tasks), Some(at(12))));
        assert_eq!((failed, desk.newest()), (Vec::new(), Some(&snapshot(9))));
        desk.installs(&snapshot(15), None);
        assert_eq!((desk.missing(), desk.missing()), (Some(at(15)), None), "it is not here");
        let _ = tasks(|tasks| desk.head(StreamId(4), head(2, 9, 20), true, tasks));
        assert_eq!(desk.arrived(StreamId(4)), Some(head(2, 9, 20)));
        desk.installs(&snapshot(15), None);
        assert_eq!(desk.missing(), Some(at(15)), "another one is");
        assert_eq!(tasks(|tasks| desk.judged(tasks)), [discard(4)]);
    }

    /// What a runtime and a node may say to a desk about what arrives.
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Said {
        Head(u64, bool, u64),
        Arrived(u64),
        Broken(u64),
        NodeInstalls(u64),
        NodeHasJudged,
        InstallIsDue,
        Installed(Outcome),
    }

    fn tell(desk: &mut Desk, said: Said) -> Vec<SnapshotTask> {
        let mut tasks = Vec::new();
        match said {
            Said::Head(id, wanted, term) => {
                desk.head(StreamId(id), head(2, term, 10 + term), wanted, &mut tasks);
            }
            Said::Arrived(id) => _ = desk.arrived(StreamId(id)),
            Said::Broken(id) => desk.broken(StreamId(id)),
            Said::NodeInstalls(term) => desk.installs(&snapshot(10 + term), None),
            Said::NodeHasJudged => desk.judged(&mut tasks),
            Said::InstallIsDue => desk.install(None, &mut tasks),
            Said::Installed(outcome) => _ = desk.installed(outcome, &mut tasks),
        }
        tasks
    }

    /// The contract of [`StreamId`], held against everything that can be said in so many words.
    /// `open` is the stream that is received, and whether it has arrived.
    fn keeps_the_contract(before: &Desk, open: Option<(u64, bool)>, words: u32) -> u64 {
        let ids = [1, 2];
        let heads = ids.iter().flat_map(|id| {
            [(true, 1), (true, 2), (false, 3)].map(|(wanted, term)| Said::Head(*id, wanted, term))
        });
        let reports = ids.iter().flat_map(|id| [Said::Arrived(*id), Said::Broken(*id)]);
        let node = [Said::NodeInstalls(1), Said::NodeHasJudged, Said::InstallIsDue];
        let ends = [Outcome::Done, Outcome::Failed].map(Said::Installed);
        let mut seen = 0;
        for said in heads.chain(reports).chain(node).chain(ends) {
            let (mut desk, mut open) = (before.clone(), open);
            let tasks = tell(&mut desk, said);
            let (mut answers, is_late) = (
                0,
                match said {
                    Said::Arrived(id) | Said::Broken(id) => open != Some((id, false)),
                    _ => false,
                },
            );
            for task in &tasks {
                match (task, said) {
                    (SnapshotTask::Receive { stream, .. }, Said::Head(id, true, _)) => {
                        assert_eq!((stream.0, open), (id, None), "one at a time");
                        (open, answers) = (Some((id, false)), answers + 1);
                    }
                    (SnapshotTask::Discard { stream }, Said::Head(id, ..)) if stream.0 == id => {
                        open.take_if(|(open, _)| *open == id);
                        answers += 1;
                    }
                    (SnapshotTask::Discard { stream }, Said::Head(..) | Said::NodeHasJudged) => {
                        assert_eq!(open.take().map(|(id, _)| id), Some(stream.0), "what is open");
                    }
                    (SnapshotTask::Install { stream, .. }, Said::InstallIsDue) => {
                        assert_eq!(open.take(), Some((stream.0, true)), "what has arrived");
                    }
                    (SnapshotTask::Remove { .. }, Said::Installed(Outcome::Done)) => {}
                    _ => panic!("{task:?} after {said:?}"),
                }
            }
            match said {
                Said::Head(..) => assert_eq!(answers, 1, "{said:?} is answered once: {tasks:?}"),
                Said::Arrived(_) | Said::Broken(_) if is_late => {
                    assert_eq!(desk, *before, "{said:?} comes late");
                }
                Said::Arrived(id) => open = Some((id, true)),
                Said::Broken(_) => open = None,
                _ => {}
            }
            let stage = desk.incoming.as_ref().map(|incoming| incoming.stage);
            let is_open = stage.is_some_and(|stage| stage != Stage::Installing);
            assert_eq!(is_open, open.is_some(), "nothing is kept of what has ended: {stage:?}");
            let more = words.checked_sub(1).map(|less| keeps_the_contract(&desk, open, less));
            seen += 1 + more.unwrap_or(0);
        }
        seen
    }

    #[test]
    fn each_head_is_answered_once_and_each_stream_ends_once_whatever_is_said() {
        let seen = keeps_the_contract(&Desk::new(None, 0), None, 4);
        assert!(seen > 500_000, "{seen}");
    }
}
