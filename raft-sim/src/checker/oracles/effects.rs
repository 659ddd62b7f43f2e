//! The property of what a node takes without a refusal, word by word.

use crate::checker::oracles::definitions::step;
use crate::checker::oracles::history::{Recorded, Seen};
use raft_core::{
    Action, Envelope, Input, Message, NodeId, Outcome, PeerPhase, PeerStatus, RoleKind, Term,
};

/// "What is not refused has its effect, and what takes nothing is sent nothing."
pub(super) fn effects(past: &[Seen], now: &Seen) -> bool {
    if step(now).is_none() || !now.is_whole() {
        return true;
    }
    let mut carriers = now.sent().filter(|envelope| carries(envelope));
    let is_refusal = |action: &Action| matches!(action, Action::Ignored { from: None, .. });
    !carriers.any(|envelope| is_paused(past, now, envelope.to))
        && (now.actions().iter().any(is_refusal)
            || now.inputs().iter().all(|input| has_effect(now, input)))
}

fn carries(envelope: &Envelope) -> bool {
    match &envelope.message {
        Message::AppendEntries(m) => !m.entries.is_empty(),
        _ => false,
    }
}

/// The term that it leads before and after.
fn leads(seen: &Seen) -> Option<Term> {
    let (before, after) = step(seen)?;
    let both = [before, after].map(|s| (s.role == RoleKind::Leader).then_some(s.term));
    both[0].filter(|_| both[0] == both[1] && seen.node().node.is_some())
}

fn peer(seen: &Seen, id: NodeId) -> Option<PeerStatus> {
    let peers = &seen.node().node.as_ref()?.peers;
    peers.iter().find(|peer| peer.id == id).copied()
}

/// Whether the last word about this peer, in this leadership, is that it takes nothing.
fn is_paused(past: &[Seen], now: &Seen, id: NodeId) -> bool {
    let term = leads(now);
    let mine = past.iter().chain([now]).rev().filter(|seen| seen.id == now.id);
    let life = mine.take_while(|s| !matches!(s.what, Recorded::Started | Recorded::Crashed));
    let steps = life.filter(|seen| step(seen).is_some());
    let reign = steps.take_while(|seen| leads(seen) == term && peer(seen, id).is_some());
    let mut said = reign.flat_map(|seen| {
        seen.inputs().iter().rev().filter_map(|input| match input {
            Input::PeerPaused { peer, .. } if *peer == id => Some(true),
            Input::PeerResumed { peer } if *peer == id => Some(false),
            _ => None,
        })
    });
    term.is_some() && said.next() == Some(true)
}

fn has_effect(now: &Seen, input: &Input) -> bool {
    let (before, after) = step(now).expect("a step");
    let is_alone = now.inputs().len() == 1;
    let known = |id| peer(now, id).filter(|_| is_alone && leads(now).is_some());
    match *input {
        Input::Campaign => !is_alone || after.role != RoleKind::Follower,
        Input::SnapshotTaken { position } => position.index <= after.log_start.index,
        Input::SnapshotInstalled { position, outcome: Outcome::Done } => {
            let lowest = after.log_start.index.min(after.commit_index).min(after.last_applied);
            position.index <= lowest && after.installing != Some(position)
        }
        Input::SnapshotInstalled { outcome: Outcome::Failed, .. } if is_alone => {
            after.installing.is_none()
                && after.log_start == before.log_start
                && after.last == before.last
                && after.commit_index == before.commit_index
        }
        Input::SnapshotSent { to, .. } => known(to).is_none_or(|p| p.phase != PeerPhase::Snapshot),
        Input::PeerUnreachable { peer } => known(peer).is_none_or(|p| {
            let sends = now.sent().any(|sent| sent.to == peer && carries(sent));
            p.phase != PeerPhase::Replicate && !sends
        }),
        Input::PeerPaused { peer, after } => known(peer).is_none_or(|p| {
            p.phase == PeerPhase::Probe || p.sent_through <= after.max(p.match_index)
        }),
        _ => true,
    }
}
