//! The nouns: what a node knows. Nothing here sends, and nothing here knows a role change.

pub(crate) mod disk;
pub(crate) mod lease;
pub(crate) mod log;
pub(crate) mod progress;
pub(crate) mod quorum;
pub(crate) mod rng;
pub(crate) mod timers;

pub(crate) mod reads;
pub(crate) mod role;

pub(crate) mod core;
