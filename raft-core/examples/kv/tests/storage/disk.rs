//! A disk in memory that fails and crashes: what was not synced survives, or not, or in part.

use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Platter>>);

#[derive(Clone, Debug, Default)]
struct Platter {
    /// As it is read.
    now: Vec<u8>,
    /// As it was at the last sync.
    synced: Vec<u8>,
    /// What was changed since.
    pending: Vec<Change>,
    /// After so many more changes and syncs everything fails.
    calls_left: Option<u32>,
    /// So many syncs fail from now on.
    failing_syncs: u32,
}

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

/// Sectors are written whole; larger writes may tear between them.
const SECTOR: usize = 512;

impl Disk {
    /// Everything fails after so many changes and syncs.
    pub(crate) fn failing_after(calls: u32) -> Self {
        let disk = Self::default();
        disk.lock().calls_left = Some(calls);
        disk
    }

    pub(crate) fn fail_syncs(&self, count: u32) {
        self.lock().failing_syncs = count;
    }

    /// Another disk, as a crash now leaves this one: of what was not synced, each sector survived
    /// or did not.
    pub(crate) fn after_crash(&self, seed: u64) -> Self {
        let platter = self.lock();
        let (mut found, mut dice) = (platter.synced.clone(), seed.wrapping_mul(2).wrapping_add(1));
        let mut survives = || {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            // The first two seeds: all of it, and nothing of it.
            match seed {
                0 => true,
                1 => false,
                _ => dice % 4 != 0,
            }
        };
        for change in &platter.pending {
            match change {
                Change::Length(length) if survives() => found.resize(*length, 0),
                Change::Length(_) => {}
                Change::Bytes(offset, bytes) => {
                    for (nth, sector) in bytes.chunks(SECTOR).enumerate() {
                        let from = offset + nth * SECTOR;
                        if survives() {
                            put(&mut found, from, sector);
                        }
                    }
                }
            }
        }
        let platter = Platter { now: found.clone(), synced: found, ..Platter::default() };
        Self(Arc::new(Mutex::new(platter)))
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().expect("no test panics with it")
    }
}

impl Platter {
    fn count(&mut self) -> io::Result<()> {
        match &mut self.calls_left {
            Some(0) => Err(io::Error::other("the disk is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A file grows by what is written behind its end.
fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    file.resize(file.len().max(end), 0);
    file[offset..end].copy_from_slice(bytes);
}

fn small(offset: u64) -> usize {
    usize::try_from(offset).expect("it fits into memory")
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (platter, from) = (self.lock(), small(offset));
        let found = platter.now.get(from..from + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut platter = self.lock();
        platter.count()?;
        platter.now.resize(small(length), 0);
        platter.pending.push(Change::Length(small(length)));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.lock();
        platter.count()?;
        let Platter { now, synced, pending, failing_syncs, .. } = &mut *platter;
        if *failing_syncs > 0 {
            *failing_syncs -= 1;
            return Err(io::Error::other("the disk did not say that it is durable"));
        }
        synced.clone_from(now);
        pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.lock();
        platter.count()?;
        put(&mut platter.now, small(offset), bytes);
        platter.pending.push(Change::Bytes(small(offset), bytes.to_vec()));
        Ok(())
    }
}
