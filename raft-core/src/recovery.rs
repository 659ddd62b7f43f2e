//! How a node starts: what it makes of the disk that it finds.

use crate::config::Config;
use crate::error::{ConfigError, RecoveryError, StartError};
use crate::input::Recovered;
use crate::protocol::election;
use crate::protocol::transition::become_follower;
use crate::state::core::Core;
use crate::state::disk::Disk;
use crate::state::lease::Lease;
use crate::state::log::Log;
use crate::state::rng::Rng;
use crate::state::role::{Follower, Role};
use crate::state::timers::{Deadline, LAST_MOMENT, Timers};
use crate::types::{Instant, LIMIT, LogIndex, Round, Term, Ticket};
use alloc::vec::Vec;

/// A follower with what was found, or why nobody can start from it.
pub(crate) fn start(
    config: Config,
    recovered: Recovered,
    now: Instant,
) -> Result<(Core, Role), StartError> {
    config.check()?;
    if now > LAST_MOMENT {
        return Err(ConfigError::ClockOutOfRange.into());
    }
    let mut core = recover_core(config, recovered, now)?;
    core.reset_election_timer();
    if core.membership().is_lone_voter(core.id()) {
        core.timers.set(Deadline::Election, Some(now));
    }
    let mut role = Role::Follower(Follower::default());
    let term = core.term();
    become_follower(&mut core, &mut role, term, None);
    election::settle_timer(&mut core, &role);
    Ok((core, role))
}

/// What a node knows that has only just read its disk: it has heard nobody, and the promise of an
/// earlier life may have been made a moment ago.
fn recover_core(config: Config, recovered: Recovered, now: Instant) -> Result<Core, RecoveryError> {
    let found = recovered.entries.last_position(recovered.prev);
    let Recovered { hard_state, applied, .. } = recovered;
    let log = recover_log(recovered)?;
    let durable_index = log.last_index();
    let is_dropped = found != log.last_position();
    let start = log.start();
    if applied > log.last_index() {
        return Err(RecoveryError::AppliedBeyondLog { applied, last: log.last_index() });
    }

    let mut rng = Rng::new(config.seed, config.id);
    let ticket = Ticket(1 + rng.below(LIMIT / 2));
    let round = Round(1 + rng.below(LIMIT / 2));
    let mut disk = Disk::new(ticket, hard_state, durable_index);
    if is_dropped {
        disk.restart_after(start);
    }
    Ok(Core {
        now,
        rng,
        timers: Timers::default(),
        hard_state,
        elected: None,
        lease: Lease::recovered(now, hard_state.promised, hard_state.current_term),
        clock_is_behind: false,
        untimed: round,
        installing: None,
        installing_since: Instant::ZERO,
        install_is_due: false,
        outcomes: Vec::new(),
        commit_index: start.index.max(applied),
        last_applied: start.index.max(applied),
        disk,
        is_voter: log.membership().is_voter(config.id),
        log,
        round,
        outbox: Vec::new(),
        vote_waits: false,
        config,
    })
}

/// The log as it was found, less what the snapshot covers. A log that is older than the snapshot or
/// contradicts it is dropped.
fn recover_log(recovered: Recovered) -> Result<Log, RecoveryError> {
    let Recovered { hard_state, snapshot, prev, entries, .. } = recovered;
    let current = hard_state.current_term;
    if current > Term::LAST
        || hard_state.voted_for.is_some_and(|id| id.get() > LIMIT || current == Term::ZERO)
        || hard_state.promised > Config::LONGEST_PROMISE
    {
        return Err(RecoveryError::HardStateOutOfRange);
    }
    let snap = snapshot.position;
    for position in [snap, prev] {
        let zero = position.index == LogIndex::ZERO;
        if position.index.get() > LIMIT || zero != (position.term == Term::ZERO) {
            return Err(RecoveryError::ImpossibleSnapshot(position));
        }
    }
    if snap.term > current {
        return Err(RecoveryError::SnapshotAboveTerm { snapshot: snap.term, current });
    }
    if prev.index > snap.index {
        return Err(RecoveryError::Gap { log_starts_after: prev.index, snapshot: snap.index });
    }
    entries.check(prev, current)?;

    let mut log = Log::new(snapshot);
    let covered = snap.index.since(prev.index);
    let (head, tail) = entries.split_at(covered);
    if head.last_position(prev) == snap {
        tail.runs().for_each(|run| log.append_run(run));
    }
    Ok(log)
}
