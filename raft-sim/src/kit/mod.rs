//! A kit for the embedder's half of a server: what the core cannot check, because it never sees it.
//!
//! [`Torture`] drives a log of yours ([`Log`]) through a crash at every write of the [`Medium`]
//! under it, and compares what it finds afterwards with a model. [`HostChecker`] reads what a
//! runtime recorded of its inputs, actions and disk ([`HostEvent`]), and objects to a wrong order.
//! `docs/KIT.md` shows both.

#[cfg(test)]
mod broken;
mod draw;
mod host;
mod medium;
mod model;
mod record;
mod rule;
mod storage;
mod torture;

pub use host::{HostChecker, HostSummary, Objection};
pub use medium::{Fate, Medium};
pub use record::HostEvent;
pub use rule::Rule;
pub use storage::{Log, RecoveredLog};
pub use torture::{Duty, Failure, Report, Torture};

/// The guide's log is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/KIT.md")]
struct Kit;
