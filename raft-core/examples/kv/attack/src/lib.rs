//! Attacks on a cluster of real processes, and the judge of what its clients saw.

#![forbid(unsafe_code)]

pub mod client;
pub mod history;
