//! What a leader knows of one peer (thesis, 3.5, 4.2.1 and 10.2.1).

use crate::types::{Instant, LogIndex, LogPosition, Round};
use alloc::collections::VecDeque;
use core::time::Duration;

/// What a leader knows of one peer.
///
/// Invariants, asserted by every write at the ends that it moves, and by `is_sound` everywhere:
///
/// - `match_index < next_index`;
/// - `in_flight` ascends, all of it above `match_index` and below `next_index`;
/// - it is empty but in `Replicate`;
/// - what a probe awaits is not below `next_index - 1`.
///
/// That `in_flight` keeps to the window is the sender's to see to; `is_sound` checks it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Progress {
    /// Up to here the peer's log matches and is durable. It never decreases, unless the peer loses
    /// what it has acknowledged.
    pub(crate) match_index: LogIndex,
    /// The last round that was issued when `match_index` was last raised. A later question was
    /// asked after that.
    pub(crate) matched_in: Round,
    /// Whether the peer has lost what it had acknowledged, in this leadership.
    pub(crate) has_regressed: bool,
    /// The next index to send.
    pub(crate) next_index: LogIndex,
    /// How freely to send.
    pub(crate) phase: Phase,
    /// The last index of each message with entries that is on its way.
    pub(crate) in_flight: VecDeque<LogIndex>,
    /// The greatest commit index that was sent.
    pub(crate) announced: LogIndex,
    /// The newest send time that the peer has acknowledged; at first the moment of its addition,
    /// which is the grace that check-quorum gives to a new peer.
    pub(crate) heard_at: Instant,
    /// The round before its addition, or before it was known to have lost its log: an answer that
    /// has seen no later one counts for nothing.
    pub(crate) added: Round,
    /// The newest round that the peer has acknowledged.
    pub(crate) heard: Round,
    /// Until then, by the leader's clock, the peer votes for nobody else. No grace here.
    pub(crate) lease_until: Instant,
    /// The last round before the present phase. An answer to it, or to an earlier one, is no answer
    /// to the present question.
    pub(crate) since: Round,
    /// The transport takes no entries for the peer.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) paused: bool,
    /// The peer belongs to the membership no more, and is told so.
    pub(crate) leaving: Option<Farewell>,
    /// How the peer catches up.
    pub(crate) catch_up: CatchUp,
}

/// What a peer that belongs to the membership no more is still told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Farewell {
    /// Where the membership without it stands.
    pub(crate) index: LogIndex,
    /// What is sent in this round or a later one says that it is committed; `None` before it is. An
    /// announcement may be lost, so only an answer proves that the peer knows.
    pub(crate) since: Option<Round>,
}

/// How freely a leader sends to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub(crate) enum Phase {
    /// Where the logs part is not known: one message at a time.
    Probe {
        /// The last index of the one message that is on its way, `next_index - 1` if it carries no
        /// entries or none may be sent before the peer gives a sign of life.
        awaiting: Option<LogIndex>,
    },
    /// The logs match up to `next_index`, as far as is known: a window of messages at a time.
    Replicate,
    /// The peer needs what is compacted: nothing but heartbeats until it has a snapshot.
    Snapshot {
        /// When the snapshot is taken as lost.
        until: Instant,
    },
}

/// Rounds of replication, each up to where the log ended when the round began. A peer whose last
/// round was short has caught up (thesis, 4.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct CatchUp {
    /// Where the log ended when the round began.
    target: LogIndex,
    began_at: Instant,
    /// How long the last finished round took.
    took: Option<Duration>,
}

impl Progress {
    pub(crate) fn new(last_index: LogIndex, added: Round, now: Instant) -> Self {
        Self {
            match_index: LogIndex::ZERO,
            matched_in: added,
            has_regressed: false,
            next_index: last_index.next(),
            phase: Phase::Probe { awaiting: None },
            in_flight: VecDeque::new(),
            announced: LogIndex::ZERO,
            heard_at: now,
            added,
            heard: added,
            lease_until: Instant::ZERO,
            since: added,
            paused: false,
            leaving: None,
            catch_up: CatchUp { target: last_index.next(), began_at: now, took: None },
        }
    }

