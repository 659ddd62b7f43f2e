//! What a durable append to a Raft log costs on several engines, beside a lone fsync.
//!
//! `log-bench DIR [SYNCS]`: three rounds; in each, every engine appends groups of 1, 16 and 256
//! entries of 100 bytes and makes each group durable. Times of a busy machine mean little: read the
//! ratio to the lone fsync of the same round, and the bytes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

/// An engine under test: it appends a group of entries, from an index on, and makes it durable.
trait Engine {
    fn append(&mut self, first: u64, group: &[Vec<u8>]) -> Result<(), Failure>;
}

/// The floor: one file that is overwritten and synced, one block at a time.
struct LoneSync(File);

impl Engine for LoneSync {
    fn append(&mut self, first: u64, _: &[Vec<u8>]) -> Result<(), Failure> {
        use std::os::unix::fs::FileExt;
        self.0.write_all_at(&[u8::try_from(first % 251)?; 4096], 0)?;
        Ok(self.0.sync_data()?)
    }
}

/// The baseline: length, checksum, bytes; appended to a file that is made long beforehand.
struct Segment {
    file: File,
    buffer: Vec<u8>,
}

impl Engine for Segment {
    fn append(&mut self, _: u64, group: &[Vec<u8>]) -> Result<(), Failure> {
        self.buffer.clear();
        for entry in group {
            self.buffer.extend(u32::try_from(entry.len())?.to_le_bytes());
            self.buffer.extend(crc32fast::hash(entry).to_le_bytes());
            self.buffer.extend(entry);
        }
        self.file.write_all(&self.buffer)?;
        Ok(self.file.sync_data()?)
    }
}

const ENTRIES: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("entries");

struct Redb(redb::Database);

impl Engine for Redb {
    fn append(&mut self, first: u64, group: &[Vec<u8>]) -> Result<(), Failure> {
        let transaction = self.0.begin_write()?;
        {
            let mut table = transaction.open_table(ENTRIES)?;
            for (index, entry) in (first..).zip(group) {
                table.insert(index, &entry[..])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

struct Fjall {
    database: fjall::Database,
    entries: fjall::Keyspace,
}

impl Engine for Fjall {
    fn append(&mut self, first: u64, group: &[Vec<u8>]) -> Result<(), Failure> {
        let mut batch = self.database.batch().durability(Some(fjall::PersistMode::SyncData));
        for (index, entry) in (first..).zip(group) {
            batch.insert(&self.entries, index.to_be_bytes(), &entry[..]);
        }
        Ok(batch.commit()?)
    }
}

fn open(name: &str, dir: &Path) -> Result<Box<dyn Engine>, Failure> {
    let file = || OpenOptions::new().create(true).truncate(true).write(true).open(dir.join("file"));
    Ok(match name {
        "lone fsync" => Box::new(LoneSync(file()?)),
        "segment" => Box::new(Segment { file: file()?, buffer: Vec::new() }),
        "redb" => Box::new(Redb(redb::Database::create(dir.join("redb"))?)),
        _ => {
            let database = fjall::Database::builder(dir.join("fjall")).open()?;
            let entries = database.keyspace("entries", fjall::KeyspaceCreateOptions::default)?;
            Box::new(Fjall { database, entries })
        }
    })
}

/// How many bytes this process has sent to the disk.
fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// The median time of a group, and the bytes that one wrote.
fn measure(name: &str, dir: &Path, group: usize, syncs: u64) -> Result<(Duration, u64), Failure> {
    let dir: PathBuf = dir.join(format!("{name}-{group}").replace(' ', "-"));
    fs::create_dir_all(&dir)?;
    let mut engine = open(name, &dir)?;
    let entries = vec![vec![7_u8; 100]; group];
    engine.append(1, &entries)?;
    let (mut times, before) = (Vec::new(), written());
    for turn in 1..=syncs {
        let begun = Instant::now();
        engine.append(1 + turn * group as u64, &entries)?;
        times.push(begun.elapsed());
    }
    let bytes = (written() - before) / syncs;
    drop(engine);
    fs::remove_dir_all(&dir)?;
    times.sort_unstable();
    Ok((times[times.len() / 2], bytes))
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or("usage: log-bench DIR [SYNCS]")?);
    let syncs = args.next().map_or(Ok(300), |syncs| syncs.parse())?;
    println!("round  group  engine      median us  of a lone fsync   bytes a group");
    for round in 1..=3 {
        for group in [1, 16, 256] {
            let (floor, bytes) = measure("lone fsync", &dir, group, syncs)?;
            let show = |name: &str, time: Duration, bytes: u64| {
                let (time, floor) = (time.as_micros(), floor.as_micros().max(1));
                let ratio = time * 100 / floor;
                let (whole, part) = (ratio / 100, ratio % 100);
                println!(
                    "{round:5}  {group:5}  {name:10} {time:10} {whole:13}.{part:02} {bytes:15}"
                );
            };
            show("lone fsync", floor, bytes);
            for name in ["segment", "redb", "fjall"] {
                let (time, bytes) = measure(name, &dir, group, syncs)?;
                show(name, time, bytes);
            }
        }
    }
    Ok(())
}
