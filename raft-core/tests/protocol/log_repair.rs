//! How two logs that have parted become one again: by runs of terms, not by entries (Raft paper,
//! 5.3).

use crate::common::{S1, S2, S3, Setup, Solo, at, joint, says, voters};
use raft_core::{
    AppendEntries, AppendOutcome, Entries, Envelope, LogIndex, LogPosition, Message, Run, Term,
    TermSpan,
};

/// A leader and a follower with these runs `(term, entries)` in their logs. After how many
/// round trips the two logs are the same.
fn round_trips_to_repair(leader: &[(u64, u64)], follower: &[(u64, u64)]) -> usize {
    let start = |runs: &[(u64, u64)]| {
        let mut setup = Setup::of(voters(&[1, 2, 3]));
        setup.recovered.entries = runs
            .iter()
            .map(|(term, count)| Run::Commands { term: Term(*term), count: *count })
            .collect();
        setup.term(runs.last().map_or(0, |(term, _)| *term))
    };
    let latest = |runs: &[(u64, u64)]| runs.last().map_or(0, |(term, _)| *term);
    let term = latest(leader).max(latest(follower));
    let mut follower = start(follower).id(S2).term(term).start();
    let mut leader =
        start(leader).term(term).config(|config| config.max_entries_per_message = 1 << 40).start();
    let mut to_follower = leader.elect().appends_to(S2);
    let mut round_trips = 0;
    while follower.status().last != leader.status().last {
        round_trips += 1;
        let mut next = Vec::new();
        for m in to_follower {
            let term = leader.term();
            let answer = follower.hears(leader.id(), term, Message::AppendEntries(m));
            for message in answer.sent_to(leader.id()) {
                next.extend(leader.hears(S2, term, message).appends_to(S2));
            }
        }
        to_follower = next;
        assert!(!to_follower.is_empty() || follower.status().last == leader.status().last);
    }
    round_trips
}

#[test]
fn a_conflict_is_found_in_one_round_trip_whatever_the_number_of_entries() {
    let common = (1, 10);
    assert_eq!(round_trips_to_repair(&[common, (3, 5)], &[common, (2, 1_000_000)]), 2);
    assert_eq!(round_trips_to_repair(&[common, (3, 1_000_000)], &[common]), 2);
    assert_eq!(round_trips_to_repair(&[common, (3, 5)], &[(1, 3), (2, 1_000_000)]), 2);
    assert_eq!(round_trips_to_repair(&[common, (3, 5)], &[]), 2);
    assert_eq!(round_trips_to_repair(&[common, (3, 5)], &[common, (3, 5)]), 1);
}

#[test]
fn a_thousand_divergent_terms_are_repaired_in_twelve_round_trips() {
    let terms = |from: u64, step: usize| (from..2010).step_by(step).map(|t| (t, 3)).take(1000);
    let with_one = |runs: Vec<(u64, u64)>| [vec![(1, 10)], runs].concat();
    let one_late = with_one(vec![(2010, 1)]);
    let thousand = with_one(terms(2, 1).collect());
    let (odd, even) = (with_one(terms(3, 2).collect()), with_one(terms(2, 2).collect()));
    for (what, leader, follower) in [
        ("only the follower has them", &one_late, &thousand),
        ("only the leader has them", &thousand, &with_one(vec![(2, 1)])),
        ("each has a thousand of its own", &odd, &even),
        ("each has a thousand of its own", &even, &odd),
    ] {
        let round_trips = round_trips_to_repair(leader, follower);
        assert!(round_trips <= 12, "{what}: {round_trips}");
    }
}

#[test]
fn a_rejection_names_what_it_rejects_and_what_the_log_holds_there() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 2, 4, 4]).start();
    let hint_at = |node: &mut Solo, prev: LogPosition| match node
        .hears(S2, 6, says::heartbeat(1, prev))
        .answer()
        .expect("an answer")
        .outcome
    {
        AppendOutcome::Mismatched { rejected, hint } if rejected == prev => hint,
        other => panic!("{other:?}"),
    };
    let span = |term, first, last| TermSpan {
        term: Term(term),
        first: LogIndex(first),
        last: LogIndex(last),
    };
    let all = [span(4, 4, 5), span(2, 3, 3), span(1, 1, 2)];
    assert_eq!(hint_at(&mut node, at(5, 9)), all, "the log ends before");
    assert_eq!(hint_at(&mut node, at(3, 4)), [span(4, 4, 4), span(2, 3, 3), span(1, 1, 2)]);
}

