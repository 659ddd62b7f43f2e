//! Between the permit and the end of the transfer: nothing is appended, and nobody else is asked.

use crate::common::{Actions, S2, S3, Setup, Solo, T, says, voters};
use raft_core::{
    Action, Input, Message, NodeId, Protection, RejectReason, RoleKind, Token, TransferOutcome,
    Verdict,
};

fn last(solo: &Solo) -> u64 {
    solo.status().last.index.get()
}

fn permits(actions: &Actions) -> Vec<NodeId> {
    let now = actions.sent().into_iter().filter(|e| e.message == Message::TimeoutNow);
    now.map(|envelope| envelope.to).collect()
}

fn transfer(solo: &mut Solo, to: NodeId) -> Actions {
    solo.step(Input::TransferLeadership { token: Token(8), to: Some(to) })
}

fn has_ended(actions: &Actions) -> bool {
    let outcome = TransferOutcome::TimedOut;
    actions.0.contains(&Action::TransferEnded { token: Token(8), outcome })
}

/// S1 of five hands over to S2, which holds the joint entry; that is not committed yet.
fn permit_while_joint() -> Solo {
    let mut solo = Solo::leader_of(5);
    let target = voters(&[1, 2, 3]);
    let change = Input::ChangeMembership { token: Token(9), target };
    assert!(solo.step(change).accepted().is_some());
    let _ = transfer(&mut solo, S2);
    let all = last(&solo);
    assert_eq!(permits(&solo.hears(S2, 1, says::matched(all, None))), [S2]);
    assert!(solo.status().commit_index.get() < all, "two of the five");
    solo
}

#[test]
fn a_joint_membership_is_not_left_between_the_permit_and_the_end_of_the_transfer() {
    let mut solo = permit_while_joint();
    let all = last(&solo);
    let _ = solo.hears(S3, 1, says::matched(all, None));
    assert_eq!(solo.status().commit_index.get(), all, "the joint entry is committed");
    loop {
        assert!(solo.node.membership().is_joint());
        assert_eq!(last(&solo), all, "a longer log would refuse S2 its vote");
        let actions = solo.time_out();
        if has_ended(&actions) {
            break;
        }
        for envelope in actions.sent() {
            if let (S3, Message::AppendEntries(m)) = (envelope.to, &envelope.message) {
                let _ = solo.hears(S3, 1, says::matched(all, says::echo(m)));
            }
            if let (S2, Message::AppendEntries(m)) = (envelope.to, &envelope.message) {
                let _ = solo.hears(S2, 1, says::matched(all, says::echo(m)));
            }
        }
    }
    assert_eq!(solo.role(), RoleKind::Leader);
    assert_eq!((solo.node.membership(), last(&solo)), (&voters(&[1, 2, 3]), all + 1), "now it is");
}

#[test]
fn between_the_permit_and_the_end_of_the_transfer_nobody_appends() {
    let mut solo = permit_while_joint();
    let all = last(&solo);
    assert_eq!(solo.propose(1).rejected(), [RejectReason::TransferInProgress]);
    assert_eq!(last(&solo), all);
}

#[test]
fn the_permit_is_repeated_with_each_heartbeat_while_the_transfer_runs() {
    let mut solo = Solo::leader_of(3);
    assert_eq!(permits(&transfer(&mut solo, S2)), [S2]);
    let began = solo.now;
    let mut repeats = 0;
    loop {
        let actions = solo.time_out_heartbeat();
        for id in [S2, S3] {
            for m in actions.appends_to(id) {
                let _ = solo.hears(id, 1, says::matched(1, says::echo(&m)));
            }
        }
        if solo.now.saturating_since(began) >= T {
            break;
        }
        assert_eq!(permits(&actions), [S2], "it may have been lost");
        repeats += 1;
    }
    assert!(repeats >= 8, "{repeats} in T");
    assert_eq!((solo.role(), solo.status().transfers_to), (RoleKind::Leader, None));
    for _ in 0..3 {
        let actions = solo.time_out_heartbeat();
        assert_eq!(permits(&actions), [], "the transfer is over");
        for m in actions.appends_to(S2) {
            let _ = solo.hears(S2, 1, says::matched(1, says::echo(&m)));
        }
    }
}

#[test]
fn a_permit_is_not_repeated_before_the_first_has_left() {
    let mut solo = Solo::leader_of(3);
    let _ = solo.propose(1);
    let _ = transfer(&mut solo, S2);
    for _ in 0..3 {
        assert_eq!(permits(&solo.time_out_heartbeat()), [], "it lacks an entry");
    }
}

#[test]
fn a_disk_that_hangs_while_a_permit_is_out_sends_no_second_one() {
    let setup = Setup::of(voters(&[1, 2, 3])).protection(Protection::Plain);
    let mut solo = setup.config(|c| c.disk_timeout = T / 2).slow_disk().start();
    let _ = solo.time_out();
    let _ = solo.persist();
    let _ = solo.hears(S2, 1, says::vote(Verdict::Granted));
    let _ = solo.persist();
    let _ = solo.propose(1);
    for id in [S2, S3] {
        let _ = solo.hears(id, 1, says::matched(2, None));
    }
    assert_eq!(permits(&solo.clone().pass(T / 2).wake()), [S3], "without a transfer one is asked");
    assert_eq!(permits(&transfer(&mut solo, S2)), [S2]);
    while solo.role() == RoleKind::Leader {
        let others: Vec<_> = permits(&solo.time_out()).into_iter().filter(|id| *id != S2).collect();
        assert_eq!(others, [], "two candidates would split the vote");
    }
}
