//! How text looks on a terminal. Elsewhere it is printed without.

use anstyle::{AnsiColor, Style};

/// Ordinary text.
pub(crate) const PLAIN: Style = Style::new();
/// What is of less weight.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Headings, and what was done to the world.
pub(crate) const TITLE: Style = Style::new().bold();
/// Leaders, and what is as expected.
pub(crate) const LEADER: Style = AnsiColor::Green.on_default().bold();
/// Candidates.
pub(crate) const ASKING: Style = AnsiColor::Yellow.on_default();
/// Losses, and what is not as expected.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();

/// The greatest number of columns.
pub(crate) const WIDTH: usize = 100;

/// How many columns there are: those of the terminal, if the standard output is one, and never more
/// than [`WIDTH`].
#[cfg(feature = "cli")]
pub(crate) fn columns() -> usize {
    fitting(terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0))
}

/// Without the command there is no terminal to ask.
#[cfg(not(feature = "cli"))]
pub(crate) fn columns() -> usize {
    fitting(None)
}

/// Below 40 columns a terminal breaks the lines as well as we could.
fn fitting(terminal: Option<u16>) -> usize {
    terminal.map_or(WIDTH, |columns| usize::from(columns).clamp(40, WIDTH))
}

#[cfg(test)]
mod tests {
    use super::fitting;
    use crate::plan::text::visible;

    #[test]
    fn a_narrow_terminal_gets_narrow_lines() {
        assert_eq!([None, Some(300), Some(80), Some(3)].map(fitting), [100, 100, 80, 40]);
    }

    #[test]
    fn a_control_character_is_spelt_out() {
        assert_eq!(visible("a é µ"), "a é µ");
        assert_eq!(visible("a\u{1b}[2J\nb\u{9b}"), "a\\u{1b}[2J\\nb\\u{9b}");
    }
}
