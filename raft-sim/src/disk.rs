//! A disk that completes writes later, in the order of their tickets, and loses in a crash what was
//! not complete: some of it, as chance has it.

use crate::choice::{Choices, Question};
use crate::log::{Entry, Log};
use crate::machine::Image;
use crate::record::Lost;
use crate::setup::DiskProfile;
use raft_core::{HardState, Instant, LogIndex, LogPosition, Outcome, Ticket};
use std::collections::VecDeque;

/// What is on a disk.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Stored {
    /// The hard state.
    pub hard_state: HardState,
    /// The newest snapshot, if there is one.
    pub snapshot: Option<Image>,
    /// The log: it begins at or before the end of the snapshot, and may be older.
    pub log: Log,
}

impl Stored {
    /// Whether this position is durable here, in the log or under a snapshot.
    pub fn covers(&self, position: LogPosition) -> bool {
        let image = self.snapshot.as_ref().map_or(LogPosition::ZERO, |i| i.snapshot.position);
        position.index < image.index || position == image || self.log.covers(position)
    }

    fn keep(&mut self, image: &Image) {
        let position = |image: &Image| image.snapshot.position.index;
        if self.snapshot.as_ref().is_none_or(|held| position(held) < position(image)) {
            self.snapshot = Some(image.clone());
        }
    }
}

/// What a disk is given to do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Job {
    /// A write of the core.
    Write(DiskWrite),
    /// A snapshot of this host's own state machine, to be kept.
    Keep(Image),
    /// Another's snapshot: it replaces the log, or everything stays as it was.
    Install(Image, Outcome),
}

/// What a disk reports.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Report {
    /// Each write up to this ticket is durable.
    Written(Ticket),
    /// The snapshot is.
    Kept(LogPosition),
    /// The snapshot has replaced the log, or has not.
    Installed(Image, Outcome),
}

impl Job {
    fn steps(&self) -> usize {
        match self {
            Self::Write(write) => write.steps(),
            Self::Keep(_) | Self::Install(..) => 1,
        }
    }

    fn carry_out(&self, stored: &mut Stored, steps: usize) {
        match self {
            Self::Write(write) => write.carry_out(stored, steps),
            Self::Keep(image) if steps > 0 => stored.keep(image),
            Self::Install(image, Outcome::Done) if steps > 0 => {
                stored.keep(image);
                stored.log = Log::starting(image.snapshot.position);
            }
            Self::Keep(_) | Self::Install(..) => {}
        }
    }

    const fn as_write(&self) -> Option<&DiskWrite> {
        match self {
            Self::Write(write) => Some(write),
            Self::Keep(_) | Self::Install(..) => None,
        }
    }
}

/// A write with its bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DiskWrite {
    /// Its ticket.
    pub ticket: Ticket,
    /// The new hard state, if it has changed.
    pub hard_state: Option<HardState>,
    /// Where the log starts anew, if it is dropped whole before the rest.
    pub restart_after: Option<LogPosition>,
    /// From where on the log is dropped, and what is appended then.
    pub log: Option<(LogIndex, Vec<Entry>)>,
}

impl DiskWrite {
    /// In how many steps this reaches the disk: the hard state, the drop, entry by entry.
    fn steps(&self) -> usize {
        usize::from(self.hard_state.is_some())
            + self.log.as_ref().map_or(0, |(_, entries)| 1 + entries.len())
    }

    /// Carries out the first `steps` steps.
    fn carry_out(&self, stored: &mut Stored, mut steps: usize) {
        if let Some(hard_state) = self.hard_state
            && steps > 0
        {
            stored.hard_state = hard_state;
            steps -= 1;
        }
        if let Some((first, entries)) = &self.log
            && steps > 0
        {
            if let Some(start) = self.restart_after {
                stored.log = Log::starting(start);
            }
            stored.log.write(*first, &entries[..entries.len().min(steps - 1)]);
        }
    }
}

/// The disk of one host.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Disk {
    profile: DiskProfile,
    stored: Stored,
    in_flight: VecDeque<(Instant, Job)>,
    hung: bool,
}

impl Disk {
    /// A disk that holds something already.
    pub const fn new(profile: DiskProfile, stored: Stored) -> Self {
        Self { profile, stored, in_flight: VecDeque::new(), hung: false }
    }

    /// What is durable.
    pub const fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Whether it completes nothing.
    pub const fn is_hung(&self) -> bool {
        self.hung
    }

    /// Takes a write; returns when it will be complete. No write overtakes another.
    pub fn submit(&mut self, job: Job, now: Instant, choices: &mut Choices) -> Instant {
        let DiskProfile { min_latency, max_latency } = self.profile;
        let latency = choices.duration(Question::DiskLatency, min_latency, max_latency);
        let earliest = self.in_flight.back().map_or(now, |(due, _)| *due);
        let due = now.saturating_add(latency).max(earliest);
        self.in_flight.push_back((due, job));
        due
    }

    /// Completes what is due; returns what the disk reports. A ticket stands for those
    /// before it too, so some are left out.
    pub fn complete(&mut self, now: Instant, choices: &mut Choices) -> Vec<Report> {
        let mut reported = Vec::new();
        let due = self.in_flight.iter().take_while(|(due, _)| *due <= now).count();
        for _ in 0..if self.hung { 0 } else { due } {
            let (_, job) = self.in_flight.pop_front().expect("it was counted");
            job.carry_out(&mut self.stored, job.steps());
            match job {
                Job::Write(write) => {
                    let more = self.in_flight.iter().any(|(_, job)| job.as_write().is_some());
                    if !(more && choices.below(Question::JoinSync, 2) == 1) {
                        reported.push(Report::Written(write.ticket));
                    }
                }
                Job::Keep(image) => reported.push(Report::Kept(image.snapshot.position)),
                Job::Install(image, outcome) => reported.push(Report::Installed(image, outcome)),
            }
        }
        reported
    }

