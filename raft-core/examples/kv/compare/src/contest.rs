//! Contestants, kinds of work, rounds.

use crate::Failure;
use crate::client::{Answered, Ask, VALUE, fill, load, runtime};
use crate::lone::{self, Lone};
use crate::nodes::{Nodes, Place, Server, Tally};
use crate::process::Cost;
use crate::table::print;
use std::path::Path;
use std::time::Duration;

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Contestant {
    /// So many nodes.
    Nodes(Server, u64),
    /// No server at all.
    Lone(Lone),
}

/// What they do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Work {
    pub(crate) clients: u64,
    pub(crate) ask: Ask,
}

/// What came of one contestant doing one work in one round.
#[derive(Clone, Default, Debug)]
pub(crate) struct Sample {
    pub(crate) answered: Answered,
    pub(crate) all: Cost,
    pub(crate) leader: Cost,
    pub(crate) fsyncs: u64,
    /// How long the leader's disk thread was in fsync, in nanoseconds.
    pub(crate) leader_fsync: u64,
    /// The processor time of the clients.
    pub(crate) clients: u64,
}

/// The first one is what the others are compared with.
pub(crate) const CONTESTANTS: [(&str, Contestant); 6] = [
    ("kv, 3 nodes", Contestant::Nodes(Server::Kv, 3)),
    ("raft 0.7, 3 nodes", Contestant::Nodes(Server::Raft07, 3)),
    ("kv, 1 node", Contestant::Nodes(Server::Kv, 1)),
    ("raft 0.7, 1 node", Contestant::Nodes(Server::Raft07, 1)),
    ("append+fsync, redb", Contestant::Lone(Lone::Engine)),
    ("append+fsync, file", Contestant::Lone(Lone::File)),
];

pub(crate) const WORKS: [(&str, Work); 6] = [
    ("writes of 100 bytes, 1 client", Work { clients: 1, ask: Ask::Write { bytes: VALUE } }),
    ("writes of 100 bytes, 64 clients", Work { clients: 64, ask: Ask::Write { bytes: VALUE } }),
    ("index reads, 1 client", Work { clients: 1, ask: Ask::ReadIndex }),
    ("index reads, 64 clients", Work { clients: 64, ask: Ask::ReadIndex }),
    ("lease reads, 1 client", Work { clients: 1, ask: Ask::ReadLease }),
    ("lease reads, 64 clients", Work { clients: 64, ask: Ask::ReadLease }),
];

/// The samples of each work, by contestant.
pub(crate) type Samples = [[Vec<Sample>; CONTESTANTS.len()]; WORKS.len()];

/// How often a measurement is begun again where a node does not answer well, or leads no more.
const ATTEMPTS: usize = 3;

/// Runs all rounds and prints the table.
///
/// # Errors
///
/// A contestant cannot do its work.
pub(crate) fn run(place: &Place, rounds: usize, time: Duration) -> Result<(), Failure> {
    let (mut samples, mut again) = (Samples::default(), Again::default());
    for round in 0..rounds {
        for nth in 0..CONTESTANTS.len() {
            let nth = (nth + round) % CONTESTANTS.len();
            let (name, contestant) = CONTESTANTS[nth];
            eprintln!("round {} of {rounds}: {name}", round + 1);
            let found = match contestant {
                Contestant::Nodes(server, count) => {
                    // What snapshots cost is not compared.
                    let nodes = Nodes::start(place, server, count, false)?;
                    runtime()?.block_on(serve(&nodes, name, time, &mut again))?
                }
                Contestant::Lone(lone) => alone(&place.dir, lone, time)?,
            };
            for (work, sample) in found {
                samples[work][nth].push(sample);
            }
        }
    }
    print(&samples, rounds, time);
    again.print();
    Ok(())
}

type Found = Vec<(usize, Sample)>;

async fn serve(
    nodes: &Nodes,
    name: &str,
    time: Duration,
    again: &mut Again,
) -> Result<Found, Failure> {
    fill(nodes.cluster.http(nodes.leader().await?)).await?;
    let mut found = Found::new();
    for (nth, (kind, work)) in WORKS.iter().enumerate() {
        let mut attempts = 1;
        let sample = loop {
            match measure(nodes, *work, time).await {
                Ok(sample) => break sample,
                Err(error) => again.says(&format!("{name}, {kind}"), error, &mut attempts)?,
            }
        };
        found.push((nth, sample));
    }
    Ok(found)
}

/// What was begun again, and why: it stands under the table.
#[derive(Default, Debug)]
pub(crate) struct Again(Vec<String>);

impl Again {
    /// This failed, and may be tried again.
    ///
    /// # Errors
    ///
    /// It has failed too often.
    pub(crate) fn says(
        &mut self,
        what: &str,
        why: Failure,
        attempts: &mut usize,
    ) -> Result<(), Failure> {
        if *attempts == ATTEMPTS {
            return Err(why);
        }
        *attempts += 1;
        let what = format!("begun again: {what}: {why}");
        eprintln!("{what}");
        self.0.push(what);
        Ok(())
    }

    /// Says so.
    pub(crate) fn print(&self) {
        for what in &self.0 {
            println!("\n{what}");
        }
    }
}

async fn measure(nodes: &Nodes, work: Work, time: Duration) -> Result<Sample, Failure> {
    let leader = nodes.leader().await?;
    let address = nodes.cluster.http(leader);
    // Warm, and connected.
    load(address, work.clients, work.ask, time / 5).await?;
    let (before, clients) = (nodes.tally(leader).await?, Cost::of_this_thread());
    let answered = load(address, work.clients, work.ask, time).await?;
    let (after, clients) = (nodes.tally(leader).await?, Cost::of_this_thread() - clients);
    let Tally { all, leader, fsyncs, leader_fsync } = after;
    Ok(Sample {
        answered,
        all: all - before.all,
        leader: leader - before.leader,
        fsyncs: fsyncs - before.fsyncs,
        leader_fsync: leader_fsync - before.leader_fsync,
        clients: clients.cpu,
    })
}

/// A loop of groups as large as there are clients: nobody could gather more.
fn alone(dir: &Path, lone: Lone, time: Duration) -> Result<Found, Failure> {
    let works = WORKS.iter().enumerate();
    let writes = works.filter(|(_, (_, work))| matches!(work.ask, Ask::Write { .. }));
    writes.map(|(nth, (_, work))| Ok((nth, lone::run(dir, lone, work.clients, time)?))).collect()
}

impl Sample {
    /// Operations in a second.
    pub(crate) fn rate(&self) -> u64 {
        crate::numbers::scaled(self.answered.count, 1_000_000_000, self.answered.nanos)
    }

    /// How many thousandths of a processor all of it kept busy.
    pub(crate) fn cores(&self) -> u64 {
        crate::numbers::scaled(self.all.cpu + self.clients, 1000, self.answered.nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPTS, Again};

    #[test]
    fn what_fails_is_begun_again_a_few_times_and_is_not_passed_over() {
        let (mut again, mut attempts) = (Again::default(), 1);
        let tries = (0..).take_while(|_| again.says("it", "why".into(), &mut attempts).is_ok());
        assert_eq!(tries.count(), ATTEMPTS - 1);
        assert_eq!(again.0, vec!["begun again: it: why"; ATTEMPTS - 1]);
    }
}
