#![doc = include_str!("../README.md")]
//!
//! # Where to begin
//!
//! - [`Node`] is the face: `new`, `step`, `step_all`, `deadline`.
//! - [`Input`] is what the runtime tells it, [`Action`] what it tells the runtime. What the
//!   runtime must do stands at the variant that asks for it.
//! - [`Config`] are the tunables, [`Membership`] who belongs to the cluster, [`Recovered`] what a
//!   node finds on its disk.
//! - [`payload`] joins positions with the bytes of commands.
//! - [`Node::check`] names an invariant that does not hold: if it names one, this crate has a bug.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod work;

pub mod types;

pub mod error;

pub mod config;
pub mod entries;
pub mod membership;

pub mod action;
pub mod input;
pub mod message;

pub mod payload;

mod state;

mod protocol;

pub mod invariants;

mod recovery;
mod status;

mod step;

mod node;

pub mod driver;

#[cfg(feature = "serde")]
mod dump;

pub use action::{Action, Chunk, Fate, LogWrite, RoleKind, Source, TransferOutcome, Write};
pub use config::{Config, Protection};
pub use entries::{Entries, Run, Runs, Snapshot};
pub use error::{
    ConfigError, EntriesError, IgnoreReason, MembershipError, PayloadError, RecoveryError,
    RejectReason, StartError,
};
pub use input::{Consistency, HardState, Input, Outcome, Recovered};
pub use membership::Membership;
pub use message::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Echo, Envelope, InstallSnapshot, Message,
    MessageKind, Permit, PreVote, PreVoteResponse, Probe, ReadIndex, ReadIndexResponse,
    RequestVote, RequestVoteResponse, TermSpan, Verdict,
};
pub use node::Node;
pub use status::{PeerPhase, PeerStatus, Status};
pub use types::{Instant, LogIndex, LogPosition, NodeId, Round, Term, Ticket, Token};

/// The runtimes of the guides are compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/EMBEDDING.md")]
struct Guide;

#[cfg(doctest)]
#[doc = include_str!("../docs/NODE.md")]
struct NodeGuide;

#[cfg(doctest)]
#[doc = include_str!("../docs/DRIVER.md")]
struct DriverGuide;
