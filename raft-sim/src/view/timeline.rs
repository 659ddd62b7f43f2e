//! A run for reading: one line an event, the nodes in columns.
//!
//! Heartbeats that say nothing new, and the answers to them, are counted and not shown; the trace
//! has them all.

use crate::plan::record::{Event, NodeState, Record, Sink};
use crate::plan::text::wrapped;
use crate::view::{style, words};
use anstyle::Style;
use raft_core::{AppendOutcome, Envelope, Instant, LogIndex, Message, NodeId, RoleKind, Term};
use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;

/// The columns of a node.
const CELL: usize = 11;
/// The columns before those of the nodes.
const TIME: usize = 12;
/// The columns for words, however many nodes there are.
const LEAST_ROOM: usize = 30;

/// Writes each record as one line.
///
/// It goes silent at the first error, which [`finish`](Self::finish) gives back.
#[derive(Debug)]
pub struct Timeline<W> {
    to: W,
    failed: Option<io::Error>,
    nodes: Vec<NodeId>,
    shown: RangeInclusive<Instant>,
    /// What each kind of passage last said on each link.
    said: BTreeMap<(Passage, NodeId, NodeId), Said>,
    routine: u64,
}

/// Whether a message leaves, arrives, or neither.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Passage {
    Leaves,
    Arrives,
    Lost,
}

/// What a heartbeat or an acknowledgement says: repeated, it is routine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Said {
    Heartbeat(Term, LogIndex),
    Acknowledged(Term, LogIndex),
}

impl<W: io::Write> Timeline<W> {
    /// A timeline of the events within `shown`, with a column for each of `nodes`.
    pub fn new(to: W, nodes: Vec<NodeId>, shown: RangeInclusive<Instant>) -> Self {
        let said = BTreeMap::new();
        let mut timeline = Self { to, failed: None, nodes, shown, said, routine: 0 };
        timeline.head();
        timeline
    }

    /// Ends the timeline.
    ///
    /// # Errors
    ///
    /// The first error that writing it met.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush_routine();
        match self.failed {
            Some(error) => Err(error),
            None => self.to.flush(),
        }
    }

    fn head(&mut self) {
        let dim = style::DIM;
        self.print(&format!(
            "{dim}F follower, P pre-candidate, C candidate, L leader; then term, last index/commit \
             index{dim:#}"
        ));
        let names = self.nodes.iter().map(|node| format!("{:CELL$}", format!("{node:?}")));
        let names = names.collect::<String>();
        self.print(&format!("{:>10}  {}", "ms", names.trim_end()));
    }

    fn print(&mut self, line: &str) {
        if self.failed.is_none() {
            self.failed = writeln!(self.to, "{line}").err();
        }
    }

    fn flush_routine(&mut self) {
        let count = std::mem::take(&mut self.routine);
        if count > 0 {
            let (dim, columns) = (style::DIM, CELL * self.nodes.len());
            let what = if count == 1 { "heartbeat or answer" } else { "heartbeats and answers" };
            self.print(&format!("{dim}{:>10}  {:columns$}{count} {what}{dim:#}", "⋮", ""));
        }
    }

    /// Whether a message says nothing that its link has not carried already.
    fn is_routine(&mut self, event: &Event) -> bool {
        let (passage, Envelope { from, to, term, message }) = match event {
            Event::Send { message, .. } => (Passage::Leaves, message),
            Event::Recv { message } => (Passage::Arrives, message),
            Event::Drop { message, .. } => (Passage::Lost, message),
            _ => return false,
        };
        let said = match message {
            Message::AppendEntries(m) if m.entries.is_empty() => Said::Heartbeat(*term, m.commit),
            Message::AppendEntriesResponse(m) => match m.outcome {
                AppendOutcome::Matched { match_index } => Said::Acknowledged(*term, match_index),
                AppendOutcome::Mismatched { .. }
                | AppendOutcome::StaleTerm
                | AppendOutcome::Installing => return false,
            },
            _ => return false,
        };
        self.said.insert((passage, *from, *to), said) == Some(said)
    }

    /// The columns, with the state of one node in its own.
    fn cells(&self, node: NodeId, state: Option<&NodeState>) -> String {
        let Some(NodeState { role, term, last, commit, .. }) = state else {
            return self.mark(node, "down", style::BAD);
        };
        let (letter, style) = look(*role);
        self.mark(node, &format!("{letter}{term} {}/{commit}", last.index), style)
    }

    /// The columns, with something in that of one node.
    fn mark(&self, node: NodeId, mark: &str, style: Style) -> String {
        let dim = style::DIM;
        let cell = |column: &NodeId| {
            if *column == node {
                format!("{style}{mark:CELL$}{style:#}")
            } else {
                format!("{dim}{:CELL$}{dim:#}", "·")
            }
        };
        self.nodes.iter().map(cell).collect()
    }
}

impl<W: io::Write> Sink for Timeline<W> {
    fn record(&mut self, record: Record) {
        let routine = self.is_routine(&record.event);
        if !self.shown.contains(&record.time) {
            return;
        }
        if routine {
            self.routine += 1;
            return;
        }
        self.flush_routine();
        let nanos = record.time.as_nanos();
        let time = format!("{}.{:03}", nanos / 1_000_000, nanos / 1_000 % 1_000);
        let (text, style) = words::of(&record);
        let columns = match (&record.event, record.node) {
            // A loss is seen where the message does not arrive.
            (Event::Drop { message, .. }, _) => self.mark(message.to, "✗", style::BAD),
            (_, Some(node)) => self.cells(node, record.state.as_ref()),
            (Event::Client { .. }, None) => " ".repeat(CELL * self.nodes.len()),
            (_, None) => {
                let dim = style::DIM;
                format!("{dim}{}{dim:#} ", "─".repeat(CELL * self.nodes.len() - 1))
            }
        };
        let margin = TIME + CELL * self.nodes.len();
        let room = style::columns().saturating_sub(margin).max(LEAST_ROOM);
        for (nth, part) in wrapped(&text, room).iter().enumerate() {
            if nth == 0 {
                self.print(&format!("{time:>10}  {columns}{style}{part}{style:#}"));
            } else {
                self.print(&format!("{:margin$}  {style}{part}{style:#}", ""));
            }
        }
    }
}

const fn look(role: RoleKind) -> (char, Style) {
    match role {
        RoleKind::Follower => ('F', style::PLAIN),
        RoleKind::PreCandidate => ('P', style::ASKING),
        RoleKind::Candidate => ('C', style::ASKING),
        RoleKind::Leader => ('L', style::LEADER),
    }
}
