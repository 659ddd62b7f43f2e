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
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Ends the process: something that the server cannot go on without has failed.
///
/// A write or an fsync that failed is a crash and never tried again: the system may have dropped
/// the dirty pages, and a second fsync would say that all is well. What is durable is found at the
/// next start.
pub fn fatal(what: &str, why: &dyn Display) -> ! {
    tracing::error!(%why, "{what}: the process ends, and recovers from what is durable");
    std::process::abort()
}

/// What a process does before it runs nodes: where its log goes, and what a panic does.
pub fn prepare() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let to_person = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(to_person);
    log.with_writer(std::io::stderr).init();
    // A server without its disk thread is no server: a thread that panics takes the others with it.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
