//! The command line.

mod progress;
mod replay;
mod shrink;
mod sweep;
mod target;

use crate::plan::record::{Nobody, Record, Sink};
use crate::plan::text::{instant, level_name, visible};
use crate::run::gauge::gauge;
use crate::run::measure::measure;
use crate::run::play::{Played, play, play_rotations};
use crate::scenario::model::Scenario;
use crate::scenario::text::{LEVELS, duration};
use crate::view::picture::rows::Picture;
use crate::view::picture::svg::svg;
use crate::view::report;
use crate::view::timeline::Timeline;
use crate::view::trace::Trace;
use clap::{ArgGroup, Parser, Subcommand, value_parser};
use raft_core::{Instant, Protection};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Replays Raft scenarios in a simulated cluster: the same seed gives the same run, always.
///
/// Without a command it replays the cases of the notes on elections: the partitions with the three
/// protection levels side by side, then every other scenario.
#[derive(Parser, Debug)]
#[command(name = "raft-sim", version, max_term_width = 100, after_help = EXIT_CODES)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What decides every delay, every timeout and every loss
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What the command says to a script.
const EXIT_CODES: &str = "Exit codes:
  0    everything is as it should be
  1    a property is broken, an expectation does not hold, two runs differ, or a sweep of 1000 seeds
       or more never covered something that it claims to test
  2    the command cannot be carried out: wrong arguments, a file that cannot be read
  130  a sweep was interrupted; it has reported what was done until then, and nothing was broken";

#[derive(Subcommand, Debug)]
enum Command {
    /// Lists the scenarios that come with the simulator
    List,
    /// Plays one scenario
    Run(RunArguments),
    /// Measures how long it takes from the fault of a scenario to a leader that commits
    Measure(MeasureArguments),
    Sweep(sweep::SweepArguments),
    Merge(sweep::MergeArguments),
    Replay(replay::ReplayArguments),
    Shrink(shrink::ShrinkArguments),
}

#[derive(clap::Args, Debug)]
struct MeasureArguments {
    /// Names of scenarios, or paths of scenario files [default: all that name a `settled_by`]
    scenarios: Vec<String>,
    /// How many seeds, from 1 on; each plays the next rotation
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u64).range(1..))]
    seeds: u64,
    /// How a node protects a working leader: plain, pre-vote or full
    #[arg(long, value_parser = protection, default_value = "full")]
    protection: Protection,
    /// Measure all times and counts that bounds are stated for, not only the time to a leader
    #[arg(long)]
    all: bool,
}

#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("window").args(["timeline", "svg"]).multiple(true))]
struct RunArguments {
    /// The name of a scenario, see `list`, or the path of a scenario file
    scenario: String,
    /// What decides every delay, every timeout and every loss
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// By how many places the voters are rotated among the parts
    #[arg(long, default_value_t = 0, value_name = "PLACES")]
    rotation: u64,
    /// How a node protects a working leader: plain, pre-vote or full [default: each that the
    /// scenario names; with --timeline, --trace or --html the last of them]
    #[arg(long, value_parser = protection)]
    protection: Option<Protection>,
    /// Print what happens, one line an event, the nodes in columns
    #[arg(long)]
    timeline: bool,
    /// The moment at which the timeline or the SVG begins, such as 1.9s
    #[arg(long, value_parser = duration, requires = "window", value_name = "TIME")]
    from: Option<Duration>,
    /// The moment at which it ends
    #[arg(long, value_parser = duration, requires = "window", value_name = "TIME")]
    to: Option<Duration>,
    /// Write what happens as NDJSON, one line an event
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the run as a page for a browser: one file, without network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Draw the run as SVG, a panel for each protection level
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Carries out the command line; its exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = BufWriter::new(anstream::stdout().lock());
    let done = match arguments.command {
        None => every(arguments.seed, &mut out),
        Some(Command::List) => list(&mut out),
        Some(Command::Run(run)) => one(&run, &mut out),
        Some(Command::Measure(what)) => measured(&what, &mut out),
        Some(Command::Sweep(what)) => sweep::sweep(&what, &mut out),
        Some(Command::Merge(what)) => sweep::merge(&what, &mut out),
        Some(Command::Replay(what)) => replay::replay(&what, &mut out),
        Some(Command::Shrink(what)) => shrink::command(&what, &mut out),
    };
    let flushed = out.flush().map_err(Failure::Output);
    let good = match (done, flushed) {
        // What was found stays found, whoever reads it.
        (Ok(false), _) => Ok(false),
        (done, flushed) => done.and_then(|good| flushed.map(|()| good)),
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever reads has closed the pipe: that is an end, not an error.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Interrupted) => ExitCode::from(130),
        Err(failure) => {
            anstream::eprintln!("{failure}");
            ExitCode::from(2)
        }
    }
}

