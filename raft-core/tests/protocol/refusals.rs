//! What cannot be is refused with a reason, and nothing changes but the clock.

use crate::common::{Actions, S1, S2, S3, Setup, Solo, at, commands, joint, says, voters};
use raft_core::types::TERM_REACH;
use raft_core::{
    AppendEntries, Entries, EntriesError, Envelope, IgnoreReason, InstallSnapshot, LogIndex,
    LogPosition, Membership, Message, NodeId, Permit, RequestVote, Round, Run, Snapshot, Term,
    Verdict,
};

const BEYOND: u64 = (1 << 62) + 1;

/// The message is refused, and the node is the same as before.
fn refused(node: &mut Solo, envelope: Envelope) -> IgnoreReason {
    let (before, what) = (node.node.clone(), format!("{envelope:?}"));
    let actions = node.step(envelope);
    assert_eq!(node.node, before, "{what}");
    only_reason(&actions, &what)
}

fn only_reason(actions: &Actions, what: &str) -> IgnoreReason {
    assert_eq!((actions.0.len(), actions.ignored().len()), (1, 1), "{what}: {actions:?}");
    actions.ignored()[0]
}

fn envelope(from: NodeId, term: u64, message: Message) -> Envelope {
    Envelope { from, to: S1, term: Term(term), message }
}

/// S1 follows S2 in term 5, and has five entries, of which two are committed.
fn follower() -> Solo {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 2, 5, 5]).start();
    let _ = node.hears(S2, 5, says::announcement(at(5, 5), 2));
    assert_eq!(node.status().commit_index, LogIndex(2));
    node
}

fn in_every_role() -> [Solo; 3] {
    let mut candidate = Solo::of(3);
    let _ = candidate.time_out();
    [follower(), candidate, Solo::leader_of(3)]
}

#[test]
fn misrouted_messages_are_refused() {
    for mut node in in_every_role() {
        let to_another = Envelope { to: S3, ..envelope(S2, 9, says::hello(1)) };
        assert_eq!(refused(&mut node, to_another), IgnoreReason::Misrouted);
        let from_itself = envelope(S1, 9, says::vote(Verdict::Granted));
        assert_eq!(refused(&mut node, from_itself), IgnoreReason::Misrouted);
    }
}

#[test]
fn numbers_beyond_the_limit_are_malformed() {
    let hello = || says::append(1, says::START, &[]);
    let probe = |round| Some(raft_core::Probe { round: Round(round), ..says::probe(1) });
    let echo = |round| {
        Some(raft_core::Echo {
            round: Round(round),
            sent_at: raft_core::Instant::ZERO,
            promised: core::time::Duration::ZERO,
        })
    };
    let cases = [
        ("sender", envelope(NodeId(BEYOND), 9, says::hello(1))),
        ("term of a leader", envelope(S2, BEYOND, says::hello(1))),
        ("term of a candidate", envelope(S2, BEYOND, says::request_vote(says::START))),
        ("term of an answer", envelope(S2, u64::MAX, says::stale_term())),
        ("last index", envelope(S2, 9, says::request_vote(at(1, BEYOND)))),
        ("last index", envelope(S2, 9, says::pre_vote(at(1, BEYOND)))),
        ("round", envelope(S2, 9, says::pre_vote_answer(Round(BEYOND), Verdict::StaleTerm))),
        ("prev", envelope(S2, 9, says::heartbeat(1, at(1, BEYOND)))),
        (
            "commit",
            envelope(
                S2,
                9,
                Message::AppendEntries(AppendEntries { commit: LogIndex(BEYOND), ..hello() }),
            ),
        ),
        (
            "round",
            envelope(
                S2,
                9,
                Message::AppendEntries(AppendEntries { probe: probe(BEYOND), ..hello() }),
            ),
        ),
        ("round", envelope(S2, 9, says::matched(0, echo(BEYOND)))),
        ("match index", envelope(S2, 9, says::matched(BEYOND, None))),
        ("rejected index", envelope(S2, 9, says::mismatched(at(1, BEYOND), &[], None))),
    ];
    for mut node in in_every_role() {
        for (what, envelope) in cases.clone() {
            assert_eq!(refused(&mut node, envelope), IgnoreReason::Malformed, "{what}");
        }
    }
}

