//! Which sending belongs to which arrival: records name messages by what they say, not by a number.

use crate::plan::record::{DropReason, Event, Record};
use crate::view::message::{Class, described};
use crate::view::picture::rows::{Arrow, Delivery};
use raft_core::{AppendOutcome, Envelope, LogIndex, NodeId, Term};
use std::collections::BTreeMap;

/// A directed link.
type Link = (NodeId, NodeId);
/// A row, and what it says.
type OnWay<'a> = (usize, &'a Envelope);

/// Pairs in the order of the records. Where two messages on one link say the same, the earlier
/// arrival is taken for that of the earlier one.
#[derive(Default)]
pub(super) struct Messages<'a> {
    rows: Vec<Arrow>,
    /// What is on its way.
    on_way: BTreeMap<Link, Vec<OnWay<'a>>>,
    /// Up to where each link has acknowledged in which term.
    acknowledged: BTreeMap<Link, (Term, LogIndex)>,
}

impl<'a> Messages<'a> {
    /// Sees the record of this event; the message that it is about, if it is about one.
    pub(super) fn see(&mut self, event: usize, record: &'a Record) -> Option<usize> {
        match &record.event {
            Event::Send { message, .. } => Some(self.leaves(event, message)),
            Event::Duplicate { message } => {
                let first = self.find(message)?;
                let row = Arrow { is_copy: true, ..self.rows[first].clone() };
                self.add(row, message);
                Some(first)
            }
            Event::Recv { message } => {
                Some(self.arrives(event, record, message, Delivery::Received))
            }
            Event::Ignored { message: Some(message), .. } => {
                Some(self.arrives(event, record, message, Delivery::Ignored))
            }
            Event::Drop { message, reason } => {
                let fate = match reason {
                    DropReason::Cut => Delivery::Cut,
                    DropReason::Kind => Delivery::Kind,
                    DropReason::Loss => Delivery::Loss,
                    DropReason::Down => Delivery::Down,
                    DropReason::Unwanted => Delivery::Unwanted,
                };
                Some(self.ends(event, message, fate))
            }
            _ => None,
        }
    }

    /// Every message, in the order in which they left.
    pub(super) fn finish(self) -> Vec<Arrow> {
        self.rows
    }

    fn leaves(&mut self, event: usize, envelope: &'a Envelope) -> usize {
        let class = self.class(envelope);
        let Envelope { from, to, term, message } = envelope;
        self.add(Arrow::new(*from, *to, message.name(), class, *term, Some(event)), envelope)
    }

    fn add(&mut self, row: Arrow, envelope: &'a Envelope) -> usize {
        let row_index = self.rows.len();
        self.on_way.entry((row.from, row.to)).or_default().push((row_index, envelope));
        self.rows.push(row);
        row_index
    }

    /// The oldest message on its way that says this.
    fn find(&self, envelope: &Envelope) -> Option<usize> {
        let on_way = self.on_way.get(&(envelope.from, envelope.to))?;
        on_way.iter().find(|(_, held)| *held == envelope).map(|(row_index, _)| *row_index)
    }

    /// What comes to a node for which it is not meant is nobody's message.
    fn arrives(
        &mut self,
        event: usize,
        record: &Record,
        envelope: &'a Envelope,
        fate: Delivery,
    ) -> usize {
        match record.node {
            Some(node) if node != envelope.to => {
                let Envelope { from, term, message, .. } = envelope;
                let class = self.class(envelope);
                let row = Arrow::new(*from, node, message.name(), class, *term, None);
                self.rows.push(Arrow { end: Some(event), fate, ..row });
                self.rows.len() - 1
            }
            _ => self.ends(event, envelope, fate),
        }
    }

    fn ends(&mut self, event: usize, envelope: &'a Envelope, fate: Delivery) -> usize {
        let row = self.find(envelope).unwrap_or_else(|| {
            // Nobody has sent it, and yet it comes.
            let row = self.leaves(event, envelope);
            self.rows[row].sent = None;
            row
        });
        let on_way = self.on_way.entry((envelope.from, envelope.to)).or_default();
        on_way.retain(|(held, _)| *held != row);
        self.rows[row].end = Some(event);
        self.rows[row].fate = fate;
        row
    }

    /// An acknowledgement that says nothing new belongs to a heartbeat.
    fn class(&mut self, envelope: &Envelope) -> Class {
        if let raft_core::Message::AppendEntriesResponse(answer) = &envelope.message
            && let AppendOutcome::Matched { match_index } = answer.outcome
        {
            let now = (envelope.term, match_index);
            let known = self.acknowledged.insert((envelope.from, envelope.to), now);
            return if known == Some(now) { Class::Heartbeat } else { Class::Append };
        }
        described(&envelope.message).class
    }
}
