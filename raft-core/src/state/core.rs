//! What a node knows in every role.

use crate::action::Action;
use crate::config::{Config, Protection};
use crate::entries::Snapshot;
use crate::input::HardState;
use crate::membership::Membership;
use crate::message::{Envelope, Message};
use crate::state::disk::{Disk, Part};
use crate::state::lease::Lease;
use crate::state::log::Log;
use crate::state::rng::Rng;
use crate::state::timers::{Deadline, Timers};
use crate::types::{Instant, LIMIT, LogIndex, NodeId, Round, Term};
use alloc::vec::Vec;

/// How many messages wait for the disk at most. While so many wait, no more are taken in.
pub(crate) const MAX_WAITING: usize = 1024;

/// How many ranges one call hands out to be applied at most, see [`Action::Apply`].
const MAX_APPLIES: usize = 1024;

/// What stays free at the end of a log for a leader's own entries: the first one of its term, and
/// the two of a membership change.
const OWN_ENTRIES: u64 = 3;

/// How many commands a log takes at most.
pub(crate) const MAX_COMMANDS: u64 = LIMIT - OWN_ENTRIES;

/// What a node knows in every role.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact by itself, no state machine")]
pub(crate) struct Core {
    pub(crate) config: Config,
    /// The latest moment that was seen. It never goes back.
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    pub(crate) timers: Timers,
    /// Term, vote and promise as this node knows them; see `disk` for what is durable of it.
    pub(crate) hard_state: HardState,
    /// Who was elected in the current term, if this node has seen it. There is never a second one.
    pub(crate) elected: Option<NodeId>,
    /// What was promised to leaders: no vote is given before it is over.
    pub(crate) lease: Lease,
    /// The clock has run backwards and not caught up yet: no lease can be read off it.
    pub(crate) clock_is_behind: bool,
    /// Rounds up to this one were sent before the clock was last seen behind, or while it was:
    /// since then more time has passed than the clock tells, so their echoes prove no lease.
    pub(crate) untimed: Round,
    pub(crate) log: Log,
    /// Whether this node is a voter in the membership in force. Every step asks, so it is kept, and
    /// looked up where the membership changes.
    pub(crate) is_voter: bool,
    pub(crate) commit_index: LogIndex,
    /// The last index that was handed out in an `Apply`.
    pub(crate) last_applied: LogIndex,
    pub(crate) disk: Disk,
    /// The last round that was issued.
    pub(crate) round: Round,
    /// The snapshot that the runtime is installing: until it has, no log is written.
    pub(crate) installing: Option<Snapshot>,
    /// When it was told to; means nothing while it installs none.
    pub(crate) installing_since: Instant,
    /// The runtime is still to be told, when this call is settled; never so between two calls.
    pub(crate) install_is_due: bool,
    /// Requests that ended with the role that took them; empty between two calls.
    pub(crate) outcomes: Vec<Action>,
    /// What is to be sent as soon as the hard state is durable; all of it dies with the term.
    pub(crate) outbox: Vec<(NodeId, Message)>,
    /// A vote of this node's waits for the disk: the election timer starts when it leaves, or a
    /// disk that needs about T for a write would let no election end.
    pub(crate) vote_waits: bool,
}

impl Core {
    pub(crate) const fn id(&self) -> NodeId {
        self.config.id
    }

    pub(crate) const fn term(&self) -> Term {
        self.hard_state.current_term
    }

    /// The membership in force.
    pub(crate) fn membership(&self) -> &Membership {
        self.log.membership()
    }

    /// Whether this node has a say in elections: it is a voter in the membership in force or,
    /// unless that one is known to be committed, in the last different one before it. (Any earlier
    /// one would be too many: a restart forgets what is committed, and would revive all of them.)
    pub(crate) fn has_a_vote(&self) -> bool {
        let votes_in = |membership: &Membership| membership.is_voter(self.id());
        self.is_voter || self.log.membership_before(self.commit_index).is_some_and(votes_in)
    }

    /// How many more commands the log takes.
    pub(crate) fn room(&self) -> u64 {
        MAX_COMMANDS.saturating_sub(self.log.last_index().get())
    }

    /// Whether the disk hangs: writes wait, and none has completed for `disk_timeout`.
    pub(crate) fn disk_hangs(&self) -> bool {
        let since = self.disk.stalled_since();
        since.is_some_and(|at| at.saturating_add(self.config.disk_timeout) <= self.now)
    }

    /// Whether this node is of no use to a leader: its disk hangs, or the install of a snapshot
    /// takes longer than `snapshot_timeout`. It is silent then, as if it were dead, for a leader
    /// that hears a quorum and can commit nothing would keep the others from electing one that can.
    pub(crate) fn is_stuck(&self) -> bool {
        let installs = self.installing.is_some()
            && self.installing_since.saturating_add(self.config.snapshot_timeout) <= self.now;
        installs || self.disk_hangs()
    }

    pub(crate) fn has_leases(&self) -> bool {
        self.config.protection == Protection::Full
    }

    /// Whether messages may leave: term and vote are durable.
    pub(crate) fn is_open(&self) -> bool {
        self.disk.is_open(&self.hard_state)
    }

    /// A number that this node has not used for a round before.
    pub(crate) const fn next_round(&mut self) -> Round {
        self.round = self.round.next();
        self.round
    }

