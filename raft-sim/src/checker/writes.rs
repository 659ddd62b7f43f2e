//! What a node has given to its disk and not heard of again, as its host sees it.

use crate::plan::choice::nanos;
use raft_core::{Action, Config, Input, NodeId, Term, Ticket};
use std::collections::VecDeque;

/// So many writes on their way a node tells apart; what is more it takes together with the last.
pub(crate) const WRITES_TOLD_APART: usize = 1024;

/// The writes of one life. Times are those of the node's clock.
#[derive(Clone, Default, Debug)]
pub(super) struct Writes {
    /// Those on their way, in the order of their tickets: the first and the last of what is taken
    /// together, and since when.
    waiting: VecDeque<(Ticket, Ticket, u64)>,
    /// When the node last heard of one.
    progress_at: u64,
    /// Since when none had completed at the beginning of the step, if any waited.
    waited_since: Option<u64>,
    /// The newest one.
    newest: Option<Ticket>,
    /// Term and vote as they were last handed out, and the write that took them.
    vote: Option<(Term, Option<NodeId>)>,
    gate: Option<Ticket>,
}

/// Those of a node whose disk was not seen at work.
pub(super) static NONE: Writes = Writes::new();

impl Writes {
    const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            progress_at: 0,
            waited_since: None,
            newest: None,
            vote: None,
            gate: None,
        }
    }

    /// Takes in a step.
    pub(super) fn step(&mut self, inputs: &[Input], actions: &[Action], now: u64) {
        self.waited_since = self.wait_since();
        for input in inputs {
            let Input::Persisted { ticket } = input else { continue };
            let before = self.waiting.len();
            self.waiting.retain(|(_, last, _)| last > ticket);
            if self.waiting.len() < before {
                self.progress_at = now;
            }
        }
        for action in actions {
            let Action::Persist(write) = action else { continue };
            self.newest = Some(write.ticket);
            let is_full = self.waiting.len() == WRITES_TOLD_APART;
            match self.waiting.back_mut().filter(|_| is_full) {
                Some((_, last, _)) => *last = write.ticket,
                None => self.waiting.push_back((write.ticket, write.ticket, now)),
            }
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
        ticket.is_none_or(|ticket| self.waiting.iter().all(|(first, ..)| ticket < *first))
    }

    /// The newest one.
    pub(super) const fn newest(&self) -> Option<Ticket> {
        self.newest
    }

    /// Whether the disk hangs: writes wait, and none has completed for so long.
    pub(super) fn hang(&self, config: &Config, now: u64) -> bool {
        hang(self.wait_since(), config, now)
    }

    /// Whether it did, by this time, when the step began.
    pub(super) fn hung(&self, config: &Config, now: u64) -> bool {
        hang(self.waited_since, config, now)
    }

    /// Since when none has completed, if any waits.
    fn wait_since(&self) -> Option<u64> {
        self.waiting.front().map(|(.., since)| self.progress_at.max(*since))
    }
}

fn hang(since: Option<u64>, config: &Config, now: u64) -> bool {
    since.is_some_and(|since| since.saturating_add(nanos(config.disk_timeout)) <= now)
}
