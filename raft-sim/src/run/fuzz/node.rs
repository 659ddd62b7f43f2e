//! One node under any inputs.

use crate::run::fuzz::any::Any;
use crate::run::fuzz::kinds;
use crate::run::fuzz::subject::Subject;
use raft_core::{Instant, MessageKind};
use std::collections::BTreeSet;

/// One node under any inputs, malformed ones included, in calls of any size, with the bytes of the
/// commands beside it, through crashes of its process.
///
/// # Panics
///
/// If the node panics, breaks an invariant, changes its state by an input that it refuses, behaves
/// otherwise than its own clone, sends what is not durable, writes or sends a command that is of
/// another place, answers a request twice, or cannot start from what a crash leaves.
pub fn fuzz_one_node(bytes: &[u8]) {
    one_node(bytes, None);
}

/// As [`fuzz_one_node`]; says which kinds of inputs the node took, and which kinds of actions it
/// handed out, by their names: see [`fuzz_kinds`]. Beside them stand the reasons of refusals, and
/// `Crash`.
///
/// # Panics
///
/// As [`fuzz_one_node`].
pub fn fuzz_reached(bytes: &[u8]) -> BTreeSet<String> {
    one_node(bytes, Some(BTreeSet::new())).unwrap_or_default()
}

fn one_node(bytes: &[u8], reached: Option<BTreeSet<String>>) -> Option<BTreeSet<String>> {
    let mut any = Any::new(bytes);
    let now = Instant::from_nanos(any.up_to(1 << 40));
    let config = any.config();
    let recovered = any.recovered();
    let mut subject = Subject::start(config, &recovered, now).ok()?;
    subject.reached = reached;
    subject.drive(&mut any);
    subject.reached
}

/// Every kind of input, message and action that there is, by its name in [`fuzz_reached`]. A kind
/// that is added to the core is added here, or the build breaks.
pub fn fuzz_kinds() -> impl Iterator<Item = &'static str> {
    let messages = MessageKind::ALL.iter().map(|kind| kind.name());
    [kinds::INPUTS, kinds::ACTIONS].into_iter().flatten().copied().chain(messages)
}

#[cfg(test)]
mod tests {
    use super::fuzz_one_node;
    use crate::run::fuzz::any::Heard;
    use crate::run::fuzz::bytes;
    use crate::run::fuzz::subject::Subject;
    use raft_core::{Config, Input, Instant, Membership, NodeId, Recovered, Ticket, Token};

    #[test]
    fn one_node_stands_any_bytes() {
        for seed in 0..5_000 {
            fuzz_one_node(&bytes(seed, 600));
        }
    }

    #[test]
    fn answers_fit_what_the_node_said() {
        let membership = Membership::of_voters([NodeId(1)]).expect("one voter");
        let fresh = Recovered::fresh(membership);
        let mut subject =
            Subject::start(Config::new(NodeId(1), 0), &fresh, Instant::ZERO).expect("fresh");
        let mut heard = Heard::default();
        heard.take(&subject.step(&[Input::Wake], Instant::ZERO));
        let ticket = *heard.tickets.last().expect("its own vote is to be written");
        heard.take(&subject.step(&[Input::Persisted { ticket }], Instant::ZERO));
        assert_eq!(heard.tickets.len(), 2, "its first entry is to be written");
        let refused = [Input::Persisted { ticket: Ticket(0) }, Input::Campaign];
        for input in refused {
            subject.step(&[input], Instant::from_nanos(5));
        }
        let none = Input::Propose { token: Token(1), count: 0 };
        subject.step(&[none], Instant::from_nanos(9));
    }
}
