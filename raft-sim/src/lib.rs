//! A deterministic discrete-event simulator around real `raft-core` nodes.
//!
//! Every run is a function of a [`Setup`] and of the answers of [`Choices`], a seed for one: hosts that
//! carry out every action, disks that complete writes later and lose in a crash what was not durable,
//! directed links, clients, a timeline of faults, and checkers that look from outside after every
//! event.
//!
//! ```
//! use raft_sim::{Choices, Nobody, Setup, World};
//!
//! let outcome = World::new(&Setup::of_voters(3), Choices::seeded(7))?.run(&mut Nobody);
//! assert_eq!(outcome.verdict, Ok(()));
//! assert_eq!(outcome.exercised.leaders, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod checker;
pub mod choice;
pub mod cli;
pub mod client;
pub mod clock;
pub mod disk;
pub mod exercised;
pub mod fuzz;
pub mod host;
pub mod linearizability;
pub mod log;
pub mod machine;
pub mod measure;
mod narrate;
pub mod network;
pub mod obligation;
pub mod observe;
mod panics;
pub mod picture;
pub mod play;
pub mod record;
pub mod report;
pub mod scenario;
pub mod setup;
pub mod shrink;
mod style;
pub mod swarm;
pub mod sweep;
pub mod tape;
pub mod timeline;
pub mod trace;
pub mod trial;
pub mod world;

pub use choice::Choices;
pub use exercised::Exercised;
pub use record::{Event, Nobody, NodeState, Record, Sink, Violation};
pub use setup::{Fault, Setup};
pub use trial::Trial;
pub use world::{Outcome, World};

/// The guide's state machine is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/SIMULATION.md")]
struct Simulation;
