//! Plainer values: what a run has beyond its parts, and round numbers.

use crate::plan::act::any::Act;
use crate::plan::choice::{Answers, Question};
use crate::plan::profile::{
    ClientSetup, DiskProfile, DriverProfile, LagProfile, LinkProfile, SnapshotProfile,
};
use crate::plan::setup::Setup;
use raft_core::Instant;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// An edit of a setup.
pub(super) type Edit = Box<dyn Fn(&mut Setup)>;

/// What might be plainer in a setup, the greatest simplification first. Where everything must come
/// right at the end, nothing may need more time for it than before.
pub(super) fn edits(setup: &Setup, converges: bool) -> Vec<Edit> {
    let plain: [fn(&mut Setup); 27] = [
        |setup| setup.limits.max_entries_per_message = None,
        |setup| setup.limits.max_messages_in_flight = None,
        |setup| setup.limits.max_entries_in_flight = None,
        |setup| setup.limits.max_uncommitted = None,
        |setup| setup.limits.max_pending_reads = None,
        |setup| setup.limits.clock_drift_ppm = None,
        |setup| setup.limits.disk_timeout = None,
        |setup| setup.snapshots = SnapshotProfile::default(),
        |setup| setup.snapshots.failure_ppm = 0,
        |setup| setup.snapshots.timeout = None,
        |setup| setup.snapshots.delay = SnapshotProfile::default().delay,
        |setup| setup.lag = LagProfile::default(),
        |setup| setup.lag.reports = Duration::ZERO,
        |setup| setup.lag.applies = Duration::ZERO,
        |setup| setup.driver = DriverProfile::default(),
        |setup| setup.driver.miss_ppm = 0,
        |setup| setup.driver.patience = None,
        |setup| setup.gathering = Duration::ZERO,
        |setup| setup.build_delay = Duration::ZERO,
        |setup| setup.clock_offset = Duration::ZERO,
        |setup| setup.link = LinkProfile::default(),
        |setup| setup.link.loss_ppm = 0,
        |setup| setup.link.duplicate_ppm = 0,
        |setup| setup.link.min_delay = Duration::from_millis(1).min(setup.link.max_delay),
        |setup| setup.disk = DiskProfile::default(),
        |setup| setup.disk.max_latency = setup.disk.min_latency,
        |setup| setup.heartbeat_interval = setup.election_timeout / 10,
    ];
    let mut edits: Vec<Edit> = Vec::new();
    for plain in plain {
        edits.push(Box::new(plain));
    }
    for nth in 0..setup.nodes.len() {
        edits.push(Box::new(move |setup| setup.nodes[nth].election_timeout = None));
        edits.push(Box::new(move |setup| setup.nodes[nth].protection = None));
    }
    // T keeps its proportion to the heartbeats.
    for millis in [1_000, 500, 200, 100].into_iter().filter(|_| !converges) {
        edits.push(Box::new(move |setup| {
            let beats = setup.election_timeout.as_nanos() / setup.heartbeat_interval.as_nanos();
            let beats = u32::try_from(beats).unwrap_or(2).max(2);
            setup.election_timeout = Duration::from_millis(millis);
            setup.heartbeat_interval = setup.election_timeout / beats;
        }));
    }
    for unit in &UNITS[1..] {
        edits.push(Box::new(move |setup| {
            setup.link.max_delay = up(setup.link.max_delay, *unit);
            setup.disk.max_latency = up(setup.disk.max_latency, *unit);
            setup.gathering = up(setup.gathering, *unit);
            setup.build_delay = up(setup.build_delay, *unit);
        }));
    }
    edits
}

/// Every message takes as long as another: as most of them did, or a round time. Then nothing needs
/// to be decided about that.
pub(super) fn steady_links(setup: &Setup, answers: &Answers) -> Vec<Setup> {
    let LinkProfile { min_delay: min, max_delay: max, .. } = setup.link;
    let with = |time| {
        let mut setup = setup.clone();
        (setup.link.min_delay, setup.link.max_delay) = (time, time);
        setup
    };
    steady(min, max, typical(answers, Question::Delay)).map(with).collect()
}

