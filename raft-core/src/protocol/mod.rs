//! The verbs: one file is one section of the thesis. Each handler is a list of early returns in the
//! paper's order; an `Err` has changed nothing.

pub(crate) mod transition;

pub(crate) mod election;
pub(crate) mod read;
pub(crate) mod reconfiguration;
pub(crate) mod replication;
pub(crate) mod snapshot;
pub(crate) mod transfer;

pub(crate) mod admission;
