//! What a node has given to its disk and not heard of again, as its host sees it.

use crate::checker::sight::Sight;
use crate::plan::choice::nanos;
use raft_core::{Action, Config, Input, NodeId, Term, Ticket};
use std::collections::VecDeque;

/// The writes of one life. Times are those of the node's clock.
#[derive(Clone, Default, Debug)]
pub(super) struct Writes {
    /// Those on their way, and since when.
    waiting: VecDeque<(Ticket, u64)>,
    /// When the node last heard of one.
    progress_at: u64,
    /// The newest one.
    newest: Option<Ticket>,
    /// Term and vote as they were last handed out, and the write that took them.
    vote: Option<(Term, Option<NodeId>)>,
    gate: Option<Ticket>,
}

impl Writes {
    /// Takes in a step.
    pub(super) fn step(&mut self, sight: &Sight<'_>) {
        let now = sight.node.clock;
        for input in sight.inputs() {
            let Input::Persisted { ticket } = input else { continue };
            let before = self.waiting.len();
            self.waiting.retain(|(waiting, _)| waiting > ticket);
            if self.waiting.len() < before {
                self.progress_at = now;
            }
        }
        for action in sight.actions() {
            let Action::Persist(write) = action else { continue };
            self.newest = Some(write.ticket);
            self.waiting.push_back((write.ticket, now));
            let vote = write.hard_state.map(|state| (state.current_term, state.voted_for));
            if vote.is_some() && vote != self.vote {
                (self.vote, self.gate) = (vote, Some(write.ticket));
            }
        }
    }

    /// Whether the node has heard that its term and its vote are durable.
    pub(super) fn is_open(&self) -> bool {
        self.is_done(self.gate)
    }

    /// Whether it has heard of this write.
    pub(super) fn is_done(&self, ticket: Option<Ticket>) -> bool {
        ticket.is_none_or(|ticket| self.waiting.iter().all(|(waiting, _)| ticket < *waiting))
    }

    /// The newest one.
    pub(super) const fn newest(&self) -> Option<Ticket> {
        self.newest
    }

    /// Whether the disk hangs: writes wait, and none has completed for so long.
    pub(super) fn hang(&self, config: &Config, now: u64) -> bool {
        let since = self.waiting.front().map(|(_, since)| self.progress_at.max(*since));
        since.is_some_and(|since| since.saturating_add(nanos(config.disk_timeout)) <= now)
    }
}
