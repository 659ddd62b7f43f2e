//! The driver as a runtime uses it.

mod directed;
mod random;
mod world;
