//! How a leader is found: timeouts, pre-votes, votes (Raft paper, 5.2 and 5.4.1; thesis, 9.6).

use crate::common::cluster::Cluster;
use crate::common::{NS, S1, S2, S3, S4, Setup, Solo, T, at, joint, just_under, ms, says, voters};
use proptest::prelude::*;
use raft_core::{
    IgnoreReason, Input, LogPosition, Membership, Message, NodeId, Protection, RoleKind, Term,
    Verdict,
};
use std::collections::BTreeSet;

#[test]
fn n01_everybody_starts_as_a_follower_and_silence_for_a_timeout_makes_a_candidate() {
    let mut node = Solo::of(3);
    assert_eq!((node.role(), node.status().leader), (RoleKind::Follower, None));
    assert!((T..2 * T).contains(&node.patience()), "T and a random time below T");

    let too_early = just_under(node.patience());
    assert!(node.pass(too_early).wake().is_empty(), "not before the deadline");
    let asked = node.time_out();
    assert_eq!((node.role(), node.term()), (RoleKind::PreCandidate, 0), "it asks before it runs");

    let round = asked.pre_vote_round().expect("the question has left");
    let run = node.hears(S2, 0, says::pre_vote_answer(round, Verdict::Granted));
    assert_eq!((node.role(), node.term()), (RoleKind::Candidate, 1));
    assert_eq!(run.receivers(), [S2, S3]);
    assert!(run.sent().iter().all(|e| matches!(e.message, Message::RequestVote(_))));
}

#[test]
fn n01_without_pre_vote_silence_makes_a_candidate_at_once() {
    let mut node = Setup::of(voters(&[1, 2, 3])).protection(Protection::Plain).start();
    let run = node.time_out();
    assert_eq!((node.role(), node.term()), (RoleKind::Candidate, 1));
    assert_eq!(run.receivers(), [S2, S3]);
}

/// What resets the election timer, and what does not: the new deadline is drawn from the moment of
/// the message, so it differs from the one before.
fn resets_the_election_timer(node: &mut Solo, from: NodeId, term: u64, message: Message) -> bool {
    let before = node.pass(ms(10)).deadline();
    let _ = node.hears(from, term, message);
    let after = node.deadline();
    assert!(after == before || (T..2 * T).contains(&node.patience()), "drawn from now on");
    after != before
}

#[test]
fn n02_every_message_of_the_leader_resets_the_election_timer() {
    let mut node = Solo::of(3);
    assert!(resets_the_election_timer(&mut node, S2, 1, says::hello(1)), "a heartbeat");
    let entries = says::appends(2, says::START, &[1]);
    assert!(resets_the_election_timer(&mut node, S2, 1, entries), "entries");
    let announcement = says::announcement(at(1, 1), 1);
    assert!(resets_the_election_timer(&mut node, S2, 1, announcement), "news of a commit");
    let too_far = says::appends(3, at(1, 9), &[1]);
    assert!(resets_the_election_timer(&mut node, S2, 1, too_far), "entries that do not match");
}

#[test]
fn n02_stepping_down_to_a_higher_term_resets_the_election_timer() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).start();
    let older_log = says::request_vote(at(1, 1));
    assert!(resets_the_election_timer(&mut node, S2, 5, older_log));
    assert_eq!((node.term(), node.status().voted_for), (5, None), "no vote, but the term");
}

#[test]
fn n02_granting_a_vote_resets_the_election_timer() {
    let mut node = Setup::of(voters(&[1, 2, 3])).term(5).start();
    assert!(resets_the_election_timer(&mut node, S2, 5, says::request_vote(says::START)));
    assert_eq!((node.term(), node.status().voted_for), (5, Some(S2)));
}

