//! What could have caused what: Lamport's *happened before*, as far as records show it.
//!
//! An event rests on everything that happened before at the same node or client, and on at most one
//! thing that happened elsewhere: the sending of what it received, the request that it carries out,
//! the answer that it hears. Of each node and each client it therefore rests on all events up to some
//! last one.

use super::model::Model;
use crate::client::operation_of;
use crate::record::{Event, Phase, Record};
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
    /// Sees the `nth` record; what elsewhere it rests on, where that is a client's doing or for a
    /// client.
    pub(super) fn see(&mut self, nth: usize, record: &Record) -> Option<usize> {
        match (&record.event, record.node) {
            (Event::Client { client, serial, phase, .. }, _) => {
                let name = (*client, *serial);
                match phase {
                    Phase::Invoked => {
                        self.stands.insert(name, nth);
                        None
                    }
                    Phase::Returned { position, .. } => {
                        self.served(name).or_else(|| self.applied(name, position.index))
                    }
                    Phase::Unknown | Phase::Failed => {
                        self.stands.get(&name).copied().filter(|heard| heard + 1 < nth)
                    }
                }
            }
            (Event::Propose { token, .. } | Event::ReadBegin { token, .. }, Some(node)) => {
                let name = name(*token);
                self.asked.entry(name).or_default().push(node);
                self.stands.get(&name).copied()
            }
            (Event::Rejected { token, .. } | Event::ReadFailed { token, .. }, _) => {
                self.stands.insert(name(*token), nth);
                None
            }
            (Event::ReadReady { token, index }, Some(node)) => {
                self.ready.insert(name(*token), (node, *index, nth));
                None
            }
            (Event::Apply { through, .. }, Some(node)) => {
                self.applied.entry(node).or_default().push((through.index, nth));
                None
            }
            _ => None,
        }
    }

    /// Since when a read could be served: it was ready, and enough was applied.
    fn served(&self, name: Name) -> Option<usize> {
        let (node, index, since) = self.ready.get(&name)?;
        let applied = self.applied.get(node)?.iter().find(|(through, _)| through >= index);
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

/// Which events could have caused an event; it is one of them.
pub(super) fn cone(model: &Model, of: usize) -> Vec<bool> {
    let mut within = vec![false; model.events.len()];
    // The last event of each lane on which it rests.
    let mut last: BTreeMap<usize, usize> = BTreeMap::new();
    last.extend(model.events[of].lane.map(|lane| (lane, of)));
    for (nth, event) in model.events[..=of].iter().enumerate().rev() {
        let Some(lane) = event.lane else { continue };
        if last.get(&lane).is_none_or(|last| nth > *last) {
            continue;
        }
        within[nth] = true;
        if let Some(cause) = event.cause
            && let Some(elsewhere) = model.events[cause].lane
        {
            let last = last.entry(elsewhere).or_insert(cause);
            *last = cause.max(*last);
        }
    }
    within
}
