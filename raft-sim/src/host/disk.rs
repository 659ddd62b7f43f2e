//! A disk that completes writes later, in the order of their tickets, and loses in a crash what was
//! not complete: some of it, as chance has it.

use crate::host::log::{Command, Entry, Log};
use crate::host::machine::Image;
use crate::host::records::Records;
use crate::host::stored::Stored;
use crate::plan::choice::{Choices, Question};
use crate::plan::damage::{Damage, DamageTarget};
use crate::plan::profile::DiskProfile;
use crate::plan::record::Lost;
use raft_core::driver::{self, BoundWrite};
use raft_core::{HardState, Instant, LogIndex, LogPosition, Outcome, Ticket};
use std::collections::VecDeque;
use std::time::Duration;

/// What a disk is given to do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Job {
    /// A write of the core.
    Write(DiskWrite),
    /// A snapshot of this host's own state machine, to be kept.
    Keep(Box<Image>),
    /// Another's snapshot: it replaces the log, or everything stays as it was.
    Install(Box<Image>, Outcome),
}

/// What a disk reports.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Completion {
    /// Each write up to this ticket is durable.
    Written(Ticket),
    /// The snapshot is.
    Kept(Box<Image>),
    /// The snapshot has replaced the log, or has not.
    Installed(Box<Image>, Outcome),
    /// There was no room for a snapshot of this host's own.
    NotKept,
}

