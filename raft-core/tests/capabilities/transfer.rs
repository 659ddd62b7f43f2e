//! Leadership transfer (thesis, 3.10).

use crate::common::world::World;
use crate::common::{Actions, S1, S2, S3, S4, S5, Setup, Solo, T, at, joint, ms, says, voters};
use raft_core::{
    Action, Consistency, IgnoreReason, Input, Message, NodeId, Permit, RejectReason, RequestVote,
    RoleKind, Term, Token, TransferOutcome, Verdict,
};

fn transfer(solo: &mut Solo, to: Option<NodeId>) -> Actions {
    solo.step(Input::TransferLeadership { token: Token(8), to })
}

fn ended(actions: &Actions) -> Vec<TransferOutcome> {
    let outcome = |action: &Action| match action {
        Action::TransferEnded { token: Token(8), outcome } => Some(*outcome),
        _ => None,
    };
    actions.0.iter().filter_map(outcome).collect()
}

fn asked(actions: &Actions) -> Vec<NodeId> {
    let now = actions.sent().into_iter().filter(|e| e.message == Message::TimeoutNow);
    now.map(|envelope| envelope.to).collect()
}

fn lease_read(solo: &mut Solo) -> bool {
    let read = Input::Read { token: Token(5), consistency: Consistency::Lease };
    solo.step(read).0.iter().any(|a| matches!(a, Action::ReadReady { .. }))
}

#[test]
fn the_other_catches_up_before_it_is_asked_to_take_over() {
    let mut solo = Solo::leader_of(3);
    let _ = solo.propose(3);
    assert_eq!(asked(&transfer(&mut solo, Some(S2))), []);
    assert_eq!(asked(&solo.hears(S2, 1, says::matched(3, None))), [], "it lacks one");
    assert_eq!(asked(&solo.hears(S2, 1, says::matched(4, None))), [S2]);
    assert_eq!(asked(&solo.hears(S2, 1, says::matched(4, None))), [], "once");
}

#[test]
fn without_a_name_the_most_complete_voter_takes_over() {
    let mut solo = Solo::leader_of(3);
    let _ = solo.propose(3);
    let _ = solo.hears(S3, 1, says::matched(4, None));
    assert_eq!(asked(&transfer(&mut solo, None)), [S3]);
}

#[test]
fn without_a_name_nobody_is_chosen_who_was_not_heard_for_t() {
    let mut solo = Solo::leader_of(3);
    for _ in 0..12 {
        for m in solo.time_out_heartbeat().appends_to(S2) {
            let _ = solo.hears(S2, 1, says::matched(1, says::echo(&m)));
        }
    }
    assert_eq!(asked(&transfer(&mut solo, None)), [S2], "S3 holds as much, and is dead");
}

#[test]
fn meanwhile_proposals_changes_and_other_transfers_are_refused() {
    let mut solo = Solo::leader_of(3);
    let _ = solo.propose(3);
    let _ = transfer(&mut solo, Some(S2));
    let busy = [RejectReason::TransferInProgress];
    assert_eq!(solo.propose(1).rejected(), busy);
    assert_eq!(transfer(&mut solo, Some(S3)).rejected(), busy);
    let target = voters(&[1, 2]);
    let change = Input::ChangeMembership { token: Token(9), target };
    let _ = solo.hears(S2, 1, says::matched(3, None));
    assert_eq!(solo.step(change).rejected(), busy);
}

#[test]
fn a_transfer_that_takes_longer_than_t_is_given_up_and_the_leader_goes_on() {
    let mut solo = Solo::leader_of(3);
    let _ = solo.propose(3);
    let began = solo.now;
    let _ = transfer(&mut solo, Some(S2));
    let mut outcomes = Vec::new();
    while outcomes.is_empty() {
        let actions = solo.time_out();
        outcomes = ended(&actions);
        for envelope in actions.sent() {
            if let Message::AppendEntries(m) = &envelope.message
                && envelope.to == S3
            {
                let _ = solo.hears(S3, 1, says::matched(4, says::echo(m)));
            }
        }
    }
    assert_eq!(outcomes, [TransferOutcome::TimedOut]);
    assert_eq!(solo.now.saturating_since(began), T);
    assert_eq!(solo.role(), RoleKind::Leader);
    assert!(solo.propose(1).accepted().is_some());
}

