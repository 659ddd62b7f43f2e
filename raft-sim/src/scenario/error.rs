//! What is wrong with a scenario file, where, and what was expected there.

use crate::plan::text::visible;
use std::fmt;
use std::ops::Range;

/// A scenario file that cannot be used: file, line, column, what was expected, and the line itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenarioError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1 on.
    pub line: usize,
    /// The column, from 1 on, in characters.
    pub column: usize,
    /// What was expected, and what was found.
    pub message: String,
    text: String,
    width: usize,
}

impl ScenarioError {
    /// The mistake at the bytes `span` of the text.
    pub(super) fn new(file: &str, text: &str, span: Range<usize>, message: String) -> Self {
        let start = floor(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = floor(text, span.end.clamp(start, line_end));
        Self {
            file: file.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            message,
            // One letter for one, so that the mark stands below its place.
            text: text[line_start..line_end].trim_end().replace(char::is_control, " "),
            width: text[start..end].chars().count().max(1),
        }
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, text, width } = self;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{file}:{line}:{column}: {}", visible(message))?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {text}")?;
        write!(f, "{margin} | {}{}", " ".repeat(column - 1), "^".repeat(*width))
    }
}

impl std::error::Error for ScenarioError {}

/// The next place at or below `at` where a character begins.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::ScenarioError;

    #[test]
    fn no_control_character_of_a_file_is_shown() {
        let text = "a = \"\u{1b}[2J\"\n";
        let error = ScenarioError::new("x", text, 5..6, "found `\u{1b}[2J`".into()).to_string();
        assert!(error.lines().all(|line| !line.contains(char::is_control)), "{error:?}");
        assert!(error.contains("found `\\u{1b}[2J`"), "{error:?}");
    }

    #[test]
    fn a_mistake_is_shown_in_its_line() {
        let text = "a = 1\nbé = \"S7\"\n";
        let error = ScenarioError::new("x.toml", text, 12..16, "expected a node".into());
        let lines = ["x.toml:2:6: expected a node", "  |", "2 | bé = \"S7\"", "  |      ^^^^"];
        assert_eq!(error.to_string(), lines.join("\n"));
    }

    #[test]
    fn a_mistake_at_the_end_of_the_file_is_shown_too() {
        let error = ScenarioError::new("x.toml", "a =", 90..95, "expected a value".into());
        assert_eq!((error.line, error.column), (1, 4));
    }
}
