//! The state machine: what it is ([`State`]), and the thread that owns its writing half
//! ([`worker`]).

mod state;
pub mod worker;

pub use state::State;
