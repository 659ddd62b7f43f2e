//! Clocks that step back, which their nodes see: lease reads go on beside them.

use crate::plan::act::any::Act;
use crate::plan::act::{ClockAct, LinkAct, RequestAct, Target};
use crate::plan::choice::{Question, nanos};
use crate::plan::setup::Setup;
use crate::run::swarm::draw::Draw;
use crate::run::swarm::storm::Kinds;
use raft_core::{Consistency, Instant, NodeId};
use std::time::Duration;

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
            if at.saturating_add(Duration::from_millis(200) + longest * 2) >= end {
                break;
            }
            let back = 1 + draw.below(nanos(longest) / 1_000_000);
            let step = |node| Act::Clock(ClockAct::StepBack { node, back });
            let within = draw.millis(1, 200);
            let act = match draw.below(4) {
                3 => {
                    setup.timeline.extend(deposed_behind_its_back(
                        at,
                        back,
                        setup.election_timeout,
                    ));
                    continue;
                }
                0 => step(draw.one_of(&ids)),
                1 => Act::aimed(Target::Leader, within, step),
                _ => Act::aimed(Target::ReadingLeader, within, step),
            };
            setup.timeline.push((at, act));
        }
        setup.timeline.sort_by_key(|(time, _)| *time);
    }
}

/// The leader's clock steps back while nobody reaches it any more, and somebody reads there by its
/// lease until that is over by any clock: another may lead by then.
fn deposed_behind_its_back(at: Instant, back: u64, timeout: Duration) -> Vec<(Instant, Act)> {
    let aimed = |target, act: &dyn Fn(NodeId) -> Act| Act::aimed(target, Duration::ZERO, act);
    let step = |node| Act::Clock(ClockAct::StepBack { node, back });
    let isolate = |node| Act::Link(LinkAct::Isolate { node });
    let consistency = Consistency::Lease;
    let read = |node| Act::Request(RequestAct::Read { node, consistency });
    let mut acts = vec![(at, aimed(Target::Leader, &step)), (at, aimed(Target::Struck, &isolate))];
    for nth in 1..32 {
        acts.push((at.saturating_add(timeout * nth / 8), aimed(Target::Struck, &read)));
    }
    acts.push((at.saturating_add(timeout * 4), Act::Link(LinkAct::HealAll)));
    acts
}
