//! What protects a working leader: the lease of its voters, and the check of its quorum (thesis,
//! 4.2.3, 6.2 and 6.4.1).

use crate::common::{NS, S2, S3, Setup, Solo, T, at, joint, just_under, ms, says, voters};
use core::time::Duration;
use raft_core::{
    AppendEntries, IgnoreReason, Input, Message, NodeId, Probe, Protection, RoleKind, Round, Term,
    Verdict,
};

/// S1 of three, which has just heard S2, the leader of term 1.
fn follower() -> Solo {
    let mut node = Solo::of(3);
    let _ = node.hears(S2, 1, says::hello(1));
    node
}

#[test]
fn the_lease_is_a_fixed_t_since_the_last_contact() {
    for protection in [Protection::Full, Protection::PreVote, Protection::Plain] {
        let mut node = Setup::of(voters(&[1, 2, 3])).protection(protection).start();
        let _ = node.hears(S2, 1, says::hello(1));
        let _ = node.pass(just_under(T));
        let within = node.clone().hears(S3, 1, says::pre_vote(at(1, 1))).pre_verdict();
        let _ = node.pass(NS);
        let after = node.hears(S3, 1, says::pre_vote(at(1, 1))).pre_verdict();
        let leased = protection == Protection::Full;
        let expected = if leased { Verdict::LeaderAlive } else { Verdict::Granted };
        assert_eq!((within, after), (Some(expected), Some(Verdict::Granted)), "{protection:?}");
    }
}

#[test]
fn within_the_lease_votes_and_pre_votes_touch_neither_term_nor_vote_nor_timer() {
    let mut node = follower();
    let _ = node.pass(T / 2);
    let _ = node.wake();
    let before = node.clone();
    let pre = node.hears(S3, 7, says::pre_vote(at(6, 9)));
    assert_eq!(pre.pre_verdict(), Some(Verdict::LeaderAlive));
    let vote = node.hears(S3, 8, says::request_vote(at(6, 9)));
    assert_eq!(vote.verdict(), Some(Verdict::LeaderAlive));
    assert_eq!(vote.sent()[0].term, Term(1), "answered, in its own term");
    assert_eq!(node.node, before.node);
}

#[test]
fn after_the_lease_a_vote_is_given() {
    let mut node = follower();
    let vote = node.pass(T).hears(S3, 8, says::request_vote(at(6, 9)));
    assert_eq!((vote.verdict(), node.term()), (Some(Verdict::Granted), 8));
}

#[test]
fn every_message_of_the_leader_renews_the_lease() {
    let cases = [
        ("a heartbeat", says::hello(2)),
        ("entries", says::appends(2, says::START, &[1])),
        ("entries that do not match", says::appends(2, at(1, 9), &[1])),
        ("news of a commit", says::announcement(says::START, 0)),
    ];
    for (what, message) in cases {
        let mut node = follower();
        let _ = node.pass(just_under(T)).hears(S2, 1, message);
        let late = node.pass(just_under(T)).hears(S3, 1, says::pre_vote(at(1, 9)));
        assert_eq!(late.pre_verdict(), Some(Verdict::LeaderAlive), "{what}");
    }
}

#[test]
fn a_leader_that_wants_no_lease_gets_none() {
    let mut node = Solo::of(3);
    let _ = node.hears(S2, 1, ask(1, Duration::ZERO));
    let vote = node.hears(S3, 2, says::request_vote(at(1, 1)));
    assert_eq!(vote.verdict(), Some(Verdict::Granted), "it does not check its quorum either");
}

#[test]
fn the_leader_refuses_while_a_quorum_has_answered_within_t() {
    let mut leader = Solo::leader_of(3);
    let last = leader.status().last;
    let heard = says::echo(&leader.time_out_heartbeat().appends_to(S2)[0]);
    let _ = leader.pass(ms(30)).hears(S2, 1, says::matched(1, heard));
    let sent_at = heard.expect("a heartbeat asks").sent_at;

    leader.now = sent_at.saturating_add(just_under(T));
    let refused = leader.clone().hears(S3, 5, says::request_vote(last));
    assert_eq!(refused.verdict(), Some(Verdict::LeaderAlive), "S2 answered what was sent within T");
    leader.now = sent_at.saturating_add(T);
    let granted = leader.hears(S3, 5, says::request_vote(last));
    assert_eq!(granted.verdict(), Some(Verdict::Granted), "the send time counts, not the arrival");
    assert_eq!((leader.role(), leader.term()), (RoleKind::Follower, 5));
}

#[test]
fn a_leader_of_plain_raft_or_with_pre_vote_alone_is_deposed_by_any_candidate() {
    for protection in [Protection::Plain, Protection::PreVote] {
        let mut leader = Setup::of(voters(&[1, 2, 3])).protection(protection).start();
        let _ = leader.elect();
        leader.everyone_acknowledges();
        let _ = leader.hears(S3, 5, says::request_vote(at(1, 1)));
        assert_eq!((leader.role(), leader.term()), (RoleKind::Follower, 5));
    }
}

