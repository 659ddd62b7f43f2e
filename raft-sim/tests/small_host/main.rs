//! A second, small host around the driver: threads and files, no async runtime. It passes the kit,
//! and shows what the driver leaves to write.

mod files;
mod log;
mod node;
mod snapshots;

use files::{Dir, RealDir};
use log::{Bytes, FileLog};
use node::{ELECTION_TIMEOUT, Flaw, Map, Network, Recorder, Running, Told};
use raft_core::{Membership, NodeId};
use raft_sim::kit::{Fate, HostChecker, HostEvent, HostSummary, Medium, Objection, Rule, Torture};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::sleep;
use std::time::Duration;

/// Three nodes, each with its directory and its record.
struct Cluster<D> {
    network: Network,
    nodes: BTreeMap<NodeId, (D, Recorder, Option<Running>)>,
    seed: u64,
    flaw: Option<Flaw>,
}

impl<D: Dir> Cluster<D> {
    fn new(dirs: impl IntoIterator<Item = D>) -> Self {
        Self::with(None, dirs)
    }

    fn with(flaw: Option<Flaw>, dirs: impl IntoIterator<Item = D>) -> Self {
        let nodes =
            (1..).map(NodeId).zip(dirs.into_iter().map(|dir| (dir, Recorder::default(), None)));
        let mut cluster =
            Self { network: Network::default(), nodes: nodes.collect(), seed: 0, flaw };
        (1..=3).for_each(|id| cluster.start(NodeId(id)));
        cluster
    }

    fn start(&mut self, id: NodeId) {
        self.seed += 1;
        let members = Membership::of_voters((1..=3).map(NodeId)).expect("valid");
        let (dir, recorder, running) = self.nodes.get_mut(&id).expect("one of them");
        let started =
            node::start((id, self.seed, self.flaw), dir, &members, &self.network, recorder);
        *running = Some(started.unwrap_or_else(|error| panic!("{id:?}: {error}")));
    }

    fn stop(&mut self, id: NodeId) {
        self.network.lock().expect("nobody panics with it").remove(&id);
        let (_, recorder, running) = self.nodes.get_mut(&id).expect("one of them");
        let ended = running.take().expect("it runs").stop();
        assert!(ended || self.flaw.is_some(), "a thread of {id:?} has panicked");
        recorder.note(&HostEvent::Ended);
    }

    /// Asks one node after the other until one answers.
    fn ask<R>(&self, ask: impl Fn(Sender<R>) -> Told) -> R {
        self.ask_for(2000, ask).expect("somebody answers")
    }

    fn ask_for<R>(&self, rounds: u64, ask: impl Fn(Sender<R>) -> Told) -> Option<R> {
        (0..rounds).find_map(|round| {
            let (caller, answer): (_, Receiver<R>) = channel();
            let network = self.network.lock().expect("nobody panics with it");
            let to = network.get(&NodeId(1 + round % 3));
            let sent = to.is_some_and(|to| to.send(ask(caller)).is_ok());
            drop(network);
            let patience = if sent { ELECTION_TIMEOUT * 5 } else { Duration::ZERO };
            let answer = answer.recv_timeout(patience).ok();
            if answer.is_none() {
                sleep(Duration::from_millis(5));
            }
            answer
        })
    }

    fn put(&self, key: &str, value: &str) {
        self.ask(|caller| Told::Put(format!("{key}={value}"), caller));
    }

    /// Ends everything, and hands the records to the kit's checker.
    fn judge(mut self) -> Vec<HostSummary> {
        (1..=3).for_each(|id| self.stop(NodeId(id)));
        let judge = |(_, recorder, _): &(D, Recorder, Option<Running>)| {
            let record = recorder.0.lock().expect("nobody panics with it").clone();
            // Others use this machine, too: it may be late by much.
            let patience = Duration::from_secs(60);
            HostChecker::check(patience, record.as_bytes()).unwrap_or_else(|error| {
                let lines: Vec<_> = record.lines().collect();
                let line = error.to_string();
                let nth = line.split([' ', ':']).nth(1).and_then(|nth| nth.parse::<usize>().ok());
                let near = nth.map_or(&lines[..0], |nth| &lines[nth.saturating_sub(6)..nth]);
                panic!("{error}\n{}", near.join("\n"))
            })
        };
        self.nodes.values().map(judge).collect()
    }
}

impl Cluster<Medium> {
    /// The machine of a node crashes: its threads end, and what was not synced is lost, or not.
    fn crash(&mut self, id: NodeId, fate: Fate) {
        self.nodes[&id].0.crash();
        self.stop(id);
        let (dir, ..) = self.nodes.get_mut(&id).expect("one of them");
        *dir = dir.after_crash(fate);
    }
}

#[test]
fn the_log_passes_the_torture_of_the_kit() {
    let torture = Torture { seeds: 0..12, ..Torture::default() };
    let report = torture.run::<Bytes, _, _>(|medium| FileLog::open(medium.clone()));
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report:?}");
    assert!(report.crashes > 1500 && report.torn > 200, "{report:?}");
    assert!(report.noticed * 2 > report.damages, "{report:?}");
}

