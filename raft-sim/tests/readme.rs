//! The README shows what the main command prints, and the example of the package.

use std::fs;
use std::path::Path;

/// The example of the package is compiled with its documentation, so that ours is, too.
#[test]
fn the_readme_shows_the_example_of_the_package() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let [readme, package] = ["README.md", "raft-core/README.md"].map(|path| {
        let text = fs::read_to_string(root.join(path)).expect("a file of the repository");
        let (_, rest) = text.split_once("```rust\n").expect("an example");
        rest.split_once("```").expect("its end").0.to_owned()
    });
    assert_eq!(readme, package);
}

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
