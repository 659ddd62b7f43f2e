//! How entries get from a proposal to every state machine (Raft paper, 5.3 and 5.4; thesis,
//! 10.2.1).

use crate::common::cluster::Cluster;
use crate::common::{Actions, S1, S2, S3, Setup, Solo, T, at, joint, ms, says, voters};
use raft_core::{
    Action, AppendEntries, AppendOutcome, Entries, Input, LogIndex, Message, NodeId, Protection,
    RejectReason, RoleKind, Run, Term, Token,
};

#[test]
fn n08_an_entry_of_an_earlier_term_is_not_committed_by_counting() {
    // Figure 8 of the Raft paper: a majority holds it, and it may still be replaced.
    let mut leader = Setup::of(voters(&[1, 2, 3])).log(&[1, 2]).start();
    let _ = leader.elect();
    let counted = leader.hears(S2, 3, says::matched(2, None));
    assert_eq!((leader.status().commit_index, counted.applied()), (LogIndex(0), vec![]));
    let own = leader.hears(S2, 3, says::matched(3, None));
    assert_eq!(own.applied(), [(1, at(1, 1)), (2, at(2, 2)), (3, at(3, 3))], "with its own entry");
}

#[test]
fn n09_without_client_writes_a_new_leader_still_gets_earlier_entries_applied() {
    let old = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]);
    let mut all = Cluster::start([1, 2, 3].map(|id| old.clone().id(NodeId(id))));
    all.elect(S2);
    for (id, applied) in &all.applied {
        assert_eq!(applied, &[(1, at(1, 2)), (3, at(2, 3))], "{id:?}");
    }
}

#[test]
fn n09_the_first_entry_of_a_leader_is_the_membership() {
    let mut leader = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).start();
    let first = leader.elect().appends_to(S2);
    assert_eq!(first[0].prev, at(1, 2));
    let membership = Run::Membership { term: Term(2), membership: Box::new(voters(&[1, 2, 3])) };
    assert_eq!(first[0].entries, [membership].into_iter().collect());
}

#[test]
fn a_proposal_gets_the_next_positions_and_is_sent_to_everybody() {
    let mut leader = Solo::leader_of(3);
    let proposed = leader.propose(3);
    assert_eq!(proposed.accepted(), Some((at(1, 2), 3)));
    for peer in [S2, S3] {
        let sent = proposed.appends_to(peer);
        assert_eq!((sent.len(), sent[0].prev, sent[0].last_position()), (1, at(1, 1), at(1, 4)));
    }
}

#[test]
fn an_entry_is_committed_when_a_majority_holds_it() {
    let mut leader = Solo::leader_of(5);
    let _ = leader.propose(1);
    let first = leader.hears(S2, 1, says::matched(2, None));
    assert_eq!(first.applied(), [], "two of five");
    let twice = leader.hears(S2, 1, says::matched(2, None));
    assert_eq!(twice.applied(), [], "the same one twice");
    let second = leader.hears(S3, 1, says::matched(2, None));
    assert_eq!(second.applied(), [(2, at(1, 2))]);
}

#[test]
fn a_commit_needs_a_majority_of_both_halves_and_no_learner() {
    let mut leader = Setup::of(joint(&[1, 2, 3], &[1, 4, 5], &[6, 7])).start();
    let _ = leader.elect();
    for id in [2, 3, 6, 7] {
        let _ = leader.hears(NodeId(id), 1, says::matched(1, None));
    }
    assert_eq!(leader.status().commit_index, LogIndex(0));
    let _ = leader.hears(NodeId(5), 1, says::matched(1, None));
    assert_eq!(leader.status().commit_index, LogIndex(1));
}

#[test]
fn learners_receive_the_log() {
    let mut leader = Setup::of(joint(&[1, 2, 3], &[], &[9])).start();
    let sent = leader.elect();
    assert_eq!(sent.appends_to(NodeId(9)).len(), 1);
}

#[test]
fn six_messages_commit_one_proposal_on_three_nodes() {
    let mut all = Cluster::of(3, Protection::Full);
    all.elect(S1);
    let before = all.delivered;
    let _ = all.act(S1, |node| node.propose(1));
    all.deliver();
    assert!(all.nodes.values().all(|node| node.status().last_applied == LogIndex(2)));
    assert_eq!(all.delivered - before, 6, "two with the entry, two answers, two announcements");
}

