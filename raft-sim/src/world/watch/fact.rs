//! What the parts of the world tell the watch: a step of a node, or any other fact. They tell what
//! happened and nothing else; what is counted, hashed, recorded and shown is derived from it there.
//!
//! A step is reported in five moments, for the records of what its actions bring about stand
//! between: [`Fact::Given`], [`Stepped`], [`Fact::CarriesOut`] for each action,
//! [`Fact::CarriedOut`], and [`Fact::StepDone`] unless the host has crashed.

use crate::host::client::Answer;
use crate::plan::act::{Act, Target};
use crate::plan::damage::Damage;
use crate::plan::hostile::Hostile;
use crate::plan::record::{DropReason, Lost, Operation, Stage};
use crate::world::excuse::Cause;
use raft_core::{
    Action, Config, Envelope, Fate, Input, LogIndex, LogPosition, NodeId, Outcome, Status, Ticket,
    Token,
};

/// How the cluster is at the end of a run.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is counted by itself")]
pub(crate) struct EndOfRun {
    /// Links are cut.
    pub(crate) has_cut_links: bool,
    /// Nodes do not run or their disks do not work, and could be repaired; or links are bad.
    pub(crate) has_broken_nodes: bool,
    /// There is a leader that can commit.
    pub(crate) serves: bool,
    /// Nobody can win, and only because of the logs.
    pub(crate) is_constrained: bool,
}

/// What went into a step of a node and came out of it. Nothing of it is carried out yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stepped<'a> {
    pub(crate) node: NodeId,
    pub(crate) inputs: &'a [Input],
    /// What the node said of itself before.
    pub(crate) before: &'a Status,
    /// What it says now.
    pub(crate) after: &'a Status,
    pub(crate) actions: &'a [Action],
}

/// Anything else that happened. What is about to happen says so; the rest has happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fact<'a> {
    /// A node started from what its disk holds.
    Started {
        node: NodeId,
        config: &'a Config,
        /// Whether it had never run.
        first: bool,
        /// Whether its host cut off a record that a crash had torn.
        was_torn: bool,
    },
    /// A host found its disk damaged, and does not start its node.
    Unstartable { node: NodeId, damage: Damage },
    /// A process stopped, and its disk has lost what it may.
    Crashed {
        node: NodeId,
        lost: Lost,
        /// Whether it stopped in the middle of a step.
        in_step: bool,
    },
    /// The node is about to be given these.
    Given { node: NodeId, inputs: &'a [Input] },
    /// The host is about to carry out an action.
    CarriesOut { node: NodeId, action: &'a Action },
    /// Committed entries were given to the state machine: an action that is reported twice, for a
    /// record says what is applied after it.
    Applied {
        node: NodeId,
        first: LogIndex,
        through: LogPosition,
        /// How many of them it had applied before.
        repeated: u64,
    },
    /// The host has carried out the actions of a step.
    CarriedOut {
        node: NodeId,
        inputs: &'a [Input],
        before: &'a Status,
        /// Those that it came to.
        actions: &'a [Action],
        /// Whether these are all; if not, it crashes now.
        whole: bool,
    },
    /// A step is over, and with it what the host does after each.
    StepDone { node: NodeId, before: &'a Status, after: &'a Status },
    /// The host has forgotten the log up to here: a snapshot covers it.
    Compacted { node: NodeId, position: LogPosition },
    /// The node reports the fate of a position, for the first time.
    FateReported { node: NodeId, position: LogPosition, fate: Fate },
    /// A read was served without the log.
    ReadServed,
    /// A disk has completed what was due.
    Synced { node: NodeId },
    /// A write, and each before it, is durable.
    Written { node: NodeId, ticket: Ticket },
    /// There was no room for a write.
    WriteFailed { node: NodeId },
    /// There was no room for a snapshot of the host's own.
    SnapshotFailed,
    /// An installation that has begun is bound to fail.
    InstallFails,
    /// An installation that has begun takes longer than T.
    InstallIsLong,
    /// Entries were handed out, and their state machine is to apply them later.
    AppliesLate,
    /// The state machine of a node came to what had waited for it.
    AppliedLate {
        /// The node.
        node: NodeId,
    },
    /// A disk has completed something, and its node is to hear of it later.
    ReportsLate,
    /// An installation is over.
    Installed { node: NodeId, position: LogPosition, outcome: Outcome },
    /// A frame whose bytes are not those that its message announces was refused where it arrived.
    FrameRefused,
    /// A message is about to leave, with its bytes.
    Leaves { node: NodeId, message: &'a Envelope },
    /// A driver sent a message of its node as several frames.
    FrameSplit,
    /// A driver tells somebody that his time is over.
    TimeIsOver,
    /// A driver is asked to promote a learner as soon as it has caught up.
    PromotionWaits,
    /// A driver wants an entry that is not at hand.
    Fetches,
    /// A driver has accepted too many bytes to take a proposal.
    TooManyBytes,
    /// A driver gives up to wait for the fate of a proposal, for it has lost leadership.
    GivesUp,
    /// A driver hands out less than all that is committed, for it is too much at once.
    AppliesInParts,
    /// A message was lost.
    Dropped { message: &'a Envelope, reason: DropReason },
    /// A message will arrive twice.
    Doubled { message: &'a Envelope },
    /// The node is about to be given a message that nobody meant to send.
    Hostile { what: Hostile },
    /// A client's operation begins or is over. `node` is whom the operator asked.
    Client { node: Option<NodeId>, client: u64, serial: u64, operation: Operation, phase: Stage },
    /// A client that waits for an answer gives its command to another node.
    AsksAgain,
    /// The operator is about to ask for something of which the clients' history is to know.
    OperatorAsks { serial: u64, operation: Operation },
    /// A node has answered a client or the operator.
    Answered { token: Token, answer: &'a Answer },
    /// Something is about to be done to the world.
    Act { act: &'a Act },
    /// A target was found for what waited for it, which is about to be done.
    Struck { target: Target },
    /// Something was done to what a disk holds.
    DiskHarmed {
        node: NodeId,
        /// Whether a record was damaged.
        record: bool,
    },
    /// The disk of a host that is down is about to be emptied.
    Wiped { node: NodeId },
    /// The cluster came to have, or no longer has, a leader that can commit.
    Service { leader: Option<NodeId> },
    /// A run that was to converge is over.
    Concluded {
        /// The loss that excuses it.
        excused: Option<Cause>,
        /// How it was then, unless it is excused.
        end: Option<EndOfRun>,
    },
}
