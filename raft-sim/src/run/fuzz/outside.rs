//! What is seen of a node from outside, and what must hold of it.

use raft_core::{
    Action, Envelope, HardState, Input, LogIndex, LogPosition, Message, Outcome, Status, Ticket,
    Token, Verdict,
};
use std::collections::BTreeSet;

/// Whether all that comes of the inputs of a call is that each is refused. A request that is under
/// way may be refused by what comes later: that is an effect.
pub(super) fn are_refused(inputs: &[Input], actions: &[Action]) -> bool {
    let names: Vec<Token> = inputs.iter().filter_map(token).collect();
    let refuses = |action: &Action| match action {
        Action::Ignored { .. } => true,
        Action::Rejected { token, .. } => names.contains(token),
        _ => false,
    };
    !inputs.is_empty() && actions.len() == inputs.len() && actions.iter().all(refuses)
}

/// The name of a request.
fn token(input: &Input) -> Option<Token> {
    match input {
        Input::Propose { token, .. }
        | Input::Read { token, .. }
        | Input::ChangeMembership { token, .. }
        | Input::TransferLeadership { token, .. } => Some(*token),
        _ => None,
    }
}

/// What is seen of the node from outside.
pub(super) struct Outside {
    before: Status,
    durable: HardState,
    in_flight: Vec<(Ticket, Option<HardState>)>,
    last_ticket: Option<Ticket>,
    /// The requests that have no answer yet, where all are known.
    waiting: Option<BTreeSet<Token>>,
}

impl Outside {
    pub(super) fn new(status: &Status) -> Self {
        Self {
            before: *status,
            durable: status.durable_hard_state,
            in_flight: Vec::new(),
            last_ticket: None,
            waiting: None,
        }
    }

    /// The node has only just started: nobody has asked it for anything.
    pub(super) fn knows_all(&mut self) {
        self.waiting = Some(BTreeSet::new());
    }

    /// Looks at one call. The snapshot that was installed by it, if one was.
    pub(super) fn see(
        &mut self,
        inputs: &[Input],
        actions: &[Action],
        after: &Status,
    ) -> Option<LogPosition> {
        let before = std::mem::replace(&mut self.before, *after);
        assert!(after.term >= before.term, "the term does not decrease");
        assert!(after.commit_index >= before.commit_index, "the commit index does not decrease");
        if after.term == before.term && before.voted_for.is_some() {
            assert_eq!(after.voted_for, before.voted_for, "one vote in a term");
        }
        for input in inputs {
            if let Input::Persisted { ticket } = input {
                self.persisted(*ticket);
            }
        }
        let installed = installed(&before, inputs, actions, after);
        let mut applied = installed.map_or(before.last_applied, |position| position.index);
        for action in actions {
            match action {
                Action::Persist(write) => {
                    let next = self.last_ticket.is_none_or(|last| write.ticket > last);
                    assert!(next, "tickets ascend");
                    self.last_ticket = Some(write.ticket);
                    self.in_flight.push((write.ticket, write.hard_state));
                    let dropped = write.log.as_ref().is_some_and(|l| {
                        l.restart_after.is_none() && l.first <= before.commit_index
                    });
                    assert!(!dropped, "what is committed stays");
                }
                Action::Send(envelope) => self.sends(envelope),
                Action::Apply { first, through } => {
                    assert_eq!(first.get(), applied.get() + 1, "applied in order");
                    assert!(*first <= through.index && through.index <= after.commit_index);
                    applied = through.index;
                }
                _ => {}
            }
        }
        assert_eq!(applied, after.last_applied, "what is applied is handed out");
        self.answers(inputs, actions);
        installed
    }

    fn persisted(&mut self, ticket: Ticket) {
        let issued = self.last_ticket.is_some_and(|last| ticket <= last);
        for (_, state) in self.in_flight.extract_if(.., |(t, _)| issued && *t <= ticket) {
            self.durable = state.unwrap_or(self.durable);
        }
    }

    /// Each request has one answer, and what can be answered at once is.
    fn answers(&mut self, inputs: &[Input], actions: &[Action]) {
        let Some(waiting) = &mut self.waiting else { return };
        waiting.extend(inputs.iter().filter_map(token));
        for action in actions {
            let (Action::Accepted { token, .. }
            | Action::Rejected { token, .. }
            | Action::ReadReady { token, .. }
            | Action::TransferEnded { token, .. }) = action
            else {
                continue;
            };
            assert!(waiting.remove(token), "{token:?} is answered once: {action:?}");
        }
        for input in inputs {
            if let Input::Propose { token, .. } | Input::ChangeMembership { token, .. } = input {
                assert!(!waiting.contains(token), "{input:?} is answered at once");
            }
        }
    }

    fn sends(&self, envelope: &Envelope) {
        let durable = self.durable;
        assert!(envelope.term <= durable.current_term, "the term of {envelope:?} is durable");
        let vote = match &envelope.message {
            Message::RequestVote(_) => envelope.from,
            Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => envelope.to,
            _ => return,
        };
        let held = (durable.current_term, durable.voted_for);
        assert_eq!(held, (envelope.term, Some(vote)), "the vote in {envelope:?} is durable");
    }
}

/// The snapshot that a report of this call has put in place of the log: what is applied goes on
/// after it.
fn installed(
    before: &Status,
    inputs: &[Input],
    actions: &[Action],
    after: &Status,
) -> Option<LogPosition> {
    let first = actions.iter().find_map(|action| match action {
        Action::Apply { first, .. } => Some(LogIndex(first.get() - 1)),
        _ => None,
    });
    let applied = first.unwrap_or(after.last_applied);
    if applied == before.last_applied {
        return None;
    }
    let reported = inputs.iter().find_map(|input| match input {
        Input::SnapshotInstalled { position, outcome: Outcome::Done } => {
            (position.index == applied).then_some(*position)
        }
        _ => None,
    });
    assert!(reported.is_some(), "from {} to {applied} nothing was applied", before.last_applied);
    reported
}
