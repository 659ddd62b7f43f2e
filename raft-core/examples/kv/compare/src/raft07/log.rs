//! What `RawNode` reads: the newest entries from memory, older ones from the log on the disk.

use bytes::Bytes;
use kv::command::Record;
use kv::storage::LogReader;
use kv::storage::redb_log::RedbReader;
use protobuf::Message;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use raft_core::driver::{Entry as Bound, Settings};
use raft_core::payload::Content;
use raft_core::{LogIndex, LogPosition, NodeId, Recovered, Term};
use std::collections::VecDeque;

/// The log as `RawNode` sees it: it has an entry before that is durable.
#[derive(Debug)]
pub(super) struct LogView {
    disk: RedbReader,
    state: RaftState,
    /// Where each term begins; the first element is the position before the log.
    terms: Vec<LogPosition>,
    last: u64,
    cache: VecDeque<Entry>,
    cached: u64,
    limit: u64,
    durable: u64,
}

impl LogView {
    /// What was found on the disk.
    pub(super) fn new(recovered: Recovered, disk: RedbReader) -> Self {
        let Recovered { hard_state, snapshot, prev, entries, applied } = recovered;
        let voters = snapshot.membership.voters().iter().copied().map(NodeId::get);
        let conf_state = ConfState { voters: voters.collect(), ..ConfState::default() };
        let hard_state = HardState {
            term: hard_state.current_term.get(),
            vote: hard_state.voted_for.map_or(0, NodeId::get),
            // The disk does not say. What was applied was committed.
            commit: applied.get(),
            ..HardState::default()
        };
        let (mut terms, mut last) = (vec![prev], prev.index.get());
        for run in entries.runs() {
            if terms.last().is_none_or(|begun| begun.term != run.term()) {
                terms.push(LogPosition::new(run.term(), LogIndex(last + 1)));
            }
            last += run.count();
        }
        let limit = Settings::default().cached_bytes;
        let state = RaftState { hard_state, conf_state };
        Self { disk, state, terms, last, cache: VecDeque::new(), cached: 0, limit, durable: last }
    }

    /// The entries that follow `first` are these now.
    pub(super) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first().map(|entry| entry.index) else { return };
        while self.cache.back().is_some_and(|entry| entry.index >= first) {
            let dropped = self.cache.pop_back();
            self.cached -= dropped.map_or(0, |entry| weight(&entry));
        }
        self.terms.retain(|begun| begun.index.get() < first);
        self.durable = self.durable.min(first - 1);
        for entry in entries {
            if self.terms.last().is_none_or(|begun| begun.term.get() != entry.term) {
                self.terms.push(LogPosition::new(Term(entry.term), LogIndex(entry.index)));
            }
            (self.last, self.cached) = (entry.index, self.cached + weight(entry));
            self.cache.push_back(entry.clone());
        }
        self.trim();
    }

    /// Everything up to here is durable, if `term` stands there.
    pub(super) fn is_durable(&mut self, index: u64, term: u64) {
        if self.term_of(index) == Some(term) {
            self.durable = self.durable.max(index);
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.cached > self.limit
            && let Some(old) = self.cache.pop_front_if(|entry| entry.index <= self.durable)
        {
            self.cached -= weight(&old);
        }
    }

    fn term_of(&self, index: u64) -> Option<u64> {
        let later = self.terms.partition_point(|begun| begun.index.get() <= index);
        (index <= self.last && later > 0).then(|| self.terms[later - 1].term.get())
    }

    fn read(&self, index: u64) -> raft::Result<Entry> {
        let first = self.cache.front().map_or(u64::MAX, |entry| entry.index);
        if let Some(at) = index.checked_sub(first) {
            let entry = usize::try_from(at).ok().and_then(|at| self.cache.get(at));
            return entry.cloned().ok_or(StorageError::Unavailable.into());
        }
        let term = self.term_of(index).ok_or(StorageError::Unavailable)?;
        let position = LogPosition::new(Term(term), LogIndex(index));
        let read = self.disk.read(position);
        match read.unwrap_or_else(|error| kv::fatal("the log cannot be read", &error)) {
            Some(Content::Command(record)) => {
                Ok(Entry { term, index, data: Bytes::from_owner(record), ..Entry::default() })
            }
            _ => Err(StorageError::Unavailable.into()),
        }
    }
}

/// An entry as the disk and the state machine of the server take it. This copies its bytes.
pub(super) fn bound(entry: &Entry) -> Bound<Record> {
    let position = LogPosition::new(Term(entry.term), LogIndex(entry.index));
    Bound { position, content: Content::Command(entry.data[..].into()) }
}

fn weight(entry: &Entry) -> u64 {
    entry.data.len() as u64 + 64
}

impl Storage for LogView {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.state.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let (max_size, mut size, mut entries) = (max_size.into(), 0, Vec::new());
        for index in low..high {
            let entry = self.read(index)?;
            size += u64::from(entry.compute_size());
            if !entries.is_empty() && max_size.is_some_and(|max| size > max) {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        self.term_of(index).ok_or(StorageError::Unavailable.into())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.terms[0].index.get() + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last)
    }

    fn snapshot(&self, _: u64, _: u64) -> raft::Result<Snapshot> {
        Err(StorageError::SnapshotTemporarilyUnavailable.into())
    }
}
