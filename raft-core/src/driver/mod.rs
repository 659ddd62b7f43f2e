//! What every runtime around a [`Node`](crate::Node) must do besides moving bytes, done once.
//!
//! [`Driver`] joins the parts; each can be used alone. See `docs/DRIVER.md`.

pub mod book;
pub mod boundary;
pub mod changes;
pub mod desk;
pub mod frame;
pub mod lanes;
pub mod sessions;
pub mod settings;
pub mod tail;
pub mod waiters;

mod drive;
#[cfg(feature = "serde")]
mod dump;
mod intake;
mod outcome;

pub use boundary::{
    Answer, Caller, Commit, Effect, Event, Host, Refusal, SnapshotEvent, SnapshotTask, Stepped,
    StreamId, Unknown,
};
pub use drive::Driver;
pub use frame::{Batch, BoundLog, BoundWrite, Entry, Frame, FrameError, Payload, SnapshotHead};
pub use settings::{Settings, SettingsError};
