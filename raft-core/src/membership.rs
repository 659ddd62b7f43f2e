//! Who belongs to the cluster, and who votes: as against `config`, the tunables of one node.

use crate::error::MembershipError;
use crate::types::{LIMIT, NodeId};
use alloc::vec::Vec;
use core::fmt;

/// The voters and learners of a cluster (Raft paper, 6; thesis, 4).
///
/// While `outgoing` is not empty the membership is *joint*: an election and a commit need a
/// majority of `voters` and a majority of `outgoing` (thesis, 4.3).
///
/// Invariants: each list is sorted and has no duplicate; a learner is no voter of the new half (in
/// the old half it may be: a voter that becomes a learner); where there are no voters there is
/// nobody, which is the membership of a node that does not know its cluster yet.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Unchecked", into = "Unchecked"))]
pub struct Membership {
    voters: Vec<NodeId>,
    outgoing: Vec<NodeId>,
    learners: Vec<NodeId>,
}

/// What a membership looks like before anybody has looked at it.
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename = "Membership"))]
struct Unchecked {
    voters: Vec<NodeId>,
    #[cfg_attr(feature = "serde", serde(default))]
    outgoing: Vec<NodeId>,
    #[cfg_attr(feature = "serde", serde(default))]
    learners: Vec<NodeId>,
}

impl Membership {
    /// The greatest number of voters in one half. A quorum is computed on the stack.
    pub const MAX_VOTERS: usize = 128;
    /// The greatest number of learners.
    pub const MAX_LEARNERS: usize = 128;

    /// The membership of a node that does not know its cluster: it is passive until it hears
    /// from a leader.
    pub const fn empty() -> Self {
        Self { voters: Vec::new(), outgoing: Vec::new(), learners: Vec::new() }
    }

    /// A cluster of `voters` only.
    ///
    /// # Errors
    ///
    /// As for [`Membership::new`].
    pub fn of_voters(voters: impl IntoIterator<Item = NodeId>) -> Result<Self, MembershipError> {
        Self::new(voters, [], [])
    }

    /// A membership; joint where `outgoing` is not empty. Order does not matter.
    ///
    /// # Errors
    ///
    /// A node that stands in one list twice, or as a learner and as a voter; no voters beside
    /// others; more than [`MAX_VOTERS`](Self::MAX_VOTERS) or [`MAX_LEARNERS`](Self::MAX_LEARNERS).
    pub fn new(
        voters: impl IntoIterator<Item = NodeId>,
        outgoing: impl IntoIterator<Item = NodeId>,
        learners: impl IntoIterator<Item = NodeId>,
    ) -> Result<Self, MembershipError> {
        let membership = Self {
            voters: sorted(voters, Self::MAX_VOTERS)?,
            outgoing: sorted(outgoing, Self::MAX_VOTERS)?,
            learners: sorted(learners, Self::MAX_LEARNERS)?,
        };
        if membership.voters.is_empty() && membership != Self::empty() {
            return Err(MembershipError::NoVoters);
        }
        match membership.learners.iter().find(|id| membership.voters.binary_search(id).is_ok()) {
            Some(id) => Err(MembershipError::VoterAndLearner(*id)),
            None => Ok(membership),
        }
    }

    /// The voters; while joint, those of the new half.
    pub fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// The voters of the old half while joint; otherwise nobody.
    pub fn outgoing(&self) -> &[NodeId] {
        &self.outgoing
    }

    /// Those who receive the log and have no say.
    pub fn learners(&self) -> &[NodeId] {
        &self.learners
    }

    /// Whether nobody belongs to it.
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    /// The joint membership on the way from this one to `target` (thesis, 4.3).
    pub(crate) fn towards(&self, target: &Self) -> Self {
        Self {
            voters: target.voters.clone(),
            outgoing: self.voters.clone(),
            learners: target.learners.clone(),
        }
    }

    /// The membership that a joint one leads to.
    pub(crate) fn without_outgoing(&self) -> Self {
        Self { outgoing: Vec::new(), ..self.clone() }
    }

    /// Whether two majorities are needed.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether `id` is a voter in either half.
    pub fn is_voter(&self, id: NodeId) -> bool {
        // A walk over a few numbers is faster than halving them.
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// Whether `id` belongs to it in any capacity.
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.learners.binary_search(&id).is_ok()
    }

