//! All hosts, and the handle to one that runs.

use crate::host::disk::Disk;
use crate::world::host::{Host, Process};
use raft_core::NodeId;
use std::collections::BTreeMap;

/// Every host of the setup. None ever joins or leaves.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    hosts: BTreeMap<NodeId, Host>,
}

impl Hosts {
    pub(super) fn new(hosts: impl Iterator<Item = Host>) -> Self {
        Self { hosts: hosts.map(|host| (host.id(), host)).collect() }
    }

    /// A host, if there is one of this name.
    pub(super) fn get(&self, id: NodeId) -> Option<&Host> {
        self.hosts.get(&id)
    }

    /// A host that the setup names.
    pub(super) fn named(&mut self, id: NodeId) -> &mut Host {
        self.hosts.get_mut(&id).expect("`Setup::check` refuses names of nodes that do not exist")
    }

    /// Each host, in the order of the ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// Each id, in their order.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.hosts.keys().copied()
    }

    /// A host, if its process runs.
    pub(super) fn running(&mut self, id: NodeId) -> Option<Running<'_>> {
        let runs = self.get(id).is_some_and(|host| host.process.is_some());
        runs.then_some(Running { hosts: self, id })
    }

    /// A host, if its process still is the one of this life: what was scheduled in a life, ends with
    /// it.
    pub(super) fn of_life(&mut self, id: NodeId, life: u64) -> Option<Running<'_>> {
        self.running(id).filter(|at| at.life() == life)
    }
}

/// A host whose process runs, among all hosts. While it is held nobody else changes a host, and it
/// ends the process only by being given up: so the process is there for as long as the handle is.
#[derive(Debug)]
pub(super) struct Running<'a> {
    hosts: &'a mut Hosts,
    id: NodeId,
}

impl<'a> Running<'a> {
    pub(super) const fn id(&self) -> NodeId {
        self.id
    }

    /// How often it was started.
    pub(super) fn life(&self) -> u64 {
        self.host().life
    }

    /// Everybody, for those who look.
    pub(super) const fn hosts(&self) -> &Hosts {
        self.hosts
    }

    pub(super) fn host(&self) -> &Host {
        self.hosts.get(self.id).expect("no host ever leaves")
    }

    pub(super) fn process(&self) -> &Process {
        self.host().process.as_ref().expect("a handle is made of a process that runs")
    }

    pub(super) fn process_mut(&mut self) -> &mut Process {
        self.parts().0
    }

    pub(super) fn disk_mut(&mut self) -> &mut Disk {
        self.parts().1
    }

    /// The process and the disk.
    pub(super) fn parts(&mut self) -> (&mut Process, &mut Disk) {
        let host = self.hosts.named(self.id);
        let process = host.process.as_mut().expect("a handle is made of a process that runs");
        (process, &mut host.disk)
    }

    /// Ends the process; everybody is left. What the disk loses is the caller's to decide.
    pub(super) fn stop(self) -> &'a mut Hosts {
        self.hosts.named(self.id).stop();
        self.hosts
    }
}
