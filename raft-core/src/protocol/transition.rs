//! Every change of role: the state diagram of the Raft paper (figure 4) with pre-vote.
//!
//! ```text
//!                  no leader for T + jitter             a quorum would vote
//!   start → Follower ───────────────────→ PreCandidate ───────────────────→ Candidate ──→ Leader
//!              ↑                                │ ↑                              │ a quorum  │
//!              │                                │ └── the election took too long ┘ votes     │
//!              └── a leader, or a higher term ──┴──────────────────────────────────┴─────────┘
//! ```
//!
//! Nothing here sends; `settle` and the verbs do.

use crate::message::{Message, PreVote, RequestVote};
use crate::state::core::Core;
use crate::state::progress::Progress;
use crate::state::role::{Candidate, Follower, Leader, NodeSet, PreCandidate, Role};
use crate::state::timers::Deadline;
use crate::types::{NodeId, Term};
use alloc::vec::Vec;
use core::time::Duration;

/// Follows in `term`, the current one or a higher one (Raft paper, 5.1). In a higher term the vote
/// is free again, and the election is put off (N2).
pub(crate) fn become_follower(
    core: &mut Core,
    role: &mut Role,
    term: Term,
    leader: Option<NodeId>,
) {
    debug_assert!(term >= core.term(), "terms do not decrease");
    if term > core.term() {
        core.hard_state.current_term = term;
        core.hard_state.voted_for = None;
        core.elected = None;
        core.outbox.clear();
        core.reset_election_timer();
    } else if core.timers.get(Deadline::Election).is_none() {
        core.reset_election_timer();
    }
    withdraw_requests(core);
    core.elected = core.elected.or(leader);
    core.timers.set(Deadline::Heartbeat, None);
    core.timers.set(Deadline::CheckQuorum, None);
    *role = Role::Follower(Follower {
        leader,
        // Every leader holds what is committed (leader completeness).
        verified: core.commit_index,
        acknowledged: core.commit_index.min(core.disk.durable_index()),
        probe: None,
        answer_now: false,
        lease: Duration::ZERO,
    });
}

/// Asks, without a change of term, whether it would win (thesis, 9.6; N13).
pub(crate) fn become_pre_candidate(core: &mut Core, role: &mut Role) {
    withdraw_requests(core);
    let round = core.next_round();
    *role = Role::PreCandidate(PreCandidate { round, granted: NodeSet::new() });
    core.reset_election_timer();
    let last = core.log.last_position();
    ask_voters(core, &Message::PreVote(PreVote { round, last }));
}

/// Starts an election in the next term (Raft paper, 5.2; N10). Its own vote, like the requests,
/// waits for the disk.
pub(crate) fn become_candidate(core: &mut Core, role: &mut Role) {
    core.hard_state.current_term = core.term().next();
    core.hard_state.voted_for = Some(core.id());
    core.elected = None;
    core.outbox.clear();
    core.reset_election_timer();
    *role = Role::Candidate(Candidate { granted: NodeSet::new() });
    let last = core.log.last_position();
    ask_voters(core, &Message::RequestVote(RequestVote { last }));
}

/// Leads (Raft paper, 5.2). Its first entry is the current membership: it commits what earlier terms
/// left behind (Raft paper, 8; N8, N9).
pub(crate) fn become_leader(core: &mut Core, role: &mut Role) {
    withdraw_requests(core);
    core.elected = Some(core.id());
    core.timers.set(Deadline::Election, None);
    core.timers
        .set(Deadline::Heartbeat, Some(core.now.saturating_add(core.config.heartbeat_interval)));
    let in_t = core.now.saturating_add(core.config.election_timeout);
    core.timers.set(Deadline::CheckQuorum, core.has_leases().then_some(in_t));

    let first_round = core.next_round();
    let next = core.log.last_index().next();
    let mut peers: Vec<_> = core.membership().members().filter(|id| *id != core.id()).collect();
    peers.sort_unstable();
    *role = Role::Leader(Leader {
        peers: peers
            .into_iter()
            .map(|id| (id, Progress::new(next, first_round, core.now)))
            .collect(),
        elected_at: core.now,
        first_round,
        heartbeat_due: false,
    });
    core.append_membership(core.term(), core.membership().clone());
}

/// What an earlier candidacy still wants to ask is pointless in another role.
fn withdraw_requests(core: &mut Core) {
    core.outbox
        .retain(|(_, message)| !matches!(message, Message::PreVote(_) | Message::RequestVote(_)));
}

fn ask_voters(core: &mut Core, request: &Message) {
    let others: Vec<_> = core.membership().all_voters().filter(|id| *id != core.id()).collect();
    for id in others {
        core.send(id, request.clone());
    }
}
