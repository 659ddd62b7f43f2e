//! Clusters of real processes.

mod addresses;
mod common;
mod kills;
mod operations;
mod tls;
