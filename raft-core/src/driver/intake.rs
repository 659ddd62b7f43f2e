//! What happens to the driver: an event becomes inputs of the node, or changes what is around it.

use crate::driver::book::Book;
use crate::driver::boundary::{Effect, Event, Host, Refusal, SnapshotEvent, SnapshotTask};
use crate::driver::drive::{Asked, Driver, Turn};
use crate::driver::frame::{Batch, Frame, OVERHEAD, Payload};
use crate::driver::tail::Tail;
use crate::input::{Input, Outcome};
use crate::message::Message;
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
            Event::Frame(frame) => self.hear(frame, batch, turn),
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

    /// The head of a snapshot waits for its content, unless it has none to wait for: what is not
    /// news the node answers at once.
    fn hear<H>(&mut self, frame: Frame<P>, batch: &mut Batch<P>, turn: &mut Turn<'_, P, H>) {
        let envelope = frame.envelope();
        let Message::InstallSnapshot(m) = &envelope.message else {
            return batch.frame(frame);
        };
        let status = self.node.status();
        let is_news = m.snapshot.position.index > status.commit_index;
        let wanted = is_news && envelope.term >= status.term && envelope.to == status.id;
        // What has arrived in this call may be installed: another of its name would replace it.
        let is_here = self.arrived.contains(&(envelope.from, m.snapshot.position));
        let mut tasks = Vec::new();
        self.desk.head(envelope.clone(), wanted && !is_here, &mut tasks);
        let answer = tasks.pop();
        self.drop_later(&mut tasks);
        turn.effects.extend(answer.map(Effect::Snapshot));
        if !wanted {
            batch.frame(frame);
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
            SnapshotEvent::Progress { to } => self.desk.progress(to, turn.now),
            SnapshotEvent::Sent { to, position, outcome } => {
                if turn.tasks(|tasks| self.desk.sent(to, position, tasks)) {
                    tell(batch, Input::SnapshotSent { to, position, outcome });
                }
            }
            SnapshotEvent::Arrived { from, position } => match self.desk.arrived(from, position) {
                Some(head) => {
                    self.arrived.push((from, position));
                    tell(batch, head.into());
                }
                // A second one of its name: its content is the same.
                None if self.desk.is_installing(from, position) => {}
                None => self.drops.push((from, position)),
            },
            SnapshotEvent::Broken { from, position } => _ = self.desk.arrived(from, position),
            SnapshotEvent::Installed { outcome } => {
                let mut tasks = Vec::new();
                let installed = self.desk.installed(outcome, &mut tasks);
                self.drop_later(&mut tasks);
                turn.effects.extend(tasks.into_iter().map(Effect::Snapshot));
                if let Some(position) = installed {
                    tell(batch, Input::SnapshotInstalled { position, outcome });
                    if outcome == Outcome::Done {
                        self.start_from(position, turn);
                    }
                }
            }
        }
    }

    /// Keeps what is to be discarded and answers no head.
    fn drop_later(&mut self, tasks: &mut Vec<SnapshotTask>) {
        tasks.retain(|task| match task {
            SnapshotTask::Discard { from, position } => {
                self.drops.push((*from, *position));
                false
            }
            _ => true,
        });
    }

    /// Discards what is of no use, once every head of the call is answered: before that it would be
    /// taken for the answer to one of the same name. What one of the same name replaces is gone.
    pub(super) fn discard<H>(&mut self, turn: &mut Turn<'_, P, H>) {
        for (from, position) in core::mem::take(&mut self.drops) {
            if !self.desk.is_incoming(from, position) {
                turn.effects.push(Effect::Snapshot(SnapshotTask::Discard { from, position }));
            }
        }
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
