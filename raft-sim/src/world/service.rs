//! Whether the cluster serves: whether there is a leader that can commit.

use crate::checker::sight::is_quorum;
use crate::host::client::Client;
use crate::plan::record::{Event, Sink, Violation};
use crate::world::World;
use crate::world::host::Host;
use raft_core::{NodeId, RoleKind, Term};

/// Whether somebody serves, and if nobody does, whether anybody could.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// This leader can commit.
    Serves(NodeId),
    /// Nobody does, though this node can win an election: it works, and is joined both ways with a
    /// quorum of nodes that work and whose logs are not ahead of its own.
    DidNot(NodeId),
    /// Nobody does, and nobody can.
    CouldNot,
}

/// For how many T a run may go on at its end until everything comes right.
const PATIENCE: u32 = 30;

/// For how many T the term must have stood still at the end of a run in which everything comes right.
const STILL: u32 = 4;

impl World {
    /// Who serves, or could.
    pub fn service(&self) -> Service {
        let could = || self.hosts.values().find(|host| self.can_win(host)).map(Host::id);
        match self.find_service() {
            Some(leader) => Service::Serves(leader),
            None => could().map_or(Service::CouldNot, Service::DidNot),
        }
    }

    /// Whether a node could win an election as things stand.
    fn can_win(&self, host: &Host) -> bool {
        let last = |host: &Host| host.process.as_ref().map(|process| process.status.last);
        let yes = self.hosts.values().filter(|other| {
            works(other)
                && self.network.joins(host.id(), other.id(), self.agenda.now())
                && last(other) <= last(host)
        });
        works(host)
            && host.membership().is_voter(host.id())
            && is_quorum(host.membership(), &yes.map(Host::id).collect())
    }

    /// The highest term of any node that runs.
    pub fn highest_term(&self) -> Term {
        let running = self.hosts.values().filter_map(|host| host.process.as_ref());
        running.map(|process| process.status.term).max().unwrap_or_default()
    }

    /// Writes down a change; asked for after every event.
    pub(super) fn observe_service(&mut self) {
        if !self.scribe.listens {
            return;
        }
        let leader = self.find_service();
        if leader != self.service {
            self.service = leader;
            self.tell(None, Event::Service { leader });
        }
    }

    /// Whether everything has come right: there is a leader, its term has stood still for a while,
    /// everybody whom it reaches has committed and applied the same, and no client waits. To be asked
    /// when nothing has changed for a long time. Where links are cut all that time there need not be a
    /// leader, if no node can win.
    ///
    /// # Errors
    ///
    /// What has not.
    pub fn converged(&self) -> Result<(), Violation> {
        let fails = |sentence| Err(self.violation("liveness", sentence));
        let leader = match self.service() {
            Service::Serves(leader) => leader,
            Service::DidNot(id) => {
                return fails(format!("there is no leader that can commit, and {id:?} could win"));
            }
            Service::CouldNot if self.network.is_whole(self.agenda.now()) => {
                return fails("no node can win an election any more".to_owned());
            }
            Service::CouldNot => return self.nobody_waits(),
        };
        let still = self.agenda.now().saturating_since(self.term_rose);
        if still < self.setup.election_timeout * STILL {
            let millis = still.as_millis();
            return fails(format!("the term rose {millis} ms ago, with nothing to make it rise"));
        }
        let process = |host: &'_ Host| host.process.as_ref().map(|process| process.status);
        let reference = process(&self.hosts[&leader]).expect("it leads");
        for host in self.hosts.values() {
            let Some(process) = &host.process else { continue };
            let reached = self.network.joins(leader, host.id(), self.agenda.now());
            if !reached || !self.hosts[&leader].membership().contains(host.id()) {
                continue;
            }
            let status = process.status;
            let mine = (status.term, status.last, status.commit_index);
            let all = (reference.term, reference.last, reference.last.index);
            if mine != all || process.machine.applied() != reference.last.index {
                return fails(format!("{status:?} has not caught up with {reference:?}"));
            }
            if status.pending_reads > 0 || !process.ready.is_empty() {
                return fails(format!("{:?} has reads that wait", host.id()));
            }
            if status.transfers_to.is_some() || status.membership_changes {
                return fails(format!("{status:?} has not finished what it was asked for"));
            }
        }
        self.nobody_waits()
    }

