//! What a follower owes its leader: patience, a lease, and an answer (thesis, 4.2.3 and 6.4.1).

use crate::message::{AppendEntriesResponse, AppendOutcome, Echo, Message, Probe};
use crate::state::core::Core;
use crate::state::role::Follower;
use crate::types::{NodeId, Round};
use core::time::Duration;

/// A message of the current leader, whether its log matched or not: the election timer is reset,
/// and no vote is given for a while (thesis, 4.2.3; N2).
pub(crate) fn on_contact(
    core: &mut Core,
    follower: &mut Follower,
    leader: NodeId,
    probe: Option<Probe>,
) {
    core.reset_election_timer();
    if let Some(new) = probe
        && seen(follower).is_none_or(|known| new.round >= known)
    {
        follower.probe = probe;
    }
    // A message that asks for no lease shortens none.
    if let Some(probe) = probe
        && core.has_leases()
    {
        // A leader that wants no lease does not check its quorum either: no lease for it.
        let promised = promise(core, probe.lease);
        follower.lease = match probe.lease {
            Duration::ZERO => Duration::ZERO,
            _ => promised.max(core.config.election_timeout),
        };
        core.lease.ask(core.term());
    }
    core.lease.extend(leader, core.term(), core.now, follower.lease);
}

/// Tells the leader of this node that nothing was taken.
pub(crate) fn reject(
    core: &mut Core,
    follower: &Follower,
    leader: NodeId,
    probe: Option<Probe>,
    outcome: AppendOutcome,
) {
    if !core.is_stuck() {
        let (echo, seen) = (probe.map(|probe| echo(core, probe)), seen(follower));
        respond(core, leader, AppendEntriesResponse { outcome, echo, seen });
    }
}

/// The newest round of its leader that this node has seen.
pub(crate) fn seen(follower: &Follower) -> Option<Round> {
    follower.probe.map(|probe| probe.round)
}

/// Answers a leader.
pub(crate) fn respond(core: &mut Core, to: NodeId, response: AppendEntriesResponse) {
    core.send(to, Message::AppendEntriesResponse(response));
}

/// Promises the lease if it is not too long, and makes sure that the promise outlives a crash.
fn promise(core: &mut Core, lease: Duration) -> Duration {
    if lease > core.config.longest_promise {
        return Duration::ZERO;
    }
    core.hard_state.promised = core.lease.promise(lease, core.hard_state.promised, core.now);
    // While answers wait, what they promise is not taken back.
    if core.outbox.is_empty() && core.is_open() {
        core.hard_state.promised = core.lease.lower(core.hard_state.promised, core.now);
    }
    lease
}

/// The answer to a probe. It promises what would outlive a crash already; the next one may promise
/// more. A longer promise of an earlier life is kept, not made again.
pub(crate) fn echo(core: &Core, probe: Probe) -> Echo {
    let durable = core.disk.durable_hard_state().promised;
    let longest = [core.config.longest_promise, core.hard_state.promised, durable];
    let kept = core.has_leases() && longest.iter().all(|longest| probe.lease <= *longest);
    let promised = if kept { probe.lease } else { Duration::ZERO };
    Echo { round: probe.round, sent_at: probe.sent_at, promised }
}
