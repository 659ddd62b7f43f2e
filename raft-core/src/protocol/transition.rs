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

use crate::action::{Action, TransferOutcome};
use crate::error::RejectReason;
use crate::message::{Message, Permit, PreVote, RequestVote};
use crate::state::core::Core;
use crate::state::progress::Progress;
use crate::state::reads::{FollowerReads, LeaderReads};
use crate::state::role::{Candidate, Follower, Leader, NodeSet, PreCandidate, Role, Transfer};
use crate::state::timers::{Deadline, Timers};
use crate::types::{NodeId, Term};
use alloc::vec::Vec;
use core::time::Duration;

/// Follows in `term`, the current one or a higher one (Raft paper, 5.1). In a higher term the vote
/// is free again, and the election timer is reset (N2).
pub(crate) fn become_follower(
    core: &mut Core,
    role: &mut Role,
    term: Term,
    leader: Option<NodeId>,
) {
    debug_assert!(term >= core.term(), "terms do not decrease");
    retire(core, role);
    if term > core.term() {
        core.hard_state.current_term = term;
        core.hard_state.voted_for = None;
        core.elected = None;
        core.outbox.clear();
        core.vote_waits = false;
        core.reset_election_timer();
    } else if core.timers.get(Deadline::Election).is_none() {
        core.reset_election_timer();
    }
    core.elected = core.elected.or(leader);
    *role = Role::Follower(Follower {
        leader,
        // Only what this leader's messages were compared with: it is not for a follower to say that
        // its leader holds what is committed. (A snapshot matches any log.)
        verified: core.log.start().index,
        acknowledged: core.log.start().index,
        probe: None,
        answer_now: false,
        lease: Duration::ZERO,
        reads: FollowerReads::default(),
    });
}

/// Asks, without a change of term, whether it would win (thesis, 9.6; N13). The votes that it has
/// in this term still count.
pub(crate) fn become_pre_candidate(core: &mut Core, role: &mut Role) {
    let votes = match role {
        Role::Candidate(candidate) => Some(core::mem::take(&mut candidate.granted)),
        Role::PreCandidate(candidate) => candidate.votes.take(),
        Role::Follower(_) | Role::Leader(_) => None,
    };
    retire(core, role);
    let round = core.next_round();
    let (granted, refused) = (Vec::new(), NodeSet::new());
    *role = Role::PreCandidate(PreCandidate { round, granted, refused, votes });
    core.reset_election_timer();
    core.timers.set(Deadline::Repeat, Some(core.next_repeat()));
    let last = core.log.last_position();
    ask_voters(core, &Message::PreVote(PreVote { round, last }));
}

/// Starts an election in the next term (Raft paper, 5.2; N10). Its own vote, like the requests,
/// waits for the disk. The permit is that of the previous leader, if it transfers leadership.
pub(crate) fn become_candidate(core: &mut Core, role: &mut Role, permit: Option<Permit>) {
    retire(core, role);
    core.hard_state.current_term = core.term().next();
    core.hard_state.voted_for = Some(core.id());
    core.elected = None;
    core.outbox.clear();
    core.vote_waits = true;
    core.reset_election_timer();
    core.timers.set(Deadline::Repeat, Some(core.next_repeat()));
    *role = Role::Candidate(Candidate { granted: NodeSet::new(), refused: NodeSet::new(), permit });
    let last = core.log.last_position();
    ask_voters(core, &Message::RequestVote(RequestVote { last, permit }));
}

/// Leads (Raft paper, 5.2). Its first entry is the current membership: it commits what earlier
/// terms left behind (Raft paper, 8; N8, N9).
pub(crate) fn become_leader(core: &mut Core, role: &mut Role) {
    retire(core, role);
    core.elected = Some(core.id());
    let (now, leases) = (core.now, core.has_leases());
    let heartbeat = now.saturating_add(core.config.heartbeat_interval);
    let check_quorum = now.saturating_add(core.config.election_timeout);
    core.timers.set(Deadline::Election, None);
    core.timers.set(Deadline::Heartbeat, Some(heartbeat));
    core.timers.set(Deadline::CheckQuorum, leases.then_some(check_quorum));

    let first_round = core.next_round();
    let last = core.log.last_index();
    let mut others: Vec<_> = core.membership().members().filter(|id| *id != core.id()).collect();
    others.sort_unstable();
    let progress = |id| (id, Progress::new(last, first_round, now));
    *role = Role::Leader(Leader {
        peers: others.into_iter().map(progress).collect(),
        elected_at: now,
        first_round,
        first_index: last.next(),
        newest_probe: None,
        heartbeat_due: false,
        reads: LeaderReads::default(),
        transfer: None,
        lease_void: false,
    });
    core.append_membership(core.term(), core.membership().clone());
}

/// Ends the old role: its requests are answered, what it still wants to ask is pointless, and its
/// deadlines are void, but for that of the election.
fn retire(core: &mut Core, role: &mut Role) {
    let lost = |token| Action::Rejected { token, reason: RejectReason::LeaderChanged };
    match role {
        Role::Follower(follower) => core.outcomes.extend(follower.reads.tokens().map(lost)),
        Role::PreCandidate(_) | Role::Candidate(_) => {}
        Role::Leader(leader) => {
            core.outcomes.extend(leader.reads.tokens().map(lost));
            core.outcomes.extend(leader.transfer.as_ref().and_then(transfer_ended));
        }
    }
    core.outbox.retain(|(_, message)| {
        use Message::{PreVote, ReadIndex, RequestVote};
        !matches!(message, PreVote(_) | RequestVote(_) | ReadIndex(_))
    });
    let election = core.timers.get(Deadline::Election);
    core.timers = Timers::default();
    core.timers.set(Deadline::Election, election);
}

/// What the operator hears when the leader that was to transfer leadership leads no more.
fn transfer_ended(transfer: &Transfer) -> Option<Action> {
    let outcome = if transfer.permitted {
        TransferOutcome::SteppedDown
    } else {
        TransferOutcome::LeadershipLost
    };
    transfer.token.map(|token| Action::TransferEnded { token, outcome })
}

fn ask_voters(core: &mut Core, request: &Message) {
    let others: Vec<_> = core.membership().all_voters().filter(|id| *id != core.id()).collect();
    for id in others {
        core.send(id, request.clone());
    }
}