    /// Lets a run that has not [come right](Self::converged) at its end go on, T by T, for
    /// 30 T at most: elections are random, so no fixed time is enough for each.
    ///
    /// # Errors
    ///
    /// The violation that ends the run.
    pub fn wait_to_converge(
        &mut self,
        sink: &mut dyn Sink,
        look: &mut dyn FnMut(&Self),
    ) -> Result<(), Violation> {
        for _ in 0..PATIENCE {
            if self.is_beyond_repair() || self.converged().is_ok() {
                break;
            }
            let end = self.agenda.now().saturating_add(self.setup.election_timeout);
            while self.advance(end, sink)? {
                look(self);
            }
        }
        Ok(())
    }

    fn nobody_waits(&self) -> Result<(), Violation> {
        match self.clients.iter().position(Client::is_busy) {
            Some(nth) => Err(self.violation("liveness", format!("client {} still waits", nth + 1))),
            None => Ok(()),
        }
    }

    /// What is to be said of a run as a whole, once its time is over: whether what the clients saw can
    /// have happened one after another, and, where the run `converges`, whether everything has
    /// [come right](Self::converged). That is not asked of a run which [a loss excuses](Self::excuses),
    /// for it could not.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn conclude(&mut self, converges: bool) -> Result<(), Violation> {
        self.judge_history()?;
        if !converges {
            return Ok(());
        }
        let cause = self.excuses().next().map(|excuse| excuse.cause);
        self.excused = cause;
        if cause.is_some() {
            return Ok(());
        }
        if !self.network.is_whole(self.agenda.now()) {
            let serves = matches!(self.service(), Service::Serves(_));
            let seen = &mut self.exercised;
            *(if serves { &mut seen.settled_serving } else { &mut seen.settled_without }) += 1;
        }
        self.converged()
    }

    pub(super) fn find_service(&self) -> Option<NodeId> {
        let leaders = self.hosts.values().filter_map(|host| {
            let status = host.process.as_ref()?.status;
            (status.role == RoleKind::Leader && works(host)).then_some((status.term, host))
        });
        let serving = leaders.filter(|(term, leader)| {
            let follows = |host: &&Host| {
                works(host)
                    && self.network.joins(leader.id(), host.id(), self.agenda.now())
                    && host.process.as_ref().is_some_and(|process| process.status.term <= *term)
            };
            let reached = self.hosts.values().filter(follows).map(Host::id).collect();
            is_quorum(leader.membership(), &reached)
        });
        serving.max_by_key(|(term, _)| *term).map(|(_, host)| host.id())
    }
}

/// It runs, and its disk completes what it is given.
fn works(host: &Host) -> bool {
    host.runs() && !host.disk.is_hung()
}

#[cfg(test)]
mod tests {
    use super::Service;
    use crate::plan::choice::Choices;
    use crate::plan::fault::Fault;
    use crate::plan::profile::ClientSetup;
    use crate::plan::record::Nobody;
    use crate::plan::setup::Setup;
    use crate::world::World;
    use raft_core::{Instant, NodeId};
    use std::time::Duration;

    /// Which links are whole, by name; all others are cut, one way each.
    fn patterns(nodes: u64) -> Vec<(&'static str, Vec<(u64, u64)>)> {
        let all = || (1..=nodes).flat_map(move |a| (1..=nodes).map(move |b| (a, b)));
        let whole = |keep: &dyn Fn(u64, u64) -> bool| all().filter(|(a, b)| keep(*a, *b)).collect();
        vec![
            ("nothing is cut", whole(&|_, _| true)),
            ("S1 is alone", whole(&|a, b| a != 1 && b != 1)),
            ("S1 hears nobody", whole(&|_, b| b != 1)),
            ("nobody hears S1", whole(&|a, _| a != 1)),
            ("S1 and S2 do not meet", whole(&|a, b| a + b != 3)),
            ("S2 does not hear S1", whole(&|a, b| (a, b) != (1, 2))),
            ("all meet S3 only", whole(&|a, b| a == 3 || b == 3)),
            ("two halves and S3", whole(&|a, b| a == 3 || b == 3 || (a < 3) == (b < 3))),
            ("a ring", whole(&|a, b| a.abs_diff(b) == 1 || a.abs_diff(b) == nodes - 1)),
            ("one way round", whole(&|a, b| b == a % nodes + 1)),
            ("nothing is whole", Vec::new()),
        ]
    }

