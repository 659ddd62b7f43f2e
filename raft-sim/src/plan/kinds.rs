//! The kinds of messages, and of those that nobody meant to send.

use raft_core::Message;

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
}

impl Hostile {
    /// Each of them, with its name.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Replayed, "replayed"),
        (Self::Misrouted, "misrouted"),
        (Self::Stranger, "stranger"),
        (Self::Malformed, "malformed"),
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Misrouted => "misrouted",
            Self::Stranger => "stranger",
            Self::Malformed => "malformed",
        }
    }
}

/// The kinds of messages, named as in the trace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MessageKind {
    /// [`Message::PreVote`].
    PreVote,
    /// [`Message::PreVoteResponse`].
    PreVoteResponse,
    /// [`Message::RequestVote`].
    RequestVote,
    /// [`Message::RequestVoteResponse`].
    RequestVoteResponse,
    /// [`Message::AppendEntries`].
    AppendEntries,
    /// [`Message::AppendEntriesResponse`].
    AppendEntriesResponse,
    /// [`Message::InstallSnapshot`].
    InstallSnapshot,
    /// [`Message::TimeoutNow`].
    TimeoutNow,
    /// [`Message::ReadIndex`].
    ReadIndex,
    /// [`Message::ReadIndexResponse`].
    ReadIndexResponse,
}

impl MessageKind {
    /// Each of them.
    pub const ALL: [Self; 10] = [
        Self::PreVote,
        Self::PreVoteResponse,
        Self::RequestVote,
        Self::RequestVoteResponse,
        Self::AppendEntries,
        Self::AppendEntriesResponse,
        Self::InstallSnapshot,
        Self::TimeoutNow,
        Self::ReadIndex,
        Self::ReadIndexResponse,
    ];

    /// The kind of a message.
    pub const fn of(message: &Message) -> Self {
        match message {
            Message::PreVote(_) => Self::PreVote,
            Message::PreVoteResponse(_) => Self::PreVoteResponse,
            Message::RequestVote(_) => Self::RequestVote,
            Message::RequestVoteResponse(_) => Self::RequestVoteResponse,
            Message::AppendEntries(_) => Self::AppendEntries,
            Message::AppendEntriesResponse(_) => Self::AppendEntriesResponse,
            Message::InstallSnapshot(_) => Self::InstallSnapshot,
            Message::TimeoutNow => Self::TimeoutNow,
            Message::ReadIndex(_) => Self::ReadIndex,
            Message::ReadIndexResponse(_) => Self::ReadIndexResponse,
        }
    }

    /// Whether a node says it only when it was asked.
    pub const fn is_answer(self) -> bool {
        match self {
            Self::PreVoteResponse
            | Self::RequestVoteResponse
            | Self::AppendEntriesResponse
            | Self::ReadIndexResponse => true,
            Self::PreVote
            | Self::RequestVote
            | Self::AppendEntries
            | Self::InstallSnapshot
            | Self::TimeoutNow
            | Self::ReadIndex => false,
        }
    }

    /// The name, as [`Message::name`] spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreVote => "pre_vote",
            Self::PreVoteResponse => "pre_vote_response",
            Self::RequestVote => "request_vote",
            Self::RequestVoteResponse => "request_vote_response",
            Self::AppendEntries => "append_entries",
            Self::AppendEntriesResponse => "append_entries_response",
            Self::InstallSnapshot => "install_snapshot",
            Self::TimeoutNow => "timeout_now",
            Self::ReadIndex => "read_index",
            Self::ReadIndexResponse => "read_index_response",
        }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
