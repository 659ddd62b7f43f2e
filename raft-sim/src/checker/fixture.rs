//! Hand-made histories: each checker has to be able to fail.

use crate::checker::derived::Derived;
use crate::checker::sight::{Checker, Observed, Open, Sight, View};
use crate::host::log::{Command, Entry, Log};
use crate::host::machine::Machine;
use crate::host::stored::Stored;
use crate::plan::record::{Operation, Stage};
use raft_core::payload::Content;
use raft_core::{
    Action, AppendEntries, AppendEntriesResponse, AppendOutcome, Chunk, Config, Echo, Entries,
    Envelope, Fate, HardState, Input, Instant, LogIndex, LogPosition, LogWrite, Membership,
    Message, NodeId, PeerStatus, RequestVote, RequestVoteResponse, RoleKind, Source, Status, Term,
    Ticket, Token, Verdict, Write,
};
use std::fmt;
use std::time::Duration;

/// What a node shows of itself, taken down.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) config: Config,
    pub(super) peers: Vec<PeerStatus>,
}

impl Open for Opened {
    fn config(&self) -> &Config {
        &self.config
    }

    fn peer(&self, id: NodeId) -> Option<PeerStatus> {
        self.peers.iter().find(|peer| peer.id == id).copied()
    }
}

#[derive(Clone, Debug)]
pub(super) struct TestNode {
    pub(super) running: bool,
    pub(super) life: u64,
    pub(super) status: Status,
    pub(super) membership: Membership,
    pub(super) node: Option<Opened>,
    pub(super) stored: Stored,
    pub(super) log: Log,
    pub(super) machine: Machine,
    pub(super) clock: u64,
    pub(super) clock_offset: Duration,
    pub(super) local: Instant,
    pub(super) told: Instant,
    pub(super) deadline: Option<Instant>,
}

impl TestNode {
    /// What is seen of it.
    pub(super) fn view(&self) -> View<'_> {
        View {
            id: self.status.id,
            life: self.life,
            status: Some(&self.status).filter(|_| self.running),
            membership: &self.membership,
            node: self.node.as_ref().map(|node| node as &dyn Open),
            stored: &self.stored,
            log: &self.log,
            machine: Some(&self.machine).filter(|_| self.running),
            clock: self.clock,
            clock_offset: self.clock_offset,
            local: self.local,
            told: self.told,
            deadline: self.deadline,
        }
    }

    /// A node that is seen so.
    pub(super) fn of(view: &View<'_>) -> Self {
        Self {
            running: view.status.is_some(),
            life: view.life,
            status: view.status.copied().unwrap_or_else(|| blank(view.id)),
            membership: view.membership.clone(),
            node: view.node.map(|node| {
                let peers = view.membership.members().filter_map(|id| node.peer(id)).collect();
                Opened { config: node.config().clone(), peers }
            }),
            stored: view.stored.clone(),
            log: view.log.clone(),
            machine: view.machine.cloned().unwrap_or_default(),
            clock: view.clock,
            clock_offset: view.clock_offset,
            local: view.local,
            told: view.told,
            deadline: view.deadline,
        }
    }

    /// Runs with this configuration.
    pub(super) fn configured(&mut self, config: Config) -> &mut Self {
        self.node = Some(Opened { config, peers: Vec::new() });
        self
    }

    /// Takes on a term and a vote, and has them durable.
    pub(super) fn vote(&mut self, term: u64, candidate: u64) -> &mut Self {
        self.status.term = Term(term);
        self.status.voted_for = Some(NodeId(candidate));
        self.durable_term()
    }

    /// Leads a term, which is durable.
    pub(super) fn leads(&mut self, term: u64) -> &mut Self {
        self.status.role = RoleKind::Leader;
        self.vote(term, self.status.id.get())
    }

    /// Has its term and vote durable.
    pub(super) fn durable_term(&mut self) -> &mut Self {
        let Status { term, voted_for, .. } = self.status;
        self.stored.hard_state.current_term = term;
        self.stored.hard_state.voted_for = voted_for;
        self.status.durable_hard_state = self.stored.hard_state;
        self
    }

    /// Has a log of commands with these terms, on its way to the disk.
    pub(super) fn fill(&mut self, terms: &[u64]) -> &mut Self {
        self.log = Log::default();
        for (index, term) in (1..).zip(terms) {
            self.log.push(entry(*term, index));
        }
        self.status.last = self.log.last();
        self
    }

    /// Has its log durable.
    pub(super) fn durable_log(&mut self) -> &mut Self {
        self.stored.log = self.log.clone();
        self.status.durable = self.log.last();
        self
    }

    /// Has committed so far.
    pub(super) fn commits(&mut self, index: u64) -> &mut Self {
        self.status.commit_index = LogIndex(index);
        self
    }
}

