//! Whether the cluster serves: whether there is a leader that can commit.

use super::World;
use crate::checker::is_quorum;
use crate::host::Host;
use crate::record::Event;
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

    pub(super) fn find_service(&self) -> Option<NodeId> {
        let leaders = self.hosts.values().filter_map(|host| {
            let status = host.process.as_ref()?.status;
            (status.role == RoleKind::Leader && works(host)).then_some((status.term, host))
        });
        let serving = leaders.filter(|(term, leader)| {
            let follows = |host: &&Host| {
                works(host)
                    && self.network.joins(leader.id(), host.id())
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
