//! Elections where disks are slow or hang, and where messages are lost.

use crate::common::{
    Actions, NS, S1, S2, S3, S4, Setup, Solo, T, at, joint, just_under, ms, says, voters,
};
use raft_core::{
    AppendOutcome, IgnoreReason, Input, InstallSnapshot, Message, NodeId, Outcome, Protection,
    RoleKind, Snapshot, Token, Verdict,
};

/// S1 of three in term 1, whose disk answers when the test says so, and whose promise is durable
/// and over.
fn slow() -> Solo {
    let setup = Setup::of(voters(&[1, 2, 3])).term(1).hard_state(|h| h.promised = T);
    let mut solo = setup.slow_disk().start();
    let _ = solo.pass(T);
    solo
}

/// Without leases nobody steps down but for the disk.
fn slow_plain(disk_timeout: core::time::Duration, seed: u64) -> Solo {
    let setup = Setup::of(voters(&[1, 2, 3])).protection(Protection::Plain);
    let change = |c: &mut raft_core::Config| (c.disk_timeout, c.seed) = (disk_timeout, seed);
    setup.config(change).slow_disk().start()
}

/// Leads term 1 of three with a slow disk.
fn slow_leader() -> Solo {
    let mut solo = slow_plain(2 * T, 7);
    let _ = solo.time_out();
    let _ = solo.persist();
    let _ = solo.hears(S2, 1, says::vote(Verdict::Granted));
    let _ = solo.persist();
    assert_eq!(solo.role(), RoleKind::Leader);
    solo
}

/// The receivers of one kind of message.
fn asked(actions: &Actions, is_it: impl Fn(&Message) -> bool) -> Vec<NodeId> {
    actions.sent().into_iter().filter(|e| is_it(&e.message)).map(|e| e.to).collect()
}

fn asked_pre_vote(actions: &Actions) -> Vec<NodeId> {
    asked(actions, |message| matches!(message, Message::PreVote(_)))
}

fn asked_vote(actions: &Actions) -> Vec<NodeId> {
    asked(actions, |message| matches!(message, Message::RequestVote(_)))
}

/// A pre-candidate of `n`, and its round.
fn pre_candidate(n: u64) -> (Solo, raft_core::Round) {
    let mut solo = Solo::of(n);
    let round = solo.time_out().pre_vote_round().expect("it asks");
    (solo, round)
}

// Hung disks.

#[test]
fn a_disk_that_completes_something_does_not_hang_however_old_its_writes_are() {
    let mut solo = slow_leader();
    // Each write takes three times half of the limit.
    for _ in 0..3 {
        let _ = solo.propose(1);
        let _ = solo.pass(T * 2 / 3).wake();
    }
    for _ in 0..20 {
        let _ = solo.persist_first(1);
        let _ = solo.propose(1);
        for _ in 0..4 {
            let _ = solo.pass(just_under(T / 2)).wake();
        }
        assert_eq!(solo.role(), RoleKind::Leader, "something has completed within the limit");
    }
    let _ = solo.pass(4 * NS).wake();
    assert_eq!(solo.role(), RoleKind::Follower, "nothing has");
}

#[test]
fn a_follower_whose_disk_hangs_is_silent_to_its_leader_until_a_write_completes() {
    let mut solo = slow();
    let _ = solo.hears(S2, 1, says::bulk(says::START, &[1]));
    let _ = solo.pass(just_under(2 * T));
    let slow = solo.hears(S2, 1, says::hello(2)).answer();
    assert!(slow.is_some(), "it is only slow");
    let _ = solo.pass(NS);
    for message in [says::hello(3), says::appends(4, at(1, 9), &[1]), says::heartbeat(5, at(1, 1))]
    {
        let hung = solo.hears(S2, 1, message);
        assert_eq!((hung.answer(), hung.ignored()), (None, vec![]));
    }
    let done = solo.persist();
    let answer = done.answer().expect("the entry is durable");
    assert_eq!(answer.outcome, AppendOutcome::Matched { match_index: raft_core::LogIndex(1) });
    assert!(solo.hears(S2, 1, says::heartbeat(6, at(1, 1))).echoed().is_some());
}

