//! Snapshots and compaction (Raft paper, 7; thesis, 5).

use crate::common::world::World;
use crate::common::{Actions, S1, S2, S3, S4, Setup, Solo, T, at, joint, ms, says, voters};
use raft_core::{
    Action, AppendOutcome, IgnoreReason, Input, InstallSnapshot, LogIndex, LogPosition, Message,
    NodeId, Outcome, PeerPhase, RoleKind, Snapshot, Term,
};

fn snapshot(position: LogPosition) -> Snapshot {
    Snapshot { position, membership: voters(&[1, 2, 3]) }
}

fn install(position: LogPosition) -> Message {
    Message::InstallSnapshot(InstallSnapshot { snapshot: snapshot(position) })
}

fn installed(position: LogPosition, outcome: Outcome) -> Input {
    Input::SnapshotInstalled { position, outcome }
}

/// The snapshots that the runtime is to install.
fn installs(actions: &Actions) -> Vec<LogPosition> {
    let install = |action: &Action| match action {
        Action::InstallSnapshot { snapshot } => Some(snapshot.position),
        _ => None,
    };
    actions.0.iter().filter_map(install).collect()
}

/// The snapshots that the runtime is to send.
fn sends(actions: &Actions) -> Vec<(NodeId, LogPosition)> {
    let send = |action: &Action| match action {
        Action::SendSnapshot { to, at_least, .. } => Some((*to, *at_least)),
        _ => None,
    };
    actions.0.iter().filter_map(send).collect()
}

fn phase(solo: &Solo, id: NodeId) -> PeerPhase {
    solo.node.peers().find(|peer| peer.id == id).expect("a peer").phase
}

/// S1 follows S2 in term 2, with 1/1 1/2 2/3 2/4 in its log, of which three are committed.
fn follower() -> Solo {
    let mut solo = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).start();
    let mut m = says::append(1, at(1, 2), &[2, 2]);
    m.commit = LogIndex(3);
    let _ = solo.hears(S2, 2, Message::AppendEntries(m));
    assert_eq!(solo.status().commit_index, LogIndex(3));
    solo
}

/// S1 leads in term 2 with four entries, all committed; S3 has not been heard, and the first three
/// are compacted.
fn compacted_leader() -> Solo {
    let mut solo = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).start();
    let _ = solo.elect();
    let _ = solo.propose(1);
    let _ = solo.hears(S2, 2, says::matched(4, None));
    let ignored = solo.step(Input::SnapshotTaken { position: at(2, 3) }).ignored();
    assert_eq!(ignored, []);
    solo
}

/// The heartbeats of the leader, of which S2 and, if it `answers`, S3 give back the echo.
fn heartbeat(solo: &mut Solo, s3: Option<u64>) -> Vec<(NodeId, LogPosition)> {
    let mut asked = Vec::new();
    let beat = solo.time_out_heartbeat();
    asked.extend(sends(&beat));
    for envelope in beat.sent() {
        let Message::AppendEntries(m) = &envelope.message else { continue };
        let held = if envelope.to == S3 { s3 } else { Some(4) };
        if let Some(held) = held {
            let answer = if held == 0 && m.prev != says::START {
                says::mismatched(m.prev, &[], says::echo(m))
            } else {
                says::matched(held, says::echo(m))
            };
            asked.extend(sends(&solo.hears(envelope.to, 2, answer)));
        }
    }
    asked
}

/// S3, which holds nothing, answers until it is to get a snapshot.
fn starve(solo: &mut Solo) {
    let asked = (0..3).find_map(|_| heartbeat(solo, Some(0)).pop());
    assert_eq!(asked, Some((S3, at(2, 3))));
}

#[test]
fn only_what_is_applied_held_and_new_can_be_compacted() {
    let mut solo = follower();
    for position in [at(2, 4), at(1, 3), at(2, 9), at(0, 0)] {
        let ignored = solo.step(Input::SnapshotTaken { position }).ignored();
        assert_eq!(ignored, [IgnoreReason::CannotCompact(position)]);
    }
    assert_eq!(solo.step(Input::SnapshotTaken { position: at(1, 2) }).ignored(), []);
    assert_eq!(solo.status().log_start, at(1, 2));
    assert_eq!((solo.status().last, solo.status().commit_index), (at(2, 4), LogIndex(3)));
    for position in [at(1, 1), at(1, 2)] {
        let ignored = solo.step(Input::SnapshotTaken { position }).ignored();
        assert_eq!(ignored, [IgnoreReason::CannotCompact(position)], "compacted already");
    }
}

