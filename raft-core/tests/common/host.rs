//! A runtime in small: one real node with everything that an embedder owes it.
//!
//! It carries out every action: a log of commands in memory and one on a disk that answers when it
//! is told to, a state machine, snapshots with content, and a process that can die at any moment.

use super::{S1, T};
use raft_core::payload::{Content, PayloadLog, bind};
use raft_core::{
    Action, Config, Envelope, HardState, Input, Instant, LogIndex, LogPosition, LogWrite,
    Membership, Message, Node, NodeId, Outcome, Recovered, Snapshot, Term, Ticket, Token,
};
use std::collections::{BTreeMap, VecDeque};

/// What the state machine is: every command that was applied, in order.
pub(crate) type State = Vec<u64>;

/// A message with the bytes that travel beside it.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) envelope: Envelope,
    pub(crate) commands: Vec<u64>,
    pub(crate) state: State,
}

impl Parcel {
    fn brings(&self, snapshot: &Snapshot) -> bool {
        matches!(&self.envelope.message, Message::InstallSnapshot(m) if m.snapshot == *snapshot)
    }
}

/// Entries with their content.
type Bound = Vec<(LogPosition, Content<u64>)>;

/// What waits for the disk, in order.
#[derive(Clone, Debug)]
enum Job {
    Write { ticket: Ticket, hard_state: Option<HardState>, log: Option<(LogWrite, Bound)> },
    Install { snapshot: Snapshot, state: State },
}

/// What survives a crash.
#[derive(Clone, Debug)]
struct Durable {
    hard_state: HardState,
    snapshot: (Snapshot, State),
    log: PayloadLog<u64>,
}

/// What a step did, as the world around wants to know it.
#[derive(Default, Debug)]
pub(crate) struct Done {
    pub(crate) actions: Vec<Action>,
    pub(crate) parcels: Vec<Parcel>,
    /// Every entry that was applied.
    pub(crate) applied: Vec<(LogPosition, Content<u64>)>,
    /// Reads that were served, with the index that the state machine had applied by then.
    pub(crate) served: Vec<(Token, LogIndex)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Host {
    config: Config,
    /// `None` while the process is dead.
    pub(crate) node: Option<Node>,
    jobs: VecDeque<Job>,
    durable: Durable,
    log: PayloadLog<u64>,
    pub(crate) state: State,
    pub(crate) applied: LogIndex,
    /// Reads that are confirmed, and wait for the state machine.
    waiting_reads: BTreeMap<Token, LogIndex>,
    /// A snapshot of the state machine that is being written.
    taking: Option<(Snapshot, State)>,
    pub(crate) prompt: bool,
    /// The next snapshot that is installed fails.
    pub(crate) install_fails: bool,
}

impl Host {
    pub(crate) fn new(id: NodeId, membership: Membership, now: Instant) -> Self {
        let config = Config::new(id, 7).with_election_timeout(T);
        let recovered = Recovered::fresh(membership);
        let log = PayloadLog::new(LogPosition::ZERO);
        let mut host = Self {
            node: None,
            jobs: VecDeque::new(),
            durable: Durable {
                hard_state: recovered.hard_state,
                snapshot: (recovered.snapshot, State::new()),
                log: log.clone(),
            },
            log,
            state: State::new(),
            applied: LogIndex::ZERO,
            waiting_reads: BTreeMap::new(),
            taking: None,
            prompt: true,
            install_fails: false,
            config,
        };
        host.start(now);
        host
    }

    pub(crate) fn configure(&mut self, change: impl FnOnce(&mut Config), now: Instant) {
        change(&mut self.config);
        self.start(now);
    }

    /// The process starts from what is on the disk.
    pub(crate) fn start(&mut self, now: Instant) {
        self.config.seed = self.config.seed.wrapping_mul(3).wrapping_add(1);
        let (snapshot, state) = self.durable.snapshot.clone();
        if self.applied < snapshot.position.index {
            (self.state, self.applied) = (state, snapshot.position.index);
        }
        self.log = self.durable.log.clone();
        let recovered = Recovered {
            hard_state: self.durable.hard_state,
            snapshot,
            prev: self.log.start(),
            entries: self.log.positions(),
            applied: self.applied,
        };
        let node = Node::new(self.config.clone(), recovered, now).expect("a crash leaves a state");
        assert_eq!(node.check(), Ok(()), "{node:?}");
        self.node = Some(node);
    }

