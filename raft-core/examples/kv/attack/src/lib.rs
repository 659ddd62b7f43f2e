//! Attacks on a cluster of real processes, and the judge of what its clients saw.

#![forbid(unsafe_code)]

pub mod attack;
pub mod calm;
pub mod client;
pub mod dice;
pub mod field;
pub mod history;
pub mod judge;
pub mod medium;
pub mod names;
pub mod nemesis;
pub mod node;
pub mod operator;
pub mod plan;
pub mod proxy;
pub mod scene;
pub mod summary;
pub mod tally;
pub mod weather;
pub mod workload;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whoever panicked while he held it has said so: the others go on.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
