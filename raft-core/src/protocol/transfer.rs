//! Leadership transfer (thesis, 3.10).

use crate::action::{Action, TransferOutcome};
use crate::error::{IgnoreReason, RejectReason};
use crate::message::{Message, Permit};
use crate::protocol::election::may_campaign;
use crate::protocol::transition::{become_candidate, become_follower};
use crate::state::core::Core;
use crate::state::role::{Leader, Role, Transfer};
use crate::state::timers::Deadline;
use crate::types::{Instant, NodeId, Token};
use alloc::vec::Vec;

/// The operator asks this leader to transfer leadership.
pub(crate) fn on_request(
    core: &mut Core,
    role: &mut Role,
    token: Token,
    to: Option<NodeId>,
) -> Result<(), RejectReason> {
    let elsewhere = role.leader();
    let Role::Leader(leader) = role else {
        return Err(RejectReason::NotLeader { leader: elsewhere });
    };
    if leader.transfer.is_some() {
        return Err(RejectReason::TransferInProgress);
    }
    let to = to.or_else(|| best_voter(core, leader)).ok_or(RejectReason::NoOtherVoter)?;
    if to == core.id() || core.membership().voters().binary_search(&to).is_err() {
        return Err(RejectReason::CannotLead { node: to });
    }
    begin(core, leader, Some(token), to);
    Ok(())
}

/// Begins to transfer leadership; it ends by itself after T.
pub(crate) fn begin(core: &mut Core, leader: &mut Leader, token: Option<Token>, to: NodeId) {
    leader.transfer = Some(Transfer { token, to, permitted: false });
    let until = core.now.saturating_add(core.config.election_timeout);
    core.timers.set(Deadline::Transfer, Some(until));
}

/// The other voter whose log is the most complete, among those that were heard within T if there
/// are any: a dead one cannot take over.
pub(crate) fn best_voter(core: &Core, leader: &Leader) -> Option<NodeId> {
    let others = core.membership().voters().iter().copied().filter(|id| *id != core.id());
    let lives =
        |heard_at: Instant| heard_at.saturating_add(core.config.election_timeout) > core.now;
    others.max_by_key(|id| leader.peer(*id).map(|p| (lives(p.heard_at), p.match_index)))
}

/// The permit leaves as soon as the other holds all of the log, and again with each heartbeat until
/// the transfer ends: it may be lost. Nothing is appended meanwhile, or the other could not win.
pub(crate) fn settle(core: &Core, leader: &mut Leader, actions: &mut Vec<Action>) {
    let Some(Transfer { to, permitted, .. }) = leader.transfer else { return };
    let is_level = || leader.peer(to).is_some_and(|p| p.match_index == core.log.last_index());
    let is_due = if permitted { leader.heartbeat_due } else { is_level() };
    if is_due {
        permit(leader);
        actions.push(core.let_out(to, Message::TimeoutNow));
    }
}

/// The other has not taken over in time: this leader goes on. One that was to go in any case goes.
pub(crate) fn on_timeout(core: &mut Core, role: &mut Role) {
    let Role::Leader(leader) = role else { return };
    core.timers.set(Deadline::Transfer, None);
    match leader.transfer.take() {
        Some(Transfer { token: Some(token), .. }) => {
            let outcome = TransferOutcome::TimedOut;
            core.outcomes.push(Action::TransferEnded { token, outcome });
        }
        Some(Transfer { token: None, .. }) => become_follower(core, role, core.term(), None),
        None => {}
    }
}

/// The leader of this term tells this node to hold an election. It need not ask first whether it
/// would win, and the lease that it keeps is with that very leader.
pub(crate) fn on_timeout_now(
    core: &mut Core,
    role: &mut Role,
    from: NodeId,
) -> Result<(), IgnoreReason> {
    if role.leader() != Some(from) {
        return Err(IgnoreReason::Stale);
    }
    may_campaign(core)?;
    let permit = Permit { leader: from, term: core.term() };
    if !core.lease.is_over(core.now) && core.lease.holder() != Some(permit) {
        // A promise of an earlier life, in this very term; this leader cannot know of it.
        return Err(IgnoreReason::LeaderAlive);
    }
    become_candidate(core, role, Some(permit));
    Ok(())
}

/// When the leader's disk will hang. A lone voter has nobody to transfer leadership to, and holds
/// up nobody.
pub(crate) fn disk_deadline(core: &Core) -> Option<Instant> {
    let since = core.disk.stalled_since()?;
    let keeps_others_waiting = !core.membership().is_lone_voter(core.id());
    keeps_others_waiting.then(|| since.saturating_add(core.config.disk_timeout))
}

/// The disk hangs: a leader that can write nothing must not keep leading. It transfers leadership
/// to the best voter there is, without waiting for it to catch up, and steps down.
pub(crate) fn on_disk_timeout(core: &mut Core, role: &mut Role) {
    let Role::Leader(leader) = role else { return };
    if !core.disk_hangs() {
        return;
    }
    // One permit at a time: two candidates would split the vote.
    let permitted = leader.transfer.as_ref().is_some_and(|transfer| transfer.permitted);
    if let Some(to) = best_voter(core, leader).filter(|_| !permitted) {
        permit(leader);
        core.send(to, Message::TimeoutNow);
    }
    become_follower(core, role, core.term(), None);
}

/// Another is asked to hold an election. From now on another leader may be elected within any
/// lease, so this one reads off none in this term any more.
const fn permit(leader: &mut Leader) {
    leader.lease_void = true;
    if let Some(transfer) = &mut leader.transfer {
        transfer.permitted = true;
    }
}
