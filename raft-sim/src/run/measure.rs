//! How long a cluster is without a leader that commits, over many seeds.

use crate::plan::record::{Event, Record, Sink};
use crate::run::play::play;
use crate::scenario::model::Scenario;
use raft_core::{Instant, NodeId, Protection, RoleKind, Term};
use std::time::Duration;

/// What one run came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// From the fault until a leader committed that could.
    pub first: Duration,
    /// From the fault until the last leader of the measured time committed for the first time.
    pub last: Duration,
    /// How many leaderships committed.
    pub leaders: usize,
}

/// What the runs of many seeds came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Measured {
    /// The protection level.
    pub level: Protection,
    /// T.
    pub election_timeout: Duration,
    /// One for each run in which a leader committed.
    pub samples: Vec<Sample>,
    /// The runs in which none did, and those that were not as the scenario expects.
    pub failures: u64,
}

impl Measured {
    /// The median and the worst of a duration of each run, in hundredths of T; `None` if no leader
    /// committed in any run.
    pub fn spread(&self, of: impl Fn(&Sample) -> Duration) -> Option<(u128, u128)> {
        let hundredths = |time: Duration| time.as_nanos() * 100 / self.election_timeout.as_nanos();
        let mut times: Vec<_> = self.samples.iter().map(|sample| hundredths(of(sample))).collect();
        times.sort_unstable();
        Some((*times.get(times.len() / 2)?, *times.last()?))
    }

    /// How many runs kept the first leader that committed until the end of the measured time.
    pub fn stable(&self) -> usize {
        self.samples.iter().filter(|sample| sample.leaders == 1).count()
    }
}

/// Plays a scenario with the seeds `1..=seeds`, each in the next rotation, and measures from its
/// `observe_from` to its `settled_by`, or to its end.
pub fn measure(scenario: &Scenario, level: Protection, seeds: u64) -> Measured {
    let end = crate::plan::text::instant(scenario.setup(level).duration);
    let until = scenario.settled_by.unwrap_or(end);
    let casts: Vec<_> = (0..scenario.rotations()).map(|by| scenario.rotated(by)).collect();
    let election_timeout = scenario.election_timeout();
    let mut measured = Measured { level, election_timeout, samples: Vec::new(), failures: 0 };
    for (seed, cast) in (1..=seeds).zip(casts.iter().cycle()) {
        let mut watch = Stopwatch::new(scenario.observe_from..until);
        let played = play(cast, level, seed, &mut watch);
        match watch.sample() {
            Some(sample) if played.is_good() => measured.samples.push(sample),
            _ => measured.failures += 1,
        }
    }
    measured
}

/// Waits for commits of a leader that can commit: links join it both ways with a quorum.
struct Stopwatch {
    measured: std::ops::Range<Instant>,
    serving: Option<NodeId>,
    /// The first commit of each leadership.
    commits: Vec<(Instant, Term)>,
}

impl Stopwatch {
    const fn new(measured: std::ops::Range<Instant>) -> Self {
        Self { measured, serving: None, commits: Vec::new() }
    }

    fn sample(&self) -> Option<Sample> {
        let after = |(at, _): &(Instant, Term)| at.saturating_since(self.measured.start);
        let (first, last) = (after(self.commits.first()?), after(self.commits.last()?));
        Some(Sample { first, last, leaders: self.commits.len() })
    }
}

impl Sink for Stopwatch {
    fn record(&mut self, record: Record) {
        match record.event {
            Event::Service { leader } => self.serving = leader,
            Event::Commit { .. } if self.measured.contains(&record.time) => {
                let Some(state) = record.state.filter(|_| record.node == self.serving) else {
                    return;
                };
                let known = self.commits.iter().any(|(_, term)| *term == state.term);
                if state.role == RoleKind::Leader && !known {
                    self.commits.push((record.time, state.term));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Measured, Sample, Stopwatch, measure};
    use crate::run::play::play;
    use crate::scenario::model::Scenario;
    use crate::scenario::text::LEVELS;
    use std::time::Duration;

    #[test]
    fn the_median_and_the_worst_are_reported_in_hundredths_of_the_timeout() {
        let sample = |millis| {
            let time = Duration::from_millis(millis);
            Sample { first: time, last: time * 2, leaders: 1 }
        };
        let measured = Measured {
            level: LEVELS[2],
            election_timeout: Duration::from_millis(500),
            samples: [900, 500, 600].map(sample).to_vec(),
            failures: 0,
        };
        assert_eq!(measured.spread(|sample| sample.first), Some((120, 180)));
        assert_eq!(measured.spread(|sample| sample.last), Some((240, 360)));
        assert_eq!(measured.stable(), 3);
        assert_eq!(Measured { samples: Vec::new(), ..measured }.spread(|s| s.first), None);
    }

    #[test]
    fn each_leadership_that_commits_is_seen_once() {
        let scenario = Scenario::named("quorum-loss").expect("a scenario of our own");
        let until = scenario.settled_by.expect("it is made to be measured");
        let mut watch = Stopwatch::new(scenario.observe_from..until);
        let played = play(&scenario, LEVELS[2], 1, &mut watch);
        let sample = watch.sample().expect("S1 commits");
        assert_eq!(sample.leaders, 1);
        // Until S1's first commit nobody could commit, and between its election and that commit
        // lies a write and a message to a quorum and back.
        let gap = sample.first.saturating_sub(played.figures.leaderless);
        assert!(gap > Duration::ZERO && gap < Duration::from_millis(40), "{gap:?}");
    }

    #[test]
    fn a_run_without_a_leader_is_a_failure() {
        let scenario = Scenario::named("quorum-loss").expect("a scenario of our own");
        let measured = measure(&scenario, LEVELS[1], 2);
        assert_eq!((measured.samples.len(), measured.failures), (0, 2));
    }
}
