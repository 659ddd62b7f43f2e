//! The properties of what nodes say and promise, word by word.

use crate::checker::fixture::TestNode;
use crate::checker::oracles::definitions::{majority, stands_on, step, term_at};
use crate::checker::oracles::duties::{messages, time};
use crate::checker::oracles::history::{Recorded, Seen};
use raft_core::{
    Action, AppendOutcome, Envelope, Input, Instant, LogIndex, Message, NodeId, PeerPhase,
    RoleKind, Term, Token, Verdict,
};
use std::collections::BTreeMap;
use std::rc::Rc;

/// "While a node holds a lease, nobody leads a later term."
pub(super) fn lease_disjointness(past: &[Seen], now: &Seen) -> bool {
    let Some(me) = now.status().filter(|status| status.role == RoleKind::Leader) else {
        return true;
    };
    let was_seen_to_lead = |id: NodeId| {
        let last = past.iter().rfind(|seen| seen.id == id);
        last.is_some_and(|seen| seen.status().is_some_and(|s| s.role == RoleKind::Leader))
    };
    // What a read would be answered by that comes now.
    let holds = |node: &TestNode, id: NodeId| {
        let (shows, until) = (now.locals[&id], node.status.lease_until);
        shows >= node.told && until.is_some_and(|until| shows < until)
    };
    let others = now.nodes.iter().filter(|(id, node)| **id != now.id && node.running);
    !now.leases_hold
        || others.filter(|(id, _)| was_seen_to_lead(**id)).all(|(id, node)| {
            let other = node.status.term;
            !(other < me.term && holds(node, *id) || other > me.term && holds(now.node(), now.id))
        })
}

/// "Whoever asks has a vote, a node asks before it starts an election, and a new term begins with a
/// candidate."
pub(super) fn no_disruption(past: &[Seen], now: &Seen) -> bool {
    let Some((before, after)) = step(now) else { return true };
    let asks = |role| matches!(role, RoleKind::PreCandidate | RoleKind::Candidate);
    if !asks(before.role)
        && asks(after.role)
        && ![before, after].iter().any(|status| status.membership_changes)
        && !now.node().membership.is_voter(after.id)
    {
        return false;
    }
    if after.term <= before.term {
        return true;
    }
    let made = |seen: &Seen| {
        let known = matches!(seen.what, Recorded::Started | Recorded::Stepped { .. });
        seen.status().filter(|_| known).map(|status| status.term)
    };
    // What rose within a step was either made there or came from somebody who had it.
    let rose = |seen: &&Seen| {
        matches!(seen.what, Recorded::Started) || step(seen).is_some_and(|(b, a)| a.term > b.term)
    };
    let highest = past.iter().filter(rose).filter_map(made).max().unwrap_or_default();
    if after.term > highest && after.voted_for != Some(after.id) {
        return false;
    }
    let starts = before.role == RoleKind::PreCandidate
        && matches!(after.role, RoleKind::Candidate | RoleKind::Leader);
    let transferred = past.iter().flat_map(Seen::sent).any(|envelope| {
        let next = envelope.term.get() + 1 == after.term.get();
        matches!(envelope.message, Message::TimeoutNow) && envelope.to == after.id && next
    });
    if !starts || transferred {
        return true;
    }
    majority(&now.node().membership, |voter| voter == after.id || says_yes(past, now, voter))
}

/// Whether a voter has said yes in the newest round of this node, and the node may count on that:
/// it took it in within T/2, and no refusal.
fn says_yes(past: &[Seen], now: &Seen, voter: NodeId) -> bool {
    let apart = |seen: &Seen| matches!(seen.what, Recorded::Started | Recorded::Crashed);
    let born = past.iter().rposition(|seen| seen.id == now.id && apart(seen));
    let life = &past[born.map_or(0, |at| at + 1)..];
    // The round began when the node asked in it for the first time without a pause.
    let mut round = None;
    for (nth, seen) in life.iter().enumerate().filter(|(_, seen)| seen.id == now.id) {
        for envelope in seen.sent() {
            if let Message::PreVote(m) = &envelope.message
                && round.is_none_or(|(_, known)| known != m.round)
            {
                round = Some((nth, m.round));
            }
        }
    }
    let Some((began, round)) = round else { return false };
    let said = life[began..].iter().flat_map(Seen::sent).any(|e| match &e.message {
        Message::PreVoteResponse(m) => {
            (e.from, e.to, m.round, m.verdict) == (voter, now.id, round, Verdict::Granted)
        }
        _ => false,
    });
    let (mut time, mut taken) = (Instant::ZERO, None);
    for (nth, seen) in life.iter().chain([now]).enumerate().filter(|(_, seen)| seen.id == now.id) {
        let Some((before, _)) = step(seen) else { continue };
        time = seen.locals[&now.id].max(time);
        let hears = nth > began && before.role == RoleKind::PreCandidate;
        for e in messages(seen).filter(|e| hears && e.from == voter) {
            let Message::PreVoteResponse(m) = &e.message else { continue };
            if m.round == round && m.verdict == Verdict::Granted {
                taken = Some(time);
            } else if m.round == round
                && e.term <= before.term
                && seen.node().membership.is_voter(voter)
            {
                return false;
            }
        }
    }
    let timeout = now.node().node.as_ref().map(|node| node.config.election_timeout);
    said && taken
        .is_some_and(|at| timeout.is_none_or(|timeout| time.saturating_since(at) < timeout / 2))
}

