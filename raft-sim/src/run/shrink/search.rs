//! The search for a smaller run.

use crate::plan::choice::{Answers, Choices};
use crate::plan::record::{Nobody, Violation};
use crate::plan::setup::Setup;
use crate::run::shrink::case::{Case, ShrinkError, Shrunk, Size};
use crate::run::shrink::{script, simplify};
use crate::run::trial::{Trial, same_failure};
use crate::world::RunOutcome;
use raft_core::Instant;
use std::ops::Range;
use std::time::Duration;

/// How many times decisions are drawn anew for an attempt of the first round.
const FRESH: u64 = 4;

/// How many times decisions are drawn anew when nothing else is left to try, and how many of the
/// runs that fail then are made small.
const REDRAWS: u64 = 30;
const REDRAWN: u64 = 3;

/// Shrinks a run with a budget of so many runs. `tell` hears how many it took so far, and how big
/// the smallest one is.
///
/// The result depends on nothing but the run and the budget.
///
/// # Errors
///
/// A run that breaks nothing.
pub fn shrink(
    trial: Trial,
    budget: u64,
    tell: &mut dyn FnMut(u64, &Size),
) -> Result<Shrunk, ShrinkError> {
    let (setup, converges) = (trial.setup.clone(), trial.converges);
    let drawn = trial.choices.tape().len();
    let trial = Trial { choices: kept(trial.choices), ..trial };
    let finished = trial.run(&mut Nobody)?;
    let Err(violation) = finished.outcome.verdict else { return Err(ShrinkError::Clean) };
    let decisions = finished.tape.len() - drawn;
    let case = Case { setup, answers: Answers::of_tape(&finished.tape[drawn..]), converges };
    let before = Size { decisions, ..case.size(finished.outcome.events) };
    // A liveness contract is judged at the end of a run, so the end stays.
    let converges = converges && violation.checker == "liveness";
    let case = Case { converges, ..case };
    let found = Found { case, violation, events: finished.outcome.events, minimal: false };
    let mut search = Search { found, runs: 1, budget, fresh: FRESH, tell };
    search.cut();
    search.run();
    let Search { found, runs, .. } = search;
    let after = found.case.size(found.events);
    let Found { case, violation, minimal, .. } = found;
    Ok(Shrunk { case, violation, before, after, runs, minimal })
}

/// Choices that are recorded, whether or not they were.
fn kept(choices: Choices) -> Choices {
    if choices.is_recorded() { choices } else { choices.recorded() }
}

/// The same with hosts that do everything at once, with links, or links and disks, that always take
/// as long, and nothing decided.
fn steady(case: &Case) -> Vec<Case> {
    let Case { setup, answers, converges } = case;
    let at_once = Setup { gathering: Duration::ZERO, build_delay: Duration::ZERO, ..setup.clone() };
    let mut setups = Vec::new();
    for steady in simplify::steady_links(&at_once, answers) {
        setups.extend(simplify::steady_disks(&steady, answers));
        setups.push(steady);
    }
    if at_once != *setup {
        setups.push(at_once);
    }
    let case = |setup| Case { setup, answers: Answers::default(), converges: *converges };
    setups.into_iter().map(case).collect()
}

struct Search<'a> {
    found: Found,
    runs: u64,
    budget: u64,
    /// How many times decisions are drawn anew for an attempt.
    fresh: u64,
    tell: &'a mut dyn FnMut(u64, &Size),
}

/// The smallest run so far.
#[derive(Clone)]
struct Found {
    case: Case,
    violation: Violation,
    events: u64,
    /// See [`Shrunk::minimal`].
    minimal: bool,
}

impl Found {
    /// What is smaller is better: its parts first, then what there is to read.
    fn measure(&self) -> (usize, usize) {
        let Size { nodes, clients, faults, .. } = self.case.size(self.events);
        (nodes + clients + faults, self.length())
    }

    /// How much there is to read, in characters: the script, its decisions, and what happens.
    fn length(&self) -> usize {
        const DECISION: usize = 50;
        let events = usize::try_from(self.events).unwrap_or(usize::MAX / 2);
        let setup = script::length(&self.case.setup, self.case.converges);
        setup + DECISION * self.case.decisions() + events / 2
    }
}

