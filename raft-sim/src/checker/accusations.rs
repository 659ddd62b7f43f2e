//! Nobody is accused who has done nothing wrong.
//!
//! A node says so when a message cannot be, or contradicts what it knows: one of the two is broken
//! then, or has lost its disk. A message that was sent as it came, however late and however often,
//! can deserve no such word. So each is wrong, here or there, unless the message itself is a lie.
//! That can be seen: the simulator lies in nobody's name who might have said it (`world/hostile.rs`
//! says why). A disk that has forgotten what was durable is no excuse either: its node does not
//! start again, or `term_and_vote` objects when it does.
//!
//! What is late, repeated, from somebody who was removed, or too early for the state of the node,
//! is no accusation: `Stale`, `UnknownPeer`, `UnknownVoter`, `CannotCompact`, and the refusals of
//! what an operator asks for.

use crate::checker::sight::Checker;
use crate::checker::sight::Sight;
use raft_core::{Action, IgnoreReason, Input, NodeId};

#[derive(Clone, Default, Debug)]
pub(super) struct Accusations {
    judged: u64,
}

impl Checker for Accusations {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let id = sight.node.id;
        for action in sight.actions() {
            match action {
                Action::PeerRegressed { peer, acknowledged, rejected } => {
                    return Err(format!(
                        "{id:?} says that {peer:?} has lost what it had acknowledged up to \
                         {acknowledged}, for it rejects {rejected}; no disk has"
                    ));
                }
                Action::Ignored { from, reason } => {
                    let lied = from.is_some_and(|from| is_lied_to(sight, from));
                    self.judged += u64::from(!lied);
                    if !lied && accuses(reason) {
                        let of = from.map_or("its host".to_owned(), |from| format!("{from:?}"));
                        return Err(format!("{id:?} says of {of}: {reason}; nobody has lied"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether somebody must have done something wrong for this to be said.
const fn accuses(reason: &IgnoreReason) -> bool {
    matches!(
        reason,
        IgnoreReason::Misrouted
            | IgnoreReason::Malformed
            | IgnoreReason::MalformedEntries(_)
            | IgnoreReason::Contradiction { .. }
            | IgnoreReason::SecondLeader { .. }
            | IgnoreReason::ImpossibleAcknowledgement { .. }
            | IgnoreReason::UnknownSnapshot
            | IgnoreReason::UnknownTicket
            | IgnoreReason::ClockOutOfRange
            | IgnoreReason::TermTooFarAhead { .. }
            | IgnoreReason::LostLog
    )
}

/// Whether the step took in a message, in the name of this node, that nobody can have sent to it.
fn is_lied_to(sight: &Sight<'_>, name: NodeId) -> bool {
    let id = sight.node.id;
    sight.inputs().iter().any(|input| match input {
        Input::Message(envelope) if envelope.from == name => {
            envelope.to != id || name == id || sight.cluster.view(name).is_none()
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::Accusations;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::matched;
    use crate::checker::fixture::refused;
    use raft_core::{Action, EntriesError, IgnoreReason, Input, LogIndex, NodeId, Term};

    /// An acknowledgement of S2, as it comes in.
    fn acknowledgement(from: u64, to: u64) -> Input {
        match matched(from, to, 1, 1, None) {
            Action::Send(envelope) => Input::Message(envelope),
            _ => unreachable!("it is a message"),
        }
    }

    fn of_s2(reason: IgnoreReason) -> Action {
        Action::Ignored { from: Some(NodeId(2)), reason }
    }

    #[test]
    fn each_accusation_of_a_message_that_was_sent() {
        let (match_index, last) = (LogIndex(2), LogIndex(1));
        for reason in [
            IgnoreReason::Misrouted,
            IgnoreReason::Malformed,
            IgnoreReason::MalformedEntries(EntriesError::EmptyRun),
            IgnoreReason::Contradiction { at: LogIndex(1) },
            IgnoreReason::SecondLeader { first: NodeId(3) },
            IgnoreReason::ImpossibleAcknowledgement { match_index, last },
            IgnoreReason::ClockOutOfRange,
            IgnoreReason::TermTooFarAhead { term: Term(9), current: Term(1) },
            IgnoreReason::LostLog,
        ] {
            let (mut cluster, mut checker) = (Cluster::of(3), Accusations::default());
            let took = [acknowledgement(2, 1)];
            refused(cluster.takes(&mut checker, 1, &took, &[of_s2(reason)]), "S1 says of S2: ");
        }
    }

    #[test]
    fn accusations_of_the_host() {
        for reason in [IgnoreReason::UnknownTicket, IgnoreReason::UnknownSnapshot] {
            let (mut cluster, mut checker) = (Cluster::of(3), Accusations::default());
            let said = [Action::Ignored { from: None, reason }];
            refused(cluster.takes(&mut checker, 1, &[], &said), "S1 says of its host: ");
        }
    }

    #[test]
    fn a_loss_that_was_none() {
        let (mut cluster, mut checker) = (Cluster::of(3), Accusations::default());
        let (acknowledged, rejected) = (LogIndex(4), LogIndex(3));
        let regressed = Action::PeerRegressed { peer: NodeId(2), acknowledged, rejected };
        refused(cluster.stepped(&mut checker, 1, &[regressed]), "it rejects 3; no disk has");
    }

    #[test]
    fn what_is_late_or_from_somebody_who_was_removed() {
        let (mut cluster, mut checker) = (Cluster::of(3), Accusations::default());
        for reason in [IgnoreReason::Stale, IgnoreReason::UnknownPeer, IgnoreReason::UnknownVoter] {
            let took = [acknowledgement(2, 1)];
            let said = cluster.takes(&mut checker, 1, &took, &[of_s2(reason)]);
            said.expect("it accuses nobody");
        }
    }

    #[test]
    fn a_lie_is_called_one_and_excuses_no_other_accusation() {
        let (mut cluster, mut checker) = (Cluster::of(3), Accusations::default());
        let said = |from| {
            let reason = IgnoreReason::Malformed;
            [Action::Ignored { from: Some(NodeId(from)), reason }]
        };
        // To somebody else, in the node's own name, and in that of nobody.
        for (from, to) in [(2, 3), (1, 1), (9, 1)] {
            let lie = acknowledgement(from, to);
            let both = [lie, acknowledgement(3, 1)];
            cluster.takes(&mut checker, 1, &both, &said(from)).expect("it is a lie");
            refused(cluster.takes(&mut checker, 1, &both, &said(3)), "S1 says of S3: ");
        }
    }
}
