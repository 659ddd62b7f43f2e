//! Scenarios: what is done to a cluster and what is to be seen then, as text files.
//!
//! The format is documented in `docs/SCENARIOS.md`. Those that come with the simulator are part of
//! the binary, see [`Scenario::built_in`].

pub(crate) mod error;
pub(crate) mod expect;
pub(crate) mod files;
pub(crate) mod format;
pub(crate) mod model;
pub(crate) mod place;
pub(crate) mod reader;
pub(crate) mod text;
pub(crate) mod write;

pub use crate::plan::text::level_name;
pub use error::ScenarioError;
pub use expect::{Condition, Expectation, NodeCondition};
pub use model::{Scenario, Script};
pub use text::{LEVELS, Range};
pub use write::{Unwritable, Words, write};