#[test]
fn three_nodes_keep_what_they_acknowledged_through_crashes_and_their_records_break_no_rule() {
    let mut cluster = Cluster::new((0..3).map(|_| Medium::default()));
    let mut acknowledged = Map::new();
    for round in 0..12_u64 {
        for nth in 0..25 {
            let (key, value) = (format!("{round}.{nth}"), format!("{}", nth * round));
            cluster.put(&key, &value);
            acknowledged.insert(key, value);
        }
        let fates = [Fate::Nothing, Fate::Beginning(round), Fate::Sectors(round), Fate::All];
        let fate = fates[usize::try_from(round % 4).expect("small")];
        let victims = if round % 5 == 4 { vec![1, 2, 3] } else { vec![1 + round % 3] };
        for id in &victims {
            cluster.crash(NodeId(*id), fate);
        }
        // Every other time the others go on so far that the one that is down needs a snapshot.
        for nth in 0..if victims.len() == 1 && round % 2 == 0 { 150 } else { 0 } {
            let (key, value) = (format!("{round}.meanwhile.{nth}"), "x".repeat(40));
            cluster.put(&key, &value);
            acknowledged.insert(key, value);
        }
        for id in &victims {
            cluster.start(NodeId(*id));
        }
    }
    let found = cluster.ask(Told::Get);
    assert_eq!(found, acknowledged);
    let summaries = cluster.judge();
    println!("{summaries:#?}");
    let total = |of: fn(&HostSummary) -> u64| summaries.iter().map(of).sum::<u64>();
    assert!(total(|s| s.lives) > 15 && total(|s| s.durable) > 1000, "{summaries:?}");
    assert!(total(|s| s.snapshots) > 5 && total(|s| s.installed) > 0, "{summaries:?}");
    assert_eq!(total(|s| s.done), acknowledged.len() as u64 + 1);
}

/// What the checker says first of any of the three records.
fn first_objection(flaw: Flaw) -> Option<Objection> {
    let mut cluster = Cluster::with(Some(flaw), (0..3).map(|_| Medium::default()));
    for round in 0..3 {
        for nth in 0..40 {
            let command = format!("{round}.{nth}={}", "x".repeat(90));
            // Two clients, one a little later: so the disk has two writes at a time.
            for to in cluster.network.lock().expect("nobody panics with it").values() {
                _ = to.send(Told::Put(format!("{command}, too"), channel().0));
            }
            sleep(ELECTION_TIMEOUT / 80);
            cluster.ask_for(6, |caller| Told::Put(command.clone(), caller));
        }
        let fails = flaw == Flaw::GoesOnAfterFailure;
        cluster.nodes.values().filter(|_| fails).for_each(|(dir, ..)| dir.fail_syncs(1));
        if flaw == Flaw::ForgetsTheVote || flaw == Flaw::SameSeed {
            (1..=3).for_each(|id| cluster.stop(NodeId(id)));
            (1..=3).for_each(|id| cluster.start(NodeId(id)));
        }
    }
    (1..=3).for_each(|id| cluster.stop(NodeId(id)));
    let records = cluster.nodes.values().map(|(_, recorder, _)| recorder);
    let records: Vec<_> = records.map(|record| record.0.lock().expect("whole").clone()).collect();
    records.iter().find_map(|record| {
        let mut checker = HostChecker::new(Duration::from_secs(60));
        let events = record.lines().map(serde_json::from_str::<HostEvent>);
        events
            .map(|event| event.expect("it was written"))
            .find_map(|event| checker.see(&event).err())
    })
}

#[test]
fn each_flaw_of_the_host_is_seen_as_the_rule_that_it_breaks() {
    let flaws = [
        (Flaw::SaysWrittenEarly, Rule::PersistedEarly),
        (Flaw::WritesBackwards, Rule::WriteOrder),
        (Flaw::GoesOnAfterFailure, Rule::AfterFailure),
        (Flaw::AnswersEarly, Rule::AnswerEarly),
        (Flaw::TakesNothing, Rule::SnapshotSaidEarly),
        (Flaw::ReleasesEarly, Rule::ReleasedEarly),
        (Flaw::ForgetsTheVote, Rule::RecoveredOther),
        (Flaw::SameSeed, Rule::SeedReused),
    ];
    for (flaw, rule) in flaws {
        let seen = first_objection(flaw);
        let seen = seen.unwrap_or_else(|| panic!("{flaw:?} is not seen"));
        println!("{flaw:?}: {seen}");
        assert_eq!(seen.rule, rule, "{flaw:?}: {seen}");
    }
}

#[test]
fn three_nodes_on_a_file_system_are_found_again() {
    let root = std::env::temp_dir().join(format!("small-host-{}", std::process::id()));
    let dirs = (1..=3).map(|id| root.join(id.to_string()));
    let dirs = dirs.map(|dir| std::fs::create_dir_all(&dir).map(|()| RealDir(dir)).expect("room"));
    let mut cluster = Cluster::new(dirs);
    (0..100).for_each(|nth| cluster.put(&nth.to_string(), "before"));
    (1..=3).for_each(|id| cluster.stop(NodeId(id)));
    (1..=3).for_each(|id| cluster.start(NodeId(id)));
    cluster.put("after", "all");
    let found = cluster.ask(Told::Get);
    assert_eq!((found.len(), found["99"].as_str()), (101, "before"));
    cluster.judge();
    std::fs::remove_dir_all(root).expect("it was made above");
}