#[test]
fn a_node_whose_disk_hangs_grants_no_pre_vote_and_refuses_within_its_lease_as_before() {
    let mut solo = slow();
    let _ = solo.hears(S2, 1, says::bulk(says::START, &[1]));
    let _ = solo.pass(2 * T).hears(S2, 1, says::hello(2));
    let verdict = |solo: &mut Solo| solo.hears(S3, 1, says::pre_vote(at(1, 9))).pre_verdict();
    let _ = solo.pass(just_under(T));
    assert_eq!(verdict(&mut solo), Some(Verdict::LeaderAlive));
    let _ = solo.pass(NS);
    assert_eq!(verdict(&mut solo), Some(Verdict::DiskHangs));
    let _ = solo.persist();
    assert_eq!(verdict(&mut solo), Some(Verdict::Granted));
}

#[test]
fn a_node_that_installs_a_snapshot_for_too_long_is_silent_too() {
    let mut solo = Setup::of(voters(&[1, 2, 3])).config(|c| c.snapshot_timeout = 5 * T).start();
    let snapshot = Snapshot { position: at(1, 9), membership: voters(&[1, 2, 3]) };
    let install = InstallSnapshot { snapshot };
    let _ = solo.hears(S2, 1, Message::InstallSnapshot(install));
    let _ = solo.pass(just_under(5 * T));
    let answer = solo.hears(S2, 1, says::hello(2)).answer().expect("it is alive");
    assert_eq!(answer.outcome, AppendOutcome::Installing);
    let _ = solo.pass(NS);
    assert_eq!(solo.hears(S2, 1, says::hello(3)).answer(), None);
    let (position, outcome) = (at(1, 9), Outcome::Done);
    let _ = solo.step(Input::SnapshotInstalled { position, outcome });
    assert!(solo.hears(S2, 1, says::heartbeat(4, at(1, 9))).echoed().is_some());
}

// Slow disks.

#[test]
fn a_candidates_timer_starts_when_its_vote_is_durable() {
    for seed in 0..20 {
        let mut solo = slow_plain(100 * T, seed);
        assert_eq!(asked_vote(&solo.time_out()), [], "the vote is on its way to the disk");
        let _ = solo.pass(T * 9 / 10).wake();
        assert_eq!(asked_vote(&solo.persist()), [S2, S3]);
        let sent_at = solo.now;
        let _ = solo.time_out();
        let waited = solo.now.saturating_since(sent_at);
        assert!((T..2 * T).contains(&waited), "{waited:?}: the requests left with the vote");
    }
}

#[test]
fn a_voters_timer_starts_when_its_vote_is_durable() {
    for seed in 0..20 {
        let mut solo = slow_plain(100 * T, seed);
        let _ = solo.hears(S2, 1, says::request_vote(says::START));
        let _ = solo.pass(T * 9 / 10).wake();
        assert_eq!(solo.persist().verdict(), Some(Verdict::Granted));
        let sent_at = solo.now;
        let _ = solo.time_out();
        let waited = solo.now.saturating_since(sent_at);
        assert!((T..2 * T).contains(&waited), "{waited:?}: the vote has just left");
    }
}

#[test]
fn no_new_round_starts_while_the_own_vote_is_on_its_way_to_the_disk() {
    let mut solo = slow_plain(100 * T, 7);
    let _ = solo.time_out();
    for _ in 0..100 {
        let _ = solo.pass(T / 5).wake();
        assert_eq!((solo.role(), solo.term()), (RoleKind::Candidate, 1));
    }
    let _ = solo.persist();
    let _ = solo.time_out();
    assert_eq!((solo.role(), solo.term()), (RoleKind::Candidate, 2));
}

/// A candidate of term 1 among `n` whose round is over.
fn too_late(n: u64) -> Solo {
    let (mut solo, round) = pre_candidate(n);
    for id in 2..=n {
        let _ = solo.hears(NodeId(id), 0, says::pre_vote_answer(round, Verdict::Granted));
        if solo.role() == RoleKind::Candidate {
            break;
        }
    }
    let _ = solo.time_out();
    assert_eq!((solo.role(), solo.term()), (RoleKind::PreCandidate, 1));
    solo
}

