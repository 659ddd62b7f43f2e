//! Snapshots: taken, sent, received and installed, as the driver says.

use crate::host::disk::Job;
use crate::host::machine::Image;
use crate::host::packet::{Payload, Stream};
use crate::plan::choice::Question;
use crate::plan::record::{DropReason, Violation};
use crate::world::disk::{submit, submit_later};
use crate::world::env::Env;
use crate::world::hosts::Running;
use crate::world::pending::Pending;
use crate::world::watch::Fact;
use raft_core::driver::{Event, SnapshotEvent, SnapshotHead, SnapshotTask, StreamId};
use raft_core::{Envelope, LogPosition, Outcome, Snapshot};
use std::time::Duration;

/// Does with a snapshot what the driver says.
pub(super) fn on_task(
    env: &mut Env,
    at: &mut Running<'_>,
    task: SnapshotTask,
) -> Result<(), Violation> {
    match task {
        SnapshotTask::Take(snapshot) => take(env, at, snapshot),
        SnapshotTask::Send { stream, head } => send(env, at, stream, head),
        SnapshotTask::Stop { stream } => {
            at.process_mut().shelf.stop(stream);
            Ok(())
        }
        SnapshotTask::Receive { stream, .. } => receive(env, at, stream),
        SnapshotTask::Discard { stream } => discard(env, at, stream),
        SnapshotTask::Install { stream, snapshot } => install(env, at, stream, snapshot),
        SnapshotTask::Remove { position } => remove(env, at, position),
    }
}

/// The driver has forgotten what a snapshot covers, and so does the host: on the disk perhaps
/// later.
pub(super) fn compact(
    env: &mut Env,
    at: &mut Running<'_>,
    through: LogPosition,
) -> Result<(), Violation> {
    let (process, disk) = at.parts();
    let durable = disk.stored().snapshot.as_ref().map(|image| image.snapshot.position);
    if durable.is_none_or(|durable| durable.index < through.index) {
        let sentence = format!("{:?} compacts to {through} beside {durable:?}", at.id());
        return Err(env.violation("driver", sentence));
    }
    process.log.compact(through);
    if env.choices.below(Question::Snapshot, 4) < 3 {
        disk.compact(through);
    }
    env.tell(at.hosts(), Fact::Compacted { node: at.id(), position: through })
}

/// A snapshot of what is applied, and of nothing else.
fn take(env: &mut Env, at: &mut Running<'_>, snapshot: Snapshot) -> Result<(), Violation> {
    let process = at.process_mut();
    let (applied, position) = (process.machine.applied(), snapshot.position);
    if applied != position.index {
        let sentence = format!("{:?} takes a snapshot of {position} at {applied:?}", at.id());
        return Err(env.violation("driver", sentence));
    }
    let job = Job::Keep(Box::new(Image { snapshot, machine: process.machine.clone() }));
    submit(env, at, job);
    Ok(())
}

/// A head leaves, with all that it names.
fn send(
    env: &mut Env,
    at: &mut Running<'_>,
    stream: StreamId,
    head: SnapshotHead,
) -> Result<(), Violation> {
    let position = head.snapshot.position;
    let Some(machine) = at.process_mut().shelf.send(stream, position) else {
        let sentence = format!("{:?} sends a snapshot of {position}, which is gone", at.id());
        return Err(env.violation("driver", sentence));
    };
    let envelope = Envelope::from(head);
    env.tell(at.hosts(), Fact::Leaves { node: at.id(), message: &envelope })?;
    let (pause, life) = (env.setup.snapshots.delay, at.life());
    let stream = Some(Stream { life, id: stream, machine });
    let payload = Payload { commands: Vec::new(), stream };
    env.schedule_in(pause, Pending::Build { life, envelope, payload });
    Ok(())
}

/// What came with a head is taken in: it is here, or it breaks off.
fn receive(env: &mut Env, at: &mut Running<'_>, stream: StreamId) -> Result<(), Violation> {
    let event = match at.process_mut().shelf.receive(stream) {
        Some(true) => SnapshotEvent::Arrived { stream },
        Some(false) => SnapshotEvent::Broken { stream },
        None => {
            let sentence = format!("{:?} receives {stream:?}, which did not come", at.id());
            return Err(env.violation("driver", sentence));
        }
    };
    at.process_mut().events.push(Event::Snapshot(event));
    Ok(())
}

