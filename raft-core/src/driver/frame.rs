//! Frames and batches: messages and requests with the bytes that belong to them.
//!
//! A [`Frame`] is checked once, where it arrives; a [`Batch`] is made of such frames, of proposals
//! and of inputs that carry nothing. So what a batch holds beside an input is what the input
//! announces, and [`Batch::bind`] cannot put a command where no leader put it.

use crate::action::{LogWrite, Write};
use crate::entries::Snapshot;
use crate::error::PayloadError;
use crate::input::{HardState, Input};
use crate::message::{Envelope, InstallSnapshot, Message};
use crate::payload::{Content, bind, check_payloads};
use crate::types::{LogIndex, LogPosition, NodeId, Term, Ticket, Token};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use thiserror::Error;

/// What a client replicates, and how much room it takes.
///
/// A payload is cloned where it goes two ways, to the disk and to a peer: one that is shared, such
/// as `Arc<[u8]>`, is never copied.
pub trait Payload: Clone {
    /// Its size in bytes, as the runtime writes and sends it; the same at every call.
    fn bytes(&self) -> u64;

    /// The node of which this command says how to reach it, or whatever else the runtime has to
    /// know of it: it goes into the [`Book`](crate::driver::book::Book). Others say of nobody.
    fn describes(&self) -> Option<NodeId> {
        None
    }
}

macro_rules! bytes {
    ($($of:ty),*) => {
        $(impl Payload for $of {
            fn bytes(&self) -> u64 {
                self.len() as u64
            }
        })*
    };
}

/// What is added to the size of each payload wherever bytes are limited: for what stands around it
/// in memory, on the disk and in frames, so that empty commands count, too.
pub const OVERHEAD: u64 = 32;

/// How much an entry counts where bytes are limited.
pub fn weight<P: Payload>(content: &Content<P>) -> u64 {
    match content {
        Content::Command(payload) => payload.bytes().saturating_add(OVERHEAD),
        Content::Membership(membership) => OVERHEAD + 8 * membership.members().count() as u64,
    }
}

bytes!(Vec<u8>, Box<[u8]>, Arc<[u8]>, String, &[u8], &str);

/// Why a frame is refused where it arrives. Nothing of it has reached the node: count it per peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It carries fewer or more payloads than its message announces.
    #[error(transparent)]
    Payloads(#[from] PayloadError),
    /// It says that somebody else has sent it.
    #[error("{sender:?} sends in the name of {from:?}")]
    WrongSender {
        /// Who has sent it.
        sender: NodeId,
        /// Who is said to have sent it.
        from: NodeId,
    },
    /// It carries more bytes than are taken.
    #[error("a frame of {bytes} bytes, at most {limit} are taken")]
    TooLarge {
        /// The bytes of all its payloads.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// It is the head of a snapshot, which begins a stream: see [`SnapshotHead::received`].
    #[error("the head of a snapshot is no frame")]
    Head,
    /// It is not the head of a snapshot.
    #[error("no head of a snapshot")]
    NoHead,
}

/// A message with the payloads that it announces: as many, in its order. Never the head of a
/// snapshot: that is a [`SnapshotHead`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "UncheckedFrame<P>"))]
pub struct Frame<P> {
    envelope: Envelope,
    payloads: Vec<P>,
}

impl<P: Payload> Frame<P> {
    /// What has arrived from `sender`, whom the transport knows, with at most `limit` bytes of
    /// payloads.
    ///
    /// # Errors
    ///
    /// It lies, or is too large: drop it.
    pub fn received(
        sender: NodeId,
        envelope: Envelope,
        payloads: Vec<P>,
        limit: u64,
    ) -> Result<Self, FrameError> {
        let from = envelope.from;
        if from != sender {
            return Err(FrameError::WrongSender { sender, from });
        }
        let frame = Self::new(envelope, payloads)?;
        let bytes = frame.bytes();
        if bytes > limit {
            return Err(FrameError::TooLarge { bytes, limit });
        }
        Ok(frame)
    }

    /// What is to leave.
    ///
    /// # Errors
    ///
    /// It would lie.
    pub fn new(envelope: Envelope, payloads: Vec<P>) -> Result<Self, FrameError> {
        UncheckedFrame { envelope, payloads }.try_into()
    }

    /// The message, with its sender, receiver and term.
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The payloads of its commands, in their order.
    pub fn payloads(&self) -> &[P] {
        &self.payloads
    }

    /// The bytes of its payloads.
    pub fn bytes(&self) -> u64 {
        self.payloads.iter().fold(0, |sum, payload| sum.saturating_add(payload.bytes()))
    }

    /// The message and the payloads, to be written to a socket.
    pub fn into_parts(self) -> (Envelope, Vec<P>) {
        (self.envelope, self.payloads)
    }
}

/// The head of a snapshot: what the content that follows it on its stream is, and in whose name it
/// comes. On the network it may travel as the [`Envelope`] that it stands for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SnapshotHead {
    /// The leader.
    pub from: NodeId,
    /// Who is to have it.
    pub to: NodeId,
    /// The term of the leader.
    pub term: Term,
    /// What the content covers.
    pub snapshot: Snapshot,
}

