//! What every handler needs, whatever part of the world it is about.

use crate::host::log::Command;
use crate::plan::choice::Choices;
use crate::plan::record::Violation;
use crate::plan::setup::Setup;
use crate::world::agenda::Agenda;
use crate::world::aim::Aims;
use crate::world::hosts::Hosts;
use crate::world::pending::Pending;
use crate::world::watch::{Fact, Scene, Stepped, Watch};
use raft_core::driver::{Effect, Event};
use raft_core::{Action, Input, Instant};
use std::time::Duration;

/// What the run is, who decides, what is still to happen, and who looks.
#[derive(Clone, Debug)]
pub(super) struct Env {
    pub(super) setup: Setup,
    pub(super) choices: Choices,
    pub(super) agenda: Agenda,
    /// The acts that wait for their target.
    pub(super) aims: Aims,
    pub(super) watch: Watch,
    /// Empty between two steps; kept for their memory.
    pub(super) lists: Lists,
    /// What a disk has just reported; kept for its memory.
    pub(super) reports: Vec<Event<Command>>,
}

/// What goes into a call of a driver and comes out of it.
#[derive(Clone, Default, Debug)]
pub(super) struct Lists {
    pub(super) events: Vec<Event<Command>>,
    /// What its node was told, and what it said.
    pub(super) inputs: Vec<Input>,
    pub(super) actions: Vec<Action>,
    pub(super) effects: Vec<Effect<Command>>,
}

impl Lists {
    /// What is left of a step.
    pub(super) fn clear(&mut self) {
        self.inputs.clear();
        self.actions.clear();
        self.effects.clear();
    }
}

impl Env {
    pub(super) fn new(setup: Setup, choices: Choices, agenda: Agenda, watch: Watch) -> Self {
        let (aims, lists) = (Aims::new(), Lists::default());
        Self { setup, choices, agenda, aims, watch, lists, reports: Vec::new() }
    }

    /// The simulated time.
    pub(super) const fn now(&self) -> Instant {
        self.agenda.now()
    }

    /// Something is to happen after a while.
    pub(super) fn schedule_in(&mut self, pause: Duration, pending: Pending) {
        self.agenda.schedule(self.now().saturating_add(pause), pending);
    }

    /// Tells the watch of a step.
    pub(super) fn stepped(&mut self, hosts: &Hosts, step: &Stepped<'_>) {
        let (scene, watch) = self.scene(hosts);
        watch.stepped(scene, step);
    }

    /// Tells the watch any other fact.
    ///
    /// # Errors
    ///
    /// What a checker says.
    pub(super) fn tell(&mut self, hosts: &Hosts, fact: Fact<'_>) -> Result<(), Violation> {
        let (scene, watch) = self.scene(hosts);
        watch.take(scene, &fact)
    }

    /// The world at this moment, and who looks at it.
    pub(super) const fn scene<'a>(&'a mut self, hosts: &'a Hosts) -> (Scene<'a>, &'a mut Watch) {
        let (now, event) = (self.agenda.now(), self.agenda.events());
        (Scene { setup: &self.setup, hosts, now, event }, &mut self.watch)
    }

    /// What is wrong at this moment.
    pub(super) fn violation(&self, checker: &'static str, sentence: String) -> Violation {
        self.watch.violation(checker, sentence, (self.agenda.now(), self.agenda.events()))
    }
}