#[test]
fn the_lease_binds_the_node_itself_too() {
    // The leader's T is three times this node's own.
    let mut node = Solo::of(3);
    let _ = node.hears(S2, 1, ask(1, 3 * T));
    let start = node.now;
    while node.now < start.saturating_add(3 * T) {
        assert_eq!(node.role(), RoleKind::Follower);
        let _ = node.time_out();
    }
    let waited = node.now.saturating_since(start);
    assert!((3 * T..4 * T).contains(&waited), "{waited:?}: the lease, and a random time below T");
    assert_eq!(node.role(), RoleKind::PreCandidate);
}

#[test]
fn a_promise_is_the_lease_that_the_leader_asks_for() {
    let mut node = Solo::of(3);
    let short = node.hears(S2, 1, ask(1, T / 2)).echoed().expect("an echo");
    assert_eq!(short.promised, T / 2);
    let _ = node.hears(S2, 1, ask(2, 4 * T));
    let long = node.hears(S2, 1, ask(3, 4 * T)).echoed().expect("an echo");
    assert_eq!((long.promised, node.node.config().longest_promise), (4 * T, 4 * T));
    assert_eq!(node.status().durable_hard_state.promised, 4 * T);
    let _ = node.hears(S2, 1, ask(4, T));
    assert_eq!(node.status().durable_hard_state.promised, 4 * T, "it is not over yet");
}

#[test]
fn one_long_promise_costs_no_restart_its_length_once_it_is_over() {
    let mut node = Solo::of(3);
    let _ = node.hears(S2, 1, ask(1, 4 * T));
    let mut hear = |after| {
        let _ = node.pass(after).hears(S2, 1, ask(2, T));
        node.status().durable_hard_state.promised
    };
    assert_eq!(hear(just_under(4 * T)), 4 * T, "it binds still");
    assert_eq!(hear(NS), T, "what is promised since");
    let echo = node.hears(S2, 1, ask(3, T)).echoed().expect("an echo");
    assert_eq!(echo.promised, T);
    node.crash_and_restart();
    assert_eq!(node.status().durable_hard_state.promised, T);
}

#[test]
fn a_leader_of_a_later_term_ends_the_promise_to_an_earlier_one_and_its_own_permit_passes() {
    let mut node = Solo::of(3);
    let _ = node.hears(S2, 1, ask(1, 4 * T));
    let mut other = node.clone();
    // One that asks for no lease shortens none.
    let _ = other.hears(S3, 2, says::announcement(at(0, 0), 0));
    assert_eq!(other.hears(S3, 2, Message::TimeoutNow).ignored(), [IgnoreReason::LeaderAlive]);
    let _ = node.hears(S3, 2, ask(2, T));
    let _ = node.hears(S3, 2, Message::TimeoutNow);
    assert_eq!((node.role(), node.term()), (RoleKind::Candidate, 3));
}

#[test]
fn within_a_term_a_restarts_promise_stays() {
    let mut node = Solo::of(3);
    let _ = node.hears(S2, 1, ask(1, 4 * T));
    node.crash_and_restart();
    let _ = node.hears(S2, 1, ask(2, T));
    let refused = node.pass(3 * T).hears(S3, 9, says::request_vote(at(8, 8))).verdict();
    assert_eq!(refused, Some(Verdict::LeaderAlive));
}

#[test]
fn no_more_is_promised_than_the_longest_promise() {
    let mut node = Solo::of(3);
    let longest = node.node.config().longest_promise;
    let echo = node.hears(S2, 1, ask(1, longest + NS)).echoed().expect("an echo");
    assert_eq!(echo.promised, Duration::ZERO);
    assert_eq!(node.status().durable_hard_state.promised, Duration::ZERO);
    let _ = node.pass(just_under(T));
    let refused = node.clone().hears(S3, 1, says::pre_vote(at(1, 1))).pre_verdict();
    assert_eq!(refused, Some(Verdict::LeaderAlive), "it still does not disturb a leader for its T");
    let granted = node.pass(NS).hears(S3, 1, says::pre_vote(at(1, 1))).pre_verdict();
    assert_eq!(granted, Some(Verdict::Granted));
}

#[test]
fn a_longer_promise_of_an_earlier_life_is_not_made_again() {
    let setup = Setup::of(voters(&[1, 2, 3])).config(|config| config.longest_promise = T);
    let mut node = setup.hard_state(|state| state.promised = 3 * T).start();
    let _ = node.pass(3 * T);
    let echo = node.hears(S2, 1, ask(1, 2 * T)).echoed().expect("an echo");
    let granted = node.pass(T).hears(S3, 1, says::pre_vote(at(1, 1))).pre_verdict();
    assert_eq!((granted, echo.promised), (Some(Verdict::Granted), Duration::ZERO));
}