    /// The peer holds everything up to `index`, durably; it has `seen` this round, and `round` is
    /// the last one that was issued. The log starts after `start` and ends at `last`.
    pub(crate) fn matched(
        &mut self,
        index: LogIndex,
        seen: Round,
        round: Round,
        (start, last): (LogIndex, LogIndex),
        now: Instant,
    ) {
        if index > self.match_index {
            (self.match_index, self.matched_in) = (index, round);
        }
        let is_answer = seen > self.since;
        self.next_index = self.next_index.max(self.match_index.next());
        match self.phase {
            // An old acknowledgement is true, but no sign that the snapshot has arrived.
            Phase::Snapshot { .. } if self.match_index < start => {}
            // It may have left the peer before the question came.
            Phase::Probe { .. } if !is_answer && self.match_index < self.next_index.prev() => {}
            // What was probed with is on its way still, or on its way to the disk. (Where the
            // position before it is compacted, the question was another one.)
            Phase::Probe { awaiting: Some(sent) }
                if sent >= self.next_index && self.next_index.prev() >= start =>
            {
                self.phase = Phase::Replicate;
                self.sent(sent);
            }
            Phase::Probe { .. } | Phase::Replicate | Phase::Snapshot { .. } => {
                self.phase = Phase::Replicate;
            }
        }
        while self.in_flight.front().is_some_and(|last| *last <= self.match_index) {
            self.in_flight.pop_front();
        }
        if self.match_index >= self.catch_up.target {
            let took = Some(now.saturating_since(self.catch_up.began_at));
            self.catch_up = CatchUp { target: last, began_at: now, took };
        }
        self.assert_ends();
    }

    /// The peer does not hold what was sent: start again after `agreed`, but not below the match.
    pub(crate) fn mismatched(&mut self, agreed: LogIndex, since: Round) {
        self.probe_after(agreed, since);
    }

    /// Whether the peer, which has `seen` this round, shows by what it rejects that it has lost
    /// what it had acknowledged: the question was asked after that.
    pub(crate) fn has_lost(&self, rejected: LogPosition, seen: Round) -> bool {
        let sends = !matches!(self.phase, Phase::Snapshot { .. });
        sends && rejected.index <= self.match_index && seen > self.matched_in
    }

    /// The peer has lost what it had acknowledged: start again after `agreed`, but at the pace of
    /// the heartbeats if it has done so before. Returns up to where it had acknowledged.
    pub(crate) fn regressed(&mut self, agreed: LogIndex, round: Round) -> LogIndex {
        let acknowledged = core::mem::take(&mut self.match_index);
        if self.has_regressed {
            self.delivered(agreed, round);
        } else {
            self.mismatched(agreed, round);
        }
        (self.has_regressed, self.heard, self.added) = (true, self.heard.min(self.added), round);
        self.lease_until = Instant::ZERO;
        self.catch_up.took = None;
        acknowledged
    }

    /// What was on its way is lost: wait for a sign of life, then start again after the match.
    pub(crate) fn lost(&mut self, since: Round) {
        self.delivered(self.match_index, since);
    }

    /// Of what was handed out only the entries up to `after` have left, and no more will for now.
    pub(crate) fn pause(&mut self, after: LogIndex) {
        self.paused = true;
        match &mut self.phase {
            Phase::Probe { awaiting: Some(sent) } => {
                *sent = after.clamp(self.next_index.prev(), *sent);
            }
            Phase::Replicate if after < self.next_index.prev() => {
                let after = after.max(self.match_index);
                self.in_flight.retain(|last| *last <= after);
                // The head of a message that was cut is on its way.
                if after > self.in_flight.back().copied().unwrap_or(self.match_index) {
                    self.in_flight.push_back(after);
                }
                self.next_index = after.next();
            }
            Phase::Probe { awaiting: None } | Phase::Replicate | Phase::Snapshot { .. } => {}
        }
        self.assert_ends();
    }

    /// Up to where entries are on their way to the peer, as far as is known.
    pub(crate) fn sent_through(&self) -> LogIndex {
        match self.phase {
            Phase::Probe { awaiting: Some(sent) } => sent,
            Phase::Replicate => self.next_index.prev(),
            Phase::Probe { awaiting: None } | Phase::Snapshot { .. } => self.match_index,
        }
    }

    /// Messages with the entries from `next_index` to `last` are on their way.
    pub(crate) fn sent(&mut self, last: LogIndex) {
        match &mut self.phase {
            Phase::Probe { awaiting } => *awaiting = Some(last),
            Phase::Replicate | Phase::Snapshot { .. } => {
                self.in_flight.push_back(last);
                self.next_index = last.next();
            }
        }
        self.assert_ends();
    }

