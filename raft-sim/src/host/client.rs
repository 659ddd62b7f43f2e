//! Clients: each does one operation at a time and asks the node that it takes for the leader.
//!
//! Between clients and nodes nothing is lost; a node that is down is known to be, and one that dies
//! with a command says nothing. A client that [asks again](ClientSetup::ask_again) does not wait
//! for it: it gives the same command to another node, so that it may stand in the log several
//! times, and rests on its session in the [state machine](crate::host::machine::Machine). Any other
//! client asks again only when it is certain that the last node did not take its command.

use crate::host::log::Command;
use crate::plan::choice::{Choices, Question};
use crate::plan::profile::ClientSetup;
use crate::plan::record::{Operation, Stage};
use raft_core::{Consistency, Instant, LogPosition, NodeId, Token};

/// What a client asks of a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Request {
    /// Its name; see [`token`].
    pub token: Token,
    /// What is to be replicated.
    pub commands: Vec<Command>,
    /// What is to be read without the log instead.
    pub query: Option<Operation>,
}

/// What a node answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// It did not take the command; perhaps it knows who would.
    Refused {
        /// The leader, as far as it knows.
        leader: Option<NodeId>,
    },
    /// The command was applied.
    Applied {
        /// What the state machine answered.
        value: Option<u64>,
        /// Where it stands.
        position: LogPosition,
    },
    /// Something else was committed where the command stood.
    Lost,
    /// It cannot say any more what becomes of the command.
    Unknown,
}

/// What the world is to do for a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Hand the request to a node, the attempt of this number.
    Ask(NodeId, Request, u64),
    /// Try again a little later.
    Retry,
    /// Write down where the operation stands, and give the client its next turn.
    Finish(Operation, Stage),
}

/// The name of an operation's request: the client above, its serial below. Client 0 is the
/// operator.
pub const fn token(client: u64, serial: u64) -> Token {
    Token(client << 32 | serial)
}

/// The client and the serial in a token.
pub const fn operation_of(token: Token) -> (u64, u64) {
    (token.get() >> 32, token.get() & 0xffff_ffff)
}

/// One client.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Client {
    number: u64,
    setup: ClientSetup,
    /// How many operations it has begun.
    serial: u64,
    /// Whom it takes for the leader.
    leader: Option<NodeId>,
    current: Option<Current>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Current {
    operation: Operation,
    /// Whether a node was asked and the client waits for what it says.
    asked: bool,
    /// How often nodes were asked.
    attempts: u64,
    /// How many of them have not answered.
    unanswered: u64,
}

impl Client {
    /// A client that has done nothing yet; numbers begin with 1.
    pub const fn new(number: u64, setup: ClientSetup) -> Self {
        Self { number, setup, serial: 0, leader: None, current: None }
    }

    /// What it is.
    pub const fn setup(&self) -> &ClientSetup {
        &self.setup
    }

    /// Begins the next operation, unless it is too late or one is under way.
    pub fn begin(&mut self, now: Instant, choices: &mut Choices) -> Option<(u64, Operation)> {
        if now >= self.setup.stop || self.current.is_some() {
            return None;
        }
        self.serial += 1;
        let key = choices.below(Question::Key, self.setup.keys.max(1));
        let writes = choices.below(Question::Operation, 100) < u64::from(self.setup.write_percent);
        let value = token(self.number, self.serial).get();
        let percent = u64::from(self.setup.query_percent);
        let queries = !writes && percent > 0 && choices.below(Question::Operation, 100) < percent;
        let leases = queries && self.setup.leases && choices.below(Question::Operation, 2) == 1;
        let consistency = if leases { Consistency::Lease } else { Consistency::ReadIndex };
        let operation = match (self.setup.own, queries, writes) {
            (false, false, true) => Operation::Write { key, value },
            (false, false, false) => Operation::Read { key },
            (false, true, _) => Operation::Query { key, consistency },
            (true, false, _) => Operation::Apply { command: key },
            (true, true, _) => Operation::Ask { question: key, consistency },
        };
        self.current = Some(Current { operation, asked: false, attempts: 0, unanswered: 0 });
        Some((self.serial, operation))
    }

    /// Asks for what is under way: the leader, or anybody.
    pub fn attempt(
        &mut self,
        serial: u64,
        nodes: &[NodeId],
        choices: &mut Choices,
    ) -> Option<Wish> {
        let current = self.current.as_mut().filter(|now| self.serial == serial && !now.asked)?;
        current.asked = true;
        current.attempts += 1;
        current.unanswered += 1;
        let attempt = current.attempts;
        let query = Some(current.operation).filter(|what| what.past_the_log().is_some());
        let home = self.setup.home;
        // Half of the queries go to anybody.
        let anybody = home.is_none() && query.is_some() && choices.below(Question::Target, 2) == 1;
        let target = home.or(self.leader.filter(|_| !anybody)).unwrap_or_else(|| {
            let count = u64::try_from(nodes.len()).expect("a few nodes");
            let nth = choices.below(Question::Target, count);
            nodes[usize::try_from(nth).expect("a few nodes")]
        });
        let command = Command { client: self.number, serial, operation: current.operation };
        let commands = if query.is_some() { Vec::new() } else { vec![command] };
        let request = Request { token: token(self.number, serial), commands, query };
        Some(Wish::Ask(target, request, attempt))
    }

    /// Has waited for the answer to an attempt for as long as it [does](ClientSetup::ask_again).
    /// `true` if it is to ask again.
    pub fn is_tired_of(&mut self, serial: u64, attempt: u64) -> bool {
        let waits = |now: &&mut Current| now.asked && now.attempts == attempt;
        let Some(current) = self.current.as_mut().filter(|_| self.serial == serial).filter(waits)
        else {
            return false;
        };
        current.asked = false;
        self.leader = None;
        true
    }

