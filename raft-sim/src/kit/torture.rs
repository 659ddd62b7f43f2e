//! Drives a log through a crash at every write of the medium under it, and compares with a model.

use crate::kit::draw::{Operation, operations};
use crate::kit::medium::{Dice, Fate, Medium};
use crate::kit::model::{Model, State, told};
use crate::kit::storage::{Log, RecoveredLog};
use raft_core::driver::{BoundLog, BoundWrite, Entry};
use raft_core::payload::Content;
use raft_core::{HardState, LogPosition, Term, Ticket};
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use thiserror::Error;

/// How a log is driven.
///
/// Each seed draws a sequence of writes (with entries that are dropped, memberships and hard
/// states), releases, restarts and syncs. It is run without a crash; with a crash before each
/// boundary of the medium; with each sync failing; and with damage on the platter after its end.
/// After each crash the log is opened, compared with what a crash may leave, and must go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Torture {
    /// The seeds.
    pub seeds: Range<u64>,
    /// How much is asked of the log in a sequence; at least 1.
    pub operations: usize,
    /// How many fates each crash has, see [`Fate::several`].
    pub fates: u64,
    /// How many bits are changed, one at a time, after the end of a sequence.
    pub damages: u64,
    /// Whether damage may pass for a write that was torn, and take the end of the log with it:
    /// whatever was made durable by the last `n` syncs. 0 where a log tells one from the other.
    pub damage_may_take: usize,
}

impl Default for Torture {
    fn default() -> Self {
        Self { seeds: 0..8, operations: 30, fates: 6, damages: 200, damage_may_take: 0 }
    }
}

/// What was done.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Report {
    /// Boundaries at which it crashed, of all sequences.
    pub boundaries: u64,
    /// Crashes: each boundary with each fate, and crashes during recovery.
    pub crashes: u64,
    /// Crashes after which something was found that was never synced.
    pub torn: u64,
    /// Syncs that failed.
    pub failed_syncs: u64,
    /// Bits that were changed.
    pub damages: u64,
    /// Those that the log said it had found. The others were in nothing that it needs.
    pub noticed: u64,
}

/// Which duty a log did not do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Duty {
    /// It fails, and there is no reason to.
    #[error("the log fails although the medium does not")]
    Works,
    /// Something is found that a crash cannot leave: what was synced is missing or changed, or what
    /// was asked for after that is found in another order.
    #[error("what is found is no beginning of what was asked for that holds all that was synced")]
    Prefix,
    /// A log that was closed and opened again is another one.
    #[error("without a crash something else is found than was synced")]
    Reopens,
    /// A crash makes a log that cannot be opened.
    #[error("after a crash the log cannot be recovered")]
    Recovers,
    /// A read gives something else than what was written there.
    #[error("a read gives something else than what stands at the position")]
    Reads,
    /// A log that was recovered does not keep what it is asked next.
    #[error("after a crash and a recovery the log does not keep what it is given")]
    GoesOn,
    /// A sync that failed was taken for one that did not.
    #[error("a sync of the medium failed, and the log says that all is durable")]
    SaysFailure,
    /// What was synced was changed by the disk, and something else is taken for it.
    #[error("damage to what was synced passes unnoticed")]
    NoticesDamage,
}

/// A duty that was not done, and how it was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which.
    pub duty: Duty,
    /// The seed of the sequence: `Torture { seeds: seed..seed + 1, .. }` shows it again.
    pub seed: u64,
    /// What was done to the medium.
    pub fault: String,
    /// What was asked of the log, up to where this was seen.
    pub asked: Vec<String>,
    /// What was found.
    pub found: String,
    /// What was durable for certain.
    pub durable: String,
    /// What all that was asked for leads to: whatever lies between is allowed after a crash.
    pub newest: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.duty)?;
        writeln!(f, "  seed     {}", self.seed)?;
        writeln!(f, "  fault    {}", self.fault)?;
        let skipped = self.asked.len().saturating_sub(8);
        for (nth, asked) in self.asked.iter().enumerate().skip(skipped) {
            writeln!(f, "  asked    {:>3}. {asked}", nth + 1)?;
        }
        writeln!(f, "  found    {}", self.found)?;
        writeln!(f, "  durable  {}", self.durable)?;
        write!(f, "  newest   {}", self.newest)
    }
}

impl std::error::Error for Failure {}

