//! What one client saw of one operation on a register.

/// What one client saw of one operation. Moments are numbers of which no two are equal, above 0:
/// the key was not written before 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// When the client asked.
    pub called: u64,
    /// When it was answered. A write that never was may take effect at any time after its call, or
    /// never.
    pub returned: Option<u64>,
    /// What it did.
    pub what: CallKind,
}

/// What an operation does to its register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallKind {
    /// It writes a value.
    Write(u64),
    /// It returned a value; `None` says that nothing was written before.
    Read(Option<u64>),
}

/// What can be said of a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// There is an order.
    Linearizable,
    /// There is none, and why.
    Broken(String),
    /// Nobody knows.
    Unknown,
}
