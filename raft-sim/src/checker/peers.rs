//! What a leader shows of a peer is the case: what it has acknowledged in this term stays
//! acknowledged (paper, figure 2: `matchIndex` increases monotonically), what is sent to it lies in
//! the leader's log, who is leaving is no member, and who has caught up was heard within T.
//!
//! Looked at where something came from the peer, or its leader woke. That the peer's disk holds
//! what it is said to hold is for `commit_quorum`, where it counts.

use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use raft_core::{
    Action, Config, Input, Instant, LogIndex, NodeId, PeerStatus, RoleKind, Status, Term,
};
use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(super) struct Peers {
    judged: u64,
    /// Up to where each leader has said that a member's log matches, and in which term.
    matched: BTreeMap<NodeId, (Term, BTreeMap<NodeId, LogIndex>)>,
}

impl Checker for Peers {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let id = sight.node.id;
        if matches!(sight.observed, Observed::Started | Observed::Crashed) {
            self.matched.remove(&id);
            return Ok(());
        }
        let (Some((_, leader)), Some(node)) = (sight.step(), sight.node.node) else {
            return Ok(());
        };
        if leader.role != RoleKind::Leader {
            self.matched.remove(&id);
            return Ok(());
        }
        let (term, matched) = self.matched.entry(id).or_default();
        if *term != leader.term {
            (*term, *matched) = (leader.term, BTreeMap::new());
        }
        let members = sight.node.membership;
        matched.retain(|peer, _| members.contains(*peer));
        for action in sight.actions() {
            if let Action::PeerRegressed { peer, .. } = action {
                matched.remove(peer);
            }
        }
        let woke = sight.inputs().contains(&Input::Wake);
        let senders = sight.inputs().iter().filter_map(|input| match input {
            Input::Message(envelope) => Some(envelope.from),
            _ => None,
        });
        for id_of_peer in senders.chain(members.members().filter(|_| woke)) {
            let Some(peer) = node.peer(id_of_peer) else { continue };
            self.judged += 1;
            says_what_is(leader, &peer, members.contains(peer.id))?;
            is_called_level_if_it_is(leader, &peer, sight.time, node.config())?;
            if members.contains(peer.id) {
                let before = matched.insert(peer.id, peer.match_index).unwrap_or_default();
                if peer.match_index < before {
                    return Err(format!(
                        "{id:?} said that {:?} has {before}, and says now that it has {}",
                        peer.id, peer.match_index
                    ));
                }
            }
        }
        Ok(())
    }
}

/// What can be seen of this peer and its leader alone.
fn says_what_is(leader: &Status, peer: &PeerStatus, is_member: bool) -> Result<(), String> {
    let PeerStatus { id, match_index, next_index, sent_through, leaving, .. } = *peer;
    if leaving == is_member {
        let is = if is_member { "a member" } else { "no member" };
        return Err(format!("{:?} says of {id:?}, {is}, that leaving is {leaving}", leader.id));
    }
    let last = leader.last.index;
    let follows = match_index < next_index && next_index.get() <= last.get() + 1;
    if !follows || match_index > sent_through || sent_through > last {
        return Err(format!(
            "{:?} has {last}, and says that {id:?} has {match_index}, gets {next_index} next, and \
             was sent {sent_through}",
            leader.id
        ));
    }
    Ok(())
}

