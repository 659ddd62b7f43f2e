//! Sweeps: the drawn runs of many seeds, on several threads, as one report.
//!
//! What a report says of a range of seeds does not depend on how many threads there were, nor on
//! which was faster: results are taken in the order of the seeds, and what lies behind the failure
//! at which a sweep stops is dropped.

pub(crate) mod report;

pub use report::{
    Count, ENOUGH, MergeError, Rare, Seeds, Shard, Stopped, SweepFailure, SweepReport,
    SweepVerdict, merge,
};

use crate::plan::choice::{Choices, Question, Questions, RollingHash};
use crate::plan::record::Nobody;
use crate::run::trial::Trial;
use crate::world::RunOutcome;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// What is to be run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SweepPlan {
    /// The seeds.
    pub seeds: Seeds,
    /// How many threads.
    pub jobs: NonZeroUsize,
    /// After how many failures to stop.
    pub max_failures: usize,
    /// Which kinds of questions get the default answer: what they draw is in no run.
    pub without: Questions,
}

/// How often a sweep that waits for its threads asks whether it is to stop.
const TICK: Duration = Duration::from_millis(100);

/// Runs a plan. `ask` sees the report as it grows, at least each twenty times a second, and says if
/// it is to stop.
///
/// The tape of a failure is not kept: [`Choices::recorded`] makes it again.
pub fn sweep(plan: SweepPlan, ask: impl FnMut(&SweepReport) -> Option<Stopped>) -> SweepReport {
    sweep_with(plan, |seed| run_seed_without(seed, plan.without), ask)
}

/// The same with another run for each seed.
fn sweep_with(
    plan: SweepPlan,
    run: impl Fn(u64) -> RunOutcome + Sync,
    mut ask: impl FnMut(&SweepReport) -> Option<Stopped>,
) -> SweepReport {
    let report = SweepReport::new(build_without(plan.without), plan.seeds);
    let next = AtomicU64::new(plan.seeds.first);
    let halt = AtomicBool::new(false);
    thread::scope(|scope| {
        let (give, take) = channel();
        for _ in 0..plan.jobs.get() {
            let (give, run) = (give.clone(), &run);
            let (next, halt) = (&next, &halt);
            scope.spawn(move || work(next, plan.seeds.end, halt, run, &give));
        }
        drop(give);
        collect(report, plan.max_failures, &take, &halt, &mut ask)
    })
}

/// The drawn run of one seed.
pub fn run_seed(seed: u64) -> RunOutcome {
    run_seed_without(seed, Questions::default())
}

/// The same, but for what these kinds of questions draw.
pub(crate) fn run_seed_without(seed: u64, without: Questions) -> RunOutcome {
    let finished = Trial::drawn(Choices::seeded_without(seed, without)).run(&mut Nobody);
    finished.expect("a drawn setup makes sense").outcome
}

fn work(
    next: &AtomicU64,
    end: u64,
    halt: &AtomicBool,
    run: impl Fn(u64) -> RunOutcome,
    give: &Sender<(u64, RunOutcome)>,
) {
    while !halt.load(Ordering::Relaxed) {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end || give.send((seed, run(seed))).is_err() {
            return;
        }
    }
}

