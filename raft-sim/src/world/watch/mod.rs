//! Everything that only looks. The parts of the world tell the [`Watch`] what happened, as a
//! [`Stepped`] or as a [`Fact`]; the hash of the run, its coverage, its records, the history of its
//! clients and what the checkers see are derived from that here, and nowhere else.

mod branches;
mod clocks;
mod contract;
mod coverage;
mod fact;
mod fates;
mod links;
mod losses;
mod narrate;
mod operator;
mod recorder;
mod records;
mod scene;
mod sight;

pub(crate) use fact::{EndOfRun, Fact, Stepped};
pub(crate) use scene::Scene;

use crate::checker::Checkers;
use crate::checker::coverage::Coverage;
use crate::checker::history::seen::{Doubt, History};
use crate::checker::sight::{Observed, Sight};
use crate::host::machine::Machine;
use crate::plan::act::Act;
use crate::plan::choice::RollingHash;
use crate::plan::record::{Event, Sink, Violation};
use crate::world::excuse::Cause;
use crate::world::network::Network;
use crate::world::service;
use crate::world::watch::branches::Branches;
use crate::world::watch::clocks::Clocks;
use crate::world::watch::contract::Premises;
use crate::world::watch::fates::Fates;
use crate::world::watch::losses::Losses;
use crate::world::watch::narrate::Step;
use crate::world::watch::operator::Requests;
use crate::world::watch::recorder::Recorder;
use raft_core::{Action, Input, Instant, NodeId, Round, Status};
use std::collections::{BTreeMap, BTreeSet};

/// Who looks at a run. Nothing that happens rests on it; the verdict does, and for how long a run
/// waits to converge.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    checkers: Checkers,
    /// What the clients saw.
    history: History,
    recorder: Recorder,
    /// Of everything that went into the nodes and came out of them, with its time.
    hash: RollingHash,
    coverage: Coverage,
    branches: Branches,
    losses: Losses,
    premises: Premises,
    fates: Fates,
    requests: Requests,
    /// The newest round of pre-votes that each node was recorded with, in this life.
    rounds: BTreeMap<NodeId, Round>,
    clocks: Clocks,
    /// Who could commit when somebody listened last.
    service: Option<NodeId>,
    /// When some node last came to a term that nobody had before.
    term_rose: Instant,
    excused: Option<Cause>,
}

impl Watch {
    /// Nothing has happened; logs hold these values at the beginning, and state machines are this
    /// one before their first command.
    pub(crate) fn new(machine: &Machine, given: BTreeSet<u64>) -> Self {
        Self {
            checkers: Checkers::of(machine),
            history: History::after(given),
            recorder: Recorder::default(),
            hash: RollingHash::new(),
            coverage: Coverage::default(),
            branches: Branches::default(),
            losses: Losses::default(),
            premises: Premises::default(),
            fates: Fates::default(),
            requests: Requests::default(),
            rounds: BTreeMap::new(),
            clocks: Clocks::default(),
            service: None,
            term_rose: Instant::ZERO,
            excused: None,
        }
    }

    /// Takes in a step of a node.
    pub(crate) fn stepped(&mut self, scene: Scene<'_>, step: &Stepped<'_>) {
        self.hash.take(&scene.now);
        self.hash.take(&step.actions);
        if step.after.term.get() > self.coverage.highest_term {
            self.term_rose = scene.now;
        }
        coverage::of_step(&mut self.coverage, step);
        self.branches.of_step(&mut self.coverage, scene, step);
        self.premises.note_step(step);
        if self.recorder.listens {
            self.narrate(scene, step);
        }
    }

    /// Takes in any other fact.
    ///
    /// # Errors
    ///
    /// What a checker says.
    pub(crate) fn take(&mut self, scene: Scene<'_>, fact: &Fact<'_>) -> Result<(), Violation> {
        self.hash(scene.now, fact);
        coverage::of_fact(&mut self.coverage, scene, fact);
        self.branches.of_fact(&mut self.coverage, scene, fact);
        self.losses.take(scene, fact);
        self.premises.note(scene, fact);
        self.remember(scene, fact);
        self.record(scene, fact);
        match *fact {
            Fact::Given { node, inputs } => self.show_requests(scene, node, inputs),
            Fact::StepDone { node, before, after } => self.ask_fates(scene, node, before, after),
            _ => match sight::of_fact(scene, fact) {
                Some((node, observed)) => self.show(scene, node, observed),
                None => Ok(()),
            },
        }
    }

