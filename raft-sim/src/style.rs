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
