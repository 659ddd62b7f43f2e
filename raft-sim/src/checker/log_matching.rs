//! If two logs contain an entry with the same index and term, then the logs are identical in all
//! entries up through the given index (Raft paper, figure 3).
//!
//! Every entry that was ever written is known by its position, with its content and with the term
//! before it. Two entries of one position must agree in both; that is the property, by induction.
//! So the cost is that of what was written, whatever the length of the logs.

use crate::checker::by_index::ByIndex;
use crate::checker::sight::Checker;
use crate::checker::sight::FORGET_EACH;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use crate::host::log::Command;
use crate::host::log::Log;
use raft_core::payload::Content;
use raft_core::{Action, LogIndex, NodeId, Term};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct LogMatching {
    judged: u64,
    /// Of each term, by index.
    entries: BTreeMap<Term, ByIndex<Known>>,
    /// How often something was written.
    learnt: u64,
    /// Up to here everything is forgotten.
    forgotten: LogIndex,
}

#[derive(Clone, Debug)]
struct Known {
    term_before: Term,
    content: Content<Command>,
    first_seen: NodeId,
}

impl Checker for LogMatching {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let node = &sight.node;
        if let Observed::Started = sight.observed {
            self.learn(node.id, node.log, LogIndex(1))?;
        }
        let first_written = |action: &Action| match action {
            Action::Persist(write) => write.log.as_ref().map(|log| log.first),
            _ => None,
        };
        if let Some(first) = sight.actions().iter().filter_map(first_written).min() {
            self.learn(node.id, node.log, first)?;
            self.learnt += 1;
            if self.learnt.is_multiple_of(FORGET_EACH) {
                self.forget(sight.forgotten());
            }
        }
        match node.status {
            Some(status)
                if sight.is_whole()
                    && status.installing.is_none()
                    && status.last != node.log.last() =>
            {
                Err(format!(
                    "{:?} says that its log ends at {}, and has written it up to {}",
                    node.id,
                    status.last,
                    node.log.last()
                ))
            }
            _ => Ok(()),
        }
    }
}

impl LogMatching {
    fn forget(&mut self, upto: LogIndex) {
        if upto > self.forgotten {
            self.forgotten = upto;
            for entries in self.entries.values_mut() {
                entries.forget(LogIndex(upto.get() + 1));
            }
            self.entries.retain(|_, entries| entries.end() > LogIndex(upto.get() + 1));
        }
    }

