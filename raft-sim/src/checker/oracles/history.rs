//! A run as data that can be kept, changed and shown again.

use crate::checker::derived::Derived;
use crate::checker::fixture::{TestNode, entry};
use crate::checker::sight::{Checker, Cluster, Observed, Sight, View};
use crate::host::machine::Machine;
use crate::plan::choice::{Choices, Question};
use crate::plan::record::{Operation, Stage};
use raft_core::{
    Action, AppendOutcome, Envelope, Fate, IgnoreReason, Input, Instant, LogIndex, LogPosition,
    Membership, Message, NodeId, RejectReason, RequestVoteResponse, RoleKind, Status, Term, Token,
    Verdict,
};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What happened, with all that it names.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "most events are steps")]
pub(in crate::checker) enum Recorded {
    Started,
    Stepped { inputs: Vec<Input>, before: Status, actions: Vec<Action>, whole: bool },
    Synced,
    Crashed,
    FateReported { position: LogPosition, fate: Fate },
    Asked { token: Token, within: Duration },
    Client { operation: (u64, u64), what: Operation, phase: Stage },
}

/// One event: what happened, to whom, and everybody as they were.
#[derive(Clone, Debug)]
pub(in crate::checker) struct Seen {
    pub(in crate::checker) what: Recorded,
    pub(in crate::checker) id: NodeId,
    pub(in crate::checker) clocks_hold: bool,
    pub(in crate::checker) leases_hold: bool,
    pub(in crate::checker) nodes: BTreeMap<NodeId, Rc<TestNode>>,
    /// What the clocks show: it changes with every event, and so stands apart.
    pub(in crate::checker) clocks: BTreeMap<NodeId, u64>,
    /// What they show to their nodes.
    pub(in crate::checker) locals: BTreeMap<NodeId, Instant>,
}

pub(in crate::checker) type History = Vec<Seen>;

impl Cluster for Seen {
    fn view(&self, id: NodeId) -> Option<View<'_>> {
        let (clock, local) = (*self.clocks.get(&id)?, *self.locals.get(&id)?);
        Some(View { clock, local, ..self.nodes.get(&id)?.view() })
    }

    fn views(&self) -> Vec<View<'_>> {
        self.nodes.keys().filter_map(|id| self.view(*id)).collect()
    }
}

impl Seen {
    pub(in crate::checker) fn node(&self) -> &TestNode {
        &self.nodes[&self.id]
    }

    pub(in crate::checker) fn status(&self) -> Option<&Status> {
        Some(&self.node().status).filter(|_| self.node().running)
    }

    pub(in crate::checker) fn actions(&self) -> &[Action] {
        if let Recorded::Stepped { actions, .. } = &self.what { actions } else { &[] }
    }

    pub(in crate::checker) fn inputs(&self) -> &[Input] {
        if let Recorded::Stepped { inputs, .. } = &self.what { inputs } else { &[] }
    }

    pub(in crate::checker) fn sent(&self) -> impl Iterator<Item = &Envelope> {
        self.actions().iter().filter_map(|action| match action {
            Action::Send(envelope) => Some(envelope),
            _ => None,
        })
    }

    pub(in crate::checker) fn is_whole(&self) -> bool {
        !matches!(self.what, Recorded::Stepped { whole: false, .. })
    }

    pub(in crate::checker) fn shows_disk(&self) -> bool {
        matches!(self.what, Recorded::Started | Recorded::Synced | Recorded::Crashed)
    }

    /// Shows it to a checker, after those before it.
    pub(in crate::checker) fn show(
        &self,
        derived: &mut Derived,
        checker: &mut dyn Checker,
    ) -> Result<(), String> {
        let observed = match &self.what {
            Recorded::Started => Observed::Started,
            Recorded::Stepped { inputs, before, actions, whole } => {
                Observed::Stepped { inputs, before, actions, whole: *whole }
            }
            Recorded::Synced => Observed::Synced,
            Recorded::Crashed => Observed::Crashed,
            Recorded::FateReported { position, fate } => {
                Observed::FateReported { position: *position, fate: *fate }
            }
            Recorded::Asked { token, within } => Observed::Asked { token: *token, within: *within },
            Recorded::Client { operation, what, phase } => {
                Observed::Client { operation: *operation, what: *what, phase: *phase }
            }
        };
        let node = self.view(self.id).expect("it exists");
        let time = (0, self.clocks_hold, self.leases_hold);
        checker.see(&derived.see(&Sight::new(time, observed, node, self)))
    }

