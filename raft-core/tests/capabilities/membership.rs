//! Membership changes by joint consensus (Raft paper, 6; thesis, 4).

use crate::common::world::World;
use crate::common::{Actions, S1, S2, S3, S4, S5, Setup, Solo, T, at, joint, ms, says, voters};
use raft_core::{
    Action, AppendEntries, Entries, Input, LogIndex, Membership, Message, NodeId, RejectReason,
    RoleKind, Run, Term, Token, Verdict,
};

fn change(solo: &mut Solo, target: Membership) -> Actions {
    solo.step(Input::ChangeMembership { token: Token(9), target })
}

fn last(solo: &Solo) -> u64 {
    solo.status().last.index.get()
}

/// `id` acknowledges everything, in answer to the newest message to it.
fn acknowledges(solo: &mut Solo, id: NodeId) -> Actions {
    let (term, all) = (solo.term(), last(solo));
    let echo = solo.newest_echo(id);
    solo.hears(id, term, says::matched(all, echo))
}

fn all_acknowledge(solo: &mut Solo, ids: &[NodeId]) {
    for id in ids {
        let _ = acknowledges(solo, *id);
    }
}

/// S1 leads S1, S2 and S3; S4 and S5 are learners that hold everything.
fn leader_with_learners() -> Solo {
    let mut solo = Solo::leader_of(3);
    let _ = change(&mut solo, joint(&[1, 2, 3], &[], &[4, 5]));
    for _ in 0..2 {
        all_acknowledge(&mut solo, &[S2, S3, S4, S5]);
    }
    assert_eq!(solo.status().commit_index.get(), last(&solo), "the learners are in");
    assert!(!solo.node.membership().is_joint());
    solo
}

fn entry(term: u64, membership: Membership) -> Entries {
    [Run::Membership { term: Term(term), membership: Box::new(membership) }].into_iter().collect()
}

fn append(prev: raft_core::LogPosition, entries: Entries, commit: u64) -> Message {
    let (commit, probe) = (LogIndex(commit), Some(says::probe(1)));
    Message::AppendEntries(AppendEntries { prev, entries, commit, probe })
}

/// A world of five whose leader is S1; S1, S2 and S3 vote, S4 and S5 learn.
fn world_with_learners(seed: u64) -> World {
    let mut world = World::new(seed, 5, &voters(&[1, 2, 3]));
    world.elect(S1);
    let _ = world.change(S1, joint(&[1, 2, 3], &[], &[4, 5]));
    let _ = world.propose(S1, 10);
    world.run(T / 2);
    world
}

#[test]
fn a_commit_needs_both_halves_of_a_joint_membership() {
    for (half, other) in [([S4, S5], S2), ([S2, S3], S4)] {
        let mut solo = leader_with_learners();
        let before = solo.status().commit_index;
        let _ = change(&mut solo, voters(&[1, 4, 5]));
        assert!(solo.node.membership().is_joint());
        all_acknowledge(&mut solo, &half);
        assert_eq!(solo.status().commit_index, before, "one half is not enough");
        let _ = acknowledges(&mut solo, other);
        assert!(solo.status().commit_index > before, "both halves are");
    }
}

#[test]
fn an_election_needs_both_halves_of_a_joint_membership() {
    for (half, other) in [([S4, S5], S2), ([S2, S3], S4)] {
        let mut solo = Setup::of(joint(&[1, 4, 5], &[1, 2, 3], &[])).start();
        let round = solo.time_out().pre_vote_round().expect("it asks");
        for id in half {
            let _ = solo.hears(id, 0, says::pre_vote_answer(round, Verdict::Granted));
        }
        assert_eq!(solo.role(), RoleKind::PreCandidate, "one half is not enough");
        let _ = solo.hears(other, 0, says::pre_vote_answer(round, Verdict::Granted));
        assert_eq!(solo.role(), RoleKind::Candidate);
        for id in half {
            let _ = solo.hears(id, 1, says::vote(Verdict::Granted));
        }
        assert_eq!(solo.role(), RoleKind::Candidate, "one half is not enough");
        let _ = solo.hears(other, 1, says::vote(Verdict::Granted));
        assert_eq!(solo.role(), RoleKind::Leader);
    }
}

