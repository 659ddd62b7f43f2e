//! One implementation at one kind of work, for a profiler:
//! `profile <who> <voters> <batch> <batches>`. With batches of 0 commands it plays heartbeats.

use peers::cluster::{Blind, Cluster};
use peers::floor::Messages;
use peers::measure::{Tenths, time};
use peers::no_raft::NoRaft;
use peers::ours::Ours;
use peers::raft_rs::RaftRs;
use peers::work::Work;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let who = arguments.next().unwrap_or_default();
    let numbers: Vec<usize> = arguments.filter_map(|text| text.parse().ok()).collect();
    let play: fn(&[usize]) = match who.as_str() {
        "core" => play::<Ours<Blind>>,
        "floor" => play::<Messages>,
        "noraft" => play::<NoRaft<Blind>>,
        "raft" => play::<RaftRs<Blind>>,
        _ => |_| eprintln!("profile core|floor|noraft|raft <voters> <batch> <batches>"),
    };
    play(&numbers);
}

fn play<C: Cluster>(numbers: &[usize]) {
    let &[voters, batch, batches] = numbers else {
        return eprintln!("profile <who> <voters> <batch> <batches>");
    };
    if batch == 0 {
        let mut cluster = C::new(voters);
        cluster.heartbeat();
        let nanos = time(|| (0..batches).for_each(|_| cluster.heartbeat()));
        let answers = (batches * (voters - 1)) as u64;
        return println!("{} ns per follower and heartbeat", Tenths::of(nanos, answers));
    }
    let work = Work { voters, size: 16, batch, batches };
    println!("{} ns per entry", Tenths::of(work.time::<C>().nanos, work.entries()));
}
