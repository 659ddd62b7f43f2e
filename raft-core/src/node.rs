//! The node: `step` = admit → dispatch → settle → check.

use crate::{
    Action, Config, Fate, HardState, Input, Instant, LogIndex, LogPosition, Membership, NodeId,
    Recovered, RoleKind, StartError, Term,
};
use alloc::vec::Vec;

/// One member of a Raft cluster, as one value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Node {
    config: Config,
}

/// A cheap view of a node, for dashboards, traces and checkers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// The role.
    pub role: RoleKind,
    /// The current term.
    pub term: Term,
    /// To whom the vote of this term went.
    pub voted_for: Option<NodeId>,
    /// The leader of this term, if this node follows or is it.
    pub leader: Option<NodeId>,
    /// The last position of the log.
    pub last: LogPosition,
    /// The commit index.
    pub commit_index: LogIndex,
    /// The last index handed out in an `Apply`.
    pub last_applied: LogIndex,
    /// The last position of the log that is durable.
    pub durable: LogPosition,
    /// The hard state that is durable.
    pub durable_hard_state: HardState,
}

impl Node {
    /// Skeleton.
    pub fn new(config: Config, recovered: Recovered, now: Instant) -> Result<Self, StartError> {
        let _ = (recovered, now);
        Ok(Self { config })
    }
    /// Skeleton.
    pub fn step(&mut self, input: impl Into<Input>, now: Instant) -> Vec<Action> {
        let mut a = Vec::new();
        self.step_into(input, now, &mut a);
        a
    }
    /// Skeleton.
    pub fn step_into(&mut self, input: impl Into<Input>, now: Instant, actions: &mut Vec<Action>) {
        self.step_all([input.into()], now, actions);
    }
    /// Skeleton.
    pub fn step_all(
        &mut self,
        inputs: impl IntoIterator<Item = Input>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let _ = (inputs.into_iter().count(), now, actions);
    }
    /// Skeleton.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }
    /// Skeleton.
    pub fn status(&self) -> Status {
        unimplemented!("{:?}", self.config)
    }
    /// Skeleton.
    pub fn membership(&self) -> &Membership {
        unimplemented!()
    }
    /// Skeleton.
    pub fn fate(&self, position: LogPosition) -> Fate {
        let _ = position;
        Fate::Unknown
    }
}
