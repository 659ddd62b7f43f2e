//! Flow control: probe, replicate, snapshot; windows; a paused peer always recovers.

use crate::common::world::World;
use crate::common::{Actions, S1, S2, S3, Setup, Solo, T, at, joint, ms, says, voters};
use raft_core::types::LIMIT;
use raft_core::{
    Config, IgnoreReason, Input, LogIndex, NodeId, PeerPhase, PeerStatus, RejectReason, RoleKind,
    Run, Term, Token,
};

/// S1 leads three with these windows; S2 and S3 are in step with it.
fn leader(change: impl FnOnce(&mut Config)) -> Solo {
    let mut solo = Setup::of(voters(&[1, 2, 3])).config(change).start();
    let _ = solo.elect();
    solo.everyone_acknowledges();
    solo
}

fn peer(solo: &Solo, id: NodeId) -> PeerStatus {
    solo.node.peers().find(|peer| peer.id == id).expect("a peer")
}

/// The index range of each message with entries to S2.
fn ranges(actions: &Actions) -> Vec<(u64, u64)> {
    let with_entries = actions.appends_to(S2).into_iter().filter(|m| !m.entries.is_empty());
    with_entries.map(|m| (m.prev.index.get() + 1, m.last_position().index.get())).collect()
}

fn unreachable(solo: &mut Solo, peer: NodeId) -> Actions {
    solo.step(Input::PeerUnreachable { peer })
}

#[test]
fn messages_carry_a_limited_number_of_entries() {
    let mut solo = leader(|config| config.max_entries_per_message = 3);
    assert_eq!(ranges(&solo.propose(7)), [(2, 4), (5, 7), (8, 8)]);
}

#[test]
fn so_many_messages_are_on_their_way_and_no_more() {
    let mut solo = leader(|config| config.max_messages_in_flight = 2);
    assert_eq!(ranges(&solo.propose(1)), [(2, 2)]);
    assert_eq!(ranges(&solo.propose(1)), [(3, 3)]);
    assert_eq!(ranges(&solo.propose(1)), [], "the window is full");
    assert_eq!(peer(&solo, S2).messages_in_flight, 2);
    assert_eq!(ranges(&solo.hears(S2, 1, says::matched(2, None))), [(4, 4)]);
}

#[test]
fn so_many_entries_are_on_their_way_and_no_more() {
    let mut solo = leader(|config| config.max_entries_in_flight = 4);
    assert_eq!(ranges(&solo.propose(3)), [(2, 4)]);
    assert_eq!(ranges(&solo.propose(9)), [(5, 5)]);
    assert_eq!(ranges(&solo.hears(S2, 1, says::matched(3, None))), [(6, 7)]);
}

fn paused(solo: &mut Solo, peer: NodeId, after: u64) -> Actions {
    solo.step(Input::PeerPaused { peer, after: LogIndex(after) })
}

#[test]
fn a_paused_peer_gets_no_entries_and_is_still_asked_for_signs_of_life() {
    let mut solo = leader(|config| config.max_entries_per_message = 4);
    assert_eq!(ranges(&solo.propose(9)), [(2, 5), (6, 9), (10, 10)]);
    let said = paused(&mut solo, S2, 7);
    assert_eq!(said.appends_to(S2), []);
    let state = peer(&solo, S2);
    assert_eq!((state.next_index, state.sent_through), (LogIndex(8), LogIndex(7)));
    assert_eq!(state.messages_in_flight, 2, "the second one was cut, not dropped");
    assert_eq!(ranges(&solo.propose(1)), []);
    let beat = solo.time_out_heartbeat().appends_to(S2).remove(0);
    assert_eq!((beat.prev, beat.entries.count()), (at(1, 7), 0), "what it was sent it may hold");
    let answer = says::matched(7, says::echo(&beat));
    assert_eq!(ranges(&solo.hears(S2, 1, answer)), []);
    let resumed = solo.step(Input::PeerResumed { peer: S2 });
    assert_eq!(ranges(&resumed), [(8, 11)], "all that it lacks, and nothing twice");
}

