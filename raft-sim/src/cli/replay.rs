//! `raft-sim replay`: a tape, a script or a seed once more.

use crate::cli::sweep::question;
use crate::cli::{Failure, file};
use crate::plan::choice::{Choices, Question};
use crate::plan::record::{Record, Sink, Violation};
use crate::plan::setup::{Setup, SetupError};
use crate::plan::text::{thousands, visible};
use crate::run::tape::{MAGIC, Tape};
use crate::run::trial::{FinishedRun, Trial};
use crate::scenario::model::Scenario;
use crate::view::picture::rows::Picture;
use crate::view::style::{BAD, DIM, LEADER};
use crate::view::timeline::Timeline;
use crate::view::trace::Trace;
use crate::world::World;
use raft_core::Instant;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Runs a tape or a script once more and says whether a property is broken: then the exit code is
/// 1.
#[derive(clap::Args, Debug)]
pub(super) struct ReplayArguments {
    /// A tape of `sweep`, or a script of `shrink` (any scenario file)
    #[arg(required_unless_present = "seed", conflicts_with = "seed")]
    file: Option<PathBuf>,
    /// The drawn run of a seed instead
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The drawn run without what these questions bring, as `sweep --without`
    #[arg(long, value_name = "QUESTION", value_delimiter = ',', value_parser = question)]
    #[arg(requires = "seed")]
    without: Vec<Question>,
    /// Write what was decided as a tape
    #[arg(long, value_name = "FILE")]
    tape: Option<PathBuf>,
    /// Print what happens, one line an event, the nodes in columns
    #[arg(long)]
    timeline: bool,
    /// Write what happens as NDJSON, one line an event
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the run as a page for a browser: one file, without network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the rolling hash after each event: its number, its time in nanoseconds, the hash, what
    /// it is
    #[arg(long, value_name = "FILE")]
    hashes: Option<PathBuf>,
    /// Compare with what --hashes wrote elsewhere, and name the first event that differs: then the
    /// exit code is 1
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

/// Something to run, with what its file says of it.
pub(super) struct Source {
    /// How people know it.
    pub(super) name: String,
    /// The run.
    pub(super) trial: Trial,
    /// What a tape says that its hash was.
    pub(super) hash: Option<u64>,
    /// The checker that a script once broke.
    pub(super) broke: Option<String>,
    /// The seed that a tape is of.
    pub(super) seed: Option<u64>,
}

/// Reads a tape or a script.
pub(super) fn load(path: &Path) -> Result<Source, Failure> {
    let text = file(path, fs::read_to_string(path))?;
    let name = path.display().to_string();
    if text.starts_with(MAGIC) || path.extension().is_none_or(|end| end != "toml") {
        let wrong = |error: crate::run::tape::TapeError| Failure::Content {
            path: path.to_owned(),
            what: error.to_string(),
        };
        let tape = Tape::read(&text).map_err(wrong)?;
        let seed = tape.said("seed").and_then(|seed| seed.parse().ok());
        let hash = tape.hash;
        let trial = Trial::drawn(Choices::replayed(tape.choices).recorded());
        return Ok(Source { name, trial, hash, broke: None, seed });
    }
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
    let scenario = Scenario::read(&stem, &name, &text)?;
    let level = *scenario.levels.last().expect("a scenario has a level");
    let trial = scenario.trial(level, 1);
    let trial = Trial { choices: trial.choices.recorded(), ..trial };
    Ok(Source { name, trial, hash: None, broke: scenario.broke, seed: None })
}

/// What is to be replayed.
fn source(what: &ReplayArguments) -> Result<Source, Failure> {
    match (&what.file, what.seed) {
        (Some(path), _) => load(path),
        (None, seed) => {
            let seed = seed.expect("the one or the other is there");
            let without = what.without.iter().copied().collect();
            let trial = Trial::drawn(Choices::seeded_without(seed, without).recorded());
            let name = format!("seed {seed}");
            Ok(Source { name, trial, hash: None, broke: None, seed: Some(seed) })
        }
    }
}

pub(super) fn replay(what: &ReplayArguments, out: &mut impl Write) -> Result<bool, Failure> {
    let source = source(what)?;
    let nodes = source.trial.setup.nodes.iter().map(|node| node.id).collect::<Vec<_>>();
    let faults = source.trial.setup.timeline.len();
    let wanted = what.timeline || what.trace.is_some() || what.html.is_some();
    let mut story = Story { wanted, records: Vec::new() };
    let setup = source.trial.setup.clone();
    let mut hashes = String::new();
    let wants_hashes = what.hashes.is_some() || what.against.is_some();
    let finished = run(source.trial, &mut story, wants_hashes.then_some(&mut hashes))?;
    if what.timeline {
        let mut timeline = Timeline::new(&mut *out, nodes.clone(), Instant::ZERO..=Instant::MAX);
        story.records.iter().for_each(|record| timeline.record(record.clone()));
        timeline.finish()?;
        writeln!(out)?;
    }
    if let Some(path) = &what.trace {
        let mut trace = Trace::new(BufWriter::new(file(path, File::create(path))?));
        story.records.iter().for_each(|record| trace.record(record.clone()));
        file(path, trace.finish())?;
    }
    if let Some(path) = &what.html {
        let violation = finished.outcome.verdict.as_ref().err();
        let page = page(&source.name, &setup, &story.records, violation);
        file(path, fs::write(path, page))?;
    }
    if let Some(path) = &what.tape {
        file(path, fs::write(path, Tape::of(&finished, source.seed).write()))?;
    }
    if let Some(path) = &what.hashes {
        file(path, fs::write(path, &hashes))?;
    }
    let (count, events) = (nodes.len(), thousands(finished.outcome.events));
    writeln!(
        out,
        "{}: {count} nodes, {faults} faults, {} decisions, {events} events in {} ms",
        source.name,
        thousands(u64::try_from(finished.tape.len()).unwrap_or(u64::MAX)),
        thousands(finished.outcome.time.as_nanos() / 1_000_000)
    )?;
    writeln!(out, "{}", hash_line(finished.outcome.hash, source.hash))?;
    let mut good = finished.outcome.verdict.is_ok();
    match &finished.outcome.verdict {
        Ok(()) => {
            let broke = source.broke.map_or(String::new(), |checker| {
                format!(" (it broke {} when it was found)", visible(&checker))
            });
            writeln!(out, "{LEADER}no property is broken{LEADER:#}{broke}")?;
        }
        Err(violation) => writeln!(out, "{BAD}violated{BAD:#}: {violation}")?,
    }
    if let Some(path) = &what.against {
        let other = file(path, fs::read_to_string(path))?;
        let difference = first_difference(&hashes, &other);
        good &= difference.is_none();
        match difference {
            None => writeln!(out, "every event is as in {}", path.display())?,
            Some(words) => writeln!(out, "{BAD}differs{BAD:#} from {}: {words}", path.display())?,
        }
    }
    Ok(good)
}

impl Source {
    /// Runs it, and draws the page of what is in the file at `path`.
    pub(super) fn picture(self, path: &Path) -> Result<String, Failure> {
        let mut story = Story { wanted: true, records: Vec::new() };
        let setup = self.trial.setup.clone();
        let finished = run(self.trial, &mut story, None)?;
        let violation = finished.outcome.verdict.as_ref().err();
        Ok(page(&path.display().to_string(), &setup, &story.records, violation))
    }
}

fn page(name: &str, setup: &Setup, records: &[Record], violation: Option<&Violation>) -> String {
    let notes = format!("raft-sim replay {name}");
    Picture { title: name, notes: &notes, setup, records, violation }.html()
}

fn hash_line(hash: u64, stated: Option<u64>) -> String {
    let stated = match stated {
        None => "",
        Some(stated) if stated == hash => ", as on the tape",
        Some(_) => ", not that of the tape: it was made by another build",
    };
    format!("{DIM}hash {hash:016x}{stated}{DIM:#}")
}

/// Keeps the records, if somebody wants them.
struct Story {
    wanted: bool,
    records: Vec<Record>,
}

impl Sink for Story {
    fn listens(&self) -> bool {
        self.wanted
    }

