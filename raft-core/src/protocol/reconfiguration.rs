//! Changes of the membership, by joint consensus (Raft paper, 6; thesis, 4.3).

use crate::error::RejectReason;
use crate::membership::Membership;
use crate::protocol::transfer;
use crate::state::core::Core;
use crate::state::progress::{Farewell, Progress};
use crate::state::quorum;
use crate::state::role::{Leader, Role};
use crate::types::{LogPosition, NodeId};

/// The operator asks for another membership. Returns the position of the joint entry.
pub(crate) fn on_change(
    core: &mut Core,
    role: &mut Role,
    target: &Membership,
) -> Result<LogPosition, RejectReason> {
    let elsewhere = role.leader();
    let Role::Leader(leader) = role else {
        return Err(RejectReason::NotLeader { leader: elsewhere });
    };
    if target.is_empty() || target.is_joint() {
        return Err(RejectReason::BadMembership);
    }
    if core.room() == 0 {
        return Err(RejectReason::LogFull);
    }
    if leader.transfer.is_some() {
        return Err(RejectReason::TransferInProgress);
    }
    // Without this two leaders could each hold a quorum of a membership that the other does not
    // know of (Ongaro, raft-dev, 2015).
    if core.commit_index < leader.first_index {
        return Err(RejectReason::TermNotCommitted);
    }
    if core.membership().is_joint() || core.log.membership_index() > core.commit_index {
        return Err(RejectReason::ChangeInProgress);
    }
    if core.membership() == target {
        return Err(RejectReason::AlreadyInForce);
    }
    if let Some(node) = straggler(core, leader, target) {
        return Err(RejectReason::NotCaughtUp { node });
    }
    let joint = core.membership().towards(target);
    if let Some(node) = silent_voter(core, leader, &joint) {
        return Err(RejectReason::NoQuorum { node });
    }
    put_in_force(core, leader, joint);
    Ok(core.log.last_position())
}

/// Draws the consequences of a membership that is committed: a joint one is left, a leader that has
/// no vote in it transfers leadership, and those who have left are forgotten. Returns whether
/// another membership is in force now.
pub(crate) fn settle(core: &mut Core, leader: &mut Leader) -> bool {
    if core.log.membership_index().max(leader.first_index) > core.commit_index {
        return false;
    }
    if core.membership().is_joint() {
        // The one that holds a permit must not be left behind: its log is level now.
        let may_leave = leader.transfer.as_ref().is_none_or(|transfer| !transfer.permitted);
        if may_leave {
            let target = core.membership().without_outgoing();
            put_in_force(core, leader, target);
        }
        return may_leave;
    }
    if !core.is_voter
        && leader.transfer.is_none()
        && let Some(to) = transfer::best_voter(core, leader)
    {
        transfer::begin(core, leader, None, to);
    }
    // Nearly always nobody is leaving: there are as many peers as other members.
    let members = core.membership().voters().len() + core.membership().learners().len();
    if core.is_voter && leader.peers.len() + 1 == members {
        let all_stay = leader.peers.iter().all(|(_, peer)| peer.leaving.is_none());
        debug_assert!(all_stay, "who leaves is no member");
        return false;
    }
    let (now, patience) = (core.now, core.config.election_timeout);
    let next_round = core.round.next();
    leader.peers.retain_mut(|(_, peer)| {
        let Some(Farewell { index, since }) = &mut peer.leaving else { return true };
        let since = *since.get_or_insert(next_round);
        let informed = peer.match_index >= *index && peer.heard >= since;
        let gone = peer.heard_at.saturating_add(patience) <= now;
        !informed && !gone
    });
    false
}

/// Appends the membership; it is in force from now on. Who belongs to it no more is still told so.
fn put_in_force(core: &mut Core, leader: &mut Leader, membership: Membership) {
    let before = core.log.last_index();
    core.append_membership(core.term(), membership);
    for (id, peer) in &mut leader.peers {
        let belongs = core.membership().contains(*id);
        peer.leaving = (!belongs).then_some(Farewell { index: before.next(), since: None });
    }
    for id in core.membership().members().filter(|id| *id != core.id()) {
        if let Err(at) = leader.peers.binary_search_by_key(&id, |(peer, _)| *peer) {
            leader.peers.insert(at, (id, Progress::new(before, core.round, core.now)));
        }
    }
}

/// A new voter that has not caught up: it would hold up every commit (thesis, 4.2.1).
fn straggler(core: &Core, leader: &Leader, target: &Membership) -> Option<NodeId> {
    let (last, within) = (core.log.last_index(), core.config.election_timeout);
    let ready = |id: NodeId| {
        let caught_up = leader.peer(id).is_some_and(|p| p.has_caught_up(last, core.now, within));
        caught_up || core.membership().is_voter(id)
    };
    target.voters().iter().copied().find(|id| !ready(*id))
}

/// A voter without which the joint membership has no quorum of those who are alive and level: it
/// could not be committed, and nothing takes it back while this leader leads. That a leader or a
/// peer is new is no sign of life.
fn silent_voter(core: &Core, leader: &Leader, joint: &Membership) -> Option<NodeId> {
    let (last, within) = (core.log.last_index(), core.config.election_timeout);
    let ready = |id: NodeId| {
        let heard = |p: &Progress| p.heard > p.added && p.has_caught_up(last, core.now, within);
        id == core.id() || leader.peer(id).is_some_and(heard)
    };
    let missing = || joint.all_voters().find(|id| !ready(*id));
    if quorum::has_quorum(joint, ready) { None } else { missing() }
}