#[test]
fn a_pause_after_everything_takes_nothing_back() {
    let mut solo = leader(|_| ());
    let _ = solo.propose(3);
    let _ = paused(&mut solo, S2, u64::MAX);
    let state = peer(&solo, S2);
    assert_eq!((state.next_index, state.messages_in_flight), (LogIndex(5), 1));
    let resumed = solo.step(Input::PeerResumed { peer: S2 });
    assert_eq!(ranges(&resumed), []);
}

#[test]
fn a_pause_below_what_is_acknowledged_takes_back_to_there() {
    let mut solo = leader(|_| ());
    let _ = solo.propose(3);
    let _ = solo.hears(S2, 1, says::matched(3, None));
    let _ = paused(&mut solo, S2, 0);
    assert_eq!(peer(&solo, S2).next_index, LogIndex(4));
    let resumed = solo.step(Input::PeerResumed { peer: S2 });
    assert_eq!(ranges(&resumed), [(4, 4)]);
}

/// A probe that was cut is answered for what it carried.
#[test]
fn a_probe_that_was_cut_is_on_its_way_as_far_as_it_was_taken() {
    let mut solo = leader(|_| ());
    let _ = solo.propose(4);
    let beat = solo.time_out_heartbeat().appends_to(S2).remove(0);
    let answer = says::mismatched(at(1, 5), &[(1, 1, 1)], says::echo(&beat));
    assert_eq!(ranges(&solo.hears(S2, 1, answer)), [(2, 5)]);
    let _ = paused(&mut solo, S2, 3);
    assert_eq!(peer(&solo, S2).sent_through, LogIndex(3));
    let _ = solo.hears(S2, 1, says::matched(1, None));
    assert_eq!(peer(&solo, S2).next_index, LogIndex(4));
    assert_eq!(ranges(&solo.step(Input::PeerResumed { peer: S2 })), [(4, 5)]);
}

#[test]
fn a_pause_of_nobody_is_ignored_and_a_follower_has_none() {
    let mut solo = leader(|_| ());
    let ignored = |actions: &Actions| actions.ignored() == [IgnoreReason::UnknownPeer];
    assert!(ignored(&paused(&mut solo, NodeId(9), 0)));
    assert!(ignored(&solo.step(Input::PeerResumed { peer: NodeId(9) })));
    let mut follower = Setup::of(voters(&[1, 2, 3])).start();
    let before = follower.node.clone();
    let _ = paused(&mut follower, S2, 0);
    assert_eq!(follower.node, before);
}

#[test]
fn a_peer_that_is_probed_gets_one_message_at_a_time() {
    let mut solo = leader(|_| ());
    let _ = solo.propose(1);
    let beat = solo.time_out_heartbeat().appends_to(S2).remove(0);
    assert_eq!(beat.prev, at(1, 2));
    let answer = says::mismatched(at(1, 2), &[(1, 1, 1)], says::echo(&beat));
    let probe = solo.hears(S2, 1, answer);
    assert_eq!(peer(&solo, S2).phase, PeerPhase::Probe);
    assert_eq!(ranges(&probe), [(2, 2)]);
    assert_eq!((ranges(&solo.propose(1)), peer(&solo, S2).messages_in_flight), (vec![], 0));
}

#[test]
fn acknowledgements_that_are_stale_change_nothing() {
    let mut solo = leader(|_| ());
    let _ = solo.propose(5);
    let _ = solo.hears(S2, 1, says::matched(6, None));
    let before = peer(&solo, S2);
    for index in [0, 1, 3, 6] {
        let _ = solo.hears(S2, 1, says::matched(index, None));
        assert_eq!(peer(&solo, S2), before);
    }
}

