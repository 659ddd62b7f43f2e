//! Replication of the log, from proposal to apply (Raft paper, 5.3 and 5.4; thesis, 10.2.1).

use crate::action::Action;
use crate::entries::{Entries, Run};
use crate::error::{IgnoreReason, RejectReason};
use crate::membership::Membership;
use crate::message::{AppendEntries, AppendEntriesResponse, AppendOutcome, Echo, Message, Probe};
use crate::protocol::contact::{echo, on_contact, reject, respond, seen};
use crate::protocol::snapshot;
use crate::state::core::{Core, MAX_COMMANDS};
use crate::state::disk::Part;
use crate::state::progress::{Phase, Progress};
use crate::state::quorum;
use crate::state::role::{Follower, Leader, Role};
use crate::state::timers::Deadline;
use crate::types::{LogIndex, LogPosition, NodeId, Round};
use alloc::vec::Vec;
use core::time::Duration;

/// How many terms a follower names when it rejects. With so many the place where two logs part is
/// found in a few round trips, whatever the number of entries: one for 128 terms.
pub(crate) const MAX_HINT: usize = 128;

/// New commands for the leader's log.
pub(crate) fn on_propose(
    core: &mut Core,
    role: &Role,
    count: u64,
    nth: usize,
) -> Result<LogPosition, RejectReason> {
    let Role::Leader(Leader { transfer, .. }) = role else {
        return Err(RejectReason::NotLeader { leader: role.leader() });
    };
    if transfer.is_some() {
        return Err(RejectReason::TransferInProgress);
    }
    if count == 0 || count > MAX_COMMANDS {
        return Err(RejectReason::BadCount { count });
    }
    if count > core.room() {
        return Err(RejectReason::LogFull);
    }
    let waiting = core.log.last_index().since(core.commit_index);
    if count > core.config.max_uncommitted.saturating_sub(waiting) {
        return Err(RejectReason::TooManyUncommitted { waiting });
    }
    let first = LogPosition::new(core.term(), core.log.last_index().next());
    core.append_commands(core.term(), count, Part { nth, skip: 0, of: count });
    Ok(first)
}

/// The leader of this term speaks (Raft paper, 5.3). What cannot be was refused on admission, see
/// `admission`.
pub(crate) fn on_append_entries(
    core: &mut Core,
    follower: &mut Follower,
    from: NodeId,
    nth: usize,
    m: &AppendEntries,
) {
    let is_new = m.probe.map(|probe| probe.round) > seen(follower);
    on_contact(core, follower, from, m.probe);
    let wants_answer = m.probe.is_some() || !m.entries.is_empty();
    if core.installing.is_some() {
        if wants_answer {
            reject(core, follower, from, m.probe, AppendOutcome::Installing);
        }
        return;
    }
    if !core.log.matches(m.prev) {
        if wants_answer {
            let hint = core.log.spans_down_from(m.prev.index, MAX_HINT);
            let outcome = AppendOutcome::Mismatched { rejected: m.prev, hint };
            reject(core, follower, from, m.probe, outcome);
        }
        return;
    }
    accept(core, m, nth);

    let last = m.last_position().index;
    follower.verified = follower.verified.max(last);
    // Only what is known to match may be taken as committed (Raft paper, figure 2).
    core.advance_commit(m.commit.min(last));
    // What the leader asks is answered at once, with what is durable so far. Entries that are new
    // here are answered when they are durable; those that are not, at once too.
    let known = !m.entries.is_empty() && last <= core.disk.durable_index();
    follower.answer_now |= known || is_new || m.probe.is_some() && m.entries.is_empty();
}

/// The leader of an earlier term learns that its term is over. Without this a node whose term is
/// later, and whose votes are refused, would stay outside for ever.
pub(crate) fn refuse_stale_leader(core: &mut Core, from: NodeId) {
    let outcome = AppendOutcome::StaleTerm;
    respond(core, from, AppendEntriesResponse { outcome, echo: None, seen: None });
}

/// Answers the leader once for all that it said: at once where nothing has to be written, and again
/// when more of its entries are durable.
pub(crate) fn settle_answer(core: &mut Core, follower: &mut Follower, actions: &mut Vec<Action>) {
    let Some(leader) = follower.leader else { return };
    let match_index = follower.verified.min(core.disk.durable_index());
    let has_news = match_index > follower.acknowledged;
    if !has_news && !follower.answer_now {
        return;
    }
    if !core.is_open() {
        // It could not leave yet, and a later one would take its place without its echo.
        return;
    }
    follower.answer_now = false;
    if !has_news && core.is_stuck() {
        // What it is asked again it answers when it is well again.
        return;
    }
    follower.acknowledged = follower.acknowledged.max(match_index);
    let echo = follower.probe.map(|probe| echo(core, probe));
    let (outcome, seen) = (AppendOutcome::Matched { match_index }, seen(follower));
    let response = AppendEntriesResponse { outcome, echo, seen };
    if core.outbox.is_empty() {
        actions.push(core.let_out(leader, Message::AppendEntriesResponse(response)));
    } else {
        respond(core, leader, response);
    }
}

