//! What is done to a cluster, by families: a file each, with its enum and one table of verbs.
//!
//! The reader and the writer of scenario files, the trace, the timeline and the search for a
//! smaller run all use the table. What an act does to a world stands where that part of the world
//! is.

pub(crate) mod aimed;
pub(crate) mod any;
pub(crate) mod clock;
pub(crate) mod disk;
pub(crate) mod link;
pub(crate) mod message;
pub(crate) mod part;
pub(crate) mod parts;
pub(crate) mod process;
pub(crate) mod request;

pub use aimed::{Aimed, Target};
pub use any::Act;
pub use clock::ClockAct;
pub use disk::DiskAct;
pub use link::LinkAct;
pub use message::MessageAct;
pub use process::ProcessAct;
pub use request::RequestAct;
