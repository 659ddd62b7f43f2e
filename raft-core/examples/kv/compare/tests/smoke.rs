//! Every contestant once, for half a second: so that nothing here rots. What they are measured at
//! on a machine that builds and tests says nothing.

use std::path::Path;
use std::process::Command;

/// What `kv-bench` prints with these arguments.
fn output(arguments: &[&str]) -> String {
    // Where tests are built there is a disk.
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv-bench"));
    let output = command.args(arguments).arg("--dir").arg(dir).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let left = std::fs::read_dir(dir).expect("there").flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("kv-bench-"));
    assert_eq!(left.count(), 0, "it takes its data away");
    String::from_utf8(output.stdout).expect("text")
}

/// The lines that begin with this name, and the numbers behind it.
fn lines(text: &str, name: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines.map(|line| line.split_whitespace().map(String::from).collect()).collect()
}

/// One after the other: each needs the machine for itself.
#[test]
fn every_contestant_does_every_work_and_every_follower_catches_up() {
    let text = output(&["--seconds", "0.5", "--rounds", "1"]);
    for (name, works, is_server) in [
        ("kv, 3 nodes", 6, true),
        ("raft 0.7, 3 nodes", 6, true),
        ("kv, 1 node", 6, true),
        ("raft 0.7, 1 node", 6, true),
        ("append+fsync, redb", 2, false),
        ("append+fsync, file", 2, false),
    ] {
        let lines = lines(&text, name);
        assert_eq!(lines.len(), works * if is_server { 2 } else { 1 }, "{name}\n{text}");
        // What it gave, and what its driver cost: something, wherever /proc says so.
        let first: u64 = lines[0][0].parse().expect("a number");
        assert!(first > 0, "{name}\n{text}");
    }

    let text = output(&[
        "--catch-up",
        "--rounds",
        "1",
        "--seconds",
        "0.5",
        "--entries",
        "150",
        "--large",
        "40",
        // A build without optimisation needs its time for 1 MB.
        "--election-timeout-ms",
        "4000",
        "--snapshot-bytes",
        "8000000",
        "--kept-bytes",
        "1000000",
    ]);
    for name in ["kv, by the log", "kv, by a snapshot", "raft 0.7, by the log"] {
        let lines = lines(&text, name);
        assert_eq!(lines.len(), 1, "{name}\n{text}");
    }
    let most: f64 = lines(&text, "kv, by the log")[0][0].parse().expect("a number");
    // The driver's limit; and there were 40 MB to be sent.
    assert!((4.0..=8.0).contains(&most), "{text}");
}
