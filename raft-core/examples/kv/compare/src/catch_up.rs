//! A follower that was held up while others wrote: how much is on the way to it when it comes back,
//! how long it needs, and what others notice.

use crate::Failure;
use crate::client::{Answered, Ask, Connection, VALUE, ask_while, load, nanos, runtime};
use crate::contest::Again;
use crate::nodes::{Nodes, Place, Server};
use crate::numbers::{Tenths, median, scaled};
use crate::process::most_memory;
use kv::command::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How the follower comes back, and whether by a snapshot.
const CASES: [(&str, Server, bool); 3] = [
    ("kv, by the log", Server::Kv, false),
    ("kv, by a snapshot", Server::Kv, true),
    ("raft 0.7, by the log", Server::Raft07, false),
];

/// What was written while the follower was held up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Missed {
    /// So many entries.
    pub(crate) entries: u64,
    /// So many of them are as large as a value can be; the others have 100 bytes.
    pub(crate) large: u64,
}

/// How many clients write them.
const WRITERS: u64 = 16;
/// Whoever has not caught up then never will.
const PATIENCE: Duration = Duration::from_mins(5);

/// What was seen in one round.
#[derive(Clone, Default, Debug)]
struct Seen {
    /// The most bytes that were ever on the way to the follower.
    most: u64,
    /// The most memory that the leader ever had.
    memory: u64,
    /// Until the follower had everything durably, and until it had applied it: nanoseconds.
    durable: u64,
    applied: u64,
    /// One client's writes: with all nodes, with the follower held up, while it caught up.
    before: Answered,
    held: Answered,
    meanwhile: Answered,
}

/// Runs all rounds and prints the table.
///
/// # Errors
///
/// A follower does not catch up.
pub(crate) fn run(
    place: &Place,
    rounds: usize,
    time: Duration,
    missed: Missed,
) -> Result<(), Failure> {
    let (mut seen, mut again) = ([const { Vec::new() }; CASES.len()], Again::default());
    for round in 0..rounds {
        for nth in 0..CASES.len() {
            let nth = (nth + round) % CASES.len();
            let (name, server, snapshots) = CASES[nth];
            eprintln!("round {} of {rounds}: {name}", round + 1);
            let mut attempts = 1;
            seen[nth].push(loop {
                let nodes = Nodes::start(place, server, 3, snapshots)?;
                match runtime()?.block_on(watch(&nodes, time, missed, snapshots)) {
                    Ok(seen) => break seen,
                    Err(error) => again.says(name, error, &mut attempts)?,
                }
            });
        }
    }
    let Missed { entries, large } = missed;
    println!(
        "a follower of three nodes is held up (SIGSTOP) while {entries} entries are written, \
         {large} of them of 1 MB;\nframes of at most 1 MiB; medians of {rounds} rounds\n"
    );
    print(&seen);
    again.print();
    Ok(())
}

async fn watch(
    nodes: &Nodes,
    time: Duration,
    missed: Missed,
    snapshots: bool,
) -> Result<Seen, Failure> {
    let leader = nodes.leader().await?;
    let follower = leader % 3 + 1;
    let address = nodes.cluster.http(leader);
    let small = Ask::Write { bytes: VALUE };
    load(address, 1, small, time / 5).await?;
    let before = load(address, 1, small, time).await?;
    let has = index(nodes, leader, "last").await?;
    nodes.cluster.hold(follower, true)?;
    let held = load(address, 1, small, time).await?;
    write(address, missed).await?;
    let target = index(nodes, leader, "last").await?;
    if snapshots != (index(nodes, leader, "log_start").await? > has) {
        return Err("the log of the leader does not begin where it should".into());
    }

    nodes.cluster.hold(follower, false)?;
    let (begun, goes_on) = (Instant::now(), Arc::new(AtomicBool::new(true)));
    let (connection, holds) = (Connection::new(address).await?, Arc::clone(&goes_on));
    let holds = move || holds.load(Ordering::Relaxed);
    let client = tokio::spawn(ask_while(connection, 0, small, holds));
    let (durable, applied) = until_level(nodes, leader, follower, target, begun).await?;
    goes_on.store(false, Ordering::Relaxed);
    let latencies = client.await??;
    if nodes.leader().await? != leader {
        return Err("another node leads now".into());
    }
    let most = format!("kv_peer_most_bytes_on_the_way{{peer=\"{follower}\"}}");
    Ok(Seen {
        most: nodes.scrape(leader).await?.count(&most),
        memory: nodes.cluster.pid(leader).map_or(0, most_memory),
        durable: nanos(durable),
        applied: nanos(applied),
        before,
        held,
        meanwhile: Answered::of(latencies, applied),
    })
}