#[test]
fn numbers_that_contradict_one_another_are_malformed() {
    let cases = [
        ("a leader in term 0", 0, says::hello(1)),
        ("an index without a term", 9, says::heartbeat(1, at(0, 3))),
        ("a term without an index", 9, says::heartbeat(1, at(3, 0))),
        ("prev of a later term", 9, says::heartbeat(1, at(10, 3))),
        ("a candidate with an entry of its own term", 9, says::request_vote(at(9, 3))),
        ("a log of a later term", 9, says::pre_vote(at(10, 3))),
        (
            "a hint that does not go down",
            9,
            says::mismatched(at(5, 9), &[(1, 1, 2), (2, 3, 4)], None),
        ),
        ("a hint that overlaps", 9, says::mismatched(at(5, 9), &[(3, 4, 8), (2, 3, 4)], None)),
        ("a span that ends before it starts", 9, says::mismatched(at(5, 9), &[(3, 4, 3)], None)),
        ("a span above what is rejected", 9, says::mismatched(at(5, 9), &[(3, 4, 10)], None)),
        ("a span of a later term", 9, says::mismatched(at(5, 9), &[(10, 4, 5)], None)),
    ];
    for mut node in in_every_role() {
        for (what, term, message) in cases.clone() {
            let reason = refused(&mut node, envelope(S2, term, message));
            assert_eq!(reason, IgnoreReason::Malformed, "{what}");
        }
    }
}

#[test]
fn a_hint_of_more_terms_than_anybody_sends_is_malformed() {
    let spans: Vec<_> = (1..=129).rev().map(|n| (n, n, n)).collect();
    let mut node = follower();
    let hint = says::mismatched(at(200, 200), &spans, None);
    assert_eq!(refused(&mut node, envelope(S2, 200, hint)), IgnoreReason::Malformed);
}

#[test]
fn entries_that_no_log_can_hold_are_refused_by_name() {
    let run = |term, count| Run::Commands { term: Term(term), count };
    let unjoined: Entries = {
        let halves = [
            run(4, 1),
            Run::Membership { term: Term(4), membership: Box::new(joint(&[1], &[], &[])) },
            run(4, 1),
        ];
        halves.into_iter().collect()
    };
    assert_eq!(unjoined.check(says::START, Term(4)), Ok(()), "a membership may stand between");
    let nobody = Run::Membership { term: Term(4), membership: Box::new(Membership::empty()) };
    let cases: [(Entries, EntriesError); 6] = [
        (commands(&[4, 3]), EntriesError::DecreasingTerm { after: LogIndex(1) }),
        (commands(&[0]), EntriesError::DecreasingTerm { after: LogIndex(0) }),
        (commands(&[9, 10]), EntriesError::TermAboveCurrent { term: Term(10), current: Term(9) }),
        ([run(4, 0)].into_iter().collect(), EntriesError::EmptyRun),
        ([nobody].into_iter().collect(), EntriesError::EmptyMembership),
        ([run(4, u64::MAX)].into_iter().collect(), EntriesError::BeyondLimit),
    ];
    for mut node in in_every_role() {
        for (entries, error) in cases.clone() {
            let m = AppendEntries { entries, ..says::append(1, says::START, &[]) };
            let reason = refused(&mut node, envelope(S2, 9, Message::AppendEntries(m)));
            assert_eq!(reason, IgnoreReason::MalformedEntries(error));
        }
    }
    let mut node = follower();
    let below_prev = says::appends(1, at(5, 5), &[4]);
    let reason = refused(&mut node, envelope(S2, 5, below_prev));
    let error = EntriesError::DecreasingTerm { after: LogIndex(5) };
    assert_eq!(reason, IgnoreReason::MalformedEntries(error));
}

/// Equal entries must be equal values. `Entries` joins runs by itself, so only a decoder can make
/// two of one.
#[test]
#[cfg(feature = "serde")]
fn runs_that_ought_to_be_one_are_refused() {
    let split = r#"[{"commands":{"term":1,"count":1}},{"commands":{"term":1,"count":1}}]"#;
    let entries: Entries = serde_json::from_str(split).expect("it is read as it stands");
    assert_eq!(entries.check(says::START, Term(1)), Err(EntriesError::NotJoined));
}

