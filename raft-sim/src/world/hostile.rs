//! Messages that nobody meant to send: old ones again, those of others, and nonsense.
//!
//! Raft stands messages that are late, repeated and reordered without bound, so a node may be given
//! anything that was ever said to it, at any time: every property must hold all the same. It does
//! not stand lies: a well-formed acknowledgement that nobody gave commits what is not durable, in
//! any implementation. So what is invented here is only what a node can know for invented: it must
//! be refused, and change nothing but the clock. A message whose bits were flipped on the way is
//! found by the checksum of the transport, and is as good as lost. Lies of every other kind are for
//! [`fuzz_one_node`](crate::run::fuzz_one_node), which asks for less: no panic, no broken
//! invariant, no refusal that changes something.

use crate::host::packet::{Arrival, Packet, Payload};
use crate::plan::choice::{Choices, Question};
use crate::plan::hostile::Hostile;
use crate::plan::record::Violation;
use crate::world::env::Env;
use crate::world::hosts::Hosts;
use crate::world::inbox::arrive;
use crate::world::network::Network;
use crate::world::watch::Fact;
use raft_core::types::LIMIT;
use raft_core::{
    Action, AppendEntries, AppendEntriesResponse, AppendOutcome, Entries, Envelope, Input,
    InstallSnapshot, LogIndex, LogPosition, Membership, Message, Node, NodeId, PreVote, Round, Run,
    Snapshot, Status, Term,
};

/// A node that does not exist.
const STRANGER: NodeId = NodeId(1 << 40);

/// Gives a node a message of this kind, if it runs and there is one to give.
pub(super) fn hostile(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    node: NodeId,
    what: Hostile,
) -> Result<(), Violation> {
    let Some(at) = hosts.running(node) else { return Ok(()) };
    let Some(packet) = invent(env, network, &at.process().status, what) else { return Ok(()) };
    let local = at.host().local(env.now());
    let input = Input::Message(packet.envelope.clone());
    let verdict = match what {
        Hostile::Replayed => Ok(()),
        Hostile::Misrouted | Hostile::Malformed => refused(at.process().node(), input, local),
        Hostile::Stranger => without_effect(at.process().node(), input, local),
    };
    if let Err(sentence) = verdict {
        let sentence = format!("{node:?} is given {packet:?}: {sentence}");
        return Err(env.violation("hostile", sentence));
    }
    env.tell(at.hosts(), Fact::Hostile { what })?;
    arrive(env, network, Some(at), Arrival::Message(packet))
}

/// A message of this kind for a node of this status.
fn invent(env: &mut Env, network: &Network, status: &Status, what: Hostile) -> Option<Packet> {
    let (now, choices, id) = (env.agenda.now(), &mut env.choices, status.id);
    match what {
        Hostile::Replayed => one_of_the_past(choices, network, |message| message.to == id),
        Hostile::Misrouted => one_of_the_past(choices, network, |message| message.to != id),
        Hostile::Stranger => {
            let answers = |message: &Envelope| {
                message.to == id
                    && message.term <= status.term
                    && message.message.kind().is_answer()
            };
            let mut packet = one_of_the_past(choices, network, answers)?;
            packet.envelope.from = STRANGER;
            Some(packet)
        }
        Hostile::Malformed => {
            Some(network.packet(nonsense(choices, status), Payload::default(), now))
        }
    }
}

fn one_of_the_past(
    choices: &mut Choices,
    network: &Network,
    is_meant: impl Fn(&Envelope) -> bool,
) -> Option<Packet> {
    let meant: Vec<&Packet> = network.past()?.filter(|packet| is_meant(&packet.envelope)).collect();
    let count = u64::try_from(meant.len()).expect("a few messages");
    let nth = choices.below(Question::Hostile, count.max(1));
    meant.get(usize::try_from(nth).expect("a few messages")).copied().cloned()
}

/// A message that cannot be, whoever gets it in whatever state.
fn nonsense(choices: &mut Choices, status: &Status) -> Envelope {
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
    match choices.below(Question::Hostile, 8) {
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
