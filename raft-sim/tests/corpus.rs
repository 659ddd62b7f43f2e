//! The bodies of the fuzz targets over their committed corpora, on any toolchain.

use raft_sim::run;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

type Body = fn(&[u8]);

/// Every target that there is.
const TARGETS: [(&str, Body); 7] = [
    ("node", run::fuzz_one_node),
    ("cluster", run::fuzz_cluster),
    ("message", run::fuzz_messages),
    ("dump", run::fuzz_dump),
    ("recovery", run::fuzz_recovery),
    ("scenario", run::fuzz_scenario),
    ("frames", run::fuzz_frames),
];

/// What the fuzz targets' own folder has.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(name)
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a plain name");
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("a readable folder"))).collect();
    names.sort();
    names
}

/// The inputs of a target's corpus with their names, in the order of the names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder("corpus").join(target);
    let read = |name: String| {
        let bytes = fs::read(folder.join(&name)).expect("a readable file");
        (name, bytes)
    };
    names(&folder).into_iter().map(read).collect()
}

/// Runs a target's body over its corpus.
fn withstands(target: &str) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target");
    let corpus = corpus(target);
    assert!(corpus.len() >= 20, "{target} has a corpus");
    for (name, bytes) in corpus {
        // Shown if the body panics: the input to look at.
        println!("fuzz/corpus/{target}/{name}");
        body(&bytes);
    }
}

#[test]
fn one_node_withstands_its_corpus() {
    withstands("node");
}

#[test]
fn a_cluster_withstands_its_corpus() {
    withstands("cluster");
}

#[test]
fn messages_withstand_their_corpus() {
    withstands("message");
}

#[test]
fn dumps_withstand_their_corpus() {
    withstands("dump");
}

#[test]
fn recovery_withstands_its_corpus() {
    withstands("recovery");
}

#[test]
fn scenarios_withstand_their_corpus() {
    withstands("scenario");
}

#[test]
fn frames_withstand_their_corpus() {
    withstands("frames");
}

/// A target without a corpus here would be run by nobody who has no nightly toolchain.
#[test]
fn every_target_is_run_here() {
    let mut known: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    known.sort();
    let targets = names(&folder("targets"));
    let built: Vec<_> = targets.iter().filter_map(|name| name.strip_suffix(".rs")).collect();
    assert_eq!(built, known);
    assert_eq!(names(&folder("corpus")), known);
}

/// A corpus is minimised: it is read by every checkout.
#[test]
fn corpora_are_small() {
    for (target, _) in TARGETS {
        let corpus = corpus(target);
        let bytes: usize = corpus.iter().map(|(_, bytes)| bytes.len()).sum();
        let (files, limit) = (corpus.len(), 500 * 1024);
        assert!(files <= 300 && bytes <= limit, "{target}: {files} files, {bytes} bytes");
    }
}

/// A corpus that is always refused tests the refusals only. A kind of input that is new in the core
/// stands in the list as soon as the core builds, and must then be drawn and reached.
#[test]
fn the_corpus_of_one_node_reaches_every_kind_of_input_and_action() {
    let reached: BTreeSet<String> =
        corpus("node").iter().flat_map(|(_, bytes)| run::fuzz_reached(bytes)).collect();
    let reasons = "NotLeader BadCount TermNotCommitted TransferInProgress ChangeInProgress \
                   BadMembership AlreadyInForce NotCaughtUp NoQuorum CannotLead NoOtherVoter \
                   TooManyReads LeaderChanged TimedOut TooManyUncommitted ClockOutOfRange \
                   Misrouted Malformed MalformedEntries Stale UnknownPeer Contradiction \
                   SecondLeader ImpossibleAcknowledgement UnknownSnapshot";
    let wanted = run::fuzz_kinds().chain(reasons.split_whitespace()).chain(["Crash"]);
    let missing: Vec<_> = wanted.filter(|name| !reached.contains(*name)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}

/// The words of a format are what a fuzzer cannot guess.
#[test]
fn the_dictionary_knows_every_key_of_a_dumped_node() {
    let words = fs::read_to_string(folder("dictionaries/json.txt")).expect("the dictionary");
    let mut missing = BTreeSet::new();
    for target in ["message", "dump", "recovery"] {
        for seed in run::fuzz_seeds(target) {
            let Ok(text) = String::from_utf8(seed) else { continue };
            let keys = text.split('"').skip(1).step_by(2).map(str::to_owned);
            missing.extend(keys.filter(|key| !words.contains(&format!("\\\"{key}\\\""))));
        }
    }
    assert_eq!(missing, BTreeSet::new());
}
