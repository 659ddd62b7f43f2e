//! What is asked of a log, drawn: only what a driver would ask.

use crate::kit::medium::Dice;
use crate::kit::model::{Model, State};
use raft_core::driver::{BoundLog, BoundWrite, Entry};
use raft_core::payload::Content;
use raft_core::{HardState, LogIndex, LogPosition, Membership, NodeId, Term, Ticket};
use std::fmt;
use std::time::Duration;

/// One thing that is asked of a log.
#[derive(Clone, Debug)]
pub(super) enum Operation<P> {
    Write(BoundWrite<P>),
    Release(LogPosition),
    Restart(LogPosition),
    Sync,
}

impl<P: Clone + PartialEq> Operation<P> {
    pub(super) fn on_model(&self, model: &mut Model<P>) {
        match self {
            Self::Write(write) => model.write(write),
            Self::Release(through) => model.release(*through),
            Self::Restart(after) => model.restart(*after),
            Self::Sync => model.sync(),
        }
    }
}

impl<P> fmt::Display for Operation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(BoundWrite { hard_state, log, .. }) => {
                f.write_str("write")?;
                if let Some(hard_state) = hard_state {
                    write!(f, " term {}", hard_state.current_term)?;
                }
                let Some(log) = log else { return Ok(()) };
                if let Some(after) = log.restart_after {
                    write!(f, ", restart after {after}")?;
                }
                write!(f, ", from {} on {} entries", log.first, log.entries.len())
            }
            Self::Release(through) => write!(f, "release through {through}"),
            Self::Restart(after) => write!(f, "restart after {after}"),
            Self::Sync => f.write_str("sync"),
        }
    }
}

/// The operations of a seed. The last one is a sync.
pub(super) fn operations<P>(seed: u64, count: usize) -> Vec<Operation<P>>
where
    P: Clone + PartialEq + From<Vec<u8>>,
{
    let mut draw = Draw {
        dice: Dice::new(seed),
        model: Model::of(State::default()),
        ticket: seed % 1000,
        committed: LogIndex::ZERO,
    };
    let mut all: Vec<_> = (1..count).map(|_| draw.next()).collect();
    all.push(Operation::Sync);
    all
}

struct Draw<P> {
    dice: Dice,
    model: Model<P>,
    ticket: u64,
    /// Durable, and never dropped.
    committed: LogIndex,
}

impl<P: Clone + PartialEq + From<Vec<u8>>> Draw<P> {
    fn next(&mut self) -> Operation<P> {
        let operation = match self.dice.below(20) {
            0..5 => Operation::Sync,
            5..11 => self.append(false),
            11..14 => self.conflict(),
            14..16 => self.hard_state(),
            16..18 => self.release().unwrap_or_else(|| self.append(false)),
            18 => self.restart(),
            _ => self.append(true),
        };
        operation.on_model(&mut self.model);
        if matches!(operation, Operation::Sync) {
            let durable = self.model.durable().last().index;
            let news = durable.get().saturating_sub(self.committed.get());
            let news = self.dice.below(usize::try_from(news).expect("few") + 1);
            self.committed = LogIndex(self.committed.get() + news as u64);
        }
        operation
    }

    /// More entries, of the current term or of the next one; a few with what is as large as a page.
    fn append(&mut self, many: bool) -> Operation<P> {
        let state = self.model.asked();
        let first = state.next();
        let higher = self.dice.below(3) == 0 || state.hard_state.current_term == Term::ZERO;
        let count = 1 + self.dice.below(if many { 60 } else { 4 });
        self.write(first, count, higher, None)
    }

    /// Another leader's entries in the place of some that are not committed; or only a cut.
    fn conflict(&mut self) -> Operation<P> {
        let state = self.model.asked();
        let floor = self.committed.max(state.start().index).get();
        let last = state.last().index.get();
        if last <= floor {
            return self.append(false);
        }
        let back = self.dice.below(usize::try_from(last - floor).expect("few"));
        let first = LogIndex(last - back as u64);
        let count = self.dice.below(4);
        self.write(first, count, true, None)
    }

    fn hard_state(&mut self) -> Operation<P> {
        let hard_state = Some(self.next_hard_state(true));
        Operation::Write(BoundWrite { ticket: self.ticket(), hard_state, log: None })
    }

    fn release(&mut self) -> Option<Operation<P>> {
        let state = self.model.asked();
        let start = state.start().index.get();
        let room = self.committed.get().checked_sub(start).filter(|room| *room > 0)?;
        let through = start + 1 + self.dice.below(usize::try_from(room).expect("few")) as u64;
        let state = self.model.durable();
        // The driver releases only what is durable.
        state.position(LogIndex(through)).map(Operation::Release)
    }

    /// A snapshot takes the place of the log, before or with the first write of a life.
    fn restart(&mut self) -> Operation<P> {
        let state = self.model.asked();
        let beyond = state.last().index.get() + 1 + self.dice.below(50) as u64;
        let term = Term(state.hard_state.current_term.get().max(1));
        let after = LogPosition::new(term, LogIndex(beyond));
        self.committed = after.index;
        if self.dice.below(2) == 0 && state.hard_state.current_term == term {
            return Operation::Restart(after);
        }
        let count = self.dice.below(3);
        self.write(LogIndex(beyond + 1), count, true, Some(after))
    }

    fn write(
        &mut self,
        first: LogIndex,
        count: usize,
        higher: bool,
        restart_after: Option<LogPosition>,
    ) -> Operation<P> {
        let hard_state = (higher || self.dice.below(4) == 0).then(|| self.next_hard_state(higher));
        let known = self.model.asked().hard_state.current_term;
        let term = hard_state.map_or(known, |hard_state| hard_state.current_term);
        let entries = (0..count).map(|nth| Entry {
            position: LogPosition::new(term, LogIndex(first.get() + nth as u64)),
            content: self.content(),
        });
        let log = BoundLog { restart_after, first, entries: entries.collect() };
        Operation::Write(BoundWrite { ticket: self.ticket(), hard_state, log: Some(log) })
    }

    fn next_hard_state(&mut self, higher: bool) -> HardState {
        let now = self.model.asked().hard_state;
        let current_term = Term(now.current_term.get() + u64::from(higher));
        let voted_for = [None, Some(NodeId(1)), Some(NodeId(u64::MAX >> 2))][self.dice.below(3)];
        let promised = Duration::from_millis(self.dice.below(3) as u64 * 75);
        HardState { current_term, voted_for, promised }
    }

    fn content(&mut self) -> Content<P> {
        if self.dice.below(10) == 0 {
            let members = (1..=1 + self.dice.below(5) as u64).map(NodeId);
            let membership = Membership::of_voters(members).expect("at least one voter");
            return Content::Membership(Box::new(membership));
        }
        let size = match self.dice.below(40) {
            0 => 9000,
            1..5 => 600,
            _ => self.dice.below(40),
        };
        let bytes = (0..size).map(|_| self.dice.below(256));
        let bytes: Vec<u8> = bytes.map(|byte| u8::try_from(byte).expect("below 256")).collect();
        Content::Command(bytes.into())
    }

    fn ticket(&mut self) -> Ticket {
        self.ticket += 1;
        Ticket(self.ticket)
    }
}
