//! What an operator wants of a membership.

use raft_core::{Membership, MembershipError, NodeId};
use std::fmt;

/// A change of the membership that is in force at the node that is asked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    /// Exactly this one.
    To(Membership),
    /// A node begins to receive the log.
    AddLearner(NodeId),
    /// A node gets a vote.
    Promote(NodeId),
    /// A voter becomes a learner.
    Demote(NodeId),
    /// A node belongs to the cluster no more.
    Remove(NodeId),
    /// A voter goes, and another comes for it.
    Replace {
        /// Who goes.
        old: NodeId,
        /// Who comes.
        new: NodeId,
    },
}

impl Change {
    /// The nodes that it names.
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::To(membership) => membership.members().collect(),
            Self::AddLearner(node)
            | Self::Promote(node)
            | Self::Demote(node)
            | Self::Remove(node) => vec![*node],
            Self::Replace { old, new } => vec![*old, *new],
        }
    }

    /// The membership to reach.
    ///
    /// # Errors
    ///
    /// What would make no sense, for one a membership without voters.
    pub fn target(&self, current: &Membership) -> Result<Membership, MembershipError> {
        let (mut voters, mut learners) = (current.voters().to_vec(), current.learners().to_vec());
        let mut leave = |node: &NodeId| {
            voters.retain(|id| id != node);
            learners.retain(|id| id != node);
        };
        match self {
            Self::To(membership) => return Ok(membership.clone()),
            Self::AddLearner(node) | Self::Demote(node) => {
                leave(node);
                learners.push(*node);
            }
            Self::Promote(node) => {
                leave(node);
                voters.push(*node);
            }
            Self::Remove(node) => leave(node),
            Self::Replace { old, new } => {
                leave(old);
                leave(new);
                voters.push(*new);
            }
        }
        Membership::new(voters, [], learners)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(membership) => write!(f, "reach {membership:?}"),
            Self::AddLearner(node) => write!(f, "add the learner {node:?}"),
            Self::Promote(node) => write!(f, "promote {node:?}"),
            Self::Demote(node) => write!(f, "demote {node:?}"),
            Self::Remove(node) => write!(f, "remove {node:?}"),
            Self::Replace { old, new } => write!(f, "replace {old:?} by {new:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Change;
    use raft_core::{Membership, MembershipError, NodeId};

    #[test]
    fn a_change_is_one_of_what_is_in_force() {
        let ids = |ids: &[u64]| ids.iter().map(|id| NodeId(*id)).collect::<Vec<_>>();
        let of = |v: &[u64], l: &[u64]| Membership::new(ids(v), [], ids(l)).expect("valid");
        let current = of(&[1, 2, 3], &[4]);
        let cases = [
            (Change::AddLearner(NodeId(5)), of(&[1, 2, 3], &[4, 5])),
            (Change::Promote(NodeId(4)), of(&[1, 2, 3, 4], &[])),
            (Change::Demote(NodeId(3)), of(&[1, 2], &[3, 4])),
            (Change::Remove(NodeId(1)), of(&[2, 3], &[4])),
            (Change::Replace { old: NodeId(1), new: NodeId(4) }, of(&[2, 3, 4], &[])),
            (Change::To(of(&[9], &[])), of(&[9], &[])),
        ];
        for (change, target) in cases {
            assert_eq!(change.target(&current), Ok(target), "{change}");
        }
        let alone = of(&[1], &[2]);
        assert_eq!(Change::Remove(NodeId(1)).target(&alone), Err(MembershipError::NoVoters));
    }
}
