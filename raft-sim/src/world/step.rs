//! One step of one node: the core is told, and the host carries out what it answers, in its order.

use crate::checker::sight::Happening;
use crate::host::client::Answer;
use crate::host::disk::{DiskWrite, Job};
use crate::host::log::{Entry, Log};
use crate::host::packet::{Arrival, Payload};
use crate::plan::choice::Question;
use crate::plan::record::{Event, Violation};
use crate::world::World;
use crate::world::host::Process;
use crate::world::narrate::Step;
use crate::world::pending::Pending;
use raft_core::payload::bind;
use raft_core::{
    Action, Envelope, Fate, Input, LogIndex, LogPosition, LogWrite, NodeId, PayloadError,
    RejectReason, RoleKind, Status, Token, TransferOutcome, Write,
};
use std::time::Duration;

/// The inputs of a step, and what came with each.
type Beside<'a> = (&'a [Input], &'a [Payload]);

/// What goes into a step and comes out of it.
#[derive(Clone, Default, Debug)]
pub(super) struct Lists {
    inputs: Vec<Input>,
    payloads: Vec<Payload>,
    actions: Vec<Action>,
}

impl Lists {
    fn clear(&mut self) {
        self.inputs.clear();
        self.payloads.clear();
        self.actions.clear();
    }
}

impl World {
    /// Steps a node with what has arrived. The lists are kept from step to step, for their memory.
    pub(super) fn step(
        &mut self,
        id: NodeId,
        arrivals: impl IntoIterator<Item = Arrival>,
    ) -> Result<(), Violation> {
        let mut lists = std::mem::take(&mut self.lists);
        let done = self.step_in(id, arrivals, &mut lists);
        lists.clear();
        self.lists = lists;
        done
    }

    fn step_in(
        &mut self,
        id: NodeId,
        arrivals: impl IntoIterator<Item = Arrival>,
        Lists { inputs, payloads, actions }: &mut Lists,
    ) -> Result<(), Violation> {
        for arrival in arrivals {
            if let Arrival::Query(token, question) = &arrival {
                self.running(id).queries.insert(*token, *question);
            }
            let (input, payload) = arrival.split();
            inputs.push(input);
            payloads.push(payload);
        }
        self.take_into_hash(&(id, &*inputs));
        self.show_requests(id, inputs)?;
        let now = self.agenda.now();
        let local = self.hosts[&id].local(now);
        let process = self.running(id);
        let before = process.status;
        process.node.step_all(inputs.iter(), local, actions);
        process.status = process.node.status();
        process.deadline = process.node.deadline();
        let after = process.status;
        self.take_into_hash(actions);
        self.exercised.membership_changes += changes_taken(inputs, actions);
        self.count(&before, &after, actions);
        if self.scribe.listens {
            let host = &self.hosts[&id];
            let state = |status| host.state_of(status);
            let step = Step { inputs, actions, before: state(&before), after: state(&after) };
            for (event, state) in step.prologue() {
                if let Event::PreCandidate { round: Some(round) } = event {
                    let told = self.hosts.get_mut(&id).and_then(|host| host.process.as_mut());
                    if told.is_some_and(|p| p.told_round.replace(round) == Some(round)) {
                        continue;
                    }
                }
                self.scribe.write(now, Some(id), event, Some(state));
            }
        }
        self.carry_out(id, &before, actions, (inputs, payloads))?;
        // After the checkers, so that what is wrong is seen from outside where it can be.
        let process = self.hosts[&id].process.as_ref();
        if let Some(Err(broken)) = process.map(|process| process.node.check()) {
            return Err(self.violation("invariants", format!("{id:?}: {broken}")));
        }
        self.compact(id);
        self.maybe_take_snapshot(id);
        let moved = |status: &Status| (status.commit_index, status.last);
        if moved(&before) != moved(&after) {
            self.ask_fates(id)?;
        }
        self.schedule_wake(id);
        Ok(())
    }

    /// What must end is asked for now.
    fn show_requests(&mut self, id: NodeId, inputs: &[Input]) -> Result<(), Violation> {
        for input in inputs {
            let timeout = self.running(id).node.config().election_timeout;
            let (token, within) = match input {
                Input::Read { token, .. } => (*token, timeout * 2),
                Input::TransferLeadership { token, .. } => (*token, timeout),
                _ => continue,
            };
            self.show(id, Happening::Asked { token, within })?;
        }
        Ok(())
    }

