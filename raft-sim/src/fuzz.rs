//! The bodies of the fuzz targets. They run on any bytes, with any toolchain.

use crate::choice::{Choices, Question};
use crate::record::Nobody;
use crate::swarm;
use raft_core::types::LIMIT;
use raft_core::{
    Action, AppendEntries, AppendEntriesResponse, AppendOutcome, Config, Echo, Entries, Envelope,
    HardState, Input, Instant, LogIndex, LogPosition, Membership, Message, Node, NodeId, Permit,
    PreVote, PreVoteResponse, Probe, Protection, Recovered, RequestVote, RequestVoteResponse,
    Round, Run, Snapshot, Status, Term, TermSpan, Ticket, Token, Verdict,
};
use std::time::Duration;

/// A cluster: sizes, speeds, faults, and everything else that may go one way or another, are bytes.
///
/// # Panics
///
/// If a checker objects.
pub fn cluster(bytes: &[u8]) {
    let outcome = swarm::run(Choices::from_bytes(bytes), &mut Nobody);
    if let Err(violation) = outcome.verdict {
        panic!("{violation}");
    }
}

/// One node under any inputs, malformed ones included.
///
/// # Panics
///
/// If the node panics, breaks an invariant, changes its state by an input that it refuses, behaves
/// otherwise than its own clone, or sends what is not durable.
pub fn one_node(bytes: &[u8]) {
    let mut any = Any { choices: Choices::from_bytes(bytes), heard: Heard::default() };
    let mut now = Instant::from_nanos(any.up_to(1 << 40));
    let config = any.config();
    let recovered = any.recovered();
    let Ok(mut node) = Node::new(config, recovered.clone(), now) else { return };
    let mut witness = Witness::new(recovered.hard_state, &node.status());
    // A log that a snapshot contradicts goes with the first write.
    let mut actions = Vec::new();
    node.step_all([Input::Wake; 0], now, &mut actions);
    witness.see(&Input::Wake, &actions, &node.status());
    any.heard.take(&actions);
    while !any.choices.is_exhausted() {
        now = match any.below(8) {
            // Time mostly goes on, sometimes stands, goes back, or ends.
            0 => Instant::from_nanos(now.as_nanos().saturating_sub(any.up_to(1 << 30))),
            1 => Instant::from_nanos(any.number()),
            2 => node.deadline().unwrap_or(now),
            _ => now.saturating_add(Duration::from_nanos(any.up_to(1 << 28))),
        };
        let input = any.input(&node.status());
        let actions = step(&mut node, &input, now);
        witness.see(&input, &actions, &node.status());
        any.heard.take(&actions);
    }
}

/// One step, compared with what it must be.
fn step(node: &mut Node, input: &Input, now: Instant) -> Vec<Action> {
    let (mut twin, mut idle) = (node.clone(), node.clone());
    let actions = node.step(input.clone(), now);
    node.check().expect("every invariant holds after every step");
    assert_eq!(twin.step(input.clone(), now), actions, "a clone does the same");
    assert_eq!(twin, *node, "a clone becomes the same");
    let refused =
        |action: &Action| matches!(action, Action::Ignored { .. } | Action::Rejected { .. });
    if actions.iter().any(refused) {
        let mut nothing = Vec::new();
        idle.step_all([Input::Wake; 0], now, &mut nothing);
        assert_eq!(nothing, [], "there is nothing left to do after a step");
        assert_eq!(idle, *node, "a refused input changes nothing but the clock: {input:?}");
        assert_eq!(actions.len(), 1, "a refusal is all that comes of a refused input");
    }
    actions
}

/// What is seen of the node from outside.
struct Witness {
    before: Status,
    durable: HardState,
    in_flight: Vec<(Ticket, Option<HardState>)>,
    last_ticket: Option<Ticket>,
}

impl Witness {
    fn new(recovered: HardState, status: &Status) -> Self {
        Self { before: *status, durable: recovered, in_flight: Vec::new(), last_ticket: None }
    }

