//! Frames whose payloads are fewer or more than their message announces, and writes that no core
//! asks for.

use crate::run::fuzz::any::Any;
use crate::run::fuzz::stage::{Play, Stage};
use raft_core::payload::{Content, PayloadLog, bind, check_payloads};
use raft_core::{
    Action, AppendEntries, Chunk, Envelope, Input, LogIndex, LogPosition, LogWrite, Membership,
    Message, NodeId, Source, Status, Term,
};

/// Frames that lie about their payloads. A node in any role takes inputs in calls of any size,
/// beside each some payloads: as many as it announces, fewer, or more.
///
/// # Panics
///
/// If a lie is not refused, where it arrives and where it would be written, with the log as it was;
/// if a true frame is; if what is written is not what a second, naive implementation writes; if a
/// message is given other payloads than the log holds; if anything panics.
pub fn fuzz_frames(bytes: &[u8]) {
    frames(bytes);
}

/// What has happened, for the tests.
#[derive(Default)]
struct Seen {
    true_writes: u32,
    refused_writes: u32,
    sendings: u32,
}

fn frames(bytes: &[u8]) -> Seen {
    let mut any = Any::new(bytes);
    let stage = u8::try_from(any.below(8)).expect("one of eight");
    let mut play = Play::of(Stage::of(stage));
    let mut log = play.subject.log().expect("a small log has its bytes").clone();
    let mut seen = Seen::default();
    while !any.choices.is_exhausted() {
        let status = play.subject.status();
        let calls = 1 + any.below(3);
        let mut inputs: Vec<Input> = (0..calls).map(|_| carrier(&mut any, &play)).collect();
        if let Some(ticket) = any.heard.tickets.last().copied()
            && any.below(2) == 0
        {
            inputs.push(Input::Persisted { ticket });
        }
        let payloads: Vec<Vec<u64>> = inputs.iter().map(|i| frame(&mut any, i)).collect();
        for (input, payloads) in inputs.iter().zip(&payloads) {
            arrives(input, payloads);
        }
        let actions = play.subject.step(&inputs, play.subject.now());
        log.compact(play.subject.status().log_start);
        for action in &actions {
            match action {
                Action::Persist(write) => {
                    if let Some(write) = &write.log
                        && !written(write, &inputs, &payloads, &mut log, &mut seen)
                    {
                        // A runtime that does not check what arrives must drop the node here.
                        return seen;
                    }
                }
                Action::Send(Envelope { message: Message::AppendEntries(append), .. }) => {
                    sent(append, &log, &mut seen);
                }
                _ => {}
            }
        }
        any.heard.take(&actions);
        strange(&mut any, &status, &log);
    }
    seen
}

/// An input that carries commands, mostly.
fn carrier(any: &mut Any, play: &Play) -> Input {
    let status = play.subject.status();
    match any.below(8) {
        0 => any.input(&status),
        1..4 => any.proposal(),
        _ => {
            let message = Message::AppendEntries(any.append(&status));
            let from = status.leader.filter(|leader| *leader != status.id).unwrap_or(NodeId(2));
            Envelope { from, to: status.id, term: status.term, message }.into()
        }
    }
}

/// Some payloads: as many as the input announces, or not.
fn frame(any: &mut Any, input: &Input) -> Vec<u64> {
    let announced = input.commands().min(40);
    if announced == 0 && any.below(16) != 15 {
        return Vec::new();
    }
    let found = match any.below(8) {
        0 => announced.saturating_sub(1 + any.below(3)),
        1 => announced + 1 + any.below(3),
        _ => announced,
    };
    (0..found).map(|_| any.below(256)).collect()
}

/// Where a frame arrives.
fn arrives(input: &Input, payloads: &[u64]) {
    let Input::Message(Envelope { message, .. }) = input else { return };
    let honest = u64::try_from(payloads.len()) == Ok(message.commands());
    assert_eq!(check_payloads(message, payloads.len()).is_ok(), honest, "a lie is refused");
}

/// A write of the core with what came beside. False if it is refused.
fn written(
    write: &LogWrite,
    inputs: &[Input],
    payloads: &[Vec<u64>],
    log: &mut PayloadLog<u64>,
    seen: &mut Seen,
) -> bool {
    let beside = |nth: usize| Some((inputs.get(nth)?, payloads.get(nth)?.as_slice()));
    let before = log.clone();
    let expected = naive(write, inputs, payloads);
    let bound = bind(write, beside);
    assert_eq!(bound.clone().ok(), expected, "bound as by hand");
    let result = log.write(write, beside);
    assert_eq!(result.is_ok(), bound.is_ok(), "what cannot be bound is not written: {result:?}");
    let Ok(bound) = bound else {
        assert_eq!(*log, before, "a write that is refused changes nothing");
        seen.refused_writes += 1;
        return false;
    };
    for (position, content) in &bound {
        assert_eq!(log.entry(*position), Some(content), "what is bound is written");
    }
    assert_eq!(log.last().index, write.last_index(), "and nothing behind it");
    seen.true_writes += 1;
    true
}