    /// Carries out the actions; not all of them if the host crashes in between.
    fn carry_out(
        &mut self,
        id: NodeId,
        before: &Status,
        actions: &[Action],
        beside: Beside<'_>,
    ) -> Result<(), Violation> {
        let host = self.hosts.get_mut(&id).expect("it runs");
        let crashes = host.crash_in_step && !actions.is_empty();
        let done = if crashes {
            let count = u64::try_from(actions.len()).expect("a few actions");
            let done = self.choices.within(Question::ActionsDone, 0..=count);
            usize::try_from(done).expect("a few actions")
        } else {
            actions.len()
        };
        for action in &actions[..done] {
            self.carry_out_one(id, action, beside)?;
        }
        self.show(id, Happening::Stepped { before, actions: &actions[..done], whole: !crashes })?;
        if crashes {
            self.exercised.crashes_in_step += 1;
            return self.crash(id, actions.len() - done);
        }
        Ok(())
    }

    fn carry_out_one(
        &mut self,
        id: NodeId,
        action: &Action,
        beside: Beside<'_>,
    ) -> Result<(), Violation> {
        match action {
            Action::Accepted { token, first, count } => self.accepted(id, *token, *first, *count),
            Action::Rejected { token, reason } => self.rejected(id, *token, *reason),
            Action::Persist(write) => return self.persist(id, write, beside),
            Action::Send(envelope) => self.send(id, envelope),
            Action::Apply { first, through } => return self.apply(id, *first, *through),
            Action::ReadReady { token, index } => {
                self.tell(Some(id), Event::ReadReady { token: *token, index: *index });
                self.running(id).ready.push((*index, *token));
                self.serve(id);
            }
            Action::TransferEnded { token, outcome } => {
                let done = *outcome == TransferOutcome::SteppedDown;
                let seen = &mut self.exercised;
                *(if done { &mut seen.transfers_done } else { &mut seen.transfers_failed }) += 1;
                self.tell(Some(id), Event::TransferEnded { token: *token, outcome: *outcome });
            }
            Action::SendSnapshot { to, term, at_least } => {
                return self.send_snapshot(id, *to, *term, *at_least);
            }
            Action::InstallSnapshot { snapshot } => return self.install(id, snapshot, beside.1),
            Action::PeerRegressed { peer, acknowledged, rejected } => {
                let (peer, acknowledged, rejected) = (*peer, *acknowledged, *rejected);
                self.tell(Some(id), Event::PeerRegressed { peer, acknowledged, rejected });
            }
            // Told by the narrator, from what is seen.
            Action::RoleChanged { .. } | Action::Ignored { .. } => {}
        }
        Ok(())
    }

    fn accepted(&mut self, id: NodeId, token: Token, first: LogPosition, count: u64) {
        self.tell(Some(id), Event::Accepted { token, first, count });
        let last = LogPosition::new(first.term, LogIndex(first.index.get() + count - 1));
        for node in self.hosts.keys() {
            let open = self.accepted.entry(*node).or_default();
            open.extend([first, last]);
            // A node that is away for long is asked for the newest only.
            while open.len() > 64 {
                open.pop_first();
            }
        }
        self.running(id).waiting.insert(first.index, (first, token));
    }

    fn rejected(&mut self, id: NodeId, token: Token, reason: RejectReason) {
        self.exercised.rejections += 1;
        match reason {
            RejectReason::TooManyUncommitted { .. } => self.exercised.too_many_uncommitted += 1,
            RejectReason::TooManyReads => self.exercised.too_many_reads += 1,
            _ => {}
        }
        if self.running(id).queries.remove(&token).is_some() {
            self.exercised.reads_refused += 1;
            self.tell(Some(id), Event::ReadFailed { token, reason });
        } else {
            self.tell(Some(id), Event::Rejected { token, reason });
        }
        let leader = match reason {
            RejectReason::NotLeader { leader } => leader,
            _ => None,
        };
        self.reply(token, Answer::Refused { leader });
    }

    fn persist(&mut self, id: NodeId, write: &Write, beside: Beside<'_>) -> Result<(), Violation> {
        if self.scribe.listens {
            self.tell(Some(id), Event::Persist { write: write.clone() });
        }
        let log = match &write.log {
            None => None,
            Some(log) => match bound(log, beside) {
                Ok(entries) => Some((log.first, entries)),
                Err(error) => return Err(self.violation("payloads", format!("{id:?}: {error}"))),
            },
        };
        let restart_after = write.log.as_ref().and_then(|log| log.restart_after);
        let process = self.running(id);
        process.ledger.take(write);
        if let Some((first, entries)) = &log {
            if let Some(start) = restart_after {
                process.log = Log::starting(start);
            }
            let last = process.log.last();
            if *first <= process.log.start().index || first.get() > last.index.get() + 1 {
                let sentence = format!("{id:?} writes from {first:?} on after {last}");
                return Err(self.violation("payloads", sentence));
            }
            let truncates = *first <= last.index;
            process.log.write(*first, entries);
            self.exercised.truncations += u64::from(truncates);
        }
        let Write { ticket, hard_state, .. } = *write;
        self.submit(id, Job::Write(DiskWrite { ticket, hard_state, restart_after, log }));
        Ok(())
    }

