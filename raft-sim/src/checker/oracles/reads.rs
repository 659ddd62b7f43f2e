//! The property of reads that can be answered, word by word.

use crate::checker::oracles::definitions::step;
use crate::checker::oracles::duties::time;
use crate::checker::oracles::history::{Recorded, Seen};
use crate::checker::sight::is_quorum;
use raft_core::{Action, Consistency, Input, Message, NodeId, RejectReason, RoleKind, Term, Token};
use std::collections::BTreeSet;

/// "A read that can be answered is answered."
pub(super) fn reads(past: &[Seen], now: &Seen) -> bool {
    if step(now).is_none() || !now.is_whole() {
        return true;
    }
    let mine: Vec<&Seen> = past.iter().chain([now]).filter(|seen| seen.id == now.id).collect();
    let is_end = |seen: &&Seen| matches!(seen.what, Recorded::Started | Recorded::Crashed);
    let born = mine.iter().rposition(is_end).map_or(0, |at| at + 1);
    let is_step = |seen: &&Seen| step(seen).is_some() && seen.is_whole();
    let steps: Vec<&Seen> = mine[born..].iter().copied().filter(is_step).collect();
    is_answered(past, now) && keeps(past, &steps, now)
}

/// The term that it leads, if it has done so throughout, and has committed something of it before.
fn leads(seen: &Seen) -> Option<Term> {
    let (before, after) = step(seen)?;
    let committed = seen.node().log.position(before.commit_index)?;
    let throughout = [before, after]
        .iter()
        .all(|status| status.role == RoleKind::Leader && status.term == committed.term);
    throughout.then_some(committed.term)
}

fn is_answered(past: &[Seen], now: &Seen) -> bool {
    let (before, after) = step(now).expect("a step");
    let answers = |of: Option<Token>| {
        now.actions().iter().any(|action| match action {
            Action::ReadReady { token, .. } | Action::Rejected { token, .. } => {
                of.is_none() || of == Some(*token)
            }
            Action::Ignored { .. } => true,
            _ => false,
        })
    };
    match now.inputs() {
        [Input::Read { token, consistency: Consistency::Lease }] => {
            let leased = after.lease_until.is_some_and(|until| time(past, now) < until);
            leads(now).is_none() || !leased || answers(Some(*token))
        }
        [Input::Message(e)] if matches!(e.message, Message::ReadIndexResponse(_)) => {
            let follows = before.role == RoleKind::Follower && before.leader == Some(e.from);
            !follows || before.term != e.term || answers(None)
        }
        _ => true,
    }
}

/// The steps of this reign, without a gap, the last one included.
fn reign<'a>(steps: &[&'a Seen], term: Term) -> Vec<&'a Seen> {
    let rules = |seen: &&Seen| leads(seen) == Some(term) && seen.node().node.is_some();
    let mut found: Vec<&Seen> = steps.iter().rev().copied().take_while(rules).collect();
    found.reverse();
    found
}

fn keeps(past: &[Seen], steps: &[&Seen], now: &Seen) -> bool {
    let Some(term) = leads(now) else { return true };
    let (reign, Some(node)) = (reign(steps, term), &now.node().node) else { return true };
    let before = reign.iter().rev().nth(1).and_then(|seen| Some(&seen.node().node.as_ref()?.peers));
    let known = before.map_or(&[][..], |peers| peers);
    // What a reign of the same term before this one has seen counts, too: it is one leadership.
    let lost = steps.iter().filter(|seen| leads(seen).is_some() && seen.node().node.is_some());
    let lost = lost.rev().take_while(|seen| leads(seen) == Some(term)).any(|seen| {
        seen.actions().iter().any(|action| matches!(action, Action::PeerRegressed { .. }))
    });
    let mut given_up: BTreeSet<Token> = BTreeSet::new();
    now.actions().iter().all(|action| {
        let (name, is_late) = match action {
            Action::ReadReady { token, .. } => (*token, false),
            Action::Rejected { token, reason } => (*token, *reason == RejectReason::TimedOut),
            _ => return true,
        };
        if !given_up.insert(name) || !is_late || lost {
            return true;
        }
        let asks = |seen: &Seen| {
            let is_it = |i: &Input| matches!(i, Input::Read { token, .. } if *token == name);
            seen.inputs().iter().any(is_it)
        };
        let ends = |seen: &Seen| {
            seen.actions().iter().any(|action| match action {
                Action::ReadReady { token, .. } | Action::Rejected { token, .. } => *token == name,
                _ => false,
            })
        };
        let Some(nth) = reign.iter().rposition(|seen| asks(seen)) else { return true };
        let asked = reign[nth];
        let ended = reign[nth..reign.len() - 1].iter().any(|seen| ends(seen));
        if ended || asked.node().membership != now.node().membership {
            return true;
        }
        let served = time(past, asked).saturating_add(node.config.election_timeout);
        let heard = known.iter().filter(|peer| peer.heard_at >= served).map(|peer| peer.id);
        let heard: BTreeSet<NodeId> = heard.chain([now.id]).collect();
        !is_quorum(&now.node().membership, &heard)
    })
}
