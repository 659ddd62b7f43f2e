//! A run as something from which parts can be left out.

use crate::plan::change::Change;
use crate::plan::choice::Answers;
use crate::plan::fault::Fault;
use crate::plan::record::Violation;
use crate::plan::setup::{Setup, SetupError};
use crate::plan::topology::{Shape, Whom};
use raft_core::{Instant, Membership, NodeId};
use std::ops::Range;
use std::time::Duration;

/// A run: its setup and the decisions that are not calm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// What it is.
    pub setup: Setup,
    /// What is decided otherwise than calmly.
    pub answers: Answers,
    /// See [`Trial::converges`](crate::run::trial::Trial::converges).
    pub converges: bool,
}

/// How big a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// How many things happen until the property is broken.
    pub events: u64,
    /// The nodes.
    pub nodes: usize,
    /// The clients.
    pub clients: usize,
    /// The faults.
    pub faults: usize,
    /// The decisions; of a script those that are not calm.
    pub decisions: usize,
    /// The simulated time.
    pub duration: Duration,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shrunk {
    /// The smaller run.
    pub case: Case,
    /// What it breaks.
    pub violation: Violation,
    /// How big the run was.
    pub before: Size,
    /// How big it is now.
    pub after: Size,
    /// How many runs it took.
    pub runs: u64,
    /// Whether it was tried for each fault, client, node and decision that is left, alone, to leave it
    /// out; if not, the budget had ended before.
    pub minimal: bool,
}

/// Why nothing can be shrunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ShrinkError {
    /// The run is good.
    #[error("no property is broken in this run: there is nothing to shrink")]
    Clean,
    /// The setup makes no sense.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl Case {
    /// How big it is, with so many events.
    pub fn size(&self, events: u64) -> Size {
        Size {
            events,
            nodes: self.setup.nodes.len(),
            clients: self.setup.clients.len(),
            faults: self.setup.timeline.len(),
            decisions: self.answers.len(),
            duration: self.setup.duration,
        }
    }

    /// The same with more time to fail, where the end is not what is judged.
    pub(super) fn longer(&self) -> Self {
        let mut case = self.clone();
        case.setup.duration *= if self.converges { 1 } else { 2 };
        case
    }

    /// Which faults may go. Where everything must come right at the end, what is done at the last
    /// moment ends the faults, and stays as long as there is something that it ends.
    pub(super) fn removable(&self) -> Vec<usize> {
        let timeline = &self.setup.timeline;
        let last = timeline.last().map_or(Instant::ZERO, |(at, _)| *at);
        let storm = timeline.partition_point(|(at, _)| *at < last);
        let stays = |(at, fault): &(Instant, Fault)| {
            self.converges && *at == last && ends_something(fault, &self.setup, storm)
        };
        (0..timeline.len()).filter(|nth| !stays(&timeline[*nth])).collect()
    }

    pub(super) fn faults(&self) -> usize {
        self.removable().len()
    }

    #[expect(clippy::unnecessary_wraps, reason = "one signature for all parts")]
    pub(super) fn without_faults(&self, part: Range<usize>) -> Option<Self> {
        let gone = &self.removable()[part];
        let kept = self.setup.timeline.iter().enumerate().filter(|(nth, _)| !gone.contains(nth));
        let timeline = kept.map(|(_, entry)| entry.clone()).collect();
        Some(Self { setup: Setup { timeline, ..self.setup.clone() }, ..self.clone() })
    }

    pub(super) fn clients(&self) -> usize {
        self.setup.clients.len()
    }

    #[expect(clippy::unnecessary_wraps, reason = "one signature for all parts")]
    pub(super) fn without_clients(&self, part: Range<usize>) -> Option<Self> {
        let mut case = self.clone();
        case.setup.clients.drain(part);
        Some(case)
    }

    pub(super) fn decisions(&self) -> usize {
        self.answers.len()
    }

    #[expect(clippy::unnecessary_wraps, reason = "one signature for all parts")]
    pub(super) fn without_decisions(&self, part: Range<usize>) -> Option<Self> {
        let kept = (0..).zip(self.answers.iter()).filter(|(nth, _)| !part.contains(nth));
        let answers = kept.map(|(_, answer)| answer).collect();
        Some(Self { answers, ..self.clone() })
    }

    pub(super) fn nodes(&self) -> usize {
        self.setup.nodes.len()
    }

    /// Without these nodes; those that are left are numbered anew, in the same order. `None` if no
    /// voter would be left.
    pub(super) fn without_nodes(&self, part: Range<usize>) -> Option<Self> {
        let gone: Vec<NodeId> = self.setup.nodes[part].iter().map(|node| node.id).collect();
        let mut kept: Vec<NodeId> = self.setup.nodes.iter().map(|node| node.id).collect();
        kept.retain(|id| !gone.contains(id));
        kept.sort_unstable();
        let name = |id: NodeId| {
            let at = kept.binary_search(&id).ok()?;
            Some(NodeId(u64::try_from(at).ok()? + 1))
        };
        let mut case = self.clone();
        let setup = &mut case.setup;
        setup.membership = renamed(&setup.membership, &name).filter(|m| !m.is_empty())?;
        setup.nodes.retain(|node| !gone.contains(&node.id));
        for node in &mut setup.nodes {
            node.id = name(node.id)?;
            if let Some(given) = &mut node.membership
                && !given.is_empty()
            {
                *given = renamed(given, &name)?;
            }
            node.hard_state.voted_for = node.hard_state.voted_for.and_then(name);
        }
        for client in &mut setup.clients {
            client.home = client.home.and_then(name);
        }
        let links = std::mem::take(&mut setup.links).into_iter();
        setup.links =
            links.filter_map(|((from, to), link)| Some(((name(from)?, name(to)?), link))).collect();
        let timeline = std::mem::take(&mut setup.timeline).into_iter();
        setup.timeline =
            timeline.filter_map(|(at, fault)| Some((at, renamed_fault(fault, &name)?))).collect();
        Some(case)
    }
}

