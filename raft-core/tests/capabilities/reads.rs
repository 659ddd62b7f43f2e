//! Linearizable reads (thesis, 6.4): by read index, and by lease.

use crate::common::world::World;
use crate::common::{
    Actions, S1, S2, S3, S4, S5, Setup, Solo, T, joint, just_under, ms, says, voters,
};
use core::time::Duration;
use raft_core::{
    Action, AppendEntries, Consistency, Input, Instant, LogIndex, Membership, Message, NodeId,
    ReadIndex, ReadIndexResponse, RejectReason, RoleKind, Round, Token,
};

const READ_INDEX: Consistency = Consistency::ReadIndex;
const LEASE: Consistency = Consistency::Lease;

fn ask(token: u64, consistency: Consistency) -> Input {
    Input::Read { token: Token(token), consistency }
}

/// Reads that may be served: token and index.
fn ready(actions: &Actions) -> Vec<(u64, u64)> {
    let read = |action: &Action| match action {
        Action::ReadReady { token, index } => Some((token.get(), index.get())),
        _ => None,
    };
    actions.0.iter().filter_map(read).collect()
}

fn answers(actions: &Actions) -> Vec<(NodeId, ReadIndexResponse)> {
    let answer = |e: raft_core::Envelope| match e.message {
        Message::ReadIndexResponse(m) => Some((e.to, m)),
        _ => None,
    };
    actions.sent().into_iter().filter_map(answer).collect()
}

fn questions(actions: &Actions) -> Vec<ReadIndex> {
    let question = |e: raft_core::Envelope| match e.message {
        Message::ReadIndex(m) => Some(m),
        _ => None,
    };
    actions.sent().into_iter().filter_map(question).collect()
}

fn asks(id: u64) -> Message {
    Message::ReadIndex(ReadIndex { id: Round(id) })
}

fn answer(id: Round, index: Option<u64>) -> Message {
    Message::ReadIndexResponse(ReadIndexResponse { id, index: index.map(LogIndex) })
}

/// The peer echoes this message, and holds nothing new.
fn echo(solo: &mut Solo, from: NodeId, m: &AppendEntries) -> Actions {
    let term = solo.term();
    solo.hears(from, term, says::matched(0, says::echo(m)))
}

/// S1 follows S2 in term 1.
fn follower() -> Solo {
    let mut solo = Solo::of(3);
    let _ = solo.hears(S2, 1, says::hello(1));
    solo
}

#[test]
fn many_reads_are_one_round() {
    let mut solo = Solo::leader_of(3);
    let asked = solo.step_all((0..100).map(|n| ask(n, READ_INDEX)));
    assert_eq!(asked.receivers(), [S2, S3], "one question to each");
    assert_eq!(ready(&asked), []);
    let m = asked.appends_to(S3).remove(0);
    let served = ready(&echo(&mut solo, S3, &m));
    assert_eq!(served, (0..100).map(|n| (n, 1)).collect::<Vec<_>>());
}

#[test]
fn reads_that_come_while_a_round_is_on_its_way_share_the_next() {
    let mut solo = Solo::leader_of(3);
    let first = solo.step(ask(0, READ_INDEX)).appends_to(S2).remove(0);
    for n in 1..100 {
        assert!(solo.step(ask(n, READ_INDEX)).is_empty(), "a round is on its way");
    }
    let confirmed = echo(&mut solo, S2, &first);
    assert_eq!(ready(&confirmed), [(0, 1)], "the others came after that round had left");
    let second = confirmed.appends_to(S2).remove(0);
    let served = ready(&echo(&mut solo, S2, &second));
    assert_eq!(served, (1..100).map(|n| (n, 1)).collect::<Vec<_>>());
    assert_eq!(solo.status().pending_reads, 0);
}

#[test]
fn reads_do_not_wait_for_a_lost_round_longer_than_for_the_next_heartbeat() {
    let mut solo = Solo::leader_of(3);
    let _lost = solo.step(ask(1, READ_INDEX));
    let began = solo.now;
    assert!(solo.step(ask(2, READ_INDEX)).is_empty());
    let m = solo.time_out_heartbeat().appends_to(S3).remove(0);
    assert!(solo.now.saturating_since(began) <= solo.node.config().heartbeat_interval);
    assert_eq!(ready(&echo(&mut solo, S3, &m)), [(1, 1), (2, 1)]);
}

