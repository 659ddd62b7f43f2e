//! Reads that wait: at the leader for a quorum, at a follower for its leader (thesis, 6.4).

use crate::input::Consistency;
use crate::types::{Instant, LogIndex, NodeId, Round, Token};
use crate::work;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

/// The reads of a leader. A read is looked at when it comes, and when it ends; never between.
///
/// Invariants: `queue` is in the order of asking, and holds as many as the `rounds` and `unasked`
/// say: first what the rounds serve, oldest first, then what waits for a round. `rounds` ascend,
/// and none serves nothing. `questions` are those of the queue that came from peers.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct LeaderReads {
    queue: VecDeque<LeaderRead>,
    rounds: VecDeque<ReadRound>,
    /// How many of the queue wait for a round to be sent.
    unasked: usize,
    /// Lease reads for which no lease was looked for yet: those of this call, and those that came
    /// before an entry of the leader's own term was committed.
    leased: VecDeque<LeaderRead>,
    questions: BTreeSet<(NodeId, Round)>,
}

/// A read at the leader.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct LeaderRead {
    origin: Origin,
    asked_at: Instant,
}

/// A round that a quorum is to acknowledge, and the oldest reads that no earlier one serves.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct ReadRound {
    round: Round,
    /// The commit index when it was sent, which the answers name.
    index: LogIndex,
    serves: usize,
}

/// Who wants to read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub(crate) enum Origin {
    /// This node's own runtime.
    Here(Token),
    /// Another node, under its name for the question.
    Peer(NodeId, Round),
}

/// The reads of a follower, which asks its leader: one question for all reads of one call.
///
/// Invariants: `asked` ascend in their ids and in time; `waiting` counts their tokens.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct FollowerReads {
    /// Asked, in the order of their questions.
    asked: VecDeque<Question>,
    /// Not asked yet; empty between two calls.
    new: Vec<Token>,
    /// How many reads have been asked for.
    waiting: usize,
    /// When the leader was last sent a question.
    sent_at: Instant,
}

/// What a follower has asked its leader.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Question {
    id: Round,
    asked_at: Instant,
    tokens: Vec<Token>,
}

impl LeaderReads {
    pub(crate) fn len(&self) -> usize {
        self.queue.len() + self.leased.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a read in. Whoever asks for a lease is looked at once, see
    /// [`ask_rest`](Self::ask_rest).
    pub(crate) fn add(&mut self, origin: Origin, consistency: Consistency, asked_at: Instant) {
        let read = LeaderRead { origin, asked_at };
        if let Origin::Peer(peer, id) = origin {
            self.questions.insert((peer, id));
        }
        match consistency {
            Consistency::Lease => self.leased.push_back(read),
            Consistency::ReadIndex => {
                self.queue.push_back(read);
                self.unasked += 1;
            }
        }
    }

    /// Whether this question of a peer waits already.
    pub(crate) fn has_question(&self, peer: NodeId, id: Round) -> bool {
        self.questions.contains(&(peer, id))
    }

    /// The next read that `confirmed` answers, and the index to name.
    pub(crate) fn pop_confirmed(&mut self, confirmed: Round) -> Option<(Origin, LogIndex)> {
        let ReadRound { index, .. } = *self.rounds.front().filter(|r| r.round <= confirmed)?;
        let read = self.pop_oldest()?;
        Some((read.origin, index))
    }

    /// The next lease read that was not looked at.
    pub(crate) fn pop_leased(&mut self) -> Option<Origin> {
        work::looked_at(1);
        Some(self.leased.pop_front()?.origin)
    }

    /// The next of all, asked or not.
    pub(crate) fn pop_any(&mut self) -> Option<Origin> {
        Some(self.pop_oldest().or_else(|| self.leased.pop_front())?.origin)
    }

    /// There is no lease: lease reads wait for a round like all others.
    pub(crate) fn ask_rest(&mut self) {
        work::looked_at(self.leased.len());
        self.unasked += self.leased.len();
        let in_order = self.queue.back().map(|read| read.asked_at)
            <= self.leased.front().map(|read| read.asked_at);
        let merges = !in_order && !self.leased.is_empty();
        self.queue.append(&mut self.leased);
        if merges {
            // Once in a leadership, before its first round: what came before its first commit.
            work::looked_at(self.queue.len());
            self.queue.make_contiguous().sort_by_key(|read| read.asked_at);
        }
    }

    /// Whether reads wait for a round to be sent.
    pub(crate) const fn wait_for_round(&self) -> bool {
        self.unasked > 0
    }

    /// Whether a round is on its way that serves reads.
    pub(crate) fn has_round_on_its_way(&self) -> bool {
        !self.rounds.is_empty()
    }

    /// A round was sent to every peer: all that waited for one wait for its answer.
    pub(crate) fn asked(&mut self, round: Round, index: LogIndex) {
        let serves = core::mem::take(&mut self.unasked);
        if serves > 0 {
            self.rounds.push_back(ReadRound { round, index, serves });
        }
    }

    /// When the oldest was asked.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let asked_at = |reads: &VecDeque<LeaderRead>| reads.front().map(|read| read.asked_at);
        match (asked_at(&self.queue), asked_at(&self.leased)) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Gives up the oldest.
    pub(crate) fn give_up_oldest(&mut self) -> Option<Origin> {
        let oldest = self.oldest();
        if self.queue.front().map(|read| read.asked_at) == oldest {
            return Some(self.pop_oldest()?.origin);
        }
        self.pop_leased()
    }

    /// The tokens of this node's own runtime.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.queue.iter().chain(&self.leased).filter_map(|read| match read.origin {
            Origin::Here(token) => Some(token),
            Origin::Peer(..) => None,
        })
    }

    /// Whether the invariants of the type hold.
    pub(crate) fn is_sound(&self) -> bool {
        let served: usize = self.rounds.iter().map(|round| round.serves).sum();
        served + self.unasked == self.queue.len()
            && self.rounds.iter().all(|round| round.serves > 0)
            && self.rounds.iter().is_sorted_by(|a, b| a.round < b.round)
            && self.queue.iter().is_sorted_by_key(|read| read.asked_at)
            && self.questions.len() + self.tokens().count() == self.len()
    }

    /// Whether every number of it can be: for what was written down.
    #[cfg(feature = "serde")]
    pub(crate) fn is_in_range(&self, round: Round, commit: LogIndex, now: Instant) -> bool {
        use crate::types::LIMIT;
        let served = self.rounds.iter().try_fold(0_usize, |sum, r| sum.checked_add(r.serves));
        let from = |origin| match origin {
            Origin::Here(_) => true,
            Origin::Peer(peer, id) => peer.get() <= LIMIT && id.get() <= LIMIT,
        };
        let questions =
            self.queue.iter().chain(&self.leased).filter_map(|read| match read.origin {
                Origin::Here(_) => None,
                Origin::Peer(peer, id) => Some((peer, id)),
            });
        served.is_some_and(|served| served.checked_add(self.unasked) == Some(self.queue.len()))
            && self.rounds.iter().all(|r| r.round <= round && r.index <= commit)
            && self.queue.iter().chain(&self.leased).all(|r| from(r.origin) && r.asked_at <= now)
            && self.leased.iter().is_sorted_by_key(|read| read.asked_at)
            && questions.collect::<BTreeSet<_>>() == self.questions
    }

    fn pop_oldest(&mut self) -> Option<LeaderRead> {
        work::looked_at(1);
        let read = self.queue.pop_front()?;
        match self.rounds.front_mut() {
            Some(round) => {
                round.serves -= 1;
                if round.serves == 0 {
                    self.rounds.pop_front();
                }
            }
            None => self.unasked -= 1,
        }
        if let Origin::Peer(peer, id) = read.origin {
            self.questions.remove(&(peer, id));
        }
        Some(read)
    }
}