impl Torture {
    /// Drives the log that `open` makes on an empty medium, and finds on one that was used.
    ///
    /// # Errors
    ///
    /// The first duty that the log did not do.
    pub fn run<P, L, O>(&self, open: O) -> Result<Report, Box<Failure>>
    where
        P: Clone + PartialEq + fmt::Debug + From<Vec<u8>>,
        L: Log<P>,
        O: Fn(&Medium) -> Result<L, L::Error>,
    {
        let mut report = Report::default();
        for seed in self.seeds.clone() {
            let operations = operations::<P>(seed, self.operations.max(1));
            let mut sequence = Sequence { seed, operations, open: &open, report: &mut report };
            sequence.without_a_fault(self)?;
            sequence.with_failed_syncs(self.fates)?;
            sequence.with_crashes(self.fates)?;
        }
        Ok(report)
    }
}

struct Sequence<'a, P, O> {
    seed: u64,
    operations: Vec<Operation<P>>,
    open: &'a O,
    report: &'a mut Report,
}

/// How far a life came.
struct Life<P> {
    model: Model<P>,
    /// How much was asked for.
    asked: usize,
    /// Whether the log was ever open.
    was_open: bool,
    error: Option<String>,
}

type Judged<T = ()> = Result<T, Box<Failure>>;

