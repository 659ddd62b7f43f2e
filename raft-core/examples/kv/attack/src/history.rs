//! Whether what clients saw of one key is linearizable: whether their operations can be put into
//! one order that respects time and in which each read returns the write before it (Wing and Gong's
//! search, with what was tried remembered).

use std::collections::BTreeSet;
use std::time::Instant;

/// The value of a key: what its last write wrote, or nothing.
pub type Value = Option<u64>;

/// What a client did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// This value was written. If it is not known whether it was, it has no end.
    Write(u64),
    /// This value was found.
    Read(Value),
}

/// What a client did, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// What it did.
    pub action: Action,
    /// When it asked.
    pub begun: Instant,
    /// `None`: it may take effect at any time after its beginning, or never.
    pub ended: Option<Instant>,
}

/// How many operations one key may have.
pub const LONGEST: usize = 128;

/// Whether there is such an order.
///
/// # Panics
///
/// The history is longer than [`LONGEST`].
pub fn is_linearizable(history: &[Operation]) -> bool {
    assert!(history.len() <= LONGEST);
    // A write that nobody knows of and nobody has read may as well never have happened.
    let is_read = |of: u64| history.iter().any(|other| other.action == Action::Read(Some(of)));
    let matters = |nth: &usize| match history[*nth] {
        Operation { action: Action::Write(value), ended: None, .. } => is_read(value),
        _ => true,
    };
    let idle = (0..history.len()).filter(|nth| !matters(nth)).fold(0, |mask, nth| mask | 1 << nth);
    let must = history.iter().enumerate().filter(|(_, operation)| operation.ended.is_some());
    let must = must.fold(0_u128, |mask, (nth, _)| mask | 1 << nth);
    let (mut tried, mut open) = (BTreeSet::new(), vec![(idle, None::<u64>)]);
    while let Some((done, value)) = open.pop() {
        if done & must == must {
            return true;
        }
        if !tried.insert((done, value)) {
            continue;
        }
        let is_open = |nth: &usize| done & (1 << nth) == 0;
        // Nothing may come after something that had not begun when it ended.
        let ends = (0..history.len()).filter(is_open).filter_map(|nth| history[nth].ended);
        let first_end = ends.min();
        for nth in (0..history.len()).filter(is_open) {
            let Operation { action, begun, .. } = history[nth];
            if first_end.is_some_and(|end| end < begun) {
                continue;
            }
            match action {
                Action::Write(written) => open.push((done | 1 << nth, Some(written))),
                Action::Read(found) if found == value => open.push((done | 1 << nth, value)),
                Action::Read(_) => {}
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{Action, Operation, Value, is_linearizable};
    use std::time::{Duration, Instant};

    fn history(of: &[(Action, u64, Option<u64>)]) -> bool {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let operation = |(action, begun, ended): &(Action, u64, Option<u64>)| Operation {
            action: *action,
            begun: at(*begun),
            ended: ended.map(at),
        };
        is_linearizable(&of.iter().map(operation).collect::<Vec<_>>())
    }

    const fn write(value: u64, begun: u64, ended: u64) -> (Action, u64, Option<u64>) {
        (Action::Write(value), begun, Some(ended))
    }

    const fn read(value: Value, begun: u64, ended: u64) -> (Action, u64, Option<u64>) {
        (Action::Read(value), begun, Some(ended))
    }

    #[test]
    fn a_read_finds_the_last_write_before_it_or_one_beside_it() {
        assert!(history(&[write(1, 0, 1), read(Some(1), 2, 3)]));
        assert!(history(&[write(1, 0, 1), write(2, 2, 9), read(Some(1), 3, 4)]));
        assert!(history(&[write(1, 0, 1), write(2, 2, 9), read(Some(2), 3, 4)]));
        assert!(!history(&[write(1, 0, 1), read(None, 2, 3)]), "lost");
        assert!(!history(&[write(1, 0, 1), write(2, 2, 3), read(Some(1), 4, 5)]), "stale");
        let back = [write(2, 0, 9), read(Some(2), 1, 2), read(None, 3, 4)];
        assert!(!history(&back), "it was there already");
    }

    #[test]
    fn writes_of_unknown_fate_that_nobody_has_read_cost_nothing() {
        let mut many: Vec<_> = (0..60).map(|nth| (Action::Write(100 + nth), nth, None)).collect();
        many.extend([write(1, 70, 71), read(Some(1), 72, 73), write(2, 74, 75)]);
        assert!(history(&many));
        // Without an order: all of them are tried.
        many.push(read(Some(1), 76, 77));
        assert!(!history(&many));
    }

    #[test]
    fn what_nobody_knows_may_come_late_or_never_but_not_twice() {
        let unknown = (Action::Write(7), 0, None);
        assert!(history(&[unknown, read(None, 1, 2), read(Some(7), 3, 4)]));
        assert!(history(&[unknown, read(None, 1, 2)]));
        assert!(!history(&[unknown, write(1, 1, 2), read(Some(7), 3, 4), read(Some(1), 5, 6)]));
        let twice = [unknown, read(Some(7), 1, 2), write(1, 3, 4), read(Some(7), 5, 6)];
        assert!(!history(&twice));
    }
}
