//! Stories: what happens to roles, terms, votes and commits in a run, as the Raft paper would tell
//! it.
//!
//! One file for a scenario and a protection level, in `tests/golden/stories`; `UPDATE_GOLDEN=1`
//! writes them anew. `docs/STORIES.md` says how to read them.

mod claims;
mod invented;
mod known;
mod line;
mod page;
mod teller;
mod words;

use claims::{CLAIMS, Claim};
use page::{SEED, Story};
use raft_sim::scenario::{Scenario, level_name};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::{env, fs};

/// Every story: its scenario, its protection level, and when it ends, if not with the run.
const STORIES: &[(&str, &str, Option<&str>)] = &[
    ("cold-start", "plain", None),
    ("cold-start", "full", None),
    ("split-vote", "plain", None),
    ("split-vote", "full", None),
    ("symmetric-partition", "plain", None),
    ("symmetric-partition", "pre-vote", None),
    ("symmetric-partition", "full", None),
    ("asymmetric-partition", "plain", Some("7200 ms")),
    ("asymmetric-partition", "pre-vote", None),
    ("asymmetric-partition", "full", None),
    ("asymmetric-partition-one-way", "full", None),
    ("asymmetric-partition-busy", "pre-vote", None),
    ("rejoin-with-higher-term", "plain", None),
    ("rejoin-with-higher-term", "full", None),
    ("flapping-link", "plain", Some("5 s")),
    ("figure-8", "full", None),
    ("pre-term-recovery", "full", None),
    ("no-client-writes", "full", None),
    ("removed-leader", "full", None),
];

/// A story that shows what takes luck, and the seed at which it is seen.
const LUCKY: (&str, u64) = ("flapping-link", 7);

fn stories() -> impl Iterator<Item = Story> {
    STORIES.iter().map(|(scenario, level, until)| {
        let seed = if *scenario == LUCKY.0 { LUCKY.1 } else { SEED };
        Story::of(scenario, level, *until, seed)
    })
}

/// How long a story may be, and how wide.
const LINES: usize = 60;
const COLUMNS: usize = 100;

#[test]
fn every_story_reads_as_it_did() {
    let names: BTreeSet<String> =
        stories().map(|story| golden(&story.name(), &story.text(CLAIMS))).collect();
    let kept = fs::read_dir(folder()).expect("the directory is there");
    let kept: BTreeSet<String> =
        kept.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(kept, names, "a story for each file");
}

#[test]
fn a_story_is_short() {
    for story in stories() {
        let (name, text) = (story.name(), story.text(CLAIMS));
        assert!(text.lines().count() <= LINES, "{name}: {} lines", text.lines().count());
        let wide = text.lines().find(|line| line.chars().count() > COLUMNS);
        assert_eq!(wide, None, "{name}");
    }
}

#[test]
fn every_rule_of_the_notes_is_seen_in_a_story() {
    let mut wrong = Vec::new();
    for story in stories() {
        let shown = story.claims(CLAIMS).map(|claim| story.shows(claim));
        wrong.extend(shown.filter_map(Result::err).map(|what| format!("{}: {what}", story.name())));
        if story.claims(CLAIMS).next().is_none() {
            wrong.push(format!("{}: shows no rule", story.name()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for rule in 1..=16 {
        assert!(CLAIMS.iter().any(|claim| claim.rule == rule), "N{rule}");
    }
    for claim in CLAIMS {
        let has_story = STORIES.iter().any(|(name, level, _)| claim.story == (name, level));
        assert!(has_story, "{:?}", claim.story);
    }
}

/// A story is one run; but what it shows is no matter of luck, or is marked as such.
#[test]
fn what_a_story_shows_is_seen_at_other_seeds_too() {
    let mut wrong = Vec::new();
    for seed in (1..=8).filter(|seed| *seed != SEED) {
        for (scenario, level, until) in STORIES {
            let story = Story::of(scenario, level, *until, seed);
            let claims = story.claims(CLAIMS).filter(|claim| !claim.is_by_chance);
            let shown = claims.filter_map(|claim| story.shows(claim).err());
            wrong.extend(shown.map(|what| format!("{} seed {seed}: {what}", story.name())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The page names each story beside each rule that it shows, and what it quotes stands in one.
#[test]
fn the_page_has_a_row_for_every_rule() {
    let page = include_str!("../../docs/STORIES.md");
    let texts: BTreeMap<String, String> =
        stories().map(|story| (format!("{}.txt", story.name()), story.text(CLAIMS))).collect();
    for row in page.lines().filter(|line| line.starts_with("| N")) {
        let (files, quotes): (Vec<_>, Vec<_>) =
            row.split('`').skip(1).step_by(2).partition(|word| texts.contains_key(*word));
        for quote in quotes {
            assert!(files.iter().any(|file| texts[*file].contains(quote)), "{quote} in {files:?}");
        }
    }
    for Claim { rule, story: (scenario, level), .. } in CLAIMS {
        let row = page.lines().find(|line| line.starts_with(&format!("| N{rule} |")));
        let row = row.unwrap_or_else(|| panic!("no row for N{rule}"));
        assert!(row.contains(&format!("{scenario}-{level}.txt")), "N{rule}: {scenario}-{level}");
    }
}

/// N1, N2 and N4, in every scenario: a timer runs out T to 2T after its last reset. What resets it
/// is said by the notes here (a message of the leader, a later term, a vote given, a round of its
/// own), not asked of the core. A lease promised to a leader with a longer T binds for that long.
#[test]
fn every_election_timeout_runs_out_within_t_and_2t_of_its_last_reset() {
    let mut waits = Vec::new();
    for scenario in Scenario::built_in().filter(|scenario| scenario.alarm.is_none()) {
        for level in &scenario.levels {
            let story = Story::of(&scenario.name, level_name(*level), None, SEED);
            for line in &story.lines {
                let Some(waited) = line.waited else { continue };
                let node = story.setup.nodes.iter().find(|node| line.nodes == [node.id]);
                let own = node.and_then(|node| node.election_timeout);
                let all = story.setup.election_timeout;
                let timeout = own.unwrap_or(all);
                let within = timeout <= waited && waited < timeout + timeout.max(all);
                assert!(
                    within,
                    "{} {level:?}: {:?} {}",
                    scenario.name,
                    line.nodes,
                    line.whole_text()
                );
                waits.push(waited);
            }
        }
    }
    let all = waits.len();
    waits.sort_unstable();
    waits.dedup();
    assert!(all > 100 && waits.len() > all / 2, "{all} waits, {} of them different", waits.len());
}

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", "stories"].iter().collect()
}

/// Compares a story with the one that is kept, and gives the name of its file.
fn golden(name: &str, text: &str) -> String {
    let file = format!("{name}.txt");
    let path = folder().join(&file);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).expect("the directory is there");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).position(|(kept, now)| kept != now);
    let line = differs.unwrap_or_else(|| kept.lines().count().min(text.lines().count())) + 1;
    assert!(kept == text, "{file} differs from line {line} on; look, then UPDATE_GOLDEN=1");
    file
}
