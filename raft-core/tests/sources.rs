//! What the sources of the core keep to: the named functions make the actions, nothing but tests
//! knows of an operating system, and what the table of rules names is there. The order of the
//! layers, circles and sizes are held for the whole workspace, by the simulator's test `layers`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What makes each action, and what lets a message out: the module and function, and nothing else.
/// `docs/ARCHITECTURE.md` says why.
const MAKERS: &[(&str, &[&str])] = &[
    ("Action::Persist", &["state::core::hand_out_write"]),
    ("Action::Apply", &["state::core::hand_out_applies"]),
    ("Action::InstallSnapshot", &["state::core::hand_out_install"]),
    ("Action::Send", &["state::core::let_out"]),
    ("Action::SendSnapshot", &["protocol::snapshot::ask_for"]),
    ("Action::RoleChanged", &["node::step_all"]),
    // Answers about an input.
    ("Action::Accepted", &["step::take"]),
    ("Action::Ignored", &["step::answer"]),
    ("Action::PeerRegressed", &["protocol::replication::on_append_entries_response"]),
    (
        "Action::Rejected",
        &[
            "protocol::read::on_read_index_response",
            "protocol::read::on_timeout",
            "protocol::transition::retire",
            "step::answer",
        ],
    ),
    ("Action::ReadReady", &["protocol::read::answer", "protocol::read::on_read_index_response"]),
    (
        "Action::TransferEnded",
        &["protocol::transfer::on_timeout", "protocol::transition::transfer_ended"],
    ),
    // Who asks these to make one: parts of `settle`.
    (".hand_out_write", &["step::settle"]),
    (".hand_out_install", &["step::settle"]),
    (".hand_out_messages", &["step::settle"]),
    (".hand_out_applies", &["state::core::hand_out_install", "step::settle"]),
    (
        ".let_out",
        &[
            "protocol::read::answer",
            "protocol::replication::settle_answer",
            "protocol::replication::settle_sends",
            "protocol::transfer::settle",
            "state::core::hand_out_messages",
        ],
    ),
];

#[test]
fn only_tests_know_std() {
    assert_eq!(complaints(|_, source| uses_of_std(source)), "");
}

/// Every action is made in one place, or is an answer about an input.
#[test]
fn only_the_named_functions_make_an_action() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut named = BTreeMap::<String, BTreeSet<String>>::new();
    for (module, source) in sources(&root, "") {
        for (what, function) in makes(&source) {
            named.entry(what).or_default().insert(format!("{module}::{function}"));
        }
    }
    for (what, makers) in MAKERS {
        let found: Vec<_> = named.remove(*what).unwrap_or_default().into_iter().collect();
        assert_eq!(found, *makers, "who makes {what}");
    }
    assert_eq!(named, BTreeMap::new(), "actions that the list does not know");
}

/// Every making of an action in a source, and the function around it.
fn makes(source: &str) -> Vec<(String, String)> {
    let (code, mut around, mut all) = (code(&without_tests(source)), "", Vec::new());
    for line in code.lines() {
        if begins_function(line) {
            let name = line.split("fn ").nth(1).expect("it begins a function");
            around = name.split(['(', '<']).next().expect("a name");
        }
        for (start, ends) in
            [("Action::", &['(', ' '][..]), (".hand_out_", &['(']), (".let_out", &['('])]
        {
            for (at, _) in line.match_indices(start) {
                let rest = &line[at + start.len()..];
                let end =
                    rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                if rest[end..].starts_with(ends) {
                    all.push((format!("{start}{}", &rest[..end]), around.to_string()));
                }
            }
        }
    }
    all
}

