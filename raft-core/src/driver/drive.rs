//! The driver: a node, and the parts around it.

use crate::driver::book::Book;
use crate::driver::boundary::{Answer, Effect, Refusal, SnapshotTask};
use crate::driver::changes::Changes;
use crate::driver::desk::Desk;
use crate::driver::frame::{Batch, BoundLog, Entry, Frame, FrameError, Payload};
use crate::driver::lanes::{Backlog, Lanes};
use crate::driver::settings::{Settings, SettingsError};
use crate::driver::tail::Tail;
use crate::driver::waiters::{Answers, Proposals, Reads};
use crate::message::Envelope;
use crate::node::Node;
use crate::types::{Instant, LogIndex, LogPosition, NodeId, Term, Ticket, Token};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// A node with everything around it that is neither bytes on the way nor a decision of Raft.
///
/// It is one value, as the node is: a run is its first value, a list of calls, and what the host
/// has read for it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Driver<P> {
    pub(super) node: Node,
    pub(super) settings: Settings,
    pub(super) tail: Tail<P>,
    pub(super) book: Book<P>,
    pub(super) lanes: Lanes,
    pub(super) backlog: Backlog,
    pub(super) proposals: Proposals,
    pub(super) reads: Reads,
    pub(super) changes: Changes,
    pub(super) desk: Desk,
    /// Requests that the node answers in the same call, and transfers.
    pub(super) asked: BTreeMap<Token, Asked>,
    /// Committed ranges that the state machine did not get yet.
    pub(super) ranges: VecDeque<(LogIndex, LogPosition)>,
    /// The last index that the state machine was given, and the last that it has applied.
    pub(super) handed: LogIndex,
    pub(super) applied: LogIndex,
    /// The last write that was handed out, and the last that is durable.
    pub(super) issued: Option<Ticket>,
    pub(super) written: Option<Ticket>,
    /// The term that this node leads.
    pub(super) leads: Option<Term>,
    /// Up to where the node was told to compact.
    pub(super) compacts: Option<LogPosition>,
    /// Whether the next entry to apply is being fetched.
    pub(super) fetches: bool,
    /// What follows from the last step of the node, in a call that is not over.
    pub(super) next: Batch<P>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub(super) enum Asked {
    Proposal { weight: u64, until: Instant },
    Change,
    Transfer,
}

/// What a call works with.
pub(super) struct Turn<'a, P, H> {
    pub(super) now: Instant,
    pub(super) host: &'a mut H,
    pub(super) effects: &'a mut Vec<Effect<P>>,
}

impl<P, H> Turn<'_, P, H> {
    pub(super) fn answer(&mut self, token: Token, answer: Answer) {
        self.effects.push(Effect::Answer { token, answer });
    }

    pub(super) fn refuse(&mut self, token: Token, refusal: impl Into<Refusal>) {
        self.answer(token, Answer::Refused(refusal.into()));
    }

    pub(super) fn answers<R>(&mut self, give: impl FnOnce(&mut Answers) -> R) -> R {
        let mut answers = Answers::new();
        let result = give(&mut answers);
        for (token, answer) in answers {
            self.answer(token, answer);
        }
        result
    }

    pub(super) fn tasks<R>(&mut self, give: impl FnOnce(&mut Vec<SnapshotTask>) -> R) -> R {
        let mut tasks = Vec::new();
        let result = give(&mut tasks);
        self.effects.extend(tasks.into_iter().map(Effect::Snapshot));
        result
    }
}

impl<P: Payload> Driver<P> {
    /// Around a node that has just started.
    ///
    /// # Errors
    ///
    /// Settings that cannot be.
    pub fn new(node: Node, settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let status = node.status();
        let found = node.snapshot_at(status.log_start.index);
        let newest = found.filter(|found| found.position != LogPosition::ZERO);
        Ok(Self {
            settings,
            tail: Tail::new(status.last.index),
            book: Book::default(),
            lanes: Lanes::default(),
            backlog: Backlog::default(),
            proposals: Proposals::default(),
            reads: Reads::default(),
            changes: Changes::default(),
            desk: Desk::new(newest, settings.kept_bytes),
            asked: BTreeMap::new(),
            ranges: VecDeque::new(),
            handed: status.last_applied,
            applied: status.last_applied,
            issued: None,
            written: None,
            leads: None,
            compacts: None,
            fetches: false,
            next: Batch::default(),
            node,
        })
    }

    /// Finds the book again after a start: what the snapshot keeps of it, and the log after that.
    pub fn recall(
        &mut self,
        described: impl IntoIterator<Item = P>,
        log: impl IntoIterator<Item = Entry<P>>,
    ) {
        let status = self.node.status();
        let held = (status.log_start.index.next())..=status.last.index;
        let entries = log.into_iter().filter(|entry| held.contains(&entry.position.index));
        let entries = entries.collect();
        self.book = Book::of(described);
        self.book.write(&BoundLog { restart_after: None, first: *held.start(), entries });
        self.book.applied(self.applied);
    }

    /// What has arrived from `sender`, whom the transport knows, if it keeps to the
    /// [`largest_frame`](Settings::largest_frame) of these settings, which all nodes have.
    ///
    /// # Errors
    ///
    /// As [`Frame::received`].
    pub fn receive(
        &self,
        sender: NodeId,
        envelope: Envelope,
        payloads: Vec<P>,
    ) -> Result<Frame<P>, FrameError> {
        Frame::received(sender, envelope, payloads, self.settings.largest_frame())
    }

    /// The node.
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// What the state machine has applied.
    pub const fn applied(&self) -> LogIndex {
        self.applied
    }

    /// What the log says of the members. At the end of a call with a
    /// [`SnapshotTask::Take`] it is, for [`Book::snapshot`], as of the position of that.
    pub const fn book(&self) -> &Book<P> {
        &self.book
    }

    /// The weight of what is on the way to a peer, in bytes.
    pub fn on_the_way(&self, peer: NodeId) -> u64 {
        self.lanes.on_the_way(peer)
    }

    /// When to step [`Event::Wake`](crate::driver::Event::Wake) next.
    pub fn deadline(&self) -> Option<Instant> {
        let waiters = [self.proposals.deadline(), self.reads.deadline(), self.changes.deadline()];
        waiters.into_iter().chain([self.node.deadline()]).flatten().min()
    }
}