/// Whether a repair undoes one of the first `storm` faults, or what is bad from the start.
fn ends_something(repair: &Fault, setup: &Setup, storm: usize) -> bool {
    let (link, disk, longest) = (setup.link, setup.disk, setup.election_timeout / 10);
    let mut faults = setup.timeline[..storm].iter().map(|(_, fault)| fault);
    match repair {
        Fault::HealAll => faults.any(|fault| {
            matches!(
                fault,
                Fault::Cut { .. }
                    | Fault::Isolate { .. }
                    | Fault::Reach { .. }
                    | Fault::Flap { .. }
                    | Fault::DropKind { .. }
            )
        }),
        Fault::SetLink { .. } => {
            link.loss_ppm > 0
                || link.duplicate_ppm > 0
                || link.max_delay > longest
                || !setup.links.is_empty()
                || faults.any(|fault| matches!(fault, Fault::SetLink { .. }))
        }
        Fault::SetDisk { node, .. } => {
            disk.max_latency > longest
                || faults.any(|fault| matches!(fault, Fault::SetDisk { node: n, .. } if n == node))
        }
        // A node may be down for many reasons, of which some name it.
        Fault::ReleaseDisk { node }
        | Fault::FreeDisk { node }
        | Fault::Resume { node }
        | Fault::Restart { node } => faults.any(|fault| fault.nodes().contains(node)),
        _ => false,
    }
}

fn renamed(
    membership: &Membership,
    name: &impl Fn(NodeId) -> Option<NodeId>,
) -> Option<Membership> {
    let names = |ids: &[NodeId]| ids.iter().filter_map(|id| name(*id)).collect::<Vec<_>>();
    let outgoing = names(membership.outgoing());
    Membership::new(names(membership.voters()), outgoing, names(membership.learners())).ok()
}

