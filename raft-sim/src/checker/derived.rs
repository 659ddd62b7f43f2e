//! What several checkers need to know of an event, derived once.

use crate::checker::by_id::ById;
use crate::checker::sight::{Observed, Sight};
use crate::checker::writes::Writes;
use raft_core::Instant;

/// Follows all nodes.
#[derive(Clone, Default, Debug)]
pub(super) struct Derived {
    writes: ById<Writes>,
    times: ById<Instant>,
}

impl Derived {
    /// The next event, with what is derived of it.
    pub(super) fn see<'a>(&'a mut self, sight: &Sight<'a>) -> Sight<'a> {
        let (writes, time) = (self.writes.entry(sight.node.id), self.times.entry(sight.node.id));
        // What the process knew of the time is gone with it, too.
        if matches!(sight.observed, Observed::Started | Observed::Crashed) {
            *time = Instant::ZERO;
        }
        *time = sight.node.told.max(*time);
        match sight.observed {
            Observed::Stepped { inputs, actions, whole: true, .. } => {
                writes.step(inputs, actions, sight.node.clock);
            }
            // What the process knew is gone.
            Observed::Stepped { .. } | Observed::Started | Observed::Crashed => {
                *writes = Writes::default();
            }
            _ => {}
        }
        Sight { writes, time: *time, ..*sight }
    }
}
