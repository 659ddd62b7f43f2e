//! What happens in a run, as data: what the trace, the timeline and the report are made of.

use crate::plan::act::any::Act;
use crate::plan::damage::Damage;
use raft_core::{
    Config, Consistency, Envelope, Fate, HardState, IgnoreReason, Instant, LogIndex, LogPosition,
    Membership, NodeId, RejectReason, RoleKind, Round, Snapshot, Term, Ticket, Token,
    TransferOutcome, Write,
};
use std::fmt;

/// One happening. Records stand in one total order, numbered without gaps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The simulated time.
    pub time: Instant,
    /// 0, 1, 2 …
    pub seq: u64,
    /// Where it happened; `None` for the world itself.
    pub node: Option<NodeId>,
    /// What happened.
    pub event: Event,
    /// The node's state after it; before it for [`Event::Recv`]. `None` where `node` is, and where
    /// the node is down.
    pub state: Option<NodeState>,
}

/// What is seen of a node. What is durable is read off the host's disk, not asked of the node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NodeState {
    /// The role.
    pub role: RoleKind,
    /// The current term.
    pub term: Term,
    /// To whom the vote of this term went.
    pub vote: Option<NodeId>,
    /// The leader of this term, as far as the node knows.
    pub leader: Option<NodeId>,
    /// The last position of the log.
    pub last: LogPosition,
    /// The commit index.
    pub commit: LogIndex,
    /// The last index applied.
    pub applied: LogIndex,
    /// The last position of the log on the disk.
    pub durable_last: LogPosition,
    /// The hard state on the disk.
    pub durable: HardState,
    /// Until when a leader may serve reads by its lease, unless it is prolonged: the moment of the
    /// simulated time at which its own clock ends it; in the past if it holds none.
    pub lease_until: Option<Instant>,
}

