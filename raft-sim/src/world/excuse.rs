//! What excuses a run from converging: disks that were lost for good.

use raft_core::{Membership, NodeId};
use std::fmt;

/// How a disk was lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    /// All of it is gone.
    Destroyed,
    /// A record is damaged, so that its host refuses to start the node.
    Damaged,
    /// It was emptied, and its node was not started since.
    Wiped,
    /// In one of these ways, and so shortly before the membership was let in that nobody could
    /// know.
    Unheard,
}

impl Cause {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Destroyed => "destroyed",
            Self::Damaged => "damaged",
            Self::Wiped => "wiped",
            Self::Unheard => "unheard",
        }
    }
}

/// A loss after which a membership that was in force then had no quorum of disks any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excuse {
    /// Whose disk was lost.
    pub node: NodeId,
    /// How.
    pub cause: Cause,
    /// The memberships without a quorum.
    pub(super) memberships: Vec<Membership>,
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.cause {
            Cause::Unheard => "lost unheard",
            cause => cause.name(),
        };
        write!(f, "{:?} was {how}, and with it a quorum", self.node)
    }
}
