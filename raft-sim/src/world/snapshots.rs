//! Snapshots: taken, sent, and installed.

use crate::host::disk::{Job, Report};
use crate::host::log::Log;
use crate::host::machine::Image;
use crate::host::packet::{Arrival, Payload};
use crate::plan::choice::Question;
use crate::plan::record::{Event, Violation};
use crate::world::World;
use crate::world::pending::Pending;
use raft_core::{
    Envelope, Input, InstallSnapshot, LogPosition, Message, NodeId, Outcome, Snapshot, Term,
};

impl World {
    /// Takes a snapshot of what is applied, if that is news.
    pub(super) fn take_snapshot(&mut self, id: NodeId) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Some(process) = &mut host.process else { return };
        let applied = process.machine.applied();
        let news = applied > process.log.start().index && !process.takes_snapshot;
        let Some(snapshot) = process.node.snapshot_at(applied).filter(|_| news) else { return };
        process.takes_snapshot = true;
        let job = Job::Keep(Box::new(Image { snapshot, machine: process.machine.clone() }));
        self.submit(id, job);
    }

    /// Takes one if it is time.
    pub(super) fn maybe_take_snapshot(&mut self, id: NodeId) {
        let every = self.setup.snapshots.every;
        let Some(process) = &self.hosts[&id].process else { return };
        let since = process.machine.applied().get().saturating_sub(process.log.start().index.get());
        if every > 0 && since >= every {
            self.take_snapshot(id);
        }
    }

    /// The core has forgotten what a snapshot covers, and so does the host: on the disk perhaps later.
    pub(super) fn compact(&mut self, id: NodeId) {
        let host = self.hosts.get_mut(&id).expect("it runs");
        let Some(process) = &mut host.process else { return };
        let start = process.status.log_start;
        if process.log.start().index >= start.index {
            return;
        }
        process.log.compact(start);
        self.exercised.compactions += 1;
        if self.choices.below(Question::Snapshot, 4) < 3 {
            host.disk.compact(start);
        }
        self.tell(Some(id), Event::SnapshotTaken { position: start });
    }

    /// The disk has done something; what its node is to be told, if anything.
    pub(super) fn reported(&mut self, id: NodeId, report: Report) -> Option<Arrival> {
        Some(match report {
            Report::NotKept => {
                self.running(id).takes_snapshot = false;
                self.exercised.snapshots_failed += 1;
                return None;
            }
            Report::Written(ticket) => {
                self.tell(Some(id), Event::PersistDone { ticket });
                Arrival::Persisted(ticket)
            }
            Report::Kept(position) => {
                self.running(id).takes_snapshot = false;
                Arrival::Told(Input::SnapshotTaken { position })
            }
            Report::Installed(image, outcome) => {
                let position = image.snapshot.position;
                if outcome == Outcome::Done {
                    self.exercised.installs += 1;
                    let process = self.running(id);
                    process.log = Log::starting(position);
                    process.machine = image.machine;
                    process.ledger.installed();
                    // What became of these is unknown here.
                    process.waiting.retain(|index, _| *index > position.index);
                    self.serve(id);
                }
                self.tell(Some(id), Event::InstallEnd { position, outcome });
                Arrival::Told(Input::SnapshotInstalled { position, outcome })
            }
        })
    }

    /// The node wants a peer to have a snapshot: the newest there is.
    pub(super) fn send_snapshot(
        &mut self,
        id: NodeId,
        to: NodeId,
        term: Term,
        at_least: LogPosition,
    ) -> Result<(), Violation> {
        self.tell(Some(id), Event::SnapshotAsked { to, at_least });
        self.exercised.snapshots_sent += 1;
        let host = &self.hosts[&id];
        let image = host.disk.stored().snapshot.clone();
        let Some(image) = image.filter(|i| i.snapshot.position.index >= at_least.index) else {
            let sentence = format!("{id:?} asks for a snapshot of {at_least}, which nobody took");
            return Err(self.violation("snapshots", sentence));
        };
        let life = host.life;
        let message = Message::InstallSnapshot(InstallSnapshot { snapshot: image.snapshot });
        let envelope = Envelope { from: id, to, term, message };
        let at = self.agenda.now().saturating_add(self.setup.snapshots.delay);
        let machine = Some(Box::new(image.machine));
        self.schedule(at, Pending::Build { life, envelope, machine });
        Ok(())
    }

    /// What the host has to say to its node, if that still lives.
    pub(super) fn report(&mut self, id: NodeId, life: u64, input: Input) -> Result<(), Violation> {
        if self.lives(id, life) { self.arrive(id, Arrival::Told(input)) } else { Ok(()) }
    }

    /// A snapshot has arrived, or was lost: its sender learns it, perhaps late, perhaps never.
    pub(super) fn sent(&mut self, envelope: &Envelope, outcome: Outcome) {
        let Message::InstallSnapshot(message) = &envelope.message else { return };
        let position = message.snapshot.position;
        let mut pause = self.setup.link.min_delay;
        if self.setup.snapshots.failing(self.agenda.now()) > 0 {
            match self.choices.below(Question::Snapshot, 8) {
                6 => pause += self.setup.election_timeout * 2,
                7 => return,
                _ => {}
            }
        }
        let (node, to) = (envelope.from, envelope.to);
        let life = self.hosts[&node].life;
        let input = Input::SnapshotSent { to, position, outcome };
        self.schedule(
            self.agenda.now().saturating_add(pause),
            Pending::Report { node, life, input },
        );
    }

    /// Replaces state machine and log, after all earlier writes: or fails to.
    pub(super) fn install(
        &mut self,
        id: NodeId,
        snapshot: &Snapshot,
        payloads: &[Payload],
    ) -> Result<(), Violation> {
        self.tell(Some(id), Event::InstallBegin { snapshot: snapshot.clone() });
        let came = |payload: &Payload| {
            let machine = payload.machine.as_deref()?;
            (machine.applied() == snapshot.position.index).then(|| machine.clone())
        };
        let Some(machine) = payloads.iter().find_map(came) else {
            let sentence = format!("{id:?} installs {snapshot:?}, which did not come");
            return Err(self.violation("snapshots", sentence));
        };
        let ppm = self.setup.snapshots.failing(self.agenda.now());
        let fails = self.choices.chance(Question::Snapshot, ppm);
        let outcome = if fails { Outcome::Failed } else { Outcome::Done };
        self.exercised.installs_failed += u64::from(fails);
        let image = Box::new(Image { snapshot: snapshot.clone(), machine });
        self.submit(id, Job::Install(image, outcome));
        Ok(())
    }

    /// Gives the disk something to do.
    pub(super) fn submit(&mut self, id: NodeId, job: Job) {
        let host = self.hosts.get_mut(&id).expect("it runs");
        let due = host.disk.submit(job, self.agenda.now(), &mut self.choices);
        let life = host.life;
        self.schedule(due, Pending::Disk { node: id, life });
    }

    /// Serves the reads whose index is applied.
    pub(super) fn serve(&mut self, id: NodeId) {
        let process = self.running(id);
        let applied = process.machine.applied();
        let ready: Vec<_> = process.ready.extract_if(.., |(index, _)| *index <= applied).collect();
        for (_, token) in ready {
            let process = self.running(id);
            let question = process.queries.remove(&token);
            let value = question.and_then(|question| process.machine.read(question));
            let position = process.log.position(applied).expect("what is applied is held");
            self.exercised.reads_served += 1;
            self.reply(token, crate::host::client::Answer::Applied { value, position });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::choice::Choices;
    use crate::plan::fault::Fault;
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
        setup.timeline = vec![at(2_000, Fault::Crash { node }), at(6_000, Fault::Restart { node })];
        for seed in 0..10 {
            let mut world = World::new(&setup, Choices::seeded(seed)).expect("makes sense");
            let outcome = world.run(&mut Nobody);
            assert_eq!(outcome.verdict, Ok(()), "seed {seed}");
            assert_eq!(world.converged(), Ok(()), "seed {seed}");
            assert!(outcome.exercised.installs > 0, "seed {seed}");
            assert!(outcome.exercised.reads_served > 0, "seed {seed}");
        }
    }
}
