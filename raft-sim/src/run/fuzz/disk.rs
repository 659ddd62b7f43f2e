//! What a runtime keeps of one node: the log with its bytes, and what a crash leaves of it.

use crate::run::fuzz::any::Any;
use raft_core::payload::{Content, PayloadLog, bind, check_payloads};
use raft_core::{
    Action, AppendEntries, Envelope, HardState, Input, LogIndex, LogPosition, LogWrite, Message,
    Recovered, Run, Snapshot, Source, Status, Ticket, Token, Write,
};
use std::collections::{BTreeMap, VecDeque};

/// More commands than this in one input or log have no bytes here.
const MOST: u64 = 64;

type Bound = Vec<(LogPosition, Content<u64>)>;

/// A write that is not said to be durable.
struct Pending {
    ticket: Ticket,
    hard_state: Option<HardState>,
    log: Option<(LogWrite, Bound)>,
}

/// The disk of one node. A command is a number: that of its position where a peer sent it, and of
/// its request where it was proposed here.
pub(super) struct Disk {
    /// The log as it was written, durable or not.
    log: PayloadLog<u64>,
    /// What is durable.
    durable: Recovered,
    durable_log: PayloadLog<u64>,
    pending: VecDeque<Pending>,
    /// What was proposed here, by the position that it was accepted at.
    accepted: BTreeMap<LogPosition, u64>,
    /// The snapshot that is being installed, and the last write before it.
    installs: Option<(Snapshot, Option<Ticket>)>,
}

impl Disk {
    /// The disk that a node was started from; `None` if it holds too much to have bytes.
    pub(super) fn new(recovered: &Recovered, status: &Status) -> Option<Self> {
        if recovered.entries.count() > MOST {
            return None;
        }
        let mut durable_log = PayloadLog::new(recovered.prev);
        let mut index = recovered.prev.index.get();
        for run in recovered.entries.runs() {
            for _ in 0..run.count() {
                index += 1;
                let position = LogPosition::new(run.term(), LogIndex(index));
                durable_log.push(
                    run.term(),
                    match run {
                        Run::Commands { .. } => Content::Command(by_position(position)),
                        Run::Membership { membership, .. } => {
                            Content::Membership(membership.clone())
                        }
                    },
                );
            }
        }
        let mut disk = Self {
            log: durable_log.clone(),
            durable: recovered.clone(),
            durable_log,
            pending: VecDeque::new(),
            accepted: BTreeMap::new(),
            installs: None,
        };
        disk.begin(status);
        Some(disk)
    }

    pub(super) const fn log(&self) -> &PayloadLog<u64> {
        &self.log
    }

    /// The node has read it: what the snapshot covers or contradicts is gone from its memory.
    fn begin(&mut self, status: &Status) {
        self.log.compact(self.durable.snapshot.position);
        if self.log.start() != status.log_start {
            self.log = PayloadLog::new(status.log_start);
        }
        assert_eq!(self.log.last(), status.last, "the node starts from what was found");
    }

    /// The payloads that come with the inputs of a call; none with one that announces too many.
    pub(super) fn payloads(inputs: &[Input]) -> Vec<Vec<u64>> {
        inputs.iter().map(payloads).collect()
    }

    /// Carries out the actions of a call. False if bytes are wanted that cannot be here.
    pub(super) fn take(
        &mut self,
        inputs: &[Input],
        payloads: &[Vec<u64>],
        actions: &[Action],
    ) -> bool {
        let first = inputs.iter().zip(payloads).filter_map(|(input, payloads)| match input {
            Input::Propose { token, .. } => Some((*token, payloads)),
            _ => None,
        });
        let proposals: BTreeMap<Token, &Vec<u64>> = first.collect();
        for action in actions {
            match action {
                Action::Accepted { token, first, .. } => {
                    let commands = proposals.get(token).into_iter().copied().flatten();
                    for (index, command) in (first.index.get()..).zip(commands) {
                        let position = LogPosition::new(first.term, LogIndex(index));
                        self.accepted.insert(position, *command);
                    }
                }
                Action::Persist(write) => {
                    let held = self.write(write, inputs, payloads);
                    if !held {
                        return false;
                    }
                }
                Action::Send(Envelope { message, .. }) => self.send(message),
                Action::Apply { first, through } => self.apply(*first, *through),
                Action::InstallSnapshot { snapshot } => {
                    let before = self.pending.back().map(|pending| pending.ticket);
                    self.installs = Some((snapshot.clone(), before));
                }
                _ => {}
            }
        }
        true
    }

