//! Every request ends, once: a read at the latest after 2T, a transfer after T, both by the clock
//! of the node that was asked. What a node has promised to have done by its deadline may be late by
//! as long as the node was not woken.

use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use raft_core::{Action, Instant, NodeId, Token};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct RequestsEnd {
    judged: u64,
    /// What each node was asked, and when it must be over, by its clock.
    open: BTreeMap<(NodeId, Token), Instant>,
}

impl Checker for RequestsEnd {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let id = sight.node.id;
        match sight.observed {
            Observed::Asked { token, within } => {
                let until = local(sight).saturating_add(within);
                self.open.insert((id, token), until);
                Ok(())
            }
            Observed::Crashed => {
                self.open.retain(|(node, _), _| *node != id);
                Ok(())
            }
            Observed::Stepped { .. } => {
                sight.actions().iter().try_for_each(|action| self.is_over(id, action))?;
                if sight.is_whole() { self.overdue(sight) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

impl RequestsEnd {
    fn is_over(&mut self, id: NodeId, action: &Action) -> Result<(), String> {
        let (token, what) = match action {
            Action::ReadReady { token, .. } => (token, "a read"),
            Action::TransferEnded { token, .. } => (token, "a transfer"),
            Action::Rejected { token, .. } => {
                // Proposals and changes are answered at once, and not followed here.
                self.judged += u64::from(self.open.remove(&(id, *token)).is_some());
                return Ok(());
            }
            _ => return Ok(()),
        };
        match self.open.remove(&(id, *token)) {
            Some(_) => {
                self.judged += 1;
                Ok(())
            }
            None => Err(format!("{id:?} ends {what} {token:?} that is not under way")),
        }
    }

    fn overdue(&self, sight: &Sight<'_>) -> Result<(), String> {
        if self.open.is_empty() {
            return Ok(());
        }
        let (id, now) = (sight.node.id, local(sight));
        // It will be woken at once, and end it then.
        if sight.node.deadline.is_some_and(|deadline| deadline <= now) {
            return Ok(());
        }
        let mut mine = self.open.range((id, Token(0))..=(id, Token(u64::MAX)));
        match mine.find(|(_, until)| **until < now) {
            Some(((_, token), until)) => Err(format!(
                "{id:?} has not ended the request {token:?}, which is late by {:?}",
                now.saturating_since(*until)
            )),
            None => Ok(()),
        }
    }
}

fn local(sight: &Sight<'_>) -> Instant {
    Instant::from_nanos(sight.node.clock).saturating_add(sight.node.clock_offset)
}

#[cfg(test)]
mod tests {
    use super::RequestsEnd;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::refused;
    use raft_core::{Action, LogIndex, RejectReason, Token, TransferOutcome};
    use std::time::Duration;

    const TOKEN: Token = Token(7);

    /// S1 was asked to read within a second.
    fn asked() -> (Cluster, RequestsEnd) {
        let (mut cluster, mut checker) = (Cluster::of(3), RequestsEnd::default());
        cluster.asked(&mut checker, 1, TOKEN, Duration::from_secs(1)).expect("a request");
        (cluster, checker)
    }

    #[test]
    fn each_way_to_end() {
        let ready = Action::ReadReady { token: TOKEN, index: LogIndex(1) };
        let rejected = Action::Rejected { token: TOKEN, reason: RejectReason::TimedOut };
        let transferred =
            Action::TransferEnded { token: TOKEN, outcome: TransferOutcome::TimedOut };
        for end in [ready, rejected, transferred] {
            let (mut cluster, mut checker) = asked();
            cluster.stepped(&mut checker, 1, &[end]).expect("it ends");
            cluster.node(1).clock = 2_000_000_000;
            cluster.stepped(&mut checker, 1, &[]).expect("it has ended");
        }
    }

    #[test]
    fn one_that_does_not_end() {
        let (mut cluster, mut checker) = asked();
        cluster.node(1).clock = 1_000_000_000;
        cluster.stepped(&mut checker, 1, &[]).expect("not yet");
        cluster.node(1).clock = 1_000_000_001;
        refused(cluster.stepped(&mut checker, 1, &[]), "has not ended the request #7");
        cluster.stepped(&mut checker, 2, &[]).expect("another node");
    }

    #[test]
    fn one_that_ends_twice_or_was_never_asked() {
        let ready = Action::ReadReady { token: TOKEN, index: LogIndex(1) };
        let (mut cluster, mut checker) = asked();
        cluster.stepped(&mut checker, 1, std::slice::from_ref(&ready)).expect("once");
        let again = cluster.stepped(&mut checker, 1, std::slice::from_ref(&ready));
        refused(again, "that is not under way");
        let (mut cluster, mut checker) = asked();
        refused(cluster.stepped(&mut checker, 2, &[ready]), "that is not under way");
    }
}
