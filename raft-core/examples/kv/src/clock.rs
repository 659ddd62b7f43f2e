//! The clock of the node: monotonic, and counting the time in which the machine is suspended.
//!
//! A lease is a promise about time. A clock that stands still while the machine sleeps would let a
//! leader that wakes up believe in a lease which the others have long forgotten.
//!
//! - Linux: `CLOCK_BOOTTIME`.
//! - macOS and iOS: `CLOCK_MONOTONIC`, which goes on during sleep there.
//! - Other systems: `CLOCK_MONOTONIC`; whether it counts suspend is theirs. Where it does not, keep
//!   the machine awake or do without lease reads.

use raft_core::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// What the clock says now. Its origin is that of the system.
pub fn now() -> Instant {
    let time = clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// The moment after which a caller who waits for so long will wait no longer.
pub fn after(patience: Duration) -> Instant {
    now().saturating_add(patience)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_goes_forward_in_nanoseconds() {
        let before = super::now();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let passed = super::now().saturating_since(before);
        assert!((15..5000).contains(&passed.as_millis()), "{passed:?}");
    }
}
