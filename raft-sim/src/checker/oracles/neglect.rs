//! What a node leaves undone, put into a run as it was.

use crate::checker::fixture::TestNode;
use crate::checker::oracles::history::{History, Recorded, Seen};
use crate::plan::choice::{Choices, Question};
use raft_core::{
    Action, Input, Instant, LogIndex, LogPosition, Message, PeerPhase, RejectReason, RoleKind,
};
use std::rc::Rc;
use std::time::Duration;

/// Something that a node was to do, from some event on, it does not.
pub(super) fn neglect(history: &mut History, choices: &mut Choices) {
    let mut below = |bound: usize| {
        let bound = u64::try_from(bound).expect("small");
        usize::try_from(choices.below(Question::Setup, bound)).expect("small")
    };
    let nth = below(history.len());
    let (rest, dice) = (&mut history[nth..], below(64));
    let neglects = [pause, hold_no_lease, promise_nothing, answer_no_read, have_no_effect];
    neglects[below(neglects.len())](rest, dice);
}

/// A leader is told of a peer that it takes nothing, or of nothing that was told it any more.
fn pause(rest: &mut [Seen], dice: usize) {
    let forgets = dice.is_multiple_of(2);
    for seen in rest {
        let peers = seen.node().node.as_ref().map_or(&[][..], |node| &node.peers);
        let peer = (!peers.is_empty()).then(|| peers[dice % peers.len()].id);
        let Recorded::Stepped { inputs, .. } = &mut seen.what else { continue };
        if forgets && inputs.iter().any(tells) {
            return inputs.retain(|input| !tells(input));
        }
        if let Some(peer) = peer.filter(|_| !forgets) {
            return inputs.push(Input::PeerPaused { peer, after: LogIndex::ZERO });
        }
    }
}

/// Whether the runtime says something.
fn tells(input: &Input) -> bool {
    !matches!(input, Input::Message(_) | Input::Wake | Input::Persisted { .. })
}

fn node(seen: &mut Seen) -> &mut TestNode {
    Rc::make_mut(seen.nodes.get_mut(&seen.id).expect("it exists"))
}

/// A leader shows no lease.
fn hold_no_lease(rest: &mut [Seen], dice: usize) {
    let holds = |seen: &&mut Seen| {
        let hears = seen.inputs().iter().any(|input| matches!(input, Input::Message(_)));
        hears && seen.node().status.lease_until.is_some()
    };
    for seen in rest.iter_mut().filter(holds).take(1 + dice % 4) {
        node(seen).status.lease_until = None;
    }
}

/// A follower promises nothing, or gives no promise to its disk.
fn promise_nothing(rest: &mut [Seen], dice: usize) {
    for seen in rest {
        let Recorded::Stepped { actions, .. } = &mut seen.what else { continue };
        for action in actions {
            match action {
                Action::Send(envelope) if dice.is_multiple_of(2) => {
                    if let Message::AppendEntriesResponse(m) = &mut envelope.message
                        && let Some(echo) = m.echo.as_mut().filter(|e| !e.promised.is_zero())
                    {
                        return echo.promised = Duration::ZERO;
                    }
                }
                Action::Persist(write) if !dice.is_multiple_of(2) => {
                    let promises = write.hard_state.as_mut().filter(|s| !s.promised.is_zero());
                    if let Some(hard_state) = promises {
                        return hard_state.promised = Duration::ZERO;
                    }
                }
                _ => {}
            }
        }
    }
}

/// A read is not answered, or given up though everybody has confirmed it.
fn answer_no_read(rest: &mut [Seen], dice: usize) {
    let ready = |action: &Action| matches!(action, Action::ReadReady { .. });
    let Some(at) = rest.iter().position(|seen| seen.actions().iter().any(ready)) else { return };
    let forgets = dice.is_multiple_of(2);
    let id = rest[at].id;
    for seen in rest[..at].iter_mut().filter(|seen| !forgets && seen.id == id) {
        for known in node(seen).node.iter_mut().flat_map(|node| &mut node.peers) {
            known.heard_at = Instant::MAX;
        }
    }
    let seen = &mut rest[at];
    let Recorded::Stepped { actions, .. } = &mut seen.what else { return };
    if forgets {
        return actions.retain(|action| !ready(action));
    }
    for action in actions {
        if let Action::ReadReady { token, .. } = *action {
            *action = Action::Rejected { token, reason: RejectReason::TimedOut };
        }
    }
}

/// What the runtime has said is forgotten at once.
fn have_no_effect(rest: &mut [Seen], _: usize) {
    let told = |seen: &&mut Seen| seen.inputs().iter().any(tells) && seen.is_whole();
    let Some(seen) = rest.iter_mut().find(told) else { return };
    let node = node(seen);
    node.status.log_start = LogPosition::ZERO;
    if node.status.role != RoleKind::Leader {
        node.status.role = RoleKind::Follower;
    }
    for peer in node.node.iter_mut().flat_map(|node| &mut node.peers) {
        peer.phase = match peer.phase {
            PeerPhase::Probe => PeerPhase::Replicate,
            PeerPhase::Replicate | PeerPhase::Snapshot => PeerPhase::Snapshot,
        };
    }
}
