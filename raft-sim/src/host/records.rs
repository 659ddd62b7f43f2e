//! The checksums beside what a disk holds, and what a host makes of them when it starts.
//!
//! Hard state, snapshot, and each entry of the log are records with a checksum over their place and
//! their content. A record whose checksum does not fit is either *torn*, which a crash can do to
//! the record that was being written, or *damaged*, which it cannot. The two must not be confused:
//! to cut off a torn record loses nothing that was ever reported durable; to cut off a damaged one
//! takes back an acknowledgement. What tells them apart is what stands behind: nothing is written
//! behind a torn record, so a record with a good one behind it, of any kind, is
//! [*sealed*](Records::sealed), and if its checksum does not fit, it is damaged.
//!
//! So damage of the very last record is beyond this host: it looks as if it were torn. A real one
//! that must find that too writes a seal behind each fsync.

use crate::host::log::Log;
use crate::host::stored::Stored;
use crate::plan::choice::{Choices, Question, RollingHash};
use crate::plan::damage::{Damage, DamageTarget};
use raft_core::{LogIndex, LogPosition};
use std::collections::VecDeque;
use std::hash::Hash;

/// The checksums of a disk.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub(super) struct Records {
    hard_state: u64,
    snapshot: u64,
    /// The index before the first of `entries`.
    start: LogIndex,
    /// One for each entry of the log, and one more where a crash has left a record in part.
    entries: VecDeque<u64>,
    /// The log up to here has a good record behind it.
    sealed: LogIndex,
    gone: bool,
}

impl Records {
    /// The records of what is on a disk.
    pub(super) fn of(stored: &Stored) -> Self {
        let mut records = Self::default();
        records.write_hard_state(stored);
        records.write_snapshot(stored);
        records.write_log(&stored.log, LogIndex(stored.log.start().index.get() + 1));
        records
    }

    /// The hard state was written, behind everything else.
    pub(super) fn write_hard_state(&mut self, stored: &Stored) {
        self.hard_state = checksum(LogPosition::ZERO, &stored.hard_state);
        self.sealed = stored.log.last().index;
    }

    /// Of the hard states that were on their way, another was written last, before what is torn.
    pub(super) fn replace_hard_state(&mut self, stored: &Stored) {
        self.hard_state = checksum(LogPosition::ZERO, &stored.hard_state);
    }

    /// A snapshot was written.
    pub(super) fn write_snapshot(&mut self, stored: &Stored) {
        self.snapshot = stored.snapshot.as_ref().map_or(0, |i| checksum(i.snapshot.position, i));
        self.sealed = stored.log.last().index;
    }

    /// The log was cut at `first`, and what stands there now was written: behind everything before.
    pub(super) fn write_log(&mut self, log: &Log, first: LogIndex) {
        let start = log.start().index;
        let forgotten = usize::try_from(start.get().saturating_sub(self.start.get()));
        let forgotten = forgotten.expect("a log fits into memory").min(self.entries.len());
        self.entries.drain(..forgotten);
        self.start = start;
        let kept = usize::try_from(first.get() - start.get() - 1).expect("a log fits into memory");
        self.entries.truncate(kept);
        self.entries.extend(log.from(first).map(|(position, entry)| checksum(position, entry)));
        let last = log.last().index;
        // A cut is a record, too.
        let written = self.entries.len() > kept;
        self.sealed = if written { LogIndex(last.get() - 1) } else { last };
    }

    /// The log was forgotten up to its start.
    pub(super) fn compacted(&mut self, log: &Log) {
        let sealed = self.sealed;
        self.write_log(log, LogIndex(log.last().index.get() + 1));
        self.sealed = sealed.max(log.start().index);
    }

    /// A crash has left the record after the last entry in part.
    pub(super) fn tear(&mut self) {
        self.entries.push_back(0);
    }

    /// Flips a bit of a record. Whether it is one of the content or of the checksum, they do not
    /// fit any more. Says whether there was something to damage.
    pub(super) fn damage(
        &mut self,
        part: DamageTarget,
        stored: &Stored,
        choices: &mut Choices,
    ) -> bool {
        let bit = 1 << choices.below(Question::Damage, 64);
        match part {
            DamageTarget::HardState => self.hard_state ^= bit,
            DamageTarget::Snapshot if stored.snapshot.is_some() => self.snapshot ^= bit,
            DamageTarget::Snapshot => return false,
            DamageTarget::Entry => {
                let sealed = self.sealed.get().saturating_sub(self.start.get());
                if sealed == 0 {
                    return false;
                }
                let nth = choices.below(Question::Damage, sealed);
                self.entries[usize::try_from(nth).expect("a log fits into memory")] ^= bit;
            }
            DamageTarget::Everything => self.destroy(),
        }
        true
    }

    /// The disk is gone.
    pub(super) const fn destroy(&mut self) {
        self.gone = true;
    }

    /// What a host does before it starts its node: it reads every record, and cuts off one that was
    /// torn. Says whether there was one.
    ///
    /// # Errors
    ///
    /// What is damaged.
    pub(super) fn recover(&mut self, stored: &Stored) -> Result<bool, Damage> {
        let torn = self.read(stored)?;
        self.entries.truncate(torn.unwrap_or(self.entries.len()));
        Ok(torn.is_some())
    }

    /// Reads every record; says which one of the log is torn, if one is.
    ///
    /// # Errors
    ///
    /// What is damaged.
    pub(super) fn read(&self, stored: &Stored) -> Result<Option<usize>, Damage> {
        if self.gone {
            return Err(Damage::Gone);
        }
        if self.hard_state != checksum(LogPosition::ZERO, &stored.hard_state) {
            return Err(Damage::HardState);
        }
        if let Some(image) = &stored.snapshot
            && self.snapshot != checksum(image.snapshot.position, image)
        {
            return Err(Damage::Snapshot);
        }
        let index = |nth: usize| {
            let nth = u64::try_from(nth + 1).expect("a log fits into memory");
            LogIndex(self.start.get() + nth)
        };
        // Of a torn record there is not enough to be an entry.
        let fits = |at: LogIndex, sum: u64| {
            let position = stored.log.position(at);
            position.zip(stored.log.get(at)).is_some_and(|(p, entry)| checksum(p, entry) == sum)
        };
        let bad = self.entries.iter().enumerate().position(|(nth, sum)| !fits(index(nth), *sum));
        match bad {
            None => Ok(None),
            Some(nth) if index(nth) <= self.sealed => Err(Damage::Entry { at: index(nth) }),
            Some(nth) => Ok(Some(nth)),
        }
    }
}

fn checksum(position: LogPosition, content: &impl Hash) -> u64 {
    let mut hash = RollingHash::new();
    hash.take(&position);
    hash.take(content);
    hash.value()
}
