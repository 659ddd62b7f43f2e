//! The fault timeline.

use super::{Pending, World};
use crate::client::{Request, token};
use crate::host::{Arrival, Host};
use crate::log::Command;
use crate::record::{Event, Operation, Violation};
use crate::setup::Fault;
use raft_core::NodeId;

impl World {
    pub(super) fn fault(&mut self, nth: usize) -> Result<(), Violation> {
        let fault = self.setup.timeline[nth].1.clone();
        self.take_into_hash(&fault);
        self.tell(None, Event::Fault { fault: fault.clone() });
        match fault {
            Fault::Cut { from, to } => self.network.cut(from, to),
            Fault::Heal { from, to } => self.network.heal(from, to),
            Fault::HealAll => self.network.heal_all(),
            Fault::Isolate { node } => self.network.isolate(node),
            Fault::SetLink { from, to, profile } => self.network.set_profile(from, to, profile),
            Fault::DropKind { from, to, kind } => self.network.set_lost(from, to, kind, true),
            Fault::PassKind { from, to, kind } => self.network.set_lost(from, to, kind, false),
            Fault::Crash { node } => return self.crash(node, 0),
            Fault::CrashInStep { node } => self.host_mut(node).crash_in_step = true,
            Fault::Restart { node } => return self.start(node),
            Fault::Pause { node } => self.host_mut(node).paused = true,
            Fault::Resume { node } => return self.resume(node),
            Fault::HangDisk { node } => self.host_mut(node).disk.hang(),
            Fault::ReleaseDisk { node } => self.release(node),
            Fault::Campaign { node } => return self.arrive(node, Arrival::Campaign),
            Fault::Propose { node, count } => return self.propose(node, count),
        }
        Ok(())
    }

    fn host_mut(&mut self, node: NodeId) -> &mut Host {
        self.hosts.get_mut(&node).expect("the setup names nodes that exist")
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
        let commands = (first..first + count).map(command).collect();
        self.arrive(node, Arrival::Request(Request { token: token(0, first), commands }))
    }
}