/// "What waits and what is on the way keeps to the configuration."
pub(super) fn bounds(past: &[Seen], now: &Seen) -> bool {
    let (Some((_, after)), Some(node)) = (step(now), &now.node().node) else { return true };
    if after.pending_reads > node.config.max_pending_reads {
        return false;
    }
    if after.role != RoleKind::Leader {
        return true;
    }
    // The steps of this leader, back to the first one in its term.
    let leads = |seen: &&Seen| {
        let known = seen.node().node.is_some() && step(seen).is_some();
        seen.id == now.id && known && seen.status().is_some_and(|s| s.role == RoleKind::Leader)
    };
    let in_term = |seen: &&Seen| seen.status().is_some_and(|s| s.term == after.term);
    let steps = past.iter().chain([now]).rev().filter(leads).take_while(in_term);
    let elected = steps.last().and_then(step).map(|(before, _)| before.last.index);
    let settled = elected.unwrap_or_default().max(after.commit_index).get();
    if after.last.index.get() > settled.saturating_add(node.config.max_uncommitted + 4) {
        return false;
    }
    now.sent().all(|envelope| {
        let Message::AppendEntries(append) = &envelope.message else { return true };
        let peer = node.peers.iter().find(|peer| peer.id == envelope.to);
        append.entries.is_empty()
            || append.entries.count() <= node.config.max_entries_per_message
                && peer.is_none_or(|peer| {
                    let on_their_way = peer.next_index.get() - peer.match_index.get() - 1;
                    peer.messages_in_flight <= node.config.max_messages_in_flight
                        && (peer.phase != PeerPhase::Replicate
                            || on_their_way <= node.config.max_entries_in_flight)
                })
    })
}

/// "`matchIndex[]`: for each server, index of highest log entry known to be replicated on server;
/// increases monotonically."
pub(super) fn peers(past: &[Seen], now: &Seen) -> bool {
    let leads = |seen: &Seen| {
        let status = step(seen).map(|(_, status)| *status).filter(|_| seen.node().node.is_some());
        status.filter(|status| status.role == RoleKind::Leader)
    };
    let shown = |seen: &Seen, id: NodeId| {
        let woke = seen.inputs().contains(&Input::Wake);
        let of_member = woke && seen.node().membership.contains(id);
        let heard = leads(seen).is_some() && (of_member || messages(seen).any(|e| e.from == id));
        let peers = &seen.node().node.as_ref()?.peers;
        peers.iter().find(|peer| peer.id == id).copied().filter(|_| heard)
    };
    let regressed = |seen: &Seen, id: NodeId| {
        let is = |a: &Action| matches!(a, Action::PeerRegressed { peer, .. } if *peer == id);
        seen.actions().iter().any(is)
    };
    let Some(leader) = leads(now) else { return true };
    let known = now.node().node.as_ref().map(|node| (&node.peers, &node.config));
    let Some((peers, config)) = known else { return true };
    peers.iter().filter_map(|peer| shown(now, peer.id)).all(|peer| {
        let silent_for = time(past, now).saturating_since(peer.heard_at);
        let is_level = peer.match_index >= leader.last.index;
        let fits = match (silent_for > config.election_timeout, is_level) {
            (true, _) => !peer.caught_up,
            (false, true) => peer.caught_up,
            (false, false) => true,
        };
        if !fits {
            return false;
        }
        let is_member = now.node().membership.contains(peer.id);
        let (low, high) = (peer.match_index, leader.last.index);
        if peer.leaving == is_member
            || !(low < peer.next_index && peer.next_index.get() <= high.get() + 1)
            || !(low <= peer.sent_through && peer.sent_through <= high)
        {
            return false;
        }
        if !is_member || regressed(now, peer.id) {
            return true;
        }
        for seen in past.iter().rev().filter(|seen| seen.id == now.id) {
            if matches!(seen.what, Recorded::Started | Recorded::Crashed) {
                break;
            }
            if step(seen).is_none() || seen.node().node.is_none() {
                continue;
            }
            let same = leads(seen).is_some_and(|status| status.term == leader.term);
            if !same || !seen.node().membership.contains(peer.id) {
                break;
            }
            if let Some(before) = shown(seen, peer.id) {
                return before.match_index <= low;
            }
            if regressed(seen, peer.id) {
                break;
            }
        }
        true
    })
}

