//! A lease that is asked for is promised, and one that a quorum has promised is held (thesis,
//! 6.4.1). Without that no read is wrong; each costs a round.
//!
//! A follower that takes a leader's question has so long a promise given to its disk as the leader
//! asks for, if its configuration allows one; and what it says once that is durable promises it. A
//! leader that takes such answers of a quorum shows a lease until the last moment of which all of
//! them surely last, by its own clock: the promise began after the question had left, on a clock
//! that may run fast.
//!
//! That a lease is no longer than that is for `lease_disjointness`. Nothing is judged of a leader
//! whose clock has gone back, that has handed over, that has seen a peer lose its log, or whose
//! membership has changed: there leases end early, and who is right is for others.

use crate::checker::by_id::ById;
use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use crate::checker::sight::{is_open, is_quorum};
use raft_core::{
    Action, Config, Echo, Envelope, Input, Instant, Membership, Message, NodeId, Probe, Protection,
    RoleKind, Round, Status, Term,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// So many questions of a leader are remembered until they are answered.
const QUESTIONS: usize = 16;

#[derive(Clone, Default, Debug)]
pub(super) struct Leases {
    judged: u64,
    minds: ById<Mind>,
}

/// What is known of a node, in one life.
#[derive(Clone, Default, Debug)]
struct Mind {
    /// What its disk was last given of promises.
    promised: Duration,
    /// What it was asked for, in this term.
    asked: VecDeque<(Term, Round, Duration)>,
    /// What it was promised, while it leads.
    reign: Option<Reign>,
}

/// A leader in its term.
#[derive(Clone, Debug)]
struct Reign {
    term: Term,
    membership: Membership,
    /// Until when, by its clock, each peer surely votes for nobody else.
    until: BTreeMap<NodeId, Instant>,
    /// Whether something has happened that ends leases early.
    is_void: bool,
}

impl Checker for Leases {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let id = sight.node.id;
        match sight.observed {
            Observed::Crashed => self.minds.remove(id),
            Observed::Started => {
                let promised = sight.node.stored.hard_state.promised;
                self.minds.insert(id, Mind { promised, ..Mind::default() });
            }
            Observed::Stepped { before, whole: true, .. } => {
                let (Some(after), Some(node)) = (sight.node.status, sight.node.node) else {
                    return Ok(());
                };
                let config = node.config();
                let mind = self.minds.entry(id);
                mind.write(sight.actions());
                if config.protection == Protection::Full {
                    let step = Step { sight, before, after, config };
                    self.judged += step.asks(mind)?;
                    self.judged += step.promises(mind)?;
                    self.judged += step.is_promised(mind)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Mind {
    fn write(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Persist(write) = action
                && let Some(hard_state) = write.hard_state
            {
                self.promised = hard_state.promised;
            }
        }
    }
}

/// A step of a node with full protection.
struct Step<'a> {
    sight: &'a Sight<'a>,
    before: &'a Status,
    after: &'a Status,
    config: &'a Config,
}

impl Step<'_> {
    /// What the leader asks for is given to the disk before the step is over.
    fn asks(&self, mind: &mut Mind) -> Result<u64, String> {
        let Status { id, role, term, leader, .. } = *self.after;
        mind.asked.retain(|(of, ..)| *of == term);
        if role != RoleKind::Follower || self.refuses() {
            return Ok(0);
        }
        let mut judged = 0;
        for input in self.sight.inputs() {
            let Input::Message(envelope) = input else { continue };
            let of_leader = envelope.term == term && leader == Some(envelope.from);
            let Some(Probe { round, lease, .. }) = probe(envelope).filter(|_| of_leader) else {
                continue;
            };
            mind.asked.push_back((term, round, lease));
            if mind.asked.len() > QUESTIONS {
                mind.asked.pop_front();
            }
            judged += 1;
            if lease <= self.config.longest_promise && mind.promised < lease {
                return Err(format!(
                    "{id:?} is asked for a lease of {lease:?}, and no more than {:?} of promises \
                     would survive a crash",
                    mind.promised
                ));
            }
        }
        Ok(judged)
    }

    /// What is durable and was asked for is promised.
    fn promises(&self, mind: &Mind) -> Result<u64, String> {
        let (before, after) = (self.before, self.after);
        let stays = (before.term, before.leader) == (after.term, after.leader);
        if !stays || ![before, after].into_iter().all(is_open) {
            return Ok(0);
        }
        let of = |status: &Status| status.durable_hard_state.promised;
        let durable = of(before).min(of(after)).min(self.config.longest_promise);
        let mut judged = 0;
        for envelope in self.sight.sent() {
            let Some(Echo { round, promised, .. }) = echo(envelope) else { continue };
            let asked = mind.asked.iter().find(|(_, of, _)| *of == round);
            let Some((_, _, lease)) = asked.filter(|(_, _, lease)| *lease <= durable) else {
                continue;
            };
            judged += 1;
            if promised != *lease {
                return Err(format!(
                    "{:?} is asked for a lease of {lease:?}, of which a crash would leave \
                     {durable:?}, and promises {promised:?}",
                    after.id
                ));
            }
        }
        Ok(judged)
    }

    /// What a quorum has promised is shown.
    fn is_promised(&self, mind: &mut Mind) -> Result<u64, String> {
        let Status { id, role, term, lease_until, .. } = *self.after;
        if role != RoleKind::Leader {
            mind.reign = None;
            return Ok(0);
        }
        let now = self.sight.node.membership;
        let reign = mind.reign.take().filter(|reign| reign.term == term);
        let reign = mind.reign.insert(reign.unwrap_or_else(|| Reign {
            term,
            membership: now.clone(),
            until: BTreeMap::new(),
            is_void: false,
        }));
        let is_behind = self.sight.node.told < self.sight.time;
        reign.is_void |= is_behind || reign.membership != *now || self.ends_leases();
        if reign.is_void || self.refuses() {
            return Ok(0);
        }
        let mut judged = 0;
        for input in self.sight.inputs() {
            let Input::Message(envelope) = input else { continue };
            let Some(echo) = echo(envelope).filter(|_| envelope.term == term) else { continue };
            let until = reign.until.entry(envelope.from).or_default();
            *until = safe_until(echo, self.config).max(*until);
            judged = 1;
        }
        let promised = of_quorum(id, reign);
        if judged > 0 && promised > self.sight.time && lease_until.is_none_or(|it| it < promised) {
            return Err(format!(
                "{id:?} was promised a lease until {promised:?} by a quorum, and shows \
                 {lease_until:?}"
            ));
        }
        Ok(judged)
    }

    /// Whether anything is refused: what, and what was taken before it, nobody can tell.
    fn refuses(&self) -> bool {
        self.sight.actions().iter().any(|action| matches!(action, Action::Ignored { .. }))
    }

    /// Whether this leader counts on no promise any more, or on none of a peer.
    fn ends_leases(&self) -> bool {
        self.sight.actions().iter().any(|action| match action {
            Action::PeerRegressed { .. } => true,
            Action::Send(envelope) => matches!(envelope.message, Message::TimeoutNow),
            _ => false,
        })
    }
}

fn probe(envelope: &Envelope) -> Option<Probe> {
    match &envelope.message {
        Message::AppendEntries(m) => m.probe,
        _ => None,
    }
}

fn echo(envelope: &Envelope) -> Option<Echo> {
    match &envelope.message {
        Message::AppendEntriesResponse(m) => m.echo,
        _ => None,
    }
}

/// Until when an answer surely binds, by the clock of the leader.
fn safe_until(echo: Echo, config: &Config) -> Instant {
    let (drift, million) = (u128::from(config.clock_drift_ppm), 1_000_000);
    let safe = echo.promised.as_nanos() * (million - drift) / (million + drift);
    let safe = u64::try_from(safe).unwrap_or(u64::MAX);
    Instant::from_nanos(echo.sent_at.as_nanos().saturating_add(safe))
}

/// The last moment of which the promises of a quorum last.
fn of_quorum(id: NodeId, reign: &Reign) -> Instant {
    let lasts = |moment: &&Instant| {
        let until = reign.until.iter().filter(|(_, until)| *until >= *moment);
        let bound: BTreeSet<NodeId> = until.map(|(peer, _)| *peer).chain([id]).collect();
        is_quorum(&reign.membership, &bound)
    };
    reign.until.values().filter(lasts).max().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Leases;
    use crate::checker::fixture::{Cluster, matched, refused, send, taken};
    use raft_core::{
        Action, AppendEntries, Config, Echo, Entries, HardState, Input, Instant, LogIndex,
        LogPosition, Message, NodeId, Probe, Round, Status, Term, Ticket, Write,
    };
    use std::time::Duration;

    const T: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// S1 asks in this round, at this moment, for a lease of T.
    fn asks(round: u64, millis: u64) -> Input {
        let probe = Some(Probe { round: Round(round), sent_at: at(millis), lease: T });
        let (prev, commit) = (LogPosition::ZERO, LogIndex::ZERO);
        let message = AppendEntries { prev, entries: Entries::new(), commit, probe };
        taken(send(1, 2, 1, Message::AppendEntries(message)))
    }

    /// An answer to that.
    fn answer(from: u64, round: u64, millis: u64, promised: Duration) -> Action {
        let echo = Echo { round: Round(round), sent_at: at(millis), promised };
        matched(from, 1, 1, 0, Some(echo))
    }

    /// S2 follows S1 in term 1; its disk would keep so much of a promise.
    fn follower(promised: Duration) -> (Cluster, Leases) {
        let (mut cluster, mut checker) = (Cluster::of(3), Leases::default());
        let node = cluster.node(2).configured(Config::new(NodeId(2), 1)).vote(1, 1);
        node.status.leader = Some(NodeId(1));
        node.stored.hard_state.promised = promised;
        node.status.durable_hard_state.promised = promised;
        cluster.started(&mut checker, 2).expect("it starts");
        (cluster, checker)
    }

    #[test]
    fn what_is_asked_for_is_given_to_the_disk() {
        let (mut cluster, mut checker) = follower(Duration::ZERO);
        let said = cluster.takes(&mut checker, 2, &[asks(1, 0)], &[]);
        refused(said, "S2 is asked for a lease of 1s, and no more than 0ns of promises would");
        let (mut cluster, mut checker) = follower(Duration::ZERO);
        let hard_state = Some(HardState { promised: T, ..HardState::default() });
        let write = Action::Persist(Write { ticket: Ticket(1), hard_state, log: None });
        cluster.takes(&mut checker, 2, &[asks(1, 0)], &[write]).expect("it is");
        cluster.takes(&mut checker, 2, &[asks(2, 9)], &[]).expect("it was");
    }

    #[test]
    fn what_is_durable_is_promised() {
        let says = |durable, promised| {
            let (mut cluster, mut checker) = follower(durable);
            cluster.takes(&mut checker, 2, &[asks(1, 0)], &[answer(2, 1, 0, promised)])
        };
        says(T, T).expect("all of it");
        refused(says(T, Duration::ZERO), "S2 is asked for a lease of 1s, of which a crash would");
        let (mut cluster, mut checker) = follower(T);
        cluster.node(2).status.durable_hard_state.promised = Duration::ZERO;
        let waits = [answer(2, 1, 0, Duration::ZERO)];
        cluster.takes(&mut checker, 2, &[asks(1, 0)], &waits).expect("it is not durable yet");
    }

    /// S1 of three leads term 1, and shows this when it hears that S2 promises it T.
    fn shows(
        until: Option<Instant>,
        between: impl Fn(&mut Cluster, &mut Leases),
    ) -> Result<(), String> {
        let (mut cluster, mut checker) = (Cluster::of(3), Leases::default());
        cluster.node(1).configured(Config::new(NodeId(1), 1)).leads(1);
        cluster.stepped(&mut checker, 1, &[]).expect("it leads");
        between(&mut cluster, &mut checker);
        let status: &mut Status = &mut cluster.node(1).status;
        status.lease_until = until;
        cluster.takes(&mut checker, 1, &[taken(answer(2, 1, 500, T))], &[])
    }

    #[test]
    fn a_leader_shows_the_lease_that_a_quorum_has_promised() {
        // Half a second, and a second less the drift of 1000 ppm on either side.
        let least = Instant::from_nanos(500_000_000 + 998_001_998);
        let less = Instant::from_nanos(least.as_nanos() - 1);
        shows(Some(least), |_, _| {}).expect("it does");
        refused(shows(Some(less), |_, _| {}), "S1 was promised a lease until ");
        refused(shows(None, |_, _| {}), "by a quorum, and shows None");
        shows(None, |cluster, _| cluster.node(1).told = at(1_600)).expect("it is over");
    }

    #[test]
    fn nothing_is_judged_where_leases_end_early() {
        let hands_over = send(1, 2, 1, Message::TimeoutNow);
        shows(None, |cluster, checker| {
            cluster.stepped(checker, 1, std::slice::from_ref(&hands_over)).expect("it hands over");
        })
        .expect("it counts on nobody");
        shows(None, |cluster, checker| {
            cluster.node(1).told = at(400);
            cluster.stepped(checker, 1, &[]).expect("it is later");
            cluster.node(1).told = at(399);
        })
        .expect("its clock has gone back");
        shows(None, |cluster, _| cluster.node(1).status.term = Term(2)).expect("of another term");
    }
}
