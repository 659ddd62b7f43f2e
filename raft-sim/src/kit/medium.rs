//! A directory of files in memory that crashes: what was not synced survives, or not, or in part.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// A directory of files. Clones are the same directory.
///
/// As a file system does: what is written is read again at once, and survives a crash only after
/// [`sync`](Self::sync); a name that was made, changed or removed does after
/// [`sync_dir`](Self::sync_dir). Bytes of a file whose name is lost are lost. A sync that fails
/// takes with it what it should have made durable: no later sync makes up for it.
///
/// Each call that changes something or syncs is a *boundary*, counted from 0: a crash can come
/// before it. From there on every call fails, as if nobody ran any more.
#[derive(Clone, Debug, Default)]
pub struct Medium(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    files: BTreeMap<u64, File>,
    next_file: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// What was done to names since the last sync of the directory.
    pending_names: Vec<NameChange>,
    calls: u64,
    crash_at: Option<u64>,
    /// The call before which the crash came.
    crashed_before: Option<String>,
    failing_syncs: u32,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// As it is read.
    now: Vec<u8>,
    /// As it was at the last sync.
    durable: Vec<u8>,
    /// What was changed since.
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

#[derive(Clone, Debug)]
enum NameChange {
    Made(String, u64),
    Renamed(String, String),
    Removed(String),
}

/// Sectors are written whole; larger writes may tear between them.
const SECTOR: usize = 512;

/// What a crash does with what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// All of it survives: the process ended, and the machine did not.
    All,
    /// None of it survives.
    Nothing,
    /// The changes survive in their order up to some byte of one of them. The number draws where.
    Beginning(u64),
    /// Each sector survives or does not. The number draws which.
    Sectors(u64),
}

impl Fate {
    /// The first `count` fates: all, nothing, and then by turns the two that are drawn.
    pub fn several(count: u64) -> impl Iterator<Item = Self> {
        (0..count).map(|nth| match nth {
            0 => Self::All,
            1 => Self::Nothing,
            nth if nth % 2 == 0 => Self::Beginning(nth),
            nth => Self::Sectors(nth),
        })
    }

    /// The same kind, drawn anew.
    pub(super) const fn moved(self, by: u64) -> Self {
        match self {
            Self::All | Self::Nothing => self,
            Self::Beginning(seed) => Self::Beginning(seed + 1000 * by),
            Self::Sectors(seed) => Self::Sectors(seed + 1000 * by),
        }
    }
}

impl Medium {
    /// The machine crashes before this boundary, counted from 0 since the medium was made.
    pub fn crash_at(&self, boundary: u64) {
        self.lock().crash_at = Some(boundary);
    }

    /// The machine crashes now.
    pub fn crash(&self) {
        let mut state = self.lock();
        state.crash_at = Some(state.calls);
        state.crashed_before.get_or_insert_with(|| "nothing: it was told to".to_owned());
    }

    /// How many boundaries there were.
    pub fn boundaries(&self) -> u64 {
        self.lock().calls
    }

    /// Before which call the crash came, if it did.
    pub fn crashed_before(&self) -> Option<String> {
        self.lock().crashed_before.clone()
    }

    /// So many syncs fail from now on; what they should have made durable is lost in a crash.
    pub fn fail_syncs(&self, count: u32) {
        self.lock().failing_syncs = count;
    }

    /// How many syncs are still to fail.
    pub fn failing_syncs(&self) -> u32 {
        self.lock().failing_syncs
    }

    /// Another medium, as a crash now leaves this one. Nothing of it is under way.
    #[must_use]
    pub fn after_crash(&self, fate: Fate) -> Self {
        let state = self.lock();
        let mut dice = Dice::of(fate);
        let mut found = State { next_file: state.next_file, ..State::default() };
        let mut names = state.durable_names.clone();
        let kept = match fate {
            Fate::All => state.pending_names.len(),
            Fate::Nothing => 0,
            Fate::Beginning(_) | Fate::Sectors(_) => dice.below(state.pending_names.len() + 1),
        };
        state.pending_names[..kept].iter().for_each(|change| change.apply(&mut names));
        for id in names.values() {
            let file = &state.files[id];
            let durable = file.after_crash(fate, &mut dice);
            found.files.insert(*id, File { now: durable.clone(), durable, pending: Vec::new() });
        }
        found.durable_names.clone_from(&names);
        found.names = names;
        Self(Arc::new(Mutex::new(found)))
    }

    /// Another medium that holds the same, with one bit of one byte changed on the platter.
    ///
    /// # Errors
    ///
    /// There is no such file, or no such byte in it.
    pub fn with_damage(&self, name: &str, offset: usize, bit: u8) -> io::Result<Self> {
        let copy = self.after_crash(Fate::Nothing);
        let mut state = copy.lock();
        let file = state.file(name)?;
        let byte = file.durable.get_mut(offset).ok_or(io::ErrorKind::UnexpectedEof)?;
        *byte ^= 1 << (bit % 8);
        file.now.clone_from(&file.durable);
        drop(state);
        Ok(copy)
    }

