//! Clocks that step back, which their nodes see: lease reads go on beside them. And clocks that
//! deceive their nodes, where nobody reads by lease: what they break is counted.

use crate::plan::act::any::Act;
use crate::plan::act::{ClockAct, LinkAct, ProcessAct, RequestAct, Target};
use crate::plan::choice::{Question, nanos};
use crate::plan::setup::Setup;
use crate::run::swarm::aimed::isolate_leader;
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
        let longest = setup.election_timeout * 2;
        let room = Duration::from_millis(200) + longest * 2;
        self.one_by_one(Question::StormBack, 1500, room, |draw, at| {
            let back = 1 + draw.below(nanos(longest) / 1_000_000);
            let step = |node| Act::Clock(ClockAct::StepBack { node, back });
            let within = draw.millis(1, 200);
            let act = match draw.below(4) {
                3 => {
                    // In half of the cases what was asked before is answered after.
                    let cut =
                        at.saturating_add(if draw.one_in(2) { within / 5 } else { Duration::ZERO });
                    let timeout = setup.election_timeout;
                    setup.timeline.extend(deposed_behind_its_back(at, cut, back, timeout));
                    return;
                }
                0 => step(draw.one_of(&ids)),
                1 => Act::aimed(Target::Leader, within, step),
                _ => Act::aimed(Target::ReadingLeader, within, step),
            };
            setup.timeline.push((at, act));
        });
        setup.timeline.sort_by_key(|(time, _)| *time);
    }
}

impl Draw<'_> {
    /// In half of the runs whose clocks jump: a leader's clock goes back while it stands still, or
    /// those of voters go forward. Each breaks a lease if another is elected in time.
    pub(super) fn deceived(&mut self, setup: &mut Setup, kinds: Kinds) {
        if !kinds.jumps || !self.one_in(2) {
            return;
        }
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        let timeout = setup.election_timeout;
        self.one_by_one(Question::StormDeceived, 1500, timeout * 4, |draw, at| {
            let is_back = draw.one_in(2);
            let acts =
                if is_back { draw.back_unseen(timeout) } else { draw.forward(&ids, timeout) };
            let acts = acts.into_iter().map(|(after, act)| (at.saturating_add(after), act));
            setup.timeline.extend(acts);
            setup.timeline.push((at.saturating_add(timeout * 4), Act::Link(LinkAct::HealAll)));
        });
        setup.timeline.sort_by_key(|(time, _)| *time);
    }

    /// A leader that nobody reaches stands still for up to 3T, and goes on with a clock that shows
    /// about what it showed before.
    fn back_unseen(&mut self, timeout: Duration) -> Vec<(Duration, Act)> {
        let aimed = |act: &dyn Fn(NodeId) -> Act| Act::aimed(Target::Struck, Duration::ZERO, act);
        let outage = timeout + Duration::from_nanos(self.below(nanos(timeout * 2)));
        // So much less that the next step may see it, too.
        let millis = i64::try_from(outage.as_millis()).expect("a second");
        let millis = i64::try_from(self.below(20)).expect("a few") - 10 - millis;
        vec![
            (Duration::ZERO, isolate_leader()),
            (Duration::ZERO, aimed(&|node| Act::Process(ProcessAct::Pause { node }))),
            (outage, aimed(&|node| Act::Clock(ClockAct::JumpClock { node, millis }))),
            (outage, aimed(&|node| Act::Process(ProcessAct::Resume { node }))),
        ]
    }

    /// A leader that nobody reaches, and all clocks but one go forward by up to 2T.
    fn forward(&mut self, ids: &[NodeId], timeout: Duration) -> Vec<(Duration, Act)> {
        let mut acts = vec![(Duration::ZERO, isolate_leader())];
        let spared = self.one_of(ids);
        for node in ids.iter().copied().filter(|node| *node != spared) {
            let longest = u64::try_from(2 * timeout.as_millis()).expect("a second");
            let millis = i64::try_from(1 + self.below(longest)).expect("a second");
            acts.push((Duration::ZERO, Act::Clock(ClockAct::JumpClock { node, millis })));
        }
        acts
    }
}

/// The leader's clock steps back, and nobody reaches it any more, from then on or soon after.
/// Somebody reads there by its lease until that is over by any clock: another may lead by then.
fn deposed_behind_its_back(
    at: Instant,
    cut: Instant,
    back: u64,
    timeout: Duration,
) -> Vec<(Instant, Act)> {
    let aimed = |target, act: &dyn Fn(NodeId) -> Act| Act::aimed(target, Duration::ZERO, act);
    let step = |node| Act::Clock(ClockAct::StepBack { node, back });
    let isolate = |node| Act::Link(LinkAct::Isolate { node });
    let consistency = Consistency::Lease;
    let read = |node| Act::Request(RequestAct::Read { node, consistency });
    let mut acts = vec![(at, aimed(Target::Leader, &step)), (cut, aimed(Target::Struck, &isolate))];
    for nth in 1..32 {
        acts.push((at.saturating_add(timeout * nth / 8), aimed(Target::Struck, &read)));
    }
    acts.push((at.saturating_add(timeout * 4), Act::Link(LinkAct::HealAll)));
    acts
}