impl FollowerReads {
    pub(crate) const fn len(&self) -> usize {
        self.waiting + self.new.len()
    }

    pub(crate) fn add(&mut self, token: Token) {
        self.new.push(token);
    }

    pub(crate) fn has_new(&self) -> bool {
        !self.new.is_empty()
    }

    /// All new reads are asked for, in one question.
    pub(crate) fn asked(&mut self, id: Round, now: Instant) {
        let tokens = core::mem::take(&mut self.new);
        self.waiting += tokens.len();
        self.sent_at = now;
        self.asked.push_back(Question { id, asked_at: now, tokens });
    }

    /// The newest question that has no answer yet. Its answer would be one to all earlier ones.
    pub(crate) fn newest_question(&self) -> Option<Round> {
        self.asked.back().map(|question| question.id)
    }

    /// When the leader was last sent a question, if one has no answer yet.
    pub(crate) fn sent_at(&self) -> Option<Instant> {
        (!self.asked.is_empty()).then_some(self.sent_at)
    }

    /// The newest question was sent once more.
    pub(crate) const fn repeated(&mut self, now: Instant) {
        self.sent_at = now;
    }

    /// Whether this question has no answer yet.
    pub(crate) fn has_question(&self, id: Round) -> bool {
        self.asked.binary_search_by_key(&id, |question| question.id).is_ok()
    }

    /// The tokens of the oldest question, if it is not later than `id`.
    pub(crate) fn pop_up_to(&mut self, id: Round) -> Option<Vec<Token>> {
        if self.asked.front()?.id > id {
            return None;
        }
        self.pop_oldest()
    }

    /// When the oldest was asked.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.asked.front().map(|question| question.asked_at)
    }

    /// Gives up the oldest question.
    pub(crate) fn pop_oldest(&mut self) -> Option<Vec<Token>> {
        work::looked_at(1);
        let Question { tokens, .. } = self.asked.pop_front()?;
        self.waiting -= tokens.len();
        Some(tokens)
    }

    /// All tokens, asked or not.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.asked.iter().flat_map(|question| &question.tokens).chain(&self.new).copied()
    }

    /// Whether every number of it can be: for what was written down.
    #[cfg(feature = "serde")]
    pub(crate) fn is_in_range(&self, round: Round, now: Instant) -> bool {
        self.asked.iter().all(|question| question.id <= round && question.asked_at <= now)
            && self.sent_at <= now
    }

    /// Whether the invariants of the type hold between two calls.
    pub(crate) fn is_sound(&self) -> bool {
        self.new.is_empty()
            && self.tokens().count() == self.waiting
            && self.asked.iter().is_sorted_by(|a, b| a.id < b.id && a.asked_at <= b.asked_at)
    }
}