#[test]
fn a_read_under_a_lease_waits_for_no_round_of_others() {
    let mut solo = Solo::leader_of(3);
    let m = solo.step(ask(1, READ_INDEX)).appends_to(S2).remove(0);
    assert!(solo.step(ask(2, READ_INDEX)).is_empty());
    assert_eq!(ready(&solo.step(ask(3, LEASE))), [(3, 1)]);
    assert_eq!(ready(&echo(&mut solo, S2, &m)), [(1, 1)]);
}

#[test]
fn reads_end_in_the_order_of_asking_whatever_they_wait_for() {
    // Of lease reads and others, before the first commit: two kinds, one order.
    let mut solo = Solo::of(3);
    let _ = solo.elect();
    let mut answered = Vec::new();
    for n in 0..6 {
        let _ = solo.pass(ms(10));
        let _ = solo.step(ask(n, if n % 2 == 0 { LEASE } else { READ_INDEX }));
    }
    assert_eq!(solo.status().pending_reads, 6);
    for _ in 0..200 {
        let actions = solo.time_out();
        answered.extend(actions.0.iter().filter_map(|action| match action {
            Action::Rejected { token, reason: RejectReason::TimedOut } => Some(token.get()),
            _ => None,
        }));
        for envelope in actions.sent() {
            if let Message::AppendEntries(m) = &envelope.message {
                let _ = echo(&mut solo, envelope.to, m);
            }
        }
        if answered.len() == 6 {
            break;
        }
    }
    assert_eq!(answered, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_follower_repeats_its_newest_question_at_the_heartbeats_pace_until_it_has_an_answer() {
    let mut solo = follower();
    let pace = solo.node.config().heartbeat_interval;
    let _ = solo.step(ask(1, READ_INDEX));
    let newest = questions(&solo.step(ask(2, READ_INDEX))).remove(0);
    for _ in 0..3 {
        let asked_at = solo.now;
        assert!(solo.pass(just_under(pace)).wake().is_empty(), "not earlier");
        let repeat = solo.time_out();
        assert_eq!(solo.now.saturating_since(asked_at), pace);
        assert_eq!(repeat.receivers(), [S2]);
        assert_eq!(
            questions(&repeat),
            core::slice::from_ref(&newest),
            "its answer is one to the older"
        );
    }
    assert_eq!(ready(&solo.hears(S2, 1, answer(newest.id, Some(7)))), [(1, 7), (2, 7)]);
    assert!(solo.pass(pace).wake().is_empty(), "nothing is left to be asked");
}

#[test]
fn a_repeat_resets_nothing_and_ends_with_the_read() {
    let (mut asks, mut idle) = (follower(), follower());
    let began = asks.now;
    let _ = asks.step(ask(1, READ_INDEX));
    let candidacy = |solo: &mut Solo| {
        while solo.role() == RoleKind::Follower {
            let _ = solo.time_out();
        }
        solo.now
    };
    assert_eq!(candidacy(&mut asks), candidacy(&mut idle), "its leader is silent");
    let mut hears = follower();
    let _ = hears.step(ask(1, READ_INDEX));
    let (mut repeats, mut last) = (0, began);
    for round in 2..50 {
        let _ = hears.hears(S2, 1, says::hello(round));
        let asked = hears.pass(ms(100)).wake();
        if !questions(&asked).is_empty() {
            (repeats, last) = (repeats + 1, hears.now);
        }
    }
    assert!(repeats > 10, "{repeats} repeats");
    assert!(last.saturating_since(began) < T * 2, "the read has ended");
}

#[test]
fn a_leader_keeps_the_first_of_each_question_and_serves_a_repeat_of_one_that_it_has_answered() {
    let mut solo = Solo::leader_of(3);
    let m = solo.hears(S3, 1, asks(40)).appends_to(S2).remove(0);
    for _ in 0..3 {
        let _ = solo.pass(ms(10));
        assert!(solo.hears(S3, 1, asks(40)).is_empty(), "it waits already");
        assert_eq!(solo.status().pending_reads, 1);
    }
    let yes = (S3, ReadIndexResponse { id: Round(40), index: Some(LogIndex(1)) });
    assert_eq!(
        answers(&echo(&mut solo, S2, &m)),
        core::slice::from_ref(&yes),
        "by the first round"
    );
    // The answer is lost.
    let m = solo.hears(S3, 1, asks(40)).appends_to(S2).remove(0);
    assert_eq!(answers(&echo(&mut solo, S2, &m)), [yes]);
    let m = solo.hears(S3, 1, asks(41)).appends_to(S2).remove(0);
    let _ = solo.hears(S2, 1, asks(41));
    assert_eq!(solo.status().pending_reads, 2, "of another node it is another question");
    assert_eq!(answers(&echo(&mut solo, S2, &m)).len(), 1);
}

#[test]
fn an_answer_to_an_older_round_confirms_no_read() {
    let mut solo = Solo::leader_of(3);
    let old = solo.time_out_heartbeat().appends_to(S2).remove(0);
    let asked = solo.step(ask(1, READ_INDEX));
    assert_eq!(ready(&echo(&mut solo, S2, &old)), [], "that was before");
    assert_eq!(ready(&echo(&mut solo, S2, &asked.appends_to(S2)[0])), [(1, 1)]);
}

#[test]
fn a_quorum_must_confirm_a_read() {
    let mut solo = Solo::leader_of(5);
    let asked = solo.step(ask(1, READ_INDEX));
    let m = asked.appends_to(S2).remove(0);
    assert_eq!(ready(&echo(&mut solo, S2, &m)), []);
    assert_eq!(ready(&echo(&mut solo, S2, &m)), [], "twice is once");
    assert_eq!(ready(&echo(&mut solo, S3, &m)), [(1, 1)]);
}

#[test]
fn both_halves_of_a_joint_membership_must_confirm_a_read() {
    let mut world = World::new(1, 5, &joint(&[1, 2, 3], &[], &[4, 5]));
    world.elect(S1);
    world.run(T);
    // S4 and S5 get the entry, and the leader never learns it: it stays joint.
    for id in [S4, S5] {
        world.cut(id, S1);
    }
    let _ = world.change(S1, voters(&[1, 4, 5]));
    assert!(world.node(S1).membership().is_joint());
    let read = world.read(S1, READ_INDEX);
    world.run(T / 2);
    assert!(!world.served.contains(&read), "the new half has not confirmed it");
    world.heal();
    world.run(T / 2);
    assert!(world.served.contains(&read));
}

#[test]
fn no_read_is_served_before_an_entry_of_the_leaders_own_term_is_committed() {
    for consistency in [READ_INDEX, LEASE] {
        let mut solo = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).start();
        let first = solo.elect();
        let asked = solo.step(ask(1, consistency));
        let m = asked.appends_to(S2).into_iter().chain(first.appends_to(S2)).next();
        let m = m.expect("something to echo");
        assert_eq!(ready(&echo(&mut solo, S2, &m)), []);
        let next = solo.time_out_heartbeat().appends_to(S2).remove(0);
        assert_eq!(ready(&echo(&mut solo, S2, &next)), [], "confirmed, but it knows no commit");
        let committed = solo.hears(S2, 2, says::matched(3, None));
        if ready(&committed).is_empty() {
            let m = committed.appends_to(S2).into_iter().find(|m| m.probe.is_some());
            assert_eq!(ready(&echo(&mut solo, S2, &m.expect("asked now"))), [(1, 3)]);
        } else {
            assert_eq!((consistency, ready(&committed)), (LEASE, vec![(1, 3)]));
        }
    }
}

#[test]
fn a_lone_voter_needs_no_round() {
    for consistency in [READ_INDEX, LEASE] {
        let mut solo = Setup::of(joint(&[1], &[], &[2])).start();
        let _ = solo.wake();
        assert_eq!(ready(&solo.step(ask(1, consistency))), [(1, 1)]);
    }
}

#[test]
fn a_follower_asks_its_leader_once_for_all_reads_of_a_call() {
    let mut solo = follower();
    let asked = questions(&solo.step_all((0..10).map(|n| ask(n, LEASE))));
    assert_eq!(asked.len(), 1);
    assert_eq!(solo.status().pending_reads, 10);
    let served = ready(&solo.hears(S2, 1, answer(asked[0].id, Some(7))));
    assert_eq!(served, (0..10).map(|n| (n, 7)).collect::<Vec<_>>());
    assert_eq!(solo.status().pending_reads, 0);
}

#[test]
fn an_answer_serves_earlier_questions_too_and_none_that_came_later() {
    let mut solo = follower();
    let asked: Vec<_> = (1..=3).map(|n| questions(&solo.step(ask(n, READ_INDEX)))[0].id).collect();
    assert_eq!(ready(&solo.hears(S2, 1, answer(asked[1], Some(7)))), [(1, 7), (2, 7)]);
    assert_eq!(solo.hears(S2, 1, answer(asked[0], Some(5))).ignored().len(), 1);
    assert_eq!(ready(&solo.hears(S2, 1, answer(asked[2], Some(9)))), [(3, 9)]);
}

#[test]
fn a_follower_takes_an_answer_of_its_leader_only() {
    let mut solo = follower();
    let id = questions(&solo.step(ask(1, READ_INDEX)))[0].id;
    assert_eq!(ready(&solo.hears(S3, 1, answer(id, Some(7)))), []);
    assert_eq!(ready(&solo.hears(S2, 1, answer(Round(id.get() + 1), Some(7)))), []);
    assert_eq!(ready(&solo.hears(S2, 1, answer(id, Some(7)))), [(1, 7)]);
}

#[test]
fn the_leader_answers_a_follower_when_a_quorum_has_confirmed() {
    let mut solo = Solo::leader_of(3);
    let asked = solo.hears(S3, 1, asks(40));
    assert_eq!(answers(&asked), []);
    let m = asked.appends_to(S2).remove(0);
    let told = answers(&echo(&mut solo, S2, &m));
    let yes = ReadIndexResponse { id: Round(40), index: Some(LogIndex(1)) };
    assert_eq!(told, [(S3, yes)]);
}

#[test]
fn questions_that_arrive_in_the_wrong_order_are_both_answered() {
    let mut solo = Solo::leader_of(3);
    let asked = solo.hears(S3, 1, asks(41));
    let _ = solo.hears(S3, 1, asks(40));
    let m = asked.appends_to(S2).remove(0);
    let newest = solo.time_out_heartbeat().appends_to(S2).remove(0);
    assert_ne!(newest.probe, m.probe);
    let told: Vec<_> = answers(&echo(&mut solo, S2, &newest)).iter().map(|(_, m)| m.id).collect();
    assert!(told.contains(&Round(41)), "it stands for both: {told:?}");
}

#[test]
fn whoever_does_not_lead_says_so() {
    let mut solo = follower();
    let no = ReadIndexResponse { id: Round(40), index: None };
    assert_eq!(answers(&solo.hears(S3, 1, asks(40))), [(S3, no)]);
    let id = questions(&solo.step(ask(1, READ_INDEX)))[0].id;
    let refused = solo.hears(S2, 1, answer(id, None)).rejected();
    assert_eq!(refused, [RejectReason::LeaderChanged]);
}

#[test]
fn a_node_without_a_leader_refuses_reads() {
    let none = [RejectReason::NotLeader { leader: None }];
    let mut solo = Solo::of(3);
    assert_eq!(solo.step(ask(1, READ_INDEX)).rejected(), none);
    let _ = solo.time_out();
    assert_eq!(solo.role(), RoleKind::PreCandidate);
    assert_eq!(solo.step(ask(2, LEASE)).rejected(), none);
}

#[test]
fn reads_end_with_a_refusal_when_the_leader_changes() {
    let gone = [RejectReason::LeaderChanged; 2];
    let mut leader = Solo::leader_of(3);
    let _ = leader.step_all([ask(1, READ_INDEX), ask(2, LEASE), ask(3, READ_INDEX)]);
    assert_eq!(leader.hears(S3, 5, says::stale_term()).rejected(), gone, "one was a lease read");
    let mut solo = follower();
    let _ = solo.step_all([ask(1, READ_INDEX), ask(2, LEASE)]);
    let old = questions(&solo.step(ask(3, READ_INDEX)))[0].id;
    let refused = solo.hears(S3, 2, says::hello(1)).rejected();
    assert_eq!(refused, [RejectReason::LeaderChanged; 3]);
    assert_eq!(ready(&solo.hears(S3, 2, answer(old, Some(7)))), [], "asked another");
}

#[test]
fn a_read_that_nobody_confirms_ends_after_two_timeouts() {
    let mut leader = Solo::of(3);
    let _ = leader.elect();
    let (began, mut refused) = (leader.now, Vec::new());
    let _ = leader.step(ask(1, READ_INDEX));
    // It stays leader, but nothing is committed and so no read confirmed.
    for _ in 0..100 {
        if !refused.is_empty() {
            break;
        }
        let actions = leader.time_out();
        refused = actions.rejected();
        for envelope in actions.sent() {
            if let Message::AppendEntries(m) = &envelope.message {
                let _ = echo(&mut leader, envelope.to, m);
            }
        }
    }
    assert_eq!(refused, [RejectReason::TimedOut]);
    assert_eq!(leader.now.saturating_since(began), T * 2);

    let mut solo = follower();
    let (began, mut refused) = (solo.now, Vec::new());
    let _ = solo.step(ask(1, READ_INDEX));
    for round in 2..9 {
        let _ = solo.pass(T / 2);
        refused.extend(solo.wake().rejected());
        if !refused.is_empty() {
            break;
        }
        refused.extend(solo.hears(S2, 1, says::hello(round)).rejected());
    }
    assert_eq!(refused, [RejectReason::TimedOut]);
    assert_eq!(solo.now.saturating_since(began), T * 2);
}

#[test]
fn queues_of_reads_are_bounded() {
    let few = |config: &mut raft_core::Config| config.max_pending_reads = 2;
    let mut leader = Setup::of(voters(&[1, 2, 3])).config(few).start();
    let _ = leader.elect();
    leader.everyone_acknowledges();
    let _ = leader.step_all([ask(1, READ_INDEX), ask(2, READ_INDEX)]);
    assert_eq!(leader.step(ask(3, READ_INDEX)).rejected(), [RejectReason::TooManyReads]);
    let ignored = leader.hears(S3, 1, asks(40)).ignored();
    assert_eq!(ignored, [raft_core::IgnoreReason::TooManyReads]);
    let mut solo = Setup::of(voters(&[1, 2, 3])).config(few).start();
    let _ = solo.hears(S2, 1, says::hello(1));
    let refused = solo.step_all((0..5).map(|n| ask(n, READ_INDEX))).rejected();
    assert_eq!(refused, [RejectReason::TooManyReads; 3]);
    assert_eq!(solo.status().pending_reads, 2);
}

#[test]
fn an_answer_to_a_question_of_an_earlier_life_is_stale() {
    let mut solo = follower();
    let id = questions(&solo.step(ask(1, READ_INDEX)))[0].id;
    solo.crash_and_restart();
    let _ = solo.hears(S2, 1, says::hello(9));
    let again = questions(&solo.step(ask(2, READ_INDEX)))[0].id;
    assert_ne!(id, again);
    assert_eq!(ready(&solo.hears(S2, 1, answer(id, Some(7)))), []);
    assert_eq!(solo.status().pending_reads, 1);
}

#[test]
fn followers_and_learners_read_what_was_written_before() {
    let mut world = World::new(2, 4, &joint(&[1, 2, 3], &[], &[4]));
    world.elect(S1);
    let _ = world.propose(S1, 5);
    world.run(ms(50));
    let reads = [S2, S4].map(|id| world.read(id, READ_INDEX));
    world.run(ms(50));
    assert!(reads.iter().all(|read| world.served.contains(read)));
}

#[test]
fn a_leader_that_was_deposed_in_secret_serves_nothing() {
    let mut world = World::new(3, 3, &voters(&[1, 2, 3]));
    world.elect(S1);
    world.run(T);
    world.isolate(S1);
    let reads = [world.read(S1, READ_INDEX)];
    world.run(T * 4);
    let leader = world.leader().expect("the others elect one");
    let _ = world.propose(leader, 1);
    world.run(T * 4);
    assert!(!world.served.iter().any(|read| reads.contains(read)));
}

/// How long a lease is that a quorum promised for `T`, with the default drift bound.
fn safe() -> Duration {
    let ppm = u128::from(raft_core::Config::new(S1, 1).clock_drift_ppm);
    let nanos = T.as_nanos() * (1_000_000 - ppm) / (1_000_000 + ppm);
    Duration::from_nanos(u64::try_from(nanos).expect("short"))
}

#[test]
fn a_lease_ends_at_the_drift_bound_to_the_nanosecond_and_counts_from_the_send_time() {
    let mut solo = Solo::leader_of(3);
    let m = solo.time_out_heartbeat().appends_to(S2).remove(0);
    let sent = solo.now;
    let _ = solo.pass(ms(300));
    let _ = echo(&mut solo, S2, &m);
    assert_eq!(solo.status().lease_until, Some(sent.saturating_add(safe())));
    let at_end = |solo: &Solo, nanos: u64| {
        let mut solo = solo.clone();
        solo.now = Instant::from_nanos(
            sent.as_nanos() + u64::try_from(safe().as_nanos()).expect("short") - 1 + nanos,
        );
        ready(&solo.step(ask(1, LEASE)))
    };
    assert_eq!(at_end(&solo, 0), [(1, 1)], "one nanosecond inside");
    assert_eq!(at_end(&solo, 1), [], "at its end");
    assert_eq!(ready(&solo.step(ask(1, READ_INDEX))), [], "who wants no lease gets none");
}

#[test]
fn only_what_was_promised_counts_for_a_lease() {
    let mut solo = Solo::leader_of(3);
    let m = solo.time_out_heartbeat().appends_to(S2).remove(0);
    let sent = solo.now;
    let before = solo.status().lease_until.expect("of the last round");
    let mut short = says::echo(&m).expect("a probe");
    short.promised = Duration::ZERO;
    let _ = solo.hears(S2, 1, says::matched(1, Some(short)));
    assert_eq!(solo.status().lease_until, Some(before), "it promised nothing");
    short.promised = T / 2;
    let mut half = solo.clone();
    let _ = half.hears(S2, 1, says::matched(1, Some(short)));
    let until = half.status().lease_until.expect("a lease").max(before);
    assert!(until <= before.max(sent.saturating_add(T / 2)), "not longer than promised");
}

#[test]
fn a_new_leader_has_no_lease_before_a_quorum_has_answered() {
    let mut solo = Solo::of(3);
    let first = solo.elect();
    let none = |solo: &Solo| solo.status().lease_until.is_none_or(|until| until <= solo.now);
    assert!(none(&solo));
    let _ = solo.hears(S2, 1, says::matched(1, None));
    assert!(none(&solo), "committed, but nobody promised anything");
    assert_eq!(ready(&solo.step(ask(1, LEASE))), []);
    let _ = echo(&mut solo, S2, &first.appends_to(S2)[0]);
    assert!(!none(&solo));
    assert_eq!(ready(&solo.step(ask(2, LEASE))), [(2, 1)]);
}

/// S1 leads, and has committed in its term; now 1, 4, 5 and 1, 2, 3 are in force, which nobody has
/// acknowledged yet, and the leases of the term so far are over.
fn leader_of_both_halves() -> Solo {
    let mut solo = Setup::of(joint(&[1, 2, 3], &[], &[4, 5])).start();
    let _ = solo.elect();
    solo.everyone_acknowledges();
    let _ = solo.step(Input::ChangeMembership { token: Token(9), target: voters(&[1, 4, 5]) });
    let _ = solo.pass(T);
    assert!(solo.node.membership().is_joint());
    solo
}

/// Each half, and somebody of the other one.
const HALVES: [([NodeId; 2], NodeId); 2] = [([S2, S3], S4), ([S4, S5], S2)];

#[test]
fn a_lease_needs_both_halves_of_a_joint_membership_whichever_is_missing() {
    for (half, other) in HALVES {
        let mut solo = leader_of_both_halves();
        let sent = solo.step(ask(0, READ_INDEX));
        for id in half {
            let _ = echo(&mut solo, id, &sent.appends_to(id)[0]);
        }
        assert_eq!(ready(&solo.step(ask(1, LEASE))), [], "{half:?} are one half only");
        assert!(solo.status().lease_until.is_none_or(|until| until <= solo.now));
        let _ = echo(&mut solo, other, &sent.appends_to(other)[0]);
        assert_eq!(ready(&solo.step(ask(2, LEASE))), [(2, 1)]);
    }
}

#[test]
fn a_read_needs_both_halves_of_a_joint_membership_whichever_is_missing() {
    for (half, other) in HALVES {
        let mut solo = leader_of_both_halves();
        let sent = solo.step(ask(1, READ_INDEX));
        for id in half {
            assert_eq!(ready(&echo(&mut solo, id, &sent.appends_to(id)[0])), [], "one half");
        }
        assert_eq!(ready(&echo(&mut solo, other, &sent.appends_to(other)[0])), [(1, 1)]);
    }
}

#[test]
fn no_lease_read_is_served_while_the_clock_is_behind() {
    let mut solo = Solo::leader_of(3);
    assert_eq!(ready(&solo.step(ask(1, LEASE))), [(1, 1)]);
    solo.now = Instant::from_nanos(solo.now.as_nanos() - 1);
    assert_eq!(ready(&solo.step(ask(2, LEASE))), []);
    assert_eq!(solo.status().lease_until, None);
}

#[test]
fn a_clock_that_went_back_has_lost_its_leases_when_it_has_caught_up() {
    let mut solo = Solo::leader_of(3);
    let m = solo.time_out_heartbeat().appends_to(S2).remove(0);
    let _ = echo(&mut solo, S2, &m);
    let holds = |solo: &Solo| solo.status().lease_until.is_some_and(|until| until > solo.now);
    assert!(holds(&solo));
    // Back and on again: the promise has run for longer than the clock tells.
    let before = solo.now;
    solo.now = Instant::from_nanos(before.as_nanos() - 1);
    let _ = solo.wake();
    solo.now = before;
    let _ = solo.wake();
    assert!(!holds(&solo), "what was promised before");
    let _ = echo(&mut solo, S2, &m);
    assert!(!holds(&solo), "and what is promised late, to a question from before");
    let m = solo.time_out_heartbeat().appends_to(S2).remove(0);
    let _ = echo(&mut solo, S2, &m);
    assert!(holds(&solo), "a new question, a new lease");
}

#[test]
fn nobody_is_elected_while_a_lease_lasts() {
    for seed in 0..40 {
        let mut world = World::new(seed, 3, &voters(&[1, 2, 3]));
        world.drift(1000);
        world.elect(S1);
        world.run(T);
        world.isolate(S1);
        while world.role(S1) == RoleKind::Leader {
            world.run(ms(7));
            // The world knows what the others have committed meanwhile.
            let _ = world.read(S1, LEASE);
            if let Some(leader) = world.leader().filter(|leader| *leader != S1) {
                let _ = world.propose(leader, 1);
            }
        }
    }
}

#[test]
fn a_node_that_belongs_to_nothing_may_ask_too() {
    let mut solo = Setup::of(Membership::empty()).id(S5).start();
    let _ = solo.hears(S1, 1, says::hello(1));
    assert_eq!(questions(&solo.step(ask(1, READ_INDEX))).len(), 1);
    let mut leader = Solo::leader_of(3);
    let asked = leader.hears(S5, 1, asks(3));
    assert_eq!(answers(&echo(&mut leader, S2, &asked.appends_to(S2)[0])).len(), 1);
}
