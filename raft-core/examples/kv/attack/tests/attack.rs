//! The command, as it is called.

use std::process::{Command, Output};

fn attack(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_kv-attack"))
        .args(arguments)
        .output()
        .expect("the command was built");
    let text = [stdout, stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    println!("{}", text.concat());
    (status.code(), text.concat())
}

#[test]
fn a_short_attack_loses_nothing_and_says_what_it_did() {
    let dir = tempfile::tempdir().expect("room");
    let nodes = dir.path().join("nodes").display().to_string();
    let (code, said) = attack(&["--seconds", "12", "--seed", "7", "--dir", &nodes]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("--seed 7\n") && said.contains("lost: 0."));
    let number = |what: &str| {
        // The lines on the way say more after it.
        let line = said.lines().find(|line| line.ends_with(what)).expect("it is said");
        line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).expect("a number")
    };
    for what in ["killed with -9", "frames dropped", "frames doubled", "frames overtaken"] {
        assert!(number(what) > 0, "{what}");
    }
    assert!(number("writes acknowledged") > 60 && number("histories judged at its end") > 10);
    assert!(!dir.path().join("nodes").exists(), "what has shown nothing is not kept");
}

#[test]
fn wrong_use_is_no_fault_of_the_server() {
    assert_eq!(attack(&["--kill", "1"]).0, Some(2));
    let dir = tempfile::tempdir().expect("room");
    let there = dir.path().display().to_string();
    let (code, said) = attack(&["--seconds", "1", "--dir", &there]);
    assert_eq!(code, Some(2));
    assert!(said.contains("is there already"));
}
