//! What the author of a runtime expects from a Raft core, one rule a test: membership changes,
//! transfer, reads, snapshots, flow control, hung disks, the fate of proposals, status.

#[path = "../common/mod.rs"]
mod common;

mod random_runs;
