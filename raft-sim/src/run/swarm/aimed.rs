//! Faults that wait for their moment: whom they strike is found when it happens.

use crate::plan::act::any::Act;
use crate::plan::act::{ClockAct, DiskAct, LinkAct, ProcessAct, Target};
use crate::plan::choice::{Question, nanos};
use crate::plan::setup::Setup;
use crate::run::swarm::draw::Draw;
use crate::run::swarm::storm::Kinds;
use raft_core::{Instant, NodeId};
use std::time::Duration;

/// What is done to whoever is struck, how long it may wait for that, and what ends it.
struct Blow {
    target: Target,
    act: fn(NodeId) -> Act,
    repair: Option<fn(NodeId) -> Act>,
}

const fn pause(node: NodeId) -> Act {
    Act::Process(ProcessAct::Pause { node })
}

const fn resume(node: NodeId) -> Act {
    Act::Process(ProcessAct::Resume { node })
}

pub(super) const fn crash(node: NodeId) -> Act {
    Act::Process(ProcessAct::Crash { node })
}

pub(super) const fn crash_in_step(node: NodeId) -> Act {
    Act::Process(ProcessAct::CrashInStep { node })
}

pub(super) const fn restart(node: NodeId) -> Act {
    Act::Process(ProcessAct::Restart { node })
}

pub(super) const fn isolate(node: NodeId) -> Act {
    Act::Link(LinkAct::Isolate { node })
}

/// Cuts off whoever leads, and strikes it. Without any time to wait it would be written as the
/// shape of links that goes with whoever leads.
pub(super) fn isolate_leader() -> Act {
    Act::aimed(Target::Leader, Duration::from_millis(1), isolate)
}

const fn hang(node: NodeId) -> Act {
    Act::Disk(DiskAct::HangDisk { node })
}

const fn release(node: NodeId) -> Act {
    Act::Disk(DiskAct::ReleaseDisk { node })
}

/// So many faults are aimed at most; a storm of six seconds has eight.
const MOST: u64 = 64;

impl Draw<'_> {
    /// In a third of the runs, faults that are aimed, besides the others.
    pub(super) fn aimed(&mut self, setup: &mut Setup, kinds: Kinds) {
        if !self.one_in(3) {
            return;
        }
        let end = Instant::ZERO.saturating_add(self.storm);
        let timeout = setup.election_timeout;
        let mut at = Instant::ZERO;
        // Where every answer is the shortest, time stands still.
        for nth in 0..MOST {
            let mut draw = self.nth(Question::StormAimed, nth);
            at = at.saturating_add(draw.millis(0, 1500));
            let within = draw.millis(1, 400);
            let over = at.saturating_add(within);
            // What waits is not to strike in the quiet, nor to be repaired before it has struck.
            let (aimed, repair) = draw.blow(within, timeout, kinds);
            let outage = draw.outage(&aimed, timeout);
            let repaired = over.saturating_add(outage);
            if over >= end {
                break;
            }
            setup.timeline.push((at, aimed));
            setup.timeline.extend(repair.filter(|_| repaired < end).map(|act| (repaired, act)));
        }
        setup.timeline.sort_by_key(|(time, _)| *time);
    }

    /// What is done to whom, and what ends it.
    fn blow(&mut self, within: Duration, timeout: Duration, kinds: Kinds) -> (Act, Option<Act>) {
        let of = |target, act, repair| Blow { target, act, repair };
        let Blow { target, act, repair } = match self.below(12) {
            0 => of(Target::Leader, pause, Some(resume)),
            1 => of(Target::ReadingLeader, pause, Some(resume)),
            2 => of(Target::Leader, hang, Some(release)),
            3 => of(Target::ReadingLeader, isolate, None),
            4 => of(Target::Installing, crash, Some(restart)),
            5 => of(Target::Installing, crash_in_step, Some(restart)),
            6 => of(Target::ChangingLeader, crash, Some(restart)),
            7 => of(Target::ChangingLeader, crash_in_step, Some(restart)),
            8 | 9 => of(Target::Promised, crash, Some(restart)),
            _ => return (self.aimed_clock(within, timeout, kinds), None),
        };
        let end = match repair {
            Some(repair) => Act::aimed(Target::Struck, Duration::ZERO, repair),
            None => Act::Link(LinkAct::HealAll),
        };
        (Act::aimed(target, within, act), Some(end))
    }

    /// The clock of a leader at which reads wait.
    fn aimed_clock(&mut self, within: Duration, timeout: Duration, kinds: Kinds) -> Act {
        let target = [Target::Leader, Target::ReadingLeader][self.index(2)];
        let longest = u64::try_from(2 * timeout.as_millis()).expect("below a second");
        let millis = i64::try_from(1 + self.below(longest)).expect("below a second");
        let forward = self.one_in(2);
        let drift = i32::try_from(kinds.drift_ppm).expect("below a million");
        let is_slow = self.one_in(2);
        Act::aimed(target, within, |node| {
            Act::Clock(if kinds.jumps {
                ClockAct::JumpClock { node, millis: if forward { millis } else { -millis } }
            } else {
                ClockAct::SetClock { node, ppm: if is_slow { -drift } else { drift } }
            })
        })
    }

    /// How long it lasts: a voter that has promised comes back while the promise binds it.
    fn outage(&mut self, act: &Act, timeout: Duration) -> Duration {
        let longest = match act {
            Act::Aimed(aimed) if aimed.target == Target::Promised => timeout,
            _ => timeout * 3,
        };
        Duration::from_nanos(1 + self.below(nanos(longest)))
    }
}