/// A follower answers (Raft paper, 5.3).
pub(crate) fn on_append_entries_response(
    core: &Core,
    leader: &mut Leader,
    from: NodeId,
    m: &AppendEntriesResponse,
    answers: &mut Vec<Action>,
) -> Result<(), IgnoreReason> {
    let rounds = leader.first_round..=core.round;
    let times = leader.elected_at..=core.now;
    let peer = leader.peer_mut(from).ok_or(IgnoreReason::UnknownPeer)?;
    // An answer counts only if this leadership issued the round that it names, at a time that can
    // be, after it knew the peer as it knows it now.
    let seen = m.seen.filter(|seen| rounds.contains(seen)).ok_or(IgnoreReason::Stale)?;
    if seen <= peer.added {
        let lost = peer.has_regressed;
        return Err(if lost { IgnoreReason::LostLog } else { IgnoreReason::Stale });
    }
    let own = |echo: &Echo| rounds.contains(&echo.round) && times.contains(&echo.sent_at);
    if !m.echo.as_ref().is_none_or(own) {
        return Err(IgnoreReason::Stale);
    }
    let news = match &m.outcome {
        AppendOutcome::Matched { match_index } => {
            let ends = (core.log.start().index, core.log.last_index());
            peer.matched(*match_index, seen, core.round, ends, core.now);
            true
        }
        AppendOutcome::Mismatched { rejected, hint } if peer.has_lost(*rejected, seen) => {
            let agreed = core.log.agreement(hint).min(rejected.index.prev());
            let acknowledged = peer.regressed(agreed, core.round);
            let rejected = rejected.index;
            answers.push(Action::PeerRegressed { peer: from, acknowledged, rejected });
            true
        }
        AppendOutcome::Mismatched { rejected, hint } if is_news(peer, seen, *rejected) => {
            let agreed = core.log.agreement(hint).min(rejected.index.prev());
            peer.mismatched(agreed, core.round);
            true
        }
        // It was asked before something else was learnt; that the peer is alive it proves.
        AppendOutcome::Mismatched { .. } => false,
        AppendOutcome::Installing => true,
        // It is said of a lower term than the sender's only: of an earlier leadership of this node.
        AppendOutcome::StaleTerm => return Err(IgnoreReason::Stale),
    };
    let heard_at = peer.heard_at;
    if !news && m.echo.is_none_or(|echo| echo.sent_at <= heard_at) {
        return Err(IgnoreReason::Stale);
    }
    m.echo.into_iter().for_each(|echo| on_echo(core, peer, echo));
    Ok(())
}

/// A sign of life (thesis, 6.2 and 6.4). What a peer says that has lost what it acknowledged proves
/// that it lives, but not that nobody else leads: it may have forgotten a vote.
fn on_echo(core: &Core, peer: &mut Progress, echo: Echo) {
    if echo.round <= peer.added {
        return;
    }
    peer.heard_at = peer.heard_at.max(echo.sent_at);
    if peer.has_regressed {
        return;
    }
    peer.heard = peer.heard.max(echo.round);
    if echo.round > core.untimed {
        // The promise began after the probe had left, on a clock that may run fast.
        let safe = core.config.safe_lease_nanos(echo.promised);
        peer.lease_until = peer.lease_until.max(echo.sent_at.plus_nanos(safe));
    }
}

/// The transport has lost a peer.
pub(crate) fn on_unreachable(
    core: &Core,
    leader: &mut Leader,
    peer: NodeId,
) -> Result<(), IgnoreReason> {
    let peer = leader.peer_mut(peer).ok_or(IgnoreReason::UnknownPeer)?;
    if matches!(peer.phase, Phase::Replicate | Phase::Probe { .. }) {
        peer.lost(core.round);
    }
    Ok(())
}

/// The transport takes no more entries for a peer, and has dropped what follows `after`.
pub(crate) fn on_paused(
    leader: &mut Leader,
    peer: NodeId,
    after: LogIndex,
) -> Result<(), IgnoreReason> {
    leader.peer_mut(peer).ok_or(IgnoreReason::UnknownPeer)?.pause(after);
    Ok(())
}

/// The transport takes entries for a peer again.
pub(crate) fn on_resumed(leader: &mut Leader, peer: NodeId) -> Result<(), IgnoreReason> {
    leader.peer_mut(peer).ok_or(IgnoreReason::UnknownPeer)?.paused = false;
    Ok(())
}

/// The heartbeat is due.
pub(crate) fn on_heartbeat_timeout(core: &mut Core, leader: &mut Leader) {
    leader.heartbeat_due = true;
    let next = core.now.saturating_add(core.config.heartbeat_interval);
    core.timers.set(Deadline::Heartbeat, Some(next));
    snapshot::expire(core, leader);
}

/// Commits what a quorum holds durably, if it is of the leader's own term: an entry of an earlier
/// term may still be replaced, however many hold it (Raft paper, 5.4.2, figure 8).
pub(crate) fn settle_commit(core: &mut Core, leader: &Leader) {
    if core.commit_index == core.log.last_index() {
        return;
    }
    let own = core.disk.durable_index().get();
    let durable = leader.of_each(core.id(), own, |peer| peer.match_index.get());
    let index = LogIndex(quorum::reached(core.membership(), durable));
    if index > core.commit_index && core.log.term_at(index) == Some(core.term()) {
        core.advance_commit(index);
    }
}

