//! What the host gives its disk to do, and what it makes of what the disk reports.

use crate::host::disk::{Completion, Job};
use crate::host::log::Log;
use crate::host::packet::Arrival;
use crate::plan::record::Violation;
use crate::world::env::Env;
use crate::world::hosts::Running;
use crate::world::pending::Pending;
use crate::world::reply::serve;
use crate::world::watch::Fact;
use raft_core::{Input, Outcome};
use std::time::Duration;

/// Gives the disk something to do.
pub(super) fn submit(env: &mut Env, at: &mut Running<'_>, job: Job) {
    submit_later(env, at, job, Duration::ZERO);
}

/// Gives the disk something to do that it begins with after a while.
pub(super) fn submit_later(env: &mut Env, at: &mut Running<'_>, job: Job, pause: Duration) {
    let begin = env.now().saturating_add(pause);
    let due = at.disk_mut().submit(job, begin, &mut env.choices);
    env.agenda.schedule(due, Pending::Disk { node: at.id(), life: at.life() });
}

/// The disk has done something; what its node is to be informed of, if anything.
pub(super) fn take_report(
    env: &mut Env,
    at: &mut Running<'_>,
    report: Completion,
) -> Result<Option<Arrival>, Violation> {
    let node = at.id();
    Ok(match report {
        Completion::NotKept => {
            at.process_mut().takes_snapshot = false;
            env.tell(at.hosts(), Fact::SnapshotFailed)?;
            None
        }
        Completion::Written(ticket) => {
            env.tell(at.hosts(), Fact::Written { node, ticket })?;
            Some(Arrival::Persisted(ticket))
        }
        Completion::Kept(position) => {
            at.process_mut().takes_snapshot = false;
            Some(Arrival::Input(Input::SnapshotTaken { position }))
        }
        Completion::Installed(image, outcome) => {
            let position = image.snapshot.position;
            if outcome == Outcome::Done {
                let process = at.process_mut();
                process.log = Log::starting(position);
                process.machine = image.machine;
                process.ledger.installed();
                // What became of these is unknown here.
                process.waiting.retain(|index, _| *index > position.index);
                serve(env, at)?;
            }
            env.tell(at.hosts(), Fact::Installed { node, position, outcome })?;
            Some(Arrival::Input(Input::SnapshotInstalled { position, outcome }))
        }
    })
}