    fn see(&mut self, input: &Input, actions: &[Action], after: &Status) {
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

/// What the node has said, so that answers can fit.
#[derive(Default)]
struct Heard {
    round: Round,
    sent_at: Instant,
    tickets: Vec<Ticket>,
}

impl Heard {
    fn take(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Persist(write) => self.tickets.push(write.ticket),
                Action::Send(Envelope { message: Message::PreVote(m), .. }) => self.round = m.round,
                Action::Send(Envelope { message: Message::AppendEntries(m), .. }) => {
                    if let Some(probe) = m.probe {
                        (self.round, self.sent_at) = (probe.round, probe.sent_at);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Makes anything out of bytes: mostly what could be, sometimes what could not.
struct Any {
    choices: Choices,
    heard: Heard,
}

impl Any {
    fn below(&mut self, bound: u64) -> u64 {
        self.choices.below(Question::Input, bound)
    }

    fn up_to(&mut self, limit: u64) -> u64 {
        self.choices.within(Question::Input, 0..=limit)
    }

    fn number(&mut self) -> u64 {
        match self.below(16) {
            0 => u64::MAX - self.below(3),
            1 => LIMIT - 1 + self.below(3),
            2 => self.up_to(u64::MAX - 1),
            _ => self.below(8),
        }
    }

    /// One of four nodes, of which three vote.
    fn id(&mut self) -> NodeId {
        NodeId(if self.below(32) == 31 { self.number() } else { 1 + self.below(4) })
    }

    fn term(&mut self, status: &Status) -> Term {
        match self.below(8) {
            0 => Term(self.number()),
            1 => Term(status.term.get().saturating_add(self.below(3))),
            2 => Term(status.term.get().saturating_sub(self.below(3))),
            _ => status.term,
        }
    }

    fn index(&mut self, status: &Status) -> LogIndex {
        match self.below(8) {
            0 => LogIndex(self.number()),
            1 => LogIndex(status.last.index.get().saturating_add(self.below(3))),
            2 => LogIndex(self.up_to(status.last.index.get())),
            3 => status.commit_index,
            _ => status.last.index,
        }
    }

    fn position(&mut self, status: &Status) -> LogPosition {
        match self.below(4) {
            0 => LogPosition::new(self.term(status), self.index(status)),
            1 => LogPosition::ZERO,
            _ => status.last,
        }
    }

    fn round(&mut self) -> Round {
        if self.below(8) == 0 { Round(self.number()) } else { self.heard.round }
    }

    fn instant(&mut self) -> Instant {
        if self.below(8) == 0 { Instant::from_nanos(self.number()) } else { self.heard.sent_at }
    }

    fn duration(&mut self) -> Duration {
        match self.below(4) {
            0 => Duration::ZERO,
            1 => Duration::from_nanos(self.number()),
            _ => Duration::from_millis(100),
        }
    }

    fn membership(&mut self) -> Membership {
        let voters = (1..=3).map(NodeId);
        match self.below(8) {
            0 => Membership::empty(),
            1 => Membership::of_voters([NodeId(1)]).expect("one voter"),
            2 => Membership::of_voters(voters.skip(1)).expect("two voters"),
            3 => Membership::new(voters, [NodeId(1), NodeId(4)], []).expect("a joint one"),
            4 => Membership::new(voters.skip(1), [], [NodeId(1)]).expect("a learner"),
            _ => Membership::of_voters(voters).expect("three voters"),
        }
    }

    fn entries(&mut self, status: &Status) -> Entries {
        let mut entries = Entries::new();
        let mut term = status.last.term;
        for _ in 0..self.below(4) {
            term =
                if self.below(16) == 0 { Term(self.number()) } else { term.max(self.term(status)) };
            entries.push(match self.below(5) {
                0 => Run::Membership { term, membership: Box::new(self.membership()) },
                1 => Run::Commands { term, count: self.number() },
                _ => Run::Commands { term, count: 1 + self.below(3) },
            });
        }
        entries
    }

    fn verdict(&mut self) -> Verdict {
        match self.below(8) {
            0 => Verdict::LeaderAlive,
            1 => Verdict::StaleTerm,
            2 => Verdict::StaleLog,
            3 => Verdict::AlreadyVoted,
            _ => Verdict::Granted,
        }
    }

    fn input(&mut self, status: &Status) -> Input {
        match self.below(8) {
            0 => Input::Wake,
            1 => Input::Propose { token: Token(self.number()), count: self.number() },
            2 => Input::Campaign,
            3 | 4 => {
                let known = self.heard.tickets.last().copied().unwrap_or_default();
                let ticket = match self.below(8) {
                    0 => Ticket(self.number()),
                    1 => Ticket(known.get().saturating_sub(self.below(4))),
                    _ => known,
                };
                Input::Persisted { ticket }
            }
            _ => Input::Message(self.envelope(status)),
        }
    }

    fn envelope(&mut self, status: &Status) -> Envelope {
        let message = match self.below(6) {
            0 => Message::PreVote(PreVote { round: self.round(), last: self.position(status) }),
            1 => Message::PreVoteResponse(PreVoteResponse {
                round: self.round(),
                verdict: self.verdict(),
                last: self.position(status),
            }),
            2 => Message::RequestVote(RequestVote {
                last: self.position(status),
                permit: self.permit(status),
            }),
            3 => Message::RequestVoteResponse(RequestVoteResponse {
                verdict: self.verdict(),
                last: self.position(status),
            }),
            4 => Message::AppendEntries(self.append(status)),
            _ => Message::AppendEntriesResponse(self.append_response(status)),
        };
        let to = if self.below(16) == 0 { self.id() } else { status.id };
        Envelope { from: self.id(), to, term: self.term(status), message }
    }

    fn permit(&mut self, status: &Status) -> Option<Permit> {
        (self.below(4) == 0).then(|| Permit { leader: self.id(), term: self.term(status) })
    }

    fn append(&mut self, status: &Status) -> AppendEntries {
        let probe = (self.below(4) > 0).then(|| Probe {
            round: self.round(),
            sent_at: self.instant(),
            lease: self.duration(),
        });
        AppendEntries {
            prev: self.position(status),
            entries: self.entries(status),
            commit: self.index(status),
            probe,
        }
    }

    fn append_response(&mut self, status: &Status) -> AppendEntriesResponse {
        let outcome = match self.below(4) {
            0 => AppendOutcome::StaleTerm,
            1 => AppendOutcome::Mismatched {
                rejected: self.position(status),
                hint: (0..self.below(3))
                    .map(|_| TermSpan {
                        term: self.term(status),
                        first: self.index(status),
                        last: self.index(status),
                    })
                    .collect(),
            },
            _ => AppendOutcome::Matched { match_index: self.index(status) },
        };
        let echo = (self.below(4) > 0).then(|| Echo {
            round: self.round(),
            sent_at: self.instant(),
            promised: self.duration(),
        });
        AppendEntriesResponse { outcome, echo }
    }

    fn config(&mut self) -> Config {
        let timeout = Duration::from_millis(1 + self.below(300));
        let protections = [Protection::Full, Protection::PreVote, Protection::Plain];
        let level = usize::try_from(self.below(3)).expect("one of three");
        Config {
            protection: protections[level],
            max_entries_per_message: 1 + self.below(4),
            max_messages_in_flight: usize::try_from(1 + self.below(4)).expect("a few"),
            max_uncommitted: 1 + self.below(100),
            ..Config::new(NodeId(1), self.number()).with_election_timeout(timeout)
        }
    }

    fn recovered(&mut self) -> Recovered {
        let fresh = Recovered::fresh(self.membership());
        if self.below(2) == 0 {
            return fresh;
        }
        let status = Node::new(Config::new(NodeId(1), 0), fresh, Instant::ZERO)
            .expect("a fresh state is a state")
            .status();
        let voted_for = (self.below(2) == 0).then(|| self.id());
        let current_term = Term(self.number());
        let at = |any: &mut Self| {
            if any.below(2) == 0 { LogPosition::ZERO } else { any.position(&status) }
        };
        Recovered {
            hard_state: HardState { current_term, voted_for, promised: self.duration() },
            snapshot: Snapshot { position: at(self), membership: self.membership() },
            prev: at(self),
            entries: self.entries(&Status { term: current_term, ..status }),
            applied: self.index(&status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, cluster, one_node, step};
    use crate::choice::{Choices, Question};
    use raft_core::{Config, Input, Instant, Membership, Node, NodeId, Recovered, Ticket, Token};

    /// Any bytes: many of one kind, so that choices repeat.
    fn bytes(seed: u64, most: u64) -> Vec<u8> {
        let mut choices = Choices::seeded(seed);
        let length = choices.below(Question::Input, most);
        let byte = |_| u8::try_from(choices.below(Question::Input, 256)).expect("a byte");
        (0..length).map(byte).collect()
    }

    #[test]
    fn one_node_stands_any_bytes() {
        for seed in 0..5_000 {
            one_node(&bytes(seed, 600));
        }
    }

    #[test]
    fn a_cluster_stands_any_bytes() {
        cluster(&[]);
        for seed in 0..100 {
            cluster(&bytes(seed, 3_000));
        }
    }

    #[test]
    fn answers_fit_what_the_node_said() {
        let membership = Membership::of_voters([NodeId(1)]).expect("one voter");
        let config = Config::new(NodeId(1), 0);
        let mut node =
            Node::new(config, Recovered::fresh(membership), Instant::ZERO).expect("fresh");
        let mut heard = Heard::default();
        heard.take(&step(&mut node, &Input::Wake, Instant::ZERO));
        let ticket = *heard.tickets.last().expect("its own vote is to be written");
        heard.take(&step(&mut node, &Input::Persisted { ticket }, Instant::ZERO));
        assert_eq!(heard.tickets.len(), 2, "its first entry is to be written");
        let refused = [Input::Persisted { ticket: Ticket(0) }, Input::Campaign];
        for input in refused {
            step(&mut node, &input, Instant::from_nanos(5));
        }
        step(&mut node, &Input::Propose { token: Token(1), count: 0 }, Instant::from_nanos(9));
    }
}
