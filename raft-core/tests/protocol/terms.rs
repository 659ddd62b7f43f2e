//! Terms, and who follows whom (Raft paper, 5.1 and 5.2).

use crate::common::cluster::Cluster;
use crate::common::{S1, S2, S3, Setup, Solo, T, at, says, voters};
use raft_core::{AppendOutcome, IgnoreReason, Input, Message, Protection, RoleKind, Term, Verdict};

#[test]
fn n03_everybody_follows_a_leader_of_a_higher_term() {
    for mut node in in_every_role() {
        let term = node.term();
        let _ = node.hears(S2, term + 1, says::hello(1));
        assert_eq!((node.role(), node.term()), (RoleKind::Follower, term + 1));
        assert_eq!(node.status().leader, Some(S2));
    }
}

#[test]
fn n03_a_node_that_knows_no_leader_follows_the_one_of_its_own_term() {
    let mut node = Setup::of(voters(&[1, 2, 3])).term(4).start();
    let _ = node.hears(S2, 4, says::hello(1));
    assert_eq!((node.role(), node.status().leader), (RoleKind::Follower, Some(S2)));
}

#[test]
fn n03_a_new_leader_sends_at_once() {
    let mut node = Solo::of(3);
    let first_words = node.elect();
    assert_eq!(first_words.receivers(), [S2, S3]);
    assert!(first_words.sent().iter().all(|e| e.term == Term(1) && says::is_question(&e.message)));
}

#[test]
fn n07_the_term_of_a_new_leader_is_above_that_of_every_earlier_one() {
    for protection in [Protection::Plain, Protection::PreVote, Protection::Full] {
        let mut all = Cluster::of(5, protection);
        for _ in 0..6 {
            all.run(4 * T);
            let leader = all.leader().expect("there is a leader");
            all.isolate(leader);
            all.run(4 * T);
            all.heal();
        }
        all.run(4 * T);
        let terms: Vec<_> = all.leaders.iter().map(|(term, _)| *term).collect();
        assert!(terms.len() >= 7, "{terms:?}");
        assert!(terms.windows(2).all(|pair| pair[0] < pair[1]), "one leader a term: {terms:?}");
    }
}

#[test]
fn n07_a_candidate_that_is_cut_off_may_be_in_a_higher_term() {
    let mut all = Cluster::of(3, Protection::Plain);
    all.elect(S1);
    all.isolate(S3);
    all.run(20 * T);
    assert_eq!((all.role(S1), all.term(S1)), (RoleKind::Leader, 1));
    assert!(all.term(S3) > 5, "the number of the leader is not the greatest anywhere");
}

#[test]
fn n15_a_candidate_follows_a_leader_of_its_own_or_a_higher_term() {
    for node in [pre_candidate(), candidate()] {
        let term = node.term();
        for leaders_term in [term, term + 3] {
            let mut node = node.clone();
            let _ = node.hears(S2, leaders_term, says::hello(1));
            assert_eq!((node.role(), node.term()), (RoleKind::Follower, leaders_term));
            assert_eq!(node.status().leader, Some(S2));
        }
    }
}

#[test]
fn n15_a_candidate_refuses_a_leader_of_a_lower_term_and_stays() {
    for mut node in [pre_candidate(), candidate()] {
        let (role, deadline) = (node.role(), node.deadline());
        let term = node.term();
        let answer = node.hears(S2, term - 1, says::hello(1));
        assert_eq!((node.role(), node.term(), node.deadline()), (role, term, deadline));
        assert_eq!(answer.answer().map(|m| m.outcome), Some(AppendOutcome::StaleTerm));
    }
}

#[test]
fn a_node_of_a_later_term_answers_an_older_leader_so_that_it_steps_down() {
    let mut node = Setup::of(voters(&[1, 2, 3])).term(9).start();
    let nudge = node.hears(S2, 4, says::appends(1, says::START, &[4]));
    assert_eq!(nudge.answer().map(|m| m.outcome), Some(AppendOutcome::StaleTerm));
    assert_eq!(nudge.sent()[0].term, Term(9));
    assert_eq!(node.status().last, says::START, "and takes nothing of it");

    let mut leader = Solo::leader_of(3);
    let _ = leader.hears(S3, 9, says::stale_term());
    assert_eq!((leader.role(), leader.term()), (RoleKind::Follower, 9));
}

