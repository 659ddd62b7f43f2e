//! A picture of a run for people: a page that opens anywhere, and a drawing for a document.
//!
//! [`Picture::html`] is one file that needs no network and nothing to build: the nodes as lanes,
//! time to the right, messages as arrows, and what could have caused what. [`svg`] draws the same
//! without anything that moves. Both are functions of the records: the same run is the same bytes.
//! What they show stands in `docs/PICTURE.md`.
//!
//! ```
//! use raft_sim::view::Picture;
//! use raft_sim::{Choices, Record, Setup, World};
//!
//! let setup = Setup::of_voters(3);
//! let mut records: Vec<Record> = Vec::new();
//! let outcome = World::new(&setup, Choices::seeded(7))?.run(&mut records);
//! let violation = outcome.verdict.err();
//! let picture = Picture {
//!     title: "three voters",
//!     notes: "raft-sim: ten quiet seconds",
//!     setup: &setup,
//!     records: &records,
//!     violation: violation.as_ref(),
//! };
//! assert!(picture.html().starts_with("<!doctype html>"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod bands;
pub(crate) mod causes;
pub(crate) mod messages;
pub(crate) mod model;
pub(crate) mod page;
pub(crate) mod rows;
pub(crate) mod svg;
#[cfg(test)]
mod tests;

pub use rows::Picture;
pub use svg::svg;