    fn write(&mut self, write: &Write, inputs: &[Input], payloads: &[Vec<u64>]) -> bool {
        let beside = |nth: usize| Some((inputs.get(nth)?, payloads.get(nth)?.as_slice()));
        let mut log = None;
        if let Some(part) = &write.log {
            if takes_too_many(part, inputs) {
                return false;
            }
            let bound = bind(part, beside).expect("every input carries what it announces");
            self.log.write(part, beside).expect("a write fits the log that it is for");
            for (position, content) in &bound {
                assert_eq!(self.log.entry(*position), Some(content), "it stands where it belongs");
                let Content::Command(command) = content else { continue };
                let proposed = self.accepted.get(position);
                let fits = *command == by_position(*position) || Some(command) == proposed;
                assert!(fits, "the command {command:x} at {position} is that of another place");
            }
            log = Some((part.clone(), bound));
        }
        self.pending.push_back(Pending { ticket: write.ticket, hard_state: write.hard_state, log });
        true
    }

    /// What is sent at once is held, with all its commands.
    fn send(&self, message: &Message) {
        let Message::AppendEntries(append) = message else { return };
        let attached = self.log.attach(append).expect("a leader holds what it sends");
        assert_eq!(check_payloads(message, attached.len()), Ok(()), "the frame is true");
    }

    fn apply(&self, first: LogIndex, through: LogPosition) {
        let mut count = 0;
        for (position, _) in self.log.range(first, through.index) {
            assert_eq!(position.term, through.term, "what is applied is of one term");
            count += 1;
        }
        let wanted = through.index.get() + 1 - first.get();
        assert_eq!(count, wanted, "what is applied is held from {first} to {through}");
        let durable = self.durable_log.range(first, through.index).count();
        assert_eq!(u64::try_from(durable), Ok(wanted), "what is applied is durable here");
    }

    /// Every write up to a ticket is durable, if there is such a ticket.
    pub(super) fn persisted(&mut self, ticket: Ticket) {
        if self.pending.back().is_none_or(|last| ticket > last.ticket) {
            return;
        }
        while self.pending.front().is_some_and(|pending| pending.ticket <= ticket) {
            let Pending { hard_state, log, .. } = self.pending.pop_front().expect("one is there");
            self.durable.hard_state = hard_state.unwrap_or(self.durable.hard_state);
            if let Some((write, bound)) = log {
                self.put(&write, &bound, bound.len());
            }
        }
    }

    /// The first entries of a write come to the disk.
    fn put(&mut self, write: &LogWrite, bound: &Bound, count: usize) {
        if let Some(position) = write.restart_after {
            self.durable_log = PayloadLog::new(position);
        }
        self.durable_log.truncate_from(write.first);
        for (position, content) in bound.iter().take(count) {
            self.durable_log.push(position.term, content.clone());
        }
    }

    /// A snapshot was taken.
    pub(super) fn compact(&mut self, snapshot: &Snapshot) {
        self.log.compact(snapshot.position);
        self.durable_log.compact(snapshot.position);
        self.durable.snapshot = snapshot.clone();
    }

    /// A snapshot was installed, after all earlier writes. False if nobody asked for it.
    pub(super) fn install(&mut self, position: LogPosition) -> bool {
        let asked = self.installs.take().filter(|(snapshot, _)| snapshot.position == position);
        let Some((snapshot, before)) = asked else { return false };
        if let Some(ticket) = before {
            self.persisted(ticket);
        }
        self.log = PayloadLog::new(position);
        self.durable_log = PayloadLog::new(position);
        self.durable.snapshot = snapshot;
        true
    }

