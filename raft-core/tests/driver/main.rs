//! The driver as a runtime uses it.

mod book;
mod directed;
#[cfg(feature = "serde")]
mod dumps;
mod nonsense;
mod random;
mod sessions;
mod world;
