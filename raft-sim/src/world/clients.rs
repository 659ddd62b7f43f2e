//! What clients and nodes say to one another.

use crate::checker::sight::Happening;
use crate::host::client::{Answer, Client, Request, Wish, operation_of};
use crate::host::packet::Arrival;
use crate::plan::choice::Question;
use crate::plan::record::{Event, Operation, Phase, Violation};
use crate::world::World;
use crate::world::pending::Pending;
use raft_core::{Instant, NodeId, Token};
use std::time::Duration;

/// How long a client waits before it asks again.
const BACKOFF: Duration = Duration::from_millis(10);

impl World {
    pub(super) fn turn(&mut self, number: u64) -> Result<(), Violation> {
        let now = self.agenda.now();
        let (client, choices) = client_of(&mut self.clients, &mut self.choices, number);
        let Some((serial, operation)) = client.begin(now, choices) else { return Ok(()) };
        let give_up_at = now.saturating_add(client.setup().patience);
        self.tell_client(None, number, serial, operation, Phase::Invoked)?;
        self.schedule(give_up_at, Pending::GiveUp { client: number, serial });
        self.attempt(number, serial);
        Ok(())
    }

    pub(super) fn attempt(&mut self, number: u64, serial: u64) {
        let nodes: Vec<NodeId> = self.hosts.keys().copied().collect();
        let (client, choices) = client_of(&mut self.clients, &mut self.choices, number);
        let tired_after = client.setup().ask_again;
        if let Some(Wish::Ask(node, request, attempt)) = client.attempt(serial, &nodes, choices) {
            if let Some(pause) = tired_after.filter(|_| request.query.is_none()) {
                let at = self.agenda.now().saturating_add(pause);
                self.schedule(at, Pending::AskAgain { client: number, serial, attempt });
            }
            let at = self.on_the_way();
            self.schedule(at, Pending::Request { node, request });
        }
    }

    /// No answer has come in time.
    pub(super) fn ask_again(&mut self, number: u64, serial: u64, attempt: u64) {
        let (client, _) = client_of(&mut self.clients, &mut self.choices, number);
        if client.is_tired_of(serial, attempt) {
            self.exercised.asked_again += 1;
            self.attempt(number, serial);
        }
    }

    /// A request arrives at a node. One that is down refuses the connection.
    pub(super) fn request(&mut self, node: NodeId, request: Request) -> Result<(), Violation> {
        if self.hosts[&node].process.is_some() {
            return self.arrive(
                node,
                match request.query {
                    Some(question) => Arrival::Query(request.token, question),
                    None => Arrival::Request(request),
                },
            );
        }
        self.reply(request.token, Answer::Refused { leader: None });
        Ok(())
    }

    /// A node answers. The operator hears it at once.
    pub(super) fn reply(&mut self, token: Token, answer: Answer) {
        let (client, serial) = operation_of(token);
        if client != 0 {
            let at = self.on_the_way();
            self.schedule(at, Pending::Answer { client, serial, answer });
        } else if let Some(operation) = self.operator_asked.remove(&serial)
            && let Answer::Applied { value, position } = answer
        {
            self.operator_heard.push((serial, operation, Phase::Returned { value, position }));
        }
    }

    pub(super) fn answer(
        &mut self,
        number: u64,
        serial: u64,
        answer: Answer,
    ) -> Result<(), Violation> {
        let (client, _) = client_of(&mut self.clients, &mut self.choices, number);
        match client.answer(serial, answer) {
            Some(Wish::Retry) => {
                let at = self.agenda.now().saturating_add(BACKOFF);
                self.schedule(at, Pending::Retry { client: number, serial });
                Ok(())
            }
            Some(Wish::Finish(operation, phase)) => self.finish(number, serial, operation, phase),
            Some(Wish::Ask(..)) | None => Ok(()),
        }
    }

    pub(super) fn give_up(&mut self, number: u64, serial: u64) -> Result<(), Violation> {
        let (client, _) = client_of(&mut self.clients, &mut self.choices, number);
        match client.give_up(serial) {
            Some(Wish::Finish(operation, phase)) => self.finish(number, serial, operation, phase),
            _ => Ok(()),
        }
    }

    fn finish(
        &mut self,
        number: u64,
        serial: u64,
        operation: Operation,
        phase: Phase,
    ) -> Result<(), Violation> {
        match phase {
            Phase::Returned { .. } => self.exercised.operations_done += 1,
            Phase::Unknown => self.exercised.operations_unknown += 1,
            Phase::Failed => self.exercised.operations_failed += 1,
            Phase::Invoked => {}
        }
        self.tell_client(None, number, serial, operation, phase)?;
        let (client, choices) = client_of(&mut self.clients, &mut self.choices, number);
        let (min, max) = (client.setup().min_think, client.setup().max_think);
        let pause = choices.duration(Question::Think, min, max);
        let at = self.agenda.now().saturating_add(pause);
        self.schedule(at, Pending::Turn { client: number });
        Ok(())
    }

    /// Shows the answers that the operator heard.
    pub(super) fn hear_operator(&mut self) -> Result<(), Violation> {
        for (serial, operation, phase) in std::mem::take(&mut self.operator_heard) {
            self.tell_client(None, 0, serial, operation, phase)?;
        }
        Ok(())
    }

    pub(super) fn tell_client(
        &mut self,
        node: Option<NodeId>,
        client: u64,
        serial: u64,
        operation: Operation,
        phase: Phase,
    ) -> Result<(), Violation> {
        self.history.take(client, serial, operation, phase);
        self.tell(node, Event::Client { client, serial, operation, phase });
        let first = *self.hosts.keys().next().expect("a setup has nodes");
        let what = Happening::Client { operation: (client, serial), what: operation, phase };
        self.show(first, what)
    }

    fn on_the_way(&mut self) -> Instant {
        let link = self.setup.link;
        let delay = self.choices.duration(Question::Delay, link.min_delay, link.max_delay);
        self.agenda.now().saturating_add(delay)
    }
}

fn client_of<'a>(
    clients: &'a mut [Client],
    choices: &'a mut crate::plan::choice::Choices,
    number: u64,
) -> (&'a mut Client, &'a mut crate::plan::choice::Choices) {
    let nth = usize::try_from(number - 1).expect("a few clients");
    (&mut clients[nth], choices)
}
