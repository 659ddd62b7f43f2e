//! The formula of `docs/PERFORMANCE.md` over `Config`: what a group sends and writes in T where
//! nothing happens, and for entries that are alone. It is tight: twice as much is too much.

use raft_core::{Instant, NodeId};
use raft_sim::plan::{LinkProfile, RequestAct};
use raft_sim::{Act, Choices, Event, Record, Setup, World};
use std::time::Duration;

const fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

/// What leaves nodes and goes to disks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Work {
    messages: u64,
    writes: u64,
    snapshots: u64,
}

/// The formula, for `spans` heartbeat intervals without anything else.
const fn idle(members: u64, spans: u64) -> Work {
    Work { messages: 2 * (members - 1) * spans, writes: 0, snapshots: 0 }
}

/// What `count` entries of one call cost besides, of which a message carries `most`.
const fn alone(members: u64, count: u64, most: u64) -> Work {
    let each = count.div_ceil(most);
    // Each message once, its answer, and the news of what that commits.
    let messages = (members - 1) * 3 * each;
    Work { messages, writes: 1 + (members - 1) * each, snapshots: 0 }
}

fn counted(records: &[Record], from: Instant, to: Instant) -> Work {
    let within = || records.iter().filter(|record| from <= record.time && record.time < to);
    let count = |is: fn(&Event) -> bool| {
        let found = within().filter(|record| is(&record.event)).count();
        u64::try_from(found).expect("a few")
    };
    Work {
        messages: count(|event| matches!(event, Event::Send { .. })),
        writes: count(|event| matches!(event, Event::Persist { .. })),
        snapshots: count(|event| matches!(event, Event::SnapshotAsked { .. })),
    }
}

/// S1 leads from the start; at 4 s it is asked for `count` entries. T is 400 ms.
fn played(members: u64, beats: u32, most: u64, count: u64) -> Vec<Record> {
    let mut setup = Setup::of_voters(members);
    setup.election_timeout = Duration::from_millis(400);
    setup.heartbeat_interval = setup.election_timeout / beats;
    setup.limits.max_entries_per_message = Some(most);
    setup.link = LinkProfile { max_delay: Duration::from_millis(1), ..LinkProfile::default() };
    setup.timeline = vec![(at(0), Act::Request(RequestAct::Campaign { node: NodeId(1) }))];
    if count > 0 {
        let propose = RequestAct::Propose { node: NodeId(1), count };
        setup.timeline.push((at(4_000), Act::Request(propose)));
    }
    let mut world = World::new(&setup, Choices::seeded(members)).expect("it makes sense");
    let mut records: Vec<Record> = Vec::new();
    assert_eq!(world.run(&mut records).verdict, Ok(()));
    records
}

const SIZES: [u64; 4] = [1, 2, 3, 5];

#[test]
fn an_idle_group_sends_a_heartbeat_and_an_answer_in_each_interval_and_writes_nothing() {
    for (members, beats) in SIZES.into_iter().flat_map(|n| [(n, 2), (n, 5), (n, 10)]) {
        let records = played(members, beats, 1024, 0);
        // Ten times T.
        let seen = counted(&records, at(4_000), at(8_000));
        let most = idle(members, u64::from(beats) * 10 + 1);
        let least = idle(members, u64::from(beats) * 10 - 1);
        assert!(seen.messages <= most.messages, "{members} {beats}: {seen:?}, {most:?}");
        assert!(seen.messages >= least.messages, "{members} {beats}: {seen:?}, {least:?}");
        assert_eq!((seen.writes, seen.snapshots), (0, 0), "{members} {beats}");
        assert!(members == 1 || seen.messages * 2 > most.messages, "twice as much is too much");
    }
}

#[test]
fn entries_that_are_alone_cost_a_message_an_answer_and_the_news_for_each_follower() {
    for members in SIZES {
        for (count, most) in [(1, 1024), (7, 1024), (7, 2), (8, 4)] {
            let (without, with) = (played(members, 4, most, 0), played(members, 4, most, count));
            // Within one heartbeat interval.
            let span = (at(4_000), at(4_099));
            let base = counted(&without, span.0, span.1);
            let seen = counted(&with, span.0, span.1);
            let extra = seen.messages.saturating_sub(base.messages);
            let budget = alone(members, count, most);
            assert!(extra <= budget.messages, "{members} {count}/{most}: {extra}, {budget:?}");
            assert!(seen.writes <= budget.writes, "{members} {count}/{most}: {seen:?}");
            assert_eq!(seen.snapshots, 0);
            let twice = members == 1 || extra * 2 > budget.messages;
            assert!(twice && seen.writes * 2 > budget.writes, "twice as much is too much");
        }
    }
}
