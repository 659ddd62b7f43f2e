//! What was seen, as text for a person: at most 100 columns, fewer where the
//! terminal has fewer, colours where the terminal wants
//! them.

use crate::plan::text::{level_name, visible, wrapped};
use crate::run::gauge::{Gauged, Quantity, Spread};
use crate::run::measure::Measured;
use crate::run::observe::{Figures, Leadership};
use crate::run::play::Played;
use crate::scenario::model::Scenario;
use crate::view::style::{BAD, DIM, LEADER, TITLE, WIDTH, columns};
use raft_core::{NodeId, Protection};
use std::fmt::Write as _;

const INDENT: &str = "  ";
const NAME: usize = 30;

/// A row of the table: what it counts, and how it reads off the figures of a run.
type Row = (&'static str, fn(&Figures) -> Option<String>);

const ROWS: [Row; 5] = [
    ("elections held", |figures| Some(figures.elections.to_string())),
    ("highest term", |figures| Some(figures.highest_term.to_string())),
    ("leader changes", |figures| Some(figures.leader_changes.to_string())),
    ("time without a leader that can commit", |figures| {
        Some(format!("{} ms", figures.leaderless.as_millis()))
    }),
    ("the previous leader still leads after the heal", still_leads),
];

/// What a stranger needs to know before the first table.
pub(crate) fn introduction(seed: u64) -> String {
    let text = format!(
        "Three ways to protect a working leader from elections that nobody needs, side by side: \
         plain, the Raft paper and no more; pre-vote, where a node asks whether it would win \
         before it raises its term; and full, which is pre-vote, voters who refuse while they hear \
         a leader, and a leader who steps down when it hears no quorum. N1 to N16 are the rules of \
         the notes. Seed {seed}."
    );
    indented(&text, "") + "\n"
}

/// What stands above the lines of the other scenarios.
pub(crate) fn the_others() -> String {
    let text = "The other cases, each in every protection level that it is made for, and in as \
                many rotations of which node plays which part as its line says. An *alarm* is to \
                be raised where the scenario shows what must not be done; *beyond* asks for more \
                than plain Raft can do.";
    indented(text, "") + "\n"
}

/// A scenario with its protection levels side by side, and whether all is as expected. The figures
/// are those of the parts as they are written.
pub(crate) fn side_by_side(scenario: &Scenario, plays: &[Played]) -> String {
    let as_written: Vec<_> = plays.iter().filter(|play| play.rotation == 0).cloned().collect();
    table(scenario, &as_written) + &verdict(scenario, plays)
}

fn table(scenario: &Scenario, plays: &[Played]) -> String {
    let mut text = heading(scenario);
    let (label, column) = table_columns(columns());
    let names = plays.iter().map(|play| format!("{:>column$}", level_name(play.level)));
    let names = names.collect::<String>();
    let timeout = scenario.election_timeout().as_millis();
    let timeout = format!("election timeout {timeout} ms");
    let _ = writeln!(text, "\n{INDENT}{DIM}{timeout:label$}{DIM:#}{TITLE}{names}{TITLE:#}");
    for (name, value) in ROWS {
        let values: Vec<_> = plays.iter().filter_map(|play| value(&play.figures)).collect();
        if values.len() == plays.len() {
            let values = values.iter().map(|value| format!("{value:>column$}"));
            let _ = writeln!(text, "{INDENT}{name:label$}{}", values.collect::<String>());
        }
    }
    let notes = scenario.notes.iter().map(|notes| format!("The notes: {notes}."));
    let why = scenario.why.iter().map(|why| format!("{why}."));
    let seen = [format!("Seen here: {}.", seen(plays))];
    let sentence = notes.chain(why).chain(seen).collect::<Vec<_>>().join(" ");
    let _ = writeln!(text, "\n{}", indented(&sentence, INDENT));
    text
}

/// How wide the labels of a table are, and each of its columns of figures.
const fn table_columns(width: usize) -> (usize, usize) {
    if width >= WIDTH { (54, 14) } else { (width.saturating_sub(INDENT.len() + 30), 10) }
}

/// A scenario in one line, and what was not as expected in more.
pub(crate) fn in_a_line(scenario: &Scenario, plays: &[Played]) -> String {
    let good = plays.iter().all(Played::is_good);
    let (style, word) = match (good, scenario.beyond, &scenario.alarm) {
        (false, ..) => (BAD, "FAILED"),
        (true, true, _) => (DIM, "beyond"),
        (true, false, Some(_)) => (LEADER, "alarm"),
        (true, false, None) => (LEADER, "ok"),
    };
    let (name, title) = (&scenario.name, visible(&scenario.title));
    let count = scenario.rotations();
    let mut text = format!("{INDENT}{style}{word:7}{style:#}{count:>2}x {name:26}{title}\n");
    text.push_str(&failures(scenario, plays));
    text
}

/// The names of the scenarios, and what they are about.
pub(crate) fn listed(scenario: &Scenario) -> String {
    let Scenario { name, title, rules, .. } = scenario;
    let title = visible(title);
    format!("{TITLE}{name:NAME$}{TITLE:#}{title}{DIM}{}{DIM:#}", listed_rules(rules))
}

/// A scenario, its expectations, and whether they hold.
pub(crate) fn in_full(scenario: &Scenario, plays: &[Played]) -> String {
    let mut text = table(scenario, plays) + "\n";
    for expectation in &scenario.expectations {
        let played = plays.iter().filter(|play| expectation.levels.contains(&play.level));
        let holds = |play: &Played| {
            let mut checks = play.checks.iter().filter(|check| check.line == expectation.line);
            checks.all(|check| check.failures.is_empty())
        };
        let of_level = played.map(|play| (level_name(play.level), holds(play)));
        let (good, bad): (Vec<_>, Vec<_>) = of_level.partition(|(_, holds)| *holds);
        for (levels, style, word) in [(good, LEADER, "ok"), (bad, BAD, "FAILED")] {
            if levels.is_empty() {
                continue;
            }
            let levels = levels.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            let sentence = indented(&format!("{} ({levels})", expectation.that), &" ".repeat(10));
            let _ = writeln!(text, "{INDENT}{style}{word:8}{style:#}{}", sentence.trim_start());
        }
    }
    let good = plays.iter().filter(|play| play.alarmed_as_expected);
    for alarm in good.filter_map(|play| play.violation.as_ref()) {
        let sentence = indented(&format!("as expected: {alarm}"), &" ".repeat(10));
        let _ = writeln!(text, "{INDENT}{BAD}{:8}{BAD:#}{}", "alarm", sentence.trim_start());
    }
    for (level, excuse) in plays.iter().filter_map(|p| Some((p.level, p.excuse.as_ref()?))) {
        let words = format!("{}: {excuse}; not all need converge", level_name(level));
        let sentence = indented(&words, &" ".repeat(10));
        let _ = writeln!(text, "{INDENT}{DIM}{:8}{DIM:#}{}", "excused", sentence.trim_start());
    }
    text + &failures(scenario, plays)
}

/// The last line: how many runs there were, and whether all is well.
pub(crate) fn summary(scenarios: usize, plays: &[Played]) -> String {
    let checks: usize = plays.iter().map(|play| play.checks.len()).sum();
    let bad = plays.iter().filter(|play| !play.is_good()).count();
    let all = format!("{scenarios} scenarios, {} runs, {checks} expectations", plays.len());
    if bad == 0 {
        format!("{all}: {LEADER}all hold{LEADER:#}, and no safety checker gave a false positive.")
    } else {
        let what = if bad == 1 { "run is" } else { "runs are" };
        format!("{all}: {BAD}{bad} {what} not as expected{BAD:#}.")
    }
}

/// What stands above the lines of a measurement.
pub(crate) fn measured_heading(seeds: u64, level: Protection) -> String {
    let level = level_name(level);
    let text = format!(
        "From the fault to a leader that commits, in multiples of the election timeout T: {seeds} \
         seeds, all rotations, protection {level}. *First*: until any leader commits. *Last*: \
         until the leader does that stays leader. *Kept*: runs in which these are one."
    );
    let columns = ["first median", "worst", "last median", "worst", "kept", "failed"];
    let columns = columns.map(|column| format!("{column:>13}")).concat();
    format!("{}\n\n{TITLE}{:20}{columns}{TITLE:#}", indented(&text, ""), "scenario")
}

/// A line of a measurement.
pub(crate) fn measured(scenario: &Scenario, measured: &Measured) -> String {
    let times = |spread: Option<(u128, u128)>| match spread {
        None => ["-".to_owned(), "-".to_owned()],
        Some((median, worst)) => [median, worst].map(|n| format!("{}.{:02} T", n / 100, n % 100)),
    };
    let first = times(measured.spread(|sample| sample.first));
    let last = times(measured.spread(|sample| sample.last));
    let (kept, all) = (measured.stable(), measured.samples.len());
    let failed = if scenario.beyond { "beyond".to_owned() } else { measured.failures.to_string() };
    let counts = [format!("{kept} of {all}"), failed];
    let columns = [first, last, counts].concat();
    let columns: Vec<_> = columns.iter().map(|column| format!("{column:>13}")).collect();
    let columns = columns.concat();
    format!("{:20}{columns}", scenario.name)
}

/// All that was measured: a line for each quantity, in multiples of T or as a number.
pub(crate) fn gauged(scenario: &Scenario, gauged: &Gauged) -> String {
    let columns = ["mean", "nine in ten", "worst"].map(|column| format!("{column:>14}")).concat();
    let name = visible(&scenario.name);
    let mut text = format!("{TITLE}{name:20}{columns}{TITLE:#}\n");
    for quantity in Quantity::ALL {
        let Some(Spread { mean, most, worst }) = gauged.spread(quantity) else { continue };
        let unit = if quantity.is_time() { " T" } else { "" };
        let value = |n: u64| format!("{:>14}", format!("{}.{:03}{unit}", n / 1_000, n % 1_000));
        let _ = writeln!(text, "{quantity:20}{}{}{}", value(mean), value(most), value(worst));
    }
    if gauged.failures > 0 {
        let _ = writeln!(text, "{BAD}{} runs were not as expected{BAD:#}", gauged.failures);
    }
    text
}

fn heading(scenario: &Scenario) -> String {
    let Scenario { name, title, rules, story, .. } = scenario;
    let (title, rules) = (visible(title), listed_rules(rules));
    let story = indented(story, INDENT);
    format!("{TITLE}{name}{TITLE:#}  {title}{DIM}{rules}{DIM:#}\n{DIM}{story}{DIM:#}\n")
}

fn listed_rules(rules: &[String]) -> String {
    if rules.is_empty() { String::new() } else { format!("  {}", visible(&rules.join(" "))) }
}

/// What was seen, levels with the same outcome together.
fn seen(plays: &[Played]) -> String {
    let mut groups: Vec<(Vec<&str>, String)> = Vec::new();
    for play in plays {
        let (name, outcome) = (level_name(play.level), outcome(&play.figures));
        match groups.iter_mut().find(|(_, known)| *known == outcome) {
            Some((names, _)) => names.push(name),
            None => groups.push((vec![name], outcome)),
        }
    }
    let group = |(names, outcome): &(Vec<&str>, String)| match names.split_last() {
        Some((last, [])) => format!("with {last} {outcome}"),
        Some((last, others)) if names.len() < plays.len() => {
            format!("with {} and {last} {outcome}", others.join(", "))
        }
        _ => outcome.clone(),
    };
    groups.iter().map(group).collect::<Vec<_>>().join("; ")
}

fn outcome(figures: &Figures) -> String {
    let node = |node: NodeId| format!("{node:?}");
    match (figures.before, figures.now) {
        (Some(before), _) if figures.leader_kept() => {
            format!("{} leads on in term {}", node(before.leader), before.term)
        }
        (Some(before), Some(now)) if before.leader == now.leader => {
            format!("{} loses leadership, and leads again in term {}", node(now.leader), now.term)
        }
        (Some(before), Some(now)) => format!(
            "{} loses leadership, and {} leads term {} at the end",
            node(before.leader),
            node(now.leader),
            now.term
        ),
        (Some(before), None) => {
            format!("{} loses leadership, and nobody leads at the end", node(before.leader))
        }
        (None, Some(now)) => format!("{} leads term {} at the end", node(now.leader), now.term),
        (None, None) => "nobody leads at the end".to_owned(),
    }
}

fn still_leads(figures: &Figures) -> Option<String> {
    let before = figures.before?;
    Some(match figures.now {
        _ if figures.leader_kept() => "yes".to_owned(),
        Some(Leadership { leader, .. }) if leader == before.leader => "re-elected".to_owned(),
        _ => "no".to_owned(),
    })
}

fn verdict(scenario: &Scenario, plays: &[Played]) -> String {
    if !plays.iter().all(Played::is_good) {
        return failures(scenario, plays);
    }
    let (count, rotations) = (scenario.expectations.len(), scenario.rotations());
    let what = format!("all {count} expectations of the file hold, in all {rotations} rotations");
    format!("{INDENT}{LEADER}ok{LEADER:#} {DIM}{what}{DIM:#}\n")
}

/// Each expectation that does not hold, each alarm, and how to look at the run.
fn failures(scenario: &Scenario, plays: &[Played]) -> String {
    let mut text = String::new();
    for play in plays.iter().filter(|play| !play.is_good()) {
        let level = level_name(play.level);
        for check in play.checks.iter().filter(|check| !check.failures.is_empty()) {
            let what = format!("{level}: {} (line {})", visible(&check.that), check.line);
            let _ = writeln!(text, "{INDENT}{BAD}FAILED{BAD:#} {what}");
            for failure in &check.failures {
                let _ = writeln!(text, "{INDENT}       {}", visible(failure));
            }
        }
        if let (None, Some(alarm)) = (&play.violation, &scenario.alarm) {
            let alarm = visible(alarm);
            let _ = writeln!(text, "{INDENT}{BAD}FAILED{BAD:#} {level}: no alarm by {alarm}");
        }
        if let Some(violation) = &play.violation {
            let _ = writeln!(text, "{INDENT}{BAD}ALARM{BAD:#}  {level}: {violation}");
        }
        let (source, seed, rotation) = (&scenario.source, play.seed, play.rotation);
        let rotation = match rotation {
            0 => String::new(),
            by => format!(" --rotation {by}"),
        };
        let _ = writeln!(
            text,
            "{INDENT}replay: raft-sim run {source} --seed {seed}{rotation} --protection {level} \
             --timeline"
        );
    }
    text
}

/// The text in lines that fit, each after `indent`; whatever it is, it sends the terminal no
/// orders.
fn indented(text: &str, indent: &str) -> String {
    let lines = wrapped(text, columns() - indent.len());
    lines.iter().map(|line| format!("{indent}{}", visible(line))).collect::<Vec<_>>().join("\n")
}
