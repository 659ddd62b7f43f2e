//! Snapshot files: what they hold, how they are written, checked, found and removed.
//!
//! A file is complete before it has its name: it is written beside, synced, renamed, and the
//! directory is synced. So whatever has a name is whole, but for what the disk has done to it, and
//! a checksum says that.
//!
//! ```text
//! "KVSNAP2\n"   length, head   tag, length, key, length, value   ...   0, count, CRC-32
//! ```
//!
//! First come the records of the address book, as they stood in the log.

use crate::command::Record;
use crate::storage::{FileSystem, StorageError};
use raft_core::{LogIndex, LogPosition, Snapshot, Term};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, IntoInnerError, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"KVSNAP2\n";
const END: u8 = 0;
/// So the names of files begin that arrive from a peer, until they are whole.
pub const ARRIVING: &str = "arriving-";
/// The tag of a record of the address book.
pub const DESCRIPTION: u8 = 1;
/// No key and no value of the server is longer, nor are all its sessions.
pub const LONGEST: u32 = 16 << 20;

/// One fact of the state machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotRecord {
    /// Of which kind; not 0.
    pub tag: u8,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// The directory of a node's snapshots.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: PathBuf,
    files: Arc<dyn FileSystem>,
}

impl Snapshots {
    /// The snapshots in this directory, which is made if it is not there. What was not finished is
    /// removed.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn open(dir: &Path, files: Arc<dyn FileSystem>) -> Result<Self, StorageError> {
        fs::create_dir_all(dir)?;
        let snapshots = Self { dir: dir.to_path_buf(), files };
        for found in fs::read_dir(dir)? {
            let path = found?.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                snapshots.files.remove(&path)?;
            }
        }
        Ok(snapshots)
    }

    /// The newest snapshot, read once from end to end.
    ///
    /// # Errors
    ///
    /// It is damaged. An older one cannot take its place: the log between them is gone.
    pub fn newest(&self) -> Result<Option<Snapshot>, StorageError> {
        let newest = self.positions()?.into_iter().max_by_key(|position| position.index);
        newest.map(|position| check(&self.path(position))).transpose()
    }

    /// Removes every snapshot but the newest: those that a crash has left.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn tidy(&self, newest: LogPosition) -> Result<(), StorageError> {
        let older = self.positions()?.into_iter().filter(|position| *position != newest);
        older.into_iter().try_for_each(|position| self.remove(position))
    }

    /// What a snapshot keeps of the address book: the first of its records.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn described(&self, position: LogPosition) -> Result<Vec<Record>, StorageError> {
        let (mut reader, mut described) = (self.read(position)?, Vec::new());
        while let Some(record) = reader.next_record()?.filter(|record| record.tag == DESCRIPTION) {
            described.push(record.value.into());
        }
        Ok(described)
    }

    /// Begins a snapshot, which keeps this of the address book.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn create(&self, head: &Snapshot, book: &[Record]) -> Result<SnapshotWriter, StorageError> {
        let path = self.path(head.position);
        let part = path.with_extension("part");
        let out = BufWriter::with_capacity(1 << 20, self.files.create(&part)?);
        let (files, sum) = (Arc::clone(&self.files), crc32fast::Hasher::new());
        let mut writer = SnapshotWriter { out, files, part, path, count: 0, sum };
        let head = postcard::to_stdvec(head).expect("it has an encoding");
        writer.put(MAGIC)?;
        writer.put_bytes(&head)?;
        book.iter().try_for_each(|said| writer.record(DESCRIPTION, &[], said))?;
        Ok(writer)
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    ///
    /// It is not there, or its beginning is damaged.
    pub fn read(&self, position: LogPosition) -> Result<SnapshotReader, StorageError> {
        SnapshotReader::open(&self.path(position))
    }

    /// Where the file of this snapshot is.
    pub fn path(&self, position: LogPosition) -> PathBuf {
        let (index, term) = (position.index, position.term);
        self.dir.join(format!("{:020}-{term}.snapshot", index.get()))
    }

    /// Where the files are. What arrives from others is gathered there, too, as `*.part`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What changes them.
    pub const fn files(&self) -> &Arc<dyn FileSystem> {
        &self.files
    }

    /// Removes a snapshot.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn remove(&self, position: LogPosition) -> Result<(), StorageError> {
        Ok(self.files.remove(&self.path(position))?)
    }

    fn positions(&self) -> Result<Vec<LogPosition>, StorageError> {
        let names = fs::read_dir(&self.dir)?.map(|found| Ok(found?.file_name()));
        let names = names.collect::<Result<Vec<_>, std::io::Error>>()?;
        Ok(names.iter().filter_map(|name| position_of(name.to_str()?)).collect())
    }
}