    /// The process dies. Of what waits for the disk the first `whole` jobs have happened, and
    /// `torn` steps of the next one; a later hard state may have survived, too. A state machine
    /// that is durable itself keeps what it has applied.
    pub(crate) fn crash(&mut self, whole: usize, torn: usize, later: bool, keeps_state: bool) {
        self.node = None;
        let mut jobs: VecDeque<_> = core::mem::take(&mut self.jobs);
        for _ in 0..whole {
            if let Some(job) = jobs.pop_front() {
                self.perform(job, usize::MAX);
            }
        }
        if let Some(job) = jobs.pop_front() {
            self.perform(job, torn);
        }
        if later {
            let last = jobs.iter().rev().find_map(|job| match job {
                Job::Write { hard_state, .. } => *hard_state,
                Job::Install { .. } => None,
            });
            self.durable.hard_state = last.unwrap_or(self.durable.hard_state);
        }
        self.waiting_reads.clear();
        self.taking = None;
        if !keeps_state {
            let (snapshot, state) = self.durable.snapshot.clone();
            (self.state, self.applied) = (state, snapshot.position.index);
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.config.id
    }

    pub(crate) fn waiting_jobs(&self) -> usize {
        self.jobs.len()
    }

    pub(crate) fn snapshot_position(&self) -> LogPosition {
        self.durable.snapshot.0.position
    }

    /// Inputs at one moment, each with the bytes that came with it.
    pub(crate) fn step(&mut self, inputs: Vec<(Input, Parcel)>, now: Instant) -> Done {
        let mut done = Done::default();
        self.step_into(inputs, now, &mut done);
        while self.prompt && !self.jobs.is_empty() && self.node.is_some() {
            self.complete_into(self.jobs.len(), now, &mut done);
        }
        done
    }

    /// The oldest `count` jobs of the disk are done.
    pub(crate) fn complete(&mut self, count: usize, now: Instant) -> Done {
        let mut done = Done::default();
        self.complete_into(count, now, &mut done);
        done
    }

    fn complete_into(&mut self, count: usize, now: Instant, done: &mut Done) {
        let (mut ticket, mut installed) = (None, None);
        for _ in 0..count {
            let Some(job) = self.jobs.pop_front() else { break };
            match &job {
                Job::Write { ticket: t, .. } => ticket = Some(*t),
                Job::Install { snapshot, .. } => {
                    let fails = core::mem::take(&mut self.install_fails);
                    installed = Some((snapshot.position, fails));
                    if fails {
                        break;
                    }
                }
            }
            self.perform(job, usize::MAX);
            if installed.is_some() {
                break;
            }
        }
        if let Some(ticket) = ticket {
            self.step_into(alone(Input::Persisted { ticket }), now, done);
        }
        if let Some((position, fails)) = installed {
            let outcome = if fails { Outcome::Failed } else { Outcome::Done };
            if !fails {
                // All three are replaced at once.
                let (snapshot, state) = self.durable.snapshot.clone();
                assert!(self.applied < snapshot.position.index, "an install never goes back");
                self.log = PayloadLog::new(snapshot.position);
                (self.state, self.applied) = (state, snapshot.position.index);
            }
            let input = Input::SnapshotInstalled { position, outcome };
            self.step_into(alone(input), now, done);
            self.serve_reads(done);
        }
    }

    fn perform(&mut self, job: Job, mut steps: usize) {
        match job {
            Job::Write { hard_state, log, .. } => {
                if steps == 0 {
                    return;
                }
                self.durable.hard_state = hard_state.unwrap_or(self.durable.hard_state);
                let Some((log, entries)) = log else { return };
                steps -= 1;
                if steps == 0 {
                    return;
                }
                if let Some(position) = log.restart_after {
                    self.durable.log = PayloadLog::new(position);
                }
                let start = self.durable.log.start().index;
                assert!(log.first > start, "a write below the start of the log");
                self.durable.log.truncate_from(log.first);
                assert_eq!(self.durable.log.last().index.get() + 1, log.first.get(), "no gap");
                for (position, content) in entries.into_iter().take(steps - 1) {
                    self.durable.log.push(position.term, content);
                }
            }
            // A crash may leave the snapshot beside the log that it replaces.
            Job::Install { snapshot, state } => {
                if steps > 1 {
                    self.durable.log = PayloadLog::new(snapshot.position);
                }
                if steps > 0 {
                    self.durable.snapshot = (snapshot, state);
                }
            }
        }
    }

    fn step_into(&mut self, inputs: Vec<(Input, Parcel)>, now: Instant, done: &mut Done) {
        let Some(node) = &mut self.node else { return };
        let (inputs, beside): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
        let mut actions = Vec::new();
        node.step_all(&inputs, now, &mut actions);
        assert_eq!(node.check(), Ok(()), "{node:?}");
        is_settled(node, now);
        for action in &actions {
            self.carry_out(action, &inputs, &beside, done);
        }
        done.actions.extend(actions);
        self.serve_reads(done);
    }

    fn carry_out(&mut self, action: &Action, inputs: &[Input], beside: &[Parcel], done: &mut Done) {
        match action {
            Action::Persist(write) => {
                let payloads = |nth: usize| Some((&inputs[nth], &beside[nth].commands[..]));
                let log = write.log.as_ref().map(|log| {
                    self.log.write(log, payloads).expect("the write fits the log");
                    (log.clone(), bind(log, payloads).expect("complete"))
                });
                let (ticket, hard_state) = (write.ticket, write.hard_state);
                self.jobs.push_back(Job::Write { ticket, hard_state, log });
            }
            Action::Send(envelope) => {
                let commands = match &envelope.message {
                    Message::AppendEntries(m) => self.log.attach(m).expect("a leader has its log"),
                    _ => Vec::new(),
                };
                let envelope = envelope.clone();
                done.parcels.push(Parcel { envelope, commands, state: State::new() });
            }
            Action::PeerRegressed { peer, .. } => panic!("{peer:?} has lost nothing"),
            Action::Apply { first, through } => self.apply(*first, *through, done),
            Action::ReadReady { token, index } => {
                let twice = self.waiting_reads.insert(*token, *index);
                assert_eq!(twice, None, "a read is answered once");
            }
            Action::SendSnapshot { to, term, at_least } => {
                let (snapshot, state) = self.durable.snapshot.clone();
                assert!(snapshot.position.index >= at_least.index, "it is there");
                let (from, message) =
                    (self.id(), Message::InstallSnapshot(raft_core::InstallSnapshot { snapshot }));
                let envelope = Envelope { from, to: *to, term: *term, message };
                done.parcels.push(Parcel { envelope, commands: Vec::new(), state });
            }
            Action::InstallSnapshot { snapshot } => {
                let state = beside.iter().find(|parcel| parcel.brings(snapshot));
                let state = state.expect("it came with an input of this call").state.clone();
                let snapshot = snapshot.clone();
                self.jobs.push_back(Job::Install { snapshot, state });
            }
            Action::Accepted { .. }
            | Action::Rejected { .. }
            | Action::TransferEnded { .. }
            | Action::RoleChanged { .. }
            | Action::Ignored { .. } => {}
        }
    }

    fn apply(&mut self, first: LogIndex, through: LogPosition, done: &mut Done) {
        assert_eq!(first.get(), self.applied.get() + 1, "ranges follow one another");
        assert!(!self.jobs.iter().any(|job| matches!(job, Job::Install { .. })), "no apply");
        let entries: Vec<_> =
            self.durable.log.range(first, through.index).map(|(p, c)| (p, c.clone())).collect();
        assert_eq!(entries.len() as u64, through.index.get() + 1 - first.get(), "all is durable");
        assert!(entries.iter().all(|(p, _)| p.term == through.term), "one term");
        self.state.extend(entries.iter().filter_map(|(_, content)| content.command()));
        self.applied = through.index;
        done.applied.extend(entries);
    }

    fn serve_reads(&mut self, done: &mut Done) {
        let applied = self.applied;
        self.waiting_reads.retain(|token, index| {
            if *index <= applied {
                done.served.push((*token, applied));
            }
            *index > applied
        });
    }

    /// Whether a read was confirmed, and only waits for the state machine.
    pub(crate) fn has_answer(&self, token: Token) -> bool {
        self.waiting_reads.contains_key(&token)
    }

    /// Begins to write a snapshot of the state machine as it is. `None` if there is nothing new.
    pub(crate) fn begin_snapshot(&mut self) -> Option<Snapshot> {
        let node = self.node.as_ref().filter(|_| self.applied > self.snapshot_position().index)?;
        let snapshot = node.snapshot_at(self.applied)?;
        assert_eq!(snapshot.position.index, self.applied);
        self.taking = Some((snapshot.clone(), self.state.clone()));
        Some(snapshot)
    }

    /// The snapshot that was begun is durable.
    pub(crate) fn finish_snapshot(&mut self, now: Instant) -> Option<Done> {
        let (snapshot, state) = self.taking.take()?;
        let position = snapshot.position;
        let installing = self.jobs.iter().any(|job| matches!(job, Job::Install { .. }));
        if installing || self.node.is_none() || position.index <= self.snapshot_position().index {
            return None;
        }
        self.durable.snapshot = (snapshot, state);
        self.durable.log.compact(position);
        self.log.compact(position);
        Some(self.step(alone(Input::SnapshotTaken { position }), now))
    }
}

/// A step draws all consequences: stepping nothing right after it says nothing and changes nothing.
fn is_settled(node: &Node, now: Instant) {
    let (mut again, mut rest) = (node.clone(), Vec::new());
    again.step_all(core::iter::empty::<Input>(), now, &mut rest);
    assert_eq!(rest, [], "a consequence was left for the next call");
    assert_eq!(again, *node, "a consequence was left for the next call");
}

/// One input that nothing comes beside.
pub(crate) fn alone(input: Input) -> Vec<(Input, Parcel)> {
    vec![(input, no_parcel())]
}

/// Nothing comes beside the input.
pub(crate) fn no_parcel() -> Parcel {
    let envelope = Envelope { from: S1, to: S1, term: Term(0), message: Message::TimeoutNow };
    Parcel { envelope, commands: Vec::new(), state: State::new() }
}
