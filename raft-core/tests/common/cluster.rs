//! A few real nodes that share a clock, with links that can be cut one way.
//!
//! Messages arrive at once and in order; the disks answer at once. So what happens is decided by
//! the deadlines and the cuts alone.

use super::{Actions, Setup, Solo, T, voters};
use core::time::Duration;
use raft_core::{Envelope, Instant, LogPosition, NodeId, Protection, RoleKind, Term};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Solo>,
    pub(crate) now: Instant,
    cuts: BTreeSet<(NodeId, NodeId)>,
    on_the_way: VecDeque<Envelope>,
    /// How many messages have arrived.
    pub(crate) delivered: usize,
    /// Everybody who was ever leader: its term, and itself.
    pub(crate) leaders: BTreeSet<(Term, NodeId)>,
    /// What each node has applied.
    pub(crate) applied: BTreeMap<NodeId, Vec<(u64, LogPosition)>>,
}

impl Cluster {
    pub(crate) fn of(n: u64, protection: Protection) -> Self {
        let ids: Vec<_> = (1..=n).collect();
        let of_all = Setup::of(voters(&ids)).protection(protection);
        Self::start(ids.iter().map(|id| of_all.clone().id(NodeId(*id))))
    }

    pub(crate) fn start(setups: impl IntoIterator<Item = Setup>) -> Self {
        let nodes: BTreeMap<_, _> =
            setups.into_iter().map(|setup| (setup.config.id, setup.start())).collect();
        Self {
            now: nodes.values().map(|node| node.now).max().unwrap_or(Instant::ZERO),
            nodes,
            cuts: BTreeSet::new(),
            on_the_way: VecDeque::new(),
            delivered: 0,
            leaders: BTreeSet::new(),
            applied: BTreeMap::new(),
        }
    }

    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cuts.insert((from, to));
    }

    pub(crate) fn cut_both_ways(&mut self, a: NodeId, b: NodeId) {
        self.cut(a, b);
        self.cut(b, a);
    }

    pub(crate) fn isolate(&mut self, id: NodeId) {
        let others: Vec<_> = self.nodes.keys().copied().filter(|other| *other != id).collect();
        others.into_iter().for_each(|other| self.cut_both_ways(id, other));
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    /// One node does something, and all that follows from it at this moment happens.
    pub(crate) fn act(&mut self, id: NodeId, act: impl FnOnce(&mut Solo) -> Actions) -> Actions {
        let node = self.nodes.get_mut(&id).expect("a node of this cluster");
        node.now = self.now;
        let actions = act(node);
        let status = node.status();
        if status.role == RoleKind::Leader {
            self.leaders.insert((status.term, id));
        }
        self.applied.entry(id).or_default().extend(actions.applied());
        self.on_the_way.extend(actions.sent());
        actions
    }

    /// Everything that is on its way arrives, and the answers, until all is quiet.
    pub(crate) fn deliver(&mut self) {
        let before = self.delivered;
        while let Some(envelope) = self.on_the_way.pop_front() {
            if !self.cuts.contains(&(envelope.from, envelope.to)) {
                self.delivered += 1;
                assert!(self.delivered < before + 100_000, "messages beget messages without end");
                let _ = self.act(envelope.to, |node| node.step(envelope));
            }
        }
    }

    /// The clock goes on by `time`; whoever has a deadline on the way acts on it.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now.saturating_add(time);
        self.deliver();
        while let Some((due, id)) = self.next_deadline().filter(|(due, _)| *due <= end) {
            self.now = self.now.max(due);
            let _ = self.act(id, Solo::wake);
            self.deliver();
        }
        self.now = end;
    }

    fn next_deadline(&self) -> Option<(Instant, NodeId)> {
        self.nodes.iter().filter_map(|(id, solo)| Some((solo.node.deadline()?, *id))).min()
    }

    /// `id` becomes the leader and stays it, because it is asked to hold an election.
    pub(crate) fn elect(&mut self, id: NodeId) {
        let _ = self.act(id, |node| node.step(raft_core::Input::Campaign));
        self.deliver();
        assert_eq!(self.role(id), RoleKind::Leader, "{id:?} wins");
        self.run(T / 2);
    }

    pub(crate) fn role(&self, id: NodeId) -> RoleKind {
        self.nodes[&id].role()
    }

    pub(crate) fn term(&self, id: NodeId) -> u64 {
        self.nodes[&id].term()
    }

    /// The leader of the highest term, if there is one.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let leads = self.nodes.iter().filter(|(_, solo)| solo.role() == RoleKind::Leader);
        leads.max_by_key(|(_, solo)| solo.term()).map(|(id, _)| *id)
    }
}