impl Search<'_> {
    /// Finds a run from which nothing can go; then, while the budget lasts, a smaller one of
    /// another shape, by drawing decisions anew.
    fn run(&mut self) {
        self.parts(true);
        self.steady();
        self.settle(true);
        while !self.is_over() && self.redraw() {}
    }

    /// Round after round until one has found nothing.
    fn settle(&mut self, mut whole: bool) {
        loop {
            let before = self.found.case.clone();
            self.parts(whole);
            self.fresh = 0;
            self.default_decisions(whole);
            self.found.minimal = !self.is_over() && self.found.case == before;
            if self.is_over() || self.found.minimal {
                return;
            }
            whole = false;
        }
    }

    /// Everything but the decisions.
    fn parts(&mut self, whole: bool) {
        self.leave_out(whole, Case::faults, Case::without_faults);
        self.leave_out(whole, Case::clients, Case::without_clients);
        self.leave_out(false, Case::nodes, Case::without_nodes);
        self.simplify();
    }

    /// Has less decided, before it is tried to leave decisions out, which is long where they are
    /// many.
    fn steady(&mut self) {
        let cases = steady(&self.found.case);
        let mut seeds = cases.iter().flat_map(|case| (0..2 * FRESH).map(move |seed| (case, seed)));
        seeds.any(|(case, seed)| self.attempt_with(&case.longer(), Choices::seeded(seed)));
    }

    /// Draws the decisions anew, first for worlds in which less is to be decided. Stops at a run
    /// that is smaller, once nothing can go from it, and says whether there was one.
    fn redraw(&mut self) -> bool {
        let best = self.found.clone();
        let mut cases = steady(&best.case);
        cases.push(Case { answers: Answers::default(), ..best.case.clone() });
        for case in cases {
            let mut failures = 0;
            for seed in 0..REDRAWS {
                if failures < REDRAWN && self.attempt_with(&case.longer(), Choices::seeded(seed)) {
                    failures += 1;
                    self.default_decisions(true);
                    self.settle(false);
                    if self.found.minimal && self.found.measure() < best.measure() {
                        return true;
                    }
                    self.found = best.clone();
                }
            }
        }
        false
    }

    const fn is_over(&self) -> bool {
        self.runs >= self.budget
    }

    /// Leaves out parts of a list: halves, quarters and so on if `whole`, and each alone, from the
    /// end to the start, until nothing can go any more.
    fn leave_out(
        &mut self,
        whole: bool,
        count: fn(&Case) -> usize,
        without: fn(&Case, Range<usize>) -> Option<Case>,
    ) {
        let mut part = if whole { count(&self.found.case).div_ceil(2).max(1) } else { 1 };
        loop {
            let mut changed = false;
            let mut end = count(&self.found.case);
            while end > 0 && !self.is_over() {
                // An attempt that counts may have cut more than the part.
                end = end.min(count(&self.found.case));
                let start = end.saturating_sub(part);
                let smaller = without(&self.found.case, start..end);
                changed |= smaller.is_some_and(|case| self.attempt(case));
                end = start;
            }
            match (part, changed) {
                _ if self.is_over() => return,
                (1, false) => return,
                (1, true) => {}
                (_, _) => part /= 2,
            }
        }
    }

    /// Sets whatever is left to something plainer.
    fn simplify(&mut self) {
        for edit in simplify::edits(&self.found.case.setup, self.found.case.converges) {
            if self.is_over() {
                return;
            }
            let mut setup = self.found.case.setup.clone();
            edit(&mut setup);
            self.attempt_setup(setup);
        }
        for nth in self.found.case.removable().into_iter().rev() {
            self.first_of(|case| simplify::fault(&case.setup, nth));
        }
        for nth in 0..self.found.case.setup.clients.len() {
            let Case { setup, converges, .. } = &self.found.case;
            for setup in simplify::client(setup, nth, *converges) {
                self.attempt_setup(setup);
            }
            self.first_of(|case| simplify::thinking(&case.setup, nth, &case.answers));
        }
        self.first_of(|case| simplify::steady_links(&case.setup, &case.answers));
        self.first_of(|case| simplify::steady_disks(&case.setup, &case.answers));
    }

    /// Takes the first of some setups that still fails.
    fn first_of(&mut self, setups: impl FnOnce(&Case) -> Vec<Setup>) {
        for setup in setups(&self.found.case) {
            if self.is_over() || self.attempt_setup(setup) {
                return;
            }
        }
    }

    /// Makes decisions the default ones, and what is left of them round.
    fn default_decisions(&mut self, whole: bool) {
        if !self.found.case.answers.is_empty() {
            let default = Case { answers: Answers::default(), ..self.found.case.clone() };
            self.attempt_exactly(&default);
        }
        self.leave_out(whole, Case::decisions, Case::without_decisions);
        for (nth, answer) in self.found.case.answers.clone().iter() {
            for rounder in simplify::answers(nth.0, answer) {
                let mut case = self.found.case.clone();
                case.answers.set(nth, rounder);
                if self.is_over() || self.attempt_exactly(&case) {
                    break;
                }
            }
        }
    }

    /// A setup that is plainer, which is one whose script is shorter; or whose run is smaller, once
    /// its decisions are as few as can be. So no two edits undo one another.
    fn attempt_setup(&mut self, setup: Setup) -> bool {
        let (length, before) = (script::length(&setup, self.found.case.converges), &self.found);
        if setup == before.case.setup || length >= before.length() {
            return false;
        }
        let case = Case { setup, ..before.case.clone() };
        if self.fresh > 0 {
            return length < script::length(&before.case.setup, before.case.converges)
                && self.attempt(case);
        }
        let before = before.clone();
        let counts = self.attempt(case) && self.found.measure() < before.measure();
        if !counts {
            self.found = before;
        }
        counts
    }

    /// Whether a smaller run breaks the same property, with these decisions or with others.
    fn attempt(&mut self, case: Case) -> bool {
        if self.attempt_exactly(&case) {
            return true;
        }
        if case.answers.is_empty() {
            return false;
        }
        let default = Case { answers: Answers::default(), ..case };
        if self.attempt_exactly(&default) {
            return true;
        }
        (0..self.fresh).any(|seed| self.attempt_with(&default.longer(), Choices::seeded(seed)))
    }

    fn attempt_exactly(&mut self, case: &Case) -> bool {
        self.attempt_with(case, Choices::scripted(case.answers.clone()))
    }

    fn attempt_with(&mut self, case: &Case, choices: Choices) -> bool {
        if self.is_over() {
            return false;
        }
        self.runs += 1;
        let setup = case.setup.clone();
        let trial = Trial { setup, choices: choices.recorded(), converges: case.converges };
        let Ok(finished) = trial.run(&mut Nobody) else { return false };
        let RunOutcome { verdict, events, .. } = finished.outcome;
        let Err(violation) = verdict else { return false };
        if !same_failure(&violation, &self.found.violation) {
            return false;
        }
        let answers = Answers::of_tape(&finished.tape);
        let case = Case { answers, ..case.clone() };
        self.found = Found { case, violation, events, minimal: false };
        self.cut();
        (self.tell)(self.runs, &self.found.case.size(events));
        true
    }

    /// What comes after the violation can go without an attempt: it has not happened yet.
    fn cut(&mut self) {
        if self.found.case.converges {
            return;
        }
        let end = self.found.violation.time;
        let setup = &mut self.found.case.setup;
        setup.timeline.retain(|(at, _)| *at <= end);
        // To the next whole millisecond: less to read.
        let millis = end.saturating_since(Instant::ZERO).as_nanos().div_ceil(1_000_000);
        let millis = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX).max(1));
        setup.duration = setup.duration.min(millis);
    }
}

