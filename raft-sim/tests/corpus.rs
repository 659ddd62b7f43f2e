//! The bodies of the fuzz targets over the committed corpus, on any toolchain.

use std::collections::BTreeSet;
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
    over("node", raft_sim::run::fuzz_one_node);
}

/// A corpus that is always refused tests the refusals only.
#[test]
fn the_corpus_of_one_node_reaches_every_kind_of_input_and_action() {
    let mut reached = BTreeSet::new();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/node");
    for entry in fs::read_dir(&corpus).expect("a folder") {
        let bytes = fs::read(entry.expect("a readable folder").path()).expect("a readable file");
        reached.extend(raft_sim::run::fuzz_reached(&bytes));
    }
    let inputs = "Wake Propose Persisted Campaign Read ChangeMembership TransferLeadership \
                  SnapshotTaken SnapshotInstalled PeerUnreachable";
    let messages = "PreVote PreVoteResponse RequestVote RequestVoteResponse AppendEntries \
                    AppendEntriesResponse InstallSnapshot TimeoutNow ReadIndex ReadIndexResponse";
    let actions = "Accepted Rejected Persist Apply ReadReady TransferEnded SendSnapshot \
                   RoleChanged Ignored";
    let wanted = [inputs, messages, actions].into_iter().flat_map(str::split_whitespace);
    let missing: Vec<_> = wanted.filter(|name| !reached.contains(*name)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}

#[test]
fn a_cluster_withstands_its_corpus() {
    over("cluster", raft_sim::run::fuzz_cluster);
}
