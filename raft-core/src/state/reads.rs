//! Reads that wait: at the leader for a quorum, at a follower for its leader (thesis, 6.4).

use crate::input::Consistency;
use crate::types::{Instant, LogIndex, NodeId, Round, Token};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The reads of a leader, in the order in which they came.
///
/// Invariant: those that ask a quorum come before those that do not ask yet, in the order of rounds.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct LeaderReads(pub(crate) VecDeque<LeaderRead>);

/// A read at the leader.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct LeaderRead {
    pub(crate) origin: Origin,
    pub(crate) consistency: Consistency,
    pub(crate) asked_at: Instant,
    /// The commit index that the answer will name, and the round that must be acknowledged; `None`
    /// while no entry of the leader's own term is committed, or the round has not been sent.
    pub(crate) question: Option<(LogIndex, Round)>,
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
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct FollowerReads {
    /// Asked, in the order of their questions.
    pub(crate) asked: VecDeque<Question>,
    /// Not asked yet; empty between two calls.
    pub(crate) new: Vec<Token>,
}

/// What a follower has asked its leader.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Question {
    pub(crate) id: Round,
    pub(crate) asked_at: Instant,
    pub(crate) tokens: Vec<Token>,
}

impl LeaderReads {
    /// The tokens of this node's own runtime.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.0.iter().filter_map(|read| match read.origin {
            Origin::Here(token) => Some(token),
            Origin::Peer(..) => None,
        })
    }
}

impl FollowerReads {
    /// All tokens, asked or not.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.asked.iter().flat_map(|question| &question.tokens).chain(&self.new).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.asked.iter().map(|question| question.tokens.len()).sum::<usize>() + self.new.len()
    }
}
