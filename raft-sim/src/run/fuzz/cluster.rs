//! A whole cluster, in which every choice is a byte.

use crate::plan::choice::Choices;
use crate::plan::record::Nobody;
use crate::plan::setup::Setup;
use crate::run::swarm;
use crate::world::{RunOutcome, World};
use raft_core::Instant;
use std::time::Duration;

/// How long faults happen: a few elections, and as many faults as an input of a few hundred bytes
/// can describe.
const STORM: Duration = Duration::from_secs(1);

/// How many T the run goes on after the storm before it is asked whether it has converged. It has
/// 30 T more until it must have.
const CALM: u32 = 8;

/// The shortest pause between two requests of a client. Where the bytes end, every answer is the
/// shortest: without this most of a run would be clients that hurry through the calm.
const THINK: Duration = Duration::from_millis(20);

/// A cluster: sizes, speeds, faults, and everything else that may go one way or another, are bytes.
///
/// # Panics
///
/// If a checker objects.
pub fn fuzz_cluster(bytes: &[u8]) {
    if let Err(violation) = run(bytes).verdict {
        panic!("{violation}");
    }
}

fn run(bytes: &[u8]) -> RunOutcome {
    play(Choices::from_bytes(bytes))
}

fn play(mut choices: Choices) -> RunOutcome {
    let setup = short(swarm::draw_storm(&mut choices, STORM));
    let mut world = World::new(&setup, choices).expect("a drawn setup makes sense");
    let end = Instant::ZERO.saturating_add(setup.duration);
    let verdict = world
        .run_until(end, &mut Nobody)
        .and_then(|()| world.wait_to_converge(&mut Nobody, &mut |_| {}))
        .and_then(|()| world.conclude(true));
    world.outcome(verdict)
}

/// The same cluster and the same faults, with a short calm and clients that think.
fn short(setup: Setup) -> Setup {
    let mut setup = Setup { duration: STORM + setup.election_timeout * CALM, ..setup };
    for client in &mut setup.clients {
        client.min_think = client.min_think.max(THINK);
        client.max_think = client.max_think.max(client.min_think);
        client.stop = Instant::ZERO.saturating_add(STORM + setup.election_timeout);
    }
    setup
}

#[cfg(test)]
mod tests {
    use super::{fuzz_cluster, play, run};
    use crate::plan::choice::Choices;
    use crate::run::fuzz::bytes;

    #[test]
    fn a_cluster_stands_any_bytes() {
        fuzz_cluster(&[]);
        for seed in 0..300 {
            fuzz_cluster(&bytes(seed, 3_000));
        }
    }

    /// What a fuzzer tries in a second is what it finds in a night.
    #[test]
    fn a_run_is_short() {
        let runs = 100;
        let events: u64 = (0..runs).map(|seed| run(&bytes(seed, 400)).events).sum();
        assert!(events < runs * 2_500, "{} events a run", events / runs);
    }

    /// The calm is long enough for every cluster that is drawn: no alarm is false.
    #[test]
    fn drawn_clusters_converge_after_a_short_storm() {
        for seed in 0..500 {
            assert_eq!(play(Choices::seeded(seed)).verdict, Ok(()), "seed {seed}");
        }
    }
}
