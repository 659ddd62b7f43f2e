//! One step: what each input is handed to, and the consequences of all of them.

use crate::action::Action;
use crate::error::{IgnoreReason, RejectReason};
use crate::input::Input;
use crate::message::{Envelope, Message};
use crate::protocol::transition::become_follower;
use crate::protocol::{
    admission, election, read, reconfiguration, replication, snapshot, transfer,
};
use crate::state::core::Core;
use crate::state::role::Role;
use crate::state::timers::{Deadline, LAST_MOMENT};
use crate::types::Instant;
use alloc::vec::Vec;
use core::borrow::Borrow;

/// Takes in all inputs of a call, one after the other, and draws the consequences once.
pub(crate) fn step(
    core: &mut Core,
    role: &mut Role,
    inputs: impl IntoIterator<Item = impl Borrow<Input>>,
    now: Instant,
    actions: &mut Vec<Action>,
) {
    let late = now > LAST_MOMENT;
    if !late {
        core.clock_is_behind = now < core.now;
        core.now = core.now.max(now);
    }
    for (nth, input) in inputs.into_iter().enumerate() {
        let input: &Input = input.borrow();
        if let Err(refusal) = take(core, role, input, nth, late, actions) {
            actions.extend(refusal.answer(input));
        }
        if core.disk.ends_before(nth) && input.carries_commands() {
            core.disk.close_chunk();
        }
    }
    settle(core, role, actions);
    if core.clock_is_behind {
        read::forget_leases(core, role);
    }
}

/// One input. An `Err` has changed nothing. What is answered here is about the input itself; all
/// that follows from it is left to [`settle`].
fn take(
    core: &mut Core,
    role: &mut Role,
    input: &Input,
    nth: usize,
    late: bool,
    answers: &mut Vec<Action>,
) -> Result<(), Refusal> {
    match *input {
        _ if late => return Err(Refusal::of_late(input)),
        Input::Message(ref envelope) => {
            admission::check(core, role, envelope)?;
            receive(core, role, envelope, nth, answers)?;
        }
        Input::Wake => wake(core, role),
        Input::Propose { token, count } => {
            let first = replication::on_propose(core, role, count, nth)?;
            answers.push(Action::Accepted { token, first, count });
        }
        Input::Persisted { ticket } => {
            core.disk
                .completed(ticket, core.log.last_index(), core.now)
                .ok_or(IgnoreReason::UnknownTicket)?;
        }
        Input::Campaign => election::on_campaign(core, role)?,
        Input::Read { token, consistency } => read::on_read(core, role, token, consistency)?,
        Input::ChangeMembership { token, ref target } => {
            let first = reconfiguration::on_change(core, role, target)?;
            answers.push(Action::Accepted { token, first, count: 1 });
        }
        Input::TransferLeadership { token, to } => transfer::on_request(core, role, token, to)?,
        Input::SnapshotTaken { position } => snapshot::on_taken(core, position)?,
        Input::SnapshotSent { to, position, outcome } => match role {
            Role::Leader(leader) => snapshot::on_sent(core, leader, to, position, outcome)?,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                return Err(IgnoreReason::Stale.into());
            }
        },
        Input::SnapshotInstalled { position, outcome } => {
            snapshot::on_installed(core, role, position, outcome)?;
        }
        Input::PeerUnreachable { peer } => match role {
            Role::Leader(leader) => replication::on_unreachable(core, leader, peer)?,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {}
        },
        Input::PeerPaused { peer, after } => match role {
            Role::Leader(leader) => replication::on_paused(leader, peer, after)?,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {}
        },
        Input::PeerResumed { peer } => match role {
            Role::Leader(leader) => replication::on_resumed(leader, peer)?,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {}
        },
    }
    Ok(())
}

/// The rules about terms, which come before all others (Raft paper, 5.1), and then the handler
/// of the message. Pre-votes ask about a later term than the sender's: they have rules of their
/// own, and so has a vote request within a lease.
fn receive(
    core: &mut Core,
    role: &mut Role,
    envelope: &Envelope,
    nth: usize,
    answers: &mut Vec<Action>,
) -> Result<(), IgnoreReason> {
    let Envelope { from, term, message, .. } = envelope;
    let (lower, higher) = (*term < core.term(), *term > core.term());
    match message {
        Message::PreVote(_) | Message::PreVoteResponse(_) | Message::RequestVote(_) => {}
        Message::AppendEntries(_) | Message::InstallSnapshot(_) if lower => {
            replication::refuse_stale_leader(core, *from);
            return Ok(());
        }
        Message::AppendEntries(_) | Message::InstallSnapshot(_) => {
            if higher || role.leader() != Some(*from) {
                become_follower(core, role, *term, Some(*from));
            }
        }
        Message::RequestVoteResponse(_)
        | Message::AppendEntriesResponse(_)
        | Message::TimeoutNow
        | Message::ReadIndex(_)
        | Message::ReadIndexResponse(_) => {
            if lower {
                return Err(IgnoreReason::Stale);
            }
            if higher {
                become_follower(core, role, *term, None);
                return Ok(());
            }
        }
    }
    dispatch(core, role, envelope, nth, answers)
}