/// Sends every peer what it lacks: a snapshot if the entries are gone, entries within the window,
/// the question for a sign of life if it is due, or at least the news of a commit. One round serves
/// all of it.
pub(crate) fn settle_sends(core: &mut Core, leader: &mut Leader, actions: &mut Vec<Action>) {
    let Leader { peers, newest_probe, heartbeat_due, .. } = leader;
    let mut question = None;
    let heartbeat = core::mem::take(heartbeat_due);
    for (id, peer) in peers {
        let is_level =
            peer.next_index > core.log.last_index() && peer.announced >= core.commit_index;
        if is_level && !heartbeat {
            continue;
        }
        if snapshot::is_needed(core, peer) {
            actions.push(snapshot::ask_for(core, *id, peer));
        }
        let mut sent = false;
        while let Some(free) = wants_entries(core, peer) {
            let entries = core.log.entries(peer.next_index, free);
            // The first message of a heartbeat asks, and so does one whose answer must say where
            // the logs part. All others repeat the newest question, which may have been lost.
            let asks = heartbeat && !sent || peer.phase != Phase::Replicate;
            let newest = question.or(*newest_probe);
            let asked = if asks { Some(probe(core, &mut question)) } else { newest };
            let m = compose(core, peer, entries, asked);
            peer.sent(m.last_position().index);
            actions.push(core.let_out(*id, Message::AppendEntries(m)));
            sent = true;
        }
        let announce = peer.phase == Phase::Replicate && peer.announced < core.commit_index;
        if !sent && (heartbeat || announce) {
            let asked = heartbeat.then(|| probe(core, &mut question));
            let m = compose(core, peer, Entries::new(), asked);
            actions.push(core.let_out(*id, Message::AppendEntries(m)));
        }
    }
    if question.is_some() {
        *newest_probe = question;
    }
}

/// Takes over what is missing, and drops what is in conflict; what matches already stays, for a
/// late message must not undo a newer one (Raft paper, 5.3).
fn accept(core: &mut Core, m: &AppendEntries, nth: usize) {
    let (mut before, mut skip, of) = (m.prev.index, 0, m.entries.commands());
    for run in m.entries.runs() {
        let last = before.plus(run.count());
        if let Some(new) = core.log.first_difference(before.next(), last, run.term()) {
            if new <= core.log.last_index() {
                core.truncate_from(new);
            }
            match run {
                Run::Commands { term, .. } => {
                    let known = new.since(before) - 1;
                    let part = Part { nth, skip: skip + known, of };
                    core.append_commands(*term, run.count() - known, part);
                }
                Run::Membership { term, membership } => {
                    core.append_membership(*term, Membership::clone(membership));
                }
            }
        }
        (before, skip) = (last, skip + run.commands());
    }
}

/// Whether a rejection is about what the leader believes now. A late one must not drag `next_index`
/// back.
fn is_news(peer: &Progress, seen: Round, rejected: LogPosition) -> bool {
    let in_time = seen > peer.since && rejected.index > peer.match_index;
    let believed = match peer.phase {
        Phase::Probe { .. } => rejected.index == peer.next_index.prev(),
        Phase::Replicate => rejected.index < peer.next_index,
        Phase::Snapshot { .. } => false,
    };
    in_time && believed
}

/// How many entries may be sent to the peer now, if it lacks any.
fn wants_entries(core: &Core, peer: &Progress) -> Option<u64> {
    if peer.paused || peer.next_index > core.log.last_index() {
        return None;
    }
    let config = &core.config;
    let on_their_way = peer.next_index.prev().since(peer.match_index);
    let window = match peer.phase {
        Phase::Probe { awaiting: None } => config.max_entries_per_message,
        Phase::Replicate if peer.in_flight.len() < config.max_messages_in_flight => {
            config.max_entries_in_flight.saturating_sub(on_their_way)
        }
        Phase::Probe { .. } | Phase::Replicate | Phase::Snapshot { .. } => 0,
    };
    let free = window.min(config.max_entries_per_message);
    (free > 0).then_some(free)
}

fn compose(
    core: &Core,
    peer: &mut Progress,
    entries: Entries,
    probe: Option<Probe>,
) -> AppendEntries {
    // Where the position before is compacted the peer is only asked for a sign of life, with the
    // position that every log holds.
    let prev = core.log.position_at(peer.next_index.prev()).unwrap_or(LogPosition::ZERO);
    peer.announced = peer.announced.max(core.commit_index);
    AppendEntries { prev, entries, commit: core.commit_index, probe }
}

/// The question of this call; every peer gets the same.
fn probe(core: &mut Core, question: &mut Option<Probe>) -> Probe {
    let lease = if core.has_leases() { core.config.election_timeout } else { Duration::ZERO };
    let new = || Probe { round: core.next_round(), sent_at: core.now, lease };
    *question.get_or_insert_with(new)
}
