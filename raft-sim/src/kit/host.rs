//! Reads what a runtime recorded, and objects to a wrong order.

use crate::kit::model::{Model, State, told};
use crate::kit::record::{HostEvent, positions};
use crate::kit::rule::Rule;
use crate::kit::storage::RecoveredLog;
use raft_core::{
    Action, AppendOutcome, Envelope, Input, Instant, LogIndex, LogPosition, Message, NodeId,
    Outcome, Recovered, Term, Ticket, Token, Verdict,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::BufRead;
use std::time::Duration;

/// Where a record breaks a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Objection {
    /// Which rule.
    pub rule: Rule,
    /// At which event, counted from 1: the line of a record.
    pub line: u64,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {:?}: {}: {}", self.line, self.rule, self.rule, self.seen)
    }
}

impl std::error::Error for Objection {}

/// What a record that breaks no rule was about: one that holds nothing proves nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct HostSummary {
    /// Lives.
    pub lives: u64,
    /// Writes that became durable.
    pub durable: u64,
    /// Entries that were applied.
    pub applied: u64,
    /// Clients that were told that it is done.
    pub done: u64,
    /// Messages that left.
    pub sent: u64,
    /// Snapshots that became durable.
    pub snapshots: u64,
    /// Snapshots that were installed.
    pub installed: u64,
}

/// Judges the record of one node, event by event.
#[derive(Clone, Debug)]
pub struct HostChecker {
    /// How late a node may be woken.
    patience: Duration,
    line: u64,
    summary: HostSummary,
    id: Option<NodeId>,
    seeds: BTreeSet<u64>,
    /// The log on the disk, and what a crash may leave of it.
    disk: Model<()>,
    /// The newest snapshot that is durable.
    snapshot: LogPosition,
    /// What the state machine has applied, of all lives.
    highest_applied: LogIndex,
    /// The life that runs.
    life: Option<Life>,
    /// The snapshot that was being installed when the last life ended.
    half_installed: Option<LogPosition>,
}

