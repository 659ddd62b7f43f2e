//! `raft-sim sweep` and `raft-sim merge`.

use super::progress::{Progress, now};
use super::{Failure, file};
use crate::choice::Choices;
use crate::record::Nobody;
use crate::sweep::{
    self, Failure as Found, Plan, Report, Seeds, Stopped, Verdict, failure_line, summary,
};
use crate::tape::Tape;
use crate::trial::Trial;
use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Runs many seeds: each draws a cluster, a load and a storm of faults, and must come right after it.
#[derive(clap::Args, Debug)]
pub(super) struct SweepArguments {
    /// The seeds, from A on and below B; `A..` only together with --minutes [default: 0..1000, with
    /// --minutes 0..]
    #[arg(long, value_parser = seeds, value_name = "A..B")]
    seeds: Option<Seeds>,
    /// Stop after so many minutes
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// How many threads; what is found does not depend on it [default: the cores of this machine]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Run the Ith of N equal parts of the seeds, from 1 on; `raft-sim merge` adds their reports
    #[arg(long, value_parser = shard, value_name = "I/N")]
    shard: Option<Shard>,
    /// Stop after so many failures
    #[arg(long, default_value_t = NonZeroUsize::new(10).expect("not zero"), value_name = "N")]
    keep_going: NonZeroUsize,
    /// Where the tapes of failures are written
    #[arg(long, default_value = "raft-sim-failures", value_name = "DIR")]
    failures: PathBuf,
    /// Write the report as data, see docs/SWEEPS.md
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Adds the reports that the shards of one sweep have written.
///
/// Refuses reports that are not of neighbouring seeds, or not of builds that behave alike.
#[derive(clap::Args, Debug)]
pub(super) struct MergeArguments {
    /// The reports, as `raft-sim sweep --json` writes them, in any order
    #[arg(required = true)]
    reports: Vec<PathBuf>,
    /// Write the sum as data, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
struct Shard {
    nth: u64,
    of: u64,
}

/// Set by Ctrl-C. The second one ends the process at once.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub(super) fn sweep(what: &SweepArguments, out: &mut impl Write) -> Result<bool, Failure> {
    let plan = plan(what)?;
    // Where there can be no handler, Ctrl-C ends the process as it always does.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    let start = now();
    let until = what.minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60)));
    let mut progress = Progress::new(plan.seeds, "runs");
    let mut report = sweep::sweep(plan, |report| {
        let failures = report.failures.len();
        let note = if failures == 0 { String::new() } else { format!(", {failures} failures") };
        progress.show(report.runs(), &note);
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Some(Stopped::Interrupted);
        }
        until.is_some_and(|until| start.elapsed() >= until).then_some(Stopped::Time)
    });
    progress.finish();
    report.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    for failure in &report.failures {
        let tape = keep(failure, &what.failures)?;
        writeln!(out, "{}", failure_line(failure))?;
        writeln!(out, "    raft-sim replay {}", tape.display())?;
        writeln!(out, "    raft-sim shrink {}\n", tape.display())?;
    }
    told(&report, what.json.as_deref(), out)
}

pub(super) fn merge(what: &MergeArguments, out: &mut impl Write) -> Result<bool, Failure> {
    let mut reports = Vec::new();
    for path in &what.reports {
        let text = file(path, fs::read_to_string(path))?;
        let unreadable = |what| Failure::Content { path: path.clone(), what };
        reports.push((path.display().to_string(), Report::read(&text).map_err(unreadable)?));
    }
    let sum = sweep::merge(reports).map_err(|error| Failure::Usage(error.to_string()))?;
    for failure in &sum.failures {
        writeln!(out, "{}", failure_line(failure))?;
        writeln!(out, "    raft-sim replay --seed {}\n", failure.seed)?;
    }
    told(&sum, what.json.as_deref(), out)
}

/// Tells what was found: to people, to the file, and by the exit code.
fn told(report: &Report, json: Option<&Path>, out: &mut impl Write) -> Result<bool, Failure> {
    if let Some(path) = json {
        file(path, fs::write(path, report.write()))?;
    }
    write!(out, "{}", summary(report))?;
    match (report.verdict(), report.stopped) {
        (Verdict::Violated | Verdict::Vacuous(_), _) => Ok(false),
        (Verdict::Clean | Verdict::Few, Some(Stopped::Interrupted)) => Err(Failure::Interrupted),
        (Verdict::Clean | Verdict::Few, _) => Ok(true),
    }
}

