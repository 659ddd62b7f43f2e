//! The floors of the simulator: each imports only from those below it.

use crate::imports::{circles, graph};
use crate::sources::Source;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// From the ground up. Of two that stand on one height neither knows the other.
const FLOORS: &[&[&str]] = &[
    &["plan", "kit"],
    &["host"],
    &["checker", "scenario"],
    &["world"],
    &["run"],
    &["view"],
    &["cli"],
    &["lib"],
    &["main"],
];

/// The height of a module, and the name of its floor.
fn floor(module: &str) -> Option<(usize, &str)> {
    let name = module.split("::").next().unwrap_or_default();
    let height = FLOORS.iter().position(|floor| floor.contains(&name))?;
    Some((height, name))
}

/// Every import that runs upwards, or across.
pub(crate) fn wrong(sources: &[Source]) -> Vec<String> {
    let mut all = Vec::new();
    for (from, imported) in graph(sources) {
        let Some((mine, name)) = floor(&from) else {
            all.push(format!("{from} stands on no floor"));
            continue;
        };
        for to in imported {
            if floor(&to).is_none_or(|(other, of)| other > mine || other == mine && of != name) {
                all.push(format!("{from} imports {to}, which is not below it"));
            }
        }
    }
    all
}

/// What a crate looks like: its top folders, how many files and lines each has, from which others
/// it imports how often, and the circles.
pub(crate) fn structure(sources: &[Source]) -> String {
    let top = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let mut rooms: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for source in sources {
        let (files, lines) = rooms.entry(top(&source.module)).or_default();
        (*files, *lines) = (*files + 1, *lines + source.without_tests().lines().count());
    }
    let mut arrows: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (from, imported) in graph(sources) {
        for to in imported.iter().filter(|to| top(to) != top(&from)) {
            *arrows.entry((top(&from), top(to))).or_default() += 1;
        }
    }
    let mut names: Vec<&String> = rooms.keys().collect();
    names.sort_by_key(|name| floor(name).map_or(usize::MAX, |(height, _)| height));
    let mut text = String::new();
    for name in names {
        let (files, lines) = rooms[name];
        let from = arrows.iter().filter(|((from, _), _)| from == name);
        let from: Vec<_> = from.map(|((_, to), times)| format!("{to} {times}")).collect();
        let _ =
            writeln!(text, "  {name:12} {files:3} files {lines:6} lines  <- {}", from.join(", "));
    }
    let circles = circles(sources);
    let _ = writeln!(text, "  circles: {}", circles.len());
    for circle in circles {
        let _ = writeln!(text, "    {}", circle.join(", "));
    }
    text
}

#[test]
fn an_import_that_runs_upwards_or_across_is_seen() {
    let of = |module, text| Source::new(module, text);
    let wrong = |module, text| {
        let others = ["plan::a", "host::a", "checker::a", "scenario::a", "world::a", "run::a"];
        let mut sources = others.map(|name| of(name, "")).to_vec();
        sources.push(of(module, text));
        wrong(&sources).len()
    };
    assert_eq!(wrong("world", "use crate::plan::a::X;\nuse crate::checker::a::{Y, Z};"), 0);
    assert_eq!(wrong("world", "use crate::run::a::X;"), 1);
    assert_eq!(wrong("plan::b", "fn f() { crate::host::a::g() }"), 1);
    assert_eq!(wrong("checker::b", "use crate::scenario::a::X;"), 1);
    assert_eq!(wrong("checker::b", "use crate::checker::a::X;"), 0);
    assert_eq!(wrong("host::b", "use crate::Choices;"), 1, "the front page is above all");
    assert_eq!(wrong("attic", ""), 1);
}
