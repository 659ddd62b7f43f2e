//! Rules that are easily lost: each is one condition in the code, and one test here.

use crate::common::{Actions, S2, S3, Setup, Solo, T, at, just_under, says, voters};
use raft_core::{
    Action, AppendOutcome, IgnoreReason, Input, InstallSnapshot, Instant, LogIndex, LogPosition,
    Message, Outcome, PeerPhase, Protection, RoleKind, Snapshot, Token, Verdict,
};

fn install(position: LogPosition) -> Message {
    let snapshot = Snapshot { position, membership: voters(&[1, 2, 3]) };
    Message::InstallSnapshot(InstallSnapshot { snapshot })
}

fn acknowledged(actions: &Actions) -> Option<u64> {
    match actions.answer()?.outcome {
        AppendOutcome::Matched { match_index } => Some(match_index.get()),
        _ => None,
    }
}

#[test]
fn a_leader_without_a_vote_that_handed_over_in_vain_steps_down_all_the_same() {
    let mut leader = Solo::leader_of(3);
    let target = voters(&[2, 3]);
    let change = leader.step(Input::ChangeMembership { token: Token(9), target: target.clone() });
    assert!(change.accepted().is_some());
    for (from, index) in [(S2, 2), (S3, 2), (S2, 3), (S3, 3)] {
        let _ = leader.hears(from, 1, says::matched(index, None));
    }
    assert_eq!((leader.node.membership(), leader.status().commit_index), (&target, LogIndex(3)));
    assert!(leader.status().transfers_to.is_some());

    // Both go on to answer, and neither takes over.
    let began = leader.now;
    while leader.role() == RoleKind::Leader {
        assert!(leader.now.saturating_since(began) <= T, "nobody asked it to stay");
        for envelope in leader.next_deadline().sent() {
            if let Message::AppendEntries(m) = &envelope.message {
                let _ = leader.hears(envelope.to, 1, says::matched(3, says::echo(m)));
            }
        }
    }
    assert_eq!(leader.now.saturating_since(began), T);
}

#[test]
fn what_an_earlier_life_promised_holds_under_a_lower_protection() {
    for protection in [Protection::PreVote, Protection::Plain] {
        let setup = Setup::of(voters(&[1, 2, 3])).protection(protection).term(3);
        let mut node = setup.hard_state(|state| state.promised = 2 * T).start();
        let ask = |node: &Solo| {
            let pre = node.clone().hears(S3, 9, says::pre_vote(at(8, 8))).pre_verdict();
            (pre, node.clone().hears(S3, 9, says::request_vote(at(8, 8))).verdict())
        };
        let both = |verdict| (Some(verdict), Some(verdict));
        node.now = Instant::ZERO.saturating_add(just_under(2 * T));
        assert_eq!(ask(&node), both(Verdict::LeaderAlive), "{protection:?}");
        node.now = Instant::ZERO.saturating_add(2 * T);
        assert_eq!(ask(&node), both(Verdict::Granted), "{protection:?}");
    }
}

#[test]
fn an_older_echo_does_not_make_a_peer_unheard() {
    let mut leader = Solo::leader_of(3);
    let [older, newer] = [(); 2].map(|()| leader.time_out_heartbeat().appends_to(S2).remove(0));
    let (older, newer) = (says::echo(&older), says::echo(&newer));
    let heard_at = |leader: &Solo| leader.node.peers().next().expect("S2").heard_at;
    for echo in [newer, older] {
        let _ = leader.hears(S2, 1, says::matched(1, echo));
        assert_eq!(heard_at(&leader), newer.expect("a heartbeat asks").sent_at);
    }
}

#[test]
fn a_second_leader_of_a_term_is_refused_for_its_snapshot_too() {
    let mut node = Solo::of(3);
    let _ = node.hears(S2, 2, says::hello(1));
    let before = node.node.clone();
    let ignored = node.hears(S3, 2, install(at(2, 9)));
    assert_eq!(ignored.ignored(), [IgnoreReason::SecondLeader { first: S2 }]);
    assert_eq!(node.node, before);
    let _ = node.hears(S2, 2, install(at(2, 9)));
    assert_eq!(node.status().installing, Some(at(2, 9)), "of the first it is taken");
}

#[test]
fn a_snapshot_whose_position_is_held_says_nothing_of_what_follows() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 1]).start();
    let heard = node.hears(S3, 2, install(at(1, 2)));
    assert_eq!(acknowledged(&heard), Some(2), "the third may be another one there");
    assert_eq!(node.status().last, at(1, 3));
}

#[test]
fn nothing_is_compacted_while_a_snapshot_is_installed() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]);
    node.recovered.applied = LogIndex(2);
    let mut node = node.start();
    let _ = node.hears(S2, 2, install(at(2, 9)));
    let position = at(1, 2);
    let taken = Input::SnapshotTaken { position };
    assert_eq!(node.step(taken.clone()).ignored(), [IgnoreReason::CannotCompact(position)]);
    assert_eq!(node.status().log_start, says::START);
    let failed = Input::SnapshotInstalled { position: at(2, 9), outcome: Outcome::Failed };
    let _ = node.step(failed);
    assert_eq!(node.step(taken).ignored(), []);
    assert_eq!(node.status().log_start, position, "afterwards it is");
}

#[test]
fn a_peer_that_the_transport_has_lost_still_gets_the_snapshot_under_way() {
    let mut leader = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).snapshot(at(1, 2)).start();
    let question = &leader.elect().appends_to(S3)[0];
    let behind = says::mismatched(question.prev, &[], says::echo(question));
    let asked = leader.hears(S3, 2, behind);
    assert!(asked.0.iter().any(|a| matches!(a, Action::SendSnapshot { to: S3, .. })));
    let phase = |leader: &Solo| leader.node.peers().nth(1).expect("S3").phase;
    let _ = leader.step(Input::PeerUnreachable { peer: S3 });
    assert_eq!(phase(&leader), PeerPhase::Snapshot);
    let sent = Input::SnapshotSent { to: S3, position: at(1, 2), outcome: Outcome::Done };
    assert_eq!(leader.step(sent).ignored(), [], "its report counts");
    assert_eq!(phase(&leader), PeerPhase::Probe);
}
