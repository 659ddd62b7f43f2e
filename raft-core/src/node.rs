//! The face of a node: its public methods. How it starts stands in `recovery`; of `step` = admit →
//! dispatch → settle → check the first three stand in `step`, the last in `invariants`.

use crate::action::{Action, Fate};
use crate::config::Config;
use crate::entries::Snapshot;
use crate::error::StartError;
use crate::input::{Input, Recovered};
use crate::invariants::{self, Broken};
use crate::membership::Membership;
use crate::recovery;
use crate::state::core::Core;
use crate::state::role::Role;
use crate::status::{PeerStatus, Standing, Status};
use crate::step;
use crate::types::{Instant, LogIndex, LogPosition};
use alloc::vec::Vec;
use core::borrow::Borrow;

/// One member of a Raft cluster: everything it knows, as one value.
///
/// It is `Clone`, `Eq`, `Hash` and, with the feature `serde`, `Serialize` and `Deserialize`, the
/// generator and the deadlines included; what is read back is validated. A run is its first value
/// and a list of `(inputs, now)`; to replay it, step it.
///
/// # Examples
///
/// A cluster of one elects itself, and commits as soon as its disk has answered:
///
/// ```
/// use raft_core::{Action, Config, Input, Instant, Membership, Node, NodeId, Recovered, Token};
///
/// let id = NodeId(1);
/// let membership = Membership::of_voters([id])?;
/// let now = Instant::from_nanos(0);
/// let mut node = Node::new(Config::new(id, 42), Recovered::fresh(membership), now)?;
///
/// let mut inputs = vec![Input::Wake, Input::Propose { token: Token(7), count: 3 }];
/// let mut applied = 0;
/// while !inputs.is_empty() {
///     let mut next = Vec::new();
///     for input in inputs {
///         for action in node.step(input.clone(), now) {
///             match action {
///                 // Write it, fsync, and say so.
///                 Action::Persist(write) => next.push(Input::Persisted { ticket: write.ticket }),
///                 Action::Apply { through, .. } => applied = through.index.get(),
///                 // There is no leader yet: once more.
///                 Action::Rejected { .. } => next.push(input.clone()),
///                 _ => {}
///             }
///         }
///     }
///     inputs = next;
/// }
/// assert_eq!(applied, 4, "the leader's first entry, and three commands");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Node {
    pub(crate) core: Core,
    pub(crate) role: Role,
    /// What the last [`Action::RoleChanged`] has announced.
    pub(crate) announced: Standing,
}

impl Node {
    /// Starts a node from what it finds on its disk.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be used, or a state that no crash can have left behind. Neither
    /// panics; a node that is refused must not be started from something else under the same id.
    pub fn new(config: Config, recovered: Recovered, now: Instant) -> Result<Self, StartError> {
        let (core, role) = recovery::start(config, recovered, now)?;
        let announced = Standing::of(&core, &role);
        Ok(Self { core, role, announced })
    }

    /// Tells the node one thing, and returns what is to be done.
    ///
    /// `now` is read after the input arrived. A clock that runs backwards counts as standing still;
    /// one in the last two days of its range is refused.
    pub fn step(&mut self, input: impl Into<Input>, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.step_into(input, now, &mut actions);
        actions
    }

    /// As [`step`](Self::step), and appends to `actions`.
    pub fn step_into(&mut self, input: impl Into<Input>, now: Instant, actions: &mut Vec<Action>) {
        self.step_all([input.into()], now, actions);
    }

    /// Tells the node several things at one moment, owned or borrowed, and draws the consequences
    /// once: one write, one answer to the leader, one announcement of a commit. Appends to
    /// `actions`.
    pub fn step_all(
        &mut self,
        inputs: impl IntoIterator<Item = impl Borrow<Input>>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        step::step(&mut self.core, &mut self.role, inputs, now, actions);
        let standing = Standing::of(&self.core, &self.role);
        if standing != self.announced {
            self.announced = standing;
            let Standing { role, term, leader } = standing;
            actions.push(Action::RoleChanged { role, term, leader });
        }
        debug_assert_eq!(self.check(), Ok(()), "a bug of raft-core");
    }

    /// When to step [`Input::Wake`] next; `None` for a node that only answers. At once where more
    /// is to be applied than one call hands out.
    pub fn deadline(&self) -> Option<Instant> {
        self.core.deadline()
    }

    /// What the node is about.
    pub fn status(&self) -> Status {
        Status::of(&self.core, &self.role)
    }

    /// What a leader knows of its peers, in the order of their ids; nothing in another role.
    pub fn peers(&self) -> impl Iterator<Item = PeerStatus> + '_ {
        let peers = match &self.role {
            Role::Leader(leader) => &leader.peers[..],
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => &[],
        };
        peers.iter().map(|(id, progress)| PeerStatus::of(&self.core, *id, progress))
    }

    /// The membership in force: the newest in the log, committed or not.
    pub fn membership(&self) -> &Membership {
        self.core.membership()
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.core.config
    }

    /// What a snapshot of the state machine at `index` covers: store it with the snapshot. `None`
    /// if the index is not applied, or compacted already.
    pub fn snapshot_at(&self, index: LogIndex) -> Option<Snapshot> {
        let core = &self.core;
        if index > core.last_applied || index < core.log.start().index {
            return None;
        }
        let membership = core.log.membership_at(index).clone();
        Some(Snapshot { position: core.log.position_at(index)?, membership })
    }

    /// What is known of a position that was [`Accepted`](Action::Accepted), here or elsewhere.
    ///
    /// That a node has dropped a position proves nothing: another may still commit it (figure 8 of
    /// the Raft paper, read backwards). It is lost only once something else is committed at its
    /// index, or an entry below it with a later term: terms in a log do not decrease.
    pub fn fate(&self, position: LogPosition) -> Fate {
        let (log, committed) = (&self.core.log, self.core.commit_index);
        if position.index <= log.start().index {
            return Fate::Unknown;
        }
        if position.index <= committed {
            let here = log.term_at(position.index) == Some(position.term);
            return if here { Fate::Committed } else { Fate::Lost };
        }
        match log.term_at(committed) {
            Some(term) if term > position.term => Fate::Lost,
            _ => Fate::Open,
        }
    }

    /// Whether all invariants hold. They do, or this crate has a bug.
    ///
    /// # Errors
    ///
    /// Names the first invariant that does not hold.
    pub fn check(&self) -> Result<(), Broken> {
        invariants::check(&self.core, &self.role)
    }
}
