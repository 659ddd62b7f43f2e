//! What comes to a node: it is stepped at once, or lies in the host's inbox.

use crate::host::packet::Arrival;
use crate::plan::choice::Question;
use crate::plan::record::Violation;
use crate::world::World;
use crate::world::pending::Pending;
use raft_core::{Instant, NodeId};

impl World {
    /// Something comes to a running node: it is stepped at once, or lies in the inbox.
    pub(super) fn arrive(&mut self, id: NodeId, arrival: Arrival) -> Result<(), Violation> {
        let Some(host) = self.hosts.get_mut(&id) else { return Ok(()) };
        let Some(process) = &mut host.process else { return Ok(()) };
        let gathering = self.setup.gathering;
        if !host.paused && gathering.is_zero() {
            return self.step(id, [arrival]);
        }
        process.inbox.push(arrival);
        if !host.paused && process.poll_at.is_none() {
            let pause =
                self.choices.duration(Question::Gathering, std::time::Duration::ZERO, gathering);
            let at = self.agenda.now().saturating_add(pause);
            process.poll_at = Some(at);
            let life = host.life;
            self.schedule(at, Pending::Poll { node: id, life });
        }
        Ok(())
    }

    /// Steps what has gathered: all as one where the setup lets inputs gather, else one by one.
    pub(super) fn poll(&mut self, id: NodeId, life: u64) -> Result<(), Violation> {
        if !self.lives(id, life) || self.hosts[&id].paused {
            return Ok(());
        }
        let host = self.hosts.get_mut(&id).expect("it lives");
        let process = host.process.as_mut().expect("it lives");
        process.poll_at = None;
        let mut gathered = std::mem::take(&mut process.inbox);
        // Waiting messages first: a heartbeat in the inbox must not lose to the timer it puts off.
        gathered.sort_by_key(|arrival| *arrival == Arrival::Wake);
        if gathered.is_empty() {
            return Ok(());
        }
        if !self.setup.gathering.is_zero() {
            self.exercised.batches += u64::from(gathered.len() > 1);
            return self.step(id, gathered);
        }
        for arrival in gathered {
            if self.lives(id, life) {
                self.step(id, [arrival])?;
            }
        }
        Ok(())
    }

    pub(super) fn wake(&mut self, id: NodeId, life: u64) -> Result<(), Violation> {
        if !self.lives(id, life) {
            return Ok(());
        }
        let process = self.hosts.get_mut(&id).and_then(|host| host.process.as_mut());
        let process = process.expect("it lives");
        if process.wake_at == Some(self.agenda.now()) {
            process.wake_at = None;
        }
        match self.hosts[&id].deadline() {
            Some(deadline) if deadline <= self.agenda.now() => self.arrive(id, Arrival::Wake),
            _ => {
                self.schedule_wake(id);
                Ok(())
            }
        }
    }

    /// Sees to it that the node is woken at its deadline. A wake-up that is on its way and comes
    /// earlier will look again.
    pub(super) fn schedule_wake(&mut self, id: NodeId) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let (life, now) = (host.life, self.agenda.now());
        let Some(deadline) = host.deadline() else { return };
        let Some(process) = &mut host.process else { return };
        // A deadline that stays in the past is a bug of the node: it must not stop the world.
        let at = if deadline > now { deadline } else { Instant::from_nanos(now.as_nanos() + 1) };
        if process.wake_at.is_none_or(|other| at < other) {
            process.wake_at = Some(at);
            self.schedule(at, Pending::Wake { node: id, life });
        }
    }
}