    /// The names of the files, in their order.
    pub fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// How long a file is.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the machine has crashed.
    pub fn len(&self, name: &str) -> io::Result<u64> {
        Ok(self.alive()?.file(name)?.now.len() as u64)
    }

    /// The whole of a file.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the machine has crashed.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.alive()?.file(name)?.now.clone())
    }

    /// Some bytes of a file.
    ///
    /// # Errors
    ///
    /// They are not there, or the machine has crashed.
    pub fn read_at(&self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.alive()?;
        let from = small(offset)?;
        let found = state.file(name)?.now.get(from..from.saturating_add(out.len()));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    /// Writes into a file, which is made if it is not there, and grows as is needed.
    ///
    /// # Errors
    ///
    /// The machine has crashed.
    pub fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        let mut state = self.boundary(|| format!("write {name} {offset}..{end}"))?;
        let from = small(offset)?;
        let file = state.file_or_new(name);
        put(&mut file.now, from, bytes);
        file.pending.push(Change::Bytes(from, bytes.to_vec()));
        Ok(())
    }

    /// Writes behind the end of a file, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// The machine has crashed.
    pub fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let end = self.alive()?.file(name).map_or(0, |file| file.now.len());
        self.write_at(name, end as u64, bytes)
    }

    /// Cuts a file, or fills it with zeros, so that it is this long. It is made if it is not there.
    ///
    /// # Errors
    ///
    /// The machine has crashed.
    pub fn set_len(&self, name: &str, length: u64) -> io::Result<()> {
        let mut state = self.boundary(|| format!("set the length of {name} to {length}"))?;
        let length = small(length)?;
        let file = state.file_or_new(name);
        file.now.resize(length, 0);
        file.pending.push(Change::Length(length));
        Ok(())
    }

    /// Makes the bytes of a file durable; not its name.
    ///
    /// # Errors
    ///
    /// There is none of this name, the sync fails, or the machine has crashed.
    pub fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.boundary(|| format!("sync {name}"))?;
        let fails = state.failing_syncs > 0;
        state.failing_syncs = state.failing_syncs.saturating_sub(1);
        let file = state.file(name)?;
        let pending = std::mem::take(&mut file.pending);
        if fails {
            return Err(io::Error::other("the disk did not say that it is durable"));
        }
        for change in &pending {
            change.apply(&mut file.durable);
        }
        Ok(())
    }

    /// Gives a file another name, in the place of whatever had it.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the machine has crashed.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.alive()?.file(from)?;
        let mut state = self.boundary(|| format!("rename {from} to {to}"))?;
        state.change_name(NameChange::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the machine has crashed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.alive()?.file(name)?;
        let mut state = self.boundary(|| format!("remove {name}"))?;
        state.change_name(NameChange::Removed(name.to_owned()));
        Ok(())
    }

    /// Makes the names durable.
    ///
    /// # Errors
    ///
    /// The machine has crashed.
    pub fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.boundary(|| "sync the directory".to_owned())?;
        state.pending_names.clear();
        let names = state.names.clone();
        state.durable_names = names;
        Ok(())
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.crashed_before.is_some() {
            return Err(crashed());
        }
        Ok(state)
    }

    fn boundary(&self, call: impl FnOnce() -> String) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if state.crash_at.is_some_and(|at| at <= state.calls) {
            state.crashed_before.get_or_insert_with(call);
            return Err(crashed());
        }
        state.calls += 1;
        Ok(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no call panics with it")
    }
}

fn crashed() -> io::Error {
    io::Error::other("the machine has crashed")
}

impl State {
    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let id = self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.files.get_mut(id).expect("each name has a file"))
    }

    fn file_or_new(&mut self, name: &str) -> &mut File {
        if !self.names.contains_key(name) {
            let id = self.next_file;
            self.next_file += 1;
            self.files.insert(id, File::default());
            self.change_name(NameChange::Made(name.to_owned(), id));
        }
        self.file(name).expect("it was made")
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Made(name, id) => {
                names.insert(name.clone(), *id);
            }
            Self::Renamed(from, to) => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            }
            Self::Removed(name) => {
                names.remove(name);
            }
        }
    }
}

