//! What the driver does: an action of the node becomes effects, with their bytes.

use crate::action::{Action, RoleKind, Write};
use crate::driver::boundary::{Answer, Effect, Event, Host, Refusal, Stepped};
use crate::driver::drive::{Asked, Driver, Turn};
use crate::driver::frame::{Batch, Entry, Frame, Payload, weight};
use crate::driver::intake::tell;
use crate::driver::lanes::LaneLimits;
use crate::driver::settings::Settings;
use crate::driver::waiters::Answers;
use crate::error::RejectReason;
use crate::input::{Input, Outcome};
use crate::message::{Envelope, Message};
use crate::types::{Instant, LogIndex, LogPosition, NodeId, Token};
use alloc::vec::Vec;

impl<P: Payload> Driver<P> {
    /// Takes in all events, and says everything that is to be done.
    pub fn step<H: Host<P>>(
        &mut self,
        events: impl IntoIterator<Item = Event<P>>,
        now: Instant,
        host: &mut H,
        effects: &mut Vec<Effect<P>>,
    ) {
        let mut goes_on = self.step_once(events, now, host, effects);
        while goes_on {
            goes_on = self.step_once([], now, host, effects);
        }
    }

    /// The same in parts, for whoever wants to look at the node after each of its steps: the node
    /// is stepped at most once. While it says `true` the call is not over: it goes on, at the same
    /// moment and before anything else, with no events. What it has said so far may be carried out
    /// first.
    pub fn step_once<H: Host<P>>(
        &mut self,
        events: impl IntoIterator<Item = Event<P>>,
        now: Instant,
        host: &mut H,
        effects: &mut Vec<Effect<P>>,
    ) -> bool {
        let mut turn = Turn { now, host, effects };
        let (mut batch, mut wakes) = (core::mem::take(&mut self.next), false);
        for event in events {
            wakes |= matches!(event, Event::Wake);
            self.take(event, &mut batch, &mut turn);
        }
        if wakes {
            tell(&mut batch, Input::Wake);
        }
        if !batch.is_empty() {
            self.step_node(&batch, &mut turn);
        }
        self.next = self.follow_up(&mut turn);
        let goes_on = !self.next.is_empty();
        if !goes_on {
            self.settle(&mut turn);
        }
        goes_on
    }

    fn step_node<H: Host<P>>(&mut self, batch: &Batch<P>, turn: &mut Turn<'_, P, H>) {
        let mut actions = Vec::new();
        self.node.step_all(batch.inputs(), turn.now, &mut actions);
        let (inputs, node) = (batch.inputs(), &self.node);
        turn.host.stepped(&Stepped { inputs, now: turn.now, actions: &actions, node });

        let status = node.status();
        let leads = (status.role == RoleKind::Leader).then_some(status.term);
        let changed = leads != core::mem::replace(&mut self.leads, leads);
        if changed {
            self.backlog.clear();
        }
        let peers = node.peers().map(|peer| (peer.id, peer.match_index, peer.sent_through));
        self.lanes.settle(status.term, peers);
        for action in actions {
            self.carry_out(action, batch, turn);
        }
        self.backlog.committed(status.commit_index);
        let position = self.compacts.take().filter(|position| *position == status.log_start);
        turn.effects.extend(position.map(|through| Effect::Compact { through }));
        turn.tasks(|tasks| self.desk.judged(tasks));
        if (changed || leads.is_none()) && !self.settings.waits_through_elections {
            let fate = |position| self.node.fate(position);
            turn.answers(|answers| self.proposals.leads(leads, fate, answers));
        }
    }

