//! A host's clock: it may run fast or slow, and it may jump.

use raft_core::Instant;

/// A clock that counts nanoseconds from the start of the run, as well as it can.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Clock {
    /// Simulated time and reading at the last change.
    since: u64,
    base: u64,
    ppm: i32,
    /// By how much it has jumped back, in all.
    back: u64,
}

const MILLION: u128 = 1_000_000;

impl Clock {
    /// A clock that runs as it should.
    pub const fn new() -> Self {
        Self { since: 0, base: 0, ppm: 0, back: 0 }
    }

    /// By how many millionths it is off.
    pub const fn drift_ppm(&self) -> u32 {
        self.ppm.unsigned_abs()
    }

    /// What it shows.
    pub fn reading(&self, now: Instant) -> u64 {
        let passed = now.as_nanos().saturating_sub(self.since);
        // The same as below, without a division of 128 bits in every event.
        if self.ppm == 0 {
            return self.base.saturating_add(passed);
        }
        let passed = u128::from(passed) * self.rate() / MILLION;
        self.base.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// How much time has passed by it, leaving out jumps back: it never goes back, and it is never
    /// behind a reader who takes the clock for monotonic.
    pub fn elapsed(&self, now: Instant) -> u64 {
        self.reading(now).saturating_add(self.back)
    }

    /// When it will show at least this much; the past if it does already.
    pub fn when(&self, reading: u64) -> Instant {
        let ahead = reading.saturating_sub(self.base);
        if self.ppm == 0 {
            return Instant::from_nanos(self.since.saturating_add(ahead));
        }
        let wait = (u128::from(ahead) * MILLION).div_ceil(self.rate());
        let wait = u64::try_from(wait).unwrap_or(u64::MAX);
        Instant::from_nanos(self.since.saturating_add(wait))
    }

    /// From now on it is off by so many millionths.
    pub fn set_rate(&mut self, now: Instant, ppm: i32) {
        self.change(now, self.reading(now));
        self.ppm = ppm;
    }

    /// It jumps, at most back to the start of the run.
    pub fn jump(&mut self, now: Instant, millis: i64) {
        const NANOS: i64 = 1_000_000;
        let to = self.reading(now).saturating_add_signed(millis.saturating_mul(NANOS));
        self.change(now, to);
    }

    fn change(&mut self, now: Instant, to: u64) {
        let back = self.back + self.reading(now).saturating_sub(to);
        *self = Self { since: now.as_nanos(), base: to, back, ..*self };
    }

    /// Nanoseconds in a million; a clock does not run backwards.
    fn rate(&self) -> u128 {
        u128::try_from(1_000_000 + i64::from(self.ppm)).unwrap_or(0).max(1)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use raft_core::Instant;

    const fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_deadline_is_met_when_the_clock_shows_it() {
        for ppm in [0, 1_000, -1_000, 333_333, -333_333] {
            let mut clock = Clock::new();
            clock.set_rate(at(7), ppm);
            for reading in [7_000_000, 7_000_001, 1_234_567_891] {
                let when = clock.when(reading);
                assert!(clock.reading(when) >= reading, "{ppm} {reading}");
                let before = Instant::from_nanos(when.as_nanos() - 1);
                assert!(before < at(7) || clock.reading(before) < reading, "{ppm} {reading}");
            }
        }
    }

    #[test]
    fn jumps_move_it_and_back_is_no_time() {
        let mut clock = Clock::new();
        clock.jump(at(100), 50);
        assert_eq!(clock.reading(at(110)), 160_000_000);
        clock.jump(at(110), -100);
        assert_eq!((clock.reading(at(120)), clock.elapsed(at(120))), (70_000_000, 170_000_000));
        assert_eq!(clock.when(10), at(110), "it shows that already");
        clock.jump(at(120), -5_000);
        assert_eq!(clock.reading(at(120)), 0);
    }
}
