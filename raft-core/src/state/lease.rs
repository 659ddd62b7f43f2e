//! What this node has promised to its leaders (thesis, 4.2.3 and 6.4.1).

use crate::message::Permit;
use crate::types::{Instant, NodeId, Term};
use core::time::Duration;

/// For how long this node gives no vote, its own included, and to whom it promised that.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Lease {
    /// Before this moment no vote is given.
    until: Instant,
    /// The term in which it was promised. What an earlier life promised counts as promised in the
    /// term that it left.
    term: Term,
    /// The leader; `None` for what an earlier life promised.
    leader: Option<NodeId>,
    /// When every promise is over that is longer than half of the longest one.
    long_until: Instant,
    /// The longest of the other promises.
    short: Duration,
}

impl Lease {
    /// After a restart: an earlier life may have promised so much a moment ago.
    pub(crate) const fn recovered(now: Instant, promised: Duration, term: Term) -> Self {
        let until = now.saturating_add(promised);
        Self { until, term, leader: None, long_until: until, short: Duration::ZERO }
    }

    /// Whether every number of it can be: for what was written down.
    #[cfg(feature = "serde")]
    pub(crate) fn is_in_range(&self, latest: Instant, current: Term) -> bool {
        use crate::types::LIMIT;
        let moments = self.until <= latest && self.long_until <= latest;
        let leader = self.leader.is_none_or(|leader| leader.get() <= LIMIT);
        moments && leader && self.term <= current
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    /// The moment at which it is over.
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// The leader that it is with, and the term; `None` after a restart.
    pub(crate) fn holder(&self) -> Option<Permit> {
        self.leader.map(|leader| Permit { leader, term: self.term })
    }

    /// A leader of `term` asks for a lease. A later term than that of the promise proves that it is
    /// over: a quorum has voted since, and some node of it had made the same promise and kept it.
    pub(crate) fn ask(&mut self, term: Term) {
        if term > self.term {
            self.until = Instant::ZERO;
        }
    }

    /// The leader was heard, and gets no vote to another for `lease`. Within a term the longest
    /// stays.
    pub(crate) fn extend(&mut self, leader: NodeId, term: Term, now: Instant, lease: Duration) {
        let until = now.saturating_add(lease);
        if until >= self.until {
            (self.until, self.leader, self.term) = (until, Some(leader), term);
        }
    }

    /// `lease` is promised. Returns the longest promise, in the place of `longest`, that must
    /// survive a crash.
    pub(crate) fn promise(&mut self, lease: Duration, longest: Duration, now: Instant) -> Duration {
        let over_at = now.saturating_add(lease);
        if lease > longest {
            // Whatever was promised before is shorter, and over before this is.
            (self.long_until, self.short) = (over_at, Duration::ZERO);
            return lease;
        }
        if lease > longest / 2 {
            self.long_until = self.long_until.max(over_at);
        } else {
            self.short = self.short.max(lease);
        }
        longest
    }

    /// What must survive a crash when every promise is over that is longer than half of `longest`,
    /// an earlier life's too: the longest of the others. (Only by half or more, so that a change of
    /// leader costs no write.)
    pub(crate) fn lower(&mut self, longest: Duration, now: Instant) -> Duration {
        if self.long_until > now {
            return longest;
        }
        let lowered = core::mem::take(&mut self.short);
        self.long_until = now.saturating_add(lowered);
        lowered
    }
}

#[cfg(test)]
mod tests {
    use super::Lease;
    use crate::types::{Instant, Term};
    use alloc::vec::Vec;
    use core::time::Duration;
    use proptest::prelude::*;

    const fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    const fn of(nanos: u64) -> Duration {
        Duration::from_nanos(nanos)
    }

    proptest! {
        #[test]
        fn what_is_kept_for_a_restart_is_never_less_than_a_promise_that_is_not_over(
            before in 0_u64..100,
            asks in prop::collection::vec((1_u64..100, 0_u64..60, any::<bool>()), 1..40),
        ) {
            let mut lease = Lease::recovered(at(0), of(before), Term(1));
            let (mut now, mut longest, mut given) = (0, of(before), Vec::from([before]));
            for (asked, wait, lowers) in asks {
                now += wait;
                longest = lease.promise(of(asked), longest, at(now));
                if lowers {
                    longest = lease.lower(longest, at(now));
                }
                given.push(asked + now);
                prop_assert!(longest >= of(asked));
                let rest = given.iter().map(|until| until.saturating_sub(now)).max();
                prop_assert!(longest >= of(rest.unwrap_or(0)), "{longest:?} of {rest:?}");
            }
        }
    }

    #[test]
    fn one_long_promise_is_forgotten_when_it_is_over() {
        let mut lease = Lease::recovered(at(0), of(100), Term(1));
        let mut ask = |lasts, longest, now| {
            let longest = lease.promise(of(lasts), of(longest), at(now));
            lease.lower(longest, at(now))
        };
        assert_eq!(ask(10, 100, 99), of(100));
        assert_eq!(ask(8, 100, 100), of(10), "10 is not over yet");
        assert_eq!(ask(6, 10, 200), of(10), "not worth a write");
        assert_eq!(ask(5, 10, 300), of(5));
    }
}
