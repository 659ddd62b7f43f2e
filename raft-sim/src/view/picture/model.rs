//! What a picture shows, as plain data: made of the records of a run, drawn by the page and the
//! SVG.

use crate::plan::record::{Event, NodeState, Record, Stage};
use crate::plan::setup::Setup;
use crate::view::picture::bands::Bands;
use crate::view::picture::causes::{Requests, causes};
use crate::view::picture::messages::Messages;
use crate::view::picture::rows::{
    Arrow, Band, Delivery, EventRow, OperationRow, Picture, StateRow,
};
use crate::view::{trace, words};
use raft_core::{Instant, NodeId, Term};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A run as it is drawn. Lanes are the nodes, in the order of the setup, and then the clients.
pub(super) struct Model {
    pub(super) end: Instant,
    pub(super) nodes: Vec<NodeId>,
    /// Clients by their numbers; 0 is the operator.
    pub(super) clients: Vec<u64>,
    /// One for each record.
    pub(super) events: Vec<EventRow>,
    pub(super) messages: Vec<Arrow>,
    pub(super) operations: Vec<OperationRow>,
    /// The states of all nodes, each where it changes.
    pub(super) states: Vec<StateRow>,
    pub(super) bands: Vec<Band>,
    /// The first index of each term, and the term of the entry before it. As one position is the
    /// same entry in every log, and so is everything before it, a last position names a whole log.
    pub(super) terms: BTreeMap<Term, (u64, Term)>,
    /// The last event before the violation that happened at a node or a client.
    pub(super) violation: Option<usize>,
}

impl Model {
    pub(super) fn of(picture: &Picture<'_>) -> Self {
        let Picture { setup, records, violation, .. } = *picture;
        let end = records.last().map_or(Instant::ZERO, |record| record.time);
        let mut model = Self {
            end: violation
                .map_or(Instant::ZERO.saturating_add(setup.duration), |v| v.time)
                .max(end),
            nodes: setup.nodes.iter().map(|node| node.id).collect(),
            clients: clients(records),
            events: Vec::with_capacity(records.len()),
            messages: Vec::new(),
            operations: Vec::new(),
            states: Vec::new(),
            bands: Vec::new(),
            terms: invented(setup),
            violation: None,
        };
        let (mut messages, mut requests) = (Messages::default(), Requests::default());
        let mut bands = Bands::new(setup);
        let mut log_starts = BTreeMap::new();
        for (nth, record) in records.iter().enumerate() {
            let lane = model.lane(record);
            let message = messages.see(nth, record);
            let asked = requests.see(nth, record);
            let (kind, text) = (trace::name(&record.event), words::of(record).0);
            model.events.push(EventRow {
                time: record.time,
                lane,
                kind,
                text,
                message,
                cause: asked,
            });
            bands.see(record);
            model.operate(nth, lane, record);
            model.state(nth, lane, record, &mut log_starts);
        }
        model.messages = messages.finish();
        model.receive();
        model.bands = bands.finish(model.end);
        let before = |event: &&(usize, &Record)| {
            violation.is_some_and(|v| v.seq.is_none_or(|seq| event.1.seq <= seq))
        };
        let earlier = records.iter().enumerate().rev().filter(|event| before(&event));
        model.violation = earlier.map(|(nth, _)| nth).find(|nth| model.events[*nth].lane.is_some());
        model
    }

    /// The lane of a node.
    pub(super) fn lane_of(&self, node: NodeId) -> Option<usize> {
        self.nodes.iter().position(|id| *id == node)
    }

    /// How many lanes there are: nodes, then clients.
    pub(super) const fn lanes(&self) -> usize {
        self.nodes.len() + self.clients.len()
    }

    fn lane(&self, record: &Record) -> Option<usize> {
        if let Event::Client { client, .. } = record.event {
            let nth = self.clients.iter().position(|known| *known == client)?;
            return Some(self.nodes.len() + nth);
        }
        self.lane_of(record.node?)
    }

    /// What is received rests on its sending.
    fn receive(&mut self) {
        for message in &self.messages {
            let arrived = matches!(message.fate, Delivery::Received | Delivery::Ignored);
            if let Some(end) = message.end.filter(|_| arrived) {
                self.events[end].cause = message.sent;
            }
        }
    }

