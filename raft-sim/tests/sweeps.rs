//! `sweep`, `merge`, `replay` and `shrink` as they are called: what they say, write, and give back.

#![cfg(feature = "cli")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own for each test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for this");
    folder
}

/// The exit code, and what was said on both outputs.
fn raft_sim(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    let output = command.current_dir(folder).args(arguments).output().expect("the command runs");
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

/// What is said of the sweep itself, without its speed.
fn said(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.contains(" a second)")).collect()
}

#[test]
fn shards_say_together_what_one_sweep_says_whatever_the_number_of_threads() {
    let folder = folder("shards");
    let run = |more: &[&str]| {
        let (code, out, err) = raft_sim(&folder, &[&["sweep", "--seeds", "3..17"], more].concat());
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        out
    };
    let whole = run(&["--jobs", "1"]);
    assert_eq!(said(&run(&["--jobs", "3"])), said(&whole));
    assert!(whole.contains("14 runs, seeds 3..17: "), "{whole}");
    run(&["--shard", "1/2", "--json", "1.json"]);
    run(&["--shard", "2/2", "--json", "2.json"]);
    let (code, merged, _) = raft_sim(&folder, &["merge", "2.json", "1.json"]);
    assert_eq!((code, said(&merged)), (0, said(&whole)));
}

#[test]
fn what_cannot_be_merged_or_played_is_refused_with_exit_code_2() {
    let folder = folder("refused");
    for (name, seeds) in [("a.json", "0..2"), ("b.json", "1..3"), ("c.json", "5..6")] {
        assert_eq!(raft_sim(&folder, &["sweep", "--seeds", seeds, "--json", name]).0, 0);
    }
    fs::write(folder.join("none.json"), "{}").expect("a folder for this");
    fs::write(folder.join("bad.tape"), "raft-sim tape 1\nseed 3\nchoices 1\nfate 4\n").expect("so");
    for (arguments, words) in [
        (&["merge", "a.json", "b.json"][..], "a.json and b.json both hold seed 1"),
        (&["merge", "a.json", "c.json"], "nobody ran the seeds 2..5"),
        (&["merge", "none.json"], "none.json: missing field `schema`"),
        (&["merge", "gone.json"], "gone.json: "),
        (&["replay", "bad.tape"], "bad.tape: line 4: no question is named `fate`"),
        (&["shrink", "bad.tape"], "bad.tape: line 4: no question is named `fate`"),
        (&["replay", "gone.tape"], "gone.tape: "),
        (&["replay"], "required"),
        (&["sweep", "--seeds", "5..5"], "expected at least one seed"),
        (&["sweep", "--seeds", "5.."], "seeds without an end need `--minutes`"),
        (&["sweep", "--shard", "3/2"], "expected a shard such as 1/8"),
        (&["sweep", "--seeds", "0..2", "--shard", "1/3"], "fewer seeds than shards"),
        (&["sweep", "--seeds", "0"], "expected seeds such as 0..1000"),
        (&["sweep", "--minutes", "0"], "0 is not in 1.."),
        (&["measure", "--seeds", "0"], "0 is not in 1.."),
        (&["swep"], "'sweep'"),
        (&["run", "cold-strat"], "did you mean `cold-start`?"),
        (&["run", "something-else"], "no such file; `raft-sim list` names them all"),
        (&["run", "\u{1b}[2J"], "no scenario `\\u{1b}[2J`"),
        (&["run", "."], ".: "),
        (&["run", "none.json/x"], "none.json/x: "),
        (&["run", "cold-start", "--timeline", "--from", "2s", "--to", "1s"], "after `--to`"),
        // Before the first seed: nothing is said of any.
        (&["sweep", "--seeds", "0..20", "--json", "gone/r.json"], "gone/r.json: "),
        (&["sweep", "--seeds", "0..20", "--json", "."], ".: "),
        (&["sweep", "--seeds", "0..20", "--failures", "none.json/f"], "none.json/f: "),
    ] {
        let (code, out, err) = raft_sim(&folder, arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.chars().all(|c| c == '\n' || !c.is_control()), "{err:?}");
        assert!(err.contains(words), "{arguments:?}: {err}");
    }
}