/// The same of disks.
pub(super) fn steady_disks(setup: &Setup, answers: &Answers) -> Vec<Setup> {
    let DiskProfile { min_latency: min, max_latency: max } = setup.disk;
    let with = |time| {
        let mut setup = setup.clone();
        (setup.disk.min_latency, setup.disk.max_latency) = (time, time);
        setup
    };
    steady(min, max, typical(answers, Question::DiskLatency)).map(with).collect()
}

fn steady(min: Duration, max: Duration, over: Vec<Duration>) -> impl Iterator<Item = Duration> {
    let round = [1, 2, 3, 5, 10, 20].map(Duration::from_millis).into_iter();
    let times = over.into_iter().map(move |over| min + over).chain(round);
    times.filter(move |time| min < max && (min..=max).contains(time))
}

/// The durations that were decided most often, and not by default.
fn typical(answers: &Answers, question: Question) -> Vec<Duration> {
    const MOST: usize = 3;
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, answer) in answers.iter().filter(|((of, _), _)| *of == question) {
        *counts.entry(answer).or_default() += 1;
    }
    let mut counts: Vec<(u64, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    counts.into_iter().take(MOST).map(|(answer, _)| Duration::from_nanos(answer)).collect()
}

/// One client, thinking always as long: as it did mostly, or so long that less happens.
pub(super) fn thinking(setup: &Setup, client_index: usize, answers: &Answers) -> Vec<Setup> {
    let Some(client) = setup.clients.get(client_index) else { return Vec::new() };
    let times = [100, 50, 20, 10, 5].map(Duration::from_millis).into_iter();
    let typical = typical(answers, Question::Think).into_iter().map(|over| client.min_think + over);
    let thinking = times.chain(typical).map(|time| {
        let mut setup = setup.clone();
        setup.clients[client_index] = ClientSetup { min_think: time, max_think: time, ..*client };
        setup
    });
    thinking.collect()
}

/// Round units, the greatest first.
static UNITS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(10), Duration::from_millis(1)];

/// One fault at rounder moments that keep the order, and plainer.
pub(super) fn fault(setup: &Setup, fault_index: usize) -> Vec<Setup> {
    let Some((at, fault)) = setup.timeline.get(fault_index) else { return Vec::new() };
    let before =
        fault_index.checked_sub(1).map_or(Instant::ZERO, |before| setup.timeline[before].0);
    let mut moments = Vec::new();
    for unit in [Duration::from_secs(1)].into_iter().chain(UNITS) {
        let unit = u64::try_from(unit.as_nanos()).expect("a second at most");
        let rounded = Instant::from_nanos(at.as_nanos() / unit * unit);
        if before <= rounded && rounded < *at && !moments.contains(&rounded) {
            moments.push(rounded);
        }
    }
    // Sooner, so that less happens before.
    let tenth = Duration::from_millis(100);
    for part in [4, 2] {
        let sooner = at.saturating_since(Instant::ZERO) / part;
        let sooner = Instant::ZERO.saturating_add(up(sooner, tenth));
        if before <= sooner && sooner < *at && !moments.contains(&sooner) {
            moments.push(sooner);
        }
    }
    let plainer = fault.plainer();
    let with = |entry: (Instant, Act)| {
        let mut setup = setup.clone();
        setup.timeline[fault_index] = entry;
        setup
    };
    let at_once = plainer.iter().flat_map(|plainer| {
        moments.iter().map(|moment| with((*moment, plainer.clone()))).collect::<Vec<_>>()
    });
    let alone = plainer.iter().map(|plainer| with((*at, plainer.clone())));
    let moved = moments.iter().map(|moment| with((*moment, fault.clone())));
    at_once.chain(alone).chain(moved).collect()
}

