//! A disk as the contract of `Write` has it: writes in order, torn anywhere by a crash.

use raft_core::{Chunk, Entries, LogIndex, LogWrite, Recovered, Run, Runs, Source, Ticket, Write};

/// After how many entries of one chunk a crash is tried.
const FEW: u64 = 8;

/// What is durable, and what is on its way.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    durable: Recovered,
    in_flight: Vec<Write>,
}

impl Disk {
    pub(crate) const fn new(durable: Recovered) -> Self {
        Self { durable, in_flight: Vec::new() }
    }

    pub(crate) const fn durable(&self) -> &Recovered {
        &self.durable
    }

    pub(crate) fn in_flight(&self) -> &[Write] {
        &self.in_flight
    }

    pub(crate) fn take(&mut self, write: Write) {
        if let Some(newest) = self.in_flight.last() {
            assert!(newest.ticket < write.ticket, "tickets ascend");
        }
        self.in_flight.push(write);
    }

    /// The oldest `count` writes become durable. The last of their tickets.
    pub(crate) fn complete(&mut self, count: usize) -> Option<Ticket> {
        let done: Vec<_> = self.in_flight.drain(..count).collect();
        for write in &done {
            perform(&mut self.durable, write);
        }
        done.last().map(|write| write.ticket)
    }

    pub(crate) fn lose_in_flight(&mut self) {
        self.in_flight.clear();
    }

    /// Every state that a crash at this moment may leave: any prefix of the writes, the last one
    /// torn after its hard state, after its drop, and after each entry; and beside it the hard
    /// state of any later write.
    pub(crate) fn after_a_crash(&self) -> Vec<Recovered> {
        let (mut states, mut now) = (vec![self.durable.clone()], self.durable.clone());
        for write in &self.in_flight {
            for part in torn(write) {
                perform(&mut now, &part);
                states.push(now.clone());
            }
        }
        let later: Vec<_> = self.in_flight.iter().filter_map(|write| write.hard_state).collect();
        let mut with_later = states.clone();
        for hard_state in later {
            let newer = states.iter().filter(|s| {
                s.hard_state.current_term <= hard_state.current_term
                    && s.hard_state.promised <= hard_state.promised
            });
            with_later.extend(newer.map(|state| Recovered { hard_state, ..state.clone() }));
        }
        with_later
    }
}

/// A write as the steps in which a disk may carry it out.
fn torn(write: &Write) -> Vec<Write> {
    let mut parts = vec![Write { log: None, ..write.clone() }];
    if let Some(log) = &write.log {
        let mut so_far = log.clone();
        so_far.chunks = Runs::new();
        parts.push(Write { log: Some(so_far.clone()), ..write.clone() });
        for chunk in log.chunks.iter() {
            // Entry by entry; of a great many the first few and all.
            for count in (1..=chunk.count.min(FEW)).chain([chunk.count]) {
                let mut longer = so_far.clone();
                longer.chunks.push(Chunk { count, ..chunk.clone() });
                parts.push(Write { log: Some(longer), ..write.clone() });
            }
            so_far.chunks.push(chunk.clone());
        }
    }
    parts
}

fn perform(durable: &mut Recovered, write: &Write) {
    durable.hard_state = write.hard_state.unwrap_or(durable.hard_state);
    let Some(log) = &write.log else { return };
    if let Some(position) = log.restart_after {
        durable.prev = position;
        durable.entries = Entries::new();
    }
    let before = log.first.get() - 1;
    let end = durable.entries.last_position(durable.prev).index;
    assert!(before >= durable.prev.index.get(), "a write below the log");
    assert!(LogIndex(before) <= end, "a write beyond the end of the log");
    let kept = before - durable.prev.index.get();
    let (mut entries, _) = core::mem::take(&mut durable.entries).split_at(kept);
    push_chunks(&mut entries, log);
    durable.entries = entries;
}

fn push_chunks(entries: &mut Entries, log: &LogWrite) {
    for chunk in log.chunks.iter() {
        let term = chunk.term;
        entries.push(match &chunk.source {
            Source::Inputs { .. } => Run::Commands { term, count: chunk.count },
            Source::Membership(membership) => {
                Run::Membership { term, membership: membership.clone() }
            }
        });
    }
}