    fn record(&mut self, record: Record) {
        self.records.push(record);
    }
}

fn run(
    trial: Trial,
    sink: &mut dyn Sink,
    hashes: Option<&mut String>,
) -> Result<FinishedRun, Failure> {
    let refused = |error: SetupError| Failure::Usage(error.to_string());
    let Some(hashes) = hashes else { return trial.run(sink).map_err(refused) };
    let first = World::new(&trial.setup, trial.choices.clone()).map_err(refused)?;
    let mut coming = first.next();
    let look = |world: &World| {
        let (time, words) = coming.take().expect("what happened was to come");
        hash_of_event(hashes, world, time, &words);
        coming = world.next();
    };
    trial.run_with(sink, look).map_err(refused)
}

/// The hash after an event, as a line.
fn hash_of_event(hashes: &mut String, world: &World, time: Instant, words: &str) {
    let (number, hash) = (world.events(), world.hash());
    writeln!(hashes, "{number} {} {hash:016x} {words}", time.as_nanos())
        .expect("a string takes everything");
}

/// The first line that differs, in words.
fn first_difference(mine: &str, other: &str) -> Option<String> {
    let (mut mine, mut other) = (mine.lines(), other.lines());
    loop {
        match (mine.next(), other.next()) {
            (None, None) => return None,
            (mine, other) if mine == other => {}
            (mine, other) => {
                let words = |line: Option<&str>| line.unwrap_or("the end").to_owned();
                return Some(format!("here `{}`, there `{}`", words(mine), words(other)));
            }
        }
    }
}