#[test]
fn a_leader_that_hears_one_half_only_steps_down() {
    let mut solo = leader_with_learners();
    let _ = change(&mut solo, voters(&[1, 4, 5]));
    for _ in 0..30 {
        if solo.role() != RoleKind::Leader {
            return;
        }
        for envelope in solo.time_out().sent() {
            if let Message::AppendEntries(m) = &envelope.message
                && [S4, S5].contains(&envelope.to)
                && solo.role() == RoleKind::Leader
            {
                let (all, echo) = (last(&solo), says::echo(m));
                let _ = solo.hears(envelope.to, 1, says::matched(all, echo));
            }
        }
    }
    panic!("it leads although it does not hear the old half");
}

#[test]
fn a_membership_is_in_force_when_it_is_appended_and_undone_when_it_is_truncated() {
    let mut solo = Setup::of(voters(&[1, 2, 3])).start();
    let joins = joint(&[1, 2, 3], &[1, 2, 3], &[4]);
    let _ = solo.hears(S2, 1, append(says::START, entry(1, joins.clone()), 0));
    assert_eq!(*solo.node.membership(), joins, "not committed, but in force");
    assert!(solo.status().membership_changes);
    let _ = solo.hears(S3, 2, append(says::START, entry(2, voters(&[1, 2, 3])), 0));
    assert_eq!(*solo.node.membership(), voters(&[1, 2, 3]), "as if it had never been");
}

#[test]
fn a_node_waits_for_an_election_only_while_it_has_a_vote() {
    let mut solo = Setup::of(Membership::empty()).id(S4).start();
    assert_eq!(solo.node.deadline(), None, "who belongs to nothing waits for nothing");
    let _ = solo.hears(S1, 1, append(says::START, entry(1, voters(&[1, 4])), 0));
    assert!(solo.node.deadline().is_some(), "it is a voter as soon as it is told");
    let _ = solo.hears(S2, 2, append(says::START, entry(2, voters(&[1, 2])), 0));
    if solo.node.deadline().is_some() {
        assert!(solo.time_out().sent().is_empty(), "it has no vote any more");
    }
    assert_eq!((solo.role(), solo.node.deadline()), (RoleKind::Follower, None));
}

#[test]
fn a_node_that_joins_later_is_passive_until_it_is_told() {
    let mut world = World::new(1, 4, &voters(&[1, 2, 3]));
    world.run(T * 10);
    assert_eq!(world.status(S4).term, Term(0));
    assert_eq!(world.role(S4), RoleKind::Follower);
}

#[test]
fn a_change_is_refused_before_an_entry_of_the_leaders_own_term_is_committed() {
    let mut solo = Solo::of(3);
    let _ = solo.elect();
    let refused = change(&mut solo, voters(&[1, 2])).rejected();
    assert_eq!(refused, [RejectReason::TermNotCommitted]);
    let _ = acknowledges(&mut solo, S2);
    assert!(change(&mut solo, voters(&[1, 2])).accepted().is_some());
}

#[test]
fn a_change_is_refused_while_another_is_open() {
    let mut solo = leader_with_learners();
    let _ = change(&mut solo, voters(&[1, 2]));
    let refused = |solo: &mut Solo| change(solo, voters(&[1, 2, 3])).rejected();
    assert_eq!(refused(&mut solo), [RejectReason::ChangeInProgress], "joint");
    all_acknowledge(&mut solo, &[S2, S3]);
    assert!(!solo.node.membership().is_joint(), "left, but that is not committed");
    assert_eq!(refused(&mut solo), [RejectReason::ChangeInProgress], "not committed");
    let _ = acknowledges(&mut solo, S2);
    assert!(change(&mut solo, joint(&[1, 2], &[], &[4])).accepted().is_some());
}

#[test]
fn absurd_targets_are_refused() {
    let mut solo = Solo::leader_of(3);
    let mut refused = |target| change(&mut solo, target).rejected();
    assert_eq!(refused(Membership::empty()), [RejectReason::BadMembership]);
    assert_eq!(refused(joint(&[1], &[1, 2, 3], &[])), [RejectReason::BadMembership]);
    assert_eq!(refused(voters(&[1, 2, 3])), [RejectReason::AlreadyInForce]);
    let mut follower = Solo::of(3);
    let _ = follower.hears(S2, 1, says::hello(1));
    let refused = change(&mut follower, voters(&[1])).rejected();
    assert_eq!(refused, [RejectReason::NotLeader { leader: Some(S2) }]);
}

