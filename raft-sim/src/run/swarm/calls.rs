//! What comes to a node in one call though it was sent at quite different times: a node that was
//! paused finds the messages of two leaders in its inbox.

use crate::plan::act::any::Act;
use crate::plan::act::{LinkAct, ProcessAct, RequestAct, Target};
use crate::plan::choice::Question;
use crate::plan::setup::Setup;
use crate::run::swarm::draw::{Draw, Sequence};
use raft_core::NodeId;
use std::time::Duration;

impl Draw<'_> {
    /// In half of the runs in which inputs gather, besides the other faults.
    pub(super) fn two_leaders_in_a_call(&mut self, setup: &mut Setup) {
        if self.one_in(2) && !setup.gathering.is_zero() {
            self.in_sequence(Question::StormCalls, 1_500, setup, |draw, setup| {
                draw.paused_while_leaders_change(setup)
            });
        }
    }

    /// A leader that only a paused node hears any more goes on sending to it, while the others
    /// elect the next one, who sends to it, too. When it goes on it takes all that in one call:
    /// what the earlier one has brought is not written yet when the later one cuts off a part of
    /// it. The part that stays is what others got before the cut.
    fn paused_while_leaders_change(&mut self, setup: &Setup) -> Sequence {
        let (timeout, voters) = (setup.election_timeout, setup.membership.voters());
        let leader = self.one_of(voters);
        let is_enough = |paused: &NodeId| {
            let left = voters.iter().filter(|id| **id != leader && *id != paused).count();
            *paused != leader && left > voters.len() / 2
        };
        let paused: Vec<NodeId> = setup.membership.members().filter(is_enough).collect();
        if paused.is_empty() {
            return Vec::new();
        }
        let paused = self.one_of(&paused);
        let propose = |node| Act::Request(RequestAct::Propose { node, count: 1 });
        let transfer = Act::Request(RequestAct::Transfer { node: None, to: Some(leader) });
        let mut acts = vec![(Duration::ZERO, transfer)];
        let mut after = timeout / 2 + self.upto(timeout);
        acts.push((after, Act::Process(ProcessAct::Pause { node: paused })));
        (0..self.below(4)).for_each(|_| acts.push((after, propose(leader))));
        after += self.upto(timeout / 8);
        let rest = setup.nodes.iter().map(|node| node.id);
        let rest: Vec<NodeId> = rest.filter(|id| *id != leader && *id != paused).collect();
        let links = rest.iter().flat_map(|id| [(leader, *id), (*id, leader)]);
        let cuts = links.clone().map(|(from, to)| Act::Link(LinkAct::Cut { from, to }));
        acts.extend(cuts.map(|act| (after, act)));
        (0..=self.below(4)).for_each(|_| acts.push((after, propose(leader))));
        after += timeout * 2 + self.upto(timeout * 2);
        let at_the_next = || Act::aimed(Target::Leader, Duration::ZERO, propose);
        (0..self.below(3)).for_each(|_| acts.push((after, at_the_next())));
        after += self.upto(timeout);
        acts.push((after, Act::Process(ProcessAct::Resume { node: paused })));
        let heals = links.map(|(from, to)| Act::Link(LinkAct::Heal { from, to }));
        after += self.upto(timeout);
        acts.extend(heals.map(|act| (after, act)));
        acts
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::act::any::Act;
    use crate::plan::act::{LinkAct, ProcessAct};
    use crate::plan::choice::{Choices, Question};
    use crate::run::swarm::draw::Draw;
    use crate::run::swarm::{STORM, draw_setup};
    use raft_core::Instant;
    use std::collections::BTreeSet;

    #[test]
    fn whoever_is_paused_or_cut_off_goes_on_before_the_storm_is_over() {
        let end = Instant::ZERO.saturating_add(STORM);
        let (mut with, mut several) = (0, 0);
        for seed in 0..1_000 {
            let mut choices = Choices::seeded(seed);
            let mut setup = draw_setup(&mut choices);
            setup.timeline.clear();
            let question = Question::StormCalls;
            Draw { choices: &mut choices, question, storm: STORM }
                .two_leaders_in_a_call(&mut setup);
            let (mut paused, mut cut, mut times) = (BTreeSet::new(), BTreeSet::new(), 0);
            for (time, act) in &setup.timeline {
                assert!(*time < end, "seed {seed}");
                match act {
                    Act::Process(ProcessAct::Pause { node }) => {
                        times += usize::from(paused.insert(*node));
                    }
                    Act::Process(ProcessAct::Resume { node }) => assert!(paused.remove(node)),
                    Act::Link(LinkAct::Cut { from, to }) => assert!(cut.insert((*from, *to))),
                    Act::Link(LinkAct::Heal { from, to }) => assert!(cut.remove(&(*from, *to))),
                    _ => {}
                }
            }
            assert!(paused.is_empty() && cut.is_empty(), "seed {seed}: {paused:?} {cut:?}");
            with += usize::from(times > 0);
            several += usize::from(times > 1);
        }
        assert!(with > 30 && several > 10, "{with} runs, in {several} more than once");
    }
}