impl File {
    fn after_crash(&self, fate: Fate, dice: &mut Dice) -> Vec<u8> {
        let mut found = self.durable.clone();
        match fate {
            Fate::Nothing => {}
            Fate::All => self.pending.iter().for_each(|change| change.apply(&mut found)),
            Fate::Beginning(_) => {
                let size = |change: &Change| match change {
                    Change::Length(_) => 1,
                    Change::Bytes(_, bytes) => bytes.len().max(1),
                };
                let mut left = dice.below(self.pending.iter().map(size).sum::<usize>() + 1);
                for change in &self.pending {
                    match change {
                        _ if left >= size(change) => change.apply(&mut found),
                        Change::Bytes(from, bytes) => put(&mut found, *from, &bytes[..left]),
                        Change::Length(_) => {}
                    }
                    left = left.saturating_sub(size(change));
                    if left == 0 {
                        break;
                    }
                }
            }
            Fate::Sectors(_) => {
                for change in &self.pending {
                    match change {
                        Change::Length(_) if dice.below(4) > 0 => change.apply(&mut found),
                        Change::Length(_) => {}
                        Change::Bytes(from, bytes) => {
                            for (at, sector) in sectors(*from, bytes) {
                                if dice.below(4) > 0 {
                                    put(&mut found, at, sector);
                                }
                            }
                        }
                    }
                }
            }
        }
        found
    }
}

/// The parts of a write between the borders of sectors.
fn sectors(from: usize, bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut all, mut at, mut rest) = (Vec::new(), from, bytes);
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
        all.push((at, head));
        (at, rest) = (at + head.len(), tail);
    }
    all
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Length(length) => file.resize(*length, 0),
            Self::Bytes(from, bytes) => put(file, *from, bytes),
        }
    }
}

/// A file grows by what is written behind its end.
fn put(file: &mut Vec<u8>, from: usize, bytes: &[u8]) {
    let end = from + bytes.len();
    file.resize(file.len().max(end), 0);
    file[from..end].copy_from_slice(bytes);
}

fn small(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// A small generator of numbers (xorshift64*, Vigna 2016): what is drawn is the same everywhere.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn of(fate: Fate) -> Self {
        Self::new(match fate {
            Fate::All | Fate::Nothing => 0,
            Fate::Beginning(seed) | Fate::Sectors(seed) => seed,
        })
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below")
    }
}

#[cfg(test)]
mod tests {
    use super::{Fate, Medium};

    fn written() -> Medium {
        let medium = Medium::default();
        medium.write_at("a", 0, b"synced").unwrap();
        medium.sync("a").unwrap();
        medium.sync_dir().unwrap();
        medium
    }

    #[test]
    fn what_was_not_synced_survives_or_not_or_in_part() {
        let medium = written();
        medium.append("a", &[7; 2000]).unwrap();
        let length = |fate| medium.after_crash(fate).len("a").unwrap();
        assert_eq!(length(Fate::All), 2006);
        assert_eq!(length(Fate::Nothing), 6);
        let lengths: Vec<_> = (0..40).map(|seed| length(Fate::Beginning(seed))).collect();
        assert!(lengths.iter().any(|length| (7..2006).contains(length)), "{lengths:?}");
        let holes = (0..40).filter(|seed| {
            let found = medium.after_crash(Fate::Sectors(*seed)).read("a").unwrap();
            assert_eq!(&found[..6], b"synced");
            found.len() == 2006 && found[6..].contains(&0)
        });
        assert!(holes.count() > 5, "a sector is lost and a later one is not");
    }

    #[test]
    fn a_name_is_durable_when_its_directory_is() {
        let medium = written();
        medium.write_at("b", 0, b"bytes").unwrap();
        medium.sync("b").unwrap();
        assert_eq!(medium.after_crash(Fate::Nothing).names(), ["a"]);
        medium.sync_dir().unwrap();
        medium.rename("b", "a").unwrap();
        assert_eq!(medium.read("a").unwrap(), b"bytes");
        let before = medium.after_crash(Fate::Nothing);
        assert_eq!(
            (before.names(), before.read("a").unwrap()),
            (names(&["a", "b"]), b"synced".to_vec())
        );
        medium.sync_dir().unwrap();
        assert_eq!(medium.after_crash(Fate::Nothing).read("a").unwrap(), b"bytes");
        medium.remove("a").unwrap();
        assert_eq!(medium.after_crash(Fate::Nothing).names(), ["a"]);
    }

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn after_the_crash_every_call_fails_and_the_first_is_named() {
        let medium = written();
        medium.crash_at(4);
        medium.append("a", b"x").unwrap();
        assert!(medium.sync("a").is_err());
        assert!(medium.append("a", b"y").is_err() && medium.read("a").is_err());
        assert_eq!(medium.crashed_before().as_deref(), Some("sync a"));
        assert_eq!(medium.boundaries(), 4);
    }

    #[test]
    fn what_a_failed_sync_should_have_made_durable_is_lost() {
        let medium = written();
        medium.append("a", b"lost").unwrap();
        medium.fail_syncs(1);
        assert!(medium.sync("a").is_err());
        medium.sync("a").unwrap();
        assert_eq!(medium.read("a").unwrap(), b"syncedlost");
        assert_eq!(medium.after_crash(Fate::All).read("a").unwrap(), b"synced");
    }

    #[test]
    fn damage_is_one_bit() {
        let damaged = written().with_damage("a", 1, 0).unwrap();
        assert_eq!(damaged.read("a").unwrap(), b"sxnced");
        assert!(written().with_damage("a", 6, 0).is_err());
    }
}
