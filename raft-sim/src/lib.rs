//! A deterministic discrete-event simulator around real `raft-core` nodes.
//!
//! Every run is a function of a [`Setup`] and of the answers of [`Choices`], a seed for one: hosts
//! that carry out every action, disks that complete writes later and lose in a crash what was not
//! durable, directed links, clients, a timeline of faults, and checkers that look from outside
//! after every event.
//!
//! ```
//! use raft_sim::{Choices, Nobody, Setup, World};
//!
//! let outcome = World::new(&Setup::of_voters(3), Choices::seeded(7))?.run(&mut Nobody);
//! assert_eq!(outcome.verdict, Ok(()));
//! assert_eq!(outcome.coverage.leaders, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod checker;
#[cfg(feature = "cli")]
pub mod cli;
pub mod host;
pub mod kit;
pub mod plan;
pub mod run;
pub mod scenario;
pub mod view;
pub mod world;

pub use checker::Coverage;
pub use plan::{Act, Choices, Event, Nobody, NodeState, Record, Setup, Sink, Violation};
pub use run::Trial;
pub use world::{RunOutcome, World};

/// The guide's state machine is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/SIMULATION.md")]
struct Simulation;
