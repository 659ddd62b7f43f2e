//! The scenarios hold for many seeds, and the command says so as it should.

#![cfg(feature = "cli")]

use raft_core::Instant;
use raft_sim::plan::Nobody;
use raft_sim::run::play;
use raft_sim::scenario::{LEVELS, Scenario, level_name};
use raft_sim::view::{Timeline, Trace};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs, str};

/// How many seeds: `RAFT_SIM_SEEDS` says otherwise.
fn seeds() -> u64 {
    env::var("RAFT_SIM_SEEDS").map_or(8, |count| count.parse().expect("a number of seeds"))
}

#[test]
fn every_scenario_holds_at_every_seed_in_every_level() {
    let mut bad = Vec::new();
    for scenario in Scenario::built_in() {
        let casts: Vec<_> = (0..scenario.rotations()).map(|by| scenario.rotated(by)).collect();
        for level in &scenario.levels {
            for (seed, cast) in (0..seeds()).zip(casts.iter().cycle()) {
                let played = play(cast, *level, seed, &mut Nobody);
                let failed = played.checks.iter().filter(|check| !check.failures.is_empty());
                let failed = failed.map(|check| format!("{}: {:?}", check.that, check.failures));
                let alarm = played.violation.iter().filter(|_| !played.alarmed_as_expected);
                let alarm = alarm.map(ToString::to_string);
                let run = format!("{} {} seed {seed}", scenario.name, level_name(*level));
                bad.extend(failed.chain(alarm).map(|what| format!("{run}: {what}")));
            }
        }
    }
    assert!(bad.is_empty(), "{} failures\n{}", bad.len(), bad.join("\n"));
}

/// The main command plays the shifts only: all 120 orders would take it ten times as long.
#[test]
fn the_scenarios_of_five_hold_in_every_order_of_the_nodes() {
    let mut bad = Vec::new();
    for scenario in Scenario::built_in().filter(|scenario| scenario.orders() == 120) {
        for by in 0..scenario.orders() {
            let cast = scenario.rotated(by);
            for level in &scenario.levels {
                if !play(&cast, *level, 1, &mut Nobody).is_good() {
                    bad.push(format!("{} {} rotation {by}", scenario.name, level_name(*level)));
                }
            }
        }
    }
    assert!(bad.is_empty(), "{} failures\n{}", bad.len(), bad.join("\n"));
}

#[test]
fn an_expectation_that_does_not_hold_is_reported() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/symmetric-partition.toml");
    let text = fs::read_to_string(path).expect("our own file");
    let text = text.replace("leader_kept = false", "leader_kept = true");
    let scenario = Scenario::read("x", "x.toml", &text).expect("a good file");
    let played = play(&scenario, LEVELS[0], 1, &mut Nobody);
    let failures: Vec<_> = played.checks.iter().flat_map(|check| &check.failures).collect();
    assert_eq!(failures, ["leader_kept: expected true, saw false"]);
    assert!(!played.is_good());
}

/// The timeline of a whole run; `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn the_timeline_reads_as_it_did() {
    for (name, level) in [("split-vote", LEVELS[0]), ("pre-term-recovery", LEVELS[2])] {
        let scenario = Scenario::named(name).expect("a scenario of our own");
        let mut text = Vec::new();
        let nodes = scenario.setup(level).nodes.iter().map(|node| node.id).collect();
        let shown = Instant::ZERO..=Instant::from_nanos(1_500_000_000);
        let mut timeline = Timeline::new(anstream::StripStream::new(&mut text), nodes, shown);
        let played = play(&scenario, level, 1, &mut |record| {
            raft_sim::Sink::record(&mut timeline, record);
        });
        timeline.finish().expect("a vector takes everything");
        assert!(played.is_good());
        let text = str::from_utf8(&text).expect("text");
        assert!(text.lines().all(|line| line.chars().count() <= 100));
        golden(&format!("{name}-{}.txt", level_name(level)), text);
    }
}

#[test]
fn the_report_reads_as_it_did_and_is_at_most_100_columns_wide() {
    let first = raft_sim(&[]);
    let text = str::from_utf8(&first.stdout).expect("text");
    assert!(first.status.success(), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100 && line.trim_end() == line));
    assert!(!text.contains('\u{1b}'), "colour only on a terminal");
    assert_eq!(first.stdout, raft_sim(&[]).stdout, "the same at each run");
    golden("report.txt", text);
}

