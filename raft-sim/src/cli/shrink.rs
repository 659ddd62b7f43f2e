//! `raft-sim shrink`: from a failure to a script from which nothing can be left out.

use crate::cli::progress::Progress;
use crate::cli::replay::load;
use crate::cli::{Failure, file};
use crate::plan::text::thousands;
use crate::run::shrink::case::ShrinkError;
use crate::run::shrink::script;
use crate::run::shrink::script::sizes;
use crate::run::shrink::search::shrink;
use crate::run::sweep::report::Seeds;
use crate::view::style::{BAD, DIM, LEADER};
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// Shrinks a failure to a short script from which nothing can be left out.
///
/// The script is a scenario file: `raft-sim replay` plays it. In raft-sim/regressions/ it becomes a
/// test that holds once the bug is gone. A picture of it, for a browser, is written beside it.
#[derive(clap::Args, Debug)]
pub(super) struct ShrinkArguments {
    /// A tape of `sweep`, or a script
    file: PathBuf,
    /// Where the script is written [default: beside the file, with the ending .toml]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How many runs it may take
    #[arg(long, default_value_t = 20_000, value_name = "RUNS")]
    budget: u64,
}

pub(super) fn command(what: &ShrinkArguments, out: &mut impl Write) -> Result<bool, Failure> {
    let source = load(&what.file)?;
    let origin = source.seed.map_or_else(|| source.name.clone(), |seed| format!("seed {seed}"));
    let mut progress = Progress::new(Seeds { first: 0, end: what.budget }, "runs at most");
    let shrunk = shrink(source.trial, what.budget, &mut |runs, size| {
        progress.show(runs, &format!(", {} events", thousands(size.events)));
    });
    progress.finish();
    let shrunk = match shrunk {
        Ok(shrunk) => shrunk,
        Err(ShrinkError::Clean) => {
            writeln!(out, "{LEADER}no property is broken{LEADER:#}: there is nothing to shrink")?;
            return Ok(true);
        }
        Err(error) => return Err(Failure::Usage(error.to_string())),
    };
    let text = script(&shrunk, &origin).map_err(|error| Failure::Usage(error.to_string()))?;
    let path = what.out.clone().unwrap_or_else(|| {
        let beside = what.file.with_extension("toml");
        if beside == what.file { what.file.with_extension("shrunk.toml") } else { beside }
    });
    file(&path, fs::write(&path, text))?;
    let page = path.with_extension("html");
    let played = load(&path)?.picture(&path)?;
    file(&page, fs::write(&page, played))?;
    writeln!(out, "{BAD}violated{BAD:#}: {}", shrunk.violation)?;
    writeln!(out, "{}", sizes(&shrunk.before, &shrunk.after))?;
    let minimal = if shrunk.minimal {
        "nothing can be left out"
    } else {
        "the budget ended first: perhaps something can be left out"
    };
    writeln!(out, "{DIM}{} runs; {minimal}{DIM:#}", thousands(shrunk.runs))?;
    writeln!(out, "    raft-sim replay {} --timeline", path.display())?;
    writeln!(out, "    the picture: {}", page.display())?;
    Ok(false)
}
