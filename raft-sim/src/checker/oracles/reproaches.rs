//! The properties of what nodes say of one another and refuse, word by word.

use crate::checker::oracles::history::Seen;
use raft_core::{Action, IgnoreReason as R, Input};

/// What is sent is possible, true, and meant for whom it reaches; nobody says otherwise of it.
pub(super) fn accusations(_: &[Seen], now: &Seen) -> bool {
    let members: Vec<_> = now.nodes.keys().copied().filter(|id| *id != now.id).collect();
    now.actions().iter().all(|action| match action {
        Action::PeerRegressed { .. } => false,
        Action::Ignored { from, reason } => {
            let invented = now.inputs().iter().any(|input| match input {
                Input::Message(e) => {
                    *from == Some(e.from) && (e.to != now.id || !members.contains(&e.from))
                }
                _ => false,
            });
            invented
                || match reason {
                    R::Stale | R::UnknownPeer | R::UnknownVoter | R::CannotCompact(_) => true,
                    R::Overloaded | R::TooManyReads | R::LeaderAlive | R::NotAVoter => true,
                    R::AlreadyCampaigning | R::DiskHangs | R::Installing => true,
                    R::LastTerm | R::LogFull => true,
                    _ => false,
                }
        }
        _ => true,
    })
}