#[test]
fn a_vote_that_comes_when_the_round_is_over_and_the_term_the_same_counts() {
    let mut solo = too_late(3);
    let _ = solo.hears(S2, 1, says::vote(Verdict::Granted));
    assert_eq!((solo.role(), solo.term()), (RoleKind::Leader, 1));
    // In the round after that too.
    let mut solo = too_late(3);
    let _ = solo.time_out();
    let _ = solo.hears(S3, 1, says::vote(Verdict::Granted));
    assert_eq!((solo.role(), solo.term()), (RoleKind::Leader, 1));
}

#[test]
fn votes_from_before_and_after_the_end_of_the_round_add_up_and_each_counts_once() {
    let mut solo = too_late(5);
    for _ in 0..2 {
        let _ = solo.hears(S2, 1, says::vote(Verdict::Granted));
        assert_eq!(solo.role(), RoleKind::PreCandidate, "two of five");
    }
    let refused = solo.hears(S4, 1, says::vote(Verdict::StaleLog)).ignored();
    assert_eq!((refused, solo.role()), (vec![IgnoreReason::Stale], RoleKind::PreCandidate));
    let _ = solo.time_out();
    let _ = solo.hears(S2, 1, says::vote(Verdict::Granted));
    assert_eq!(solo.role(), RoleKind::PreCandidate, "two of five still");
    let _ = solo.hears(S3, 1, says::vote(Verdict::Granted));
    assert_eq!((solo.role(), solo.term()), (RoleKind::Leader, 1));
}

#[test]
fn a_late_vote_does_not_count_after_a_restart() {
    let mut solo = too_late(3);
    solo.crash_and_restart();
    assert_eq!(solo.status().voted_for, Some(S1));
    let _ = solo.time_out();
    assert_eq!((solo.role(), solo.term()), (RoleKind::PreCandidate, 1));
    let late = solo.hears(S2, 1, says::vote(Verdict::Granted)).ignored();
    assert_eq!((late, solo.role()), (vec![IgnoreReason::Stale], RoleKind::PreCandidate));
}

#[test]
fn who_has_led_a_term_does_not_lead_it_again() {
    let mut solo = Solo::of(3);
    let _ = solo.elect();
    while solo.role() != RoleKind::PreCandidate {
        let _ = solo.time_out();
    }
    assert_eq!(solo.term(), 1, "it heard nobody");
    let late = solo.hears(S3, 1, says::vote(Verdict::Granted)).ignored();
    assert_eq!((late, solo.role()), (vec![IgnoreReason::Stale], RoleKind::PreCandidate));
}

// Lost messages.

#[test]
fn who_has_not_answered_a_pre_vote_is_asked_again_at_each_heartbeat() {
    let (mut solo, round) = pre_candidate(5);
    let _ = solo.hears(S3, 0, says::pre_vote_answer(round, Verdict::StaleLog));
    let _ = solo.hears(S2, 0, says::pre_vote_answer(round, Verdict::Granted));
    for _ in 0..3 {
        let since = solo.now;
        let again = solo.next_deadline();
        assert_eq!(solo.now.saturating_since(since), solo.node.config().heartbeat_interval);
        assert_eq!(asked_pre_vote(&again), [S4, NodeId(5)], "who said nothing");
        assert_eq!(again.pre_vote_round(), Some(round), "the same question");
    }
}

#[test]
fn who_has_not_answered_a_vote_request_is_asked_again_at_each_heartbeat() {
    for protection in [Protection::Plain, Protection::Full] {
        let mut solo = Setup::of(voters(&[1, 2, 3, 4, 5])).protection(protection).start();
        let mut asks = solo.time_out();
        if let Some(round) = asks.pre_vote_round() {
            let _ = solo.hears(S2, 0, says::pre_vote_answer(round, Verdict::Granted));
            asks = solo.hears(S3, 0, says::pre_vote_answer(round, Verdict::Granted));
        }
        assert_eq!(asked_vote(&asks).len(), 4);
        let _ = solo.hears(S2, 1, says::vote(Verdict::Granted));
        let _ = solo.hears(S4, 1, says::vote(Verdict::AlreadyVoted));
        for _ in 0..3 {
            let since = solo.now;
            let again = solo.next_deadline();
            assert_eq!(solo.now.saturating_since(since), solo.node.config().heartbeat_interval);
            assert_eq!(asked_vote(&again), [S3, NodeId(5)], "{protection:?}");
        }
    }
}