/// Why a command cannot be carried out.
#[derive(thiserror::Error, Debug)]
enum Failure {
    #[error("{0}")]
    Output(#[source] io::Error),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{0}")]
    Scenario(#[from] crate::scenario::error::ScenarioError),
    #[error("there is no scenario `{}`, and no such file; {}", visible(.0), meant(.1.as_deref()))]
    UnknownScenario(String, Option<String>),
    #[error("`{scenario}` is not made for {}: it names {levels}", level_name(*.level))]
    Level { scenario: String, level: Protection, levels: String },
    #[error("{}: {what}", path.display())]
    Content { path: PathBuf, what: String },
    #[error("{0}")]
    Usage(String),
    #[error("interrupted")]
    Interrupted,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn every(seed: u64, out: &mut impl Write) -> Result<bool, Failure> {
    let scenarios: Vec<_> = Scenario::built_in().collect();
    let (compared, others): (Vec<_>, Vec<_>) = scenarios.iter().partition(|s| s.compare);
    let mut all = Vec::new();
    writeln!(out, "{}", report::introduction(seed))?;
    for scenario in compared {
        let plays = play_rotations(scenario, seed);
        writeln!(out, "{}", report::side_by_side(scenario, &plays))?;
        all.extend(plays);
    }
    writeln!(out, "{}", report::the_others())?;
    for scenario in others {
        let plays = play_rotations(scenario, seed);
        write!(out, "{}", report::in_a_line(scenario, &plays))?;
        all.extend(plays);
    }
    writeln!(out, "\n{}", report::summary(scenarios.len(), &all))?;
    Ok(all.iter().all(Played::is_good))
}

fn list(out: &mut impl Write) -> Result<bool, Failure> {
    for scenario in Scenario::built_in() {
        writeln!(out, "{}", report::listed(&scenario))?;
    }
    Ok(true)
}

fn one(run: &RunArguments, out: &mut impl Write) -> Result<bool, Failure> {
    if let (Some(from), Some(to)) = (run.from, run.to)
        && from > to
    {
        let words =
            format!("`--from` is {from:?}, after `--to`, which is {to:?}: nothing is between");
        return Err(Failure::Usage(words));
    }
    let scenario = load(&run.scenario)?.rotated(run.rotation);
    let levels = levels(&scenario, run)?;
    let mut plays = Vec::new();
    if run.timeline || run.trace.is_some() {
        for level in levels {
            plays.push(shown(&scenario, level, run, out)?);
        }
    } else {
        plays.extend(levels.iter().map(|level| play(&scenario, *level, run.seed, &mut Nobody)));
    }
    for play in &mut plays {
        play.rotation = run.rotation;
    }
    pictures(&scenario, &plays, run)?;
    write!(out, "{}", report::in_full(&scenario, &plays))?;
    Ok(plays.iter().all(Played::is_good))
}

/// Plays with a timeline, a trace or both.
fn shown(
    scenario: &Scenario,
    level: Protection,
    run: &RunArguments,
    out: &mut impl Write,
) -> Result<Played, Failure> {
    let nodes = scenario.setup(level).nodes.iter().map(|node| node.id).collect();
    let from = run.from.map_or(Instant::ZERO, instant);
    let shown = from..=run.to.map_or(Instant::MAX, instant);
    let mut timeline = run.timeline.then(|| Timeline::new(&mut *out, nodes, shown));
    let mut trace = match &run.trace {
        Some(path) => Some((path, Trace::new(BufWriter::new(file(path, File::create(path))?)))),
        None => None,
    };
    let mut tell = |record: Record| {
        if let Some((_, trace)) = &mut trace {
            trace.record(record.clone());
        }
        if let Some(timeline) = &mut timeline {
            timeline.record(record);
        }
    };
    let played = play(scenario, level, run.seed, &mut tell);
    if let Some(timeline) = timeline {
        timeline.finish()?;
        writeln!(out)?;
    }
    if let Some((path, trace)) = trace {
        file(path, trace.finish())?;
    }
    Ok(played)
}

/// Draws what was played. The same run is played again: it is the same.
fn pictures(scenario: &Scenario, plays: &[Played], run: &RunArguments) -> Result<(), Failure> {
    if run.html.is_none() && run.svg.is_none() {
        return Ok(());
    }
    let mut runs = Vec::new();
    for played in plays {
        let mut records: Vec<Record> = Vec::new();
        let played = play(scenario, played.level, run.seed, &mut records);
        runs.push((scenario.setup(played.level), records, played));
    }
    let Scenario { name, source, .. } = scenario;
    let headings: Vec<_> = plays.iter().map(|played| level_name(played.level)).collect();
    let title = format!("{name}: {}", scenario.title);
    let rotation =
        if run.rotation == 0 { String::new() } else { format!(" --rotation {}", run.rotation) };
    let notes = headings.iter().map(|level| {
        format!("raft-sim run {source} --seed {}{rotation} --protection {level}", run.seed)
    });
    let notes: Vec<_> = notes.collect();
    let panels: Vec<_> = runs
        .iter()
        .zip(&notes)
        .map(|((setup, records, played), notes)| Picture {
            title: &title,
            notes,
            setup,
            records,
            violation: played.violation.as_ref(),
        })
        .collect();
    if let Some(path) = &run.html {
        let page = panels.last().map(Picture::html).unwrap_or_default();
        file(path, fs::write(path, page))?;
    }
    if let Some(path) = &run.svg {
        let panels: Vec<_> = headings.into_iter().zip(panels).collect();
        let window = run.from.map_or(Instant::ZERO, instant)..=run.to.map_or(Instant::MAX, instant);
        file(path, fs::write(path, svg(&title, &panels, window)))?;
    }
    Ok(())
}

fn measured(what: &MeasureArguments, out: &mut impl Write) -> Result<bool, Failure> {
    let named = what.scenarios.iter().map(|name| load(name));
    let mut scenarios = named.collect::<Result<Vec<_>, _>>()?;
    if scenarios.is_empty() {
        scenarios.extend(Scenario::built_in().filter(|scenario| scenario.settled_by.is_some()));
    }
    let mut good = true;
    if !what.all {
        writeln!(out, "{}", report::measured_heading(what.seeds, what.protection))?;
    }
    for scenario in &scenarios {
        if !scenario.levels.contains(&what.protection) {
            return Err(not_made_for(scenario, what.protection));
        }
        if what.all {
            let gauged = gauge(scenario, what.protection, 1..what.seeds.saturating_add(1));
            writeln!(out, "{}", report::gauged(scenario, &gauged))?;
            good &= scenario.beyond || gauged.failures == 0;
            continue;
        }
        let measured = measure(scenario, what.protection, what.seeds);
        writeln!(out, "{}", report::measured(scenario, &measured))?;
        good &= scenario.beyond || measured.failures == 0;
    }
    Ok(good)
}

fn load(name: &str) -> Result<Scenario, Failure> {
    if let Some(scenario) = Scenario::named(name) {
        return Ok(scenario);
    }
    let path = Path::new(name);
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let known: Vec<_> = Scenario::built_in().map(|scenario| scenario.name).collect();
            let near = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
            return Err(Failure::UnknownScenario(name.to_owned(), near));
        }
        text => file(path, text)?,
    };
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
    Ok(Scenario::read(&stem, name, &text)?)
}

/// What somebody may have meant.
fn meant(near: Option<&str>) -> String {
    let all = "`raft-sim list` names them all";
    near.map_or_else(|| all.to_owned(), |near| format!("did you mean `{near}`? {all}"))
}

/// The word that differs least, if it does not differ by much.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|other| (distance(word, other), other)).min()?;
    (near.0 <= 1 + word.chars().count() / 4).then_some(near.1)
}

/// How many letters are to be put in, taken out or changed to come from one word to another.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (nth, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = nth + 1;
        for (at, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn file<T>(path: &Path, result: io::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| Failure::File { path: path.to_owned(), error })
}

fn levels(scenario: &Scenario, run: &RunArguments) -> Result<Vec<Protection>, Failure> {
    let made_for = &scenario.levels;
    match run.protection {
        Some(level) if made_for.contains(&level) => Ok(vec![level]),
        Some(level) => Err(not_made_for(scenario, level)),
        None if run.timeline || run.trace.is_some() || run.html.is_some() => {
            Ok(made_for.last().copied().into_iter().collect())
        }
        None => Ok(made_for.clone()),
    }
}

fn not_made_for(scenario: &Scenario, level: Protection) -> Failure {
    let levels = scenario.levels.iter().map(|level| level_name(*level)).collect::<Vec<_>>();
    Failure::Level { scenario: scenario.name.clone(), level, levels: levels.join(", ") }
}

fn protection(text: &str) -> Result<Protection, String> {
    let known = LEVELS.into_iter().find(|level| level_name(*level) == text);
    known.ok_or_else(|| format!("expected {}", LEVELS.map(level_name).join(", ")))
}
