//! Recovery from any durable state.

use crate::run::fuzz::any::Any;
use crate::run::fuzz::stage::{Play, Stage, announce};
use crate::run::fuzz::subject::Subject;
use crate::run::fuzz::wire::{Format, both, there_and_back};
use raft_core::{Instant, LogIndex, Message, Recovered, StartError, Status};

/// A node that starts from any durable state, and is then stepped, with crashes of its own. The
/// first byte says where the state comes from: it is drawn, or decoded from postcard or JSON; the
/// rest is drawn as in [`fuzz_one_node`](super::fuzz_one_node).
///
/// # Panics
///
/// If a state is neither refused with a typed error nor taken with every invariant; if the node
/// starts with another term, vote, log or applied index than was found; if a state that a crash
/// left is refused; and as [`fuzz_one_node`](super::fuzz_one_node).
pub fn fuzz_recovery(bytes: &[u8]) {
    let _ = recovery(bytes);
}

/// What the node has come to, or why it did not start; `None` where no state was decoded.
fn recovery(bytes: &[u8]) -> Option<Result<Status, StartError>> {
    let (kind, rest) = bytes.split_first()?;
    let (recovered, mut any): (Recovered, Any) = match kind % 4 {
        0 | 1 => {
            let (recovered, rest) = Format::of(*kind).read(rest)?;
            there_and_back(&recovered);
            (recovered, Any::new(rest))
        }
        _ => {
            let mut any = Any::new(rest);
            (any.recovered(), any)
        }
    };
    let now = Instant::from_nanos(any.up_to(1 << 40));
    let config = any.config();
    Some(Subject::start(config, &recovered, now).map(|mut subject| {
        subject.drive(&mut any);
        subject.status()
    }))
}

/// Inputs to begin with: what stands on the disk of a node of each stage, and a log beside it that
/// fits or does not, in each format.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (format, stage) in both(&Stage::ALL) {
        let node = Play::of(Stage::of(stage)).subject;
        let hard_state = node.status().durable_hard_state;
        let membership = node.node().membership().clone();
        let found = Recovered { hard_state, ..Recovered::fresh(membership) };
        let Message::AppendEntries(append) = announce().message else { continue };
        let (entries, applied) = (append.entries, LogIndex(4));
        for recovered in [Recovered { entries, applied, ..found.clone() }, found] {
            let mut bytes = vec![format];
            bytes.extend(Format::of(format).write(&recovered));
            seeds.push(bytes);
        }
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::{fuzz_recovery, recovery, seeds};
    use crate::run::fuzz::bytes;

    #[test]
    fn any_state_is_refused_or_taken() {
        let (mut taken, mut refused) = (0, 0);
        for seed in 0..3_000 {
            let mut bytes = bytes(seed, 300);
            bytes.insert(0, 2);
            match recovery(&bytes).expect("a state was drawn") {
                Ok(_) => taken += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(taken > 300 && refused > 300, "{taken} taken, {refused} refused");
    }

    #[test]
    fn states_of_real_disks_are_read() {
        let results: Vec<_> = seeds().iter().map(|seed| recovery(seed)).collect();
        assert!(results.iter().all(Option::is_some), "all are decoded");
        assert!(results.iter().flatten().any(Result::is_ok), "some are taken");
        for seed in seeds() {
            fuzz_recovery(&seed);
        }
    }
}
