//! What a node may find on its disk when it starts, and what cannot have come from a crash.

use crate::common::{S1, S2, S3, Setup, Solo, T, at, commands, says, voters};
use core::time::Duration;
use proptest::prelude::*;
use raft_core::{
    Config, EntriesError, Instant, LogIndex, Node, NodeId, Recovered, RecoveryError, StartError,
    Term,
};

/// Something that makes a follower write.
#[derive(Clone, Debug)]
enum Deed {
    /// A leader of the next term, or of the same, appends after a place that it shares.
    Append { new_leader: bool, shared: usize, count: usize },
    /// A candidate of the next term gets the vote.
    Vote,
    /// The oldest write becomes durable.
    Complete,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let append = (any::<bool>(), 0_usize..4, 1_usize..4)
        .prop_map(|(new_leader, shared, count)| Deed::Append { new_leader, shared, count });
    prop::collection::vec(
        prop_oneof![4 => append, 1 => Just(Deed::Vote), 1 => Just(Deed::Complete)],
        1..12,
    )
}

/// The terms of the entries of the node's log, as the test knows them.
fn carry_out(node: &mut Solo, log: &mut Vec<u64>, deed: &Deed) {
    let position = |log: &[u64], index: usize| match index {
        0 => says::START,
        _ => at(log[index - 1], u64::try_from(index).expect("short")),
    };
    match deed {
        Deed::Append { new_leader, shared, count } => {
            let fresh = *new_leader || node.status().leader.is_none();
            let shared = if fresh { log.len().saturating_sub(*shared) } else { log.len() };
            let term = node.term() + u64::from(fresh);
            let prev = position(log, shared);
            let _ = node.hears(S2, term, says::appends(term, prev, &vec![term; *count]));
            log.truncate(shared);
            log.extend(vec![term; *count]);
        }
        Deed::Vote => {
            let _ = node.pass(2 * T);
            let last = position(log, log.len());
            let _ = node.hears(S3, node.term() + 1, says::request_vote(last));
        }
        Deed::Complete if !node.disk.in_flight().is_empty() => {
            let _ = node.persist_first(1);
        }
        Deed::Complete => {}
    }
}

proptest! {
    #[test]
    fn every_state_that_a_crash_may_leave_is_accepted(deeds in deeds()) {
        let mut node = Setup::of(voters(&[1, 2, 3])).slow_disk().start();
        let mut log = Vec::new();
        for deed in deeds {
            carry_out(&mut node, &mut log, &deed);
            prop_assert_eq!(node.status().last.index.get(), log.len() as u64);
            for state in node.disk.after_a_crash() {
                let last = state.entries.last_position(state.prev);
                let again = Node::new(Config::new(S1, 8), state.clone(), node.now);
                let again = again.map_err(|e| TestCaseError::fail(format!("{e}: {state:?}")))?;
                prop_assert_eq!(again.check(), Ok(()));
                prop_assert_eq!(again.status().last, last, "the whole log is taken over");
                prop_assert_eq!(again.status().durable_hard_state, state.hard_state);
            }
        }
    }
}

#[test]
fn what_was_durable_is_there_after_a_crash_and_what_was_not_is_gone() {
    let mut node = Setup::of(voters(&[1, 2, 3])).slow_disk().start();
    let _ = node.hears(S2, 1, says::appends(1, says::START, &[1, 1]));
    let _ = node.persist();
    let _ = node.hears(S2, 1, says::appends(2, at(1, 2), &[1, 1]));
    assert_eq!(node.status().last, at(1, 4));
    node.crash_and_restart();
    assert_eq!((node.status().last, node.term()), (at(1, 2), 1));
    assert_eq!(node.status().commit_index, LogIndex(0), "what is committed is learnt again");
}

fn start(recovered: Recovered) -> Result<Node, StartError> {
    Node::new(Config::new(S1, 7), recovered, Instant::ZERO)
}

/// In term 3, with one command of each of these terms after `prev`, and nothing else.
fn recovered(terms: &[u64]) -> Recovered {
    let mut state = Recovered::fresh(voters(&[1, 2, 3]));
    state.hard_state.current_term = Term(3);
    state.entries = commands(terms);
    state
}

