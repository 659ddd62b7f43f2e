//! Nothing that left a node rests on state that was not durable when it left: the term of the
//! envelope, a vote given or asked for, acknowledged positions, a promise.

use crate::checker::claims::Claims;
use crate::checker::sight::Checker;
use crate::checker::sight::Sight;
use crate::checker::sight::View;
use raft_core::{Action, Envelope, LogIndex, NodeId, RoleKind, Status, Term};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct OutputGating {
    judged: u64,
    /// The votes that each disk held at any time.
    durable_votes: BTreeMap<(NodeId, Term), NodeId>,
}

impl Checker for OutputGating {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let node = &sight.node;
        let disk = node.stored.hard_state;
        if sight.shows_disk()
            && let Some(candidate) = disk.voted_for
        {
            self.durable_votes.insert((node.id, disk.current_term), candidate);
        }
        for action in sight.actions() {
            if let Action::SendSnapshot { term, at_least, .. } = action {
                let image = node.stored.snapshot.as_ref();
                let held = image.is_some_and(|i| i.snapshot.position.index >= at_least.index);
                if *term > disk.current_term || !held {
                    return Err(format!(
                        "{:?} sends a snapshot of {at_least} in term {term}, which is not durable",
                        node.id
                    ));
                }
            }
        }
        for envelope in sight.sent() {
            self.judged += 1;
            if envelope.term > disk.current_term {
                return Err(format!(
                    "{:?} sends {} of term {}, and term {} is durable",
                    node.id,
                    envelope.message.name(),
                    envelope.term,
                    disk.current_term
                ));
            }
            self.content(sight, envelope)?;
        }
        node.status.map_or(Ok(()), |status| belief(node, status))
    }
}

/// What the node believes to be durable, is.
fn belief(node: &View<'_>, status: &Status) -> Result<(), String> {
    let (id, disk, believed) = (node.id, node.stored.hard_state, status.durable_hard_state);
    let vote_held = believed.voted_for.is_none() || believed.voted_for == disk.voted_for;
    let behind = believed.current_term < disk.current_term;
    if !behind && (believed.current_term > disk.current_term || !vote_held) {
        return Err(format!(
            "{id:?} believes that {believed:?} is durable; its disk holds {disk:?}"
        ));
    }
    let believed = status.durable;
    // An installed snapshot has replaced the log, and the node has not been informed yet.
    if node.stored.covers(believed) || status.installing.is_some() {
        return Ok(());
    }
    let held = node.stored.log.position(believed.index);
    Err(format!("{id:?} believes that {believed} is durable; its disk holds {held:?} there"))
}

impl OutputGating {
    fn content(&self, sight: &Sight<'_>, envelope: &Envelope) -> Result<(), String> {
        let claims = Claims::of(envelope);
        if let Some(vote) = claims.vote.filter(|vote| vote.given) {
            self.vote(envelope, vote.candidate)?;
        }
        let node = &sight.node;
        if let Some(echo) = claims.echo
            && echo.promised > node.stored.hard_state.promised
        {
            return Err(format!(
                "{:?} promises {:?}, and {:?} is durable",
                node.id, echo.promised, node.stored.hard_state.promised
            ));
        }
        claims.acknowledged.map_or(Ok(()), |index| matched(sight, envelope, index))?;
        claims.commit.map_or(Ok(()), |commit| announcement(node, commit))
    }

    fn vote(&self, envelope: &Envelope, candidate: NodeId) -> Result<(), String> {
        let (voter, term) = (envelope.from, envelope.term);
        if self.durable_votes.get(&(voter, term)) == Some(&candidate) {
            return Ok(());
        }
        let name = envelope.message.name();
        Err(format!(
            "{voter:?} sends {name} of term {term}, but its vote for {candidate:?} is not durable"
        ))
    }
}

/// What is acknowledged is durable, no write on its way drops it, and it is the leader's.
fn matched(sight: &Sight<'_>, envelope: &Envelope, index: LogIndex) -> Result<(), String> {
    let (node, id) = (&sight.node, sight.node.id);
    if index < node.stored.log.start().index || index < node.log.start().index {
        return Ok(());
    }
    // A crash may have left a snapshot beside the log that it was to replace.
    let snapshot = node.stored.snapshot.as_ref().map(|image| image.snapshot.position);
    let snapshot = snapshot.filter(|position| position.index == index);
    let Some(durable) = snapshot.or_else(|| node.stored.log.position(index)) else {
        let last = node.stored.log.last();
        return Err(format!("{id:?} acknowledges {index:?}, and its disk ends at {last}"));
    };
    if !node.log.holds(durable) {
        return Err(format!("{id:?} acknowledges {durable}, which a write on its way drops"));
    }
    let leads = |status: &Status| status.role == RoleKind::Leader && status.term == envelope.term;
    let leader = sight.cluster.view(envelope.to);
    match leader.filter(|view| view.status.is_some_and(leads)) {
        Some(leader) if !leader.log.covers(durable) => Err(format!(
            "{id:?} acknowledges {durable} to {:?}, who holds {:?} there",
            leader.id,
            leader.log.position(index)
        )),
        _ => Ok(()),
    }
}

