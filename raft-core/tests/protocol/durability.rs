//! What must be durable first cannot be sent early: the core has not handed it out yet.

use crate::common::{Actions, S1, S2, S3, Setup, Solo, T, at, ms, says, voters};
use raft_core::{
    AppendEntries, AppendOutcome, Envelope, IgnoreReason, Input, LogIndex, LogWrite, Message,
    Protection, RejectReason, RoleKind, Source, Term, Ticket, Token, Verdict,
};

/// S1 of three in term 1, whose disk answers when the test says so. Its promise is durable already,
/// so that only the log and the term have to be written.
fn slow() -> Setup {
    Setup::of(voters(&[1, 2, 3])).term(1).hard_state(|h| h.promised = T).slow_disk()
}

/// The same, after the fence that a promise puts up at a start.
fn slow_node() -> Solo {
    let mut node = slow().start();
    let _ = node.pass(T);
    node
}

#[test]
fn no_message_leaves_before_its_term_is_durable() {
    let mut node = slow_node();
    let _ = node.hears(S2, 5, says::vote(Verdict::StaleTerm));
    assert_eq!(node.term(), 5);
    let asked = node.hears(S3, 5, says::pre_vote(says::START));
    assert_eq!(asked.sent(), [], "even where nothing else depends on the disk");
    let durable = node.persist();
    assert_eq!(durable.pre_verdict(), Some(Verdict::Granted));
    assert_eq!(durable.sent()[0].term, Term(5));
}

#[test]
fn a_granted_vote_waits_for_the_disk() {
    let mut node = slow_node();
    let voted = node.hears(S2, 2, says::request_vote(at(1, 1)));
    assert_eq!(voted.writes()[0].hard_state.and_then(|h| h.voted_for), Some(S2));
    assert_eq!(voted.sent(), []);
    assert_eq!(node.persist().verdict(), Some(Verdict::Granted));
}

#[test]
fn a_vote_request_waits_for_the_candidates_own_vote() {
    let mut node = slow().protection(Protection::Plain).start();
    let run = node.pass(T).time_out();
    assert_eq!(
        run.writes()[0].hard_state.map(|h| (h.current_term, h.voted_for)),
        Some((Term(2), Some(S1)))
    );
    assert_eq!(run.sent(), []);
    assert_eq!(node.persist().receivers(), [S2, S3]);
}

#[test]
fn a_candidates_own_vote_counts_when_it_is_durable() {
    let mut node = slow().protection(Protection::Plain).start();
    let _ = node.pass(T).time_out();
    let _ = node.hears(S2, 2, says::vote(Verdict::Granted));
    assert_eq!(node.role(), RoleKind::Candidate, "one vote and one that may be forgotten");
    let _ = node.persist();
    assert_eq!(node.role(), RoleKind::Leader);
}

/// S1 leads term 2 of three with a slow disk; its first entry is durable, committed, and known.
fn slow_leader() -> Solo {
    let mut node = slow().protection(Protection::Plain).start();
    let _ = node.pass(T).time_out();
    let _ = node.persist();
    let _ = node.hears(S2, 2, says::vote(Verdict::Granted));
    let _ = node.persist();
    for peer in [S2, S3] {
        let _ = node.hears(peer, 2, says::matched(1, None));
    }
    assert_eq!(node.status().last_applied, LogIndex(1));
    node
}

#[test]
fn a_leader_sends_in_parallel_with_its_own_write() {
    let mut leader = slow_leader();
    let proposed = leader.propose(1);
    assert_eq!((proposed.writes().len(), proposed.receivers()), (1, vec![S2, S3]));
}

#[test]
fn a_leader_counts_itself_only_when_its_write_is_durable() {
    let mut leader = slow_leader();
    let _ = leader.propose(1);
    let _ = leader.hears(S2, 2, says::matched(2, None));
    assert_eq!(leader.status().commit_index, LogIndex(1), "one of three");
    assert_eq!(leader.persist().applied(), [(2, at(2, 2))], "two of three");
}

#[test]
fn a_majority_without_the_leader_commits_but_the_leader_applies_what_is_durable_here() {
    let mut leader = slow_leader();
    let _ = leader.propose(1);
    let _ = leader.hears(S2, 2, says::matched(2, None));
    let committed = leader.hears(S3, 2, says::matched(2, None));
    assert_eq!(leader.status().commit_index, LogIndex(2));
    assert_eq!(committed.applied(), []);
    assert_eq!(leader.persist().applied(), [(2, at(2, 2))]);
}

#[test]
fn an_acknowledgement_waits_for_the_disk() {
    let mut node = slow_node();
    let heard = node.hears(S2, 1, says::bulk(says::START, &[1, 1]));
    assert_eq!((heard.writes().len(), heard.sent()), (1, vec![]));
    assert_eq!(match_index(&node.persist()), Some(2));
}