    /// Two seconds of peace, then a pattern for ever, with clients or without.
    fn settled(nodes: u64, whole: &[(u64, u64)], busy: bool) -> Setup {
        let mut setup = Setup::of_voters(nodes);
        setup.election_timeout = Duration::from_millis(200);
        setup.heartbeat_interval = Duration::from_millis(20);
        let from = Instant::from_nanos(2_000_000_000);
        for (a, b) in (1..=nodes).flat_map(|a| (1..=nodes).map(move |b| (a, b))) {
            if a != b && !whole.contains(&(a, b)) {
                let (from_node, to) = (NodeId(a), NodeId(b));
                setup.timeline.push((from, Fault::Cut { from: from_node, to }));
            }
        }
        if busy {
            setup.clients.push(ClientSetup::default());
        }
        setup
    }

    #[test]
    fn whoever_can_win_does_and_then_the_term_stands_still() {
        let (mut served, mut could_not) = (0, 0);
        for (nodes, busy) in [(3, false), (3, true), (5, false), (5, true)] {
            for (name, whole) in patterns(nodes) {
                for seed in 0..3 {
                    let setup = settled(nodes, &whole, busy);
                    let mut world = World::new(&setup, Choices::seeded(seed)).expect("sense");
                    let what = format!("{name}, {nodes} nodes, seed {seed}");
                    let at = |timeouts: u64| Instant::from_nanos(timeouts * 200_000_000);
                    // Ten of peace, and twenty to settle.
                    assert_eq!(world.run_until(at(30), &mut Nobody), Ok(()), "{what}");
                    let (then, term) = (world.service(), world.highest_term());
                    assert_eq!(world.run_until(at(60), &mut Nobody), Ok(()), "{what}");
                    assert!(!matches!(then, Service::DidNot(_)), "{what}: {then:?}");
                    assert_eq!(world.service(), then, "{what}");
                    assert_eq!(world.highest_term(), term, "{what}");
                    match then {
                        Service::Serves(_) => served += 1,
                        _ => could_not += 1,
                    }
                }
            }
        }
        assert!(served > 75 && could_not > 20, "{served} served, {could_not} could not");
    }

    /// What is wrong after so many T, of 200 ms each.
    fn wrong_after(setup: &Setup, timeouts: u64) -> Option<String> {
        let mut world = World::new(setup, Choices::seeded(1)).expect("sense");
        let until = Instant::from_nanos(timeouts * 200_000_000);
        assert_eq!(world.run_until(until, &mut Nobody), Ok(()));
        world.converged().err().map(|violation| violation.sentence)
    }

    #[test]
    fn where_links_stay_cut_those_have_caught_up_whom_the_leader_reaches() {
        let mut alone = settled(3, &[(2, 3), (3, 2)], true);
        alone.clients[0].stop = Instant::from_nanos(6_000_000_000);
        assert_eq!(wrong_after(&alone, 60), None, "S1 lacks what was written since");
        assert_eq!(wrong_after(&settled(3, &[], false), 60), None, "nobody can win");
        let mut stopped = settled(3, &[(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)], false);
        for node in [1, 2].map(NodeId) {
            stopped.timeline.push((Instant::from_nanos(2_000_000_000), Fault::Pause { node }));
        }
        let wrong = wrong_after(&stopped, 60).expect("with every link whole somebody must lead");
        assert!(wrong.contains("no node can win an election any more"), "{wrong}");
    }

    #[test]
    fn a_term_that_has_just_risen_does_not_stand_still() {
        let mut setup = settled(3, &[(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)], false);
        let transfer = Fault::Transfer { node: None, to: None };
        setup.timeline.push((Instant::from_nanos(9_800_000_000), transfer));
        let wrong = wrong_after(&setup, 50).expect("a transfer raises the term");
        assert!(wrong.starts_with("the term rose"), "{wrong}");
        assert_eq!(wrong_after(&setup, 60), None);
    }

    #[test]
    fn an_idle_group_comes_right_by_itself() {
        let cut = [(1, 1)];
        for seed in 0..10 {
            let mut setup = settled(5, &cut, false);
            setup.timeline.push((Instant::from_nanos(5_000_000_000), Fault::HealAll));
            let mut world = World::new(&setup, Choices::seeded(seed)).expect("sense");
            let dark = Instant::from_nanos(4_900_000_000);
            assert_eq!(world.run_until(dark, &mut Nobody), Ok(()));
            assert_eq!(world.service(), Service::CouldNot);
            assert_eq!(world.run(&mut Nobody).verdict, Ok(()));
            assert_eq!(world.converged(), Ok(()), "seed {seed}");
        }
    }
}
