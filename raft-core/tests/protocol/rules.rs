//! Rules that are easily lost: each is one condition in the code, and one test here.

use crate::common::{Actions, NS, S1, S2, S3, Setup, Solo, T, at, just_under, says, voters};
use raft_core::{
    Action, AppendEntries, AppendOutcome, Entries, Envelope, HardState, IgnoreReason, Input,
    InstallSnapshot, Instant, LogIndex, LogPosition, Membership, Message, Outcome, PeerPhase,
    Protection, RoleKind, Run, Snapshot, Term, Token, Verdict,
};

fn install(position: LogPosition) -> Message {
    let snapshot = Snapshot { position, membership: voters(&[1, 2, 3]) };
    Message::InstallSnapshot(InstallSnapshot { snapshot })
}

fn acknowledged(actions: &Actions) -> Option<u64> {
    match actions.answer()?.outcome {
        AppendOutcome::Matched { match_index } => Some(match_index.get()),
        _ => None,
    }
}

#[test]
fn a_leader_without_a_vote_that_handed_over_in_vain_steps_down_all_the_same() {
    let mut leader = Solo::leader_of(3);
    let target = voters(&[2, 3]);
    let change = leader.step(Input::ChangeMembership { token: Token(9), target: target.clone() });
    assert!(change.accepted().is_some());
    for (from, index) in [(S2, 2), (S3, 2), (S2, 3), (S3, 3)] {
        let _ = leader.hears(from, 1, says::matched(index, None));
    }
    assert_eq!((leader.node.membership(), leader.status().commit_index), (&target, LogIndex(3)));
    assert!(leader.status().transfers_to.is_some());

    // Both go on to answer, and neither takes over.
    let began = leader.now;
    while leader.role() == RoleKind::Leader {
        assert!(leader.now.saturating_since(began) <= T, "nobody asked it to stay");
        for envelope in leader.next_deadline().sent() {
            if let Message::AppendEntries(m) = &envelope.message {
                let _ = leader.hears(envelope.to, 1, says::matched(3, says::echo(m)));
            }
        }
    }
    assert_eq!(leader.now.saturating_since(began), T);
}

#[test]
fn what_an_earlier_life_promised_holds_under_a_lower_protection() {
    for protection in [Protection::PreVote, Protection::Plain] {
        let setup = Setup::of(voters(&[1, 2, 3])).protection(protection).term(3);
        let mut node = setup.hard_state(|state| state.promised = 2 * T).start();
        let ask = |node: &Solo| {
            let pre = node.clone().hears(S3, 9, says::pre_vote(at(8, 8))).pre_verdict();
            (pre, node.clone().hears(S3, 9, says::request_vote(at(8, 8))).verdict())
        };
        let both = |verdict| (Some(verdict), Some(verdict));
        node.now = Instant::ZERO.saturating_add(just_under(2 * T));
        assert_eq!(ask(&node), both(Verdict::LeaderAlive), "{protection:?}");
        node.now = Instant::ZERO.saturating_add(2 * T);
        assert_eq!(ask(&node), both(Verdict::Granted), "{protection:?}");
    }
}

#[test]
fn an_older_echo_does_not_make_a_peer_unheard() {
    let mut leader = Solo::leader_of(3);
    let [older, newer] = [(); 2].map(|()| leader.time_out_heartbeat().appends_to(S2).remove(0));
    let (older, newer) = (says::echo(&older), says::echo(&newer));
    let heard_at = |leader: &Solo| leader.node.peers().next().expect("S2").heard_at;
    for echo in [newer, older] {
        let _ = leader.hears(S2, 1, says::matched(1, echo));
        assert_eq!(heard_at(&leader), newer.expect("a heartbeat asks").sent_at);
    }
}

#[test]
fn a_second_leader_of_a_term_is_refused_for_its_snapshot_too() {
    let mut node = Solo::of(3);
    let _ = node.hears(S2, 2, says::hello(1));
    let before = node.node.clone();
    let ignored = node.hears(S3, 2, install(at(2, 9)));
    assert_eq!(ignored.ignored(), [IgnoreReason::SecondLeader { first: S2 }]);
    assert_eq!(node.node, before);
    let _ = node.hears(S2, 2, install(at(2, 9)));
    assert_eq!(node.status().installing, Some(at(2, 9)), "of the first it is taken");
}

#[test]
fn a_snapshot_whose_position_is_held_says_nothing_of_what_follows() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 1]).start();
    let heard = node.hears(S3, 2, install(at(1, 2)));
    assert_eq!(acknowledged(&heard), Some(2), "the third may be another one there");
    assert_eq!(node.status().last, at(1, 3));
}

