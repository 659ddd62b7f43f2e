//! What the author of a runtime expects from a Raft core, one rule a test: membership changes,
//! transfer, reads, snapshots, flow control, hung disks, the fate of proposals, status.

#[path = "../common/mod.rs"]
mod common;

mod change_quorum;
mod coalescing;
mod fate;
mod flow_control;
mod hung_disk;
mod membership;
mod permits;
mod random_runs;
mod readded;
mod reads;
mod regressed;
mod settles;
mod snapshots;
mod status;
mod transfer;
