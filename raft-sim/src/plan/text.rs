//! Small things that every text needs.

use raft_core::{Instant, NodeId, Protection};
use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::time::Duration;

/// Somebody else's words as they may be sent to a terminal: a control character is spelt out.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let spelt = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    Cow::Owned(text.chars().map(spelt).collect())
}

/// The text in lines of at most `room` columns, where its words allow it.
pub(crate) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A number with a space before each three digits.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn instant(since_start: Duration) -> Instant {
    Instant::ZERO.saturating_add(since_start)
}

pub(crate) fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().ok()).flatten()
}

/// Reads a duration as a scenario file spells it, such as `150 ms`.
pub(crate) fn read_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit);
    let nanos: u64 = match unit.trim() {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut sum = digits(whole)?.checked_mul(nanos)?;
    let mut unit = nanos;
    for digit in fraction.chars() {
        if !unit.is_multiple_of(10) {
            return None;
        }
        unit /= 10;
        sum = sum.checked_add(u64::from(digit.to_digit(10)?) * unit)?;
    }
    // A century is longer than any run, and far from the end of the clocks.
    (sum < 100 * 365 * 86_400 * 1_000_000_000).then(|| Duration::from_nanos(sum))
}

/// In the greatest unit in which it is a whole number.
pub(crate) fn time(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let unit = units.into_iter().find(|(unit, _)| nanos.is_multiple_of(*unit));
    let (unit, name) = unit.unwrap_or((1, "ns"));
    format!("{} {name}", nanos / unit)
}

pub(crate) fn moment(at: Instant) -> String {
    time(at.saturating_since(Instant::ZERO))
}

pub(crate) fn span(least: Duration, greatest: Duration) -> String {
    if least == greatest { time(least) } else { format!("{} .. {}", time(least), time(greatest)) }
}

pub(crate) fn quoted(text: impl Display) -> String {
    format!("\"{}\"", escaped(&text.to_string()))
}

pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Nodes joined by commas; `-` for none.
pub(crate) fn group(nodes: &[NodeId]) -> String {
    let names: Vec<_> = nodes.iter().map(|node| format!("{node:?}")).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(",") }
}

/// The name of a protection level, as files, options and tables spell it.
pub const fn level_name(level: Protection) -> &'static str {
    match level {
        Protection::Plain => "plain",
        Protection::PreVote => "pre-vote",
        Protection::Full => "full",
    }
}
