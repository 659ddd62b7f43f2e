//! What the clients of a run saw.

use crate::checker::history::call::{Call, CallKind, Judgement};
use crate::checker::history::judge::judge;
use crate::host::client::{operation_of, token};
use crate::plan::record;
use crate::plan::record::Stage;
use raft_core::Token;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// The operations of a run, taken down as they begin and end.
#[derive(Clone, Default, Debug)]
pub struct History {
    /// The number of the last call or return.
    moment: u64,
    operations: BTreeMap<Token, (u64, Call)>,
    /// Values that the nodes' logs hold at the beginning of the run.
    given: BTreeSet<u64>,
}

/// Why a history is not known to be fine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// There is no order, and why.
    Broken(String),
    /// The budget was spent before anybody knew.
    Unknown(String),
}

impl History {
    /// How many configurations of a key are looked at in a run.
    pub const BUDGET: usize = 100_000;

    /// The history of a run in which these values stand in logs at the beginning: whether and when
    /// they are written, nobody knows.
    pub fn after(given: BTreeSet<u64>) -> Self {
        Self { given, ..Self::default() }
    }

    /// Takes down where an operation of a client stands.
    pub fn take(&mut self, client: u64, serial: u64, what: record::Operation, phase: Stage) {
        self.moment += 1;
        let (key, what) = match what {
            record::Operation::Write { key, value } => (key, CallKind::Write(value)),
            record::Operation::Read { key } | record::Operation::Query { key, .. } => {
                (key, CallKind::Read(None))
            }
            // What an embedder's own state machine means is not known here.
            record::Operation::Apply { .. } | record::Operation::Ask { .. } => return,
        };
        let name = token(client, serial);
        match phase {
            Stage::Invoked => {
                let operation = Call { called: self.moment, returned: None, what };
                self.operations.insert(name, (key, operation));
            }
            Stage::Returned { value, .. } => {
                let Entry::Occupied(mut known) = self.operations.entry(name) else { return };
                let (_, operation) = known.get_mut();
                operation.returned = Some(self.moment);
                if let CallKind::Read(seen) = &mut operation.what {
                    *seen = value;
                }
            }
            Stage::Failed => {
                self.operations.remove(&name);
            }
            Stage::Unknown => {}
        }
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The operations on each key.
    pub fn by_key(&self) -> BTreeMap<u64, Vec<Call>> {
        let mut keys: BTreeMap<u64, Vec<Call>> = BTreeMap::new();
        for (key, operation) in self.operations.values() {
            keys.entry(*key).or_default().push(*operation);
        }
        for operations in keys.values_mut() {
            let unseen = |value| self.given.contains(&value) || operation_of(Token(value)).0 == 0;
            let unseen = operations.iter().filter_map(|operation| match operation.what {
                CallKind::Read(Some(value)) if unseen(value) => Some(value),
                _ => None,
            });
            let mut values: Vec<u64> = unseen.collect();
            values.sort_unstable();
            values.dedup();
            values.retain(|value| operations.iter().all(|o| o.what != CallKind::Write(*value)));
            // The operator's writes are not taken down, as it waits for no answer: whatever they
            // wrote may have been written at any time.
            let write = |value| Call { called: 0, returned: None, what: CallKind::Write(value) };
            operations.extend(values.into_iter().map(write));
        }
        keys
    }

    /// Judges what was seen, key by key, looking at so many configurations of each at most. What is
    /// broken on some key is said before what nobody knows on another.
    ///
    /// # Errors
    ///
    /// On which key there is no order for the operations, and why; or on which nobody knows.
    pub fn check(&self, budget: usize) -> Result<(), Doubt> {
        let mut unknown = None;
        for (key, operations) in self.by_key() {
            match judge(&operations, budget) {
                Judgement::Linearizable => {}
                Judgement::Broken(sentence) => {
                    let sentence = format!("on key {key}, by what the clients saw: {sentence}");
                    return Err(Doubt::Broken(sentence));
                }
                Judgement::Unknown => {
                    let sentence = format!(
                        "on key {key}, nobody knows whether what the clients saw can have \
                         happened: the search ended after {budget} configurations"
                    );
                    unknown.get_or_insert(Doubt::Unknown(sentence));
                }
            }
        }
        unknown.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::{Doubt, History};
    use crate::host::client::token;
    use crate::plan::record::{Operation, Stage};
    use raft_core::LogPosition;

    const READ: Operation = Operation::Read { key: 3 };
    const WRITE: Operation = Operation::Write { key: 3, value: token(1, 1).get() };

    fn returned(value: Option<u64>) -> Stage {
        Stage::Returned { value, position: LogPosition::ZERO }
    }

    fn written(phase: Stage) -> History {
        let mut history = History::default();
        history.take(1, 1, WRITE, Stage::Invoked);
        history.take(1, 1, WRITE, phase);
        history.take(2, 1, READ, Stage::Invoked);
        history
    }

    #[test]
    fn a_read_that_returns_a_write_that_failed() {
        let value = Some(token(1, 1).get());
        for (phase, fine) in
            [(returned(value), true), (Stage::Unknown, true), (Stage::Failed, false)]
        {
            let mut history = written(phase);
            history.take(2, 1, READ, returned(value));
            assert_eq!(history.check(History::BUDGET).is_ok(), fine, "{phase:?}");
        }
    }

    #[test]
    fn a_read_that_does_not_return_a_write_that_returned() {
        let value = Some(token(1, 1).get());
        for (phase, fine) in
            [(returned(value), false), (Stage::Unknown, true), (Stage::Failed, true)]
        {
            let mut history = written(phase);
            history.take(2, 1, READ, returned(None));
            assert_eq!(history.check(History::BUDGET).is_ok(), fine, "{phase:?}");
        }
    }

    #[test]
    fn what_the_operator_wrote_may_be_read() {
        let mut history = History::default();
        history.take(2, 1, READ, Stage::Invoked);
        history.take(2, 1, READ, returned(Some(token(0, 9).get())));
        history.take(2, 2, READ, Stage::Invoked);
        history.take(2, 2, READ, returned(Some(token(5, 9).get())));
        let Err(Doubt::Broken(sentence)) = history.check(History::BUDGET) else {
            panic!("client 5 wrote nothing");
        };
        assert!(sentence.contains("on key 3") && sentence.contains("before anybody writes it"));
    }
    #[test]
    fn what_nobody_knows_is_not_fine_and_what_is_broken_comes_first() {
        let mut history = History::default();
        // One value twice: zones cannot judge that, only a search.
        for client in 1..=6 {
            history.take(client, 1, WRITE, Stage::Invoked);
        }
        for client in 1..=6 {
            history.take(client, 1, WRITE, returned(Some(1)));
        }
        assert_eq!(history.check(History::BUDGET), Ok(()));
        let Err(Doubt::Unknown(sentence)) = history.check(2) else { panic!("in two steps?") };
        assert!(sentence.contains("on key 3") && sentence.contains("after 2 config"), "{sentence}");
        let later = Operation::Read { key: 4 };
        history.take(7, 1, later, Stage::Invoked);
        history.take(7, 1, later, returned(Some(token(5, 9).get())));
        assert!(matches!(history.check(2), Err(Doubt::Broken(_))));
    }
}