#[test]
fn a_question_that_comes_with_entries_is_answered_before_they_are_durable_and_they_when_they_are() {
    let mut node = slow_node();
    let heard = node.hears(S2, 1, says::appends(1, says::START, &[1, 1]));
    assert_eq!(match_index(&heard), Some(0), "the entries are on their way to the disk");
    assert_eq!(heard.echoed().map(|echo| echo.round.get()), Some(1));
    let durable = node.persist();
    assert_eq!(match_index(&durable), Some(2));
    assert_eq!(durable.echoed().map(|echo| echo.round.get()), Some(1), "the first may be lost");
}

#[test]
fn a_heartbeat_is_answered_at_once_with_what_is_durable() {
    let mut node = slow_node();
    let _ = node.hears(S2, 1, says::appends(1, says::START, &[1, 1]));
    let answer = node.hears(S2, 1, says::heartbeat(2, at(1, 2)));
    assert_eq!(match_index(&answer), Some(0), "the entries are still on their way to the disk");
    assert_eq!(
        answer.echoed().map(|echo| echo.round.get()),
        Some(2),
        "a slow disk is no dead node"
    );
}

#[test]
fn entries_that_are_durable_already_are_acknowledged_at_once() {
    let mut node = slow_node();
    let _ = node.hears(S2, 1, says::appends(1, says::START, &[1, 1]));
    let _ = node.persist();
    let again = node.hears(S2, 1, says::appends(2, says::START, &[1, 1]));
    assert_eq!((again.writes(), match_index(&again)), (vec![], Some(2)));
}

#[test]
fn acknowledgements_that_wait_are_merged_and_echo_the_newest_probe() {
    let mut node = slow_node();
    for prev in [at(0, 0), at(1, 1), at(1, 2)] {
        assert_eq!(node.hears(S2, 1, says::bulk(prev, &[1])).sent(), []);
    }
    let answer = node.persist();
    assert_eq!((answer.sent().len(), match_index(&answer)), (1, Some(3)));

    // What waits for the term echoes the newest of the questions.
    let mut node = slow_node();
    for round in [1, 3, 2] {
        assert_eq!(node.hears(S3, 2, says::hello(round)).sent(), []);
    }
    let answer = node.persist();
    assert_eq!(answer.echoed().map(|echo| echo.round.get()), Some(3));
}

#[test]
fn part_of_the_writes_acknowledges_part_of_the_entries() {
    let mut node = slow_node();
    for (round, prev) in [(1, at(0, 0)), (2, at(1, 1)), (3, at(1, 2))] {
        let _ = node.hears(S2, 1, says::appends(round, prev, &[1]));
    }
    assert_eq!(match_index(&node.persist_first(2)), Some(2));
    assert_eq!(match_index(&node.persist_first(1)), Some(3));
}

#[test]
fn an_answer_that_waits_for_the_term_still_echoes_the_newest_probe() {
    // The log part of an earlier ticket completes while the new term is still being written.
    let mut node = slow_node();
    let _ = node.hears(S2, 1, says::appends(1, says::START, &[1]));
    let heard = node.hears(S3, 2, says::heartbeat(9, at(1, 1)));
    assert_eq!(heard.sent(), []);
    let _ = node.persist_first(1);
    let answer = node.persist_first(1);
    assert_eq!(match_index(&answer), Some(1));
    assert_eq!(answer.echoed().map(|echo| echo.round.get()), Some(9));
}

#[test]
fn a_completion_never_counts_what_a_later_write_dropped() {
    let mut node = slow_node();
    let _ = node.hears(S2, 1, says::appends(1, says::START, &[1, 1]));
    let _ = node.hears(S3, 2, says::appends(1, at(1, 1), &[2]));
    assert_eq!(match_index(&node.persist_first(1)), None, "the term is not durable yet");
    assert_eq!(node.status().durable, at(1, 1), "the first write proves nothing about index 2");
    assert_eq!(match_index(&node.persist_first(1)), Some(2));
    assert_eq!(node.status().durable, at(2, 2));
}

#[test]
fn what_waits_for_the_disk_dies_with_its_term() {
    let mut node = slow_node();
    let _ = node.hears(S2, 4, says::request_vote(at(1, 1)));
    let _ = node.hears(S3, 5, says::request_vote(at(1, 1)));
    let first = node.persist_first(1);
    assert_eq!(first.sent(), [], "the vote of term 4 is nobody's any more");
    let second = node.persist_first(1);
    assert_eq!(second.receivers(), [S3]);
    assert_eq!((second.verdict(), second.sent()[0].term), (Some(Verdict::Granted), Term(5)));
}

#[test]
fn an_acknowledgement_dies_with_the_leadership_it_was_for() {
    let mut node = slow_node();
    let _ = node.hears(S2, 1, says::appends(1, says::START, &[1]));
    let _ = node.hears(S3, 2, says::vote(Verdict::StaleTerm));
    let durable = node.persist();
    assert_eq!(durable.sent(), []);
}

#[test]
fn what_is_committed_is_applied_when_it_is_durable_here() {
    let mut node = slow_node();
    let m = AppendEntries { commit: LogIndex(1), ..says::append(1, says::START, &[1, 1]) };
    let heard = node.hears(S2, 1, Message::AppendEntries(m));
    assert_eq!((node.status().commit_index, heard.applied()), (LogIndex(1), vec![]));
    assert_eq!(node.persist().applied(), [(1, at(1, 1))]);
}

