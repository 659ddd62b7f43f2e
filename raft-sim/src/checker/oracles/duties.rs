//! The properties of who must speak, and who must go, word by word.

use crate::checker::oracles::history::{Recorded, Seen};
use raft_core::{
    Action, AppendOutcome, Input, Instant, LogIndex, Membership, Message, NodeId, Protection,
    RoleKind, Round, Status, Term, Ticket,
};
use std::collections::BTreeMap;

pub(super) fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The steps of a node from the last beginning of a life on, up to and including the last event.
pub(super) fn life<'a>(past: &'a [Seen], now: &'a Seen) -> Vec<&'a Seen> {
    let mine: Vec<&Seen> = past.iter().chain([now]).filter(|seen| seen.id == now.id).collect();
    let ends = |seen: &&Seen| match seen.what {
        Recorded::Started | Recorded::Crashed => true,
        Recorded::Stepped { whole, .. } => !whole,
        _ => false,
    };
    let begins = mine.iter().rposition(ends).map_or(0, |nth| nth + 1);
    let is_step = |seen: &&&Seen| matches!(seen.what, Recorded::Stepped { .. });
    mine[begins..].iter().filter(is_step).copied().collect()
}

/// What a node takes the time for at an event: the latest that it was told since its start.
pub(super) fn time(past: &[Seen], at: &Seen) -> Instant {
    // The event may be one of those of the past.
    let earlier = past.iter().take_while(|seen| !std::ptr::eq(*seen, at));
    let mine: Vec<&Seen> = earlier.chain([at]).filter(|seen| seen.id == at.id).collect();
    let is_end = |seen: &&Seen| matches!(seen.what, Recorded::Started | Recorded::Crashed);
    let born = mine.iter().rposition(is_end).unwrap_or_default();
    mine[born..].iter().map(|seen| seen.node().told).max().unwrap_or_default()
}

pub(super) fn before(seen: &Seen) -> &Status {
    match &seen.what {
        Recorded::Stepped { before, .. } => before,
        _ => unreachable!("it is a step"),
    }
}

pub(super) fn messages(seen: &Seen) -> impl Iterator<Item = &raft_core::Envelope> {
    seen.inputs().iter().filter_map(|input| match input {
        Input::Message(envelope) => Some(envelope),
        _ => None,
    })
}

fn ignores(seen: &Seen, peer: NodeId) -> bool {
    let of = |a: &Action| matches!(a, Action::Ignored { from: Some(from), .. } if *from == peer);
    seen.actions().iter().any(of)
}

/// "The prior leader brings the target's log up to date, and stops accepting new requests."
pub(super) fn transfers(past: &[Seen], now: &Seen) -> bool {
    let leads = |seen: &Seen| seen.status().copied().filter(|s| s.role == RoleKind::Leader);
    let (Recorded::Stepped { .. }, Some(leader)) = (&now.what, leads(now)) else { return true };
    let tells = |seen: &Seen| {
        let word = |e: &&raft_core::Envelope| e.message == Message::TimeoutNow;
        seen.sent().filter(word).last().map(|e| e.to)
    };
    // Back to the step that told, as long as the transfer ran.
    let mut held = true;
    for seen in std::iter::once(now).chain(past.iter().rev().filter(|seen| seen.id == now.id)) {
        if matches!(seen.what, Recorded::Started | Recorded::Crashed) {
            break;
        }
        if !matches!(seen.what, Recorded::Stepped { .. }) {
            continue;
        }
        let Some(status) = leads(seen) else { break };
        if !std::ptr::eq(seen, now)
            && let Some(to) = tells(seen)
        {
            let runs = |s: &Status| s.term == status.term && s.transfers_to == Some(to);
            held = !(runs(before(now)) && runs(&leader)) || leader.last == status.last;
            break;
        }
        let again = |input: &Input| matches!(input, Input::TransferLeadership { .. });
        let of = |s: &Status| (s.term, s.transfers_to);
        if of(before(seen)) != of(&status) || seen.inputs().iter().any(again) {
            break;
        }
    }
    let level = |to: NodeId| {
        let there = now.nodes.get(&to).filter(|node| node.running);
        let there = there.filter(|node| node.status.term <= leader.term);
        there.is_none_or(|node| node.stored.covers(leader.last))
    };
    let word = |e: &&raft_core::Envelope| e.message == Message::TimeoutNow;
    held && now.sent().filter(word).all(|e| level(e.to))
}

