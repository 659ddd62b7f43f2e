//! What a sweep has found, for people.

use crate::checker::coverage::least;
use crate::plan::text::{thousands, visible};
use crate::run::sweep::report::{ENOUGH, Rare, Stopped, SweepFailure, SweepReport, SweepVerdict};
use crate::view::style::{BAD, DIM, LEADER, TITLE, columns};
use std::fmt::Write as _;

/// A failure in one line.
pub fn failure_line(failure: &SweepFailure) -> String {
    let SweepFailure { seed, checker, sentence, event, time_us } = failure;
    format!(
        "{BAD}seed {seed}: {}{BAD:#} at {} µs (event {}): {}",
        visible(checker),
        thousands(*time_us),
        thousands(*event),
        visible(sentence)
    )
}

/// What was run, what was covered, and the verdict.
pub fn summary(report: &SweepReport) -> String {
    summary_within(report, columns())
}

/// The same in so many columns.
fn summary_within(report: &SweepReport, columns: usize) -> String {
    /// Of two rows side by side.
    const BOTH: usize = 98;
    let mut text = String::new();
    let _ = writeln!(text, "{TITLE}coverage{TITLE:#}, over all runs and in how many of them");
    let rows: Vec<String> = report
        .coverage
        .iter()
        .map(|(name, count)| {
            let row =
                format!("{name:24}{:>13}{:>9}", thousands(count.count), thousands(count.runs));
            let is_rare = count.runs == 0 || count.runs < least(name, report.runs());
            if is_rare { format!("{BAD}{row}{BAD:#}") } else { row }
        })
        .collect();
    let half = if columns < BOTH { rows.len() } else { rows.len().div_ceil(2) };
    for (nth, left) in rows[..half].iter().enumerate() {
        let right = rows.get(half + nth).map_or("", String::as_str);
        let _ = writeln!(text, "{}", format!("  {left}    {right}").trim_end());
    }
    let _ = writeln!(text, "\n{}{}", seldom(report), figures(report));
    let _ = writeln!(text, "{DIM}digest {:016x}, build {}{DIM:#}", report.digest, report.build);
    text + &excused(report) + &late(report) + &verdict(report)
}

/// What was covered in no run, and in the fewest: what the sweep says least about.
fn seldom(report: &SweepReport) -> String {
    const MOST: usize = 8;
    let (never, rest): (Vec<_>, Vec<_>) =
        report.coverage.iter().partition(|(_, count)| count.runs == 0);
    let mut text = String::new();
    if !never.is_empty() {
        let names: Vec<_> = never.iter().take(MOST).map(|(name, _)| (*name).clone()).collect();
        let more = never.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text += &paragraph("never covered: ", &names, &more);
    }
    let mut rest: Vec<_> = rest.iter().map(|(name, count)| (count.runs, *name)).collect();
    rest.sort_unstable();
    let of = |(runs, name): &(u64, &String)| format!("{name} {}", thousands(*runs));
    let items: Vec<_> = rest.iter().take(MOST).map(of).collect();
    text + &paragraph("rarest, and in how many runs: ", &items, "")
}