    /// Takes in the entries of a log from an index on.
    fn learn(&mut self, node: NodeId, log: &Log, first: LogIndex) -> Result<(), String> {
        let first = first.max(LogIndex(log.start().index.get() + 1));
        let before = LogIndex(first.get() - 1);
        let mut term_before = log.position(before).map_or(Term::ZERO, |position| position.term);
        for (position, entry) in log.from(first) {
            if position.term < term_before {
                return Err(format!("{node:?} holds {position} after an entry of {term_before:?}"));
            }
            let of_term = self.entries.entry(position.term).or_default();
            let Some(known) = of_term.get(position.index) else {
                let content = entry.content.clone();
                of_term.insert(position.index, Known { term_before, content, first_seen: node });
                term_before = position.term;
                continue;
            };
            self.judged += 1;
            let other = known.first_seen;
            if known.term_before != term_before {
                return Err(format!(
                    "{node:?} and {other:?} hold {position} after entries of different terms, \
                     {term_before:?} and {:?}",
                    known.term_before
                ));
            }
            if known.content != entry.content {
                return Err(format!("{node:?} and {other:?} hold different entries at {position}"));
            }
            term_before = position.term;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::LogMatching;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::write;
    use crate::plan::choice::Choices;
    use crate::plan::choice::Question;
    use crate::host::log::Command;
    use crate::host::log::Log;
    use raft_core::payload::Content;
    use raft_core::{LogIndex, NodeId};

    #[test]
    fn logs_that_match() {
        let (mut cluster, mut checker) = (Cluster::of(3), LogMatching::default());
        cluster.node(1).fill(&[1, 1, 2]);
        cluster.started(&mut checker, 1).expect("a log");
        cluster.node(2).fill(&[1, 1, 3]);
        cluster.started(&mut checker, 2).expect("another branch");
        cluster.node(2).fill(&[1, 1, 2]);
        cluster.stepped(&mut checker, 2, &[write(3, &[2])]).expect("it took the other's");
    }

    #[test]
    fn the_same_position_after_different_terms() {
        let (mut cluster, mut checker) = (Cluster::of(3), LogMatching::default());
        cluster.node(1).fill(&[1, 1, 3]);
        cluster.started(&mut checker, 1).expect("a log");
        cluster.node(2).fill(&[1, 2]);
        cluster.started(&mut checker, 2).expect("another branch");
        cluster.node(2).fill(&[1, 2, 3]);
        let step = cluster.stepped(&mut checker, 2, &[write(3, &[3])]);
        refused(step, "hold 3/3 after entries of different terms");
    }

    #[test]
    fn the_same_position_with_another_command() {
        let (mut cluster, mut checker) = (Cluster::of(3), LogMatching::default());
        cluster.node(1).fill(&[1, 1]);
        cluster.started(&mut checker, 1).expect("a log");
        let node = cluster.node(2);
        node.fill(&[1]);
        let mut entry = node.log.get(LogIndex(1)).expect("one entry").clone();
        let Content::Command(command) = &mut entry.content else { panic!("a command") };
        *command = Command { serial: 99, ..*command };
        node.log.push(entry);
        node.status.last = node.log.last();
        refused(cluster.started(&mut checker, 2), "different entries at 1/2");
    }

    #[test]
    fn terms_that_decrease() {
        let (mut cluster, mut checker) = (Cluster::of(3), LogMatching::default());
        cluster.node(1).fill(&[2, 1]);
        refused(cluster.started(&mut checker, 1), "holds 1/2 after an entry of t2");
    }

    #[test]
    fn a_node_that_does_not_know_its_own_log() {
        let (mut cluster, mut checker) = (Cluster::of(3), LogMatching::default());
        cluster.node(1).fill(&[1, 1]).log.truncate(LogIndex(2));
        refused(cluster.stepped(&mut checker, 1, &[]), "ends at 1/2, and has written it up to");
    }

    /// The property word by word, for every pair of logs that ever were.
    fn all_match(logs: &[Log]) -> bool {
        let matches = |a: &Log, b: &Log| {
            let equal = a.iter().zip(b.iter()).filter(|((p, _), (q, _))| p == q);
            let last_equal = equal.map(|((position, _), _)| position.index).max();
            let up_to = last_equal.unwrap_or(LogIndex::ZERO);
            a.iter().zip(b.iter()).take_while(|((p, _), _)| p.index <= up_to).all(|(x, y)| x == y)
        };
        logs.iter().all(|a| logs.iter().all(|b| matches(a, b)))
    }

    #[test]
    fn it_agrees_with_the_definition_on_random_histories() {
        let (mut good, mut bad) = (0, 0);
        for seed in 0..3_000 {
            let mut choices = Choices::seeded(seed);
            let mut below = |bound| choices.below(Question::Setup, bound);
            let (mut checker, mut logs) = (LogMatching::default(), Vec::<Log>::new());
            let mut fine = true;
            for _ in 0..2 + below(5) {
                // A log that exists, cut somewhere, and continued: mostly as the protocol would.
                let mut terms: Vec<u64> = match logs.len() {
                    0 => Vec::new(),
                    n => {
                        let nth = usize::try_from(below(n as u64)).expect("small");
                        logs[nth].iter().map(|(position, _)| position.term.get()).collect()
                    }
                };
                terms.truncate(usize::try_from(below(4)).expect("small"));
                for _ in 0..below(4) {
                    terms.push(terms.last().copied().unwrap_or(1) + below(3) % 2);
                }
                let mut cluster = Cluster::of(1);
                cluster.node(1).fill(&terms);
                let log = cluster.node(1).log.clone();
                fine &= checker.learn(NodeId(1), &log, LogIndex(1)).is_ok();
                logs.push(log);
            }
            assert_eq!(fine, all_match(&logs), "seed {seed}: {logs:?}");
            *(if fine { &mut good } else { &mut bad }) += 1;
        }
        assert!(good > 300 && bad > 300, "{good} good and {bad} bad histories");
    }
}
