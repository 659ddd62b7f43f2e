//! The world: hosts, links, clients and what is still to happen, as one value.
//!
//! [`World`] holds parts; handlers are functions over those that they may touch. Three floors:
//!
//! - The parts: the agenda with the time, the network, the hosts, the clients, the operator, and
//!   the watch, which only looks. What every handler needs stands together in `env`.
//! - The handlers. They decide what happens, by the setup and by the choices, and tell the watch
//!   what has. None of them counts, hashes or records anything.
//! - `driver`: [`World`] itself, which gives what comes next to its handler.
//!
//! Files import downwards only: none imports from one that imports it.

mod acts;
mod agenda;
mod aim;
mod apply;
mod clients;
mod converge;
mod disk;
mod driver;
mod effects;
mod env;
mod excuse;

mod host;
mod hostile;
mod hosts;
mod inbox;
mod life;
mod network;
mod nonsense;
mod operator;
mod past;
mod pending;
mod reply;
mod send;
mod service;
mod snapshots;
mod step;
mod watch;

pub use driver::{RunOutcome, World};
pub use excuse::{Cause, Excuse};
pub use host::{Host, Process, Unstartable};
pub use network::{Network, Passage};
pub use service::Service;
