//! Histories in which no value is written twice: Gibbons and Korach, *Testing Shared Memories*
//! (1997).
//!
//! The write of a value and the reads that returned it belong together: from the first return
//! among them to the last call, the register must hold that value, if the first comes before the
//! second (a *forward zone*); otherwise all of them can take effect together at one moment in
//! between (a *backward zone*). There is an order exactly if no two forward zones overlap and none
//! covers a backward zone.

use crate::checker::history::call::{Call, CallKind, Judgement};
use std::collections::BTreeMap;

/// A write with the reads of its value.
#[derive(Clone, Copy, Debug)]
struct Zone {
    value: Option<u64>,
    /// When the value was asked to be written; 0 for that of the beginning.
    written: u64,
    /// The first return, and the last call.
    first_return: u64,
    last_call: u64,
    read: bool,
}

impl Zone {
    const fn is_forward(&self) -> bool {
        self.first_return < self.last_call
    }
}

/// Judges the operations on one key; unknown if a value is written twice.
pub fn judge_zones(operations: &[Call]) -> Judgement {
    let beginning = Zone { value: None, written: 0, first_return: 0, last_call: 0, read: false };
    let mut zones = BTreeMap::from([(None, beginning)]);
    for operation in operations {
        let CallKind::Write(value) = operation.what else { continue };
        let (value, called) = (Some(value), operation.called);
        let first_return = operation.returned.unwrap_or(u64::MAX);
        let zone = Zone { value, written: called, first_return, last_call: called, read: false };
        if zones.insert(value, zone).is_some() {
            return Judgement::Unknown;
        }
    }
    for operation in operations {
        let (CallKind::Read(value), Some(returned)) = (operation.what, operation.returned) else {
            continue;
        };
        let Some(zone) = zones.get_mut(&value).filter(|zone| zone.written < returned) else {
            return Judgement::Broken(format!("{value:?} is read before anybody writes it"));
        };
        zone.first_return = zone.first_return.min(returned);
        zone.last_call = zone.last_call.max(operation.called);
        zone.read = true;
    }
    // A write that nobody knows of, neither its client nor a reader, need not have happened.
    let known = |zone: &Zone| zone.read || zone.first_return < u64::MAX;
    let zones = zones.into_values().filter(known);
    let (mut forward, backward): (Vec<Zone>, Vec<Zone>) = zones.partition(Zone::is_forward);
    forward.sort_by_key(|zone| zone.first_return);
    for pair in forward.windows(2) {
        if pair[1].first_return < pair[0].last_call {
            return Judgement::Broken(format!(
                "{:?} and {:?} are each to be found both before and after the other",
                pair[0].value, pair[1].value
            ));
        }
    }
    for zone in backward {
        let nth = forward.partition_point(|other| other.first_return < zone.last_call);
        let around = nth.checked_sub(1).map(|nth| forward[nth]);
        if let Some(around) = around.filter(|around| zone.first_return < around.last_call) {
            return Judgement::Broken(format!(
                "{:?} is written and read while the register holds {:?}",
                zone.value, around.value
            ));
        }
    }
    Judgement::Linearizable
}

#[cfg(test)]
mod tests {
    use super::judge_zones;
    use crate::checker::history::call::{Call, CallKind, Judgement};

    fn write(called: u64, returned: u64, value: u64) -> Call {
        Call { called, returned: Some(returned), what: CallKind::Write(value) }
    }

    fn read(called: u64, returned: u64, value: Option<u64>) -> Call {
        Call { called, returned: Some(returned), what: CallKind::Read(value) }
    }

    #[track_caller]
    fn broken(history: &[Call], part: &str) {
        let Judgement::Broken(sentence) = judge_zones(history) else { panic!("{history:?}") };
        assert!(sentence.contains(part), "{sentence}");
    }

    #[test]
    fn a_read_that_misses_a_write_which_had_returned() {
        let history = [write(1, 2, 1), write(3, 4, 2), read(5, 6, Some(1))];
        broken(&history, "while the register holds Some(1)");
        broken(&[write(1, 2, 1), read(3, 4, None)], "while the register holds None");
    }

    #[test]
    fn a_read_of_what_nobody_wrote_or_will_write_later() {
        broken(&[read(1, 2, Some(7))], "before anybody writes it");
        broken(&[read(1, 2, Some(7)), write(3, 4, 7)], "before anybody writes it");
    }

    #[test]
    fn reads_that_go_back() {
        let history = [write(1, 10, 1), write(2, 11, 2), read(3, 4, Some(1)), read(5, 6, Some(2))];
        assert_eq!(judge_zones(&history), Judgement::Linearizable);
        let back = [history.to_vec(), vec![read(7, 8, Some(1))]].concat();
        broken(&back, "while the register holds Some(1)");
    }

    #[test]
    fn a_write_of_unknown_outcome_may_take_effect_late_or_never() {
        let lost = Call { called: 1, returned: None, what: CallKind::Write(1) };
        let mut history = vec![lost, read(2, 3, None), read(4, 5, None)];
        assert_eq!(judge_zones(&history), Judgement::Linearizable);
        history.push(read(6, 7, Some(1)));
        assert_eq!(judge_zones(&history), Judgement::Linearizable);
        history.push(read(8, 9, None));
        broken(&history, "while the register holds None");
    }

    #[test]
    fn a_value_that_is_written_twice_is_for_the_search() {
        assert_eq!(judge_zones(&[write(1, 2, 1), write(3, 4, 1)]), Judgement::Unknown);
    }
}
