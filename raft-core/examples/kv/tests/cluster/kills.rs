//! Three processes that are killed with -9 all the time, while clients write and read.

use crate::common::{Nodes, nodes};
use kv_attack::client::{Answer, Client};
use kv_attack::dice::Dice;
use kv_attack::history::{Action, LONGEST, Operation, is_linearizable};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use ureq::http::Method;

const KILLS: u64 = 12;
const CLIENTS: u64 = 4;
const KEYS: u64 = 3;
/// Keys are left for new ones after so long, and a client leaves one earlier that it has used so
/// often: histories stay short.
const EPOCH: Duration = Duration::from_millis(700);
const OFTEN: usize = LONGEST / 4 - 2;

type Histories = BTreeMap<String, Vec<Operation>>;

/// One client: it writes values that nobody else writes, and reads, at any node.
fn work(urls: &[String], name: u64, seed: u64, over: &AtomicBool) -> Histories {
    let (mut dice, mut histories) = (Dice::beside(seed, name), Histories::new());
    let (client, start) = (Client::new(Duration::from_secs(3)), Instant::now());
    for turn in 0_u64.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let epoch = start.elapsed().as_millis() / EPOCH.as_millis();
        let key = format!("{epoch}-{}", dice.below(KEYS));
        if histories.get(&key).is_some_and(|history| history.len() >= OFTEN) {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        let node = &urls[usize::try_from(dice.below(3)).expect("small")];
        let (begun, url) = (Instant::now(), format!("{node}/kv/{key}"));
        let (action, known) = if dice.below(2) == 0 {
            let value = name << 32 | turn;
            let answer = client.ask(&Method::PUT, &url, value.to_string().as_bytes());
            if answer.is_refused() {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            (Action::Write(value), answer.code() == 200)
        } else {
            let lease = ["index", "lease"][usize::try_from(dice.below(2)).expect("small")];
            let answer = client.ask(&Method::GET, &format!("{url}?consistency={lease}"), &[]);
            let found = match &answer {
                Answer::Said(200, value) => Some(String::from_utf8_lossy(value).parse().ok()),
                answer => (answer.code() == 404).then_some(None),
            };
            let Some(found) = found else { continue };
            (Action::Read(found), true)
        };
        let ended = known.then(Instant::now);
        histories.entry(key).or_default().push(Operation { action, begun, ended });
    }
    histories
}

/// Kills and starts nodes: one, or all of them, as a power cut does. Only then is it seen whether
/// what was acknowledged was durable, and not only in the memory of the others.
fn kill(nodes: &mut Nodes, seed: u64) {
    let mut dice = Dice::new(seed);
    for turn in 1..=KILLS {
        thread::sleep(Duration::from_millis(500 + dice.below(1500)));
        let one = 1 + dice.below(3);
        let victims = if turn % 3 == 0 { vec![1, 2, 3] } else { vec![one] };
        for victim in &victims {
            nodes.cluster.kill(*victim).expect("it runs");
        }
        thread::sleep(Duration::from_millis(dice.below(1200)));
        for victim in victims {
            nodes.cluster.start(victim).expect("it starts");
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_reads_are_linearizable_while_nodes_are_killed() {
    let seed = std::env::var("KV_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("KV_SEED={seed}");
    // Snapshots are taken all the time, so that whoever comes back may need one.
    let small =
        ["--election-timeout-ms", "500", "--snapshot-bytes", "20000", "--kept-bytes", "3000"];
    let mut nodes = nodes(3, 0, &small);
    nodes.leader(&[1, 2, 3]);
    let urls: Vec<_> = (1..=3).map(|id| nodes.url(id, "")).collect();
    let over = AtomicBool::new(false);
    let mut histories = thread::scope(|scope| {
        let (urls, over) = (&urls, &over);
        let clients: Vec<_> =
            (1..=CLIENTS).map(|name| scope.spawn(move || work(urls, name, seed, over))).collect();
        kill(&mut nodes, seed);
        over.store(true, Ordering::Relaxed);
        let mut all = Histories::new();
        for client in clients {
            for (key, operations) in client.join().expect("a client never panics") {
                all.entry(key).or_default().extend(operations);
            }
        }
        all
    });
    nodes.leader(&[1, 2, 3]);
    let (mut writes, mut unknown, mut reads) = (0, 0, 0);
    for (key, history) in &mut histories {
        for operation in &*history {
            match operation {
                Operation { action: Action::Read(_), .. } => reads += 1,
                Operation { ended: Some(_), .. } => writes += 1,
                Operation { ended: None, .. } => unknown += 1,
            }
        }
        // What is there in the end: at every node the same.
        for id in 1..=3 {
            let begun = Instant::now();
            let found =
                nodes.get(id, key).map(|v| String::from_utf8_lossy(&v).parse().expect("ours"));
            history.push(Operation {
                action: Action::Read(found),
                begun,
                ended: Some(Instant::now()),
            });
        }
        assert!(is_linearizable(history), "KV_SEED={seed}, key {key}: {history:#?}");
    }
    println!("{KILLS} kills: {writes} writes, {unknown} of unknown fate, {reads} reads");
    assert!(writes > 100 && reads > 100, "the cluster served hardly anybody");
}
