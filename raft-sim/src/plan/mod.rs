//! What is to be done, as data: a setup with its profiles, what is done to the cluster and when,
//! what chance decides, and what is recorded of it.

pub(crate) mod act;
pub(crate) mod change;
pub(crate) mod choice;
pub(crate) mod damage;
pub(crate) mod hostile;
pub(crate) mod limits;
pub(crate) mod profile;
pub(crate) mod record;
pub(crate) mod sentence;
pub(crate) mod setup;
pub(crate) mod text;
pub(crate) mod topology;

pub use act::{Act, Aimed, ClockAct, DiskAct, LinkAct, MessageAct, ProcessAct, RequestAct, Target};
pub use change::MembershipChange;
pub use choice::{Answers, Choice, Choices, RollingHash};
pub use damage::{Damage, DamageTarget};
pub use hostile::Hostile;
pub use limits::Limits;
pub use profile::{ClientSetup, DiskProfile, LagProfile, LinkProfile, SnapshotProfile};
pub use raft_core::MessageKind;
pub use record::{
    DropReason, EntryKind, Event, Lost, Nobody, NodeState, Operation, Record, Sink, Stage,
    Violation,
};
pub use setup::{NodeSetup, Setup, SetupError};

pub use topology::{Topology, Whom};
