//! Who a data directory belongs to, and what is found in it at a start.
//!
//! A node that starts with an empty disk under an id that was in use could vote twice in a term, or
//! forget what it has acknowledged. So a directory is made once, by `--init` or `--join`, and the
//! file `identity.json` is its last part: without it nothing starts, and with it everything else
//! must be there.

use crate::command::Record;
use crate::machine::State;
use crate::storage::redb_log::RedbLog;
use crate::storage::snapshots::Snapshots;
use crate::storage::{Engine, FileSystem, Files, Log, RecoveredLog, StorageError};
use raft_core::driver::Entry;
use raft_core::{Membership, MembershipError, NodeId, Recovered, Snapshot};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use thiserror::Error;

/// Whose a data directory is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster.
    pub cluster: String,
    /// The node.
    pub id: u64,
    /// The voters of the new cluster, or nobody for a node that joins one.
    pub voters: Vec<u64>,
}

/// How everything in a directory is written. Another one is refused: what its bytes meant is not
/// known here.
const FORMAT: u32 = 2;

/// What says whose a directory is, as it is written there.
#[derive(Serialize, Deserialize)]
struct Written<I> {
    /// [`FORMAT`]; the first one was not named.
    #[serde(default)]
    format: u32,
    #[serde(flatten)]
    identity: I,
}