    /// Takes down what the checkers of a world are shown.
    pub(in crate::checker) fn of(sight: &Sight<'_>, before: Option<&Self>) -> Self {
        let what = match sight.observed {
            Observed::Started => Recorded::Started,
            Observed::Stepped { inputs, before, actions, whole } => Recorded::Stepped {
                inputs: inputs.to_vec(),
                before: *before,
                actions: actions.to_vec(),
                whole,
            },
            Observed::Synced => Recorded::Synced,
            Observed::Applied => unreachable!("no definition looks between the steps"),
            Observed::Crashed => Recorded::Crashed,
            Observed::FateReported { position, fate } => Recorded::FateReported { position, fate },
            Observed::Asked { token, within } => Recorded::Asked { token, within },
            Observed::Client { operation, what, phase } => {
                Recorded::Client { operation, what, phase }
            }
        };
        let (id, clocks_hold) = (sight.node.id, sight.clocks_hold);
        let leases_hold = sight.leases_hold;
        let known = |other: NodeId| before.filter(|_| other != id)?.nodes.get(&other);
        let views = sight.cluster.views();
        let clocks = views.iter().map(|view| (view.id, view.clock)).collect();
        let locals = views.iter().map(|view| (view.id, view.local)).collect();
        let nodes = views.iter().map(|view| {
            let node = known(view.id).cloned();
            (view.id, node.unwrap_or_else(|| Rc::new(TestNode::of(view))))
        });
        let nodes = nodes.collect();
        Self { what, id, clocks_hold, leases_hold, nodes, clocks, locals }
    }
}

/// Changes something in a history, as chance has it.
pub(in crate::checker) fn spoil(history: &mut History, choices: &mut Choices) {
    let mut below = |bound: usize| {
        let bound = u64::try_from(bound).expect("small");
        usize::try_from(choices.below(Question::Setup, bound)).expect("small")
    };
    let nth = below(history.len());
    match below(15) {
        0 => {
            history.remove(nth);
        }
        // A request ends twice, or a request that ends in time was asked for long ago.
        10 => {
            let twice = below(2) == 0;
            for seen in &mut history[nth..] {
                match &mut seen.what {
                    Recorded::Stepped { actions, .. } if twice => {
                        let ends = |action: &&Action| {
                            matches!(
                                action,
                                Action::ReadReady { .. } | Action::TransferEnded { .. }
                            )
                        };
                        if let Some(end) = actions.iter().find(ends).cloned() {
                            return actions.push(end);
                        }
                    }
                    Recorded::Asked { within, .. } if !twice => return *within = Duration::ZERO,
                    _ => {}
                }
            }
        }
        1 => {
            let again = history[nth].clone();
            let at = nth + below(history.len() - nth);
            history.insert(at, Seen { what: again.what, id: again.id, ..history[at].clone() });
        }
        // Something that was taken in is refused.
        11 => {
            let dice = [below(16), below(8)];
            let mut steps = history[nth..].iter_mut();
            if let Some(seen) = steps.find(|seen| !seen.inputs().is_empty()) {
                refuse(&mut seen.what, dice);
            }
        }
        12 => silence(&mut history[nth..]),
        13 => transfer(&mut history[nth..]),
        14 => spoil_peer(&mut history[nth..], [below(4), below(4), below(64)]),
        // A leader drops an entry; an answer to a leader becomes a vote for somebody else.
        2 | 3 => {
            let targets: [fn(&Action) -> bool; 2] = [
                |action| matches!(action, Action::Persist(write) if write.log.is_some()),
                |action| match action {
                    Action::Send(envelope) => match &envelope.message {
                        Message::AppendEntriesResponse(m) => m.echo.is_some(),
                        _ => false,
                    },
                    _ => false,
                },
            ];
            let target = targets[below(2)];
            let steps = history[nth..].iter_mut().filter_map(|seen| match &mut seen.what {
                Recorded::Stepped { actions, .. } => Some(actions),
                _ => None,
            });
            let mut actions = steps.flatten();
            if let Some(action) = actions.find(|action| target(action)) {
                spoil_action(action, 6, 2);
            }
        }
        4 => {
            let is_step = |seen: &Seen| match &seen.what {
                Recorded::Stepped { actions, .. } => !actions.is_empty(),
                Recorded::FateReported { .. } | Recorded::Client { .. } => true,
                _ => false,
            };
            if let Some(at) = (nth..history.len()).find(|at| is_step(&history[*at])) {
                let dice = [below(12), below(4), below(64)];
                spoil_what(&mut history[at].what, dice);
            }
        }
        _ => {
            let (id, dice, lasting) = (history[nth].id, [below(19), below(4), below(64)], below(2));
            let mut last: Option<(Rc<TestNode>, Rc<TestNode>)> = None;
            for seen in &mut history[nth..] {
                if lasting == 0 && last.is_some() {
                    break;
                }
                let node = seen.nodes.get_mut(&id).expect("it exists");
                let spoilt = match &last {
                    Some((from, to)) if Rc::ptr_eq(from, node) => Rc::clone(to),
                    _ => {
                        let mut other = (**node).clone();
                        spoil_node(&mut other, dice);
                        Rc::new(other)
                    }
                };
                last = Some((Rc::clone(node), Rc::clone(&spoilt)));
                *node = spoilt;
                // A log counts where it is written or read: let it.
                if dice[0] < 3 && seen.id == id && lasting == 0 {
                    seen.what = Recorded::Started;
                }
            }
        }
    }
}

