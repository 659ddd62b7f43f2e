//! Clusters of real processes.

mod common;
mod history;
mod kills;
mod operations;
mod tls;