    fn carry_out<H: Host<P>>(
        &mut self,
        action: Action,
        batch: &Batch<P>,
        turn: &mut Turn<'_, P, H>,
    ) {
        use Action as A;
        match action {
            A::Accepted { token, first, count } => self.on_accepted(token, first, count),
            A::Rejected { token, reason } => self.on_rejected(token, reason, turn),
            A::Persist(write) => self.write(&write, batch, turn),
            A::Send(envelope) => self.send(envelope, turn),
            A::Apply { first, through } => self.ranges.push_back((first, through)),
            A::ReadReady { token, index } => self.reads.confirmed(token, index),
            A::SendSnapshot { to, term, at_least } => {
                let config = self.node.config();
                let (from_to, patience) = ((config.id, to), (turn.now, config.snapshot_timeout));
                turn.tasks(|tasks| self.desk.asked_for(from_to, term, at_least, patience, tasks));
            }
            A::InstallSnapshot { snapshot } => self.desk.installs(&snapshot, self.issued),
            A::TransferEnded { token, outcome } => {
                self.asked.remove(&token);
                turn.answer(token, Answer::Transferred(outcome));
            }
            A::RoleChanged { .. } | A::PeerRegressed { .. } | A::Ignored { .. } => {
                turn.effects.push(Effect::Notice(action));
            }
        }
    }

    fn on_accepted(&mut self, token: Token, first: LogPosition, count: u64) {
        match self.asked.remove(&token) {
            Some(Asked::Proposal { weight, until }) => {
                self.backlog.accepted(LogIndex(first.index.get() + count - 1), weight);
                self.proposals.accepted(token, first, count, until);
            }
            Some(Asked::Change | Asked::Transfer) | None => self.changes.accepted(token, first),
        }
    }

    fn on_rejected<H>(&mut self, token: Token, reason: RejectReason, turn: &mut Turn<'_, P, H>) {
        match self.asked.remove(&token) {
            Some(Asked::Change) => {
                let again = turn.now.saturating_add(self.node.config().heartbeat_interval);
                if let Some(answer) = self.changes.refused(token, reason, again) {
                    turn.answer(token, answer);
                }
            }
            Some(Asked::Proposal { .. } | Asked::Transfer) => turn.refuse(token, reason),
            None if self.reads.refused(token) => turn.refuse(token, reason),
            None => {}
        }
    }

    fn write<H>(&mut self, write: &Write, batch: &Batch<P>, turn: &mut Turn<'_, P, H>) {
        let bound = batch.bind(write).expect("the write is of this batch, whose frames are whole");
        if let Some(log) = &bound.log {
            self.tail.write(log);
            self.book.write(log);
        }
        self.issued = Some(bound.ticket);
        turn.effects.push(Effect::Write(bound));
    }

    fn send<H: Host<P>>(&mut self, envelope: Envelope, turn: &mut Turn<'_, P, H>) {
        let Envelope { from, to, term, message } = envelope;
        let mut send = |message, payloads| {
            let envelope = Envelope { from, to, term, message };
            let frame = Frame::new(envelope, payloads).expect("a payload for each command");
            turn.effects.push(Effect::Send(frame));
        };
        let Message::AppendEntries(m) = message else { return send(message, Vec::new()) };
        let Settings { frame_bytes: frame, in_flight_bytes: in_flight, .. } = self.settings;
        let (tail, host) = (&self.tail, &mut *turn.host);
        let read = |at| tail.get(at).cloned().or_else(|| host.read(at));
        let taken = self.lanes.take(to, m, LaneLimits { frame, in_flight }, read);
        for (m, payloads) in taken.messages {
            send(Message::AppendEntries(m), payloads);
        }
        let fetch = taken.missing.map(|position| Effect::Fetch { position });
        turn.effects.extend(fetch);
    }