fn small(n: usize) -> u64 {
    u64::try_from(n).expect("small")
}

/// One more or one less, at least 0.
fn near(n: u64, dice: usize) -> u64 {
    if dice.is_multiple_of(2) { n + 1 } else { n.saturating_sub(1) }
}

fn spoil_what(what: &mut Recorded, [kind, near_by, nth]: [usize; 3]) {
    match what {
        Recorded::Stepped { actions, before, whole, .. } => {
            let nth = nth % actions.len();
            match kind {
                0 => drop(actions.remove(nth)),
                1 => actions.push(actions[nth].clone()),
                2 => before.commit_index = LogIndex(near(before.commit_index.get(), near_by)),
                3 => before.term = Term(near(before.term.get(), near_by)),
                4 => *whole = !*whole,
                _ => spoil_action(&mut actions[nth], kind, near_by),
            }
        }
        Recorded::FateReported { position, fate } => match kind % 5 {
            0 => *fate = if *fate == Fate::Lost { Fate::Committed } else { Fate::Lost },
            1 => position.index = LogIndex(near(position.index.get(), near_by)),
            2 => *fate = Fate::Open,
            3 => *fate = Fate::Unknown,
            _ => position.term = Term(near(position.term.get(), near_by)),
        },
        Recorded::Client { phase, operation, .. } => match phase {
            Stage::Returned { value, position } => match kind % 4 {
                0 => *value = value.map(|value| near(value, near_by)),
                1 => position.index = LogIndex(near(position.index.get(), near_by)),
                2 => *value = None,
                _ => *phase = Stage::Failed,
            },
            Stage::Unknown => *phase = Stage::Failed,
            _ => operation.1 = near(operation.1, near_by),
        },
        _ => {}
    }
}

/// Nobody says anything to a node any more, a leader if there is one.
fn silence(rest: &mut [Seen]) {
    let leads = |seen: &&Seen| seen.status().is_some_and(|s| s.role == RoleKind::Leader);
    let id = rest.iter().find(leads).map_or(rest[0].id, |seen| seen.id);
    for seen in rest.iter_mut().filter(|seen| seen.id == id) {
        if let Recorded::Stepped { inputs, .. } = &mut seen.what {
            inputs.retain(|input| !matches!(input, Input::Message(_)));
        }
    }
}

