//! The work of a step, as a number: the tests of what an input may cost count, they take no times.

/// `items` elements of a list were walked over. Counts in unit tests; otherwise it is nothing.
#[inline]
pub(crate) fn looked_at(items: usize) {
    #[cfg(not(test))]
    let _ = items;
    #[cfg(test)]
    tests::count(items);
}

#[cfg(test)]
mod tests {
    use crate::entries::{Entries, Run};
    use crate::input::{Input, Recovered};
    use crate::membership::Membership;
    use crate::message::{AppendEntries, Envelope, Message};
    use crate::types::{Instant, LogIndex, LogPosition, NodeId, Term};
    use crate::{Action, Config, Node};
    use alloc::vec::Vec;
    use core::cell::Cell;

    std::thread_local! {
        static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count(items: usize) {
        LOOKED_AT.with(|sum| sum.set(sum.get() + items));
    }

    /// How many elements were walked over in a step of these inputs, its invariants not counted.
    fn work_of(node: &mut Node, inputs: &[Input]) -> (usize, Vec<Action>) {
        let before = LOOKED_AT.with(Cell::get);
        let mut actions = Vec::new();
        node.step_all(inputs, Instant::ZERO, &mut actions);
        (LOOKED_AT.with(Cell::get) - before, actions)
    }

    fn node() -> Node {
        let membership = Membership::of_voters([1, 2, 3].map(NodeId)).expect("valid");
        Node::new(Config::new(NodeId(1), 7), Recovered::fresh(membership), Instant::ZERO)
            .expect("it may start")
    }

    /// Node 2, the leader of this term, appends a command of each of `terms` after `prev`.
    fn append(term: u64, prev: LogPosition, terms: impl Iterator<Item = u64>) -> Input {
        let command = |term| Run::Commands { term: Term(term), count: 1 };
        let entries: Entries = terms.map(command).collect();
        let m = AppendEntries { prev, entries, commit: LogIndex::ZERO, probe: None };
        let (from, to) = (NodeId(2), NodeId(1));
        Envelope { from, to, term: Term(term), message: Message::AppendEntries(m) }.into()
    }

    const fn at(term: u64, index: u64) -> LogPosition {
        LogPosition::new(Term(term), LogIndex(index))
    }

    const RUNS: u64 = AppendEntries::MAX_RUNS as u64;

    #[test]
    fn an_append_costs_what_its_runs_are() {
        let (few, _) = work_of(&mut node(), &[append(RUNS, LogPosition::ZERO, 1..=RUNS / 4)]);
        let (many, _) = work_of(&mut node(), &[append(RUNS, LogPosition::ZERO, 1..=RUNS)]);
        assert!(few > 0 && many < 5 * few, "{few} for a quarter, {many} for all");
    }

    /// Many full messages, and then each of a long row of leaders replaces the last entry.
    #[test]
    fn a_truncation_costs_what_it_drops_not_what_the_call_has_appended() {
        let of = |messages: u64| {
            let after = |n: u64| if n == 0 { LogPosition::ZERO } else { at(n * RUNS, n * RUNS) };
            let top = messages * RUNS;
            let appends =
                (0..messages).map(|n| append(top, after(n), n * RUNS + 1..=(n + 1) * RUNS));
            let replaced = (1..100)
                .map(|later| append(top + later, at(top - 1, top - 1), [top + later].into_iter()));
            let inputs: Vec<_> = appends.chain(replaced).collect();
            let (work, actions) = work_of(&mut node(), &inputs);
            let written = actions.iter().find_map(|action| match action {
                Action::Persist(write) => write.log.as_ref().map(|log| log.last_index().get()),
                _ => None,
            });
            assert_eq!(written, Some(top), "all of it is written");
            work
        };
        let (few, many) = (of(4), of(16));
        assert!(many < 5 * few, "{few} after 4 messages, {many} after 16");
    }
}
