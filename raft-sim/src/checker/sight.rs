//! What a checker sees of a run, and what a checker is.

use crate::checker::writes;
use crate::checker::writes::Writes;
use crate::host::log::Log;
use crate::host::machine::Machine;
use crate::host::stored::Stored;
use crate::plan::record::{Operation, Stage};
use raft_core::{
    Action, Config, Envelope, Fate, Input, Instant, LogIndex, LogPosition, Membership, Node,
    NodeId, PeerStatus, RoleKind, Status, Token,
};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// What can be seen of one node from outside.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its id.
    pub id: NodeId,
    /// How often it was started.
    pub life: u64,
    /// What it says of itself; `None` while it is down.
    pub status: Option<&'a Status>,
    /// The membership by which it acts, or acted last.
    pub membership: &'a Membership,
    /// The node, for what else everybody may read of it; `None` while it is down.
    pub node: Option<&'a dyn Open>,
    /// What its disk holds.
    pub stored: &'a Stored,
    /// What its host would read: the disk's log with the writes on their way.
    pub log: &'a Log,
    /// Its state machine, while it runs.
    pub machine: Option<&'a Machine>,
    /// The time that has passed by its clock, across its lives; jumps back are left out.
    pub clock: u64,
    /// What its node adds to that reading, in this life.
    pub clock_offset: Duration,
    /// What its clock shows to its node, jumps and all.
    pub local: Instant,
    /// What it showed when the node was stepped last; later than now if it has gone back since.
    pub told: Instant,
    /// Its node's deadline, by its own clock.
    pub deadline: Option<Instant>,
}

/// What everybody may read of a node besides its status.
pub trait Open: fmt::Debug {
    /// Its configuration.
    fn config(&self) -> &Config;

    /// What it knows of a peer, as a leader.
    fn peer(&self, id: NodeId) -> Option<PeerStatus>;
}

impl Open for Node {
    fn config(&self) -> &Config {
        self.config()
    }

    fn peer(&self, id: NodeId) -> Option<PeerStatus> {
        self.peers().find(|peer| peer.id == id)
    }
}

/// What happened to the node.
#[derive(Clone, Copy, Debug)]
pub enum Observed<'a> {
    /// It was started from what its disk holds.
    Started,
    /// It took inputs, and its host carried out actions.
    Stepped {
        /// What it took in.
        inputs: &'a [Input],
        /// What it said of itself before.
        before: &'a Status,
        /// What its host carried out.
        actions: &'a [Action],
        /// Whether that was everything; if not, a crash comes next.
        whole: bool,
    },
    /// Writes have become durable.
    Synced,
    /// Its state machine came to what had waited for it.
    Applied,
    /// It is gone. The disk is as the crash left it.
    Crashed,
    /// It was asked what became of a position, and answered otherwise than
    /// [`Open`](Fate::Open).
    FateReported {
        /// The position.
        position: LogPosition,
        /// The answer.
        fate: Fate,
    },
    /// It is asked for something that must end.
    Asked {
        /// The name of the request.
        token: Token,
        /// How long it may take, by the clock of the node.
        within: Duration,
    },
    /// A client's operation began or is over.
    Client {
        /// The client and the number of its operation.
        operation: (u64, u64),
        /// What it does.
        what: Operation,
        /// Where it stands.
        phase: Stage,
    },
}

/// All nodes, for those who need to look further than at the one to which something happened.
pub trait Cluster: fmt::Debug {
    /// One node.
    fn view(&self, id: NodeId) -> Option<View<'_>>;

    /// Every node, in the order of the ids.
    fn views(&self) -> Vec<View<'_>>;
}

/// One event as the checkers see it.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The simulated time in nanoseconds.
    pub now: u64,
    /// What happened.
    pub observed: Observed<'a>,
    /// To whom.
    pub node: View<'a>,
    /// Everybody, the node included.
    pub cluster: &'a dyn Cluster,
    /// Whether every clock has kept within the drift bound so far.
    pub clocks_hold: bool,
    /// Whether every lease is to hold: none that is in force may rest on a clock that was wrong in
    /// a way that its node could not know.
    pub leases_hold: bool,
    /// What the node has given to its disk in this life; nothing before that is derived.
    pub(super) writes: &'a Writes,
    /// What the node takes the time for: the latest that it was told in this life. For it, time
    /// does not go back.
    pub(super) time: Instant,
}

