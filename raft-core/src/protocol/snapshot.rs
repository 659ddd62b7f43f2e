//! Snapshots and compaction (Raft paper, 7; thesis, 5). The core moves positions; format, content
//! and transport are the runtime's.

use crate::action::Action;
use crate::error::IgnoreReason;
use crate::input::Outcome;
use crate::message::{AppendOutcome, InstallSnapshot};
use crate::protocol::contact::{on_contact, reject};
use crate::state::core::Core;
use crate::state::progress::{Phase, Progress};
use crate::state::role::{Follower, Leader, Role};
use crate::types::{LogPosition, NodeId};

/// The runtime has a snapshot: what it covers is forgotten here.
pub(crate) fn on_taken(core: &mut Core, position: LogPosition) -> Result<(), IgnoreReason> {
    if core.installing.is_some() {
        return Err(IgnoreReason::Installing);
    }
    let applied = position.index <= core.last_applied;
    let held = core.log.position_at(position.index) == Some(position);
    if !applied || !held || position.index <= core.log.start().index {
        return Err(IgnoreReason::CannotCompact(position));
    }
    core.log.compact(position);
    Ok(())
}

/// Whether what the peer needs next is compacted.
pub(crate) fn is_needed(core: &Core, peer: &Progress) -> bool {
    let may_send = matches!(peer.phase, Phase::Replicate | Phase::Probe { awaiting: None });
    may_send && peer.next_index.prev() < core.log.start().index
}

/// Asks the runtime to send the peer a snapshot.
pub(crate) fn ask_for(core: &Core, to: NodeId, peer: &mut Progress) -> Action {
    peer.needs_snapshot(core.now.saturating_add(core.config.snapshot_timeout), core.round);
    Action::SendSnapshot { to, term: core.term(), at_least: core.log.start() }
}

/// The runtime has sent a snapshot, or has failed to. Delivered, the peer is probed right after it.
/// Lost, it is asked for a sign of life first, which is the pause before the next attempt.
pub(crate) fn on_sent(
    core: &Core,
    leader: &mut Leader,
    to: NodeId,
    position: LogPosition,
    outcome: Outcome,
) -> Result<(), IgnoreReason> {
    let peer = leader.peer_mut(to).ok_or(IgnoreReason::UnknownPeer)?;
    if !matches!(peer.phase, Phase::Snapshot { .. }) {
        return Err(IgnoreReason::Stale);
    }
    match outcome {
        // What lies above the end of this log cannot have been sent from it.
        Outcome::Done if !core.log.matches(position) => return Err(IgnoreReason::UnknownSnapshot),
        Outcome::Done => peer.delivered(position.index.max(core.log.start().index), core.round),
        Outcome::Failed => peer.lost(core.round),
    }
    Ok(())
}

/// A snapshot that is too long on its way is lost.
pub(crate) fn expire(core: &Core, leader: &mut Leader) {
    for (_, peer) in &mut leader.peers {
        if matches!(peer.phase, Phase::Snapshot { until } if until <= core.now) {
            peer.lost(core.round);
        }
    }
}

/// The leader's snapshot is here (Raft paper, 7). The receiver decides: what it has committed
/// already it ignores; if its log holds the position, the snapshot says only that all up to there
/// is committed, and the rest of the log stays; else the snapshot replaces everything.
pub(crate) fn on_install(
    core: &mut Core,
    follower: &mut Follower,
    from: NodeId,
    m: &InstallSnapshot,
) {
    on_contact(core, follower, from, None);
    let position = m.snapshot.position;
    if core.installing.is_some() {
        reject(core, follower, from, None, AppendOutcome::Installing);
    } else if core.log.matches(position) {
        follower.verified = follower.verified.max(position.index.min(core.log.last_index()));
        core.advance_commit(position.index);
        follower.answer_now = true;
    } else {
        core.installing = Some(m.snapshot.clone());
        core.installing_since = core.now;
        core.install_is_due = true;
    }
}

/// The runtime has replaced its state by the snapshot, or has left it as it was.
pub(crate) fn on_installed(
    core: &mut Core,
    role: &mut Role,
    position: LogPosition,
    outcome: Outcome,
) -> Result<(), IgnoreReason> {
    // Nobody can have installed what this call is still to hand out.
    let handed_out = !core.install_is_due;
    let expected = core.installing.take_if(|found| handed_out && found.position == position);
    let snapshot = expected.ok_or(IgnoreReason::UnknownSnapshot)?;
    if outcome == Outcome::Done {
        core.replace_log(snapshot);
        core.reset_election_timer();
        if let Role::Follower(follower) = role {
            // What is committed matches whatever leader there is.
            follower.verified = position.index;
            follower.acknowledged = follower.acknowledged.min(position.index);
        }
    }
    Ok(())
}