#[test]
fn n02_a_refused_vote_request_does_not_reset_the_election_timer() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).term(5).start();
    let cases = [
        ("an older term", S2, 4, at(1, 2)),
        ("an older log", S2, 5, at(1, 1)),
        ("its own vote, for the first time", S2, 5, at(1, 2)),
        ("another has the vote", S3, 5, at(1, 9)),
        ("the same vote once more", S2, 5, at(1, 2)),
    ];
    for (what, from, term, last) in cases {
        let moved = resets_the_election_timer(&mut node, from, term, says::request_vote(last));
        assert_eq!(moved, what.contains("first time"), "{what}");
    }
}

#[test]
fn n02_a_pre_vote_resets_no_timer_granted_or_refused() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).start();
    assert!(!resets_the_election_timer(&mut node, S2, 9, says::pre_vote(at(1, 2))), "granted");
    assert!(!resets_the_election_timer(&mut node, S2, 9, says::pre_vote(at(1, 1))), "refused");
    assert_eq!((node.term(), node.status().voted_for), (1, None));
}

#[test]
fn n02_the_answer_to_a_pre_vote_may_reset_the_election_timer() {
    let mut node = Solo::of(3);
    let round = node.time_out().pre_vote_round().expect("asked");
    let refusal = says::pre_vote_answer(round, Verdict::StaleTerm);
    assert!(resets_the_election_timer(&mut node, S2, 4, refusal));
    assert_eq!((node.role(), node.term()), (RoleKind::Follower, 4));
}

#[test]
fn n02_only_the_leaders_own_messages_are_contact_for_the_lease() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).start();
    let free = |node: &mut Solo| {
        node.clone().hears(S3, 1, says::pre_vote(at(1, 2))).pre_verdict()
            != Some(Verdict::LeaderAlive)
    };
    let _ = node.hears(S2, 5, says::request_vote(at(1, 1)));
    assert!(free(&mut node), "a higher term is no leader");
    let _ = node.hears(S2, 6, says::request_vote(at(1, 2)));
    assert_eq!(node.status().voted_for, Some(S2));
    assert!(free(&mut node), "a granted vote is no leader");
    let _ = node.hears(S2, 5, says::hello(1));
    assert!(free(&mut node), "the leader of an older term is no leader");
    let _ = node.hears(S2, 6, says::hello(1));
    assert!(!free(&mut node));
}

#[test]
fn n04_every_round_draws_its_timeout_anew() {
    let mut node = Solo::of(3);
    let mut waits = vec![node.patience()];
    let _ = node.time_out();
    for _ in 0..200 {
        let since = node.now;
        let _ = node.time_out();
        waits.push(node.now.saturating_since(since));
    }
    let mut node = Setup::of(voters(&[1, 2, 3])).config(|c| c.seed = 8).start();
    for round in 0..200 {
        let _ = node.pass(ms(1)).hears(S2, 1, says::hello(round));
        waits.push(node.patience());
    }
    assert!(waits.iter().all(|wait| (T..2 * T).contains(wait)));
    let different: BTreeSet<_> = waits.iter().collect();
    assert!(different.len() > 390, "{} of 401 are different", different.len());
    for quarter in 0..4 {
        let from = T + quarter * T / 4;
        let here = waits.iter().filter(|wait| (from..from + T / 4).contains(wait)).count();
        assert!((60..140).contains(&here), "{here} of 401 in quarter {quarter}");
    }
}

#[test]
fn n04_nodes_that_share_a_seed_still_wait_for_different_times() {
    let of = |id| Setup::of(voters(&[1, 2, 3])).id(NodeId(id)).start().patience();
    let waits: BTreeSet<_> = [of(1), of(2), of(3)].into();
    assert_eq!(waits.len(), 3);
}

#[test]
fn n05_the_membership_that_is_given_at_the_start_is_asked() {
    let mut node = Setup::of(joint(&[1, 2, 3], &[3, 4], &[9])).start();
    assert_eq!(node.time_out().receivers(), [S2, S3, NodeId(4)], "voters of both halves, once");
}

