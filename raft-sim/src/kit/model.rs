//! What a log must hold: the simplest thing that does what is asked, and what a crash may leave.

use crate::kit::storage::RecoveredLog;
use raft_core::driver::{BoundWrite, Entry};
use raft_core::payload::Content;
use raft_core::{Entries, HardState, LogIndex, LogPosition, Run};

/// A log at one moment.
#[expect(clippy::struct_field_names, reason = "a hard state is what the core calls so")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct State<P> {
    pub(super) hard_state: HardState,
    /// Before the first entry that may be found: what was released may be found again.
    base: LogPosition,
    /// Before the first entry that must be found.
    start: LogPosition,
    /// All after `base`.
    entries: Vec<Entry<P>>,
}

impl<P> Default for State<P> {
    fn default() -> Self {
        let (base, start) = (LogPosition::ZERO, LogPosition::ZERO);
        Self { hard_state: HardState::default(), base, start, entries: Vec::new() }
    }
}

impl State<()> {
    /// A log of which only positions and memberships are known.
    pub(super) fn recovered(log: &RecoveredLog) -> Self {
        let (mut entries, mut index) = (Vec::new(), log.prev.index);
        for run in log.entries.runs() {
            for _ in 0..run.count() {
                index = LogIndex(index.get() + 1);
                let position = LogPosition::new(run.term(), index);
                let content = match run {
                    Run::Commands { .. } => Content::Command(()),
                    Run::Membership { membership, .. } => Content::Membership(membership.clone()),
                };
                entries.push(Entry { position, content });
            }
        }
        Self { hard_state: log.hard_state, base: log.prev, start: log.prev, entries }
    }
}

impl<P: Clone + PartialEq> State<P> {
    pub(super) fn last(&self) -> LogPosition {
        self.entries.last().map_or(self.base, |entry| entry.position)
    }

    pub(super) const fn start(&self) -> LogPosition {
        self.start
    }

    /// The index behind the end.
    pub(super) fn next(&self) -> LogIndex {
        LogIndex(self.last().index.get() + 1)
    }

    /// Which position stands at an index.
    pub(super) fn position(&self, index: LogIndex) -> Option<LogPosition> {
        if index == self.base.index {
            return Some(self.base);
        }
        self.entry(index).map(|entry| entry.position)
    }

    fn entry(&self, index: LogIndex) -> Option<&Entry<P>> {
        let nth = index.get().checked_sub(self.base.index.get() + 1)?;
        self.entries.get(usize::try_from(nth).ok()?)
    }

    /// The entries after an index.
    pub(super) fn after(&self, index: LogIndex) -> impl Iterator<Item = &Entry<P>> {
        self.entries.iter().filter(move |entry| entry.position.index > index)
    }

    pub(super) fn released(&mut self, through: LogPosition) {
        self.start = through;
    }

    pub(super) fn restarted(&mut self, after: LogPosition) {
        (self.base, self.start, self.entries) = (after, after, Vec::new());
    }

    fn drop_from(&mut self, first: LogIndex) {
        self.entries.retain(|entry| entry.position.index < first);
    }

    /// Whether the log part of what was found is this, started at most at `latest`.
    fn is_found(&self, found: &RecoveredLog, latest: LogIndex) -> bool {
        let prev = found.prev;
        prev.index >= self.base.index
            && prev.index <= latest
            && self.position(prev.index) == Some(prev)
            && found.entries == self.runs_after(prev.index)
    }

    fn runs_after(&self, index: LogIndex) -> Entries {
        let mut runs = Entries::new();
        for entry in self.after(index) {
            let term = entry.position.term;
            runs.push(match &entry.content {
                Content::Command(_) => Run::Commands { term, count: 1 },
                Content::Membership(membership) => {
                    Run::Membership { term, membership: membership.clone() }
                }
            });
        }
        runs
    }

    /// What recovery finds of it, if nothing that was released is left.
    pub(super) fn found(&self) -> RecoveredLog {
        let entries = self.runs_after(self.start.index);
        RecoveredLog { hard_state: self.hard_state, prev: self.start, entries }
    }
}

