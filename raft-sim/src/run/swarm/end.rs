//! How a run ends: the quiet, and what stays broken in it.

use crate::plan::act::any::Act;
use crate::plan::act::{DiskAct, LinkAct, ProcessAct};
use crate::plan::profile::{DiskProfile, LinkProfile};
use crate::plan::setup::Setup;
use crate::run::swarm::draw::Draw;
use raft_core::{Instant, NodeId};
use std::time::Duration;

impl Draw<'_> {
    /// Ends every fault. In some runs that may settle so, links stay cut in a pattern that does not
    /// change.
    pub(super) fn end(&mut self, setup: &mut Setup, may_settle: bool) {
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        let pattern = (may_settle && self.one_in(4)).then(|| self.reach(&ids));
        let end = Instant::ZERO.saturating_add(self.storm);
        quiet_end(setup, end);
        setup.timeline.extend(pattern.map(|pattern| (end, pattern)));
    }
}

/// Ends every fault.
fn quiet_end(setup: &mut Setup, at: Instant) {
    let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
    let profile = LinkProfile {
        min_delay: Duration::from_micros(100),
        max_delay: setup.election_timeout / 20,
        loss_ppm: 0,
        duplicate_ppm: 0,
    };
    let disk =
        DiskProfile { min_latency: Duration::ZERO, max_latency: setup.election_timeout / 20 };
    let mut add = |fault| setup.timeline.push((at, fault));
    add(Act::Link(LinkAct::HealAll));
    for node in ids.iter().copied() {
        add(Act::Disk(DiskAct::ReleaseDisk { node }));
        add(Act::Disk(DiskAct::FreeDisk { node }));
        add(Act::Disk(DiskAct::SetDisk { node, profile: disk }));
        add(Act::Process(ProcessAct::Resume { node }));
        add(Act::Process(ProcessAct::Restart { node }));
        for to in ids.iter().copied().filter(|to| *to != node) {
            add(Act::Link(LinkAct::SetLink { from: node, to, profile }));
        }
    }
}
