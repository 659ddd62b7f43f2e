//! What a node takes without a refusal has its effect: an operator's election is held, what a
//! snapshot covers is dropped, what was installed is applied, a snapshot that has arrived or is
//! lost is waited for no longer, and to a peer that was lost, or that takes nothing now, nothing
//! is sent (the contract of [`Input`]).
//!
//! Nothing that is safe forbids a node to forget an input, and retries of the runtime hide it.
//!
//! Judged are calls that are carried out whole. Where a refusal may be about this input or about
//! another one of the call, and where something later in the call may undo what it did, nothing is
//! judged.

use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use crate::checker::sight::leads_on;
use raft_core::{
    Action, Input, LogIndex, Message, NodeId, Outcome, PeerPhase, RoleKind, Status, Term,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Default, Debug)]
pub(super) struct Effects {
    judged: u64,
    /// The peers that take nothing now, as the runtime has told each leader in its term.
    paused: BTreeMap<NodeId, (Term, BTreeSet<NodeId>)>,
}

impl Checker for Effects {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let id = sight.node.id;
        if matches!(sight.observed, Observed::Started | Observed::Crashed) {
            self.paused.remove(&id);
            return Ok(());
        }
        let Some((before, after)) = sight.step() else { return Ok(()) };
        let paused = self.paused(sight, before, after);
        if !sight.is_whole() {
            return Ok(());
        }
        let step = Step { sight, before, after };
        for input in sight.inputs() {
            let Some(has_effect) = step.effect(input) else { continue };
            self.judged += 1;
            if !has_effect {
                return Err(format!("{id:?} takes {input:?}, and nothing comes of it"));
            }
        }
        match sight.sent().find(|sent| carries(&sent.message) && paused.contains(&sent.to)) {
            Some(sent) => Err(format!("{id:?} sends to {:?}, which takes nothing now", sent.to)),
            None => Ok(()),
        }
    }
}

impl Effects {
    /// Who takes nothing, as far as this leader was told when it had taken in all of the call: it
    /// sends nothing before that.
    fn paused(&mut self, sight: &Sight<'_>, before: &Status, after: &Status) -> BTreeSet<NodeId> {
        let id = sight.node.id;
        let Some(node) = sight.node.node.filter(|_| leads_on(before, after)) else {
            self.paused.remove(&id);
            return BTreeSet::new();
        };
        let (term, paused) = self.paused.entry(id).or_default();
        if *term != after.term {
            (*term, *paused) = (after.term, BTreeSet::new());
        }
        for input in sight.inputs() {
            match input {
                Input::PeerPaused { peer, .. } => _ = paused.insert(*peer),
                Input::PeerResumed { peer } => _ = paused.remove(peer),
                _ => {}
            }
        }
        // Who is a peer no more, and then one again, takes what it gets.
        paused.retain(|peer| node.peer(*peer).is_some());
        paused.clone()
    }
}

/// Whether it carries entries.
fn carries(message: &Message) -> bool {
    matches!(message, Message::AppendEntries(m) if !m.entries.is_empty())
}

/// A step of a node.
struct Step<'a> {
    sight: &'a Sight<'a>,
    before: &'a Status,
    after: &'a Status,
}

