//! Medians, ratios, and the way numbers are printed: integers only.

use std::fmt;

/// The middle one of the values, or 0 where there is none.
pub(crate) fn median(mut values: Vec<u64>) -> u64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
}

/// The value below which so many thousandths of the others lie; the values are sorted.
pub(crate) fn quantile(sorted: &[u64], thousandths: usize) -> u64 {
    let at = sorted.len().saturating_sub(1) * thousandths / 1000;
    sorted.get(at).copied().unwrap_or(0)
}

/// `a * b / c`, rounded; 0 where `c` is 0.
pub(crate) fn scaled(a: u64, b: u64, c: u64) -> u64 {
    if c == 0 {
        return 0;
    }
    let (a, b, c) = (u128::from(a), u128::from(b), u128::from(c));
    u64::try_from((a * b + c / 2) / c).unwrap_or(u64::MAX)
}

/// A number with one digit after the point below 1000, and none above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tenths(pub(crate) u64);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.0 >= 10_000 {
            ((self.0 + 5) / 10).to_string()
        } else {
            format!("{}.{}", self.0 / 10, self.0 % 10)
        };
        f.pad(&text)
    }
}

/// A number with two digits after the point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Hundredths(pub(crate) u64);

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:02}", self.0 / 100, self.0 % 100))
    }
}

/// The median of the ratios of pairs that were measured in the same round; none where there is
/// nothing to divide by.
pub(crate) fn ratio(pairs: impl Iterator<Item = (u64, u64)>) -> Option<Hundredths> {
    let ratios: Vec<_> =
        pairs.filter(|(_, of)| *of > 0).map(|(a, of)| scaled(a, 100, of)).collect();
    (!ratios.is_empty()).then(|| Hundredths(median(ratios)))
}

#[cfg(test)]
mod tests {
    use super::{Hundredths, Tenths, median, quantile, ratio, scaled};

    #[test]
    fn a_median_is_the_middle_and_a_quantile_has_its_part_below() {
        assert_eq!((median(vec![9, 1, 5]), median(vec![2, 1]), median(vec![])), (5, 2, 0));
        let sorted: Vec<_> = (0..=1000).collect();
        assert_eq!((quantile(&sorted, 500), quantile(&sorted, 990)), (500, 990));
        assert_eq!((quantile(&[7], 990), quantile(&[], 500)), (7, 0));
    }

    #[test]
    fn a_ratio_is_that_of_each_round_and_not_that_of_the_medians() {
        // In each round twice as much, on a machine that is slower every time.
        let pairs = [(200, 100), (20, 10), (2, 1)];
        assert_eq!(ratio(pairs.into_iter()), Some(Hundredths(200)));
        assert_eq!(ratio([(5, 0)].into_iter()), None, "nothing to divide by");
        assert_eq!(ratio([(1, 3)].into_iter()), Some(Hundredths(33)));
    }

    #[test]
    fn numbers_are_rounded_and_no_product_overflows() {
        assert_eq!(scaled(u64::MAX, 1_000_000_000, 1_000_000_000), u64::MAX);
        assert_eq!((scaled(1, 10, 4), scaled(1, 1, 0)), (3, 0));
        let shown = [Tenths(9_999), Tenths(10_004), Tenths(7)].map(|tenths| tenths.to_string());
        assert_eq!(shown, ["999.9", "1000", "0.7"]);
        assert_eq!(Hundredths(105).to_string(), "1.05");
    }
}
