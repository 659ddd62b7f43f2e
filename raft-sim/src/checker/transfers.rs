//! Whoever is told to take over could win: it holds all of its leader's log when it is told, and
//! while the transfer runs nothing is appended that it lacks (thesis, 3.10).
//!
//! A leader that cannot write any more tells whom it can, and steps down at once: that is no
//! transfer that it waits for.

use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use raft_core::{Input, LogPosition, Message, NodeId, RoleKind, Status, Term};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct Transfers {
    judged: u64,
    /// Whom each leader has told, in which term, and where its log ended.
    told: BTreeMap<NodeId, (Term, NodeId, LogPosition)>,
}

impl Checker for Transfers {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let id = sight.node.id;
        if matches!(sight.observed, Observed::Started | Observed::Crashed) {
            self.told.remove(&id);
        }
        let Some((before, after)) = sight.step() else { return Ok(()) };
        if after.role != RoleKind::Leader {
            self.told.remove(&id);
            return Ok(());
        }
        self.waits(sight, before, after)?;
        for envelope in sight.sent().filter(|e| e.message == Message::TimeoutNow) {
            self.judged += 1;
            self.told.insert(id, (after.term, envelope.to, after.last));
            is_level(sight, envelope.to, after)?;
        }
        Ok(())
    }
}

impl Transfers {
    /// The log of a leader that has told somebody ends where it did.
    fn waits(&mut self, sight: &Sight<'_>, before: &Status, after: &Status) -> Result<(), String> {
        let Some((term, to, last)) = self.told.get(&after.id).copied() else { return Ok(()) };
        let runs = |s: &Status| s.term == term && s.transfers_to == Some(to);
        let again = |input: &Input| matches!(input, Input::TransferLeadership { .. });
        if !runs(before) || !runs(after) || sight.inputs().iter().any(again) {
            self.told.remove(&after.id);
            return Ok(());
        }
        self.judged += 1;
        if after.last == last {
            return Ok(());
        }
        Err(format!(
            "{:?} has told {to:?} to take over at {last:?}, and appends up to {:?}",
            after.id, after.last
        ))
    }
}

/// Who is told holds all of the leader's log, if it is there, and has not heard of a later leader.
fn is_level(sight: &Sight<'_>, to: NodeId, leader: &Status) -> Result<(), String> {
    let there = sight.cluster.view(to).and_then(|view| Some((view, view.status?)));
    match there.filter(|(_, status)| status.term <= leader.term) {
        Some((view, _)) if !view.stored.covers(leader.last) => {
            Err(format!("{:?} tells {to:?} to take over, which lacks {:?}", leader.id, leader.last))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Transfers;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::position;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::send;
    use raft_core::{Input, Message, NodeId, Token};

    /// S1 leads term 1 with two entries, and transfers to S2, which has so many of them.
    fn transfers(held: usize) -> (Cluster, Transfers, Result<(), String>) {
        let (mut cluster, mut checker) = (Cluster::of(3), Transfers::default());
        cluster.node(1).leads(1).fill(&[1, 1]).durable_log();
        cluster.node(1).status.transfers_to = Some(NodeId(2));
        cluster.node(2).fill(&[1, 1][..held]).durable_log();
        let word = send(1, 2, 1, Message::TimeoutNow);
        let told = cluster.stepped(&mut checker, 1, &[word]);
        (cluster, checker, told)
    }

    #[test]
    fn who_is_told_to_take_over_holds_all_of_the_log() {
        transfers(2).2.expect("it does");
        refused(transfers(1).2, "S1 tells S2 to take over, which lacks 1/2");
    }

    #[test]
    fn nothing_is_appended_behind_its_back() {
        let grows = |inputs: &[Input], ended: bool| {
            let (mut cluster, mut checker, told) = transfers(2);
            told.expect("it holds all");
            let before = cluster.node(1).status;
            cluster.node(1).status.last = position(1, 3);
            if ended {
                cluster.node(1).status.transfers_to = None;
            }
            cluster.takes_from(&mut checker, 1, &before, inputs, &[])
        };
        refused(grows(&[], false), "appends up to 1/3");
        grows(&[], true).expect("the transfer is over");
        let again = Input::TransferLeadership { token: Token(7), to: Some(NodeId(2)) };
        grows(&[again], false).expect("another one may have begun");
    }
}
