//! Only the core at work, for a profiler: `profile <batch> <batches>`.

use peers::cluster::{Blind, Cluster};
use peers::ours::Ours;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Some(Ok(batch)), Some(Ok(batches))) = (arguments.next(), arguments.next()) else {
        eprintln!("profile <batch> <batches>");
        return;
    };
    let mut cluster = Ours::<Blind>::new(3);
    for _ in 0..batches {
        cluster.commit((0..batch).map(|_| Ours::<Blind>::command(b"sixteen bytes ..")).collect());
    }
    println!("{:?}", cluster.counts());
}