/// "A leader steps down if an election timeout elapses without a successful round of heartbeats to
/// a majority of its cluster."
pub(super) fn check_quorum(past: &[Seen], now: &Seen) -> bool {
    let (Some(leader), Some(node)) = (now.status(), &now.node().node) else { return true };
    let local = |seen: &Seen| seen.clocks[&seen.id] + nanos(seen.node().clock_offset);
    let timeout = nanos(node.config.election_timeout);
    let judges = matches!(now.what, Recorded::Stepped { whole: true, .. })
        && leader.role == RoleKind::Leader
        && now.inputs().contains(&Input::Wake)
        && now.clocks_hold
        && node.config.protection == Protection::Full;
    if !judges {
        return true;
    }
    // This leadership, as far as it was seen without a break.
    let mine = past.iter().filter(|seen| seen.id == now.id).rev();
    let counts = |seen: &&Seen| {
        let apart = [Recorded::Started, Recorded::Crashed];
        let kind = std::mem::discriminant::<Recorded>;
        matches!(seen.what, Recorded::Stepped { .. })
            || apart.iter().any(|other| kind(other) == kind(&seen.what))
    };
    let leads = |seen: &&Seen| {
        let same = seen.status().is_some_and(|s| (s.role, s.term) == (leader.role, leader.term));
        same && matches!(seen.what, Recorded::Stepped { .. })
    };
    let mut led: Vec<&Seen> = mine.filter(counts).take_while(leads).collect();
    led.reverse();
    let Some(last) = led.last() else { return true };
    let membership = &last.node().membership;
    let changed = led.iter().rposition(|seen| &seen.node().membership != membership);
    let settled_at = local(led[changed.map_or(0, |nth| nth + 1)]);
    if membership != &now.node().membership || settled_at.saturating_add(timeout) > local(now) {
        return true;
    }
    let heard = |id: NodeId| heard_by(&led, now, id).unwrap_or(0);
    let majority = |half: &[NodeId]| {
        let there =
            |id: &&NodeId| **id == leader.id || heard(**id).saturating_add(timeout) > local(now);
        half.is_empty() || 2 * half.iter().filter(there).count() > half.len()
    };
    majority(membership.voters()) && majority(membership.outgoing())
}

/// When the newest message was sent, by the leader's clock, that a member has answered; at least
/// when it became one.
fn heard_by(led: &[&Seen], now: &Seen, id: NodeId) -> Option<u64> {
    let local = |seen: &Seen| seen.clocks[&seen.id] + nanos(seen.node().clock_offset);
    let belongs = |seen: &&Seen| seen.node().membership.contains(id);
    let joined = led.iter().rposition(|seen| !belongs(seen)).map_or(0, |nth| nth + 1);
    let since = local(led.get(joined)?);
    let first = led.iter().position(belongs)?;
    let asked = |seen: &&Seen| {
        let rounds = seen.sent().filter_map(|e| match &e.message {
            Message::AppendEntries(m) => Some(m.probe?.round),
            _ => None,
        });
        rounds.max()
    };
    let added = led[..first].iter().filter_map(asked).max().unwrap_or(Round(0));
    // What comes in the very step in which it joins, came before it did.
    let answers = led.get(joined + 1..).into_iter().flatten().copied().chain([now]);
    let term = now.status()?.term;
    let echoes = answers.flat_map(messages).filter_map(|e| match &e.message {
        Message::AppendEntriesResponse(m) if (e.from, e.term) == (id, term) => m.echo,
        _ => None,
    });
    let times = echoes.filter(|e| e.round > added).map(|e| e.sent_at.as_nanos());
    times.max().max(Some(since))
}

/// What a node owes somebody.
struct Owed<'a> {
    to: NodeId,
    meets: Box<dyn Fn(&Message) -> bool + 'a>,
    after: Option<Ticket>,
    /// The role in which alone it is owed, if that matters; `Follower` is of the same leader.
    role: Option<RoleKind>,
}

