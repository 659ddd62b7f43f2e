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
}

/// How many times T that is.
pub const WRITE_BOUND: u32 = 20;
/// See [`WRITE_BOUND`].
pub const CAUGHT_UP_BOUND: u32 = 40;

impl Bounds {
    /// For this T.
    pub fn of(election_timeout: Duration) -> Self {
        let (write, caught_up) =
            (election_timeout * WRITE_BOUND, election_timeout * CAUGHT_UP_BOUND);
        Self { write, caught_up }
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
    let (client, begun) = (Client::new(Duration::from_secs(1)), Instant::now());
    let ledger = judge.sample(60, 20, dice);
    let in_time = |bound: Duration, what: &str| {
        let is_late = begun.elapsed() > bound;
        if is_late {
            let looks = scene.ids().into_iter().map(|id| scene.look_at(&client, id));
            let looks: Vec<_> = looks.collect();
            let what = format!("no service: {} s after the last trouble {what}", bound.as_secs());
            scene.fault(what, format!("{looks:#?}"));
        }
        !is_late && scene.faults().is_empty()
    };
    let mut ids = scene.ids();
    loop {
        ids.rotate_left(1);
        let url = scene.url(ids[0], "/kv/calm?timeout_ms=500");
        if client.ask(&Method::PUT, &url, b"0").code() == 200 {
            scene.tally.acknowledged();
            break;
        }
        if !in_time(bounds.write, "no write is acknowledged") {
            return None;
        }
        sleep(Duration::from_millis(20));
    }
    let write = begun.elapsed();
    let looks = |ids: &[u64]| -> Option<Vec<Look>> {
        ids.iter().map(|id| scene.look_at(&client, *id)).collect()
    };
    let least = loop {
        // Who has acknowledged the write has committed it, and runs.
        if let Some(looks) = looks(&scene.ids()) {
            break looks.iter().map(|look| look.commit_index).max().unwrap_or(0);
        }
        if !in_time(bounds.caught_up, "not every node answers") {
            return None;
        }
        sleep(Duration::from_millis(20));
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
        if !in_time(bounds.caught_up, "not every member has caught up") {
            return None;
        }
        sleep(Duration::from_millis(20));
    };
    let caught_up = begun.elapsed();
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
