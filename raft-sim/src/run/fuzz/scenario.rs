//! Scenario files from bytes.

use crate::plan::choice::Choices;
use crate::plan::record::Nobody;
use crate::plan::setup::Setup;
use crate::scenario::error::ScenarioError;
use crate::scenario::model::{Scenario, Script};
use crate::scenario::write::{Words, write};
use crate::world::World;
use raft_core::{Instant, Protection};

/// How many things happen in a run at most: what is looked for is in the reading.
const EVENTS: u64 = 200;

/// Scenario files from bytes.
///
/// # Panics
///
/// If reading, writing or running panics; if an error names a line that is not there; if a file
/// that is read is not written and read back as the same setup, script and words.
pub fn fuzz_scenario(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = scenario(text);
    }
}

fn scenario(text: &str) -> Result<Scenario, ScenarioError> {
    let read = Scenario::read("fuzzed", "fuzzed.toml", text).inspect_err(|error| {
        let lines = text.matches('\n').count() + 1;
        assert!((1..=lines).contains(&error.line), "line {} of {lines}", error.line);
        let shown = error.to_string();
        let printable = shown.lines().all(|line| !line.contains(char::is_control));
        assert!(printable, "an error can be shown: {shown:?}");
    })?;
    for level in &read.levels {
        let setup = read.setup(*level);
        assert_eq!(setup.check(), Ok(()), "what is read makes sense");
        there_and_back(&read, &setup);
    }
    if let Some(level) = read.levels.first() {
        run(&read, *level);
    }
    Ok(read)
}

/// What can be written is read back as the same.
fn there_and_back(scenario: &Scenario, setup: &Setup) {
    let words = Words {
        comment: "fuzzed",
        title: &scenario.title,
        story: &scenario.story,
        broke: scenario.broke.as_deref(),
    };
    let script = scenario.script.clone().unwrap_or(Script::Seed(1));
    let Ok(text) = write(words, setup, &script, scenario.converges) else { return };
    let again = Scenario::read("fuzzed", "written.toml", &text)
        .unwrap_or_else(|error| panic!("what was written is read: {error}\n{text}"));
    assert_eq!(again.setup(setup.protection), *setup, "the same setup:\n{text}");
    assert_eq!(again.levels, [setup.protection], "the same level:\n{text}");
    assert_eq!(again.script, Some(script), "the same script:\n{text}");
    assert_eq!(again.title, scenario.title, "the same title:\n{text}");
    assert_eq!(again.story, scenario.story, "the same story:\n{text}");
    assert_eq!(again.broke, scenario.broke, "the same alarm:\n{text}");
    assert_eq!(again.converges, scenario.converges, "the same end:\n{text}");
}

/// Runs it for a while. A file may break what it likes, so alarms of the checkers mean nothing.
fn run(scenario: &Scenario, level: Protection) {
    let setup = scenario.setup(level);
    // A run of a large cluster tells no more of the file, and takes long.
    if setup.nodes.len() > 9 {
        return;
    }
    let choices: Choices = scenario.choices(1);
    let mut world = World::new(&setup, choices).expect("what is read makes sense");
    let end = Instant::ZERO.saturating_add(setup.duration);
    while world.events() < EVENTS && world.advance(end, &mut Nobody) == Ok(true) {}
}

/// Inputs to begin with: the scenarios that come with the simulator.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    Scenario::built_in().map(|scenario| scenario.text.into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::{fuzz_scenario, scenario, seeds};
    use crate::plan::choice::{Choices, Question};

    #[test]
    fn our_own_scenarios_are_read_written_and_run() {
        for seed in seeds() {
            let text = String::from_utf8(seed).expect("text");
            scenario(&text).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn files_with_a_line_less_or_a_letter_changed_are_refused_or_stand_everything() {
        let mut choices = Choices::seeded(1);
        let mut below = |bound: usize| {
            let bound = u64::try_from(bound).expect("a small bound");
            usize::try_from(choices.below(Question::Input, bound)).expect("a small number")
        };
        for seed in seeds() {
            for _ in 0..4 {
                let mut bytes = seed.clone();
                let at = below(bytes.len());
                bytes[at] = b"0129 \"=[]{}-.SmsE\n"[below(18)];
                fuzz_scenario(&bytes);
                let text = String::from_utf8(seed.clone()).expect("text");
                let gone = below(text.lines().count());
                let rest = text.lines().enumerate().filter(|(nth, _)| *nth != gone);
                let rest: Vec<_> = rest.map(|(_, line)| line).collect();
                fuzz_scenario(rest.join("\n").as_bytes());
            }
        }
    }
}
