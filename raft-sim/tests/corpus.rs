//! The bodies of the fuzz targets over the committed corpus, on any toolchain.

use std::fs;
use std::path::{Path, PathBuf};

/// Runs `body` over every file of a target's corpus, in the order of names.
fn over(target: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&corpus)
        .unwrap_or_else(|error| panic!("{}: {error}", corpus.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    assert!(files.len() >= 20, "{} holds a corpus", corpus.display());
    for file in files {
        // Shown if the body panics: the input to look at.
        println!("{}", file.display());
        body(&fs::read(&file).expect("a readable file"));
    }
}

#[test]
fn one_node_withstands_its_corpus() {
    over("node", raft_sim::fuzz::one_node);
}

#[test]
fn a_cluster_withstands_its_corpus() {
    over("cluster", raft_sim::fuzz::cluster);
}
