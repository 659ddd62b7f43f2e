//! On which write a message rests: worked out from the writes that a host was given, not reported
//! by the core.

use raft_core::{
    AppendOutcome, Envelope, HardState, LogIndex, Message, NodeId, Ticket, Verdict, Write,
};

/// The writes of one life of a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ledger {
    recovered: HardState,
    hard_states: Vec<(Ticket, HardState)>,
    /// Who wrote what stands in the log now: consecutive ranges up to the last index.
    written: Vec<Range>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Range {
    first: LogIndex,
    last: LogIndex,
    ticket: Ticket,
}

impl Ledger {
    /// A life that began with this hard state on the disk.
    pub const fn new(recovered: HardState) -> Self {
        Self { recovered, hard_states: Vec::new(), written: Vec::new() }
    }

    /// Takes in a write.
    pub fn take(&mut self, write: &Write) {
        self.hard_states.extend(write.hard_state.map(|state| (write.ticket, state)));
        let Some(log) = &write.log else { return };
        if log.restart_after.is_some() {
            self.written.clear();
        }
        while self.written.last().is_some_and(|range| range.first >= log.first) {
            self.written.pop();
        }
        if let Some(range) = self.written.last_mut() {
            range.last = range.last.min(LogIndex(log.first.get() - 1));
        }
        let last = log.last_index();
        if last >= log.first {
            self.written.push(Range { first: log.first, last, ticket: write.ticket });
        }
    }

    /// The log was replaced by a snapshot.
    pub fn installed(&mut self) {
        self.written.clear();
    }

    /// The newest write of this life that had to be durable before the message left.
    pub fn obligation(&self, envelope: &Envelope) -> Option<Ticket> {
        let term = self.hard_state(|state| state.current_term >= envelope.term);
        let vote = |candidate: NodeId| {
            self.hard_state(|state| {
                state.current_term > envelope.term
                    || (state.current_term, state.voted_for) == (envelope.term, Some(candidate))
            })
        };
        let content = match &envelope.message {
            Message::RequestVote(_) => vote(envelope.from),
            Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => vote(envelope.to),
            Message::AppendEntriesResponse(m) => {
                let promised = m.echo.map(|echo| echo.promised).unwrap_or_default();
                let promise = self.hard_state(|state| state.promised >= promised);
                let log = match m.outcome {
                    AppendOutcome::Matched { match_index } => self.writer(match_index),
                    AppendOutcome::Mismatched { .. }
                    | AppendOutcome::StaleTerm
                    | AppendOutcome::Installing => None,
                };
                promise.max(log)
            }
            _ => None,
        };
        term.max(content)
    }

    /// The first write after which the hard state was such; `None` if it was recovered so.
    fn hard_state(&self, such: impl Fn(&HardState) -> bool) -> Option<Ticket> {
        if such(&self.recovered) {
            return None;
        }
        self.hard_states.iter().find(|(_, state)| such(state)).map(|(ticket, _)| *ticket)
    }

    fn writer(&self, index: LogIndex) -> Option<Ticket> {
        let range = self.written.get(self.written.partition_point(|range| range.last < index))?;
        (range.first <= index).then_some(range.ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;
    use raft_core::{
        AppendEntriesResponse, AppendOutcome, Chunk, Envelope, HardState, LogIndex, LogPosition,
        LogWrite, Message, NodeId, RequestVote, RequestVoteResponse, Source, Term, Ticket, Verdict,
        Write,
    };

    fn hard_state(term: u64, vote: Option<u64>) -> HardState {
        let voted_for = vote.map(NodeId);
        HardState { current_term: Term(term), voted_for, ..HardState::default() }
    }

    fn write(ticket: u64, hard_state: Option<HardState>, log: Option<(u64, u64)>) -> Write {
        let log = log.map(|(first, count)| {
            let source = Source::Inputs { first: 0, last: 0, skip: 0 };
            let chunks = vec![Chunk { term: Term(2), count, source }].into();
            LogWrite { restart_after: None, first: LogIndex(first), chunks }
        });
        Write { ticket: Ticket(ticket), hard_state, log }
    }

    fn message(term: u64, message: Message) -> Envelope {
        Envelope { from: NodeId(1), to: NodeId(2), term: Term(term), message }
    }

    fn matched(index: u64) -> Envelope {
        let outcome = AppendOutcome::Matched { match_index: LogIndex(index) };
        message(
            1,
            Message::AppendEntriesResponse(AppendEntriesResponse {
                outcome,
                echo: None,
                seen: None,
            }),
        )
    }

    #[test]
    fn a_vote_rests_on_the_write_that_holds_it() {
        let mut ledger = Ledger::new(hard_state(1, None));
        ledger.take(&write(5, Some(hard_state(2, None)), None));
        ledger.take(&write(6, Some(hard_state(2, Some(2))), None));
        ledger.take(&write(7, Some(hard_state(3, Some(1))), None));
        let last = LogPosition::ZERO;
        let vote = |verdict| Message::RequestVoteResponse(RequestVoteResponse { verdict, last });
        let ask = Message::RequestVote(RequestVote { last, permit: None });
        let rests = |term, m: &Message| ledger.obligation(&message(term, m.clone()));
        assert_eq!(rests(2, &vote(Verdict::Granted)), Some(Ticket(6)));
        assert_eq!(rests(2, &vote(Verdict::StaleLog)), Some(Ticket(5)), "only on the term");
        assert_eq!(rests(3, &ask), Some(Ticket(7)));
        assert_eq!(rests(1, &vote(Verdict::StaleLog)), None, "recovered");
    }

    #[test]
    fn an_acknowledgement_rests_on_the_write_that_stands() {
        let mut ledger = Ledger::new(hard_state(1, None));
        ledger.take(&write(5, None, Some((4, 3))));
        ledger.take(&write(6, None, Some((7, 2))));
        let rests = |ledger: &Ledger, index| ledger.obligation(&matched(index));
        let before = [3, 4, 6, 7, 8].map(|index| rests(&ledger, index).map(Ticket::get));
        assert_eq!(before, [None, Some(5), Some(5), Some(6), Some(6)]);
        ledger.take(&write(7, None, Some((5, 1))));
        let after = [4, 5, 6].map(|index| rests(&ledger, index).map(Ticket::get));
        assert_eq!(after, [Some(5), Some(7), None]);
    }
}