#[test]
fn nothing_is_compacted_while_a_snapshot_is_installed() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]);
    node.recovered.applied = LogIndex(2);
    let mut node = node.start();
    let _ = node.hears(S2, 2, install(at(2, 9)));
    let position = at(1, 2);
    let taken = Input::SnapshotTaken { position };
    assert_eq!(node.step(taken.clone()).ignored(), [IgnoreReason::Installing]);
    assert_eq!(node.status().log_start, says::START);
    let failed = Input::SnapshotInstalled { position: at(2, 9), outcome: Outcome::Failed };
    let _ = node.step(failed);
    assert_eq!(node.step(taken).ignored(), []);
    assert_eq!(node.status().log_start, position, "afterwards it is");
}

#[test]
fn a_peer_that_the_transport_has_lost_still_gets_the_snapshot_under_way() {
    let mut leader = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).snapshot(at(1, 2)).start();
    let question = &leader.elect().appends_to(S3)[0];
    let behind = says::mismatched(question.prev, &[], says::echo(question));
    let asked = leader.hears(S3, 2, behind);
    assert!(asked.0.iter().any(|a| matches!(a, Action::SendSnapshot { to: S3, .. })));
    let phase = |leader: &Solo| leader.node.peers().nth(1).expect("S3").phase;
    let _ = leader.step(Input::PeerUnreachable { peer: S3 });
    assert_eq!(phase(&leader), PeerPhase::Snapshot);
    let sent = Input::SnapshotSent { to: S3, position: at(1, 2), outcome: Outcome::Done };
    assert_eq!(leader.step(sent).ignored(), [], "its report counts");
    assert_eq!(phase(&leader), PeerPhase::Probe);
}

/// One command before all of these memberships, and one after each.
fn with_memberships(memberships: &[Membership]) -> Entries {
    let command = || Run::Commands { term: Term(1), count: 1 };
    let entry = |m: &Membership| Run::Membership { term: Term(1), membership: m.clone().into() };
    let pairs = memberships.iter().flat_map(|m| [entry(m), command()]);
    core::iter::once(command()).chain(pairs).collect()
}

#[test]
fn a_snapshot_names_the_membership_that_was_in_force_at_its_index_whatever_is_compacted() {
    let [first, second, third] = [&[1, 2, 3][..], &[1, 2, 4], &[1, 2, 5]].map(voters);
    let mut node = Setup::of(first.clone()).start();
    let entries = with_memberships(&[second.clone(), third.clone()]);
    let m = AppendEntries { entries, commit: LogIndex(5), ..says::append(1, says::START, &[]) };
    let _ = node.hears(S2, 1, Message::AppendEntries(m));
    let expected = [&first, &first, &second, &second, &third, &third];
    for compacted in 0..=5 {
        if compacted > 0 {
            let taken = Input::SnapshotTaken { position: at(1, compacted) };
            assert_eq!(node.step(taken).ignored(), []);
        }
        for (index, membership) in (0..).zip(expected) {
            let found = node.node.snapshot_at(LogIndex(index)).map(|snapshot| snapshot.membership);
            let held = (index >= compacted).then(|| membership.clone());
            assert_eq!(found, held, "at {index}, compacted up to {compacted}");
        }
        assert_eq!(node.node.membership(), &third);
    }
}

#[test]
fn an_append_without_entries_vouches_for_nothing_after_its_position() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 1]).start();
    let m = AppendEntries { commit: LogIndex(3), ..says::append(1, at(1, 1), &[]) };
    let heard = node.hears(S2, 2, Message::AppendEntries(m));
    assert_eq!(acknowledged(&heard), Some(1), "the rest may be another one there");
    assert_eq!((node.status().commit_index, heard.applied()), (LogIndex(1), vec![(1, at(1, 1))]));
}

#[test]
fn a_shorter_lease_of_the_same_leader_does_not_cut_the_longer_one() {
    let mut node = Solo::of(3);
    let ask = |round, lease| {
        let probe = Some(says::probe_for(round, lease));
        Message::AppendEntries(AppendEntries { probe, ..says::append(round, says::START, &[]) })
    };
    let _ = node.hears(S2, 1, ask(1, 3 * T));
    let _ = node.pass(T / 2).hears(S2, 1, ask(2, T));
    let _ = node.pass(just_under(T * 5 / 2));
    let vote = |node: &Solo| node.clone().hears(S3, 2, says::request_vote(at(1, 1))).verdict();
    assert_eq!(vote(&node), Some(Verdict::LeaderAlive));
    let _ = node.pass(NS);
    assert_eq!(vote(&node), Some(Verdict::Granted));
}

