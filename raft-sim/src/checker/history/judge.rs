//! Whether there is an order for the operations on one key.

use crate::checker::history::call::{Call, Judgement};
use crate::checker::history::search::judge_search;
use crate::checker::history::zones::judge_zones;
/// Judges the operations on one key: by zones where that is possible, else by a search that looks
/// at so many configurations at most.
pub fn judge(operations: &[Call], budget: usize) -> Judgement {
    match judge_zones(operations) {
        Judgement::Unknown => judge_search(operations, budget),
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use crate::checker::history::call::{Call, CallKind, Judgement};
    use crate::checker::history::{search, zones};
    use crate::plan::choice::{Choices, Question};

    /// The definition: some order of all that returned, and of some of the others, keeps the order
    /// of what did not overlap, and each read in it returned what was written last.
    fn brute_force(rest: &[Call], value: Option<u64>) -> bool {
        if rest.iter().all(|operation| operation.returned.is_none()) {
            return true;
        }
        (0..rest.len()).any(|nth| {
            let next = rest[nth];
            let precedes = |other: &Call| other.returned.is_some_and(|at| at < next.called);
            if rest.iter().any(precedes) {
                return false;
            }
            let mut others = rest.to_vec();
            others.remove(nth);
            match next.what {
                CallKind::Write(new) => brute_force(&others, Some(new)),
                CallKind::Read(seen) => seen == value && brute_force(&others, value),
            }
        })
    }

    /// A few clients, one operation at a time each, against a register that lies now and then.
    fn random(choices: &mut Choices, operations: u64, clients: u64, unique: bool) -> Vec<Call> {
        let mut below = |bound| choices.below(Question::Setup, bound);
        let lies = below(2) == 0;
        let (mut history, mut now) = (Vec::<Call>::new(), 0);
        let mut open: Vec<Option<usize>> = (0..clients).map(|_| None).collect();
        let (mut value, mut written) = (None, vec![None]);
        let mut done: Vec<bool> = Vec::new();
        let mut begun = 0;
        while begun < operations || open.iter().any(Option::is_some) {
            now += 1;
            let client = usize::try_from(below(clients)).expect("a few");
            // An open operation takes effect, or returns.
            let Some(nth) = open[client] else {
                if begun < operations {
                    begun += 1;
                    let new = if unique { begun } else { 1 + below(3) };
                    let what =
                        if below(2) == 0 { CallKind::Write(new) } else { CallKind::Read(None) };
                    open[client] = Some(history.len());
                    history.push(Call { called: now, returned: None, what });
                    done.push(false);
                }
                continue;
            };
            if !done[nth] {
                done[nth] = true;
                match &mut history[nth].what {
                    CallKind::Write(new) => {
                        value = Some(*new);
                        written.push(value);
                    }
                    CallKind::Read(seen) => {
                        let count = u64::try_from(written.len()).expect("a few");
                        let stale = usize::try_from(below(count)).expect("a few");
                        *seen = if lies && below(2) == 0 { written[stale] } else { value };
                    }
                }
                continue;
            }
            open[client] = None;
            let lost = below(8) == 0;
            history[nth].returned = (!lost).then_some(now);
        }
        history.retain(|o| o.returned.is_some() || matches!(o.what, CallKind::Write(_)));
        history
    }

    #[test]
    fn zones_search_and_brute_force_agree_on_small_histories() {
        let (mut good, mut bad) = (0, 0);
        for seed in 0..6_000 {
            let mut choices = Choices::seeded(seed);
            let unique = seed % 2 == 0;
            let history = random(&mut choices, 3 + seed % 4, 2 + seed % 2, unique);
            let fine = brute_force(&history, None);
            let searched = search::judge_search(&history, usize::MAX);
            assert_eq!(
                searched == Judgement::Linearizable,
                fine,
                "{seed}: {history:?}: {searched:?}"
            );
            if unique {
                let zoned = zones::judge_zones(&history);
                assert_eq!(
                    zoned == Judgement::Linearizable,
                    fine,
                    "{seed}: {history:?}: {zoned:?}"
                );
            }
            *(if fine { &mut good } else { &mut bad }) += 1;
        }
        assert!(good > 1_000 && bad > 300, "{good} good and {bad} bad histories");
    }

    #[test]
    fn zones_and_search_agree_on_long_histories() {
        let (mut good, mut bad) = (0, 0);
        for seed in 0..300 {
            let history = random(&mut Choices::seeded(seed), 60, 5, true);
            let (zoned, searched) =
                (zones::judge_zones(&history), search::judge_search(&history, 1_000_000));
            let fine = zoned == Judgement::Linearizable;
            assert_eq!(searched == Judgement::Linearizable, fine, "{seed}: {zoned:?} {searched:?}");
            *(if fine { &mut good } else { &mut bad }) += 1;
        }
        assert!(good > 50 && bad > 50, "{good} good and {bad} bad histories");
    }

    #[test]
    fn twenty_thousand_operations_are_judged_within_a_budget_of_a_few_each() {
        let seed = (0..100).find(|seed| {
            let sample = random(&mut Choices::seeded(*seed), 200, 5, true);
            zones::judge_zones(&sample) == Judgement::Linearizable
        });
        let mut choices = Choices::seeded(seed.expect("most are"));
        let history = random(&mut choices, 20_000, 5, true);
        assert!(history.len() > 15_000);
        assert_eq!(zones::judge_zones(&history), Judgement::Linearizable);
        assert_eq!(search::judge_search(&history, 200_000), Judgement::Linearizable);
        let mut broken = history;
        let read = broken.iter().rposition(|o| matches!(o.what, CallKind::Read(Some(_))));
        broken[read.expect("reads")].what = CallKind::Read(Some(1));
        assert!(matches!(zones::judge_zones(&broken), Judgement::Broken(_)));
        assert!(matches!(search::judge_search(&broken, 2_000_000), Judgement::Broken(_)));
    }
}
