//! What could have caused what: Lamport's *happened before*, as far as records show it.
//!
//! An event rests on everything that happened before at the same node or client, and on at most one
//! thing that happened elsewhere: the sending of what it received, the request that it carries out,
//! the answer that it hears. Of each node and each client it therefore rests on all events up to
//! some last one.

use crate::host::client::operation_of;
use crate::plan::record::{Event, Record, Stage};
use crate::view::picture::rows::EventRow;
use raft_core::{LogIndex, NodeId, Token};
use std::collections::BTreeMap;

/// A client, and the number of its operation.
type Name = (u64, u64);

/// Follows the requests of clients through the records.
#[derive(Default)]
pub(super) struct Requests {
    /// Where a request stands: what its client did or heard last.
    stands: BTreeMap<Name, usize>,
    /// The nodes that were asked to carry it out.
    asked: BTreeMap<Name, Vec<NodeId>>,
    /// From which index on a read may be served, since when.
    ready: BTreeMap<Name, (NodeId, LogIndex, usize)>,
    /// Up to which index each node has applied, and since when.
    applied: BTreeMap<NodeId, Vec<(LogIndex, usize)>>,
}

impl Requests {
    /// Sees the record of this event; what elsewhere it rests on, where that is a client's doing or
    /// for a client.
    pub(super) fn see(&mut self, event: usize, record: &Record) -> Option<usize> {
        match (&record.event, record.node) {
            (Event::Client { client, serial, phase, .. }, _) => {
                let name = (*client, *serial);
                match phase {
                    Stage::Invoked => {
                        self.stands.insert(name, event);
                        None
                    }
                    Stage::Returned { position, .. } => {
                        let index = position.index;
                        self.served(name, index).or_else(|| self.applied(name, index))
                    }
                    Stage::Unknown | Stage::Failed => {
                        self.stands.get(&name).copied().filter(|heard| heard + 1 < event)
                    }
                }
            }
            (Event::Propose { token, .. } | Event::ReadBegin { token, .. }, Some(node)) => {
                let name = name(*token);
                self.asked.entry(name).or_default().push(node);
                self.stands.get(&name).copied()
            }
            (Event::Rejected { token, .. } | Event::ReadFailed { token, .. }, _) => {
                self.stands.insert(name(*token), event);
                None
            }
            (Event::ReadReady { token, index }, Some(node)) => {
                self.ready.insert(name(*token), (node, *index, event));
                None
            }
            (Event::Apply { through, .. }, Some(node)) => {
                self.applied.entry(node).or_default().push((through.index, event));
                None
            }
            _ => None,
        }
    }

    /// Since when a read could be served, of all up to an index: it was ready, and enough applied.
    fn served(&self, name: Name, held: LogIndex) -> Option<usize> {
        let (node, index, since) = self.ready.get(&name)?;
        let enough = held.max(*index);
        let applied = self.applied.get(node)?.iter().find(|(through, _)| *through >= enough);
        Some(applied.map_or(*since, |(_, applied)| *since.max(applied)))
    }

    /// When an index was applied by a node that was asked: the last time, if there were several.
    fn applied(&self, name: Name, index: LogIndex) -> Option<usize> {
        let of_node = |node| self.applied.get(node)?.iter().find(|(through, _)| *through >= index);
        let applied = self.asked.get(&name)?.iter().filter_map(of_node);
        applied.map(|(_, applied)| *applied).max()
    }
}

fn name(token: Token) -> Name {
    operation_of(token)
}

/// The last event of each lane that could have caused an event, which is one of them: what could
/// have caused it is everything up to these.
pub(super) fn causes(events: &[EventRow], lanes: usize, of: usize) -> Vec<Option<usize>> {
    let mut last = vec![None; lanes];
    if let Some(lane) = events[of].lane {
        last[lane] = Some(of);
    }
    for (nth, event) in events[..=of].iter().enumerate().rev() {
        let counts = event.lane.is_some_and(|lane| last[lane] >= Some(nth));
        if let Some(cause) = event.cause.filter(|_| counts)
            && let Some(elsewhere) = events[cause].lane
        {
            last[elsewhere] = last[elsewhere].max(Some(cause));
        }
    }
    last
}
