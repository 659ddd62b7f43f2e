//! Messages and whole nodes that are decoded from bytes, and then stepped.

use crate::run::fuzz::any::Any;
use crate::run::fuzz::stage::{Play, Stage, announce};
use crate::run::fuzz::subject::Subject;
use raft_core::{Envelope, Input, Instant, Message, Node, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// The two formats: one for machines, one for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Postcard,
    Json,
}

impl Format {
    pub(super) const ALL: [Self; 2] = [Self::Postcard, Self::Json];

    /// The format that a byte names.
    pub(super) const fn of(byte: u8) -> Self {
        if byte & 1 == 0 { Self::Postcard } else { Self::Json }
    }

    /// Reads one value, and what stands behind it; `None` if there is none.
    pub(super) fn read<T: DeserializeOwned>(self, bytes: &[u8]) -> Option<(T, &[u8])> {
        match self {
            Self::Postcard => postcard::take_from_bytes(bytes).ok(),
            Self::Json => {
                let mut values = serde_json::Deserializer::from_slice(bytes).into_iter();
                let value = values.next()?.ok()?;
                Some((value, &bytes[values.byte_offset()..]))
            }
        }
    }

    pub(super) fn write<T: Serialize>(self, value: &T) -> Vec<u8> {
        match self {
            Self::Postcard => postcard::to_allocvec(value).expect("every value can be written"),
            Self::Json => serde_json::to_vec(value).expect("every value can be written"),
        }
    }
}

/// What is read is written in either format, and read back as the same.
pub(super) fn there_and_back<T>(value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    for format in Format::ALL {
        let bytes = format.write(value);
        let (again, rest) = format.read::<T>(&bytes).expect("what was written is read");
        assert_eq!((&again, rest), (value, &[][..]), "{format:?} keeps a value");
        assert_eq!(format.write(&again), bytes, "{format:?} has one form of a value");
    }
}

/// Messages that are decoded from bytes, and stepped into a node in any role. The first byte names
/// the format, the second the role; the messages follow, one after the other.
///
/// # Panics
///
/// If decoding or the node panics; if a message does not survive writing and reading, in postcard
/// or in JSON; if the message is refused and changes something; and as
/// [`fuzz_one_node`](super::fuzz_one_node).
pub fn fuzz_messages(bytes: &[u8]) {
    messages(bytes);
}

/// How many messages were decoded, and the node after them.
fn messages(bytes: &[u8]) -> Option<(usize, Status)> {
    let [format, stage, rest @ ..] = bytes else { return None };
    let (format, mut play, mut rest) = (Format::of(*format), Play::of(Stage::of(*stage)), rest);
    let before = play.said.len();
    while let Some((envelope, behind)) = format.read::<Envelope>(rest) {
        there_and_back(&envelope);
        splits(&envelope);
        play.hear(envelope);
        rest = behind;
    }
    Some((play.said.len() - before, play.subject.status()))
}

/// A message of many entries can be sent as two.
fn splits(envelope: &Envelope) {
    let Message::AppendEntries(whole) = &envelope.message else { return };
    if whole.entries.check(whole.prev, envelope.term).is_err() {
        return;
    }
    let count = whole.entries.count();
    let (head, tail) = whole.clone().split_at(count / 2);
    assert_eq!(head.last_position(), tail.prev, "the second part goes on where the first ends");
    assert_eq!(tail.last_position(), whole.last_position(), "both parts are the whole");
    for part in [&head, &tail] {
        assert_eq!(part.entries.check(part.prev, envelope.term), Ok(()), "each part is valid");
    }
}

/// A node that is decoded from bytes, and then stepped. The first byte names the format; a node
/// follows, and then what is drawn as in [`fuzz_one_node`](super::fuzz_one_node).
///
/// # Panics
///
/// If decoding panics; if a node that is read breaks an invariant, then or ever after; if it does
/// not survive writing and reading; and as [`fuzz_one_node`](super::fuzz_one_node).
pub fn fuzz_dump(bytes: &[u8]) {
    dump(bytes);
}

fn dump(bytes: &[u8]) -> Option<Status> {
    let (format, rest) = bytes.split_first()?;
    let (node, rest) = Format::of(*format).read::<Node>(rest)?;
    node.check().expect("every invariant holds in a node that was read");
    there_and_back(&node);
    let mut any = Any::new(rest);
    let now = Instant::from_nanos(any.up_to(1 << 40));
    let mut subject = Subject::of(node, now);
    subject.step(&[Input::Wake], now);
    subject.drive(&mut any);
    Some(subject.status())
}

/// Inputs to begin with: what friendly peers say, in each role and format.
pub(super) fn message_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (format, stage) in both(&Stage::ALL) {
        let mut said = vec![format, stage];
        let mut play = Play::of(Stage::of(stage));
        let begins = play.said.len();
        let mut next = play.answers.clone();
        next.push(announce());
        for envelope in next {
            play.hear(envelope);
        }
        for envelope in &play.said[begins..] {
            said.extend(Format::of(format).write(envelope));
        }
        seeds.push(said);
    }
    seeds
}

/// Inputs to begin with: a node in each role, in each format.
pub(super) fn dump_seeds() -> Vec<Vec<u8>> {
    let dumped = |(format, stage)| {
        let play = Play::of(Stage::of(stage));
        let mut bytes = vec![format];
        bytes.extend(Format::of(format).write(play.subject.node()));
        bytes
    };
    both(&Stage::ALL).map(dumped).collect()
}

/// Every format with every stage, as bytes.
pub(super) fn both(stages: &[Stage]) -> impl Iterator<Item = (u8, u8)> {
    let stages = u8::try_from(stages.len()).expect("a few stages");
    (0..2).flat_map(move |format| (0..stages).map(move |stage| (format, stage)))
}

#[cfg(test)]
mod tests {
    use super::{dump, dump_seeds, fuzz_dump, fuzz_messages, message_seeds, messages};
    use crate::plan::choice::{Choices, Question};

    /// Each seed with a few bytes changed.
    fn damaged(seeds: &[Vec<u8>], mut take: impl FnMut(&[u8])) {
        let mut choices = Choices::seeded(1);
        let mut below = |bound: usize| {
            let bound = u64::try_from(bound).expect("a small bound");
            usize::try_from(choices.below(Question::Input, bound)).expect("a small number")
        };
        for seed in seeds {
            for _ in 0..100 {
                let mut bytes = seed.clone();
                for _ in 0..=below(3) {
                    let at = below(bytes.len());
                    bytes[at] = u8::try_from(below(256)).expect("a byte");
                }
                bytes.extend((0..below(40)).map(|_| u8::try_from(below(256)).expect("a byte")));
                take(&bytes);
            }
        }
    }

    #[test]
    fn what_friendly_peers_say_is_read_whole_and_moves_the_node() {
        for seed in message_seeds() {
            let (read, status) = messages(&seed).expect("two bytes and more");
            assert!(read >= 1, "{seed:?}");
            assert!(status.term.get() >= 1, "{seed:?}");
        }
    }

    #[test]
    fn a_node_of_each_stage_is_read_back() {
        for seed in dump_seeds() {
            assert!(dump(&seed).is_some(), "{}", String::from_utf8_lossy(&seed));
        }
    }

    #[test]
    fn damaged_messages_and_nodes_are_refused_or_stand_everything() {
        damaged(&message_seeds(), fuzz_messages);
        damaged(&dump_seeds(), fuzz_dump);
    }
}