    /// Somebody listens from now on, or nobody.
    pub(crate) const fn listen(&mut self, listens: bool) {
        self.recorder.listens = listens;
    }

    /// The operator hears what it was answered in the event under way.
    ///
    /// # Errors
    ///
    /// What a checker says.
    pub(crate) fn operator_hears(&mut self, scene: Scene<'_>) -> Result<(), Violation> {
        for (serial, operation, phase) in self.requests.heard() {
            self.take(scene, &Fact::Client { node: None, client: 0, serial, operation, phase })?;
        }
        Ok(())
    }

    /// The disks that are lost, and what they excuse.
    pub(crate) const fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Looks, after every event, for what is let in before anybody could know of a loss.
    pub(crate) fn look_for_unheard_loss(&mut self, scene: Scene<'_>) {
        self.losses.look_for_unheard(scene);
    }

    /// Looks, after every event, whether there is a leader where the contract asks for one.
    ///
    /// # Errors
    ///
    /// What is not as it says.
    pub(crate) fn look_at_the_contract(
        &mut self,
        scene: Scene<'_>,
        network: &Network,
    ) -> Result<(), Violation> {
        let looked = self.premises.look(scene, network);
        looked.map_err(|sentence| self.violation("liveness", sentence, (scene.now, scene.event)))
    }

    /// The premises of the contract, and how it was kept.
    pub(crate) const fn premises(&self) -> &Premises {
        &self.premises
    }

    /// Looks, after every event, who can commit, if anybody wants to know.
    ///
    /// # Errors
    ///
    /// What a checker says.
    pub(crate) fn observe_service(
        &mut self,
        scene: Scene<'_>,
        network: &Network,
    ) -> Result<(), Violation> {
        if !self.recorder.listens {
            return Ok(());
        }
        let leader = service::leader(scene.hosts, network, scene.now);
        if leader == self.service {
            return Ok(());
        }
        self.service = leader;
        self.take(scene, &Fact::Service { leader })
    }

    /// Gives away what was recorded.
    pub(crate) fn hand_over(&mut self, sink: &mut dyn Sink) {
        self.recorder.hand_over(sink);
    }

    /// What is wrong, and when it was seen.
    pub(crate) fn violation(
        &self,
        checker: &'static str,
        sentence: String,
        (time, event): (Instant, u64),
    ) -> Violation {
        Violation { checker, sentence, time, event, seq: self.recorder.last() }
    }

    /// Whether what the clients saw so far can have happened one after another. That nobody knows
    /// is a failure with a name of its own: no scenario that waits for an alarm may take it for
    /// one.
    ///
    /// # Errors
    ///
    /// The checker that objects, and its sentence.
    pub(crate) fn judge_history(&self) -> Result<(), (&'static str, String)> {
        self.history.check(History::BUDGET).map_err(|doubt| match doubt {
            Doubt::Broken(sentence) => ("linearizability", sentence),
            Doubt::Unknown(sentence) => ("undecided", sentence),
        })
    }

    /// The rolling hash.
    pub(crate) const fn hash_value(&self) -> u64 {
        self.hash.value()
    }

    /// What the run had of what can happen.
    pub(crate) fn coverage(&self) -> Coverage {
        let mut coverage = self.coverage;
        self.checkers.count(&mut coverage);
        let contract = self.premises.contract();
        let [fast, slow] = contract.fail_overs();
        (coverage.fail_overs, coverage.slow_fail_overs) = (fast.all, slow.all);
        coverage.led_on = contract.lasting();
        coverage
    }

    /// When some node last came to a term that nobody had before.
    pub(crate) const fn term_rose(&self) -> Instant {
        self.term_rose
    }

    /// How the disk was lost without which the run could not converge, if that was to be judged.
    pub(crate) const fn excused(&self) -> Option<Cause> {
        self.excused
    }

    /// Everything that is shown to the checkers is kept, too.
    #[cfg(test)]
    pub(crate) const fn checkers(&mut self) -> &mut Checkers {
        &mut self.checkers
    }

