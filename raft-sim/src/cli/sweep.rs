//! `raft-sim sweep` and `raft-sim merge`.

use crate::cli::progress::{Progress, now};
use crate::cli::{Failure, file, target};
use crate::plan::choice::{Choices, Question, Questions};
use crate::plan::record::Nobody;
use crate::run::sweep as runs;
use crate::run::sweep::SweepPlan;
use crate::run::sweep::report::{Seeds, Shard, Stopped, SweepFailure, SweepReport, SweepVerdict};
use crate::run::tape::Tape;
use crate::run::trial::Trial;
use crate::view::sweep::{failure_line, summary};
use clap::value_parser;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Runs many seeds: each draws a cluster, a load and a storm of faults, after which the cluster
/// must converge.
#[derive(clap::Args, Debug)]
pub(super) struct SweepArguments {
    /// The seeds, from A on and below B; `A..` only together with --minutes [default: 0..1000, with
    /// --minutes 0..]
    #[arg(long, value_parser = seeds, value_name = "A..B")]
    seeds: Option<Seeds>,
    /// Stop after so many minutes
    #[arg(long, value_name = "M", value_parser = value_parser!(u64).range(1..))]
    minutes: Option<u64>,
    /// How many threads; what is found does not depend on it [default: the cores of this machine]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Run the Ith of N equal parts of the seeds, from 1 on; `raft-sim merge` adds their reports
    #[arg(long, value_parser = shard, value_name = "I/N")]
    shard: Option<ShardArgument>,
    /// Stop after so many failures
    // Its older name `--keep-going` is still read.
    #[arg(long, alias = "keep-going", value_name = "N")]
    #[arg(default_value_t = NonZeroUsize::new(10).expect("not zero"))]
    max_failures: NonZeroUsize,
    /// Draw the runs without what these questions bring, such as `storm_flood`: so it is shown what
    /// a draw is worth, see docs/SIMULATION.md
    #[arg(long, value_name = "QUESTION", value_delimiter = ',', value_parser = question)]
    without: Vec<Question>,
    /// Where the tapes of failures are written
    #[arg(long, default_value = "raft-sim-failures", value_name = "DIR")]
    failures: PathBuf,
    /// Write the report as data, see docs/SWEEPS.md; `-` is the standard output, and what is for
    /// people goes to the standard error output then
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
    /// Write the sum as data, too; `-` is the standard output, as with `sweep`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// `--shard`: which of how many equal parts, from 1 on.
#[derive(Clone, Copy, Debug)]
struct ShardArgument {
    number: u64,
    of: u64,
}

/// Set by Ctrl-C, and by SIGTERM and SIGHUP. The second one ends the process at once.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub(super) fn sweep(what: &SweepArguments, out: &mut impl Write) -> Result<bool, Failure> {
    let (plan, shard) = plan(what)?;
    // What cannot be written in the end is not begun.
    target::check_file(what.json.as_deref())?;
    target::check_folder(&what.failures)?;
    // Where there can be no handler, Ctrl-C ends the process as it always does.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    let start = now();
    let until = what.minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60)));
    let mut progress = Progress::new(plan.seeds, "runs");
    let mut people = People::new(what.json.as_deref(), plan.without, out);
    let mut reported = 0;
    let mut report = runs::sweep(plan, |report| {
        let failures = report.failures.len();
        if failures > reported {
            progress.aside(|| people.failures(&report.failures[reported..], &what.failures));
            reported = failures;
        }
        let note = if failures == 0 { String::new() } else { format!(", {failures} failures") };
        progress.show(report.runs(), &note);
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Some(Stopped::Interrupted);
        }
        until.is_some_and(|until| start.elapsed() >= until).then_some(Stopped::Time)
    });
    progress.finish();
    report.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    report.shard = shard;
    people.failures(&report.failures[reported..], &what.failures);
    people.end(&report)
}

pub(super) fn merge(what: &MergeArguments, out: &mut impl Write) -> Result<bool, Failure> {
    let mut reports = Vec::new();
    for path in &what.reports {
        let text = file(path, fs::read_to_string(path))?;
        let unreadable = |what| Failure::Content { path: path.clone(), what };
        reports.push((path.display().to_string(), SweepReport::read(&text).map_err(unreadable)?));
    }
    let sum = runs::merge(reports).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut people = People::new(what.json.as_deref(), Questions::default(), out);
    for failure in &sum.failures {
        let line = failure_line(failure);
        people.say(&format!("{line}\n    {}\n\n", again(failure.seed, Questions::default())));
    }
    people.end(&sum)
}

/// Who reads what was found. If nobody can hear any more, the rest is still done, and the report is
/// still written.
struct People<'a, W: Write> {
    out: &'a mut W,
    json: Option<&'a Path>,
    /// What the runs do without.
    without: Questions,
    /// Why what is for people does not reach them.
    deaf: Option<io::Error>,
}

impl<'a, W: Write> People<'a, W> {
    fn new(json: Option<&'a Path>, without: Questions, out: &'a mut W) -> Self {
        Self { out, json, without, deaf: None }
    }