    /// What must be equal at the node and here.
    pub(super) fn compare(&self, status: &Status) {
        assert_eq!(self.log.start(), status.log_start, "the log starts where the node says");
        assert_eq!(self.log.last(), status.last, "the log ends where the node says");
        let snapshot = self.durable.snapshot.position.index;
        let durable = self.durable_log.last().index.max(snapshot);
        assert!(durable >= status.durable.index, "what counts as durable is durable");
    }

    /// A crash: some of the writes that were not said to be durable survive, the next one torn,
    /// and the hard state perhaps of a later one. What is left, and a place to go on applying.
    pub(super) fn crash(&mut self, any: &mut Any, applied: LogIndex) -> Recovered {
        let most = u64::try_from(self.pending.len()).expect("a few");
        let whole = usize::try_from(any.up_to(most)).expect("a few");
        let mut rest = self.pending.split_off(whole);
        if let Some(last) = self.pending.back().map(|pending| pending.ticket) {
            self.persisted(last);
        }
        let mut torn = false;
        if let Some((write, bound)) = rest.front_mut().and_then(|pending| pending.log.take())
            && any.below(2) == 0
        {
            torn = true;
            let most = u64::try_from(bound.len()).expect("a few");
            let count = usize::try_from(any.up_to(most)).expect("a few");
            self.put(&write, &bound, count);
        }
        let later = u64::try_from(rest.len()).expect("a few");
        let later = usize::try_from(any.up_to(later)).expect("a few").max(usize::from(torn));
        let newest = rest.iter().take(later).filter_map(|pending| pending.hard_state).next_back();
        self.durable.hard_state = newest.unwrap_or(self.durable.hard_state);
        self.durable.prev = self.durable_log.start();
        self.durable.entries = self.durable_log.positions();
        self.durable.applied = match any.below(3) {
            0 => LogIndex(any.up_to(applied.get())),
            1 => applied,
            _ => LogIndex(0),
        };
        (self.pending, self.installs) = (VecDeque::new(), None);
        self.log = self.durable_log.clone();
        self.durable.clone()
    }

    /// A node has started from what [`crash`](Self::crash) left.
    pub(super) fn restarted(&mut self, status: &Status) {
        self.begin(status);
    }
}

/// Whether a write takes commands from an input that has no bytes.
fn takes_too_many(write: &LogWrite, inputs: &[Input]) -> bool {
    write.chunks.iter().any(|chunk| match &chunk.source {
        Source::Inputs { first, last, .. } => {
            inputs[*first..=*last].iter().any(|input| input.commands() > MOST)
        }
        Source::Membership(_) => false,
    })
}

fn payloads(input: &Input) -> Vec<u64> {
    match input {
        _ if input.commands() > MOST => Vec::new(),
        Input::Propose { token, count } => (0..*count).map(|nth| token.get() << 8 | nth).collect(),
        Input::Message(Envelope { message: Message::AppendEntries(append), .. }) => sent(append),
        _ => Vec::new(),
    }
}

/// The commands of a message: an honest leader has the same command at the same position.
fn sent(append: &AppendEntries) -> Vec<u64> {
    let mut commands = Vec::new();
    let mut index = append.prev.index.get();
    for run in append.entries.runs() {
        for nth in 1..=run.commands() {
            let position = LogPosition::new(run.term(), LogIndex(index.saturating_add(nth)));
            commands.push(by_position(position));
        }
        index = index.saturating_add(run.count());
    }
    commands
}

/// The command that peers have at a position; no number of a request.
const fn by_position(position: LogPosition) -> u64 {
    1 << 63 | (position.term.get().wrapping_mul(0x9e37_79b9) ^ position.index.get()) >> 1
}