#[test]
fn a_completion_that_this_life_did_not_order_is_refused() {
    let mut node = slow_node();
    let old = node.hears(S2, 1, says::appends(1, says::START, &[1])).writes()[0].ticket;
    node.crash_and_restart();
    let _ = node.pass(T).hears(S2, 1, says::appends(2, says::START, &[1]));
    let next = node.disk.in_flight()[0].ticket;
    for ticket in [old, Ticket(0), Ticket(next.get() + 1), Ticket(u64::MAX)] {
        let before = node.node.clone();
        let refused = node.step(Input::Persisted { ticket });
        assert_eq!((refused.ignored(), refused.0.len()), (vec![IgnoreReason::UnknownTicket], 1));
        assert_eq!(node.node, before);
    }
    assert_eq!(match_index(&node.persist()), Some(1));
    let twice = node.step(Input::Persisted { ticket: next });
    assert!(twice.is_empty(), "twice is harmless");
}

#[test]
fn a_write_names_where_the_bytes_of_its_commands_are() {
    let mut leader = slow_leader();
    let propose = |count| Input::Propose { token: Token(0), count };
    let log = leader.step_all([propose(2), Input::Wake, propose(3)]).writes()[0].log.clone();
    let log = log.expect("a change of the log");
    assert_eq!((log.first, sources(&log)), (LogIndex(2), vec![(5, from_inputs(0, 2, 0))]));
}

#[test]
fn commands_that_are_not_taken_part_those_before_from_those_after() {
    let mut leader = slow_leader();
    let propose = |count| Input::Propose { token: Token(0), count };
    let step = leader.step_all([propose(2), propose(0), propose(3), propose(1)]);
    assert_eq!(step.rejected(), [RejectReason::BadCount { count: 0 }]);
    let log = step.writes()[0].log.clone().expect("a change of the log");
    assert_eq!(sources(&log), [(2, from_inputs(0, 0, 0)), (4, from_inputs(2, 3, 0))]);

    let mut node = slow_node();
    let append = |round, prev, terms: &[u64]| {
        let message = says::appends(round, prev, terms);
        Input::Message(Envelope { from: S2, to: S1, term: Term(1), message })
    };
    let first = append(1, says::START, &[1, 1]);
    let step = node.step_all([first.clone(), first, append(2, at(1, 2), &[1])]);
    let log = step.writes()[0].log.clone().expect("a change of the log");
    assert_eq!(sources(&log), [(2, from_inputs(0, 0, 0)), (1, from_inputs(2, 2, 0))]);
}

#[test]
fn a_write_skips_the_commands_that_it_has_already() {
    let mut node = slow_node();
    let _ = node.hears(S2, 1, says::appends(1, says::START, &[1, 1]));
    let append = |round, prev, terms: &[u64]| {
        let message = says::appends(round, prev, terms);
        Input::Message(Envelope { from: S2, to: S1, term: Term(1), message })
    };
    let both = [append(2, at(0, 0), &[1, 1, 1]), append(3, at(1, 2), &[1, 1, 1])];
    let log = node.step_all(both).writes()[0].log.clone().expect("a change of the log");
    let expected = vec![(1, from_inputs(0, 0, 2)), (2, from_inputs(1, 1, 1))];
    assert_eq!((log.first, sources(&log)), (LogIndex(3), expected));
}

#[test]
fn a_membership_entry_has_no_bytes_and_is_not_counted_among_those_of_a_message() {
    let mut node = slow_node();
    let membership = Box::new(voters(&[1, 2, 3, 4]));
    let command = |count| raft_core::Run::Commands { term: Term(1), count };
    let change = raft_core::Run::Membership { term: Term(1), membership: membership.clone() };
    let entries = [command(2), change, command(3)].into_iter().collect();
    let m = AppendEntries { entries, ..says::append(1, says::START, &[]) };
    let log =
        node.hears(S2, 1, Message::AppendEntries(m)).writes()[0].log.clone().expect("entries");
    let expected =
        [(2, from_inputs(0, 0, 0)), (1, Source::Membership(membership)), (3, from_inputs(0, 0, 2))];
    assert_eq!(sources(&log), expected);
}

#[test]
fn the_hard_state_is_written_once_and_not_with_every_entry() {
    let mut node = slow_node();
    for round in 0..20 {
        let prev = at(u64::from(round > 0), round);
        let heard = node.pass(ms(10)).hears(S2, 1, says::appends(round, prev, &[1]));
        assert_eq!(heard.writes()[0].hard_state, None);
    }
}

fn from_inputs(first: usize, last: usize, skip: u64) -> Source {
    Source::Inputs { first, last, skip }
}

fn sources(log: &LogWrite) -> Vec<(u64, Source)> {
    log.chunks.iter().map(|chunk| (chunk.count, chunk.source.clone())).collect()
}

fn match_index(actions: &Actions) -> Option<u64> {
    actions.answer().map(|m| match m.outcome {
        AppendOutcome::Matched { match_index } => match_index.get(),
        other => panic!("{other:?}"),
    })
}