/// What is known of the life that runs.
#[derive(Clone, Debug, Default)]
struct Life {
    now: Instant,
    deadline: Option<Instant>,
    failed: bool,
    /// Writes that were handed out and not carried out; and those not synced, with their place.
    handed: VecDeque<Ticket>,
    written: VecDeque<(Ticket, u64)>,
    marks: BTreeMap<Ticket, u64>,
    last_handed: Option<Ticket>,
    durable: Option<Ticket>,
    /// Ranges that were handed out and not applied.
    ranges: VecDeque<(LogIndex, LogPosition)>,
    applied: LogIndex,
    /// The term of each applied stretch, by its last index.
    terms: BTreeMap<LogIndex, Term>,
    open: BTreeMap<Token, Needs>,
    answered: BTreeSet<Token>,
    said: BTreeSet<(NodeId, Term, &'static str)>,
    installing: Option<Installing>,
    installed: bool,
}

/// What must be so before a client is told that it is done.
#[derive(Clone, Copy, Debug)]
enum Needs {
    Something,
    Position(LogPosition),
    Index(LogIndex),
}

#[derive(Clone, Copy, Debug)]
struct Installing {
    position: LogPosition,
    after_write: Option<Ticket>,
    after_range: LogIndex,
}

type Judged = Result<(), (Rule, String)>;

fn broken(rule: Rule, seen: impl Into<String>) -> Judged {
    Err((rule, seen.into()))
}

impl HostChecker {
    /// For a record from its beginning. A step that comes later than `patience` after the deadline
    /// is late: a tenth of the election timeout is generous.
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            line: 0,
            summary: HostSummary::default(),
            id: None,
            seeds: BTreeSet::new(),
            disk: Model::of(State::default()),
            snapshot: LogPosition::ZERO,
            highest_applied: LogIndex::ZERO,
            life: None,
            half_installed: None,
        }
    }

    /// Judges a whole record, one JSON value a line.
    ///
    /// # Errors
    ///
    /// The first objection, or a line that cannot be read.
    pub fn check(
        patience: Duration,
        record: impl BufRead,
    ) -> Result<HostSummary, Box<dyn std::error::Error + Send + Sync>> {
        let mut checker = Self::new(patience);
        for line in record.lines() {
            checker.see(&serde_json::from_str(&line?)?)?;
        }
        Ok(checker.summary)
    }

    /// What was seen so far.
    pub const fn summary(&self) -> HostSummary {
        self.summary
    }

    /// Judges the next event.
    ///
    /// # Errors
    ///
    /// It breaks a rule. What comes after it is not judged rightly.
    pub fn see(&mut self, event: &HostEvent) -> Result<(), Objection> {
        self.line += 1;
        let line = self.line;
        self.judge(event).map_err(|(rule, seen)| Objection { rule, line, seen })
    }

    fn judge(&mut self, event: &HostEvent) -> Judged {
        if let HostEvent::Started { id, seed, recovered, now } = event {
            return self.starts(*id, *seed, recovered, *now);
        }
        let Some(mut life) = self.life.take() else {
            return broken(Rule::NotRunning, format!("{event:?}"));
        };
        if matches!(event, HostEvent::Ended) {
            let installing = life.installing.filter(|_| !life.installed);
            self.half_installed = installing.map(|installing| installing.position);
            return Ok(());
        }
        if life.failed {
            return broken(Rule::AfterFailure, format!("{event:?}"));
        }
        let judged = self.goes_on(&mut life, event);
        self.life = Some(life);
        judged
    }

    fn goes_on(&mut self, life: &mut Life, event: &HostEvent) -> Judged {
        match event {
            HostEvent::Started { .. } | HostEvent::Ended => Ok(()),
            HostEvent::Stepped { now, inputs, actions, deadline } => {
                self.is_on_time(life, *now)?;
                life.deadline = *deadline;
                inputs.iter().try_for_each(|input| self.is_told(life, input))?;
                for action in actions {
                    self.says(life, action);
                }
                Ok(())
            }
            HostEvent::Written { ticket } => life.writes(*ticket),
            HostEvent::Durable { ticket } => self.syncs(life, *ticket),
            HostEvent::WriteFailed => {
                life.failed = true;
                Ok(())
            }
            HostEvent::Sent { envelope } => self.sends(life, envelope),
            HostEvent::Applied { first, through } => self.applies(life, *first, *through),
            HostEvent::Answered { token, done } => self.answers(life, *token, *done),
            HostEvent::SnapshotDurable { position } => self.has_snapshot(life, *position),
            HostEvent::Installed { position } => self.installs(life, *position),
            HostEvent::Released { through } => {
                if through.index > self.snapshot.index {
                    let seen = format!("{through}, and the snapshot covers {}", self.snapshot);
                    return broken(Rule::ReleasedEarly, seen);
                }
                self.disk.release(*through);
                Ok(())
            }
        }
    }

    fn starts(&mut self, id: NodeId, seed: u64, recovered: &Recovered, now: Instant) -> Judged {
        if self.life.is_some() {
            return broken(Rule::NotRunning, "a start, and the last life has not ended");
        }
        if let Some(before) = self.id.replace(id).filter(|before| *before != id) {
            return broken(Rule::IdChanged, format!("{id:?}, and it was {before:?}"));
        }
        if !self.seeds.insert(seed) {
            return broken(Rule::SeedReused, format!("{seed}"));
        }
        let Recovered { hard_state, prev, entries, .. } = recovered;
        let (hard_state, prev, entries) = (*hard_state, *prev, entries.clone());
        let found = RecoveredLog { hard_state, prev, entries };
        let first = self.summary.lives == 0;
        if first {
            self.disk = Model::of(State::recovered(&found));
            self.snapshot = recovered.snapshot.position;
            self.highest_applied = recovered.applied.max(self.snapshot.index);
        }
        let mut is = self.disk.after_crash(&found);
        let half_installed = self.half_installed.take();
        if let Some(position) = half_installed {
            let restarted = || self.disk.restarted(position).after_crash(&found);
            is = is.or_else(restarted);
        }
        let Some(is) = is else {
            let durable = told(&self.disk.durable().found());
            let text = format!("found {}; durable was {durable}", told(&found));
            return broken(Rule::RecoveredOther, text);
        };
        let snapshot = recovered.snapshot.position;
        let less = snapshot.index < self.snapshot.index;
        let invented = snapshot.index > self.highest_applied && Some(snapshot) != half_installed;
        if less || invented || recovered.applied > self.highest_applied {
            let applied = recovered.applied;
            let text = format!(
                "snapshot {snapshot} and applied {applied}; durable was snapshot {}, applied {}",
                self.snapshot, self.highest_applied
            );
            return broken(Rule::RecoveredOther, text);
        }
        self.disk = Model::of(is);
        self.snapshot = snapshot;
        self.summary.lives += 1;
        let applied = recovered.applied.max(snapshot.index);
        self.life = Some(Life { now, applied, ..Life::default() });
        Ok(())
    }

    fn is_on_time(&self, life: &mut Life, now: Instant) -> Judged {
        if now < life.now {
            return broken(Rule::ClockBack, format!("{now:?} after {:?}", life.now));
        }
        life.now = now;
        match life.deadline {
            Some(deadline) if now > deadline.saturating_add(self.patience) => {
                let late = now.saturating_since(deadline);
                broken(Rule::WokenLate, format!("{late:?} after the deadline"))
            }
            _ => Ok(()),
        }
    }

    fn is_told(&self, life: &mut Life, input: &Input) -> Judged {
        match input {
            Input::Propose { token, .. }
            | Input::Read { token, .. }
            | Input::ChangeMembership { token, .. }
            | Input::TransferLeadership { token, .. } => {
                if life.open.insert(*token, Needs::Something).is_some() {
                    return broken(Rule::TokenReused, format!("{token}"));
                }
                life.answered.remove(token);
                Ok(())
            }
            Input::Persisted { ticket } if Some(*ticket) > life.durable => {
                let seen = format!("{ticket}, and durable is {:?}", life.durable);
                broken(Rule::PersistedEarly, seen)
            }
            Input::SnapshotTaken { position } if position.index > self.snapshot.index => {
                let seen = format!("taken at {position}, and durable is {}", self.snapshot);
                broken(Rule::SnapshotSaidEarly, seen)
            }
            Input::SnapshotInstalled { position, outcome } => {
                let installing = life.installing.take();
                let is = installing.is_some_and(|installing| installing.position == *position);
                let done = *outcome == Outcome::Done;
                if done && !(is && std::mem::take(&mut life.installed)) {
                    let seen = format!("installed {position}, which was not");
                    return broken(Rule::SnapshotSaidEarly, seen);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn says(&mut self, life: &mut Life, action: &Action) {
        match action {
            Action::Persist(write) => {
                self.disk.write(&positions(write));
                life.handed.push_back(write.ticket);
                life.marks.insert(write.ticket, self.disk.mark());
                life.last_handed = Some(write.ticket);
            }
            Action::Send(Envelope { to, term, message, .. }) => {
                life.said.insert((*to, *term, message.kind().name()));
            }
            Action::SendSnapshot { to, term, .. } => {
                life.said.insert((*to, *term, "install_snapshot"));
            }
            Action::Apply { first, through } => life.ranges.push_back((*first, *through)),
            Action::Accepted { token, first, count } => {
                let last = LogIndex(first.index.get() + count - 1);
                life.open.insert(*token, Needs::Position(LogPosition::new(first.term, last)));
            }
            Action::ReadReady { token, index } => {
                life.open.insert(*token, Needs::Index(*index));
            }
            Action::InstallSnapshot { snapshot } => {
                let after_range = life.ranges.back().map_or(life.applied, |range| range.1.index);
                let (position, after_write) = (snapshot.position, life.last_handed);
                life.installing = Some(Installing { position, after_write, after_range });
                life.installed = false;
            }
            Action::Rejected { token, .. } | Action::TransferEnded { token, .. } => {
                life.open.remove(token);
            }
            Action::RoleChanged { .. } | Action::PeerRegressed { .. } | Action::Ignored { .. } => {}
        }
    }

    fn syncs(&mut self, life: &mut Life, ticket: Ticket) -> Judged {
        if !life.written.iter().any(|(written, _)| *written == ticket) {
            let seen = format!("{ticket} is durable, and was not written, or was durable before");
            return broken(Rule::WriteOrder, seen);
        }
        while let Some((written, mark)) = life.written.front().copied()
            && written <= ticket
        {
            life.written.pop_front();
            life.marks.remove(&written);
            self.disk.sync_to(mark);
            self.summary.durable += 1;
        }
        life.durable = Some(ticket);
        Ok(())
    }

    fn sends(&mut self, life: &Life, envelope: &Envelope) -> Judged {
        let Envelope { from, to, term, message } = envelope;
        let (kind, durable) = (message.kind().name(), self.disk.durable());
        if Some(*from) != self.id || !life.said.contains(&(*to, *term, kind)) {
            return broken(Rule::SentUnsaid, format!("{kind} of {term} from {from:?} to {to:?}"));
        }
        let hard_state = durable.hard_state;
        let rests = match message {
            Message::RequestVote(_) => hard_state.voted_for == Some(*from),
            Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => {
                hard_state.voted_for == Some(*to)
            }
            Message::AppendEntriesResponse(m) => match m.outcome {
                AppendOutcome::Matched { match_index } => match_index <= durable.last().index,
                _ => true,
            },
            _ => true,
        };
        if *term > hard_state.current_term || !rests && *term == hard_state.current_term {
            let seen = format!("{kind} of {term}; durable is {}", told(&durable.found()));
            return broken(Rule::SentUndurable, seen);
        }
        self.summary.sent += 1;
        Ok(())
    }

    fn applies(&mut self, life: &mut Life, first: LogIndex, through: LogPosition) -> Judged {
        if first.get() != life.applied.get() + 1 || through.index < first {
            let seen = format!("{first} to {through}, after {}", life.applied);
            return broken(Rule::ApplyOrder, seen);
        }
        let named = life.ranges.iter().find(|(_, last)| through.index <= last.index);
        if named.is_none_or(|(_, last)| last.term != through.term) {
            return broken(Rule::ApplyUnsaid, format!("{first} to {through}"));
        }
        while let Some((_, last)) = life.ranges.front().copied() {
            life.terms.insert(last.index.min(through.index), last.term);
            if last.index > through.index {
                break;
            }
            life.ranges.pop_front();
        }
        self.summary.applied += through.index.get() - life.applied.get();
        life.applied = through.index;
        self.highest_applied = self.highest_applied.max(through.index);
        Ok(())
    }

    fn answers(&mut self, life: &mut Life, token: Token, done: bool) -> Judged {
        let needs = life.open.remove(&token);
        if !life.answered.insert(token) {
            return broken(Rule::AnswerTwice, format!("{token}"));
        }
        if !done {
            return Ok(());
        }
        let applied = life.applied;
        let term_at = |index: LogIndex| life.terms.range(index..).next().map(|(_, term)| *term);
        match needs {
            Some(Needs::Position(at))
                if at.index <= applied && term_at(at.index) == Some(at.term) => {}
            Some(Needs::Index(index)) if index <= applied => {}
            needs => {
                let seen = format!("{token} needs {needs:?}, and applied is {applied}");
                return broken(Rule::AnswerEarly, seen);
            }
        }
        self.summary.done += 1;
        Ok(())
    }

    fn has_snapshot(&mut self, life: &Life, position: LogPosition) -> Judged {
        match life.installing.filter(|installing| installing.position == position) {
            Some(installing) => life.may_install(installing)?,
            None if position.index > life.applied => {
                let seen = format!("{position}, and applied is {}", life.applied);
                return broken(Rule::SnapshotAhead, seen);
            }
            None => {}
        }
        self.summary.snapshots += 1;
        if position.index > self.snapshot.index {
            self.snapshot = position;
        }
        Ok(())
    }

    fn installs(&mut self, life: &mut Life, position: LogPosition) -> Judged {
        let Some(installing) = life.installing.filter(|found| found.position == position) else {
            return broken(Rule::InstallEarly, format!("{position}, which the node did not name"));
        };
        life.may_install(installing)?;
        if self.snapshot != position {
            let seen = format!("{position}, and the durable snapshot is {}", self.snapshot);
            return broken(Rule::InstallEarly, seen);
        }
        self.disk = self.disk.restarted(position);
        life.installed = true;
        life.applied = position.index;
        self.highest_applied = self.highest_applied.max(position.index);
        self.summary.installed += 1;
        Ok(())
    }
}

impl Life {
    fn writes(&mut self, ticket: Ticket) -> Judged {
        if self.handed.pop_front() != Some(ticket) {
            return broken(Rule::WriteOrder, format!("{ticket} is written out of its turn"));
        }
        self.written.push_back((ticket, self.marks[&ticket]));
        Ok(())
    }

    fn may_install(&self, installing: Installing) -> Judged {
        let Installing { position, after_write, after_range } = installing;
        if self.durable < after_write || self.applied < after_range {
            let (durable, applied) = (self.durable, self.applied);
            let seen = format!(
                "{position} needs {after_write:?} durable and {after_range} applied; \
                 it is {durable:?} and {applied}"
            );
            return broken(Rule::InstallEarly, seen);
        }
        Ok(())
    }
}
