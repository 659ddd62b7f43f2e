//! What the host gives its disk to do, and what it makes of what the disk reports.

use crate::host::disk::{Completion, Job};
use crate::host::log::{Command, Log};
use crate::host::machine::Image;
use crate::plan::record::Violation;
use crate::world::env::Env;
use crate::world::hosts::Running;
use crate::world::pending::Pending;
use crate::world::watch::Fact;
use raft_core::Outcome;
use raft_core::driver::{Event, SnapshotEvent};
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

/// The disk has done something; what the driver is to be told of it.
pub(super) fn take_report(
    env: &mut Env,
    at: &mut Running<'_>,
    report: Completion,
) -> Result<Event<Command>, Violation> {
    let node = at.id();
    Ok(match report {
        Completion::NotKept => {
            env.tell(at.hosts(), Fact::SnapshotFailed)?;
            Event::Snapshot(SnapshotEvent::Taken { outcome: Outcome::Failed })
        }
        Completion::Written(ticket) => {
            env.tell(at.hosts(), Fact::Written { node, ticket })?;
            Event::Written { ticket }
        }
        Completion::Kept(image) => {
            at.process_mut().shelf.keep(*image);
            Event::Snapshot(SnapshotEvent::Taken { outcome: Outcome::Done })
        }
        Completion::Installed(image, outcome) => {
            let Image { snapshot, machine } = *image;
            let position = snapshot.position;
            if outcome == Outcome::Done {
                let process = at.process_mut();
                process.log = Log::starting(position);
                process.machine = machine.clone();
                process.ledger.installed();
                process.shelf.keep(Image { snapshot, machine });
            }
            env.tell(at.hosts(), Fact::Installed { node, position, outcome })?;
            Event::Snapshot(SnapshotEvent::Installed { outcome })
        }
    })
}
