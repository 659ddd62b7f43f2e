//! A peer that has lost what it acknowledged: it is told once, and its word counts for less.

use crate::common::{Actions, S2, S3, Solo, T, at, says};
use raft_core::{
    Action, Consistency, Echo, IgnoreReason, Input, LogIndex, LogPosition, NodeId, PeerStatus,
    RoleKind, Token,
};

fn reported(actions: &Actions) -> Vec<(NodeId, u64, u64)> {
    let regressed = |action: &Action| match action {
        Action::PeerRegressed { peer, acknowledged, rejected } => {
            Some((*peer, acknowledged.get(), rejected.get()))
        }
        _ => None,
    };
    actions.0.iter().filter_map(regressed).collect()
}

fn peer(solo: &Solo, id: NodeId) -> PeerStatus {
    solo.node.peers().find(|peer| peer.id == id).expect("a peer")
}

/// S1 leads `n`; S2 has acknowledged what S1 holds up to 3. What only these two hold of five is not
/// committed.
fn leader_of(n: u64) -> Solo {
    let mut solo = Solo::leader_of(n);
    let _ = solo.propose(2);
    let _ = solo.hears(S2, 1, says::matched(3, None));
    solo
}

/// The next heartbeat's question to `id`, as it comes back.
fn asks(solo: &mut Solo, id: NodeId) -> (LogPosition, Option<Echo>) {
    let question = solo.time_out_heartbeat().appends_to(id).remove(0);
    (question.prev, says::echo(&question))
}

/// S2 does not hold what it is asked about in the next heartbeat, nor anything else.
fn loses_all(solo: &mut Solo) -> Actions {
    let (prev, echo) = asks(solo, S2);
    solo.hears(S2, 1, says::mismatched(prev, &[], echo))
}

#[test]
fn a_peer_that_rejects_what_it_had_acknowledged_is_told_once() {
    let mut solo = leader_of(3);
    let (prev, echo) = asks(&mut solo, S2);
    let lost = || says::mismatched(prev, &[], echo);
    assert_eq!(reported(&solo.hears(S2, 1, lost())), [(S2, 3, 3)]);
    for _ in 0..3 {
        assert_eq!(reported(&solo.hears(S2, 1, lost())), [], "a late copy");
        let (prev, echo) = asks(&mut solo, S2);
        assert_eq!(reported(&solo.hears(S2, 1, says::matched(prev.index.get(), echo))), []);
    }
}

#[test]
fn a_position_below_the_acknowledged_one_shows_the_loss_too() {
    let mut solo = leader_of(3);
    let (_, echo) = asks(&mut solo, S2);
    assert_eq!(reported(&solo.hears(S2, 1, says::mismatched(at(1, 2), &[], echo))), [(S2, 3, 2)]);
}

#[test]
fn a_rejection_of_what_was_asked_before_the_acknowledgement_shows_no_loss() {
    let mut solo = Solo::leader_of(3);
    let _ = solo.propose(2);
    let (_, early) = asks(&mut solo, S2);
    let _ = solo.hears(S2, 1, says::matched(3, None));
    let refused = solo.hears(S2, 1, says::mismatched(at(1, 3), &[(1, 1, 1)], early));
    assert_eq!((reported(&refused), peer(&solo, S2).match_index), (vec![], LogIndex(3)));
}

#[test]
fn a_lower_acknowledgement_is_no_loss() {
    let mut solo = leader_of(3);
    let (_, echo) = asks(&mut solo, S2);
    let lower = solo.hears(S2, 1, says::matched(1, echo));
    assert_eq!((reported(&lower), lower.ignored()), (vec![], vec![]), "an honest restart says so");
    assert_eq!(peer(&solo, S2).match_index, LogIndex(3));
}

#[test]
fn what_it_had_acknowledged_counts_for_no_further_commit_and_what_it_acknowledges_anew_does() {
    let mut honest = leader_of(5);
    let _ = honest.hears(S3, 1, says::matched(3, None));
    assert_eq!(honest.status().commit_index, LogIndex(3), "three of five");

    let mut solo = leader_of(5);
    let lost = loses_all(&mut solo);
    assert_eq!(reported(&lost), [(S2, 3, 3)]);
    let again = lost.appends_to(S2);
    assert_eq!(
        (again[0].prev, again[0].entries.count()),
        (at(0, 0), 3),
        "it is sent what it lacks"
    );
    let _ = solo.hears(S3, 1, says::matched(3, None));
    assert_eq!(solo.status().commit_index, LogIndex(1), "two of five");
    // A copy of its old acknowledgement may be on its way.
    let old = says::having_seen(says::matched(3, None), early(&solo));
    assert_eq!(solo.hears(S2, 1, old).ignored().len(), 1);
    assert_eq!(solo.status().commit_index, LogIndex(1), "that was before");
    let echo = again[0].probe.map(|_| says::echo(&again[0])).expect("it is asked, too");
    let _ = solo.hears(S2, 1, says::matched(3, echo));
    assert_eq!(solo.status().commit_index, LogIndex(3));
}

