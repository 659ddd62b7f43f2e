//! What an operator wants of a membership.

use crate::plan::sentence::{Mistake, Sentence};
use crate::plan::text::group;
use raft_core::{Membership, MembershipError, NodeId};
use std::fmt;

/// A change of the membership that is in force at the node that is asked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum MembershipChange {
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

impl MembershipChange {
    /// The change of a sentence with this verb: `reach S1,S2 with S3`, `add S4`, `replace S1 S4`.
    pub(crate) fn read_as(verb: &str, sentence: &mut Sentence<'_>) -> Result<Self, Mistake> {
        Ok(match verb {
            "add" => Self::AddLearner(sentence.node()?),
            "promote" => Self::Promote(sentence.node()?),
            "demote" => Self::Demote(sentence.node()?),
            "remove" => Self::Remove(sentence.node()?),
            "replace" => Self::Replace { old: sentence.node()?, new: sentence.node()? },
            _ => Self::To(sentence.membership()?),
        })
    }

    /// As a sentence of a scenario file.
    pub(crate) fn written(&self) -> String {
        match self {
            // One without voters, or a joint one, cannot be asked for.
            Self::To(target) => {
                let voters = group(target.voters());
                match target.learners() {
                    [] => format!("reach {voters}"),
                    learners => format!("reach {voters} with {}", group(learners)),
                }
            }
            Self::AddLearner(node) => format!("add {node:?}"),
            Self::Promote(node) => format!("promote {node:?}"),
            Self::Demote(node) => format!("demote {node:?}"),
            Self::Remove(node) => format!("remove {node:?}"),
            Self::Replace { old, new } => format!("replace {old:?} {new:?}"),
        }
    }

    /// Under other names; `None` if it is about a node that is gone.
    pub(crate) fn renamed(&self, name: &dyn Fn(NodeId) -> Option<NodeId>) -> Option<Self> {
        Some(match self {
            Self::To(target) => Self::To(renamed(target, name).filter(|m| !m.is_empty())?),
            Self::AddLearner(node) => Self::AddLearner(name(*node)?),
            Self::Promote(node) => Self::Promote(name(*node)?),
            Self::Demote(node) => Self::Demote(name(*node)?),
            Self::Remove(node) => Self::Remove(name(*node)?),
            Self::Replace { old, new } => Self::Replace { old: name(*old)?, new: name(*new)? },
        })
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

/// A membership without those who are gone, the others under other names; `None` if nothing is left
/// that makes sense.
pub(crate) fn renamed(
    membership: &Membership,
    name: &dyn Fn(NodeId) -> Option<NodeId>,
) -> Option<Membership> {
    let names = |ids: &[NodeId]| ids.iter().filter_map(|id| name(*id)).collect::<Vec<_>>();
    let outgoing = names(membership.outgoing());
    Membership::new(names(membership.voters()), outgoing, names(membership.learners())).ok()
}

impl fmt::Display for MembershipChange {
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
    use super::MembershipChange;
    use raft_core::{Membership, MembershipError, NodeId};

    #[test]
    fn a_change_is_one_of_what_is_in_force() {
        let ids = |ids: &[u64]| ids.iter().map(|id| NodeId(*id)).collect::<Vec<_>>();
        let of = |v: &[u64], l: &[u64]| Membership::new(ids(v), [], ids(l)).expect("valid");
        let current = of(&[1, 2, 3], &[4]);
        let cases = [
            (MembershipChange::AddLearner(NodeId(5)), of(&[1, 2, 3], &[4, 5])),
            (MembershipChange::Promote(NodeId(4)), of(&[1, 2, 3, 4], &[])),
            (MembershipChange::Demote(NodeId(3)), of(&[1, 2], &[3, 4])),
            (MembershipChange::Remove(NodeId(1)), of(&[2, 3], &[4])),
            (MembershipChange::Replace { old: NodeId(1), new: NodeId(4) }, of(&[2, 3, 4], &[])),
            (MembershipChange::To(of(&[9], &[])), of(&[9], &[])),
        ];
        for (change, target) in cases {
            assert_eq!(change.target(&current), Ok(target), "{change}");
        }
        let alone = of(&[1], &[2]);
        assert_eq!(
            MembershipChange::Remove(NodeId(1)).target(&alone),
            Err(MembershipError::NoVoters)
        );
    }
}
