//! What is seen of a node from outside, and what must hold of it.

use raft_core::{Action, Envelope, HardState, Input, Message, Outcome, Status, Ticket, Verdict};

/// Whether all that comes of the input is that it is refused. A request that is under way may be
/// refused by what comes later: that is an effect.
pub(super) fn is_refused(input: &Input, actions: &[Action]) -> bool {
    let name = match input {
        Input::Propose { token, .. }
        | Input::Read { token, .. }
        | Input::ChangeMembership { token, .. }
        | Input::TransferLeadership { token, .. } => Some(*token),
        _ => None,
    };
    actions.iter().any(|action| match action {
        Action::Ignored { .. } => true,
        Action::Rejected { token, .. } => name == Some(*token),
        _ => false,
    })
}

/// What is seen of the node from outside.
pub(super) struct Outside {
    before: Status,
    durable: HardState,
    in_flight: Vec<(Ticket, Option<HardState>)>,
    last_ticket: Option<Ticket>,
}

impl Outside {
    pub(super) fn new(recovered: HardState, status: &Status) -> Self {
        Self { before: *status, durable: recovered, in_flight: Vec::new(), last_ticket: None }
    }

    pub(super) fn see(&mut self, input: &Input, actions: &[Action], after: &Status) {
        let before = std::mem::replace(&mut self.before, *after);
        assert!(after.term >= before.term, "the term does not decrease");
        assert!(after.commit_index >= before.commit_index, "the commit index does not decrease");
        if after.term == before.term && before.voted_for.is_some() {
            assert_eq!(after.voted_for, before.voted_for, "one vote in a term");
        }
        if let Input::Persisted { ticket } = input {
            let issued = self.last_ticket.is_some_and(|last| *ticket <= last);
            for (_, state) in self.in_flight.extract_if(.., |(t, _)| issued && *t <= *ticket) {
                self.durable = state.unwrap_or(self.durable);
            }
        }
        let mut applied = before.last_applied;
        let taken = !is_refused(input, actions);
        if let Input::SnapshotInstalled { position, outcome: Outcome::Done } = input
            && taken
        {
            applied = applied.max(position.index);
        }
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
