//! A deterministic discrete-event simulator around real `raft-core` nodes.
//!
//! Every run is a function of ([`Setup`], seed): hosts that carry out every action, disks that complete
//! writes later and lose what was not durable in a crash, directed links, clients, a timeline of faults, and checkers
//! that look from outside after every event.

pub mod observe;
pub mod record;
pub mod scenario;
pub mod setup;
mod style;
pub mod timeline;
pub mod trace;

pub use record::{Event, Nobody, NodeState, Record, Sink, Violation};
pub use setup::{Fault, Setup};
