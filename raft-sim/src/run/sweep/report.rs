//! What a sweep has found, as data that can be written, read and merged.

use crate::checker::coverage::{SPARE, least};
use crate::plan::choice::RollingHash;
use crate::world::RunOutcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How the format of the file is named; see `docs/SWEEPS.md`.
const SCHEMA: &str = "raft-sim sweep 1";

/// A sweep of so many runs must have covered everything often enough.
pub const ENOUGH: u64 = 1_000;

/// Of a thousand runs so many may be excused from converging.
const MOST_EXCUSED: u64 = 12;

/// The counts of leaders that came where they had to, as a run's outcome has those that were late.
const FAIL_OVERS: [&str; 2] = ["fail_overs", "slow_fail_overs"];

/// Seeds from `first` on, below `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// The one after the last.
    pub end: u64,
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.end)
    }
}

/// One of several equal parts of the seeds of a sweep.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which, from 1 on.
    #[serde(rename = "nth")]
    pub number: u64,
    /// Of how many.
    pub of: u64,
    /// The seeds of all of them.
    pub whole: Seeds,
}

impl Shard {
    /// Its seeds. It must be one of the parts, and the whole must not be empty.
    pub fn seeds(self) -> Seeds {
        let Seeds { first, end } = self.whole;
        let count = u128::from(end - first);
        let at = |number: u64| {
            let part = count * u128::from(number) / u128::from(self.of);
            first + u64::try_from(part).expect("at most the whole")
        };
        Seeds { first: at(self.number - 1), end: at(self.number) }
    }

    /// Whether it is what its numbers say.
    const fn makes_sense(self) -> bool {
        let Self { number, of, whole } = self;
        1 <= number && number <= of && whole.first < whole.end
    }
}

/// Why a sweep stopped before its last seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stopped {
    /// It has found enough.
    Failures,
    /// Its time was over.
    Time,
    /// Somebody wanted it to end.
    Interrupted,
}

/// A run in which a property was broken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepFailure {
    /// The seed.
    pub seed: u64,
    /// The checker.
    pub checker: String,
    /// What is wrong, as a sentence.
    pub sentence: String,
    /// The number of the event at which it was seen.
    pub event: u64,
    /// The simulated time, in microseconds.
    pub time_us: u64,
}

/// How often something happened.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Over all runs.
    pub count: u64,
    /// In how many of them at all.
    pub runs: u64,
}

/// What a sweep has found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepReport {
    schema: String,
    /// See [`build`](super::build_id).
    pub build: String,
    /// What was to be run.
    pub planned: Seeds,
    /// Of what that is a part, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// What was run.
    pub seeds: Seeds,
    /// Why not all of it.
    pub stopped: Option<Stopped>,
    /// How many things happened in these runs.
    pub events: u64,
    /// The simulated time, in microseconds.
    pub simulated_us: u64,
    /// For how long it ran, in milliseconds; of merged reports the sum.
    pub elapsed_ms: u64,
    /// A hash of all runs.
    #[serde(with = "hex")]
    pub digest: u64,
    /// The failures, in the order of the seeds.
    pub failures: Vec<SweepFailure>,
    /// The coverage: what happened how often, by name.
    #[serde(rename = "exercised")]
    pub coverage: BTreeMap<String, Count>,
    /// How many runs were excused from converging, by how a disk was lost.
    #[serde(default)]
    pub excused: BTreeMap<String, u64>,
    /// In how many runs a leader came late, by the count of the coverage that it belongs to.
    #[serde(default)]
    pub late: BTreeMap<String, u64>,
}

/// Something that too few runs had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rare {
    /// Its name in the coverage.
    pub name: String,
    /// How many runs had it.
    pub runs: u64,
    /// How many had to have it.
    pub least: u64,
}