/// A leader announces no more than it has committed.
fn announcement(node: &View<'_>, commit: LogIndex) -> Result<(), String> {
    match node.status {
        Some(status) if commit > status.commit_index => Err(format!(
            "{:?} announces {commit:?} as committed, and has committed {:?}",
            node.id, status.commit_index
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::OutputGating;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::announce;
    use crate::checker::fixture::append;
    use crate::checker::fixture::matched;
    use crate::checker::fixture::position;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::request_vote;
    use crate::checker::fixture::vote;
    use crate::host::log::Log;
    use crate::host::machine::{Image, Machine};
    use raft_core::{Echo, Instant, LogIndex, NodeId, Round, Snapshot, Term, Verdict};
    use std::time::Duration;

    fn fresh() -> (Cluster, OutputGating) {
        (Cluster::of(3), OutputGating::default())
    }

    fn promise(promised: Duration) -> Echo {
        Echo { round: Round(1), sent_at: Instant::ZERO, promised }
    }

    #[test]
    fn a_term_that_is_not_durable() {
        let (mut cluster, mut checker) = fresh();
        cluster.node(1).status.term = Term(1);
        refused(cluster.stepped(&mut checker, 1, &[append(1, 2, 1)]), "and term 0 is durable");
        cluster.node(1).durable_term();
        cluster.stepped(&mut checker, 1, &[append(1, 2, 1)]).expect("durable now");
    }

    #[test]
    fn a_vote_that_is_not_durable() {
        let (mut cluster, mut checker) = fresh();
        let node = cluster.node(1);
        node.status.term = Term(1);
        node.durable_term();
        let granted = [vote(1, 2, 1, Verdict::Granted)];
        let step = cluster.stepped(&mut checker, 1, &granted);
        refused(step, "its vote for S2 is not durable");
        let step = cluster.stepped(&mut checker, 1, &[request_vote(1, 2, 1)]);
        refused(step, "its vote for S1 is not durable");
        cluster.node(1).vote(1, 2);
        cluster.synced(&mut checker, 1).expect("a vote");
        cluster.stepped(&mut checker, 1, &granted).expect("durable now");
        cluster.stepped(&mut checker, 1, &[vote(1, 3, 1, Verdict::StaleLog)]).expect("no vote");
    }

    #[test]
    fn acknowledged_positions() {
        let (mut cluster, mut checker) = fresh();
        cluster.node(1).leads(1).fill(&[1, 1, 1]);
        let node = cluster.node(2);
        node.vote(1, 1).fill(&[1, 1]).durable_log().fill(&[1, 1, 1]);
        let ack = |index| [matched(2, 1, 1, index, None)];
        cluster.stepped(&mut checker, 2, &ack(2)).expect("durable");
        cluster.stepped(&mut checker, 2, &ack(0)).expect("nothing");
        refused(cluster.stepped(&mut checker, 2, &ack(3)), "its disk ends at 1/2");

        let (mut cluster, mut checker) = fresh();
        cluster.node(2).vote(1, 1).fill(&[1, 1]).durable_log().fill(&[1]);
        cluster.node(2).status.durable = position(1, 1);
        refused(cluster.stepped(&mut checker, 2, &ack(2)), "1/2, which a write on its way drops");
    }

    #[test]
    fn a_snapshot_makes_durable_what_it_covers_whatever_log_is_beside_it() {
        let (mut cluster, mut checker) = fresh();
        let node = cluster.node(2);
        node.vote(1, 1).fill(&[1, 1]).durable_log().log = Log::starting(position(1, 3));
        let ack = [matched(2, 1, 1, 3, None)];
        refused(cluster.stepped(&mut checker, 2, &ack), "its disk ends at 1/2");
        let membership = cluster.node(2).membership.clone();
        let snapshot = Snapshot { position: position(1, 3), membership };
        let machine = Machine::default();
        cluster.node(2).stored.snapshot = Some(Image { snapshot, machine });
        cluster.stepped(&mut checker, 2, &ack).expect("it is covered");
    }

    #[test]
    fn an_acknowledgement_of_what_the_leader_does_not_hold() {
        let (mut cluster, mut checker) = fresh();
        cluster.node(1).leads(3).fill(&[1, 3]);
        cluster.node(2).vote(3, 1).fill(&[1, 2]).durable_log();
        let step = cluster.stepped(&mut checker, 2, &[matched(2, 1, 3, 2, None)]);
        refused(step, "acknowledges 2/2 to S1, who holds Some(3/2)");
    }

    #[test]
    fn a_promise_that_is_not_durable() {
        let (mut cluster, mut checker) = fresh();
        let second = Duration::from_secs(1);
        let ack = [matched(2, 1, 0, 0, Some(promise(second)))];
        refused(cluster.stepped(&mut checker, 2, &ack), "S2 promises 1s, and 0ns is durable");
        cluster.node(2).stored.hard_state.promised = second;
        cluster.stepped(&mut checker, 2, &ack).expect("durable now");
    }

    #[test]
    fn an_announcement_of_what_is_not_committed() {
        let (mut cluster, mut checker) = fresh();
        cluster.node(1).leads(1).commits(4);
        cluster.stepped(&mut checker, 1, &[announce(1, 2, 1, 4)]).expect("committed");
        let step = cluster.stepped(&mut checker, 1, &[announce(1, 2, 1, 5)]);
        refused(step, "announces i5 as committed, and has committed i4");
    }

    #[test]
    fn beliefs() {
        let (mut cluster, mut checker) = fresh();
        cluster.node(1).fill(&[1, 1]).durable_log();
        cluster.stepped(&mut checker, 1, &[]).expect("as it is");
        cluster.node(1).stored.log.truncate(LogIndex(2));
        refused(cluster.stepped(&mut checker, 1, &[]), "believes that 1/2 is durable");

        let (mut cluster, mut checker) = fresh();
        cluster.node(1).vote(2, 3).stored.hard_state.voted_for = None;
        refused(cluster.stepped(&mut checker, 1, &[]), "believes that HardState");
        cluster.node(1).vote(3, 3).status.durable_hard_state.voted_for = Some(NodeId(2));
        cluster.node(1).status.durable_hard_state.current_term = Term(2);
        cluster.stepped(&mut checker, 1, &[]).expect("it was not informed of the latest write yet");
    }
}
