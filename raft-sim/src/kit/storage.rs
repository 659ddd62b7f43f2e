//! What a log must do.

use raft_core::driver::BoundWrite;
use raft_core::payload::Content;
use raft_core::{Entries, HardState, LogPosition};
use std::fmt::Display;

/// The duties of a log: what `docs/DRIVER.md` asks of whoever carries out a write.
///
/// A server keeps the interface that it has. Its tests implement this one around it, a line for
/// each method, so that [`Torture`](crate::kit::Torture) can drive it.
///
/// - Changes are carried out in the order in which they are asked for.
/// - A crash leaves what was durable at the last [`sync`](Self::sync), and any beginning of what
///   was asked for since, a write torn inside included: hard state first, then the drop, then entry
///   by entry. Never a part of an entry, and never an entry without those before it. The hard state
///   may be a newer one that was asked for.
/// - A [`release`](Self::release) may come early or late: what is released, and no more, may be
///   gone at once, and may be found again.
/// - What was made durable is found again, byte by byte, or opening, recovery or a read fails: it
///   is not passed over.
/// - After an error nothing else is called: a failed write is a crash.
pub trait Log<P> {
    /// Why something could not be stored, or found again.
    type Error: Display;

    /// What is durable. Called once, before anything else.
    ///
    /// # Errors
    ///
    /// What was durable cannot be read.
    fn recover(&mut self) -> Result<RecoveredLog, Self::Error>;

    /// Hard state; then restart; then drop; then append.
    ///
    /// # Errors
    ///
    /// It could not.
    fn write(&mut self, write: &BoundWrite<P>) -> Result<(), Self::Error>;

    /// Forgets the log up to here, this position included; it starts after it.
    ///
    /// # Errors
    ///
    /// It could not.
    fn release(&mut self, through: LogPosition) -> Result<(), Self::Error>;

    /// Empties the log; it starts after this position.
    ///
    /// # Errors
    ///
    /// It could not.
    fn restart(&mut self, after: LogPosition) -> Result<(), Self::Error>;

    /// Makes everything durable that was asked for before.
    ///
    /// # Errors
    ///
    /// It could not; nobody knows what is durable then.
    fn sync(&mut self) -> Result<(), Self::Error>;

    /// What stands at exactly this position, as of the last sync. Nothing where another term
    /// stands.
    ///
    /// # Errors
    ///
    /// What stands there cannot be read.
    fn read(&mut self, position: LogPosition) -> Result<Option<Content<P>>, Self::Error>;
}

/// What a log finds when it is opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecoveredLog {
    /// The newest hard state.
    pub hard_state: HardState,
    /// The position before the first entry.
    pub prev: LogPosition,
    /// The terms of the entries, and the memberships among them.
    pub entries: Entries,
}
