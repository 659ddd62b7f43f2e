//! What a host replicates: a state machine behind sessions, and what a snapshot of it is.
//!
//! The simulator brings a few registers. Whoever wants to see another state machine replicated, its
//! own perhaps, implements [`StateMachine`] and hands it to [`World::replicating`].
//!
//! [`World::replicating`]: crate::world::World::replicating

use crate::host::log::{Command, Entry};
use crate::plan::choice::RollingHash;
use crate::plan::record::Operation;
use raft_core::payload::Content;
use raft_core::{LogIndex, LogPosition, Snapshot};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

/// A deterministic state machine: what it answers, and what it is afterwards, depends on nothing
/// but the commands so far.
///
/// The simulator holds it to that. Its hash has to be the same at the same index on every node,
/// also after a snapshot or a crash, so everything that matters has to go into [`Hash`].
///
/// Commands, questions and answers are numbers. What they mean is for the state machine to say: a
/// number can be the seed from which a command of any size is made, and an answer can be a hash.
pub trait StateMachine: Clone + Hash + Debug + Send + Sync + 'static {
    /// Applies a command that has been committed.
    fn apply(&mut self, command: u64) -> u64;

    /// Answers a question that goes past the log.
    fn read(&self, question: u64) -> u64;
}

/// A state machine whose type is known to nobody but itself.
trait Erased: Debug + Send + Sync {
    fn apply(&mut self, command: u64) -> u64;
    fn read(&self, question: u64) -> u64;
    fn fork(&self) -> Box<dyn Erased>;
    fn hash_into(&self, hash: &mut dyn Hasher);
}

impl<S: StateMachine> Erased for S {
    fn apply(&mut self, command: u64) -> u64 {
        StateMachine::apply(self, command)
    }

    fn read(&self, question: u64) -> u64 {
        StateMachine::read(self, question)
    }

    fn fork(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }

    fn hash_into(&self, mut hash: &mut dyn Hasher) {
        self.hash(&mut hash);
    }
}

/// The newest operation of a client that took effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Session {
    serial: u64,
    answer: Effect,
}

/// What an operation did when it took effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Effect {
    /// What the state machine answered.
    pub value: Option<u64>,
    /// Where the command stands that took effect.
    pub position: LogPosition,
}

/// The state of a host: the last value of each key, an embedder's state machine if there is one,
/// and a session for each client, so that a command that comes again is answered as it was the
/// first time and takes no effect (Raft thesis, section 6.3).
#[derive(Default, Debug)]
pub struct Machine {
    registers: BTreeMap<u64, u64>,
    own: Option<Box<dyn Erased>>,
    sessions: BTreeMap<u64, Session>,
    applied: LogIndex,
}

impl Machine {
    /// A state that holds an embedder's state machine, and has applied nothing.
    pub fn of(own: impl StateMachine) -> Self {
        Self { own: Some(Box::new(own)), ..Self::default() }
    }

    /// Applies the next entry. `None` if it was no command, or an old one of a client that has done
    /// something else since: it takes no effect, and nobody waits for it.
    pub fn apply(&mut self, entry: &Entry) -> Option<Effect> {
        self.applied = LogIndex(self.applied.get() + 1);
        let Content::Command(Command { client, serial, operation }) = entry.content else {
            return None;
        };
        match self.sessions.get(&client) {
            Some(session) if session.serial == serial => return Some(session.answer),
            Some(session) if session.serial > serial => return None,
            _ => {}
        }
        let value = match operation {
            Operation::Write { key, value } => {
                self.registers.insert(key, value);
                Some(value)
            }
            Operation::Apply { command } => self.own.as_mut().map(|own| own.apply(command)),
            Operation::Read { .. } | Operation::Query { .. } | Operation::Ask { .. } => {
                self.read(operation)
            }
        };
        let answer = Effect { value, position: LogPosition::new(entry.term, self.applied) };
        // The operator asks many nodes at once, never again for the same, and waits for nothing.
        if client != 0 {
            self.sessions.insert(client, Session { serial, answer });
        }
        Some(answer)
    }

