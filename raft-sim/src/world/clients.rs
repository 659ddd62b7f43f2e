//! The clients, and what they and the nodes say to one another.

use crate::host::client::{Answer, Client, Wish};
use crate::plan::choice::Question;
use crate::plan::profile::ClientSetup;
use crate::plan::record::{Operation, Stage, Violation};
use crate::world::env::Env;
use crate::world::hosts::Hosts;
use crate::world::pending::Pending;
use crate::world::reply::on_the_way;
use crate::world::watch::Fact;
use raft_core::NodeId;
use std::time::Duration;

/// How long a client waits before it asks again.
const BACKOFF: Duration = Duration::from_millis(10);

/// Every client of the setup.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    /// The first has number 1.
    clients: Vec<Client>,
}

impl Clients {
    pub(super) fn new(setups: &[ClientSetup]) -> Self {
        let numbered = (1..).zip(setups);
        Self { clients: numbered.map(|(number, setup)| Client::new(number, *setup)).collect() }
    }

    /// The number of the first client that waits for an answer.
    pub(super) fn waiting(&self) -> Option<usize> {
        self.clients.iter().position(Client::is_busy).map(|nth| nth + 1)
    }

    fn numbered(&mut self, number: u64) -> &mut Client {
        let nth = usize::try_from(number - 1).expect("a few clients");
        self.clients.get_mut(nth).expect("what is scheduled for a client names one of the setup")
    }
}

/// A client begins its next operation.
pub(super) fn on_turn(
    env: &mut Env,
    hosts: &Hosts,
    clients: &mut Clients,
    client: u64,
) -> Result<(), Violation> {
    let who = clients.numbered(client);
    let Some((serial, operation)) = who.begin(env.agenda.now(), &mut env.choices) else {
        return Ok(());
    };
    let patience = who.setup().patience;
    let phase = Stage::Invoked;
    env.tell(hosts, Fact::Client { node: None, client, serial, operation, phase })?;
    env.schedule_in(patience, Pending::GiveUp { client, serial });
    attempt(env, hosts, clients, client, serial);
    Ok(())
}

/// A client asks a node for what is under way.
pub(super) fn attempt(
    env: &mut Env,
    hosts: &Hosts,
    clients: &mut Clients,
    client: u64,
    serial: u64,
) {
    let nodes: Vec<NodeId> = hosts.ids().collect();
    let who = clients.numbered(client);
    let tired_after = who.setup().ask_again;
    let wish = who.attempt(serial, &nodes, &mut env.choices);
    let Some(Wish::Ask(node, request, attempt)) = wish else { return };
    if let Some(pause) = tired_after.filter(|_| request.query.is_none()) {
        env.schedule_in(pause, Pending::AskAgain { client, serial, attempt });
    }
    let time = on_the_way(env);
    env.agenda.schedule(time, Pending::Request { node, request });
}

/// No answer has come in time.
pub(super) fn on_ask_again(
    env: &mut Env,
    hosts: &Hosts,
    clients: &mut Clients,
    client: u64,
    serial: u64,
    attempt_number: u64,
) -> Result<(), Violation> {
    if clients.numbered(client).is_tired_of(serial, attempt_number) {
        env.tell(hosts, Fact::AsksAgain)?;
        attempt(env, hosts, clients, client, serial);
    }
    Ok(())
}

/// A node's answer arrives.
pub(super) fn on_answer(
    env: &mut Env,
    hosts: &Hosts,
    clients: &mut Clients,
    client: u64,
    serial: u64,
    (from, answer): (NodeId, Answer),
) -> Result<(), Violation> {
    let who = clients.numbered(client);
    match who.answer(serial, answer) {
        Some(Wish::Retry) => {
            env.schedule_in(BACKOFF, Pending::Retry { client, serial });
            Ok(())
        }
        Some(Wish::Finish(what, phase)) => {
            finish(env, hosts, who, (Some(from), client, serial), what, phase)
        }
        Some(Wish::Ask(..)) | None => Ok(()),
    }
}

/// A client loses patience.
pub(super) fn on_give_up(
    env: &mut Env,
    hosts: &Hosts,
    clients: &mut Clients,
    client: u64,
    serial: u64,
) -> Result<(), Violation> {
    let who = clients.numbered(client);
    match who.give_up(serial) {
        Some(Wish::Finish(what, phase)) => {
            finish(env, hosts, who, (None, client, serial), what, phase)
        }
        _ => Ok(()),
    }
}

/// An operation is over, by the answer of a node or without one.
fn finish(
    env: &mut Env,
    hosts: &Hosts,
    who: &Client,
    (node, client, serial): (Option<NodeId>, u64, u64),
    operation: Operation,
    phase: Stage,
) -> Result<(), Violation> {
    env.tell(hosts, Fact::Client { node, client, serial, operation, phase })?;
    let ClientSetup { min_think, max_think, .. } = *who.setup();
    let pause = env.choices.duration(Question::Think, min_think, max_think);
    env.schedule_in(pause, Pending::Turn { client });
    Ok(())
}
