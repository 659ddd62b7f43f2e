//! Faults of which each alone does little: what matters is that one follows another in time.

use crate::plan::act::any::Act;
use crate::plan::act::{ClockAct, DiskAct, LinkAct, RequestAct, Target};
use crate::plan::change::MembershipChange;
use crate::plan::choice::Question;
use crate::plan::profile::{DiskProfile, LinkProfile};
use crate::plan::setup::Setup;
use crate::plan::topology::Topology;
use crate::run::swarm::aimed::{crash, crash_in_step, isolate, isolate_leader, restart};
use crate::run::swarm::draw::{Draw, Sequence};
use crate::run::swarm::lives::longest_timeout;
use crate::run::swarm::storm::Kinds;
use raft_core::{Consistency, Membership, NodeId};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

const fn heal_all() -> Act {
    Act::Link(LinkAct::HealAll)
}

const fn transfer(to: Option<NodeId>) -> Act {
    Act::Request(RequestAct::Transfer { node: None, to })
}

const fn take_snapshot(node: NodeId) -> Act {
    Act::Request(RequestAct::TakeSnapshot { node })
}

const fn change(change: MembershipChange) -> Act {
    Act::Request(RequestAct::ChangeMembership { node: None, change })
}

const fn campaign(node: NodeId) -> Act {
    Act::Request(RequestAct::Campaign { node })
}

/// Every link and every disk gets these properties.
fn all_are(setup: &Setup, link: &LinkProfile, disk: &DiskProfile) -> impl Iterator<Item = Act> {
    let (profile, latency) = (*link, *disk);
    let ids = || setup.nodes.iter().map(|node| node.id);
    let others = move |from| ids().filter(move |to| *to != from).map(move |to| (from, to));
    let links = ids().flat_map(others);
    let links = links.map(move |(from, to)| Act::Link(LinkAct::SetLink { from, to, profile }));
    links.chain(ids().map(move |node| Act::Disk(DiskAct::SetDisk { node, profile: latency })))
}

