//! All hosts, and the handle to one that runs.

use crate::host::disk::Disk;
use crate::world::host::{Host, Process};
use raft_core::NodeId;

/// Every host of the setup, in the order of the ids. None ever joins or leaves.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    hosts: Vec<Host>,
}

impl Hosts {
    pub(super) fn new(hosts: impl Iterator<Item = Host>) -> Self {
        let mut hosts: Vec<Host> = hosts.collect();
        hosts.sort_by_key(Host::id);
        Self { hosts }
    }

    /// The place of a host in the order of the ids. Most setups number their nodes from 1 on.
    pub(super) fn place(&self, id: NodeId) -> Option<usize> {
        let guess = usize::try_from(id.get().wrapping_sub(1)).ok()?;
        if self.hosts.get(guess).is_some_and(|host| host.id() == id) {
            return Some(guess);
        }
        self.hosts.iter().position(|host| host.id() == id)
    }

    /// A host, if there is one of this name.
    pub(super) fn get(&self, id: NodeId) -> Option<&Host> {
        Some(&self.hosts[self.place(id)?])
    }

    /// A host that the setup names.
    pub(super) fn named(&mut self, id: NodeId) -> &mut Host {
        let place = self.place(id);
        let place = place.expect("no host ever leaves, and `Setup::check` refuses other names");
        &mut self.hosts[place]
    }

    pub(super) const fn count(&self) -> usize {
        self.hosts.len()
    }

    /// Each host, in the order of the ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter()
    }

    /// Each id, in their order.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.hosts.iter().map(Host::id)
    }

    /// A host, if its process runs.
    pub(super) fn running(&mut self, id: NodeId) -> Option<Running<'_>> {
        let place = self.place(id)?;
        let runs = self.hosts[place].process.is_some();
        runs.then_some(Running { hosts: self, id, place })
    }

    /// A host, if its process still is the one of this life: what was scheduled in a life, ends
    /// with it.
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
    place: usize,
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
        &self.hosts.hosts[self.place]
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
        let host = &mut self.hosts.hosts[self.place];
        let process = host.process.as_mut().expect("a handle is made of a process that runs");
        (process, &mut host.disk)
    }

    /// Ends the process; everybody is left. What the disk loses is the caller's to decide.
    pub(super) fn stop(self) -> &'a mut Hosts {
        self.hosts.hosts[self.place].stop();
        self.hosts
    }
}

#[cfg(test)]
mod tests {
    use super::Hosts;
    use crate::host::machine::Machine;
    use crate::plan::choice::Choices;
    use crate::plan::setup::Setup;
    use crate::world::host::Host;
    use raft_core::{Instant, NodeId};

    const A: NodeId = NodeId(1);

    /// Two hosts, the first of which runs.
    fn hosts() -> Hosts {
        let setup = Setup::of_voters(2);
        let machine = Machine::default();
        let mut hosts =
            Hosts::new(setup.nodes.iter().map(|node| Host::new(&setup, node, &machine)));
        start(&mut hosts);
        hosts
    }

    fn start(hosts: &mut Hosts) {
        let setup = Setup::of_voters(2);
        let started = hosts.named(A).start(&setup, Instant::ZERO, &mut Choices::seeded(1));
        started.expect("its disk is whole");
    }

    #[test]
    fn only_a_process_that_runs_has_a_handle_and_giving_it_up_ends_it() {
        let mut hosts = hosts();
        assert!(hosts.running(NodeId(2)).is_none() && hosts.running(NodeId(3)).is_none());
        let at = hosts.running(A).expect("it was started");
        assert_eq!((at.id(), at.life(), at.process().status.id), (A, 1, A));
        assert!(at.stop().running(A).is_none());
    }

    #[test]
    fn what_was_scheduled_in_a_life_finds_nobody_in_the_next() {
        let mut hosts = hosts();
        assert!(hosts.of_life(A, 1).is_some() && hosts.of_life(A, 2).is_none());
        hosts.running(A).expect("it was started").stop();
        assert!(hosts.of_life(A, 1).is_none());
        start(&mut hosts);
        assert!(hosts.of_life(A, 1).is_none() && hosts.of_life(A, 2).is_some());
    }
}
