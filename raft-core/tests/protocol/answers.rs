//! What a leader asks, what a follower answers, and which answer leaves of those that wait.

use crate::common::{Actions, S1, S2, S3, Setup, Solo, T, at, ms, says, voters};
use raft_core::{
    AppendEntries, AppendOutcome, Envelope, Input, LogIndex, Message, PreVote, Round, Term, Token,
    Verdict,
};

/// S1 of three in term 1, whose disk answers when the test says so, and whose promise is durable
/// and over.
fn slow() -> Solo {
    let setup = Setup::of(voters(&[1, 2, 3])).term(1).hard_state(|h| h.promised = T);
    let mut solo = setup.slow_disk().start();
    let _ = solo.pass(T);
    solo
}

/// For each message to S2: how many entries it has, and whether its question is a new one.
fn to_s2(known: &mut Option<Round>, actions: &Actions) -> Vec<(u64, bool)> {
    let mut is_new = |m: &AppendEntries| {
        let round = m.probe.map(|probe| probe.round);
        known.replace(round.expect("each carries a question")) < round
    };
    actions.appends_to(S2).iter().map(|m| (m.entries.count(), is_new(m))).collect()
}

fn propose(count: u64) -> Input {
    Input::Propose { token: Token(1), count }
}

fn from(from: u64, term: u64, message: Message) -> Input {
    let from = raft_core::NodeId(from);
    Input::Message(Envelope { from, to: S1, term: Term(term), message })
}

fn outcomes(actions: &Actions) -> Vec<AppendOutcome> {
    let answers = actions.sent().into_iter().filter_map(|envelope| match envelope.message {
        Message::AppendEntriesResponse(m) => Some(m.outcome),
        _ => None,
    });
    answers.collect()
}

#[test]
fn entries_repeat_the_newest_question_and_the_first_message_of_a_heartbeat_asks_a_new_one() {
    let setup = Setup::of(voters(&[1, 2, 3])).config(|c| c.max_entries_per_message = 2);
    let mut solo = setup.start();
    let _ = solo.elect();
    solo.everyone_acknowledges();
    let known = &mut Some(solo.newest_round(S2));
    assert_eq!(to_s2(known, &solo.propose(5)), [(2, false), (2, false), (1, false)]);
    let due = solo.deadline();
    solo.now = due;
    let both = solo.step_all([propose(3), Input::Wake]);
    assert_eq!(to_s2(known, &both), [(2, true), (1, false)], "one question for each peer");
    assert_eq!(to_s2(known, &solo.time_out_heartbeat()), [(0, true)]);
}

#[test]
fn what_is_sent_while_it_is_not_known_where_the_logs_part_asks() {
    let mut solo = Solo::of(3);
    let known = &mut None;
    assert_eq!(to_s2(known, &solo.elect()), [(1, true)]);
    let question = solo.newest_echo(S2);
    // It holds less than the leader hoped: it is asked at once, with what follows.
    let mut behind = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 1]).start();
    let _ = behind.elect();
    let echo = behind.newest_echo(S2);
    let again = behind.hears(S2, 2, says::mismatched(at(1, 3), &[(1, 1, 1)], echo));
    assert_eq!(to_s2(&mut Some(echo.expect("it was asked").round), &again), [(3, true)]);
    let _ = solo.hears(S2, 1, says::matched(1, question));
    assert_eq!(to_s2(known, &solo.propose(1)), [(1, false)]);
}

#[test]
fn entries_without_a_question_that_do_not_match_are_refused_all_the_same() {
    let mut solo = Solo::of(3);
    let _ = solo.hears(S2, 1, says::hello(4));
    let answer = solo.hears(S2, 1, says::bulk(at(1, 9), &[1])).answer().expect("refused");
    let rejected = at(1, 9);
    assert_eq!(answer.outcome, AppendOutcome::Mismatched { rejected, hint: vec![] });
    assert_eq!((answer.echo, answer.seen), (None, Some(Round(4))));
}

