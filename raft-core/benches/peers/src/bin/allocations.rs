//! How much memory each implementation asks for: the second half of the comparison.

use allocation_counter::measure;
use peers::cluster::{Cluster, Meter};
use peers::floor::{Floor, Messages};
use peers::measure::Hundredths;
use peers::no_raft::NoRaft;
use peers::ours::Ours;
use peers::raft_rs::RaftRs;
use peers::work::{Cost, Work};
use std::cell::Cell;

thread_local! {
    static INSIDE: Cell<u64> = const { Cell::new(0) };
}

/// Counts the allocations inside the library.
#[derive(Clone, Copy, Default, Debug)]
struct Inside;

impl Meter for Inside {
    fn enter<R>(&mut self, call: impl FnOnce() -> R) -> R {
        let mut result = None;
        let info = measure(|| result = Some(call()));
        INSIDE.set(INSIDE.get() + info.count_total);
        result.expect("the call was made")
    }
}

fn main() {
    allocations();
    idle_groups();
}

fn allocations() {
    fn count<C: Cluster>(work: Work) -> (Cost, u64) {
        INSIDE.set(0);
        let mut inside = 0;
        let cost = work.run::<C>(|call| {
            INSIDE.set(0);
            let all = measure(call).count_total;
            inside = INSIDE.get();
            all
        });
        (cost, inside)
    }
    type Count = fn(Work) -> (Cost, u64);
    let all: [(&str, Count); 5] = [
        ("floor: handles into logs", count::<Floor>),
        ("floor: and the messages", count::<Messages>),
        ("raft-core", count::<Ours<Inside>>),
        ("noraft 0.7", count::<NoRaft<Inside>>),
        ("raft 0.7", count::<RaftRs<Inside>>),
    ];
    for work in [Work::ALL[0], Work::ALL[1], Work::ALL[2]] {
        let Work { voters, batch, batches, .. } = work;
        println!("\nAllocations: {voters} voters, batches of {batch}");
        println!("{:26}{:>14}{:>14}{:>20}", "", "in the library", "", "with the runtime");
        println!("{:26}{:>14}{:>14}{:>20}", "", "per turn", "per commit", "per commit");
        for (name, count) in all {
            let (cost, inside) = count(work);
            println!(
                "{name:26}{:>14}{:>14}{:>20}",
                Hundredths::of(inside, cost.counts.turns),
                Hundredths::of(inside, batches as u64),
                Hundredths::of(cost.nanos, batches as u64),
            );
        }
    }
}

/// What the nodes of a group hold on the heap, their own size included, when nothing happens.
fn idle_groups() {
    fn bytes<C: Cluster>() -> i64 {
        let mut cluster = C::new(3);
        (0..10).for_each(|_| cluster.commit(vec![C::command(b"")]));
        cluster.heartbeat();
        let nodes = cluster.into_nodes();
        -measure(|| drop(nodes)).bytes_current
    }
    println!("\nBytes of an idle group of 3 nodes, after 10 commands without content");
    println!("{:26}{:>10}", "raft-core", bytes::<Ours<Inside>>());
    println!("{:26}{:>10}", "noraft 0.7", bytes::<NoRaft<Inside>>());
    println!("{:26}{:>10}  (the log is its own)", "raft 0.7", bytes::<RaftRs<Inside>>());
}
