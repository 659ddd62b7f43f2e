//! The world as the watch looks at it.

use crate::plan::setup::Setup;
use crate::world::host::{Host, Process};
use crate::world::hosts::Hosts;
use raft_core::{Instant, NodeId};

/// The world at the moment of a fact. Nobody who looks can touch it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) hosts: &'a Hosts,
    /// The simulated time.
    pub(crate) now: Instant,
    /// The number of the event under way.
    pub(crate) event: u64,
}

impl<'a> Scene<'a> {
    pub(super) fn host(&self, id: NodeId) -> Option<&'a Host> {
        self.hosts.get(id)
    }

    pub(super) fn process(&self, id: NodeId) -> Option<&'a Process> {
        self.host(id)?.process.as_ref()
    }
}