#[test]
fn many_acknowledgements_in_one_call_give_one_announcement() {
    let mut leader = Solo::leader_of(3);
    for _ in 0..50 {
        let _ = leader.propose(1);
    }
    let acks = (2..=51).map(|index| {
        let message = says::having_seen(says::matched(index, None), leader.newest_round(S2));
        Input::Message(raft_core::Envelope { from: S2, to: S1, term: Term(1), message })
    });
    let settled = leader.step_all(acks.collect::<Vec<_>>());
    assert_eq!(settled.applied(), [(2, at(1, 51))]);
    assert_eq!((settled.appends_to(S2).len(), settled.appends_to(S3).len()), (1, 1));
}

#[test]
fn many_proposals_in_one_call_give_one_write_and_one_message_to_each() {
    let mut leader = Solo::leader_of(3);
    let proposals = (0..50).map(|n| Input::Propose { token: Token(n), count: 2 });
    let actions = leader.step_all(proposals);
    assert_eq!(actions.writes().len(), 1);
    let sent = actions.appends_to(S2);
    assert_eq!((sent.len(), sent[0].entries.count()), (1, 100));
}

#[test]
fn the_announcement_of_a_commit_wants_no_answer_and_does_not_delay_the_heartbeat() {
    let mut leader = Solo::leader_of(3);
    let _ = leader.pass(ms(50)).propose(1);
    let heartbeat = leader.deadline();
    let announced = leader.pass(ms(20)).hears(S2, 1, says::matched(2, None));
    let news = &announced.appends_to(S2)[0];
    assert_eq!((news.commit, news.probe, news.entries.is_empty()), (LogIndex(2), None, true));
    assert_eq!(leader.deadline(), heartbeat);

    let mut follower = Solo::of(3);
    let _ = follower.hears(S2, 1, says::appends(1, says::START, &[1, 1]));
    let heard = follower.hears(S2, 1, Message::AppendEntries(news.clone()));
    assert_eq!((heard.applied(), heard.sent()), (vec![(1, at(1, 2))], vec![]));
}

#[test]
fn heartbeats_go_to_everybody_at_their_interval() {
    let mut leader = Solo::leader_of(3);
    for _ in 0..5 {
        let start = leader.now;
        let beat = leader.time_out();
        assert_eq!(leader.now.saturating_since(start), leader.node.config().heartbeat_interval);
        assert_eq!(beat.receivers(), [S2, S3]);
        assert!(beat.sent().iter().all(|e| says::is_question(&e.message)));
    }
}

#[test]
fn a_message_carries_no_more_entries_than_allowed() {
    let mut leader = led(|config| config.max_entries_per_message = 10);
    let sent = leader.propose(25).appends_to(S2);
    let counts: Vec<_> = sent.iter().map(|m| m.entries.count()).collect();
    assert_eq!(counts, [10, 10, 5]);
    assert!(sent.windows(2).all(|pair| pair[1].prev == pair[0].last_position()));
}

#[test]
fn a_window_bounds_what_is_on_its_way_to_a_peer() {
    let mut leader = led(|config| {
        config.max_entries_per_message = 10;
        config.max_messages_in_flight = 2;
    });
    assert_eq!(leader.propose(100).appends_to(S2).len(), 2, "the window is full");
    assert_eq!(leader.propose(5).appends_to(S2), []);
    let acknowledged = leader.hears(S2, 1, says::matched(11, None));
    let sent = acknowledged.appends_to(S2);
    let with_entries: Vec<_> = sent.iter().filter(|m| !m.entries.is_empty()).collect();
    assert_eq!(with_entries.len(), 1, "one has arrived, one may go");
    assert_eq!(with_entries[0].prev, at(1, 21));
}

#[test]
fn a_peer_whose_log_is_not_known_gets_one_message_at_a_time() {
    let mut leader = Solo::of(3);
    assert_eq!(leader.elect().appends_to(S2).len(), 1);
    assert_eq!(leader.propose(1).appends_to(S2), []);
    let met = leader.hears(S2, 1, says::matched(1, None));
    assert_eq!(met.appends_to(S2)[0].last_position(), at(1, 2), "from here on it flows");
}

#[test]
fn a_lost_message_is_found_by_the_next_heartbeat_and_sent_again() {
    let mut leader = Solo::leader_of(3);
    let lost = leader.propose(1);
    assert_eq!(lost.appends_to(S2)[0].last_position(), at(1, 2));
    let beat = leader.time_out_heartbeat().appends_to(S2);
    assert_eq!((beat[0].prev, beat[0].entries.is_empty()), (at(1, 2), true));
    let answer = says::mismatched(at(1, 2), &[(1, 1, 1)], says::echo(&beat[0]));
    let again = leader.hears(S2, 1, answer).appends_to(S2);
    assert_eq!((again[0].prev, again[0].last_position()), (at(1, 1), at(1, 2)));
}

