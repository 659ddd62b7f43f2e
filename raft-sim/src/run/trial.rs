//! One run from its beginning to its verdict, whoever wants it: a sweep, a replay, a search.

use crate::plan::choice::{Choice, Choices};
use crate::plan::record::{Sink, Violation};
use crate::plan::setup::{Setup, SetupError};
use crate::run::panics::caught;
use crate::run::swarm;
use crate::scenario::model::Scenario;
use crate::world::{RunOutcome, World};
use raft_core::{Instant, Protection};

/// A run that has not begun.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What it is.
    pub setup: Setup,
    /// Who decides the rest.
    pub choices: Choices,
    /// Whether the cluster must have converged at its end, see [`World::converged`].
    pub converges: bool,
}

/// A run that is over.
#[derive(Clone, Debug)]
pub struct FinishedRun {
    /// Its outcome.
    pub outcome: RunOutcome,
    /// What was decided, if it was [recorded](Choices::recorded).
    pub tape: Vec<Choice>,
}

impl Trial {
    /// A run whose setup is drawn, too, see [`draw_setup`](crate::run::draw_setup).
    pub fn drawn(mut choices: Choices) -> Self {
        let setup = swarm::draw_setup(&mut choices);
        Self { setup, choices, converges: true }
    }

    /// Runs it. A panic is a violation like another: its checker is `panic`.
    ///
    /// # Errors
    ///
    /// What makes no sense in the setup.
    pub fn run(self, sink: &mut dyn Sink) -> Result<FinishedRun, SetupError> {
        self.run_with(sink, |_| {})
    }

    /// The same, and after each event `look` may look at the world.
    ///
    /// # Errors
    ///
    /// What makes no sense in the setup.
    pub fn run_with(
        self,
        sink: &mut dyn Sink,
        mut look: impl FnMut(&World),
    ) -> Result<FinishedRun, SetupError> {
        let mut world = World::new(&self.setup, self.choices)?;
        let end = Instant::ZERO.saturating_add(self.setup.duration);
        let verdict = caught(|| {
            while world.advance(end, sink)? {
                look(&world);
            }
            if self.converges {
                world.wait_to_converge(sink, &mut look)?;
            }
            world.conclude(self.converges)
        });
        let verdict = verdict.unwrap_or_else(|sentence| Err(world.violation("panic", sentence)));
        Ok(FinishedRun { outcome: world.outcome(verdict), tape: world.tape().to_vec() })
    }
}

impl Scenario {
    /// The run of this scenario in one protection level, before it begins.
    pub fn trial(&self, level: Protection, seed: u64) -> Trial {
        let converges = self.converges;
        Trial { setup: self.setup(level), choices: self.choices(seed), converges }
    }
}

/// Whether two violations are one and the same bug, as far as their words tell: the same checker,
/// for a panic the same place, and for liveness the same thing that has not converged.
pub fn same_failure(a: &Violation, b: &Violation) -> bool {
    let of = |violation: &Violation| match violation.checker {
        "panic" => violation.sentence.rsplit('(').next().map(str::to_owned),
        "liveness" => Some(without_values(&violation.sentence)),
        _ => None,
    };
    a.checker == b.checker && of(a) == of(b)
}

/// A sentence without its numbers and without what stands in braces.
fn without_values(sentence: &str) -> String {
    let mut depth = 0_u32;
    let mut words = String::new();
    for c in sentence.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 && !c.is_ascii_digit() => words.push(c),
            _ => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{Trial, same_failure};
    use crate::plan::choice::Choices;
    use crate::plan::record::{Nobody, Violation};
    use crate::plan::setup::Setup;
    use crate::run::swarm;
    use raft_core::Instant;

    #[test]
    fn a_trial_is_the_run_of_the_swarm() {
        for seed in 0..5 {
            let trial = Trial::drawn(Choices::seeded(seed).recorded());
            let mut events = 0;
            let finished = trial.run_with(&mut Nobody, |_| events += 1).expect("it makes sense");
            assert_eq!(finished.outcome, swarm::run_drawn(Choices::seeded(seed), &mut Nobody));
            assert_eq!(events, finished.outcome.events);
            let again = Trial::drawn(Choices::replayed(finished.tape)).run(&mut Nobody);
            assert_eq!(again.expect("the same setup").outcome, finished.outcome);
        }
    }

    #[test]
    fn a_panic_is_a_violation() {
        let setup = Setup::of_voters(1);
        let trial = Trial { setup, choices: Choices::seeded(1), converges: true };
        let mut events = 0;
        let finished = trial.run_with(&mut Nobody, |_| {
            events += 1;
            assert!(events < 3, "three is too many");
        });
        let violation = finished.expect("it makes sense").outcome.verdict.expect_err("it panics");
        assert_eq!((violation.checker, violation.event), ("panic", 3));
        assert!(violation.sentence.starts_with("three is too many ("));
        // From the root of the workspace, or of the package where it stands alone.
        assert!(violation.sentence.contains("src/run/trial.rs:"));
    }

    #[test]
    fn two_panics_are_one_bug_if_their_place_is_one() {
        let of = |checker, sentence: &str| Violation {
            checker,
            sentence: sentence.to_owned(),
            time: Instant::ZERO,
            event: 1,
            seq: None,
        };
        assert!(same_failure(&of("fate", "a (1)"), &of("fate", "b (2)")));
        assert!(!same_failure(&of("fate", "a"), &of("promise", "a")));
        assert!(same_failure(&of("panic", "a (x.rs:1)"), &of("panic", "b (x.rs:1)")));
        assert!(!same_failure(&of("panic", "a (x.rs:1)"), &of("panic", "a (x.rs:2)")));
        let waits = of("liveness", "client 1 still waits");
        assert!(same_failure(&waits, &of("liveness", "client 12 still waits")));
        assert!(!same_failure(&waits, &of("liveness", "there is no leader")));
        let [one, two] = ["S { a: B { c: 1 } } lags", "S { a: B { c: 7 }, d } lags"];
        assert!(same_failure(&of("liveness", one), &of("liveness", two)));
    }
}
