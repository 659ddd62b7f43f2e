//! What comes to a host: messages, and whatever else its driver is to be told, with its bytes.

use crate::host::log::Command;
use crate::host::machine::Machine;
use crate::plan::record::Operation;
use raft_core::driver::{Event, StreamId};
use raft_core::{Envelope, Token};

/// A message on its way, with the bytes of its commands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Packet {
    /// What the core said.
    pub envelope: Envelope,
    /// The commands that it names, or the snapshot of which it is the head.
    pub payload: Payload,
    /// How often the link had been cut when it left.
    pub(crate) cuts: u64,
}

/// The bytes that travel beside a message.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Payload {
    /// Commands.
    pub commands: Vec<Command>,
    /// A snapshot.
    pub stream: Option<Stream>,
}

/// A snapshot on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Stream {
    /// The life of the process that sends it.
    pub life: u64,
    /// The id there.
    pub id: StreamId,
    /// The content.
    pub machine: Box<Machine>,
}

/// What comes to a host.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Arrival {
    /// A message.
    Message(Packet),
    /// A client, or the operator, asks past the log.
    Query(Token, Operation),
    /// Anything else.
    Event(Event<Command>),
}
