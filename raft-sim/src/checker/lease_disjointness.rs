//! While a node holds a lease, nobody leads a later term (thesis, 6.4.1): at no moment may two
//! nodes serve lease reads of different terms.
//!
//! A lease is judged on the clock that a read would be answered by: what it shows now, jumps and
//! all. A clock that shows less than in the last step makes the node wait, so there is no lease.
//! It holds as long as every clock keeps within the drift bound, and jumps only where its node sees
//! it. After that, what is broken is counted, until no lease rests on that clock any more.

use crate::checker::sight::{Checker, Sight, View};
use raft_core::{NodeId, RoleKind, Status, Term};
use std::collections::BTreeSet;

#[derive(Clone, Default, Debug)]
pub(super) struct LeaseDisjointness {
    judged: u64,
    /// Who leads.
    leaders: BTreeSet<NodeId>,
    /// Of which terms a lease was broken by which later one, where a clock had deceived its node.
    broken: BTreeSet<(Term, Term)>,
}

impl LeaseDisjointness {
    /// How many leases were broken where a clock had deceived its node.
    pub(super) fn broken(&self) -> u64 {
        u64::try_from(self.broken.len()).expect("a few terms")
    }
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
        if self.leaders.len() < 2 {
            return Ok(());
        }
        let mine = holds(&sight.node, leader);
        for other in self.leaders.iter().filter(|id| **id != sight.node.id) {
            let Some(view) = sight.cluster.view(*other) else { continue };
            let Some(other) = view.status else { continue };
            self.judged += u64::from(sight.leases_hold);
            let (older, newer) = (other.term < leader.term, other.term > leader.term);
            if older && holds(&view, other) || newer && mine {
                let (held, led) = if older { (other, leader) } else { (leader, other) };
                if !sight.leases_hold {
                    self.broken.insert((held.term, led.term));
                    continue;
                }
                return Err(format!(
                    "{:?} holds a lease in term {}, while {:?} leads term {}",
                    held.id, held.term, led.id, led.term
                ));
            }
        }
        Ok(())
    }
}

/// Whether a read that comes now would be answered by a lease.
fn holds(view: &View<'_>, status: &Status) -> bool {
    let is_behind = view.local < view.told;
    !is_behind && status.lease_until.is_some_and(|until| view.local < until)
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
        cluster.node(1).local = Instant::from_nanos(1_000_000_000);
        both(&mut cluster, 2).expect("the lease is over");
    }

    #[test]
    fn a_later_leader_within_a_lease() {
        let mut cluster = held();
        cluster.node(2).leads(3);
        cluster.node(1).local = Instant::from_nanos(999_999_999);
        let sentence = "S1 holds a lease in term 2, while S2 leads term 3";
        refused(both(&mut cluster, 2), sentence);
        refused(both(&mut cluster, 1), sentence);
    }

    #[test]
    fn what_a_clock_deceived_its_node_about_is_counted_once_for_each_pair_of_terms() {
        let mut cluster = held();
        cluster.node(2).leads(3);
        cluster.leases_hold = false;
        let mut checker = LeaseDisjointness::default();
        for id in [1, 2, 1] {
            cluster.stepped(&mut checker, id, &[]).expect("nothing is promised then");
        }
        assert_eq!((checker.broken(), checker.judged), (1, 0));
        cluster.leases_hold = true;
        refused(cluster.stepped(&mut checker, 2, &[]), "S1 holds a lease in term 2");
    }

    #[test]
    fn a_lease_is_read_off_what_the_clock_shows_and_off_none_that_is_behind() {
        let mut cluster = held();
        cluster.node(2).leads(3);
        // So much has passed by it, but it has gone back since, and its node has not seen that.
        cluster.node(1).clock = 2_000_000_000;
        cluster.node(1).local = Instant::from_nanos(500_000_000);
        cluster.node(1).told = Instant::from_nanos(500_000_000);
        refused(both(&mut cluster, 2), "S1 holds a lease in term 2");
        cluster.node(1).told = Instant::from_nanos(500_000_001);
        both(&mut cluster, 2).expect("the next step sees that the clock has gone back");
    }
}
