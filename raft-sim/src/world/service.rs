//! Whether the cluster serves: whether there is a leader that can commit.

use super::World;
use crate::checker::is_quorum;
use crate::client::Client;
use crate::host::Host;
use crate::record::{Event, Violation};
use raft_core::{NodeId, RoleKind};

impl World {
    /// Writes down a change; asked for after every event.
    pub(super) fn observe_service(&mut self) {
        if !self.scribe.listens {
            return;
        }
        let leader = self.find_service();
        if leader != self.service {
            self.service = leader;
            self.tell(None, Event::Service { leader });
        }
    }

    /// Whether everything has come right: there is a leader, everybody has committed and applied the
    /// same, and no client waits. To be asked after a time without faults.
    ///
    /// # Errors
    ///
    /// What has not.
    pub fn converged(&self) -> Result<(), Violation> {
        let fails = |sentence| Err(self.violation("liveness", sentence));
        let Some(leader) = self.find_service() else {
            return fails("there is no leader that can commit".to_owned());
        };
        let process = |host: &'_ Host| host.process.as_ref().map(|process| process.status);
        let reference = process(&self.hosts[&leader]).expect("it leads");
        for host in self.hosts.values() {
            let Some(process) = &host.process else { continue };
            if !self.hosts[&leader].membership().contains(host.id()) {
                continue;
            }
            let status = process.status;
            let mine = (status.term, status.last, status.commit_index);
            let all = (reference.term, reference.last, reference.last.index);
            if mine != all || process.machine.applied() != reference.last.index {
                return fails(format!("{status:?} has not caught up with {reference:?}"));
            }
            if status.pending_reads > 0 || !process.ready.is_empty() {
                return fails(format!("{:?} has reads that wait", host.id()));
            }
            if status.transfers_to.is_some() || status.membership_changes {
                return fails(format!("{status:?} has not finished what it was asked for"));
            }
        }
        match self.clients.iter().position(Client::is_busy) {
            Some(nth) => fails(format!("client {} still waits", nth + 1)),
            None => Ok(()),
        }
    }

    pub(super) fn find_service(&self) -> Option<NodeId> {
        let leaders = self.hosts.values().filter_map(|host| {
            let status = host.process.as_ref()?.status;
            (status.role == RoleKind::Leader && works(host)).then_some((status.term, host))
        });
        let serving = leaders.filter(|(term, leader)| {
            let follows = |host: &&Host| {
                works(host)
                    && self.network.joins(leader.id(), host.id(), self.now)
                    && host.process.as_ref().is_some_and(|process| process.status.term <= *term)
            };
            let reached = self.hosts.values().filter(follows).map(Host::id).collect();
            is_quorum(leader.membership(), &reached)
        });
        serving.max_by_key(|(term, _)| *term).map(|(_, host)| host.id())
    }
}

/// It runs, and its disk completes what it is given.
fn works(host: &Host) -> bool {
    host.runs() && !host.disk.is_hung()
}
