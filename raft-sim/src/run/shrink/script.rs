//! A shrunk run as a script: a scenario file that says what it shows.

use crate::plan::choice::Answers;
use crate::plan::setup::Setup;
use crate::plan::text::thousands;
use crate::run::shrink::case::{Shrunk, Size};
use crate::scenario::model::Script;
use crate::scenario::write;
use crate::scenario::write::{Unwritable, Words};

/// The file. `origin` says where the run was found, such as `seed 4711`.
///
/// # Errors
///
/// A setup for which the format has no words.
pub fn script(shrunk: &Shrunk, origin: &str) -> Result<String, Unwritable> {
    let Shrunk { case, violation, before, after, runs, minimal } = shrunk;
    let checker = violation.checker;
    let minimal = if *minimal {
        "Nothing can be left out: without any one of its faults, clients, nodes and decisions\n\
         nothing was broken."
    } else {
        "The budget ended before everything was tried: perhaps something can be left out."
    };
    let comment = format!(
        "Found by {origin}, shrunk by `raft-sim shrink` in {} runs:\n{}\n{minimal}\n\
         `raft-sim replay FILE` plays it; as a regression it expects that nothing is broken.",
        thousands(*runs),
        sizes(before, after),
    );
    let title = format!("{checker} was broken once");
    let story = wrapped(&one_line(&violation.sentence), 98);
    let words = Words { comment: &comment, title: &title, story: &story, broke: Some(checker) };
    write(words, &case.setup, &Script::Answers(case.answers.clone()), case.converges)
}

/// How long the script of a setup is; what has no words is longer than everything.
pub(super) fn length(setup: &Setup, converges: bool) -> usize {
    let default = Script::Answers(Answers::default());
    write(Words::default(), setup, &default, converges).map_or(usize::MAX / 2, |text| text.len())
}

/// How big a run was, and is.
pub fn sizes(before: &Size, after: &Size) -> String {
    let count = |count: usize| thousands(u64::try_from(count).unwrap_or(u64::MAX));
    let millis = |size: &Size| thousands(u64::try_from(size.duration.as_millis()).unwrap_or(0));
    format!(
        "events {} -> {}, faults {} -> {}, nodes {} -> {}, clients {} -> {},\n\
         decisions {} -> {}, simulated ms {} -> {}.",
        thousands(before.events),
        thousands(after.events),
        count(before.faults),
        count(after.faults),
        count(before.nodes),
        count(after.nodes),
        count(before.clients),
        count(after.clients),
        count(before.decisions),
        count(after.decisions),
        millis(before),
        millis(after),
    )
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}