/// What is to be said of a sweep in the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SweepVerdict {
    /// No property is broken, and everything was covered often enough.
    Clean,
    /// No property is broken in so few runs.
    Few,
    /// A property is broken.
    Violated,
    /// No property is broken, but these things happened in too few runs.
    Vacuous(Vec<Rare>),
    /// No property is broken, but something happened too often.
    TooOften(String),
}

impl SweepReport {
    /// A report of nothing yet.
    pub fn new(build: String, planned: Seeds) -> Self {
        let Seeds { first, .. } = planned;
        Self {
            schema: SCHEMA.to_owned(),
            build,
            planned,
            shard: None,
            seeds: Seeds { first, end: first },
            stopped: None,
            events: 0,
            simulated_us: 0,
            elapsed_ms: 0,
            digest: 0,
            failures: Vec::new(),
            coverage: BTreeMap::new(),
            excused: BTreeMap::new(),
            late: BTreeMap::new(),
        }
    }

    /// Takes in the run of the next seed.
    pub fn take(&mut self, outcome: &RunOutcome) {
        let seed = self.seeds.end;
        self.seeds.end += 1;
        self.events += outcome.events;
        self.simulated_us += outcome.time.as_nanos() / 1_000;
        // A sum, so that the digests of two ranges add up to that of both.
        let mut hash = RollingHash::new();
        hash.take(&(seed, outcome.hash));
        self.digest = self.digest.wrapping_add(hash.value());
        for (name, count) in outcome.coverage.counts() {
            if !self.coverage.contains_key(name) {
                self.coverage.insert(name.to_owned(), Count::default());
            }
            let sum = self.coverage.get_mut(name).expect("it was put in");
            sum.count += count;
            sum.runs += u64::from(count > 0);
        }
        if let Some(cause) = outcome.excused {
            *self.excused.entry(cause.name().to_owned()).or_default() += 1;
        }
        for (name, late) in FAIL_OVERS.into_iter().zip(outcome.late) {
            *self.late.entry(name.to_owned()).or_default() += u64::from(late > 0);
        }
        if let Err(violation) = &outcome.verdict {
            self.failures.push(SweepFailure {
                seed,
                checker: violation.checker.to_owned(),
                sentence: violation.sentence.clone(),
                event: violation.event,
                time_us: violation.time.as_nanos() / 1_000,
            });
        }
    }

    /// How many runs.
    pub const fn runs(&self) -> u64 {
        self.seeds.end - self.seeds.first
    }

    /// What is to be said of it.
    pub fn verdict(&self) -> SweepVerdict {
        let rare = self.rare();
        match () {
            () if !self.failures.is_empty() => SweepVerdict::Violated,
            () if self.runs() < ENOUGH => SweepVerdict::Few,
            () if !rare.is_empty() => SweepVerdict::Vacuous(rare),
            () if let Some(what) = self.too_often() => SweepVerdict::TooOften(what),
            () => SweepVerdict::Clean,
        }
    }

    /// What happened in too few runs.
    fn rare(&self) -> Vec<Rare> {
        let counts = self.coverage.iter().map(|(name, count)| Rare {
            name: name.clone(),
            runs: count.runs,
            least: least(name, self.runs()),
        });
        counts.filter(|rare| rare.runs < rare.least).collect()
    }

    /// What happened more often than it may, as a sentence.
    fn too_often(&self) -> Option<String> {
        let excused: u64 = self.excused.values().sum();
        let most = self.runs() * MOST_EXCUSED / 1_000 + SPARE;
        if excused > most {
            return Some(format!("{excused} runs are excused, at most {most} may be"));
        }
        self.late.iter().find_map(|(name, late)| {
            let runs = self.coverage.get(name).map_or(0, |count| count.runs);
            let most = runs / 100 + SPARE;
            (*late > most).then(|| {
                format!("leaders came late in {late} of {runs} runs with {name}, not {most}")
            })
        })
    }

