//! One node under test, and everybody who looks at it.

use crate::run::fuzz::any::{Any, Heard};
use crate::run::fuzz::disk::Disk;
use crate::run::fuzz::kinds;
use crate::run::fuzz::outside::{Outside, are_refused};
use raft_core::payload::PayloadLog;
use raft_core::{
    Action, Config, Input, Instant, LogPosition, Node, Recovered, Snapshot, StartError, Status,
};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

/// One node under test: stepped, compared with its own copies, and seen from outside.
pub(super) struct Subject {
    node: Node,
    now: Instant,
    outside: Outside,
    /// The log with its bytes, while it can be known.
    disk: Option<Disk>,
    /// Which kinds of inputs were taken, and of actions handed out, if that is wanted: to compare
    /// words would lead a fuzzer astray.
    pub(super) reached: Option<BTreeSet<String>>,
}

impl Subject {
    /// A node that starts from its disk.
    pub(super) fn start(
        config: Config,
        recovered: &Recovered,
        now: Instant,
    ) -> Result<Self, StartError> {
        let node = Node::new(config, recovered.clone(), now)?;
        let status = node.status();
        let disk = Disk::new(recovered, &status);
        let mut subject = Self { disk, ..Self::of(node, now) };
        subject.outside.knows_all();
        subject.begins(recovered);
        Ok(subject)
    }

    /// A node whose past is unknown.
    pub(super) fn of(node: Node, now: Instant) -> Self {
        let outside = Outside::new(&node.status());
        Self { node, now, outside, disk: None, reached: None }
    }

    /// What holds of a node that has only just started.
    fn begins(&mut self, recovered: &Recovered) {
        let status = self.node.status();
        self.node.check().expect("every invariant holds after a start");
        let hard_state = recovered.hard_state;
        assert_eq!(
            (status.term, status.voted_for),
            (hard_state.current_term, hard_state.voted_for)
        );
        assert_eq!(status.durable_hard_state, hard_state, "what was found is durable");
        assert_eq!(status.durable, status.last, "what was found is durable");
        assert_eq!(status.log_start, recovered.snapshot.position, "the log starts at the snapshot");
        let applied = recovered.applied.max(status.log_start.index);
        assert_eq!(status.last_applied, applied, "what was applied is not applied again");
        // A log that a snapshot contradicts goes with the first write.
        self.step(&[], self.now);
    }

    pub(super) fn status(&self) -> Status {
        self.node.status()
    }

    pub(super) const fn node(&self) -> &Node {
        &self.node
    }

    /// The log with its bytes, while it can be known.
    pub(super) fn log(&self) -> Option<&PayloadLog<u64>> {
        self.disk.as_ref().map(Disk::log)
    }

    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// One call, compared with what it must be.
    pub(super) fn step(&mut self, inputs: &[Input], now: Instant) -> Vec<Action> {
        let (mut clone, before) = (self.node.clone(), self.node.clone());
        let (mut actions, mut same) = (Vec::new(), Vec::new());
        self.node.step_all(inputs, now, &mut actions);
        self.node.check().expect("every invariant holds after every step");
        clone.step_all(inputs.to_vec(), now, &mut same);
        assert_eq!(same, actions, "a clone does the same");
        assert_eq!(clone, self.node, "a clone becomes the same");
        if are_refused(inputs, &actions) {
            self.is_as_before(&before, inputs, now);
        }
        self.now = now;
        let after = self.node.status();
        let most = self.node.config().max_pending_reads;
        assert!(after.pending_reads <= most, "what waits is bounded");
        let installed = self.outside.see(inputs, &actions, &after);
        self.write(&before, inputs, installed, &actions);
        self.note(inputs, &actions);
        actions
    }

    fn is_as_before(&self, before: &Node, inputs: &[Input], now: Instant) {
        let (mut idle, mut nothing) = (before.clone(), Vec::new());
        idle.step_all([Input::Wake; 0], now, &mut nothing);
        assert_eq!(nothing, [], "there is nothing left to do after a step");
        assert_eq!(idle, self.node, "refused inputs change nothing but the clock: {inputs:?}");
    }

