//! What has happened, in numbers; and for how long nobody was served.

use crate::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Count {
    /// `kill -9` of one process.
    Kill,
    /// All of them at once.
    PowerCut,
    /// SIGSTOP.
    Hold,
    /// A database that had lost a part of what was written since its last sync.
    Torn,
    /// The same of the files of snapshots, or of their names.
    TornSnapshots,
    /// Times of bad weather.
    Storm,
    /// Nodes or pairs that were cut off.
    Cut,
    /// Times in which a node's syncs were slow.
    SlowSync,
    /// A sync of the log that failed, and the crash that followed.
    FailedLog,
    /// The same of the state machine.
    FailedState,
    /// The same of a snapshot.
    FailedSnapshot,
    /// Learners that became voters.
    Voter,
    /// Voters that were removed.
    Removed,
    /// Handings over of leadership that were done.
    Transfer,
    /// Majorities that were killed or held for a while.
    LostQuorum,
    /// Snapshots that arrived at a node that was behind.
    Snapshot,
    /// Writes that were acknowledged.
    Written,
    /// Of them, those that were done once, in a session.
    Taped,
    /// Times that one of those was asked for again.
    Again,
    /// Writes of unknown fate.
    Unknown,
    /// Requests that were refused: not done, for certain.
    Refused,
    /// Reads by read index.
    ReadIndex,
    /// Reads by lease.
    ReadLease,
    /// Histories that were searched for an order.
    Judged,
    /// Of them, how often at the end, with what every member has then.
    JudgedAtEnd,
    /// Entries of the ledger that were looked for at a node, and found.
    Found,
}

/// Counts, shared by all.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<Count, u64>>,
    service: Mutex<Service>,
}

#[derive(Debug, Default)]
struct Service {
    last: Option<Instant>,
    longest: Option<(Instant, Instant)>,
    /// What was done when.
    diary: Vec<(Instant, String)>,
}

/// A time in which no write was acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    /// For how long.
    pub lasts: Duration,
    /// What was done to the cluster shortly before it and in it.
    pub because: Vec<String>,
}

impl Tally {
    /// So many more.
    pub fn add(&self, what: Count, many: u64) {
        *lock(&self.counts).entry(what).or_default() += many;
    }

    /// How many there were.
    pub fn of(&self, what: Count) -> u64 {
        lock(&self.counts).get(&what).copied().unwrap_or(0)
    }

    /// A write was acknowledged now.
    pub fn acknowledged(&self) {
        self.add(Count::Written, 1);
        let (now, mut service) = (Instant::now(), lock(&self.service));
        let begun = service.last.replace(now).unwrap_or(now);
        let longest = service.longest.map_or(Duration::ZERO, |(from, to)| to - from);
        if now - begun > longest {
            service.longest = Some((begun, now));
        }
    }

    /// This is done to the cluster now.
    pub fn note(&self, what: String) {
        lock(&self.service).diary.push((Instant::now(), what));
    }

    /// What was done to the cluster, and when.
    pub fn diary(&self) -> Vec<(Instant, String)> {
        lock(&self.service).diary.clone()
    }

    /// The longest time without an acknowledged write, between the first and the last one.
    pub fn longest_gap(&self) -> Option<Gap> {
        let service = lock(&self.service);
        let (from, to) = service.longest?;
        let since = from.checked_sub(Duration::from_millis(1500)).unwrap_or(from);
        let within = service.diary.iter().filter(|(at, _)| (since..to).contains(at));
        Some(Gap { lasts: to - from, because: within.map(|(_, what)| what.clone()).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, Tally};
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn the_longest_gap_is_the_one_between_two_writes_and_knows_what_was_done_in_it() {
        let tally = Tally::default();
        assert_eq!(tally.longest_gap(), None);
        tally.acknowledged();
        sleep(Duration::from_millis(30));
        tally.note("a kill".into());
        sleep(Duration::from_millis(30));
        tally.acknowledged();
        tally.acknowledged();
        tally.note("later".into());
        let gap = tally.longest_gap().expect("three writes");
        assert!(gap.lasts >= Duration::from_millis(60));
        assert_eq!(gap.because, ["a kill"]);
        assert_eq!((tally.of(Count::Written), tally.of(Count::Kill)), (3, 0));
    }
}
