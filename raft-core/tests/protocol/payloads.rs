//! A write, and the bytes that came with the inputs of its call: what `PayloadLog` holds afterwards
//! is what the leaders put there.

use crate::common::{Actions, S1, S2, S3, Setup, Solo, at, says, voters};
use raft_core::payload::{Content, PayloadLog};
use raft_core::{Envelope, Input, LogIndex, LogPosition, Message, NodeId, PayloadError, Term};

type Frame = (Input, Vec<char>);

fn frame(from: NodeId, term: u64, message: Message, commands: &str) -> Frame {
    let envelope = Envelope { from, to: S1, term: Term(term), message };
    (envelope.into(), commands.chars().collect())
}

/// Steps all frames at once, and writes what the node wants to be written.
fn take(node: &mut Solo, log: &mut PayloadLog<char>, frames: &[Frame]) -> Result<(), PayloadError> {
    let mut actions = Vec::new();
    node.node.step_all(frames.iter().map(|(input, _)| input), node.now, &mut actions);
    let beside = |nth: usize| frames.get(nth).map(|(input, commands)| (input, &commands[..]));
    let writes = Actions(actions).writes();
    writes.iter().filter_map(|write| write.log.as_ref()).try_for_each(|w| log.write(w, beside))
}

/// A log of commands with these terms.
fn log_of(terms: &[u64], commands: &str) -> PayloadLog<char> {
    let mut log = PayloadLog::new(LogPosition::ZERO);
    for (term, command) in terms.iter().zip(commands.chars()) {
        log.push(Term(*term), Content::Command(command));
    }
    log
}

fn held(log: &PayloadLog<char>) -> Vec<(LogPosition, char)> {
    let all = log.range(LogIndex::ZERO, LogIndex(u64::MAX));
    all.map(|(position, content)| (position, *content.command().expect("no membership"))).collect()
}

#[test]
fn what_is_known_of_the_first_frame_is_skipped_and_the_next_one_joins_it() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1]).start();
    let mut log = log_of(&[1, 1], "ab");
    let frames = [
        frame(S2, 1, says::appends(1, at(1, 1), &[1, 1]), "bc"),
        frame(S2, 1, says::appends(2, at(1, 3), &[1]), "d"),
        frame(S2, 1, says::appends(2, at(1, 3), &[1]), "d"),
        frame(S2, 1, says::appends(3, at(1, 4), &[1]), "e"),
    ];
    assert_eq!(take(&mut node, &mut log, &frames), Ok(()));
    let all: Vec<_> = (1..).map(|index| at(1, index)).zip("abcde".chars()).collect();
    assert_eq!(held(&log), all);
}

#[test]
fn what_one_call_appends_and_cuts_again_is_not_written() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1]).start();
    let mut log = log_of(&[1], "a");
    let frames = [
        frame(S2, 2, says::appends(1, at(1, 1), &[2, 2]), "bc"),
        frame(S2, 2, says::appends(2, at(2, 3), &[2]), "d"),
        frame(S3, 3, says::appends(1, at(2, 2), &[3, 3]), "ef"),
    ];
    assert_eq!(take(&mut node, &mut log, &frames), Ok(()));
    assert_eq!(held(&log), [(at(1, 1), 'a'), (at(2, 2), 'b'), (at(3, 3), 'e'), (at(3, 4), 'f')]);
}

/// The log was older than the snapshot, so the first write restarts it.
#[test]
fn the_first_write_restarts_the_log_even_if_its_call_cuts_what_it_appends() {
    for cuts_all in [false, true] {
        let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1, 1, 4]).snapshot(at(3, 2)).start();
        let mut log = log_of(&[1, 1, 4], "xyz");
        let (prev, rest): (_, &[_]) =
            if cuts_all { (at(3, 2), &[]) } else { (at(5, 3), &[(at(5, 3), 'a')]) };
        let frames = [
            frame(S2, 5, says::appends(1, at(3, 2), &[5, 5, 5]), "abc"),
            frame(S3, 6, says::appends(1, prev, &[6]), "d"),
        ];
        assert_eq!(take(&mut node, &mut log, &frames), Ok(()));
        assert_eq!(log.start(), at(3, 2));
        let last = LogPosition::new(Term(6), LogIndex(prev.index.get() + 1));
        assert_eq!(held(&log), [rest, &[(last, 'd')]].concat());
        assert_eq!(log.last(), node.status().last);
    }
}

#[test]
fn a_frame_that_brings_more_than_it_announces_puts_nothing_into_the_log() {
    let mut node = Setup::of(voters(&[1, 2, 3])).log(&[1]).start();
    let mut log = log_of(&[1], "a");
    let frames = [
        frame(S2, 2, says::appends(1, at(1, 1), &[2]), "b!"),
        frame(S2, 2, says::appends(2, at(2, 2), &[2]), "c"),
    ];
    let wrong = PayloadError::WrongCount { announced: 1, found: 2 };
    assert_eq!(take(&mut node, &mut log, &frames), Err(wrong));
    assert_eq!(held(&log), [(at(1, 1), 'a')]);
}