#[test]
fn any_set_of_voters_is_reached_at_once_and_the_joint_membership_is_left_by_itself() {
    let mut world = world_with_learners(2);
    let actions = world.change(S1, voters(&[3, 4, 5]));
    assert!(actions.iter().any(|a| matches!(a, Action::Accepted { count: 1, .. })));
    assert!(world.node(S1).membership().is_joint());
    world.run(T);
    for id in [S3, S4, S5] {
        assert_eq!(*world.node(id).membership(), voters(&[3, 4, 5]));
        assert!(!world.status(id).membership_changes);
    }
}

#[test]
fn a_change_is_finished_by_the_next_leader() {
    let mut world = world_with_learners(3);
    let _ = world.change(S1, voters(&[3, 4, 5]));
    world.run(core::time::Duration::from_micros(1500));
    assert!(world.node(S3).membership().is_joint(), "they have the joint entry");
    world.crash(S1);
    world.run(T * 5);
    let leader = world.leader().expect("the others elect one");
    assert_ne!(leader, S1);
    for id in [S3, S4, S5] {
        assert_eq!(*world.node(id).membership(), voters(&[3, 4, 5]));
    }
}

#[test]
fn only_a_learner_that_has_caught_up_becomes_a_voter() {
    let mut solo = Solo::leader_of(3);
    let not_yet = |node| vec![RejectReason::NotCaughtUp { node }];
    assert_eq!(change(&mut solo, voters(&[1, 2, 3, 4])).rejected(), not_yet(S4), "a stranger");
    let _ = change(&mut solo, joint(&[1, 2, 3], &[], &[4]));
    for _ in 0..2 {
        all_acknowledge(&mut solo, &[S2, S3]);
    }
    assert_eq!(change(&mut solo, voters(&[1, 2, 3, 4])).rejected(), not_yet(S4), "it lacks all");
    let _ = acknowledges(&mut solo, S4);
    let mut late = solo.clone();
    assert!(change(&mut solo, voters(&[1, 2, 3, 4])).accepted().is_some());
    // It held everything once, and has been silent since.
    let _ = late.pass(T / 2);
    let _ = late.step_all([]);
    for _ in 0..8 {
        for envelope in late.time_out_heartbeat().sent() {
            if let Message::AppendEntries(m) = &envelope.message
                && envelope.to != S4
            {
                let answer = says::matched(last(&late), says::echo(m));
                let _ = late.hears(envelope.to, 1, answer);
            }
        }
    }
    assert_eq!(change(&mut late, voters(&[1, 2, 3, 4])).rejected(), not_yet(S4), "silent");
}

#[test]
fn a_learner_counts_as_caught_up_under_load_when_its_last_round_was_short() {
    let mut solo = leader_with_learners();
    let _ = solo.propose(10);
    let _ = acknowledges(&mut solo, S4);
    let _ = solo.propose(10);
    assert!(change(&mut solo.clone(), joint(&[1, 2, 3, 4], &[], &[5])).accepted().is_some());
    // A round that takes longer than T is not short.
    let _ = solo.pass(T / 2);
    let _ = solo.propose(1);
    for _ in 0..20 {
        for envelope in solo.time_out_heartbeat().sent() {
            if let Message::AppendEntries(m) = &envelope.message {
                let match_index = if envelope.to == S4 { 5 } else { last(&solo) };
                let answer = says::matched(match_index, says::echo(m));
                let _ = solo.hears(envelope.to, 1, answer);
            }
        }
    }
    let refused = change(&mut solo, joint(&[1, 2, 3, 4], &[], &[5])).rejected();
    assert_eq!(refused, [RejectReason::NotCaughtUp { node: S4 }]);
}

#[test]
fn a_voter_that_becomes_a_learner_follows_on_and_has_no_vote() {
    let mut world = World::new(4, 3, &voters(&[1, 2, 3]));
    world.elect(S1);
    let _ = world.change(S1, joint(&[1, 2], &[], &[3]));
    world.run(T / 2);
    let term = world.status(S1).term;
    let _ = world.propose(S1, 2);
    world.run(ms(20));
    assert_eq!(world.state_of(S3), world.state_of(S1), "it receives the log");
    world.isolate(S1);
    world.isolate(S2);
    world.run(T * 5);
    assert_eq!((world.role(S3), world.status(S3).term), (RoleKind::Follower, term));
}