fn position_of(name: &str) -> Option<LogPosition> {
    let (index, term) = name.strip_suffix(".snapshot")?.split_once('-')?;
    Some(LogPosition::new(Term(term.parse().ok()?), LogIndex(index.parse().ok()?)))
}

/// A snapshot that is being written.
#[derive(Debug)]
pub struct SnapshotWriter {
    out: BufWriter<File>,
    files: Arc<dyn FileSystem>,
    part: PathBuf,
    path: PathBuf,
    count: u64,
    sum: crc32fast::Hasher,
}

impl SnapshotWriter {
    /// Adds a record.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn record(&mut self, tag: u8, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        self.count += 1;
        self.put(&[tag])?;
        self.put_bytes(key)?;
        self.put_bytes(value)
    }

    /// Makes it durable, and gives it its name.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn finish(mut self) -> Result<(), StorageError> {
        self.put(&[END])?;
        let count = self.count;
        self.put(&count.to_le_bytes())?;
        let sum = self.sum.clone().finalize();
        self.out.write_all(&sum.to_le_bytes())?;
        let file = self.out.into_inner().map_err(IntoInnerError::into_error)?;
        self.files.sync(&self.part, &file)?;
        self.files.rename(&self.part, &self.path)?;
        Ok(self.files.sync_dir(self.path.parent().expect("it lies in the directory"))?)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.sum.update(bytes);
        Ok(self.out.write_all(bytes)?)
    }

    fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= LONGEST);
        self.put(&length.expect("no command is so long, nor are all sessions").to_le_bytes())?;
        self.put(bytes)
    }
}

/// A snapshot that is being read. It is whole only when [`next_record`](Self::next_record) has
/// given `None`.
#[derive(Debug)]
pub struct SnapshotReader {
    input: BufReader<File>,
    name: String,
    head: Snapshot,
    count: u64,
    sum: crc32fast::Hasher,
}

impl SnapshotReader {
    fn open(path: &Path) -> Result<Self, StorageError> {
        let input = BufReader::with_capacity(1 << 20, File::open(path)?);
        let name = path.display().to_string();
        let head = Snapshot::genesis(raft_core::Membership::empty());
        let sum = crc32fast::Hasher::new();
        let mut reader = Self { input, name, head, count: 0, sum };
        if reader.take::<8>()? != *MAGIC {
            return Err(reader.damaged());
        }
        let head = reader.take_bytes()?;
        reader.head = postcard::from_bytes(&head).map_err(|_| reader.damaged())?;
        Ok(reader)
    }

    /// What it covers.
    pub const fn head(&self) -> &Snapshot {
        &self.head
    }

    /// The next record.
    ///
    /// # Errors
    ///
    /// It is damaged: nothing that was read of it counts.
    pub fn next_record(&mut self) -> Result<Option<SnapshotRecord>, StorageError> {
        let [tag] = self.take()?;
        if tag != END {
            self.count += 1;
            let (key, value) = (self.take_bytes()?, self.take_bytes()?);
            return Ok(Some(SnapshotRecord { tag, key, value }));
        }
        let count = u64::from_le_bytes(self.take()?);
        let sum = self.sum.clone().finalize();
        let whole = count == self.count && u32::from_le_bytes(self.take()?) == sum;
        let is_over = self.input.read(&mut [0])? == 0;
        if whole && is_over { Ok(None) } else { Err(self.damaged()) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StorageError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|_| self.damaged())?;
        self.sum.update(&bytes);
        Ok(bytes)
    }