#[test]
fn too_many_uncommitted_entries_are_refused() {
    let mut leader = led(|config| config.max_uncommitted = 10);
    assert_eq!(leader.propose(11).rejected(), [RejectReason::TooManyUncommitted { waiting: 0 }]);
    assert_eq!(leader.propose(8).rejected(), []);
    assert_eq!(leader.propose(3).rejected(), [RejectReason::TooManyUncommitted { waiting: 8 }]);
    assert_eq!(leader.propose(2).rejected(), []);
    let _ = leader.hears(S2, 1, says::matched(5, None));
    assert_eq!(leader.propose(4).rejected(), [], "four are committed");
}

#[test]
fn who_does_not_lead_names_the_leader() {
    let mut node = Solo::of(3);
    assert_eq!(node.propose(1).rejected(), [RejectReason::NotLeader { leader: None }]);
    let _ = node.hears(S2, 1, says::hello(1));
    assert_eq!(node.propose(1).rejected(), [RejectReason::NotLeader { leader: Some(S2) }]);
    let _ = node.time_out();
    assert_eq!(node.role(), RoleKind::PreCandidate);
    assert_eq!(node.propose(1).rejected(), [RejectReason::NotLeader { leader: None }]);
}

#[test]
fn a_proposal_of_nothing_or_of_too_much_is_refused() {
    let mut leader = led(|config| config.max_uncommitted = 1 << 62);
    // One entry is there, and three stay free for the leader's own.
    let most = (1 << 62) - 1 - 3;
    for count in [0, most + 2, u64::MAX] {
        assert_eq!(leader.propose(count).rejected(), [RejectReason::BadCount { count }]);
    }
    // As much as an empty log takes, but not this one.
    assert_eq!(leader.propose(most + 1).rejected(), [RejectReason::LogFull]);
    assert_eq!(leader.propose(most).rejected(), [], "up to the end of the log");
}

#[test]
fn late_duplicated_and_reordered_appends_drop_nothing() {
    let mut node = Solo::of(3);
    let all = |round| says::appends(round, says::START, &[1, 1, 1, 1, 1]);
    let _ = node.hears(S2, 1, all(1));
    let old = [
        says::appends(2, says::START, &[1]),
        says::appends(3, at(1, 2), &[1, 1]),
        all(4),
        says::heartbeat(5, at(1, 3)),
    ];
    for message in old {
        let heard = node.hears(S2, 1, message);
        assert_eq!((heard.writes(), node.status().last), (vec![], at(1, 5)));
        assert!(heard.answer().is_some(), "it is answered all the same");
    }
    let overlapping = node.hears(S2, 1, says::appends(6, at(1, 3), &[1, 1, 1]));
    assert_eq!(overlapping.writes()[0].log.as_ref().map(|log| log.first), Some(LogIndex(6)));
}

#[test]
fn what_a_follower_takes_as_committed_is_bounded_by_what_it_knows_to_match() {
    // Its entries 2 and 3 are of a leader that is gone; the new one has other ones there.
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 2, 2]).start();
    let m = AppendEntries { commit: LogIndex(3), ..says::append(1, at(1, 1), &[]) };
    let heard = node.hears(S2, 3, Message::AppendEntries(m));
    assert_eq!(heard.applied(), [(1, at(1, 1))]);
    assert_eq!(node.status().commit_index, LogIndex(1));
}

#[test]
fn the_commit_index_never_goes_back() {
    let mut node = Solo::of(3);
    let m = AppendEntries { commit: LogIndex(2), ..says::append(1, says::START, &[1, 1, 1]) };
    let _ = node.hears(S2, 1, Message::AppendEntries(m));
    let _ = node.hears(S2, 1, says::heartbeat(2, at(1, 3)));
    assert_eq!(node.status().commit_index, LogIndex(2));
}

#[test]
fn each_range_to_apply_is_of_one_term_and_they_join() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 2, 5, 5]).start();
    let commit = |commit| {
        let m = says::append(commit, at(5, 5), &[]);
        Message::AppendEntries(AppendEntries { commit: LogIndex(commit), ..m })
    };
    assert_eq!(
        node.hears(S2, 6, commit(4)).applied(),
        [(1, at(1, 2)), (3, at(2, 3)), (4, at(5, 4))]
    );
    assert_eq!(node.hears(S2, 6, commit(5)).applied(), [(5, at(5, 5))]);
}

