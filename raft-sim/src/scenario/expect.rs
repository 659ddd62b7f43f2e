//! What a scenario file says that is to be seen.

use crate::plan::sentence;
use crate::plan::text::instant;
use crate::scenario::error::ScenarioError;
use crate::scenario::format;
use crate::scenario::place::Reader;
use crate::scenario::text::{Range, Text};
use raft_core::{Fate, Instant, LogPosition, NodeId, PeerPhase, Protection, RoleKind};
use std::time::Duration;
use toml::Spanned;

/// What is to be seen at one moment, in the runs of some protection levels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expectation {
    /// The sentence for a person.
    pub that: String,
    /// The protection levels that it is about.
    pub levels: Vec<Protection>,
    /// When it is looked at.
    pub at: Instant,
    /// What must hold then; all of it.
    pub conditions: Vec<Condition>,
    /// Where it stands in its file.
    pub line: usize,
}

/// Something that can be true of a run. Counts and times are taken from `observe_from` on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// How many elections were held.
    Elections(Range<u64>),
    /// How many pre-votes were held.
    PreVotes(Range<u64>),
    /// The highest term of any node.
    HighestTerm(Range<u64>),
    /// How often a node became leader.
    LeaderChanges(Range<u64>),
    /// For how long no leader could commit.
    Leaderless(Range<Duration>),
    /// When the first node started a pre-vote or an election, from the start of the run.
    FirstCandidate(Range<Duration>),
    /// How many operations of clients were answered.
    Answered(Range<u64>),
    /// How many losses of a disk excuse the run, see
    /// [`World::excuses`](crate::world::World::excuses).
    Excused(Range<u64>),
    /// Whether the leader of the start of the observation leads in the same term.
    LeaderKept(bool),
    /// How often something of this name happened, as `docs/SCENARIOS.md` lists them.
    Happened(String, Range<u64>),
    /// Who can commit: one of these; nobody if it is empty.
    Leader(Vec<NodeId>),
    /// Something of each of these nodes.
    Node(Vec<NodeId>, NodeCondition),
}

/// Something that can be true of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeCondition {
    /// Its role.
    Role(RoleKind),
    /// Its term.
    Term(Range<u64>),
    /// The last position of its log.
    Last(LogPosition),
    /// Its commit index.
    Commit(Range<u64>),
    /// The last index that it applied.
    Applied(Range<u64>),
    /// Its log holds this position.
    Holds(LogPosition),
    /// Its log does not hold this position.
    Lacks(LogPosition),
    /// The voters of the membership in force there, which is not joint.
    Voters(Vec<NodeId>),
    /// The learners of the membership in force there.
    Learners(Vec<NodeId>),
    /// Up to which index it has forgotten its log.
    LogStart(Range<u64>),
    /// How many reads wait there.
    PendingReads(Range<u64>),
    /// Whether it may serve lease reads.
    HasLease(bool),
    /// To whom it replicates in this way, as it says itself.
    Peers(PeerPhase, Vec<NodeId>),
    /// What it has said of the fate of a position that it accepted once.
    Fate(LogPosition, Fate),
}

pub(super) fn read(
    reader: &Reader<'_>,
    raw: Spanned<format::Expect>,
    levels: &[Protection],
    duration: Duration,
) -> Result<Expectation, ScenarioError> {
    let span = raw.span();
    let line = reader.line(&span);
    let mut raw = raw.into_inner();
    let at = match raw.at.take() {
        None => duration,
        Some(at) if at.get_ref().0 > duration => {
            let message = format!("expected a moment within the run, which lasts {duration:?}");
            return Err(reader.error(at.span(), message));
        }
        Some(at) if at.get_ref().0.is_zero() => {
            let message = "expected a moment after the start of the run".to_owned();
            return Err(reader.error(at.span(), message));
        }
        Some(at) => at.into_inner().0,
    };
    let levels = reader.levels(raw.protection.take(), levels)?;
    let mut conditions = of_the_run(&raw);
    conditions.extend(leader(reader, raw.leader.take())?);
    conditions.extend(of_nodes(reader, &mut raw)?);
    if conditions.is_empty() {
        let message = "expected something to be seen, such as `elections = 0`".to_owned();
        return Err(reader.error(span, message));
    }
    Ok(Expectation { that: raw.that, levels, at: instant(at), conditions, line })
}

