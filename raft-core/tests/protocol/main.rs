//! The rules of the protocol, one test each, seen from outside: what goes into `step`, and what
//! comes out. A test whose name starts with `n01` … `n16` shows a rule of `docs/RULES.md`.

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod campaigners;
mod clocks;
mod durability;
mod elections;
mod extremes;
mod leases;
mod liveness;
mod log_repair;
mod partitions;
mod payloads;
mod recovery;
mod refusals;
mod replication;
mod rules;
mod terms;
