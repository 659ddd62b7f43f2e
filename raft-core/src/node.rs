//! The node: `step` = admit → dispatch → settle → check.

use crate::action::{Action, Fate, RoleKind};
use crate::config::Config;
use crate::error::{ConfigError, IgnoreReason, RecoveryError, RejectReason, StartError};
use crate::input::{HardState, Input, Recovered};
use crate::invariants::{self, Broken};
use crate::membership::Membership;
use crate::message::{Envelope, Message};
use crate::protocol::transition::become_follower;
use crate::protocol::{admission, election, replication};
use crate::state::core::Core;
use crate::state::disk::Disk;
use crate::state::log::Log;
use crate::state::rng::Rng;
use crate::state::role::{Follower, Role};
use crate::state::timers::{Deadline, Timers};
use crate::types::{Instant, LIMIT, LogIndex, LogPosition, NodeId, Round, Term, Ticket};
use alloc::vec::Vec;

/// One member of a Raft cluster: everything it knows, as one value.
///
/// It is `Clone`, `Eq`, `Hash` and, with the feature `serde`, `Serialize` and `Deserialize`, the
/// generator and the deadlines included. A run is its first value and a list of `(inputs, now)`; to
/// replay it, step it.
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Node {
    core: Core,
    role: Role,
}

/// A cheap view of a node, for dashboards, traces and checkers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// The role.
    pub role: RoleKind,
    /// The current term.
    pub term: Term,
    /// To whom the vote of this term went.
    pub voted_for: Option<NodeId>,
    /// The leader of this term, if this node follows or is it.
    pub leader: Option<NodeId>,
    /// The last position of the log.
    pub last: LogPosition,
    /// The commit index.
    pub commit_index: LogIndex,
    /// The last index handed out in an `Apply`.
    pub last_applied: LogIndex,
    /// The last position of the log that is durable.
    pub durable: LogPosition,
    /// The hard state that is durable.
    pub durable_hard_state: HardState,
}

impl Node {
    /// Starts a node from what it finds on its disk.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be used, or a state that no crash can have left behind. Neither
    /// panics; a node that is refused must not be started from something else under the same id.
    pub fn new(config: Config, recovered: Recovered, now: Instant) -> Result<Self, StartError> {
        config.check()?;
        if out_of_range(&config, now) {
            return Err(ConfigError::ClockOutOfRange.into());
        }
        let end = recovered.entries.last_position(recovered.prev).index;
        let Recovered { hard_state, applied, .. } = recovered;
        let log = recover_log(recovered)?;
        let durable_index = log.last_index();
        let start = log.start().index;
        if applied > log.last_index() {
            return Err(RecoveryError::AppliedBeyondLog { applied, last: log.last_index() }.into());
        }

        let mut rng = Rng::new(config.seed, config.id);
        let ticket = Ticket(1 + rng.below(LIMIT / 2));
        let round = Round(1 + rng.below(LIMIT / 2));
        let mut core = Core {
            now,
            rng,
            timers: Timers::default(),
            hard_state,
            elected: None,
            lease_until: now.saturating_add(hard_state.promised),
            commit_index: start.max(applied),
            last_applied: start.max(applied),
            disk: Disk::new(ticket, hard_state, durable_index),
            log,
            round,
            outbox: Vec::new(),
            config,
        };
        if durable_index < end {
            // The log contradicts the snapshot, or is older: it goes with the first write.
            core.disk.truncate_from(durable_index.next());
        }
        core.reset_election_timer();
        if core.membership().is_lone_voter(core.id()) {
            core.timers.set(Deadline::Election, Some(now));
        }
        let mut role = Role::Follower(Follower::default());
        let term = core.term();
        become_follower(&mut core, &mut role, term, None);
        Ok(Self { core, role })
    }

    /// Tells the node one thing, and returns what is to be done.
    ///
    /// `now` is read after the input arrived. A clock that runs backwards counts as standing still;
    /// one within 2T of the end of its range is refused.
    pub fn step(&mut self, input: impl Into<Input>, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.step_into(input, now, &mut actions);
        actions
    }

    /// As [`step`](Self::step), and appends to `actions`.
    pub fn step_into(&mut self, input: impl Into<Input>, now: Instant, actions: &mut Vec<Action>) {
        self.step_all([input.into()], now, actions);
    }