#[test]
fn what_contradicts_the_committed_log_is_refused() {
    let cases: [(&str, LogPosition, &[u64], u64); 4] = [
        ("another entry at a committed index", at(1, 1), &[4], 2),
        ("another prev at a committed index", at(2, 2), &[5], 2),
        ("another first entry", says::START, &[2], 1),
        ("the rest may be right", says::START, &[1, 3, 5], 2),
    ];
    for (what, prev, terms, index) in cases {
        let mut node = follower();
        let message = says::appends(1, prev, terms);
        let reason = refused(&mut node, envelope(S3, 6, message));
        assert_eq!(reason, IgnoreReason::Contradiction { at: LogIndex(index) }, "{what}");
    }
    let mut node = follower();
    let _ = node.hears(S3, 6, says::appends(1, at(1, 2), &[6]));
    assert_eq!(node.status().last, at(6, 3), "above the commit index a new leader may differ");
}

#[test]
fn a_leader_that_contradicts_itself_is_refused() {
    let mut node = follower();
    let other = envelope(S2, 5, says::appends(2, at(1, 2), &[3]));
    assert_eq!(refused(&mut node, other), IgnoreReason::Contradiction { at: LogIndex(3) });
    let other = envelope(S2, 5, says::heartbeat(3, at(4, 4)));
    assert_eq!(refused(&mut node, other), IgnoreReason::Contradiction { at: LogIndex(4) });
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_refused() {
    let mut leader = Solo::leader_of(3);
    let reason = refused(&mut leader, envelope(S2, 1, says::matched(2, None)));
    let expected =
        IgnoreReason::ImpossibleAcknowledgement { match_index: LogIndex(2), last: LogIndex(1) };
    assert_eq!(reason, expected);
}

#[test]
fn nobody_lacks_the_position_before_the_first_entry() {
    let mut leader = Solo::leader_of(3);
    let asked = leader.time_out_heartbeat().appends_to(S2).remove(0);
    let message = says::mismatched(at(0, 0), &[], says::echo(&asked));
    assert_eq!(refused(&mut leader, envelope(S2, 1, message)), IgnoreReason::Malformed);
}

/// It is the answer to what this leader said in an earlier term, in which it was elected, too.
#[test]
fn that_an_earlier_term_is_over_is_stale_for_a_leader_that_was_elected_again() {
    let mut leader = Solo::leader_of(3);
    let _ = leader.hears(S2, 2, says::stale_term());
    let asked = leader.elect().appends_to(S2);
    let probe = asked.first().and_then(|m| m.probe).expect("a new leader asks");
    let term = leader.term();
    let late = says::stale_term();
    let reason = refused(&mut leader, envelope(S2, term, late.clone()));
    assert_eq!(reason, IgnoreReason::Stale);
    let seen = says::having_seen(late, probe.round);
    let reason = refused(&mut leader, envelope(S2, term, seen));
    assert_eq!(reason, IgnoreReason::Stale, "whatever it has seen");
}

#[test]
fn a_term_too_far_ahead_is_refused_and_names_both() {
    for mut node in in_every_role() {
        let current = Term(node.term());
        let term = Term(current.get() + TERM_REACH + 1);
        let far = IgnoreReason::TermTooFarAhead { term, current };
        for message in [says::hello(1), says::pre_vote(says::START), says::stale_term()] {
            assert_eq!(refused(&mut node, envelope(S2, term.get(), message)), far);
        }
        let _ = node.hears(S2, term.get() - 1, says::hello(1));
        assert_eq!(node.term(), term.get() - 1, "so far it may be");
    }
}

/// Found by fuzzing: the term after the permit's was computed before the permit was looked at.
#[test]
fn a_permit_of_a_term_that_is_not_over_is_malformed() {
    for mut node in in_every_role() {
        for (leader, term) in [(S2, 9), (S2, u64::MAX), (NodeId(BEYOND), 1)] {
            let permit = Some(Permit { leader, term: Term(term) });
            let asks = RequestVote { last: says::START, permit };
            let reason = refused(&mut node, envelope(S2, 9, Message::RequestVote(asks)));
            assert_eq!(reason, IgnoreReason::Malformed, "{permit:?}");
        }
    }
}

fn install(position: LogPosition, membership: Membership) -> Message {
    let snapshot = Snapshot { position, membership };
    Message::InstallSnapshot(InstallSnapshot { snapshot })
}

#[test]
fn a_snapshot_that_contradicts_what_is_settled_is_refused() {
    let members = || voters(&[1, 2, 3]);
    let cases = [
        ("a term below that of what is settled", at(4, 1000), 5),
        ("a term below that of what is committed", at(1, 1000), 6),
        ("another position at a committed index", at(1, 2), 6),
        ("another position at a settled index", at(4, 4), 5),
    ];
    for (what, position, term) in cases {
        let mut node = Setup::of(members()).log(&[1, 2, 2, 5, 5]).start();
        let _ = node.hears(S2, 5, says::announcement(at(5, 5), 2));
        let from = if term == 5 { S2 } else { S3 };
        let reason = refused(&mut node, envelope(from, term, install(position, members())));
        assert_eq!(reason, IgnoreReason::Contradiction { at: position.index }, "{what}");
    }
    let mut node = follower();
    let taken = node.hears(S3, 6, install(at(1, 1000), members()));
    assert_eq!(taken.ignored(), [], "a new leader may cut what is not committed");
}

#[test]
fn another_membership_in_a_snapshot_of_a_known_position_is_refused() {
    for index in 1..=2 {
        let mut node = follower();
        let other = envelope(S3, 6, install(at(1, index), voters(&[1, 2])));
        let at_index = IgnoreReason::Contradiction { at: LogIndex(index) };
        assert_eq!(refused(&mut node, other), at_index);
        let same = node.hears(S3, 6, install(at(1, index), voters(&[1, 2, 3])));
        assert_eq!(same.ignored(), []);
    }
}

/// The same position is the same entry (log matching), whatever else the message says.
#[test]
fn other_content_at_a_known_position_is_refused() {
    let members = |ids| Run::Membership { term: Term(1), membership: Box::new(voters(ids)) };
    let command = |count| Run::Commands { term: Term(1), count };
    let held = [command(1), members(&[1, 2, 3]), command(2)];
    let cases: [(&str, Vec<Run>, u64); 4] = [
        ("a membership where a command stands", vec![members(&[1, 2])], 1),
        ("a command where a membership stands", vec![command(2)], 2),
        ("another membership", vec![command(1), members(&[1, 2])], 2),
        (
            "a membership above what is committed",
            vec![command(1), members(&[1, 2, 3]), command(1), members(&[1, 2, 3])],
            4,
        ),
    ];
    for (what, runs, index) in cases {
        let mut setup = Setup::of(voters(&[1, 2, 3])).term(1);
        setup.recovered.entries = held.iter().cloned().collect();
        let mut node = setup.start();
        let _ = node.hears(S2, 1, says::announcement(at(1, 4), 3));
        let entries = runs.into_iter().collect();
        let m = AppendEntries { entries, ..says::append(2, says::START, &[]) };
        let reason = refused(&mut node, envelope(S2, 1, Message::AppendEntries(m.clone())));
        assert_eq!(reason, IgnoreReason::Contradiction { at: LogIndex(index) }, "{what}");
        let reason = refused(&mut node, envelope(S3, 2, Message::AppendEntries(m)));
        assert_eq!(reason, IgnoreReason::Contradiction { at: LogIndex(index) }, "{what}");
    }
}

#[test]
fn answers_that_nobody_asked_for_are_stale() {
    let answers = [
        says::pre_vote_answer(Round(1), Verdict::Granted),
        says::vote(Verdict::Granted),
        says::matched(1, None),
        says::mismatched(at(1, 1), &[], None),
    ];
    for answer in answers {
        let mut node = follower();
        let reason = refused(&mut node, envelope(S2, 5, answer.clone()));
        assert_eq!(reason, IgnoreReason::Stale, "{answer:?}");
    }
}

#[test]
fn while_the_disk_hangs_the_number_of_waiting_messages_is_bounded() {
    let mut node = Setup::of(voters(&[1, 2, 3])).slow_disk().start();
    let _ = node.hears(S2, 4, says::vote(Verdict::StaleTerm));
    let mut overloaded = 0;
    for id in 10..3000 {
        let heard = node.hears(NodeId(id), 4, says::pre_vote(says::START));
        assert_eq!(heard.sent(), []);
        overloaded += heard.ignored().iter().filter(|r| **r == IgnoreReason::Overloaded).count();
    }
    assert!(overloaded > 1000, "{overloaded}");
    let freed = node.persist();
    assert_eq!(freed.sent().len() + overloaded, 2990, "each was answered or refused");
    assert_eq!(
        node.hears(S2, 4, says::pre_vote(says::START)).pre_verdict(),
        Some(Verdict::Granted)
    );
}

#[test]
fn a_node_that_asks_again_while_its_answer_waits_gets_one_answer() {
    let mut node = Setup::of(voters(&[1, 2, 3])).slow_disk().start();
    for _ in 0..100 {
        let _ = node.hears(S2, 4, says::request_vote(says::START));
    }
    assert_eq!(node.persist().receivers(), [S2]);
}
