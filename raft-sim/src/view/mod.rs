//! What people and programs are shown: the trace, the timeline, the report, the picture.

pub(crate) mod json;
pub(crate) mod message;
pub(crate) mod picture;
#[cfg(feature = "cli")]
pub(crate) mod report;
pub(crate) mod style;
pub(crate) mod sweep;
pub(crate) mod timeline;
pub(crate) mod trace;
pub(crate) mod words;

pub use picture::{Picture, svg};
pub use sweep::{failure_line, summary};
pub use timeline::Timeline;
pub use trace::{Trace, trace_line};