#[test]
fn a_trace_is_one_object_a_line_without_gaps() {
    let scenario = Scenario::named("figure-8-backwards").expect("a scenario of our own");
    let mut bytes = Vec::new();
    let mut trace = Trace::new(&mut bytes);
    let played = play(&scenario, LEVELS[2], 1, &mut |record| {
        raft_sim::Sink::record(&mut trace, record);
    });
    trace.finish().expect("a vector takes everything");
    assert!(played.is_good());
    let text = str::from_utf8(&bytes).expect("text");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut last = 0;
    for (seq, line) in (0_u64..).zip(&lines) {
        assert_eq!(line["seq"], seq);
        let time = line["time"].as_u64().expect("a time");
        assert!(time >= last, "time runs backwards at {seq}");
        last = time;
        let has_state = ["role", "term", "vote", "durable_vote"].map(|key| line.get(key).is_some());
        let (there, down) = (line.get("node").is_some(), line["event"] == "crash");
        assert!(down || line["event"] == "client" || has_state == [there; 4], "{line}");
    }
    for event in ["init", "become_leader", "accept", "crash", "drop", "persist_done", "fate"] {
        assert!(lines.iter().any(|line| line["event"] == event), "no {event}");
    }
}

#[test]
fn commands_that_cannot_be_carried_out_say_why() {
    let unknown = raft_sim(&["run", "no-such-scenario"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("there is no scenario `no-such-scenario`"));

    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bad.toml");
    fs::write(&path, "title = \"x\"\nnotes = 3\n").expect("a directory for this");
    let bad = raft_sim(&["run", path.to_str().expect("a path")]);
    assert_eq!(bad.status.code(), Some(2));
    let message = stderr(&bad);
    assert!(message.contains("bad.toml:2:9: "), "{message}");
    assert!(message.contains("expected a string"), "{message}");
}

#[test]
fn a_failure_ends_with_the_command_that_replays_it() {
    let text =
        include_str!("../scenarios/bridge.toml").replace("leaderless = \"0 s\"", "elections = 7");
    let text = text.replacen("elections = 0\n", "", 1);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrong.toml");
    fs::write(&path, text).expect("a directory for this");
    let output = raft_sim(&["run", path.to_str().expect("a path"), "--seed", "3"]);
    assert_eq!(output.status.code(), Some(1));
    let text = str::from_utf8(&output.stdout).expect("text");
    assert!(text.contains("elections: expected 7, saw 0"), "{text}");
    let replay = format!("run {} --seed 3 --protection full --timeline\n", path.display());
    assert!(text.ends_with(&replay), "{text}");
}

/// What `docs/SCENARIOS.md` shows is a scenario, and its expectations hold.
#[test]
fn the_documented_scenario_can_be_played() {
    let docs = include_str!("../docs/SCENARIOS.md");
    let (_, rest) = docs.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let scenario = Scenario::read("example", "docs/SCENARIOS.md", example).expect("a good file");
    for level in &scenario.levels {
        let played = play(&scenario, *level, 1, &mut Nobody);
        assert!(played.is_good(), "{:?}", played.checks);
    }
}

/// Every event and every key that a trace holds stands in `docs/TRACE.md`.
#[test]
fn the_trace_is_documented() {
    let docs = include_str!("../docs/TRACE.md");
    let mut unknown = Vec::new();
    for scenario in Scenario::built_in() {
        let mut tell = |record| {
            let line = raft_sim::view::trace_line(&record);
            let line: Value = serde_json::from_str(&line).expect("JSON");
            let msg = line.get("msg").and_then(Value::as_object);
            let keys = line.as_object().into_iter().chain(msg).flat_map(|object| object.keys());
            let names = [&line["event"], &line["msg"]["type"]];
            let names = names.iter().filter_map(|name| name.as_str()).map(str::to_owned);
            unknown
                .extend(keys.cloned().chain(names).filter(|n| !docs.contains(&format!("`{n}`"))));
        };
        assert!(play(&scenario, LEVELS[2], 1, &mut tell).is_good());
    }
    unknown.sort();
    unknown.dedup();
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn a_scenario_file_is_played_like_one_of_our_own() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/cold-start.toml");
    let by_path = raft_sim(&["run", path.to_str().expect("a path"), "--seed", "5"]);
    let by_name = raft_sim(&["run", "cold-start", "--seed", "5"]);
    assert!(by_path.status.success());
    assert_eq!(by_path.stdout, by_name.stdout);
    assert_ne!(by_name.stdout, raft_sim(&["run", "cold-start", "--seed", "6"]).stdout);
}

fn raft_sim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    command.args(arguments).output().expect("the command runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn golden(name: &str, text: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).expect("the directory is there");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).position(|(kept, now)| kept != now);
    assert!(
        kept == text,
        "{name} differs from line {} on; look, then UPDATE_GOLDEN=1",
        differs.map_or(kept.lines().count().min(text.lines().count()), |line| line) + 1
    );
}
