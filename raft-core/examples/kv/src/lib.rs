//! A replicated key-value server around [`raft_core::driver::Driver`]: the reference runtime.
//!
//! The driver decides; each part here moves bytes for it and owns what it moves. `README.md` says
//! which thread owns what, how long each queue may get, and in which order effects are carried out.

#![forbid(unsafe_code)]

pub mod address;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod dev;
pub mod disk;
pub mod driver;
pub mod http;
pub mod identity;
pub mod inbox;
pub mod machine;
pub mod metrics;
pub mod net;
pub mod node;
pub mod options;
pub mod storage;

use std::fmt::Display;

/// Ends the process: something that the server cannot go on without has failed.
///
/// A write or an fsync that failed is a crash and never tried again: the system may have dropped
/// the dirty pages, and a second fsync would say that all is well. What is durable is found at the
/// next start.
pub fn fatal(what: &str, why: &dyn Display) -> ! {
    tracing::error!(%why, "{what}: the process ends, and recovers from what is durable");
    std::process::abort()
}
