//! Clusters of real processes.

mod common;
mod kills;
mod operations;
mod tls;