#[test]
fn n05_who_is_no_voter_waits_for_ever() {
    for membership in [Membership::empty(), voters(&[2, 3]), joint(&[2, 3], &[], &[1])] {
        let mut node = Setup::of(membership).start();
        assert_eq!(node.node.deadline(), None);
        assert!(node.pass(100 * T).wake().is_empty());
        assert_eq!(node.step(Input::Campaign).ignored(), [IgnoreReason::NotAVoter]);
        let _ = node.hears(S2, 3, says::hello(1));
        assert_eq!(
            (node.status().leader, node.node.deadline()),
            (Some(S2), None),
            "but it follows"
        );
    }
}

#[test]
fn n06_the_first_term_is_0() {
    let mut node = Solo::of(3);
    assert_eq!((node.status().term, node.status().last), (Term(0), LogPosition::ZERO));
    let _ = node.elect();
    assert_eq!(node.term(), 1, "and the first leader has term 1");
}

#[test]
fn n10_a_candidate_runs_until_it_wins() {
    let mut node = candidate();
    let _ = node.hears(S2, 1, says::vote(Verdict::StaleLog));
    assert_eq!(node.role(), RoleKind::Candidate, "one against: one more may come");
    let _ = node.hears(S3, 1, says::vote(Verdict::Granted));
    assert_eq!((node.role(), node.status().leader), (RoleKind::Leader, Some(S1)));
}

#[test]
fn n10_a_candidate_runs_until_another_wins() {
    let mut node = candidate();
    let _ = node.hears(S2, 1, says::hello(1));
    assert_eq!((node.role(), node.status().leader), (RoleKind::Follower, Some(S2)));
    let late = node.hears(S3, 1, says::vote(Verdict::Granted));
    assert_eq!(late.ignored(), [IgnoreReason::Stale], "a vote that comes too late");
}

#[test]
fn n10_a_candidate_runs_until_time_runs_out_and_then_asks_again() {
    let mut node = candidate();
    let again = node.time_out();
    assert_eq!((node.role(), node.term()), (RoleKind::PreCandidate, 1), "a new round comes first");
    let round = again.pre_vote_round().expect("asked");
    let run = node.hears(S2, 1, says::pre_vote_answer(round, Verdict::Granted));
    assert_eq!((node.role(), node.term()), (RoleKind::Candidate, 2), "the next term");
    assert!(run.sent().iter().all(|e| e.term == Term(2)));
}

#[test]
fn n11_one_vote_in_a_term_first_come_first_served() {
    let mut node = Solo::of(3);
    let vote = |node: &mut Solo, from, term| {
        node.hears(from, term, says::request_vote(says::START)).verdict()
    };
    assert_eq!(vote(&mut node, S2, 4), Some(Verdict::Granted));
    assert_eq!(vote(&mut node, S3, 4), Some(Verdict::AlreadyVoted));
    assert_eq!(vote(&mut node, S2, 4), Some(Verdict::Granted), "the same one may ask twice");
    assert_eq!(vote(&mut node, S3, 5), Some(Verdict::Granted), "a new term, a new vote");
}

#[test]
fn n11_the_vote_of_a_term_survives_a_crash() {
    let mut node = Solo::of(3);
    let _ = node.hears(S2, 4, says::request_vote(says::START));
    node.crash_and_restart();
    let second = node.hears(S3, 4, says::request_vote(says::START));
    assert_eq!(second.verdict(), Some(Verdict::AlreadyVoted));
}

#[test]
fn n11_a_candidate_has_given_its_vote_to_itself() {
    let mut node = candidate();
    let other = node.hears(S2, 1, says::request_vote(says::START));
    assert_eq!(other.verdict(), Some(Verdict::AlreadyVoted));
}

#[test]
fn n11_no_vote_in_a_term_that_has_a_leader() {
    let mut node = Setup::of(voters(&[1, 2, 3])).protection(Protection::PreVote).start();
    let _ = node.hears(S2, 4, says::hello(1));
    let late = node.hears(S3, 4, says::request_vote(says::START));
    assert_eq!(late.verdict(), Some(Verdict::AlreadyVoted));
}