#[cfg(test)]
mod tests {
    use super::{shrink, steady};
    use crate::plan::act::{Act, ClockAct, LinkAct, ProcessAct, RequestAct};
    use crate::plan::choice::{Answers, Choices, Question};
    use crate::plan::profile::ClientSetup;
    use crate::plan::record::Nobody;
    use crate::plan::setup::Setup;
    use crate::run::shrink::case::{Case, ShrinkError, Shrunk, Size};
    use crate::run::shrink::script;
    use crate::run::trial::Trial;
    use crate::scenario::model::Scenario;
    use raft_core::{Instant, NodeId};
    use std::time::Duration;

    /// A run in which clocks run apart beyond the bound, so that a lease read is stale: what the
    /// core cannot help. Of a few seeds the first with such a read.
    fn stale_read() -> Trial {
        let mut trials = (0..20).map(|seed| clocks_apart(Choices::seeded(seed)));
        let is_broken = |trial: &Trial| {
            let finished = trial.clone().run(&mut Nobody).expect("it makes sense");
            finished.outcome.verdict.is_err()
        };
        trials.find(is_broken).expect("one of them is broken")
    }

    fn clocks_apart(choices: Choices) -> Trial {
        let mut setup = Setup::of_voters(4);
        setup.election_timeout = Duration::from_millis(100);
        setup.heartbeat_interval = Duration::from_millis(10);
        setup.duration = Duration::from_secs(1);
        let [a, b, c, d] = [1, 2, 3, 4].map(NodeId);
        let writes = ClientSetup { write_percent: 100, keys: 1, ..ClientSetup::default() };
        let reads = ClientSetup { write_percent: 0, query_percent: 100, leases: true, ..writes };
        setup.clients = [writes, reads, writes, reads]
            .map(|client| ClientSetup {
                min_think: Duration::from_millis(2),
                max_think: Duration::from_millis(6),
                patience: Duration::from_millis(20),
                ..client
            })
            .to_vec();
        let clock = |node, ppm| Act::Clock(ClockAct::SetClock { node, ppm });
        setup.timeline = [
            (0, Act::Request(RequestAct::Campaign { node: a })),
            (290, Act::Request(RequestAct::TakeSnapshot { node: c })),
            (300, clock(a, -500_000)),
            (300, clock(b, 1_000_000)),
            (300, clock(c, 1_000_000)),
            (300, clock(d, 1_000_000)),
            (320, Act::Request(RequestAct::Propose { node: a, count: 3 })),
            (350, Act::Link(LinkAct::Isolate { node: a })),
            (600, Act::Link(LinkAct::HealAll)),
        ]
        .map(|(millis, fault)| (Instant::from_nanos(millis * 1_000_000), fault))
        .to_vec();
        Trial { setup, choices, converges: false }
    }

