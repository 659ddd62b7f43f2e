//! What is on the way to each peer, and what has still to be committed: limits in bytes.

use crate::driver::frame::{OVERHEAD, Payload, weight};
use crate::entries::Run;
use crate::input::Input;
use crate::message::AppendEntries;
use crate::payload::Content;
use crate::types::{LogIndex, LogPosition, NodeId, Term};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

/// What is on the way to the peers of a leader: one lane each.
///
/// A send goes through [`take`](Self::take), which splits it into frames and cuts it where a limit
/// is. What the node has to be told of that comes out of [`news`](Self::news), and has to be
/// stepped before anything else.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lanes {
    /// In which term the lanes are.
    term: Term,
    peers: BTreeMap<NodeId, Lane>,
    /// Peers that the runtime has paused; some may have no lane yet.
    paused: BTreeSet<NodeId>,
}

/// Invariant: `weight` is the sum of `on_the_way`, whose indices ascend.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Lane {
    /// The last index of each frame that was sent and is not acknowledged, and its weight.
    on_the_way: VecDeque<(LogIndex, u64)>,
    weight: u64,
    /// Where a send was cut: the node is not told yet.
    cut: Option<LogIndex>,
    /// The node was told to stop when so much was on the way.
    stopped_at: Option<u64>,
    /// The next entry is being fetched.
    fetches: bool,
}

/// What became of a message with entries.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Taken<P> {
    /// The messages that leave, each with the payloads of its commands.
    pub messages: Vec<(AppendEntries, Vec<P>)>,
    /// The entry that was not at hand, at which the rest was cut.
    pub missing: Option<LogPosition>,
}

/// The limits of [`Lanes::take`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LaneLimits {
    /// The weight of one frame.
    pub frame: u64,
    /// The weight of what is on the way to one peer.
    pub in_flight: u64,
}

impl Lanes {
    /// Splits a message into frames within the limits, and cuts it where the lane is full, or where
    /// `read` does not find an entry. One entry is taken in any case if nothing is on the way.
    pub fn take<P: Payload>(
        &mut self,
        to: NodeId,
        message: AppendEntries,
        limits: LaneLimits,
        mut read: impl FnMut(LogPosition) -> Option<Content<P>>,
    ) -> Taken<P> {
        let paused = self.paused.contains(&to);
        let lane = self.peers.entry(to).or_default();
        let (prev, count) = (message.prev.index, message.entries.count());
        let (mut frames, mut taken, mut missing) = (Vec::<Part<P>>::new(), 0, None);
        if count > 0 && lane.cut.is_some() {
            // It follows what was cut.
            return Taken { messages: Vec::new(), missing };
        }
        if count > 0 && !paused {
            lane.resent_after(prev);
            let mut on_the_way = lane.weight;
            for (position, run) in positions(&message) {
                let Some((payload, size)) = content_of(run, position, &mut read) else {
                    missing = Some(position);
                    break;
                };
                let with_it = on_the_way.saturating_add(size);
                if on_the_way > 0 && with_it > limits.in_flight {
                    break;
                }
                (on_the_way, taken) = (with_it, taken + 1);
                if frames.last().is_none_or(|part| part.weight.saturating_add(size) > limits.frame)
                {
                    frames.push(Part { last: prev, weight: 0, payloads: Vec::new() });
                }
                let part = frames.last_mut().expect("there is one");
                (part.last, part.weight) = (position.index, part.weight.saturating_add(size));
                part.payloads.extend(payload);
            }
            lane.on_the_way.extend(frames.iter().map(|part| (part.last, part.weight)));
            lane.weight = on_the_way;
        }
        lane.fetches |= missing.is_some();
        if taken < count {
            lane.cut = Some(prev.plus(taken));
        }
        Taken { messages: split(message, frames), missing }
    }

    /// The runtime takes no more for this peer, and has dropped what follows `after`: what the node
    /// has to be told, if it sends to this peer.
    pub fn pause(&mut self, peer: NodeId, after: LogIndex) -> Option<Input> {
        self.paused.insert(peer);
        let lane = self.peers.get_mut(&peer)?;
        lane.resent_after(after);
        lane.stopped_at = Some(lane.weight);
        Some(Input::PeerPaused { peer, after })
    }

    /// The runtime takes entries for this peer again.
    pub fn resume(&mut self, peer: NodeId) {
        self.paused.remove(&peer);
    }

    /// What was not at hand is.
    pub fn fetched(&mut self) {
        self.peers.values_mut().for_each(|lane| lane.fetches = false);
    }