#[test]
fn a_snapshot_covers_what_is_applied_with_the_membership_of_that_moment() {
    let mut world = World::new(1, 4, &voters(&[1, 2, 3]));
    world.elect(S1);
    let _ = world.propose(S1, 3);
    world.run(ms(20));
    let before = world.host(S1).applied;
    let _ = world.change(S1, joint(&[1, 2], &[], &[3, 4]));
    assert!(world.node(S1).membership().is_joint());
    let old = world.node(S1).snapshot_at(before).expect("it is applied");
    assert_eq!(old.membership, voters(&[1, 2, 3]), "not the one in force");
    assert_eq!(world.node(S1).snapshot_at(LogIndex(before.get() + 1)), None, "not applied");
    world.run(T);
    world.take_snapshot(S1);
    assert_eq!(world.node(S1).snapshot_at(before), None, "compacted");
    assert_eq!(world.status(S1).log_start.index, world.host(S1).applied);
}

#[test]
fn a_snapshot_of_what_is_committed_already_is_ignored_and_acknowledged() {
    let mut solo = follower();
    let before = solo.status();
    let actions = solo.hears(S2, 2, install(at(1, 2)));
    assert_eq!(installs(&actions), []);
    assert_eq!(solo.status(), before);
    let outcome = actions.answer().expect("the leader is told").outcome;
    assert_eq!(outcome, AppendOutcome::Matched { match_index: LogIndex(4) });
}

#[test]
fn a_snapshot_whose_position_is_in_the_log_commits_and_keeps_the_tail() {
    let mut solo = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 1]).start();
    let actions = solo.hears(S2, 2, install(at(1, 2)));
    assert_eq!(installs(&actions), []);
    assert_eq!((solo.status().commit_index, solo.status().last), (LogIndex(2), at(1, 3)));
    assert_eq!(actions.applied(), [(1, at(1, 2))]);
}

#[test]
fn any_other_snapshot_replaces_the_log() {
    for position in [at(2, 3), at(2, 2), at(2, 9)] {
        let mut solo = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 1]).start();
        let actions = solo.hears(S2, 2, install(position));
        assert_eq!(installs(&actions), [position]);
        assert_eq!(solo.status().installing, Some(position));
        assert_eq!(solo.status().last, at(1, 3), "not before it is there");
        let done = solo.step(installed(position, Outcome::Done));
        let now = solo.status();
        assert_eq!((now.last, now.log_start, now.installing), (position, position, None));
        assert_eq!((now.commit_index, now.last_applied), (position.index, position.index));
        assert_eq!(done.applied(), [], "the state machine has it already");
        let outcome = done.answer().expect("the leader is told").outcome;
        assert_eq!(outcome, AppendOutcome::Matched { match_index: position.index });
    }
}

#[test]
fn a_snapshot_that_contradicts_what_is_committed_is_refused() {
    let mut solo = follower();
    let ignored = solo.hears(S2, 2, install(at(2, 2))).ignored();
    assert_eq!(ignored, [IgnoreReason::Contradiction { at: LogIndex(2) }]);
}

#[test]
fn the_leaders_snapshot_is_taken_in_every_role() {
    let pre_candidate = |solo: &mut Solo| drop(solo.time_out());
    let candidate = |solo: &mut Solo| {
        let round = solo.time_out().pre_vote_round().expect("it asks");
        let yes = says::pre_vote_answer(round, raft_core::Verdict::Granted);
        let _ = solo.hears(S3, 0, yes);
        assert_eq!(solo.role(), RoleKind::Candidate);
    };
    let leader = |solo: &mut Solo| drop(solo.elect());
    for become_it in [pre_candidate, candidate, leader] {
        let mut solo = Solo::of(3);
        become_it(&mut solo);
        let actions = solo.hears(S2, 5, install(at(4, 9)));
        assert_eq!(installs(&actions), [at(4, 9)]);
        assert_eq!((solo.role(), solo.term()), (RoleKind::Follower, 5));
        let _ = solo.step(installed(at(4, 9), Outcome::Done));
        assert_eq!(solo.status().last, at(4, 9));
    }
    let mut solo = Solo::leader_of(3);
    let told = solo.hears(S2, 0, install(at(0, 0))).ignored();
    assert_eq!(told, [IgnoreReason::Malformed]);
    let mut solo = follower();
    let stale = solo.hears(S3, 1, install(at(1, 9)));
    assert_eq!(installs(&stale), []);
    assert_eq!(stale.answer().expect("it learns").outcome, AppendOutcome::StaleTerm);
}