impl<'a> Sight<'a> {
    /// An event as the world shows it.
    pub fn new(
        (now, clocks_hold, leases_hold): (u64, bool, bool),
        observed: Observed<'a>,
        node: View<'a>,
        cluster: &'a dyn Cluster,
    ) -> Self {
        let (writes, time) = (&writes::NONE, node.told);
        Self { now, observed, node, cluster, clocks_hold, leases_hold, writes, time }
    }

    /// What was carried out; nothing where it was no step.
    pub(super) fn actions(&self) -> &'a [Action] {
        match self.observed {
            Observed::Stepped { actions, .. } => actions,
            _ => &[],
        }
    }

    /// What it took in; nothing where it was no step.
    pub(super) fn inputs(&self) -> &'a [Input] {
        match self.observed {
            Observed::Stepped { inputs, .. } => inputs,
            _ => &[],
        }
    }

    /// The messages that left.
    pub(super) fn sent(&self) -> impl Iterator<Item = &'a Envelope> {
        self.actions().iter().filter_map(|action| match action {
            Action::Send(envelope) => Some(envelope),
            _ => None,
        })
    }

    /// Whether its disk may hold another hard state than it did at the last event: only what the
    /// disk completes, loses or is started with changes that.
    pub(super) const fn shows_disk(&self) -> bool {
        matches!(self.observed, Observed::Synced | Observed::Crashed | Observed::Started)
    }

    /// Up to here no node can be at work any more: every disk has dropped its log so far, because a
    /// snapshot covers it.
    pub(super) fn forgotten(&self) -> LogIndex {
        let starts = self.cluster.views().into_iter().map(|view| view.stored.log.start().index);
        starts.min().unwrap_or_default()
    }

    /// Whether the host has done all that the node has handed out.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self.observed, Observed::Stepped { whole: false, .. })
    }

    /// The indices that the node came to count as committed. Where a crash came before the write of
    /// what a follower took, its log is not the one that it counted in.
    pub(super) fn committed(&self) -> impl DoubleEndedIterator<Item = LogIndex> + use<> {
        let (before, after) = match (self.observed, self.node.status) {
            (Observed::Started, Some(status)) => (0, status.commit_index.get()),
            (Observed::Stepped { before, whole, .. }, Some(after))
                if whole || after.role == RoleKind::Leader =>
            {
                (before.commit_index.get(), after.commit_index.get())
            }
            _ => (0, 0),
        };
        // What a snapshot covers is not in the log any more.
        let start = self.node.log.start().index.get();
        (before.max(start.saturating_sub(1)) + 1..=after).map(LogIndex)
    }

    /// The status before and after a step.
    pub(super) fn step(&self) -> Option<(&'a Status, &'a Status)> {
        match self.observed {
            Observed::Stepped { before, .. } => Some((before, self.node.status?)),
            _ => None,
        }
    }
}

/// Whether a node that was so, and then so, has led one term throughout.
pub(super) fn leads_on(before: &Status, after: &Status) -> bool {
    let leads = |status: &Status| status.role == RoleKind::Leader;
    leads(before) && leads(after) && before.term == after.term
}

/// Whether term and vote of a node are durable, so that its messages may leave.
pub(super) fn is_open(status: &Status) -> bool {
    let durable = status.durable_hard_state;
    (durable.current_term, durable.voted_for) == (status.term, status.voted_for)
}

/// One property.
pub(super) trait Checker {
    /// How often it had something to judge. One that never had proves nothing.
    fn judged(&self) -> u64;

    /// Looks at an event; `Err` says what is wrong, as a sentence.
    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String>;
}

/// How often a checker that remembers much looks for what it may forget: once in so many
/// judgements.
pub(super) const FORGET_EACH: u64 = 1024;

/// Whether `yes` is a majority of each half of a membership: written anew here, so that the core is
/// not checked with its own arithmetic.
pub(crate) fn is_quorum(membership: &Membership, yes: &BTreeSet<NodeId>) -> bool {
    let majority =
        |half: &[NodeId]| 2 * half.iter().filter(|id| yes.contains(id)).count() > half.len();
    let (new, old) = (membership.voters(), membership.outgoing());
    majority(new) && (old.is_empty() || majority(old))
}