    /// A snapshot that ends at `index` was delivered: the next entries follow it, once the peer
    /// says that it is alive.
    pub(crate) fn delivered(&mut self, index: LogIndex, since: Round) {
        self.probe_after(index, since);
        self.phase = Phase::Probe { awaiting: Some(self.next_index.prev()) };
        self.assert_ends();
    }

    /// A snapshot is to be sent, and taken as lost at `until`.
    pub(crate) fn needs_snapshot(&mut self, until: Instant, since: Round) {
        self.probe_after(self.match_index, since);
        self.phase = Phase::Snapshot { until };
        self.assert_ends();
    }

    /// Whether the peer is alive and has caught up with a log that ends at `last`: it holds all of
    /// it, or its last round of replication was short and the present one is young.
    pub(crate) fn has_caught_up(&self, last: LogIndex, now: Instant, within: Duration) -> bool {
        let CatchUp { began_at, took, .. } = self.catch_up;
        let short = took.is_some_and(|took| took <= within);
        let young = now.saturating_since(began_at) <= within;
        let alive = now.saturating_since(self.heard_at) <= within;
        alive && (self.match_index >= last || short && young)
    }

    /// Whether the invariants of the type hold.
    pub(crate) fn is_sound(&self, window: usize) -> bool {
        let inside = |index: &LogIndex| *index > self.match_index && *index < self.next_index;
        self.match_index < self.next_index
            && self.in_flight.iter().all(inside)
            && self.in_flight.iter().zip(self.in_flight.iter().skip(1)).all(|(a, b)| a < b)
            && self.in_flight.len() <= window
            && (self.phase == Phase::Replicate || self.in_flight.is_empty())
            && self.awaits_what_comes_next()
    }

    /// Whether every number of it can be: for what was written down. The log ends at `last`,
    /// `round` is the last one that was issued, and no lease ends after `soon`.
    #[cfg(feature = "serde")]
    pub(crate) fn is_in_range(
        &self,
        last: LogIndex,
        round: Round,
        (now, soon): (Instant, Instant),
    ) -> bool {
        let phase = match self.phase {
            Phase::Probe { awaiting } => awaiting.is_none_or(|sent| sent <= last),
            Phase::Replicate => true,
            Phase::Snapshot { until } => until <= soon,
        };
        let leaving = self.leaving.is_none_or(|farewell| {
            farewell.index <= last && farewell.since.is_none_or(|since| since <= round.next())
        });
        let after = last.next();
        phase
            && leaving
            && self.match_index <= last
            && self.next_index <= after
            && self.catch_up.target <= after
            && [self.heard_at, self.catch_up.began_at].iter().all(|at| *at <= now)
            && self.lease_until <= soon
            && [self.added, self.heard, self.since, self.matched_in].iter().all(|of| *of <= round)
    }

    fn probe_after(&mut self, index: LogIndex, since: Round) {
        self.since = since;
        self.next_index = index.max(self.match_index).next();
        self.phase = Phase::Probe { awaiting: None };
        self.in_flight.clear();
        self.assert_ends();
    }

    fn awaits_what_comes_next(&self) -> bool {
        match self.phase {
            Phase::Probe { awaiting: Some(sent) } => sent >= self.next_index.prev(),
            Phase::Probe { awaiting: None } | Phase::Replicate | Phase::Snapshot { .. } => true,
        }
    }

    /// The invariants of the type where a write may break them. What lies between the ends was an
    /// end when it was written.
    fn assert_ends(&self) {
        let (window, newest) = (&self.in_flight, self.in_flight.back());
        debug_assert!(self.match_index < self.next_index, "what matches is not sent again");
        debug_assert!(
            window.front().is_none_or(|last| *last > self.match_index),
            "what matches is not on its way"
        );
        debug_assert!(
            newest.is_none_or(|last| *last < self.next_index),
            "what is on its way is not sent again"
        );
        debug_assert!(window.iter().rev().nth(1) < newest || newest.is_none(), "messages ascend");
        debug_assert!(
            self.phase == Phase::Replicate || window.is_empty(),
            "only in `Replicate` several messages are on their way"
        );
        debug_assert!(self.awaits_what_comes_next(), "a probe carries what comes next");
    }
}

