//! The properties of state machines, snapshots and memberships, word by word.

use crate::checker::oracles::definitions::{applied_log, entries, step, written};
use crate::checker::oracles::history::{Recorded, Seen};
use crate::host::machine::Machine;
use raft_core::payload::Content;
use raft_core::{LogIndex, LogPosition, Membership, RoleKind};

/// A state machine is what the log up to there makes of one, however it came about.
pub(super) fn snapshot_coherence(past: &[Seen], now: &Seen) -> bool {
    let held = |seen: &Seen| {
        let image = seen.node().stored.snapshot.as_ref();
        let position = image.map(|image| image.snapshot.position.index);
        (seen.node().life, seen.node().machine.applied(), position)
    };
    let last = past.iter().rfind(|seen| seen.id == now.id && seen.node().running);
    if !now.node().running || last.is_some_and(|seen| held(seen) == held(now)) {
        return true;
    }
    let log = applied_log(past, now);
    let at = |index: LogIndex| {
        let mut machine = Machine::default();
        for (_, entry) in log.range(..=index) {
            machine.apply(entry);
        }
        machine.hash()
    };
    let machine = &now.node().machine;
    if machine.applied() > LogIndex::ZERO && machine.hash() != at(machine.applied()) {
        return false;
    }
    now.node().stored.snapshot.as_ref().is_none_or(|image| {
        let index = image.snapshot.position.index;
        let in_force = log.range(..=index).rev().find_map(|(_, entry)| match &entry.content {
            Content::Membership(membership) => Some((**membership).clone()),
            Content::Command(_) => None,
        });
        let same = in_force.is_none_or(|membership| membership == image.snapshot.membership);
        same && image.machine.hash() == at(index)
    })
}

fn memberships(seen: &Seen) -> Vec<(LogPosition, Membership)> {
    let all = entries(&seen.node().log).into_iter();
    let membership = all.filter_map(|(position, entry)| match entry.content {
        Content::Membership(membership) => Some((position, *membership)),
        Content::Command(_) => None,
    });
    membership.collect()
}

/// Old and new share a majority: the same, or one of them joint with the other as its half.
fn is_a_step(old: &Membership, new: &Membership) -> bool {
    if old == new {
        return true;
    }
    match (old.outgoing().is_empty(), new.outgoing().is_empty()) {
        (true, false) => new.outgoing() == old.voters(),
        (false, true) => new.voters() == old.voters() && new.learners() == old.learners(),
        // What has no voters may be followed by what has none either.
        (true, true) => old.voters().is_empty() && new.outgoing() == old.voters(),
        (false, false) => false,
    }
}

/// Memberships change by one step at a time, and a node acts by the last one in its log.
pub(super) fn membership_coherence(past: &[Seen], now: &Seen) -> bool {
    let joint = now.node().membership.is_joint() && now.is_whole();
    if let Some((_, leader)) = step(now).filter(|(_, s)| joint && s.role == RoleKind::Leader)
        && leader.transfers_to.is_none()
        && leader.last == LogPosition::new(leader.term, leader.commit_index)
    {
        return false;
    }
    if written(now).is_none() {
        return true;
    }
    let log = &now.node().log;
    let image = now.node().stored.snapshot.as_ref().map(|image| &image.snapshot);
    let covers = |position: LogPosition| position.index.get() > 0 && position == log.start();
    let mut before = image.filter(|s| covers(s.position)).map(|s| s.membership.clone());
    let known = |position: LogPosition| {
        let writes = past.iter().filter(|seen| written(seen).is_some());
        writes.flat_map(memberships).any(|(other, _)| other == position)
    };
    let all = memberships(now);
    for (position, membership) in &all {
        let step = before.is_none_or(|before| is_a_step(&before, membership));
        if !step && !known(*position) {
            return false;
        }
        before = Some(membership.clone());
    }
    let acts = before.is_none_or(|last| last == now.node().membership);
    let whole = !matches!(now.what, Recorded::Stepped { whole: false, .. });
    if whole && !acts {
        return false;
    }
    let Some(leader) = now.status().filter(|s| s.role == RoleKind::Leader) else { return true };
    let open = |position: LogPosition| {
        position.index > leader.commit_index && position.term == leader.term
    };
    all.iter().filter(|(position, _)| open(*position)).count() < 2
}
