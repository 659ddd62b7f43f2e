//! Tapes: everything that was decided in a drawn run, as a text file.
//!
//! ```text
//! raft-sim tape 1
//! seed 4711
//! checker commit_quorum
//! at event 3120, 1844210 us
//! sentence S2 counts 2/14 as committed, which one of three holds
//! hash 0123456789abcdef
//! choices 9121
//! setup 3
//! setup 0
//! node_seed 1234567
//! …
//! ```
//!
//! `seed`, `checker`, `at` and `sentence` are for people; `hash` is that of the run.

use crate::plan::choice::{Choice, Question};
use crate::run::trial::FinishedRun;
use std::fmt::Write as _;

/// The first line of every tape.
pub(crate) const MAGIC: &str = "raft-sim tape 1";

/// No tape of ours comes near.
const MOST_CHOICES: usize = 50_000_000;

/// A tape and what its head says.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Tape {
    /// The lines of the head that are for people, such as `("seed", "4711")`.
    pub head: Vec<(String, String)>,
    /// The hash of the run, if it is stated.
    pub hash: Option<u64>,
    /// Every decision in its order, those of the setup first.
    pub choices: Vec<Choice>,
}

/// A text that is no tape, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TapeError {
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl Tape {
    /// The tape of a run that was recorded, with its seed if it had one.
    pub fn of(finished: &FinishedRun, seed: Option<u64>) -> Self {
        let mut head = Vec::new();
        let mut say = |key: &str, value: String| head.push((key.to_owned(), value));
        if let Some(seed) = seed {
            say("seed", seed.to_string());
        }
        if let Err(violation) = &finished.outcome.verdict {
            say("checker", violation.checker.to_owned());
            let micros = violation.time.as_nanos() / 1_000;
            say("at", format!("event {}, {micros} us", violation.event));
            say("sentence", violation.sentence.replace(['\n', '\r'], " "));
        }
        Self { head, hash: Some(finished.outcome.hash), choices: finished.tape.clone() }
    }

    /// What the head says under this name.
    pub fn said(&self, key: &str) -> Option<&str> {
        self.head.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The file.
    pub fn write(&self) -> String {
        let mut text = format!("{MAGIC}\n");
        let mut line = |words: std::fmt::Arguments<'_>| {
            writeln!(text, "{words}").expect("a string takes everything");
        };
        for (key, value) in &self.head {
            line(format_args!("{key} {value}"));
        }
        if let Some(hash) = self.hash {
            line(format_args!("hash {hash:016x}"));
        }
        line(format_args!("choices {}", self.choices.len()));
        for Choice { question, answer } in &self.choices {
            line(format_args!("{} {answer}", question.name()));
        }
        text
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The first line that is wrong.
    pub fn read(text: &str) -> Result<Self, TapeError> {
        let mut lines = (1..).zip(text.lines());
        let wrong = |line, what: &str| Err(TapeError { line, what: what.to_owned() });
        if lines.next().map(|(_, line)| line) != Some(MAGIC) {
            return wrong(1, &format!("expected `{MAGIC}`"));
        }
        let mut tape = Self::default();
        let mut expected = None;
        let mut last = 1;
        for (number, line) in lines.by_ref() {
            last = number;
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "choices" => {
                    let count = value.parse::<usize>().ok().filter(|count| *count <= MOST_CHOICES);
                    let Some(count) = count else {
                        return wrong(number, "expected how many choices follow");
                    };
                    expected = Some(count);
                    break;
                }
                "hash" => match u64::from_str_radix(value, 16) {
                    Ok(hash) => tape.hash = Some(hash),
                    Err(_) => return wrong(number, "expected a hash of 16 hexadecimal digits"),
                },
                "" => return wrong(number, "expected a word such as `seed` or `choices`"),
                _ => tape.head.push((key.to_owned(), value.to_owned())),
            }
        }
        let Some(expected) = expected else {
            return wrong(last + 1, "expected `choices` and their number");
        };
        for (number, line) in lines {
            last = number;
            tape.choices.push(choice(line).map_err(|what| TapeError { line: number, what })?);
        }
        if tape.choices.len() != expected {
            let what = format!("expected {expected} choices, found {}", tape.choices.len());
            return wrong(last + 1, &what);
        }
        Ok(tape)
    }
}

fn choice(line: &str) -> Result<Choice, String> {
    let wanted = || format!("expected a question and its answer, found `{}`", shortened(line));
    let (name, answer) = line.split_once(' ').ok_or_else(wanted)?;
    let question = Question::named(name)
        .ok_or_else(|| format!("no question is named `{}`", shortened(name)))?;
    let is_number = answer.bytes().all(|byte| byte.is_ascii_digit());
    let answer = answer.parse().ok().filter(|_| is_number).ok_or_else(wanted)?;
    Ok(Choice { question, answer })
}

/// A hostile line is not repeated whole, and moves no cursor.
fn shortened(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::{MAGIC, Tape};
    use crate::plan::choice::{Choice, Choices, Question};
    use crate::plan::record::Nobody;
    use crate::run::trial::Trial;

    #[test]
    fn a_tape_is_read_as_it_was_written() {
        let finished = Trial::drawn(Choices::seeded(3).recorded()).run(&mut Nobody).expect("sense");
        let tape = Tape::of(&finished, Some(3));
        assert_eq!(Tape::read(&tape.write()), Ok(tape.clone()));
        assert_eq!((tape.said("seed"), tape.said("checker")), (Some("3"), None));
        assert!(tape.choices.len() > 1000);
    }

    #[test]
    fn a_hostile_file_is_refused_with_its_line() {
        let cases = [
            ("", 1, "expected `raft-sim tape 1`"),
            ("raft-sim tape 2\nchoices 0\n", 1, "expected `raft-sim tape 1`"),
            ("MAGIC", 2, "expected `choices` and their number"),
            ("MAGIC\nseed 3\n", 3, "expected `choices` and their number"),
            ("MAGIC\n\nchoices 0", 2, "expected a word"),
            ("MAGIC\nhash xyz\nchoices 0", 2, "16 hexadecimal digits"),
            ("MAGIC\nchoices -1\n", 2, "how many choices"),
            ("MAGIC\nchoices 99999999999999999999\n", 2, "how many choices"),
            ("MAGIC\nchoices 1\n", 3, "expected 1 choices, found 0"),
            ("MAGIC\nchoices 1\ndelay 1\ndelay 2", 5, "expected 1 choices, found 2"),
            ("MAGIC\nchoices 1\ndelay", 3, "a question and its answer, found `delay`"),
            ("MAGIC\nchoices 1\ndelay +1", 3, "a question and its answer"),
            ("MAGIC\nchoices 1\ndelay 18446744073709551616", 3, "a question and its answer"),
            ("MAGIC\nchoices 1\n\u{1b}[2J 3", 3, "no question is named `\\u{1b}[2J`"),
        ];
        for (text, line, words) in cases {
            let error = Tape::read(&text.replace("MAGIC", MAGIC)).expect_err(text);
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn every_answer_is_written_whole() {
        let choices = [0, 1, u64::MAX].map(|answer| Choice { question: Question::Delay, answer });
        let tape = Tape { choices: choices.to_vec(), ..Tape::default() };
        assert_eq!(Tape::read(&tape.write()), Ok(tape));
    }
}
