//! What the records have said of a node.

use crate::words::{Asked, Log, role};
use raft_core::{Envelope, Instant, LogIndex, LogPosition, NodeId, RoleKind};
use raft_sim::NodeState;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a node.
#[derive(Clone, Default, Debug)]
pub(crate) struct Known {
    pub(crate) state: Option<NodeState>,
    /// When its election timer was reset: by the rules of the notes (N2), not as the core says.
    pub(crate) reset_at: Instant,
    /// The message that it handles, and when it came.
    pub(crate) handles: Option<(Instant, Envelope)>,
    /// What others asked last, by the kind of the message.
    pub(crate) asked: BTreeMap<(NodeId, &'static str), Asked>,
    /// Who granted the pre-votes of this round, or the votes of this term.
    pub(crate) granted: BTreeSet<NodeId>,
    /// Up to where the logs of the others are known to match, to a leader.
    pub(crate) matched: BTreeMap<NodeId, LogIndex>,
    /// The first entry of a leader, while it is not committed.
    pub(crate) first_entry: Option<LogPosition>,
    /// Where the log of a leader ended before that.
    pub(crate) before_first: LogPosition,
    /// When a leader saw an entry of an earlier term on a majority, and the line for it.
    pub(crate) majority: Option<(Instant, usize)>,
    /// The line that says whom it asks, or sends its first entry to.
    pub(crate) asking: Option<usize>,
}

impl Known {
    /// The message that is handled at this moment.
    pub(crate) fn handled(&self, time: Instant) -> Option<&Envelope> {
        self.handles.as_ref().filter(|(at, _)| *at == time).map(|(_, message)| message)
    }

    /// Its role, its term and its log.
    pub(crate) fn is(&self) -> String {
        let Some(NodeState { role: kind, term, leader, last, commit, applied, .. }) = self.state
        else {
            return "down".to_owned();
        };
        let stands = match (kind, leader) {
            (RoleKind::Follower, Some(leader)) => format!("follower of {leader:?}"),
            _ => role(kind).to_owned(),
        };
        format!("{stands} in term {term}, {}, committed {commit}, applied {applied}", Log(last))
    }
}
