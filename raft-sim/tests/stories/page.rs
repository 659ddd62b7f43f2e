//! A story as a page of text.

use crate::claims::{ANY, Claim};
use crate::line::Line;
use crate::teller::Teller;
use crate::words::seconds;
use raft_core::Instant;
use raft_sim::Setup;
use raft_sim::run::play;
use raft_sim::scenario::{LEVELS, Scenario, level_name};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// The seed that `raft-sim run` takes if none is given.
pub(crate) const SEED: u64 = 1;

/// What is not plain from the lines themselves.
const LEGEND: &str = "\
2/21 is entry 21, of term 2. timeout (803 ms): the election timeout ran out, 803 ms after its last
reset. ── is what is done to the cluster. campaign: to be told to start an election at once.";

/// A run as a story.
pub(crate) struct Story {
    pub(crate) scenario: String,
    pub(crate) level: String,
    pub(crate) title: String,
    pub(crate) seed: u64,
    pub(crate) setup: Setup,
    pub(crate) lines: Vec<Line>,
}

impl Story {
    /// The story of a scenario in a protection level, up to a moment.
    pub(crate) fn of(name: &str, level: &str, until: Option<&str>, seed: u64) -> Self {
        let scenario = Scenario::named(name).expect("a scenario of our own");
        let protection = LEVELS.into_iter().find(|of| level_name(*of) == level).expect("a level");
        let setup = scenario.setup(protection);
        let end = Instant::ZERO.saturating_add(setup.duration);
        let end = until.map_or(end, moment);
        let mut teller = Teller::new(sentences(name), scenario.observe_from, end);
        let played = play(&scenario, protection, seed, &mut teller);
        assert!(played.is_good(), "{name} {level} seed {seed}");
        let (name, level) = (name.to_owned(), level.to_owned());
        Self { scenario: name, level, title: scenario.title, seed, setup, lines: teller.finish() }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.scenario, self.level)
    }

    /// The claims that are about this story.
    pub(crate) fn claims<'a>(&'a self, all: &'a [Claim]) -> impl Iterator<Item = &'a Claim> {
        let story = (self.scenario.as_str(), self.level.as_str());
        all.iter().filter(move |claim| claim.story == story)
    }

    /// The lines that a claim names, or what is wrong with it.
    pub(crate) fn shows(&self, claim: &Claim) -> Result<Vec<usize>, String> {
        let mut shown = Vec::new();
        let says = |nth: usize, (nodes, part): &(&str, &str)| {
            let line = &self.lines[nth];
            let is_any = *nodes == ANY && line.nodes.len() == 1;
            let text = line.whole_text();
            (is_any || line.who() == *nodes) && part.split('…').all(|part| text.contains(part))
        };
        let mut from = 0;
        for wanted in claim.lines {
            let found = (from..self.lines.len()).find(|nth| says(*nth, wanted));
            let nth = found.ok_or_else(|| format!("N{}: no line {wanted:?}", claim.rule))?;
            shown.push(nth);
            from = nth + 1;
        }
        let first = shown.first().copied().unwrap_or_default();
        for unwanted in claim.never {
            if let Some(nth) = (first + 1..self.lines.len()).find(|nth| says(*nth, unwanted)) {
                return Err(format!(
                    "N{}: there is {:?}",
                    claim.rule,
                    self.lines[nth].whole_text()
                ));
            }
        }
        Ok(shown)
    }

    /// The page.
    pub(crate) fn text(&self, claims: &[Claim]) -> String {
        let mut text = String::new();
        let mut line = |words: String| writeln!(text, "{}", words.trim_end());
        let mut marks = vec![BTreeSet::new(); self.lines.len()];
        let protection = match self.level.as_str() {
            "plain" => "plain: the Raft paper, no pre-vote",
            "pre-vote" => "pre-vote: the Raft paper and pre-vote",
            _ => "full: pre-vote, leader lease, check-quorum",
        };
        let timeout = self.setup.election_timeout.as_millis();
        let mut head = vec![
            format!("{}: {}", self.scenario, self.title),
            format!(
                "protection {protection}; seed {}; election timeout T = {timeout} ms",
                self.seed
            ),
            LEGEND.to_owned(),
            String::new(),
        ];
        for claim in self.claims(claims) {
            head.push(format!("{:3} {}", format!("N{}", claim.rule), claim.says));
            for nth in self.shows(claim).unwrap_or_default() {
                marks[nth].insert(claim.rule);
            }
        }
        let marks: Vec<_> = marks.iter().map(marked).collect();
        let width = marks.iter().map(String::len).max().unwrap_or_default();
        head.extend([String::new(), format!("{:width$} seconds  node    what happens", "")]);
        for words in head {
            line(words).expect("a string takes everything");
        }
        for (known, mark) in self.lines.iter().zip(&marks) {
            let (time, who, words) = (seconds(known.time), known.who(), known.whole_text());
            line(format!("{mark:width$}  {time:>6}  {who:6}  {words}"))
                .expect("a string takes everything");
        }
        text
    }
}

fn marked(rules: &BTreeSet<u8>) -> String {
    rules.iter().map(|rule| format!("N{rule}")).collect::<Vec<_>>().join(" ")
}

/// What is done to the cluster, as the file of the scenario says it.
fn sentences(name: &str) -> Vec<(Instant, String)> {
    let file = format!("{name}.toml");
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "scenarios", &file].iter().collect();
    let text = fs::read_to_string(path).expect("our own file");
    let file: toml::Table = text.parse().expect("our own file");
    let timeline = file["run"].get("timeline").and_then(toml::Value::as_array);
    let mut sentences = Vec::new();
    for step in timeline.into_iter().flatten() {
        let word = |key: &str| step.get(key).and_then(toml::Value::as_str);
        let mut at = moment(word("at").expect("a moment"));
        let (pause, until) = (word("every").map(moment), word("until").map_or(at, moment));
        while at <= until {
            sentences.push((at, word("do").expect("a sentence").to_owned()));
            let Some(pause) = pause else { break };
            at = at.saturating_add(pause.saturating_since(Instant::ZERO));
        }
    }
    sentences.sort_by_key(|(at, _)| *at);
    sentences
}

/// A moment as these files spell it.
fn moment(text: &str) -> Instant {
    let (number, unit) = text.split_once(' ').expect("a number and its unit");
    let number: u64 = number.parse().expect("a whole number");
    let millis = if unit == "s" { number * 1000 } else { number };
    Instant::from_nanos(millis * 1_000_000)
}
