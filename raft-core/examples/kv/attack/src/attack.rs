//! One attack, from the first start of its nodes to its verdict.

use crate::calm::{self, Bounds, judge_all};
use crate::client::Client;
use crate::dice::Dice;
use crate::field::Field;
use crate::judge::Judge;
use crate::nemesis::{Nemesis, Until};
use crate::operator::Operator;
use crate::plan::Plan;
use crate::scene::{Fault, Scene};
use crate::summary;
use crate::tally::Count;
use crate::weather::Weather;
use crate::workload::{CLIENTS, Worker};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the plan and all dice are drawn from.
    pub seed: u64,
    /// For how long.
    pub until: Until,
    /// Where the nodes have their data. It is new.
    pub dir: PathBuf,
    /// T of the nodes.
    pub election_timeout: Duration,
    /// The nodes take a snapshot when so many bytes were applied.
    pub snapshot_bytes: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What must not be, and is.
    pub faults: Vec<Fault>,
    /// Why the attack has shown nothing, if it has not.
    pub vacuous: Vec<String>,
    /// All of it in words.
    pub summary: String,
}

/// Attacks. Whoever sets `stop` ends the troubles early; the judgement comes all the same.
///
/// # Errors
///
/// As the system says: it says nothing about the server.
pub fn run(settings: &Settings, stop: &Arc<AtomicBool>) -> io::Result<Verdict> {
    let Settings { seed, until, dir, election_timeout, snapshot_bytes } = settings;
    let bounds = Bounds::of(*election_timeout);
    let (field, scene) = Field::new(dir, *seed, *election_timeout, *snapshot_bytes)?;
    let (weather, judge) = (Arc::clone(&field.weather), Judge::default());
    let operator = Operator::new(&scene, [1, 2, 3].into(), field.proxies.clone());
    let (orders, ordered) = channel();
    let parts = (bounds, *seed);
    let mut nemesis = Nemesis::new(field, &scene, &operator, orders, &judge, parts);
    up(&scene)?;
    let is_done = AtomicBool::new(false);
    let mut members = None;
    let troubled = thread::scope(|scope| {
        let (scene, judge, operator, is_done) = (&scene, &judge, &operator, &is_done);
        scope.spawn(move || operator.work(&ordered));
        scope.spawn(move || progress(scene, stop, is_done));
        let (sender, seen) = channel();
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|name| Worker::new(scene, *seed, name, sender.clone()))
            .map(|worker| scope.spawn(|| worker.work()))
            .collect();
        drop(sender);
        let hears = scope.spawn(move || judge.hear(scene, *seed, &seen));
        let troubled = nemesis.trouble(Plan::new(*seed), *until).and_then(|()| {
            let is_well = scene.faults().is_empty();
            if is_well { nemesis.calm() } else { Ok(None) }
        });
        scene.end();
        for client in clients {
            client.join().expect("a client never panics");
        }
        hears.join().expect("the judge never panics");
        if troubled.is_ok() && scene.faults().is_empty() {
            // No client writes any more: what is there now is what is left.
            members = last(scene, bounds, operator, judge, *seed);
        }
        is_done.store(true, Ordering::Relaxed);
        let slowest = nemesis.slowest().clone();
        scene.tally.add(Count::Snapshot, nemesis.field().snapshots_sent());
        drop(nemesis);
        troubled.map(|_| slowest)
    });
    let slowest = troubled?;
    fs::write(dir.join("diary.txt"), summary::diary(&scene))?;
    let faults = scene.faults();
    let mut vacuous = if faults.is_empty() { vacuous(&scene, &weather) } else { Vec::new() };
    if faults.is_empty() && members.is_none() {
        vacuous.push("the end was not judged".into());
    }
    let summary = summary::of(&scene, &weather, &slowest, bounds, members.as_deref());
    Ok(Verdict { faults, vacuous, summary })
}

/// Waits until every node answers: a node that is killed before it has made its directory is none.
fn up(scene: &Scene) -> io::Result<()> {
    let (client, begun) = (Client::new(Duration::from_secs(1)), Instant::now());
    while !scene.ids().into_iter().all(|id| scene.look_at(&client, id).is_some()) {
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(io::Error::other("not every node has started within 30 s"));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn last(
    scene: &Scene,
    bounds: Bounds,
    operator: &Operator<'_>,
    judge: &Judge,
    seed: u64,
) -> Option<Vec<u64>> {
    let mut dice = Dice::beside(seed, 5000);
    let calm = calm::judge(scene, bounds, operator, judge, &mut dice)?;
    judge_all(scene, judge, &calm.members);
    Some(calm.members)
}

/// Says now and then how far it is; ends the attack where that is wanted.
fn progress(scene: &Scene, stop: &AtomicBool, is_done: &AtomicBool) {
    let mut said = Instant::now();
    while !is_done.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
        if stop.load(Ordering::Relaxed) {
            scene.end();
        }
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            println!("{}", summary::line(scene));
        }
    }
}

/// After so many seconds each kind of trouble has had its turn.
const A_DECK: u64 = 60;
/// What the cluster may refuse, or not come to, when it has its turn.
const AT_REQUEST: [Count; 8] = [
    Count::TornSnapshots,
    Count::FailedLog,
    Count::FailedState,
    Count::FailedSnapshot,
    Count::Voter,
    Count::Removed,
    Count::Transfer,
    Count::Snapshot,
];

/// What an attack has to have done to say anything.
fn vacuous(scene: &Scene, weather: &Weather) -> Vec<String> {
    let (tally, fared) = (&scene.tally, &weather.fared);
    let seconds = scene.begun.elapsed().as_secs();
    let mut none = Vec::new();
    let mut at_least = |least: u64, found: u64, what: &str| {
        if found < least {
            none.push(format!("{found} {what}; at least {least} are needed"));
        }
    };
    at_least(seconds * 5, tally.of(Count::Written), "acknowledged writes");
    at_least(seconds, tally.of(Count::Taped), "acknowledged writes in a session");
    at_least(1, tally.of(Count::Again), "of those asked for again");
    at_least(seconds, tally.of(Count::ReadIndex), "reads by read index");
    at_least(seconds, tally.of(Count::ReadLease), "reads by lease");
    at_least(1, tally.of(Count::JudgedAtEnd), "histories judged at the end");
    at_least(1, tally.of(Count::Found), "entries of the ledger found");
    // A deck of the plan has taken less time than this.
    if seconds >= A_DECK {
        for (count, what) in summary::TROUBLES {
            let is_asked = AT_REQUEST.contains(&count);
            if !is_asked || seconds >= A_DECK * 3 {
                at_least(1, tally.of(count), what);
            }
        }
        for (frames, what) in summary::frames(fared) {
            at_least(1, frames, what);
        }
    }
    none
}