/// A leader tells a peer to take over in place of what it sends it, and takes it that this goes on
/// for as long as it leads.
fn transfer(rest: &mut [Seen]) {
    let leads = |seen: &&mut Seen| seen.status().is_some_and(|s| s.role == RoleKind::Leader);
    let mut told = None;
    for seen in rest.iter_mut().filter(leads) {
        if told.is_some_and(|(id, _)| id != seen.id) {
            continue;
        }
        let Recorded::Stepped { before, actions, .. } = &mut seen.what else { continue };
        let appends = actions.iter_mut().find_map(|action| match action {
            Action::Send(e) if matches!(e.message, Message::AppendEntries(_)) => Some(e),
            _ => None,
        });
        match (told, appends) {
            (None, Some(envelope)) => {
                envelope.message = Message::TimeoutNow;
                told = Some((seen.id, envelope.to));
            }
            (None, None) => continue,
            (Some((_, to)), _) => before.transfers_to = Some(to),
        }
        let node = seen.nodes.get_mut(&seen.id).expect("it exists");
        Rc::make_mut(node).status.transfers_to = told.map(|(_, to)| to);
    }
}

/// A node refuses something that it took in, for a reason that may be none.
fn refuse(what: &mut Recorded, [nth, why]: [usize; 2]) {
    let Recorded::Stepped { inputs, actions, .. } = what else { return };
    let (at, last) = (LogIndex(1), LogIndex(0));
    let ignored = match why {
        0 => IgnoreReason::Stale,
        1 => IgnoreReason::Malformed,
        2 => IgnoreReason::Contradiction { at },
        3 => IgnoreReason::SecondLeader { first: NodeId(1) },
        4 => IgnoreReason::ImpossibleAcknowledgement { match_index: at, last },
        5 => IgnoreReason::Overloaded,
        6 => IgnoreReason::UnknownTicket,
        _ => IgnoreReason::UnknownPeer,
    };
    let input = &inputs[nth % inputs.len()];
    let rejected = match why {
        0 => RejectReason::NotLeader { leader: Some(NodeId(1)) },
        1 => RejectReason::TransferInProgress,
        2 => RejectReason::TooManyUncommitted { waiting: 1 },
        3 => RejectReason::TermNotCommitted,
        4 => RejectReason::ChangeInProgress,
        5 => RejectReason::TooManyReads,
        6 => RejectReason::LeaderChanged,
        _ => RejectReason::TimedOut,
    };
    match *input {
        Input::Propose { token, .. }
        | Input::Read { token, .. }
        | Input::ChangeMembership { token, .. }
        | Input::TransferLeadership { token, .. } => {
            return actions.push(Action::Rejected { token, reason: rejected });
        }
        _ => {}
    }
    let from = match input {
        Input::Message(envelope) => Some(envelope.from),
        _ => None,
    };
    actions.push(Action::Ignored { from, reason: ignored });
}

fn spoil_action(action: &mut Action, kind: usize, near_by: usize) {
    match action {
        Action::Apply { first, through } if kind.is_multiple_of(2) => {
            *first = LogIndex(near(first.get(), near_by));
            through.index = through.index.max(*first);
        }
        Action::Apply { through, .. } => through.term = Term(near(through.term.get(), near_by)),
        Action::Persist(write) => {
            if let Some(log) = &mut write.log {
                log.first = LogIndex(near(log.first.get(), 1).max(1));
            }
        }
        Action::Send(envelope) => match kind % 4 {
            0 => envelope.term = Term(near(envelope.term.get(), near_by)),
            1 => std::mem::swap(&mut envelope.from, &mut envelope.to),
            _ => match &mut envelope.message {
                Message::RequestVoteResponse(m) => m.verdict = Verdict::Granted,
                Message::PreVoteResponse(m) => m.verdict = Verdict::Granted,
                Message::AppendEntries(m) => m.commit = LogIndex(near(m.commit.get(), 0)),
                // An answer to a leader becomes a vote for somebody else.
                answer @ Message::AppendEntriesResponse(_) if near_by > 1 => {
                    let (verdict, last) = (Verdict::Granted, LogPosition::ZERO);
                    *answer = Message::RequestVoteResponse(RequestVoteResponse { verdict, last });
                    envelope.to = NodeId(envelope.to.get() % 3 + 1);
                    envelope.term = Term(envelope.term.get() + 1);
                }
                Message::AppendEntriesResponse(m) => {
                    if let AppendOutcome::Matched { match_index } = &mut m.outcome {
                        *match_index = LogIndex(near(match_index.get(), 0));
                    }
                    if let Some(echo) = &mut m.echo {
                        echo.promised *= 2;
                    }
                }
                other => *other = Message::TimeoutNow,
            },
        },
        _ => {}
    }
}

