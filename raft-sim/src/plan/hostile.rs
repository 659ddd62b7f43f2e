//! Messages that nobody meant to send.

/// Messages that nobody meant to send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hostile {
    /// One that was sent to this node at any time before.
    Replayed,
    /// One that was sent to another.
    Misrouted,
    /// An answer that this node got, as from a node that does not exist.
    Stranger,
    /// One that cannot be.
    Malformed,
    /// One that cannot be beside what this node knows now; so a copy of the node is given it.
    Contradiction,
}

impl Hostile {
    /// Each of them, with its name.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Replayed, "replayed"),
        (Self::Misrouted, "misrouted"),
        (Self::Stranger, "stranger"),
        (Self::Malformed, "malformed"),
        (Self::Contradiction, "contradiction"),
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Misrouted => "misrouted",
            Self::Stranger => "stranger",
            Self::Malformed => "malformed",
            Self::Contradiction => "contradiction",
        }
    }
}
