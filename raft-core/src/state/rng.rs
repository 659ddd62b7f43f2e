//! A node's own source of randomness: a part of its state, so that a run can be replayed.

use crate::types::NodeId;

/// `SplitMix64` (Steele, Lea, Flood, 2014). Deadlines need spread, not secrecy.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Rng(u64);

impl Rng {
    /// Two nodes that are given one seed must still draw different deadlines, so the id is mixed
    /// in.
    pub(crate) fn new(seed: u64, id: NodeId) -> Self {
        let mut of_id = Self(id.get());
        Self(seed ^ of_id.draw())
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, bound)`; 0 if the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the product of two u64 has a high half of 64 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;
    use crate::types::NodeId;
    use alloc::collections::BTreeSet;

    #[test]
    fn one_seed_gives_different_streams_to_different_nodes() {
        let draws: BTreeSet<u64> = (0..100).map(|id| Rng::new(7, NodeId(id)).draw()).collect();
        assert_eq!(draws.len(), 100);
    }

    #[test]
    fn draws_cover_the_range_evenly() {
        let (mut rng, mut buckets) = (Rng::new(1, NodeId(1)), [0_u32; 10]);
        for _ in 0..10_000 {
            buckets[usize::try_from(rng.below(10)).expect("below ten")] += 1;
        }
        assert!(buckets.iter().all(|n| (850..1150).contains(n)), "{buckets:?}");
        assert_eq!(rng.below(0), 0);
        assert!((0..100).all(|_| rng.below(u64::MAX) < u64::MAX));
    }

    /// The stream is part of every recorded run: it must never change.
    #[test]
    fn the_stream_is_pinned() {
        let mut rng = Rng(0);
        let draws = [rng.draw(), rng.draw(), rng.draw()];
        assert_eq!(draws, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
    }
}