impl<P, L, O> Sequence<'_, P, O>
where
    P: Clone + PartialEq + fmt::Debug + From<Vec<u8>>,
    L: Log<P>,
    O: Fn(&Medium) -> Result<L, L::Error>,
{
    /// Runs until the end, or until the log fails. `each` is called after each operation.
    fn live(
        &self,
        medium: &Medium,
        mut each: impl FnMut(&mut L, &Life<P>) -> Judged,
    ) -> Judged<Life<P>> {
        let model = Model::of(State::default());
        let mut life = Life { model, asked: 0, was_open: false, error: None };
        let mut log = match (self.open)(medium) {
            Ok(log) => log,
            Err(error) => return Ok(Life { error: Some(error.to_string()), ..life }),
        };
        if let Err(error) = log.recover() {
            return Ok(Life { error: Some(error.to_string()), ..life });
        }
        life.was_open = true;
        for operation in &self.operations {
            life.asked += 1;
            let done = match operation {
                Operation::Write(write) => log.write(write),
                Operation::Release(through) => log.release(*through),
                Operation::Restart(after) => log.restart(*after),
                Operation::Sync => log.sync(),
            };
            if !matches!(operation, Operation::Sync) || done.is_ok() {
                operation.on_model(&mut life.model);
            }
            if let Err(error) = done {
                life.error = Some(error.to_string());
                return Ok(life);
            }
            each(&mut log, &life)?;
        }
        Ok(life)
    }

    fn fails(
        &self,
        duty: Duty,
        fault: &str,
        life: &Life<P>,
        found: impl Into<String>,
    ) -> Box<Failure> {
        let asked = self.operations[..life.asked].iter().map(ToString::to_string).collect();
        Box::new(Failure {
            duty,
            seed: self.seed,
            fault: fault.to_owned(),
            asked,
            found: found.into(),
            durable: told(&life.model.durable().found()),
            newest: told(&life.model.asked().found()),
        })
    }

    /// The sequence as it should be: reads between, a new start, and damage at the end.
    fn without_a_fault(&mut self, torture: &Torture) -> Judged {
        let medium = Medium::default();
        let mut synced = Vec::new();
        let life = self.live(&medium, |log, life| {
            if matches!(self.operations[life.asked - 1], Operation::Sync) {
                synced.push(life.model.durable().clone());
                self.reads(log, life.model.durable(), "none", life)?;
            }
            Ok(())
        })?;
        if let Some(error) = &life.error {
            return Err(self.fails(Duty::Works, "none", &life, error));
        }
        let closed = medium.after_crash(Fate::All);
        match self.found(&closed, &life, "closed and opened again") {
            Ok((found, _)) if life.model.is_whole(&found) => {}
            Ok((found, _)) => return Err(self.fails(Duty::Reopens, "none", &life, told(&found))),
            Err(error) => return Err(self.fails(Duty::Reopens, "none", &life, error.to_string())),
        }
        let kept = synced.len().saturating_sub(torture.damage_may_take + 1);
        self.with_damage(torture.damages, &closed, &life, &synced[kept..])
    }

    /// What a log finds that is opened here, and each entry of it read.
    fn found(
        &self,
        medium: &Medium,
        life: &Life<P>,
        fault: &str,
    ) -> Result<(RecoveredLog, L), Found> {
        let mut log = (self.open)(medium).map_err(|error| Found::Error(error.to_string()))?;
        let found = log.recover().map_err(|error| Found::Error(error.to_string()))?;
        if let Some(state) = life.model.after_crash(&found) {
            self.reads(&mut log, &state, fault, life).map_err(Found::Wrong)?;
        }
        Ok((found, log))
    }

    /// Every entry is read as it was written, and nothing where another one stands.
    fn reads(&self, log: &mut L, state: &State<P>, fault: &str, life: &Life<P>) -> Judged {
        let wrong = |found: String| Err(self.fails(Duty::Reads, fault, life, found));
        let mut read = |at: LogPosition| log.read(at).map_err(|error| error.to_string());
        for entry in state.after(state.start().index) {
            let at = entry.position;
            match read(at) {
                Ok(Some(content)) if content == entry.content => {}
                Ok(Some(other)) => {
                    return wrong(format!(
                        "at {at} {}, not {}",
                        size(&other),
                        size(&entry.content)
                    ));
                }
                Ok(None) => return wrong(format!("nothing at {at}")),
                Err(error) => return wrong(format!("at {at}: {error}")),
            }
            let other = LogPosition::new(Term(at.term.get() + 1), at.index);
            if let Ok(Some(found)) = read(other) {
                return wrong(format!("at {other} {}, but {at} stands there", size(&found)));
            }
        }
        let last = state.last();
        let behind = LogPosition::new(Term(last.term.get().max(1)), state.next());
        match read(behind) {
            Ok(Some(found)) => wrong(format!("at {behind} {}, behind the end", size(&found))),
            _ => Ok(()),
        }
    }

    fn with_crashes(&mut self, fates: u64) -> Judged {
        for boundary in 0.. {
            let medium = Medium::default();
            medium.crash_at(boundary);
            let life = self.live(&medium, |_, _| Ok(()))?;
            let Some(call) = medium.crashed_before() else { return Ok(()) };
            self.report.boundaries += 1;
            for fate in Fate::several(fates) {
                let fate = fate.moved(boundary);
                let fault = format!("crash at boundary {boundary}, before: {call}; {fate:?}");
                self.judge(&medium, fate, &life, &fault)?;
                self.with_a_crash_in_recovery(&medium, fate, &life, &fault)?;
            }
        }
        Ok(())
    }

    /// After a crash: what is found may be, and the log goes on.
    fn judge(&mut self, medium: &Medium, fate: Fate, life: &Life<P>, fault: &str) -> Judged {
        self.report.crashes += 1;
        let after = medium.after_crash(fate);
        let (found, log) = match self.found(&after, life, fault) {
            Ok(found) => found,
            // It was being made, and nothing was ever promised.
            Err(_) if !life.was_open => return Ok(()),
            Err(Found::Wrong(failure)) => return Err(failure),
            Err(error) => {
                return Err(self.fails(Duty::Recovers, fault, life, error.to_string()));
            }
        };
        let Some(state) = life.model.after_crash(&found) else {
            return Err(self.fails(Duty::Prefix, fault, life, told(&found)));
        };
        self.report.torn += u64::from(found != life.model.durable().found());
        self.goes_on(log, &after, state, life, fault)
    }

    /// One more write and a sync are found again, on what the crash has left.
    fn goes_on(
        &self,
        mut log: L,
        on: &Medium,
        state: State<P>,
        life: &Life<P>,
        fault: &str,
    ) -> Judged {
        let fails = |found: String| Err(self.fails(Duty::GoesOn, fault, life, found));
        let term = Term(state.hard_state.current_term.get() + 1);
        let hard_state = HardState { current_term: term, ..HardState::default() };
        let position = LogPosition::new(term, state.next());
        let content = Content::Command(P::from(b"it goes on".to_vec()));
        let entries = vec![Entry { position, content }];
        let log_write = BoundLog { restart_after: None, first: position.index, entries };
        let (ticket, log_write) = (Ticket(1), Some(log_write));
        let write = BoundWrite { ticket, hard_state: Some(hard_state), log: log_write };
        let mut model = Model::of(state);
        model.write(&write);
        if let Err(error) = log.write(&write).and_then(|()| log.sync()) {
            return fails(error.to_string());
        }
        model.sync();
        drop(log);
        let life = Life { model, asked: life.asked, was_open: true, error: None };
        match self.found(&on.after_crash(Fate::Nothing), &life, fault) {
            Ok((found, _)) if life.model.is_whole(&found) => Ok(()),
            Ok((found, _)) => fails(format!("{}, without {position}", told(&found))),
            Err(error) => fails(error.to_string()),
        }
    }

    /// Recovery writes too: what it leaves when it crashes is found like anything else.
    fn with_a_crash_in_recovery(
        &mut self,
        medium: &Medium,
        fate: Fate,
        life: &Life<P>,
        fault: &str,
    ) -> Judged {
        let whole = medium.after_crash(fate);
        drop(self.found(&whole, life, fault));
        let Ok(boundaries @ 1..) = usize::try_from(whole.boundaries()) else { return Ok(()) };
        let nth = Dice::new(medium.boundaries()).below(boundaries);
        let again = medium.after_crash(fate);
        again.crash_at(nth as u64);
        drop(self.found(&again, life, fault));
        let fault = format!("{fault}; and then a crash at boundary {nth} of the recovery");
        self.judge(&again, Fate::Sectors(medium.boundaries()), life, &fault)
    }

    fn with_failed_syncs(&mut self, fates: u64) -> Judged {
        let is_sync = |operation: &Operation<P>| matches!(operation, Operation::Sync);
        let syncs = (1..self.operations.len()).filter(|nth| is_sync(&self.operations[*nth]));
        for failing in syncs.collect::<Vec<_>>() {
            let medium = Medium::default();
            let life = self.live(&medium, |_, life| {
                let is_over = life.asked == failing + 1;
                if is_over && medium.failing_syncs() == 0 {
                    let fault = format!("the sync of operation {} fails", failing + 1);
                    return Err(self.fails(Duty::SaysFailure, &fault, life, "no error"));
                }
                medium.fail_syncs(u32::from(life.asked == failing));
                Ok(())
            })?;
            if life.error.is_none() {
                continue;
            }
            self.report.failed_syncs += 1;
            for fate in Fate::several(fates) {
                let fault = format!("the sync of operation {} fails; {fate:?}", failing + 1);
                self.judge(&medium, fate, &life, &fault)?;
            }
        }
        Ok(())
    }

    /// One bit is changed. Either somebody says so, or what is found is what was synced.
    fn with_damage(
        &mut self,
        count: u64,
        closed: &Medium,
        life: &Life<P>,
        may_be: &[State<P>],
    ) -> Judged {
        let files =
            closed.names().into_iter().filter(|name| closed.len(name).is_ok_and(|len| len > 0));
        let files: Vec<_> = files.collect();
        let mut dice = Dice::new(self.seed ^ 0xda);
        for _ in 0..if files.is_empty() { 0 } else { count } {
            let name = &files[dice.below(files.len())];
            let length = usize::try_from(closed.len(name).expect("there")).expect("in memory");
            let (offset, bit) = (dice.below(length), u8::try_from(dice.below(8)).expect("small"));
            let damaged = closed.with_damage(name, offset, bit).expect("there");
            let fault = format!("bit {bit} of byte {offset} of {name} is changed");
            self.report.damages += 1;
            let seen = catch_unwind(AssertUnwindSafe(|| -> Judged<bool> {
                let Ok(mut log) = (self.open)(&damaged) else { return Ok(true) };
                let Ok(found) = log.recover() else { return Ok(true) };
                let is = may_be.iter().find_map(|state| {
                    let model = Model::of(state.clone());
                    model.is_whole(&found).then_some(()).and_then(|()| model.after_crash(&found))
                });
                let Some(state) = is else {
                    return Err(self.fails(Duty::NoticesDamage, &fault, life, told(&found)));
                };
                for entry in state.after(state.start().index) {
                    match log.read(entry.position) {
                        Err(_) => return Ok(true),
                        Ok(Some(content)) if content == entry.content => {}
                        Ok(other) => {
                            let other = other.map_or("nothing".to_owned(), |found| size(&found));
                            let found = format!("at {} {other}", entry.position);
                            return Err(self.fails(Duty::NoticesDamage, &fault, life, found));
                        }
                    }
                }
                Ok(false)
            }));
            // A panic is loud, too.
            self.report.noticed += u64::from(seen.unwrap_or(Ok(true))?);
        }
        Ok(())
    }
}

/// Why nothing was found.
enum Found {
    Error(String),
    Wrong(Box<Failure>),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => f.write_str(error),
            Self::Wrong(failure) => f.write_str(&failure.found),
        }
    }
}

fn size<P: fmt::Debug>(content: &Content<P>) -> String {
    let mut text = format!("{content:?}");
    if text.len() > 60 {
        let end = (0..=60).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text += "…";
    }
    text
}
