//! What the checkers are shown, and what they say.

use crate::checker::history::seen::{Doubt, History};
use crate::checker::sight::{Cluster, Happening, Sight, View};
use crate::plan::record::Violation;
use crate::world::World;
use crate::world::host::Host;
use raft_core::{Instant, NodeId};
use std::collections::BTreeMap;

/// The hosts as the checkers look at them.
#[derive(Debug)]
struct Hosts<'a> {
    hosts: &'a BTreeMap<NodeId, Host>,
    now: Instant,
}

impl Cluster for Hosts<'_> {
    fn view(&self, id: NodeId) -> Option<View<'_>> {
        Some(self.hosts.get(&id)?.view(self.now))
    }

    fn views(&self) -> Vec<View<'_>> {
        self.hosts.values().map(|host| host.view(self.now)).collect()
    }
}

impl World {
    /// Shows an event to the checkers.
    pub(super) fn show(&mut self, id: NodeId, happening: Happening<'_>) -> Result<(), Violation> {
        let cluster = Hosts { hosts: &self.hosts, now: self.agenda.now() };
        let node = self.hosts[&id].view(self.agenda.now());
        let (now, clocks_hold) = (self.agenda.now().as_nanos(), self.clocks_hold);
        let sight = Sight { now, happening, node, cluster: &cluster, clocks_hold };
        match self.checkers.see(&sight) {
            Ok(()) => Ok(()),
            Err((checker, sentence)) => Err(self.violation(checker, sentence)),
        }
    }

    pub(crate) fn violation(&self, checker: &'static str, sentence: String) -> Violation {
        Violation {
            checker,
            sentence,
            time: self.agenda.now(),
            event: self.agenda.events(),
            seq: self.scribe.last(),
        }
    }

    /// Whether what the clients saw so far can have happened one after another. That nobody knows is a
    /// failure with a name of its own: no scenario that waits for an alarm may take it for one.
    pub(super) fn judge_history(&self) -> Result<(), Violation> {
        self.history.check(History::BUDGET).map_err(|doubt| match doubt {
            Doubt::Broken(sentence) => self.violation("linearizability", sentence),
            Doubt::Unknown(sentence) => self.violation("undecided", sentence),
        })
    }
}