fn of_the_run(raw: &format::Expect) -> Vec<Condition> {
    let count = |value: Option<Text<Range<u64>>>, condition: fn(Range<u64>) -> Condition| {
        value.map(|range| condition(range.0))
    };
    let time = |value: Option<Text<Range<Duration>>>, condition: fn(_) -> Condition| {
        value.map(|range| condition(range.0))
    };
    [
        count(raw.elections, Condition::Elections),
        count(raw.pre_votes, Condition::PreVotes),
        count(raw.highest_term, Condition::HighestTerm),
        count(raw.leader_changes, Condition::LeaderChanges),
        time(raw.leaderless, Condition::Leaderless),
        time(raw.first_candidate, Condition::FirstCandidate),
        count(raw.answered, Condition::Answered),
        count(raw.excused, Condition::Excused),
        raw.leader_kept.map(Condition::LeaderKept),
    ]
    .into_iter()
    .flatten()
    .chain(raw.happened.iter().map(|(name, range)| Condition::Happened(name.clone(), range.0)))
    .collect()
}

fn leader(
    reader: &Reader<'_>,
    raw: Option<Spanned<String>>,
) -> Result<Option<Condition>, ScenarioError> {
    let Some(raw) = raw else { return Ok(None) };
    if raw.get_ref() == "nobody" {
        return Ok(Some(Condition::Leader(Vec::new())));
    }
    let group = sentence::group(raw.get_ref(), reader.nodes);
    let group = group.map_err(|mistake| reader.inside(&raw.span(), mistake))?;
    Ok(Some(Condition::Leader(group)))
}

/// A condition of a node with the place in the file where it is stated.
type Placed = (std::ops::Range<usize>, NodeCondition);

/// A condition that names nodes; `nobody` is none.
fn named(
    reader: &Reader<'_>,
    raw: Option<Spanned<String>>,
    of: fn(Vec<NodeId>) -> NodeCondition,
) -> Result<Option<Placed>, ScenarioError> {
    let Some(raw) = raw else { return Ok(None) };
    let mut group = match raw.get_ref().as_str() {
        "nobody" => Vec::new(),
        names => sentence::group(names, reader.nodes)
            .map_err(|mistake| reader.inside(&raw.span(), mistake))?,
    };
    group.sort_unstable();
    Ok(Some((raw.span(), of(group))))
}

fn of_nodes(
    reader: &Reader<'_>,
    raw: &mut format::Expect,
) -> Result<Vec<Condition>, ScenarioError> {
    fn placed<T>(raw: Option<Spanned<Text<T>>>, of: impl Fn(T) -> NodeCondition) -> Option<Placed> {
        raw.map(|raw| (raw.span(), of(raw.into_inner().0)))
    }
    let fate = |fate| move |position| NodeCondition::Fate(position, fate);
    let stated: Vec<_> = [
        placed(raw.role.take(), NodeCondition::Role),
        placed(raw.term.take(), NodeCondition::Term),
        placed(raw.last.take(), NodeCondition::Last),
        placed(raw.commit.take(), NodeCondition::Commit),
        placed(raw.applied.take(), NodeCondition::Applied),
        placed(raw.holds.take(), NodeCondition::Holds),
        placed(raw.lacks.take(), NodeCondition::Lacks),
        placed(raw.committed.take(), fate(Fate::Committed)),
        placed(raw.lost.take(), fate(Fate::Lost)),
        placed(raw.open.take(), fate(Fate::Open)),
        placed(raw.log_start.take(), NodeCondition::LogStart),
        placed(raw.pending_reads.take(), NodeCondition::PendingReads),
        raw.has_lease.take().map(|b| (b.span(), NodeCondition::HasLease(b.into_inner()))),
        named(reader, raw.probes.take(), |n| NodeCondition::Peers(PeerPhase::Probe, n))?,
        named(reader, raw.replicates_to.take(), |n| NodeCondition::Peers(PeerPhase::Replicate, n))?,
        named(reader, raw.sends_snapshot_to.take(), |n| {
            NodeCondition::Peers(PeerPhase::Snapshot, n)
        })?,
        named(reader, raw.voters.take(), NodeCondition::Voters)?,
        named(reader, raw.learners.take(), NodeCondition::Learners)?,
    ]
    .into_iter()
    .flatten()
    .collect();
    match (raw.node.take(), stated.first()) {
        (None, None) => Ok(Vec::new()),
        (None, Some((span, _))) => {
            let message = "expected `node = \"S1\"` beside what is to be seen of a node".to_owned();
            Err(reader.error(span.clone(), message))
        }
        (Some(node), None) => {
            let message = "expected something to be seen of the node, such as `role`".to_owned();
            Err(reader.error(node.span(), message))
        }
        (Some(node), Some(_)) => {
            let group = sentence::group(node.get_ref(), reader.nodes);
            let group = group.map_err(|mistake| reader.inside(&node.span(), mistake))?;
            let condition = |(_, what)| Condition::Node(group.clone(), what);
            Ok(stated.into_iter().map(condition).collect())
        }
    }
}
