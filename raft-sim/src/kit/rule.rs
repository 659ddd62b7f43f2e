//! The rules of a runtime that a record can break.

use thiserror::Error;

/// A rule that a runtime keeps, and what breaks where it does not. The sections are those of
/// `docs/EMBEDDING.md`; around a driver the same rules stand in `docs/DRIVER.md`, *The contract*.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Error)]
pub enum Rule {
    /// Writes are made in the order of their tickets, and a sync covers what was written. Else a
    /// crash leaves entries without those before them, and no node starts. (*Every action*)
    #[error("writes are made in the order of their tickets")]
    WriteOrder,
    /// `Persisted` is said of what is durable. Else votes and entries are acknowledged that a crash
    /// takes back: two leaders in a term, lost writes. (*Every input*)
    #[error("Persisted is said only of what is durable")]
    PersistedEarly,
    /// A write that failed is a crash: nothing happens after it but the end. Nobody knows what is
    /// durable then. (*What goes wrong*)
    #[error("after a write that failed nothing happens but the end of the process")]
    AfterFailure,
    /// Ranges are applied in their order, each once, without gaps. Else state machines differ.
    /// (*Every action*)
    #[error("each committed entry is applied once, in the order of the log")]
    ApplyOrder,
    /// Only what an `Apply` named is applied. Else what is not committed is seen, and may be lost.
    /// (*Every action*)
    #[error("nothing is applied that the node did not hand out")]
    ApplyUnsaid,
    /// A client is told that a command is done when its last position is applied, and is served a
    /// read when the index that it rests on is. Else reads are stale, and acknowledged writes were
    /// lost. (*Every action*)
    #[error("a client is answered when what the answer rests on is applied")]
    AnswerEarly,
    /// A request is answered once. (*Every action*)
    #[error("a request is answered once")]
    AnswerTwice,
    /// An open request has a token of its own. Else the answer of one is given to another.
    /// (*Every input*)
    #[error("open requests have different tokens")]
    TokenReused,
    /// What leaves rests on what is durable: the term, a vote, acknowledged entries. The node keeps
    /// it so if it is told the truth; this looks at the disk itself. (*Every action*)
    #[error("what is sent rests on what is durable")]
    SentUndurable,
    /// Only what the node said is sent, in its name. What an earlier life said may contradict this
    /// one. (*Every action*)
    #[error("nothing is sent that the node did not say in this life")]
    SentUnsaid,
    /// A snapshot covers what the state machine has applied, and no more. Else whoever installs it
    /// never applies what lies between. (*Every input*)
    #[error("a snapshot covers no more than what is applied")]
    SnapshotAhead,
    /// `SnapshotTaken` and `SnapshotInstalled` are said of what is durable. Else the log is gone,
    /// and the snapshot too. (*Every input*)
    #[error("a snapshot is said to be there only when it is durable")]
    SnapshotSaidEarly,
    /// The log is deleted only up to a durable snapshot. Else a crash leaves a gap. (*Every input*)
    #[error("the log is released only up to a durable snapshot")]
    ReleasedEarly,
    /// An install comes after every earlier write and range. Else a disk is left from which no node
    /// starts, or entries are applied on top of what holds them already. (*Every action*)
    #[error("a snapshot is installed after all earlier writes and ranges")]
    InstallEarly,
    /// A node starts from what was durable, and from no less. (*What goes wrong*, a wiped disk)
    #[error("a node starts from what is durable")]
    RecoveredOther,
    /// The clock does not go back. Else a leader loses its lease, and timers wait.
    /// (*What can be mixed*)
    #[error("the clock does not go back")]
    ClockBack,
    /// The node is woken at its deadline, or soon after. Else leaders are deposed and elections
    /// wait. (*Every input*)
    #[error("the node is woken soon after its deadline")]
    WokenLate,
    /// Each life has a seed of its own. Else two nodes, or two lives, draw the same timeouts and
    /// tickets. (*A complete runtime*)
    #[error("each life has a seed of its own")]
    SeedReused,
    /// A disk belongs to one id. Else a node votes in another's name. (*What goes wrong*)
    #[error("a disk belongs to one id")]
    IdChanged,
    /// Nothing happens before a start or after an end. (*A complete runtime*)
    #[error("nothing happens before a start or after an end")]
    NotRunning,
}