#[test]
fn a_learner_a_stranger_and_the_leader_itself_cannot_take_over() {
    let mut world = World::new(1, 4, &joint(&[1, 2, 3], &[], &[4]));
    world.elect(S1);
    for to in [S1, S4, S5] {
        let _ = world.transfer(S1, Some(to));
        assert_eq!(world.refused.pop().expect("refused").1, RejectReason::CannotLead { node: to });
    }
    let mut lone = Solo::of(1);
    let _ = lone.wake();
    assert_eq!(transfer(&mut lone, None).rejected(), [RejectReason::NoOtherVoter]);
    let mut follower = Solo::of(3);
    let refused = transfer(&mut follower, Some(S2)).rejected();
    assert_eq!(refused, [RejectReason::NotLeader { leader: None }]);
}

#[test]
fn nobody_in_the_old_half_of_a_joint_membership_takes_over() {
    let mut solo = Solo::leader_of(3);
    let target = voters(&[1, 2]);
    let _ = solo.step(Input::ChangeMembership { token: Token(9), target });
    assert!(solo.node.membership().is_joint());
    let refused = transfer(&mut solo, Some(S3)).rejected();
    assert_eq!(refused, [RejectReason::CannotLead { node: S3 }]);
}

#[test]
fn a_transfer_passes_the_leases_and_takes_a_few_messages() {
    let mut world = World::new(2, 5, &voters(&[1, 2, 3, 4, 5]));
    world.elect(S1);
    world.run(T);
    let term = world.status(S1).term;
    let _ = world.transfer(S1, Some(S4));
    world.run(ms(10));
    assert_eq!((world.leader(), world.role(S1)), (Some(S4), RoleKind::Follower));
    assert_eq!(world.status(S4).term.get(), term.get() + 1);
    let outcomes: Vec<_> = world.ended.iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(outcomes, [TransferOutcome::SteppedDown]);
}

#[test]
fn a_permit_passes_the_lease_of_that_leader_in_that_term_and_nothing_else() {
    let permit = |leader, term| Some(Permit { leader, term: Term(term) });
    let cases = [
        (2, permit(S2, 1), Verdict::Granted),
        (2, None, Verdict::LeaderAlive),
        (2, permit(S3, 1), Verdict::LeaderAlive),
        (2, permit(S2, 0), Verdict::LeaderAlive),
        (3, permit(S2, 1), Verdict::LeaderAlive),
        (3, permit(S2, 2), Verdict::LeaderAlive),
    ];
    for (term, permit, verdict) in cases {
        let mut solo = Solo::of(3);
        let _ = solo.hears(S2, 1, says::appends(1, says::START, &[1, 1]));
        let vote = |last| Message::RequestVote(RequestVote { last, permit });
        let answer = solo.hears(S3, term, vote(at(1, 2))).verdict();
        assert_eq!(answer, Some(verdict), "term {term}, {permit:?}");
        let old_log = Solo::of(3).hears(S2, 1, says::appends(1, says::START, &[1, 1])).verdict();
        assert_eq!(old_log, None);
    }
    let mut solo = Solo::of(3);
    let _ = solo.hears(S2, 1, says::appends(1, says::START, &[1, 1]));
    let vote = Message::RequestVote(RequestVote { last: at(1, 1), permit: permit(S2, 1) });
    let answer = solo.hears(S3, 2, vote).verdict();
    assert_eq!(answer, Some(Verdict::StaleLog), "it passes no other rule");
}

#[test]
fn a_leader_obeys_its_own_permit_only() {
    let permit = |leader| Some(Permit { leader, term: Term(1) });
    let vote = |permit| Message::RequestVote(RequestVote { last: at(1, 1), permit });
    let mut solo = Solo::leader_of(3);
    assert_eq!(solo.hears(S2, 2, vote(None)).verdict(), Some(Verdict::LeaderAlive));
    assert_eq!(solo.hears(S2, 2, vote(permit(S3))).verdict(), Some(Verdict::LeaderAlive));
    assert_eq!(solo.hears(S2, 2, vote(permit(S1))).verdict(), Some(Verdict::Granted));
}