/// What came with a head is thrown away. It may have broken off just now: the driver hears of that
/// in its next call.
fn discard(env: &mut Env, at: &mut Running<'_>, stream: StreamId) -> Result<(), Violation> {
    let broken = Event::Snapshot(SnapshotEvent::Broken { stream });
    match at.process_mut().shelf.discard(stream) {
        Some((head, true)) => {
            let (message, reason) = (&Envelope::from(head), DropReason::Unwanted);
            env.tell(at.hosts(), Fact::Dropped { message, reason })
        }
        Some((_, false)) => Ok(()),
        None if at.process().events.contains(&broken) => Ok(()),
        None => {
            let sentence = format!("{:?} discards {stream:?}, which has ended", at.id());
            Err(env.violation("driver", sentence))
        }
    }
}

/// An own one is not needed any more: never the newest that is durable.
fn remove(env: &mut Env, at: &mut Running<'_>, position: LogPosition) -> Result<(), Violation> {
    let (process, disk) = at.parts();
    let was_there = process.shelf.remove(position);
    let newest = disk.stored().snapshot.as_ref().map(|image| image.snapshot.position);
    if was_there && newest != Some(position) {
        return Ok(());
    }
    let sentence = format!("{:?} removes its snapshot of {position} beside {newest:?}", at.id());
    Err(env.violation("driver", sentence))
}

/// Replaces state machine and log, after all earlier writes: or fails to.
fn install(
    env: &mut Env,
    at: &mut Running<'_>,
    stream: StreamId,
    snapshot: Snapshot,
) -> Result<(), Violation> {
    let (node, position) = (at.id(), snapshot.position);
    let durable = at.host().disk.stored().hard_state.current_term;
    let process = at.process_mut();
    let is_idle = process.applies.is_none() && durable >= position.term;
    let Some(image) = process.shelf.install(stream, snapshot).filter(|_| is_idle) else {
        let sentence = format!("{node:?} installs {position} of {stream:?} too early or too late");
        return Err(env.violation("driver", sentence));
    };
    let ppm = env.setup.snapshots.failing(env.now());
    let outcome = if env.choices.chance(Question::Snapshot, ppm) {
        env.tell(at.hosts(), Fact::InstallFails)?;
        Outcome::Failed
    } else {
        Outcome::Done
    };
    let longest = env.setup.snapshots.installing(env.now());
    let pause = env.choices.duration(Question::InstallTime, Duration::ZERO, longest);
    if pause > env.setup.election_timeout {
        env.tell(at.hosts(), Fact::InstallIsLong)?;
    }
    submit_later(env, at, Job::Install(Box::new(image), outcome), pause);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::discard;
    use crate::host::machine::Machine;
    use crate::host::packet::{Arrival, Payload};
    use crate::plan::act::{Act, ProcessAct};
    use crate::plan::choice::Choices;
    use crate::plan::profile::ClientSetup;
    use crate::plan::record::Nobody;
    use crate::plan::setup::Setup;
    use crate::world::World;
    use crate::world::agenda::Agenda;
    use crate::world::env::Env;
    use crate::world::host::Host;
    use crate::world::hosts::Hosts;
    use crate::world::life::start;
    use crate::world::network::Network;
    use crate::world::step::step;
    use crate::world::watch::Watch;
    use raft_core::driver::{SnapshotHead, StreamId};
    use raft_core::{Instant, LogIndex, LogPosition, Membership, NodeId, Snapshot, Term};
    use std::collections::BTreeSet;

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

    #[test]
    fn a_driver_may_discard_what_broke_in_the_same_call_and_nothing_else_that_has_ended() {
        let (setup, me, machine) = (Setup::of_voters(3), NodeId(1), Machine::default());
        let watch = Watch::new(&machine, BTreeSet::new());
        let mut env = Env::new(setup.clone(), Choices::seeded(1), Agenda::default(), watch);
        let mut network = Network::new(&setup);
        let mut hosts = Hosts::new(setup.nodes.iter().map(|n| Host::new(&setup, n, &machine)));
        start(&mut env, &mut hosts, me).expect("its disk is whole");
        // Heads without content; the later one takes the place of the first.
        let heads = [2, 3].map(|from| {
            let position = LogPosition::new(Term(1), LogIndex(9));
            let snapshot = Snapshot { position, membership: Membership::empty() };
            let head = SnapshotHead { from: NodeId(from), to: me, term: Term(from), snapshot };
            let payload = Payload { commands: Vec::new(), stream: None };
            Arrival::Message(network.packet(head.into(), payload, Instant::ZERO))
        });
        let at = hosts.running(me).expect("it was started");
        assert_eq!(step(&mut env, &mut network, at, heads), Ok(()));
        let mut at = hosts.running(me).expect("it runs");
        let late = discard(&mut env, &mut at, StreamId(1)).expect_err("it has ended long ago");
        assert!(late.to_string().contains("which has ended"), "{late}");
    }
}
