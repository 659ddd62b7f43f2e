//! The properties word by word: of an event, against everything that was before it. Slow, without
//! memory of their own, and without a line of the checkers'.

use crate::checker::fixture::TestNode;
use crate::checker::oracles::history::{Recorded, Seen};
use crate::host::log::{Command, Entry, Log};
use crate::plan::record::{Operation, Stage};
use raft_core::payload::Content;
use raft_core::{
    Action, Envelope, Fate, LogIndex, LogPosition, Membership, Message, NodeId, RoleKind, Status,
    Term, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a property holds of an event that comes after others.
pub(super) type Definition = fn(&[Seen], &Seen) -> bool;

pub(super) fn majority(membership: &Membership, yes: impl Fn(NodeId) -> bool) -> bool {
    [membership.voters(), membership.outgoing()].into_iter().enumerate().all(|(nth, half)| {
        let (for_it, against): (Vec<&NodeId>, Vec<&NodeId>) = half.iter().partition(|id| yes(**id));
        for_it.len() > against.len() || nth == 1 && half.is_empty()
    })
}

/// The entries of a log with their positions, read one by one.
pub(super) fn entries(log: &Log) -> Vec<(LogPosition, Entry)> {
    let (start, end) = (log.start().index.get(), log.last().index.get());
    let at = |index| (index, log.get(LogIndex(index)).cloned());
    let held = (start + 1..=end).map(at).filter_map(|(index, entry)| Some((index, entry?)));
    held.map(|(index, entry)| (LogPosition::new(entry.term, LogIndex(index)), entry)).collect()
}

pub(super) fn term_at(log: &Log, index: u64) -> Option<Term> {
    if index == log.start().index.get() {
        return Some(log.start().term);
    }
    log.get(LogIndex(index)).map(|entry| entry.term)
}

pub(super) fn stands_on(node: &TestNode, position: LogPosition) -> bool {
    let stored = &node.stored;
    let image = stored.snapshot.as_ref().map_or(LogPosition::ZERO, |image| image.snapshot.position);
    position.index < image.index
        || position == image
        || position.index < stored.log.start().index
        || term_at(&stored.log, position.index.get()) == Some(position.term)
}

pub(super) fn step(seen: &Seen) -> Option<(&Status, &Status)> {
    match &seen.what {
        Recorded::Stepped { before, .. } => Some((before, seen.status()?)),
        _ => None,
    }
}

/// Where the log was written, if it was.
pub(super) fn written(seen: &Seen) -> Option<u64> {
    if let Recorded::Started = seen.what {
        return Some(1);
    }
    let first = |action: &Action| match action {
        Action::Persist(write) => Some(write.log.as_ref()?.first.get()),
        _ => None,
    };
    seen.actions().iter().filter_map(first).min()
}

/// The indices that came to count as committed with an event, as far as the log has them.
fn commits(seen: &Seen) -> Vec<LogPosition> {
    let Some(status) = seen.status() else { return Vec::new() };
    let from = match &seen.what {
        Recorded::Started => 0,
        Recorded::Stepped { before, whole, .. } if *whole || status.role == RoleKind::Leader => {
            before.commit_index.get()
        }
        _ => return Vec::new(),
    };
    let log = &seen.node().log;
    let position = |index| Some(LogPosition::new(term_at(log, index)?, LogIndex(index)));
    (from + 1..=status.commit_index.get()).filter(|index| *index > 0).filter_map(position).collect()
}

/// "At most one leader can be elected in a given term", by a quorum of durable votes.
pub(super) fn election_safety(past: &[Seen], now: &Seen) -> bool {
    fn claims(seen: &Seen) -> Vec<(Term, NodeId, u64)> {
        let leads = seen.status().filter(|status| status.role == RoleKind::Leader);
        let speaks = seen.sent().filter(|e| matches!(e.message, Message::AppendEntries(_)));
        let terms = leads.map(|status| status.term).into_iter().chain(speaks.map(|e| e.term));
        terms.map(|term| (term, seen.id, seen.node().life)).collect()
    }
    let before: Vec<_> = past.iter().flat_map(claims).collect();
    claims(now).into_iter().all(|claim| {
        let mut same_term = before.iter().filter(|known| known.0 == claim.0).peekable();
        if same_term.peek().is_some() {
            return same_term.all(|known| *known == claim);
        }
        majority(&now.node().membership, |voter| {
            let shows = past.iter().chain([now]).filter(|s| s.id == voter && s.shows_disk());
            let disks = shows.map(|seen| seen.node().stored.hard_state);
            let first = disks.filter(|d| d.current_term == claim.0).find_map(|d| d.voted_for);
            first == Some(claim.1)
        })
    })
}

/// "A leader never overwrites or deletes entries in its log; it only appends new entries."
pub(super) fn leader_append_only(_: &[Seen], now: &Seen) -> bool {
    let Some((before, after)) = step(now) else { return true };
    let led = matches!(before.role, RoleKind::Leader | RoleKind::Candidate);
    let leads = led && after.role == RoleKind::Leader && before.term == after.term;
    let overwrites = written(now).is_some_and(|first| first <= before.last.index.get());
    !(leads && overwrites)
}

/// "If two logs contain an entry with the same index and term, then the logs are identical in all
/// entries up through the given index." Of what was written: the same entry, after the same term.
pub(super) fn log_matching(past: &[Seen], now: &Seen) -> bool {
    fn learnt(seen: &Seen) -> Vec<(LogPosition, Entry, Term)> {
        let (Some(first), log) = (written(seen), &seen.node().log) else { return Vec::new() };
        let new = entries(log).into_iter().filter(|(p, _)| p.index.get() >= first);
        let after = |(position, entry): (LogPosition, Entry)| {
            let before = term_at(log, position.index.get() - 1).unwrap_or_default();
            (position, entry, before)
        };
        new.map(after).collect()
    }
    let new = learnt(now);
    let known: Vec<_> = past.iter().flat_map(learnt).collect();
    let ascend = new.iter().all(|(position, _, before)| position.term >= *before);
    let agree = new.iter().all(|a| known.iter().all(|b| a.0 != b.0 || a == b));
    let own_end = now.status().is_none_or(|status| {
        !now.is_whole() || status.installing.is_some() || status.last == now.node().log.last()
    });
    ascend && agree && own_end
}

/// "Only log entries from the leader's current term are committed by counting replicas", and only
/// where a majority has them on disk.
pub(super) fn commit_quorum(past: &[Seen], now: &Seen) -> bool {
    let counted = |seen: &Seen| {
        step(seen).is_some_and(|(before, after)| {
            after.role == RoleKind::Leader && after.commit_index > before.commit_index
        })
    };
    if let Some((before, after)) = step(now) {
        if after.commit_index < before.commit_index {
            return false;
        }
        if counted(now) {
            let index = after.commit_index;
            let term = term_at(&now.node().log, index.get());
            let position = LogPosition::new(after.term, index);
            let durable = |id: NodeId| now.nodes.get(&id).is_some_and(|n| stands_on(n, position));
            if term != Some(after.term) || !majority(&now.node().membership, durable) {
                return false;
            }
        }
    }
    // What a leader committed first at an index.
    let leaders: Vec<_> = past.iter().chain([now]).filter(|seen| counted(seen)).collect();
    let known = |index: LogIndex| {
        let by = leaders.iter().find(|s| s.status().is_some_and(|l| l.commit_index >= index))?;
        term_at(&by.node().log, index.get())
    };
    let expected = match (&now.what, now.status()) {
        (Recorded::Started, Some(status)) => 1..=status.commit_index.get(),
        (Recorded::Stepped { before, whole, .. }, Some(status))
            if *whole || status.role == RoleKind::Leader =>
        {
            before.commit_index.get() + 1..=status.commit_index.get()
        }
        _ => return true,
    };
    let start = now.node().log.start().index.get();
    expected.filter(|index| *index >= start && *index > 0).all(|index| {
        let held = term_at(&now.node().log, index);
        held.is_some() && held == known(LogIndex(index))
    })
}

/// "If a log entry is committed in a given term, then that entry will be present in the logs of the
/// leaders for all higher-numbered terms." (Of the last one; log matching brings the others.)
pub(super) fn leader_completeness(past: &[Seen], now: &Seen) -> bool {
    let committed = |seen: &Seen| {
        let last = commits(seen).last().copied();
        Some((last?, seen.status()?.term)).filter(|_| seen.status().is_some())
    };
    let first_of = |term: Term| {
        let leads = |seen: &&Seen| {
            seen.status().is_some_and(|s| s.role == RoleKind::Leader && s.term == term)
        };
        past.iter().chain([now]).find(leads)
    };
    let holds = |seen: &Seen, position: LogPosition| {
        let log = &seen.node().log;
        position.index < log.start().index
            || term_at(log, position.index.get()) == Some(position.term)
    };
    // A commit of a term counts with the greatest index that was known in it.
    let mut known: BTreeMap<Term, LogPosition> = BTreeMap::new();
    for (position, term) in past.iter().filter_map(committed) {
        let last = known.entry(term).or_insert(position);
        *last = if position.index > last.index { position } else { *last };
    }
    let elected = now.status().filter(|status| status.role == RoleKind::Leader);
    if let Some(status) = elected
        && first_of(status.term).is_some_and(|first| std::ptr::eq(first, now))
        && known.iter().any(|(term, position)| *term < status.term && !holds(now, *position))
    {
        return false;
    }
    let Some((position, term)) = committed(now) else { return true };
    let terms = past.iter().chain([now]).filter_map(|s| Some(s.status()?.term));
    let later: BTreeSet<Term> = terms.filter(|later| *later > term).collect();
    later.into_iter().filter_map(first_of).all(|leader| holds(leader, position))
}

/// "If a server has applied a log entry at a given index to its state machine, no other server will
/// ever apply a different log entry for the same index."
pub(super) fn state_machine_safety(past: &[Seen], now: &Seen) -> bool {
    fn applied(seen: &Seen) -> Vec<(u64, Term)> {
        let each = seen.actions().iter().flat_map(|action| match action {
            Action::Apply { first, through } => {
                (first.get()..=through.index.get()).map(|index| (index, through.term)).collect()
            }
            _ => Vec::new(),
        });
        each.collect()
    }
    let mut last = 0;
    for seen in past.iter().chain([now]).filter(|seen| seen.id == now.id) {
        if let (Recorded::Started, Some(status)) = (&seen.what, seen.status()) {
            last = status.last_applied.get();
        }
        if let Some((before, after)) = step(seen)
            && let Some(position) = before.installing
            && after.installing.is_none()
            && after.log_start == position
        {
            last = position.index.get();
        }
        for action in seen.actions() {
            let Action::Apply { first, through } = action else { continue };
            if first.get() != last + 1 || through.index < *first {
                return false;
            }
            last = through.index.get();
        }
    }
    let entry = |seen: &Seen, index: u64| seen.node().log.get(LogIndex(index)).cloned();
    let right = applied(now).into_iter().all(|(index, term)| {
        let Some(mine) = entry(now, index) else { return false };
        let others = past.iter().filter(|s| applied(s).iter().any(|(other, _)| *other == index));
        let mut others = others.map(|seen| entry(seen, index));
        mine.term == term
            && stands_on(now.node(), LogPosition::new(term, LogIndex(index)))
            && others.all(|other| other.as_ref() == Some(&mine))
    });
    let own_end = now.status().is_none_or(|status| {
        let says = !now.is_whole() || status.last_applied.get() == last;
        says && status.commit_index.get() >= last
    });
    right && own_end
}

/// The votes that a node gave by message.
fn votes(seen: &Seen) -> Vec<(Term, NodeId)> {
    let vote = |envelope: &Envelope| match &envelope.message {
        Message::RequestVote(_) => Some((envelope.term, seen.id)),
        Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => {
            Some((envelope.term, envelope.to))
        }
        _ => None,
    };
    seen.sent().filter_map(vote).collect()
}

/// "Each server will vote for at most one candidate in a given term", and terms never decrease.
pub(super) fn term_and_vote(past: &[Seen], now: &Seen) -> bool {
    let mine = || past.iter().filter(|seen| seen.id == now.id);
    let disk = now.node().stored.hard_state;
    if now.shows_disk() {
        let before = mine().rfind(|seen| seen.shows_disk());
        let before = before.map(|seen| seen.node().stored.hard_state).unwrap_or_default();
        let same = disk.current_term == before.current_term;
        if disk.current_term < before.current_term
            || same && before.voted_for.is_some() && disk.voted_for != before.voted_for
        {
            return false;
        }
    }
    if let (Recorded::Started, Some(status)) = (&now.what, now.status()) {
        let as_stored = status.term == disk.current_term && status.voted_for == disk.voted_for;
        if !as_stored || mine().flat_map(Seen::sent).any(|e| e.term > status.term) {
            return false;
        }
    }
    if let Some((before, after)) = step(now) {
        let same = after.term == before.term;
        let moved = before.voted_for.is_some() && after.voted_for != before.voted_for;
        if after.term < before.term || same && moved {
            return false;
        }
    }
    let all: Vec<_> = mine().chain([now]).flat_map(votes).collect();
    let once = votes(now).iter().all(|(term, to)| all.iter().all(|(t, c)| t != term || c == to));
    once && now.sent().all(|envelope| envelope.from == now.id)
}

/// What is said of a position is true, and certain when it is said.
pub(super) fn fate(past: &[Seen], now: &Seen) -> bool {
    let mut committed: BTreeMap<LogIndex, LogPosition> = BTreeMap::new();
    let reported = |seen: &Seen| match seen.what {
        Recorded::FateReported { position, fate } => Some((position, fate)),
        _ => None,
    };
    for position in past.iter().filter(|seen| reported(seen).is_none()).flat_map(commits) {
        committed.insert(position.index, position);
    }
    match reported(now) {
        Some((position, Fate::Committed)) => committed.get(&position.index) == Some(&position),
        Some((position, Fate::Lost)) => {
            let at = committed.get(&position.index);
            let below = committed.range(..position.index).next_back();
            at.is_some_and(|known| *known != position)
                || at.is_none() && below.is_some_and(|(_, known)| known.term > position.term)
        }
        Some((position, Fate::Open)) => {
            now.status().is_none_or(|status| status.commit_index < position.index)
        }
        Some((position, Fate::Unknown)) => position.index <= now.node().log.start().index,
        None => {
            let lost = past.iter().filter_map(reported).filter(|(_, fate)| *fate == Fate::Lost);
            let lost: BTreeSet<LogPosition> = lost.map(|(position, _)| position).collect();
            commits(now).iter().all(|position| !lost.contains(position))
        }
    }
}

/// What was applied anywhere, as the first log that had it has it.
pub(super) fn applied_log(past: &[Seen], now: &Seen) -> BTreeMap<LogIndex, Entry> {
    let mut log: BTreeMap<LogIndex, Entry> = BTreeMap::new();
    let mut learnt = LogIndex::ZERO;
    for seen in past.iter().chain([now]).filter(|seen| seen.node().running) {
        let applied = seen.node().machine.applied();
        for (position, entry) in entries(&seen.node().log) {
            if position.index > learnt && position.index <= applied {
                learnt = position.index;
                log.insert(position.index, entry);
            }
        }
    }
    log
}

/// Every command that counts among those up to an index: no later one of its client before it.
fn effects(past: &[Seen], now: &Seen, upto: LogIndex) -> Vec<(LogIndex, Command)> {
    let log = applied_log(past, now);
    let commands = log.into_iter().filter_map(|(index, entry)| match entry.content {
        Content::Command(command) => Some((index, command)),
        Content::Membership(_) => None,
    });
    let all: Vec<_> = commands.collect();
    let counts = |(index, command): &(LogIndex, Command)| {
        let mine =
            |other: &&(LogIndex, Command)| other.0 < *index && other.1.client == command.client;
        command.client == 0 || all.iter().filter(mine).all(|o| o.1.serial < command.serial)
    };
    all.iter().filter(|one| one.0 <= upto && counts(one)).copied().collect()
}

/// A command takes effect once in every state machine.
pub(super) fn exactly_once(past: &[Seen], now: &Seen) -> bool {
    if !now.node().running {
        return true;
    }
    let (life, applied) = (now.node().life, now.node().machine.applied());
    let last = past.iter().rfind(|seen| seen.id == now.id && seen.node().running);
    if last.is_some_and(|seen| (seen.node().life, seen.node().machine.applied()) == (life, applied))
    {
        return true;
    }
    let mut registers: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    for (_, command) in effects(past, now, LogIndex(u64::MAX)) {
        if let Operation::Write { key, .. } = command.operation {
            registers.insert(key, None);
        }
    }
    for (_, command) in effects(past, now, applied) {
        if let Operation::Write { key, value } = command.operation {
            registers.insert(key, Some(value));
        }
    }
    let held = |key: u64| now.node().machine.read(Operation::Read { key });
    registers.iter().all(|(key, value)| held(*key) == *value)
}

/// The order of the log explains what clients see.
pub(super) fn linearizability(past: &[Seen], now: &Seen) -> bool {
    // What was applied, as the actions have it.
    let applied = |upto: &[&Seen]| {
        let (mut log, mut learnt) = (BTreeMap::new(), 0);
        for seen in upto {
            for action in seen.actions() {
                let Action::Apply { through, .. } = action else { continue };
                for (position, entry) in entries(&seen.node().log) {
                    let index = position.index.get();
                    if index > learnt && position.index <= through.index {
                        learnt = index;
                        if let Content::Command(command) = entry.content {
                            log.insert(index, command);
                        }
                    }
                }
            }
        }
        log
    };
    let all: Vec<&Seen> = past.iter().chain([now]).collect();
    let (old, log) = (applied(&all[..past.len()]), applied(&all));
    let client = |seen: &Seen| match seen.what {
        Recorded::Client { operation, what, phase } => Some((operation, what, phase)),
        _ => None,
    };
    let takes_effect = |index: u64| {
        let command = log[&index];
        let mut before = log.range(..index).filter(|(_, other)| other.client == command.client);
        command.client == 0 || before.all(|(_, other)| other.serial < command.serial)
    };
    let name = |command: &Command| (command.client, command.serial);
    let failed = |operation| {
        past.iter().filter_map(client).any(|(o, _, phase)| o == operation && phase == Stage::Failed)
    };
    if log.iter().any(|(index, command)| !old.contains_key(index) && failed(name(command))) {
        return false;
    }
    let Some((operation, what, phase)) = client(now) else { return true };
    // The operator's commands come once each; of any that came again, the last is meant.
    let stands = log.iter().rev().find(|(i, c)| name(c) == operation && takes_effect(**i));
    match phase {
        Stage::Failed => stands.is_none(),
        Stage::Returned { value, position } => {
            let index = position.index.get();
            let goes_past = matches!(what, Operation::Query { .. });
            if !goes_past && stands.is_none_or(|(at, _)| *at != index) {
                return false;
            }
            // Since its last call that has not returned: what had returned before.
            let mine = |seen: &Seen| client(seen).is_some_and(|(other, ..)| other == operation);
            let last = past.iter().rposition(mine);
            let called = last.filter(|nth| {
                matches!(client(&past[*nth]), Some((_, _, Stage::Invoked | Stage::Unknown)))
            });
            let invoked = called.and_then(|_| {
                past.iter()
                    .rposition(|s| mine(s) && matches!(client(s), Some((_, _, Stage::Invoked))))
            });
            let returned = |seen: &Seen| match client(seen) {
                Some((_, _, Stage::Returned { position, .. })) => Some(position.index.get()),
                _ => None,
            };
            let before = invoked.map_or(&[][..], |nth| &past[..nth]);
            let floor = before.iter().filter_map(returned).max().unwrap_or(0);
            if index < floor || !goes_past && index == floor {
                return false;
            }
            let key = match what {
                Operation::Write { value: written, .. } => return value == Some(written),
                Operation::Read { key } | Operation::Query { key, .. } => key,
                Operation::Apply { .. } | Operation::Ask { .. } => return true,
            };
            let writes = log.range(..=index).filter(|(at, _)| takes_effect(**at));
            let written = writes.filter_map(|(at, command)| match command.operation {
                Operation::Write { key: other, value } if other == key => Some((at, value)),
                _ => None,
            });
            value == written.max_by_key(|(at, _)| *at).map(|(_, value)| value)
        }
        Stage::Invoked | Stage::Unknown => true,
    }
}