#[test]
fn the_candidate_shows_the_permit_and_asks_no_pre_vote() {
    let mut solo = Solo::of(3);
    let _ = solo.hears(S2, 1, says::hello(1));
    let requests = solo.hears(S2, 1, Message::TimeoutNow).sent();
    assert_eq!((solo.role(), solo.term(), requests.len()), (RoleKind::Candidate, 2, 2));
    for envelope in requests {
        let Message::RequestVote(m) = envelope.message else { panic!("{envelope:?}") };
        assert_eq!(m.permit, Some(Permit { leader: S2, term: Term(1) }));
    }
    // A lost election goes back to pre-vote, and shows no permit any more.
    let next = solo.time_out();
    assert!(next.pre_vote_round().is_some());
}

#[test]
fn who_lives_is_chosen_before_who_holds_more() {
    let mut solo = Solo::leader_of(5);
    let _ = solo.propose(1);
    let _ = solo.hears(S2, 1, says::matched(2, None));
    for _ in 0..12 {
        let beats = solo.time_out_heartbeat();
        for id in [S3, S4] {
            let echo = says::echo(&beats.appends_to(id)[0]);
            let _ = solo.hears(id, 1, says::matched(1, echo));
        }
    }
    let _ = transfer(&mut solo, None);
    assert!(matches!(solo.status().transfers_to, Some(S3 | S4)), "S2 was silent for more than T");
}

#[test]
fn once_the_permit_has_left_no_lease_read_is_served_in_this_term() {
    let mut solo = Solo::leader_of(3);
    assert!(lease_read(&mut solo), "it holds the lease");
    assert_eq!(asked(&transfer(&mut solo, Some(S2))), [S2]);
    assert!(!lease_read(&mut solo), "another may be elected at any moment");
    assert_eq!(solo.status().lease_until, None);
    for _ in 0..12 {
        solo.everyone_acknowledges();
    }
    solo.everyone_acknowledges();
    assert_eq!((solo.role(), solo.status().transfers_to), (RoleKind::Leader, None));
    assert!(!lease_read(&mut solo), "the permit is still out there");
}

#[test]
fn timeout_now_counts_from_the_leader_of_this_term_only() {
    let mut solo = Solo::of(3);
    let _ = solo.hears(S2, 3, says::hello(1));
    for (from, term) in [(S3, 3), (S2, 2), (S5, 3)] {
        let ignored = solo.hears(from, term, Message::TimeoutNow).ignored();
        assert_eq!(ignored, [IgnoreReason::Stale], "{from:?} in {term}");
    }
    assert_eq!((solo.role(), solo.term()), (RoleKind::Follower, 3));
    let mut learner = Setup::of(joint(&[1, 2], &[], &[4])).id(S4).start();
    let _ = learner.hears(S1, 1, says::hello(1));
    assert_eq!(learner.hears(S1, 1, Message::TimeoutNow).ignored(), [IgnoreReason::NotAVoter]);
}

#[test]
fn no_transfer_raises_the_term_above_the_last_one() {
    let most = u64::MAX - 1;
    let mut solo = Setup::of(voters(&[1, 2, 3])).term(most - 1).start();
    let _ = solo.hears(S2, most, says::hello(1));
    let _ = solo.hears(S2, most, Message::TimeoutNow);
    assert_eq!((solo.role(), solo.term()), (RoleKind::Follower, most));
    solo.crash_and_restart();
}

#[test]
fn a_transfer_ends_when_leadership_is_lost() {
    let mut solo = Solo::leader_of(3);
    let _ = solo.propose(1);
    let _ = transfer(&mut solo, Some(S2));
    let outcome = ended(&solo.hears(S3, 9, says::stale_term()));
    assert_eq!(outcome, [TransferOutcome::LeadershipLost]);
}
