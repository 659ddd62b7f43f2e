//! The words of the stories.

use raft_core::{Instant, LogPosition, Message, NodeId, RoleKind, Term, Verdict};
use raft_sim::NodeState;
use std::fmt;

/// `12.345`.
pub(crate) fn seconds(time: Instant) -> String {
    let millis = time.as_nanos() / 1_000_000;
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// Where a log ends.
pub(crate) struct Log(pub(crate) LogPosition);

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            LogPosition::ZERO => write!(f, "empty log"),
            last => write!(f, "log up to {last}"),
        }
    }
}

/// Nodes, in their order.
pub(crate) struct Names<'a>(pub(crate) &'a [NodeId]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|node| format!("{node:?}")).collect();
        f.write_str(&names.join(" "))
    }
}

pub(crate) const fn role(role: RoleKind) -> &'static str {
    match role {
        RoleKind::Follower => "follower",
        RoleKind::PreCandidate => "pre-candidate",
        RoleKind::Candidate => "candidate",
        RoleKind::Leader => "leader",
    }
}

pub(crate) const fn kind(message: &Message) -> &'static str {
    match message {
        Message::PreVote(_) => "pre-vote request",
        Message::PreVoteResponse(_) => "pre-vote response",
        Message::RequestVote(_) => "vote request",
        Message::RequestVoteResponse(_) => "vote response",
        Message::AppendEntries(_) => "append request",
        Message::AppendEntriesResponse(_) => "append response",
        Message::InstallSnapshot(_) => "snapshot",
        Message::TimeoutNow => "timeout-now",
        Message::ReadIndex(_) => "read-index request",
        Message::ReadIndexResponse(_) => "read-index response",
    }
}

/// What is compared of a request: its term, and the last position of the asking node's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub(crate) term: Term,
    pub(crate) last: LogPosition,
}

/// Why a vote or a pre-vote is refused by a node in this state.
pub(crate) fn refusal(verdict: Verdict, state: &NodeState, asked: Option<Asked>) -> String {
    match verdict {
        Verdict::Granted => String::new(),
        Verdict::LeaderAlive => match (state.role, state.leader) {
            (RoleKind::Leader, _) => "it leads, and a quorum answers".to_owned(),
            (_, Some(leader)) => format!("it hears the leader {leader:?}"),
            (_, None) => "it has promised a leader not to vote yet".to_owned(),
        },
        Verdict::StaleTerm => format!("its own term is {}", state.term),
        Verdict::StaleLog => {
            let other = asked.map(|asked| format!(", {}", asked.last)).unwrap_or_default();
            format!("older log{other} (its own: {})", state.last)
        }
        Verdict::AlreadyVoted => state.vote.map_or_else(
            || "that term has a leader".to_owned(),
            |vote| format!("it has voted for {vote:?}"),
        ),
        Verdict::DiskHangs => "its disk hangs".to_owned(),
    }
}