/// What the disk was at the end of a step.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact by itself, no state machine")]
pub(super) struct Disk {
    waiting: Vec<Ticket>,
    newest: Option<Ticket>,
    open: bool,
    stuck: bool,
    /// Whether it was so when the call came.
    was_stuck: bool,
    pub(super) hangs: bool,
}

pub(super) fn disks(steps: &[&Seen]) -> Vec<Disk> {
    let mut all = Vec::new();
    let (mut waiting, mut newest, mut progress) = (Vec::<(Ticket, u64)>::new(), None, 0);
    let (mut vote, mut gate, mut installs) = (None, None, None);
    for seen in steps {
        let clock = seen.clocks[&seen.id];
        let config = seen.node().node.as_ref().map(|node| &node.config);
        let over = |at: u64, limit| at.saturating_add(nanos(limit)) <= clock;
        let hang = |waiting: &[(Ticket, u64)], progress: u64| {
            let oldest = waiting.first().map(|(_, at)| progress.max(*at));
            config.is_none_or(|config| oldest.is_some_and(|at| over(at, config.disk_timeout)))
        };
        let is_long = |installs: Option<u64>| {
            config.is_none_or(|config| installs.is_some_and(|at| over(at, config.snapshot_timeout)))
        };
        let was_stuck = hang(&waiting, progress) || is_long(installs);
        for input in seen.inputs() {
            let Input::Persisted { ticket } = input else { continue };
            let left: Vec<_> =
                waiting.iter().copied().filter(|(other, _)| other > ticket).collect();
            progress = if left.len() < waiting.len() { clock } else { progress };
            waiting = left;
        }
        for action in seen.actions() {
            let Action::Persist(write) = action else { continue };
            waiting.push((write.ticket, clock));
            newest = Some(write.ticket);
            if let Some(state) = write.hard_state
                && vote != Some((state.current_term, state.voted_for))
            {
                vote = Some((state.current_term, state.voted_for));
                gate = newest;
            }
        }
        let installing = seen.status().and_then(|status| status.installing);
        installs = installing.and(installs.or(Some(clock)));
        let hangs = hang(&waiting, progress);
        let stuck = hangs || is_long(installs);
        let open = gate.is_none_or(|gate| waiting.iter().all(|(other, _)| gate < *other));
        let waiting = waiting.iter().map(|(ticket, _)| *ticket).collect();
        all.push(Disk { waiting, newest, open, stuck, was_stuck, hangs });
    }
    all
}

/// Whether a step makes a follower start afresh with its leader.
fn starts_afresh(seen: &Seen) -> bool {
    let leader = seen.status().and_then(|status| status.leader);
    seen.inputs().contains(&Input::Campaign)
        || messages(seen)
            .any(|e| matches!(e.message, Message::RequestVote(_)) && Some(e.from) == leader)
}