/// The paper's definition (5.4.1): last term first, then length.
fn is_older(asking: LogPosition, mine: LogPosition) -> bool {
    asking.term < mine.term || (asking.term == mine.term && asking.index < mine.index)
}

proptest! {
    #[test]
    fn n12_a_vote_is_refused_to_an_older_log(
        mine in prop::collection::vec(1_u64..4, 0..6),
        theirs in (1_u64..5, 1_u64..8),
    ) {
        let mut terms = mine;
        terms.sort_unstable();
        let mut node = Setup::of(voters(&[1, 2, 3])).log(&terms).term(5).start();
        let (mine, theirs) = (node.status().last, at(theirs.0, theirs.1));
        let expected = if is_older(theirs, mine) { Verdict::StaleLog } else { Verdict::Granted };
        let pre = node.hears(S2, 5, says::pre_vote(theirs));
        prop_assert_eq!(pre.pre_verdict(), Some(expected));
        let vote = node.hears(S2, 6, says::request_vote(theirs));
        prop_assert_eq!(vote.verdict(), Some(expected));
        prop_assert_eq!(vote.vote().map(|m| m.last), Some(mine), "a refusal says what is held");
    }
}

#[test]
fn n16_a_split_vote_elects_nobody_and_everybody_tries_again() {
    for protection in [Protection::Plain, Protection::Full] {
        let mut all = Cluster::of(4, protection);
        // S3 hears only S1, and S4 only S2: two votes each.
        all.cut(S1, S4);
        all.cut(S2, S3);
        for candidate in [S1, S2] {
            let _ = all.act(candidate, |node| node.step(Input::Campaign));
        }
        all.deliver();
        for candidate in [S1, S2] {
            assert_eq!((all.role(candidate), all.term(candidate)), (RoleKind::Candidate, 1));
        }
        assert_eq!(all.leader(), None);

        all.heal();
        all.run(6 * T);
        let leader = all.leader().expect("the next terms are decided by their random timeouts");
        assert!(all.term(leader) >= 2);
        assert!(all.leaders.iter().all(|(term, _)| *term > Term(1)), "nobody ever led term 1");
    }
}

#[test]
fn n16_with_two_candidates_of_one_term_nobody_wins_and_the_next_term_decides() {
    let mut node = Setup::of(voters(&[1, 2, 3, 4])).protection(Protection::Plain).start();
    let _ = node.time_out();
    let _ = node.hears(S3, 1, says::vote(Verdict::Granted));
    let _ = node.hears(NodeId(4), 1, says::vote(Verdict::AlreadyVoted));
    let _ = node.hears(S2, 1, says::request_vote(says::START));
    assert_eq!(node.role(), RoleKind::Candidate, "two of four are no majority");
    let since = node.now;
    let _ = node.time_out();
    let waited = node.now.saturating_since(since);
    assert!((T..2 * T).contains(&waited), "it waits for a time of its own");
    assert_eq!((node.role(), node.term()), (RoleKind::Candidate, 2));
}

#[test]
fn a_pre_vote_changes_nothing_on_either_side() {
    let mut asked = Setup::of(voters(&[1, 2, 3])).log(&[1]).start();
    let before = asked.clone();
    let answer = asked.hears(S2, 7, says::pre_vote(at(1, 1)));
    assert_eq!(answer.pre_verdict(), Some(Verdict::Granted));
    assert_eq!(answer.sent()[0].term, Term(1), "the envelope has the sender's own term");
    assert_eq!(asked.node, before.node);

    let mut asking = Setup::of(voters(&[1, 2, 3])).log(&[1]).start();
    let hard_state = asking.status().durable_hard_state;
    let question = asking.time_out();
    assert!(question.sent().iter().all(|e| e.term == Term(1)), "not a later one");
    assert_eq!(question.writes(), []);
    assert_eq!(asking.status().durable_hard_state, hard_state);
}

