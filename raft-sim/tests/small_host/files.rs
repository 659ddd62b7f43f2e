//! What the host needs of a file system: a real directory, or the kit's medium.

use raft_sim::kit::Medium;
use std::fs::{self, File, OpenOptions};
use std::io::{Result, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// A directory.
pub(crate) trait Dir: Clone + Send + 'static {
    fn names(&self) -> Result<Vec<String>>;
    fn read(&self, name: &str) -> Result<Vec<u8>>;
    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<()>;
    fn set_len(&self, name: &str, length: u64) -> Result<()>;
    fn sync(&self, name: &str) -> Result<()>;
    fn rename(&self, from: &str, to: &str) -> Result<()>;
    fn remove(&self, name: &str) -> Result<()>;
    fn sync_dir(&self) -> Result<()>;

    /// A file that is whole when it has its name, and has it durably.
    fn publish(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.set_len("part", 0)?;
        self.write_at("part", 0, bytes)?;
        self.sync("part")?;
        self.rename("part", name)?;
        self.sync_dir()
    }
}

impl Dir for Medium {
    fn names(&self) -> Result<Vec<String>> {
        Ok(Self::names(self))
    }
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        Self::read(self, name)
    }
    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        Self::write_at(self, name, offset, bytes)
    }
    fn set_len(&self, name: &str, length: u64) -> Result<()> {
        Self::set_len(self, name, length)
    }
    fn sync(&self, name: &str) -> Result<()> {
        Self::sync(self, name)
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        Self::rename(self, from, to)
    }
    fn remove(&self, name: &str) -> Result<()> {
        Self::remove(self, name)
    }
    fn sync_dir(&self) -> Result<()> {
        Self::sync_dir(self)
    }
}

/// A directory of the file system.
#[derive(Clone, Debug)]
pub(crate) struct RealDir(pub(crate) PathBuf);

impl RealDir {
    fn open(&self, name: &str) -> Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).open(self.0.join(name))
    }
}

impl Dir for RealDir {
    fn names(&self) -> Result<Vec<String>> {
        let names = fs::read_dir(&self.0)?;
        names.map(|found| Ok(found?.file_name().to_string_lossy().into_owned())).collect()
    }
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        fs::read(self.0.join(name))
    }
    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut file = self.open(name)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }
    fn set_len(&self, name: &str, length: u64) -> Result<()> {
        self.open(name)?.set_len(length)
    }
    fn sync(&self, name: &str) -> Result<()> {
        self.open(name)?.sync_data()
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }
    fn remove(&self, name: &str) -> Result<()> {
        fs::remove_file(self.0.join(name))
    }
    fn sync_dir(&self) -> Result<()> {
        File::open(&self.0)?.sync_all()
    }
}