/// What a leader says of a peer.
fn spoil_peer(history: &mut [Seen], [kind, near_by, nth]: [usize; 3]) {
    let says = |seen: &Seen| {
        let hears = seen.inputs().iter().any(|input| matches!(input, Input::Message(_)));
        let peers = seen.node().node.as_ref().map_or(0, |node| node.peers.len());
        hears && peers > 0
    };
    let Some(seen) = history.iter_mut().find(|seen| says(seen)) else { return };
    let node = Rc::make_mut(seen.nodes.get_mut(&seen.id).expect("it exists"));
    let peers = &mut node.node.as_mut().expect("it says something").peers;
    let (count, near) = (peers.len(), |index: LogIndex| LogIndex(near(index.get(), near_by)));
    let peer = &mut peers[nth % count];
    match kind {
        0 if nth % 3 == 0 => peer.leaving = !peer.leaving,
        0 if nth % 3 == 1 => peer.caught_up = !peer.caught_up,
        0 => peer.next_index = near(peer.next_index),
        1 => peer.sent_through = near(peer.sent_through),
        _ => peer.match_index = near(peer.match_index),
    }
}

fn spoil_node(node: &mut TestNode, [kind, near_by, nth]: [usize; 3]) {
    let held = usize::try_from(node.log.last().index.get() - node.log.start().index.get());
    let index = held
        .ok()
        .filter(|held| *held > 0)
        .map(|held| LogIndex(node.log.start().index.get() + 1 + small(nth % held)));
    let status = &mut node.status;
    match kind {
        0..=2 => {
            let Some(index) = index else { return };
            let mut log = node.log.clone();
            let rest: Vec<_> = log.from(index).map(|(_, entry)| entry.clone()).collect();
            log.truncate(index);
            for (skip, mut entry) in rest.into_iter().enumerate() {
                if skip == 0 && kind == 0 {
                    entry.term = Term(near(entry.term.get(), near_by));
                }
                if !(skip == 0 && kind == 1 && near_by > 1) {
                    log.push(entry);
                }
            }
            node.log = log;
        }
        3 => status.role = RoleKind::Leader,
        4 if near_by == 0 => status.role = RoleKind::Candidate,
        4 => node.membership = Membership::empty(),
        5 => status.commit_index = LogIndex(near(status.commit_index.get(), near_by)),
        6 => status.term = Term(near(status.term.get(), near_by)),
        7 => status.last_applied = LogIndex(near(status.last_applied.get(), near_by)),
        8 => status.voted_for = Some(NodeId(1 + small(near_by))),
        9 => {
            node.stored.hard_state.voted_for = Some(NodeId(1 + small(near_by)));
        }
        10 => {
            let term = &mut node.stored.hard_state.current_term;
            *term = Term(near(term.get(), near_by));
        }
        11 => node.stored.hard_state.promised /= 2,
        12 => node.stored.log.truncate(index.unwrap_or(LogIndex(1))),
        13 if near_by == 0 => node.machine = Machine::default(),
        13 => {
            // It applies something that stands in no log.
            let _ = node.machine.apply(&entry(1, small(nth)));
        }
        14 => node.life += 1,
        16 => {
            let Some(node) = &mut node.node else { return };
            let config = &mut node.config;
            match nth % 4 {
                0 => config.max_entries_per_message = 0,
                1 => config.max_messages_in_flight = 0,
                2 => config.max_entries_in_flight = 0,
                _ => config.max_uncommitted = 0,
            }
        }
        17 => status.pending_reads += nth * nth,
        _ => {
            status.role = RoleKind::Leader;
            status.term = Term(near(status.term.get(), near_by));
            status.lease_until = Some(Instant::MAX);
        }
    }
}
