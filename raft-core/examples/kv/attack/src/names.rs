//! Files that lose at a crash what was not synced, their names included: the layer under the files
//! of snapshots.
//!
//! They are written as they are. Beside their directory is another one, in which stands what a
//! crash may take back: up to where each new file was synced, and what was done to names since the
//! directory was. After the kill [`crash`] takes back some of the last of that, in its order, and
//! cuts each new file at any byte behind its last sync, or leaves holes there.
//!
//! A sync takes as long as the [orders](Orders) of the node say, and fails if they say so.

use crate::dice::Dice;
use crate::lock;
use crate::medium::{Orders, SECTOR, Torn, mark_of_failure, small};
use kv::storage::FileSystem;
use kv::storage::snapshots::ARRIVING;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// By this the [`Orders`] call all of them.
pub const SNAPSHOTS: &str = "snapshots";

/// The layer. Its directory is made when there is something to keep there.
#[derive(Debug)]
pub struct Names {
    orders: PathBuf,
    /// How many files that were removed or replaced are kept.
    kept: Mutex<u64>,
}

/// What was done, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Done {
    /// What had the name before, if anything had, is kept under this number.
    Create(String, u64),
    /// From, to; and what had the name before.
    Rename(String, String, u64),
    Remove(String, u64),
    /// All that has this name, up to there, is durable.
    Sync(String, u64),
    /// All names are.
    SyncDir,
}

impl Names {
    /// Their orders are in this file.
    pub const fn new(orders: PathBuf) -> Self {
        Self { orders, kept: Mutex::new(0) }
    }

    /// Does this to the name of `path`, when it is written down what it was before.
    fn change(
        &self,
        path: &Path,
        done: impl FnOnce(String, u64) -> Done,
        change: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut kept = lock(&self.kept);
        let dir = beside(directory(path)?);
        fs::create_dir_all(&dir)?;
        *kept += 1;
        if path.exists() {
            fs::hard_link(path, dir.join(kept.to_string()))?;
        }
        write_down(&dir, &done(name(path), *kept))?;
        change()
    }

    /// As long as ordered, and as well.
    fn ordered(&self, what: &str) -> io::Result<()> {
        std::thread::sleep(Orders::read(&self.orders).slow);
        if Orders::read(&self.orders).fail.as_deref() != Some(SNAPSHOTS) {
            return Ok(());
        }
        // What arrives and cannot be synced is thrown away, and the process goes on.
        if !what.starts_with(ARRIVING) {
            fs::write(mark_of_failure(&self.orders), what)?;
        }
        Err(io::Error::other("the attack has made this sync fail"))
    }
}

