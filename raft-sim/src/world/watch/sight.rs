//! What the checkers are shown of a fact.

use crate::checker::sight::{Cluster, Observed, View};
use crate::world::watch::fact::Fact;
use crate::world::watch::scene::Scene;
use raft_core::{Config, Input, NodeId};

impl Cluster for Scene<'_> {
    fn view(&self, id: NodeId) -> Option<View<'_>> {
        Some(self.host(id)?.view(self.now))
    }

    fn views(&self) -> Vec<View<'_>> {
        self.hosts.iter().map(|host| host.view(self.now)).collect()
    }
}

/// What happened, and to whom, if the checkers are to see it.
pub(super) fn of_fact<'a>(scene: Scene<'_>, fact: &Fact<'a>) -> Option<(NodeId, Observed<'a>)> {
    Some(match *fact {
        Fact::Started { node, .. } => (node, Observed::Started),
        Fact::Crashed { node, .. } => (node, Observed::Crashed),
        Fact::CarriedOut { node, inputs, before, actions, whole } => {
            (node, Observed::Stepped { inputs, before, actions, whole })
        }
        Fact::FateReported { node, position, fate } => {
            (node, Observed::FateReported { position, fate })
        }
        Fact::Synced { node } => (node, Observed::Synced),
        Fact::AppliedLate { node } => (node, Observed::Applied),
        // It happens to nobody: somebody has to stand for all.
        Fact::Client { client, serial, operation: what, phase, .. } => {
            let first = scene.hosts.iter().next()?.id();
            (first, Observed::Client { operation: (client, serial), what, phase })
        }
        _ => return None,
    })
}

/// An input that asks for something which must end, and how soon.
pub(super) fn of_input(config: &Config, input: &Input) -> Option<Observed<'static>> {
    let timeout = config.election_timeout;
    match *input {
        Input::Read { token, .. } => Some(Observed::Asked { token, within: timeout * 2 }),
        Input::TransferLeadership { token, .. } => Some(Observed::Asked { token, within: timeout }),
        _ => None,
    }
}