#[test]
fn a_pre_vote_from_a_lower_term_is_refused_and_answered_in_the_higher_one() {
    let mut node = Setup::of(voters(&[1, 2, 3])).term(5).start();
    let answer = node.hears(S2, 4, says::pre_vote(says::START));
    assert_eq!(answer.pre_verdict(), Some(Verdict::StaleTerm));
    assert_eq!(answer.sent()[0].term, Term(5));
}

#[test]
fn the_answer_to_an_earlier_round_of_pre_votes_never_counts() {
    let mut node = Solo::of(3);
    let first = node.time_out().pre_vote_round().expect("asked");
    let second = node.time_out().pre_vote_round().expect("asked again");
    assert!(first < second);
    let stale = node.hears(S2, 0, says::pre_vote_answer(first, Verdict::Granted));
    assert_eq!(stale.ignored(), [IgnoreReason::Stale]);
    let stale = node.hears(S2, 9, says::pre_vote_answer(first, Verdict::StaleTerm));
    assert_eq!(stale.ignored(), [IgnoreReason::Stale]);
    assert_eq!((node.role(), node.term()), (RoleKind::PreCandidate, 0));
}

#[test]
fn only_a_refusal_of_a_pre_vote_teaches_a_higher_term() {
    let mut node = Solo::of(5);
    let round = node.time_out().pre_vote_round().expect("asked");
    let _ = node.hears(S2, 9, says::pre_vote_answer(round, Verdict::Granted));
    assert_eq!(
        (node.role(), node.term()),
        (RoleKind::PreCandidate, 0),
        "a yes is counted, no more"
    );
    let _ = node.hears(S3, 9, says::pre_vote_answer(round, Verdict::StaleTerm));
    assert_eq!((node.role(), node.term()), (RoleKind::Follower, 9));
}

#[test]
fn a_pre_vote_of_a_voter_with_a_lower_term_counts() {
    let mut node = Setup::of(voters(&[1, 2, 3])).term(9).start();
    let round = node.time_out().pre_vote_round().expect("asked");
    let _ = node.hears(S2, 2, says::pre_vote_answer(round, Verdict::Granted));
    assert_eq!((node.role(), node.term()), (RoleKind::Candidate, 10));
}

#[test]
fn after_the_last_term_nobody_campaigns() {
    let mut node = Setup::of(voters(&[1, 2, 3])).term(u64::MAX - 1).start();
    assert_eq!(node.step(Input::Campaign).ignored(), [IgnoreReason::LastTerm]);
    assert!(node.time_out().sent().is_empty());
}

#[test]
fn one_voter_counts_once_and_strangers_and_learners_not_at_all() {
    let five = joint(&[1, 2, 3, 4, 5], &[], &[9]);
    let mut node = Setup::of(five).start();
    let round = node.time_out().pre_vote_round().expect("asked");
    let yes = || says::pre_vote_answer(round, Verdict::Granted);
    for _ in 0..3 {
        let _ = node.hears(S2, 0, yes());
    }
    for nobody in [NodeId(9), NodeId(77)] {
        assert_eq!(node.hears(nobody, 0, yes()).ignored(), [IgnoreReason::UnknownVoter]);
    }
    assert_eq!(node.role(), RoleKind::PreCandidate);
    let _ = node.hears(S3, 0, yes());
    assert_eq!(node.role(), RoleKind::Candidate);

    for _ in 0..3 {
        let _ = node.hears(S2, 1, says::vote(Verdict::Granted));
    }
    let stranger = node.hears(NodeId(77), 1, says::vote(Verdict::Granted));
    assert_eq!(stranger.ignored(), [IgnoreReason::UnknownVoter]);
    assert_eq!(node.role(), RoleKind::Candidate);
}

#[test]
fn an_election_needs_a_majority_of_both_halves() {
    let mut node =
        Setup::of(joint(&[1, 2, 3], &[1, 4, 5], &[])).protection(Protection::Plain).start();
    let _ = node.time_out();
    for id in [2, 3] {
        let _ = node.hears(NodeId(id), 1, says::vote(Verdict::Granted));
    }
    assert_eq!(node.role(), RoleKind::Candidate, "the new half alone");
    let _ = node.hears(NodeId(5), 1, says::vote(Verdict::Granted));
    assert_eq!(node.role(), RoleKind::Leader);
}