/// Takes what the threads have found in the order of the seeds.
fn collect(
    mut report: SweepReport,
    max_failures: usize,
    take: &Receiver<(u64, RunOutcome)>,
    halt: &AtomicBool,
    ask: &mut impl FnMut(&SweepReport) -> Option<Stopped>,
) -> SweepReport {
    let mut early = BTreeMap::new();
    loop {
        match take.recv_timeout(TICK) {
            Ok((seed, outcome)) => {
                early.insert(seed, outcome);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return report,
        }
        while report.failures.len() < max_failures
            && let Some(outcome) = early.remove(&report.seeds.end)
        {
            report.take(&outcome);
        }
        let full = report.failures.len() >= max_failures;
        let stop = full.then_some(Stopped::Failures);
        // Whoever has asked to stop is not asked again: what is under way is still taken.
        if !halt.load(Ordering::Relaxed)
            && let Some(why) = stop.or_else(|| ask(&report))
        {
            report.stopped = Some(why);
            halt.store(true, Ordering::Relaxed);
        }
        if full {
            return report;
        }
    }
}

/// What this build of core and simulator is: its version, and how it behaves on a few seeds. Builds
/// that differ in speed only, such as debug and release, are the same.
pub fn build_id() -> String {
    let mut hash = RollingHash::new();
    for seed in 0..4 {
        hash.take(&run_seed(seed).hash);
    }
    format!("{} {:016x}", env!("CARGO_PKG_VERSION"), hash.value())
}

/// The same of a build that does without some draws: its reports are no parts of another's sweep.
fn build_without(without: Questions) -> String {
    without.iter().map(Question::name).fold(build_id(), |id, name| id + " without " + name)
}

#[cfg(test)]
mod tests {
    use super::{SweepPlan, sweep, sweep_with};
    use crate::checker::coverage::Coverage;
    use crate::plan::choice::{Question, Questions};
    use crate::plan::record::Violation;
    use crate::run::sweep::report::{Seeds, Stopped, SweepReport};
    use crate::world::{Cause, RunOutcome};
    use raft_core::Instant;
    use std::num::NonZeroUsize;
    use std::thread;
    use std::time::Duration;

    fn plan(first: u64, end: u64, jobs: usize) -> SweepPlan {
        let jobs = NonZeroUsize::new(jobs).expect("not zero");
        let without = Questions::default();
        SweepPlan { seeds: Seeds { first, end }, jobs, max_failures: 3, without }
    }

    /// Every tenth run fails, and some take longer than others.
    fn fake(seed: u64) -> RunOutcome {
        thread::sleep(Duration::from_micros((seed * 7919) % 400));
        let violation = |checker| Violation {
            checker,
            sentence: format!("of {seed}"),
            time: Instant::from_nanos(seed),
            event: 1,
            seq: None,
        };
        let fails = seed % 10 == 9;
        RunOutcome {
            verdict: if fails { Err(violation("fake")) } else { Ok(()) },
            hash: seed,
            events: seed,
            time: Instant::from_nanos(seed * 1_000),
            coverage: Coverage { leaders: seed % 2, ..Coverage::default() },
            excused: (seed % 20 == 4).then_some(Cause::Destroyed),
            late: [u64::from(seed.is_multiple_of(50)), 0],
        }
    }

    fn faked(first: u64, end: u64, jobs: usize) -> SweepReport {
        sweep_with(plan(first, end, jobs), fake, |_| None)
    }

    #[test]
    fn a_report_does_not_depend_on_the_number_of_threads() {
        let one = faked(0, 200, 1);
        assert_eq!(one.failures.iter().map(|f| f.seed).collect::<Vec<_>>(), [9, 19, 29]);
        assert_eq!((one.seeds.end, one.stopped), (30, Some(Stopped::Failures)));
        for _ in 0..5 {
            assert_eq!(faked(0, 200, 4), one);
        }
        let real = sweep(plan(0, 12, 1), |_| None);
        assert_eq!(sweep(plan(0, 12, 3), |_| None), real);
        assert_eq!((real.seeds.end, real.stopped, real.failures.len()), (12, None, 0));
    }

    #[test]
    fn a_report_says_what_its_runs_did_without() {
        let without = [Question::StormLies].into_iter().collect();
        let report = sweep(SweepPlan { without, ..plan(0, 12, 2) }, |_| None);
        let whole = sweep(plan(0, 12, 2), |_| None);
        assert_eq!(report.build, format!("{} without storm_lies", whole.build));
        let lies = |report: &SweepReport| report.coverage["contradictions"].runs;
        assert!(lies(&report) == 0 && lies(&whole) > 0, "{}", lies(&whole));
    }

    #[test]
    fn whoever_stops_a_sweep_gets_a_range_without_holes() {
        let runs = |report: &SweepReport| report.seeds.end - report.seeds.first;
        let stop = |report: &SweepReport| (runs(report) >= 2).then_some(Stopped::Interrupted);
        let report = sweep_with(plan(100, u64::MAX, 3), |seed| fake(seed / 10 * 10), stop);
        assert_eq!(report.stopped, Some(Stopped::Interrupted));
        // How many more the threads had begun is theirs.
        assert!(runs(&report) >= 2, "{:?}", report.seeds);
        let mut again = SweepReport::new(report.build.clone(), Seeds { first: 100, end: u64::MAX });
        (100..report.seeds.end).for_each(|seed| again.take(&fake(seed / 10 * 10)));
        again.stopped = report.stopped;
        assert_eq!(report, again);
    }

    #[test]
    fn the_digest_depends_on_every_run() {
        let digest = |first, end| faked(first, end, 2).digest;
        assert_ne!(digest(0, 8), digest(0, 9));
        assert_ne!(digest(0, 8), digest(1, 9));
    }
}