#[test]
fn any_answer_of_a_later_term_makes_a_leader_or_candidate_follow() {
    let answers = [says::vote(Verdict::StaleTerm), says::matched(0, None), says::stale_term()];
    for answer in answers {
        for mut node in [Solo::leader_of(3), candidate(), Solo::of(3)] {
            let term = node.term();
            let _ = node.hears(S2, term + 4, answer.clone());
            assert_eq!((node.role(), node.term()), (RoleKind::Follower, term + 4));
            assert_eq!(node.status().leader, None);
            assert_eq!(node.status().voted_for, None, "a new term, a free vote");
        }
    }
}

#[test]
fn an_answer_of_an_earlier_term_counts_for_nothing() {
    let mut node = candidate();
    let old = node.hears(S2, 1, says::vote(Verdict::Granted));
    assert_eq!(old.ignored(), [IgnoreReason::Stale]);
    assert_eq!(node.role(), RoleKind::Candidate);
    let mut leader = Setup::of(voters(&[1, 2, 3])).term(7).start();
    let _ = leader.elect();
    let old = leader.hears(S2, 7, says::matched(1, None));
    assert_eq!((old.ignored(), leader.status().commit_index.get()), (vec![IgnoreReason::Stale], 0));
}

#[test]
fn a_vote_counts_in_its_own_term_only() {
    let mut node = candidate();
    assert_eq!(node.term(), 2);
    let later = node.hears(S2, 3, says::vote(Verdict::Granted));
    assert_eq!((node.role(), node.term()), (RoleKind::Follower, 3));
    assert_eq!(later.ignored(), []);
}

#[test]
fn a_second_leader_in_one_term_is_refused_loudly_and_nobody_new_is_followed() {
    let mut follower = Solo::of(3);
    let _ = follower.hears(S2, 1, says::hello(1));
    let mut leader = Solo::leader_of(3);
    for (node, first) in [(&mut follower, S2), (&mut leader, S1)] {
        let before = node.status();
        let second = node.hears(S3, 1, says::hello(1));
        assert_eq!(second.ignored(), [IgnoreReason::SecondLeader { first }]);
        assert_eq!((node.status(), second.0.len()), (before, 1));
    }
    // A leader that has stepped down remembers that it was the one.
    while leader.role() == RoleKind::Leader {
        let _ = leader.time_out();
    }
    let second = leader.hears(S3, 1, says::hello(1));
    assert_eq!(second.ignored(), [IgnoreReason::SecondLeader { first: S1 }]);
}

#[test]
fn role_term_and_leader_are_reported_when_they_change() {
    let mut node = Solo::of(3);
    let changes = |actions: &crate::common::Actions| {
        actions.0.iter().filter(|a| matches!(a, raft_core::Action::RoleChanged { .. })).count()
    };
    let follows = node.hears(S2, 1, says::hello(1));
    assert_eq!(changes(&follows), 1);
    assert_eq!(changes(&node.hears(S2, 1, says::hello(2))), 0);
    assert_eq!(changes(&node.time_out()), 1, "it asks, and follows nobody");
    assert_eq!(changes(&node.time_out()), 0, "the next round is the same role in the same term");
}

/// S1 in term 2 as a pre-candidate.
fn pre_candidate() -> Solo {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1]).term(2).start();
    let _ = node.step(Input::Campaign);
    assert_eq!((node.role(), node.term()), (RoleKind::PreCandidate, 2));
    node
}

/// S1 in term 2 as a candidate.
fn candidate() -> Solo {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1]).protection(Protection::Plain).start();
    let run = node.time_out();
    assert!(matches!(&run.sent()[0].message, Message::RequestVote(m) if m.last == at(1, 1)));
    assert_eq!((node.role(), node.term()), (RoleKind::Candidate, 2));
    node
}

fn in_every_role() -> [Solo; 4] {
    [Solo::of(3), pre_candidate(), candidate(), Solo::leader_of(3)]
}
