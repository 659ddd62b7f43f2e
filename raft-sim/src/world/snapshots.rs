//! Snapshots: taken, sent, and installed.

use crate::host::disk::Job;
use crate::host::machine::Image;
use crate::host::packet::Payload;
use crate::plan::choice::Question;
use crate::plan::record::Violation;
use crate::world::disk::{submit, submit_later};
use crate::world::env::Env;
use crate::world::hosts::Running;
use crate::world::pending::Pending;
use crate::world::watch::Fact;
use raft_core::{Envelope, InstallSnapshot, LogPosition, Message, NodeId, Outcome, Snapshot, Term};
use std::time::Duration;

/// Takes a snapshot of what is applied, if that is news.
pub(super) fn take_snapshot(env: &mut Env, at: &mut Running<'_>) {
    let process = at.process_mut();
    let applied = process.machine.applied();
    let news = applied > process.log.start().index && !process.takes_snapshot;
    let Some(snapshot) = process.node.snapshot_at(applied).filter(|_| news) else { return };
    process.takes_snapshot = true;
    let job = Job::Keep(Box::new(Image { snapshot, machine: process.machine.clone() }));
    submit(env, at, job);
}

/// Takes one if it is time.
pub(super) fn maybe_take_snapshot(env: &mut Env, at: &mut Running<'_>) {
    let every = env.setup.snapshots.every;
    let process = at.process();
    let since = process.machine.applied().get().saturating_sub(process.log.start().index.get());
    if every > 0 && since >= every {
        take_snapshot(env, at);
    }
}

/// The core has forgotten what a snapshot covers, and so does the host: on the disk perhaps later.
pub(super) fn compact(env: &mut Env, at: &mut Running<'_>) -> Result<(), Violation> {
    let (process, disk) = at.parts();
    let start = process.status.log_start;
    if process.log.start().index >= start.index {
        return Ok(());
    }
    process.log.compact(start);
    if env.choices.below(Question::Snapshot, 4) < 3 {
        disk.compact(start);
    }
    env.tell(at.hosts(), Fact::Compacted { node: at.id(), position: start })
}

/// The node wants a peer to have a snapshot: the newest there is.
pub(super) fn send_snapshot(
    env: &mut Env,
    at: &Running<'_>,
    to: NodeId,
    term: Term,
    at_least: LogPosition,
) -> Result<(), Violation> {
    let from = at.id();
    let image = at.host().disk.stored().snapshot.clone();
    let Some(image) = image.filter(|i| i.snapshot.position.index >= at_least.index) else {
        let sentence = format!("{from:?} asks for a snapshot of {at_least}, which nobody took");
        return Err(env.violation("snapshots", sentence));
    };
    let message = Message::InstallSnapshot(InstallSnapshot { snapshot: image.snapshot });
    let envelope = Envelope { from, to, term, message };
    let machine = Some(Box::new(image.machine));
    let pause = env.setup.snapshots.delay;
    env.schedule_in(pause, Pending::Build { life: at.life(), envelope, machine });
    Ok(())
}

/// Replaces state machine and log, after all earlier writes: or fails to.
pub(super) fn install(
    env: &mut Env,
    at: &mut Running<'_>,
    snapshot: &Snapshot,
    payloads: &[Payload],
) -> Result<(), Violation> {
    let node = at.id();
    let came = |payload: &Payload| {
        let machine = payload.machine.as_deref()?;
        (machine.applied() == snapshot.position.index).then(|| machine.clone())
    };
    let Some(machine) = payloads.iter().find_map(came) else {
        let sentence = format!("{node:?} installs {snapshot:?}, which did not come");
        return Err(env.violation("snapshots", sentence));
    };
    let ppm = env.setup.snapshots.failing(env.now());
    let outcome = if env.choices.chance(Question::Snapshot, ppm) {
        env.tell(at.hosts(), Fact::InstallFails)?;
        Outcome::Failed
    } else {
        Outcome::Done
    };
    let image = Box::new(Image { snapshot: snapshot.clone(), machine });
    let longest = env.setup.snapshots.installing(env.now());
    let pause = env.choices.duration(Question::InstallTime, Duration::ZERO, longest);
    if pause > env.setup.election_timeout {
        env.tell(at.hosts(), Fact::InstallIsLong)?;
    }
    submit_later(env, at, Job::Install(image, outcome), pause);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::plan::act::{Act, ProcessAct};
    use crate::plan::choice::Choices;
    use crate::plan::profile::ClientSetup;
    use crate::plan::record::Nobody;
    use crate::plan::setup::Setup;
    use crate::world::World;
    use raft_core::{Instant, NodeId};

    #[test]
    fn a_node_that_was_away_for_long_is_caught_up_by_a_snapshot() {
        let mut setup = Setup::of_voters(3);
        setup.snapshots.every = 20;
        setup.clients.push(ClientSetup {
            query_percent: 50,
            leases: true,
            stop: Instant::from_nanos(8_000_000_000),
            ..ClientSetup::default()
        });
        let at = |millis: u64, fault| (Instant::from_nanos(millis * 1_000_000), fault);
        let node = NodeId(3);
        setup.timeline = vec![
            at(2_000, Act::Process(ProcessAct::Crash { node })),
            at(6_000, Act::Process(ProcessAct::Restart { node })),
        ];
        for seed in 0..10 {
            let mut world = World::new(&setup, Choices::seeded(seed)).expect("makes sense");
            let outcome = world.run(&mut Nobody);
            assert_eq!(outcome.verdict, Ok(()), "seed {seed}");
            assert_eq!(world.converged(), Ok(()), "seed {seed}");
            assert!(outcome.coverage.installs > 0, "seed {seed}");
            assert!(outcome.coverage.reads_served > 0, "seed {seed}");
        }
    }
}
