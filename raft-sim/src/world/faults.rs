//! The fault timeline.

use crate::host::client::{Request, token};
use crate::host::log::Command;
use crate::host::packet::Arrival;
use crate::plan::change::Change;
use crate::plan::fault::Fault;
use crate::plan::record::{Event, Operation, Phase, Violation};
use crate::scenario::write::done;
use crate::world::World;
use crate::world::excuse::Cause;
use crate::world::host::Host;
use crate::world::pending::Pending;
use raft_core::{Input, NodeId, Token};

impl World {
    pub(super) fn fault(&mut self, nth: usize) -> Result<(), Violation> {
        let fault = self.setup.timeline[nth].1.clone();
        // As it is spelt, so that the hash does not depend on how an enum is laid out.
        self.take_into_hash(&done(&fault));
        self.tell(None, Event::Fault { fault: fault.clone() });
        match fault {
            Fault::Crash { node } => self.crash(node, 0),
            Fault::Restart { node } => self.start(node),
            Fault::Resume { node } => self.resume(node),
            Fault::Destroy { node } => {
                self.host_mut(node).disk.destroy();
                self.look_for_loss(node);
                self.crash(node, 0)
            }
            Fault::Hostile { node, what } => self.hostile(node, what),
            Fault::Campaign { node } => self.arrive(node, Arrival::Told(Input::Campaign)),
            Fault::Unreachable { node, peer } => {
                self.arrive(node, Arrival::Told(Input::PeerUnreachable { peer }))
            }
            Fault::Propose { node, count } => self.propose(node, count),
            Fault::Read { node, consistency } => {
                let token = self.operator_token();
                let (serial, what) = (self.operator, Operation::Query { key: 0, consistency });
                self.operator_asked.insert(serial, what);
                self.tell_client(Some(node), 0, serial, what, Phase::Invoked)?;
                self.arrive(node, Arrival::Query(token, what))
            }
            Fault::ChangeMembership { node, change } => self.change(node, &change),
            Fault::Transfer { node, to } => {
                let Some(node) = node.or_else(|| self.find_service()) else { return Ok(()) };
                let token = self.operator_token();
                self.arrive(node, Arrival::Told(Input::TransferLeadership { token, to }))
            }
            other => {
                self.quiet_fault(&other);
                Ok(())
            }
        }
    }

    /// What gives no node anything to do at once.
    fn quiet_fault(&mut self, fault: &Fault) {
        let now = self.agenda.now();
        match *fault {
            Fault::Cut { from, to } => self.network.cut(from, to),
            Fault::Heal { from, to } => self.network.heal(from, to, now),
            Fault::HealAll => self.network.heal_all(now),
            Fault::Reach { ref shape } => {
                self.exercised.shapes += 1;
                self.network.reach(shape, self.find_service(), now);
            }
            Fault::Flap { from, to, period } => {
                self.exercised.flaps += 1;
                self.network.flap(from, to, period, now);
            }
            Fault::Isolate { node } => self.network.isolate(node),
            Fault::SetLink { from, to, profile } => self.network.set_profile(from, to, profile),
            Fault::DropKind { from, to, kind } => self.network.set_lost(from, to, kind, true),
            Fault::PassKind { from, to, kind } => self.network.set_lost(from, to, kind, false),
            Fault::CrashInStep { node } => self.host_mut(node).crash_in_step = true,
            Fault::Pause { node } => self.host_mut(node).paused = true,
            Fault::HangDisk { node } => self.host_mut(node).disk.hang(),
            Fault::ReleaseDisk { node } => self.release(node),
            Fault::FillDisk { node, room } => self.host_mut(node).disk.set_room(Some(room)),
            Fault::FreeDisk { node } => self.host_mut(node).disk.set_room(None),
            Fault::SetDisk { node, profile } => self.host_mut(node).disk.set_profile(profile),
            Fault::Damage { node, part } => {
                let host = self.hosts.get_mut(&node).expect("the setup names nodes that exist");
                let damaged = host.disk.damage(part, &mut self.choices);
                self.exercised.damages += u64::from(damaged);
                self.look_for_loss(node);
            }
            Fault::TakeSnapshot { node } => self.take_snapshot(node),
            Fault::SetClock { node, ppm } => {
                self.host_mut(node).clock.set_rate(now, ppm);
                self.clocks_hold &= ppm.unsigned_abs() <= self.drift_bound(node);
                self.schedule_wake(node);
            }
            Fault::JumpClock { node, millis } => {
                self.host_mut(node).clock.jump(now, millis);
                self.clocks_hold = false;
                self.schedule_wake(node);
            }
            Fault::Wipe { node } => {
                if self.hosts[&node].process.is_none() {
                    self.lose(node, Cause::Wiped);
                    self.host_mut(node).wipe();
                }
            }
            Fault::Crash { .. }
            | Fault::Restart { .. }
            | Fault::Resume { .. }
            | Fault::Destroy { .. }
            | Fault::Hostile { .. }
            | Fault::Campaign { .. }
            | Fault::Unreachable { .. }
            | Fault::Propose { .. }
            | Fault::Read { .. }
            | Fault::ChangeMembership { .. }
            | Fault::Transfer { .. } => unreachable!("these give a node something to do"),
        }
    }

    fn host_mut(&mut self, node: NodeId) -> &mut Host {
        self.hosts.get_mut(&node).expect("the setup names nodes that exist")
    }

    /// By how much the clocks may be off, as far as this node knows.
    fn drift_bound(&self, node: NodeId) -> u32 {
        let setup = self.setup.nodes.iter().find(|setup| setup.id == node);
        setup.map_or(0, |setup| self.setup.config(setup, 0).clock_drift_ppm)
    }

    /// A name for a request of the operator.
    fn operator_token(&mut self) -> Token {
        self.operator += 1;
        token(0, self.operator)
    }

    /// Asks for a change of the membership; one that makes no sense is not asked for.
    fn change(&mut self, node: Option<NodeId>, change: &Change) -> Result<(), Violation> {
        let Some(node) = node.or_else(|| self.find_service()) else { return Ok(()) };
        let Ok(target) = change.target(self.hosts[&node].membership()) else { return Ok(()) };
        let token = self.operator_token();
        self.arrive(node, Arrival::Told(Input::ChangeMembership { token, target }))
    }

    fn resume(&mut self, node: NodeId) -> Result<(), Violation> {
        let host = self.host_mut(node);
        host.paused = false;
        let life = host.life;
        self.poll(node, life)?;
        self.schedule_wake(node);
        Ok(())
    }

    fn release(&mut self, node: NodeId) {
        let host = self.host_mut(node);
        host.disk.release();
        let life = host.life;
        self.schedule(self.agenda.now(), Pending::Disk { node, life });
    }

    /// Commands that nobody waits for, each with a value of its own.
    fn propose(&mut self, node: NodeId, count: u64) -> Result<(), Violation> {
        let first = self.operator + 1;
        self.operator += count;
        let command = |serial| Command {
            client: 0,
            serial,
            operation: Operation::Write { key: 0, value: token(0, serial).get() },
        };
        let commands: Vec<Command> = (first..first + count).map(command).collect();
        if let Some(Command { operation, .. }) = commands.first() {
            self.operator_asked.insert(first, *operation);
        }
        let request = Request { token: token(0, first), commands, query: None };
        self.arrive(node, Arrival::Request(request))
    }
}
