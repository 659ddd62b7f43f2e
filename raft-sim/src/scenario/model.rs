//! A scenario.

use crate::plan::choice::{Answers, Choices};
use crate::plan::setup::Setup;
use crate::scenario::expect::Expectation;
use raft_core::{Instant, Protection};
use std::time::Duration;

/// One scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// Its name, which is that of its file.
    pub name: String,
    /// What names it on the command line: its name, or the path of its file.
    pub source: String,
    /// What it is about, as half a line.
    pub title: String,
    /// The rules of the notes that it shows, `N1` to `N16`.
    pub rules: Vec<String>,
    /// What the notes say or ask, if it is from them.
    pub notes: Option<String>,
    /// Why it matters, beyond the notes.
    pub why: Option<String>,
    /// What is done.
    pub story: String,
    /// The protection levels in which it is run, the weakest first.
    pub levels: Vec<Protection>,
    /// Whether the levels are to be shown side by side.
    pub compare: bool,
    /// Whether it asks for more than plain Raft can do: then it is shown as that.
    pub beyond: bool,
    /// The checker that must raise an alarm, where that is what is to be shown.
    pub alarm: Option<String>,
    /// From when on elections, terms and times are counted.
    pub observe_from: Instant,
    /// Until when a leader must have been found; `raft-sim measure` looks at the time before.
    pub settled_by: Option<Instant>,
    /// What is to be seen.
    pub expectations: Vec<Expectation>,
    /// Who decides, if that is a part of the scenario.
    pub script: Option<Script>,
    /// Whether the cluster must have converged at the end, see
    /// [`World::converged`](crate::world::World::converged).
    pub converges: bool,
    /// The checker that raised an alarm when this was found.
    pub broke: Option<String>,
    pub(super) setup: Setup,
    pub(super) voters: u64,
    pub(crate) text: String,
}

/// Who decides what a scenario leaves open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Script {
    /// This seed, whatever the command line says.
    Seed(u64),
    /// These answers; everything else is the default.
    Answers(Answers),
}

impl Scenario {
    /// The election timeout of a node that has none of its own.
    pub const fn election_timeout(&self) -> Duration {
        self.setup.election_timeout
    }

    /// How many rotations of which voter plays which part the main command plays: every order of up
    /// to four voters, and of more each order that is a shift of all.
    pub const fn rotations(&self) -> u64 {
        if self.voters <= 4 { self.orders() } else { self.voters }
    }

    /// How many orders there are of up to five voters; of more only the shifts count.
    pub const fn orders(&self) -> u64 {
        match self.voters {
            2 => 2,
            3 => 6,
            4 => 24,
            5 => 120,
            other => other,
        }
    }

    /// Who decides: the script, or the seed where there is none.
    pub fn choices(&self, seed: u64) -> Choices {
        match &self.script {
            None => Choices::seeded(seed),
            Some(Script::Seed(seed)) => Choices::seeded(*seed),
            Some(Script::Answers(answers)) => Choices::scripted(answers.clone()),
        }
    }

    /// The run of this scenario in one protection level.
    pub fn setup(&self, level: Protection) -> Setup {
        Setup { protection: level, ..self.setup.clone() }
    }
}