#[test]
fn a_leader_that_is_removed_commits_that_and_hands_over_and_steps_down() {
    let mut world = World::new(5, 3, &voters(&[1, 2, 3]));
    world.elect(S1);
    world.run(T);
    let _ = world.change(S1, voters(&[2, 3]));
    world.run(T / 4);
    let leader = world.leader().expect("nobody had to wait for a timeout");
    assert!([S2, S3].contains(&leader));
    assert_eq!((world.role(S1), world.node(S1).deadline()), (RoleKind::Follower, None));
    assert!(!world.node(S1).membership().contains(S1), "it knows");
    let _ = world.propose(leader, 1);
    world.run(T * 5);
    assert_eq!(world.leader(), Some(leader), "and all is quiet");
    assert_eq!(world.state_of(S2), world.state_of(S3));
}

#[test]
fn a_leader_that_is_removed_hands_over_to_the_most_up_to_date_voter() {
    let mut solo = Solo::leader_of(3);
    let _ = change(&mut solo, voters(&[2, 3]));
    let joint_at = last(&solo);
    let _ = solo.hears(S2, 1, says::matched(joint_at, None));
    let _ = solo.hears(S3, 1, says::matched(joint_at, None));
    let all = last(&solo);
    let _ = solo.hears(S2, 1, says::matched(all, None));
    let actions = solo.hears(S3, 1, says::matched(all, None));
    assert_eq!(solo.status().commit_index.get(), all);
    let asked: Vec<_> =
        actions.sent().into_iter().filter(|e| e.message == Message::TimeoutNow).collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(solo.propose(1).rejected(), [RejectReason::TransferInProgress]);
    // Whoever was asked does not take over: it goes all the same.
    let _ = solo.pass(T).step(Input::Wake);
    assert_eq!(solo.role(), RoleKind::Follower);
}

#[test]
fn a_leader_that_has_no_vote_does_not_count_itself() {
    let mut solo = Solo::leader_of(3);
    let _ = change(&mut solo, voters(&[2, 3]));
    all_acknowledge(&mut solo, &[S2, S3]);
    let before = solo.status().commit_index;
    assert_eq!(*solo.node.membership(), voters(&[2, 3]));
    let _ = acknowledges(&mut solo, S2);
    assert_eq!(solo.status().commit_index, before, "S1 and S2 are no quorum of S2 and S3");
    let _ = acknowledges(&mut solo, S3);
    assert!(solo.status().commit_index > before);
}

#[test]
fn a_node_that_is_removed_learns_it_and_disturbs_nobody() {
    let mut world = World::new(6, 4, &voters(&[1, 2, 3, 4]));
    world.elect(S1);
    let term = world.status(S1).term;
    // S3 can be reached, S4 cannot.
    world.isolate(S4);
    let _ = world.change(S1, voters(&[1, 2]));
    world.run(T / 2);
    assert!(!world.node(S3).membership().contains(S3), "it was told");
    world.run(T * 3);
    assert_eq!(world.node(S3).deadline(), None);
    world.heal();
    world.run(T * 10);
    assert_eq!((world.leader(), world.status(S1).term), (Some(S1), term));
}

#[test]
fn a_node_that_is_removed_learns_it_even_if_the_news_is_lost() {
    let mut world = World::new(7, 3, &voters(&[1, 2, 3]));
    world.elect(S1);
    let _ = world.change(S1, voters(&[1, 2]));
    for _ in 0..40 {
        world.run(core::time::Duration::from_micros(500));
        if !world.node(S1).membership().is_joint() && world.status(S1).commit_index.get() >= 3 {
            break;
        }
    }
    // What was sent at the moment of the commit is lost.
    world.cut(S1, S3);
    world.run(ms(5));
    world.heal();
    world.run(T * 4);
    assert!(!world.node(S3).membership().contains(S3));
    assert_eq!(world.node(S3).deadline(), None, "it has no vote, and knows it");
}

