//! Scenarios that come with the simulator, and others that are read.

use crate::scenario::error::ScenarioError;
use crate::scenario::model::Scenario;
use crate::scenario::reader;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*]
    };
}

/// The names and texts of the scenarios that come with the simulator, in the order of the report.
const BUILT_IN: [(&str, &str); 55] = built_in![
    "symmetric-partition",
    "asymmetric-partition",
    "asymmetric-partition-one-way",
    "asymmetric-partition-busy",
    "cold-start",
    "split-vote",
    "no-client-writes",
    "pre-term-recovery",
    "rejoin-with-higher-term",
    "figure-8",
    "figure-8-backwards",
    "deaf-leader",
    "mute-leader",
    "one-way-to-leader",
    "one-way-between-followers",
    "bridge",
    "flapping-link",
    "flapping-leader",
    "flapping-near-t",
    "partial-mesh",
    "partial-mesh-edge",
    "quorum-loss",
    "chained",
    "chain-of-five",
    "ring-of-five",
    "constrained-election",
    "hung-disk",
    "full-disk",
    "damaged-disk",
    "hostile-messages",
    "membership-change",
    "undone-change",
    "concurrent-changes",
    "learner-catch-up",
    "removed-leader",
    "removed-node",
    "leadership-transfer",
    "transfer-timeout",
    "transfer-refused",
    "read-index",
    "lease-read",
    "lease-read-clients",
    "lease-read-beyond-drift",
    "lease-clock-back-seen",
    "lease-clock-back-unseen",
    "lease-clock-forward",
    "follower-read",
    "too-many-uncommitted",
    "too-many-reads",
    "status",
    "snapshot-catch-up",
    "snapshot-interrupted",
    "unreachable-peer",
    "long-absence",
    "wiped-node",
];

impl Scenario {
    /// The scenarios that come with the simulator.
    pub fn built_in() -> impl Iterator<Item = Self> {
        BUILT_IN.into_iter().map(|(name, text)| {
            let scenario = Self::read(name, &format!("scenarios/{name}.toml"), text);
            let scenario =
                scenario.unwrap_or_else(|error| panic!("our own file is wrong\n{error}"));
            Self { source: name.to_owned(), ..scenario }
        })
    }

    /// The scenario of this name that comes with the simulator.
    pub fn named(name: &str) -> Option<Self> {
        Self::built_in().find(|scenario| scenario.name == name)
    }

    /// Reads the text of a scenario file. `file` is how errors name it.
    ///
    /// # Errors
    ///
    /// The first place that is wrong, and what was expected there.
    pub fn read(name: &str, file: &str, text: &str) -> Result<Self, ScenarioError> {
        reader::read(name, file, text)
    }

    /// The same with the voters in another order: the same file, in which they have other names.
    ///
    /// Below the number of voters `by` is by how many places each is moved; above, those after S1
    /// change places before that, in another way for each multiple of the number of voters.
    ///
    /// # Panics
    ///
    /// Never: what is good under one name is good under another.
    #[must_use]
    pub fn rotated(&self, by: u64) -> Self {
        let order = order(self.voters, by);
        let text = renamed(&self.text, |name| {
            let nth = usize::try_from(name).ok().and_then(|name| name.checked_sub(1));
            nth.and_then(|nth| order.get(nth)).copied().unwrap_or(name)
        });
        let read = Self::read(&self.name, &self.source, &text).expect("other names, no other file");
        Self { source: self.source.clone(), text: self.text.clone(), ..read }
    }
}

/// Which voter plays the first part, the second, and so on.
fn order(voters: u64, by: u64) -> Vec<u64> {
    let mut order: Vec<u64> = (1..=voters).collect();
    let mut rest = by / voters;
    for nth in 1..order.len() {
        let behind = u64::try_from(order.len() - nth).expect("a few voters");
        order.swap(nth, nth + usize::try_from(rest % behind).expect("a few voters"));
        rest /= behind;
    }
    order.into_iter().map(|voter| (voter - 1 + by % voters) % voters + 1).collect()
}

