//! A minority that stays broken: at the end of some runs only a group of nodes is healed, and
//! everybody else keeps a trouble of its own. Then the premises of `docs/LIVENESS.md` hold, or
//! provably do not: the group may be too small, or lack what somebody outside keeps from it.

use crate::plan::act::any::Act;
use crate::plan::act::{ClockAct, DiskAct, LinkAct, ProcessAct, RequestAct};
use crate::plan::choice::{Question, nanos};
use crate::plan::profile::{DiskProfile, LinkProfile};
use crate::plan::setup::Setup;
use crate::plan::topology::{Topology, Whom};
use crate::run::swarm::QUIET_TIMEOUTS;
use crate::run::swarm::draw::Draw;
use raft_core::{Instant, NodeId, Protection};
use std::time::Duration;

/// The nodes that are healed at the end of a run, and the others.
pub(super) struct Sides {
    group: Vec<NodeId>,
    others: Vec<NodeId>,
}

/// What stays broken is drawn with.
struct Breaker<'a> {
    draw: Draw<'a>,
    /// Whether links may be cut one way, and disks hang: with full protection.
    is_full: bool,
    /// When the storm is over.
    at: Instant,
    /// What is done then, and later.
    acts: Vec<(Instant, Act)>,
}

impl Draw<'_> {
    /// In some runs, whom the end heals: mostly a bare majority of the voters, and half of the
    /// others.
    pub(super) fn group(&mut self, setup: &Setup) -> Option<Sides> {
        let one_in = if setup.protection == Protection::Full { 3 } else { 4 };
        if !self.one_in(one_in) {
            return None;
        }
        let voters = self.shuffled(setup.membership.voters());
        let all = u64::try_from(voters.len()).expect("a few voters");
        let majority = all / 2 + 1;
        let size = match self.below(6) {
            0 => 1 + self.below(majority),
            1 | 2 if majority < all => majority + self.below(all - majority),
            _ => majority,
        };
        let (group, others) = voters.split_at(usize::try_from(size).expect("a few voters"));
        let mut sides = Sides { group: group.to_vec(), others: others.to_vec() };
        for node in setup.nodes.iter().map(|node| node.id).filter(|id| !voters.contains(id)) {
            if self.one_in(2) { &mut sides.group } else { &mut sides.others }.push(node);
        }
        Some(sides)
    }

    /// Everybody outside the group keeps a trouble through the end, which everything else was
    /// healed for.
    pub(super) fn break_the_others(&mut self, setup: &mut Setup, sides: &Sides) {
        let Sides { group, others } = sides;
        let at = Instant::ZERO.saturating_add(self.storm);
        let is_full = setup.protection == Protection::Full;
        let draw = self.of(Question::EndMinority);
        let mut breaker = Breaker { draw, is_full, at, acts: Vec::new() };
        breaker.heal(setup, group);
        breaker.disks(setup, group);
        if breaker.draw.one_in(2) {
            breaker.star(setup.election_timeout, group);
        }
        let all: Vec<NodeId> = group.iter().chain(others).copied().collect();
        for node in others {
            if is_full && breaker.draw.one_in(3) {
                breaker.other_timeout(setup, *node);
            }
            for _ in 0..=breaker.draw.below(2) {
                breaker.trouble(setup, *node, &all);
            }
        }
        if is_full && breaker.draw.one_in(4) {
            let shape = breaker.draw.one_of(&[Topology::Isolated, Topology::Deaf, Topology::Mute]);
            breaker.add(Act::Link(LinkAct::Reach { shape: shape(Whom::Leader) }));
        }
        if breaker.draw.one_in(2) {
            for client in &mut setup.clients {
                client.stop = at;
            }
        }
        setup.timeline.append(&mut breaker.acts);
        setup.timeline.sort_by_key(|(time, _)| *time);
    }
}