/// Every request ends, once, and in time.
pub(super) fn requests_end(past: &[Seen], now: &Seen) -> bool {
    let local = |seen: &Seen| {
        let offset = u64::try_from(seen.node().clock_offset.as_nanos()).unwrap_or(u64::MAX);
        seen.clocks[&seen.id].saturating_add(offset)
    };
    let mine: Vec<&Seen> = past.iter().filter(|seen| seen.id == now.id).collect();
    let names = |seen: &Seen, name: Token| {
        seen.actions().iter().any(|action| match action {
            Action::ReadReady { token, .. }
            | Action::TransferEnded { token, .. }
            | Action::Rejected { token, .. } => *token == name,
            _ => false,
        })
    };
    // Until when it must be over, if it is under way after these events.
    let open = |events: &[&Seen], name: Token| {
        let over = |seen: &&Seen| matches!(seen.what, Recorded::Crashed) || names(seen, name);
        let asked = events.iter().rposition(|seen| match seen.what {
            Recorded::Asked { token, .. } => token == name,
            _ => false,
        });
        let since = asked.filter(|nth| !events[*nth..].iter().any(over))?;
        let Recorded::Asked { within, .. } = events[since].what else { return None };
        let within = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        Some(local(events[since]).saturating_add(within))
    };
    let ends = now.actions().iter().enumerate().all(|(nth, action)| match action {
        Action::ReadReady { token, .. } | Action::TransferEnded { token, .. } => {
            let earlier = now.actions()[..nth].iter().any(|other| match other {
                Action::ReadReady { token: other, .. }
                | Action::TransferEnded { token: other, .. }
                | Action::Rejected { token: other, .. } => token == other,
                _ => false,
            });
            !earlier && open(&mine, *token).is_some()
        }
        _ => true,
    });
    let judges = matches!(now.what, Recorded::Stepped { whole: true, .. });
    if !ends || !judges || now.node().deadline.is_some_and(|at| at.as_nanos() <= local(now)) {
        return ends;
    }
    let with_now: Vec<&Seen> = mine.iter().copied().chain([now]).collect();
    let asked = mine.iter().filter_map(|seen| match seen.what {
        Recorded::Asked { token, .. } => Some(token),
        _ => None,
    });
    let mut due = asked.filter_map(|token| open(&with_now, token));
    due.all(|until| until >= local(now))
}

/// Who has promised a leader not to vote votes for nobody else, and says so to nobody else.
pub(super) fn promise(past: &[Seen], now: &Seen) -> bool {
    // Each message, with the event in which it left.
    let before = past.iter().flat_map(|seen| seen.sent().map(move |e| (seen, e)));
    let before: Vec<(&Seen, &Envelope)> = before.collect();
    let mut all = before;
    for envelope in now.sent() {
        let permit = |to: NodeId, term: Term| {
            let permit = all.iter().rev().find(|(_, e)| {
                matches!(e.message, Message::TimeoutNow)
                    && (e.to, e.term.get() + 1) == (to, term.get())
            });
            permit.map(|(_, e)| e.from)
        };
        let (from, term) = (envelope.from, envelope.term);
        let (candidate, of) = match &envelope.message {
            Message::RequestVote(m) => {
                let word = m.permit.is_none_or(|word| {
                    permit(from, term) == Some(word.leader) && word.term.get() + 1 == term.get()
                });
                if !word {
                    return false;
                }
                (from, term)
            }
            Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => (envelope.to, term),
            Message::PreVoteResponse(m) if m.verdict == Verdict::Granted => {
                (envelope.to, Term(term.get() + 1))
            }
            _ => {
                all.push((now, envelope));
                continue;
            }
        };
        let handed_over = |leader: NodeId, term: Term| {
            all.iter().any(|(_, e)| {
                matches!(e.message, Message::TimeoutNow) && (e.from, e.term) == (leader, term)
            })
        };
        let promises = promises_of(from, &all);
        let led = |after: Term| {
            all.iter().any(|(_, e)| {
                let speaks = matches!(e.message, Message::AppendEntries(_));
                let before = e.term < of || (e.from, e.term) == (candidate, of);
                speaks && e.term > after && before
            })
        };
        let bound = promises.iter().any(|(leader, (until, promised_in))| {
            *until > now.clocks[&now.id]
                && *leader != candidate
                && permit(candidate, of) != Some(*leader)
                && !led(*promised_in)
                && !(of.get() > promised_in.get() + 1
                    && (handed_over(*leader, *promised_in) || permit(candidate, of).is_some()))
        });
        if bound {
            return false;
        }
        all.push((now, envelope));
    }
    let (clock, node) = (now.clocks[&now.id], now.node());
    let kept = u64::try_from(node.stored.hard_state.promised.as_nanos()).unwrap_or(u64::MAX);
    let mut left = promises_of(now.id, &all).into_values();
    !now.shows_disk() || left.all(|(until, _)| until.saturating_sub(clock) <= kept)
}

