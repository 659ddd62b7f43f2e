//! What happens to the driver: an event becomes inputs of the node, or changes what is around it.

use crate::driver::book::Book;
use crate::driver::boundary::{Event, Host, Refusal, SnapshotEvent, StreamId};
use crate::driver::drive::{Asked, Driver, Turn};
use crate::driver::frame::{Batch, OVERHEAD, Payload, SnapshotHead};
use crate::driver::tail::Tail;
use crate::input::{Input, Outcome};
use crate::message::Envelope;
use crate::types::{Instant, LogIndex, LogPosition, Token};
use alloc::vec::Vec;

impl<P: Payload> Driver<P> {
    /// One event. What it means for the node goes into the batch.
    pub(super) fn take<H: Host<P>>(
        &mut self,
        event: Event<P>,
        batch: &mut Batch<P>,
        turn: &mut Turn<'_, P, H>,
    ) {
        match event {
            Event::Frame(frame) => batch.frame(frame),
            // After everything else: what waits comes before the deadline.
            Event::Wake => {}
            Event::Propose { token, commands, until } => {
                self.propose(token, commands, until, batch, turn);
            }
            Event::Read { token, .. }
            | Event::Change { token, .. }
            | Event::Promote { token, .. }
            | Event::Transfer { token, .. }
                if self.is_open(token) =>
            {
                turn.refuse(token, Refusal::TokenInUse);
            }
            Event::Read { token, consistency, until } => {
                self.reads.asked(token, until);
                tell(batch, Input::Read { token, consistency });
            }
            Event::Change { token, target, until } => {
                self.changes.change(token, target, until);
            }
            Event::Promote { token, node, until } => self.changes.promote(token, node, until),
            Event::Transfer { token, to } => {
                self.asked.insert(token, Asked::Transfer);
                tell(batch, Input::TransferLeadership { token, to });
            }
            Event::Campaign => tell(batch, Input::Campaign),
            Event::Written { ticket } => {
                if self.issued >= Some(ticket) {
                    self.written = self.written.max(Some(ticket));
                }
                tell(batch, Input::Persisted { ticket });
            }
            Event::Applied { through } => {
                self.applied = self.applied.max(through.min(self.handed));
            }
            Event::Paused { peer, after } => {
                if let Some(input) = self.lanes.pause(peer, after.unwrap_or(LogIndex::MAX)) {
                    tell(batch, input);
                }
            }
            Event::Resumed { peer } => self.lanes.resume(peer),
            Event::Unreachable { peer } => tell(batch, Input::PeerUnreachable { peer }),
            Event::Fetched => {
                self.fetches = false;
                self.lanes.fetched();
            }
            Event::Snapshot(event) => self.on_snapshot(event, batch, turn),
        }
    }

    fn propose<H>(
        &mut self,
        token: Token,
        commands: Vec<P>,
        until: Instant,
        batch: &mut Batch<P>,
        turn: &mut Turn<'_, P, H>,
    ) {
        if self.is_open(token) {
            return turn.refuse(token, Refusal::TokenInUse);
        }
        let limit = self.settings.command_bytes;
        if let Some(bytes) = commands.iter().map(Payload::bytes).find(|bytes| *bytes > limit) {
            return turn.refuse(token, Refusal::CommandTooLarge { bytes, limit });
        }
        let sizes = commands.iter().map(|command| command.bytes().saturating_add(OVERHEAD));
        let weight = sizes.fold(0, u64::saturating_add);
        // Who does not lead is told so by the node.
        let limit = if self.leads.is_some() { self.settings.uncommitted_bytes } else { u64::MAX };
        if let Err(waiting) = self.backlog.admit(weight, limit) {
            return turn.refuse(token, Refusal::TooManyUncommitted { waiting });
        }
        self.asked.insert(token, Asked::Proposal { weight, until });
        batch.propose(token, commands);
    }

    fn on_snapshot<H: Host<P>>(
        &mut self,
        event: SnapshotEvent,
        batch: &mut Batch<P>,
        turn: &mut Turn<'_, P, H>,
    ) {
        match event {
            SnapshotEvent::Wanted => self.desk.want(),
            SnapshotEvent::Taken { outcome } => turn.tasks(|tasks| self.desk.taken(outcome, tasks)),
            SnapshotEvent::Progress { stream } => self.desk.progress(stream, turn.now),
            SnapshotEvent::Sent { stream, outcome } => {
                let sent = turn.tasks(|tasks| self.desk.sent(stream, tasks));
                if let Some((to, position)) = sent {
                    tell(batch, Input::SnapshotSent { to, position, outcome });
                }
            }
            SnapshotEvent::Head { stream, head } => self.on_head(stream, head, batch, turn),
            SnapshotEvent::Arrived { stream } => {
                if let Some(head) = self.desk.arrived(stream) {
                    tell(batch, Envelope::from(head).into());
                }
            }
            SnapshotEvent::Broken { stream } => self.desk.broken(stream),
            SnapshotEvent::Installed { outcome } => {
                let installed = turn.tasks(|tasks| self.desk.installed(outcome, tasks));
                if let Some(position) = installed {
                    tell(batch, Input::SnapshotInstalled { position, outcome });
                    if outcome == Outcome::Done {
                        self.start_from(position, turn);
                    }
                }
            }
        }
    }

    /// The head of a snapshot waits for its content, unless it has none to wait for: what is not
    /// news the node answers at once.
    fn on_head<H>(
        &mut self,
        stream: StreamId,
        head: SnapshotHead,
        batch: &mut Batch<P>,
        turn: &mut Turn<'_, P, H>,
    ) {
        let status = self.node.status();
        let is_news = head.snapshot.position.index > status.commit_index;
        let wanted = is_news && head.term >= status.term && head.to == status.id;
        if !wanted {
            tell(batch, Envelope::from(head.clone()).into());
        }
        turn.tasks(|tasks| self.desk.head(stream, head, wanted, tasks));
    }

    /// State machine and log are what the snapshot says.
    fn start_from<H: Host<P>>(&mut self, position: LogPosition, turn: &mut Turn<'_, P, H>) {
        self.tail = Tail::new(position.index);
        self.book = Book::of(turn.host.described(position));
        (self.handed, self.applied) = (position.index, position.index);
        turn.answers(|answers| self.proposals.installed(position, answers));
    }

    fn is_open(&self, token: Token) -> bool {
        self.asked.contains_key(&token) || self.reads.is_open(token) || self.changes.is_open(token)
    }
}

/// Adds an input that carries nothing.
pub(super) fn tell<P: Payload>(batch: &mut Batch<P>, input: Input) {
    batch.input(input).expect("it announces no commands");
}