    /// Resets the election timer: T and a random time in `[0, T)` from now, drawn anew each time
    /// (N4). A node that has no vote in its own membership draws from `[0, 2T)`: the others go
    /// first, but not always, for their requests reset its timer.
    pub(crate) fn reset_election_timer(&mut self) {
        let timeout = self.config.timeout_nanos();
        let jitter = self.rng.below(timeout * if self.is_voter { 1 } else { 2 });
        let at = self.now.plus_nanos(timeout).plus_nanos(jitter);
        self.timers.set(Deadline::Election, Some(at));
    }

    /// When what was asked is asked again.
    pub(crate) fn next_repeat(&self) -> Instant {
        self.now.saturating_add(self.config.heartbeat_interval)
    }

    /// Queues a message. It leaves when what it rests on is durable; of two that say the same to
    /// the same node one is enough.
    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        let same =
            |(at, waiting): &&mut (NodeId, Message)| *at == to && waiting.competes_with(&message);
        match self.outbox.iter_mut().find(same) {
            Some((_, waiting)) => waiting.merge(message),
            None => self.outbox.push((to, message)),
        }
    }

    /// Appends commands to the log, and to what is to be written.
    pub(crate) fn append_commands(&mut self, term: Term, count: u64, part: Part) {
        self.disk.append_commands(self.log.last_index(), term, count, part);
        self.log.append_commands(term, count);
    }

    /// Appends a membership entry to the log, and to what is to be written.
    pub(crate) fn append_membership(&mut self, term: Term, membership: Membership) {
        self.disk.append_membership(self.log.last_index(), term, membership.clone());
        self.log.append_membership(term, membership);
        self.membership_changed();
    }

    /// Drops the log from `index` on, here and on the disk.
    pub(crate) fn truncate_from(&mut self, index: LogIndex) {
        debug_assert!(index > self.commit_index, "what is committed is never dropped");
        self.disk.truncate_from(self.log.last_index(), index);
        self.log.truncate_from(index);
        self.membership_changed();
    }

    /// The log, what is committed and what is applied are what the snapshot says.
    pub(crate) fn replace_log(&mut self, snapshot: Snapshot) {
        let index = snapshot.position.index;
        debug_assert!(index > self.commit_index, "a snapshot of what is committed is ignored");
        self.log = Log::new(snapshot);
        self.membership_changed();
        self.disk.replaced(index);
        self.commit_index = index;
        self.last_applied = index;
    }

    /// Another membership may be in force.
    fn membership_changed(&mut self) {
        self.is_voter = self.membership().is_voter(self.id());
    }

    /// The one way out for a message: what it rests on is durable.
    pub(crate) fn let_out(&self, to: NodeId, message: Message) -> Action {
        debug_assert!(self.is_open(), "no message leaves before term and vote are durable");
        Action::Send(Envelope { from: self.id(), to, term: self.term(), message })
    }

    /// Hands out the write that makes durable what has changed.
    pub(crate) fn hand_out_write(&mut self, actions: &mut Vec<Action>) {
        if self.disk.lacks(&self.hard_state) {
            let write = self.disk.issue(&self.hard_state, self.log.last_index(), self.now);
            actions.push(Action::Persist(write));
        }
    }

    /// Hands out the snapshot that is to be installed, after all that was decided before.
    pub(crate) fn hand_out_install(&mut self, actions: &mut Vec<Action>) {
        if !self.install_is_due {
            return;
        }
        self.hand_out_applies(actions);
        self.install_is_due = false;
        let snapshot = self.installing.clone().expect("what is due is being installed");
        actions.push(Action::InstallSnapshot { snapshot });
    }

    /// Hands out what waits in the outbox, if it is open: once the hard state is durable.
    pub(crate) fn hand_out_messages(&mut self, actions: &mut Vec<Action>) {
        let nothing_waits = self.outbox.is_empty() && !self.vote_waits;
        if nothing_waits || !self.is_open() {
            return;
        }
        // It is durable; what was to leave with it may be pointless by now.
        if core::mem::take(&mut self.vote_waits) {
            self.reset_election_timer();
        }
        // Seldom does anything wait, and a group that is idle for years keeps no room for it.
        let waiting = core::mem::take(&mut self.outbox).into_iter();
        actions.extend(waiting.map(|(to, message)| self.let_out(to, message)));
    }

    /// Up to where the log is to be applied: it is committed, and durable here.
    fn applicable(&self) -> LogIndex {
        self.commit_index.min(self.disk.durable_index())
    }

    /// When to wake up next: at once if there is more to apply.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.has_applies() { Some(self.now) } else { self.timers.next() }
    }

    /// Whether there is something to apply that no call has handed out yet, and that no snapshot
    /// which was handed out replaces.
    fn has_applies(&self) -> bool {
        let replaces = self.installing.is_some() && !self.install_is_due;
        !replaces && self.last_applied < self.applicable()
    }

    /// Hands out what is committed and durable here, one term at a time; what is too much for this
    /// call is left to the next one.
    pub(crate) fn hand_out_applies(&mut self, actions: &mut Vec<Action>) {
        let end = self.applicable();
        for _ in 0..MAX_APPLIES {
            if !self.has_applies() {
                break;
            }
            let first = self.last_applied.next();
            let through = self.log.end_of_term(first, end);
            let through = through.expect("what is committed is in the log");
            self.last_applied = through.index;
            actions.push(Action::Apply { first, through });
        }
    }

    /// Everything up to `index` is committed. It never decreases.
    pub(crate) fn advance_commit(&mut self, index: LogIndex) {
        debug_assert!(index <= self.log.last_index(), "what is committed lies in the log");
        self.commit_index = self.commit_index.max(index);
    }
}