/// What a node has promised whom: until when, by its own clock, and in which term.
fn promises_of(from: NodeId, all: &[(&Seen, &Envelope)]) -> BTreeMap<NodeId, (u64, Term)> {
    let mut promises: BTreeMap<NodeId, (u64, Term)> = BTreeMap::new();
    for (nth, (_, answer)) in all.iter().enumerate().filter(|(_, (_, e))| e.from == from) {
        let Message::AppendEntriesResponse(m) = &answer.message else { continue };
        let Some(echo) = m.echo else { continue };
        let probe = all[..nth].iter().find(|(_, e)| match &e.message {
            Message::AppendEntries(m) => {
                (e.from, e.to) == (answer.to, from)
                    && m.probe.is_some_and(|probe| probe.round == echo.round)
            }
            _ => false,
        });
        let Some((sent, _)) = probe else { continue };
        let lease = u64::try_from(echo.promised.as_nanos()).unwrap_or(u64::MAX);
        let (until, of) = promises.entry(answer.to).or_default();
        *until = sent.clocks[&from].saturating_add(lease).max(*until);
        *of = answer.term.max(*of);
    }
    promises
}

/// Nothing that left rests on what was not durable; and what is believed to be durable is.
pub(super) fn output_gating(past: &[Seen], now: &Seen) -> bool {
    let (node, disk) = (now.node(), now.node().stored.hard_state);
    let vote = |envelope: &Envelope, candidate: NodeId| {
        let shows = |seen: &&Seen| seen.id == envelope.from && seen.shows_disk();
        let disks = past.iter().chain([now]).filter(shows).map(|s| s.node().stored.hard_state);
        let of_term = disks.filter(|d| d.current_term == envelope.term);
        let last = of_term.filter_map(|d| d.voted_for).fold(None, |_, vote| Some(vote));
        last == Some(candidate)
    };
    let committed = |index: LogIndex| now.status().is_none_or(|s| index <= s.commit_index);
    let matched = |envelope: &Envelope, index: LogIndex| {
        let starts = node.stored.log.start().index.max(node.log.start().index);
        if index < starts {
            return true;
        }
        let snapshot = node.stored.snapshot.as_ref().map(|image| image.snapshot.position);
        let snapshot = snapshot.filter(|at| at.index == index).map(|at| at.term);
        let term = snapshot.or_else(|| term_at(&node.stored.log, index.get()));
        let Some(term) = term else { return false };
        let leads = |other: &&Rc<TestNode>| {
            let status = &other.status;
            other.running && status.role == RoleKind::Leader && status.term == envelope.term
        };
        let leader = now.nodes.get(&envelope.to).filter(leads);
        term_at(&node.log, index.get()) == Some(term)
            && leader.is_none_or(|leader| {
                index < leader.log.start().index || term_at(&leader.log, index.get()) == Some(term)
            })
    };
    let snapshots = now.actions().iter().all(|action| match action {
        Action::SendSnapshot { term, at_least, .. } => {
            let image = node.stored.snapshot.as_ref();
            *term <= disk.current_term
                && image.is_some_and(|i| i.snapshot.position.index >= at_least.index)
        }
        _ => true,
    });
    let messages = now.sent().all(|envelope| {
        let content = match &envelope.message {
            Message::RequestVote(_) => vote(envelope, envelope.from),
            Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => {
                vote(envelope, envelope.to)
            }
            Message::AppendEntries(m) => committed(m.commit),
            Message::ReadIndexResponse(m) => m.index.is_none_or(committed),
            Message::AppendEntriesResponse(m) => {
                let kept = m.echo.is_none_or(|echo| echo.promised <= disk.promised);
                let held = match m.outcome {
                    AppendOutcome::Matched { match_index } => matched(envelope, match_index),
                    _ => true,
                };
                kept && held
            }
            _ => true,
        };
        envelope.term <= disk.current_term && content
    });
    let beliefs = now.status().is_none_or(|status| {
        let believed = status.durable_hard_state;
        let same = believed.current_term == disk.current_term;
        let vote = believed.voted_for.is_none() || believed.voted_for == disk.voted_for;
        let hard_state = believed.current_term < disk.current_term || same && vote;
        hard_state && (status.installing.is_some() || stands_on(node, status.durable))
    });
    snapshots && messages && beliefs
}