/// `docs/RULES.md` and the tests whose names begin with a rule name each other.
#[test]
fn the_table_of_rules_names_the_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("docs/RULES.md")).expect("the table");
    let is_rule = |name: &&str| {
        let mut chars = name.chars();
        chars.next() == Some('n') && chars.take(2).all(|c| c.is_ascii_digit()) && name.contains('_')
    };
    let mut named: Vec<_> = table.split('`').filter(is_rule).map(str::to_string).collect();
    named.sort();
    let mut tests: Vec<String> = sources(&root.join("tests"), "")
        .iter()
        .flat_map(|(_, source)| functions(source))
        .filter(|name| is_rule(&name.as_str()))
        .collect();
    tests.sort();
    assert_eq!(named, tests);
    for rule in 1..=16 {
        let prefix = format!("n{rule:02}_");
        assert!(tests.iter().any(|name| name.starts_with(&prefix)), "a test of N{rule}");
    }

    let src = root.join("src");
    for place in table.split('`').filter(|text| text.contains("::") && !text.contains(' ')) {
        let (file, item) = place.split_once("::").expect("it is there");
        let source = fs::read_to_string(src.join(format!("{file}.rs")))
            .unwrap_or_else(|_| panic!("`{place}` names no file"));
        let item = item.rsplit("::").next().expect("a name");
        let known = ["fn ", "const ", "struct "].iter().any(|kind| {
            let after = source.split(&format!("{kind}{item}")).nth(1);
            after.is_some_and(|rest| rest.starts_with(['(', ':', '<', ' ']))
        });
        assert!(known, "`{place}` names nothing");
    }
}

/// The names of all functions of a source file.
fn functions(source: &str) -> Vec<String> {
    let name = |line: &str| {
        let name = line.trim_start().strip_prefix("fn ")?.split(['(', '<']).next()?;
        Some(name.to_string())
    };
    source.lines().filter_map(name).collect()
}

/// What `find` has to say about every file, one line each.
fn complaints(find: impl Fn(&str, &str) -> Vec<String>) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = String::new();
    let files = sources(&root, "");
    assert!(files.len() > 20, "the sources are where they are looked for");
    for (module, source) in files {
        for complaint in find(&module, &source) {
            writeln!(all, "{module}: {complaint}").expect("a string grows");
        }
    }
    all
}

/// Each file of `folder` and below: the path of its module, and its text.
fn sources(folder: &Path, prefix: &str) -> Vec<(String, String)> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .expect("the folder of the sources")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    let mut all = Vec::new();
    for path in entries {
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            all.extend(sources(&path, &format!("{prefix}{stem}::")));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = match stem.as_str() {
                "mod" => prefix.trim_end_matches("::").to_string(),
                _ => format!("{prefix}{stem}"),
            };
            all.push((module, fs::read_to_string(&path).expect("a source file")));
        }
    }
    all
}

/// The file without its tests.
fn without_tests(source: &str) -> String {
    let Some((before, tests)) = source.split_once("#[cfg(test)]\nmod ") else {
        return source.to_string();
    };
    let after = tests.split_once("\n}\n").map_or("", |(_, after)| after);
    format!("{before}{after}")
}

/// The code without comments and strings, as far as our sources need it.
fn code(source: &str) -> String {
    let line = |line: &str| line.split("//").next().unwrap_or("").to_string();
    source.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn uses_of_std(source: &str) -> Vec<String> {
    let code = code(&without_tests(source));
    code.lines().filter(|line| line.contains("std::")).map(|l| format!("`{}`", l.trim())).collect()
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert_eq!(uses_of_std("use std::vec;\n// std::vec\n").len(), 1);

    let source =
        "fn a() {\n    v.push(Action::Send(e)); // Action::Apply {\n    core.let_out(to, m);\n}";
    let made = |what: &str| (what.to_string(), "a".to_string());
    assert_eq!(makes(source), [made("Action::Send"), made(".let_out")]);
}

/// Whether a function begins in this line.
fn begins_function(line: &str) -> bool {
    let mut words = line.trim_start().split(' ');
    let known = |word: &&str| ["pub", "pub(crate)", "pub(super)", "const"].contains(word);
    words.find(|word| !known(word)) == Some("fn")
}