    /// Tells the node several things at one moment and draws the consequences once: one write, one
    /// answer to the leader, one announcement of a commit. Appends to `actions`.
    pub fn step_all(
        &mut self,
        inputs: impl IntoIterator<Item = Input>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let late = out_of_range(&self.core.config, now);
        if !late {
            self.core.now = self.core.now.max(now);
        }
        let before = self.standing();
        for (nth, input) in inputs.into_iter().enumerate() {
            let from = match &input {
                Input::Message(envelope) => Some(envelope.from),
                _ => None,
            };
            let refused = match (input, late) {
                (Input::Propose { token, .. }, true) => {
                    let reason = RejectReason::ClockOutOfRange;
                    actions.push(Action::Rejected { token, reason });
                    Ok(())
                }
                (_, true) => Err(IgnoreReason::ClockOutOfRange),
                (input, false) => self.take(input, nth, actions),
            };
            if let Err(reason) = refused {
                actions.push(Action::Ignored { from, reason });
            }
        }
        self.settle(actions);
        if self.standing() != before {
            let (role, term, leader) = self.standing();
            actions.push(Action::RoleChanged { role, term, leader });
        }
        debug_assert_eq!(self.check(), Ok(()), "a bug of raft-core");
    }

    /// When to step [`Input::Wake`] next; `None` for a node that only answers.
    pub fn deadline(&self) -> Option<Instant> {
        self.core.timers.next()
    }

    /// What the node is about.
    pub fn status(&self) -> Status {
        let (role, term, leader) = self.standing();
        let core = &self.core;
        let durable = core.log.position_at(core.disk.durable_index());
        Status {
            id: core.id(),
            role,
            term,
            voted_for: core.hard_state.voted_for,
            leader,
            last: core.log.last_position(),
            commit_index: core.commit_index,
            last_applied: core.last_applied,
            durable: durable.expect("what is durable lies in the log"),
            durable_hard_state: *core.disk.durable_hard_state(),
        }
    }

