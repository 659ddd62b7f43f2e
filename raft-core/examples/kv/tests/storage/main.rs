//! The log, driven through a crash at every write of a run, and through an fsync that fails.

mod disk;

use disk::Disk;
use kv::command::Record;
use kv::storage::redb_log::RedbLog;
use kv::storage::{Log, RecoveredLog, StorageError};
use raft_core::driver::{BoundLog, BoundWrite, Entry};
use raft_core::payload::Content;
use raft_core::{Entries, HardState, LogIndex, LogPosition, Run, Term, Ticket};

/// What is asked of the log between two syncs.
#[derive(Clone)]
enum Step {
    Write(BoundWrite<Record>),
    Release(LogPosition),
    Restart(LogPosition),
}

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term(term), LogIndex(index))
}

/// Drops what follows, and appends `count` entries of this term, of `size` bytes each.
fn append(term: u64, first: u64, count: u64, size: usize) -> Step {
    let entry = |index: u64| {
        let byte = u8::try_from((index * 7 + term) % 251).expect("small");
        Entry { position: at(term, index), content: Content::Command(vec![byte; size].into()) }
    };
    let entries = (first..first + count).map(entry).collect();
    let log = BoundLog { restart_after: None, first: LogIndex(first), entries };
    let hard_state = HardState { current_term: Term(term), ..HardState::default() };
    Step::Write(BoundWrite { ticket: Ticket(1), hard_state: Some(hard_state), log: Some(log) })
}

/// A run: groups, each of which is made durable as one.
fn run() -> Vec<Vec<Step>> {
    vec![
        vec![append(1, 1, 3, 10)],
        vec![append(1, 4, 40, 100), append(1, 44, 1, 50_000)],
        vec![append(2, 30, 5, 10)],
        vec![append(2, 35, 1, 10), Step::Release(at(1, 20))],
        vec![append(3, 36, 200, 100)],
        vec![Step::Release(at(3, 200)), append(4, 210, 1, 10)],
        vec![Step::Restart(at(5, 500))],
        vec![append(5, 501, 2, 10)],
    ]
}

/// What a log must hold: the simplest thing that does what is asked.
#[derive(Clone)]
struct Model {
    hard_state: HardState,
    prev: LogPosition,
    entries: Vec<LogPosition>,
}

impl Model {
    fn new() -> Self {
        Self { hard_state: HardState::default(), prev: LogPosition::ZERO, entries: Vec::new() }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Write(write) => {
                self.hard_state = write.hard_state.unwrap_or(self.hard_state);
                let log = write.log.as_ref().expect("each of ours has one");
                self.entries.retain(|position| position.index < log.first);
                self.entries.extend(log.entries.iter().map(|entry| entry.position));
            }
            Step::Release(through) => {
                self.prev = *through;
                self.entries.retain(|position| position.index > through.index);
            }
            Step::Restart(after) => (self.prev, self.entries) = (*after, Vec::new()),
        }
    }

    fn found(&self) -> RecoveredLog {
        let mut entries = Entries::new();
        for position in &self.entries {
            entries.push(Run::Commands { term: position.term, count: 1 });
        }
        RecoveredLog { hard_state: self.hard_state, prev: self.prev, entries }
    }
}

fn ask(log: &mut RedbLog, step: &Step) -> Result<(), StorageError> {
    match step {
        Step::Write(write) => log.write(write),
        Step::Release(through) => log.release(*through),
        Step::Restart(after) => log.restart(*after),
    }
}

/// Runs until the disk fails: what is durable for certain, and what may be.
fn until_failure(disk: &Disk) -> (Model, Model, bool) {
    let (mut durable, mut asked) = (Model::new(), Model::new());
    let Ok(mut log) = RedbLog::on_backend(disk.clone()) else { return (durable, asked, false) };
    for group in run() {
        for step in &group {
            asked.take(step);
            if ask(&mut log, step).is_err() {
                return (durable, asked, false);
            }
        }
        if log.sync().is_err() {
            return (durable, asked, false);
        }
        durable = asked.clone();
    }
    (durable, asked, true)
}

#[test]
fn a_crash_at_any_write_leaves_what_was_synced_or_the_whole_group_after_it() {
    let mut crashes = 0;
    for calls in 0.. {
        let disk = Disk::failing_after(calls);
        let (durable, asked, is_over) = until_failure(&disk);
        if is_over {
            break;
        }
        for seed in 0..6 {
            crashes += 1;
            let mut log = match RedbLog::on_backend(disk.after_crash(seed)) {
                Ok(log) => log,
                // The file was being made: nothing was ever promised.
                Err(_) if durable.entries.is_empty() && durable.prev == LogPosition::ZERO => {
                    continue;
                }
                Err(error) => panic!("call {calls}, seed {seed}: {error}"),
            };
            let found = log.recover().unwrap_or_else(|e| panic!("call {calls}, seed {seed}: {e}"));
            let may_be = [durable.found(), asked.found()];
            assert!(may_be.contains(&found), "call {calls}, seed {seed}: {found:?}");
            // And it goes on from there.
            let next = Step::Restart(at(9, 900));
            ask(&mut log, &next).and_then(|()| log.sync()).expect("the disk is whole");
            assert_eq!(log.recover().expect("whole").prev, at(9, 900));
        }
    }
    println!("{crashes} crashes");
    assert!(crashes > 200, "{crashes} crashes");
}

#[test]
fn after_an_fsync_that_failed_nothing_succeeds_any_more() {
    let disk = Disk::default();
    let mut log = RedbLog::on_backend(disk.clone()).expect("room");
    ask(&mut log, &append(1, 1, 3, 10)).expect("room");
    log.sync().expect("it works");
    ask(&mut log, &append(1, 4, 1, 10)).expect("room");
    disk.fail_syncs(1);
    assert!(log.sync().is_err());
    // The disk works again, and the log does not pretend that nothing has happened.
    let again = ask(&mut log, &append(1, 5, 1, 10)).and_then(|()| log.sync());
    assert!(again.is_err());
    drop(log);
    let mut model = Model::new();
    model.take(&append(1, 1, 3, 10));
    let mut found = RedbLog::on_backend(disk.after_crash(1)).expect("whole");
    let found = found.recover().expect("whole");
    let with_the_fourth = {
        let mut more = model.clone();
        more.take(&append(1, 4, 1, 10));
        more
    };
    assert!([model.found(), with_the_fourth.found()].contains(&found), "{found:?}");
}
