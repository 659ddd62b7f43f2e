//! What a node holds in memory is bounded by its configuration: what is on the way to a peer, what
//! one message carries, the reads that wait, and the entries of its own that wait for their commit.

use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Open;
use crate::checker::sight::Sight;
use raft_core::{Config, LogIndex, Message, NodeId, PeerPhase, RoleKind, Status, Term};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct Bounds {
    judged: u64,
    /// Where the log of each leader ended when it was elected.
    elected: BTreeMap<NodeId, (Term, LogIndex)>,
}

impl Checker for Bounds {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let Observed::Stepped { before, .. } = sight.observed else { return Ok(()) };
        let (Some(status), Some(node)) = (sight.node.status, sight.node.node) else {
            return Ok(());
        };
        let (id, config) = (status.id, node.config());
        if status.pending_reads > config.max_pending_reads {
            let (reads, limit) = (status.pending_reads, config.max_pending_reads);
            return Err(format!("{reads} reads wait at {id:?}, which allows {limit}"));
        }
        if status.role != RoleKind::Leader {
            return Ok(());
        }
        self.uncommitted(before, status, config)?;
        for envelope in sight.sent() {
            if let Message::AppendEntries(append) = &envelope.message
                && !append.entries.is_empty()
            {
                self.judged += 1;
                let (count, limit) = (append.entries.count(), config.max_entries_per_message);
                if count > limit {
                    return Err(format!("{id:?} sends {count} entries at once; {limit} is allowed"));
                }
                on_the_way(node, envelope.to)?;
            }
        }
        Ok(())
    }
}

/// What is on the way to one peer.
fn on_the_way(node: &dyn Open, to: NodeId) -> Result<(), String> {
    let Some(peer) = node.peer(to) else { return Ok(()) };
    let (messages, limit) = (peer.messages_in_flight, node.config().max_messages_in_flight);
    if messages > limit {
        return Err(format!("{messages} messages are on their way to {to:?}; {limit} is allowed"));
    }
    // To a peer whose log is not known yet one message goes at a time, however long.
    let entries = peer.next_index.get().saturating_sub(peer.match_index.get() + 1);
    let limit = node.config().max_entries_in_flight;
    if peer.phase == PeerPhase::Replicate && entries > limit {
        return Err(format!("{entries} entries are on their way to {to:?}; {limit} is allowed"));
    }
    Ok(())
}

impl Bounds {
    /// What the leader took in its term, and is not committed. Its own entries, by which it begins
    /// its term and changes the membership, are not refused to anybody.
    fn uncommitted(
        &mut self,
        before: &Status,
        leader: &Status,
        config: &Config,
    ) -> Result<(), String> {
        const OWN: u64 = 4;
        let elected = self.elected.entry(leader.id).or_default();
        if elected.0 != leader.term {
            *elected = (leader.term, before.last.index);
        }
        let from = elected.1.max(leader.commit_index).get();
        let (open, limit) = (leader.last.index.get().saturating_sub(from), config.max_uncommitted);
        if open <= limit.saturating_add(OWN) {
            return Ok(());
        }
        Err(format!("{open} entries of {:?} wait for their commit; {limit} is allowed", leader.id))
    }
}

#[cfg(test)]
mod tests {
    use super::Bounds;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::Opened;
    use crate::checker::fixture::position;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::send;
    use raft_core::{
        Action, AppendEntries, Config, Entries, Instant, LogIndex, Message, NodeId, PeerPhase,
        PeerStatus, Run, Term,
    };

    /// S1 leads term 1, and keeps to small limits.
    fn small() -> Cluster {
        let mut config = Config::new(NodeId(1), 1);
        config.max_pending_reads = 2;
        config.max_entries_per_message = 3;
        config.max_messages_in_flight = 2;
        config.max_entries_in_flight = 4;
        config.max_uncommitted = 5;
        let mut cluster = Cluster::of(3);
        cluster.node(1).leads(1).node = Some(Opened { config, peers: Vec::new() });
        cluster
    }

    #[test]
    fn reads_that_wait() {
        let (mut cluster, mut checker) = (small(), Bounds::default());
        cluster.node(1).status.pending_reads = 2;
        cluster.stepped(&mut checker, 1, &[]).expect("two");
        cluster.node(1).status.pending_reads = 3;
        refused(cluster.stepped(&mut checker, 1, &[]), "3 reads wait at S1, which allows 2");
    }

    #[test]
    fn entries_in_a_message() {
        let (mut cluster, mut checker) = (small(), Bounds::default());
        cluster.stepped(&mut checker, 1, &[message(3)]).expect("three");
        refused(cluster.stepped(&mut checker, 1, &[message(4)]), "sends 4 entries at once");
    }

    /// An append of so many entries to S2.
    fn message(count: u64) -> Action {
        let entries: Entries = [Run::Commands { term: Term(1), count }].into_iter().collect();
        let prev = position(0, 0);
        let append = AppendEntries { prev, entries, commit: LogIndex(0), probe: None };
        send(1, 2, 1, Message::AppendEntries(append))
    }

    #[test]
    fn messages_and_entries_on_their_way() {
        let (mut cluster, mut checker) = (small(), Bounds::default());
        let mut sends = |messages_in_flight, phase, next_index| {
            let peer = PeerStatus {
                id: NodeId(2),
                match_index: LogIndex(7),
                next_index: LogIndex(next_index),
                sent_through: LogIndex(next_index - 1),
                phase,
                messages_in_flight,
                heard_at: Instant::ZERO,
                caught_up: true,
                leaving: false,
            };
            cluster.node(1).node.as_mut().expect("it runs").peers = vec![peer];
            cluster.stepped(&mut checker, 1, &[message(1)])
        };
        sends(2, PeerPhase::Replicate, 12).expect("two, with four");
        refused(sends(3, PeerPhase::Replicate, 12), "3 messages are on their way to S2");
        refused(sends(2, PeerPhase::Replicate, 13), "5 entries are on their way to S2");
        sends(1, PeerPhase::Probe, 13).expect("one, however long");
    }

    #[test]
    fn entries_that_wait_for_their_commit() {
        let (mut cluster, mut checker) = (small(), Bounds::default());
        cluster.stepped(&mut checker, 1, &[]).expect("elected");
        cluster.node(1).fill(&[1; 9]);
        cluster.stepped(&mut checker, 1, &[]).expect("five, and its own");
        cluster.node(1).fill(&[1; 10]);
        refused(cluster.stepped(&mut checker, 1, &[]), "10 entries of S1 wait for their commit");
        cluster.node(1).commits(3);
        cluster.stepped(&mut checker, 1, &[]).expect("less");
    }
}