/// The text with other numbers behind the S of the nodes.
fn renamed(text: &str, name: impl Fn(u64) -> u64) -> String {
    let mut new = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('S') {
        let (before, after) = rest.split_at(at);
        let digits = after[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len() - 1);
        let (word, behind) = after.split_at(1 + digits);
        let is_part_of_a_word = before.ends_with(|c: char| c.is_ascii_alphanumeric());
        new.push_str(before);
        match word[1..].parse() {
            Ok(number) if !is_part_of_a_word => {
                new.push('S');
                new.push_str(&name(number).to_string());
            }
            _ => new.push_str(word),
        }
        rest = behind;
    }
    new + rest
}

#[cfg(test)]
mod tests {
    use super::Scenario;
    use crate::plan::act::{Act, LinkAct};
    use crate::scenario::text::LEVELS;
    use raft_core::{LogIndex, LogPosition, NodeId, Term};
    use std::time::Duration;

    const GOOD: &str = r#"
title = "t"
notes = "n"
story = "one\n  two"

[cluster]
voters = 3
election_timeout = "500 ms"

[[node]]
id = "S3"
log = ["2 of term 1", "1 of term 4"]

[[client]]
think = "1 ms .. 2 ms"

[run]
duration = "5 s"
timeline = [
    { at = "2 s", do = "heal all" },
    { at = "1 s", do = "isolate S2" },
]

[[expect]]
that = "e"
elections = "1.."
"#;

    #[test]
    fn a_file_becomes_a_setup() {
        let scenario = Scenario::read("x", "x.toml", GOOD).expect("a good file");
        assert_eq!((scenario.story.as_str(), scenario.levels.as_slice()), ("one two", &LEVELS[..]));
        let setup = scenario.setup(LEVELS[1]);
        assert_eq!(setup.protection, LEVELS[1]);
        assert_eq!(setup.heartbeat_interval, Duration::from_millis(50));
        assert_eq!(setup.nodes[2].last(), LogPosition::new(Term(4), LogIndex(3)));
        assert_eq!(setup.nodes[2].hard_state.current_term, Term(4));
        let faults: Vec<_> = setup.timeline.iter().map(|(_, fault)| fault.clone()).collect();
        assert_eq!(
            faults,
            [Act::Link(LinkAct::Isolate { node: NodeId(2) }), Act::Link(LinkAct::HealAll)]
        );
        assert_eq!(scenario.expectations[0].at.as_nanos(), 5_000_000_000);
    }

    /// Each line replaces the first text by the second and names the line and the words of the
    /// error.
    const BAD: [(&str, &str, usize, &str); 23] = [
        ("voters = 3", "voters = ", 7, "expected"),
        ("voters = 3", "voters = 0", 7, "expected 1 to 128 voters, found 0"),
        ("voters = 3", "voters = -3", 7, "expected a number, found `-3`"),
        ("voters = 3", "voter = 3", 7, "expected one of `voters`"),
        ("title = \"t\"", "", 1, "missing field `title`"),
        ("\"500 ms\"", "\"500\"", 8, "expected a duration such as \"150 ms\""),
        ("\"500 ms\"", "500", 8, "expected a duration such as"),
        ("\"500 ms\"", "true", 8, "expected a duration such as"),
        ("\"500 ms\"", "\"2 ns\"", 8, "expected an election timeout from 1 us"),
        ("\"S3\"", "\"S4\"", 11, "expected a node of the cluster, S1 to S3, found S4"),
        ("\"S3\"", "3", 11, "expected a node such as \"S1\", found `3`"),
        ("1 of term 4", "1 of term 0", 12, "expected entries of one term"),
        ("2 of term 1", "2 of term 5", 12, "expected a term not below"),
        ("1 ms .. 2 ms", "1 ms ..", 15, "expected a greatest value too"),
        ("\"5 s\"", "\"0 s\"", 18, "expected a duration above zero"),
        ("\"2 s\"", "\"7 s\"", 20, "expected a moment within the run"),
        ("isolate S2", "isolate S5", 21, "expected nodes of the cluster (S1, S2, S3)"),
        ("isolate S2", "cut S1 -> ", 21, "expected nodes of the cluster"),
        ("elections = \"1..\"", "elections = \"a..\"", 26, "expected a number or a range"),
        ("elections = \"1..\"", "", 24, "expected something to be seen"),
        ("elections = \"1..\"", "at = \"0 s\"", 26, "expected a moment after the start"),
        ("elections = \"1..\"", "role = \"leader\"", 26, "expected `node = \"S1\"` beside"),
        ("elections = \"1..\"", "protection = [\"half\"]", 26, "expected a protection level"),
    ];