/// A fault with other names; `None` if it names somebody who is gone.
fn renamed_fault(fault: Fault, name: &impl Fn(NodeId) -> Option<NodeId>) -> Option<Fault> {
    let asked = |node: Option<NodeId>| match node {
        None => Some(None),
        Some(node) => name(node).map(Some),
    };
    Some(match fault {
        Fault::Cut { from, to } => Fault::Cut { from: name(from)?, to: name(to)? },
        Fault::Heal { from, to } => Fault::Heal { from: name(from)?, to: name(to)? },
        Fault::HealAll => Fault::HealAll,
        Fault::Isolate { node } => Fault::Isolate { node: name(node)? },
        Fault::Reach { shape } => Fault::Reach { shape: renamed_shape(shape, name)? },
        Fault::Flap { from, to, period } => {
            Fault::Flap { from: name(from)?, to: name(to)?, period }
        }
        Fault::Crash { node } => Fault::Crash { node: name(node)? },
        Fault::CrashInStep { node } => Fault::CrashInStep { node: name(node)? },
        Fault::Restart { node } => Fault::Restart { node: name(node)? },
        Fault::Pause { node } => Fault::Pause { node: name(node)? },
        Fault::Resume { node } => Fault::Resume { node: name(node)? },
        Fault::HangDisk { node } => Fault::HangDisk { node: name(node)? },
        Fault::ReleaseDisk { node } => Fault::ReleaseDisk { node: name(node)? },
        Fault::FillDisk { node, room } => Fault::FillDisk { node: name(node)?, room },
        Fault::FreeDisk { node } => Fault::FreeDisk { node: name(node)? },
        Fault::SetDisk { node, profile } => Fault::SetDisk { node: name(node)?, profile },
        Fault::Damage { node, part } => Fault::Damage { node: name(node)?, part },
        Fault::Destroy { node } => Fault::Destroy { node: name(node)? },
        Fault::Hostile { node, what } => Fault::Hostile { node: name(node)?, what },
        Fault::Campaign { node } => Fault::Campaign { node: name(node)? },
        Fault::Propose { node, count } => Fault::Propose { node: name(node)?, count },
        Fault::Read { node, consistency } => Fault::Read { node: name(node)?, consistency },
        Fault::ChangeMembership { node, change } => {
            let change = match change {
                Change::To(target) => Change::To(renamed(&target, name)?),
                Change::AddLearner(node) => Change::AddLearner(name(node)?),
                Change::Promote(node) => Change::Promote(name(node)?),
                Change::Demote(node) => Change::Demote(name(node)?),
                Change::Remove(node) => Change::Remove(name(node)?),
                Change::Replace { old, new } => {
                    Change::Replace { old: name(old)?, new: name(new)? }
                }
            };
            Fault::ChangeMembership { node: asked(node)?, change }
        }
        Fault::Transfer { node, to } => Fault::Transfer { node: asked(node)?, to: asked(to)? },
        Fault::TakeSnapshot { node } => Fault::TakeSnapshot { node: name(node)? },
        Fault::Unreachable { node, peer } => {
            Fault::Unreachable { node: name(node)?, peer: name(peer)? }
        }
        Fault::SetClock { node, ppm } => Fault::SetClock { node: name(node)?, ppm },
        Fault::JumpClock { node, millis } => Fault::JumpClock { node: name(node)?, millis },
        Fault::Wipe { node } => Fault::Wipe { node: name(node)? },
        Fault::SetLink { from, to, profile } => {
            Fault::SetLink { from: name(from)?, to: name(to)?, profile }
        }
        Fault::DropKind { from, to, kind } => {
            Fault::DropKind { from: name(from)?, to: name(to)?, kind }
        }
        Fault::PassKind { from, to, kind } => {
            Fault::PassKind { from: name(from)?, to: name(to)?, kind }
        }
    })
}

/// A shape without those who are gone; `None` if it was about one of them alone.
fn renamed_shape(shape: Shape, name: &impl Fn(NodeId) -> Option<NodeId>) -> Option<Shape> {
    let group = |nodes: Vec<NodeId>| nodes.into_iter().filter_map(name).collect::<Vec<_>>();
    let whom = |whom: Whom| match whom {
        Whom::Node(node) => name(node).map(Whom::Node),
        Whom::Leader => Some(Whom::Leader),
    };
    Some(match shape {
        Shape::Only(links) => {
            let links = links.into_iter();
            Shape::Only(links.filter_map(|(a, b)| Some((name(a)?, name(b)?))).collect())
        }
        Shape::Isolated(node) => Shape::Isolated(whom(node)?),
        Shape::Deaf(node) => Shape::Deaf(whom(node)?),
        Shape::Mute(node) => Shape::Mute(whom(node)?),
        Shape::Split(groups) => {
            let groups = groups.into_iter().map(group).filter(|group| !group.is_empty());
            Shape::Split(Some(groups.collect::<Vec<_>>()).filter(|groups| groups.len() > 1)?)
        }
        Shape::Bridge { over, halves } => {
            Shape::Bridge { over: name(over)?, halves: halves.map(group) }
        }
        Shape::Ring(order) => Shape::Ring(Some(group(order)).filter(|order| order.len() > 1)?),
        Shape::Chain(order) => Shape::Chain(Some(group(order)).filter(|order| order.len() > 1)?),
    })
}

