//! Who a data directory belongs to, and what is found in it at a start.
//!
//! A node that starts with an empty disk under an id that was in use could vote twice in a term, or
//! forget what it has acknowledged. So a directory is made once, by `--init` or `--join`, and the
//! file `identity.json` is its last part: without it nothing starts, and with it everything else
//! must be there.

use crate::machine::State;
use crate::storage::redb_log::RedbLog;
use crate::storage::snapshots::Snapshots;
use crate::storage::{Engine, FileSystem, Files, Log, RecoveredLog, StorageError};
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
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| StorageError::damaged(FILE))?,
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
    let snapshot = snapshots.newest()?.unwrap_or(genesis);
    snapshots.tidy(snapshot.position)?;
    // A crash took the state machine back behind the snapshot, or came before it was installed.
    if state.applied()? < snapshot.position.index {
        state.restore(snapshots.read(snapshot.position)?)?;
    }
    let RecoveredLog { hard_state, prev, entries } = log.recover()?;
    let applied = state.applied()?;
    let recovered = Recovered { hard_state, snapshot, prev, entries, applied };
    Ok(Stored { log, state, snapshots, recovered })
}

fn make(dir: &Path, identity: &Identity, engine: &dyn Engine) -> Result<(), StorageError> {
    fs::create_dir_all(dir)?;
    RedbLog::create(&dir.join("log.redb"), engine)?;
    State::create(&dir.join("state.redb"), engine)?;
    Snapshots::open(&dir.join("snapshots"), engine.file_system())?;
    let part = dir.join("identity.part");
    let mut file = File::create(&part)?;
    file.write_all(&serde_json::to_vec_pretty(identity).expect("it has an encoding"))?;
    file.sync_all()?;
    fs::rename(part, dir.join(FILE))?;
    // The directory itself has a name, too.
    let parent = dir.canonicalize()?.parent().map_or(Ok(()), |parent| Files.sync_dir(parent));
    Ok(Files.sync_dir(dir).and(parent)?)
}

#[cfg(test)]
mod tests {
    use super::{Identity, OpenError, Stored};
    use crate::storage::Files;
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
}