#[test]
fn without_leases_would_be_votes_are_asked_for_once() {
    let mut solo = Setup::of(voters(&[1, 2, 3])).protection(Protection::PreVote).start();
    let round = solo.time_out().pre_vote_round();
    let since = solo.now;
    let next = loop {
        let actions = solo.next_deadline();
        if !actions.is_empty() {
            break actions;
        }
    };
    assert!(next.pre_vote_round() > round, "a new round");
    assert!(solo.now.saturating_since(since) >= T);
}

#[test]
fn a_repeated_request_changes_nothing_at_its_receiver() {
    let mut solo = Solo::of(3);
    for (message, term) in [
        (says::pre_vote(says::START), 0),
        (says::request_vote(says::START), 1),
        (says::pre_vote(says::START), 1),
    ] {
        let first = solo.hears(S2, term, message.clone());
        let before = solo.node.clone();
        let again = solo.hears(S2, term, message);
        assert_eq!((again.sent(), &solo.node), (first.sent(), &before), "answered alike");
        let timer = before.deadline();
        let _ = solo.pass(ms(10)).hears(S2, 1, says::request_vote(says::START));
        assert!(term == 0 || solo.node.deadline() == timer, "later too");
    }
}

#[test]
fn a_refusal_withdraws_a_pre_vote_of_the_same_round_for_good() {
    let (mut solo, round) = pre_candidate(5);
    let say = |solo: &mut Solo, from, verdict| {
        solo.hears(from, 0, says::pre_vote_answer(round, verdict)).ignored()
    };
    assert_eq!(say(&mut solo, S2, Verdict::Granted), []);
    assert_eq!(say(&mut solo, S2, Verdict::LeaderAlive), []);
    assert_eq!(say(&mut solo, S3, Verdict::Granted), []);
    assert_eq!(solo.role(), RoleKind::PreCandidate, "S2 has heard a leader since");
    assert_eq!(say(&mut solo, S2, Verdict::Granted), [IgnoreReason::Stale], "said before that");
    assert_eq!(solo.role(), RoleKind::PreCandidate);
    assert_eq!(say(&mut solo, S4, Verdict::Granted), []);
    assert_eq!(solo.role(), RoleKind::Candidate);
}

#[test]
fn pre_votes_older_than_half_of_t_do_not_count_and_are_asked_for_again() {
    let (mut solo, round) = pre_candidate(5);
    let yes = || says::pre_vote_answer(round, Verdict::Granted);
    let _ = solo.hears(S2, 0, yes());
    let _ = solo.pass(just_under(T / 2));
    let mut in_time = solo.clone();
    let _ = in_time.hears(S3, 0, yes());
    assert_eq!(in_time.role(), RoleKind::Candidate);
    let _ = solo.pass(NS).hears(S3, 0, yes());
    assert_eq!(solo.role(), RoleKind::PreCandidate, "two moments are no quorum");
    let again = solo.wake();
    assert_eq!(asked_pre_vote(&again), [S2, S4, NodeId(5)]);
    let _ = solo.hears(S2, 0, yes());
    assert_eq!(solo.role(), RoleKind::Candidate);
}

#[test]
fn a_lone_voter_that_led_and_steps_down_campaigns_again() {
    let mut solo = Setup::of(voters(&[1])).start();
    while solo.role() != RoleKind::Leader {
        let _ = solo.next_deadline();
    }
    let change = |target| Input::ChangeMembership { token: Token(1), target };
    let _ = solo.step(change(joint(&[1], &[], &[2])));
    let last = solo.status().last.index.get();
    let _ = solo.time_out_heartbeat();
    let echo = solo.newest_echo(S2);
    let _ = solo.hears(S2, 1, says::matched(last, echo));
    assert!(solo.step(change(voters(&[1, 2]))).accepted().is_some());
    // S2 is silent from now on: no quorum, and nobody but S1 to ask for one.
    let since = solo.now;
    while solo.now.saturating_since(since) < 10 * T {
        let _ = solo.next_deadline();
    }
    assert_eq!(solo.role(), RoleKind::PreCandidate);
}
