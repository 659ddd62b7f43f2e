//! Plays a scenario and looks whether what is to be seen is seen.

use crate::host::log::Log;
use crate::plan::record::{Nobody, Record, Sink, Violation};
use crate::run::observe::{Figures, Observer};
use crate::scenario::expect::{Condition, NodeCondition};
use crate::scenario::model::Scenario;
use crate::scenario::text::Range;
use crate::world::{Excuse, World};
use raft_core::{Fate, Instant, LogPosition, Node, NodeId, Protection, Status};
use std::fmt::Display;
use std::time::Duration;

/// What came of a scenario in one protection level.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Played {
    /// The protection level.
    pub level: Protection,
    /// The seed.
    pub seed: u64,
    /// How far the nodes were rotated among the parts.
    pub rotation: u64,
    /// What was counted until the end.
    pub figures: Figures,
    /// What was to be seen, in the order of time.
    pub checks: Vec<Check>,
    /// The safety property that was broken, if one was; the run ends there.
    pub violation: Option<Violation>,
    /// The loss that excuses it from converging, if that was asked of it.
    pub excuse: Option<Excuse>,
    /// Whether the alarm is the one that the scenario asks for, or there is none and none is asked
    /// for.
    pub alarmed_as_expected: bool,
}

impl Played {
    /// Whether everything was as expected, alarms included.
    pub fn is_good(&self) -> bool {
        self.alarmed_as_expected && self.checks.iter().all(|check| check.failures.is_empty())
    }
}

/// One expectation, and what was not as it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// The sentence of the expectation.
    pub that: String,
    /// Where it stands in its file.
    pub line: usize,
    /// What was expected and what was seen instead; empty if all is well.
    pub failures: Vec<String>,
}

/// Plays a scenario in every rotation of which node plays which part, and in every level.
pub fn play_rotations(scenario: &Scenario, seed: u64) -> Vec<Played> {
    let mut plays = Vec::new();
    for rotation in 0..scenario.rotations() {
        let cast = scenario.rotated(rotation);
        let played = |level| play(&cast, level, seed, &mut Nobody);
        let played = cast.levels.iter().map(|level| Played { rotation, ..played(*level) });
        plays.extend(played);
    }
    plays
}

/// Plays a scenario in one protection level, and tells the records to `sink`.
pub fn play(scenario: &Scenario, level: Protection, seed: u64, sink: &mut dyn Sink) -> Played {
    let setup = scenario.setup(level);
    let end = crate::plan::text::instant(setup.duration);
    let mut world =
        World::new(&setup, scenario.choices(seed)).expect("a scenario is checked when it is read");
    let mut both = Both { observer: Observer::new(scenario.observe_from), sink };
    let mut checks = Vec::new();
    let mut violation = None;
    let expected = scenario.expectations.iter().filter(|e| e.levels.contains(&level));
    for expectation in expected {
        // What happens at the moment itself comes after the look.
        let just_before = Instant::from_nanos(expectation.at.as_nanos().saturating_sub(1));
        let until = if expectation.at == end { end } else { just_before };
        if violation.is_none() {
            violation = world.run_until(until, &mut both).err();
        }
        let scene = Scene { world: &world, observer: &both.observer, at: expectation.at };
        let failures = match &violation {
            // Then the alarm is what is to be seen.
            Some(_) if scenario.alarm.is_some() => Vec::new(),
            Some(_) => vec!["the run ended before".to_owned()],
            None => expectation.conditions.iter().flat_map(|c| scene.failures(c)).collect(),
        };
        checks.push(Check { that: expectation.that.clone(), line: expectation.line, failures });
    }
    if violation.is_none() {
        let finished = world.run_until(end, &mut both);
        violation = finished.and_then(|()| world.conclude(scenario.converges)).err();
    }
    let alarm = violation.as_ref().map(|violation| violation.checker);
    let alarmed_as_expected = alarm == scenario.alarm.as_deref();
    let figures = both.observer.figures(end);
    let excuse = scenario.converges.then(|| world.excuses().next().cloned()).flatten();
    Played { level, seed, rotation: 0, figures, checks, violation, excuse, alarmed_as_expected }
}

struct Both<'a> {
    observer: Observer,
    sink: &'a mut dyn Sink,
}

impl Sink for Both<'_> {
    fn record(&mut self, record: Record) {
        if self.sink.listens() {
            self.sink.record(record.clone());
        }
        self.observer.record(record);
    }
}

/// The world at one moment.
struct Scene<'a> {
    world: &'a World,
    observer: &'a Observer,
    at: Instant,
}