impl Step<'_> {
    /// Whether this input has had its effect; `None` where that cannot be told.
    fn effect(&self, input: &Input) -> Option<bool> {
        let refused = |action: &Action| matches!(action, Action::Ignored { from: None, .. });
        if self.sight.actions().iter().any(refused) {
            return None;
        }
        let alone = self.sight.inputs().len() == 1;
        match *input {
            Input::Campaign if alone => Some(self.after.role != RoleKind::Follower),
            Input::SnapshotTaken { position } => {
                Some(self.after.log_start.index >= position.index)
            }
            Input::SnapshotInstalled { position, outcome: Outcome::Done } => {
                let Status { log_start, commit_index, last_applied, installing, .. } = self.after;
                let reached = |index: LogIndex| index >= position.index;
                let applied = [log_start.index, *commit_index, *last_applied];
                Some(applied.into_iter().all(reached) && *installing != Some(position))
            }
            Input::SnapshotInstalled { outcome: Outcome::Failed, .. } if alone => {
                let of = |status: &Status| (status.log_start, status.last, status.commit_index);
                Some(self.after.installing.is_none() && of(self.before) == of(self.after))
            }
            Input::SnapshotSent { to, .. } if alone && leads_on(self.before, self.after) => {
                let peer = self.sight.node.node?.peer(to)?;
                Some(peer.phase != PeerPhase::Snapshot)
            }
            Input::PeerUnreachable { peer } if alone && leads_on(self.before, self.after) => {
                let known = self.sight.node.node?.peer(peer)?;
                let sends = self.sight.sent().any(|sent| sent.to == peer && carries(&sent.message));
                Some(known.phase != PeerPhase::Replicate && !sends)
            }
            Input::PeerPaused { peer, after } if alone && leads_on(self.before, self.after) => {
                let known = self.sight.node.node?.peer(peer)?;
                let kept = after.max(known.match_index);
                Some(known.phase == PeerPhase::Probe || known.sent_through <= kept)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Effects;
    use crate::checker::fixture::{Cluster, position, refused, send};
    use raft_core::{
        Action, AppendEntries, Config, Entries, IgnoreReason, Input, Instant, LogIndex, Message,
        NodeId, Outcome, PeerPhase, PeerStatus, RoleKind, Run, Status, Term,
    };

    const S2: NodeId = NodeId(2);

    /// S2, as its leader sees it while it waits for the acknowledgement of the fourth entry.
    fn peer(phase: PeerPhase) -> PeerStatus {
        PeerStatus {
            id: S2,
            match_index: LogIndex(1),
            next_index: LogIndex(5),
            sent_through: LogIndex(4),
            phase,
            messages_in_flight: 1,
            heard_at: Instant::ZERO,
            caught_up: false,
            leaving: false,
        }
    }

    /// S1 leads term 1 with four entries, and says this of S2.
    fn leads(peer: PeerStatus) -> Cluster {
        let mut cluster = Cluster::of(3);
        let node = cluster.node(1).configured(Config::new(NodeId(1), 1)).leads(1);
        node.fill(&[1, 1, 1, 1]).node.as_mut().expect("it runs").peers = vec![peer];
        cluster
    }

    /// S1 follows with four entries, and this comes of the input.
    fn follows(
        input: &Input,
        becomes: impl Fn(&mut Status),
        said: &[Action],
    ) -> Result<(), String> {
        let mut cluster = Cluster::of(3);
        let node = cluster.node(1).configured(Config::new(NodeId(1), 1));
        let before = node.fill(&[1, 1, 1, 1]).status;
        becomes(&mut cluster.node(1).status);
        let inputs = std::slice::from_ref(input);
        cluster.takes_from(&mut Effects::default(), 1, &before, inputs, said)
    }

    const NOTHING: &str = "and nothing comes of it";

    #[test]
    fn an_election_that_is_not_refused_is_held() {
        let campaigns = |role| follows(&Input::Campaign, |status| status.role = role, &[]);
        campaigns(RoleKind::PreCandidate).expect("it asks");
        campaigns(RoleKind::Leader).expect("it is alone");
        refused(campaigns(RoleKind::Follower), NOTHING);
        let ignored = Action::Ignored { from: None, reason: IgnoreReason::LeaderAlive };
        follows(&Input::Campaign, |_| {}, &[ignored]).expect("it is refused");
    }

    #[test]
    fn what_a_snapshot_covers_is_dropped() {
        let taken = Input::SnapshotTaken { position: position(1, 3) };
        follows(&taken, |status| status.log_start = position(1, 3), &[]).expect("it is");
        refused(follows(&taken, |status| status.log_start = position(1, 2), &[]), NOTHING);
    }

    #[test]
    fn what_is_installed_is_applied_and_what_is_not_changes_nothing() {
        let installed = |outcome| Input::SnapshotInstalled { position: position(1, 6), outcome };
        let done = |status: &mut Status| {
            (status.log_start, status.last) = (position(1, 6), position(1, 6));
            (status.commit_index, status.last_applied) = (LogIndex(6), LogIndex(6));
        };
        follows(&installed(Outcome::Done), done, &[]).expect("all of it");
        for forgets in [
            |status: &mut Status| status.log_start = position(1, 5),
            |status: &mut Status| status.commit_index = LogIndex(5),
            |status: &mut Status| status.last_applied = LogIndex(5),
            |status: &mut Status| status.installing = Some(position(1, 6)),
        ] {
            let becomes = |status: &mut Status| {
                done(status);
                forgets(status);
            };
            refused(follows(&installed(Outcome::Done), becomes, &[]), NOTHING);
        }
        follows(&installed(Outcome::Failed), |_| {}, &[]).expect("nothing has changed");
        refused(follows(&installed(Outcome::Failed), done, &[]), NOTHING);
    }

    #[test]
    fn a_snapshot_that_was_sent_is_waited_for_no_longer() {
        for outcome in [Outcome::Done, Outcome::Failed] {
            let says = |phase| {
                let sent = Input::SnapshotSent { to: S2, position: position(1, 1), outcome };
                leads(peer(phase)).takes(&mut Effects::default(), 1, &[sent], &[])
            };
            says(PeerPhase::Probe).expect("it asks");
            refused(says(PeerPhase::Snapshot), NOTHING);
        }
    }

    #[test]
    fn to_a_peer_that_was_lost_nothing_is_sent_before_it_answers() {
        let lost = [Input::PeerUnreachable { peer: S2 }];
        let says = |phase, sent: &[Action]| {
            leads(peer(phase)).takes(&mut Effects::default(), 1, &lost, sent)
        };
        says(PeerPhase::Probe, &[]).expect("it waits");
        refused(says(PeerPhase::Replicate, &[]), NOTHING);
        refused(says(PeerPhase::Probe, &[entries()]), NOTHING);
    }

    /// S1 sends S2 an entry.
    fn entries() -> Action {
        let mut entries = Entries::new();
        entries.push(Run::Commands { term: Term(1), count: 1 });
        let (prev, commit) = (position(1, 3), LogIndex(1));
        let message = AppendEntries { prev, entries, commit, probe: None };
        send(1, 2, 1, Message::AppendEntries(message))
    }

    #[test]
    fn a_peer_that_takes_nothing_is_sent_nothing_until_it_does() {
        let after = |index| [Input::PeerPaused { peer: S2, after: LogIndex(index) }];
        let says = |index, of| leads(of).takes(&mut Effects::default(), 1, &after(index), &[]);
        says(4, peer(PeerPhase::Replicate)).expect("all of it has left");
        refused(says(3, peer(PeerPhase::Replicate)), NOTHING);
        says(3, peer(PeerPhase::Probe)).expect("it is one message");

        let (mut cluster, mut checker) = (leads(peer(PeerPhase::Replicate)), Effects::default());
        cluster.takes(&mut checker, 1, &[], &[entries()]).expect("it takes all");
        cluster.takes(&mut checker, 1, &after(4), &[]).expect("it is told");
        let sends = cluster.takes(&mut checker, 1, &[Input::Wake], &[entries()]);
        refused(sends, "S1 sends to S2, which takes nothing now");
        let resumed = [Input::PeerResumed { peer: S2 }];
        cluster.takes(&mut checker, 1, &resumed, &[entries()]).expect("it takes all again");
    }
}