    #[test]
    fn a_bad_file_is_refused_with_the_line_and_what_was_expected() {
        for (old, new, line, words) in BAD {
            assert!(GOOD.contains(old), "{old}");
            let text = GOOD.replacen(old, new, 1);
            let error = Scenario::read("x", "x.toml", &text).expect_err(new);
            assert_eq!(error.line, line, "{new}:\n{error}");
            assert!(error.message.contains(words), "{new}:\n{error}");
        }
    }

    #[test]
    fn a_rotation_is_the_same_file_with_other_names() {
        let scenario = Scenario::read("x", "x.toml", GOOD).expect("a good file");
        assert_eq!((scenario.rotations(), scenario.rotated(6) == scenario), (6, true));
        let setup = scenario.rotated(1).setup(LEVELS[1]);
        // S3, which has a log, is S1 now, and S2, which is isolated, is S3.
        assert_eq!(setup.nodes[0].last(), LogPosition::new(Term(4), LogIndex(3)));
        assert!(
            setup
                .timeline
                .iter()
                .any(|(_, f)| *f == Act::Link(LinkAct::Isolate { node: NodeId(3) }))
        );
        let text = super::renamed("S1,S12 <-> S2; 5 S, TLS1", |name| name + 1);
        assert_eq!(text, "S2,S13 <-> S3; 5 S, TLS1");
    }

    #[test]
    fn the_orders_are_all_there_are_and_begin_with_the_shifts() {
        for (voters, orders) in [(1_u64, 1), (2, 2), (3, 6), (4, 24), (5, 120)] {
            let all: std::collections::BTreeSet<_> =
                (0..orders).map(|by| super::order(voters, by)).collect();
            assert_eq!(all.len(), usize::try_from(orders).expect("a few"), "{voters} voters");
            assert_eq!(super::order(voters, orders), super::order(voters, 0), "and again");
        }
        assert_eq!(super::order(4, 1), [2, 3, 4, 1]);
        assert_eq!(super::order(4, 4), [1, 3, 2, 4]);
        assert_eq!(super::order(7, 8), [2, 4, 3, 5, 6, 7, 1], "of more voters some");
    }

    #[test]
    fn what_happens_again_and_again_ends_in_time() {
        let at = |text: &str| {
            let text = GOOD.replace("do = \"isolate S2\"", text);
            Scenario::read("x", "x.toml", &text)
        };
        let twice = r#"do = "isolate S2", every = "700 ms", until = "2 s""#;
        let setup = at(twice).expect("a good file").setup(LEVELS[0]);
        let isolate = Act::Link(LinkAct::Isolate { node: NodeId(2) });
        let times = setup.timeline.iter().filter(|(_, fault)| *fault == isolate);
        let times: Vec<_> = times.map(|(at, _)| at.as_nanos() / 1_000_000).collect();
        assert_eq!(times, [1000, 1700]);
        for (wrong, words) in [
            (r#"do = "isolate S2", until = "2 s""#, "expected `every"),
            (r#"do = "isolate S2", every = "0 s""#, "expected a pause"),
        ] {
            let error = at(wrong).expect_err(wrong);
            assert!(error.message.contains(words), "{error}");
        }
    }

    #[test]
    fn our_own_files_are_good() {
        assert!(Scenario::built_in().all(|scenario| scenario.title.chars().count() <= 62));
        assert!(Scenario::named("bridge").is_some_and(|s| s.expectations.len() >= 3));
    }
}
