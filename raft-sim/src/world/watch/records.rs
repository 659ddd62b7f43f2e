//! What the record of a fact says. How a step is recorded stands in [`narrate`](super::narrate).

use crate::plan::record::Event;
use crate::world::watch::fact::Fact;
use crate::world::watch::scene::Scene;
use raft_core::{Action, NodeId};

/// Where something happened, and what, if a record is to tell it.
pub(super) fn of_fact(scene: Scene<'_>, fact: &Fact<'_>) -> Option<(Option<NodeId>, Event)> {
    let recorded = match *fact {
        Fact::Started { node, config, first: true, .. } => {
            let membership = scene.host(node)?.given_membership().clone();
            (Some(node), Event::Init { config: Box::new(config.clone()), membership })
        }
        Fact::Started { node, config, first: false, .. } => {
            (Some(node), Event::Restart { config: Box::new(config.clone()) })
        }
        Fact::Unstartable { node, damage } => (Some(node), Event::Damaged { damage }),
        Fact::Crashed { node, lost, .. } => (Some(node), Event::Crash { lost }),
        Fact::CarriesOut { node, action } => (Some(node), of_action(scene, node, action)?),
        Fact::Leaves { node, message } => {
            let obligation = scene.process(node)?.ledger.obligation(message);
            (Some(node), Event::Send { message: message.clone(), obligation })
        }
        Fact::Applied { node, first, through, .. } => (Some(node), Event::Apply { first, through }),
        Fact::Compacted { node, position } => (Some(node), Event::SnapshotTaken { position }),
        Fact::FateReported { node, position, fate } => (Some(node), Event::Fate { position, fate }),
        Fact::Written { node, ticket } => (Some(node), Event::PersistDone { ticket }),
        Fact::WriteFailed { node } => (Some(node), Event::WriteFailed),
        Fact::Installed { node, position, outcome } => {
            (Some(node), Event::InstallEnd { position, outcome })
        }
        Fact::Dropped { message, reason } => {
            (None, Event::Drop { message: message.clone(), reason })
        }
        Fact::Doubled { message } => (None, Event::Duplicate { message: message.clone() }),
        Fact::Client { node, client, serial, operation, phase } => {
            (node, Event::Client { client, serial, operation, phase })
        }
        Fact::Act { act } => (None, Event::Fault { fault: act.clone() }),
        Fact::Service { leader } => (None, Event::Service { leader }),
        Fact::Given { .. }
        | Fact::CarriedOut { .. }
        | Fact::StepDone { .. }
        | Fact::ReadServed
        | Fact::Synced { .. }
        | Fact::SnapshotFailed
        | Fact::InstallFails
        | Fact::InstallIsLong
        | Fact::AppliesLate
        | Fact::AppliedLate { .. }
        | Fact::ReportsLate
        | Fact::FrameRefused
        | Fact::FrameSplit
        | Fact::TimeIsOver
        | Fact::PromotionWaits
        | Fact::Fetches
        | Fact::TooManyBytes
        | Fact::GivesUp
        | Fact::AppliesInParts
        | Fact::Hostile { .. }
        | Fact::AsksAgain
        | Fact::Struck { .. }
        | Fact::OperatorAsks { .. }
        | Fact::Answered { .. }
        | Fact::DiskHarmed { .. }
        | Fact::Wiped { .. }
        | Fact::Concluded { .. } => return None,
    };
    Some(recorded)
}

fn of_action(scene: Scene<'_>, node: NodeId, action: &Action) -> Option<Event> {
    let process = scene.process(node)?;
    Some(match *action {
        Action::Accepted { token, first, count } => Event::Accepted { token, first, count },
        Action::Rejected { token, reason } if process.queries.contains_key(&token) => {
            Event::ReadFailed { token, reason }
        }
        Action::Rejected { token, reason } => Event::Rejected { token, reason },
        Action::Persist(ref write) => Event::Persist { write: write.clone() },
        Action::ReadReady { token, index } => Event::ReadReady { token, index },
        Action::TransferEnded { token, outcome } => Event::TransferEnded { token, outcome },
        Action::SendSnapshot { to, at_least, .. } => Event::SnapshotAsked { to, at_least },
        Action::InstallSnapshot { ref snapshot } => {
            Event::InstallBegin { snapshot: snapshot.clone() }
        }
        Action::PeerRegressed { peer, acknowledged, rejected } => {
            Event::PeerRegressed { peer, acknowledged, rejected }
        }
        // Some have a fact of their own, the others are worked out of what is seen around the step.
        Action::Send(_)
        | Action::Apply { .. }
        | Action::RoleChanged { .. }
        | Action::Ignored { .. } => return None,
    })
}