impl SnapshotHead {
    /// What has arrived from `sender`, whom the transport knows.
    ///
    /// # Errors
    ///
    /// It lies, or is something else: end the stream.
    pub fn received(sender: NodeId, envelope: Envelope) -> Result<Self, FrameError> {
        let Envelope { from, to, term, message } = envelope;
        match message {
            _ if from != sender => Err(FrameError::WrongSender { sender, from }),
            Message::InstallSnapshot(m) => Ok(Self { from, to, term, snapshot: m.snapshot }),
            _ => Err(FrameError::NoHead),
        }
    }
}

impl From<SnapshotHead> for Envelope {
    fn from(SnapshotHead { from, to, term, snapshot }: SnapshotHead) -> Self {
        let message = Message::InstallSnapshot(InstallSnapshot { snapshot });
        Self { from, to, term, message }
    }
}

/// An entry of the log with its content.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entry<P> {
    /// Where it stands.
    pub position: LogPosition,
    /// What stands there.
    pub content: Content<P>,
}

/// What to make durable, complete: a [`Write`] with the bytes that belong to it.
///
/// Hard state first; then empty the log if it restarts; then drop everything from `first` on; then
/// append `entries`; then fsync. A crash may leave any beginning of that.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BoundWrite<P> {
    /// The name to give back when it is durable.
    pub ticket: Ticket,
    /// Replaces the hard state, if it has changed.
    pub hard_state: Option<HardState>,
    /// Changes the log, if it has changed.
    pub log: Option<BoundLog<P>>,
}

/// The log part of a [`BoundWrite`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BoundLog<P> {
    /// If set, the log is emptied first, and starts after this position.
    pub restart_after: Option<LogPosition>,
    /// Everything from here on is dropped.
    pub first: LogIndex,
    /// What is appended, from `first` on; perhaps nothing.
    pub entries: Vec<Entry<P>>,
}

/// The inputs of one call to [`Node::step_all`](crate::Node::step_all), each with its payloads.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "UncheckedBatch<P>"))]
pub struct Batch<P> {
    inputs: Vec<Input>,
    /// What came with each of them; mostly nothing.
    payloads: Vec<Vec<P>>,
}

impl<P> Default for Batch<P> {
    fn default() -> Self {
        Self { inputs: Vec::new(), payloads: Vec::new() }
    }
}

impl<P: Payload> Batch<P> {
    /// Adds a frame, which was checked when it was made.
    pub fn frame(&mut self, frame: Frame<P>) {
        self.put(frame.envelope.into(), frame.payloads);
    }

    /// Adds a proposal of these commands.
    pub fn propose(&mut self, token: Token, commands: Vec<P>) {
        self.put(Input::Propose { token, count: commands.len() as u64 }, commands);
    }

    /// Adds an input that carries no commands.
    ///
    /// # Errors
    ///
    /// It announces some.
    pub fn input(&mut self, input: Input) -> Result<(), PayloadError> {
        match input.commands() {
            0 => {
                self.put(input, Vec::new());
                Ok(())
            }
            announced => Err(PayloadError::WrongCount { announced, found: 0 }),
        }
    }

    /// The inputs, for the node.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Completes a write that the node returned for these inputs.
    ///
    /// # Errors
    ///
    /// The write is of another call.
    pub fn bind(&self, write: &Write) -> Result<BoundWrite<P>, PayloadError> {
        let log = write.log.as_ref().map(|log| self.bind_log(log)).transpose()?;
        Ok(BoundWrite { ticket: write.ticket, hard_state: write.hard_state, log })
    }

    fn bind_log(&self, write: &LogWrite) -> Result<BoundLog<P>, PayloadError> {
        let bound = bind(write, |nth| Some((self.inputs.get(nth)?, &self.payloads.get(nth)?[..])))?;
        let entries =
            bound.into_iter().map(|(position, content)| Entry { position, content }).collect();
        Ok(BoundLog { restart_after: write.restart_after, first: write.first, entries })
    }

    fn put(&mut self, input: Input, payloads: Vec<P>) {
        self.inputs.push(input);
        self.payloads.push(payloads);
    }
}

/// A frame that is read back is whole, and so is a batch.
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
struct UncheckedFrame<P> {
    envelope: Envelope,
    payloads: Vec<P>,
}

impl<P> TryFrom<UncheckedFrame<P>> for Frame<P> {
    type Error = FrameError;

    fn try_from(
        UncheckedFrame { envelope, payloads }: UncheckedFrame<P>,
    ) -> Result<Self, FrameError> {
        if matches!(envelope.message, Message::InstallSnapshot(_)) {
            return Err(FrameError::Head);
        }
        check_payloads(&envelope.message, payloads.len())?;
        Ok(Self { envelope, payloads })
    }
}

#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
struct UncheckedBatch<P> {
    inputs: Vec<Input>,
    payloads: Vec<Vec<P>>,
}

impl<P> TryFrom<UncheckedBatch<P>> for Batch<P> {
    type Error = PayloadError;