impl Breaker<'_> {
    /// From a quarter of T up to `quarters` of them.
    fn span(&mut self, timeout: Duration, quarters: u64) -> Duration {
        let nth = u32::try_from(1 + self.draw.below(quarters)).expect("a few quarters");
        (timeout / 4).max(Duration::from_millis(1)) * nth
    }

    fn add(&mut self, act: Act) {
        self.acts.push((self.at, act));
    }

    /// The links of the group are fast enough for T, and its clocks run well.
    fn heal(&mut self, setup: &Setup, group: &[NodeId]) {
        let profile = LinkProfile {
            min_delay: Duration::from_micros(100),
            max_delay: setup.election_timeout / 40,
            loss_ppm: 0,
            duplicate_ppm: 0,
        };
        for from in group.iter().copied() {
            self.add(Act::Clock(ClockAct::SetClock { node: from, ppm: 0 }));
            for to in group.iter().copied().filter(|to| *to != from) {
                self.add(Act::Link(LinkAct::SetLink { from, to, profile }));
            }
        }
    }

    /// In half of the runs a write takes long in the group, though no disk counts as hung.
    fn disks(&mut self, setup: &Setup, group: &[NodeId]) {
        if !self.draw.one_in(2) {
            return;
        }
        let tenths = u32::try_from(2 + self.draw.below(7)).expect("less than all");
        for node in group.iter().copied() {
            let own = setup.nodes.iter().find(|own| own.id == node).expect("a node of the setup");
            let limit = setup.config(own, 0).disk_timeout;
            let max_latency = limit * tenths / 10;
            let profile = DiskProfile { min_latency: Duration::ZERO, max_latency };
            self.add(Act::Disk(DiskAct::SetDisk { node, profile }));
        }
    }

    /// The first node of the group is joined with all of it, the others as it comes. Or it is cut
    /// off for some time before, and the others from one another: where it lacks entries by then,
    /// nobody can win.
    fn star(&mut self, timeout: Duration, group: &[NodeId]) {
        let lags = self.draw.one_in(2);
        if let Some(node) = group.first().copied().filter(|_| lags) {
            let before = self.draw.storm.saturating_sub(timeout * 2);
            let before = Instant::ZERO.saturating_add(before);
            self.acts.push((before, Act::Link(LinkAct::Isolate { node })));
        }
        for (nth, a) in group.iter().copied().enumerate().skip(1) {
            for b in group[nth + 1..].iter().copied() {
                let (there, back) = (self.draw.one_in(2) || lags, self.draw.one_in(2) || lags);
                for (is_cut, from, to) in
                    [(there, a, b), (if self.is_full { back } else { there }, b, a)]
                {
                    if is_cut {
                        self.add(Act::Link(LinkAct::Cut { from, to }));
                    }
                }
            }
        }
    }

    /// A node outside has had another T from its beginning: its leases and its promises, too.
    fn other_timeout(&mut self, setup: &mut Setup, node: NodeId) {
        let halves = u32::try_from(self.draw.one_of(&[1, 3, 4, 8])).expect("a few halves");
        let timeout = setup.election_timeout / 2 * halves;
        let beat = setup.heartbeat_interval.min(timeout / 2);
        if let Some(own) = setup.nodes.iter_mut().find(|own| own.id == node) {
            (own.election_timeout, own.heartbeat_interval) = (Some(timeout), Some(beat));
        }
    }

    /// What stays wrong with a node outside.
    fn trouble(&mut self, setup: &Setup, node: NodeId, all: &[NodeId]) {
        let timeout = setup.election_timeout;
        match self.draw.below(if self.is_full { 17 } else { 9 }) {
            0 => self.add(Act::Process(ProcessAct::Crash { node })),
            1 => self.add(Act::Process(ProcessAct::Pause { node })),
            2 => self.add(Act::Link(LinkAct::Isolate { node })),
            3 | 4 => self.cut_some(node, all),
            5 => self.again(
                timeout,
                &Act::Process(ProcessAct::Crash { node }),
                &[Act::Process(ProcessAct::Restart { node })],
            ),
            6 => self.again(
                timeout,
                &Act::Process(ProcessAct::Pause { node }),
                &[Act::Process(ProcessAct::Resume { node })],
            ),
            7 => self.again(timeout, &Act::Request(RequestAct::Campaign { node }), &[]),
            8 | 9 => {
                let max_latency = self.span(timeout, 24);
                let profile = DiskProfile { min_latency: max_latency / 2, max_latency };
                self.add(Act::Disk(DiskAct::SetDisk { node, profile }));
            }
            10..13 => self.add(Act::Disk(DiskAct::HangDisk { node })),
            13 => {
                let shape = self.draw.one_of(&[Topology::Deaf, Topology::Mute])(Whom::Node(node));
                self.add(Act::Link(LinkAct::Reach { shape }));
            }
            14 => {
                let room = self.draw.below(4);
                let full = [
                    Act::Disk(DiskAct::FillDisk { node, room }),
                    Act::Process(ProcessAct::Restart { node }),
                ];
                self.again(timeout, &Act::Disk(DiskAct::FillDisk { node, room }), &full);
            }
            15 => {
                let period = self.span(timeout, 8);
                for other in all.iter().copied().filter(|other| *other != node) {
                    if self.draw.one_in(2) {
                        self.add(Act::Link(LinkAct::Flap { from: node, to: other, period }));
                    }
                    if self.draw.one_in(2) {
                        self.add(Act::Link(LinkAct::Flap { from: other, to: node, period }));
                    }
                }
            }
            _ => {
                let max_delay = self.span(timeout, 8);
                let loss_ppm =
                    u32::try_from(100_000 * self.draw.below(9)).expect("below a million");
                let min_delay = Duration::from_micros(100);
                let profile = LinkProfile { min_delay, max_delay, loss_ppm, duplicate_ppm: 0 };
                for other in all.iter().copied().filter(|other| *other != node) {
                    self.add(Act::Link(LinkAct::SetLink { from: node, to: other, profile }));
                    self.add(Act::Link(LinkAct::SetLink { from: other, to: node, profile }));
                }
            }
        }
    }

    /// Each link from and to a node is cut or not, by itself.
    fn cut_some(&mut self, node: NodeId, all: &[NodeId]) {
        for other in all.iter().copied().filter(|other| *other != node) {
            let (out, back) = (self.draw.one_in(2), self.draw.one_in(2));
            if out {
                self.add(Act::Link(LinkAct::Cut { from: node, to: other }));
            }
            if if self.is_full { back } else { out } {
                self.add(Act::Link(LinkAct::Cut { from: other, to: node }));
            }
        }
    }

    /// Something happens again and again until the time of the run is over, and ends in between.
    fn again(&mut self, timeout: Duration, act: &Act, undone: &[Act]) {
        let (lasts, pause) = (self.span(timeout, 16), self.span(timeout, 16));
        let until = nanos(timeout * QUIET_TIMEOUTS);
        let each = nanos(lasts + pause);
        for nth in 0..until / each {
            let begin = self.at.saturating_add(Duration::from_nanos(each * nth));
            self.acts.push((begin, act.clone()));
            let end = begin.saturating_add(lasts);
            self.acts.extend(undone.iter().map(|act| (end, act.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::act::any::Act;
    use crate::plan::act::{DiskAct, LinkAct, ProcessAct};
    use crate::plan::choice::Choices;
    use crate::run::swarm::{STORM, draw_setup};
    use raft_core::{Instant, Protection};
    use std::collections::BTreeSet;

    #[test]
    fn a_third_of_the_runs_keep_every_trouble_that_the_contract_allows_and_none_that_it_excludes() {
        let storm = Instant::ZERO.saturating_add(STORM);
        let (mut full, mut broken, mut seen) = (0_u64, 0_u64, BTreeSet::new());
        for seed in 0..1_000 {
            let setup = draw_setup(&mut Choices::seeded(seed));
            let is_one_level = setup.nodes.iter().all(|node| node.protection.is_none());
            let end = setup.timeline.iter().filter(|(time, _)| *time >= storm);
            let acts: Vec<&Act> = end.map(|(_, act)| act).collect();
            let excluded = |act: &&&Act| {
                let kinds = matches!(act, Act::Link(LinkAct::DropKind { .. }));
                kinds || matches!(act, Act::Disk(DiskAct::Wipe { .. } | DiskAct::Damage { .. }))
            };
            assert_eq!(acts.iter().find(excluded), None, "seed {seed}");
            let may_break = is_one_level && setup.membership.voters().len() >= 3;
            full += u64::from(may_break && setup.protection == Protection::Full);
            // The end that heals everything sets no clock.
            let is_broken = acts.iter().any(|act| matches!(act, Act::Clock(_)));
            broken += u64::from(is_broken && setup.protection == Protection::Full);
            assert!(may_break || !is_broken, "seed {seed}");
            let quiet = |act: &Act| {
                let process = matches!(act, Act::Process(ProcessAct::Restart { .. }));
                let disk = matches!(act, Act::Disk(DiskAct::SetDisk { .. }));
                process || disk || matches!(act, Act::Link(LinkAct::SetLink { .. }))
            };
            let verbs = acts
                .iter()
                .filter(|act| is_broken && !quiet(act))
                .map(|act| act.said().split(' ').next().unwrap_or_default().to_owned());
            seen.extend(verbs);
        }
        assert!((28..39).contains(&(broken * 100 / full)), "{broken} of {full}");
        for verb in ["crash", "pause", "hang", "isolate", "cut", "flap"] {
            assert!(seen.contains(verb), "{verb} in {seen:?}");
        }
    }
}