    /// Whether `id` is the one and only voter, so that its word is a quorum.
    pub fn is_lone_voter(&self, id: NodeId) -> bool {
        self.voters == [id] && (self.outgoing.is_empty() || self.outgoing == [id])
    }

    /// Every member once: the voters of both halves, then the other learners.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        let learners = self.learners.iter().filter(|id| !self.is_voter(**id));
        self.all_voters().chain(learners.copied())
    }

    /// Every voter of either half once.
    pub fn all_voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        let old = self.outgoing.iter().filter(|id| self.voters.binary_search(id).is_err());
        self.voters.iter().chain(old).copied()
    }
}

impl From<Membership> for Unchecked {
    fn from(m: Membership) -> Self {
        Self { voters: m.voters, outgoing: m.outgoing, learners: m.learners }
    }
}

impl TryFrom<Unchecked> for Membership {
    type Error = MembershipError;

    fn try_from(m: Unchecked) -> Result<Self, MembershipError> {
        Self::new(m.voters, m.outgoing, m.learners)
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.voters)?;
        if !self.outgoing.is_empty() {
            write!(f, "&{:?}", self.outgoing)?;
        }
        if !self.learners.is_empty() {
            write!(f, "+{:?}", self.learners)?;
        }
        Ok(())
    }
}

fn sorted(
    ids: impl IntoIterator<Item = NodeId>,
    limit: usize,
) -> Result<Vec<NodeId>, MembershipError> {
    // One more than allowed is enough to know; an endless iterator ends here.
    let mut ids: Vec<_> = ids.into_iter().take(limit + 1).collect();
    if ids.len() > limit {
        return Err(MembershipError::TooMany { limit });
    }
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(MembershipError::Duplicate(pair[0]));
    }
    match ids.last() {
        Some(id) if id.get() > LIMIT => Err(MembershipError::IdBeyondLimit(*id)),
        _ => Ok(ids),
    }
}

#[cfg(test)]
mod tests {
    use super::Membership;
    use crate::error::MembershipError;
    use crate::types::NodeId;
    use alloc::vec::Vec;

    fn ids(ids: &[u64]) -> impl Iterator<Item = NodeId> + '_ {
        ids.iter().map(|id| NodeId(*id))
    }

    fn membership(voters: &[u64], outgoing: &[u64], learners: &[u64]) -> Membership {
        Membership::new(ids(voters), ids(outgoing), ids(learners)).expect("valid")
    }

    #[test]
    fn members_are_named_once() {
        let joint = membership(&[3, 1, 2], &[2, 4], &[9]);
        assert_eq!(joint.members().map(NodeId::get).collect::<Vec<_>>(), [1, 2, 3, 4, 9]);
        assert_eq!(joint.all_voters().map(NodeId::get).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(joint.is_joint() && joint.is_voter(NodeId(4)) && !joint.is_voter(NodeId(9)));
    }

    #[test]
    fn absurd_memberships_are_refused() {
        use MembershipError::{Duplicate, IdBeyondLimit, NoVoters, TooMany, VoterAndLearner};
        let refused = |v: &[u64], o: &[u64], l: &[u64]| {
            Membership::new(ids(v), ids(o), ids(l)).expect_err("absurd")
        };
        assert_eq!(refused(&[1, 1], &[], &[]), Duplicate(NodeId(1)));
        assert_eq!(refused(&[1], &[], &[1]), VoterAndLearner(NodeId(1)));
        assert_eq!(refused(&[], &[2], &[]), NoVoters);
        assert_eq!(refused(&[], &[], &[2]), NoVoters);
        assert_eq!(refused(&[u64::MAX], &[], &[]), IdBeyondLimit(NodeId(u64::MAX)));
        assert_eq!(
            Membership::of_voters((0..).map(NodeId)).expect_err("endless"),
            TooMany { limit: Membership::MAX_VOTERS }
        );
    }

    #[test]
    fn a_lone_voter_is_alone_in_both_halves() {
        assert!(membership(&[1], &[], &[2]).is_lone_voter(NodeId(1)));
        assert!(!membership(&[1], &[2], &[]).is_lone_voter(NodeId(1)));
        assert!(!membership(&[1, 2], &[], &[]).is_lone_voter(NodeId(1)));
    }
}