/// Writes what the follower misses, the large values evenly among the small ones.
async fn write(address: &str, missed: Missed) -> Result<(), Failure> {
    let (next, mut all) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    for _ in 0..WRITERS {
        let (next, mut connection) = (Arc::clone(&next), Connection::new(address).await?);
        all.spawn(async move {
            let mut request = Vec::new();
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= missed.entries {
                    return Ok::<_, Failure>(());
                }
                let bytes = if missed.is_large(nth) { Command::MAX_VALUE } else { VALUE };
                request.clear();
                Ask::Write { bytes }.write(nth, &mut request);
                connection.ask(&request).await?;
            }
        });
    }
    while let Some(one) = all.join_next().await {
        one??;
    }
    Ok(())
}

impl Missed {
    /// Whether the nth entry is a large one.
    fn is_large(self, nth: u64) -> bool {
        let before = |nth: u64| scaled_down(nth, self.large, self.entries);
        before(nth + 1) > before(nth)
    }
}

fn scaled_down(a: u64, b: u64, c: u64) -> u64 {
    u64::try_from(u128::from(a) * u128::from(b) / u128::from(c.max(1))).unwrap_or(u64::MAX)
}

/// The index of a position in the status of a node.
async fn index(nodes: &Nodes, id: u64, position: &str) -> Result<u64, Failure> {
    let status = nodes.status(id).await.ok_or("a node does not answer")?;
    Ok(status[position]["index"].as_u64().ok_or("no such position")?)
}

/// Waits until the follower has everything up to `target`: durably, as its leader knows, and
/// applied, as it says itself.
async fn until_level(
    nodes: &Nodes,
    leader: u64,
    follower: u64,
    target: u64,
    begun: Instant,
) -> Result<(Duration, Duration), Failure> {
    let mut durable = None;
    while begun.elapsed() < PATIENCE {
        sleep(Duration::from_millis(20)).await;
        if durable.is_none() {
            let status = nodes.status(leader).await.unwrap_or_default();
            let peers = status["peers"].as_array().into_iter().flatten();
            let mut peers = peers.filter(|peer| peer["id"].as_u64() == Some(follower));
            let matched = peers.next().and_then(|peer| peer["match_index"].as_u64());
            durable = matched.filter(|matched| *matched >= target).map(|_| begun.elapsed());
        }
        let Some(durable) = durable else { continue };
        let status = nodes.status(follower).await.unwrap_or_default();
        if status["applied"].as_u64() >= Some(target) {
            return Ok((durable, begun.elapsed()));
        }
    }
    Err("the follower does not catch up".into())
}

type Number = fn(&Seen) -> u64;

/// Columns, in tenths.
const COLUMNS: [(&str, Number); 13] = [
    ("MiB", |s| scaled(s.most, 10, 1 << 20)),
    ("MiB", |s| scaled(s.memory, 10, 1 << 20)),
    ("log", |s| scaled(s.durable, 10, 1_000_000_000)),
    ("state", |s| scaled(s.applied, 10, 1_000_000_000)),
    ("median", |s| millis(s.before.median)),
    ("p99", |s| millis(s.before.high)),
    ("worst", |s| millis(s.before.highest)),
    ("median", |s| millis(s.held.median)),
    ("p99", |s| millis(s.held.high)),
    ("worst", |s| millis(s.held.highest)),
    ("median", |s| millis(s.meanwhile.median)),
    ("p99", |s| millis(s.meanwhile.high)),
    ("worst", |s| millis(s.meanwhile.highest)),
];

fn millis(nanos: u64) -> u64 {
    scaled(nanos, 10, 1_000_000)
}

fn print(seen: &[Vec<Seen>]) {
    println!(
        "{:20}{:>7}{:>7}{:>14}   one client's writes, ms: with all nodes; one held up; it \
         catches up",
        "", "on way", "leader", "caught up, s"
    );
    print!("{:20}", "");
    for (nth, (name, _)) in COLUMNS.iter().enumerate() {
        print!("{}{name:>7}", gap(nth));
    }
    for ((name, ..), seen) in CASES.iter().zip(seen) {
        print!("\n{name:20}");
        for (nth, (_, number)) in COLUMNS.iter().enumerate() {
            let middle = Tenths(median(seen.iter().map(number).collect()));
            print!("{}{middle:>7}", gap(nth));
        }
    }
    println!();
}

/// The latencies of one time stand together.
const fn gap(nth: usize) -> &'static str {
    if matches!(nth, 4 | 7 | 10) { " " } else { "" }
}

#[cfg(test)]
mod tests {
    use super::Missed;

    #[test]
    fn as_many_are_large_as_is_said_and_they_are_spread_evenly() {
        for (entries, large) in [(10_000, 300), (10, 10), (7, 0), (5, 3)] {
            let missed = Missed { entries, large };
            let which: Vec<_> = (0..entries).filter(|nth| missed.is_large(*nth)).collect();
            assert_eq!(which.len() as u64, large);
            let longest = which.windows(2).map(|two| two[1] - two[0]).max();
            assert!(longest.is_none_or(|gap| gap <= entries.div_ceil(large)));
            let early = which.iter().filter(|nth| **nth < entries / 2).count() as u64;
            assert!(early.abs_diff(large / 2) <= 1, "{which:?}");
        }
    }
}
