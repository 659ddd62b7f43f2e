//! Messages that nobody meant to send: old ones again, those of others, and nonsense.
//!
//! Raft stands messages that are late, repeated and reordered without bound, so a node may be given
//! anything that was ever said to it, at any time: every property must hold all the same. It does not
//! stand lies: a well-formed acknowledgement that nobody gave commits what is not durable, in any
//! implementation. So what is invented here is only what a node can know for invented: it must be
//! refused, and change nothing but the clock. A message whose bits were flipped on the way is found by
//! the checksum of the transport, and is as good as lost. Lies of every other kind are for
//! [`fuzz_one_node`](crate::run::fuzz_one_node), which asks for less: no panic, no broken invariant, no
//! refusal that changes something.

use crate::host::packet::{Arrival, Packet, Payload};
use crate::plan::choice::Question;
use crate::plan::kinds::Hostile;
use crate::plan::record::Violation;
use crate::world::World;
use raft_core::types::LIMIT;
use raft_core::{
    Action, AppendEntries, AppendEntriesResponse, AppendOutcome, Entries, Envelope, Input,
    InstallSnapshot, LogIndex, LogPosition, Membership, Message, Node, NodeId, PreVote, Round, Run,
    Snapshot, Status, Term,
};

/// A node that does not exist.
const STRANGER: NodeId = NodeId(1 << 40);

impl World {
    /// Gives a node a message of this kind, if there is one to give.
    pub(super) fn hostile(&mut self, id: NodeId, what: Hostile) -> Result<(), Violation> {
        let Some(process) = &self.hosts[&id].process else { return Ok(()) };
        let status = process.status;
        let packet = match what {
            Hostile::Replayed => self.one_of_the_past(|message| message.to == id),
            Hostile::Misrouted => self.one_of_the_past(|message| message.to != id),
            Hostile::Stranger => {
                let answers = |message: &Envelope| {
                    message.to == id && message.term <= status.term && is_answer(&message.message)
                };
                let answer = self.one_of_the_past(answers);
                answer.map(|mut packet| {
                    packet.envelope.from = STRANGER;
                    packet
                })
            }
            Hostile::Malformed => {
                let envelope = self.nonsense(&status);
                Some(self.network.packet(envelope, Payload::default(), self.agenda.now()))
            }
        };
        let Some(packet) = packet else { return Ok(()) };
        let local = self.hosts[&id].local(self.agenda.now());
        let process = self.hosts[&id].process.as_ref().expect("it runs");
        let input = Input::Message(packet.envelope.clone());
        let verdict = match what {
            Hostile::Replayed => Ok(()),
            Hostile::Misrouted | Hostile::Malformed => refused(&process.node, input, local),
            Hostile::Stranger => without_effect(&process.node, input, local),
        };
        if let Err(sentence) = verdict {
            return Err(
                self.violation("hostile", format!("{id:?} is given {packet:?}: {sentence}"))
            );
        }
        let seen = &mut self.exercised;
        *match what {
            Hostile::Replayed => &mut seen.replayed,
            Hostile::Misrouted => &mut seen.misrouted,
            Hostile::Stranger => &mut seen.strangers,
            Hostile::Malformed => &mut seen.malformed,
        } += 1;
        self.arrive(id, Arrival::Message(packet))
    }

    fn one_of_the_past(&mut self, is_meant: impl Fn(&Envelope) -> bool) -> Option<Packet> {
        let kept = self.network.past()?;
        let meant: Vec<&Packet> = kept.filter(|packet| is_meant(&packet.envelope)).collect();
        let count = u64::try_from(meant.len()).expect("a few messages");
        let nth = self.choices.below(Question::Hostile, count.max(1));
        meant.get(usize::try_from(nth).expect("a few messages")).copied().cloned()
    }

    /// A message that cannot be, whoever gets it in whatever state.
    fn nonsense(&mut self, status: &Status) -> Envelope {
        let to = status.id;
        let term = Term(status.term.get().max(1));
        let peer = STRANGER;
        let of = |message| Envelope { from: peer, to, term, message };
        let append = |entries: Entries| {
            let (prev, commit) = (LogPosition::ZERO, LogIndex::ZERO);
            Message::AppendEntries(AppendEntries { prev, entries, commit, probe: None })
        };
        let run = |term: u64, count| Run::Commands { term: Term(term), count };
        let beyond = LogPosition::new(Term(term.get() + 1), LogIndex(1));
        match self.choices.below(Question::Hostile, 8) {
            0 => Envelope { term: Term(u64::MAX), ..of(Message::TimeoutNow) },
            1 => Envelope { from: to, ..of(Message::TimeoutNow) },
            2 => Envelope { term: Term::ZERO, ..of(Message::TimeoutNow) },
            3 => of(append([run(term.get() + 1, 1)].into_iter().collect())),
            4 => of(append([run(term.get(), LIMIT), run(term.get(), LIMIT)].into_iter().collect())),
            5 => {
                let position = LogPosition::new(term, LogIndex(1));
                let snapshot = Snapshot { position, membership: Membership::empty() };
                of(Message::InstallSnapshot(InstallSnapshot { snapshot }))
            }
            6 => of(Message::PreVote(PreVote { round: Round(1), last: beyond })),
            _ => {
                let outcome = AppendOutcome::Matched { match_index: LogIndex(u64::MAX) };
                let answer = AppendEntriesResponse { outcome, echo: None, seen: Some(Round(1)) };
                of(Message::AppendEntriesResponse(answer))
            }
        }
    }
}

const fn is_answer(message: &Message) -> bool {
    match message {
        Message::PreVoteResponse(_)
        | Message::RequestVoteResponse(_)
        | Message::AppendEntriesResponse(_)
        | Message::ReadIndexResponse(_) => true,
        Message::PreVote(_)
        | Message::RequestVote(_)
        | Message::AppendEntries(_)
        | Message::InstallSnapshot(_)
        | Message::TimeoutNow
        | Message::ReadIndex(_) => false,
    }
}

/// The node as it is once it knows the time.
fn idle(node: &Node, now: raft_core::Instant) -> Node {
    let mut idle = node.clone();
    idle.step_all([Input::Wake; 0], now, &mut Vec::new());
    idle
}

/// Whether the node says no, and stays as it is.
fn refused(node: &Node, input: Input, now: raft_core::Instant) -> Result<(), String> {
    let mut node = idle(node, now);
    let before = node.clone();
    let actions = node.step(input, now);
    match &actions[..] {
        [Action::Ignored { .. }] if node == before => Ok(()),
        _ => Err(format!("it does not refuse it, but answers {actions:?}")),
    }
}

/// Whether the node shows no change.
fn without_effect(node: &Node, input: Input, now: raft_core::Instant) -> Result<(), String> {
    let mut node = idle(node, now);
    let before = node.status();
    let actions = node.step(input, now);
    let after = node.status();
    (before == after).then_some(()).ok_or(format!("{before:?} became {after:?}: {actions:?}"))
}