impl Job {
    fn steps(&self) -> usize {
        match self {
            Self::Write(write) => write.steps(),
            Self::Install(_, Outcome::Failed) => 0,
            Self::Keep(_) => 1,
            // The snapshot, and the log that starts after it.
            Self::Install(_, Outcome::Done) => 2,
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

impl From<BoundWrite<Command>> for DiskWrite {
    fn from(BoundWrite { ticket, hard_state, log }: BoundWrite<Command>) -> Self {
        let restart_after = log.as_ref().and_then(|log| log.restart_after);
        let entry = |entry: driver::Entry<Command>| Entry {
            term: entry.position.term,
            content: entry.content,
        };
        let log = log.map(|log| (log.first, log.entries.into_iter().map(entry).collect()));
        Self { ticket, hard_state, restart_after, log }
    }
}

impl DiskWrite {
    /// In how many steps this reaches the disk: the hard state, the drop, entry by entry.
    fn steps(&self) -> usize {
        usize::from(self.hard_state.is_some())
            + self.log.as_ref().map_or(0, |(_, entries)| 1 + entries.len())
    }

    /// Whether the step after so many is an entry.
    fn is_entry(&self, steps: usize) -> bool {
        self.log.is_some()
            && (usize::from(self.hard_state.is_some()) + 1..self.steps()).contains(&steps)
    }
}

/// The disk of one host.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Disk {
    profile: DiskProfile,
    stored: Stored,
    records: Records,
    in_flight: VecDeque<(Instant, Job)>,
    hung: bool,
    /// Since when a write waits and none was reported; `None` while none waits.
    silent_since: Option<Instant>,
    /// For how many records there is room; `None` for enough.
    room: Option<u64>,
}

impl Disk {
    /// A disk that holds something already.
    pub fn new(profile: DiskProfile, stored: Stored) -> Self {
        let records = Records::of(&stored);
        Self {
            profile,
            stored,
            records,
            in_flight: VecDeque::new(),
            hung: false,
            silent_since: None,
            room: None,
        }
    }

    /// What is durable.
    pub const fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Whether it completes nothing.
    pub const fn is_hung(&self) -> bool {
        self.hung
    }

    /// How many jobs are on their way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// How long it takes.
    pub const fn profile(&self) -> DiskProfile {
        self.profile
    }

    /// Whether it has room, and neither takes longer for a write than a share of `limit` that
    /// leaves room for every clock, nor has been silent for so long: it leaves a completion to the
    /// next one as often as it likes. Its host may report with so much `lag`.
    pub fn works_within(&self, limit: Duration, lag: Duration, now: Instant) -> bool {
        let most = (limit * 4 / 5).saturating_sub(lag);
        let silent = self.silent_since.map_or(Duration::ZERO, |since| now.saturating_since(since));
        !self.hung && self.room.is_none() && self.profile.max_latency <= most && silent <= most
    }

    /// Takes a write; returns when it will be complete. No write overtakes another.
    pub fn submit(&mut self, job: Job, now: Instant, choices: &mut Choices) -> Instant {
        let DiskProfile { min_latency, max_latency } = self.profile;
        let latency = choices.duration(Question::DiskLatency, min_latency, max_latency);
        let earliest = self.in_flight.back().map_or(now, |(due, _)| *due);
        let due = now.saturating_add(latency).max(earliest);
        if job.as_write().is_some() {
            self.silent_since.get_or_insert(now);
        }
        self.in_flight.push_back((due, job));
        due
    }

    /// Completes what is due; returns what the disk reports, and whether a write of the core has
    /// failed, for want of room. A ticket stands for those before it too, so some are left out.
    pub fn complete(&mut self, now: Instant, choices: &mut Choices) -> (Vec<Completion>, bool) {
        let mut reported = Vec::new();
        let due = self.in_flight.iter().take_while(|(due, _)| *due <= now).count();
        for _ in 0..if self.hung { 0 } else { due } {
            let (due, job) = self.in_flight.pop_front().expect("it was counted");
            let steps = job.steps();
            if !self.has_room_for(steps) {
                match job {
                    Job::Write(_) => {
                        // What follows cannot be written either, and the crash decides what is
                        // left.
                        self.in_flight.push_front((due, job));
                        return (reported, true);
                    }
                    Job::Keep(_) => reported.push(Completion::NotKept),
                    Job::Install(image, _) => {
                        reported.push(Completion::Installed(image, Outcome::Failed));
                    }
                }
                continue;
            }
            self.carry_out(&job, steps);
            match job {
                Job::Write(write) => {
                    let more = self.in_flight.iter().any(|(_, job)| job.as_write().is_some());
                    if !(more && choices.below(Question::JoinSync, 2) == 1) {
                        self.silent_since = more.then_some(now);
                        reported.push(Completion::Written(write.ticket));
                    }
                }
                Job::Keep(image) => reported.push(Completion::Kept(image)),
                Job::Install(image, outcome) => {
                    reported.push(Completion::Installed(image, outcome));
                }
            }
        }
        (reported, false)
    }

    fn has_room_for(&self, steps: usize) -> bool {
        self.room.is_none_or(|room| u64::try_from(steps).is_ok_and(|steps| steps <= room))
    }

    /// Carries out the first `steps` steps of a job, for which there is room.
    fn carry_out(&mut self, job: &Job, steps: usize) {
        if steps == 0 {
            return;
        }
        let used = u64::try_from(steps).expect("a few steps");
        self.room = self.room.map(|room| room.saturating_sub(used));
        match job {
            Job::Write(write) => self.write(write, steps),
            Job::Keep(image) => {
                self.stored.keep(image);
                self.records.write_snapshot(&self.stored);
            }
            Job::Install(image, _) => {
                self.stored.keep(image);
                self.records.write_snapshot(&self.stored);
                if steps == 1 {
                    // The old log is of no use any more; whoever starts from it, drops it.
                    return;
                }
                self.stored.log = Log::starting(image.snapshot.position);
                let first = LogIndex(image.snapshot.position.index.get() + 1);
                self.records.write_log(&self.stored.log, first);
            }
        }
    }

    fn write(&mut self, write: &DiskWrite, mut steps: usize) {
        if let Some(hard_state) = write.hard_state {
            self.stored.hard_state = hard_state;
            self.records.write_hard_state(&self.stored);
            steps -= 1;
        }
        if let Some((first, entries)) = &write.log
            && steps > 0
        {
            if let Some(start) = write.restart_after {
                self.stored.log = Log::starting(start);
            }
            self.stored.log.write(*first, &entries[..entries.len().min(steps - 1)]);
            self.records.write_log(&self.stored.log, *first);
        }
    }

    /// From now on a job takes so long.
    pub const fn set_profile(&mut self, profile: DiskProfile) {
        self.profile = profile;
    }

    /// There is room for so many more records, or for as many as there may be.
    pub const fn set_room(&mut self, room: Option<u64>) {
        self.room = room;
    }

    /// Damages a record. Says whether there was one to damage.
    pub fn damage(&mut self, part: DamageTarget, choices: &mut Choices) -> bool {
        self.records.damage(part, &self.stored, choices)
    }

    /// Everything is gone, for ever.
    pub fn destroy(&mut self) {
        self.records.destroy();
    }

    /// What of what was durable it has lost, so that its node can never start again.
    pub fn found(&self) -> Option<Damage> {
        self.records.read(&self.stored).err()
    }

    /// Reads every record, as a host does when it starts, and cuts off one that a crash has torn.
    /// Says whether there was one.
    ///
    /// # Errors
    ///
    /// What is damaged: then the node must not start.
    pub fn recover(&mut self) -> Result<bool, Damage> {
        self.records.recover(&self.stored)
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
        self.records.compacted(&self.stored.log);
    }

    /// Forgets everything.
    pub fn wipe(&mut self) {
        self.stored = Stored::default();
        self.records = Records::of(&self.stored);
    }

    /// Loses what is in flight: any number of writes from the first on survive whole, as far as
    /// there is room, the next one in part, and the hard state of a later one may.
    pub fn crash(&mut self, choices: &mut Choices) -> Lost {
        self.silent_since = None;
        let jobs: Vec<Job> = self.in_flight.drain(..).map(|(_, job)| job).collect();
        let fitting = self.fitting(&jobs);
        let survived = at_most(choices, Question::WritesSurvive, fitting);
        for job in &jobs[..survived] {
            self.carry_out(job, job.steps());
        }
        let mut torn = false;
        if let Some(job) = jobs.get(survived) {
            let room =
                self.room.map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX));
            let most = job.steps().saturating_sub(1).min(room);
            let steps = at_most(choices, Question::TornWrite, most);
            self.carry_out(job, steps);
            torn = steps > 0;
            let next_is_entry = job.as_write().is_some_and(|write| write.is_entry(steps));
            if next_is_entry && choices.below(Question::TornWrite, 2) == 1 {
                self.records.tear();
            }
        }
        let later = jobs[survived..].iter().filter_map(|job| job.as_write()?.hard_state);
        let later: Vec<HardState> = if self.room == Some(0) { Vec::new() } else { later.collect() };
        if let Some(nth) = at_most(choices, Question::LaterHardState, later.len()).checked_sub(1) {
            self.stored.hard_state = later[nth];
            self.records.replace_hard_state(&self.stored);
            torn = true;
        }
        Lost { in_flight: jobs.len(), survived, torn, actions: 0 }
    }