#[cfg(test)]
mod tests {
    use super::{Phase, Progress};
    use crate::types::{Instant, LogIndex, Round};
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const NOW: Instant = Instant::from_nanos(3);

    fn peer(next_index: u64) -> Progress {
        Progress::new(LogIndex(next_index - 1), Round(5), NOW)
    }

    /// The peer answers what it was last asked.
    fn matched(peer: &mut Progress, index: u64) {
        let ends = (LogIndex::ZERO, LogIndex(100));
        peer.matched(LogIndex(index), Round(9), Round(9), ends, NOW);
    }

    #[test]
    fn a_peer_that_is_not_known_gets_one_message_at_a_time() {
        let mut peer = peer(4);
        peer.sent(LogIndex(9));
        assert_eq!(peer.phase, Phase::Probe { awaiting: Some(LogIndex(9)) });
        assert_eq!(peer.next_index, LogIndex(4), "nobody knows whether it will match");
        peer.mismatched(LogIndex(2), Round(8));
        assert_eq!((peer.phase, peer.next_index), (Phase::Probe { awaiting: None }, LogIndex(3)));
        assert_eq!(peer.since, Round(8), "an answer to an earlier round is old news");
    }

    #[test]
    fn the_window_moves_with_what_is_acknowledged() {
        let mut peer = peer(1);
        matched(&mut peer, 0);
        for last in [3, 5, 9] {
            peer.sent(LogIndex(last));
        }
        matched(&mut peer, 5);
        assert_eq!(peer.in_flight.iter().copied().collect::<Vec<_>>(), [LogIndex(9)]);
        assert_eq!((peer.match_index, peer.next_index), (LogIndex(5), LogIndex(10)));
        matched(&mut peer, 2);
        assert_eq!(peer.match_index, LogIndex(5), "it never goes back");
        peer.mismatched(LogIndex(1), Round(8));
        assert_eq!(peer.next_index, LogIndex(6), "nor does what is sent go back below it");
        assert!(peer.in_flight.is_empty());
    }

    #[test]
    fn what_a_probe_carried_is_on_its_way_still_when_the_probe_is_answered() {
        let mut peer = peer(4);
        peer.sent(LogIndex(9));
        matched(&mut peer, 3);
        assert_eq!((peer.phase, peer.next_index), (Phase::Replicate, LogIndex(10)));
        assert_eq!(peer.in_flight, [LogIndex(9)]);
    }

    #[test]
    fn an_acknowledgement_from_before_the_probe_does_not_end_it() {
        let mut peer = peer(8);
        peer.delivered(LogIndex(20), Round(9));
        matched(&mut peer, 5);
        assert_eq!(peer.phase, Phase::Probe { awaiting: Some(LogIndex(20)) });
        matched(&mut peer, 20);
        assert_eq!(peer.phase, Phase::Replicate, "but what was asked for is there");
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "only in `Replicate`")]
    fn entries_to_a_peer_that_waits_for_a_snapshot_are_a_bug() {
        let mut peer = peer(4);
        peer.needs_snapshot(NOW, Round(6));
        peer.sent(LogIndex(9));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "messages ascend")]
    fn what_is_on_its_way_is_not_sent_again() {
        let mut peer = peer(1);
        matched(&mut peer, 0);
        peer.sent(LogIndex(9));
        peer.sent(LogIndex(7));
    }

    proptest! {
        #[test]
        fn progress_is_sound_whatever_is_answered(
            deeds in prop::collection::vec((0_u8..4, 0_u64..20), 0..40),
        ) {
            const WINDOW: usize = 4;
            let mut peer = peer(5);
            for (deed, index) in deeds {
                let before = peer.match_index;
                match deed {
                    0 => matched(&mut peer, index),
                    1 => peer.mismatched(LogIndex(index), Round(6)),
                    2 => peer.pause(LogIndex(index)),
                    _ if matches!(peer.phase, Phase::Probe { awaiting: Some(_) }) => {}
                    _ if peer.in_flight.len() == WINDOW => {}
                    _ => peer.sent(LogIndex(peer.next_index.get() + index)),
                }
                prop_assert!(peer.is_sound(WINDOW), "{peer:?}");
                prop_assert!(peer.match_index >= before);
            }
        }
    }
}
