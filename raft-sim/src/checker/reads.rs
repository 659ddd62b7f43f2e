//! A read that can be answered is answered (thesis, 6.4): a leader that holds a lease answers a
//! read by lease at once; what a leader says of a question answers the reads that wait for it; and
//! a leader gives up no read that a quorum has confirmed.
//!
//! A wrong answer is for `linearizability`. A read that gets none is given up after 2T, which
//! every client survives, so that nothing else would see it.
//!
//! A quorum has confirmed a read for sure when it has acknowledged what the leader sent T after it
//! had come: within T a heartbeat has left, which serves all reads that waited. What comes in the
//! very call in which the read is given up comes too late. Nothing is judged of a leader that had
//! committed nothing of its term when the read came, that has seen a peer lose its log, or whose
//! membership has changed since.

use crate::checker::by_id::ById;
use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use crate::checker::sight::{is_quorum, leads_on};
use raft_core::{
    Action, Consistency, Input, Instant, Membership, Message, NodeId, RejectReason, RoleKind,
    Status, Term, Token,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Default, Debug)]
pub(super) struct Reads {
    judged: u64,
    minds: ById<Mind>,
}

/// What is known of a node, in one life.
#[derive(Clone, Default, Debug)]
struct Mind {
    /// The reads that came to it while it led this term, and when, by its clock.
    asked: BTreeMap<Token, (Instant, Membership)>,
    term: Term,
    /// When each peer was heard, as it was known after the last call.
    heard: Vec<(NodeId, Instant)>,
    /// Whether a peer has lost its log in this term.
    lost: bool,
}

impl Checker for Reads {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        match sight.observed {
            Observed::Crashed | Observed::Started => self.minds.remove(sight.node.id),
            Observed::Stepped { before, whole: true, .. } => {
                let Some(after) = sight.node.status else { return Ok(()) };
                let mind = self.minds.entry(sight.node.id);
                let step = Step { sight, before, after };
                self.judged += step.is_answered()?;
                self.judged += step.gives_up(mind)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// A step of a node.
struct Step<'a> {
    sight: &'a Sight<'a>,
    before: &'a Status,
    after: &'a Status,
}

impl Step<'_> {
    /// What can be answered in the very call, and comes alone in it.
    fn is_answered(&self) -> Result<u64, String> {
        let [input] = self.sight.inputs() else { return Ok(0) };
        let ends = |name: Option<Token>| {
            self.sight.actions().iter().any(|action| match action {
                Action::ReadReady { token, .. } | Action::Rejected { token, .. } => {
                    name.is_none_or(|name| name == *token)
                }
                Action::Ignored { .. } => true,
                _ => false,
            })
        };
        let name = match input {
            Input::Read { token, consistency: Consistency::Lease } => {
                let leased = self.after.lease_until.is_some_and(|until| self.sight.time < until);
                Some(*token).filter(|_| leased && self.knows_what_is_committed()).map(Some)
            }
            Input::Message(envelope) => {
                let of_leader = self.before.role == RoleKind::Follower
                    && (self.before.leader, self.before.term)
                        == (Some(envelope.from), envelope.term);
                let answers = matches!(envelope.message, Message::ReadIndexResponse(_));
                Some(None).filter(|_| answers && of_leader)
            }
            _ => None,
        };
        match name {
            Some(name) if !ends(name) => {
                Err(format!("{:?} takes {input:?}, and answers no read", self.after.id))
            }
            name => Ok(u64::from(name.is_some())),
        }
    }

    /// Whether it has led throughout, and an entry of its term was committed before.
    fn knows_what_is_committed(&self) -> bool {
        let (before, after) = (self.before, self.after);
        let committed = self.sight.node.log.position(before.commit_index);
        leads_on(before, after)
            && committed.is_some_and(|at| at.term == after.term)
    }

    /// What a leader gives up no quorum has confirmed.
    fn gives_up(&self, mind: &mut Mind) -> Result<u64, String> {
        let (id, members) = (self.after.id, self.sight.node.membership);
        let Some(node) = self.sight.node.node.filter(|_| self.knows_what_is_committed()) else {
            mind.asked.clear();
            return Ok(0);
        };
        if mind.term != self.after.term {
            (mind.term, mind.lost) = (self.after.term, false);
            mind.asked.clear();
        }
        for input in self.sight.inputs() {
            if let Input::Read { token, .. } = input {
                mind.asked.insert(*token, (self.sight.time, members.clone()));
            }
        }
        let lost = |action: &Action| matches!(action, Action::PeerRegressed { .. });
        mind.lost |= self.sight.actions().iter().any(lost);
        let mut judged = 0;
        for action in self.sight.actions() {
            let (token, is_late) = match action {
                Action::ReadReady { token, .. } => (token, false),
                Action::Rejected { token, reason } => (token, *reason == RejectReason::TimedOut),
                _ => continue,
            };
            let asked = mind.asked.remove(token).filter(|(_, then)| is_late && then == members);
            let Some((at, _)) = asked.filter(|_| !mind.lost) else { continue };
            judged += 1;
            let served = at.saturating_add(node.config().election_timeout);
            let heard = mind.heard.iter().filter(|(_, at)| *at >= served).map(|(peer, _)| *peer);
            let heard: BTreeSet<NodeId> = heard.chain([id]).collect();
            if is_quorum(members, &heard) {
                return Err(format!(
                    "{id:?} gives up the read {token:?} of {at:?}, which {heard:?} have confirmed"
                ));
            }
        }
        let peers = members.members().filter(|_| !mind.asked.is_empty());
        let heard = peers.filter_map(|peer| node.peer(peer)).map(|peer| (peer.id, peer.heard_at));
        mind.heard = heard.collect();
        Ok(judged)
    }
}

#[cfg(test)]
mod tests {
    use super::Reads;
    use crate::checker::fixture::{Cluster, refused, send, taken};
    use raft_core::{
        Action, Config, Consistency, IgnoreReason, Input, Instant, LogIndex, Membership, Message,
        NodeId, PeerPhase, PeerStatus, ReadIndexResponse, RejectReason, Round, Token,
    };

