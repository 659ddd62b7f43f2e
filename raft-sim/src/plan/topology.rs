//! Who reaches whom: any directed matrix of links, and those that have a name.

use crate::plan::sentence::{Mistake, Sentence};
use crate::plan::text::group;
use raft_core::NodeId;
use std::collections::BTreeSet;
use std::fmt;

/// Whom a fault is aimed at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Whom {
    /// This node.
    Node(NodeId),
    /// Who can commit at that moment, see [`Event::Service`](crate::plan::record::Event::Service);
    /// nobody if there is no such leader.
    Leader,
}

/// Which links work, and which are cut. A shape says nothing of links to nodes that it does not
/// name: they stay as they are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Topology {
    /// Exactly these directed links, (from, to), of all the links that there are.
    Only(BTreeSet<(NodeId, NodeId)>),
    /// Nobody reaches it, and it reaches nobody.
    Isolated(Whom),
    /// It reaches the others and hears none of them: out only.
    Deaf(Whom),
    /// It hears the others and reaches none of them: in only.
    Mute(Whom),
    /// Groups that do not reach one another; within a group everybody reaches everybody.
    Split(Vec<Vec<NodeId>>),
    /// Two halves that do not reach one another, and one node between them that both reach.
    Bridge {
        /// The node between.
        over: NodeId,
        /// The one half and the other.
        halves: [Vec<NodeId>; 2],
    },
    /// Each reaches its two neighbours, both ways, and the last is a neighbour of the first.
    Ring(Vec<NodeId>),
    /// Each reaches its neighbours, both ways.
    Chain(Vec<NodeId>),
}

impl Topology {
    /// The shapes of a sentence with this verb: one, or one for each node that is cut off.
    pub(crate) fn read_all(verb: &str, sentence: &mut Sentence<'_>) -> Result<Vec<Self>, Mistake> {
        let one = match verb {
            "ring" => Self::Ring(sentence.group()?),
            "chain" => Self::Chain(sentence.group()?),
            "bridge" => {
                let over = sentence.node()?;
                let halves = [sentence.group_or_none()?, sentence.group_or_none()?];
                Self::Bridge { over, halves }
            }
            "split" => {
                let mut groups = vec![sentence.group_or_none()?, sentence.group_or_none()?];
                while !sentence.rest().is_empty() {
                    groups.push(sentence.group_or_none()?);
                }
                Self::Split(groups)
            }
            "only" if sentence.take("-") => Self::Only(BTreeSet::new()),
            "only" => {
                let mut links: BTreeSet<_> = sentence.links()?.into_iter().collect();
                while sentence.take("and") {
                    links.extend(sentence.links()?);
                }
                Self::Only(links)
            }
            _ => {
                let shape = if verb == "deafen" { Self::Deaf } else { Self::Mute };
                if sentence.take("leader") {
                    return Ok(vec![shape(Whom::Leader)]);
                }
                let group = sentence.group()?;
                return Ok(group.into_iter().map(Whom::Node).map(shape).collect());
            }
        };
        Ok(vec![one])
    }

    /// Without those who are gone, the others under other names; `None` if it was about one of them
    /// alone.
    pub(crate) fn renamed(&self, name: &dyn Fn(NodeId) -> Option<NodeId>) -> Option<Self> {
        let group = |nodes: &Vec<NodeId>| -> Vec<NodeId> {
            nodes.iter().filter_map(|node| name(*node)).collect()
        };
        let whom = |whom: &Whom| match whom {
            Whom::Node(node) => name(*node).map(Whom::Node),
            Whom::Leader => Some(Whom::Leader),
        };
        Some(match self {
            Self::Only(links) => {
                let links = links.iter();
                Self::Only(links.filter_map(|(a, b)| Some((name(*a)?, name(*b)?))).collect())
            }
            Self::Isolated(node) => Self::Isolated(whom(node)?),
            Self::Deaf(node) => Self::Deaf(whom(node)?),
            Self::Mute(node) => Self::Mute(whom(node)?),
            Self::Split(groups) => {
                let groups = groups.iter().map(group).filter(|group| !group.is_empty());
                Self::Split(Some(groups.collect::<Vec<_>>()).filter(|groups| groups.len() > 1)?)
            }
            Self::Bridge { over, halves: [one, other] } => {
                Self::Bridge { over: name(*over)?, halves: [group(one), group(other)] }
            }
            Self::Ring(order) => Self::Ring(Some(group(order)).filter(|order| order.len() > 1)?),
            Self::Chain(order) => Self::Chain(Some(group(order)).filter(|order| order.len() > 1)?),
        })
    }