#[test]
fn a_rejection_echoes_the_probe_so_that_it_counts_as_a_sign_of_life() {
    let mut node = Solo::of(3);
    let rejection = node.hears(S2, 6, says::heartbeat(41, at(5, 9)));
    assert_eq!(rejection.echoed().map(|echo| echo.round.get()), Some(41));
}

#[test]
fn a_late_rejection_does_not_drag_the_next_index_back() {
    let mut leader = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 2, 2]).start();
    let first = leader.elect().appends_to(S2);
    assert_eq!(first[0].prev, at(2, 4));
    let rejection = says::mismatched(at(2, 4), &[(1, 1, 2)], says::echo(&first[0]));
    let second = leader.hears(S2, 3, rejection.clone()).appends_to(S2);
    assert_eq!((second[0].prev, second[0].last_position()), (at(1, 2), at(3, 5)));

    let late = leader.hears(S2, 3, rejection.clone());
    assert_eq!(late.ignored(), [raft_core::IgnoreReason::Stale], "while it probes");
    let _ = leader.hears(S2, 3, says::matched(5, says::echo(&second[0])));
    let before = leader.clone();
    let late = leader.hears(S2, 3, rejection);
    assert_eq!(late.ignored(), [raft_core::IgnoreReason::Stale], "while it replicates");
    assert_eq!(leader.node, before.node);
}

#[test]
fn a_rejection_counts_once() {
    let mut leader = Solo::leader_of(3);
    let _ = leader.propose(5);
    let beat = leader.time_out_heartbeat().appends_to(S2);
    let rejection = says::mismatched(at(1, 6), &[(1, 1, 1)], says::echo(&beat[0]));
    let again = leader.hears(S2, 1, rejection.clone()).appends_to(S2);
    assert_eq!((again[0].prev, again[0].last_position()), (at(1, 1), at(1, 6)));
    // It matches now, and the entries are on their way to its disk.
    let _ = leader.hears(S2, 1, says::matched(1, says::echo(&again[0])));
    let twice = leader.hears(S2, 1, rejection);
    assert_eq!(twice.ignored(), [raft_core::IgnoreReason::Stale]);
    assert_eq!(twice.appends_to(S2), []);
}

#[test]
fn a_rejection_of_a_node_that_has_seen_nothing_of_this_leadership_proves_nothing() {
    let mut leader = Setup::of(voters(&[1, 2, 3])).log(&[1]).start();
    let _ = leader.elect();
    let message = says::mismatched(at(1, 1), &[], None);
    let answer = leader.step(Envelope { from: S2, to: S1, term: Term(2), message });
    assert_eq!(answer.ignored(), [raft_core::IgnoreReason::Stale]);
}

#[test]
fn nothing_below_what_a_peer_has_acknowledged_is_sent_again() {
    let mut leader = Solo::leader_of(3);
    let _ = leader.propose(5);
    let _ = leader.hears(S2, 1, says::matched(4, None));
    let beat = leader.time_out_heartbeat().appends_to(S2);
    let absurd = says::mismatched(at(1, 6), &[], says::echo(&beat[0]));
    let again = leader.hears(S2, 1, absurd).appends_to(S2);
    assert_eq!(again[0].prev, at(1, 4));
}

#[test]
fn only_what_is_in_conflict_is_dropped_and_written_again() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 2, 2, 2]).start();
    let heard = node.hears(S2, 3, says::appends(1, at(1, 1), &[1, 2, 3]));
    let log = heard.writes()[0].log.clone().expect("a change of the log");
    assert_eq!((log.first, log.last_index()), (LogIndex(4), LogIndex(4)));
    assert_eq!(node.status().last, at(3, 4));
}

#[test]
fn a_membership_is_in_force_when_appended_and_undone_when_dropped() {
    let (old, new) = (voters(&[1, 2, 3]), joint(&[1, 2, 4], &[], &[3]));
    let mut node = Setup::of(old.clone()).start();
    let change = Run::Membership { term: Term(1), membership: Box::new(new.clone()) };
    let entries: Entries =
        [Run::Commands { term: Term(1), count: 1 }, change].into_iter().collect();
    let m = AppendEntries { entries, ..says::append(1, says::START, &[]) };
    let _ = node.hears(S2, 1, Message::AppendEntries(m));
    assert_eq!(node.node.membership(), &new);
    let _ = node.hears(S3, 2, says::appends(1, at(1, 1), &[2]));
    assert_eq!(node.node.membership(), &old);
}