/// What happened. The order within one step is that of `docs/TRACE.md`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A node starts with the run.
    Init {
        /// Its configuration.
        config: Box<Config>,
        /// The membership it was given.
        membership: Membership,
    },
    /// A node starts from what its disk holds; nothing else has happened to it yet.
    Restart {
        /// The configuration of this life.
        config: Box<Config>,
    },
    /// A node is gone.
    Crash {
        /// What is lost with it.
        lost: Lost,
    },
    /// A host finds its disk damaged, and does not start its node.
    Damaged {
        /// What is damaged.
        damage: Damage,
    },
    /// There was no room for a write: the host ends the process.
    WriteFailed,
    /// A pre-vote starts.
    PreCandidate {
        /// Its round, where the node has named one to anybody.
        round: Option<Round>,
    },
    /// An election starts: the term is raised, the own vote given.
    BecomeCandidate,
    /// An election is won. The first entry of the term comes after this.
    BecomeLeader,
    /// A candidate or leader gives up.
    BecomeFollower {
        /// Whom it follows, if it knows.
        leader: Option<NodeId>,
    },
    /// The term rose otherwise than by a vote request or by an append, or an answer to one.
    LearnTerm {
        /// The term before.
        before: Term,
    },
    /// A follower learnt who leads its term.
    LearnLeader {
        /// The leader.
        leader: NodeId,
    },
    /// A leader appended to its log.
    Append {
        /// The first position.
        first: LogPosition,
        /// How many entries.
        count: u64,
        /// What they are.
        kind: EntryKind,
    },
    /// A follower took entries from its leader, or cut its log.
    Accept {
        /// The first index that was dropped before, if any was.
        truncated_from: Option<LogIndex>,
        /// The first index that was written.
        first: LogIndex,
        /// How many entries were written.
        count: u64,
    },
    /// The node handed out a message.
    Send {
        /// The message.
        message: Envelope,
        /// The newest write of this life that had to be durable before it, if any had to be.
        obligation: Option<Ticket>,
    },
    /// A message arrived, and the node handles it.
    Recv {
        /// The message.
        message: Envelope,
    },
    /// A message arrived, or the runtime said something, and the node ignored it.
    Ignored {
        /// The message, where it was one.
        message: Option<Envelope>,
        /// Why.
        reason: IgnoreReason,
    },
    /// The world lost a message.
    Drop {
        /// The message.
        message: Envelope,
        /// Why.
        reason: DropReason,
    },
    /// The world will deliver a message twice.
    Duplicate {
        /// The message.
        message: Envelope,
    },
    /// A write was issued to the disk.
    Persist {
        /// The write.
        write: Write,
    },
    /// A write, and each before it, is durable.
    PersistDone {
        /// The ticket.
        ticket: Ticket,
    },
    /// The commit index advanced.
    Commit {
        /// Where it was.
        before: LogIndex,
        /// Where it is.
        commit: LogIndex,
    },
    /// Committed entries were handed to the state machine.
    Apply {
        /// The first index.
        first: LogIndex,
        /// The last position.
        through: LogPosition,
    },
    /// A membership came into force, or was undone.
    Membership {
        /// The one in force now.
        membership: Membership,
    },
    /// Commands were proposed to a node.
    Propose {
        /// The name of the request.
        token: Token,
        /// How many.
        count: u64,
    },
    /// A read was asked of a node.
    ReadBegin {
        /// The name of the request.
        token: Token,
        /// What its answer is to rest on.
        consistency: Consistency,
    },
    /// A read may be served as soon as `index` is applied.
    ReadReady {
        /// The name of the request.
        token: Token,
        /// The index.
        index: LogIndex,
    },
    /// A read was refused.
    ReadFailed {
        /// The name of the request.
        token: Token,
        /// Why.
        reason: RejectReason,
    },
    /// The operator asked a node for another membership.
    Change {
        /// The name of the request.
        token: Token,
        /// What is to be reached.
        target: Membership,
    },
    /// The operator asked a node to transfer leadership.
    Transfer {
        /// The name of the request.
        token: Token,
        /// To whom; `None` for the one whose log is the most complete.
        to: Option<NodeId>,
    },
    /// A transfer is over.
    TransferEnded {
        /// The name of the request.
        token: Token,
        /// How.
        outcome: TransferOutcome,
    },
    /// A leader has found that a peer lost what it had acknowledged.
    PeerRegressed {
        /// The peer.
        peer: NodeId,
        /// Up to where it had acknowledged.
        acknowledged: LogIndex,
        /// What it does not hold any more.
        rejected: LogIndex,
    },
    /// A snapshot of the state machine is durable, and the log up to there forgotten.
    SnapshotTaken {
        /// What it covers.
        position: LogPosition,
    },
    /// The host was asked to send a snapshot.
    SnapshotAsked {
        /// To whom.
        to: NodeId,
        /// What it is to cover.
        at_least: LogPosition,
    },
    /// The host reported to the node what became of a snapshot that it sent.
    SnapshotSent {
        /// To whom.
        to: NodeId,
        /// What it covers.
        position: LogPosition,
        /// Its outcome.
        outcome: raft_core::Outcome,
    },
    /// The node decided to install a snapshot.
    InstallBegin {
        /// What it covers.
        snapshot: Snapshot,
    },
    /// The snapshot has replaced state machine and log, or has failed to.
    InstallEnd {
        /// What it covers.
        position: LogPosition,
        /// Its outcome.
        outcome: raft_core::Outcome,
    },
    /// The leader took them.
    Accepted {
        /// The name of the request.
        token: Token,
        /// The first position.
        first: LogPosition,
        /// How many.
        count: u64,
    },
    /// The node refused them.
    Rejected {
        /// The name of the request.
        token: Token,
        /// Why.
        reason: RejectReason,
    },
    /// What this node says of a position that it accepted once, when it says so first.
    Fate {
        /// The position.
        position: LogPosition,
        /// Committed, lost or unknown; a position is open until this is recorded.
        fate: Fate,
    },
    /// A client began or finished an operation. `node` is who answered, or whom the operator asked.
    Client {
        /// The client, from 1 on.
        client: u64,
        /// The number of its operation, from 1 on.
        serial: u64,
        /// What it does.
        operation: Operation,
        /// Where it stands.
        phase: Stage,
    },
    /// Something was done to the world.
    Fault {
        /// What.
        fault: Act,
    },
    /// The cluster came to have, or no longer has, a leader that can commit: a node that leads,
    /// runs, has a disk that works, and is joined both ways, by links that are not cut, with a
    /// quorum of running voters whose term is not later than its own. Where several can, the one
    /// with the greatest term.
    Service {
        /// The leader; `None` while there is none.
        leader: Option<NodeId>,
    },
}

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EntryKind {
    /// Clients' commands.
    Command,
    /// A membership.
    Membership,
}