    /// The runtime's part.
    fn write(
        &mut self,
        before: &Node,
        inputs: &[Input],
        installed: Option<LogPosition>,
        actions: &[Action],
    ) {
        let status = self.node.status();
        let Some(disk) = &mut self.disk else { return };
        for input in inputs {
            if let Input::Persisted { ticket } = input {
                disk.persisted(*ticket);
            }
        }
        let mut holds = installed.is_none_or(|position| disk.install(position));
        if let Some(snapshot) = taken(before, inputs, &status) {
            disk.compact(&snapshot);
        }
        holds = holds && disk.take(inputs, &Disk::payloads(inputs), actions);
        if holds {
            disk.compare(&status);
        } else {
            self.disk = None;
        }
    }

    fn note(&mut self, inputs: &[Input], actions: &[Action]) {
        let Some(reached) = &mut self.reached else { return };
        let mut reach = |name: &str| reached.insert(name.to_owned());
        if !are_refused(inputs, actions) {
            for input in inputs {
                reach(kinds::input(input));
                if let Input::Message(envelope) = input {
                    reach(envelope.message.name());
                }
            }
        }
        for action in actions {
            reach(kinds::action(action));
            match action {
                Action::Rejected { reason, .. } => reach(&variant(reason)),
                Action::Ignored { reason, .. } => reach(&variant(reason)),
                _ => false,
            };
        }
    }

    /// Goes on until the bytes end: inputs in calls of any size, time in any direction, crashes.
    pub(super) fn drive(&mut self, any: &mut Any) {
        while !any.choices.is_exhausted() {
            let now = self.time(any);
            let count = match any.below(16) {
                15 => {
                    self.crash(any, now);
                    continue;
                }
                14 => any.below(5),
                _ => 1,
            };
            let status = self.status();
            let inputs: Vec<_> = (0..count).map(|_| any.input(&status)).collect();
            let actions = self.step(&inputs, now);
            any.heard.take(&actions);
        }
    }

    /// Time mostly goes on, sometimes stands, goes back, or ends.
    fn time(&self, any: &mut Any) -> Instant {
        match any.below(8) {
            0 => Instant::from_nanos(self.now.as_nanos().saturating_sub(any.up_to(1 << 30))),
            1 => Instant::from_nanos(any.number()),
            2 => self.node.deadline().unwrap_or(self.now),
            _ => self.now.saturating_add(Duration::from_nanos(any.up_to(1 << 28))),
        }
    }

    /// The process ends, and another one starts from what a crash leaves on the disk.
    fn crash(&mut self, any: &mut Any, now: Instant) {
        let status = self.status();
        let Some(disk) = &mut self.disk else { return };
        let recovered = disk.crash(any, status.last_applied);
        let mut config = self.node.config().clone();
        config.seed = any.number();
        let started = Node::new(config, recovered.clone(), now);
        if matches!(started, Err(StartError::Config(_))) {
            // The clock stands at its end.
            self.disk = None;
            return;
        }
        self.node = started.expect("a crash leaves a state to start from");
        disk.restarted(&self.node.status());
        self.now = now;
        self.outside = Outside::new(&self.node.status());
        self.outside.knows_all();
        any.heard = Heard::default();
        if let Some(reached) = &mut self.reached {
            reached.insert("Crash".to_owned());
        }
        self.begins(&recovered);
    }
}

/// The snapshot that was taken, if the node believes it.
fn taken(before: &Node, inputs: &[Input], after: &Status) -> Option<Snapshot> {
    let positions = inputs.iter().filter_map(|input| match input {
        Input::SnapshotTaken { position } => Some(*position),
        _ => None,
    });
    let mut believed = positions.filter(|position| after.log_start == *position);
    before.snapshot_at(believed.next()?.index)
}

/// The name of a variant.
fn variant(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    text.chars().take_while(char::is_ascii_alphanumeric).collect()
}