/// "Servers respond to requests": all that the last of these steps brings it to owe.
fn owed<'a>(steps: &[&'a Seen], disk: &Disk) -> Vec<Owed<'a>> {
    let now = steps[steps.len() - 1];
    let (Some(after), before) = (now.status(), before(now)) else { return Vec::new() };
    let mut all: Vec<Owed<'a>> = Vec::new();
    let mut owe = |to, role, ticket, meets: Box<dyn Fn(&Message) -> bool + 'a>| {
        all.push(Owed { to, meets, after: ticket, role });
    };
    let clear = before.term == after.term || now.inputs().len() == 1;
    let follower = Some(RoleKind::Follower);
    let mut newest = newest_round(steps, after.term);
    for e in messages(now) {
        let round = match &e.message {
            Message::AppendEntries(m) if e.term == after.term => m.probe.map(|probe| probe.round),
            _ => None,
        };
        let known = newest.get(&e.from).copied();
        let is_new = round.is_some_and(|round| known.is_none_or(|known| round > known));
        if let Some(round) = round.filter(|_| is_new) {
            newest = BTreeMap::from([(e.from, round)]);
        }
        if !clear || e.to != now.id || ignores(now, e.from) {
            continue;
        }
        // What comes in one call with the write that ends a hang may have come before it.
        let stuck = disk.stuck || disk.was_stuck && now.inputs().len() > 1;
        let of_leader = after.leader == Some(e.from) && !stuck && !starts_afresh(now);
        match &e.message {
            Message::PreVote(ask) => owe(
                e.from,
                None,
                None,
                Box::new(|m| matches!(m, Message::PreVoteResponse(m) if m.round >= ask.round)),
            ),
            Message::RequestVote(_) => {
                owe(e.from, None, None, Box::new(|m| matches!(m, Message::RequestVoteResponse(_))));
            }
            Message::ReadIndex(ask) => {
                let leads = before.role == RoleKind::Leader || after.role == RoleKind::Leader;
                if e.term == after.term && e.term == before.term && !leads {
                    owe(
                        e.from,
                        None,
                        None,
                        Box::new(|m| matches!(m, Message::ReadIndexResponse(m) if m.id >= ask.id)),
                    );
                }
            }
            Message::AppendEntries(_) | Message::InstallSnapshot(_) if e.term < after.term => {
                owe(
                    e.from,
                    None,
                    None,
                    Box::new(|m| {
                        matches!(m, Message::AppendEntriesResponse(m)
                        if m.outcome == AppendOutcome::StaleTerm)
                    }),
                );
            }
            Message::AppendEntries(ask) if of_leader => {
                if is_new || round.is_some() && ask.entries.is_empty() {
                    owe(
                        e.from,
                        follower,
                        None,
                        Box::new(move |m| {
                            matches!(m, Message::AppendEntriesResponse(m)
                            if m.echo.map(|echo| echo.round) >= round)
                        }),
                    );
                }
                if !ask.entries.is_empty() {
                    let last = ask.last_position().index;
                    let meets = Box::new(move |m: &Message| acknowledges(m, last));
                    owe(e.from, follower, disk.newest, meets);
                }
            }
            Message::InstallSnapshot(_)
                if of_leader
                    && before.installing == after.installing
                    && now.inputs().len() == 1 =>
            {
                owe(
                    e.from,
                    follower,
                    None,
                    Box::new(|m| matches!(m, Message::AppendEntriesResponse(_))),
                );
            }
            _ => {}
        }
    }
    all.extend(owed_by_role(now));
    all
}

fn acknowledges(message: &Message, last: LogIndex) -> bool {
    let Message::AppendEntriesResponse(m) = message else { return false };
    match m.outcome {
        AppendOutcome::Matched { match_index } => match_index >= last,
        AppendOutcome::StaleTerm => false,
        AppendOutcome::Mismatched { .. } | AppendOutcome::Installing => true,
    }
}

/// The newest round that its last leader has asked before the last step, if it led this term.
fn newest_round(steps: &[&Seen], term: Term) -> BTreeMap<NodeId, Round> {
    let earlier = &steps[..steps.len() - 1];
    let asked = earlier.iter().flat_map(|seen| {
        let current = seen.status().map(|status| status.term);
        messages(seen).filter_map(move |e| match &e.message {
            Message::AppendEntries(m) if Some(e.term) == current => {
                Some(((e.from, e.term), m.probe?.round))
            }
            _ => None,
        })
    });
    let asked: Vec<_> = asked.collect();
    let Some((last, _)) = asked.last() else { return BTreeMap::new() };
    let of_last = asked.iter().rev().take_while(|(leader, _)| leader == last);
    let newest = of_last.map(|(_, round)| *round).max();
    newest.filter(|_| last.1 == term).map(|round| (last.0, round)).into_iter().collect()
}

/// A new leader, candidate or pre-candidate says so to everybody.
fn owed_by_role<'a>(now: &'a Seen) -> Vec<Owed<'a>> {
    let (Some(after), before) = (now.status(), before(now)) else { return Vec::new() };
    if (before.role, before.term) == (after.role, after.term) {
        return Vec::new();
    }
    let says = |m: &Message, role| match role {
        RoleKind::Leader => matches!(m, Message::AppendEntries(_)),
        RoleKind::Candidate => matches!(m, Message::RequestVote(_)),
        RoleKind::PreCandidate => matches!(m, Message::PreVote(_)),
        RoleKind::Follower => true,
    };
    let membership: &'a Membership = &now.node().membership;
    let others = membership.members().filter(|id| {
        let asks = after.role == RoleKind::Leader || membership.is_voter(*id);
        *id != now.id && after.role != RoleKind::Follower && asks
    });
    let role = after.role;
    let alone = (role != RoleKind::Leader).then_some(role);
    let meets = move || Box::new(move |m: &Message| says(m, role));
    others.map(|to| Owed { to, meets: meets(), after: None, role: alone }).collect()
}

