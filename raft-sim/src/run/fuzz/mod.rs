//! The bodies of the fuzz targets. They run on any bytes, with any toolchain.

mod any;

use crate::plan::choice::Choices;
use crate::plan::record::Nobody;
use crate::run::fuzz::any::Any;
use crate::run::swarm;
use raft_core::{
    Action, Envelope, HardState, Input, Instant, Message, Node, Outcome, Status, Ticket, Verdict,
};
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

/// Whether all that comes of the input is that it is refused. A request that is under way may be
/// refused by what comes later: that is an effect.
fn is_refused(input: &Input, actions: &[Action]) -> bool {
    let name = match input {
        Input::Propose { token, .. }
        | Input::Read { token, .. }
        | Input::ChangeMembership { token, .. }
        | Input::TransferLeadership { token, .. } => Some(*token),
        _ => None,
    };
    actions.iter().any(|action| match action {
        Action::Ignored { .. } => true,
        Action::Rejected { token, .. } => name == Some(*token),
        _ => false,
    })
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

/// What is seen of the node from outside.
struct Outside {
    before: Status,
    durable: HardState,
    in_flight: Vec<(Ticket, Option<HardState>)>,
    last_ticket: Option<Ticket>,
}

impl Outside {
    fn new(recovered: HardState, status: &Status) -> Self {
        Self { before: *status, durable: recovered, in_flight: Vec::new(), last_ticket: None }
    }

    fn see(&mut self, input: &Input, actions: &[Action], after: &Status) {
        let before = std::mem::replace(&mut self.before, *after);
        assert!(after.term >= before.term, "the term does not decrease");
        assert!(after.commit_index >= before.commit_index, "the commit index does not decrease");
        if after.term == before.term && before.voted_for.is_some() {
            assert_eq!(after.voted_for, before.voted_for, "one vote in a term");
        }
        if let Input::Persisted { ticket } = input {
            let issued = self.last_ticket.is_some_and(|last| *ticket <= last);
            for (_, state) in self.in_flight.extract_if(.., |(t, _)| issued && *t <= *ticket) {
                self.durable = state.unwrap_or(self.durable);
            }
        }
        let mut applied = before.last_applied;
        let taken = !is_refused(input, actions);
        if let Input::SnapshotInstalled { position, outcome: Outcome::Done } = input
            && taken
        {
            applied = applied.max(position.index);
        }
        for action in actions {
            match action {
                Action::Persist(write) => {
                    let next = self.last_ticket.is_none_or(|last| write.ticket > last);
                    assert!(next, "tickets ascend");
                    self.last_ticket = Some(write.ticket);
                    self.in_flight.push((write.ticket, write.hard_state));
                    let dropped = write.log.as_ref().is_some_and(|l| {
                        l.restart_after.is_none() && l.first <= before.commit_index
                    });
                    assert!(!dropped, "what is committed stays");
                }
                Action::Send(envelope) => self.sends(envelope),
                Action::Apply { first, through } => {
                    assert_eq!(first.get(), applied.get() + 1, "applied in order");
                    assert!(*first <= through.index && through.index <= after.commit_index);
                    applied = through.index;
                }
                _ => {}
            }
        }
        assert_eq!(applied, after.last_applied, "what is applied is handed out");
    }

    fn sends(&self, envelope: &Envelope) {
        let durable = self.durable;
        assert!(envelope.term <= durable.current_term, "the term of {envelope:?} is durable");
        let vote = match &envelope.message {
            Message::RequestVote(_) => envelope.from,
            Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => envelope.to,
            _ => return,
        };
        let held = (durable.current_term, durable.voted_for);
        assert_eq!(held, (envelope.term, Some(vote)), "the vote in {envelope:?} is durable");
    }
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