#[cfg(test)]
mod tests {
    use super::Case;
    use crate::plan::change::Change;
    use crate::plan::choice::{Answers, Choices};
    use crate::plan::fault::Fault;
    use crate::plan::setup::Setup;
    use crate::run::swarm;
    use crate::scenario::model::{Scenario, Script};
    use crate::scenario::write;
    use crate::scenario::write::Words;
    use raft_core::{Instant, Membership, NodeId};

    fn case(seed: u64) -> Case {
        let setup = swarm::draw_setup(&mut Choices::seeded(seed));
        Case { setup, answers: Answers::default(), converges: false }
    }

    /// Writes and reads.
    fn there_and_back(setup: &Setup) -> Setup {
        let calm = Script::Answers(Answers::default());
        let text = write(Words::default(), setup, &calm, false).expect("it has words");
        let read = Scenario::read("x", "x.toml", &text);
        let scenario = read.unwrap_or_else(|error| panic!("{error}"));
        scenario.setup(setup.protection)
    }

    #[test]
    fn a_cluster_without_a_node_is_one_whose_nodes_are_numbered_without_gaps() {
        for seed in 0..300 {
            let case = case(seed);
            for nth in 0..case.nodes() {
                let id = case.setup.nodes[nth].id;
                let Some(less) = case.without_nodes(nth..nth + 1) else {
                    assert!(case.setup.membership.is_lone_voter(id));
                    continue;
                };
                assert_eq!(less.setup.check(), Ok(()), "seed {seed} without {id:?}");
                let ids: Vec<_> = less.setup.nodes.iter().map(|node| node.id.get()).collect();
                assert!((1..).zip(&ids).all(|(id, name)| id == *name), "{ids:?}");
                let named = |(_, fault): &&(_, Fault)| fault.nodes().contains(&id);
                let named = case.setup.timeline.iter().filter(named).count();
                let left = case.setup.timeline.len() - named;
                assert!((left..left + named).contains(&less.setup.timeline.len()));
                assert_eq!(there_and_back(&less.setup), less.setup);
            }
        }
    }

    #[test]
    fn who_is_left_keeps_its_part() {
        let mut case = case(0);
        case.setup = Setup::of_voters(4);
        let target = Membership::new([2, 4].map(NodeId), [], [NodeId(3)]).expect("valid");
        let change = Fault::ChangeMembership { node: Some(NodeId(4)), change: Change::To(target) };
        let lost = Fault::Transfer { node: None, to: Some(NodeId(3)) };
        case.setup.timeline = vec![(Instant::ZERO, change), (Instant::ZERO, lost)];
        let less = case.without_nodes(2..3).expect("three are left");
        let target = Membership::new([2, 3].map(NodeId), [], []).expect("valid");
        let change = Fault::ChangeMembership { node: Some(NodeId(3)), change: Change::To(target) };
        assert_eq!(less.setup.timeline, [(Instant::ZERO, change)]);
    }

    #[test]
    fn the_quiet_end_of_a_run_that_must_come_right_stays() {
        let mut case = case(3);
        let all = case.setup.timeline.len();
        let end = Instant::ZERO.saturating_add(swarm::STORM);
        let storm = case.setup.timeline.partition_point(|(at, _)| *at < end);
        assert!(all - storm > case.nodes() * case.nodes());
        assert_eq!(case.faults(), all);
        case.converges = true;
        let named = |node| {
            case.setup.timeline[..storm].iter().any(|(_, fault)| fault.nodes().contains(&node))
        };
        let restarts = |nth: &usize| match case.setup.timeline[*nth].1 {
            Fault::Restart { node } => *nth >= storm && named(node),
            _ => false,
        };
        assert!((storm..all).filter(restarts).count() > 1);
        assert!(!case.removable().iter().any(restarts), "who was away comes back");
        assert!((0..storm).all(|nth| case.removable().contains(&nth)));
        // Without the faults there is nothing to end.
        case.setup.timeline.drain(..storm);
        (case.setup.link, case.setup.disk) = Default::default();
        assert_eq!(case.faults(), all - storm);
    }
}
