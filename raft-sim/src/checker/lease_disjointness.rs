//! While a node holds a lease, nobody leads a later term (thesis, 6.4.1): at no moment may two
//! nodes serve lease reads of different terms. It holds as long as all clocks keep within the drift
//! bound.

use crate::checker::sight::Checker;
use crate::checker::sight::Sight;
use crate::checker::sight::View;
use raft_core::{Instant, NodeId, RoleKind, Status};
use std::collections::BTreeSet;

#[derive(Clone, Default, Debug)]
pub(super) struct LeaseDisjointness {
    judged: u64,
    /// Who leads.
    leaders: BTreeSet<NodeId>,
}

impl Checker for LeaseDisjointness {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let Some(leader) = sight.node.status.filter(|s| s.role == RoleKind::Leader) else {
            self.leaders.remove(&sight.node.id);
            return Ok(());
        };
        self.leaders.insert(sight.node.id);
        if !sight.clocks_hold || self.leaders.len() < 2 {
            return Ok(());
        }
        let mine = holds(&sight.node, leader);
        for other in self.leaders.iter().filter(|id| **id != sight.node.id) {
            let Some(view) = sight.cluster.view(*other) else { continue };
            let Some(other) = view.status else { continue };
            self.judged += 1;
            let (older, newer) = (other.term < leader.term, other.term > leader.term);
            if older && holds(&view, other) || newer && mine {
                let (held, led) = if older { (other, leader) } else { (leader, other) };
                return Err(format!(
                    "{:?} holds a lease in term {}, while {:?} leads term {}",
                    held.id, held.term, led.id, led.term
                ));
            }
        }
        Ok(())
    }
}

/// Whether a lease is in force, by the clock of its node.
fn holds(view: &View<'_>, status: &Status) -> bool {
    let local = Instant::from_nanos(view.clock).saturating_add(view.clock_offset);
    status.lease_until.is_some_and(|until| local < until)
}

#[cfg(test)]
mod tests {
    use super::LeaseDisjointness;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::refused;
    use raft_core::Instant;

    /// S1 holds a lease in term 2 for a second, by its own clock.
    fn held() -> Cluster {
        let mut cluster = Cluster::of(3);
        let until = Some(Instant::from_nanos(1_000_000_000));
        cluster.node(1).leads(2).status.lease_until = until;
        cluster
    }

    /// Both leaders are seen, S1 first.
    fn both(cluster: &mut Cluster, last: u64) -> Result<(), String> {
        let mut checker = LeaseDisjointness::default();
        cluster.stepped(&mut checker, 3 - last, &[]).expect("the only leader that was seen");
        cluster.stepped(&mut checker, last, &[])
    }

    #[test]
    fn a_lease_that_is_over_or_the_only_one() {
        let mut cluster = held();
        both(&mut cluster, 2).expect("the only leader");
        cluster.node(2).leads(3);
        cluster.node(1).clock = 1_000_000_000;
        both(&mut cluster, 2).expect("the lease is over");
    }

    #[test]
    fn a_later_leader_within_a_lease() {
        let mut cluster = held();
        cluster.node(2).leads(3);
        cluster.node(1).clock = 999_999_999;
        let sentence = "S1 holds a lease in term 2, while S2 leads term 3";
        refused(both(&mut cluster, 2), sentence);
        refused(both(&mut cluster, 1), sentence);
        cluster.clocks_hold = false;
        both(&mut cluster, 2).expect("nothing is promised then");
    }
}
