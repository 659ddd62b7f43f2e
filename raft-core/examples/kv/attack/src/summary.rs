//! What happened, in words that a stranger understands.

use crate::calm::{Bounds, CAUGHT_UP_BOUND, Calm, WRITE_BOUND};
use crate::scene::Scene;
use crate::tally::Count;
use crate::weather::{Fared, Weather};
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What is done to processes, disks and the membership, and how it is called.
pub const TROUBLES: [(Count, &str); 16] = [
    (Count::Kill, "processes killed with -9"),
    (Count::PowerCut, "times all of them at once"),
    (Count::Hold, "processes held (SIGSTOP)"),
    (Count::Torn, "databases that lost a part of what was not synced"),
    (Count::TornSnapshots, "times the same of files of snapshots, or of their names"),
    (Count::FailedLog, "failed fsyncs of a log, each followed by a crash"),
    (Count::FailedState, "failed fsyncs of a state machine, each followed by a crash"),
    (Count::FailedSnapshot, "failed fsyncs of a snapshot, each followed by a crash"),
    (Count::SlowSync, "times of slow fsyncs"),
    (Count::Storm, "times of bad weather for frames"),
    (Count::Cut, "nodes or pairs cut off"),
    (Count::Voter, "learners made voters"),
    (Count::Removed, "voters removed"),
    (Count::Transfer, "transfers of leadership"),
    (Count::LostQuorum, "majorities lost for a while"),
    (Count::Snapshot, "snapshots that arrived at a node that was behind"),
];

/// What became of frames, and how that is called.
pub fn frames(fared: &Fared) -> [(u64, &'static str); 6] {
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    [
        (of(&fared.lost), "frames dropped"),
        (of(&fared.cut), "frames dropped by a cut"),
        (of(&fared.doubled), "frames doubled"),
        (of(&fared.reordered), "frames overtaken"),
        (of(&fared.delayed), "frames delayed"),
        (of(&fared.broken), "connections broken within a frame"),
    ]
}

/// One line, now and then.
pub fn line(scene: &Scene) -> String {
    let of = |count| scene.tally.of(count);
    format!(
        "{:>5} s: {} kills, {} writes acknowledged, {} unknown, {} reads, {} histories judged",
        scene.begun.elapsed().as_secs(),
        of(Count::Kill),
        of(Count::Written),
        of(Count::Unknown),
        of(Count::ReadIndex) + of(Count::ReadLease),
        of(Count::Judged),
    )
}

/// What was done when, one line each.
pub fn diary(scene: &Scene) -> String {
    let mut text = String::new();
    for (at, what) in scene.tally.diary() {
        let millis = at.saturating_duration_since(scene.begun).as_millis();
        writeln!(text, "{millis:>8} ms  {what}").expect("it is memory");
    }
    text
}

/// All of it.
pub fn of(
    scene: &Scene,
    weather: &Weather,
    slowest: &Calm,
    bounds: Bounds,
    members: Option<&[u64]>,
) -> String {
    let (tally, mut text) = (&scene.tally, String::new());
    let mut say = |number: u64, what: &str| {
        writeln!(text, "{number:>9} {what}").expect("it is memory");
    };
    for (count, what) in TROUBLES {
        say(tally.of(count), what);
    }
    say(weather.fared.passed.load(Ordering::Relaxed), "frames passed on");
    for (count, what) in frames(&weather.fared) {
        say(count, what);
    }
    say(tally.of(Count::Written), "writes acknowledged");
    say(tally.of(Count::Taped), "of them in a session, once");
    say(tally.of(Count::Again), "times one of those was asked for again");
    say(tally.of(Count::Unknown), "writes of unknown fate");
    say(tally.of(Count::Refused), "requests refused: not done");
    say(tally.of(Count::ReadIndex), "reads by read index");
    say(tally.of(Count::ReadLease), "reads by lease");
    say(tally.of(Count::Judged), "histories judged while the attack ran");
    say(tally.of(Count::JudgedAtEnd), "histories judged at its end");
    say(tally.of(Count::Found), "times a ledger entry was looked for at a member, and found");
    if let Some(members) = members {
        writeln!(text, "          at the end everything was found at nodes {members:?}")
            .expect("it is memory");
    }
    let mut seconds = |time: Duration, what: &str| {
        let (whole, part) = (time.as_secs(), time.subsec_millis());
        writeln!(text, "{whole:>5}.{part:03} {what}").expect("it is memory");
    };
    let within = |bound: Duration, times: u32, what: &str| {
        format!("s at most until {what} in a calm (bound: {times} T = {} s)", bound.as_secs())
    };
    seconds(slowest.write, &within(bounds.write, WRITE_BOUND, "a write was acknowledged"));
    let every = "every member had caught up";
    seconds(slowest.caught_up, &within(bounds.caught_up, CAUGHT_UP_BOUND, every));
    if let Some(gap) = tally.longest_gap() {
        seconds(gap.lasts, "s at most without an acknowledged write; done just before and in it:");
        for what in gap.because {
            writeln!(text, "            {what}").expect("it is memory");
        }
    }
    text
}
