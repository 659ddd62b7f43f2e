//! Writes down what happens, if anybody listens.

use crate::plan::record::{Event, NodeState, Record, Sink};
use raft_core::{Instant, NodeId};

/// The records that were not handed over yet.
#[derive(Clone, Default, Debug)]
pub(super) struct Recorder {
    /// Whether anybody listens: records are made only then.
    pub(super) listens: bool,
    next: u64,
    records: Vec<Record>,
}

impl Recorder {
    pub(super) fn write(
        &mut self,
        time: Instant,
        node: Option<NodeId>,
        event: Event,
        state: Option<NodeState>,
    ) {
        self.records.push(Record { time, seq: self.next, node, event, state });
        self.next += 1;
    }

    /// The number of the last record; `None` where nobody has listened.
    pub(super) const fn last(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    pub(super) fn hand_over(&mut self, sink: &mut dyn Sink) {
        self.records.drain(..).for_each(|record| sink.record(record));
    }
}