#[test]
fn a_message_is_split_by_the_number_of_entries_not_of_runs() {
    let m = says::append(1, at(1, 4), &[1, 1, 2, 2, 2]);
    let (head, tail) = m.split_at(3);
    assert_eq!((head.prev, head.last_position()), (at(1, 4), at(2, 7)));
    assert_eq!((tail.prev, tail.last_position()), (at(2, 7), at(2, 9)));
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 1, 1]).start();
    for part in [tail.clone(), head, tail] {
        let _ = node.hears(S2, 2, Message::AppendEntries(part));
    }
    assert_eq!(node.status().last, at(2, 9), "each half is a valid message, in any order");
}

#[test]
fn an_answer_of_a_node_that_this_leader_does_not_know_is_ignored() {
    let mut leader = Solo::leader_of(3);
    let _ = leader.propose(1);
    let stranger = leader.hears(NodeId(77), 1, says::matched(2, None));
    assert_eq!(stranger.ignored(), [raft_core::IgnoreReason::UnknownPeer]);
    assert_eq!(leader.status().commit_index, LogIndex(1));
}

#[test]
fn actions_stand_in_an_order_in_which_they_may_be_carried_out() {
    let mut leader = Setup::of(voters(&[1, 2, 3])).slow_disk().start();
    let kind = |action: &Action| match action {
        Action::Accepted { .. } | Action::Rejected { .. } => 0,
        Action::Persist(_) => 1,
        Action::Send(_) => 2,
        Action::Apply { .. } => 3,
        _ => 4,
    };
    let mut seen = Vec::new();
    let mut note = |actions: &Actions| {
        let kinds: Vec<_> = actions.0.iter().map(kind).collect();
        assert!(kinds.is_sorted(), "{actions:?}");
        seen.extend(kinds);
    };
    let round = leader.time_out().pre_vote_round().expect("asked");
    note(&leader.hears(S2, 0, says::pre_vote_answer(round, raft_core::Verdict::Granted)));
    note(&leader.persist());
    note(&leader.hears(S2, 1, says::vote(raft_core::Verdict::Granted)));
    note(&leader.persist());
    note(&leader.hears(S2, 1, says::matched(1, None)));
    note(&leader.propose(2));
    note(&leader.persist());
    note(&leader.hears(S2, 1, says::matched(3, None)));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [0, 1, 2, 3, 4], "the test has seen all of them");
}

#[test]
fn the_fate_of_a_position_is_said_only_when_it_is_certain() {
    use raft_core::Fate::{Committed, Lost, Open, Unknown};
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 2, 2]).start();
    assert_eq!(node.node.fate(at(2, 3)), Open);
    // Another leader drops it here: another node may still commit it.
    let _ = node.hears(S2, 3, says::appends(1, at(1, 1), &[3]));
    assert_eq!(node.status().last, at(3, 2));
    assert_eq!((node.node.fate(at(2, 2)), node.node.fate(at(2, 3))), (Open, Open));
    let _ = node.hears(S2, 3, says::announcement(at(3, 2), 2));
    assert_eq!(node.node.fate(at(3, 2)), Committed);
    assert_eq!(node.node.fate(at(2, 2)), Lost, "another entry is committed at its index");
    assert_eq!(node.node.fate(at(2, 3)), Lost, "a later term is committed below it");
    assert_eq!(node.node.fate(at(3, 3)), Open);
    assert_eq!(node.node.fate(at(0, 0)), Unknown);
}

#[test]
fn an_empty_message_is_no_entry() {
    let mut node = Solo::of(3);
    let m = AppendEntries { entries: Entries::new(), ..says::append(1, says::START, &[]) };
    let answer = node.hears(S2, 1, Message::AppendEntries(m)).answer().expect("a heartbeat");
    assert_eq!(answer.outcome, AppendOutcome::Matched { match_index: LogIndex(0) });
    assert_eq!(node.status().last, at(0, 0));
    let _ = node.pass(T);
}

/// S1 of three leads term 1, with another configuration.
fn led(change: impl FnOnce(&mut raft_core::Config)) -> Solo {
    let mut leader = Setup::of(voters(&[1, 2, 3])).config(change).start();
    let _ = leader.elect();
    leader.everyone_acknowledges();
    leader
}