#[test]
fn while_a_snapshot_is_installed_no_log_is_written_nothing_applied_and_the_leader_answered() {
    let mut solo = follower();
    let began = solo.now;
    let _ = solo.hears(S2, 2, install(at(2, 9)));
    let mut m = says::append(5, at(2, 4), &[2, 2]);
    m.commit = LogIndex(6);
    let actions = solo.pass(T / 2).hears(S2, 2, Message::AppendEntries(m));
    assert!(actions.writes().iter().all(|write| write.log.is_none()), "{actions:?}");
    assert_eq!(actions.applied(), []);
    let answer = actions.answer().expect("it keeps contact");
    assert_eq!((answer.outcome, answer.echo.is_some()), (AppendOutcome::Installing, true));
    assert_eq!(solo.status().last, at(2, 4));
    assert!(solo.deadline() >= began.saturating_add(T / 2 + T), "the election timer is reset");
    // Hard state is written.
    let vote = solo.pass(T * 3).hears(S3, 7, says::request_vote(at(6, 20)));
    assert_eq!(vote.verdict(), Some(raft_core::Verdict::Granted));
    let _ = solo.step(installed(at(2, 9), Outcome::Done));
    assert_eq!((solo.term(), solo.status().last), (7, at(2, 9)));
}

#[test]
fn a_snapshot_is_contact_with_the_leader() {
    for position in [at(1, 2), at(2, 9)] {
        let mut solo = follower();
        let _ = solo.pass(ms(999)).hears(S2, 2, install(position));
        assert!(solo.deadline() >= solo.now.saturating_add(T), "the election timer is reset");
        let vote = solo.pass(T / 2).hears(S3, 9, says::request_vote(at(8, 20)));
        assert_eq!(vote.verdict(), Some(raft_core::Verdict::LeaderAlive));
    }
}

#[test]
fn what_was_decided_before_a_snapshot_is_carried_out_before_it() {
    let mut solo = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).start();
    let mut m = says::append(1, at(1, 2), &[2]);
    m.commit = LogIndex(2);
    let envelope = |message| raft_core::Envelope { from: S2, to: S1, term: Term(2), message };
    let inputs = [Message::AppendEntries(m), install(at(2, 9))].map(|m| envelope(m).into());
    let actions = solo.step_all(inputs).0;
    let nth = |is: fn(&Action) -> bool| actions.iter().position(is).expect("it is there");
    let install = nth(|a| matches!(a, Action::InstallSnapshot { .. }));
    assert!(nth(|a| matches!(a, Action::Persist(w) if w.log.is_some())) < install);
    assert!(nth(|a| matches!(a, Action::Apply { .. })) < install);
    let late = actions[install..].iter();
    assert_eq!(late.filter(|a| matches!(a, Action::Apply { .. })).count(), 0);
}

/// A call writes once, whatever comes after the snapshot in it.
#[test]
fn what_comes_after_a_snapshot_in_its_call_joins_the_one_write_before_it() {
    let mut solo = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).slow_disk().start();
    let envelope = |from, term, message| {
        let term = Term(term);
        Input::from(raft_core::Envelope { from, to: S1, term, message })
    };
    let entries = Message::AppendEntries(says::append(1, at(1, 2), &[2]));
    let later = Message::ReadIndex(raft_core::ReadIndex { id: raft_core::Round(1) });
    let inputs =
        [envelope(S2, 2, entries), envelope(S2, 2, install(at(2, 9))), envelope(S3, 3, later)];
    let actions = solo.step_all(inputs);
    let [write] = &actions.writes()[..] else { panic!("one write: {actions:?}") };
    assert!(write.log.is_some(), "{write:?}");
    assert_eq!(write.hard_state.map(|state| state.current_term), Some(Term(3)));
    assert_eq!(installs(&actions), [at(2, 9)]);
    assert!(matches!(actions.0[0], Action::Persist(_)), "{actions:?}");
}

