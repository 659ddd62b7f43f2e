//! The small words of a scenario file: durations, ranges, nodes, positions.

use crate::plan::text::{digits, level_name, read_duration};
use raft_core::{LogIndex, LogPosition, NodeId, Protection, RoleKind, Term};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// A value that is written as one string, or as a number where that is a string without quotes.
pub(super) trait Word: Sized {
    /// What the reader was to find, as the end of "expected …".
    const EXPECTED: &'static str;

    /// The value of a text; `None` if it has none.
    fn read(text: &str) -> Option<Self>;
}

/// A [`Word`] as serde sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: Word> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<T: Word> Visitor<'_> for Reader<T> {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<T>, E> {
                let found = || E::custom(format!("expected {}, found `{text}`", T::EXPECTED));
                T::read(text).map(Text).ok_or_else(found)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Text<T>, E> {
                self.visit_str(&number.to_string())
            }
        }

        from.deserialize_any(Reader(PhantomData))
    }
}

impl Word for Duration {
    const EXPECTED: &'static str = "a duration such as \"150 ms\" (units: ns, us, ms, s)";

    fn read(text: &str) -> Option<Self> {
        read_duration(text)
    }
}

/// From the least to the greatest value, both included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Range<T> {
    /// The least value.
    pub least: T,
    /// The greatest value; `None` for no limit.
    pub greatest: Option<T>,
}

impl<T: Ord> Range<T> {
    /// Whether the value lies in the range.
    pub fn contains(&self, value: &T) -> bool {
        self.least <= *value && self.greatest.as_ref().is_none_or(|greatest| value <= greatest)
    }
}

fn range<T: Word + Ord + Copy + Default>(text: &str) -> Option<Range<T>> {
    let Some((least, greatest)) = text.split_once("..") else {
        let only = T::read(text)?;
        return Some(Range { least: only, greatest: Some(only) });
    };
    let blank = |text: &str| text.trim().is_empty();
    if blank(least) && blank(greatest) {
        return None;
    }
    let least = if blank(least) { T::default() } else { T::read(least)? };
    let greatest = if blank(greatest) { None } else { Some(T::read(greatest)?) };
    greatest.is_none_or(|greatest| least <= greatest).then_some(Range { least, greatest })
}

impl Word for u64 {
    const EXPECTED: &'static str = "a number";

    fn read(text: &str) -> Option<Self> {
        digits(text.trim())
    }
}

/// An answer to a question: a number, or a duration in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Number(pub(super) u64);

impl Word for Number {
    const EXPECTED: &'static str = "a number, or a duration such as \"3 ms\"";

    fn read(text: &str) -> Option<Self> {
        let duration = || u64::try_from(Duration::read(text)?.as_nanos()).ok();
        u64::read(text).or_else(duration).map(Self)
    }
}

impl Word for Range<u64> {
    const EXPECTED: &'static str = "a number or a range such as 3, \"1..\", \"..4\" or \"1..4\"";

    fn read(text: &str) -> Option<Self> {
        range(text)
    }
}

impl Word for Range<Duration> {
    const EXPECTED: &'static str =
        "a duration or a range such as \"5 ms\", \"1 s ..\", \".. 2 s\" or \"1 ms .. 5 ms\"";

    fn read(text: &str) -> Option<Self> {
        range(text)
    }
}

impl Word for NodeId {
    const EXPECTED: &'static str = "a node such as \"S1\"";

    fn read(text: &str) -> Option<Self> {
        digits(text.trim().strip_prefix('S')?).map(NodeId)
    }
}

impl Word for LogPosition {
    const EXPECTED: &'static str = "a position in the log, term/index, such as \"2/5\"";

    fn read(text: &str) -> Option<Self> {
        let (term, index) = text.split_once('/')?;
        Some(Self::new(Term(u64::read(term)?), LogIndex(u64::read(index)?)))
    }
}

/// Entries of one term.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LogRun {
    /// How many.
    pub(super) count: u64,
    /// Their term.
    pub(super) term: u64,
}

impl Word for LogRun {
    const EXPECTED: &'static str = "entries of one term such as \"3 of term 2\"";

    fn read(text: &str) -> Option<Self> {
        let (count, term) = text.split_once(" of term ")?;
        let run = Self { count: u64::read(count)?, term: u64::read(term)? };
        (run.count > 0 && run.term > 0).then_some(run)
    }
}

impl Word for Protection {
    const EXPECTED: &'static str = "a protection level: \"plain\", \"pre-vote\" or \"full\"";

    fn read(text: &str) -> Option<Self> {
        LEVELS.into_iter().find(|level| level_name(*level) == text)
    }
}

impl Word for RoleKind {
    const EXPECTED: &'static str =
        "a role: \"follower\", \"pre_candidate\", \"candidate\" or \"leader\"";

    fn read(text: &str) -> Option<Self> {
        [Self::Follower, Self::PreCandidate, Self::Candidate, Self::Leader]
            .into_iter()
            .find(|role| role.name() == text)
    }
}

/// The protection levels, the weakest first.
pub const LEVELS: [Protection; 3] = [Protection::Plain, Protection::PreVote, Protection::Full];

/// Reads a duration as a scenario file spells it.
#[cfg(feature = "cli")]
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || format!("expected {}", <Duration as Word>::EXPECTED);
    <Duration as Word>::read(text).ok_or_else(wanted)
}

#[cfg(test)]
mod tests {
    use super::{LogRun, Range, Word};
    use raft_core::{LogIndex, LogPosition, NodeId, Protection, Term};
    use std::time::Duration;

    #[test]
    fn durations_are_exact() {
        let read = |text| Duration::read(text).map(|d| d.as_nanos());
        assert_eq!(read("150 ms"), Some(150_000_000));
        assert_eq!(read("150ms"), Some(150_000_000));
        assert_eq!(read("1.5 s"), Some(1_500_000_000));
        assert_eq!(read("0.25 us"), Some(250));
        for wrong in ["", "5", "ms", "1.5 ns", "-1 s", "1,5 s", "1 h", "99999999999 s", "1..2 s"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ranges_include_both_ends() {
        let read = Range::<u64>::read;
        let range = read("2..4").expect("a range");
        assert_eq!([1, 2, 4, 5].map(|n| range.contains(&n)), [false, true, true, false]);
        assert!(read("3..").is_some_and(|r| r.contains(&u64::MAX) && !r.contains(&2)));
        assert!(read("..3").is_some_and(|r| r.contains(&0) && !r.contains(&4)));
        assert!(read("7").is_some_and(|r| r.contains(&7) && !r.contains(&8)));
        for wrong in ["..", "4..2", "a..b", "1...2"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nodes_positions_runs_and_levels_are_read_as_they_are_written() {
        assert_eq!(NodeId::read("S12"), Some(NodeId(12)));
        assert_eq!(NodeId::read("12"), None);
        let position = LogPosition::new(Term(2), LogIndex(5));
        assert_eq!(LogPosition::read("2/5"), Some(position));
        assert_eq!(LogRun::read("3 of term 2"), Some(LogRun { count: 3, term: 2 }));
        assert_eq!(LogRun::read("0 of term 2"), None);
        assert_eq!(Protection::read("pre-vote"), Some(Protection::PreVote));
    }
}
