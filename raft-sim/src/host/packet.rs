//! What comes to a node: messages, and whatever else its host has to tell it, with its bytes.

use crate::host::client::Request;
use crate::host::log::Command;
use crate::host::machine::Machine;
use crate::plan::record::Operation;
use raft_core::{Consistency, Envelope, Input, Ticket, Token};

/// A message on its way, with the bytes of its commands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Packet {
    /// What the core said.
    pub envelope: Envelope,
    /// The commands that it names, or the content of the snapshot.
    pub payload: Payload,
    /// How often the link had been cut when it left.
    pub(crate) cuts: u64,
}

/// The bytes that come with an input and stay with the host.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Payload {
    /// Commands.
    pub commands: Vec<Command>,
    /// The content of a snapshot.
    pub machine: Option<Box<Machine>>,
}

/// What comes to a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Arrival {
    /// A message.
    Message(Packet),
    /// A completion of its disk.
    Persisted(Ticket),
    /// A client, or the operator, asks past the log.
    Query(Token, Operation),
    /// Commands of a client.
    Request(Request),
    /// A wish of the operator, a report of the host, or a read: what comes without bytes.
    Input(Input),
    /// Its deadline has passed.
    Wake,
}

impl Arrival {
    /// What the core takes in, and the bytes that stay with the host.
    pub fn split(self) -> (Input, Payload) {
        let bare = |input| (input, Payload::default());
        match self {
            Self::Message(Packet { envelope, payload, .. }) => (Input::Message(envelope), payload),
            Self::Persisted(ticket) => bare(Input::Persisted { ticket }),
            Self::Query(token, question) => {
                let consistency = question.past_the_log().unwrap_or(Consistency::ReadIndex);
                bare(Input::Read { token, consistency })
            }
            Self::Request(Request { token, commands, .. }) => {
                let count = u64::try_from(commands.len()).expect("a request fits into memory");
                (Input::Propose { token, count }, Payload { commands, machine: None })
            }
            Self::Input(input) => bare(input),
            Self::Wake => bare(Input::Wake),
        }
    }
}