#[test]
fn a_lone_voter_elects_itself_at_once() {
    let mut node = Solo::of(1);
    assert_eq!(node.deadline(), node.now);
    let elected = node.wake();
    assert_eq!((node.role(), node.term()), (RoleKind::Leader, 1));
    assert_eq!(elected.applied(), [(1, at(1, 1))], "and commits by its own word");
    assert_eq!(elected.sent(), []);
}

#[test]
fn learners_and_strangers_vote_for_whoever_asks() {
    for membership in [Membership::empty(), joint(&[2, 3], &[], &[1])] {
        let mut node = Setup::of(membership).start();
        let vote = node.hears(NodeId(8), 4, says::request_vote(says::START));
        assert_eq!(vote.verdict(), Some(Verdict::Granted), "membership is the candidate's affair");
    }
}

#[test]
fn an_operator_may_start_an_election_but_not_against_a_leader() {
    let mut node = Solo::of(3);
    let _ = node.step(Input::Campaign);
    assert_eq!(node.role(), RoleKind::PreCandidate);
    assert_eq!(node.step(Input::Campaign).ignored(), [IgnoreReason::AlreadyCampaigning]);
    let _ = node.hears(S2, 1, says::hello(1));
    assert_eq!(node.step(Input::Campaign).ignored(), [IgnoreReason::LeaderAlive]);
    let _ = node.pass(just_under(T));
    assert_eq!(node.step(Input::Campaign).ignored(), [IgnoreReason::LeaderAlive]);
    let _ = node.pass(NS);
    assert_eq!(node.step(Input::Campaign).ignored(), []);
    let mut leader = Solo::leader_of(3);
    assert_eq!(leader.step(Input::Campaign).ignored(), [IgnoreReason::LeaderAlive]);
}

/// S1 of three, candidate in term 1.
fn candidate() -> Solo {
    let mut node = Solo::of(3);
    let round = node.time_out().pre_vote_round().expect("asked");
    let _ = node.hears(S2, 0, says::pre_vote_answer(round, Verdict::Granted));
    assert_eq!((node.role(), node.term()), (RoleKind::Candidate, 1));
    node
}

#[test]
fn a_vote_that_died_with_its_term_holds_up_no_election() {
    let mut node = Setup::of(voters(&[1, 2, 3])).slow_disk().start();
    let _ = node.hears(S2, 4, says::request_vote(says::START));
    let _ = node.hears(S3, 5, says::hello(1));
    let _ = node.persist();
    let _ = node.pass(3 * T).wake();
    assert_eq!(node.role(), RoleKind::PreCandidate);
}

#[test]
fn a_vote_that_died_with_its_term_resets_no_timer() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1]).slow_disk().start();
    let _ = node.hears(S2, 4, says::request_vote(at(1, 1)));
    let refused = node.hears(S3, 5, says::request_vote(says::START));
    assert_eq!(refused.sent(), [], "the new term waits for the disk");
    let deadline = node.deadline();
    assert_eq!(node.pass(ms(100)).persist().verdict(), Some(Verdict::StaleLog));
    assert_eq!((node.term(), node.deadline()), (5, deadline));
}

#[test]
fn a_candidate_that_hears_its_rival_before_its_own_vote_is_durable_may_ask_again_later() {
    let setup = Setup::of(voters(&[1, 2, 3])).protection(Protection::Plain);
    let mut node = setup.slow_disk().start();
    let _ = node.time_out();
    assert_eq!((node.role(), node.term()), (RoleKind::Candidate, 1));
    let _ = node.hears(S2, 1, says::hello(1));
    let _ = node.persist();
    let _ = node.pass(3 * T).wake();
    assert_eq!((node.role(), node.term()), (RoleKind::Candidate, 2));
}
