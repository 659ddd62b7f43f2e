//! Every checker that remembers anything, against the property word by word: over runs as they
//! were, and over runs in which something was changed, both must object to the same event first.

mod definitions;
mod duties;
mod effects;
pub(super) mod history;
mod leases;
mod messages;
mod neglect;
mod reads;
mod reproaches;
mod states;

use crate::checker::derived::Derived;
use crate::checker::oracles::definitions::Definition;
use crate::checker::oracles::history::{History, Seen, spoil};
use crate::checker::oracles::neglect::neglect;
use crate::checker::sight::{Checker, Observed, Sight};
use crate::plan::choice::{Choices, Question};
use crate::plan::record::Nobody;
use crate::run::swarm;
use crate::world::World;
use std::time::Duration;

/// Keeps what the checkers are shown, if it is to.
#[derive(Clone, Default, Debug)]
pub(crate) struct Recorder {
    limit: usize,
    history: History,
}

impl Recorder {
    pub(super) fn take(&mut self, sight: &Sight<'_>) {
        let is_shown = !matches!(sight.observed, Observed::Applied);
        if is_shown && self.history.len() < self.limit {
            let seen = Seen::of(sight, self.history.last());
            self.history.push(seen);
        }
    }
}

/// The beginning of a drawn run.
fn recorded(seed: u64, limit: usize) -> History {
    let mut choices = Choices::seeded(seed);
    let mut setup = swarm::draw_setup(&mut choices);
    setup.duration = Duration::from_secs(6);
    let mut world = World::new(&setup, choices).expect("a drawn setup makes sense");
    world.checkers().recorder.limit = limit;
    let _ = world.run(&mut Nobody);
    std::mem::take(&mut world.checkers().recorder.history)
}

/// The first seeds whose clusters begin with short logs: a definition looks at all of the log, for
/// every event.
fn seeds() -> impl Iterator<Item = u64> {
    let is_short = |seed: &u64| {
        let setup = swarm::draw_setup(&mut Choices::seeded(*seed));
        setup.nodes.iter().all(|node| node.entries.count() < 32)
    };
    (0..).filter(is_short).take(14)
}

/// The events to which a checker objects, and how.
fn objections<'a>(
    checker: &'a mut dyn Checker,
    history: &'a [Seen],
) -> impl Iterator<Item = (usize, String)> + 'a {
    let mut derived = Derived::default();
    let shown = history.iter().map(move |seen| seen.show(&mut derived, checker));
    shown.enumerate().filter_map(|(nth, said)| Some((nth, said.err()?)))
}

/// The first event to which a checker objects.
fn fast(checker: &mut dyn Checker, history: &[Seen]) -> Option<usize> {
    objections(checker, history).next().map(|(nth, _)| nth)
}

/// The first event of which the property does not hold, looked for as far as `end`.
fn slow(holds: Definition, history: &[Seen], end: usize) -> Option<usize> {
    (0..history.len().min(end)).find(|nth| !holds(&history[..*nth], &history[*nth]))
}

/// Runs both over many histories.
#[track_caller]
fn agree<C: Checker + Default>(
    name: &str,
    holds: Definition,
    least_bad: u64,
    spoil: fn(&mut History, &mut Choices),
) {
    let (mut good, mut bad) = (0, 0);
    for seed in seeds() {
        let clean = recorded(seed, 350);
        let said = objections(&mut C::default(), &clean).next();
        assert_eq!(said, None, "{name}: seed {seed} is clean");
        assert_eq!(slow(holds, &clean, clean.len()), None, "{name}: seed {seed} is clean");
        for nth in 0..30 {
            let mut choices = Choices::seeded(seed << 32 | nth);
            let mut spoilt = clean.clone();
            for _ in 0..=choices.below(Question::Setup, 3) {
                spoil(&mut spoilt, &mut choices);
            }
            let found = fast(&mut C::default(), &spoilt);
            let end = found.map_or(spoilt.len(), |at| at + 1);
            let expected = slow(holds, &spoilt, end);
            assert_eq!(found, expected, "{name}: seed {seed}, change {nth}: {}", {
                let at = found.unwrap_or(usize::MAX).min(expected.unwrap_or(usize::MAX));
                let said = objections(&mut C::default(), &spoilt).next();
                let status = spoilt[at].status();
                format!("{said:?}\n{:?} of {:?}\n{status:?}", spoilt[at].what, spoilt[at].id)
            });
            *(if found.is_some() { &mut bad } else { &mut good }) += 1;
        }
    }
    println!("{name}: {good} good and {bad} bad histories");
    assert!(good > 50 && bad >= least_bad, "{name}: {good} good and {bad} bad histories");
}

macro_rules! oracles {
    ($($spoil:ident => $name:ident: $checker:ident, $oracle:ident, $least_bad:literal;)*) => {
        $(#[test]
        fn $name() {
            let name = stringify!($name);
            agree::<super::$name::$checker>(name, $oracle::$name, $least_bad, $spoil);
        })*
    };
}

oracles! {
    spoil => election_safety: ElectionSafety, definitions, 20;
    spoil => leader_append_only: LeaderAppendOnly, definitions, 2;
    spoil => log_matching: LogMatching, definitions, 10;
    spoil => commit_quorum: CommitQuorum, definitions, 20;
    spoil => leader_completeness: LeaderCompleteness, definitions, 10;
    spoil => state_machine_safety: StateMachineSafety, definitions, 20;
    spoil => term_and_vote: TermAndVote, definitions, 20;
    spoil => lease_disjointness: LeaseDisjointness, messages, 3;
    spoil => fate: FateChecker, definitions, 3;
    spoil => exactly_once: ExactlyOnce, definitions, 5;
    spoil => no_disruption: NoDisruption, messages, 3;
    spoil => linearizability: Linearizability, definitions, 3;
    spoil => requests_end: RequestsEnd, messages, 20;
    spoil => accusations: Accusations, reproaches, 20;
    spoil => refusals: Refusals, reproaches, 10;
    spoil => answers: Answers, duties, 20;
    spoil => check_quorum: CheckQuorum, duties, 1;
    spoil => transfers: Transfers, duties, 20;
    spoil => peers: Peers, messages, 10;
    neglect => effects: Effects, effects, 20;
    spoil => bounds: Bounds, messages, 5;
    spoil => promise: Promise, messages, 3;
    spoil => output_gating: OutputGating, messages, 20;
    spoil => snapshot_coherence: SnapshotCoherence, states, 3;
    spoil => membership_coherence: MembershipCoherence, states, 3;
    neglect => leases: Leases, leases, 20;
    neglect => reads: Reads, reads, 20;
}