    /// Says something at once: to the standard output, unless the data goes there.
    fn say(&mut self, words: &str) {
        if self.deaf.is_some() {
            return;
        }
        let said = if target::is_output(self.json) {
            write!(anstream::stderr(), "{words}")
        } else {
            write!(self.out, "{words}").and_then(|()| self.out.flush())
        };
        self.deaf = said.err();
    }

    /// Tells failures as they are found, and keeps their tapes.
    fn failures(&mut self, failures: &[SweepFailure], folder: &Path) {
        for failure in failures {
            let line = failure_line(failure);
            let how = match keep(failure, self.without, folder) {
                Ok(tape) => {
                    let tape = tape.display();
                    format!("    raft-sim replay {tape}\n    raft-sim shrink {tape}\n")
                }
                // The seed is enough to make the tape again.
                Err(error) => {
                    let how = again(failure.seed, self.without);
                    format!("    its tape was not written: {error}\n    {how}\n")
                }
            };
            self.say(&format!("{line}\n{how}\n"));
        }
    }

    /// Tells the whole: to people, to the file, and by the exit code.
    fn end(mut self, report: &SweepReport) -> Result<bool, Failure> {
        self.say(&summary(report));
        match self.json {
            Some(_) if target::is_output(self.json) => {
                self.out.write_all(report.write().as_bytes())?;
            }
            Some(path) => file(path, fs::write(path, report.write()))?,
            None => {}
        }
        let verdict = match (report.verdict(), report.stopped) {
            (SweepVerdict::Violated | SweepVerdict::Vacuous(_) | SweepVerdict::TooOften(_), _) => {
                Ok(false)
            }
            (SweepVerdict::Clean | SweepVerdict::Few, Some(Stopped::Interrupted)) => {
                Err(Failure::Interrupted)
            }
            (SweepVerdict::Clean | SweepVerdict::Few, _) => Ok(true),
        };
        match self.deaf {
            Some(error) if matches!(verdict, Ok(true)) => Err(Failure::Output(error)),
            _ => verdict,
        }
    }
}

/// How the run of a seed is played again.
fn again(seed: u64, without: Questions) -> String {
    let names: Vec<_> = without.iter().map(Question::name).collect();
    let without = if names.is_empty() { "" } else { " --without " };
    format!("raft-sim replay --seed {seed}{without}{}", names.join(","))
}

/// Writes the tape of a failure; its path.
fn keep(failure: &SweepFailure, without: Questions, folder: &Path) -> Result<PathBuf, Failure> {
    let trial = Trial::drawn(Choices::seeded_without(failure.seed, without).recorded());
    let finished = trial.run(&mut Nobody).expect("a drawn setup makes sense");
    file(folder, fs::create_dir_all(folder))?;
    let path = folder.join(format!("seed-{}.tape", failure.seed));
    file(&path, fs::write(&path, Tape::of(&finished, Some(failure.seed)).write()))?;
    Ok(path)
}

/// What is to be run, and of what it is a part.
fn plan(what: &SweepArguments) -> Result<(SweepPlan, Option<Shard>), Failure> {
    let whole = match (what.seeds, what.minutes) {
        (Some(seeds), _) => seeds,
        (None, Some(_)) => Seeds { first: 0, end: u64::MAX },
        (None, None) => Seeds { first: 0, end: 1_000 },
    };
    let usage = |words: &str| Err(Failure::Usage(words.to_owned()));
    if whole.end == u64::MAX && what.minutes.is_none() {
        return usage("seeds without an end need `--minutes`");
    }
    if what.shard.is_some() && whole.end == u64::MAX {
        return usage("seeds without an end have no shards");
    }
    let shard = what.shard.map(|ShardArgument { number, of }| Shard { number, of, whole });
    let seeds = shard.map_or(whole, Shard::seeds);
    if seeds.first == seeds.end {
        return usage("there are fewer seeds than shards");
    }
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let jobs = what.jobs.unwrap_or_else(cores);
    let without = what.without.iter().copied().collect();
    Ok((SweepPlan { seeds, jobs, max_failures: what.max_failures.get(), without }, shard))
}

/// A kind of question, by its name.
pub(super) fn question(name: &str) -> Result<Question, String> {
    let wanted = || format!("no such question; those of tapes are {}", names().join(", "));
    Question::named(name).ok_or_else(wanted)
}

/// Of each kind of question.
fn names() -> Vec<&'static str> {
    Question::ALL.iter().copied().map(Question::name).collect()
}

fn seeds(text: &str) -> Result<Seeds, String> {
    let wanted = || "expected seeds such as 0..1000, or 500..".to_owned();
    let (first, end) = text.split_once("..").ok_or_else(wanted)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wanted());
    let first = number(first)?;
    let end = if end.is_empty() { u64::MAX } else { number(end)? };
    if first < end { Ok(Seeds { first, end }) } else { Err("expected at least one seed".into()) }
}

