//! The driver as a runtime uses it.

mod book;
mod directed;
mod nonsense;
mod random;
mod sessions;
mod world;