/// What a node says of itself that has never run.
fn blank(id: NodeId) -> Status {
    Status {
        id,
        role: RoleKind::Follower,
        term: Term::ZERO,
        voted_for: None,
        leader: None,
        last: LogPosition::ZERO,
        commit_index: LogIndex::ZERO,
        last_applied: LogIndex::ZERO,
        durable: LogPosition::ZERO,
        durable_hard_state: HardState::default(),
        log_start: LogPosition::ZERO,
        installing: None,
        lease_until: None,
        pending_reads: 0,
        membership_changes: false,
        transfers_to: None,
    }
}

pub(super) struct Cluster {
    pub(super) now: u64,
    pub(super) clocks_hold: bool,
    pub(super) leases_hold: bool,
    nodes: Vec<TestNode>,
    derived: Derived,
}

impl Cluster {
    /// Voters `1..=count` in term 0 with empty logs.
    pub(super) fn of(count: u64) -> Self {
        let membership = Membership::of_voters((1..=count).map(NodeId)).expect("voters");
        let node = |id| TestNode {
            running: true,
            life: 1,
            status: blank(NodeId(id)),
            membership: membership.clone(),
            node: None,
            stored: Stored::default(),
            log: Log::default(),
            machine: Machine::default(),
            clock: 0,
            clock_offset: Duration::ZERO,
            local: Instant::ZERO,
            told: Instant::ZERO,
            deadline: None,
        };
        let nodes = (1..=count).map(node).collect();
        let derived = Derived::default();
        Self { now: 0, clocks_hold: true, leases_hold: true, nodes, derived }
    }

    pub(super) fn node(&mut self, id: u64) -> &mut TestNode {
        self.nodes.iter_mut().find(|node| node.status.id == NodeId(id)).expect("a member")
    }

    fn status(&mut self, id: u64) -> Status {
        self.node(id).status
    }

    /// A step after which the status is as it was before.
    pub(super) fn stepped(
        &mut self,
        checker: &mut dyn Checker,
        id: u64,
        actions: &[Action],
    ) -> Result<(), String> {
        let before = self.status(id);
        self.stepped_from(checker, id, &before, actions)
    }

    pub(super) fn stepped_from(
        &mut self,
        checker: &mut dyn Checker,
        id: u64,
        before: &Status,
        actions: &[Action],
    ) -> Result<(), String> {
        self.show(checker, id, Observed::Stepped { inputs: &[], before, actions, whole: true })
    }

    /// A step that takes something in, and after which the status is as it was before.
    pub(super) fn takes(
        &mut self,
        checker: &mut dyn Checker,
        id: u64,
        inputs: &[Input],
        actions: &[Action],
    ) -> Result<(), String> {
        let before = self.status(id);
        self.takes_from(checker, id, &before, inputs, actions)
    }

    pub(super) fn takes_from(
        &mut self,
        checker: &mut dyn Checker,
        id: u64,
        before: &Status,
        inputs: &[Input],
        actions: &[Action],
    ) -> Result<(), String> {
        self.show(checker, id, Observed::Stepped { inputs, before, actions, whole: true })
    }

    pub(super) fn started(&mut self, checker: &mut dyn Checker, id: u64) -> Result<(), String> {
        self.show(checker, id, Observed::Started)
    }

    pub(super) fn synced(&mut self, checker: &mut dyn Checker, id: u64) -> Result<(), String> {
        self.show(checker, id, Observed::Synced)
    }

    pub(super) fn reports_fate(
        &mut self,
        checker: &mut dyn Checker,
        id: u64,
        position: LogPosition,
        fate: Fate,
    ) -> Result<(), String> {
        self.show(checker, id, Observed::FateReported { position, fate })
    }