impl Scene<'_> {
    fn failures(&self, condition: &Condition) -> Vec<String> {
        let figures = self.observer.figures(self.at);
        let failure = match condition {
            Condition::Elections(range) => count("elections", range, figures.elections),
            Condition::PreVotes(range) => count("pre_votes", range, figures.pre_votes),
            Condition::HighestTerm(range) => {
                count("highest_term", range, figures.highest_term.get())
            }
            Condition::LeaderChanges(range) => {
                count("leader_changes", range, figures.leader_changes)
            }
            Condition::Happened(name, range) => count(name, range, self.observer.happened(name)),
            Condition::Answered(range) => count("answered", range, figures.answered),
            Condition::Excused(range) => {
                let saw = u64::try_from(self.world.excuses().count()).unwrap_or(u64::MAX);
                count("excused", range, saw)
            }
            Condition::Leaderless(range) => time("leaderless", range, figures.leaderless),
            Condition::FirstCandidate(range) => match figures.first_candidate {
                Some(at) => time("first_candidate", range, at.saturating_since(Instant::ZERO)),
                None => Some("first_candidate: nobody started an election".to_owned()),
            },
            Condition::LeaderKept(kept) => (figures.leader_kept() != *kept)
                .then(|| format!("leader_kept: expected {kept}, saw {}", !kept)),
            Condition::Leader(among) => {
                leader(among, figures.now.map(|leadership| leadership.leader))
            }
            Condition::Node(nodes, what) => {
                return nodes.iter().filter_map(|node| self.node(*node, what)).collect();
            }
        };
        failure.into_iter().collect()
    }

    fn node(&self, node: NodeId, what: &NodeCondition) -> Option<String> {
        let host = self.world.host(node).expect("a scenario names nodes that exist");
        let Some(process) = &host.process else {
            return Some(format!("{node:?}: expected a node that runs, it is down"));
        };
        let Status { role, term, last, commit_index, last_applied, .. } = process.status;
        let differs = match what {
            NodeCondition::Role(wanted) => equal("role", wanted.name(), role.name()),
            NodeCondition::Term(range) => count("term", range, term.get()),
            NodeCondition::Last(wanted) => equal("last", wanted, &last),
            NodeCondition::Commit(range) => count("commit", range, commit_index.get()),
            NodeCondition::Applied(range) => count("applied", range, last_applied.get()),
            NodeCondition::LogStart(range) => {
                count("log_start", range, process.status.log_start.index.get())
            }
            NodeCondition::PendingReads(range) => {
                let saw = u64::try_from(process.status.pending_reads).unwrap_or(u64::MAX);
                count("pending_reads", range, saw)
            }
            NodeCondition::HasLease(wanted) => {
                let local = host.local(self.world.now());
                let saw = process.status.lease_until.is_some_and(|until| local < until);
                (*wanted != saw).then(|| format!("has_lease: expected {wanted}, saw {saw}"))
            }
            NodeCondition::Peers(phase, wanted) => {
                let peers = process.node().peers().filter(|peer| peer.phase == *phase);
                let saw: Vec<NodeId> = peers.map(|peer| peer.id).collect();
                (*wanted != saw).then(|| format!("{phase:?}: expected {wanted:?}, saw {saw:?}"))
            }
            NodeCondition::Voters(wanted) => {
                let membership = process.node().membership();
                members("voters", wanted, membership.voters(), membership.is_joint())
            }
            NodeCondition::Learners(wanted) => {
                let membership = process.node().membership();
                members("learners", wanted, membership.learners(), membership.is_joint())
            }
            NodeCondition::Holds(position) => holding(&process.log, *position, true),
            NodeCondition::Lacks(position) => holding(&process.log, *position, false),
            NodeCondition::Fate(position, fate) => self.fate(process.node(), *position, *fate),
        };
        differs.map(|differs| format!("{node:?} {differs}"))
    }

    fn fate(&self, node: &Node, position: LogPosition, wanted: Fate) -> Option<String> {
        if wanted != Fate::Lost && self.observer.was_called_lost(position) {
            return Some(format!("or another has called {position} lost"));
        }
        let saw = node.fate(position);
        (saw != wanted).then(|| format!("expected {position} to be {wanted:?}, it says {saw:?}"))
    }
}

fn members(what: &str, wanted: &[NodeId], saw: &[NodeId], is_joint: bool) -> Option<String> {
    let joint = if is_joint { ", on the way to them" } else { "" };
    (is_joint || wanted != saw).then(|| format!("{what}: expected {wanted:?}, saw {saw:?}{joint}"))
}

fn holding(log: &Log, position: LogPosition, wanted: bool) -> Option<String> {
    let holds = log.holds(position);
    let (expected, saw) = if wanted { ("hold", "does not") } else { ("lack", "holds it") };
    (holds != wanted).then(|| format!("is expected to {expected} {position}, it {saw}"))
}

fn count(what: &str, range: &Range<u64>, saw: u64) -> Option<String> {
    let expected = || words(range, u64::to_string);
    (!range.contains(&saw)).then(|| format!("{what}: expected {}, saw {saw}", expected()))
}

fn time(what: &str, range: &Range<Duration>, saw: Duration) -> Option<String> {
    let expected = || words(range, |duration| format!("{duration:?}"));
    (!range.contains(&saw)).then(|| format!("{what}: expected {}, saw {saw:?}", expected()))
}

fn equal<T: PartialEq + Display + ?Sized>(what: &str, wanted: &T, saw: &T) -> Option<String> {
    (wanted != saw).then(|| format!("{what}: expected {wanted}, saw {saw}"))
}

fn leader(among: &[NodeId], saw: Option<NodeId>) -> Option<String> {
    let name = |node: Option<NodeId>| node.map_or("nobody".to_owned(), |node| format!("{node:?}"));
    let good = saw.map_or(among.is_empty(), |leader| among.contains(&leader));
    let wanted: Vec<_> = among.iter().map(|node| name(Some(*node))).collect();
    let wanted = if wanted.is_empty() { name(None) } else { wanted.join(" or ") };
    (!good).then(|| format!("leader: expected {wanted}, saw {}", name(saw)))
}

fn words<T: PartialEq>(range: &Range<T>, text: impl Fn(&T) -> String) -> String {
    match &range.greatest {
        None => format!("at least {}", text(&range.least)),
        Some(greatest) if *greatest == range.least => text(greatest),
        Some(greatest) => format!("{} to {}", text(&range.least), text(greatest)),
    }
}