    fn operate(&mut self, event: usize, lane: Option<usize>, record: &Record) {
        let (Event::Client { phase, .. }, Some(lane)) = (&record.event, lane) else { return };
        let text = self.events[event].text.clone();
        let phase = match phase {
            Stage::Invoked => {
                let row = OperationRow { lane, began: event, end: None, phase: "open", text };
                return self.operations.push(row);
            }
            Stage::Returned { .. } => "returned",
            Stage::Unknown => "unknown",
            Stage::Failed => "failed",
        };
        let mut open = self.operations.iter_mut().rev();
        let open = open.find(|asked| asked.lane == lane && asked.end.is_none());
        if let Some(open) = open {
            (open.end, open.phase, open.text) = (Some(event), phase, text);
        }
    }

    fn state(
        &mut self,
        event: usize,
        lane: Option<usize>,
        record: &Record,
        log_starts: &mut BTreeMap<usize, (u64, usize)>,
    ) {
        let Some(lane) = lane.filter(|lane| *lane < self.nodes.len()) else { return };
        let (log_start, shown) = log_starts.entry(lane).or_insert((0, usize::MAX));
        match &record.event {
            Event::SnapshotTaken { position } => *log_start = position.index.get(),
            Event::InstallEnd { position, outcome: raft_core::Outcome::Done } => {
                *log_start = position.index.get();
            }
            Event::BecomeLeader => {
                if let Some(NodeState { term, last, .. }) = record.state {
                    self.terms.entry(term).or_insert((last.index.get() + 1, last.term));
                }
            }
            _ => {}
        }
        let is_down = matches!(record.event, Event::Crash { .. });
        let state = match record.state {
            Some(state) => StateRow::of(lane, event, *log_start, &state),
            None if is_down => StateRow::down(lane, event),
            None => return,
        };
        let known = self.states.get(*shown).map(|known| StateRow { event, ..known.clone() });
        if known.as_ref() != Some(&state) {
            *shown = self.states.len();
            self.states.push(state);
        }
    }

    /// The rows as columns, and texts that are said often as one.
    pub(super) fn json(&self, picture: &Picture<'_>) -> Value {
        let mut texts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut order: Vec<&str> = Vec::new();
        let mut named = Vec::with_capacity(self.events.len());
        for EventRow { text, .. } in &self.events {
            named.push(*texts.entry(text).or_insert_with(|| {
                order.push(text);
                order.len() - 1
            }));
        }
        let mut events = columns(&self.events);
        events.insert("text".to_owned(), json!(named));
        let violation = picture.violation.map(|violation| {
            json!({
                "checker": violation.checker,
                "sentence": violation.sentence,
                "time": violation.time,
                "event": self.violation,
                "causes": self.violation.map(|event| causes(&self.events, self.lanes(), event)),
            })
        });
        json!({
            "title": picture.title,
            "notes": picture.notes,
            "end": self.end,
            "nodes": self.nodes,
            "clients": self.clients,
            "terms": self.terms.iter().map(|(t, (first, before))| json!([t, first, before]))
                .collect::<Vec<_>>(),
            "violation": violation,
            "texts": order,
            "events": events,
            "messages": columns(&self.messages),
            "operations": columns(&self.operations),
            "states": columns(&self.states),
            "bands": columns(&self.bands),
        })
    }
}

/// The clients that did anything.
fn clients(records: &[Record]) -> Vec<u64> {
    let numbers = records.iter().filter_map(|record| match record.event {
        Event::Client { client, .. } => Some(client),
        _ => None,
    });
    numbers.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The terms of the logs that a setup gives.
fn invented(setup: &Setup) -> BTreeMap<Term, (u64, Term)> {
    let mut terms = BTreeMap::new();
    for node in &setup.nodes {
        let (mut index, mut before) = (0, Term::ZERO);
        for run in node.entries.runs() {
            if run.term() != before {
                terms.entry(run.term()).or_insert((index + 1, before));
            }
            (index, before) = (index + run.count(), run.term());
        }
    }
    terms
}

/// Rows as an object of columns.
fn columns<T: Serialize>(rows: &[T]) -> Map<String, Value> {
    let mut columns = Map::new();
    for row in rows {
        let Ok(Value::Object(row)) = serde_json::to_value(row) else { continue };
        for (key, value) in row {
            let column = columns.entry(key).or_insert_with(|| json!([]));
            if let Value::Array(column) = column {
                column.push(value);
            }
        }
    }
    columns
}