    /// What a read returns here and now; nothing for what is no read.
    pub fn read(&self, operation: Operation) -> Option<u64> {
        match operation {
            Operation::Read { key } | Operation::Query { key, .. } => {
                self.registers.get(&key).copied()
            }
            Operation::Ask { question, .. } => self.own.as_ref().map(|own| own.read(question)),
            Operation::Write { .. } | Operation::Apply { .. } => None,
        }
    }

    /// The last index applied.
    pub const fn applied(&self) -> LogIndex {
        self.applied
    }

    /// A hash of all that it holds.
    pub fn hash(&self) -> u64 {
        let mut hash = RollingHash::new();
        hash.take(self);
        hash.value()
    }
}

impl Clone for Machine {
    fn clone(&self) -> Self {
        let Self { registers, own, sessions, applied } = self;
        Self {
            registers: registers.clone(),
            own: own.as_ref().map(|own| own.fork()),
            sessions: sessions.clone(),
            applied: *applied,
        }
    }
}

impl Hash for Machine {
    fn hash<H: Hasher>(&self, hash: &mut H) {
        self.registers.hash(hash);
        if let Some(own) = &self.own {
            own.hash_into(hash);
        }
        self.sessions.hash(hash);
        self.applied.hash(hash);
    }
}

/// As far as a hash of 64 bits can tell.
impl PartialEq for Machine {
    fn eq(&self, other: &Self) -> bool {
        Self::hash(self) == Self::hash(other)
    }
}

impl Eq for Machine {}

/// A snapshot with its content.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Image {
    /// What it covers.
    pub snapshot: Snapshot,
    /// The state machine there.
    pub machine: Machine,
}

#[cfg(test)]
mod tests {
    use super::{Effect, Machine};
    use crate::host::log::{Command, Entry};
    use crate::plan::record::Operation;
    use raft_core::payload::Content;
    use raft_core::{LogIndex, LogPosition, Term};

    fn write(client: u64, serial: u64, value: u64) -> Entry {
        let operation = Operation::Write { key: 1, value };
        Entry { term: Term(1), content: Content::Command(Command { client, serial, operation }) }
    }

    fn value(machine: &Machine) -> Option<u64> {
        machine.read(Operation::Read { key: 1 })
    }

    #[test]
    fn a_command_that_comes_again_is_answered_again_and_takes_no_effect() {
        let mut machine = Machine::default();
        let first =
            Some(Effect { value: Some(70), position: LogPosition::new(Term(1), LogIndex(1)) });
        assert_eq!(machine.apply(&write(1, 1, 70)), first);
        machine.apply(&write(2, 1, 80));
        assert_eq!(machine.apply(&write(1, 1, 70)), first);
        assert_eq!((value(&machine), machine.applied()), (Some(80), LogIndex(3)));
    }

    #[test]
    fn a_client_that_has_gone_on_is_past_its_older_commands() {
        let mut machine = Machine::default();
        machine.apply(&write(1, 2, 70));
        assert_eq!(machine.apply(&write(1, 1, 60)), None);
        assert_eq!(value(&machine), Some(70));
    }

    #[test]
    fn the_operator_has_no_session() {
        let mut machine = Machine::default();
        machine.apply(&write(0, 2, 70));
        machine.apply(&write(0, 1, 60));
        assert_eq!(value(&machine), Some(60));
    }

    #[test]
    fn sessions_are_part_of_what_is_hashed_and_copied() {
        let (mut one, mut other) = (Machine::default(), Machine::default());
        one.apply(&write(1, 1, 70));
        other.apply(&write(2, 1, 70));
        assert_ne!(one, other);
        let copy = one.clone();
        assert_eq!(copy, one);
        assert_eq!(
            one.clone().apply(&write(1, 1, 70)).map(|e| e.position.index),
            Some(LogIndex(1))
        );
    }
}
