//! What holds of a node after every step, whatever it was given.
//!
//! Anyone can run it, in production too: see [`Node::check`](crate::Node::check). Tests, simulator
//! and fuzzing run it after every step.

use crate::state::core::{Core, MAX_WAITING};
use crate::state::role::{Follower, Leader, NodeSet, Role};
use crate::state::timers::Deadline;
use crate::types::{LogIndex, NodeId, Term};
use thiserror::Error;

/// An invariant that does not hold: a bug of this crate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[error("invariant broken: {0}")]
pub struct Broken(pub &'static str);

/// The first invariant that does not hold.
pub(crate) fn check(core: &Core, role: &Role) -> Result<(), Broken> {
    check_core(core)?;
    match role {
        Role::Follower(follower) => check_follower(core, follower),
        Role::PreCandidate(candidate) => {
            let sorted = candidate.granted.is_sorted_by(|(a, _), (b, _)| a < b);
            holds(sorted, "a pre-candidate counts every voter once")?;
            let own = core.hard_state.voted_for == Some(core.id());
            holds(own || candidate.votes.is_none(), "who counts votes has voted for itself")?;
            check_voters(core, candidate.votes.iter().flat_map(NodeSet::iter))?;
            check_voters(core, candidate.granted.iter().map(|(id, _)| *id))
        }
        Role::Candidate(candidate) => {
            holds(core.hard_state.voted_for == Some(core.id()), "a candidate votes for itself")?;
            check_voters(core, candidate.granted.iter())?;
            check_voters(core, candidate.refused.iter())
        }
        Role::Leader(leader) => check_leader(core, leader),
    }?;
    check_timers(core, role)
}

fn check_core(core: &Core) -> Result<(), Broken> {
    let (log, disk) = (&core.log, &core.disk);
    holds(log.is_sound(), "the log is a sequence of runs with ascending terms")?;
    holds(disk.is_sound(log.last_index()), "tickets ascend and what is durable is in the log")?;
    let is_voter = core.membership().is_voter(core.id());
    holds(core.is_voter == is_voter, "a node knows whether it is a voter")?;
    holds(log.last_position().term <= core.term(), "no entry has a term above the current one")?;
    holds(log.start().index <= core.last_applied, "what a snapshot covers is applied")?;
    holds(core.last_applied <= core.commit_index, "only what is committed is applied")?;
    holds(core.last_applied <= disk.durable_index(), "only what is durable is applied")?;
    holds(core.commit_index <= log.last_index(), "what is committed is in the log")?;
    let voted = core.hard_state.voted_for.is_some();
    holds(core.term() > Term::ZERO || !voted, "nobody votes in term 0")?;
    holds(disk.durable_hard_state().current_term <= core.term(), "the term does not decrease")?;
    holds(core.outbox.len() <= 2 * MAX_WAITING, "few messages wait for the disk")?;
    let nothing_waits = core.outbox.is_empty() || !core.is_open();
    holds(nothing_waits, "messages wait for nothing but the disk")?;
    holds(core.outcomes.is_empty(), "requests that ended have been answered")?;
    holds(!core.install_is_due, "a snapshot that is to be installed has been handed out")?;
    let news = core.installing.as_ref().is_none_or(|s| s.position.index > core.commit_index);
    holds(news, "a snapshot that is being installed is news")
}

fn check_follower(core: &Core, follower: &Follower) -> Result<(), Broken> {
    let leader = follower.leader;
    holds(
        leader.is_none() || leader == core.elected,
        "a follower follows the one who was elected",
    )?;
    holds(leader != Some(core.id()), "nobody follows itself")?;
    holds(follower.verified <= core.log.last_index(), "what is verified is in the log")?;
    holds(follower.acknowledged <= follower.verified, "only what matches is acknowledged")?;
    let durable = follower.acknowledged <= core.disk.durable_index();
    holds(durable, "only what is durable is acknowledged")?;
    holds(!(follower.answer_now && core.is_open()), "an answer that is due has been given")?;
    holds(follower.reads.is_sound(), "every read has been asked for, in order")?;
    holds(follower.reads.len() <= core.config.max_pending_reads, "few reads wait")
}

fn check_leader(core: &Core, leader: &Leader) -> Result<(), Broken> {
    holds(core.elected == Some(core.id()), "a leader knows that it was elected")?;
    holds(core.hard_state.voted_for == Some(core.id()), "a leader has voted for itself")?;
    holds(core.is_open(), "a leader's term and vote are durable")?;
    holds(!leader.heartbeat_due, "a heartbeat that is due has been sent")?;
    holds(leader.peer(core.id()).is_none(), "a leader does not send to itself")?;
    holds(core.installing.is_none(), "a leader installs no snapshot")?;
    holds(leader.reads.len() <= core.config.max_pending_reads, "few reads wait")?;
    holds(leader.reads.is_sound(), "rounds serve reads in the order of asking")?;
    let mut others = core.membership().members().filter(|id| *id != core.id());
    let known = others.all(|id| leader.peer(id).is_some_and(|peer| peer.leaving.is_none()));
    holds(known, "a leader sends to every other member")?;
    let sorted = leader.peers.is_sorted_by_key(|(id, _)| *id);
    holds(sorted, "a leader knows every peer once")?;
    let window = core.config.max_messages_in_flight;
    let last = core.log.last_index();
    let sound = |index: LogIndex| index <= last.next();
    holds(
        leader.peers.iter().all(|(_, p)| p.is_sound(window) && sound(p.next_index)),
        "progress moves within the log",
    )
}

fn check_voters(core: &Core, mut ids: impl Iterator<Item = NodeId>) -> Result<(), Broken> {
    let voters = ids.all(|id| core.membership().is_voter(id) && id != core.id());
    holds(voters, "only the votes of other voters are counted")
}

fn check_timers(core: &Core, role: &Role) -> Result<(), Broken> {
    let leads = matches!(role, Role::Leader(_));
    let follows = matches!(role, Role::Follower(_));
    let set = |deadline| core.timers.get(deadline).is_some();
    holds(set(Deadline::Heartbeat) == leads, "leaders have heartbeats, and only they")?;
    holds(
        set(Deadline::CheckQuorum) == (leads && core.has_leases()),
        "leaders check their quorum",
    )?;
    holds(leads || !set(Deadline::Disk), "only leaders step aside for a disk that hangs")?;
    holds(leads || follows || !set(Deadline::Read), "who campaigns has no reads")?;
    holds(follows || !set(Deadline::ReadRepeat), "only followers ask their leader for reads")?;
    holds(
        set(Deadline::Election) == (!leads && core.has_a_vote()),
        "who may hold an election waits for one, and only they",
    )
}

pub(crate) fn holds(condition: bool, invariant: &'static str) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(Broken(invariant)) }
}
