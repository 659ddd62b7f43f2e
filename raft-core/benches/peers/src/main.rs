//! `raft-core` beside its peers, in one run: `peers [rounds]`.
//!
//! Every round runs every implementation on every work, one right after the other, so that what the
//! machine does besides hits all of them. Medians of the rounds are printed.

use peers::cluster::{Blind, Cluster, Runs};
use peers::floor::{Floor, Messages};
use peers::measure::{Hundredths, Tenths, median, time};
use peers::no_raft::NoRaft;
use peers::ours::Ours;
use peers::raft_rs::RaftRs;
use peers::work::{Cost, Work};
use std::process::Command;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(15);
    commits(rounds);
    heartbeats(rounds);
    divergence();
    catch_up();
    allocations();
}

/// Whoever is measured, by name.
type Contestant<F> = (&'static str, F);

fn commits(rounds: usize) {
    type Do = fn(Work) -> Cost;
    let all: [Contestant<Do>; 5] = [
        ("floor: handles into logs", Work::time::<Floor>),
        ("floor: and the messages", Work::time::<Messages>),
        ("raft-core", Work::time::<Ours<Blind>>),
        ("noraft 0.7", Work::time::<NoRaft<Blind>>),
        ("raft 0.7", Work::time::<RaftRs<Blind>>),
    ];
    for work in Work::ALL {
        let mut costs = [const { Vec::new() }; 5];
        for round in 0..rounds {
            for nth in 0..all.len() {
                // Another order in every round, and another predecessor for everybody.
                let nth = (nth * (1 + round % (all.len() - 1)) + round) % all.len();
                costs[nth].push(all[nth].1(work));
            }
        }
        let Work { voters, size, batch, batches } = work;
        println!("\n{voters} voters, commands of {size} bytes, batches of {batch}");
        println!(
            "{:26}{:>10}{:>10}{:>10}{:>11}{:>11}{:>11}",
            "", "ns per", "of the", "of the", "of", "turns per", "messages"
        );
        println!(
            "{:26}{:>10}{:>10}{:>10}{:>11}{:>11}{:>11}",
            "", "entry", "floor", "messages", "raft-core", "commit", "per commit"
        );
        for ((name, _), mine) in all.iter().zip(&costs) {
            let nanos = median(mine.iter().map(|cost| cost.nanos).collect());
            let ratio = |other: &[Cost]| {
                let pairs = mine.iter().zip(other);
                Hundredths(median(pairs.map(|(a, b)| a.nanos * 100 / b.nanos.max(1)).collect()))
            };
            let counts = mine[0].counts;
            println!(
                "{name:26}{:>10}{:>10}{:>10}{:>11}{:>11}{:>11}",
                Tenths::of(nanos, work.entries()),
                ratio(&costs[0]),
                ratio(&costs[1]),
                ratio(&costs[2]),
                Tenths::of(counts.turns, batches as u64),
                Tenths::of(counts.messages, batches as u64),
            );
        }
    }
}

fn heartbeats(rounds: usize) {
    const BEATS: u64 = 1_000;
    fn beat<C: Cluster>(voters: usize) -> u64 {
        let mut cluster = C::new(voters);
        cluster.commit(vec![C::command(b"a command")]);
        cluster.heartbeat();
        time(|| (0..BEATS).for_each(|_| cluster.heartbeat()))
    }
    type Beat = fn(usize) -> u64;
    let all: [Contestant<Beat>; 3] = [
        ("raft-core", beat::<Ours<Blind>>),
        ("noraft 0.7", beat::<NoRaft<Blind>>),
        ("raft 0.7", beat::<RaftRs<Blind>>),
    ];
    println!("\nA heartbeat of an idle group and all its answers, in ns per follower");
    println!("{:26}{:>10}{:>10}{:>10}", "voters", 3, 5, 101);
    let mut table = [[0; 3]; 3];
    for (column, voters) in [3_usize, 5, 101].into_iter().enumerate() {
        let mut nanos = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            all.iter().zip(&mut nanos).for_each(|((_, beat), nanos)| nanos.push(beat(voters)));
        }
        for (row, nanos) in table.iter_mut().zip(nanos) {
            row[column] = median(nanos) * 10 / (BEATS * (voters as u64 - 1));
        }
    }
    for ((name, _), [a, b, c]) in all.iter().zip(table) {
        println!("{name:26}{:>10}{:>10}{:>10}", Tenths(a), Tenths(b), Tenths(c));
    }
}