    fn take_bytes(&mut self) -> Result<Vec<u8>, StorageError> {
        let length = u32::from_le_bytes(self.take()?);
        if length > LONGEST {
            return Err(self.damaged());
        }
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes).map_err(|_| self.damaged())?;
        self.sum.update(&bytes);
        Ok(bytes)
    }

    fn damaged(&self) -> StorageError {
        StorageError::damaged(&self.name)
    }
}

/// Reads a file from end to end: what it covers, if it is whole.
///
/// # Errors
///
/// It is not.
pub fn check(path: &Path) -> Result<Snapshot, StorageError> {
    let mut reader = SnapshotReader::open(path)?;
    while reader.next_record()?.is_some() {}
    Ok(reader.head)
}

#[cfg(test)]
mod tests {
    use super::{ARRIVING, DESCRIPTION, Snapshots, check};
    use crate::storage::Files;
    use crate::storage::told::Told;
    use raft_core::{LogIndex, LogPosition, Membership, NodeId, Snapshot, Term};
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    fn open(dir: &Path) -> Snapshots {
        Snapshots::open(dir, Arc::new(Files)).expect("room")
    }

    fn head(index: u64) -> Snapshot {
        let membership = Membership::of_voters([NodeId(1), NodeId(2)]).expect("valid");
        Snapshot { position: LogPosition::new(Term(3), LogIndex(index)), membership }
    }

    fn write(snapshots: &Snapshots, index: u64) {
        let mut writer = snapshots.create(&head(index), &[b"at"[..].into()]).expect("room");
        writer.record(3, b"key", b"value").expect("room");
        writer.record(2, b"", b"").expect("room");
        writer.finish().expect("room");
    }

    #[test]
    fn a_snapshot_comes_back_whole_and_the_newest_is_found() {
        let dir = tempfile::tempdir().expect("room");
        let snapshots = open(dir.path());
        assert_eq!(snapshots.newest().expect("readable"), None);
        write(&snapshots, 9);
        write(&snapshots, 10);
        assert_eq!(snapshots.newest().expect("whole"), Some(head(10)));
        let described = snapshots.described(head(9).position).expect("whole");
        assert_eq!(described, [b"at"[..].into()]);
        let mut reader = snapshots.read(head(9).position).expect("there");
        assert_eq!(reader.next_record().expect("whole").map(|first| first.tag), Some(DESCRIPTION));
        let record = reader.next_record().expect("whole").expect("a record");
        assert_eq!(
            (record.tag, &record.key[..], &record.value[..]),
            (3, &b"key"[..], &b"value"[..])
        );
        snapshots.tidy(head(10).position).expect("there");
        assert!(snapshots.read(head(9).position).is_err());
    }

    #[test]
    fn a_snapshot_is_durable_before_it_has_its_name_and_then_its_name_is() {
        let (dir, files) = (tempfile::tempdir().expect("room"), Arc::<Told>::default());
        write(&Snapshots::open(dir.path(), files.clone()).expect("room"), 9);
        assert_eq!(files.so_far(), ["create", "sync", "rename", "sync the directory"]);
    }

    #[test]
    fn one_that_was_changed_or_cut_anywhere_is_damaged() {
        let dir = tempfile::tempdir().expect("room");
        let snapshots = open(dir.path());
        write(&snapshots, 9);
        let path = snapshots.path(head(9).position);
        let bytes = fs::read(&path).expect("there");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).expect("room");
            assert!(check(&path).is_err(), "byte {at} was changed");
            fs::write(&path, &bytes[..at]).expect("room");
            assert!(snapshots.newest().is_err(), "cut at {at}");
        }
        fs::write(&path, [&bytes[..], b"x"].concat()).expect("room");
        assert!(check(&path).is_err(), "there is more");
    }

    #[test]
    fn what_was_not_finished_is_removed_at_the_start() {
        let dir = tempfile::tempdir().expect("room");
        let snapshots = open(dir.path());
        drop(snapshots.create(&head(9), &[]).expect("room"));
        fs::write(dir.path().join(format!("{ARRIVING}1.part")), b"half").expect("room");
        let again = open(dir.path());
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 0);
        assert_eq!(again.newest().expect("readable"), None);
    }
}