/// Who was not heard within T has not caught up; who was, and has all of the log, has.
fn is_called_level_if_it_is(
    leader: &Status,
    peer: &PeerStatus,
    now: Instant,
    config: &Config,
) -> Result<(), String> {
    let PeerStatus { id, match_index, heard_at, caught_up, .. } = *peer;
    let is_alive = now.saturating_since(heard_at) <= config.election_timeout;
    let is_level = match_index >= leader.last.index;
    if caught_up && !is_alive || !caught_up && is_alive && is_level {
        let has = if caught_up { "has" } else { "has not" };
        let silence = now.saturating_since(heard_at);
        return Err(format!(
            "{:?} has {}, and says that {id:?}, who has {match_index} and was heard {silence:?} \
             ago, {has} caught up",
            leader.id, leader.last.index
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Peers;
    use crate::checker::fixture::{Cluster, matched, refused};
    use raft_core::{
        Action, Config, Input, Instant, LogIndex, Membership, NodeId, PeerPhase, PeerStatus,
    };

    /// S2, with so much of the log.
    fn has(match_index: u64) -> PeerStatus {
        PeerStatus {
            id: NodeId(2),
            match_index: LogIndex(match_index),
            next_index: LogIndex(match_index + 1),
            sent_through: LogIndex(match_index),
            phase: PeerPhase::Replicate,
            messages_in_flight: 0,
            heard_at: Instant::ZERO,
            caught_up: true,
            leaving: false,
        }
    }

    /// S1 leads term 1 with four entries.
    fn led() -> (Cluster, Peers) {
        let mut cluster = Cluster::of(3);
        cluster.node(1).configured(Config::new(NodeId(1), 1)).leads(1).fill(&[1, 1, 1, 1]);
        (cluster, Peers::default())
    }

    /// S1 hears from S2, and says this of it then.
    fn hears(cluster: &mut Cluster, checker: &mut Peers, peer: PeerStatus) -> Result<(), String> {
        cluster.node(1).node.as_mut().expect("it runs").peers = vec![peer];
        let Action::Send(answer) = matched(2, 1, 1, 1, None) else { unreachable!("a message") };
        cluster.takes(checker, 1, &[Input::Message(answer)], &[])
    }

    #[test]
    fn what_a_member_has_acknowledged_stays_so_within_a_term() {
        let falls = |between: &dyn Fn(&mut Cluster)| {
            let (mut cluster, mut checker) = led();
            hears(&mut cluster, &mut checker, has(2)).expect("for the first time");
            hears(&mut cluster, &mut checker, has(3)).expect("more");
            between(&mut cluster);
            hears(&mut cluster, &mut checker, has(2))
        };
        refused(falls(&|_| {}), "S1 said that S2 has 3, and says now that it has 2");
        falls(&|cluster| _ = cluster.node(1).leads(2)).expect("another term");
    }

    #[test]
    fn a_peer_that_was_no_member_meanwhile_or_has_lost_its_log_begins_anew() {
        let (mut cluster, mut checker) = led();
        let all = cluster.node(1).membership.clone();
        hears(&mut cluster, &mut checker, has(3)).expect("for the first time");
        cluster.node(1).membership = Membership::of_voters([1, 3].map(NodeId)).expect("two");
        let leaves = PeerStatus { leaving: true, ..has(1) };
        hears(&mut cluster, &mut checker, leaves).expect("it leaves");
        cluster.node(1).membership = all;
        hears(&mut cluster, &mut checker, has(1)).expect("it is here again");
        hears(&mut cluster, &mut checker, has(2)).expect("more");
        let (peer, rejected, acknowledged) = (NodeId(2), LogIndex(1), LogIndex(2));
        let lost = Action::PeerRegressed { peer, acknowledged, rejected };
        cluster.stepped(&mut checker, 1, &[lost]).expect("it is said");
        hears(&mut cluster, &mut checker, has(0)).expect("its disk is another");
    }

    #[test]
    fn what_cannot_be_of_a_peer() {
        let says = |peer| {
            let (mut cluster, mut checker) = led();
            hears(&mut cluster, &mut checker, peer)
        };
        says(has(4)).expect("all of the log");
        for wrong in [
            has(5),
            PeerStatus { next_index: LogIndex(2), ..has(2) },
            PeerStatus { next_index: LogIndex(6), ..has(2) },
            PeerStatus { sent_through: LogIndex(1), ..has(2) },
            PeerStatus { sent_through: LogIndex(5), ..has(2) },
        ] {
            refused(says(wrong), "S1 has 4, and says that S2 has ");
        }
        refused(says(PeerStatus { leaving: true, ..has(2) }), "a member, that leaving is true");
        let behind = PeerStatus { caught_up: false, ..has(3) };
        says(behind).expect("it lacks something");
        refused(says(PeerStatus { caught_up: false, ..has(4) }), "has not caught up");
    }

    #[test]
    fn who_is_silent_for_longer_than_t_has_not_caught_up() {
        let (mut cluster, mut checker) = led();
        let timeout = Config::new(NodeId(1), 1).election_timeout;
        let mut wakes = |after: Instant, peer| {
            let node = cluster.node(1);
            node.told = after;
            node.node.as_mut().expect("it runs").peers = vec![peer];
            cluster.takes(&mut checker, 1, &[Input::Wake], &[])
        };
        let (last, late) = [timeout, timeout + std::time::Duration::from_nanos(1)]
            .map(|after| Instant::ZERO.saturating_add(after))
            .into();
        wakes(last, has(4)).expect("T is not over");
        refused(wakes(late, has(4)), "ago, has caught up");
        wakes(late, PeerStatus { caught_up: false, ..has(4) }).expect("it may be anything");
    }
}