    pub(super) fn asked(
        &mut self,
        checker: &mut dyn Checker,
        id: u64,
        token: Token,
        within: Duration,
    ) -> Result<(), String> {
        self.show(checker, id, Observed::Asked { token, within })
    }

    pub(super) fn client(
        &mut self,
        checker: &mut dyn Checker,
        operation: (u64, u64),
        what: Operation,
        phase: Stage,
    ) -> Result<(), String> {
        self.show(checker, 1, Observed::Client { operation, what, phase })
    }

    fn show(
        &mut self,
        checker: &mut dyn Checker,
        id: u64,
        observed: Observed<'_>,
    ) -> Result<(), String> {
        let mut derived = std::mem::take(&mut self.derived);
        let node = super::Cluster::view(self, NodeId(id)).expect("a member");
        let time = (self.now, self.clocks_hold, self.leases_hold);
        let sight = Sight::new(time, observed, node, self);
        let verdict = checker.see(&derived.see(&sight));
        self.derived = derived;
        verdict
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes", self.nodes.len())
    }
}

impl super::Cluster for Cluster {
    fn view(&self, id: NodeId) -> Option<View<'_>> {
        self.nodes.iter().find(|node| node.status.id == id).map(TestNode::view)
    }

    fn views(&self) -> Vec<View<'_>> {
        self.nodes.iter().map(TestNode::view).collect()
    }
}

/// The message of an action, as it comes in.
pub(super) fn taken(action: Action) -> Input {
    match action {
        Action::Send(envelope) => Input::Message(envelope),
        _ => unreachable!("it is a message"),
    }
}

/// The entry that the simulator invents for a position.
pub(super) fn entry(term: u64, index: u64) -> Entry {
    let content = Content::Command(Command::invented(position(term, index)));
    Entry { term: Term(term), content }
}

pub(super) fn position(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term(term), LogIndex(index))
}

pub(super) fn send(from: u64, to: u64, term: u64, message: Message) -> Action {
    Action::Send(Envelope { from: NodeId(from), to: NodeId(to), term: Term(term), message })
}

pub(super) fn request_vote(from: u64, to: u64, term: u64) -> Action {
    send(
        from,
        to,
        term,
        Message::RequestVote(RequestVote { last: LogPosition::ZERO, permit: None }),
    )
}

pub(super) fn vote(from: u64, to: u64, term: u64, verdict: Verdict) -> Action {
    let last = LogPosition::ZERO;
    send(from, to, term, Message::RequestVoteResponse(RequestVoteResponse { verdict, last }))
}

/// A heartbeat.
pub(super) fn append(from: u64, to: u64, term: u64) -> Action {
    announce(from, to, term, 0)
}

/// The announcement of a commit.
pub(super) fn announce(from: u64, to: u64, term: u64, commit: u64) -> Action {
    let (prev, commit) = (LogPosition::ZERO, LogIndex(commit));
    let message = AppendEntries { prev, entries: Entries::new(), commit, probe: None };
    send(from, to, term, Message::AppendEntries(message))
}

/// An acknowledgement.
pub(super) fn matched(from: u64, to: u64, term: u64, index: u64, echo: Option<Echo>) -> Action {
    let outcome = AppendOutcome::Matched { match_index: LogIndex(index) };
    let seen = echo.map(|echo| echo.round);
    let response = AppendEntriesResponse { outcome, echo, seen };
    send(from, to, term, Message::AppendEntriesResponse(response))
}

/// A write of commands with these terms; the content comes from the node's log.
pub(super) fn write(first: u64, terms: &[u64]) -> Action {
    let chunk = |term: &u64| Chunk {
        term: Term(*term),
        count: 1,
        source: Source::Inputs { first: 0, last: 0, skip: 0 },
    };
    let chunks = terms.iter().map(chunk).collect();
    let log = Some(LogWrite { restart_after: None, first: LogIndex(first), chunks });
    Action::Persist(Write { ticket: Ticket(1), hard_state: None, log })
}

pub(super) fn apply(first: u64, through: LogPosition) -> Action {
    Action::Apply { first: LogIndex(first), through }
}

/// The checker objects, with a sentence that contains this.
#[track_caller]
pub(super) fn refused(verdict: Result<(), String>, part: &str) {
    let sentence = verdict.expect_err("a bad history");
    assert!(sentence.contains(part), "{sentence:?} does not contain {part:?}");
}
