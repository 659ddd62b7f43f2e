//! `raft-core` beside its peers: the same work, in memory, in one thread.
//!
//! Every [`Cluster`](cluster::Cluster) gets the same batches of commands, one after the other,
//! moves messages between its nodes until each of them has applied the batch, and shows afterwards
//! what each node has applied. What is compared is what a runtime pays for consensus; there is no
//! disk, no network and no serialisation.

pub mod cluster;
pub mod floor;
pub mod measure;
pub mod no_raft;
pub mod ours;
pub mod raft_rs;
pub mod work;
