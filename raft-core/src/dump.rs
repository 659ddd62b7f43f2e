//! A node that is read back from a dump. Whatever was done to the dump: what is read keeps all
//! invariants and every number lies in its range, so that no later input makes it panic.
//!
//! What holds after every step is checked by [`invariants`]; what costs more, or cannot break by
//! itself, is checked here.

use crate::config::{Config, DAY};
use crate::invariants::{self, Broken, holds};
use crate::membership::Membership;
use crate::node::Node;
use crate::state::core::Core;
use crate::state::role::{Follower, Leader, NodeSet, Role};
use crate::state::timers::LAST_MOMENT;
use crate::status::Standing;
use crate::types::{LIMIT, LogIndex, NodeId, Term};
use serde::de::{Deserialize, Deserializer, Error};

/// A node before anybody has looked at it.
#[derive(serde::Deserialize)]
#[serde(rename = "Node")]
struct Dump {
    core: Core,
    role: Role,
    announced: Standing,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Dump { core, role, announced } = Dump::deserialize(deserializer)?;
        check(&core, &role, announced).map_err(D::Error::custom)?;
        Ok(Self { core, role, announced })
    }
}

fn check(core: &Core, role: &Role, announced: Standing) -> Result<(), Broken> {
    holds(core.config.check().is_ok(), "the configuration is valid")?;
    check_numbers(core)?;
    check_messages(core)?;
    let last = core.log.last_position();
    match role {
        Role::Follower(follower) => check_follower(core, follower)?,
        Role::PreCandidate(candidate) => {
            holds(candidate.round <= core.round, "a round of this life")?;
            let sorted = |set: &NodeSet| set.is_sorted();
            holds(candidate.votes.as_ref().is_none_or(sorted), "a set is sorted")?;
            holds(candidate.refused.is_sorted(), "a set is sorted")?;
            let answered = candidate.granted.iter().all(|(_, at)| *at <= core.now);
            holds(answered, "an answer has come")?;
            holds(core.term() < Term::LAST, "there is a next term")?;
        }
        Role::Candidate(candidate) => {
            let sorted = candidate.granted.is_sorted() && candidate.refused.is_sorted();
            holds(sorted, "a set is sorted")?;
            holds(last.term < core.term(), "a candidate's term is above its log")?;
        }
        Role::Leader(leader) => check_leader(core, leader)?,
    }
    invariants::check(core, role)?;
    holds(announced == Standing::of(core, role), "what is so has been announced")
}

fn check_numbers(core: &Core) -> Result<(), Broken> {
    let id = |id: Option<NodeId>| id.is_none_or(|id| id.get() <= LIMIT);
    let hard_state = core.hard_state;
    holds(core.now <= LAST_MOMENT, "the clock is in its range")?;
    holds(core.term() <= Term::LAST, "the term is in its range")?;
    holds(id(hard_state.voted_for) && id(core.elected), "ids are in their range")?;
    holds(hard_state.promised <= Config::LONGEST_PROMISE, "a promise ends")?;
    holds(core.round.get() <= LIMIT && core.untimed <= core.round, "rounds are in their range")?;
    let soon = core.now.saturating_add(Config::LONGEST_PROMISE);
    holds(
        core.lease.is_in_range(soon, core.term()),
        "a lease ends, and is with a leader that was",
    )?;
    holds(core.installing_since <= core.now, "an install has begun")?;
    let latest = soon.saturating_add(DAY);
    holds(core.timers.latest().is_none_or(|at| at <= latest), "deadlines are near")?;
    holds(core.log.is_in_range(), "the log is in its range")?;
    // After this the positions of the log and of the disk can be computed with.
    holds(core.log.is_sound(), "the log is a sequence of runs with ascending terms")?;
    let start = core.log.start();
    holds(core.disk.is_in_range(&hard_state, start, core.now), "the disk is behind the node")?;
    holds(core.disk.durable_index() >= start.index, "what a snapshot covers is durable")?;
    holds(core.commit_index >= start.index, "what a snapshot covers is committed")
}

fn check_messages(core: &Core) -> Result<(), Broken> {
    let others = core.outbox.iter().all(|(to, _)| *to != core.id() && to.get() <= LIMIT);
    holds(others, "messages are for others")?;
    let Some(snapshot) = &core.installing else { return Ok(()) };
    let position = snapshot.position;
    let fits = position.index.get() <= LIMIT && position.term <= core.term();
    holds(fits && position.term > Term::ZERO, "a snapshot is in its range")?;
    holds(snapshot.membership != Membership::empty(), "a snapshot has members")?;
    holds(!core.log.matches(position), "a snapshot that is installed is not held")
}

fn check_follower(core: &Core, follower: &Follower) -> Result<(), Broken> {
    holds(follower.lease <= Config::LONGEST_PROMISE, "a lease ends")?;
    holds(follower.probe.is_none_or(|probe| probe.round.get() <= LIMIT), "a round")?;
    let reads = follower.reads.is_in_range(core.round, core.now);
    holds(reads, "reads were asked for in this life")
}

fn check_leader(core: &Core, leader: &Leader) -> Result<(), Broken> {
    let last = core.log.last_position();
    holds(last.term == core.term(), "a leader's log ends in its term")?;
    holds(!core.membership().is_empty(), "a leader has members")?;
    holds(leader.elected_at <= core.now && leader.first_round <= core.round, "it was elected")?;
    let newest = leader.newest_probe.is_none_or(|p| p.round <= core.round && p.sent_at <= core.now);
    holds(newest, "a question was asked")?;
    let first = LogIndex::ZERO < leader.first_index && leader.first_index <= last.index;
    holds(first, "a leader's first entry is in its log")?;
    let (soon, ids) = (core.now.saturating_add(Config::LONGEST_PROMISE), core.id());
    for (id, peer) in &leader.peers {
        holds(*id != ids && id.get() <= LIMIT, "a peer is another node")?;
        let numbers = peer.is_in_range(last.index, core.round, (core.now, soon));
        holds(numbers && peer.announced <= core.commit_index, "progress is in its range")?;
    }
    holds(leader.peers.is_sorted_by(|a, b| a.0 < b.0), "a leader knows every peer once")?;
    let reads = leader.reads.is_in_range(core.round, core.commit_index, core.now);
    holds(reads, "reads were asked for in this life")?;
    let to = leader.transfer.as_ref().map(|transfer| transfer.to);
    holds(to.is_none_or(|to| to != core.id()), "leadership is transferred to another")
}
