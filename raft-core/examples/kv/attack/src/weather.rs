//! How frames fare between nodes, now; and how they have fared.

use crate::lock;
use crate::plan::Odds;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// How frames fare; shared by all proxies and whoever makes the weather.
#[derive(Debug, Default)]
pub struct Weather {
    now: Mutex<Now>,
    /// What has become of them.
    pub fared: Fared,
}

#[derive(Debug, Default)]
struct Now {
    odds: Odds,
    /// From whom to whom nothing is passed on; as often as it was said.
    cuts: Vec<(u64, u64)>,
}

/// Counts of frames.
#[derive(Debug, Default)]
pub struct Fared {
    /// Passed on, once or more.
    pub passed: AtomicU64,
    /// Lost, by the odds.
    pub lost: AtomicU64,
    /// Lost, by a cut.
    pub cut: AtomicU64,
    /// Passed on twice.
    pub doubled: AtomicU64,
    /// Overtaken by one behind it.
    pub reordered: AtomicU64,
    /// Held up, with those behind them.
    pub delayed: AtomicU64,
    /// Connections broken within a frame.
    pub broken: AtomicU64,
}

/// One more.
pub fn count(of: &AtomicU64) {
    of.fetch_add(1, Ordering::Relaxed);
}

impl Weather {
    /// From now on frames fare like this.
    pub fn set(&self, odds: Odds) {
        lock(&self.now).odds = odds;
    }

    /// How they fare.
    pub fn odds(&self) -> Odds {
        lock(&self.now).odds
    }

    /// Nothing is passed on between these any more.
    pub fn cut(&self, pairs: &BTreeSet<(u64, u64)>) {
        lock(&self.now).cuts.extend(pairs);
    }

    /// It is again, as far as nobody else has cut it.
    pub fn heal(&self, pairs: &BTreeSet<(u64, u64)>) {
        let cuts = &mut lock(&self.now).cuts;
        for pair in pairs {
            if let Some(nth) = cuts.iter().position(|cut| cut == pair) {
                cuts.swap_remove(nth);
            }
        }
    }

    /// All is well.
    pub fn clear(&self) {
        *lock(&self.now) = Now::default();
    }

    /// Whether nothing is passed on from one node to another.
    pub fn is_cut(&self, from: u64, to: u64) -> bool {
        lock(&self.now).cuts.contains(&(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::Weather;

    #[test]
    fn what_two_have_cut_is_passed_on_when_both_have_healed_it() {
        let weather = Weather::default();
        let one = [(1, 2)].into();
        weather.cut(&one);
        weather.cut(&[(1, 2), (2, 1)].into());
        weather.heal(&one);
        assert!(weather.is_cut(1, 2) && weather.is_cut(2, 1) && !weather.is_cut(1, 3));
        weather.heal(&[(1, 2), (2, 1)].into());
        assert!(!weather.is_cut(1, 2) && !weather.is_cut(2, 1));
    }
}
