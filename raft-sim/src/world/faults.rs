//! What is done to the cluster, family by family.

use crate::host::client::{Request, token};
use crate::host::log::Command;
use crate::host::packet::Arrival;
use crate::plan::act::{Act, ClockAct, DiskAct, MessageAct, ProcessAct, RequestAct};
use crate::plan::change::Change;
use crate::plan::record::{Event, Operation, Phase, Violation};
use crate::world::excuse::Cause;
use crate::world::host::Host;
use crate::world::{Pending, World};
use raft_core::{Input, NodeId, Token};

impl World {
    pub(super) fn fault(&mut self, nth: usize) -> Result<(), Violation> {
        let act = self.setup.timeline[nth].1.clone();
        // As it is spelt, so that the hash does not depend on how an enum is laid out.
        self.take_into_hash(&act.written());
        self.tell(None, Event::Fault { fault: act.clone() });
        match act {
            Act::Link(act) => {
                let leader = self.find_service();
                self.exercised.link_act(&act);
                self.network.act(&act, leader, self.now);
                Ok(())
            }
            Act::Message(MessageAct::Hostile { node, message }) => self.hostile(node, message),
            Act::Disk(act) => self.disk_act(&act),
            Act::Process(act) => self.process_act(&act),
            Act::Clock(act) => {
                self.clock_act(&act);
                Ok(())
            }
            Act::Request(act) => self.request_act(act),
        }
    }

    fn disk_act(&mut self, act: &DiskAct) -> Result<(), Violation> {
        match *act {
            DiskAct::HangDisk { node } => self.host_mut(node).disk.hang(),
            DiskAct::ReleaseDisk { node } => self.release(node),
            DiskAct::SetDisk { node, profile } => self.host_mut(node).disk.set_profile(profile),
            DiskAct::FillDisk { node, room } => self.host_mut(node).disk.set_room(Some(room)),
            DiskAct::FreeDisk { node } => self.host_mut(node).disk.set_room(None),
            DiskAct::Damage { node, part } => {
                let host = self.hosts.get_mut(&node).expect("the setup names nodes that exist");
                let damaged = host.disk.damage(part, &mut self.choices);
                self.exercised.damages += u64::from(damaged);
                self.look_for_loss(node);
            }
            DiskAct::Destroy { node } => {
                self.host_mut(node).disk.destroy();
                self.look_for_loss(node);
                return self.crash(node, 0);
            }
            DiskAct::Wipe { node } => {
                if self.hosts[&node].process.is_none() {
                    self.lose(node, Cause::Wiped);
                    self.host_mut(node).wipe();
                }
            }
        }
        Ok(())
    }

    fn process_act(&mut self, act: &ProcessAct) -> Result<(), Violation> {
        match *act {
            ProcessAct::Crash { node } => return self.crash(node, 0),
            ProcessAct::CrashInStep { node } => self.host_mut(node).crash_in_step = true,
            ProcessAct::Restart { node } => return self.start(node),
            ProcessAct::Pause { node } => self.host_mut(node).paused = true,
            ProcessAct::Resume { node } => return self.resume(node),
        }
        Ok(())
    }

    fn clock_act(&mut self, act: &ClockAct) {
        let now = self.now;
        match *act {
            ClockAct::SetClock { node, ppm } => {
                self.host_mut(node).clock.set_rate(now, ppm);
                self.clocks_hold &= ppm.unsigned_abs() <= self.drift_bound(node);
                self.schedule_wake(node);
            }
            ClockAct::JumpClock { node, millis } => {
                self.host_mut(node).clock.jump(now, millis);
                self.clocks_hold = false;
                self.schedule_wake(node);
            }
        }
    }

    fn request_act(&mut self, act: RequestAct) -> Result<(), Violation> {
        match act {
            RequestAct::Campaign { node } => self.arrive(node, Arrival::Told(Input::Campaign)),
            RequestAct::Propose { node, count } => self.propose(node, count),
            RequestAct::Read { node, consistency } => {
                let token = self.operator_token();
                let (serial, what) = (self.operator, Operation::Query { key: 0, consistency });
                self.operator_asked.insert(serial, what);
                self.tell_client(Some(node), 0, serial, what, Phase::Invoked)?;
                self.arrive(node, Arrival::Query(token, what))
            }
            RequestAct::TakeSnapshot { node } => {
                self.take_snapshot(node);
                Ok(())
            }
            RequestAct::Unreachable { node, peer } => {
                self.arrive(node, Arrival::Told(Input::PeerUnreachable { peer }))
            }
            RequestAct::Transfer { node, to } => {
                let Some(node) = node.or_else(|| self.find_service()) else { return Ok(()) };
                let token = self.operator_token();
                self.arrive(node, Arrival::Told(Input::TransferLeadership { token, to }))
            }
            RequestAct::ChangeMembership { node, change } => self.change(node, &change),
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
        self.schedule(self.now, Pending::Disk { node, life });
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