impl FileSystem for Names {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.change(path, Done::Create, || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })?;
        File::create_new(path)
    }

    fn sync(&self, path: &Path, file: &File) -> io::Result<()> {
        let length = file.metadata()?.len();
        self.ordered(&name(path))?;
        let _writes = lock(&self.kept);
        write_down(&beside(directory(path)?), &Done::Sync(name(path), length))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(to, |to, kept| Done::Rename(name(from), to, kept), || fs::rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::metadata(path)?;
        self.change(path, Done::Remove, || fs::remove_file(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.ordered("the directory")?;
        let _writes = lock(&self.kept);
        let beside = beside(dir);
        fs::create_dir_all(&beside)?;
        write_down(&beside, &Done::SyncDir)
    }
}

/// Does to the files in this directory, whose process has been killed, what a power cut does.
///
/// # Errors
///
/// As the file system says.
pub fn crash(dir: &Path, dice: &mut Dice) -> io::Result<Torn> {
    let beside = beside(dir);
    let Ok(journal) = fs::read_to_string(beside.join(JOURNAL)) else { return Ok(Torn::default()) };
    // The kill may have come within the last line.
    let whole = journal.rfind('\n').map_or("", |end| &journal[..end]);
    let all: Vec<_> = whole.lines().filter_map(read).collect();
    let open: Vec<_> = (0..all.len()).filter(|nth| is_open(&all, *nth)).collect();
    let many = open.len() as u64;
    let kept = match dice.below(3) {
        0 => 0,
        1 => many,
        _ => dice.below(many + 1),
    };
    let mut torn = Torn { unsynced: many, kept };
    let lost = &open[small(kept)..];
    for nth in lost.iter().rev() {
        take_back(dir, &beside, &all[*nth])?;
    }
    for (name, synced) in lengths(&all, lost) {
        let file = OpenOptions::new().write(true).open(dir.join(name));
        // The kill may have come before it was created.
        let Ok(file) = file else { continue };
        let unsynced = file.metadata()?.len().saturating_sub(synced);
        torn.unsynced += unsynced;
        torn.kept += tear(&file, synced, unsynced, dice)?;
    }
    fs::remove_dir_all(beside)?;
    Ok(torn)
}

/// Whether this changes a name, and no sync of the directory comes after it.
fn is_open(all: &[Done], nth: usize) -> bool {
    let is_name = !matches!(all[nth], Done::Sync(..) | Done::SyncDir);
    is_name && !all[nth..].contains(&Done::SyncDir)
}

fn take_back(dir: &Path, beside: &Path, done: &Done) -> io::Result<()> {
    let (name, kept) = match done {
        Done::Create(name, kept) | Done::Remove(name, kept) => (name, kept),
        Done::Rename(from, to, kept) => {
            // The kill may have come before it.
            if !dir.join(from).exists() {
                fs::rename(dir.join(to), dir.join(from))?;
            }
            (to, kept)
        }
        Done::Sync(..) | Done::SyncDir => return Ok(()),
    };
    let kept = beside.join(kept.to_string());
    if kept.exists() {
        return fs::rename(kept, dir.join(name));
    }
    if matches!(done, Done::Create(..)) {
        // As above.
        _ = fs::remove_file(dir.join(name));
    }
    Ok(())
}

/// Up to where each file is synced that was created since the journal was begun, under the name
/// that it has where these have not happened.
fn lengths(all: &[Done], lost: &[usize]) -> BTreeMap<String, u64> {
    let (mut synced, mut named) = (BTreeMap::new(), BTreeMap::new());
    // A sync tells of the name that the file had then, whether it has kept it or not.
    for is_lost in [false, true] {
        named.clear();
        for (nth, done) in all.iter().enumerate() {
            if is_lost && lost.contains(&nth) {
                continue;
            }
            match done {
                Done::Create(name, _) => _ = named.insert(name.clone(), nth),
                Done::Remove(name, _) => _ = named.remove(name),
                Done::Rename(from, to, _) => {
                    let file = named.remove(from);
                    named.remove(to);
                    named.extend(file.map(|file| (to.clone(), file)));
                }
                Done::Sync(name, length) if !is_lost => {
                    synced.extend(named.get(name).map(|file| (*file, *length)));
                }
                Done::Sync(..) | Done::SyncDir => {}
            }
        }
    }
    let length = |(name, file)| (name, synced.get(&file).copied().unwrap_or(0));
    named.into_iter().map(length).collect()
}

/// How many of the bytes behind what was synced are left.
fn tear(file: &File, synced: u64, unsynced: u64, dice: &mut Dice) -> io::Result<u64> {
    if dice.happens(700) {
        let kept = match dice.below(8) {
            0 => 0,
            1 => unsynced,
            _ => dice.below(unsynced + 1),
        };
        file.set_len(synced + kept)?;
        return Ok(kept);
    }
    // Its length is there, and some of its sectors.
    let mut kept = 0;
    for from in (0..unsynced).step_by(SECTOR) {
        let length = (unsynced - from).min(SECTOR as u64);
        if dice.happens(600) {
            kept += length;
        } else {
            file.write_all_at(&[0; SECTOR][..small(length)], synced + from)?;
        }
    }
    Ok(kept)
}

const JOURNAL: &str = "journal";

fn beside(dir: &Path) -> PathBuf {
    dir.with_extension("names")
}

fn directory(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn write_down(dir: &Path, done: &Done) -> io::Result<()> {
    let line = match done {
        Done::Create(name, kept) => format!("create {name} {kept}"),
        Done::Rename(from, to, kept) => format!("rename {from} {to} {kept}"),
        Done::Remove(name, kept) => format!("remove {name} {kept}"),
        Done::Sync(name, length) => format!("sync {name} {length}"),
        Done::SyncDir => "directory".into(),
    };
    let mut journal = OpenOptions::new().append(true).create(true).open(dir.join(JOURNAL))?;
    journal.write_all(format!("{line}\n").as_bytes())
}

fn read(line: &str) -> Option<Done> {
    let words: Vec<_> = line.split(' ').collect();
    let number = || words.last()?.parse().ok();
    Some(match words[..] {
        ["create", name, _] => Done::Create(name.into(), number()?),
        ["rename", from, to, _] => Done::Rename(from.into(), to.into(), number()?),
        ["remove", name, _] => Done::Remove(name.into(), number()?),
        ["sync", name, _] => Done::Sync(name.into(), number()?),
        ["directory"] => Done::SyncDir,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Names, SNAPSHOTS, crash};
    use crate::dice::Dice;
    use crate::medium::{Orders, Torn, mark_of_failure};
    use kv::storage::FileSystem;
    use kv::storage::snapshots::ARRIVING;
    use std::collections::BTreeSet;
    use std::fs;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::time::Duration;
    use tempfile::TempDir;

    struct Disk {
        dir: TempDir,
        names: Names,
    }

    impl Disk {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("room");
            fs::create_dir(dir.path().join(SNAPSHOTS)).expect("room");
            let names = Names::new(dir.path().join("orders"));
            Self { dir, names }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.dir.path().join(SNAPSHOTS).join(name)
        }

        fn write(&self, name: &str, bytes: &[u8]) -> fs::File {
            let mut file = self.names.create(&self.at(name)).expect("room");
            file.write_all(bytes).expect("room");
            file
        }

        /// Written, synced, named and named durably.
        fn finish(&self, name: &str, bytes: &[u8]) {
            let file = self.write("part", bytes);
            self.names.sync(&self.at("part"), &file).expect("well");
            self.names.rename(&self.at("part"), &self.at(name)).expect("room");
            self.names.sync_dir(&self.dir.path().join(SNAPSHOTS)).expect("well");
        }

        fn crash(&self, seed: u64) -> Torn {
            crash(&self.dir.path().join(SNAPSHOTS), &mut Dice::new(seed)).expect("room")
        }

        fn found(&self) -> Vec<(String, Vec<u8>)> {
            let all = fs::read_dir(self.dir.path().join(SNAPSHOTS)).expect("there");
            let mut all: Vec<_> = all
                .map(|found| found.expect("there").path())
                .map(|path| (super::name(&path), fs::read(&path).expect("there")))
                .collect();
            all.sort();
            all
        }
    }

    fn found(name: &str, bytes: &[u8]) -> (String, Vec<u8>) {
        (name.into(), bytes.to_vec())
    }

    #[test]
    fn what_was_synced_and_named_durably_is_there_after_every_crash() {
        for seed in 0..100 {
            let disk = Disk::new();
            disk.finish("a", &[1; 3000]);
            disk.finish("b", &[2; 3000]);
            disk.names.remove(&disk.at("a")).expect("there");
            disk.names.sync_dir(Path::new(&disk.dir.path().join(SNAPSHOTS))).expect("well");
            assert_eq!(disk.crash(seed), Torn::default());
            assert_eq!(disk.found(), [found("b", &[2; 3000])]);
            assert_eq!(disk.crash(seed), Torn::default(), "a crash is over when it is over");
        }
    }

    #[test]
    fn a_file_that_was_not_synced_is_cut_anywhere_or_has_holes_and_may_lack_its_name() {
        let (mut lengths, mut holes) = (BTreeSet::new(), 0);
        for seed in 0..300 {
            let disk = Disk::new();
            drop(disk.write("a", &[7; 2000]));
            disk.crash(seed);
            match &disk.found()[..] {
                [] => _ = lengths.insert(None),
                [(_, bytes)] => {
                    holes += u32::from(bytes.contains(&0));
                    lengths.insert(Some(bytes.len()));
                }
                more => panic!("{more:?}"),
            }
        }
        assert!(lengths.contains(&None) && lengths.contains(&Some(2000)), "{lengths:?}");
        assert!(lengths.len() > 50 && holes > 20, "{} lengths, {holes} with holes", lengths.len());
    }

    #[test]
    fn names_are_taken_back_from_the_last_one_on_and_what_they_hid_comes_back() {
        let states = [
            vec![found("a", b"old"), found("b", b"other")],
            vec![found("a", b"old"), found("b", b"other"), found("part", b"new")],
            vec![found("a", b"new"), found("b", b"other")],
            vec![found("a", b"new")],
        ];
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let disk = Disk::new();
            disk.finish("a", b"old");
            disk.finish("b", b"other");
            let file = disk.write("part", b"new");
            disk.names.sync(&disk.at("part"), &file).expect("well");
            disk.names.rename(&disk.at("part"), &disk.at("a")).expect("room");
            disk.names.remove(&disk.at("b")).expect("there");
            assert_eq!(disk.found(), states[3], "nothing is held back before");
            disk.crash(seed);
            let after = disk.found();
            seen.insert(states.iter().position(|state| *state == after).expect("one of them"));
        }
        assert_eq!(seen.len(), states.len());
    }

    #[test]
    fn a_sync_fails_when_ordered_and_says_so_where_a_process_has_to_end() {
        let disk = Disk::new();
        let orders = disk.dir.path().join("orders");
        let fail = Some(SNAPSHOTS.to_string());
        Orders { slow: Duration::ZERO, fail }.give(&orders).expect("room");
        let arrives = format!("{ARRIVING}1.part");
        let file = disk.write(&arrives, b"1");
        disk.names.sync(&disk.at(&arrives), &file).expect_err("it fails");
        assert!(!mark_of_failure(&orders).exists(), "it is thrown away");
        let file = disk.write("9-1.part", b"1");
        disk.names.sync(&disk.at("9-1.part"), &file).expect_err("it fails");
        assert_eq!(fs::read(mark_of_failure(&orders)).expect("there"), b"9-1.part");
        assert!(disk.names.sync_dir(&disk.dir.path().join(SNAPSHOTS)).is_err());
    }
}