    /// The file.
    pub fn write(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data") + "\n"
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn read(text: &str) -> Result<Self, String> {
        let report: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if report.schema != SCHEMA {
            return Err(format!("expected the schema `{SCHEMA}`, found `{}`", report.schema));
        }
        let Self { planned, seeds, .. } = &report;
        if let Some(shard) = report.shard
            && !(shard.makes_sense() && shard.seeds() == *planned)
        {
            let Shard { number, of, whole } = shard;
            return Err(format!("{planned} is not shard {number}/{of} of the seeds {whole}"));
        }
        if seeds.first != planned.first || seeds.end < seeds.first || seeds.end > planned.end {
            return Err(format!("the seeds {seeds} are no part of what was planned, {planned}"));
        }
        Ok(report)
    }

    /// Takes in a report whose seeds follow.
    fn append(&mut self, next: Self) {
        let sum = |a: u64, b: u64| a.saturating_add(b);
        self.planned.end = next.planned.end;
        self.seeds.end = next.seeds.end;
        self.stopped = next.stopped;
        self.events = sum(self.events, next.events);
        self.simulated_us = sum(self.simulated_us, next.simulated_us);
        self.elapsed_ms = sum(self.elapsed_ms, next.elapsed_ms);
        self.digest = self.digest.wrapping_add(next.digest);
        self.failures.extend(next.failures);
        for (name, Count { count, runs }) in next.coverage {
            let mine = self.coverage.entry(name).or_default();
            *mine = Count { count: sum(mine.count, count), runs: sum(mine.runs, runs) };
        }
        for (counts, more) in [(&mut self.excused, next.excused), (&mut self.late, next.late)] {
            for (name, runs) in more {
                let mine = counts.entry(name).or_default();
                *mine = sum(*mine, runs);
            }
        }
    }
}

/// Reports that are not parts of one sweep.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MergeError {
    /// There are none.
    #[error("there is nothing to merge")]
    Nothing,
    /// Two builds that do not behave alike.
    #[error("{a} is of build {of_a}, but {b} is of build {of_b}: run both with one build")]
    Builds {
        /// A report.
        a: String,
        /// Its build.
        of_a: String,
        /// Another.
        b: String,
        /// Its build.
        of_b: String,
    },
    /// Seeds that were run twice.
    #[error("{a} and {b} both hold seed {seed}")]
    Overlap {
        /// A report.
        a: String,
        /// Another.
        b: String,
        /// The first seed in both.
        seed: u64,
    },
    /// Seeds that nobody ran.
    #[error("nobody ran the seeds {seeds}: {a} ends before them, and {b} begins after them{why}")]
    Gap {
        /// The seeds.
        seeds: Seeds,
        /// A report.
        a: String,
        /// The next one.
        b: String,
        /// Why the first one stopped, if it was to run more.
        why: &'static str,
    },
    /// Shards of sweeps that are not the same.
    #[error("{a} is of the seeds {of_a}, but {b} is of the seeds {of_b}: they are of two sweeps")]
    Sweeps {
        /// A report.
        a: String,
        /// All the seeds of its sweep, and in how many shards.
        of_a: String,
        /// Another.
        b: String,
        /// Those of its sweep.
        of_b: String,
    },
    /// The first shards, or the last ones, are not there.
    #[error("of {of} shards there is no {which}: nobody ran the seeds {seeds}")]
    Missing {
        /// How many there are to be.
        of: u64,
        /// Which is missing.
        which: String,
        /// The seeds that are missing.
        seeds: Seeds,
    },
}

/// Of which sweep these reports are shards, if any of them is one.
fn sweep_of(reports: &[(String, SweepReport)]) -> Result<Option<Shard>, MergeError> {
    let words = |shard: Shard| format!("{} in {} shards", shard.whole, shard.of);
    let mut known: Option<(&String, Shard)> = None;
    for (b, report) in reports {
        let Some(shard) = report.shard else { continue };
        match known {
            None => known = Some((b, shard)),
            Some((_, first)) if (first.of, first.whole) == (shard.of, shard.whole) => {}
            Some((a, first)) => {
                let (of_a, of_b) = (words(first), words(shard));
                return Err(MergeError::Sweeps { a: a.clone(), of_a, b: b.clone(), of_b });
            }
        }
    }
    Ok(known.map(|(_, shard)| shard))
}