/// The round before the newest one that S2 was asked in.
fn early(solo: &Solo) -> raft_core::Round {
    raft_core::Round(solo.newest_round(S2).get() - 1)
}

#[test]
fn its_echo_counts_for_check_quorum_but_neither_for_reads_nor_for_leases() {
    let mut solo = leader_of(3);
    let _ = loses_all(&mut solo);
    let began = solo.now;
    let lease = |solo: &Solo| solo.status().lease_until.is_some_and(|until| until > solo.now);
    let read = Input::Read { token: Token(5), consistency: Consistency::ReadIndex };
    while solo.now.saturating_since(began) < T + T / 2 {
        for m in solo.time_out_heartbeat().appends_to(S2) {
            let _ = solo.hears(S2, 1, says::matched(3, says::echo(&m)));
        }
    }
    assert_eq!(solo.role(), RoleKind::Leader, "it lives, and a leader stays that hears it");
    assert!(solo.now.saturating_since(peer(&solo, S2).heard_at) < T / 2);
    assert_eq!(peer(&solo, S2).match_index, LogIndex(3));
    assert!(!lease(&solo), "it may have forgotten a vote");
    let asked = solo.step(read);
    for m in asked.appends_to(S2) {
        let answered = solo.hears(S2, 1, says::matched(3, says::echo(&m)));
        assert!(!answered.0.iter().any(|a| matches!(a, Action::ReadReady { .. })));
    }
    // S3 alone confirms it.
    let m = asked.appends_to(S3).remove(0);
    let answered = solo.hears(S3, 1, says::matched(3, says::echo(&m)));
    assert!(answered.0.iter().any(|a| matches!(a, Action::ReadReady { token: Token(5), .. })));
    assert!(lease(&solo));
}

#[test]
fn the_lease_that_rested_on_it_ends_at_once() {
    let mut solo = Solo::of(3);
    let elected = solo.elect();
    let echo = says::echo(&elected.appends_to(S2)[0]);
    let _ = solo.hears(S2, 1, says::matched(1, echo));
    assert!(solo.status().lease_until.is_some_and(|until| until > solo.now));
    let _ = loses_all(&mut solo);
    assert!(solo.status().lease_until.is_none_or(|until| until <= solo.now));
}

#[test]
fn who_loses_its_log_again_and_again_is_told_again_and_sent_to_at_the_heartbeats_pace() {
    let mut solo = leader_of(3);
    let again = loses_all(&mut solo).appends_to(S2);
    let _ = solo.hears(S2, 1, says::matched(3, says::echo(&again[0])));
    let second = loses_all(&mut solo);
    assert_eq!((reported(&second), second.appends_to(S2)), (vec![(S2, 3, 3)], vec![]));
    let entries = |solo: &mut Solo| {
        let asked = solo.time_out_heartbeat().appends_to(S2);
        let echo = says::echo(&asked[0]);
        let prev = asked[0].prev.index.get();
        solo.hears(S2, 1, says::matched(prev, echo)).appends_to(S2)
    };
    assert_eq!(entries(&mut solo)[0].entries.count(), 3, "after a sign of life");
}

#[test]
fn nothing_is_said_of_a_peer_that_a_snapshot_is_on_its_way_to() {
    let mut solo = leader_of(3);
    let (_, echo) = asks(&mut solo, S2);
    let _ = solo.step(Input::SnapshotTaken { position: at(1, 3) });
    assert_eq!(reported(&solo.hears(S2, 1, says::mismatched(at(1, 3), &[], echo))), [(S2, 3, 3)]);
    for _ in 0..3 {
        let asked = solo.time_out_heartbeat().appends_to(S2).remove(0);
        assert_eq!(asked.prev, at(0, 0), "the position that every log holds");
        let _ = solo.hears(S2, 1, says::matched(0, says::echo(&asked)));
    }
}

#[test]
fn what_a_peer_said_in_the_very_round_of_its_loss_is_of_the_lost_log() {
    let mut solo = Solo::leader_of(3);
    let m = solo.time_out_heartbeat().appends_to(S2).remove(0);
    let lost = solo.hears(S2, 1, says::mismatched(m.prev, &[], says::echo(&m)));
    assert!(lost.0.iter().any(|a| matches!(a, Action::PeerRegressed { .. })), "{lost:?}");
    let old = says::having_seen(says::matched(1, None), m.probe.expect("it asks").round);
    assert_eq!(solo.hears(S2, 1, old).ignored(), [IgnoreReason::LostLog]);
}