    /// The membership in force: the newest in the log, committed or not.
    pub fn membership(&self) -> &Membership {
        self.core.membership()
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.core.config
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

    /// Role, term, and the leader that this node follows or is.
    fn standing(&self) -> (RoleKind, Term, Option<NodeId>) {
        let leader = match &self.role {
            Role::Follower(follower) => follower.leader,
            Role::PreCandidate(_) | Role::Candidate(_) => None,
            Role::Leader(_) => Some(self.core.id()),
        };
        (self.role.kind(), self.core.term(), leader)
    }

    /// One input. An `Err` has changed nothing.
    fn take(
        &mut self,
        input: Input,
        nth: usize,
        actions: &mut Vec<Action>,
    ) -> Result<(), IgnoreReason> {
        let (core, role) = (&mut self.core, &mut self.role);
        match input {
            Input::Message(envelope) => {
                admission::check(core, role, &envelope)?;
                self.receive(&envelope, nth)
            }
            Input::Wake => {
                self.wake();
                Ok(())
            }
            Input::Propose { token, count } => {
                let outcome = replication::on_propose(core, role, count, nth);
                actions.push(replication::answer(token, count, outcome));
                Ok(())
            }
            Input::Persisted { ticket } => {
                core.disk.completed(ticket).ok_or(IgnoreReason::UnknownTicket)
            }
            Input::Campaign => election::on_campaign(core, role),
        }
    }

    /// The rules about terms, which come before all others (Raft paper, 5.1), and then the handler
    /// of the message. Pre-votes ask about a later term than the sender's: they have rules of their
    /// own, and so has a vote request within a lease.
    fn receive(&mut self, envelope: &Envelope, nth: usize) -> Result<(), IgnoreReason> {
        let (core, role) = (&mut self.core, &mut self.role);
        let Envelope { from, term, message, .. } = envelope;
        match message {
            Message::PreVote(_) | Message::PreVoteResponse(_) | Message::RequestVote(_) => {}
            Message::AppendEntries(_) if *term < core.term() => {
                replication::refuse_stale_leader(core, *from);
                return Ok(());
            }
            Message::AppendEntries(_) => {
                let following = matches!(role, Role::Follower(f) if f.leader == Some(*from));
                if *term > core.term() || !following {
                    become_follower(core, role, *term, Some(*from));
                }
            }
            Message::RequestVoteResponse(_) | Message::AppendEntriesResponse(_) => {
                if *term < core.term() {
                    return Err(IgnoreReason::Stale);
                }
                if *term > core.term() {
                    become_follower(core, role, *term, None);
                    return Ok(());
                }
            }
        }
        self.dispatch(*from, *term, message, nth)
    }

    /// Who handles what: every role, every message.
    fn dispatch(
        &mut self,
        from: NodeId,
        term: Term,
        message: &Message,
        nth: usize,
    ) -> Result<(), IgnoreReason> {
        use Message as M;
        use Role::{Candidate, Follower, Leader, PreCandidate};
        let (core, role) = (&mut self.core, &mut self.role);
        match (role, message) {
            (role, M::PreVote(m)) => election::on_pre_vote(core, role, from, term, m),
            (role, M::PreVoteResponse(m)) => {
                election::on_pre_vote_response(core, role, from, term, m)?;
            }
            (role, M::RequestVote(m)) => election::on_request_vote(core, role, from, term, m),
            (Candidate(candidate), M::RequestVoteResponse(m)) => {
                election::on_request_vote_response(core, candidate, from, m)?;
            }
            (Follower(_) | PreCandidate(_) | Leader(_), M::RequestVoteResponse(_)) => {
                return Err(IgnoreReason::Stale);
            }
            (Follower(follower), M::AppendEntries(m)) => {
                replication::on_append_entries(core, follower, from, nth, m);
            }
            (PreCandidate(_) | Candidate(_) | Leader(_), M::AppendEntries(_)) => {
                unreachable!("whoever hears a leader of its own or a later term follows it first")
            }
            (Leader(leader), M::AppendEntriesResponse(m)) => {
                replication::on_append_entries_response(core, leader, from, m)?;
            }
            (Follower(_) | PreCandidate(_) | Candidate(_), M::AppendEntriesResponse(_)) => {
                return Err(IgnoreReason::Stale);
            }
        }
        Ok(())
    }

    /// Acts on every deadline that has passed.
    fn wake(&mut self) {
        let (core, role) = (&mut self.core, &mut self.role);
        if core.timers.is_due(Deadline::Election, core.now) {
            election::on_election_timeout(core, role);
        }
        if core.timers.is_due(Deadline::CheckQuorum, core.now) {
            election::on_check_quorum(core, role);
        }
        if let Role::Leader(leader) = role
            && core.timers.is_due(Deadline::Heartbeat, core.now)
        {
            replication::on_heartbeat_timeout(core, leader);
        }
    }

    /// Draws the consequences of all inputs, in one fixed order: votes, commit, the write that makes
    /// it all durable, what is to be sent, what is to be applied.
    fn settle(&mut self, actions: &mut Vec<Action>) {
        let (core, role) = (&mut self.core, &mut self.role);
        election::settle_votes(core, role);
        match role {
            Role::Leader(leader) => replication::settle_commit(core, leader),
            Role::Follower(follower) => replication::settle_answer(core, follower),
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
        actions.extend(core.disk.issue(&core.hard_state).map(Action::Persist));
        if let Role::Leader(leader) = role {
            replication::settle_sends(core, leader, actions);
        }
        if core.is_open() {
            let (from, term) = (core.id(), core.term());
            let waiting = core.outbox.drain(..);
            actions.extend(
                waiting.map(|(to, message)| Action::Send(Envelope { from, to, term, message })),
            );
        }
        replication::settle_applies(core, actions);
    }
}

/// Deadlines must not run over the end of the clock.
fn out_of_range(config: &Config, now: Instant) -> bool {
    now.saturating_add(config.election_timeout.saturating_mul(2)) == Instant::MAX
}

/// The log as it was found, less what the snapshot covers. A log that is
/// older than the snapshot or contradicts it is dropped.
fn recover_log(recovered: Recovered) -> Result<Log, RecoveryError> {
    let Recovered { hard_state, snapshot, prev, entries, .. } = recovered;
    let current = hard_state.current_term;
    if current.get() > LIMIT
        || hard_state.voted_for.is_some_and(|id| id.get() > LIMIT || current == Term::ZERO)
        || hard_state.promised > Config::LONGEST_PROMISE
    {
        return Err(RecoveryError::HardStateOutOfRange);
    }
    let snap = snapshot.position;
    for position in [snap, prev] {
        let zero = position.index == LogIndex::ZERO;
        if position.index.get() > LIMIT || zero != (position.term == Term::ZERO) {
            return Err(RecoveryError::ImpossibleSnapshot(position));
        }
    }
    if snap.term > current {
        return Err(RecoveryError::SnapshotAboveTerm { snapshot: snap.term, current });
    }
    if prev.index > snap.index {
        return Err(RecoveryError::Gap { log_starts_after: prev.index, snapshot: snap.index });
    }
    entries.check(prev, current)?;

    let mut log = Log::new(snapshot);
    let covered = snap.index.since(prev.index);
    let (head, tail) = entries.split_at(covered);
    if head.last_position(prev) == snap {
        tail.runs().for_each(|run| log.append_run(run));
    }
    Ok(log)
}
