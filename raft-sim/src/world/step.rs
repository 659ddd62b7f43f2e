//! One step of one node: the node is given what came, the host carries out what it answers, and
//! then does what it does after each step.

use crate::host::packet::Arrival;
use crate::plan::record::Violation;
use crate::world::actions::carry_out;
use crate::world::env::{Env, Lists};
use crate::world::hosts::Running;
use crate::world::life::schedule_wake;
use crate::world::network::Network;
use crate::world::snapshots::{compact, maybe_take_snapshot};
use crate::world::watch::{Fact, Stepped};

/// Steps a node with what has arrived. The lists are kept from step to step, for their memory.
pub(super) fn step(
    env: &mut Env,
    network: &mut Network,
    at: Running<'_>,
    arrivals: impl IntoIterator<Item = Arrival>,
) -> Result<(), Violation> {
    let mut lists = std::mem::take(&mut env.lists);
    let done = step_with(env, network, at, arrivals, &mut lists);
    lists.clear();
    env.lists = lists;
    done
}

fn step_with(
    env: &mut Env,
    network: &mut Network,
    mut at: Running<'_>,
    arrivals: impl IntoIterator<Item = Arrival>,
    Lists { inputs, payloads, actions }: &mut Lists,
) -> Result<(), Violation> {
    let node = at.id();
    for arrival in arrivals {
        if let Arrival::Query(token, question) = &arrival {
            at.process_mut().queries.insert(*token, *question);
        }
        let (input, payload) = arrival.split();
        inputs.push(input);
        payloads.push(payload);
    }
    env.tell(at.hosts(), Fact::Given { node, inputs })?;
    let local = at.host().local(env.now());
    let process = at.process_mut();
    let before = process.status;
    process.node.step_all(inputs.iter(), local, actions);
    process.told = local;
    process.status = process.node.status();
    process.deadline = process.node.deadline();
    let after = process.status;
    let stepped = Stepped { node, inputs, before: &before, after: &after, actions };
    env.stepped(at.hosts(), &stepped);
    let left = carry_out(env, network, at, &before, actions, (inputs, payloads))?;
    let Some(mut at) = left else { return Ok(()) };
    // After the checkers, so that what is wrong is seen from outside where it can be.
    if let Err(broken) = at.process().node.check() {
        return Err(env.violation("invariants", format!("{node:?}: {broken}")));
    }
    compact(env, &mut at)?;
    maybe_take_snapshot(env, &mut at);
    env.tell(at.hosts(), Fact::StepDone { node, before: &before, after: &after })?;
    schedule_wake(env, &mut at);
    Ok(())
}
