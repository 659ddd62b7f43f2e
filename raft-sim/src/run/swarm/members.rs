//! Memberships of any kind, asked for close to one another and to transfers of leadership.

use crate::plan::act::any::Act;
use crate::plan::act::{LinkAct, RequestAct};
use crate::plan::change::MembershipChange;
use crate::plan::choice::{Question, nanos};
use crate::plan::profile::LinkProfile;
use crate::plan::setup::Setup;
use crate::run::swarm::draw::Draw;
use crate::run::swarm::storm::Kinds;
use raft_core::{Instant, Membership, NodeId};
use std::time::Duration;

const fn change(change: MembershipChange) -> Act {
    Act::Request(RequestAct::ChangeMembership { node: None, change })
}

impl Draw<'_> {
    /// In a quarter of the runs, besides the other faults.
    pub(super) fn members(&mut self, setup: &mut Setup, kinds: Kinds) {
        if !self.one_in(4) {
            return;
        }
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        let end = Instant::ZERO.saturating_add(self.storm);
        self.one_by_one(Question::StormMembers, 1200, Duration::ZERO, |draw, at| {
            let acts = if kinds.removals && ids.len() > 2 && draw.one_in(4) {
                draw.rejoin(&ids, setup.link)
            } else {
                draw.any_membership(&ids, kinds.removals)
            };
            let times = acts.into_iter().map(|(after, act)| (at.saturating_add(after), act));
            setup.timeline.extend(times.filter(|(time, _)| *time < end));
        });
        setup.timeline.sort_by_key(|(time, _)| *time);
    }

    /// Any membership, asked for once or again, with transfers before, between and after. Where a
    /// node that is removed is not held off, none is: it becomes a learner.
    fn any_membership(&mut self, ids: &[NodeId], removals: bool) -> Vec<(Duration, Act)> {
        let (mut voters, mut learners) = (Vec::new(), Vec::new());
        for id in ids {
            match self.below(if removals { 5 } else { 4 }) {
                0..3 => voters.push(*id),
                3 => learners.push(*id),
                _ => {}
            }
        }
        if voters.is_empty() {
            return Vec::new();
        }
        let Ok(target) = Membership::new(voters, [], learners) else { return Vec::new() };
        let mut acts = Vec::new();
        let mut after = Duration::ZERO;
        // Who is nothing yet has to catch up first.
        if let Some(newcomer) = self.one_in(2).then(|| self.one_of(ids)) {
            acts.push((after, change(MembershipChange::AddLearner(newcomer))));
            after += self.millis(1, 300);
        }
        for _ in 0..=self.below(5) {
            acts.push((
                after,
                match self.below(3) {
                    0 => Act::Request(RequestAct::Transfer {
                        node: None,
                        to: Some(self.one_of(ids)),
                    }),
                    _ => change(MembershipChange::To(target.clone())),
                },
            ));
            after += self.millis(0, 60);
        }
        acts
    }

    /// A node is removed and comes back at once, most often in the same term, while its old answers
    /// are still on their way.
    fn rejoin(&mut self, ids: &[NodeId], usual: LinkProfile) -> Vec<(Duration, Act)> {
        let node = self.one_of(ids);
        let slow = LinkProfile {
            min_delay: self.millis(20, 200),
            max_delay: self.millis(200, 400),
            ..LinkProfile::default()
        };
        let others = || ids.iter().copied().filter(move |to| *to != node);
        let set = |to, profile| Act::Link(LinkAct::SetLink { from: node, to, profile });
        let mut acts: Vec<_> = others().map(|to| (Duration::ZERO, set(to, slow))).collect();
        let mut after = Duration::ZERO;
        for what in [
            MembershipChange::Remove(node),
            MembershipChange::AddLearner(node),
            MembershipChange::AddLearner(node),
            MembershipChange::Promote(node),
            MembershipChange::Promote(node),
        ] {
            after += Duration::from_nanos(1 + self.below(nanos(Duration::from_millis(150))));
            acts.push((after, change(what)));
        }
        acts.extend(others().map(|to| (after, set(to, usual))));
        acts
    }
}
