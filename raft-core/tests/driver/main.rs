//! The driver as a runtime uses it.

mod random;
mod world;