    fn shrunk(budget: u64) -> Shrunk {
        shrink(stale_read(), budget, &mut |_, _| {}).expect("it is broken")
    }

    fn breaks(case: &Case, checker: &str) -> bool {
        let choices = Choices::scripted(case.answers.clone());
        let trial = Trial { setup: case.setup.clone(), choices, converges: case.converges };
        let finished = trial.run(&mut Nobody).expect("it makes sense");
        finished.outcome.verdict.is_err_and(|violation| violation.checker == checker)
    }

    /// Each part of the case left out alone.
    fn smaller(case: &Case) -> Vec<Case> {
        let each = |count: usize, without: fn(&Case, std::ops::Range<usize>) -> Option<Case>| {
            (0..count).filter_map(|nth| without(case, nth..nth + 1)).collect::<Vec<_>>()
        };
        [
            each(case.faults(), Case::without_faults),
            each(case.clients(), Case::without_clients),
            each(case.nodes(), Case::without_nodes),
            each(case.decisions(), Case::without_decisions),
        ]
        .concat()
    }

    /// All three nodes stand still in the end, and nobody can lead; but a lone node that stands
    /// still is less.
    fn stopped() -> Trial {
        let mut setup = Setup::of_voters(3);
        setup.duration = Duration::from_secs(8);
        let stop = Instant::from_nanos(3_000_000_000);
        setup.clients = vec![ClientSetup { stop, ..ClientSetup::default() }; 2];
        let [a, b, c] = [1, 2, 3].map(NodeId);
        setup.timeline = [
            (700, Act::Request(RequestAct::Propose { node: a, count: 3 })),
            (1_234, Act::Process(ProcessAct::Pause { node: a })),
            (1_300, Act::Link(LinkAct::Isolate { node: b })),
            (1_400, Act::Process(ProcessAct::Pause { node: b })),
            (1_400, Act::Process(ProcessAct::Pause { node: c })),
            (1_500, Act::Link(LinkAct::HealAll)),
            (2_000, Act::Request(RequestAct::Transfer { node: None, to: None })),
        ]
        .map(|(millis, fault)| (Instant::from_nanos(millis * 1_000_000), fault))
        .to_vec();
        Trial { setup, choices: Choices::seeded(3), converges: true }
    }

