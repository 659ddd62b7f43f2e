//! `step_all` asks for no memory in the steady state.
//!
//! What a leader and its followers do for a batch of commands, for a heartbeat and for the answers
//! fits into buffers that are there already: a message owns no heap memory in the common case, and
//! the actions go into a list that the caller brings along and uses again.

use allocation_counter::measure;
use raft_core::{Action, Config, Input, Instant, Membership, Node, NodeId, Recovered, Token};
use std::time::Duration;

/// How often a thing is done while allocations are counted.
const RUNS: u64 = 100;

/// Nodes with queues between them; a write is durable at once, by the next inputs.
struct Cluster {
    nodes: Vec<Node>,
    inboxes: Vec<Vec<Input>>,
    now: Instant,
    inputs: Vec<Input>,
    actions: Vec<Action>,
    /// Allocations inside `step_all`.
    allocations: u64,
}

impl Cluster {
    /// Node 0 leads.
    fn new(voters: u64) -> Self {
        let membership = Membership::of_voters((0..voters).map(NodeId)).expect("valid");
        let now = Instant::from_nanos(1);
        let node = |id| {
            let config = Config::new(NodeId(id), 7);
            Node::new(config, Recovered::fresh(membership.clone()), now).expect("fresh")
        };
        let mut cluster = Self {
            nodes: (0..voters).map(node).collect(),
            inboxes: (0..voters).map(|_| Vec::new()).collect(),
            now,
            inputs: Vec::new(),
            actions: Vec::new(),
            allocations: 0,
        };
        cluster.give(Input::Campaign);
        assert_eq!(cluster.nodes[0].status().leader, Some(NodeId(0)));
        cluster
    }

    /// Gives node 0 an input, and lets every node act until there is nothing left to do.
    fn give(&mut self, input: Input) {
        self.inboxes[0].push(input);
        while let Some(at) = self.inboxes.iter().position(|inbox| !inbox.is_empty()) {
            self.step(at);
        }
    }

    fn step(&mut self, at: usize) {
        std::mem::swap(&mut self.inboxes[at], &mut self.inputs);
        self.now = self.now.saturating_add(Duration::from_micros(1));
        let Self { nodes, inputs, actions, now, .. } = self;
        let counted = measure(|| nodes[at].step_all(inputs.drain(..), *now, actions));
        self.allocations += counted.count_total - self.allocations_of_checker(at);
        for action in self.actions.drain(..) {
            match action {
                Action::Persist(write) => {
                    self.inboxes[at].push(Input::Persisted { ticket: write.ticket });
                }
                Action::Send(envelope) => {
                    let to = usize::try_from(envelope.to.get()).expect("few nodes");
                    self.inboxes[to].push(envelope.into());
                }
                _ => {}
            }
        }
    }

    /// Builds with debug assertions check the invariants at the end of each step.
    fn allocations_of_checker(&self, at: usize) -> u64 {
        if !cfg!(debug_assertions) {
            return 0;
        }
        measure(|| self.nodes[at].check().expect("invariants hold")).count_total
    }

    fn propose(&mut self, count: u64) {
        let before = self.nodes[0].status().commit_index.get();
        self.give(Input::Propose { token: Token(1), count });
        for node in &self.nodes {
            assert_eq!(node.status().last_applied.get(), before + count, "applied everywhere");
        }
    }

    fn heartbeat(&mut self) {
        self.now = self.nodes[0].deadline().expect("a leader has deadlines");
        self.give(Input::Wake);
        assert_eq!(self.nodes[0].status().leader, Some(NodeId(0)), "it still leads");
    }

    /// The allocations inside `step_all` while `act` runs for the second time and later.
    fn in_steady_state(&mut self, mut act: impl FnMut(&mut Self)) -> u64 {
        for _ in 0..10 {
            act(self);
        }
        self.allocations = 0;
        for _ in 0..RUNS {
            act(self);
        }
        self.allocations
    }
}

#[test]
fn the_allocator_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![7_u8]))).count_total, 1);
    assert!(Cluster::new(3).allocations > 0, "an election is not the steady state");
}

#[test]
fn a_commit_does_not_allocate() {
    for voters in [1, 2, 3, 5, 101] {
        for batch in [1, 16, 256, 1024] {
            let allocations = Cluster::new(voters).in_steady_state(|c| c.propose(batch));
            assert_eq!(allocations, 0, "{voters} voters, batches of {batch}");
        }
    }
}

/// A write takes the commands of several inputs as one chunk.
#[test]
fn a_write_with_commands_of_many_inputs_does_not_allocate() {
    let mut cluster = Cluster::new(3);
    let allocations = cluster.in_steady_state(|cluster| {
        let propose = |nth| Input::Propose { token: Token(nth), count: 3 };
        cluster.inboxes[0].extend((1..16).map(propose));
        cluster.give(propose(16));
    });
    assert_eq!(allocations, 0, "16 proposals at once");
    let allocations = Cluster::new(2).in_steady_state(|c| c.propose(5 * 1024));
    assert_eq!(allocations, 0, "five messages at once");
}

#[test]
fn a_heartbeat_does_not_allocate() {
    for voters in [1, 3, 101] {
        let allocations = Cluster::new(voters).in_steady_state(Cluster::heartbeat);
        assert_eq!(allocations, 0, "{voters} voters");
    }
}