/// Who handles what: every role, every message.
fn dispatch(
    core: &mut Core,
    role: &mut Role,
    envelope: &Envelope,
    nth: usize,
    answers: &mut Vec<Action>,
) -> Result<(), IgnoreReason> {
    use Message as M;
    use Role::{Candidate, Follower, Leader, PreCandidate};
    let (from, term) = (envelope.from, envelope.term);
    match (role, &envelope.message) {
        (role, M::PreVote(m)) => election::on_pre_vote(core, role, from, term, m),
        (role, M::PreVoteResponse(m)) => {
            election::on_pre_vote_response(core, role, from, term, m)?;
        }
        (role, M::RequestVote(m)) => election::on_request_vote(core, role, from, term, m),
        (Candidate(candidate), M::RequestVoteResponse(m)) => {
            election::on_request_vote_response(core, candidate, from, m)?;
        }
        (PreCandidate(candidate), M::RequestVoteResponse(m)) => {
            election::on_late_vote(core, candidate, from, m)?;
        }
        (Follower(_) | Leader(_), M::RequestVoteResponse(_)) => {
            return Err(IgnoreReason::Stale);
        }
        (Follower(follower), M::AppendEntries(m)) => {
            replication::on_append_entries(core, follower, from, nth, m);
        }
        (Follower(follower), M::InstallSnapshot(m)) => {
            snapshot::on_install(core, follower, from, m);
        }
        (
            PreCandidate(_) | Candidate(_) | Leader(_),
            M::AppendEntries(_) | M::InstallSnapshot(_),
        ) => unreachable!("whoever hears a leader of its own or a later term follows it first"),
        (Leader(leader), M::AppendEntriesResponse(m)) => {
            replication::on_append_entries_response(core, leader, from, m, answers)?;
        }
        (Follower(_) | PreCandidate(_) | Candidate(_), M::AppendEntriesResponse(_)) => {
            return Err(IgnoreReason::Stale);
        }
        (role, M::TimeoutNow) => transfer::on_timeout_now(core, role, from)?,
        (role, M::ReadIndex(m)) => read::on_read_index(core, role, from, m)?,
        (Follower(follower), M::ReadIndexResponse(m)) => {
            read::on_read_index_response(follower, from, m, answers)?;
        }
        (PreCandidate(_) | Candidate(_) | Leader(_), M::ReadIndexResponse(_)) => {
            return Err(IgnoreReason::Stale);
        }
    }
    Ok(())
}

/// Acts on every deadline that has passed.
fn wake(core: &mut Core, role: &mut Role) {
    if core.timers.is_due(Deadline::Election, core.now) {
        election::on_election_timeout(core, role);
    }
    if core.timers.is_due(Deadline::Repeat, core.now) {
        election::on_repeat(core, role);
    }
    if core.timers.is_due(Deadline::CheckQuorum, core.now) {
        election::on_check_quorum(core, role);
    }
    if core.timers.is_due(Deadline::Disk, core.now) {
        transfer::on_disk_timeout(core, role);
    }
    if core.timers.is_due(Deadline::Transfer, core.now) {
        transfer::on_timeout(core, role);
    }
    read::wake(core, role);
    if let Role::Leader(leader) = role
        && core.timers.is_due(Deadline::Heartbeat, core.now)
    {
        replication::on_heartbeat_timeout(core, leader);
    }
}

/// Draws the consequences of all inputs, in one fixed order: votes, commit, the write that makes
/// it all durable, what is to be sent, what is to be applied.
fn settle(core: &mut Core, role: &mut Role, actions: &mut Vec<Action>) {
    election::settle_votes(core, role);
    let mut asks = false;
    if let Role::Leader(leader) = role {
        // A membership that is committed may be left for one of which more is committed already.
        loop {
            replication::settle_commit(core, leader);
            if !reconfiguration::settle(core, leader) {
                break;
            }
        }
        transfer::settle(core, leader, actions);
        asks = read::settle_leader(core, leader, actions);
        leader.heartbeat_due |= asks;
    }
    core.hand_out_write(actions);
    core.hand_out_install(actions);
    match role {
        Role::Leader(leader) => {
            replication::settle_sends(core, leader, actions);
            if asks {
                read::asked(core, leader);
            }
            read::settle_leader_deadline(core, leader);
            core.timers.set(Deadline::Disk, transfer::disk_deadline(core));
        }
        Role::Follower(follower) => {
            replication::settle_answer(core, follower, actions);
            read::settle_follower(core, follower);
        }
        Role::PreCandidate(_) | Role::Candidate(_) => {}
    }
    core.hand_out_messages(actions);
    if core.last_applied < core.commit_index {
        core.hand_out_applies(actions);
    }
    if !core.outcomes.is_empty() {
        actions.append(&mut core.outcomes);
    }
    election::settle_timer(core, role);
}

/// Why an input was refused, by the rules for requests or for everything else.
enum Refusal {
    Ignored(IgnoreReason),
    Rejected(RejectReason),
}

impl Refusal {
    /// What the runtime hears of it.
    fn answer(self, input: &Input) -> Option<Action> {
        match (self, input) {
            (Self::Ignored(reason), Input::Message(envelope)) => {
                Some(Action::Ignored { from: Some(envelope.from), reason })
            }
            (Self::Ignored(reason), _) => Some(Action::Ignored { from: None, reason }),
            (Self::Rejected(reason), _) => {
                input.token().map(|token| Action::Rejected { token, reason })
            }
        }
    }

    fn of_late(input: &Input) -> Self {
        match input.token() {
            Some(_) => Self::Rejected(RejectReason::ClockOutOfRange),
            None => Self::Ignored(IgnoreReason::ClockOutOfRange),
        }
    }
}

impl From<IgnoreReason> for Refusal {
    fn from(reason: IgnoreReason) -> Self {
        Self::Ignored(reason)
    }
}

impl From<RejectReason> for Refusal {
    fn from(reason: RejectReason) -> Self {
        Self::Rejected(reason)
    }
}