    /// What follows from a step, and has to be stepped before anything else happens.
    fn follow_up<H>(&mut self, turn: &mut Turn<'_, P, H>) -> Batch<P> {
        let mut batch = Batch::default();
        for input in self.lanes.news(self.settings.in_flight_bytes) {
            tell(&mut batch, input);
        }
        let now = turn.now;
        while let Some((token, input)) =
            turn.answers(|answers| self.changes.settle(&self.node, now, answers))
        {
            if let Some(node) = self.lacks(&input) {
                self.changes.give_up(token);
                turn.refuse(token, Refusal::NotDescribed { node });
                continue;
            }
            self.asked.insert(token, Asked::Change);
            tell(&mut batch, input);
            break;
        }
        if let Some(position) = self.desk.missing() {
            tell(&mut batch, Input::SnapshotInstalled { position, outcome: Outcome::Failed });
        }
        let status = self.node.status();
        let target = self.desk.compacts_to().filter(|target| *target > status.log_start.index);
        if let Some(target) = target.filter(|_| status.installing.is_none()) {
            self.desk.compacted(target);
            self.compacts = self.node.snapshot_at(target).map(|covers| covers.position);
            let taken = self.compacts.map(|position| Input::SnapshotTaken { position });
            if let Some(input) = taken {
                tell(&mut batch, input);
            }
        }
        batch
    }

    /// The first member before or after this change of whom the log says nothing.
    fn lacks(&self, change: &Input) -> Option<NodeId> {
        let Input::ChangeMembership { target, .. } = change else { return None };
        let members = self.node.membership().members().chain(target.members());
        self.settings.needs_descriptions.then(|| self.book.lacks(members)).flatten()
    }

    /// What does not concern the node: the state machine, and whoever waits for it.
    fn settle<H: Host<P>>(&mut self, turn: &mut Turn<'_, P, H>) {
        self.book.applied(self.applied);
        let node = &self.node;
        let lacks = |to, position: LogPosition| {
            node.peers().any(|peer| peer.id == to && peer.match_index < position.index)
        };
        turn.tasks(|tasks| self.desk.stop_unless(lacks, tasks));
        if self.handed == self.applied {
            if self.desk.is_due(self.applied, self.settings.snapshot_bytes)
                && let Some(snapshot) = self.node.snapshot_at(self.applied)
            {
                turn.tasks(|tasks| self.desk.takes(snapshot, tasks));
            }
            self.apply(turn);
            if self.handed == self.applied && self.ranges.is_empty() {
                turn.tasks(|tasks| self.desk.install(self.written, tasks));
            }
        }
        let now = turn.now;
        turn.answers(|answers| {
            self.reads.applied(self.applied, answers);
            self.proposals.expire(now, answers);
            self.reads.expire(now, answers);
            self.changes.expire(now, answers);
        });
        self.tail.evict(self.node.status().durable.index, self.settings.cached_bytes);
    }

    /// Hands the next entries to the state machine, as many as one apply may hold.
    fn apply<H: Host<P>>(&mut self, turn: &mut Turn<'_, P, H>) {
        let (mut entries, mut total) = (Vec::<Entry<P>>::new(), 0_u64);
        'full: while !self.fetches
            && let Some((first, through)) = self.ranges.pop_front()
        {
            for index in (first.get()..=through.index.get()).map(LogIndex) {
                let position = LogPosition::new(through.term, index);
                let found = self.tail.get(position).cloned();
                let Some(content) = found.or_else(|| turn.host.read(position)) else {
                    self.fetches = true;
                    turn.effects.push(Effect::Fetch { position });
                    self.ranges.push_front((index, through));
                    break 'full;
                };
                let size = weight(&content);
                if total > 0 && total.saturating_add(size) > self.settings.apply_bytes {
                    self.ranges.push_front((index, through));
                    break 'full;
                }
                total = total.saturating_add(size);
                entries.push(Entry { position, content });
            }
        }
        let Some(last) = entries.last().map(|entry| entry.position.index) else { return };
        self.handed = last;
        self.desk.applies(last, total);
        // First the range, then who has lost by it.
        let mut answers = Answers::new();
        let commits = self.proposals.claim(entries, &mut answers);
        turn.effects.push(Effect::Apply(commits));
        for (token, answer) in answers {
            turn.answer(token, answer);
        }
    }
}