    fn try_from(
        UncheckedBatch { inputs, payloads }: UncheckedBatch<P>,
    ) -> Result<Self, PayloadError> {
        let announced = inputs.iter().map(Input::commands);
        let found = payloads.iter().map(Vec::len);
        let wrong = announced.zip(found).find(|(input, beside)| *input != *beside as u64);
        match wrong {
            Some((announced, found)) => Err(PayloadError::WrongCount { announced, found }),
            None if inputs.len() == payloads.len() => Ok(Self { inputs, payloads }),
            None => Err(PayloadError::MalformedWrite),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Frame, FrameError, OVERHEAD, Payload, SnapshotHead, weight};
    use crate::action::{Chunk, LogWrite, Write};
    use crate::entries::{Run, Snapshot};
    use crate::error::PayloadError;
    use crate::input::Input;
    use crate::membership::Membership;
    use crate::message::{AppendEntries, Envelope, Message};
    use crate::payload::Content;
    use crate::types::{LogIndex, LogPosition, NodeId, Term, Ticket, Token};
    use alloc::vec;
    use alloc::vec::Vec;

    fn append(count: u64) -> Envelope {
        let entries = [Run::Commands { term: Term(1), count }].into_iter().collect();
        let (prev, commit) = (LogPosition::ZERO, LogIndex::ZERO);
        let message = Message::AppendEntries(AppendEntries { prev, entries, commit, probe: None });
        Envelope { from: NodeId(2), to: NodeId(1), term: Term(1), message }
    }

    #[test]
    fn a_frame_that_lies_is_refused_by_name() {
        let received = |sender, payloads| Frame::received(NodeId(sender), append(2), payloads, 9);
        assert!(received(2, vec!["ab", "cd"]).is_ok());
        for payloads in [vec![], vec!["a"], vec!["a", "b", "c"]] {
            let found = payloads.len();
            let wrong = PayloadError::WrongCount { announced: 2, found };
            assert_eq!(received(2, payloads), Err(FrameError::Payloads(wrong)));
        }
        let wrong = FrameError::WrongSender { sender: NodeId(3), from: NodeId(2) };
        assert_eq!(received(3, vec!["ab", "cd"]), Err(wrong));
        let wrong = FrameError::TooLarge { bytes: 10, limit: 9 };
        assert_eq!(received(2, vec!["abcde", "fghij"]), Err(wrong));
        assert!(Frame::new(append(1), Vec::<&str>::new()).is_err(), "nor is a lie sent");
    }

    #[test]
    fn the_head_of_a_snapshot_is_no_frame_and_a_frame_is_no_head() {
        let snapshot = Snapshot::genesis(Membership::empty());
        let (from, to, term) = (NodeId(2), NodeId(1), Term(3));
        let head = SnapshotHead { from, to, term, snapshot };
        let envelope = Envelope::from(head.clone());
        let received = |sender| SnapshotHead::received(NodeId(sender), envelope.clone());
        assert_eq!(received(2), Ok(head));
        let wrong = FrameError::WrongSender { sender: NodeId(3), from };
        assert_eq!(received(3), Err(wrong));
        assert_eq!(SnapshotHead::received(from, append(0)), Err(FrameError::NoHead));
        let frame = Frame::<&str>::received(from, envelope, Vec::new(), 9);
        assert_eq!(frame, Err(FrameError::Head));
    }

    #[test]
    fn a_batch_binds_each_command_to_the_position_of_its_own_input() {
        let mut batch = Batch::default();
        batch.input(Input::Wake).expect("it carries nothing");
        batch.propose(Token(1), vec!["a", "b"]);
        batch.input(Input::Campaign).expect("it carries nothing");
        batch.frame(Frame::received(NodeId(2), append(1), vec!["c"], 99).expect("whole"));
        let announces = Input::Propose { token: Token(1), count: 3 };
        assert!(batch.input(announces).is_err(), "its commands are not there");
        let chunks = [Chunk::of_input(Term(1), 1, 1, 1), Chunk::of_input(Term(2), 1, 3, 0)];
        let chunks = chunks.into_iter().collect();
        let log = LogWrite { restart_after: None, first: LogIndex(7), chunks };
        let write = Write { ticket: Ticket(5), hard_state: None, log: Some(log) };
        let bound = batch.bind(&write).expect("it is of this batch").log.expect("a log");
        let found: Vec<_> =
            bound.entries.iter().map(|e| (e.position, e.content.command().copied())).collect();
        let at = |term, index| LogPosition::new(Term(term), LogIndex(index));
        assert_eq!(found, [(at(1, 7), Some("b")), (at(2, 8), Some("c"))]);
        assert!(Batch::<&str>::default().bind(&write).is_err(), "the write is of another batch");
    }

    #[test]
    fn an_empty_command_has_a_weight_too() {
        assert_eq!(weight(&Content::Command("")), OVERHEAD);
        assert_eq!(weight(&Content::Command("abc")), OVERHEAD + 3);
        assert_eq!(Payload::bytes(&vec![1_u8, 2]), 2);
    }
}
