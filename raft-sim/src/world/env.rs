//! What every handler needs, whatever part of the world it is about.

use crate::host::packet::{Arrival, Payload};
use crate::plan::choice::Choices;
use crate::plan::record::Violation;
use crate::plan::setup::Setup;
use crate::world::agenda::Agenda;
use crate::world::aim::Aims;
use crate::world::hosts::Hosts;
use crate::world::pending::Pending;
use crate::world::watch::{Fact, Scene, Stepped, Watch};
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
    pub(super) arrivals: Vec<Arrival>,
}

/// What goes into a step and comes out of it.
#[derive(Clone, Default, Debug)]
pub(super) struct Lists {
    pub(super) inputs: Vec<Input>,
    /// The bytes that came with each input.
    pub(super) payloads: Vec<Payload>,
    pub(super) actions: Vec<Action>,
}

impl Lists {
    pub(super) fn clear(&mut self) {
        self.inputs.clear();
        self.payloads.clear();
        self.actions.clear();
    }
}

impl Env {
    pub(super) const fn new(setup: Setup, choices: Choices, agenda: Agenda, watch: Watch) -> Self {
        let lists = Lists { inputs: Vec::new(), payloads: Vec::new(), actions: Vec::new() };
        Self { setup, choices, agenda, aims: Aims::new(), watch, lists, arrivals: Vec::new() }
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