    /// Whether a link is to work while `leader` is the one who can commit; `None` where nothing is
    /// said of it.
    pub fn joins(&self, from: NodeId, to: NodeId, leader: Option<NodeId>) -> Option<bool> {
        let is = |whom: &Whom, node| match whom {
            Whom::Node(id) => *id == node,
            Whom::Leader => leader == Some(node),
        };
        let cut = |is_cut: bool| is_cut.then_some(false);
        match self {
            Self::Only(links) => Some(links.contains(&(from, to))),
            Self::Isolated(whom) => cut(is(whom, from) || is(whom, to)),
            Self::Deaf(whom) => cut(is(whom, to)),
            Self::Mute(whom) => cut(is(whom, from)),
            Self::Split(groups) => {
                let group = |node| groups.iter().position(|group| group.contains(&node));
                Some(group(from)? == group(to)?)
            }
            Self::Bridge { over, halves } => {
                let side = |node| match node {
                    node if node == *over => Some(None),
                    node => halves.iter().position(|half| half.contains(&node)).map(Some),
                };
                let (a, b) = (side(from)?, side(to)?);
                Some(a.is_none() || b.is_none() || a == b)
            }
            Self::Ring(order) => {
                let (a, b) = places(order, from, to)?;
                Some(a.abs_diff(b) == 1 || a.abs_diff(b) + 1 == order.len())
            }
            Self::Chain(order) => {
                let (a, b) = places(order, from, to)?;
                Some(a.abs_diff(b) == 1)
            }
        }
    }
}

fn places(order: &[NodeId], from: NodeId, to: NodeId) -> Option<(usize, usize)> {
    let place = |node| order.iter().position(|id| *id == node);
    Some((place(from)?, place(to)?))
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "{node:?}"),
            Self::Leader => f.write_str("leader"),
        }
    }
}

/// As a scenario file spells it.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(links) if links.is_empty() => f.write_str("only -"),
            Self::Only(links) => {
                let links = links.iter().map(|(from, to)| format!("{from:?} -> {to:?}"));
                write!(f, "only {}", links.collect::<Vec<_>>().join(" and "))
            }
            Self::Isolated(whom) => write!(f, "isolate {whom}"),
            Self::Deaf(whom) => write!(f, "deafen {whom}"),
            Self::Mute(whom) => write!(f, "mute {whom}"),
            Self::Split(groups) => {
                let groups = groups.iter().map(|nodes| group(nodes)).collect::<Vec<_>>();
                write!(f, "split {}", groups.join(" "))
            }
            Self::Bridge { over, halves } => {
                write!(f, "bridge {over:?} {} {}", group(&halves[0]), group(&halves[1]))
            }
            Self::Ring(order) => write!(f, "ring {}", group(order)),
            Self::Chain(order) => write!(f, "chain {}", group(order)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Topology, Whom};
    use raft_core::NodeId;
    use std::collections::BTreeSet;

    fn ids(ids: &[u64]) -> Vec<NodeId> {
        ids.iter().map(|id| NodeId(*id)).collect()
    }

    /// The links among five nodes that the shape cuts; S2 leads.
    fn cut(shape: &Topology) -> Vec<(u64, u64)> {
        let pairs = (1..=5).flat_map(|from| (1..=5).map(move |to| (from, to)));
        let cut = |(from, to): &(u64, u64)| {
            from != to && shape.joins(NodeId(*from), NodeId(*to), Some(NodeId(2))) == Some(false)
        };
        pairs.filter(cut).collect()
    }

    #[test]
    fn each_shape_cuts_what_its_name_says() {
        let whom = Whom::Node(NodeId(1));
        let from = [(1, 2), (1, 3), (1, 4), (1, 5)];
        let to = [(2, 1), (3, 1), (4, 1), (5, 1)];
        assert_eq!(cut(&Topology::Mute(whom)), from);
        assert_eq!(cut(&Topology::Deaf(whom)), to);
        assert_eq!(cut(&Topology::Isolated(whom)), [from, to].concat());
        assert_eq!(cut(&Topology::Deaf(Whom::Leader)), [(1, 2), (3, 2), (4, 2), (5, 2)]);
        let halves = [ids(&[1, 2]), ids(&[4, 5])];
        let apart = [(1, 4), (1, 5), (2, 4), (2, 5), (4, 1), (4, 2), (5, 1), (5, 2)];
        assert_eq!(cut(&Topology::Split(halves.to_vec())), apart, "S3 is not named");
        assert_eq!(cut(&Topology::Bridge { over: NodeId(3), halves }), apart);
        let ring = cut(&Topology::Ring(ids(&[1, 2, 3, 4, 5])));
        let mut chain = cut(&Topology::Chain(ids(&[1, 2, 3, 4, 5])));
        assert_eq!((ring.len(), chain.len()), (10, 12));
        chain.retain(|link| !ring.contains(link));
        assert_eq!(chain, [(1, 5), (5, 1)], "the ring is the closed chain");
        assert_eq!(cut(&Topology::Ring(ids(&[1, 2]))), [], "two neighbours");
    }

    #[test]
    fn any_directed_matrix_is_a_shape() {
        let links: BTreeSet<_> = [(NodeId(1), NodeId(2)), (NodeId(3), NodeId(1))].into();
        let cut = cut(&Topology::Only(links));
        assert_eq!(cut.len(), 5 * 4 - 2);
        assert!(!cut.contains(&(1, 2)) && cut.contains(&(2, 1)) && !cut.contains(&(3, 1)));
    }
}