#[test]
fn rejections_that_are_stale_change_nothing() {
    let mut solo = leader(|_| ());
    let old = solo.time_out_heartbeat().appends_to(S2).remove(0);
    let first = solo.propose(1).appends_to(S2).remove(0);
    let second = solo.propose(1).appends_to(S2).remove(0);
    let third = solo.propose(1).appends_to(S2).remove(0);
    // The first is lost: both others are rejected, and only one of the rejections acts.
    let seen = old.probe.expect("a heartbeat asks").round;
    let no = |m: &raft_core::AppendEntries| {
        says::having_seen(says::mismatched(m.prev, &[(1, 1, 1)], says::echo(m)), seen)
    };
    assert_eq!(ranges(&solo.hears(S2, 1, no(&second))), [(2, 4)]);
    let before = peer(&solo, S2);
    assert_eq!(solo.hears(S2, 1, no(&third)).ignored(), [IgnoreReason::Stale]);
    assert_eq!(peer(&solo, S2), before);
    let again = solo.hears(S2, 1, says::matched(2, None));
    assert_eq!((ranges(&again), peer(&solo, S2).next_index), (vec![], LogIndex(5)));
    assert_eq!(solo.hears(S2, 1, no(&third)).ignored(), [IgnoreReason::Stale], "acted upon");
    assert_eq!(peer(&solo, S2).phase, PeerPhase::Replicate);
    let _ = solo.hears(S2, 1, says::matched(4, None));
    let before = peer(&solo, S2);
    let below = says::having_seen(says::mismatched(at(1, 3), &[(1, 1, 1)], None), seen);
    assert_eq!(solo.hears(S2, 1, below).ignored(), [IgnoreReason::Stale], "it holds that");
    assert_eq!(peer(&solo, S2), before);
    for late in [&first, &second, &third] {
        assert_eq!(solo.hears(S2, 1, no(late)).ignored(), [IgnoreReason::Stale]);
        assert_eq!(peer(&solo, S2), before, "below what it holds");
    }
}

#[test]
fn a_peer_that_is_reported_unreachable_is_probed_again() {
    let mut solo = leader(|_| ());
    let _ = solo.propose(5);
    assert_eq!(peer(&solo, S2).messages_in_flight, 1);
    assert_eq!(ranges(&unreachable(&mut solo, S2)), [], "not at once");
    let now = peer(&solo, S2);
    assert_eq!((now.phase, now.messages_in_flight), (PeerPhase::Probe, 0));
    assert_eq!(now.next_index, LogIndex(2), "what was on its way is lost");
    assert_eq!(ranges(&solo.propose(1)), [], "a sign of life first");
    let beat = solo.time_out_heartbeat().appends_to(S2).remove(0);
    let back = solo.hears(S2, 1, says::matched(1, says::echo(&beat)));
    assert_eq!(ranges(&back), [(2, 7)]);
    assert_eq!(unreachable(&mut solo, NodeId(9)).ignored(), [IgnoreReason::UnknownPeer]);
    let mut follower = Solo::of(3);
    assert!(unreachable(&mut follower, S2).is_empty());
}

#[test]
fn the_loss_of_any_messages_pauses_a_peer_for_a_while_only() {
    // Which messages are lost: each of the first twelve on the link is a bit, in both directions.
    for (case, mask) in
        (0..12).flat_map(|a| (a..12).map(move |b| (1_u64 << a) | (1 << b))).enumerate()
    {
        for direction in [(S1, S3), (S3, S1)] {
            let mut world = World::new(case as u64, 3, &voters(&[1, 2, 3]));
            world.configure(|config| {
                config.max_entries_per_message = 2;
                config.max_messages_in_flight = 2;
                config.max_entries_in_flight = 3;
            });
            world.elect(S1);
            world.losses.insert(direction, mask);
            for _ in 0..3 {
                let _ = world.propose(S1, 3);
                world.run(ms(40));
            }
            world.run(T);
            assert_eq!(world.state_of(S3), world.state_of(S1), "{direction:?} without {mask:b}");
        }
    }
}

