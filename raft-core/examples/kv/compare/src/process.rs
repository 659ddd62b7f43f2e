//! What a process has cost, as Linux counts it under `/proc`. Elsewhere everything is 0.

use std::fs;
use std::ops::Sub;

/// What Linux counts in: hundredths of a second, on every machine.
const TICK_NANOS: u64 = 10_000_000;

/// What a process has used since its start: processor times in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Cost {
    /// Of all threads, those that have ended included.
    pub(crate) cpu: u64,
    /// Of the thread that decides.
    pub(crate) driver: u64,
    /// Of the thread that writes the log, without the time in which it waits for the disk.
    pub(crate) disk: u64,
    /// Of the thread that applies.
    pub(crate) machine: u64,
    /// Of those that serve sockets.
    pub(crate) tokio: u64,
    /// Bytes that were given to the disk.
    pub(crate) written: u64,
}

impl Cost {
    /// That of this process until now.
    pub(crate) fn of(pid: u32) -> Self {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
        let mut cost = Self {
            cpu: read("stat").ok().and_then(|stat| ticks(&stat)).unwrap_or(0) * TICK_NANOS,
            written: read("io").ok().and_then(|io| written(&io)).unwrap_or(0),
            ..Self::default()
        };
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let read = |file: &str| fs::read_to_string(thread.path().join(file));
            let (Ok(name), Ok(stat)) = (read("comm"), read("schedstat")) else { continue };
            let slot = match name.trim_end() {
                "driver" => &mut cost.driver,
                "disk" => &mut cost.disk,
                "machine" => &mut cost.machine,
                name if name.starts_with("tokio") => &mut cost.tokio,
                _ => continue,
            };
            *slot += on_processor(&stat).unwrap_or(0);
        }
        cost
    }

    /// That of this thread alone, as the cost of a process.
    pub(crate) fn of_this_thread() -> Self {
        let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Self { cpu: on_processor(&stat).unwrap_or(0), ..Self::of(std::process::id()) }
    }

    /// Field by field.
    pub(crate) fn plus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    fn zip(self, other: Self, of: fn(u64, u64) -> u64) -> Self {
        Self {
            cpu: of(self.cpu, other.cpu),
            driver: of(self.driver, other.driver),
            disk: of(self.disk, other.disk),
            machine: of(self.machine, other.machine),
            tokio: of(self.tokio, other.tokio),
            written: of(self.written, other.written),
        }
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        // A thread that has ended takes its time with it.
        self.zip(before, u64::saturating_sub)
    }
}

/// The most memory that a process has ever had, in bytes.
pub(crate) fn most_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    peak(&status).unwrap_or(0)
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// User and system time in `/proc/PID/stat`, which begins with a number and a name in brackets. The
/// name may have brackets and spaces.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// The first number in `/proc/PID/task/TID/schedstat`: nanoseconds on a processor.
fn on_processor(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

fn written(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Cost, on_processor, peak, ticks, written};

    #[test]
    fn proc_is_read_as_its_manual_says() {
        let stat = "71 (a ) b) R 1 71 71 0 -1 4194560 9 0 0 0 120 34 5 6 20 0 3 0 99 1 2";
        assert_eq!((ticks(stat), ticks("71 (short) R 1"), ticks("")), (Some(154), None, None));
        assert_eq!((on_processor("105610 3986 2\n"), on_processor("")), (Some(105_610), None));
        let io = "rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n";
        assert_eq!((written(io), written("rchar: 1\n")), (Some(4096), None));
        let status = "Name:\tkv\nVmPeak:\t  9 kB\nVmHWM:\t  2048 kB\n";
        assert_eq!((peak(status), peak("Name:\tkv\n")), (Some(2 << 20), None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_found_by_its_name() {
        let before = Cost::of(std::process::id());
        let spins = || {
            let begun = std::time::Instant::now();
            // On a machine that is busy it may have to wait for its turn.
            while Cost::of(std::process::id()).driver < 10_000_000 && begun.elapsed().as_secs() < 20
            {
                std::hint::spin_loop();
            }
            Cost::of(std::process::id())
        };
        let thread = std::thread::Builder::new().name("driver".into()).spawn(spins);
        let after = thread.expect("room").join().expect("it spins");
        let cost = after - before;
        assert!(cost.driver >= 5_000_000, "{cost:?}");
        assert_eq!((cost.disk, cost.machine), (0, 0));
        assert_eq!(after.plus(after).driver, 2 * after.driver);
    }
}
