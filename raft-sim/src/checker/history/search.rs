//! Any history: the search of Wing and Gong, with the memory of Lowe: a configuration that was seen
//! once is not searched again.
//!
//! A configuration is what has taken effect and what the register holds. Few operations overlap, so
//! it is small: everything before some operation has taken effect, and a few after it have. A read
//! that returned what the register holds can go first at no loss; only writes make the search
//! branch.

use crate::checker::history::call::{Call, CallKind, Judgement};
use std::collections::BTreeSet;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Configuration {
    /// Every operation before this one has taken effect, or returned nothing.
    first: usize,
    /// Those from it on that have.
    done: Vec<usize>,
    /// Those that returned nothing and have.
    unasked: Vec<usize>,
    value: Option<u64>,
}

/// Judges the operations on one key, looking at so many configurations at most.
pub fn judge_search(operations: &[Call], budget: usize) -> Judgement {
    let returned = |value: u64| operations.iter().any(|o| o.what == CallKind::Read(Some(value)));
    let (mut asked, mut unasked) = (Vec::new(), Vec::new());
    for operation in operations {
        match (operation.returned, operation.what) {
            (Some(_), _) => asked.push(*operation),
            // What nobody has seen need not have happened.
            (None, CallKind::Write(value)) if returned(value) => unasked.push(*operation),
            (None, _) => {}
        }
    }
    asked.sort_by_key(|operation| operation.called);
    unasked.sort_by_key(|operation| operation.called);
    let start = Configuration { first: 0, done: Vec::new(), unasked: Vec::new(), value: None };
    let (mut stack, mut seen) = (vec![start.clone()], BTreeSet::from([start]));
    let mut farthest = 0;
    while let Some(configuration) = stack.pop() {
        if configuration.first == asked.len() {
            return Judgement::Linearizable;
        }
        farthest = farthest.max(configuration.first);
        for next in configuration.next(&asked, &unasked) {
            if seen.len() >= budget {
                return Judgement::Unknown;
            }
            if seen.insert(next.clone()) {
                stack.push(next);
            }
        }
    }
    Judgement::Broken(format!(
        "nothing can have happened before {:?} in any order",
        asked[farthest]
    ))
}

impl Configuration {
    /// What may come next.
    fn next(&self, asked: &[Call], unasked: &[Call]) -> Vec<Self> {
        let mut first_return = u64::MAX;
        let mut writes = Vec::new();
        for (nth, operation) in asked.iter().enumerate().skip(self.first) {
            if operation.called > first_return {
                break;
            }
            if self.done.contains(&nth) {
                continue;
            }
            first_return = first_return.min(operation.returned.unwrap_or(u64::MAX));
            match operation.what {
                CallKind::Read(value) if value == self.value => return vec![self.with(nth, value)],
                CallKind::Read(_) => {}
                CallKind::Write(value) => writes.push(self.with(nth, Some(value))),
            }
        }
        for (nth, operation) in unasked.iter().enumerate() {
            let CallKind::Write(value) = operation.what else { continue };
            if operation.called < first_return && !self.unasked.contains(&nth) {
                let mut next = Self { value: Some(value), ..self.clone() };
                next.unasked.push(nth);
                next.unasked.sort_unstable();
                writes.push(next);
            }
        }
        // The last is looked at first: what was called first most likely took effect first.
        writes.reverse();
        writes
    }

    fn with(&self, operation: usize, value: Option<u64>) -> Self {
        let mut next = Self { value, ..self.clone() };
        next.done.push(operation);
        next.done.sort_unstable();
        let ahead = (next.first..).zip(&next.done).take_while(|(first, done)| first == *done);
        let ahead = ahead.count();
        next.done.drain(..ahead);
        next.first += ahead;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::judge_search;
    use crate::checker::history::call::{Call, CallKind, Judgement};

    fn at(called: u64, returned: u64, what: CallKind) -> Call {
        Call { called, returned: Some(returned), what }
    }

    #[test]
    fn a_value_that_is_written_twice() {
        let mut history = vec![
            at(1, 2, CallKind::Write(1)),
            at(3, 4, CallKind::Write(2)),
            at(5, 6, CallKind::Read(Some(1))),
        ];
        assert!(matches!(judge_search(&history, 100), Judgement::Broken(_)));
        history.push(Call { called: 1, returned: None, what: CallKind::Write(1) });
        assert_eq!(judge_search(&history, 100), Judgement::Linearizable);
    }

    #[test]
    fn a_budget_that_is_used_up_proves_nothing() {
        let writes = (1..12).map(|value| at(value, 100, CallKind::Write(value)));
        let mut history: Vec<_> = writes.collect();
        history.push(at(101, 102, CallKind::Read(Some(77))));
        assert_eq!(judge_search(&history, 50), Judgement::Unknown);
        assert!(matches!(judge_search(&history, 1_000_000), Judgement::Broken(_)));
        assert_eq!(judge_search(&history[..11], 5), Judgement::Unknown);
        assert_eq!(judge_search(&history[..11], 1_000), Judgement::Linearizable);
    }
}