    const NAME: Token = Token(7);
    const READY: Action = Action::ReadReady { token: NAME, index: LogIndex(1) };

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn read(consistency: Consistency) -> [Input; 1] {
        [Input::Read { token: NAME, consistency }]
    }

    /// S1 of three leads term 1, in which so much is committed; S2 and S3 have confirmed what it
    /// sent at these moments.
    fn leads(committed: u64, heard: [u64; 2]) -> (Cluster, Reads) {
        let mut cluster = Cluster::of(3);
        let node = cluster.node(1).configured(Config::new(NodeId(1), 1)).leads(1).fill(&[1, 1]);
        node.commits(committed);
        node.node.as_mut().expect("it runs").peers = [(2, heard[0]), (3, heard[1])]
            .map(|(id, millis)| PeerStatus {
                id: NodeId(id),
                match_index: LogIndex(2),
                next_index: LogIndex(3),
                sent_through: LogIndex(2),
                phase: PeerPhase::Replicate,
                messages_in_flight: 0,
                heard_at: at(millis),
                caught_up: true,
                leaving: false,
            })
            .into();
        (cluster, Reads::default())
    }

    #[test]
    fn a_read_by_lease_is_answered_at_once_while_there_is_one() {
        let says = |committed, until, said: &[Action]| {
            let (mut cluster, mut checker) = leads(committed, [0, 0]);
            let node = cluster.node(1);
            (node.told, node.status.lease_until) = (at(100), Some(at(until)));
            cluster.takes(&mut checker, 1, &read(Consistency::Lease), said)
        };
        says(1, 101, &[READY]).expect("it is");
        refused(says(1, 101, &[]), "and answers no read");
        says(1, 100, &[]).expect("it is over");
        says(0, 101, &[]).expect("nobody knows what is committed");
    }

    #[test]
    fn what_a_leader_says_of_a_question_answers_who_waits_for_it() {
        let says = |from, said: &[Action]| {
            let mut cluster = Cluster::of(3);
            cluster.node(2).configured(Config::new(NodeId(2), 1)).vote(1, 1);
            cluster.node(2).status.leader = Some(NodeId(1));
            let response = ReadIndexResponse { id: Round(3), index: Some(LogIndex(1)) };
            let message = taken(send(from, 2, 1, Message::ReadIndexResponse(response)));
            cluster.takes(&mut Reads::default(), 2, &[message], said)
        };
        says(1, &[READY]).expect("it does");
        refused(says(1, &[]), "and answers no read");
        let stale = Action::Ignored { from: Some(NodeId(1)), reason: IgnoreReason::Stale };
        says(1, &[stale]).expect("nobody waits for it");
        says(3, &[]).expect("it is of no leader");
    }

    /// A read comes when the clock shows 1 s, and is given up at 3 s; T is 1 s.
    fn gives_up(
        (mut cluster, mut checker): (Cluster, Reads),
        between: impl Fn(&mut Cluster, &mut Reads),
    ) -> Result<(), String> {
        cluster.node(1).told = at(1_000);
        cluster.takes(&mut checker, 1, &read(Consistency::ReadIndex), &[]).expect("it waits");
        between(&mut cluster, &mut checker);
        cluster.node(1).told = at(3_000);
        let late = Action::Rejected { token: NAME, reason: RejectReason::TimedOut };
        cluster.takes(&mut checker, 1, &[Input::Wake], &[late])
    }

    #[test]
    fn a_leader_gives_up_no_read_that_a_quorum_has_confirmed() {
        let nothing = |_: &mut Cluster, _: &mut Reads| {};
        let sentence = "S1 gives up the read #7 of ";
        refused(gives_up(leads(1, [2_000, 0]), nothing), sentence);
        gives_up(leads(1, [1_999, 0]), nothing).expect("it may have been asked before");
        gives_up(leads(1, [0, 0]), |cluster, checker| {
            cluster.takes(checker, 1, &[Input::Wake], &[]).expect("nobody has answered");
            let known = cluster.node(1).node.as_mut().expect("it runs");
            known.peers[0].heard_at = at(2_000);
        })
        .expect("it comes in the very call");
        gives_up(leads(0, [2_000, 2_000]), nothing).expect("nothing was committed in its term");
    }

    #[test]
    fn nothing_is_judged_of_another_membership_or_of_a_log_that_was_lost() {
        gives_up(leads(1, [2_000, 0]), |cluster, _| {
            let two = Membership::of_voters([1, 2].map(NodeId)).expect("voters");
            cluster.node(1).membership = two;
        })
        .expect("who is a quorum has changed");
        gives_up(leads(1, [2_000, 0]), |cluster, checker| {
            let (peer, none) = (NodeId(2), LogIndex::ZERO);
            let lost = Action::PeerRegressed { peer, acknowledged: none, rejected: none };
            cluster.stepped(checker, 1, &[lost]).expect("it is said");
        })
        .expect("who it is does not count");
    }
}