/// What a crash took.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Lost {
    /// How many writes were not durable.
    pub in_flight: usize,
    /// How many of them survived whole all the same.
    pub survived: usize,
    /// Whether the one after those survived in part.
    pub torn: bool,
    /// How many actions of the step under way were not carried out.
    pub actions: usize,
}

/// Why the world lost a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DropReason {
    /// The link is cut, or was cut while the message was on its way.
    Cut,
    /// The link loses messages of this kind.
    Kind,
    /// Chance.
    Loss,
    /// The receiver is down.
    Down,
    /// The head of a snapshot whose content its receiver does not take in, or that its sender was
    /// told to stop before it left.
    Unwanted,
}

/// What a client does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// Writes a value that nobody else writes.
    Write {
        /// The key.
        key: u64,
        /// The value.
        value: u64,
    },
    /// Reads, through the log.
    Read {
        /// The key.
        key: u64,
    },
    /// Reads at any node, without the log.
    Query {
        /// The key.
        key: u64,
        /// What the answer is to rest on.
        consistency: Consistency,
    },
    /// Gives a command to a [`StateMachine`](crate::host::machine::StateMachine) that is not the
    /// simulator's own.
    Apply {
        /// The command, as a number: what it means is for the state machine to say.
        command: u64,
    },
    /// Asks such a state machine at any node, without the log.
    Ask {
        /// The question, as a number.
        question: u64,
        /// What the answer is to rest on.
        consistency: Consistency,
    },
}

impl Operation {
    /// What the answer rests on, if the operation goes past the log.
    pub const fn past_the_log(&self) -> Option<Consistency> {
        match self {
            Self::Query { consistency, .. } | Self::Ask { consistency, .. } => Some(*consistency),
            Self::Write { .. } | Self::Read { .. } | Self::Apply { .. } => None,
        }
    }
}

/// Where an operation of a client stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// It begins.
    Invoked,
    /// It is done.
    Returned {
        /// What was read: `None` where nothing was written before. For a write, what it wrote.
        value: Option<u64>,
        /// Where its command stands in the log; for a query, what was applied when it was served.
        position: LogPosition,
    },
    /// It is given up; it may take effect yet.
    Unknown,
    /// It is certain that it never takes effect.
    Failed,
}

/// A property that a run has broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The checker, as its file is named.
    pub checker: &'static str,
    /// What is wrong, as a sentence for a person.
    pub sentence: String,
    /// When.
    pub time: Instant,
    /// The number of the event at which it was seen, from 1 on; what would follow is not run.
    pub event: u64,
    /// The number of the last record before it; `None` if nobody listened.
    pub seq: Option<u64>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.time.as_nanos() / 1_000;
        write!(f, "{} at {micros} µs (event {}): {}", self.checker, self.event, self.sentence)
    }
}

impl std::error::Error for Violation {}

/// Who listens to a run.
pub trait Sink {
    /// Whether records are wanted at all: making them is what costs.
    fn listens(&self) -> bool {
        true
    }

    /// Takes the next record.
    fn record(&mut self, record: Record);
}

impl<F: FnMut(Record)> Sink for F {
    fn record(&mut self, record: Record) {
        self(record);
    }
}

impl Sink for Vec<Record> {
    fn record(&mut self, record: Record) {
        self.push(record);
    }
}

/// Nobody listens.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Nobody;

impl Sink for Nobody {
    fn listens(&self) -> bool {
        false
    }

    fn record(&mut self, _: Record) {}
}
