//! Positions that a leader accepted: every node is asked for their fate until it reports it. One
//! that leaves it open although it knows what is committed there has said so, too.

use crate::world::host::Process;
use raft_core::{Fate, LogIndex, LogPosition, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Which positions each node has not reported the fate of.
#[derive(Clone, Default, Debug)]
pub(super) struct Fates {
    open: BTreeMap<NodeId, BTreeSet<LogPosition>>,
}

impl Fates {
    /// How many positions a node is asked for: of one that is away for long, only the newest.
    const MOST: usize = 64;

    /// A leader accepted this many entries.
    pub(super) fn accepted(
        &mut self,
        nodes: impl Iterator<Item = NodeId>,
        first: LogPosition,
        count: u64,
    ) {
        let last = LogPosition::new(first.term, LogIndex(first.index.get() + count - 1));
        for node in nodes {
            let open = self.open.entry(node).or_default();
            open.extend([first, last]);
            while open.len() > Self::MOST {
                open.pop_first();
            }
        }
    }

    /// Asks a node for the fate of every position that it has not reported yet; what it reports.
    pub(super) fn ask(&mut self, id: NodeId, process: &Process) -> Vec<(LogPosition, Fate)> {
        let Some(open) = self.open.get_mut(&id) else { return Vec::new() };
        let fate = |position: &LogPosition| (*position, process.node().fate(*position));
        let known = process.status.commit_index;
        let says =
            |(position, fate): &(LogPosition, Fate)| *fate != Fate::Open || position.index <= known;
        let reported: Vec<_> = open.iter().map(fate).filter(says).collect();
        for (position, _) in &reported {
            open.remove(position);
        }
        reported
    }
}