    #[test]
    fn what_is_left_breaks_the_same_property_and_nothing_of_it_can_go() {
        let shrunk = shrink(stopped(), 4_000, &mut |_, _| {}).expect("it is broken");
        assert!(shrunk.minimal, "{} runs", shrunk.runs);
        let Size { nodes, clients, faults, decisions, .. } = shrunk.after;
        assert_eq!((nodes, clients, faults, decisions), (1, 0, 1, 0), "{:?}", shrunk.case);
        assert_eq!(shrunk.case.setup.timeline[0].0, Instant::ZERO, "moments become round");
        assert!(breaks(&shrunk.case, "liveness"));
        let smaller = smaller(&shrunk.case);
        assert_eq!(smaller.len(), 1, "without the pause; the last node stays");
        assert!(smaller.iter().all(|case| !breaks(case, "liveness")));
    }

    #[test]
    fn in_steady_worlds_nothing_is_decided_about_links_disks_and_hosts() {
        let mut setup = stale_read().setup;
        setup.gathering = Duration::from_millis(2);
        setup.build_delay = Duration::from_millis(2);
        let mostly = |nth| ((Question::Delay, nth), if nth < 3 { 250 } else { 4_000_000 });
        let answers: Answers = (1..9).map(mostly).collect();
        let case = Case { setup, answers, converges: false };
        let cases = steady(&case);
        assert!(cases.iter().all(|other| other.answers.is_empty() && *other != case));
        let delays: Vec<_> = cases.iter().map(|case| case.setup.link.max_delay).collect();
        assert_eq!(delays[0], case.setup.link.min_delay + Duration::from_millis(4), "as mostly");
        let disks = cases.iter().filter(|other| other.setup.disk != case.setup.disk);
        assert!(disks.clone().count() > 10);
        for case in disks {
            let choices = Choices::seeded(5).recorded();
            let trial = Trial { setup: case.setup.clone(), choices, converges: false };
            let tape = trial.run(&mut Nobody).expect("it makes sense").tape;
            let decided = |of| tape.iter().filter(|choice| choice.question == of).count();
            let kinds =
                [Question::Delay, Question::DiskLatency, Question::Gathering, Question::BuildDelay];
            assert_eq!(kinds.map(decided), [0; 4]);
            assert!(decided(Question::Think) > 10, "clients are as they were");
        }
    }

    #[test]
    fn a_budget_that_ends_is_kept_and_reported() {
        let shrunk = shrunk(30);
        assert!(!shrunk.minimal && shrunk.runs <= 30);
        assert!(breaks(&shrunk.case, "linearizability"));
    }

    #[test]
    fn the_same_run_is_shrunk_to_the_same_script_and_that_script_breaks_the_property() {
        let (one, two) = (shrunk(800), shrunk(800));
        let text = script(&one, "a test").expect("it has words");
        assert_eq!(text, script(&two, "a test").expect("it has words"));
        let scenario = Scenario::read("x", "x.toml", &text).expect("a scenario");
        assert_eq!(scenario.broke.as_deref(), Some("linearizability"));
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let finished = scenario.trial(scenario.levels[0], 1).run(&mut Nobody).expect("sense");
        let violation = finished.outcome.verdict.expect_err("it is broken");
        assert_eq!(violation, one.violation);
    }

    #[test]
    fn a_good_run_is_not_shrunk() {
        let setup = Setup::of_voters(1);
        let trial = Trial { setup, choices: Choices::seeded(1), converges: true };
        assert_eq!(shrink(trial, 10, &mut |_, _| {}), Err(ShrinkError::Clean));
    }
}