#[test]
fn a_node_that_was_removed_may_be_added_again_in_the_same_term() {
    let mut world = World::new(8, 3, &voters(&[1, 2, 3]));
    world.elect(S1);
    let term = world.status(S1).term;
    for target in [voters(&[1, 2]), joint(&[1, 2], &[], &[3]), voters(&[1, 2, 3])] {
        let _ = world.propose(S1, 3);
        let _ = world.change(S1, target.clone());
        world.run(T / 2);
        assert_eq!(*world.node(S1).membership(), target);
    }
    assert_eq!(world.status(S1).term, term);
    assert_eq!(world.state_of(S3), world.state_of(S1));
}

#[test]
fn answers_to_probes_older_than_a_peers_addition_count_for_nothing() {
    let mut solo = Solo::leader_of(3);
    let old = solo.time_out_heartbeat().appends_to(S3).remove(0);
    let _ = change(&mut solo, voters(&[1, 2]));
    for _ in 0..3 {
        all_acknowledge(&mut solo, &[S2, S3]);
    }
    // It knows that it is removed, and so it is forgotten.
    let told = solo.time_out_heartbeat();
    for id in [S2, S3] {
        let (all, echo) = (last(&solo), says::echo(&told.appends_to(id)[0]));
        let _ = solo.hears(id, 1, says::matched(all, echo));
    }
    assert_eq!(solo.node.peers().count(), 1);
    // It is added again, and becomes a voter beside S1: without it there is no lease.
    for target in [joint(&[1, 2], &[], &[3]), voters(&[1, 3])] {
        let accepted = change(&mut solo, target).accepted();
        assert!(accepted.is_some());
        for _ in 0..2 {
            all_acknowledge(&mut solo, &[S2, S3]);
        }
    }
    let none = solo.status().lease_until;
    assert!(none <= Some(solo.now), "it has promised nothing");
    let all = last(&solo);
    let _ = solo.hears(S3, 1, says::matched(all, says::echo(&old)));
    assert_eq!(solo.status().lease_until, none, "that was before");
}

#[test]
fn a_candidate_may_be_unknown_to_the_voter() {
    let mut solo = Solo::of(3);
    let asked = solo.hears(NodeId(9), 1, says::request_vote(at(0, 0)));
    assert_eq!(asked.verdict(), Some(Verdict::Granted));
    let mut learner = Setup::of(joint(&[1, 2], &[], &[4])).id(S4).start();
    let asked = learner.hears(S1, 1, says::request_vote(at(0, 0)));
    assert_eq!(asked.verdict(), Some(Verdict::Granted), "it may have been promoted meanwhile");
}

#[test]
fn a_learner_that_has_lost_its_log_has_not_caught_up() {
    let mut solo = Solo::leader_of(3);
    let _ = change(&mut solo, joint(&[1, 2, 3], &[], &[4]));
    for _ in 0..2 {
        all_acknowledge(&mut solo, &[S2, S3]);
    }
    let _ = acknowledges(&mut solo, S4);
    let m = solo.time_out_heartbeat().appends_to(S4).remove(0);
    let lost = solo.hears(S4, 1, says::mismatched(m.prev, &[], says::echo(&m)));
    assert!(lost.0.iter().any(|a| matches!(a, Action::PeerRegressed { .. })), "{lost:?}");
    let refused = change(&mut solo, voters(&[1, 2, 3, 4])).rejected();
    assert_eq!(refused, [RejectReason::NotCaughtUp { node: S4 }]);
}

#[test]
fn who_leaves_is_told_until_it_holds_the_entry_itself() {
    let mut solo = Solo::leader_of(3);
    all_acknowledge(&mut solo, &[S2, S3]);
    assert!(change(&mut solo, voters(&[1, 2])).accepted().is_some());
    let joint_at = last(&solo);
    for peer in [S2, S3] {
        let _ = solo.hears(peer, 1, says::matched(joint_at, None));
    }
    let _ = solo.hears(S2, 1, says::matched(joint_at + 1, None));
    assert_eq!(solo.status().commit_index, LogIndex(joint_at + 1));
    for _ in 0..3 {
        let told = solo.time_out_heartbeat().appends_to(S3);
        assert!(!told.is_empty(), "it is told still");
        for m in told {
            let _ = solo.hears(S3, 1, says::matched(joint_at, says::echo(&m)));
        }
    }
}
