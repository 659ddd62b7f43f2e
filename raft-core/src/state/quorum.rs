//! Majorities, of both halves while a membership is joint (thesis, 4.3).

use crate::membership::Membership;
use crate::types::NodeId;

/// Whether those for whom `says_yes` holds are a majority of each half.
pub(crate) fn has_quorum(membership: &Membership, says_yes: impl Fn(NodeId) -> bool) -> bool {
    let majority =
        |half: &[NodeId]| half.iter().filter(|id| says_yes(**id)).count() > half.len() / 2;
    majority(membership.voters())
        && (membership.outgoing().is_empty() || majority(membership.outgoing()))
}

/// The greatest value that a quorum has reached; 0 if there is nobody.
///
/// With the match indices it is the index that may be committed; with the send times of what was
/// acknowledged, the moment at which a quorum was surely heard.
pub(crate) fn reached(membership: &Membership, mut value: impl FnMut(NodeId) -> u64) -> u64 {
    let mut half = |voters: &[NodeId]| match voters.len() {
        // Nearly every cluster: no page of zeros to be cleared for three numbers.
        0..=8 => reached_in(voters, &mut value, &mut [0; 8]),
        _ => reached_in(voters, &mut value, &mut [0; Membership::MAX_VOTERS]),
    };
    match (half(membership.voters()), half(membership.outgoing())) {
        (Some(new), Some(old)) => new.min(old),
        (Some(new), None) => new,
        (None, _) => 0,
    }
}

/// The greatest value that a majority of one half has reached.
fn reached_in(
    voters: &[NodeId],
    mut value: impl FnMut(NodeId) -> u64,
    values: &mut [u64],
) -> Option<u64> {
    let values = &mut values[..voters.len()];
    for (slot, id) in values.iter_mut().zip(voters) {
        *slot = value(*id);
    }
    values.sort_unstable();
    // In ascending order, everybody from here on has reached it: len/2 + 1 nodes.
    values.get(voters.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::{has_quorum, reached};
    use crate::membership::Membership;
    use crate::types::NodeId;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    /// Voters 1..=new, outgoing from..=to: overlapping, disjoint and empty halves all occur.
    fn membership(new: u8, from: u8, old: u8) -> Membership {
        let ids = |first: u8, n: u8| (u64::from(first)..).map(NodeId).take(usize::from(n));
        Membership::new(ids(1, new % 8 + 1), ids(from % 8 + 1, old % 8), []).expect("valid")
    }

    /// The definition: more than half of the half say yes, counted one by one.
    fn naive(half: &[NodeId], yes: impl Fn(NodeId) -> bool) -> bool {
        let (mut for_it, mut against) = (0, 0);
        for id in half {
            if yes(*id) { for_it += 1 } else { against += 1 }
        }
        half.is_empty() || for_it > against
    }

    fn pick(values: &[u64], id: NodeId) -> u64 {
        let at = usize::try_from(id.get()).expect("small");
        values.get(at).copied().unwrap_or(0) % 16
    }

    quickcheck! {
        fn a_quorum_is_a_majority_of_both_halves(new: u8, from: u8, old: u8, yes: u32) -> bool {
            let m = membership(new, from, old);
            let says_yes = |id: NodeId| yes >> (id.get() % 32) & 1 == 1;
            has_quorum(&m, says_yes)
                == (naive(m.voters(), says_yes) && naive(m.outgoing(), says_yes))
        }

        fn two_quorums_share_a_voter(new: u8, from: u8, old: u8, a: u32, b: u32) -> bool {
            let m = membership(new, from, old);
            let says = |mask: u32| move |id: NodeId| mask >> (id.get() % 32) & 1 == 1;
            let both = |mask| has_quorum(&m, says(mask));
            !(both(a) && both(b)) || m.all_voters().any(|id| says(a)(id) && says(b)(id))
        }

        fn reached_is_the_greatest_value_with_a_quorum(
            new: u8, from: u8, old: u8, values: Vec<u64>
        ) -> bool {
            let m = membership(new, from, old);
            let value = |id| pick(&values, id);
            let naive = (0..16).rev().find(|v| has_quorum(&m, |id| value(id) >= *v));
            Some(reached(&m, value)) == naive
        }
    }

    #[test]
    fn nobody_is_no_quorum() {
        assert!(!has_quorum(&Membership::empty(), |_| true));
        assert_eq!(reached(&Membership::empty(), |_| 7), 0);
    }

    #[test]
    fn half_of_an_even_number_is_no_quorum() {
        let four = Membership::of_voters((1..=4).map(NodeId)).expect("valid");
        assert!(!has_quorum(&four, |id| id.get() <= 2));
        assert!(has_quorum(&four, |id| id.get() <= 3));
        assert_eq!(reached(&four, |id| if id.get() <= 2 { 9 } else { 5 }), 5);
    }
}