/// Whether the seeds of a sweep are there from the first to the last.
fn complete(planned: Seeds, sweep: Shard) -> Result<(), MergeError> {
    let Shard { of, whole, .. } = sweep;
    let before = Seeds { first: whole.first, end: planned.first };
    let behind = Seeds { first: planned.end, end: whole.end };
    let Some(seeds) = [before, behind].into_iter().find(|part| part.first < part.end) else {
        return Ok(());
    };
    let is_missing = |number: &u64| {
        let shard = Shard { number: *number, ..sweep }.seeds();
        shard.first < seeds.end && seeds.first < shard.end
    };
    let first = (1..=of).find(is_missing).unwrap_or(1);
    let last = (1..=of).rev().find(is_missing).unwrap_or(of);
    let which = if first == last { first.to_string() } else { format!("{first} to {last}") };
    Err(MergeError::Missing { of, which, seeds })
}

/// Adds reports of neighbouring seeds, each with the name by which errors call it, in any order.
///
/// # Errors
///
/// Reports that are not parts of one sweep.
pub fn merge(mut reports: Vec<(String, SweepReport)>) -> Result<SweepReport, MergeError> {
    let sweep = sweep_of(&reports)?;
    reports.sort_by_key(|(_, report)| (report.seeds.first, report.seeds.end));
    let mut reports = reports.into_iter();
    let (mut a, mut sum) = reports.next().ok_or(MergeError::Nothing)?;
    for (b, next) in reports {
        if next.build != sum.build {
            return Err(MergeError::Builds { a, of_a: sum.build, b, of_b: next.build });
        }
        if next.seeds.first < sum.seeds.end {
            return Err(MergeError::Overlap { a, b, seed: next.seeds.first });
        }
        if next.seeds.first > sum.seeds.end {
            let seeds = Seeds { first: sum.seeds.end, end: next.seeds.first };
            let why = match sum.stopped {
                None => "",
                Some(Stopped::Failures) => " (the first one stopped at its failures)",
                Some(Stopped::Time) => " (the time of the first one was over)",
                Some(Stopped::Interrupted) => " (the first one was interrupted)",
            };
            return Err(MergeError::Gap { seeds, a, b, why });
        }
        sum.append(next);
        a = b;
    }
    if let Some(sweep) = sweep {
        complete(sum.planned, sweep)?;
    }
    // It is the whole.
    sum.shard = None;
    Ok(sum)
}

