//! The same server around the crate `raft` 0.7: its `RawNode` in the place of the driver.
//!
//! Everything else is the reference server's: HTTP, inbox, disk thread with group commit, redb log,
//! state machine and its thread, handshake, lanes, queues, clock of the callers. Its own are the
//! thread that decides ([`core`]), the view of the log that `RawNode` asks for ([`log`]) and the
//! encoding of its messages ([`links`], off the thread that decides, as the server's).
//!
//! What it does not have: snapshots, changes of the membership, transfers.

mod core;
mod links;
mod log;
mod waiting;

use self::core::Core;
use self::links::{Links, listen};
use self::log::LogView;
use kv::net::codec::{MAX_FRAME, MAX_HEAD};
use kv::node::{Around, RunError};
use raft::{Config, RawNode};
use slog::{Discard, Logger, o};
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::sync::mpsc;

/// How many messages of peers may wait, as in the server's inbox.
const WAITING: usize = 1024;
/// `election_tick` is ten times `heartbeat_tick`, as its documentation suggests.
const TICKS: u32 = 10;

/// Starts the thread; see [`kv::node::Core`].
///
/// # Errors
///
/// What was found on the disk is no state of a node.
pub(crate) fn start(around: Around) -> Result<JoinHandle<()>, RunError> {
    let Around { options, recovered, log, inbox, hands, net, listener, runtime, .. } = around;
    let (peers, heard) = mpsc::channel(WAITING);
    runtime.spawn(listen(listener, net.clone(), peers.clone()));
    let applied = recovered.applied;
    let view = LogView::new(recovered, log);
    let logger = Logger::root(Discard, o!());
    let node = RawNode::new(&config(options.id, applied.get()), view, &logger);
    let node = node.map_err(|error| RunError::System("raft", io::Error::other(error)))?;
    let links = Links::new(net, peers, runtime.clone());
    let tick = options.election_timeout() / TICKS;
    let core = Core::new(node, links, hands, applied, tick);
    let thread = Builder::new().name("driver".into());
    let thread = thread.spawn(move || core.run(inbox, heard, &runtime));
    thread.map_err(|error| RunError::System("a thread", error))
}

/// As its documentation and its best-known user have it; limits in bytes as the server's.
fn config(id: u64, applied: u64) -> Config {
    let settings = raft_core::driver::Settings::default();
    Config {
        id,
        applied,
        election_tick: TICKS as usize,
        heartbeat_tick: 1,
        max_size_per_msg: MAX_FRAME as u64 - MAX_HEAD,
        max_inflight_msgs: 256,
        check_quorum: true,
        pre_vote: true,
        batch_append: true,
        max_uncommitted_size: settings.uncommitted_bytes,
        max_committed_size_per_ready: settings.apply_bytes,
        ..Config::default()
    }
}

/// The sum of a tick and what has been missed of it is one tick: who was held up does not hurry.
fn next_tick(due: std::time::Instant, tick: Duration) -> std::time::Instant {
    (due + tick).max(std::time::Instant::now())
}

#[cfg(test)]
mod tests {
    use super::config;

    #[test]
    fn the_crate_takes_its_configuration() {
        assert!(config(1, 0).validate().is_ok());
    }
}
