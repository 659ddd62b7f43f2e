//! What is still to happen, in the order of its time, its rank and its number.

use crate::host::client::{Answer, Request};
use crate::host::machine::Machine;
use crate::host::packet::Packet;
use raft_core::{Envelope, Input, Instant, NodeId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is still to happen.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Pending {
    /// A node starts with the run.
    Start(NodeId),
    /// The nth entry of the timeline.
    Fault(usize),
    /// A write of the host's disk is due.
    Disk { node: NodeId, life: u64 },
    /// The sender reads the commands that a message names, and sends it.
    Build { life: u64, envelope: Envelope, machine: Option<Box<Machine>> },
    /// The host tells its node what became of a snapshot that it sent.
    Report { node: NodeId, life: u64, input: Input },
    /// A copy of a message arrives.
    Deliver(Packet),
    /// The host looks into its inbox.
    Poll { node: NodeId, life: u64 },
    /// A client's request arrives.
    Request { node: NodeId, request: Request },
    /// A node's answer arrives.
    Answer { client: u64, serial: u64, answer: Answer },
    /// A client begins its next operation.
    Turn { client: u64 },
    /// A client asks again.
    Retry { client: u64, serial: u64 },
    /// A client that has waited for an answer asks another node.
    AskAgain { client: u64, serial: u64, attempt: u64 },
    /// A client loses patience.
    GiveUp { client: u64, serial: u64 },
    /// A node's deadline may have passed.
    Wake { node: NodeId, life: u64 },
}

impl Pending {
    /// The order within one moment: faults before everything, messages before the timers that they
    /// put off.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Start(_) => 0,
            Self::Fault(_) => 1,
            Self::Disk { .. } => 2,
            Self::Build { .. } | Self::Deliver(_) | Self::Request { .. } | Self::Report { .. } => 3,
            Self::Answer { .. } | Self::Turn { .. } | Self::Retry { .. } => 4,
            Self::AskAgain { .. } => 5,
            Self::GiveUp { .. } => 5,
            Self::Poll { .. } | Self::Wake { .. } => 6,
        }
    }
}

/// The heap holds the keys only: what is to happen stays where it was put.
#[derive(Clone, Default, Debug)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<Key>>,
    slots: Vec<Option<Pending>>,
    free: Vec<usize>,
    /// How many were ever put in: no two keys are equal.
    scheduled: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    time: Instant,
    rank: u8,
    number: u64,
    slot: usize,
}

impl Agenda {
    pub(super) fn push(&mut self, time: Instant, pending: Pending) {
        self.scheduled += 1;
        let (rank, number) = (pending.rank(), self.scheduled);
        let slot = self.free.pop().unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(pending);
        self.heap.push(Reverse(Key { time, rank, number, slot }));
    }

    /// What comes next.
    pub(super) fn peek(&self) -> Option<(Instant, &Pending)> {
        let Reverse(Key { time, slot, .. }) = *self.heap.peek()?;
        Some((time, self.slots[slot].as_ref()?))
    }

    /// Takes out what comes next, unless it comes after `until`.
    pub(super) fn pop(&mut self, until: Instant) -> Option<(Instant, Pending)> {
        let Reverse(Key { time, slot, .. }) =
            *self.heap.peek().filter(|key| key.0.time <= until)?;
        self.heap.pop();
        self.free.push(slot);
        let pending = self.slots[slot].take().expect("a key has its slot to itself");
        Some((time, pending))
    }
}

#[cfg(test)]
mod tests {
    use super::{Agenda, Pending};
    use raft_core::{Instant, NodeId};

    #[test]
    fn time_then_rank_then_number() {
        let mut agenda = Agenda::default();
        let at = Instant::from_nanos;
        agenda.push(at(2), Pending::Fault(0));
        agenda.push(at(1), Pending::Turn { client: 1 });
        agenda.push(at(1), Pending::Fault(1));
        agenda.push(at(1), Pending::Fault(2));
        agenda.push(at(1), Pending::Start(NodeId(1)));
        let first = agenda.pop(at(1));
        assert_eq!(first, Some((at(1), Pending::Start(NodeId(1)))));
        agenda.push(at(1), Pending::Start(NodeId(2)));
        let rest: Vec<_> = std::iter::from_fn(|| agenda.pop(at(2))).map(|(_, what)| what).collect();
        let (one, two, turn) = (Pending::Fault(1), Pending::Fault(2), Pending::Turn { client: 1 });
        assert_eq!(rest, [Pending::Start(NodeId(2)), one, two, turn, Pending::Fault(0)]);
    }

    #[test]
    fn what_comes_later_stays() {
        let mut agenda = Agenda::default();
        agenda.push(Instant::from_nanos(5), Pending::Fault(0));
        assert_eq!(agenda.pop(Instant::from_nanos(4)), None);
        assert!(agenda.pop(Instant::from_nanos(5)).is_some());
        assert_eq!(agenda.pop(Instant::MAX), None);
    }
}