/// A list of words in lines of no more than 98 columns.
fn paragraph(begin: &str, items: &[String], end: &str) -> String {
    const WIDTH: usize = 98;
    let mut lines = vec![begin.to_owned()];
    for (nth, item) in items.iter().enumerate() {
        let is_last = nth + 1 == items.len();
        let item = format!("{item}{}", if is_last { end } else { ", " });
        let line = lines.last_mut().expect("there is one");
        if line.len() + item.len() > WIDTH {
            lines.push(format!("    {item}"));
        } else {
            *line += &item;
        }
    }
    lines.iter().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// How many runs need not converge, and why; nothing if there are none.
fn excused(report: &SweepReport) -> String {
    if report.excused.is_empty() {
        return String::new();
    }
    let by_cause = report.excused.iter();
    let by_cause: Vec<_> =
        by_cause.map(|(cause, runs)| format!("{} {cause}", thousands(*runs))).collect();
    let all = thousands(report.excused.values().sum());
    let by_cause = by_cause.join(", ");
    format!("excused from converging, as a quorum of disks was lost: {all} runs ({by_cause})\n")
}

/// How often leaders came late, see `docs/LIVENESS.md`; nothing if none had to come.
fn late(report: &SweepReport) -> String {
    let of_each = report.late.iter().filter_map(|(name, late)| {
        let runs = report.coverage.get(name).filter(|count| count.runs > 0)?.runs;
        Some(format!("{} of {} runs with {name}", thousands(*late), thousands(runs)))
    });
    let of_each: Vec<_> = of_each.collect();
    if of_each.is_empty() {
        return String::new();
    }
    format!("leaders came late in {}\n", of_each.join(", "))
}

fn figures(report: &SweepReport) -> String {
    let (runs, seeds) = (thousands(report.runs()), report.seeds);
    let per_second = |count: u64| {
        count.checked_mul(1_000).and_then(|count| count.checked_div(report.elapsed_ms))
    };
    let rate = per_second(report.events)
        .map_or(String::new(), |rate| format!(" ({} a second)", thousands(rate)));
    let faster = (report.simulated_us / 1_000).checked_div(report.elapsed_ms);
    let faster =
        faster.map_or(String::new(), |times| format!(" ({} times as fast)", thousands(times)));
    format!(
        "{runs} runs, seeds {seeds}: {} events in {}{rate}, {} s simulated{faster}",
        thousands(report.events),
        seconds(report.elapsed_ms),
        thousands(report.simulated_us / 1_000_000),
    )
}

fn verdict(report: &SweepReport) -> String {
    let mut text = String::new();
    let rest = format!("the seeds {}..{} were not run", report.seeds.end, report.planned.end);
    match report.stopped {
        Some(Stopped::Interrupted) => {
            let _ = writeln!(text, "{BAD}interrupted{BAD:#}: {rest}");
        }
        Some(Stopped::Failures) => {
            let _ = writeln!(text, "stopped at the failures: {rest}");
        }
        Some(Stopped::Time) if report.planned.end != u64::MAX => {
            let _ = writeln!(text, "the time is over: {rest}");
        }
        Some(Stopped::Time) | None => {}
    }
    let words = match report.verdict() {
        SweepVerdict::Clean => {
            format!("{LEADER}clean{LEADER:#}: no property is broken, and everything was covered")
        }
        SweepVerdict::Few => format!(
            "{LEADER}clean{LEADER:#}: no property is broken (fewer than {} runs need not cover \
             everything)",
            thousands(ENOUGH)
        ),
        SweepVerdict::Violated => {
            format!("{BAD}violated{BAD:#}: {} runs broke a property", report.failures.len())
        }
        SweepVerdict::TooOften(what) => {
            format!("{BAD}too often{BAD:#}: no property is broken, but {what}")
        }
        SweepVerdict::Vacuous(rare) => {
            let of = |Rare { name, runs, least }: &Rare| {
                format!("{name} in {} runs, not {}", thousands(*runs), thousands(*least))
            };
            let rare: Vec<_> = rare.iter().map(of).collect();
            let rare = rare.join("; ");
            let begin = format!("{BAD}vacuous{BAD:#}: no property is broken, but this was");
            format!("{begin} covered too seldom: {rare}")
        }
    };
    let _ = writeln!(text, "{words}");
    text
}

/// A duration in seconds, with one place behind the point.
fn seconds(millis: u64) -> String {
    format!("{}.{} s", thousands(millis / 1_000), millis % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::{summary, summary_within};
    use crate::plan::text::thousands;
    use crate::run::sweep::report::{Seeds, Stopped, SweepReport};
    use crate::run::sweep::run_seed;

    #[test]
    fn numbers_are_grouped() {
        let all = [0, 999, 1_000, 12_345_678].map(thousands);
        assert_eq!(all, ["0", "999", "1 000", "12 345 678"]);
    }

    #[test]
    fn the_table_fits_a_narrow_terminal_and_a_broad_one_has_two_columns() {
        let mut report = SweepReport::new("b".to_owned(), Seeds { first: 0, end: 1 });
        report.take(&run_seed(0));
        let table = |columns| {
            let text = summary_within(&report, columns);
            let text = anstream::adapter::strip_str(&text).to_string();
            let rows = text.lines().skip(1).take_while(|line| !line.is_empty());
            rows.map(|line| line.chars().count()).collect::<Vec<_>>()
        };
        let (narrow, broad) = (table(60), table(100));
        assert_eq!(narrow.len(), report.coverage.len());
        assert_eq!(broad.len(), narrow.len().div_ceil(2));
        assert!(narrow.iter().all(|width| *width <= 60) && broad.iter().all(|width| *width <= 100));
    }

    #[test]
    fn a_summary_fits_the_page_and_says_what_was_not_done() {
        let mut report = SweepReport::new("b".to_owned(), Seeds { first: 0, end: 9 });
        (0..3).for_each(|seed| report.take(&run_seed(seed)));
        (report.elapsed_ms, report.stopped) = (1_234, Some(Stopped::Interrupted));
        let text = anstream::adapter::strip_str(&summary(&report)).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains("3 runs, seeds 0..3: "), "{text}");
        assert!(text.contains(" in 1.2 s ("), "{text}");
        assert!(text.contains("interrupted: the seeds 3..9 were not run"), "{text}");
        assert!(text.ends_with("need not cover everything)\n"), "{text}");
    }
}
