//! The bodies of the fuzz targets. They run on any bytes, with any toolchain.

mod any;
mod outside;

use crate::plan::choice::Choices;
use crate::plan::record::Nobody;
use crate::run::fuzz::any::Any;
use crate::run::fuzz::outside::{Outside, is_refused};
use crate::run::swarm;
use raft_core::{Action, Input, Instant, Node};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// How long the faults of a [`cluster`] last: under a sanitizer a run must be fast.
const SHORT_STORM: Duration = Duration::from_secs(2);

/// A cluster: sizes, speeds, faults, and everything else that may go one way or another, are bytes.
///
/// # Panics
///
/// If a checker objects.
pub fn fuzz_cluster(bytes: &[u8]) {
    let outcome = swarm::run_storm(Choices::from_bytes(bytes), SHORT_STORM, &mut Nobody);
    if let Err(violation) = outcome.verdict {
        panic!("{violation}");
    }
}

/// One node under any inputs, malformed ones included.
///
/// # Panics
///
/// If the node panics, breaks an invariant, changes its state by an input that it refuses, behaves
/// otherwise than its own clone, or sends what is not durable.
pub fn fuzz_one_node(bytes: &[u8]) {
    fuzz_reached(bytes);
}

/// As [`fuzz_one_node`]; says which kinds of inputs the node took, and which kinds of actions it
/// handed out, by their names.
///
/// # Panics
///
/// As [`fuzz_one_node`].
pub fn fuzz_reached(bytes: &[u8]) -> BTreeSet<String> {
    let mut any = Any::new(bytes);
    let mut reached = BTreeSet::new();
    let mut now = Instant::from_nanos(any.up_to(1 << 40));
    let config = any.config();
    let recovered = any.recovered();
    let Ok(mut node) = Node::new(config, recovered.clone(), now) else { return reached };
    let mut outside = Outside::new(recovered.hard_state, &node.status());
    // A log that a snapshot contradicts goes with the first write.
    let mut actions = Vec::new();
    node.step_all([Input::Wake; 0], now, &mut actions);
    outside.see(&Input::Wake, &actions, &node.status());
    any.heard.take(&actions);
    while !any.choices.is_exhausted() {
        now = match any.below(8) {
            // Time mostly goes on, sometimes stands, goes back, or ends.
            0 => Instant::from_nanos(now.as_nanos().saturating_sub(any.up_to(1 << 30))),
            1 => Instant::from_nanos(any.number()),
            2 => node.deadline().unwrap_or(now),
            _ => now.saturating_add(Duration::from_nanos(any.up_to(1 << 28))),
        };
        let input = any.input(&node.status());
        let actions = step(&mut node, &input, now);
        outside.see(&input, &actions, &node.status());
        let waiting = node.status().pending_reads;
        assert!(waiting <= node.config().max_pending_reads, "what waits is bounded");
        if !is_refused(&input, &actions) {
            reached.insert(name(&input));
        }
        reached.extend(actions.iter().map(name));
        any.heard.take(&actions);
    }
    reached
}

/// The name of a variant; of a message its own.
fn name(value: &impl fmt::Debug) -> String {
    let text = format!("{value:?}");
    let text = text.split_once("message: ").map_or(text.as_str(), |(_, message)| message);
    text.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// One step, compared with what it must be.
fn step(node: &mut Node, input: &Input, now: Instant) -> Vec<Action> {
    let (mut clone, mut idle) = (node.clone(), node.clone());
    let actions = node.step(input.clone(), now);
    node.check().expect("every invariant holds after every step");
    assert_eq!(clone.step(input.clone(), now), actions, "a clone does the same");
    assert_eq!(clone, *node, "a clone becomes the same");
    if is_refused(input, &actions) {
        let mut nothing = Vec::new();
        idle.step_all([Input::Wake; 0], now, &mut nothing);
        assert_eq!(nothing, [], "there is nothing left to do after a step");
        assert_eq!(idle, *node, "a refused input changes nothing but the clock: {input:?}");
        assert_eq!(actions.len(), 1, "a refusal is all that comes of a refused input");
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::{fuzz_cluster, fuzz_one_node, step};
    use crate::plan::choice::{Choices, Question};
    use crate::run::fuzz::any::Heard;
    use raft_core::{Config, Input, Instant, Membership, Node, NodeId, Recovered, Ticket, Token};

    /// Any bytes: many of one kind, so that choices repeat.
    fn bytes(seed: u64, most: u64) -> Vec<u8> {
        let mut choices = Choices::seeded(seed);
        let length = choices.below(Question::Input, most);
        let byte = |_| u8::try_from(choices.below(Question::Input, 256)).expect("a byte");
        (0..length).map(byte).collect()
    }

    #[test]
    fn one_node_stands_any_bytes() {
        for seed in 0..5_000 {
            fuzz_one_node(&bytes(seed, 600));
        }
    }

    #[test]
    fn a_cluster_stands_any_bytes() {
        fuzz_cluster(&[]);
        for seed in 0..100 {
            fuzz_cluster(&bytes(seed, 3_000));
        }
    }

    #[test]
    fn answers_fit_what_the_node_said() {
        let membership = Membership::of_voters([NodeId(1)]).expect("one voter");
        let config = Config::new(NodeId(1), 0);
        let mut node =
            Node::new(config, Recovered::fresh(membership), Instant::ZERO).expect("fresh");
        let mut heard = Heard::default();
        heard.take(&step(&mut node, &Input::Wake, Instant::ZERO));
        let ticket = *heard.tickets.last().expect("its own vote is to be written");
        heard.take(&step(&mut node, &Input::Persisted { ticket }, Instant::ZERO));
        assert_eq!(heard.tickets.len(), 2, "its first entry is to be written");
        let refused = [Input::Persisted { ticket: Ticket(0) }, Input::Campaign];
        for input in refused {
            step(&mut node, &input, Instant::from_nanos(5));
        }
        step(&mut node, &Input::Propose { token: Token(1), count: 0 }, Instant::from_nanos(9));
    }
}