#[test]
fn an_answer_names_the_newest_round_that_was_seen_of_this_leader() {
    let mut solo = Solo::of(3);
    let seen = |actions: Actions| actions.answer().expect("an answer").seen;
    assert_eq!(seen(solo.hears(S2, 1, says::bulk(says::START, &[1]))), None);
    assert_eq!(seen(solo.hears(S2, 1, says::heartbeat(5, at(1, 1)))), Some(Round(5)));
    assert_eq!(seen(solo.hears(S2, 1, says::heartbeat(3, at(1, 1)))), Some(Round(5)));
    assert_eq!(seen(solo.hears(S2, 1, says::bulk(at(1, 1), &[1]))), Some(Round(5)));
    assert_eq!(seen(solo.hears(S3, 2, says::bulk(at(1, 2), &[2]))), None, "of another leader");
}

#[test]
fn nothing_is_acknowledged_that_was_not_compared_with_this_leader() {
    let mut solo = Solo::of(3);
    let m = AppendEntries { commit: LogIndex(2), ..says::append(1, says::START, &[1, 1]) };
    let _ = solo.hears(S2, 1, Message::AppendEntries(m));
    assert_eq!(solo.status().commit_index, LogIndex(2));
    let matched = |index| vec![AppendOutcome::Matched { match_index: LogIndex(index) }];
    let short = solo.hears(S3, 2, says::heartbeat(9, at(1, 1)));
    assert_eq!(outcomes(&short), matched(1), "it may lack what is committed here");
    assert_eq!(outcomes(&solo.hears(S3, 2, says::heartbeat(10, at(1, 2)))), matched(2));
    // Nor after a restart.
    solo.crash_and_restart();
    assert_eq!(outcomes(&solo.hears(S3, 2, says::heartbeat(11, at(1, 1)))), matched(1));
}

#[test]
fn a_vote_that_waits_is_not_replaced_by_the_refusal_of_a_late_copy() {
    let mut solo = slow();
    let _ = solo.hears(S2, 2, says::request_vote(says::START));
    let late = solo.hears(S2, 1, says::request_vote(says::START));
    assert_eq!(late.ignored(), [], "it is answered, and so it competes");
    assert_eq!(solo.persist().verdict(), Some(Verdict::Granted));
    // A refusal gives way to it.
    let mut solo = slow();
    let _ = solo.hears(S2, 1, says::vote(Verdict::StaleTerm));
    let _ = solo.hears(S3, 3, says::vote(Verdict::StaleTerm));
    let _ = solo.hears(S2, 2, says::request_vote(at(1, 1)));
    let _ = solo.hears(S2, 3, says::request_vote(at(1, 1)));
    assert_eq!(solo.persist().verdict(), Some(Verdict::Granted));
}

#[test]
fn a_pre_vote_that_waits_is_not_replaced_by_the_answer_to_an_earlier_round() {
    let ask = |round, last| Message::PreVote(PreVote { round: Round(round), last });
    for rounds in [[77, 76], [76, 77]] {
        let mut solo = Setup::of(voters(&[1, 2, 3])).log(&[1]).slow_disk().start();
        let _ = solo.hears(S2, 5, says::vote(Verdict::StaleTerm));
        for round in rounds {
            let last = if round == 77 { at(1, 1) } else { at(0, 0) };
            assert_eq!(solo.hears(S3, 5, ask(round, last)).sent(), [], "the term waits");
        }
        let answer = solo.persist().pre_vote_answer().expect("one answer");
        assert_eq!((answer.round, answer.verdict), (Round(77), Verdict::Granted));
    }
}

#[test]
fn two_answers_on_which_a_leader_acts_leave_side_by_side() {
    let mut solo = Solo::of(3);
    let _ = solo.hears(S2, 1, says::hello(1));
    let late = says::appends(2, says::START, &[1]);
    let far = says::appends(3, at(2, 9), &[2]);
    let answers = outcomes(&solo.step_all([from(2, 2, far), from(2, 1, late)]));
    let mismatched = AppendOutcome::Mismatched { rejected: at(2, 9), hint: vec![] };
    assert_eq!(answers, [mismatched, AppendOutcome::StaleTerm]);
}

#[test]
fn answers_that_wait_echo_the_newest_question() {
    let mut solo = slow();
    for round in [1, 3, 2] {
        assert_eq!(solo.hears(S3, 2, says::appends(round, at(2, 9), &[2])).sent(), []);
    }
    let bulk = solo.pass(ms(1)).hears(S3, 2, says::bulk(at(2, 9), &[2]));
    assert_eq!(bulk.sent(), [], "it asks nothing, and takes no echo away");
    let echo = solo.persist().echoed().expect("a sign of life");
    assert_eq!(echo.round, Round(3));
}
