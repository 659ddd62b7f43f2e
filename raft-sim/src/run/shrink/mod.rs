//! From a run that breaks a property to one from which nothing can be left out.
//!
//! What is tried: the run ends with the violation; it loses faults, clients and nodes, many at once
//! and in the end one by one; whatever else a setup has is set to its plain value; numbers are made
//! round; and every decision is made the default. An attempt counts if the same property is
//! broken.
//!
//! Leaving something out moves the decisions that come later. So each attempt is made with the same
//! decisions, then with default ones, and at first with a few drawn anew. And a bug that hides in
//! the order of messages is mostly there, too, where all of them take as long: such worlds, in
//! which less is to be decided, are tried before decisions are left out one by one, and again once
//! nothing else can go.

pub(crate) mod case;
pub(crate) mod script;
pub(crate) mod search;
pub(crate) mod simplify;

pub use case::{Case, ShrinkError, Shrunk, Size};
pub use script::{script, sizes};
pub use search::shrink;
