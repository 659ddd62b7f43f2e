//! The README shows what the main command prints.

use std::fs;
use std::path::Path;

#[test]
fn the_readme_shows_what_the_main_command_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("a file of the repository");
    let (readme, report) = (read("../README.md"), read("tests/golden/report.txt"));
    assert!(
        readme.contains(report.trim_end()),
        "put the output of `cargo run --release -p raft-sim` into the README"
    );
}
