//! What every implementation has to do, and what is counted while it does.

use std::sync::Arc;

/// The bytes of a command, as a runtime hands them around.
pub type Handle = Arc<[u8]>;

/// What stands at one index of a runtime's log; nothing for the protocol's own entries.
pub type Slot = Option<Handle>;

/// A log as `(term, entries)`, in ascending terms.
pub type Runs = Vec<(u64, u64)>;

/// What a cluster has done.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// How often a node took what had arrived for it, and said what to do.
    pub turns: u64,
    /// How many messages left a node.
    pub messages: u64,
    /// How many of a follower's answers said that the logs do not match.
    pub rejections: u64,
}

impl Counts {
    /// What has happened since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            turns: self.turns - earlier.turns,
            messages: self.messages - earlier.messages,
            rejections: self.rejections - earlier.rejections,
        }
    }
}

/// Sees every call into the library, as against the work of the runtime around it.
pub trait Meter: Default {
    /// Makes the call.
    fn enter<R>(&mut self, call: impl FnOnce() -> R) -> R;
}

/// Looks at nothing: for measurements of time.
#[derive(Clone, Copy, Default, Debug)]
pub struct Blind;

impl Meter for Blind {
    #[inline]
    fn enter<R>(&mut self, call: impl FnOnce() -> R) -> R {
        call()
    }
}

/// Nodes of one implementation, with logs in memory and queues between them. Node 0 leads.
pub trait Cluster: Sized {
    /// A command as it is before anything is measured.
    type Command;
    /// The nodes alone, without the logs and queues of the runtime.
    type Nodes;

    /// A cluster of `voters` that has elected node 0 and has nothing left to do.
    fn new(voters: usize) -> Self;

    /// Three voters. Node 1 has the log `behind` and is cut off; the others have the log `ahead`,
    /// and have elected node 0.
    fn diverged(ahead: &Runs, behind: &Runs) -> Self;

    /// A command with these bytes.
    fn command(bytes: &[u8]) -> Self::Command;

    /// Makes room for so many commands in the logs of the runtime.
    fn reserve(&mut self, commands: usize);

    /// Proposes the commands at node 0, and returns when there is nothing left to do.
    fn commit(&mut self, batch: Vec<Self::Command>);

    /// The leader asks every follower for a sign of life, and gets it.
    fn heartbeat(&mut self);

    /// Loses everything from and to this node from now on.
    fn cut(&mut self, node: Option<usize>);

    /// What has happened so far.
    fn counts(&self) -> Counts;

    /// How far this node has applied its log; entries of the protocol count.
    fn applied(&self, node: usize) -> u64;

    /// Calls `visit` with every command that this node has applied, in order.
    fn visit(&self, node: usize, visit: impl FnMut(&[u8]));

    /// Drops the runtime.
    fn into_nodes(self) -> Self::Nodes;
}