/// A log, and what a crash may leave of it.
#[derive(Clone, Debug)]
pub(super) struct Model<P> {
    /// What is durable; and then the log after each part of what was asked for since.
    steps: Vec<State<P>>,
    /// How many steps came before.
    before: u64,
}

impl<P: Clone + PartialEq> Model<P> {
    pub(super) fn of(durable: State<P>) -> Self {
        Self { steps: vec![durable], before: 0 }
    }

    /// What is durable for certain.
    pub(super) fn durable(&self) -> &State<P> {
        &self.steps[0]
    }

    /// What everything that was asked for leads to.
    pub(super) fn asked(&self) -> &State<P> {
        self.steps.last().expect("the durable one at least")
    }

    fn step(&mut self, change: impl FnOnce(&mut State<P>)) {
        let mut next = self.asked().clone();
        change(&mut next);
        self.steps.push(next);
    }

    pub(super) fn write(&mut self, write: &BoundWrite<P>) {
        if let Some(hard_state) = write.hard_state {
            self.step(|state| state.hard_state = hard_state);
        }
        let Some(log) = &write.log else { return };
        if let Some(after) = log.restart_after {
            self.restart(after);
        }
        self.step(|state| state.drop_from(log.first));
        for entry in &log.entries {
            self.step(|state| state.entries.push(entry.clone()));
        }
    }

    pub(super) fn release(&mut self, through: LogPosition) {
        self.step(|state| state.released(through));
    }

    pub(super) fn restart(&mut self, after: LogPosition) {
        self.step(|state| state.restarted(after));
    }

    /// Everything is durable.
    pub(super) fn sync(&mut self) {
        self.sync_to(self.mark());
    }

    /// The place of what was asked for last.
    pub(super) fn mark(&self) -> u64 {
        self.before + self.steps.len() as u64 - 1
    }

    /// Everything up to there is durable.
    pub(super) fn sync_to(&mut self, mark: u64) {
        let done = mark.saturating_sub(self.before);
        self.steps.drain(..usize::try_from(done).expect("they are in memory"));
        self.before += done;
    }

    /// The same after a restart that came before everything that is not durable.
    pub(super) fn restarted(&self, after: LogPosition) -> Self {
        let mut model = self.clone();
        model.steps.iter_mut().for_each(|state| state.restarted(after));
        model
    }

    /// What the log is, if a crash may leave what was found.
    pub(super) fn after_crash(&self, found: &RecoveredLog) -> Option<State<P>> {
        for (nth, state) in self.steps.iter().enumerate() {
            let later = &self.steps[nth..];
            let starts = later.iter().map(|state| state.start);
            let released = starts.filter(|start| state.position(start.index) == Some(*start));
            let latest = released.map(|start| start.index).max().unwrap_or(state.start.index);
            let hard_state = later.iter().any(|state| state.hard_state == found.hard_state);
            if hard_state && state.is_found(found, latest) {
                let mut is = state.clone();
                is.hard_state = found.hard_state;
                is.entries.retain(|entry| entry.position.index > found.prev.index);
                (is.base, is.start) = (found.prev, found.prev);
                return Some(is);
            }
        }
        None
    }

    /// Whether it is what was asked for, all of it.
    pub(super) fn is_whole(&self, found: &RecoveredLog) -> bool {
        let asked = self.asked();
        found.hard_state == asked.hard_state && asked.is_found(found, asked.start.index)
    }
}

/// A log in one line, for people.
pub(super) fn told(log: &RecoveredLog) -> String {
    let HardState { current_term, voted_for, promised } = log.hard_state;
    let vote = voted_for.map_or("nobody".to_owned(), |id| id.to_string());
    let mut parts = vec![format!("term {current_term}, vote {vote}, promise {promised:?}")];
    parts.push(format!("starts after {}", log.prev));
    let mut next = log.prev.index.get() + 1;
    for run in log.entries.runs() {
        let (term, last) = (run.term(), next + run.count() - 1);
        parts.push(match run {
            Run::Commands { .. } if next == last => format!("{term}/{next}"),
            Run::Commands { .. } => format!("{term}/{next}..={last}"),
            Run::Membership { membership, .. } => {
                format!("{term}/{next} membership {:?}", membership.voters())
            }
        });
        next = last + 1;
    }
    parts.join("; ")
}
