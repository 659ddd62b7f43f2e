//! What a leader knows of one peer (thesis, 3.5 and 10.2.1).

use crate::types::{Instant, LogIndex, Round};
use alloc::collections::VecDeque;

/// What a leader knows of one peer.
///
/// Invariants: `match_index < next_index`; `in_flight` ascends, all of it above `match_index` and
/// below `next_index`; it is empty while probing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Progress {
    /// Up to here the peer's log matches and is durable. It never decreases.
    pub(crate) match_index: LogIndex,
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
    /// A rejection counts only if it answers a later round: an earlier one is from before the peer's
    /// addition, or has been acted upon.
    pub(crate) since: Round,
}

/// How freely a leader sends to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Phase {
    /// Where the logs part is not known: one message at a time.
    Probe {
        /// Whether the one message is on its way.
        awaiting: bool,
    },
    /// The logs match up to `next_index`, as far as is known: a window of messages at a time.
    Replicate,
}

impl Progress {
    pub(crate) fn new(next_index: LogIndex, since: Round, now: Instant) -> Self {
        Self {
            match_index: LogIndex::ZERO,
            next_index,
            phase: Phase::Probe { awaiting: false },
            in_flight: VecDeque::new(),
            announced: LogIndex::ZERO,
            heard_at: now,
            since,
        }
    }

    /// The peer holds everything up to `index`, durably.
    pub(crate) fn matched(&mut self, index: LogIndex) {
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(self.match_index.next());
        self.phase = Phase::Replicate;
        while self.in_flight.front().is_some_and(|last| *last <= self.match_index) {
            self.in_flight.pop_front();
        }
    }

    /// The peer does not hold what was sent: start again after `agreed`, but not below the match.
    pub(crate) fn mismatched(&mut self, agreed: LogIndex, since: Round) {
        self.next_index = agreed.max(self.match_index).next();
        self.phase = Phase::Probe { awaiting: false };
        self.in_flight.clear();
        self.since = since;
    }

    /// Messages with the entries from `next_index` to `last` are on their way.
    pub(crate) fn sent(&mut self, last: LogIndex) {
        match &mut self.phase {
            Phase::Probe { awaiting } => *awaiting = true,
            Phase::Replicate => {
                self.in_flight.push_back(last);
                self.next_index = last.next();
            }
        }
    }

    /// Whether the invariants of the type hold.
    pub(crate) fn is_sound(&self, window: usize) -> bool {
        let inside = |index: &LogIndex| *index > self.match_index && *index < self.next_index;
        self.match_index < self.next_index
            && self.in_flight.iter().all(inside)
            && self.in_flight.iter().zip(self.in_flight.iter().skip(1)).all(|(a, b)| a < b)
            && self.in_flight.len() <= window
            && (self.phase == Phase::Replicate || self.in_flight.is_empty())
    }
}
