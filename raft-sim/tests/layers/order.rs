//! The layers of the core: a module imports only from those before it.

use crate::imports::paths;
use crate::sources::Source;

/// Every module, in the order in which they may know one another: a module imports only from those
/// before it. It is the list of layers of `docs/ARCHITECTURE.md`, one module at a time, with the
/// files that only list others.
const ORDER: &[&str] = &[
    "work",
    "types",
    "error",
    "config",
    "membership",
    "entries",
    // The boundary.
    "message",
    "input",
    "action",
    "payload",
    // Nouns: what a node knows.
    "state::log",
    "state::quorum",
    "state::progress",
    "state::timers",
    "state::lease",
    "state::rng",
    "state::disk",
    "state::reads",
    "state::role",
    "state::core",
    "state",
    // Verbs: what it does.
    "protocol::transition",
    "protocol::contact",
    "protocol::snapshot",
    "protocol::replication",
    "protocol::election",
    "protocol::read",
    "protocol::transfer",
    "protocol::reconfiguration",
    "protocol::admission",
    "protocol",
    "invariants",
    "recovery",
    "status",
    "step",
    "node",
    // What a runtime must do around it.
    "driver::sessions",
    "driver::frame",
    "driver::settings",
    "driver::boundary",
    "driver::book",
    "driver::tail",
    "driver::lanes",
    "driver::waiters",
    "driver::changes",
    "driver::desk",
    "driver::drive",
    "driver::intake",
    "driver::outcome",
    "driver::dump",
    "driver",
    "dump",
    "lib",
];

/// What only lists other modules.
const LISTS: &[&str] = &["state", "protocol", "driver", "lib"];

/// What `docs/ARCHITECTURE.md` is to show, in this order.
pub(crate) fn to_be_drawn() -> Vec<&'static str> {
    ORDER.iter().filter(|name| !LISTS.contains(name)).copied().collect()
}

/// The modules of the first drawing of a page: `folder/ name · name   what they are`, line by line.
pub(crate) fn drawn(page: &str) -> Vec<String> {
    let drawing = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let mut all = Vec::new();
    for line in drawing.expect("a drawing").lines().filter(|line| !line.contains('─')) {
        let names = line.trim().split("  ").next().expect("the names come first");
        let (folder, names) = names.split_once("/ ").unwrap_or(("", names));
        let path = |name| if folder.is_empty() { name } else { format!("{folder}::{name}") };
        all.extend(names.split(" · ").map(|name| path(name.to_string())));
    }
    all
}

/// Every import from a later module.
pub(crate) fn wrong(source: &Source) -> Vec<String> {
    let module = source.module.as_str();
    let Some(mine) = rank(module) else {
        return vec!["has no place in the order of modules".to_owned()];
    };
    let names = paths(module, &source.code());
    let wrong = names.iter().filter(|path| {
        let of = module_of(path);
        of != module && rank(of) >= Some(mine)
    });
    wrong.map(|path| format!("imports crate::{path}, which comes after it")).collect()
}

/// The module that a path lies in: the longest known start of it. What is not in a module is in
/// `lib`, which comes last.
fn module_of(path: &str) -> &'static str {
    let starts = |name: &&&str| path == **name || path.starts_with(&format!("{name}::"));
    ORDER.iter().filter(starts).max_by_key(|name| name.len()).copied().unwrap_or("lib")
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

#[test]
fn an_import_of_a_later_module_is_seen() {
    let wrong = |module, text| wrong(&Source::new(module, text)).len();
    assert_eq!(wrong("message", "use crate::types::Term;\nuse crate::entries::{Entries, Run};"), 0);
    assert_eq!(wrong("message", "use crate::{types::Term,\n  action::{self, Action}};"), 2);
    assert_eq!(wrong("message", "fn f() { crate::node::g() }"), 1);
    assert_eq!(wrong("message", "use crate::Node;"), 1, "the front page is above all");
    let tests = "// use crate::node::Node;\n#[cfg(test)]\nmod tests {\n    use crate::Node;\n}\n";
    assert_eq!(wrong("message", tests), 0);
    assert_eq!(wrong("state::log", "use super::quorum;"), 1);
    assert_eq!(wrong("state::quorum", "use super::log::Log;"), 0);
    assert_eq!(wrong("node", "use crate::protocol::{admission, election};"), 0);
    assert_eq!(wrong("novelty", ""), 1);

    let page = "```text\n types   newtypes\n ────\n state/ log · core   nouns\n```\n";
    assert_eq!(drawn(page), ["types", "state::log", "state::core"]);
}
