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
    use crate::input::{Consistency, Input, Recovered};
    use crate::membership::Membership;
    use crate::message::{
        AppendEntries, AppendEntriesResponse, AppendOutcome, Echo, Envelope, Message, PreVote,
        PreVoteResponse, Probe, ReadIndexResponse, RequestVoteResponse, Verdict,
    };
    use crate::types::{Instant, LogIndex, LogPosition, NodeId, Term, Token};
    use crate::{Action, Config, Node};
    use alloc::vec::Vec;
    use core::cell::Cell;
    use core::time::Duration;

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
        let of = |messages: u64, later_leaders: u64| {
            let after = |n: u64| if n == 0 { LogPosition::ZERO } else { at(n * RUNS, n * RUNS) };
            let top = messages * RUNS;
            let appends =
                (0..messages).map(|n| append(top, after(n), n * RUNS + 1..=(n + 1) * RUNS));
            let replaced = (1..=later_leaders)
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
        let (without, with) = (of(16, 0), of(16, 100));
        assert!(with - without < 100 * 10, "{} for 100 truncations", with - without);
    }

    /// Node 1 leads three in term 1, and its first entry is committed.
    fn leader() -> Node {
        let mut node = node();
        let mut inputs = alloc::vec![Input::Campaign];
        while !inputs.is_empty() {
            let (_, actions) = work_of(&mut node, &inputs);
            inputs = actions.iter().filter_map(answer_of_2).collect();
        }
        assert_eq!(node.status().commit_index, LogIndex(1));
        node
    }

    /// What the disk and node 2 say to this.
    fn answer_of_2(action: &Action) -> Option<Input> {
        let (asked, verdict, last) = match action {
            Action::Persist(write) => return Some(Input::Persisted { ticket: write.ticket }),
            Action::Send(asked) => (asked, Verdict::Granted, LogPosition::ZERO),
            _ => return None,
        };
        let message = match &asked.message {
            Message::PreVote(PreVote { round, .. }) => {
                Message::PreVoteResponse(PreVoteResponse { round: *round, verdict, last })
            }
            Message::RequestVote(_) => {
                Message::RequestVoteResponse(RequestVoteResponse { verdict, last })
            }
            Message::AppendEntries(AppendEntries { probe: Some(probe), .. }) => {
                let Probe { round, sent_at, .. } = *probe;
                let echo = Some(Echo { round, sent_at, promised: Duration::ZERO });
                let outcome = AppendOutcome::Matched { match_index: LogIndex(1) };
                Message::AppendEntriesResponse(AppendEntriesResponse {
                    outcome,
                    echo,
                    seen: echo.map(|echo| echo.round),
                })
            }
            _ => return None,
        };
        let (from, to) = (NodeId(2), NodeId(1));
        (asked.to == from).then(|| Envelope { from, to, term: asked.term, message }.into())
    }

    fn read(n: u64) -> Input {
        Input::Read { token: Token(n), consistency: Consistency::ReadIndex }
    }

    const READS: usize = 1000;

    #[test]
    fn a_read_that_waits_costs_a_leader_nothing_before_it_ends() {
        let mut leader = leader();
        let (_, asked) = work_of(&mut leader, &[read(0)]);
        for n in 1..READS as u64 {
            let (work, _) = work_of(&mut leader, &[read(n)]);
            assert!(work < 10, "{work} for one read more");
        }
        let (work, _) = work_of(&mut leader, &[Input::Wake]);
        assert!(work < 10, "{work} for a step that ends none");
        let mut inputs: Vec<_> = asked.iter().filter_map(answer_of_2).collect();
        let (mut total, mut answered) = (0, 0);
        while !inputs.is_empty() {
            let (work, actions) = work_of(&mut leader, &inputs);
            total += work;
            answered += actions.iter().filter(|a| matches!(a, Action::ReadReady { .. })).count();
            inputs = actions.iter().filter_map(answer_of_2).collect();
        }
        assert_eq!(answered, READS);
        assert!(total < 3 * READS, "{total} for {READS} reads");
    }

    #[test]
    fn a_read_that_waits_costs_a_follower_nothing_before_it_ends() {
        let mut follower = node();
        let hello = append(1, LogPosition::ZERO, core::iter::empty());
        let (_, actions) = work_of(&mut follower, &[hello]);
        let durable: Vec<_> = actions.iter().filter_map(answer_of_2).collect();
        let _ = work_of(&mut follower, &durable);
        let mut last = Vec::new();
        for n in 0..READS as u64 {
            let (work, actions) = work_of(&mut follower, &[read(n)]);
            assert!(work < 10, "{work} for one read more");
            last = actions;
        }
        let (work, _) = work_of(&mut follower, &[Input::Wake]);
        assert!(work < 10, "{work} for a step that ends none");
        let answers = last.iter().filter_map(|action| match action {
            Action::Send(Envelope { message: Message::ReadIndex(m), .. }) => {
                let m = ReadIndexResponse { id: m.id, index: Some(LogIndex::ZERO) };
                let (from, to, term) = (NodeId(2), NodeId(1), Term(1));
                let message = Message::ReadIndexResponse(m);
                Some(Envelope { from, to, term, message }.into())
            }
            _ => None,
        });
        let answers: Vec<_> = answers.collect();
        let (work, answered) = work_of(&mut follower, &answers);
        assert_eq!(answered.len(), READS);
        assert!(work < 3 * READS, "{work} for {READS} reads");
    }
}