#[test]
fn a_tape_is_the_run_of_its_seed_event_by_event() {
    let folder = folder("tape");
    let (code, out, _) =
        raft_sim(&folder, &["replay", "--seed", "3", "--tape", "3.tape", "--hashes", "3.txt"]);
    assert_eq!(code, 0, "{out}");
    let (code, out, _) = raft_sim(&folder, &["replay", "3.tape", "--against", "3.txt"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains(", as on the tape\nno property is broken\n"), "{out}");
    assert!(out.contains("every event is as in 3.txt\n"), "{out}");
}

#[test]
fn a_run_that_differs_is_reported_with_the_first_event_that_does() {
    let folder = folder("differs");
    assert_eq!(raft_sim(&folder, &["replay", "--seed", "3", "--tape", "3.tape"]).0, 0);
    assert_eq!(raft_sim(&folder, &["replay", "3.tape", "--hashes", "3.txt"]).0, 0);
    // Another answer in the middle of the run: nothing before it differs.
    let tape = fs::read_to_string(folder.join("3.tape")).expect("it was written");
    let middle = tape.match_indices("\ndelay ").nth(200).expect("a run is longer").0 + 7;
    let digit = if tape[middle..].starts_with('1') { "2" } else { "1" };
    let other = format!("{}{digit}{}", &tape[..middle], &tape[middle + 1..]);
    fs::write(folder.join("other.tape"), other).expect("a folder for this");
    let (code, out, _) = raft_sim(&folder, &["replay", "other.tape", "--against", "3.txt"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("not that of the tape: it was made by another build"), "{out}");
    let line = out.lines().find(|line| line.starts_with("differs from 3.txt: ")).expect("it does");
    let event = |part: &str| -> usize {
        let (_, rest) = line.split_once(part).expect("both sides are shown");
        rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    };
    let first = event("here `");
    assert_eq!(first, event("there `"));
    assert!(first > 100, "{line}");
    // It is really the first one.
    assert_eq!(raft_sim(&folder, &["replay", "other.tape", "--hashes", "other.txt"]).0, 0);
    let [one, two] = ["3.txt", "other.txt"].map(|name| fs::read_to_string(folder.join(name)));
    let (one, two) = (one.expect("written"), two.expect("written"));
    let same = one.lines().zip(two.lines()).take_while(|(one, two)| one == two).count();
    assert_eq!(same + 1, first);
}

/// Clocks far beyond the drift bound: a stale lease read is what the core cannot help.
const BROKEN: &str = r#"
title = "clocks run apart"
story = "S1 leads, and its clock runs slow."
cluster = { voters = 3, election_timeout = "100 ms" }

[[client]]
think = "2 ms .. 6 ms"
write_percent = 100
keys = 1
patience = "20 ms"

[[client]]
think = "2 ms .. 6 ms"
write_percent = 0
query_percent = 100
leases = true
keys = 1
patience = "20 ms"

[run]
duration = "1 s"
protection = ["full"]
seed = 3
timeline = [
    { at = "0 s", do = "campaign S1" },
    { at = "250 ms", do = "snapshot S2" },
    { at = "300 ms", do = "clock -500000 S1" },
    { at = "300 ms", do = "clock 1000000 S2,S3" },
    { at = "350 ms", do = "isolate S1" },
]
"#;

#[test]
fn a_failure_becomes_a_script_that_fails_the_same_way_and_a_picture() {
    let folder = folder("shrink");
    fs::write(folder.join("found.toml"), BROKEN).expect("a folder for this");
    let (code, out, _) = raft_sim(&folder, &["replay", "found.toml"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("\nviolated: linearizability at "), "{out}");
    let (code, out, err) =
        raft_sim(&folder, &["shrink", "found.toml", "--out", "small.toml", "--budget", "1500"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.starts_with("violated: linearizability at "), "{out}");
    assert!(out.contains("    raft-sim replay small.toml --timeline\n"), "{out}");
    let (code, out, _) = raft_sim(&folder, &["replay", "small.toml", "--timeline"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("\nviolated: linearizability at "), "{out}");
    let page = fs::read_to_string(folder.join("small.html")).expect("a picture");
    assert!(page.starts_with("<!doctype html>"));
    // A scenario that expects this alarm is content with it.
    let script = fs::read_to_string(folder.join("small.toml")).expect("a script");
    let known = script.replacen("[run]", "[run]\nalarm = \"linearizability\"", 1);
    fs::write(folder.join("known.toml"), known).expect("a folder for this");
    assert_eq!(raft_sim(&folder, &["run", "known.toml"]).0, 0);
}

#[test]
fn the_exit_codes_are_documented() {
    let (code, out, _) = raft_sim(Path::new("."), &["--help"]);
    assert_eq!(code, 0);
    for words in ["  0    everything", "  1    a property", "  2    the command", "  130  a sweep"]
    {
        assert!(out.contains(words), "{out}");
    }
}

#[test]
fn a_shard_that_is_missing_at_either_end_is_refused_with_its_number() {
    let folder = folder("missing");
    for (name, nth) in [("1.json", "1/3"), ("2.json", "2/3"), ("3.json", "3/3")] {
        let arguments = ["sweep", "--seeds", "0..3", "--shard", nth, "--json", name];
        assert_eq!(raft_sim(&folder, &arguments).0, 0);
    }
    for (arguments, words) in [
        (
            &["merge", "1.json", "2.json"][..],
            "of 3 shards there is no 3: nobody ran the seeds 2..3",
        ),
        (&["merge", "3.json", "2.json"], "of 3 shards there is no 1: nobody ran the seeds 0..1"),
        (&["merge", "1.json", "3.json"], "nobody ran the seeds 1..2"),
    ] {
        let (code, out, err) = raft_sim(&folder, arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(words), "{arguments:?}: {err}");
    }
    assert_eq!(raft_sim(&folder, &["merge", "1.json", "2.json", "3.json"]).0, 0);
}

#[test]
fn data_on_the_standard_output_is_data_only() {
    let folder = folder("data");
    let sweep = ["sweep", "--seeds", "0..2", "--json"];
    let (code, out, err) = raft_sim(&folder, &[&sweep[..], &["-"]].concat());
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("{\n") && out.ends_with("}\n"), "{out}");
    assert!(err.contains("2 runs, seeds 0..2: "), "{err}");
    assert!(!folder.join("-").exists());
    fs::write(folder.join("r.json"), &out).expect("a folder for this");
    let (code, sum, err) = raft_sim(&folder, &["merge", "r.json", "--json", "-"]);
    assert_eq!((code, sum), (0, out), "{err}");
}

#[test]
fn what_is_looked_at_before_a_sweep_is_left_as_it_was() {
    let folder = folder("before");
    let sweep = ["sweep", "--seeds", "0..1", "--failures", "a/b"];
    assert_eq!(raft_sim(&folder, &sweep).0, 0);
    assert!(!folder.join("a").exists(), "nothing failed");
    // One that is refused for another reason does not touch an older report.
    fs::write(folder.join("old.json"), "old").expect("a folder for this");
    let refused = ["sweep", "--seeds", "0..1", "--json", "old.json", "--failures", "old.json"];
    assert_eq!(raft_sim(&folder, &refused).0, 2);
    assert_eq!(fs::read_to_string(folder.join("old.json")).expect("it is there"), "old");
}

#[cfg(unix)]
#[test]
fn a_sweep_that_is_told_to_end_reports_what_was_done() {
    let folder = folder("told");
    for signal in ["-INT", "-TERM"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
        command.current_dir(&folder).args(["sweep", "--seeds", "0..100000000", "--json", "r.json"]);
        command.args(["--jobs", "1"]).stdout(std::process::Stdio::piped());
        let child = command.stderr(std::process::Stdio::null()).spawn().expect("the command runs");
        std::thread::sleep(std::time::Duration::from_secs(3));
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(killed.expect("there is a kill").success());
        let output = child.wait_with_output().expect("it ends");
        let out = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(130), "{signal}: {out}");
        assert!(out.contains("interrupted: the seeds "), "{signal}: {out}");
        let report = fs::read_to_string(folder.join("r.json")).expect("a report");
        assert!(report.contains("\"stopped\": \"interrupted\""), "{report}");
        fs::remove_file(folder.join("r.json")).expect("it is there");
    }
}

#[test]
fn no_control_character_of_a_scenario_file_reaches_a_terminal() {
    let folder = folder("control");
    let evil = "\\u001b[2J\\u009bm";
    let text = format!(
        r#"
title = "title {evil}"
rules = ["{evil}"]
notes = "{evil}"
why = "{evil}"
story = "{evil}"
cluster = {{ voters = 3, election_timeout = "100 ms" }}

[run]
duration = "1 s"
protection = ["full"]
converges = true
broke = "{evil}"

[[expect]]
that = "good {evil}"
elections = "0.."

[[expect]]
that = "bad {evil}"
elections = 99
happened = {{ "{evil}" = 7 }}
"#
    );
    fs::write(folder.join("evil.toml"), &text).expect("a folder for this");
    let alarm = text.replacen("[run]", &format!("[run]\nalarm = \"{evil}\""), 1);
    fs::write(folder.join("alarm.toml"), alarm).expect("a folder for this");
    for (arguments, code) in [
        (&["run", "evil.toml"][..], 1),
        (&["run", "alarm.toml"], 1),
        (&["run", "evil.toml", "--timeline"], 1),
        (&["replay", "evil.toml"], 0),
    ] {
        let (saw, out, err) = raft_sim(&folder, arguments);
        assert_eq!(saw, code, "{arguments:?}: {out}{err}");
        let bare = |c: char| c.is_control() && c != '\n';
        assert!(!out.contains(bare) && !err.contains(bare), "{arguments:?}: {out:?}{err:?}");
    }
    let (_, out, _) = raft_sim(&folder, &["run", "evil.toml"]);
    assert!(out.contains("title \\u{1b}[2J\\u{9b}m"), "{out}");
}
