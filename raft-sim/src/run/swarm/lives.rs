//! Nodes whose settings differ, from one another or from one life to the next; disks about as slow
//! as a disk that hangs.

use crate::host::Command;
use crate::plan::act::any::Act;
use crate::plan::act::{ProcessAct, RequestAct};
use crate::plan::choice::{Question, nanos};
use crate::plan::setup::{NodeSetup, Setup};
use crate::run::swarm::draw::Draw;
use raft_core::{Instant, NodeId};
use std::time::Duration;

/// How a node's settings may change at a restart.
#[derive(Clone, Copy)]
pub(super) struct Lives {
    /// T may be up to four times as long, which only full protection bears.
    is_wide: bool,
    /// Whether the protection changes, too.
    pub(super) mixes: bool,
}

impl Draw<'_> {
    /// In some runs under full protection, voters with a T of up to four times the usual.
    pub(super) fn stretch(&mut self, nodes: &mut [NodeSetup], timeout: Duration) {
        if !self.of(Question::SetupTimeouts).one_in(6) {
            return;
        }
        for node in nodes {
            let mut draw = self.nth(Question::SetupTimeouts, node.id.0);
            node.election_timeout = Some(draw.longer(timeout, true));
        }
    }

    /// A T from the usual one to four times that, or, if not wide, to 25 ms more.
    fn longer(&mut self, timeout: Duration, is_wide: bool) -> Duration {
        let most = if is_wide { timeout * 3 } else { Duration::from_millis(25) };
        timeout + Duration::from_nanos(self.below(nanos(most)))
    }

    /// In some runs, disks that take from nearly nothing to 2T for a write, where one hangs after a
    /// time from T/8 to 2T.
    pub(super) fn slow_disk(&mut self, setup: &mut Setup) {
        if !self.one_in(8) {
            return;
        }
        let timeout = setup.election_timeout;
        let most = nanos(timeout * 2);
        setup.limits.disk_timeout = Some(timeout / 8 + Duration::from_nanos(self.below(most)));
        setup.disk.max_latency = Duration::from_nanos(self.below(most));
    }

    /// In some runs each write is reported to be durable by itself, and up to `disk_timeout` / 2
    /// late.
    pub(super) fn late_reports(&mut self, setup: &mut Setup) {
        if self.one_in(6) {
            let limit = setup.config(&setup.nodes[0], 0).disk_timeout;
            setup.lag.until = Instant::ZERO.saturating_add(self.storm);
            setup.lag.reports = Duration::from_nanos(1 + self.below(nanos(limit / 2)));
        }
    }

    /// In some runs state machines apply up to 2T late, while snapshots are taken and reads wait.
    pub(super) fn late_applies(&mut self, setup: &mut Setup) {
        if self.one_in(6) {
            let most = nanos(setup.election_timeout * 2);
            setup.lag.until = Instant::ZERO.saturating_add(self.storm);
            setup.lag.applies = Duration::from_nanos(1 + self.below(most));
        }
    }

    /// What drivers are like, and those who ask them.
    pub(super) fn drivers(&mut self, setup: &mut Setup) {
        self.of(Question::SetupDriver).limits_of_drivers(setup);
        self.of(Question::SetupPatience).patience(setup);
    }

    /// In some runs drivers have limits that are met. Most runs have one or two of them.
    fn limits_of_drivers(&mut self, setup: &mut Setup) {
        if !self.one_in(3) {
            return;
        }
        let mut some = |most: u64| {
            let commands = 1 + self.below(most);
            self.one_in(3).then_some(commands * Command::WEIGHT)
        };
        let driver = &mut setup.driver;
        driver.frame_bytes = some(8);
        driver.in_flight_bytes = some(20);
        driver.apply_bytes = some(6);
        driver.uncommitted_bytes = some(12);
        driver.kept_bytes = some(40);
        driver.cached_bytes = some(12);
        driver.miss_ppm = if self.one_in(2) { 200_000 } else { 0 };
        driver.gives_up = self.one_in(2);
    }

    /// In some runs whoever asks a node waits there for up to 4T only. Some are told in time what
    /// they wanted to know, and some are not.
    fn patience(&mut self, setup: &mut Setup) {
        if self.one_in(5) {
            let sixteenths = 1 + self.below(64);
            let sixteenths = u32::try_from(sixteenths).expect("64 at most");
            setup.driver.patience = Some(setup.election_timeout / 16 * sixteenths);
        }
    }

    /// In some runs transports take no entries for a peer, for up to 2T.
    pub(super) fn pauses(&mut self, setup: &mut Setup) {
        if !self.one_in(4) {
            return;
        }
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        let (end, longest) = (nanos(self.storm), nanos(setup.election_timeout * 2));
        for nth in 0..=self.below(8) {
            let mut draw = self.nth(Question::StormPauses, nth);
            let (node, peer) = (draw.one_of(&ids), draw.one_of(&ids));
            let at = draw.below(end);
            let until = at.saturating_add(draw.below(longest)).min(end);
            let acts = [
                (at, RequestAct::PausePeer { node, peer }),
                (until, RequestAct::ResumePeer { node, peer }),
            ];
            let timed = |(at, act)| (Instant::from_nanos(at), Act::Request(act));
            setup.timeline.extend(acts.map(timed));
        }
        setup.timeline.sort_by_key(|(time, _)| *time);
    }

    /// In some runs nodes start again with other settings.
    pub(super) fn lives(&mut self, is_full: bool) -> Option<Lives> {
        self.one_in(6).then(|| {
            let mixes = self.one_in(2);
            Lives { is_wide: is_full && !mixes, mixes }
        })
    }

    /// Which nodes, and when: most come back while a promise of their life before may bind them.
    pub(super) fn change_lives(&mut self, setup: &mut Setup, lives: Lives) {
        let timeout = setup.election_timeout;
        let ids: Vec<NodeId> = setup.nodes.iter().map(|node| node.id).collect();
        for nth in 0..=self.below(5) {
            let mut draw = self.nth(Question::StormLives, nth);
            let node = draw.one_of(&ids);
            let at = draw.below(nanos(draw.storm));
            let back = at + 1 + draw.below(nanos(timeout));
            let change = if lives.mixes && draw.one_in(2) {
                ProcessAct::SetProtection { node, protection: draw.protection() }
            } else {
                ProcessAct::SetTimeout { node, timeout: draw.longer(timeout, lives.is_wide) }
            };
            let mut then =
                |at, act| setup.timeline.push((Instant::from_nanos(at), Act::Process(act)));
            then(at, change);
            then(at, ProcessAct::Crash { node });
            if back < nanos(draw.storm) {
                then(back, ProcessAct::Restart { node });
            }
        }
        setup.timeline.sort_by_key(|(time, _)| *time);
    }
}

/// The longest T of any node in any of its lives.
pub(super) fn longest_timeout(setup: &Setup) -> Duration {
    let first = setup.nodes.iter().filter_map(|node| node.election_timeout);
    let later = setup.timeline.iter().filter_map(|(_, act)| match act {
        Act::Process(ProcessAct::SetTimeout { timeout, .. }) => Some(*timeout),
        _ => None,
    });
    first.chain(later).fold(setup.election_timeout, Duration::max)
}