    fn hash(&mut self, now: Instant, fact: &Fact<'_>) {
        let taken = &mut self.hash;
        match *fact {
            Fact::Given { node, inputs } => taken.take(&(now, (node, inputs))),
            Fact::Started { node, config, .. } => taken.take(&(now, (node, "start", config.seed))),
            Fact::Unstartable { node, damage } => taken.take(&(now, (node, damage))),
            Fact::Crashed { node, lost, .. } => taken.take(&(now, (node, "crash", lost))),
            // As it is spelt, so that the hash does not depend on how an enum is laid out.
            Fact::Act { act } => taken.take(&(now, act.written())),
            _ => {}
        }
    }

    /// What is needed later of a fact.
    fn remember(&mut self, scene: Scene<'_>, fact: &Fact<'_>) {
        match *fact {
            Fact::Started { node, .. } => {
                self.rounds.remove(&node);
            }
            Fact::CarriesOut { action: &Action::Accepted { first, count, .. }, .. } => {
                self.fates.accepted(scene.hosts.ids(), first, count);
            }
            Fact::OperatorAsks { serial, operation } => self.requests.ask(serial, operation),
            Fact::Answered { token, answer } => self.requests.answered(token, answer),
            Fact::Client { client, serial, operation, phase, .. } => {
                self.history.take(client, serial, operation, phase);
            }
            Fact::Act { act: Act::Clock(act) } => self.clocks.note(scene, act),
            Fact::Concluded { excused, .. } => self.excused = excused,
            _ => {}
        }
    }

    fn record(&mut self, scene: Scene<'_>, fact: &Fact<'_>) {
        if self.recorder.listens
            && let Some((node, event)) = records::of_fact(scene, fact)
        {
            let state = node.and_then(|id| scene.host(id)?.state());
            self.recorder.write(scene.now, node, event, state);
        }
    }

    /// Records what comes before the actions of a step.
    fn narrate(&mut self, scene: Scene<'_>, step: &Stepped<'_>) {
        let Some(host) = scene.host(step.node) else { return };
        let Stepped { node, inputs, actions, .. } = *step;
        let (before, after) = (host.state_of(step.before), host.state_of(step.after));
        for (event, state) in (Step { inputs, actions, before, after }).prologue() {
            // The same round may be sent again.
            if let Event::PreCandidate { round: Some(round) } = event
                && self.rounds.insert(node, round) == Some(round)
            {
                continue;
            }
            self.recorder.write(scene.now, Some(node), event, Some(state));
        }
    }

    /// What must end is asked for now.
    fn show_requests(
        &mut self,
        scene: Scene<'_>,
        node: NodeId,
        inputs: &[Input],
    ) -> Result<(), Violation> {
        let Some(process) = scene.process(node) else { return Ok(()) };
        let config = process.node().config();
        for observed in inputs.iter().filter_map(|input| sight::of_input(config, input)) {
            self.show(scene, node, observed)?;
        }
        Ok(())
    }

    /// Asks a node whose log or commit index has moved for the fates that it has not reported yet.
    fn ask_fates(
        &mut self,
        scene: Scene<'_>,
        node: NodeId,
        before: &Status,
        after: &Status,
    ) -> Result<(), Violation> {
        let moved = |status: &Status| (status.commit_index, status.last);
        let Some(process) = scene.process(node).filter(|_| moved(before) != moved(after)) else {
            return Ok(());
        };
        for (position, fate) in self.fates.ask(node, process) {
            self.take(scene, &Fact::FateReported { node, position, fate })?;
        }
        Ok(())
    }

    /// Shows something to the checkers.
    fn show(
        &mut self,
        scene: Scene<'_>,
        node: NodeId,
        observed: Observed<'_>,
    ) -> Result<(), Violation> {
        let Some(host) = scene.host(node) else { return Ok(()) };
        let leases_hold = scene.setup.strict_leases || self.clocks.are_trusted(scene);
        let time = (scene.now.as_nanos(), self.clocks.hold(), leases_hold);
        let sight = Sight::new(time, observed, host.view(scene.now), &scene);
        self.checkers.see(&sight).map_err(|(checker, sentence)| {
            self.violation(checker, sentence, (scene.now, scene.event))
        })
    }
}
