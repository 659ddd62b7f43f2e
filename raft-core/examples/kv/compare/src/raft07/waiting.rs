//! Who waits at a [`RawNode`](raft::RawNode) for what: proposals by position, reads by context.

use kv::inbox::Told;
use raft_core::driver::{Answer, Refusal, Unknown};
use raft_core::{Instant, LogIndex, RejectReason};
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::oneshot;

pub(super) type Caller = oneshot::Sender<Told>;

/// Who waits.
#[derive(Default)]
pub(super) struct Waiting {
    proposals: VecDeque<Proposal>,
    /// Reads whose index is not known yet, by the context under which the crate was asked for it.
    reads: BTreeMap<u64, Vec<(Instant, Caller)>>,
    /// Reads that wait for the state machine.
    known: VecDeque<(LogIndex, Vec<(Instant, Caller)>)>,
}

struct Proposal {
    index: u64,
    term: u64,
    until: Instant,
    caller: Caller,
}

impl Waiting {
    /// These callers' commands stand from `first` on, in this term.
    pub(super) fn proposed(
        &mut self,
        first: u64,
        term: u64,
        callers: impl IntoIterator<Item = (Instant, Caller)>,
    ) {
        let proposal = |(index, (until, caller))| Proposal { index, term, until, caller };
        self.proposals.extend((first..).zip(callers).map(proposal));
    }

    /// Who waits for the entry that is committed here. Who waited for another one there has lost.
    pub(super) fn committed(&mut self, index: u64, term: u64) -> Option<Caller> {
        while let Some(found) = self.proposals.pop_front_if(|found| found.index <= index) {
            if (found.index, found.term) == (index, term) {
                return Some(found.caller);
            }
            _ = found.caller.send(Told::Answer(Answer::Lost { applied: 0 }));
        }
        None
    }

    /// These callers wait for the index of this context.
    pub(super) fn asked(&mut self, context: u64, callers: Vec<(Instant, Caller)>) {
        self.reads.insert(context, callers);
    }

    /// The crate says from which index on the state machine may be read for this context.
    pub(super) fn may_read(&mut self, context: u64, index: u64) {
        if let Some(callers) = self.reads.remove(&context) {
            self.known.push_back((LogIndex(index), callers));
        }
    }

    /// The state machine has come so far: reads that waited for it are answered.
    pub(super) fn applied(&mut self, applied: LogIndex) {
        while let Some((index, callers)) = self.known.pop_front_if(|(index, _)| *index <= applied) {
            for (_, caller) in callers {
                _ = caller.send(Told::Answer(Answer::Read { index }));
            }
        }
    }

    /// This node leads no more.
    pub(super) fn leadership_is_lost(&mut self) {
        for proposal in self.proposals.drain(..) {
            _ = proposal.caller.send(unknown(Unknown::LeadershipLost));
        }
        let reads = std::mem::take(&mut self.reads).into_values();
        for (_, caller) in reads.chain(self.known.drain(..).map(|(_, callers)| callers)).flatten() {
            _ = caller.send(refused(RejectReason::LeaderChanged.into()));
        }
    }

    /// Who waits no longer is told so.
    pub(super) fn time_is(&mut self, now: Instant) {
        if self.proposals.iter().any(|proposal| proposal.until <= now) {
            let all = std::mem::take(&mut self.proposals).into_iter();
            let (late, early): (VecDeque<_>, _) = all.partition(|proposal| proposal.until <= now);
            self.proposals = early;
            for proposal in late {
                _ = proposal.caller.send(unknown(Unknown::TimedOut));
            }
        }
        let known = self.known.iter_mut().map(|(_, callers)| callers);
        for callers in self.reads.values_mut().chain(known) {
            for (_, caller) in callers.extract_if(.., |(until, _)| *until <= now) {
                _ = caller.send(refused(Refusal::TimedOut));
            }
        }
        self.reads.retain(|_, callers| !callers.is_empty());
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        let known = self.known.iter().map(|(_, callers)| callers);
        self.proposals.len() + self.reads.values().chain(known).map(Vec::len).sum::<usize>()
    }
}

fn unknown(cause: Unknown) -> Told {
    Told::Answer(Answer::Unknown { cause, applied: 0 })
}

/// It was not done, and never will be.
pub(super) const fn refused(refusal: Refusal) -> Told {
    Told::Answer(Answer::Refused(refusal))
}
