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
use crate::world::host::Process;
use crate::world::hosts::Hosts;
use crate::world::inbox::arrive;
use crate::world::network::Network;
use crate::world::nonsense::{STRANGER, contradiction, nonsense};
use crate::world::watch::Fact;
use raft_core::{Action, Envelope, Input, Node, NodeId};

/// Gives a node a message of this kind, if it runs and there is one to give.
pub(super) fn hostile(
    env: &mut Env,
    hosts: &mut Hosts,
    network: &mut Network,
    node: NodeId,
    what: Hostile,
) -> Result<(), Violation> {
    let Some(at) = hosts.running(node) else { return Ok(()) };
    let Some(packet) = invent(env, network, at.process(), what) else { return Ok(()) };
    let local = at.host().local(env.now());
    let input = Input::Message(packet.envelope.clone());
    let verdict = match what {
        Hostile::Replayed => Ok(()),
        Hostile::Misrouted | Hostile::Malformed | Hostile::Contradiction => {
            refused(at.process().node(), input, local)
        }
        Hostile::Stranger => without_effect(at.process().node(), input, local),
    };
    if let Err(sentence) = verdict {
        let sentence = format!("{node:?} is given {packet:?}: {sentence}");
        return Err(env.violation("hostile", sentence));
    }
    env.tell(at.hosts(), Fact::Hostile { what })?;
    if what == Hostile::Contradiction {
        // What contradicts the log now need not do so when the node comes to it: only a copy is
        // asked.
        return Ok(());
    }
    arrive(env, network, Some(at), Arrival::Message(packet))
}

/// A message of this kind for the node of this process.
fn invent(env: &mut Env, network: &Network, process: &Process, what: Hostile) -> Option<Packet> {
    let (now, choices, status) = (env.agenda.now(), &mut env.choices, &process.status);
    let id = status.id;
    let packet = |envelope| network.packet(envelope, Payload::default(), now);
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
        Hostile::Malformed => Some(packet(nonsense(choices, status))),
        Hostile::Contradiction => contradiction(choices, status, &process.log).map(packet),
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