    /// What the leader of this term knows of its peers: to whom it sends, up to where each has
    /// acknowledged, and up to where entries may be on the way. What is acknowledged or lost makes
    /// room.
    pub fn settle(
        &mut self,
        term: Term,
        peers: impl Iterator<Item = (NodeId, LogIndex, LogIndex)>,
    ) {
        let mut before = core::mem::take(&mut self.peers);
        if term != self.term {
            before.clear();
            self.term = term;
        }
        for (id, matched, sent) in peers {
            let mut lane = before.remove(&id).unwrap_or_default();
            lane.acknowledged(matched);
            lane.resent_after(sent);
            self.peers.insert(id, lane);
        }
    }

    /// What the node has to be told: where sends were cut, and who has room again.
    pub fn news(&mut self, in_flight: u64) -> Vec<Input> {
        let mut news = Vec::new();
        for (peer, lane) in &mut self.peers {
            let peer = *peer;
            if let Some(after) = lane.cut.take() {
                lane.stopped_at = Some(lane.weight);
                news.push(Input::PeerPaused { peer, after });
            } else if let Some(then) = lane.stopped_at
                && !lane.fetches
                && !self.paused.contains(&peer)
                && (lane.weight == 0 || lane.weight < then && lane.weight <= in_flight / 2)
            {
                lane.stopped_at = None;
                news.push(Input::PeerResumed { peer });
            }
        }
        news
    }

    /// The weight of what is on the way to a peer.
    pub fn on_the_way(&self, peer: NodeId) -> u64 {
        self.peers.get(&peer).map_or(0, |lane| lane.weight)
    }
}

impl Lane {
    fn acknowledged(&mut self, through: LogIndex) {
        while self.on_the_way.front().is_some_and(|(last, _)| *last <= through)
            && let Some((_, weight)) = self.on_the_way.pop_front()
        {
            self.weight = self.weight.saturating_sub(weight);
        }
    }

    /// What follows this index did not leave, is lost, or is sent again.
    fn resent_after(&mut self, index: LogIndex) {
        while self.on_the_way.back().is_some_and(|(last, _)| *last > index)
            && let Some((_, weight)) = self.on_the_way.pop_back()
        {
            self.weight = self.weight.saturating_sub(weight);
        }
    }
}

/// Consecutive entries that travel in one frame.
struct Part<P> {
    last: LogIndex,
    weight: u64,
    payloads: Vec<P>,
}

/// The message in these parts; what is left over is dropped. Of a message that asks for a sign of
/// life at least the question leaves.
fn split<P>(message: AppendEntries, parts: Vec<Part<P>>) -> Vec<(AppendEntries, Vec<P>)> {
    if parts.is_empty() {
        let asks = message.entries.is_empty() || message.probe.is_some();
        return if asks { [(message.split_at(0).0, Vec::new())].into() } else { Vec::new() };
    }
    let (mut messages, mut rest) = (Vec::with_capacity(parts.len()), message);
    for part in parts {
        let count = part.last.since(rest.prev.index);
        let (head, tail) = rest.split_at(count);
        messages.push((head, part.payloads));
        rest = tail;
    }
    messages
}

fn positions(message: &AppendEntries) -> impl Iterator<Item = (LogPosition, &Run)> {
    let mut index = message.prev.index;
    message.entries.runs().flat_map(move |run| {
        let first = index.next();
        index = index.plus(run.count());
        (first.get()..=index.get()).map(move |at| (LogPosition::new(run.term(), LogIndex(at)), run))
    })
}

fn content_of<P: Payload>(
    run: &Run,
    position: LogPosition,
    read: &mut impl FnMut(LogPosition) -> Option<Content<P>>,
) -> Option<(Option<P>, u64)> {
    match run {
        Run::Membership { membership, .. } => {
            Some((None, OVERHEAD + 8 * membership.members().count() as u64))
        }
        Run::Commands { .. } => {
            let content = read(position)?;
            let size = weight(&content);
            match content {
                Content::Command(payload) => Some((Some(payload), size)),
                Content::Membership(_) => None,
            }
        }
    }
}

/// What a leader has accepted and not committed, by weight.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Backlog {
    /// The last index of each proposal, and its weight.
    waiting: VecDeque<(LogIndex, u64)>,
    weight: u64,
    /// The weight of what was admitted and is not accepted yet.
    admitted: u64,
}