    /// Hears an answer; one that comes after it gave up says nothing.
    pub fn answer(&mut self, serial: u64, answer: Answer) -> Option<Wish> {
        let current = self.current.as_mut().filter(|_| self.serial == serial)?;
        current.unanswered = current.unanswered.saturating_sub(1);
        match answer {
            Answer::Applied { value, position } => self.finish(Stage::Returned { value, position }),
            Answer::Lost if current.unanswered == 0 => self.finish(Stage::Failed),
            Answer::Refused { leader } => {
                self.leader = leader;
                // Otherwise it has asked again, or will.
                std::mem::take(&mut current.asked).then_some(Wish::Retry)
            }
            Answer::Lost => None,
            Answer::Unknown => self.finish(Stage::Unknown),
        }
    }

    /// Loses patience. If a node still has the command, nobody knows what will become of it.
    pub fn give_up(&mut self, serial: u64) -> Option<Wish> {
        let current = self.current.filter(|_| self.serial == serial)?;
        self.leader = None;
        let may_take_effect = current.unanswered > 0 && current.operation.past_the_log().is_none();
        self.finish(if may_take_effect { Stage::Unknown } else { Stage::Failed })
    }

    /// Whether an operation is under way.
    pub const fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    fn finish(&mut self, phase: Stage) -> Option<Wish> {
        self.current.take().map(|current| Wish::Finish(current.operation, phase))
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Client, Wish, operation_of, token};
    use crate::plan::choice::Choices;
    use crate::plan::profile::ClientSetup;
    use crate::plan::record::Stage;
    use raft_core::{Instant, LogPosition, NodeId};

    const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

    fn asked(client: &mut Client, choices: &mut Choices) -> NodeId {
        match client.attempt(1, &NODES, choices) {
            Some(Wish::Ask(node, request, _)) => {
                assert_eq!(operation_of(request.token), (4, 1));
                node
            }
            other => panic!("it asks: {other:?}"),
        }
    }

    #[test]
    fn it_follows_the_hint_and_ends_with_the_answer() {
        let mut choices = Choices::seeded(1);
        let mut client = Client::new(4, ClientSetup::default());
        let (serial, _) = client.begin(Instant::ZERO, &mut choices).expect("idle");
        assert_eq!(serial, 1);
        assert_eq!(client.begin(Instant::ZERO, &mut choices), None, "one at a time");
        asked(&mut client, &mut choices);
        assert_eq!(client.attempt(1, &NODES, &mut choices), None, "a node has it already");
        let refused = Answer::Refused { leader: Some(NodeId(2)) };
        assert_eq!(client.answer(1, refused), Some(Wish::Retry));
        assert_eq!(asked(&mut client, &mut choices), NodeId(2));
        let answer = Answer::Applied { value: None, position: LogPosition::ZERO };
        assert!(matches!(client.answer(1, answer), Some(Wish::Finish(_, Stage::Returned { .. }))));
        assert_eq!(client.answer(1, Answer::Lost), None, "it is over");
        assert_eq!(client.begin(Instant::MAX, &mut choices), None, "it is too late");
    }

    #[test]
    fn one_that_is_at_home_somewhere_asks_there_whoever_leads() {
        let mut choices = Choices::seeded(1);
        let setup = ClientSetup { home: Some(NodeId(3)), ..ClientSetup::default() };
        let mut client = Client::new(4, setup);
        client.begin(Instant::ZERO, &mut choices).expect("idle");
        for _ in 0..5 {
            assert_eq!(asked(&mut client, &mut choices), NodeId(3));
            client.answer(1, Answer::Refused { leader: Some(NodeId(2)) });
        }
    }

    #[test]
    fn what_a_node_may_still_hold_is_unknown_and_what_none_took_has_failed() {
        for (answered, phase) in [(false, Stage::Unknown), (true, Stage::Failed)] {
            let mut choices = Choices::seeded(1);
            let mut client = Client::new(4, ClientSetup::default());
            let (_, operation) = client.begin(Instant::ZERO, &mut choices).expect("idle");
            asked(&mut client, &mut choices);
            if answered {
                client.answer(1, Answer::Refused { leader: None });
            }
            assert_eq!(client.give_up(1), Some(Wish::Finish(operation, phase)));
            assert!(!client.is_busy());
            assert_eq!(client.give_up(1), None);
        }
    }

    #[test]
    fn one_that_is_tired_of_waiting_asks_again_and_knows_how_many_may_have_its_command() {
        let mut choices = Choices::seeded(1);
        let mut client = Client::new(4, ClientSetup::default());
        let (_, operation) = client.begin(Instant::ZERO, &mut choices).expect("idle");
        asked(&mut client, &mut choices);
        assert!(!client.is_tired_of(1, 2), "there was no second attempt");
        assert!(client.is_tired_of(1, 1) && !client.is_tired_of(1, 1));
        asked(&mut client, &mut choices);
        assert_eq!(client.answer(1, Answer::Lost), None, "another node may have it");
        assert!(client.is_tired_of(1, 2));
        asked(&mut client, &mut choices);
        assert_eq!(client.answer(1, Answer::Refused { leader: None }), Some(Wish::Retry));
        let mut patient = client.clone();
        assert_eq!(patient.answer(1, Answer::Lost), Some(Wish::Finish(operation, Stage::Failed)));
        assert_eq!(client.give_up(1), Some(Wish::Finish(operation, Stage::Unknown)));
    }

    #[test]
    fn tokens_name_operations() {
        assert_eq!(operation_of(token(7, 9)), (7, 9));
    }
}