fn shard(text: &str) -> Result<ShardArgument, String> {
    let wanted = || "expected a shard such as 1/8".to_owned();
    let (number, of) = text.split_once('/').ok_or_else(wanted)?;
    let parsed = |text: &str| text.parse::<u64>().map_err(|_| wanted());
    let shard = ShardArgument { number: parsed(number)?, of: parsed(of)? };
    if (1..=shard.of).contains(&shard.number) { Ok(shard) } else { Err(wanted()) }
}

#[cfg(test)]
mod tests {
    use super::{People, SweepArguments, SweepReport, again, plan, seeds, shard};
    use crate::plan::choice::Questions;
    use crate::plan::record::Violation;
    use crate::run::sweep::report::{Seeds, Shard};
    use clap::Parser;
    use std::io::{self, Write};
    use std::path::Path;

    /// A report of three runs, the last of which failed.
    fn failed() -> SweepReport {
        let mut report = SweepReport::new("b".to_owned(), Seeds { first: 0, end: 3 });
        let mut outcome = crate::run::sweep::run_seed(0);
        report.take(&outcome);
        report.take(&outcome);
        outcome.verdict = Err(Violation {
            checker: "fate",
            sentence: "it is so".to_owned(),
            time: raft_core::Instant::ZERO,
            event: 1,
            seq: None,
        });
        report.take(&outcome);
        report
    }

    /// Counts how often it was flushed; of a closed pipe every write fails.
    #[derive(Default)]
    struct Pipe {
        text: Vec<u8>,
        flushed: usize,
        closed: bool,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.closed { Err(io::ErrorKind::BrokenPipe.into()) } else { self.text.write(bytes) }
        }

        fn flush(&mut self) -> io::Result<()> {
            self.flushed = self.text.len();
            Ok(())
        }
    }

    #[test]
    fn a_failure_is_reported_at_once_even_if_its_tape_cannot_be_written() {
        let mut pipe = Pipe::default();
        let mut people = People::new(None, Questions::default(), &mut pipe);
        people.failures(&failed().failures, Path::new("Cargo.toml/f"));
        assert_eq!(pipe.flushed, pipe.text.len());
        let text = String::from_utf8(pipe.text).expect("text");
        assert!(text.contains("seed 2: fate"), "{text}");
        assert!(text.contains("its tape was not written: Cargo.toml/f: "), "{text}");
        assert!(text.contains("\n    raft-sim replay --seed 2\n"), "{text}");
    }

    #[test]
    fn a_report_is_written_though_nobody_listens_any_more() {
        let path = std::env::temp_dir().join(format!("raft-sim-{}.json", std::process::id()));
        let mut pipe = Pipe { closed: true, ..Pipe::default() };
        let verdict = People::new(Some(&path), Questions::default(), &mut pipe).end(&failed());
        assert!(matches!(verdict, Ok(false)), "{verdict:?}");
        let written = std::fs::read_to_string(&path).expect("a report");
        assert_eq!(SweepReport::read(&written), Ok(failed()));
        std::fs::remove_file(&path).expect("it is there");
    }

    #[test]
    fn what_a_sweep_does_without_is_said_to_whoever_plays_a_run_again() {
        let options = ["sweep", "--without", "storm_flood,loss"];
        let line = Line::try_parse_from(options).expect("options");
        let without = plan(&line.sweep).expect("it makes sense").0.without;
        assert_eq!(again(7, without), "raft-sim replay --seed 7 --without loss,storm_flood");
        assert_eq!(again(7, Questions::default()), "raft-sim replay --seed 7");
        let refused = Line::try_parse_from(["sweep", "--without", "rain"]).map(|_| ());
        let words = refused.expect_err("there is none").to_string();
        assert!(words.contains("no such question") && words.contains("storm_flood"), "{words}");
    }

    #[test]
    fn shards_cover_the_seeds_without_gaps() {
        for (first, end, of) in [(0, 10, 3), (7, 8, 2), (0, u64::MAX, 7), (5, 1_005, 16)] {
            let whole = Seeds { first, end };
            let parts: Vec<Seeds> =
                (1..=of).map(|number| Shard { number, of, whole }.seeds()).collect();
            assert_eq!(parts.first().map(|part| part.first), Some(first));
            assert_eq!(parts.last().map(|part| part.end), Some(end));
            assert!(parts.windows(2).all(|two| two[0].end == two[1].first), "{parts:?}");
        }
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        sweep: SweepArguments,
    }

    #[test]
    fn failures_are_limited_by_either_name_of_the_option() {
        let limit = |options: &[&str]| {
            let line = Line::try_parse_from([&["sweep"], options].concat()).expect("options");
            plan(&line.sweep).expect("it makes sense").0.max_failures
        };
        assert_eq!(limit(&[]), 10);
        assert_eq!(limit(&["--max-failures", "3"]), 3);
        assert_eq!(limit(&["--keep-going", "4"]), 4);
        assert!(Line::try_parse_from(["sweep", "--max-failures", "0"]).is_err());
        let help = <Line as clap::CommandFactory>::command().render_long_help().to_string();
        assert!(help.contains("--max-failures <N>") && !help.contains("keep-going"), "{help}");
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