impl Backlog {
    /// Whether a proposal of this weight has room; alone it always has. Then room is kept for it
    /// until the next [`committed`](Self::committed).
    ///
    /// # Errors
    ///
    /// What waits already.
    pub fn admit(&mut self, weight: u64, limit: u64) -> Result<(), u64> {
        let waiting = self.weight.saturating_add(self.admitted);
        if waiting > 0 && waiting.saturating_add(weight) > limit {
            return Err(waiting);
        }
        self.admitted = self.admitted.saturating_add(weight);
        Ok(())
    }

    /// One that was admitted stands in the log, up to this index.
    pub fn accepted(&mut self, last: LogIndex, weight: u64) {
        self.weight = self.weight.saturating_add(weight);
        self.waiting.push_back((last, weight));
    }

    /// The node has answered all that was admitted, and has committed everything up to here.
    pub fn committed(&mut self, through: LogIndex) {
        self.admitted = 0;
        while self.waiting.front().is_some_and(|(last, _)| *last <= through)
            && let Some((_, weight)) = self.waiting.pop_front()
        {
            self.weight = self.weight.saturating_sub(weight);
        }
    }

    /// Leadership is lost: what waits is no longer this node's.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The weight of what waits.
    pub const fn weight(&self) -> u64 {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::{Backlog, LaneLimits, Lanes};
    use crate::driver::frame::OVERHEAD;
    use crate::entries::Run;
    use crate::input::Input;
    use crate::message::{AppendEntries, Probe};
    use crate::payload::Content;
    use crate::types::{Instant, LogIndex, LogPosition, NodeId, Round, Term};
    use alloc::vec;
    use alloc::vec::Vec;
    use core::time::Duration;

    const PEER: NodeId = NodeId(2);
    /// Every command has ten bytes, and weighs this.
    const EACH: u64 = OVERHEAD + 10;
    const LIMITS: LaneLimits = LaneLimits { frame: 2 * EACH, in_flight: 5 * EACH };

    fn append(prev: u64, count: u64) -> AppendEntries {
        let entries = [Run::Commands { term: Term(1), count }].into_iter().collect();
        let prev = LogPosition::new(Term(1), LogIndex(prev));
        let (sent_at, lease) = (Instant::ZERO, Duration::ZERO);
        let probe = Some(Probe { round: Round(3), sent_at, lease });
        AppendEntries { prev, entries, commit: LogIndex(0), probe }
    }

    fn read(position: LogPosition) -> Option<Content<Vec<u8>>> {
        (position.index < LogIndex(90)).then(|| Content::Command(vec![b'x'; 10]))
    }

    /// The range of each frame that leaves.
    fn take(lanes: &mut Lanes, prev: u64, count: u64) -> Vec<(u64, u64)> {
        let taken = lanes.take(PEER, append(prev, count), LIMITS, read);
        let range = |(m, payloads): &(AppendEntries, Vec<_>)| {
            assert_eq!(m.entries.commands(), payloads.len() as u64);
            assert!(m.probe.is_some());
            (m.prev.index.get() + 1, m.last_position().index.get())
        };
        taken.messages.iter().map(range).collect()
    }

    /// The peer has acknowledged, and may be sent, up to here.
    fn settle(lanes: &mut Lanes, matched: u64, sent: u64) {
        lanes.settle(Term(1), [(PEER, LogIndex(matched), LogIndex(sent))].into_iter());
    }

    fn news(lanes: &mut Lanes) -> Vec<Input> {
        lanes.news(LIMITS.in_flight)
    }

    fn paused(after: u64) -> Vec<Input> {
        vec![Input::PeerPaused { peer: PEER, after: LogIndex(after) }]
    }

    fn resumed() -> Vec<Input> {
        vec![Input::PeerResumed { peer: PEER }]
    }

    #[test]
    fn a_message_is_split_into_frames_and_cut_where_the_lane_is_full() {
        let mut lanes = Lanes::default();
        settle(&mut lanes, 0, 0);
        assert_eq!(take(&mut lanes, 0, 3), [(1, 2), (3, 3)]);
        assert_eq!(news(&mut lanes), []);
        assert_eq!(take(&mut lanes, 3, 9), [(4, 5)]);
        assert_eq!(lanes.on_the_way(PEER), 5 * EACH);
        assert_eq!(take(&mut lanes, 12, 2), [], "it follows what was cut");
        assert_eq!(news(&mut lanes), paused(5));
        settle(&mut lanes, 2, 5);
        assert_eq!(news(&mut lanes), [], "more than half of it is on the way");
        settle(&mut lanes, 3, 5);
        assert_eq!(news(&mut lanes), resumed());
        assert_eq!(news(&mut lanes), [], "once");
    }

    #[test]
    fn one_entry_is_taken_however_large_it_is() {
        let mut lanes = Lanes::default();
        settle(&mut lanes, 0, 0);
        let small = LaneLimits { frame: 1, in_flight: 1 };
        let taken = lanes.take(PEER, append(0, 3), small, read);
        assert_eq!(taken.messages.len(), 1);
        assert_eq!(taken.messages[0].0.entries.count(), 1);
        settle(&mut lanes, 0, 1);
        assert_eq!(lanes.news(1), paused(1));
        assert_eq!(lanes.news(1), [], "nothing was acknowledged");
        settle(&mut lanes, 1, 1);
        assert_eq!(lanes.news(1), resumed());
    }

    #[test]
    fn what_is_lost_makes_room() {
        let mut lanes = Lanes::default();
        settle(&mut lanes, 0, 0);
        assert_eq!(take(&mut lanes, 0, 9), [(1, 2), (3, 4), (5, 5)]);
        settle(&mut lanes, 0, 9);
        assert_eq!(news(&mut lanes), paused(5));
        settle(&mut lanes, 0, 0);
        assert_eq!((lanes.on_the_way(PEER), news(&mut lanes)), (0, resumed()));
        assert_eq!(take(&mut lanes, 0, 3), [(1, 2), (3, 3)]);
        assert_eq!(take(&mut lanes, 0, 1), [(1, 1)], "what is sent again was lost");
        assert_eq!(lanes.on_the_way(PEER), EACH);
    }

    #[test]
    fn a_paused_peer_gets_the_question_and_no_entries() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.pause(PEER, LogIndex(0)), None, "nobody sends to it yet");
        settle(&mut lanes, 0, 0);
        assert_eq!(take(&mut lanes, 4, 3), [(5, 4)], "an empty one");
        assert_eq!(news(&mut lanes), paused(4));
        settle(&mut lanes, 0, 4);
        assert_eq!(news(&mut lanes), []);
        lanes.resume(PEER);
        assert_eq!(news(&mut lanes), resumed());
        assert_eq!(take(&mut lanes, 4, 3), [(5, 6), (7, 7)]);
        let told = lanes.pause(PEER, LogIndex(5));
        assert_eq!(told.into_iter().collect::<Vec<_>>(), paused(5));
        assert_eq!(lanes.on_the_way(PEER), 0, "the frame that ends at 6 was cut");
    }

    #[test]
    fn a_lane_waits_for_an_entry_that_is_not_at_hand() {
        let mut lanes = Lanes::default();
        settle(&mut lanes, 0, 0);
        let taken = lanes.take(PEER, append(87, 4), LIMITS, read);
        assert_eq!(taken.missing, Some(LogPosition::new(Term(1), LogIndex(90))));
        assert_eq!(taken.messages.len(), 1);
        settle(&mut lanes, 0, 89);
        assert_eq!(news(&mut lanes), paused(89));
        settle(&mut lanes, 89, 89);
        assert_eq!(news(&mut lanes), []);
        lanes.fetched();
        assert_eq!(news(&mut lanes), resumed());
    }

    #[test]
    fn another_term_has_other_lanes() {
        let mut lanes = Lanes::default();
        settle(&mut lanes, 0, 0);
        take(&mut lanes, 0, 9);
        lanes.settle(Term(2), [(PEER, LogIndex(0), LogIndex(9))].into_iter());
        assert_eq!((lanes.on_the_way(PEER), news(&mut lanes)), (0, vec![]));
        take(&mut lanes, 0, 2);
        lanes.settle(Term(2), core::iter::empty());
        assert_eq!(lanes.on_the_way(PEER), 0, "and who is a peer no more has none");
    }

    #[test]
    fn a_backlog_is_what_is_accepted_and_not_committed() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.admit(99, 10), Ok(()), "alone it always has room");
        assert_eq!(backlog.admit(1, 10), Err(99));
        backlog.accepted(LogIndex(4), 99);
        backlog.committed(LogIndex(3));
        assert_eq!((backlog.weight(), backlog.admit(1, 10)), (99, Err(99)));
        backlog.committed(LogIndex(4));
        assert_eq!((backlog.admit(6, 10), backlog.admit(6, 10)), (Ok(()), Err(6)));
        backlog.committed(LogIndex(4));
        assert_eq!((backlog.weight(), backlog.admit(10, 10)), (0, Ok(())), "it was refused");
        backlog.clear();
        assert_eq!(backlog.admit(10, 10), Ok(()));
    }
}