#[test]
fn what_waits_for_the_disk_when_a_node_campaigns_never_leaves() {
    let waits: [fn(&mut Solo) -> Actions; 3] = [
        |node| node.hears(S3, 1, says::request_vote(at(0, 0))),
        |node| node.hears(S2, 1, says::heartbeat(1, at(1, 9))),
        |node| node.hears(S2, 1, says::pre_vote(at(1, 9))),
    ];
    for wait in waits {
        let setup = Setup::of(voters(&[1, 2, 3])).protection(Protection::Plain);
        let mut node = setup.slow_disk().start();
        // A term that is not durable yet closes the outbox.
        let _ = node.hears(S2, 1, says::vote(Verdict::Granted));
        assert_eq!(wait(&mut node).sent(), []);
        let _ = node.step(Input::Campaign);
        assert_eq!((node.role(), node.term()), (RoleKind::Candidate, 2));
        let sent = node.persist().sent();
        let is_request = |message: &Message| matches!(message, Message::RequestVote(_));
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|e| e.term == Term(2) && is_request(&e.message)), "{sent:?}");
    }
}

/// How many writes a node remembers one by one.
const MAX_IN_FLIGHT: u64 = 1024;

/// S1 follows S2 in term 1, which is durable; its disk answers no more, and `count` entries wait
/// for it, each in a write of its own.
fn with_writes_in_flight(count: u64) -> Solo {
    let setup = Setup::of(voters(&[1, 2, 3])).protection(Protection::Plain);
    let mut node = setup.slow_disk().start();
    let _ = node.hears(S2, 1, says::announcement(says::START, 0));
    let _ = node.persist();
    for index in 0..count {
        let prev = if index == 0 { says::START } else { at(1, index) };
        assert_eq!(node.hears(S2, 1, says::bulk(prev, &[1])).writes().len(), 1);
    }
    node
}

#[test]
fn entries_in_a_write_that_is_joined_with_a_later_one_become_durable_with_it() {
    let mut node = with_writes_in_flight(MAX_IN_FLIGHT);
    let last = at(1, MAX_IN_FLIGHT);
    let write = node.hears(S3, 2, says::request_vote(last)).writes().remove(0);
    assert!(write.log.is_none() && write.hard_state.is_some());
    let mut joined = node.clone();
    let _ = joined.persist_first(node.disk.in_flight().len() - 1);
    assert_eq!(joined.status().durable, at(1, MAX_IN_FLIGHT - 1), "not before");
    assert_eq!(node.persist().verdict(), Some(Verdict::Granted));
    assert_eq!(node.status().durable, last);
}

#[test]
fn a_hard_state_in_a_write_that_is_joined_with_a_later_one_becomes_durable_with_it() {
    let mut node = with_writes_in_flight(MAX_IN_FLIGHT - 1);
    let last = at(1, MAX_IN_FLIGHT - 1);
    let _ = node.hears(S3, 2, says::request_vote(last));
    let write = node.hears(S3, 2, says::bulk(last, &[2])).writes().remove(0);
    assert!(write.log.is_some() && write.hard_state.is_none());
    let mut joined = node.clone();
    let _ = joined.persist_first(node.disk.in_flight().len() - 1);
    assert_eq!(joined.status().durable_hard_state.current_term, Term(1), "not before");
    assert_eq!(node.persist().verdict(), Some(Verdict::Granted));
    let HardState { current_term, voted_for, .. } = node.status().durable_hard_state;
    assert_eq!((current_term, voted_for), (Term(2), Some(S3)));
}

#[test]
fn a_write_from_before_an_install_says_nothing_of_the_log_after_it() {
    let mut node = Setup::of(voters(&[1, 2, 3])).slow_disk().start();
    let _ = node.hears(S2, 1, says::announcement(says::START, 0));
    let _ = node.persist();
    let _ = node.hears(S2, 1, says::bulk(says::START, &[1, 1, 1, 1]));
    let _ = node.hears(S3, 2, install(at(2, 2)));
    // The log is longer again at once than what the old write reached.
    let message = says::bulk(at(2, 2), &[2, 2, 2]);
    let _ = node.step_all([
        Input::SnapshotInstalled { position: at(2, 2), outcome: Outcome::Done },
        Envelope { from: S3, to: S1, term: Term(2), message }.into(),
    ]);
    let writes = node.disk.in_flight().to_vec();
    let _ = node.persist_first(writes.len() - 1);
    assert_eq!((node.status().last, node.status().durable), (at(2, 5), at(2, 2)));
    assert_eq!(acknowledged(&node.persist()), Some(5));
}

#[test]
fn a_log_that_contradicts_the_snapshot_is_dropped_with_all_that_follows() {
    let mut setup = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 3, 3]).snapshot(at(2, 2));
    setup.recovered.applied = LogIndex(2);
    let mut node = setup.slow_disk().start();
    assert_eq!(node.status().last, at(2, 2));
    assert_eq!(node.status().durable, at(2, 2));
    let write = node.hears(S2, 3, says::bulk(at(2, 2), &[3])).writes().remove(0);
    let log = write.log.expect("an entry");
    assert_eq!((log.restart_after, log.first), (Some(at(2, 2)), LogIndex(3)));
}
