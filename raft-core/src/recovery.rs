//! What a node makes of the disk that it finds at its start.

use crate::config::Config;
use crate::error::RecoveryError;
use crate::input::Recovered;
use crate::state::log::Log;
use crate::types::{LIMIT, LogIndex, Term};

/// The log as it was found, less what the snapshot covers. A log that is older than the snapshot or
/// contradicts it is dropped.
pub(crate) fn recover_log(recovered: Recovered) -> Result<Log, RecoveryError> {
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
