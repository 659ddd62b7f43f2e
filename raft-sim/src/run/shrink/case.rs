//! A run as something from which parts can be left out.

use crate::plan::act::any::Act;
use crate::plan::act::{DiskAct, LinkAct};
use crate::plan::change::renamed;
use crate::plan::choice::Answers;
use crate::plan::record::Violation;
use crate::plan::setup::{Setup, SetupError};
use raft_core::{Instant, NodeId};
use std::ops::Range;
use std::time::Duration;

/// A run: its setup and the decisions that are not the default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// What it is.
    pub setup: Setup,
    /// What is decided otherwise than by default.
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
    /// The decisions; of a script those that are not the default.
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
    /// Whether it was tried for each fault, client, node and decision that is left, alone, to leave
    /// it out; if not, the budget was spent before.
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

    /// Which faults may go. Where the cluster must converge at the end, what is done at the last
    /// moment ends the faults, and stays as long as there is something that it ends.
    pub(super) fn removable(&self) -> Vec<usize> {
        let timeline = &self.setup.timeline;
        let last = timeline.last().map_or(Instant::ZERO, |(at, _)| *at);
        let storm = timeline.partition_point(|(at, _)| *at < last);
        let stays = |(at, fault): &(Instant, Act)| {
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
            timeline.filter_map(|(at, fault)| Some((at, fault.renamed(&name)?))).collect();
        Some(case)
    }
}

/// Whether a repair undoes one of the first `storm` acts, or what is bad from the start.
fn ends_something(repair: &Act, setup: &Setup, storm: usize) -> bool {
    let (link, disk, longest) = (setup.link, setup.disk, setup.election_timeout / 10);
    let bad_from_the_start = match repair {
        Act::Link(LinkAct::SetLink { .. }) => {
            link.loss_ppm > 0
                || link.duplicate_ppm > 0
                || link.max_delay > longest
                || !setup.links.is_empty()
        }
        Act::Disk(DiskAct::SetDisk { .. }) => disk.max_latency > longest,
        _ => false,
    };
    bad_from_the_start || setup.timeline[..storm].iter().any(|(_, act)| repair.undoes(act))
}

#[cfg(test)]
mod tests {
    use super::Case;
    use crate::plan::act::{Act, ProcessAct, RequestAct};
    use crate::plan::change::MembershipChange;
    use crate::plan::choice::{Answers, Choices};
    use crate::plan::setup::Setup;
    use crate::run::swarm;
    use crate::scenario::model::{Scenario, Script};
    use crate::scenario::write;
    use crate::scenario::write::Words;
    use raft_core::{Instant, Membership, NodeId};
    use std::collections::BTreeSet;

    fn case(seed: u64) -> Case {
        let setup = swarm::draw_setup(&mut Choices::seeded(seed));
        Case { setup, answers: Answers::default(), converges: false }
    }

    /// Writes and reads.
    fn there_and_back(setup: &Setup) -> Setup {
        let default = Script::Answers(Answers::default());
        let text = write(Words::default(), setup, &default, false).expect("it has words");
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
                let named = |(_, fault): &&(_, Act)| fault.nodes().contains(&id);
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
        let change = Act::Request(RequestAct::ChangeMembership {
            node: Some(NodeId(4)),
            change: MembershipChange::To(target),
        });
        let lost = Act::Request(RequestAct::Transfer { node: None, to: Some(NodeId(3)) });
        case.setup.timeline = vec![(Instant::ZERO, change), (Instant::ZERO, lost)];
        let less = case.without_nodes(2..3).expect("three are left");
        let target = Membership::new([2, 3].map(NodeId), [], []).expect("valid");
        let change = Act::Request(RequestAct::ChangeMembership {
            node: Some(NodeId(3)),
            change: MembershipChange::To(target),
        });
        assert_eq!(less.setup.timeline, [(Instant::ZERO, change)]);
    }

    #[test]
    fn the_quiet_end_of_a_run_that_must_come_right_stays() {
        // One in whose storm two nodes had faults.
        let end = Instant::ZERO.saturating_add(swarm::STORM);
        let hurt = |case: &Case| {
            let storm = case.setup.timeline.iter().take_while(|(at, _)| *at < end);
            let hurt: BTreeSet<NodeId> = storm.flat_map(|(_, act)| act.nodes()).collect();
            hurt.len() > 1
        };
        let mut case = (3..100).map(case).find(hurt).expect("most are like that");
        let all = case.setup.timeline.len();
        let storm = case.setup.timeline.partition_point(|(at, _)| *at < end);
        assert!(all - storm > case.nodes() * case.nodes());
        assert_eq!(case.faults(), all);
        case.converges = true;
        let named = |node| {
            let mut faults = case.setup.timeline[..storm].iter().map(|(_, fault)| fault);
            faults.any(|fault| fault.nodes().contains(&node) || matches!(fault, Act::Aimed(_)))
        };
        let restarts = |nth: &usize| match case.setup.timeline[*nth].1 {
            Act::Process(ProcessAct::Restart { node }) => *nth >= storm && named(node),
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