/// The same as [`bind`], by hand: one command after the other.
fn naive(
    write: &LogWrite,
    inputs: &[Input],
    payloads: &[Vec<u64>],
) -> Option<Vec<(LogPosition, Content<u64>)>> {
    let (mut bound, mut before) = (Vec::new(), Term::ZERO);
    let mut last = write.first.get().checked_sub(1)?;
    for chunk in write.chunks.iter() {
        (chunk.term >= before && chunk.count > 0).then_some(())?;
        before = chunk.term;
        last.checked_add(chunk.count)?;
        let contents: Vec<Content<u64>> = match &chunk.source {
            Source::Membership(membership) => {
                (chunk.count == 1).then(|| vec![Content::Membership(membership.clone())])?
            }
            Source::Inputs { first, last, skip } => {
                (first <= last).then_some(())?;
                let mut left = chunk.count;
                let mut commands = Vec::new();
                let mut skip = usize::try_from(*skip).ok()?;
                for nth in *first..=*last {
                    if left == 0 {
                        break;
                    }
                    let (input, found) = (inputs.get(nth)?, payloads.get(nth)?);
                    (u64::try_from(found.len()) == Ok(input.commands())).then_some(())?;
                    let rest = found.get(skip..)?;
                    skip = 0;
                    for payload in rest {
                        if left > 0 {
                            commands.push(Content::Command(*payload));
                            left -= 1;
                        }
                    }
                }
                (left == 0).then_some(commands)?
            }
        };
        for content in contents {
            last += 1;
            bound.push((LogPosition::new(chunk.term, LogIndex(last)), content));
        }
    }
    Some(bound)
}

/// A message that leaves has what the log holds.
fn sent(append: &AppendEntries, log: &PayloadLog<u64>, seen: &mut Seen) {
    let attached = log.attach(append).expect("a leader holds what it sends");
    let message = Message::AppendEntries(append.clone());
    assert_eq!(check_payloads(&message, attached.len()), Ok(()), "the frame is true");
    let first = LogIndex(append.prev.index.get() + 1);
    let held = log.range(first, append.last_position().index);
    let held: Vec<u64> = held.filter_map(|(_, content)| content.command().copied()).collect();
    assert_eq!(attached, held, "the payloads of a message are those of its positions");
    seen.sendings += 1;
}

/// Writes and messages that no core hands out: refused, or done as by hand.
fn strange(any: &mut Any, status: &Status, log: &PayloadLog<u64>) {
    if any.below(4) != 3 {
        return;
    }
    let inputs: Vec<Input> = (0..any.below(3)).map(|_| any.proposal()).collect();
    let payloads: Vec<Vec<u64>> = inputs.iter().map(|input| frame(any, input)).collect();
    let chunks = (0..any.below(4)).map(|_| chunk(any)).collect();
    let restart_after = (any.below(8) == 7).then(|| LogPosition::new(Term(1), LogIndex(3)));
    let write = LogWrite { restart_after, first: LogIndex(any.number()), chunks };
    let beside = |nth: usize| Some((inputs.get(nth)?, payloads.get(nth)?.as_slice()));
    let bound = bind(&write, beside);
    assert_eq!(bound.clone().ok(), naive(&write, &inputs, &payloads), "bound as by hand");
    let mut copy = log.clone();
    match copy.write(&write, beside) {
        Ok(()) => assert!(bound.is_ok(), "what is written can be bound"),
        Err(_) => assert_eq!(copy, *log, "a write that is refused changes nothing"),
    }
    let append = any.append(status);
    match log.attach(&append) {
        Ok(payloads) => assert_eq!(u64::try_from(payloads.len()), Ok(append.entries.commands())),
        Err(error) => assert!(!error.to_string().is_empty(), "an error says what is wrong"),
    }
}

/// A chunk of anything.
fn chunk(any: &mut Any) -> Chunk {
    let (term, count) = (Term(any.below(4)), any.number());
    let nth = |number: u64| usize::try_from(number).expect("a few");
    let source = if any.below(4) == 0 {
        Source::Membership(Box::new(Membership::empty()))
    } else {
        Source::Inputs { first: nth(any.below(3)), last: nth(any.below(3)), skip: any.number() }
    };
    Chunk { term, count, source }
}

#[cfg(test)]
mod tests {
    use super::frames;
    use crate::run::fuzz::bytes;

    #[test]
    fn true_frames_are_written_and_lies_refused() {
        let (mut written, mut refused, mut sendings) = (0, 0, 0);
        for seed in 0..3_000 {
            let seen = frames(&bytes(seed, 200));
            written += seen.true_writes;
            refused += seen.refused_writes;
            sendings += seen.sendings;
        }
        let all = [written, refused, sendings];
        assert!(all.iter().all(|count| *count > 100), "{all:?}");
    }
}
