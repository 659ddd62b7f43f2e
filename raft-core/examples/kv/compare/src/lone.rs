//! Append and fsync, alone: through the engine of the log, and to a bare file.

use crate::Failure;
use crate::client::{Answered, VALUE, nanos};
use crate::contest::Sample;
use crate::process::Cost;
use bytes::Bytes;
use kv::command::{self, Command, Record};
use kv::storage::redb_log::RedbLog;
use kv::storage::{Files, Log};
use raft_core::driver::{BoundLog, BoundWrite, Entry};
use raft_core::payload::Content;
use raft_core::{LogIndex, LogPosition, Term, Ticket};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Where a lone loop appends to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lone {
    /// The engine of the server's log.
    Engine,
    /// A file that grows.
    File,
}

/// Appends groups of what a client writes and makes each durable, for so long.
///
/// # Errors
///
/// As the disk says.
pub(crate) fn run(dir: &Path, lone: Lone, group: u64, time: Duration) -> Result<Sample, Failure> {
    let dir = tempfile::Builder::new().prefix("kv-bench-").tempdir_in(dir)?;
    let path = dir.path().join("log");
    let (key, value) = ("key-000000".into(), Bytes::from(vec![b'v'; VALUE]));
    let command = Command::Write(command::Write::Put { key, value }).encode();
    match lone {
        Lone::Engine => {
            let mut log = RedbLog::create(&path, &Files)?;
            log.recover()?;
            measure(group, time, |first| {
                log.write(&write(first, group, &command))?;
                Ok(log.sync()?)
            })
        }
        Lone::File => {
            let mut file = File::create(&path)?;
            let bytes = command.repeat(usize::try_from(group)?);
            measure(group, time, |_| {
                file.write_all(&bytes)?;
                Ok(file.sync_data()?)
            })
        }
    }
}

fn write(first: u64, group: u64, command: &Record) -> BoundWrite<Record> {
    let entries = (first..first + group).map(|index| Entry {
        position: LogPosition::new(Term(1), LogIndex(index)),
        content: Content::Command(command.clone()),
    });
    let log = BoundLog { restart_after: None, first: LogIndex(first), entries: entries.collect() };
    BoundWrite { ticket: Ticket(first), hard_state: None, log: Some(log) }
}

fn measure(
    group: u64,
    time: Duration,
    mut append: impl FnMut(u64) -> Result<(), Failure>,
) -> Result<Sample, Failure> {
    append(1)?;
    let (before, begun, mut latencies) = (Cost::of_this_thread(), Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let (first, asked) = (1 + (1 + latencies.len() as u64) * group, Instant::now());
        append(first)?;
        latencies.push(nanos(asked.elapsed()));
    }
    let (cost, fsyncs) = (Cost::of_this_thread() - before, latencies.len() as u64);
    let mut answered = Answered::of(latencies, begun.elapsed());
    answered.count = fsyncs * group;
    Ok(Sample { answered, all: cost, fsyncs, ..Sample::default() })
}

#[cfg(test)]
mod tests {
    use super::{Lone, measure, run};
    use std::time::Duration;

    #[test]
    fn a_group_is_so_many_operations_and_one_fsync() {
        let mut firsts = Vec::new();
        let sample = measure(64, Duration::from_millis(30), |first| {
            firsts.push(first);
            std::thread::sleep(Duration::from_millis(5));
            Ok(())
        });
        let sample = sample.expect("nothing fails");
        assert!((1..=6).contains(&sample.fsyncs), "{sample:?}");
        assert_eq!(sample.answered.count, 64 * sample.fsyncs);
        assert!(firsts.windows(2).all(|two| two[1] == two[0] + 64), "a log without gaps");
    }

    #[test]
    fn each_loop_reaches_the_disk() {
        // Where the tests are built there is a disk.
        let tests = std::env::current_exe().expect("it runs");
        let dir = tempfile::tempdir_in(tests.parent().expect("a folder")).expect("room");
        for lone in [Lone::Engine, Lone::File] {
            let sample = run(dir.path(), lone, 3, Duration::from_millis(100)).expect("room");
            let bytes = 100 * sample.answered.count;
            assert!(sample.fsyncs > 0 && sample.all.written > bytes, "{sample:?}");
        }
    }
}