#[test]
fn a_snapshot_that_was_not_handed_out_yet_cannot_have_been_installed() {
    let mut solo = follower();
    let (from, to, term) = (S2, S1, Term(2));
    let arrives = raft_core::Envelope { from, to, term, message: install(at(2, 9)) };
    let inputs = [arrives.into(), installed(at(2, 9), Outcome::Done)];
    let actions = solo.step_all(inputs);
    assert_eq!(actions.ignored(), [IgnoreReason::UnknownSnapshot]);
    assert_eq!(installs(&actions), [at(2, 9)]);
    assert_eq!(solo.status().last, at(2, 4), "the log is as it was");
    let _ = solo.step(installed(at(2, 9), Outcome::Done));
    assert_eq!(solo.status().last, at(2, 9));
}

#[test]
fn a_node_that_installs_a_snapshot_does_not_campaign() {
    let mut solo = follower();
    let _ = solo.hears(S2, 2, install(at(2, 9)));
    for _ in 0..5 {
        assert_eq!(solo.time_out().sent(), []);
    }
    let _ = solo.pass(T * 9);
    assert_eq!(solo.step(Input::Campaign).ignored(), [IgnoreReason::Installing]);
    let _ = solo.step(installed(at(2, 9), Outcome::Done));
    assert!(solo.time_out().pre_vote_round().is_some(), "afterwards it does");
}

#[test]
fn a_second_snapshot_waits_for_the_first() {
    let mut solo = follower();
    let _ = solo.hears(S2, 2, install(at(2, 9)));
    let second = solo.hears(S2, 2, install(at(2, 12)));
    assert_eq!(installs(&second), []);
    let unknown = solo.step(installed(at(2, 12), Outcome::Done)).ignored();
    assert_eq!(unknown, [IgnoreReason::UnknownSnapshot]);
    let _ = solo.step(installed(at(2, 9), Outcome::Done));
    let twice = solo.step(installed(at(2, 9), Outcome::Done)).ignored();
    assert_eq!(twice, [IgnoreReason::UnknownSnapshot]);
}

#[test]
fn an_install_that_fails_leaves_everything_as_it_was() {
    let mut solo = follower();
    let _ = solo.hears(S2, 2, install(at(2, 9)));
    let _ = solo.step(installed(at(2, 9), Outcome::Failed));
    let now = solo.status();
    assert_eq!((now.last, now.commit_index, now.installing), (at(2, 4), LogIndex(3), None));
    let _ = solo.hears(S2, 2, says::appends(9, at(2, 4), &[2]));
    assert_eq!(solo.status().last, at(2, 5), "the log goes on");
}

#[test]
fn a_membership_travels_with_the_snapshot() {
    let mut solo = Setup::of(raft_core::Membership::empty()).id(S4).start();
    let membership = joint(&[1, 2, 4], &[1, 2, 3], &[]);
    let snapshot = Snapshot { position: at(3, 8), membership: membership.clone() };
    let _ = solo.hears(S1, 5, Message::InstallSnapshot(InstallSnapshot { snapshot }));
    let _ = solo.step(installed(at(3, 8), Outcome::Done));
    assert_eq!(*solo.node.membership(), membership);
    assert!(solo.node.deadline().is_some(), "it is a voter now");
    let nobody = Snapshot { position: at(3, 9), membership: raft_core::Membership::empty() };
    let m = Message::InstallSnapshot(InstallSnapshot { snapshot: nobody });
    assert_eq!(solo.hears(S1, 5, m).ignored(), [IgnoreReason::Malformed]);
}

#[test]
fn a_peer_that_needs_what_is_compacted_gets_a_snapshot() {
    let mut solo = compacted_leader();
    starve(&mut solo);
    assert_eq!(phase(&solo, S3), PeerPhase::Snapshot);
    // It is asked for once, and no entries are sent meanwhile.
    let _ = solo.propose(1);
    for _ in 0..5 {
        assert_eq!(heartbeat(&mut solo, Some(0)), []);
    }
    assert_eq!(phase(&solo, S3), PeerPhase::Snapshot);
    let to_it = solo.time_out_heartbeat().appends_to(S3);
    assert!(to_it.iter().all(|m| m.entries.is_empty() && m.probe.is_some()), "a sign of life");
    let done = solo.hears(S3, 2, says::matched(3, None));
    assert_eq!(done.appends_to(S3)[0].prev, at(2, 3), "what follows the snapshot");
}

