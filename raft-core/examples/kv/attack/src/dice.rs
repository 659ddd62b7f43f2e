//! A generator for plans and faults: the same seed, the same numbers (`SplitMix64`).

/// The numbers of one seed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Other numbers of the same seed, for somebody who throws beside.
    pub const fn beside(seed: u64, nth: u64) -> Self {
        Self(mix(seed ^ mix(nth.wrapping_add(1))))
    }

    /// The next number.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    /// A number of this range, both ends included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Whether something happens that happens so often in a thousand.
    pub fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of these, if there is one.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let nth = self.below((of.len() as u64).max(1));
        of.get(usize::try_from(nth).unwrap_or(0)).copied()
    }

    /// Another order.
    pub fn shuffle<T>(&mut self, of: &mut [T]) {
        for last in (1..of.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(0);
            of.swap(last, other);
        }
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn a_seed_repeats_its_numbers_and_those_beside_it_are_others() {
        let draw = |mut dice: Dice| (0..50).map(|_| dice.between(3, 9)).collect::<Vec<_>>();
        assert_eq!(draw(Dice::new(7)), draw(Dice::new(7)));
        assert_ne!(draw(Dice::beside(7, 0)), draw(Dice::beside(7, 1)));
        let drawn = draw(Dice::new(7));
        assert!((3..=9).all(|number| drawn.contains(&number)) && drawn.iter().all(|n| *n <= 9));
    }
}