/// Writes the tape of a failure; its path.
fn keep(failure: &Found, folder: &Path) -> Result<PathBuf, Failure> {
    let trial = Trial::drawn(Choices::seeded(failure.seed).recorded());
    let ended = trial.run(&mut Nobody).expect("a drawn setup makes sense");
    file(folder, fs::create_dir_all(folder))?;
    let path = folder.join(format!("seed-{}.tape", failure.seed));
    file(&path, fs::write(&path, Tape::of(&ended, Some(failure.seed)).write()))?;
    Ok(path)
}

fn plan(what: &SweepArguments) -> Result<Plan, Failure> {
    let whole = match (what.seeds, what.minutes) {
        (Some(seeds), _) => seeds,
        (None, Some(_)) => Seeds { first: 0, end: u64::MAX },
        (None, None) => Seeds { first: 0, end: 1_000 },
    };
    let usage = |words: &str| Err(Failure::Usage(words.to_owned()));
    if whole.end == u64::MAX && what.minutes.is_none() {
        return usage("seeds without an end need `--minutes`");
    }
    let seeds = match what.shard {
        Some(_) if whole.end == u64::MAX => return usage("seeds without an end have no shards"),
        Some(shard) => shard.of(whole),
        None => whole,
    };
    if seeds.first == seeds.end {
        return usage("there are fewer seeds than shards");
    }
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let jobs = what.jobs.unwrap_or_else(cores);
    Ok(Plan { seeds, jobs, most_failures: what.keep_going.get() })
}

impl Shard {
    fn of(self, whole: Seeds) -> Seeds {
        let count = u128::from(whole.end - whole.first);
        let at = |nth: u64| {
            let part = count * u128::from(nth) / u128::from(self.of);
            whole.first + u64::try_from(part).expect("at most the whole")
        };
        Seeds { first: at(self.nth - 1), end: at(self.nth) }
    }
}

fn seeds(text: &str) -> Result<Seeds, String> {
    let wanted = || "expected seeds such as 0..1000, or 500..".to_owned();
    let (first, end) = text.split_once("..").ok_or_else(wanted)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wanted());
    let first = number(first)?;
    let end = if end.is_empty() { u64::MAX } else { number(end)? };
    if first < end { Ok(Seeds { first, end }) } else { Err("expected at least one seed".into()) }
}

fn shard(text: &str) -> Result<Shard, String> {
    let wanted = || "expected a shard such as 1/8".to_owned();
    let (nth, of) = text.split_once('/').ok_or_else(wanted)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wanted());
    let shard = Shard { nth: number(nth)?, of: number(of)? };
    if (1..=shard.of).contains(&shard.nth) { Ok(shard) } else { Err(wanted()) }
}

#[cfg(test)]
mod tests {
    use super::{Shard, seeds, shard};
    use crate::sweep::Seeds;

    #[test]
    fn shards_cover_the_seeds_without_gaps() {
        for (first, end, of) in [(0, 10, 3), (7, 8, 2), (0, u64::MAX, 7), (5, 1_005, 16)] {
            let whole = Seeds { first, end };
            let parts: Vec<Seeds> = (1..=of).map(|nth| Shard { nth, of }.of(whole)).collect();
            assert_eq!(parts.first().map(|part| part.first), Some(first));
            assert_eq!(parts.last().map(|part| part.end), Some(end));
            assert!(parts.windows(2).all(|two| two[0].end == two[1].first), "{parts:?}");
        }
    }

    #[test]
    fn what_is_no_range_and_no_shard_is_refused() {
        assert_eq!(seeds("3..7"), Ok(Seeds { first: 3, end: 7 }));
        assert_eq!(seeds("3.."), Ok(Seeds { first: 3, end: u64::MAX }));
        assert!(["", "3", "7..3", "3..3", "-1..3", "a..b"].iter().all(|t| seeds(t).is_err()));
        assert!(shard("2/2").is_ok());
        assert!(["", "2", "0/2", "3/2", "1/0", "a/b"].iter().all(|t| shard(t).is_err()));
    }
}
