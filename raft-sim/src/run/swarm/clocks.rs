//! Clocks that step back, which their nodes see: lease reads go on beside them.

use crate::plan::act::any::Act;
use crate::plan::act::{ClockAct, Target};
use crate::plan::choice::{Question, nanos};
use crate::plan::setup::Setup;
use crate::run::swarm::draw::Draw;
use crate::run::swarm::storm::Kinds;
use raft_core::{Instant, NodeId};

impl Draw<'_> {
    /// In a quarter of the runs whose clocks do not jump; at a node, or at a leader with reads.
    pub(super) fn steps_back(&mut self, setup: &mut Setup, kinds: Kinds) {
        if kinds.jumps || !self.one_in(4) {
            return;
        }
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        let end = Instant::ZERO.saturating_add(self.storm);
        let longest = setup.election_timeout * 2;
        let mut at = Instant::ZERO;
        for nth in 0.. {
            let mut draw = self.nth(Question::StormBack, nth);
            at = at.saturating_add(draw.millis(10, 1500));
            let back = 1 + draw.below(nanos(longest) / 1_000_000);
            let step = |node| Act::Clock(ClockAct::StepBack { node, back });
            let within = draw.millis(1, 200);
            let act = match draw.below(3) {
                0 => step(draw.one_of(&ids)),
                1 => Act::aimed(Target::Leader, within, step),
                _ => Act::aimed(Target::ReadingLeader, within, step),
            };
            if at.saturating_add(within) >= end {
                break;
            }
            setup.timeline.push((at, act));
        }
        setup.timeline.sort_by_key(|(time, _)| *time);
    }
}