#[test]
fn a_peer_in_any_phase_recovers_from_any_silence() {
    // In the middle of a catch-up by entries, by snapshot, and in step.
    for silence in 1..60 {
        for compacts in [false, true] {
            let mut world = World::new(silence, 3, &voters(&[1, 2, 3]));
            world.configure(|config| {
                config.max_entries_per_message = 4;
                config.snapshot_timeout = T;
            });
            world.elect(S1);
            world.isolate(S3);
            let _ = world.propose(S1, 40);
            world.run(ms(20));
            if compacts {
                world.take_snapshot(S1);
            }
            let _ = world.propose(S1, 10);
            world.heal();
            world.run(ms(100) + core::time::Duration::from_micros(250 * silence));
            world.isolate(S3);
            world.run(ms(7 * silence));
            world.heal();
            world.run(T * 4);
            assert_eq!(world.state_of(S3), world.state_of(S1), "{silence} {compacts}");
        }
    }
}

#[test]
fn so_many_entries_wait_for_their_commit_and_no_more() {
    let mut solo = leader(|config| config.max_uncommitted = 4);
    assert!(solo.propose(3).accepted().is_some());
    let full = |waiting| vec![RejectReason::TooManyUncommitted { waiting }];
    assert_eq!(solo.propose(2).rejected(), full(3));
    assert!(solo.propose(1).accepted().is_some());
    assert_eq!(solo.propose(1).rejected(), full(4));
    let _ = solo.hears(S2, 1, says::matched(3, None));
    assert!(solo.propose(2).accepted().is_some());
}

#[test]
fn a_log_that_comes_to_its_end_takes_no_more_and_can_be_recovered() {
    for left in 0..8 {
        let mut setup = Setup::of(joint(&[1], &[], &[2])).term(1);
        let full = Run::Commands { term: Term(1), count: LIMIT - left };
        setup.recovered.entries = [full].into_iter().collect();
        let mut solo = setup.config(|config| config.max_uncommitted = LIMIT).start();
        let _ = solo.wake();
        let leads = solo.role() == RoleKind::Leader;
        assert_eq!(leads, left > 3, "{left} left");
        if left <= 3 {
            assert_eq!(solo.step(Input::Campaign).ignored(), [IgnoreReason::LogFull]);
        } else if left == 4 {
            let change = Input::ChangeMembership { token: Token(1), target: voters(&[1]) };
            assert_eq!(solo.step(change).rejected(), [RejectReason::LogFull]);
            assert_eq!(solo.propose(1).rejected(), [RejectReason::LogFull]);
        }
        for target in [voters(&[1]), joint(&[1], &[], &[2])] {
            let _ = solo.step(Input::ChangeMembership { token: Token(1), target });
            let _ = solo.propose(1);
        }
        assert!(solo.status().last.index <= LogIndex(LIMIT));
        solo.crash_and_restart();
    }
}

#[test]
fn a_peer_that_is_a_million_entries_behind_catches_up_at_full_pipeline() {
    let mut solo = leader(|_| ());
    let _ = solo.propose(1_000_000);
    let _ = solo.hears(S2, 1, says::matched(1_000_001, None));
    let _ = unreachable(&mut solo, S3);
    let beat = solo.time_out_heartbeat().appends_to(S3).remove(0);
    let mut to_it = solo.hears(S3, 1, says::matched(1, says::echo(&beat))).appends_to(S3);
    let (mut trips, mut messages) = (0, 0);
    while let Some(last) = to_it.last() {
        let index = last.last_position().index;
        assert!(
            to_it.len() >= 60 || index.get() == 1_000_001,
            "the window is full: {}",
            to_it.len()
        );
        (trips, messages) = (trips + 1, messages + to_it.len());
        let all_but_news = solo.hears(S3, 1, says::matched(index.get(), None)).appends_to(S3);
        to_it = all_but_news.into_iter().filter(|m| !m.entries.is_empty()).collect();
    }
    assert_eq!(peer(&solo, S3).match_index, LogIndex(1_000_001));
    // A window is 64 messages of 1024 entries.
    assert!((trips, messages) <= (16, 980), "{trips} round trips, {messages} messages");
}