    /// Completes nothing until [`release`](Self::release).
    pub const fn hang(&mut self) {
        self.hung = true;
    }

    /// Goes on; [`complete`](Self::complete) is to be called at once.
    pub const fn release(&mut self) {
        self.hung = false;
    }

    /// Forgets the log up to what a snapshot on it covers.
    pub fn compact(&mut self, position: LogPosition) {
        self.stored.log.compact(position);
    }

    /// Forgets everything.
    pub fn wipe(&mut self) {
        self.stored = Stored::default();
    }

    /// Loses what is in flight: any number of writes from the first on survive whole, the next one
    /// in part, and the hard state of a later one may.
    pub fn crash(&mut self, choices: &mut Choices) -> Lost {
        let writes: Vec<Job> = self.in_flight.drain(..).map(|(_, job)| job).collect();
        let survived = at_most(choices, Question::WritesSurvive, writes.len());
        for write in &writes[..survived] {
            write.carry_out(&mut self.stored, write.steps());
        }
        let mut torn = false;
        if let Some(write) = writes.get(survived) {
            let steps = at_most(choices, Question::TornWrite, write.steps().saturating_sub(1));
            write.carry_out(&mut self.stored, steps);
            torn = steps > 0;
        }
        let later = writes[survived..].iter().filter_map(|job| job.as_write()?.hard_state);
        let later: Vec<HardState> = later.collect();
        if let Some(nth) = at_most(choices, Question::LaterHardState, later.len()).checked_sub(1) {
            self.stored.hard_state = later[nth];
            torn = true;
        }
        Lost { in_flight: writes.len(), survived, torn, actions: 0 }
    }
}

fn at_most(choices: &mut Choices, question: Question, limit: usize) -> usize {
    let limit = u64::try_from(limit).expect("a few writes");
    usize::try_from(choices.within(question, 0..=limit)).expect("at most `limit`")
}

#[cfg(test)]
mod tests {
    use super::{Disk, DiskWrite, Job, Report, Stored};
    use crate::choice::Choices;
    use crate::log::{Command, Entry, Log};
    use crate::setup::DiskProfile;
    use raft_core::payload::Content;
    use raft_core::{Entries, HardState, Instant, LogIndex, LogPosition, Run, Term, Ticket};
    use std::collections::BTreeSet;

    fn entry(term: u64, index: u64) -> Entry {
        let position = LogPosition::new(Term(term), LogIndex(index));
        Entry { term: Term(term), content: Content::Command(Command::invented(position)) }
    }

    fn hard_state(term: u64) -> HardState {
        HardState { current_term: Term(term), ..HardState::default() }
    }

    /// Two entries of term 1 are durable; three writes are on their way.
    fn busy(choices: &mut Choices) -> (Disk, Vec<Instant>) {
        let entries: Entries = [Run::Commands { term: Term(1), count: 2 }].into_iter().collect();
        let stored =
            Stored { hard_state: hard_state(1), snapshot: None, log: Log::invented(&entries) };
        let mut disk = Disk::new(DiskProfile::default(), stored);
        let writes = [
            DiskWrite {
                ticket: Ticket(7),
                hard_state: Some(hard_state(2)),
                restart_after: None,
                log: None,
            },
            DiskWrite {
                ticket: Ticket(8),
                hard_state: None,
                restart_after: None,
                log: Some((LogIndex(2), vec![entry(2, 2), entry(2, 3)])),
            },
            DiskWrite {
                ticket: Ticket(9),
                hard_state: Some(hard_state(3)),
                restart_after: None,
                log: None,
            },
        ];
        let due = writes.map(|write| disk.submit(Job::Write(write), Instant::ZERO, choices));
        (disk, due.to_vec())
    }

    #[test]
    fn writes_complete_in_order_and_not_before_their_time() {
        for seed in 0..50 {
            let mut choices = Choices::seeded(seed);
            let (mut disk, due) = busy(&mut choices);
            assert!(due.is_sorted());
            assert!(disk.complete(Instant::ZERO, &mut choices).is_empty());
            assert_eq!(disk.stored().hard_state, hard_state(1));
            disk.hang();
            assert!(disk.complete(Instant::MAX, &mut choices).is_empty());
            disk.release();
            let reported = disk.complete(due[2], &mut choices);
            assert_eq!(
                reported.last(),
                Some(&Report::Written(Ticket(9))),
                "the last one is never left out"
            );
            assert_eq!(disk.stored().hard_state, hard_state(3));
            assert_eq!(disk.stored().log.last(), LogPosition::new(Term(2), LogIndex(3)));
        }
    }

    #[test]
    fn a_crash_leaves_every_prefix_and_nothing_else() {
        let mut seen = BTreeSet::new();
        for seed in 0..2_000 {
            let mut choices = Choices::seeded(seed);
            let (mut disk, _) = busy(&mut choices);
            disk.crash(&mut choices);
            let Stored { hard_state, log, .. } = disk.stored();
            seen.insert((hard_state.current_term.get(), log.last()));
            assert!(disk.complete(Instant::MAX, &mut choices).is_empty(), "nothing comes later");
        }
        let old = LogPosition::new(Term(1), LogIndex(2));
        let cut = LogPosition::new(Term(1), LogIndex(1));
        let torn = LogPosition::new(Term(2), LogIndex(2));
        let whole = LogPosition::new(Term(2), LogIndex(3));
        let before = [(1, old), (2, old), (3, old), (2, cut), (3, cut)];
        let after = [(2, torn), (3, torn), (2, whole), (3, whole)];
        assert_eq!(seen, before.into_iter().chain(after).collect());
    }
}
