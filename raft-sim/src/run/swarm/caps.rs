//! Runs that meet what the core has room for: logs of more terms than a message names, refusals
//! that name as many as they may, and more writes on their way than are remembered.

use crate::checker::writes::WRITES_TOLD_APART;
use crate::plan::act::any::Act;
use crate::plan::act::{DiskAct, RequestAct, Target};
use crate::plan::choice::nanos;
use crate::plan::setup::Setup;
use crate::run::swarm::draw::Draw;
use raft_core::{Entries, Instant, NodeId, Run, Term};
use std::time::Duration;

/// How many writes are asked for while a disk hangs: more than the core tells apart.
const WRITES: usize = WRITES_TOLD_APART + 76;

impl Draw<'_> {
    /// In some runs every member comes with a past of up to hundreds of terms, an entry each: some
    /// of them the same for all, then its own. No message and no refusal names that many. Whoever
    /// led a term had the votes of a quorum, so everybody has heard of the last one.
    pub(super) fn long_pasts(&mut self, setup: &mut Setup) {
        if !self.one_in(16) {
            return;
        }
        let common = self.below(300);
        let members = setup.nodes.iter().filter(|node| node.membership.is_none()).count();
        let members = u64::try_from(members).expect("a few nodes");
        let nodes = setup.nodes.iter_mut().filter(|node| node.membership.is_none());
        for (node, nth) in nodes.zip(1..) {
            let own = (0..self.below(400)).map(|turn| common + turn * members + nth);
            let terms = (1..=common).chain(own).map(Term);
            node.entries = terms.map(|term| Run::Commands { term, count: 1 }).collect::<Entries>();
        }
        let latest = setup.nodes.iter().map(|node| node.last().term).max().unwrap_or_default();
        for node in setup.nodes.iter_mut().filter(|node| node.membership.is_none()) {
            node.hard_state.current_term = latest;
        }
    }

    /// In some runs the disk of a leader hangs for up to T while somebody writes and writes.
    pub(super) fn flood(&mut self, setup: &mut Setup) {
        if !self.one_in(16) || setup.limits.max_uncommitted.is_some() {
            return;
        }
        let timeout = setup.election_timeout;
        let longest = u64::try_from(self.storm.as_millis()).expect("a few seconds") - 1_000;
        let at = Instant::ZERO.saturating_add(self.millis(0, longest));
        let aimed = |act: &dyn Fn(NodeId) -> Act| Act::aimed(Target::Struck, Duration::ZERO, act);
        let hang = |node| Act::Disk(DiskAct::HangDisk { node });
        let mut acts = vec![(at, Act::aimed(Target::Leader, Duration::ZERO, hang))];
        let propose = |node| Act::Request(RequestAct::Propose { node, count: 1 });
        // Further apart than inputs gather.
        let pause = Duration::from_micros(20) + setup.gathering / 16;
        let mut time = at;
        for _ in 0..WRITES {
            time = time.saturating_add(pause);
            acts.push((time, aimed(&propose)));
        }
        let release = |node| Act::Disk(DiskAct::ReleaseDisk { node });
        let rest = self.below(2) * self.below(nanos(timeout));
        acts.push((time.saturating_add(Duration::from_nanos(rest)), aimed(&release)));
        setup.timeline.extend(acts);
        setup.timeline.sort_by_key(|(time, _)| *time);
    }
}