/// One client, plainer, one property after the other. Where the cluster must converge at the
/// end, it stops when it did.
pub(super) fn client(setup: &Setup, client_index: usize, converges: bool) -> Vec<Setup> {
    let default = ClientSetup::default();
    let plain: [fn(&mut ClientSetup); 11] = [
        |client| client.leases = false,
        |client| client.query_percent = 0,
        |client| client.write_percent = 100,
        |client| client.keys = 1,
        |client| client.own = false,
        |client| client.home = None,
        |client| client.ask_again = None,
        |client| client.max_think = client.min_think,
        |client| client.patience = Duration::from_secs(1),
        |client| client.stop = Instant::MAX,
        |client| {
            client.min_think = up(client.min_think, UNITS[1]);
            client.max_think = up(client.max_think, UNITS[1]).max(client.min_think);
        },
    ];
    let Some(client) = setup.clients.get(client_index) else { return Vec::new() };
    let with = |edited: ClientSetup| {
        let mut setup = setup.clone();
        let stop = if converges { client.stop } else { edited.stop };
        setup.clients[client_index] = ClientSetup { stop, ..edited };
        setup
    };
    let edited = plain.iter().map(|edit| {
        let mut client = *client;
        edit(&mut client);
        with(client)
    });
    let whole = ClientSetup { start: client.start, ..default };
    std::iter::once(with(whole)).chain(edited).collect()
}

/// Rounder answers in the place of one, the roundest first.
pub(super) fn answers(question: Question, answer: u64) -> Vec<u64> {
    let mut rounder: Vec<u64> = match question {
        Question::NodeSeed => (1..10).collect(),
        Question::Loss | Question::Duplicate => vec![999_999],
        _ => vec![1],
    };
    for unit in [100_000_000, 10_000_000, 1_000_000, 100_000] {
        rounder.extend([answer / unit * unit, answer.div_ceil(unit).saturating_mul(unit)]);
    }
    // Until the first that is as it is: those behind it are not rounder.
    rounder.into_iter().filter(|round| *round != 0).take_while(|round| *round != answer).collect()
}

fn up(duration: Duration, unit: Duration) -> Duration {
    let units = duration.as_nanos().div_ceil(unit.as_nanos());
    unit * u32::try_from(units).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::{answers, client, edits, fault, steady_disks, steady_links, thinking};
    use crate::plan::choice::{Answers, Choices, Question};
    use crate::plan::setup::{Setup, SetupError};
    use crate::run::swarm;

    #[test]
    fn whatever_is_made_plainer_makes_sense() {
        for seed in 0..100 {
            let drawn = swarm::draw_setup(&mut Choices::seeded(seed));
            let faults = (0..drawn.timeline.len()).flat_map(|nth| fault(&drawn, nth));
            let clients = (0..drawn.clients.len()).flat_map(|nth| client(&drawn, nth, false));
            let default = Answers::default();
            let steady =
                steady_links(&drawn, &default).into_iter().chain(steady_disks(&drawn, &default));
            let thinking = (0..drawn.clients.len()).flat_map(|nth| thinking(&drawn, nth, &default));
            for setup in faults.chain(clients).chain(steady).chain(thinking) {
                assert_eq!(setup.check(), Ok(()), "seed {seed}");
                assert!(setup.timeline.is_sorted_by_key(|(at, _)| *at), "seed {seed}");
            }
        }
    }

    /// A node with a T of its own may not bear the heartbeats that fit the others: such an edit is
    /// refused when it is tried. Nothing else is.
    #[test]
    fn edits_make_sense_but_for_heartbeats() {
        for seed in 0..100 {
            let drawn = swarm::draw_setup(&mut Choices::seeded(seed));
            let later = drawn.timeline.iter().any(|(_, act)| act.said().contains("start with T"));
            let own = later || drawn.nodes.iter().any(|node| node.election_timeout.is_some());
            for edit in edits(&drawn, false) {
                let mut setup: Setup = drawn.clone();
                edit(&mut setup);
                match setup.check() {
                    Err(SetupError::Node { .. }) if own => {}
                    other => assert_eq!(other, Ok(()), "seed {seed}"),
                }
            }
        }
    }

    #[test]
    fn answers_become_rounder_and_never_the_default() {
        assert_eq!(answers(Question::Delay, 12_345_678)[..3], [1, 100_000_000, 10_000_000]);
        assert!(answers(Question::Loss, 999_999).is_empty());
        assert_eq!(answers(Question::NodeSeed, 4), [1, 2, 3]);
    }
}
