//! What several checkers need to know of an event, derived once.

use crate::checker::by_id::ById;
use crate::checker::sight::{Observed, Sight};
use crate::checker::writes::Writes;

/// Follows all nodes.
#[derive(Clone, Default, Debug)]
pub(super) struct Derived {
    writes: ById<Writes>,
}

impl Derived {
    /// The next event, with what is derived of it.
    pub(super) fn see<'a>(&'a mut self, sight: &Sight<'a>) -> Sight<'a> {
        let writes = self.writes.entry(sight.node.id);
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
        Sight { writes, ..*sight }
    }
}