/// Why a node cannot start from a directory.
#[derive(Debug, Error)]
pub enum OpenError {
    /// There is nothing, and it was not said that there is to be nothing.
    #[error(
        "no node lives in {0}. If its disk was lost, start a new node under a new id with --join; \
         a node of a new cluster starts with --init"
    )]
    Nobody(String),
    /// Another node lives there.
    #[error("node {found} of cluster {cluster:?} lives there")]
    Somebody {
        /// Who.
        found: u64,
        /// Of which cluster.
        cluster: String,
    },
    /// A server of another version wrote it.
    #[error("it is written in format {found}, and this server reads format {FORMAT} only")]
    Format {
        /// In which format.
        found: u32,
    },
    /// What is there cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The voters of the new cluster.
    #[error("the voters: {0}")]
    Voters(#[from] MembershipError),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// What is found in a directory, open.
#[derive(Debug)]
pub struct Stored {
    /// The log.
    pub log: RedbLog,
    /// The state machine, at `recovered.applied`.
    pub state: State,
    /// The snapshots.
    pub snapshots: Snapshots,
    /// What the node starts from.
    pub recovered: Recovered,
    /// What the snapshot keeps of the address book, and what the log says of it after that.
    pub book: (Vec<Record>, Vec<Entry<Record>>),
}

const FILE: &str = "identity.json";

/// Opens a directory, or makes it where `first` says that this is the first start.
///
/// # Errors
///
/// It is somebody else's, damaged, or not there.
pub fn open(
    dir: &Path,
    identity: &Identity,
    first: bool,
    engine: &dyn Engine,
) -> Result<Stored, OpenError> {
    let found = match fs::read(dir.join(FILE)) {
        Ok(bytes) => read(&bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && first => {
            make(dir, identity, engine)?;
            identity.clone()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::Nobody(dir.display().to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let Identity { cluster, id, voters } = found;
    if (&cluster, id) != (&identity.cluster, identity.id) {
        return Err(OpenError::Somebody { found: id, cluster });
    }
    let mut log = RedbLog::open(&dir.join("log.redb"), engine)?;
    let state = State::open(&dir.join("state.redb"), engine)?;
    let snapshots = Snapshots::open(&dir.join("snapshots"), engine.file_system())?;
    let genesis = Snapshot::genesis(Membership::of_voters(voters.into_iter().map(NodeId))?);
    let newest = snapshots.newest()?;
    let described =
        newest.as_ref().map_or(Ok(Vec::new()), |of| snapshots.described(of.position))?;
    let snapshot = newest.unwrap_or(genesis);
    snapshots.tidy(snapshot.position)?;
    // A crash took the state machine back behind the snapshot, or came before it was installed.
    if state.applied()? < snapshot.position.index {
        state.restore(snapshots.read(snapshot.position)?)?;
    }
    let RecoveredLog { hard_state, prev, entries, book } = log.recover()?;
    let applied = state.applied()?;
    let recovered = Recovered { hard_state, snapshot, prev, entries, applied };
    Ok(Stored { log, state, snapshots, recovered, book: (described, book) })
}

fn read(bytes: &[u8]) -> Result<Identity, OpenError> {
    let written: Result<Written<Identity>, _> = serde_json::from_slice(bytes);
    match written.map_err(|_| StorageError::damaged(FILE))? {
        Written { format: FORMAT, identity } => Ok(identity),
        Written { format: found, .. } => Err(OpenError::Format { found }),
    }
}

fn make(dir: &Path, identity: &Identity, engine: &dyn Engine) -> Result<(), StorageError> {
    fs::create_dir_all(dir)?;
    RedbLog::create(&dir.join("log.redb"), engine)?;
    State::create(&dir.join("state.redb"), engine)?;
    Snapshots::open(&dir.join("snapshots"), engine.file_system())?;
    let part = dir.join("identity.part");
    let mut file = File::create(&part)?;
    let written = Written { format: FORMAT, identity };
    file.write_all(&serde_json::to_vec_pretty(&written).expect("it has an encoding"))?;
    file.sync_all()?;
    fs::rename(part, dir.join(FILE))?;
    // The directory itself has a name, too.
    let parent = dir.canonicalize()?.parent().map_or(Ok(()), |parent| Files.sync_dir(parent));
    Ok(Files.sync_dir(dir).and(parent)?)
}

#[cfg(test)]
mod tests {
    use super::{Identity, OpenError, Stored};
    use crate::address::{Address, Addresses};
    use crate::clock;
    use crate::command::{Command, Record};
    use crate::storage::{Files, Log};
    use raft_core::driver::{BoundLog, BoundWrite, Driver, Entry, Settings};
    use raft_core::payload::Content;
    use raft_core::{
        Config, HardState, LogIndex, LogPosition, Membership, Node, NodeId, Snapshot, Term, Ticket,
    };
    use std::fs;
    use std::path::Path;

    fn open(dir: &Path, identity: &Identity, first: bool) -> Result<Stored, OpenError> {
        super::open(dir, identity, first, &Files)
    }

    #[test]
    fn a_directory_is_made_once_and_belongs_to_one_node() {
        let dir = tempfile::tempdir().expect("room");
        let path = dir.path().join("node");
        let one = Identity { cluster: "c".into(), id: 1, voters: vec![1, 2, 3] };
        assert!(matches!(open(&path, &one, false), Err(OpenError::Nobody(_))), "it was lost");
        let made = open(&path, &one, true).expect("room");
        assert_eq!(made.recovered.snapshot.membership.voters().len(), 3);
        drop(made);
        drop(open(&path, &one, false).expect("it is there"));
        let two = Identity { id: 2, ..one.clone() };
        assert!(matches!(open(&path, &two, true), Err(OpenError::Somebody { found: 1, .. })));
        fs::remove_file(path.join("log.redb")).expect("there");
        assert!(matches!(open(&path, &one, true), Err(OpenError::Storage(_))), "half is lost");
    }

    #[test]
    fn what_is_written_in_another_format_is_refused() {
        let dir = tempfile::tempdir().expect("room");
        let path = dir.path().join("node");
        let one = Identity { cluster: "c".into(), id: 1, voters: vec![1, 2, 3] };
        drop(open(&path, &one, true).expect("room"));
        let file = path.join(super::FILE);
        let text = fs::read_to_string(&file).expect("there");
        for (other, found) in [("\"format\": 1,", 1), ("", 0), ("\"format\": 3,", 3)] {
            fs::write(&file, text.replace("\"format\": 2,", other)).expect("room");
            let refused = open(&path, &one, false);
            assert!(matches!(refused, Err(OpenError::Format { found: f }) if f == found));
        }
    }

    /// Where nodes are, for a node that starts with this in its log, none of it known to be
    /// committed but what is applied.
    fn known_at_start(log: Vec<Content<Record>>, applied: usize) -> Addresses {
        let dir = tempfile::tempdir().expect("room");
        let path = dir.path().join("node");
        let one = Identity { cluster: "c".into(), id: 1, voters: vec![1, 2, 3] };
        let mut made = open(&path, &one, true).expect("room");
        let entry = |(index, content)| Entry { position: at(index), content };
        let entries: Vec<_> = (1..).zip(log).map(entry).collect();
        made.state.apply(&entries[..applied]).expect("room");
        let bound = BoundLog { restart_after: None, first: LogIndex(1), entries };
        write(&mut made, Some(bound));
        drop(made);
        follows(open(&path, &one, false).expect("it is there"))
    }

    /// This, in term 1.
    fn write(to: &mut Stored, log: Option<BoundLog<Record>>) {
        let hard_state = Some(HardState { current_term: Term(1), ..HardState::default() });
        to.log.write(&BoundWrite { ticket: Ticket(1), hard_state, log }).expect("room");
        to.log.sync().expect("room");
    }

    const fn at(index: u64) -> LogPosition {
        LogPosition::new(Term(1), LogIndex(index))
    }

    fn follows(stored: Stored) -> Addresses {
        let node = Node::new(Config::new(NodeId(1), 7), stored.recovered, clock::now());
        let driver = Driver::new(node.expect("well-formed"), Settings::default());
        let (mut driver, addresses) = (driver.expect("the defaults"), Addresses::default());
        driver.recall(stored.book.0, stored.book.1);
        addresses.follow(&driver);
        addresses
    }

    fn tells(node: u64) -> (Content<Record>, Address) {
        let address = Address { raft: format!("n{node}:1"), http: format!("n{node}:2") };
        let command = Command::Address { node, address: address.clone() };
        (Content::Command(command.encode()), address)
    }

    fn members(learners: &[u64]) -> Content<Record> {
        let voters = [1, 2, 3].map(NodeId);
        let learners = learners.iter().copied().map(NodeId);
        Content::Membership(Box::new(Membership::new(voters, [], learners).expect("valid")))
    }

    #[test]
    fn a_node_that_starts_with_a_member_that_is_not_committed_knows_where_it_is() {
        let (comes, address) = tells(4);
        let put = Content::Command(Command::Open.encode());
        let addresses = known_at_start(vec![put, comes, members(&[4])], 0);
        assert_eq!((addresses.get(4), addresses.get(2)), (Some(address), None));
    }

    #[test]
    fn who_has_left_is_known_until_that_is_applied_and_then_struck_out() {
        let (comes, address) = tells(4);
        let log = vec![comes, members(&[4]), members(&[])];
        assert_eq!(known_at_start(log.clone(), 2).get(4), Some(address));
        assert_eq!(known_at_start(log, 3).get(4), None);
    }

    #[test]
    fn what_a_snapshot_keeps_of_the_book_is_known_at_the_start_without_the_log() {
        let dir = tempfile::tempdir().expect("room");
        let path = dir.path().join("node");
        let one = Identity { cluster: "c".into(), id: 1, voters: vec![1, 2, 3] };
        let mut made = open(&path, &one, true).expect("room");
        write(&mut made, None);
        let (comes, address) = tells(4);
        let voters = Membership::new([1, 2, 3].map(NodeId), [], [NodeId(4)]).expect("valid");
        let head = Snapshot { position: at(9), membership: voters };
        let book: Vec<_> = comes.command().cloned().into_iter().collect();
        let mut writer = made.snapshots.create(&head, &book).expect("room");
        made.state.view().expect("readable").write(&mut writer).expect("room");
        writer.finish().expect("room");
        drop(made);
        assert_eq!(follows(open(&path, &one, false).expect("there")).get(4), Some(address));
    }
}
