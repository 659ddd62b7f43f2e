//! A log in one file: records with a checksum, appended; a new file when most of it is released.
//!
//! ```text
//! length, CRC-32, body   length, CRC-32, body   ...
//! ```
//!
//! A record that is not whole ends the log, as a crash leaves it; unless a *mark* stands behind it.
//! A mark is written after a sync has returned, and says that all before it was durable: then it is
//! damage. Recovery cuts what it does not count, durably, before anything is written behind it.

use crate::files::Dir;
use raft_core::driver::{BoundWrite, Entry};
use raft_core::payload::Content;
use raft_core::{Entries, HardState, LogIndex, LogPosition, Run};
use raft_sim::kit::{Log, RecoveredLog};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};

pub(crate) type Bytes = Vec<u8>;

const NAME: &str = "log";
const HEAD: usize = 8;
/// A file with so much that is dead, and more dead than alive, is written anew.
const DEAD: u64 = 4096;

#[derive(Serialize, Deserialize)]
enum Record {
    HardState(HardState),
    Restart(LogPosition),
    Release(LogPosition),
    Drop(LogIndex),
    Entry(Entry<Bytes>),
    /// All before this place is durable.
    Mark(u64),
}

/// The log of a node.
pub(crate) struct FileLog<D> {
    dir: D,
    hard_state: HardState,
    start: LogPosition,
    entries: BTreeMap<LogIndex, Entry<Bytes>>,
    /// How long the file is, and what is to be appended to it.
    end: u64,
    unsynced: Vec<u8>,
}

impl<D: Dir> FileLog<D> {
    /// What is in the directory, or an empty log.
    pub(crate) fn open(dir: D) -> Result<Self> {
        let (hard_state, start) = (HardState::default(), LogPosition::ZERO);
        let (entries, unsynced) = (BTreeMap::new(), Vec::new());
        let mut log = Self { dir, hard_state, start, entries, end: 0, unsynced };
        if !log.dir.names()?.iter().any(|name| name == NAME) {
            log.dir.publish(NAME, &[])?;
        }
        let bytes = log.dir.read(NAME)?;
        let mut at = 0;
        while let Some((record, length)) = decode(&bytes[at..]) {
            log.replay(record);
            at += length;
        }
        let is_mark = |place: usize| match decode(&bytes[place..]) {
            Some((Record::Mark(of), _)) => of == place as u64,
            _ => false,
        };
        if (at..bytes.len()).any(is_mark) {
            return Err(damaged(at));
        }
        log.end = at as u64;
        if at < bytes.len() {
            log.dir.set_len(NAME, log.end)?;
            log.dir.sync(NAME)?;
        }
        Ok(log)
    }

    fn replay(&mut self, record: Record) {
        match record {
            Record::HardState(hard_state) => self.hard_state = hard_state,
            Record::Restart(after) => (self.start, self.entries) = (after, BTreeMap::new()),
            Record::Release(through) => {
                self.start = through;
                self.entries.retain(|index, _| *index > through.index);
            }
            Record::Drop(first) => drop(self.entries.split_off(&first)),
            Record::Entry(entry) => drop(self.entries.insert(entry.position.index, entry)),
            Record::Mark(_) => {}
        }
    }

    fn put(&mut self, record: Record) {
        encode(&record, &mut self.unsynced);
        self.replay(record);
    }

    /// The log without what is dead, in a new file.
    fn rewrite(&mut self, bytes: &[u8]) -> Result<()> {
        self.dir.publish(NAME, bytes)?;
        self.end = bytes.len() as u64;
        self.unsynced.clear();
        Ok(())
    }

    fn alive(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&Record::HardState(self.hard_state), &mut bytes);
        encode(&Record::Restart(self.start), &mut bytes);
        for entry in self.entries.values() {
            encode(&Record::Entry(entry.clone()), &mut bytes);
        }
        bytes
    }

    /// Everything in it.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry<Bytes>> {
        self.entries.values()
    }
}

impl<D: Dir> Log<Bytes> for FileLog<D> {
    type Error = Error;

    fn recover(&mut self) -> Result<RecoveredLog> {
        let mut entries = Entries::new();
        for (nth, (index, entry)) in self.entries.iter().enumerate() {
            if index.get() != self.start.index.get() + 1 + nth as u64 {
                return Err(Error::new(ErrorKind::InvalidData, format!("{index} follows a gap")));
            }
            let term = entry.position.term;
            entries.push(match entry.content.clone() {
                Content::Command(_) => Run::Commands { term, count: 1 },
                Content::Membership(membership) => Run::Membership { term, membership },
            });
        }
        Ok(RecoveredLog { hard_state: self.hard_state, prev: self.start, entries })
    }

    fn write(&mut self, write: &BoundWrite<Bytes>) -> Result<()> {
        write.hard_state.into_iter().for_each(|hard_state| self.put(Record::HardState(hard_state)));
        let Some(log) = &write.log else { return Ok(()) };
        log.restart_after.into_iter().for_each(|after| self.put(Record::Restart(after)));
        self.put(Record::Drop(log.first));
        log.entries.iter().for_each(|entry| self.put(Record::Entry(entry.clone())));
        Ok(())
    }

    fn release(&mut self, through: LogPosition) -> Result<()> {
        self.put(Record::Release(through));
        Ok(())
    }

    fn restart(&mut self, after: LogPosition) -> Result<()> {
        self.put(Record::Restart(after));
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        if self.unsynced.is_empty() {
            return Ok(());
        }
        if self.end > DEAD {
            let alive = self.alive();
            if self.end > DEAD + 2 * alive.len() as u64 {
                self.rewrite(&alive)?;
            }
        }
        if !self.unsynced.is_empty() {
            self.dir.write_at(NAME, self.end, &self.unsynced)?;
            self.dir.sync(NAME)?;
            self.end += self.unsynced.len() as u64;
        }
        self.unsynced.clear();
        let mut mark = Vec::new();
        encode(&Record::Mark(self.end), &mut mark);
        self.dir.write_at(NAME, self.end, &mark)?;
        self.end += mark.len() as u64;
        Ok(())
    }

    fn read(&mut self, position: LogPosition) -> Result<Option<Content<Bytes>>> {
        let found = self.entries.get(&position.index);
        let found = found.filter(|entry| entry.position == position);
        Ok(found.map(|entry| entry.content.clone()))
    }
}

fn damaged(at: usize) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the log is damaged at byte {at}"))
}

fn encode(record: &Record, into: &mut Vec<u8>) {
    let body = postcard::to_allocvec(record).expect("it has an encoding");
    into.extend(u32::try_from(body.len()).expect("commands are shorter").to_le_bytes());
    into.extend(crc(&body).to_le_bytes());
    into.extend(body);
}

fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = rest.get(..length)?;
    let whole = length > 0 && u32::from_le_bytes(*sum) == crc(body);
    Some((whole.then(|| postcard::from_bytes(body).ok())??, HEAD + length))
}

/// CRC-32 as of IEEE 802.3.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    let byte = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 }
        })
    };
    !bytes.iter().fold(u32::MAX, byte)
}
