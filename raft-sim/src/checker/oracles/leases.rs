//! The property of leases that are asked for, promised and held, word by word.

use crate::checker::oracles::definitions::step;
use crate::checker::oracles::duties::{messages, time};
use crate::checker::oracles::history::{Recorded, Seen};
use crate::checker::sight::is_quorum;
use raft_core::{
    Action, Config, Echo, Envelope, Message, NodeId, Protection, RoleKind, Round, Status,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// "A lease that is asked for is promised, and one that a quorum has promised is held."
pub(super) fn leases(past: &[Seen], now: &Seen) -> bool {
    let mine: Vec<&Seen> = past.iter().chain([now]).filter(|seen| seen.id == now.id).collect();
    let is_end = |seen: &&Seen| matches!(seen.what, Recorded::Started | Recorded::Crashed);
    let born = mine.iter().rposition(is_end).unwrap_or_default();
    let steps: Vec<&Seen> = mine[born..].iter().copied().filter(|seen| is_judged(seen)).collect();
    let Some(config) = config(now).filter(|_| is_judged(now)) else { return true };
    let found = match mine[born].what {
        Recorded::Started => mine[born].node().stored.hard_state.promised,
        _ => Duration::ZERO,
    };
    is_written(&steps, now, config, found)
        && is_promised(&steps, now, config)
        && is_held(past, &steps, now, config)
}

fn config(seen: &Seen) -> Option<&Config> {
    Some(&seen.node().node.as_ref()?.config)
}

fn is_judged(seen: &Seen) -> bool {
    let is_full = config(seen).is_some_and(|config| config.protection == Protection::Full);
    is_full && step(seen).is_some() && seen.is_whole()
}

fn status(seen: &Seen) -> Status {
    step(seen).map(|(_, after)| *after).expect("a step")
}

fn refuses(seen: &Seen) -> bool {
    seen.actions().iter().any(|action| matches!(action, Action::Ignored { .. }))
}

fn echo(envelope: &Envelope) -> Option<Echo> {
    match &envelope.message {
        Message::AppendEntriesResponse(m) => m.echo,
        _ => None,
    }
}

/// What its leader asks for in this step.
fn asks(seen: &Seen) -> Vec<(Round, Duration)> {
    let now = status(seen);
    let of_leader =
        |envelope: &&Envelope| envelope.term == now.term && now.leader == Some(envelope.from);
    let probes = messages(seen).filter(of_leader).filter_map(|envelope| match &envelope.message {
        Message::AppendEntries(m) => m.probe.map(|probe| (probe.round, probe.lease)),
        _ => None,
    });
    if refuses(seen) || now.role != RoleKind::Follower { Vec::new() } else { probes.collect() }
}

/// A crash would leave the promise.
fn is_written(steps: &[&Seen], now: &Seen, config: &Config, found: Duration) -> bool {
    let mut written =
        steps.iter().flat_map(|seen| seen.actions()).filter_map(|action| match action {
            Action::Persist(write) => write.hard_state,
            _ => None,
        });
    let kept = written.next_back().map_or(found, |hard_state| hard_state.promised);
    let longest = config.longest_promise;
    asks(now).iter().all(|(_, lease)| *lease > longest || *lease <= kept)
}

/// What is durable is promised.
fn is_promised(steps: &[&Seen], now: &Seen, config: &Config) -> bool {
    let (before, after) = step(now).expect("a step");
    let in_term = steps.iter().rev().take_while(|seen| status(seen).term == after.term);
    let asked: Vec<_> = in_term.flat_map(|seen| asks(seen).into_iter().rev()).take(16).collect();
    let opens = |s: &Status| {
        let durable = s.durable_hard_state;
        durable.current_term == s.term && durable.voted_for == s.voted_for
    };
    if before.term != after.term || before.leader != after.leader || !opens(before) || !opens(after)
    {
        return true;
    }
    let durable = [before, after].map(|status| status.durable_hard_state.promised);
    now.sent().filter_map(echo).all(|echo| {
        let lease = asked.iter().rev().find(|(round, _)| *round == echo.round);
        lease.is_none_or(|(_, lease)| {
            let mut limits = durable.iter().chain([&config.longest_promise]);
            limits.any(|limit| lease > limit) || *lease == echo.promised
        })
    })
}

/// What a quorum has promised is shown.
fn is_held(past: &[Seen], steps: &[&Seen], now: &Seen, config: &Config) -> bool {
    let after = status(now);
    let leads =
        |seen: &&Seen| status(seen).role == RoleKind::Leader && status(seen).term == after.term;
    let reign: Vec<&Seen> = steps.iter().rev().copied().take_while(leads).collect();
    let answers = |seen: &Seen| -> Vec<(NodeId, Echo)> {
        let of_term = messages(seen).filter(|envelope| envelope.term == after.term);
        of_term.filter_map(|envelope| Some((envelope.from, echo(envelope)?))).collect()
    };
    if reign.is_empty() || refuses(now) || answers(now).is_empty() {
        return true;
    }
    let ends = |seen: &Seen| {
        seen.node().told < time(past, seen)
            || seen.node().membership != now.node().membership
            || seen.actions().iter().any(|action| match action {
                Action::PeerRegressed { .. } => true,
                Action::Send(envelope) => matches!(envelope.message, Message::TimeoutNow),
                _ => false,
            })
    };
    if reign.iter().any(|seen| ends(seen)) {
        return true;
    }
    let (drift, million) = (u128::from(config.clock_drift_ppm), 1_000_000_u128);
    let mut until: BTreeMap<NodeId, u128> = BTreeMap::new();
    for (peer, echo) in reign.iter().filter(|seen| !refuses(seen)).flat_map(|seen| answers(seen)) {
        let safe = echo.promised.as_nanos() * (million - drift) / (million + drift);
        let end = (u128::from(echo.sent_at.as_nanos()) + safe).min(u64::MAX.into());
        let known = until.entry(peer).or_default();
        *known = end.max(*known);
    }
    let shown = after.lease_until.map_or(0, |until| u128::from(until.as_nanos()));
    let over = u128::from(time(past, now).as_nanos()).max(shown);
    let longer = until.iter().filter(|(_, end)| **end > over);
    let mut bound: BTreeSet<NodeId> = longer.map(|(peer, _)| *peer).collect();
    // A leader that is a quorum by itself was promised nothing.
    let is_longer = !bound.is_empty();
    bound.insert(now.id);
    !(is_longer && is_quorum(&now.node().membership, &bound))
}
