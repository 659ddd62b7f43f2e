//! Clock, medians and the way numbers are printed: integers only.

use rustix::time::{ClockId, clock_gettime};
use std::fmt;

/// The time that this thread has spent on a processor, in nanoseconds.
pub fn thread_nanos() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + nanos.unwrap_or(0)
}

/// How long the call takes.
pub fn time(call: impl FnOnce()) -> u64 {
    let start = thread_nanos();
    call();
    thread_nanos() - start
}

/// The middle one of the values.
pub fn median(mut values: Vec<u64>) -> u64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable(middle).1
}

/// A number with one digit after the point below 1000, and none above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tenths(pub u64);

impl Tenths {
    /// `a / b`.
    pub fn of(a: u64, b: u64) -> Self {
        Self((a * 10 + b / 2) / b.max(1))
    }
}

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.0 >= 10_000 {
            format!("{}", (self.0 + 5) / 10)
        } else {
            format!("{}.{}", self.0 / 10, self.0 % 10)
        };
        f.pad(&text)
    }
}

/// A number with two digits after the point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hundredths(pub u64);

impl Hundredths {
    /// `a / b`.
    pub fn of(a: u64, b: u64) -> Self {
        Self((a * 100 + b / 2) / b.max(1))
    }
}

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:02}", self.0 / 100, self.0 % 100))
    }
}
