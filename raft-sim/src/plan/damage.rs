//! The kinds of damage that a disk can take, and what a host finds of it.

use raft_core::LogIndex;

/// Why a host cannot start its node: something that it has reported durable is not there any more.
/// The node must never start again; its machine comes back with an empty disk under a new id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum Damage {
    /// The hard state.
    #[error("the hard state is damaged")]
    HardState,
    /// The snapshot.
    #[error("the snapshot is damaged")]
    Snapshot,
    /// An entry of the log.
    #[error("entry {at} of the log is damaged")]
    Entry {
        /// Which.
        at: LogIndex,
    },
    /// Everything.
    #[error("the disk is gone")]
    Gone,
}

/// What is to be damaged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DamageTarget {
    /// The hard state.
    HardState,
    /// The snapshot, if there is one.
    Snapshot,
    /// An entry of the log that others stand behind, if there is one.
    Entry,
    /// The whole disk.
    Everything,
}

impl DamageTarget {
    /// Each of them, with its name.
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Entry, "entry"),
        (Self::HardState, "hard_state"),
        (Self::Snapshot, "snapshot"),
        (Self::Everything, "everything"),
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HardState => "hard_state",
            Self::Snapshot => "snapshot",
            Self::Entry => "entry",
            Self::Everything => "everything",
        }
    }
}