#[test]
fn a_node_without_leases_promises_nothing() {
    let mut node = Setup::of(voters(&[1, 2, 3])).protection(Protection::PreVote).start();
    let echo = node.hears(S2, 1, ask(1, T)).echoed().expect("an echo");
    assert_eq!(echo.promised, Duration::ZERO);
    assert_eq!(node.status().durable_hard_state.promised, Duration::ZERO);
}

#[test]
fn an_answer_promises_only_what_is_durable_and_does_not_wait_for_more() {
    let mut node = Setup::of(voters(&[1, 2, 3])).term(1).slow_disk().start();
    let heard = node.hears(S2, 1, says::hello(1));
    assert_eq!(heard.writes()[0].hard_state.expect("the promise").promised, T);
    assert_eq!(heard.echoed().expect("a sign of life").promised, Duration::ZERO);
    let durable = node.persist();
    assert_eq!(durable.sent(), []);
    let again = node.hears(S2, 1, says::hello(2));
    assert_eq!((again.writes(), again.echoed().expect("at once").promised), (vec![], T));
}

#[test]
fn an_answer_promises_nothing_that_a_write_on_its_way_lowers() {
    let mut node = Setup::of(voters(&[1, 2, 3])).term(1).slow_disk().start();
    let _ = node.hears(S2, 1, says::hello(1));
    let _ = node.persist();
    let promises = |node: &mut Solo, round, lease| {
        let heard = node.hears(S2, 1, ask(round, lease));
        let written = heard.writes().first().and_then(|w| w.hard_state).map(|h| h.promised);
        (heard.echoed().expect("at once").promised, written)
    };
    assert_eq!(promises(&mut node, 2, T), (T, None), "it is durable");
    // A later leader asks for none, and the promise is over; the next one asks for one again.
    let node = node.pass(2 * T);
    assert_eq!(promises(node, 3, Duration::ZERO), (Duration::ZERO, Some(Duration::ZERO)));
    assert_eq!(promises(node, 4, T), (Duration::ZERO, Some(T)), "a crash may leave none");
    let _ = node.persist();
    assert_eq!(promises(node, 5, T), (T, None));
}

#[test]
fn after_a_restart_the_promise_still_holds() {
    let mut node = follower();
    let _ = node.hears(S2, 1, ask(2, 2 * T));
    node.crash_and_restart();
    let restarted = node.now;
    let ask_it =
        |node: &mut Solo| node.clone().hears(S3, 9, says::request_vote(at(8, 8))).verdict();

    let _ = node.pass(just_under(2 * T));
    assert_eq!(
        ask_it(&mut node),
        Some(Verdict::LeaderAlive),
        "it does not know how old the promise is"
    );
    assert_eq!(node.clone().step(Input::Campaign).ignored().len(), 1, "its own vote included");
    let _ = node.wake();
    assert_eq!((node.role(), node.term()), (RoleKind::Follower, 1));
    assert!(node.deadline() >= restarted.saturating_add(2 * T));
    let _ = node.pass(NS);
    assert_eq!(ask_it(&mut node), Some(Verdict::Granted));
}

#[test]
fn a_lone_voter_that_promised_waits_too() {
    let mut node = Setup::of(voters(&[1])).term(3).hard_state(|h| h.promised = T).start();
    let _ = node.wake();
    assert_eq!(node.role(), RoleKind::Follower);
    assert!(node.patience() >= T);
    let _ = node.time_out();
    assert_eq!(node.role(), RoleKind::Leader);
}

#[test]
fn a_leader_that_hears_no_quorum_for_t_steps_down_and_falls_silent() {
    let mut leader = Solo::leader_of(3);
    let quiet_since = leader.now;
    let mut spoke = Vec::new();
    while leader.role() == RoleKind::Leader {
        let actions = leader.time_out();
        spoke.push((leader.role(), !actions.sent().is_empty()));
    }
    assert_eq!(leader.now.saturating_since(quiet_since), T, "the last answered question is T old");
    assert_eq!((leader.status().leader, leader.term()), (None, 1), "no term is needed for that");
    let (last, before) = spoke.split_last().expect("it spoke");
    assert!(before.iter().all(|(_, spoke)| *spoke));
    assert_eq!(*last, (RoleKind::Follower, false), "and it keeps nobody's lease alive any more");
    assert!((T..2 * T).contains(&leader.patience()));
}

#[test]
fn a_new_leader_has_a_grace_of_t() {
    let mut leader = Solo::of(3);
    let _ = leader.elect();
    let elected = leader.now;
    while leader.role() == RoleKind::Leader {
        let _ = leader.time_out();
    }
    assert_eq!(leader.now.saturating_since(elected), T);
}

