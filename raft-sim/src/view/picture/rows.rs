//! What a picture is made of: its rows, as plain data.

use crate::plan::record::{NodeState, Record, Violation};
use crate::plan::setup::Setup;
use crate::view::message::Class;
use raft_core::{Instant, NodeId, Term};
use serde::Serialize;

/// What a picture is made of.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// What is to be said of it, such as the command that replays the run.
    pub notes: &'a str,
    /// What was run.
    pub setup: &'a Setup,
    /// Everything that happened, from the first record on.
    pub records: &'a [Record],
    /// The property that was broken, if one was.
    pub violation: Option<&'a Violation>,
}

/// A record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct EventRow {
    pub(super) time: Instant,
    /// Where; `None` for the world itself.
    pub(super) lane: Option<usize>,
    /// The name of the event, as in the trace.
    pub(super) kind: &'static str,
    pub(super) text: String,
    /// The message that it is about.
    pub(super) message: Option<usize>,
    /// The event in another lane on which it rests.
    pub(super) cause: Option<usize>,
}

/// A message, or its second copy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Arrow {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    /// As in the trace.
    pub(super) kind: &'static str,
    pub(super) class: Class,
    pub(super) term: Term,
    /// The event in which it left; `None` if nobody has sent it.
    pub(super) sent: Option<usize>,
    /// The event in which it arrived or was lost; `None` if neither has happened.
    #[serde(rename = "ended")]
    pub(super) end: Option<usize>,
    pub(super) fate: Delivery,
    pub(super) is_copy: bool,
}

impl Arrow {
    pub(super) const fn new(
        from: NodeId,
        to: NodeId,
        kind: &'static str,
        class: Class,
        term: Term,
        sent: Option<usize>,
    ) -> Self {
        let fate = Delivery::UnderWay;
        Self { from, to, kind, class, term, sent, end: None, fate, is_copy: false }
    }
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Delivery {
    /// Nothing is recorded: it is on its way, or lies in an inbox, at the end.
    UnderWay,
    Received,
    Ignored,
    Cut,
    Kind,
    Loss,
    Down,
    Unwanted,
}

impl Delivery {
    /// Whether the world lost it.
    pub(super) const fn is_lost(self) -> bool {
        matches!(self, Self::Cut | Self::Kind | Self::Loss | Self::Down | Self::Unwanted)
    }
}

/// An operation of a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct OperationRow {
    pub(super) lane: usize,
    pub(super) began: usize,
    #[serde(rename = "ended")]
    pub(super) end: Option<usize>,
    /// `open`, `returned`, `unknown` or `failed`.
    pub(super) phase: &'static str,
    pub(super) text: String,
}

/// What is seen of a node, from an event on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct StateRow {
    pub(super) lane: usize,
    pub(super) event: usize,
    /// `None` while it is down; nothing else counts then.
    pub(super) role: Option<&'static str>,
    pub(super) term: u64,
    pub(super) vote: Option<NodeId>,
    pub(super) leader: Option<NodeId>,
    pub(super) last_term: u64,
    pub(super) last_index: u64,
    pub(super) commit: u64,
    pub(super) applied: u64,
    pub(super) durable_term: u64,
    pub(super) durable_vote: Option<NodeId>,
    pub(super) durable_last_term: u64,
    pub(super) durable_last_index: u64,
    /// Up to here a snapshot stands for the log.
    pub(super) log_start: u64,
}

/// Something that lasts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Band {
    /// The node, if it is about one.
    pub(super) lane: Option<usize>,
    pub(super) kind: BandKind,
    pub(super) from: Instant,
    pub(super) until: Instant,
    pub(super) text: String,
}

/// What lasts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BandKind {
    /// A process does not run.
    Down,
    Paused,
    HungDisk,
    /// A leader may serve reads by its lease.
    Lease,
    /// A node has promised not to vote: counted by the simulated time, from the sending of the
    /// probe.
    Promise,
    /// Some write is not durable yet.
    Writing,
    /// Something is wrong with links.
    Link,
    /// A leader can commit.
    Service,
    /// No leader can.
    Silence,
}

impl StateRow {
    pub(super) fn of(lane: usize, event: usize, log_start: u64, state: &NodeState) -> Self {
        Self {
            lane,
            event,
            role: Some(state.role.name()),
            term: state.term.get(),
            vote: state.vote,
            leader: state.leader,
            last_term: state.last.term.get(),
            last_index: state.last.index.get(),
            commit: state.commit.get(),
            applied: state.applied.get(),
            durable_term: state.durable.current_term.get(),
            durable_vote: state.durable.voted_for,
            durable_last_term: state.durable_last.term.get(),
            durable_last_index: state.durable_last.index.get(),
            log_start,
        }
    }

    pub(super) const fn down(lane: usize, event: usize) -> Self {
        Self {
            lane,
            event,
            role: None,
            term: 0,
            vote: None,
            leader: None,
            last_term: 0,
            last_index: 0,
            commit: 0,
            applied: 0,
            durable_term: 0,
            durable_vote: None,
            durable_last_term: 0,
            durable_last_index: 0,
            log_start: 0,
        }
    }
}

/// Text as XML and HTML have it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
