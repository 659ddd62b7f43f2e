//! What is done to links: cuts, topologies of the whole network, flapping, losses by kind.

use crate::plan::act::LinkAct;
use crate::plan::act::any::Act;
use crate::plan::topology::{Topology, Whom};
use crate::run::swarm::draw::Draw;
use crate::run::swarm::storm::Outage;
use raft_core::{MessageKind, NodeId};
use std::time::Duration;

impl Draw<'_> {
    /// A fault of the network, and what ends it.
    pub(super) fn network(&mut self, ids: &[NodeId], timeout: Duration) -> Outage {
        let (from, to) = (self.one_of(ids), self.one_of(ids));
        if from == to {
            return (vec![self.reach(ids)], vec![Act::Link(LinkAct::HealAll)]);
        }
        match self.below(8) {
            0 | 1 => (
                vec![Act::Link(LinkAct::Cut { from, to })],
                vec![Act::Link(LinkAct::Heal { from, to })],
            ),
            2 => (
                vec![Act::Link(LinkAct::Isolate { node: from })],
                vec![Act::Link(LinkAct::HealAll)],
            ),
            3 | 4 => (vec![self.reach(ids)], vec![Act::Link(LinkAct::HealAll)]),
            5 => self.flap(from, to, timeout),
            6 => self.lose_kind(ids, from, to),
            _ => (vec![Act::Link(LinkAct::SetLink { from, to, profile: self.link() })], Vec::new()),
        }
    }

    /// One direction or both, cut and healed again and again, each time for about T: the time after
    /// which a follower gives its leader up, and a leader its followers.
    fn flap(&mut self, from: NodeId, to: NodeId, timeout: Duration) -> Outage {
        let period = (timeout / 4).max(Duration::from_millis(1));
        let period = period * u32::try_from(1 + self.below(8)).expect("a few quarters");
        let mut links = vec![(from, to)];
        if self.one_in(2) {
            links.push((to, from));
        }
        let flap = |(from, to)| Act::Link(LinkAct::Flap { from, to, period });
        let heal = |(from, to)| Act::Link(LinkAct::Heal { from, to });
        (links.iter().copied().map(flap).collect(), links.iter().copied().map(heal).collect())
    }

    /// A kind of message is lost on one link, on all to a node, on all from it, or everywhere.
    fn lose_kind(&mut self, ids: &[NodeId], from: NodeId, to: NodeId) -> Outage {
        let kind = self.one_of(MessageKind::ALL);
        let which = self.below(4);
        let is_meant = |a: NodeId, b: NodeId| match which {
            0 => (a, b) == (from, to),
            1 => b == to,
            2 => a == from,
            _ => true,
        };
        let pairs = ids.iter().flat_map(|from| ids.iter().map(move |to| (*from, *to)));
        let links: Vec<_> = pairs.filter(|(a, b)| a != b && is_meant(*a, *b)).collect();
        let lose = |(from, to)| Act::Link(LinkAct::DropKind { from, to, kind });
        let pass = |(from, to)| Act::Link(LinkAct::PassKind { from, to, kind });
        (links.iter().copied().map(lose).collect(), links.iter().copied().map(pass).collect())
    }

    /// Who reaches whom.
    pub(super) fn reach(&mut self, ids: &[NodeId]) -> Act {
        let order = self.shuffled(ids);
        let whom = if self.one_in(2) { Whom::Leader } else { Whom::Node(order[0]) };
        let middle = order.len() / 2;
        let shape = match self.below(9) {
            0 => match whom {
                Whom::Node(node) => return Act::Link(LinkAct::Isolate { node }),
                Whom::Leader => Topology::Isolated(whom),
            },
            1 | 2 => Topology::Deaf(whom),
            3 => Topology::Mute(whom),
            4 => Topology::Split(vec![order[..middle].to_vec(), order[middle..].to_vec()]),
            5 => {
                let halves = [order[1..=middle].to_vec(), order[middle + 1..].to_vec()];
                Topology::Bridge { over: order[0], halves }
            }
            6 => Topology::Ring(order),
            7 => Topology::Chain(order),
            _ => {
                // A partial mesh: one matrix of all that there are.
                let both = self.one_in(2);
                let pairs = ids.iter().flat_map(|from| ids.iter().map(move |to| (*from, *to)));
                let mut links: std::collections::BTreeSet<_> =
                    pairs.filter(|(from, to)| from != to && self.below(3) < 2).collect();
                if both {
                    let given = links.clone();
                    links.retain(|(from, to)| given.contains(&(*to, *from)));
                }
                Topology::Only(links)
            }
        };
        Act::Link(LinkAct::Reach { shape })
    }

    pub(super) fn shuffled(&mut self, ids: &[NodeId]) -> Vec<NodeId> {
        let mut rest = ids.to_vec();
        let mut order = Vec::new();
        while !rest.is_empty() {
            let nth = self.index(u64::try_from(rest.len()).expect("a few nodes"));
            order.push(rest.swap_remove(nth));
        }
        order
    }
}