    fn send(&mut self, id: NodeId, envelope: &Envelope) {
        if self.scribe.listens {
            let obligation = self.running(id).ledger.obligation(envelope);
            self.tell(Some(id), Event::Send { message: envelope.clone(), obligation });
        }
        let life = self.hosts[&id].life;
        let later =
            self.choices.duration(Question::BuildDelay, Duration::ZERO, self.setup.build_delay);
        if later.is_zero() {
            return self.build(life, envelope.clone(), None);
        }
        let at = self.agenda.now().saturating_add(later);
        self.schedule(at, Pending::Build { life, envelope: envelope.clone(), machine: None });
    }

    /// Gives committed entries to the state machine, and their answers to those who wait for them.
    fn apply(
        &mut self,
        id: NodeId,
        first: LogIndex,
        through: LogPosition,
    ) -> Result<(), Violation> {
        for index in (first.get()..=through.index.get()).map(LogIndex) {
            let Process { log, machine, waiting, .. } = self.running(id);
            let Some(entry) = log.get(index) else {
                let sentence = format!("{id:?} applies {index:?}, which it does not hold");
                return Err(self.violation("state_machine_safety", sentence));
            };
            let effect = machine.apply(entry);
            let repeats = effect.is_some_and(|effect| effect.position.index < index);
            let waits = waiting.remove(&index);
            self.exercised.repeated += u64::from(repeats);
            let Some((position, token)) = waits else { continue };
            let answer = if position.term == through.term {
                let first = effect.map_or(position, |effect| effect.position);
                Answer::Applied { value: effect.and_then(|effect| effect.value), position: first }
            } else {
                Answer::Lost
            };
            self.reply(token, answer);
        }
        self.serve(id);
        self.tell(Some(id), Event::Apply { first, through });
        Ok(())
    }

    pub(super) fn running(&mut self, id: NodeId) -> &mut Process {
        self.hosts.get_mut(&id).and_then(|host| host.process.as_mut()).expect("it runs")
    }

    /// Asks a node for the fate of every position that it has not told yet.
    fn ask_fates(&mut self, id: NodeId) -> Result<(), Violation> {
        let Some(open) = self.accepted.get(&id).filter(|open| !open.is_empty()) else {
            return Ok(());
        };
        let Some(process) = &self.hosts[&id].process else { return Ok(()) };
        let fate = |position: &LogPosition| (*position, process.node.fate(*position));
        let told: Vec<_> = open.iter().map(fate).filter(|(_, fate)| *fate != Fate::Open).collect();
        for (position, fate) in told {
            self.accepted.entry(id).or_default().remove(&position);
            self.exercised.fates_lost += u64::from(fate == Fate::Lost);
            self.tell(Some(id), Event::Fate { position, fate });
            self.show(id, Happening::FateTold { position, fate })?;
        }
        Ok(())
    }

    /// What the run has seen of what can happen.
    fn count(&mut self, before: &Status, after: &Status, actions: &[Action]) {
        let seen = &mut self.exercised;
        let became = |role| after.role == role && (before.role != role || before.term < after.term);
        seen.pre_votes += u64::from(became(RoleKind::PreCandidate));
        seen.elections += u64::from(became(RoleKind::Candidate));
        seen.leaders += u64::from(became(RoleKind::Leader));
        seen.abdications +=
            u64::from(before.role == RoleKind::Leader && after.role != RoleKind::Leader);
        for action in actions {
            match action {
                Action::Send(envelope) => seen.send(&envelope.message),
                Action::Apply { first, through } => {
                    seen.applied += through.index.get() + 1 - first.get();
                }
                Action::Ignored { .. } => seen.ignored += 1,
                _ => {}
            }
        }
        if after.term.get() > seen.highest_term {
            seen.highest_term = after.term.get();
            self.term_rose = self.agenda.now();
        }
        seen.highest_commit = seen.highest_commit.max(after.commit_index.get());
    }
}

/// How many changes of the membership were taken.
fn changes_taken(inputs: &[Input], actions: &[Action]) -> u64 {
    let taken = |name: Token| {
        let is =
            |action: &Action| matches!(action, Action::Accepted { token, .. } if *token == name);
        actions.iter().any(is)
    };
    let changes = inputs.iter().filter(|input| match input {
        Input::ChangeMembership { token, .. } => taken(*token),
        _ => false,
    });
    u64::try_from(changes.count()).expect("a few inputs")
}

/// The entries of a write, with the commands that came with the inputs of the same call.
fn bound(log: &LogWrite, beside: Beside<'_>) -> Result<Vec<Entry>, PayloadError> {
    let (inputs, payloads) = beside;
    let of_input = |nth: usize| Some((inputs.get(nth)?, &payloads.get(nth)?.commands[..]));
    let entry = |(position, content): (LogPosition, _)| Entry { term: position.term, content };
    Ok(bind(log, of_input)?.into_iter().map(entry).collect())
}
