//! The calm between troubles: all nodes run, all frames arrive, and service must be back in time.

use crate::client::Client;
use crate::dice::Dice;
use crate::judge::{Judge, look_up};
use crate::operator::Operator;
use crate::scene::{Look, Scene};
use std::thread::sleep;
use std::time::{Duration, Instant};
use ureq::http::Method;

/// How long the cluster may take, in the calm: for a write to be acknowledged, and for every member
/// to have applied it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Until a write is acknowledged.
    pub write: Duration,
    /// Until every member has applied it, and says so.
    pub caught_up: Duration,
    /// Time counts while every node says within this how it is: a machine that is too busy for that
    /// is too busy for T.
    quick: Duration,
    /// All time counts towards this.
    at_all: Duration,
}

/// How many times T that is.
pub const WRITE_BOUND: u32 = 20;
/// See [`WRITE_BOUND`].
pub const CAUGHT_UP_BOUND: u32 = 40;
/// See [`WRITE_BOUND`]: where the machine is too busy, too.
const AT_ALL_BOUND: u32 = 240;

impl Bounds {
    /// For this T.
    pub fn of(election_timeout: Duration) -> Self {
        let times = |many| election_timeout * many;
        let (write, caught_up) = (times(WRITE_BOUND), times(CAUGHT_UP_BOUND));
        Self { write, caught_up, quick: election_timeout / 4, at_all: times(AT_ALL_BOUND) }
    }
}

/// How long the cluster has been waited for.
#[derive(Debug)]
struct Waiting {
    bounds: Bounds,
    begun: Instant,
    looked: Instant,
    /// The time that counts.
    counted: Duration,
    /// The slowest that a node was to say how it is.
    slowest: Duration,
}

impl Waiting {
    fn new(bounds: Bounds) -> Self {
        let now = Instant::now();
        let (counted, slowest) = (Duration::ZERO, Duration::ZERO);
        Self { bounds, begun: now, looked: now, counted, slowest }
    }

    /// Whether there is still time at this moment, at which nodes took so long to say how they are.
    fn is_in_time(&mut self, now: Instant, slow: Duration, bound: Duration) -> bool {
        if slow <= self.bounds.quick {
            self.counted += now - self.looked;
        }
        (self.looked, self.slowest) = (now, self.slowest.max(slow));
        self.counted <= bound && now - self.begun <= self.bounds.at_all
    }

    /// The same, now; it is a fault if there is not.
    fn goes_on(&mut self, scene: &Scene, client: &Client, bound: Duration, what: &str) -> bool {
        sleep(Duration::from_millis(20));
        let (mut looks, mut slow) = (Vec::new(), Duration::ZERO);
        for id in scene.ids() {
            let asked = Instant::now();
            looks.push(scene.look_at(client, id));
            slow = slow.max(asked.elapsed());
        }
        if !self.is_in_time(Instant::now(), slow, bound) {
            let (counted, all) = (self.counted.as_millis(), self.begun.elapsed().as_millis());
            let (quick, slow) = (self.bounds.quick.as_millis(), self.slowest.as_millis());
            let what = format!("no service: {what}, {counted} ms after the last trouble");
            let evidence = format!(
                "{all} ms in all; only times count in which nodes answer within {quick} ms. The \
                 slowest answer took {slow} ms\n{looks:#?}"
            );
            scene.fault(what, evidence);
        }
        scene.faults().is_empty()
    }
}

/// What was found in the calm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calm {
    /// After so long a write was acknowledged.
    pub write: Duration,
    /// After so long every member had caught up.
    pub caught_up: Duration,
    /// Voters and learners.
    pub members: Vec<u64>,
}

/// Judges, from outside, that the cluster is alive, that it knows its members, and that each member
/// has what was acknowledged. All nodes run; it is nobody's turn to trouble them.
pub fn judge(
    scene: &Scene,
    bounds: Bounds,
    operator: &Operator<'_>,
    judge: &Judge,
    dice: &mut Dice,
) -> Option<Calm> {
    let (client, mut waiting) = (Client::new(Duration::from_secs(1)), Waiting::new(bounds));
    let ledger = judge.sample(60, 20, dice);
    let mut ids = scene.ids();
    loop {
        ids.rotate_left(1);
        let url = scene.url(ids[0], "/kv/calm?timeout_ms=500");
        if client.ask(&Method::PUT, &url, b"0").code() == 200 {
            scene.tally.acknowledged();
            break;
        }
        if !waiting.goes_on(scene, &client, bounds.write, "no write is acknowledged") {
            return None;
        }
    }
    let write = waiting.begun.elapsed();
    let looks = |ids: &[u64]| -> Option<Vec<Look>> {
        ids.iter().map(|id| scene.look_at(&client, *id)).collect()
    };
    let least = loop {
        // Who has acknowledged the write has committed it, and runs.
        if let Some(looks) = looks(&scene.ids()) {
            break looks.iter().map(|look| look.commit_index).max().unwrap_or(0);
        }
        if !waiting.goes_on(scene, &client, bounds.caught_up, "not every node answers") {
            return None;
        }
    };
    let (leader, members) = loop {
        if let Some(leader) = scene.leader(&client).filter(|leader| !leader.changes) {
            let members: Vec<_> = leader.voters.union(&leader.learners).copied().collect();
            let agrees = |look: &Look| {
                look.applied >= least && look.voters == leader.voters && !look.changes
            };
            if looks(&members).is_some_and(|looks| looks.iter().all(agrees)) {
                break (leader, members);
            }
        }
        let late = "not every member has caught up";
        if !waiting.goes_on(scene, &client, bounds.caught_up, late) {
            return None;
        }
    };
    let caught_up = waiting.begun.elapsed();
    operator.compare(&leader);
    for id in &members {
        // Who does not answer just now is asked again at the end.
        _ = look_up(scene, &client, *id, &ledger);
    }
    Some(Calm { write, caught_up, members })
}

/// Judges everything that clients ever saw, with what is at each member now. No client runs.
pub fn judge_all(scene: &Scene, judge: &Judge, members: &[u64]) {
    let ledger = judge.ledger();
    std::thread::scope(|scope| {
        for id in members {
            let ledger = &ledger;
            scope.spawn(move || {
                let client = Client::new(Duration::from_secs(4));
                if !look_up(scene, &client, *id, ledger) && scene.faults().is_empty() {
                    let what = format!("node {id} does not say what it has");
                    scene.fault(what, "an answer was missing in the calm".into());
                }
            });
        }
    });
    judge.judge_all(scene, members);
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Waiting};
    use std::time::Duration;

    #[test]
    fn time_counts_while_nodes_answer_quickly_and_all_of_it_in_the_end() {
        let second = Duration::from_secs(1);
        let bounds = Bounds::of(Duration::from_millis(500));
        let (quick, slow) = (Duration::from_millis(20), Duration::from_millis(400));
        let in_time = |of: &[(u32, Duration)]| {
            let mut waiting = Waiting::new(bounds);
            let begun = waiting.begun;
            let all = of
                .iter()
                .map(|(at, took)| waiting.is_in_time(begun + second * *at, *took, bounds.write));
            all.collect::<Vec<_>>()
        };
        assert_eq!(in_time(&[(5, quick), (10, quick), (11, quick)]), [true, true, false]);
        assert_eq!(in_time(&[(5, quick), (14, slow), (18, quick)]), [true, true, true]);
        assert_eq!(in_time(&[(119, slow), (121, slow)]), [true, false]);
    }
}