#[test]
fn states_that_no_crash_can_have_left_are_refused_by_name() {
    type Spoil = fn(&mut Recovered);
    let cases: [(&str, Spoil, RecoveryError); 14] = [
        (
            "the log is ahead of the term",
            |s| s.hard_state.current_term = Term(1),
            RecoveryError::Log(EntriesError::TermAboveCurrent { term: Term(2), current: Term(1) }),
        ),
        (
            "terms decrease",
            |s| s.entries = commands(&[2, 1]),
            RecoveryError::Log(EntriesError::DecreasingTerm { after: LogIndex(1) }),
        ),
        (
            "an entry of term 0",
            |s| s.entries = commands(&[0]),
            RecoveryError::Log(EntriesError::DecreasingTerm { after: LogIndex(0) }),
        ),
        (
            "a gap after the snapshot",
            |s| s.prev = at(1, 5),
            RecoveryError::Gap { log_starts_after: LogIndex(5), snapshot: LogIndex(0) },
        ),
        (
            "a snapshot above the term",
            |s| s.snapshot.position = at(9, 2),
            RecoveryError::SnapshotAboveTerm { snapshot: Term(9), current: Term(3) },
        ),
        (
            "applied beyond the log",
            |s| s.applied = LogIndex(3),
            RecoveryError::AppliedBeyondLog { applied: LogIndex(3), last: LogIndex(2) },
        ),
        (
            "a vote in term 0",
            |s| {
                s.entries = commands(&[]);
                s.hard_state.current_term = Term(0);
                s.hard_state.voted_for = Some(S2);
            },
            RecoveryError::HardStateOutOfRange,
        ),
        (
            "a term that no message and no election leads to",
            |s| s.hard_state.current_term = Term(u64::MAX),
            RecoveryError::HardStateOutOfRange,
        ),
        (
            "a vote for nobody that can be",
            |s| s.hard_state.voted_for = Some(NodeId(u64::MAX)),
            RecoveryError::HardStateOutOfRange,
        ),
        (
            "a promise of a year",
            |s| s.hard_state.promised = 365 * Duration::from_secs(86400),
            RecoveryError::HardStateOutOfRange,
        ),
        (
            "an index without a term",
            |s| s.snapshot.position = at(0, 2),
            RecoveryError::ImpossibleSnapshot(at(0, 2)),
        ),
        (
            "a term without an index",
            |s| s.prev = at(1, 0),
            RecoveryError::ImpossibleSnapshot(at(1, 0)),
        ),
        (
            "a snapshot beyond the limit",
            |s| s.snapshot.position = at(1, (1 << 62) + 1),
            RecoveryError::ImpossibleSnapshot(at(1, (1 << 62) + 1)),
        ),
        (
            "an empty run",
            |s| s.entries.push(raft_core::Run::Commands { term: Term(3), count: 0 }),
            RecoveryError::Log(EntriesError::EmptyRun),
        ),
    ];
    for (what, spoil, error) in cases {
        let mut state = recovered(&[1, 2]);
        assert!(start(state.clone()).is_ok());
        spoil(&mut state);
        assert_eq!(start(state).err(), Some(StartError::Recovery(error)), "{what}");
    }
}

#[test]
fn a_log_that_reaches_beyond_the_snapshot_goes_on_after_it() {
    let mut state = recovered(&[1, 1, 2, 3]);
    state.snapshot.position = at(1, 2);
    let node = start(state).expect("a valid state");
    assert_eq!((node.status().last, node.status().last_applied), (at(3, 4), LogIndex(2)));
    assert_eq!(node.check(), Ok(()));
}

#[test]
fn a_log_that_is_older_than_the_snapshot_or_contradicts_it_is_dropped() {
    let cases = [("older", at(3, 9)), ("another term", at(2, 2))];
    for (what, position) in cases {
        let mut state = recovered(&[1, 1, 1, 1]);
        state.snapshot.position = position;
        let node = start(state).expect("a valid state");
        assert_eq!(node.status().last, position, "{what}");
        assert_eq!(node.status().commit_index, position.index, "{what}");
    }
}

#[test]
fn the_invariants_hold_from_the_start_beside_a_log_that_contradicts_the_snapshot() {
    let mut state = recovered(&[1, 1, 1, 1]);
    state.snapshot.position = at(2, 2);
    assert_eq!(start(state).expect("a valid state").check(), Ok(()));
}

#[test]
fn what_the_state_machine_has_applied_is_not_applied_again() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 1, 1]);
    node.recovered.applied = LogIndex(2);
    let mut node = node.start();
    assert_eq!(node.status().commit_index, LogIndex(2), "what was applied was committed");
    let m = raft_core::AppendEntries { commit: LogIndex(4), ..says::append(1, at(1, 4), &[]) };
    let heard = node.hears(S2, 1, raft_core::Message::AppendEntries(m));
    assert_eq!(heard.applied(), [(3, at(1, 4))]);
}

#[test]
fn a_restarted_node_is_a_follower_of_nobody_in_the_term_it_knew() {
    let mut leader = Solo::leader_of(3);
    leader.crash_and_restart();
    assert_eq!(leader.role(), raft_core::RoleKind::Follower);
    assert_eq!((leader.term(), leader.status().leader), (1, None), "leadership never survives");
    assert_eq!(leader.status().voted_for, Some(S1));
}

#[test]
fn a_life_uses_none_of_the_tickets_and_rounds_of_another() {
    let mut node = Setup::of(voters(&[1, 2, 3])).slow_disk().start();
    let first_round = node.time_out().pre_vote_round();
    let first_ticket = node.hears(S2, 1, says::hello(1)).writes()[0].ticket;
    node.crash_and_restart();
    let second_round = node.time_out().pre_vote_round();
    let second_ticket = node.hears(S2, 1, says::hello(1)).writes()[0].ticket;
    assert_ne!(first_round, second_round);
    assert!(first_ticket.get().abs_diff(second_ticket.get()) > 1 << 32);
}

/// A crash between the installation of a snapshot and the removal of the log that it contradicts.
#[test]
fn entries_after_a_snapshot_that_contradicted_the_log_survive_the_next_crash() {
    let mut node =
        Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 1, 1]).term(3).snapshot(at(2, 2)).start();
    let answer = node.hears(S2, 3, says::bulk(at(2, 2), &[3, 3]));
    assert!(answer.answer().is_some(), "durable, and acknowledged");
    assert_eq!(node.status().last, at(3, 4));
    node.crash_and_restart();
    assert_eq!(node.status().last, at(3, 4));
}

#[test]
fn a_peer_that_is_behind_the_snapshot_does_not_end_the_leader() {
    let mut leader = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).snapshot(at(1, 2)).start();
    let question = &leader.elect().appends_to(S2)[0];
    let rejection = says::mismatched(question.prev, &[], says::echo(question));
    let _ = leader.hears(S2, 2, rejection);
    let _ = leader.time_out();
}
