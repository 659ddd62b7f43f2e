//! A node that is removed and added again in one term: what it said before counts for nothing.

use crate::common::{Actions, S1, S2, S3, Solo, T, joint, says, voters};
use raft_core::{
    Envelope, IgnoreReason, Input, LogIndex, Membership, Message, NodeId, PeerStatus, Term, Token,
};

fn change(solo: &mut Solo, target: Membership) {
    let accepted = solo.step(Input::ChangeMembership { token: Token(9), target }).accepted();
    assert!(accepted.is_some());
}

fn acknowledges(solo: &mut Solo, id: NodeId) -> Actions {
    let (last, echo) = (solo.status().last.index.get(), solo.newest_echo(id));
    solo.hears(id, 1, says::matched(last, echo))
}

/// S3 was removed and forgotten, and is a learner again, in the same term.
fn added_again() -> Solo {
    let mut solo = Solo::leader_of(3);
    change(&mut solo, voters(&[1, 2]));
    for _ in 0..2 {
        let _ = acknowledges(&mut solo, S2);
    }
    let _ = acknowledges(&mut solo, S3);
    let _ = solo.time_out_heartbeat();
    let _ = acknowledges(&mut solo, S2);
    let _ = acknowledges(&mut solo, S3);
    assert_eq!(solo.node.peers().count(), 1, "it knows, and is forgotten");
    change(&mut solo, joint(&[1, 2], &[], &[3]));
    solo
}

fn record(solo: &Solo) -> PeerStatus {
    solo.node.peers().find(|peer| peer.id == S3).expect("a peer again")
}

#[test]
fn an_acknowledgement_of_before_the_addition_counts_for_nothing() {
    let mut solo = added_again();
    let new = solo.newest_round(S3);
    let before = record(&solo);
    assert_eq!(before.match_index, LogIndex(0));
    for seen in 1..=3 {
        let seen = raft_core::Round(new.get() - seen);
        let old = says::having_seen(says::matched(3, None), seen);
        let ignored = solo.hears(S3, 1, old).ignored();
        assert_eq!((ignored, record(&solo)), (vec![IgnoreReason::Stale], before));
    }
    let _ = solo.hears(S3, 1, says::having_seen(says::matched(3, None), new));
    assert_eq!(record(&solo).match_index, LogIndex(3), "it has seen a question since");
}

#[test]
fn an_answer_of_one_that_has_seen_no_round_counts_for_nothing() {
    for mut solo in [added_again(), Solo::leader_of(3)] {
        let peers: Vec<_> = solo.node.peers().collect();
        let commit = solo.status().commit_index;
        let _ = solo.propose(1);
        let last = solo.status().last.index.get();
        let message = says::matched(last, None);
        assert!(matches!(&message, Message::AppendEntriesResponse(m) if m.seen.is_none()));
        let blind = Envelope { from: S3, to: S1, term: Term(1), message };
        assert_eq!(solo.step(blind).ignored(), [IgnoreReason::Stale]);
        assert_eq!(solo.status().commit_index, commit);
        let heard = |peers: &[PeerStatus]| peers.iter().map(|p| p.heard_at).collect::<Vec<_>>();
        assert_eq!(heard(&solo.node.peers().collect::<Vec<_>>()), heard(&peers));
    }
}

#[test]
fn an_old_echo_is_no_sign_of_life_of_the_new_peer() {
    let mut solo = Solo::leader_of(3);
    let old = solo.newest_echo(S3);
    let since = solo.now;
    while solo.now.saturating_since(since) < T / 2 {
        let _ = solo.time_out_heartbeat();
        let _ = acknowledges(&mut solo, S2);
    }
    change(&mut solo, voters(&[1, 2]));
    for _ in 0..2 {
        let _ = acknowledges(&mut solo, S2);
    }
    let _ = acknowledges(&mut solo, S3);
    let _ = solo.time_out_heartbeat();
    let _ = acknowledges(&mut solo, S2);
    let _ = acknowledges(&mut solo, S3);
    change(&mut solo, joint(&[1, 2], &[], &[3]));
    let before = record(&solo);
    assert_eq!(solo.hears(S3, 1, says::matched(1, old)).ignored(), [IgnoreReason::Stale]);
    assert_eq!(record(&solo), before);
}