#[test]
fn a_snapshot_that_was_delivered_is_followed_by_what_comes_after_it() {
    let mut solo = compacted_leader();
    starve(&mut solo);
    let sent = |position, outcome| Input::SnapshotSent { to: S3, position, outcome };
    let unknown = solo.step(sent(at(2, 99), Outcome::Done)).ignored();
    assert_eq!(unknown, [IgnoreReason::UnknownSnapshot]);
    // A newer one than was asked for.
    assert_eq!(solo.step(sent(at(2, 4), Outcome::Done)).ignored(), []);
    assert_eq!(solo.step(sent(at(2, 4), Outcome::Done)).ignored(), [IgnoreReason::Stale]);
    let beat = solo.time_out_heartbeat().appends_to(S3).remove(0);
    assert_eq!(beat.prev, at(2, 4));
    // It was lost on the way after all.
    let lost = says::mismatched(beat.prev, &[], says::echo(&beat));
    assert_eq!(sends(&solo.hears(S3, 2, lost)), [(S3, at(2, 3))]);
}

#[test]
fn a_snapshot_that_failed_is_sent_again_after_a_pause() {
    let mut solo = compacted_leader();
    starve(&mut solo);
    let failed = Input::SnapshotSent { to: S3, position: at(2, 3), outcome: Outcome::Failed };
    assert_eq!(sends(&solo.step(failed)), [], "not at once");
    assert_eq!(heartbeat(&mut solo, None), [], "not to one that is silent");
    starve(&mut solo);
}

#[test]
fn a_snapshot_that_nobody_reports_expires() {
    let mut solo = compacted_leader();
    starve(&mut solo);
    let began = solo.now;
    while heartbeat(&mut solo, Some(0)).is_empty() {
        assert!(solo.now.saturating_since(began) < T * 70);
    }
    assert!(solo.now.saturating_since(began) >= solo.node.config().snapshot_timeout);
}

#[test]
fn a_report_by_one_that_does_not_lead_is_stale() {
    let mut solo = follower();
    let failed = Input::SnapshotSent { to: S3, position: at(2, 3), outcome: Outcome::Failed };
    assert_eq!(solo.step(failed).ignored(), [IgnoreReason::Stale]);
}

#[test]
fn a_node_that_was_away_for_long_comes_back_by_snapshot() {
    let mut world = World::new(2, 3, &voters(&[1, 2, 3]));
    world.elect(S1);
    world.crash(S3);
    for _ in 0..5 {
        let _ = world.propose(S1, 20);
        world.run(ms(50));
        world.take_snapshot(S1);
        world.take_snapshot(S2);
    }
    let _ = world.propose(S1, 7);
    world.host_mut(S3).install_fails = true;
    world.restart(S3);
    world.run(T * 3);
    assert!(world.counts.installs >= 2, "the first one failed");
    assert_eq!(world.state_of(S3), world.state_of(S1));
    assert!(world.status(S3).log_start.index > LogIndex(50));
}

#[test]
fn a_hint_names_a_term_that_goes_on_across_a_snapshot_once() {
    let mut solo = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 1, 1]).start();
    let mut m = says::append(1, at(1, 4), &[]);
    m.commit = LogIndex(2);
    let _ = solo.hears(S2, 1, Message::AppendEntries(m));
    let _ = solo.step(Input::SnapshotTaken { position: at(1, 2) });
    let answer = solo.hears(S3, 3, says::heartbeat(2, at(2, 9))).answer().expect("it asks");
    let AppendOutcome::Mismatched { hint, .. } = &answer.outcome else { panic!("{answer:?}") };
    let spans: Vec<_> = hint.iter().map(|s| (s.term.get(), s.first.get(), s.last.get())).collect();
    assert_eq!(spans, [(1, 2, 4)]);
    // The leader takes it, and finds the place where the logs part.
    let mut leader = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 1, 2, 2]).start();
    let first = leader.elect().appends_to(S2).remove(0);
    let answer = says::mismatched(first.prev, &[(1, 2, 4)], says::echo(&first));
    assert_eq!(leader.hears(S2, 3, answer).appends_to(S2)[0].prev, at(1, 3));
}