/// What a node was asked it answers, once nothing has to be written first.
pub(super) fn answers(past: &[Seen], now: &Seen) -> bool {
    let Recorded::Stepped { whole: true, .. } = now.what else { return true };
    let Some(after) = now.status() else { return true };
    let steps = life(past, now);
    let disks = disks(&steps);
    let end = steps.len() - 1;
    for nth in (0..=end).rev() {
        // Everything was due then, and judged.
        if nth < end && disks[nth].open && disks[nth].waiting.is_empty() {
            break;
        }
        if steps[nth].status().is_none_or(|status| status.term != after.term) {
            break;
        }
        for owed in owed(&steps[..=nth], &disks[nth]) {
            let lives = (nth + 1..=end).all(|later| {
                let status = steps[later].status().expect("it steps");
                match owed.role {
                    None => true,
                    Some(RoleKind::Follower) => {
                        status.leader == Some(owed.to)
                            && !disks[later].stuck
                            && !starts_afresh(steps[later])
                    }
                    Some(role) => status.role == role,
                }
            });
            let mut sent = steps[nth..].iter().flat_map(|seen| seen.sent());
            let is_met = sent.any(|e| e.to == owed.to && (owed.meets)(&e.message));
            let done = |ticket| disks[end].waiting.iter().all(|waiting| ticket < *waiting);
            if lives && !is_met && disks[end].open && owed.after.is_none_or(done) {
                return false;
            }
        }
    }
    takes_over(now) && hands_over(&steps)
}

/// "The target server starts a new election." Or it says why not.
fn takes_over(now: &Seen) -> bool {
    let [Input::Message(e)] = now.inputs() else { return true };
    let (Some(after), before) = (now.status(), before(now)) else { return true };
    e.message != Message::TimeoutNow
        || e.term != before.term
        || ignores(now, e.from)
        || after.term > before.term && after.voted_for == Some(now.id)
}

/// "When the target has all entries, the leader sends it a `TimeoutNow`."
fn hands_over(steps: &[&Seen]) -> bool {
    let leads = |seen: &Seen| {
        let (Some(after), before) = (seen.status(), before(seen)) else { return false };
        (after.role, before.role, after.term) == (RoleKind::Leader, RoleKind::Leader, before.term)
    };
    let Some((now, _)) = steps.split_last().filter(|(now, _)| leads(now)) else { return true };
    let after = now.status().expect("it leads");
    let Some(to) = after.transfers_to else { return true };
    let led: Vec<&&Seen> = steps.iter().rev().take_while(|seen| leads(seen)).collect();
    let permits =
        |seen: &Seen| seen.sent().any(|e| e.to == to && matches!(e.message, Message::TimeoutNow));
    if permits(now) {
        return true;
    }
    // The steps in which it hands over to this one; the step that began it is one of them.
    let under_way = |seen: &&&&Seen| before(seen).transfers_to == Some(to);
    let before_now = led.iter().take_while(under_way).count();
    let steps_of_it = led.iter().take(before_now + 1);
    let mut earlier = steps_of_it
        .skip(1)
        .filter(|seen| seen.status().is_some_and(|status| status.transfers_to == Some(to)));
    if before(now).transfers_to == Some(to) && earlier.any(|seen| permits(seen)) {
        let beats = now.sent().any(|e| match &e.message {
            Message::AppendEntries(m) => m.entries.is_empty() && m.probe.is_some(),
            _ => false,
        });
        let reads = before(now).pending_reads + after.pending_reads > 0;
        return now.inputs() != [Input::Wake] || reads || !beats;
    }
    let acknowledged = led.iter().flat_map(|seen| {
        messages(seen).filter(|e| e.from == to && e.term == after.term && !ignores(seen, to))
    });
    let matched = acknowledged.filter_map(|e| match &e.message {
        Message::AppendEntriesResponse(m) => match m.outcome {
            AppendOutcome::Matched { match_index } => Some(match_index),
            _ => None,
        },
        _ => None,
    });
    matched.max() != Some(after.last.index)
}