    /// How many jobs from the first on there is room for.
    fn fitting(&self, jobs: &[Job]) -> usize {
        let Some(mut room) = self.room else { return jobs.len() };
        let fits = |job: &&Job| {
            let steps = u64::try_from(job.steps()).expect("a few steps");
            let left = room.checked_sub(steps);
            room = left.unwrap_or(0);
            left.is_some()
        };
        jobs.iter().take_while(fits).count()
    }
}

fn at_most(choices: &mut Choices, question: Question, limit: usize) -> usize {
    let limit = u64::try_from(limit).expect("a few writes");
    usize::try_from(choices.within(question, 0..=limit)).expect("at most `limit`")
}

#[cfg(test)]
mod tests {
    use super::{Completion, Disk, DiskWrite, Job};
    use crate::host::log::{Command, Entry, Log};
    use crate::host::machine::{Image, Machine};
    use crate::host::stored::Stored;
    use crate::plan::choice::Choices;
    use crate::plan::damage::{Damage, DamageTarget};
    use crate::plan::profile::DiskProfile;
    use raft_core::payload::Content;
    use raft_core::{
        Entries, HardState, Instant, LogIndex, LogPosition, Membership, NodeId, Outcome, Run,
        Snapshot, Term, Ticket,
    };
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
            assert!(disk.complete(Instant::ZERO, &mut choices).0.is_empty());
            assert_eq!(disk.stored().hard_state, hard_state(1));
            disk.hang();
            assert!(disk.complete(Instant::MAX, &mut choices).0.is_empty());
            disk.release();
            let (reported, failed) = disk.complete(due[2], &mut choices);
            assert!(!failed);
            assert_eq!(
                reported.last(),
                Some(&Completion::Written(Ticket(9))),
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
            assert!(disk.complete(Instant::MAX, &mut choices).0.is_empty(), "nothing comes later");
        }
        let old = LogPosition::new(Term(1), LogIndex(2));
        let cut = LogPosition::new(Term(1), LogIndex(1));
        let torn = LogPosition::new(Term(2), LogIndex(2));
        let whole = LogPosition::new(Term(2), LogIndex(3));
        let before = [(1, old), (2, old), (3, old), (2, cut), (3, cut)];
        let after = [(2, torn), (3, torn), (2, whole), (3, whole)];
        assert_eq!(seen, before.into_iter().chain(after).collect());
    }

    #[test]
    fn a_crash_may_leave_a_snapshot_beside_the_log_that_it_was_to_replace() {
        let mut seen = BTreeSet::new();
        for seed in 0..100 {
            let mut choices = Choices::seeded(seed);
            let (mut disk, due) = busy(&mut choices);
            disk.complete(due[2], &mut choices);
            let position = LogPosition::new(Term(2), LogIndex(9));
            let membership = Membership::of_voters([NodeId(1)]).expect("a voter");
            let snapshot = Snapshot { position, membership };
            let image = Box::new(Image { snapshot, machine: Machine::default() });
            disk.submit(Job::Install(image, Outcome::Done), due[2], &mut choices);
            disk.crash(&mut choices);
            assert_eq!(disk.recover(), Ok(false), "it damages nothing");
            let Stored { snapshot, log, .. } = disk.stored();
            seen.insert((snapshot.is_some(), log.last()));
        }
        let (old, new) =
            (LogPosition::new(Term(2), LogIndex(3)), LogPosition::new(Term(2), LogIndex(9)));
        assert_eq!(seen, [(false, old), (true, old), (true, new)].into());
    }

    #[test]
    fn a_full_disk_takes_a_part_and_the_write_has_failed() {
        let mut seen = BTreeSet::new();
        for seed in 0..500 {
            let mut choices = Choices::seeded(seed);
            let (mut disk, due) = busy(&mut choices);
            disk.set_room(Some(3));
            // The first write is one record; the second is the cut and two entries.
            let (reported, failed) = disk.complete(due[2], &mut choices);
            assert!(failed);
            assert!(reported.iter().all(|report| *report == Completion::Written(Ticket(7))));
            disk.crash(&mut choices);
            disk.recover().expect("a failed write damages nothing");
            seen.insert((disk.stored().hard_state.current_term.get(), disk.stored().log.last()));
        }
        let position = |term, index| LogPosition::new(Term(term), LogIndex(index));
        let left = [(2, position(1, 1)), (2, position(1, 2)), (2, position(2, 2))];
        // Where there is room left, the last write's hard state may have got it.
        let later = [(3, position(1, 1)), (3, position(1, 2))];
        assert_eq!(seen, left.into_iter().chain(later).collect());
    }

    #[test]
    fn what_a_crash_has_torn_is_cut_off_and_what_was_reported_never() {
        let mut torn = 0;
        for seed in 0..500 {
            let mut choices = Choices::seeded(seed);
            let (mut disk, _) = busy(&mut choices);
            disk.crash(&mut choices);
            torn += u64::from(disk.recover().expect("a crash damages nothing"));
            assert_eq!(disk.recover(), Ok(false), "once");
        }
        assert!((20..400).contains(&torn), "{torn}");
    }

    #[test]
    fn damage_is_found_unless_it_is_written_over() {
        for part in [DamageTarget::HardState, DamageTarget::Entry, DamageTarget::Everything] {
            let mut choices = Choices::seeded(1);
            let (mut disk, due) = busy(&mut choices);
            assert!(disk.damage(part, &mut choices));
            let damage = disk.recover().expect_err("it is found");
            let expected = match part {
                DamageTarget::HardState => Damage::HardState,
                DamageTarget::Entry => Damage::Entry { at: LogIndex(1) },
                _ => Damage::Gone,
            };
            assert_eq!(damage, expected, "the last record is not sealed, so it is the first");
            disk.complete(due[2], &mut choices);
            let over = (part == DamageTarget::HardState).then_some(false).ok_or(expected);
            assert_eq!(disk.recover(), over);
        }
        let mut choices = Choices::seeded(1);
        let (mut disk, _) = busy(&mut choices);
        assert!(!disk.damage(DamageTarget::Snapshot, &mut choices), "there is none");
    }

    #[test]
    fn what_was_cut_leaves_the_record_before_it_sealed() {
        let mut choices = Choices::seeded(1);
        let (mut disk, due) = busy(&mut choices);
        disk.complete(due[2], &mut choices);
        // A hard state stands behind both entries now; the cut behind a third drops it again.
        let log = Some((LogIndex(3), Vec::new()));
        let cut = DiskWrite { ticket: Ticket(10), hard_state: None, restart_after: None, log };
        let due = disk.submit(Job::Write(cut), due[2], &mut choices);
        disk.complete(due, &mut choices);
        let mut found = BTreeSet::new();
        for seed in 0..20 {
            let mut disk = disk.clone();
            disk.damage(DamageTarget::Entry, &mut Choices::seeded(seed));
            found.insert(disk.recover().expect_err("both are sealed"));
        }
        assert_eq!(found, [1, 2].map(|at| Damage::Entry { at: LogIndex(at) }).into());
    }
}