/// A follower whose log has parted from the leader's long ago: 100 000 entries in 1 000 terms.
fn divergence() {
    fn repair<C: Cluster>() -> (u64, u64, u64) {
        let runs = |first: u64| -> Runs { (0..1_000).map(|nth| (first + 2 * nth, 100)).collect() };
        let mut cluster = C::diverged(&runs(2), &runs(1));
        cluster.cut(None);
        let before = cluster.counts();
        let nanos = time(|| until_level(&mut cluster));
        let counts = cluster.counts().since(before);
        (counts.rejections, counts.messages, nanos)
    }
    type Repair = fn() -> (u64, u64, u64);
    let all: [Contestant<Repair>; 3] = [
        ("raft-core", repair::<Ours<Blind>>),
        ("noraft 0.7", repair::<NoRaft<Blind>>),
        ("raft 0.7", repair::<RaftRs<Blind>>),
    ];
    println!("\nA log with 100 000 divergent entries in 1 000 terms");
    println!("{:26}{:>20}{:>16}{:>12}", "", "rejected round trips", "messages in all", "ms in all");
    for (name, repair) in all {
        let (rejections, messages, nanos) = repair();
        println!("{name:26}{rejections:>20}{messages:>16}{:>12}", Tenths::of(nanos, 1_000_000));
    }
}

/// A follower that was away while a million entries were committed.
fn catch_up() {
    const BATCH: usize = 1_000;
    fn repair<C: Cluster>() -> u64 {
        let mut cluster = C::new(3);
        cluster.cut(Some(1));
        for _ in 0..1_000 {
            cluster.commit((0..BATCH).map(|_| C::command(b"sixteen bytes ..")).collect());
        }
        cluster.cut(None);
        time(|| until_level(&mut cluster))
    }
    fn floor() -> u64 {
        let mut leader = Floor::new(1);
        leader.commit((0..1_000 * BATCH).map(|_| Floor::command(b"sixteen bytes ..")).collect());
        time(|| leader.copy_in_messages(BATCH))
    }
    type Repair = fn() -> u64;
    let all: [Contestant<Repair>; 4] = [
        ("floor: and the messages", floor),
        ("raft-core", repair::<Ours<Blind>>),
        ("noraft 0.7", repair::<NoRaft<Blind>>),
        ("raft 0.7", repair::<RaftRs<Blind>>),
    ];
    println!("\nA follower 1 000 000 entries behind");
    let mut nanos = [const { Vec::new() }; 4];
    for _ in 0..7 {
        all.iter().zip(&mut nanos).for_each(|((_, repair), nanos)| nanos.push(repair()));
    }
    for ((name, _), nanos) in all.iter().zip(nanos) {
        println!("{name:26}{:>10} ms", Tenths::of(median(nanos), 1_000_000));
    }
}

/// Heartbeats, as often as it takes, until node 1 has applied what the leader has.
fn until_level(cluster: &mut impl Cluster) {
    for _ in 0..1_000 {
        cluster.heartbeat();
        if cluster.applied(1) == cluster.applied(0) {
            return;
        }
    }
    panic!("the follower does not catch up");
}

/// Counting allocations takes time, so that another program does it.
fn allocations() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments = ["run", "--quiet", "--release", "--bin", "allocations", "--manifest-path"];
    let status = Command::new(cargo).args(arguments).arg(manifest).status();
    assert!(status.is_ok_and(|status| status.success()), "the other program runs as well");
}
