//! The parts of one machine: clock, disk, log, state machine, and what comes to its node.

pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod disk;
pub(crate) mod ledger;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod packet;
pub(crate) mod records;
pub(crate) mod shelf;
pub(crate) mod stored;

pub use client::{Answer, Client, Request, Wish, operation_of, token};
pub use clock::Clock;
pub use disk::{Completion, Disk, DiskWrite, Job};
pub use ledger::Ledger;
pub use log::{Command, Entry, Log};
pub use machine::{Effect, Image, Machine, StateMachine};
pub use packet::{Arrival, Packet, Payload, Stream};
pub use shelf::Shelf;
pub use stored::Stored;