/// Hashes as texts: not every reader of JSON has whole numbers of 64 bits.
mod hex {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
    pub(super) fn serialize<S: Serializer>(hash: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{hash:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, MergeError, Rare, Seeds, Shard, Stopped, SweepReport, SweepVerdict, merge};
    use crate::checker::coverage::least;
    use crate::run::sweep::run_seed;
    use crate::view::sweep::summary;
    use crate::world::Cause;

    fn of(first: u64, end: u64) -> (String, SweepReport) {
        let mut report = SweepReport::new("b".to_owned(), Seeds { first, end });
        (first..end).for_each(|seed| report.take(&run_seed(seed)));
        (format!("{first}.json"), report)
    }

    #[test]
    fn parts_add_up_to_the_whole_in_any_order() {
        let (_, whole) = of(5, 14);
        assert_eq!(merge(vec![of(8, 10), of(10, 14), of(5, 8)]), Ok(whole.clone()));
        assert_eq!(SweepReport::read(&whole.write()), Ok(whole));
    }

    #[test]
    fn what_does_not_belong_together_is_refused_in_clear_words() {
        let words = |parts| merge(parts).expect_err("no parts of one sweep").to_string();
        assert_eq!(merge(Vec::new()), Err(MergeError::Nothing));
        let mut other = of(2, 4);
        other.1.build = "c".to_owned();
        assert!(words(vec![of(0, 2), other]).contains("0.json is of build b, but 2.json is of"));
        assert_eq!(words(vec![of(0, 3), of(2, 4)]), "0.json and 2.json both hold seed 2");
        let mut cut = of(0, 2);
        cut.1.stopped = Some(Stopped::Interrupted);
        let gap = words(vec![of(3, 4), cut]);
        assert!(gap.starts_with("nobody ran the seeds 2..3: 0.json ends"), "{gap}");
        assert!(gap.ends_with("(the first one was interrupted)"), "{gap}");
    }

    /// One of so many shards of the seeds 0..6.
    fn shard(number: u64, of: u64) -> (String, SweepReport) {
        let shard = Shard { number, of, whole: Seeds { first: 0, end: 6 } };
        let mut report = SweepReport::new("b".to_owned(), shard.seeds());
        (shard.seeds().first..shard.seeds().end).for_each(|seed| report.take(&run_seed(seed)));
        report.shard = Some(shard);
        (format!("{number}of{of}.json"), report)
    }

    #[test]
    fn every_shard_of_a_sweep_must_be_there() {
        let words = |parts| merge(parts).expect_err("something is missing").to_string();
        let all = merge(vec![shard(3, 3), shard(1, 3), shard(2, 3)]);
        assert_eq!(all, Ok(of(0, 6).1), "the sum is a whole sweep");
        let without_last = words(vec![shard(1, 3), shard(2, 3)]);
        assert_eq!(without_last, "of 3 shards there is no 3: nobody ran the seeds 4..6");
        let without_first = words(vec![shard(3, 3)]);
        assert_eq!(without_first, "of 3 shards there is no 1 to 2: nobody ran the seeds 0..4");
        let gap = words(vec![shard(1, 3), shard(3, 3)]);
        assert!(gap.starts_with("nobody ran the seeds 2..4: "), "{gap}");
        let two = words(vec![shard(1, 2), shard(3, 3)]);
        assert!(two.contains("1of2.json is of the seeds 0..6 in 2 shards"), "{two}");
        assert!(merge(vec![shard(1, 3), of(2, 6)]).is_ok(), "somebody ran the rest");
        let (_, one) = shard(2, 3);
        assert_eq!(SweepReport::read(&one.write()), Ok(one.clone()));
        let lies = one.write().replacen("\"nth\": 2", "\"nth\": 3", 1);
        assert!(SweepReport::read(&lies).expect_err("a lie").contains("2..4 is not shard 3/3"));
    }

    #[test]
    fn excuses_are_counted_by_cause_and_need_not_happen() {
        let mut report = of(0, 1).1;
        let mut outcome = run_seed(1);
        outcome.excused = Some(Cause::Destroyed);
        report.take(&outcome);
        let (_, mut next) = of(2, 3);
        next.excused.insert("destroyed".to_owned(), 2);
        next.excused.insert("damaged".to_owned(), 1);
        let both = merge(vec![("a".to_owned(), report), ("b".to_owned(), next)]).expect("a sum");
        let excused: Vec<_> = both.excused.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(excused, [("damaged", 1), ("destroyed", 3)]);
        let words = summary(&both);
        assert!(words.contains(": 4 runs (1 damaged, 3 destroyed)\n"), "{words}");
        assert!(!summary(&of(0, 1).1).contains("excused"));
    }

    #[test]
    fn too_many_excuses_and_too_many_late_leaders_fail_a_big_sweep() {
        let mut report = SweepReport::new("b".to_owned(), Seeds { first: 0, end: 1_000 });
        report.seeds.end = 1_000;
        let verdict = |report: &SweepReport| match report.verdict() {
            SweepVerdict::TooOften(what) => Some(what),
            SweepVerdict::Clean => None,
            other => panic!("{other:?}"),
        };
        report.excused = [("damaged".to_owned(), 10), ("wiped".to_owned(), 5)].into();
        report.coverage.insert("fail_overs".to_owned(), Count { count: 900, runs: 500 });
        report.late.insert("fail_overs".to_owned(), 8);
        assert_eq!(verdict(&report), None);
        report.late.insert("fail_overs".to_owned(), 9);
        let late = "leaders came late in 9 of 500 runs with fail_overs, not 8";
        assert_eq!(verdict(&report).as_deref(), Some(late));
        assert!(summary(&report).contains("leaders came late in 9 of 500 runs with fail_overs\n"));
        report.excused.insert("unheard".to_owned(), 1);
        let excused = "16 runs are excused, at most 15 may be";
        assert_eq!(verdict(&report).as_deref(), Some(excused));
        let more = SweepReport { seeds: Seeds { first: 1_000, end: 1_001 }, ..report.clone() };
        report.append(more);
        assert_eq!(report.late["fail_overs"], 18);
        report.seeds.end = 10;
        assert_eq!(report.verdict(), SweepVerdict::Few);
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        let good = of(0, 1).1.write();
        let bad = |old: &str, new: &str| {
            assert!(good.contains(old), "{old}");
            SweepReport::read(&good.replacen(old, new, 1)).expect_err(new)
        };
        assert!(bad("sweep 1", "sweep 2").contains("expected the schema `raft-sim sweep 1`"));
        assert!(bad("\"events\"", "\"even\"").contains("unknown field `even`"));
        assert!(bad("\"end\": 1", "\"end\": -1").contains("line 6"), "where");
        let outside = bad("\"end\": 1", "\"end\": 0");
        assert!(outside.contains("no part of what was planned"), "{outside}");
        assert!(SweepReport::read("").is_err() && SweepReport::read("[]").is_err());
    }

    #[test]
    fn a_big_sweep_in_which_something_is_too_rare_is_vacuous_and_a_small_one_is_not() {
        let enough = least("damages", 1_000);
        let with = |seeds: Seeds, damaged: u64| {
            let mut report = of(0, 1).1;
            (report.planned, report.seeds) = (seeds, seeds);
            report.coverage.values_mut().for_each(|count| count.runs = report.seeds.end);
            report.coverage.insert("comets".to_owned(), Count::default());
            report.coverage.insert("damages".to_owned(), Count { count: damaged, runs: damaged });
            report
        };
        let few = with(Seeds { first: 0, end: 999 }, 0);
        assert_eq!(few.verdict(), SweepVerdict::Few);
        let first = Seeds { first: 0, end: 1_000 };
        let bad = with(first, enough - 1);
        let rare = |runs, least| vec![Rare { name: "damages".to_owned(), runs, least }];
        assert_eq!(bad.verdict(), SweepVerdict::Vacuous(rare(enough - 1, enough)));
        let words = format!("too seldom: damages in {} runs, not {enough}\n", enough - 1);
        assert!(summary(&bad).ends_with(&words), "{}", summary(&bad));
        assert_eq!(with(first, enough).verdict(), SweepVerdict::Clean);
        // What chance may take from one sweep it may not take from each of its shards.
        let (next, all) = (Seeds { first: 1_000, end: 2_000 }, least("damages", 2_000));
        let sum = |damaged: u64| {
            let parts = [with(first, enough), with(next, damaged - enough)];
            merge(parts.map(|part| (part.seeds.to_string(), part)).to_vec()).expect("a sum")
        };
        assert_eq!(sum(all - 1).verdict(), SweepVerdict::Vacuous(rare(all - 1, all)));
        assert_eq!(sum(all).verdict(), SweepVerdict::Clean);
    }
}
