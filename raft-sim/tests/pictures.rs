//! The pictures in the documents are what the simulator draws today; `UPDATE_GOLDEN=1` draws them
//! anew.

#![cfg(feature = "cli")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The scenarios of the notes, as README and docs show them.
const SHOWN: [&str; 2] = ["symmetric-partition", "asymmetric-partition"];

#[test]
fn the_pictures_of_the_documents_are_drawn_today() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(root.join("README.md")).expect("a file of the repository");
    for name in SHOWN {
        let path = root.join(format!("docs/pictures/{name}.svg"));
        let drawn = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.svg"));
        run(&[name, "--from", "1s", "--to", "10s", "--svg"], &drawn);
        let text = fs::read_to_string(&drawn).expect("it was written");
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &text).expect("the directory is there");
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "{name}.svg differs; look, then UPDATE_GOLDEN=1");
        for level in ["plain", "pre-vote", "full"] {
            assert!(text.contains(&format!("\">{level}</text>")), "a panel for {level}");
        }
        assert!(readme.contains(&format!("docs/pictures/{name}.svg")));
    }
}

#[test]
fn a_page_is_the_same_at_each_run() {
    let [first, second] = ["first.html", "second.html"].map(|name| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        run(&["figure-8", "--seed", "7", "--html"], &path);
        fs::read(path).expect("it was written")
    });
    assert!(first == second);
    assert!(first.starts_with(b"<!doctype html>"));
}

fn run(arguments: &[&str], path: &PathBuf) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    let output = command.arg("run").args(arguments).arg(path).output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