impl Draw<'_> {
    /// In a quarter of the runs, besides the other faults; each has ended when the next begins, and
    /// when the storm does.
    pub(super) fn sequences(&mut self, setup: &mut Setup, kinds: Kinds) {
        if !self.one_in(4) {
            return;
        }
        self.in_sequence(Question::StormSequences, 800, setup, |draw, setup| {
            // Where T differs from node to node, those that rest on that come more often.
            let differs = longest_timeout(setup) > setup.election_timeout && draw.one_in(2);
            match if differs { 3 } else { draw.below(5) } {
                0 => draw.longer_log_comes_back(setup.election_timeout),
                1 => draw.cut_off_when_elected(setup),
                2 => draw.clocks_at_their_bound(setup, kinds),
                3 => draw.restart_beside_the_unbound(setup),
                _ => draw.membership_cut_in_halves(setup, kinds),
            }
        });
    }

    /// A leader that is cut off takes a long tail that nobody else gets. It comes back when the
    /// leader after it, which has committed less, is gone: the longer log must not win. Or it gets
    /// a snapshot, and crashes while that is being installed: its tail must not be taken for what
    /// follows.
    fn longer_log_comes_back(&mut self, timeout: Duration) -> Sequence {
        let propose = |node| Act::Request(RequestAct::Propose { node, count: 1 });
        let mut acts = vec![(NOW, isolate_leader())];
        for _ in 0..=self.below(16) {
            acts.push((NOW, Act::aimed(Target::Struck, NOW, propose)));
        }
        let after = timeout * 2 + self.upto(timeout * 2);
        acts.push((after, Act::aimed(Target::Leader, NOW, propose)));
        let back = after + self.upto(timeout / 2);
        let is_deposed = self.one_in(2);
        if is_deposed {
            acts.push((back, isolate_leader()));
            acts.push((back, heal_all()));
            acts.push((back, Act::aimed(Target::Struck, NOW, isolate)));
        } else {
            acts.push((after, Act::aimed(Target::Leader, NOW, take_snapshot)));
            acts.push((back, heal_all()));
            let (crash, within) = ([crash, crash_in_step][self.index(2)], timeout * 2);
            acts.push((back, Act::aimed(Target::Installing, within, crash)));
            let restart = Act::aimed(Target::Struck, NOW, restart);
            acts.push((back + within + self.upto(timeout), restart));
        }
        acts.push((back + timeout * 4, heal_all()));
        acts
    }

    /// A leader is cut off, and so is the next one in the moment in which it is elected. Both come
    /// back at once. In half of the cases others are asked to campaign meanwhile, so that somebody
    /// leads before any timer would have it.
    fn cut_off_when_elected(&mut self, setup: &Setup) -> Sequence {
        let (timeout, soon) = (setup.election_timeout, Duration::from_millis(1));
        let mut acts =
            vec![(NOW, isolate_leader()), (soon, Act::aimed(Target::Leader, timeout * 4, isolate))];
        if self.one_in(2) {
            for nth in 8..64 {
                acts.push((timeout * nth / 8, campaign(self.one_of(setup.membership.voters()))));
            }
        }
        acts.push((timeout * 8, heal_all()));
        acts
    }

    /// A leader whose clock is as slow as its bound allows is cut off from others whose clocks are
    /// as fast. Links and disks are so fast meanwhile that an election takes less time than the
    /// bound leaves between them.
    fn clocks_at_their_bound(&mut self, setup: &Setup, kinds: Kinds) -> Sequence {
        let bound = i32::try_from(kinds.drift_ppm).expect("below a million");
        let timeout = setup.election_timeout;
        if kinds.jumps {
            return Vec::new();
        }
        let set = |ppm| move |node| Act::Clock(ClockAct::SetClock { node, ppm });
        let others = setup.nodes.iter().map(|node| (NOW, set(bound)(node.id)));
        let mut acts: Sequence = others.collect();
        acts.push((NOW, Act::aimed(Target::Leader, NOW, set(-bound))));
        let fast = Duration::from_millis(1);
        let link = LinkProfile { max_delay: fast, min_delay: NOW, ..LinkProfile::default() };
        let disk = DiskProfile { max_latency: fast, min_latency: NOW };
        acts.extend(all_are(setup, &link, &disk).map(|act| (NOW, act)));
        let cut = timeout * 2 + self.upto(timeout);
        acts.push((cut, Act::aimed(Target::Struck, NOW, isolate)));
        // About when the lease ends, by the slow clock or by a fast one. Who asks too early is
        // refused, and waits.
        for nth in 24..36 {
            acts.push((cut + timeout * nth / 32, campaign(self.one_of(setup.membership.voters()))));
        }
        let over = cut + timeout * 3;
        acts.extend(all_are(setup, &setup.link, &setup.disk).map(|act| (over, act)));
        acts.push((over, heal_all()));
        acts
    }

    /// A follower starts again while its promise binds it, beside a voter that nothing binds any
    /// more, and its leader is gone: it would win, and must wait.
    fn restart_beside_the_unbound(&mut self, setup: &Setup) -> Sequence {
        let voters = setup.membership.voters();
        let own = |id: &NodeId| setup.nodes.iter().find(|n| n.id == *id)?.election_timeout;
        let Some(slowest) = voters.iter().copied().max_by_key(own) else { return Vec::new() };
        let gone = longest_timeout(setup) + self.upto(setup.election_timeout);
        let back = gone + self.millis(1, 30);
        let first = self.index(2);
        let others = voters.iter().filter(|id| **id != slowest).skip(first);
        // The promise to a leader is as long as its T; those with a short one come to lead first.
        let mut acts = vec![(NOW, transfer(Some(slowest)))];
        let begin = setup.election_timeout / 4;
        acts.extend(others.take((voters.len() - 1) / 2).map(|node| (begin, isolate(*node))));
        let (gone, back) = (begin + gone, begin + back);
        acts.extend([
            (gone, heal_all()),
            (gone, isolate_leader()),
            (gone, Act::aimed(Target::Promised, NOW, crash)),
            (back, Act::aimed(Target::Struck, NOW, restart)),
            (back + setup.election_timeout * 4, heal_all()),
        ]);
        acts
    }

    /// A leader is cut off together with the new voters at the moment of the change, and is asked
    /// to read while the old ones elect another.
    fn membership_cut_in_halves(&mut self, setup: &Setup, kinds: Kinds) -> Sequence {
        let timeout = setup.election_timeout;
        let all: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        let old = setup.membership.voters();
        let leader = self.one_of(old);
        let (stay, newcomers): (Vec<_>, Vec<_>) =
            all.iter().copied().filter(|id| *id != leader).partition(|id| old.contains(id));
        let voters = newcomers.iter().copied().chain([leader]);
        // Where a node that is removed is not held off, it becomes a learner.
        let learners: &[NodeId] = if kinds.removals { &[] } else { &stay };
        let target = Membership::new(voters.clone(), [], learners.iter().copied());
        let Ok(target) = target.map(MembershipChange::To) else { return Vec::new() };
        let groups = vec![voters.collect(), stay];
        let mut acts = Vec::new();
        let mut after = NOW;
        for newcomer in &newcomers {
            acts.push((after, change(MembershipChange::AddLearner(*newcomer))));
            after += self.upto(timeout);
        }
        acts.push((after, transfer(Some(leader))));
        after += self.upto(timeout);
        acts.push((after, change(target)));
        acts.push((after, Act::Link(LinkAct::Reach { shape: Topology::Split(groups) })));
        for nth in 1..24 {
            let by_lease = nth % 2 == 0 && !kinds.jumps;
            let consistency = if by_lease { Consistency::Lease } else { Consistency::ReadIndex };
            let read = Act::Request(RequestAct::Read { node: leader, consistency });
            acts.push((after + timeout * nth / 6, read));
        }
        acts.push((after + timeout * 4, heal_all()));
        acts
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::act::any::Act;
    use crate::plan::act::{ClockAct, DiskAct, LinkAct, ProcessAct, RequestAct};
    use crate::plan::change::MembershipChange;
    use crate::plan::choice::{Choices, Question};
    use crate::plan::setup::Setup;
    use crate::run::swarm::draw::Draw;
    use crate::run::swarm::sequences::heal_all;
    use crate::run::swarm::storm::Kinds;
    use crate::run::swarm::{STORM, draw_setup};
    use raft_core::{Instant, NodeId};
    use std::collections::BTreeMap;

    /// A drawn setup with nothing but sequences in its timeline.
    fn drawn(seed: u64, kinds: Kinds) -> Setup {
        let mut choices = Choices::seeded(seed);
        let mut setup = draw_setup(&mut choices);
        setup.timeline.clear();
        let mut draw =
            Draw { choices: &mut choices, question: Question::StormSequences, storm: STORM };
        draw.sequences(&mut setup, kinds);
        setup
    }

    /// How many acts do that, aimed or not.
    fn count(setup: &Setup, is: impl Fn(&Act) -> bool) -> usize {
        let does = |act: &Act| match act {
            Act::Aimed(aimed) => is(&Act::struck(aimed, NodeId(1))),
            act => is(act),
        };
        setup.timeline.iter().filter(|(_, act)| does(act)).count()
    }

    #[test]
    fn sequences_end_with_the_storm_and_leave_nobody_cut_off_or_down() {
        let kinds = Kinds { jumps: false, removals: true, hostile: false, drift_ppm: 7 };
        let end = Instant::ZERO.saturating_add(STORM);
        let mut with = 0;
        for seed in 0..1_000 {
            let setup = drawn(seed, kinds);
            let Some((_, last)) = setup.timeline.last() else { continue };
            with += 1;
            assert_eq!(*last, heal_all(), "seed {seed}");
            assert!(setup.timeline.iter().all(|(time, _)| *time < end), "seed {seed}");
            let down = |act: &Act| {
                let in_step = matches!(act, Act::Process(ProcessAct::CrashInStep { .. }));
                in_step || matches!(act, Act::Process(ProcessAct::Crash { .. }))
            };
            let up = |act: &Act| matches!(act, Act::Process(ProcessAct::Restart { .. }));
            assert_eq!(count(&setup, down), count(&setup, up), "seed {seed}");
            // What is aimed at is named when it is found.
            let named = setup.timeline.iter().filter(|(_, act)| !matches!(act, Act::Aimed(_)));
            let mut all = named.flat_map(|(_, act)| act.nodes());
            let exists = |name| setup.nodes.iter().any(|node| node.id == name);
            assert!(all.all(exists), "seed {seed}");
        }
        assert!((200..300).contains(&with), "a quarter, not {with}");
    }

    #[test]
    fn links_and_disks_that_a_sequence_makes_fast_get_back_what_they_had() {
        let kinds = Kinds { jumps: false, removals: true, hostile: false, drift_ppm: 7 };
        let mut fast = 0;
        for seed in 0..1_000 {
            let setup = drawn(seed, kinds);
            let (mut links, mut disks) = (BTreeMap::new(), BTreeMap::new());
            for (_, act) in &setup.timeline {
                match act {
                    Act::Link(LinkAct::SetLink { from, to, profile }) => {
                        links.insert((*from, *to), *profile);
                    }
                    Act::Disk(DiskAct::SetDisk { node, profile }) => {
                        disks.insert(*node, *profile);
                    }
                    _ => {}
                }
            }
            fast += usize::from(!links.is_empty() && !disks.is_empty());
            assert!(links.values().all(|profile| *profile == setup.link), "seed {seed}");
            assert!(disks.values().all(|profile| *profile == setup.disk), "seed {seed}");
        }
        assert!(fast > 50, "{fast}");
    }

    #[test]
    fn sequences_do_not_what_the_run_excludes() {
        let (mut drifts, mut changes) = (0, 0);
        for (seed, jumps, removals) in (0..1_000).map(|seed| (seed, seed % 2 > 0, seed % 3 > 0)) {
            let kinds = Kinds { jumps, removals, hostile: false, drift_ppm: 7 };
            let setup = drawn(seed, kinds);
            let drift = |act: &Act| match act {
                Act::Clock(ClockAct::SetClock { ppm, .. }) => {
                    assert!(!jumps && ppm.unsigned_abs() == 7, "seed {seed}: {ppm}");
                    true
                }
                _ => false,
            };
            let change = |act: &Act| match act {
                Act::Request(RequestAct::ChangeMembership {
                    change: MembershipChange::To(to),
                    ..
                }) => {
                    let keeps = |id: &_| to.voters().contains(id) || to.learners().contains(id);
                    let voters = setup.membership.voters();
                    assert!(removals || voters.iter().all(keeps), "seed {seed}: {to:?}");
                    true
                }
                _ => false,
            };
            drifts += count(&setup, drift);
            changes += count(&setup, change);
        }
        assert!(drifts > 100 && changes > 20, "{drifts} {changes}");
    }
}