#[test]
fn within_its_grace_a_new_leader_refuses_votes_too() {
    let mut leader = Solo::of(3);
    let _ = leader.elect();
    let last = leader.status().last;
    let _ = leader.pass(just_under(T));
    let refused = leader.clone().hears(S3, 5, says::request_vote(last));
    assert_eq!(refused.verdict(), Some(Verdict::LeaderAlive), "a quorum has just voted for it");
    let granted = leader.pass(NS).hears(S3, 5, says::request_vote(last));
    assert_eq!(granted.verdict(), Some(Verdict::Granted));
}

#[test]
fn the_lower_levels_do_not_check_their_quorum() {
    for protection in [Protection::Plain, Protection::PreVote] {
        let mut leader = Setup::of(voters(&[1, 2, 3])).protection(protection).start();
        let _ = leader.elect();
        for _ in 0..50 {
            let _ = leader.time_out();
        }
        assert_eq!(leader.role(), RoleKind::Leader);
    }
}

/// Sends heartbeats at 100 ms steps for T; `answers` says who answers which of them (1, 2, …).
/// Returns after which time the leader gave up.
fn gives_up_after(mut leader: Solo, answers: &[(u64, u64)]) -> Duration {
    let _ = leader.elect();
    let (elected, mut heartbeat) = (leader.now, 0);
    while leader.role() == RoleKind::Leader {
        let actions = leader.time_out();
        heartbeat += 1;
        for (of, from) in answers.iter().filter(|(of, _)| *of == heartbeat) {
            let to = NodeId(*from);
            let question = actions.appends_to(to).pop().unwrap_or_else(|| panic!("{of} to {to:?}"));
            let answer = says::matched(0, says::echo(&question));
            let _ = leader.hears(to, 1, answer);
        }
    }
    leader.now.saturating_since(elected)
}

#[test]
fn check_quorum_counts_the_quorum_th_newest_send_time() {
    // Of five, the leader and two more are a quorum: the older one of the two newest decides.
    let answers = [(2, 2), (4, 3), (6, 3)];
    assert_eq!(gives_up_after(Solo::of(5), &answers), ms(200) + T);
    assert_eq!(gives_up_after(Solo::of(5), &[(2, 2), (6, 3), (4, 4)]), ms(400) + T);
}

#[test]
fn check_quorum_counts_both_halves_of_a_joint_membership() {
    let start = || Setup::of(joint(&[1, 2, 3], &[1, 4, 5], &[])).start();
    let new_half_only = [(3, 2), (3, 3)];
    assert_eq!(gives_up_after(start(), &new_half_only), T);
    assert_eq!(gives_up_after(start(), &[(3, 2), (2, 4)]), ms(200) + T);
}

#[test]
fn check_quorum_does_not_count_learners() {
    let start = || Setup::of(joint(&[1, 2, 3], &[], &[4])).start();
    assert_eq!(gives_up_after(start(), &[(3, 4)]), T);
    assert_eq!(gives_up_after(start(), &[(3, 3)]), ms(300) + T);
}

#[test]
fn an_echo_counts_only_if_this_leadership_issued_it_at_a_time_that_can_be() {
    let mut leader = Solo::of(3);
    let elected = leader.elect();
    let own = says::echo(&elected.appends_to(S2)[0]).expect("it asks");
    let _ = leader.pass(ms(50));
    let forged = [
        (
            "a round before its election",
            raft_core::Echo { round: Round(own.round.get() - 2), ..own },
        ),
        (
            "a round it has not come to",
            raft_core::Echo { round: Round(own.round.get() + 1), ..own },
        ),
        (
            "before its election",
            raft_core::Echo {
                sent_at: raft_core::Instant::from_nanos(own.sent_at.as_nanos() - 1),
                ..own
            },
        ),
        ("in the future", raft_core::Echo { sent_at: leader.now.saturating_add(NS), ..own }),
    ];
    for (what, echo) in forged {
        let answer = leader.hears(S2, 1, says::matched(1, Some(echo)));
        assert_eq!(answer.ignored(), [IgnoreReason::Stale], "{what}");
        assert_eq!(answer.0.len(), 1, "{what}");
        assert_eq!(leader.status().commit_index.get(), 0, "{what}");
    }
    let _ = leader.hears(S2, 1, says::matched(1, Some(own)));
    assert_eq!(leader.status().commit_index.get(), 1);
}

/// A leader's question that asks for `lease`.
fn ask(round: u64, lease: Duration) -> Message {
    let probe = Probe { lease, ..says::probe(round) };
    let m = says::append(round, says::START, &[]);
    Message::AppendEntries(AppendEntries { probe: Some(probe), ..m })
}
