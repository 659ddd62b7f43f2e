//! Whether the cluster serves: whether there is a leader that can commit.

use crate::checker::sight::is_quorum;
use crate::world::host::{Host, Process};
use crate::world::hosts::Hosts;
use crate::world::network::Network;
use raft_core::{Instant, NodeId, RoleKind};

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

impl Service {
    /// Who serves, or could.
    pub(super) fn of(hosts: &Hosts, network: &Network, now: Instant) -> Self {
        let could = || hosts.iter().find(|host| can_win(host, hosts, network, now)).map(Host::id);
        match leader(hosts, network, now) {
            Some(leader) => Self::Serves(leader),
            None => could().map_or(Self::CouldNot, Self::DidNot),
        }
    }
}

/// The leader that can commit, see [`Event::Service`](crate::plan::record::Event::Service).
pub(super) fn leader(hosts: &Hosts, network: &Network, now: Instant) -> Option<NodeId> {
    serving(hosts, network, now).map(|(host, _)| host.id())
}

/// The same, with its process.
pub(super) fn serving<'a>(
    hosts: &'a Hosts,
    network: &Network,
    now: Instant,
) -> Option<(&'a Host, &'a Process)> {
    let leaders = hosts.iter().filter_map(|host| {
        let process = host.process.as_ref()?;
        (process.status.role == RoleKind::Leader && works(host)).then_some((host, process))
    });
    let serving = leaders.filter(|(leader, leading)| {
        let follows = |host: &&Host| {
            let term = leading.status.term;
            works(host)
                && network.joins(leader.id(), host.id(), now)
                && host.process.as_ref().is_some_and(|process| process.status.term <= term)
        };
        let reached = hosts.iter().filter(follows).map(Host::id).collect();
        is_quorum(leader.membership(), &reached)
    });
    serving.max_by_key(|(_, process)| process.status.term)
}

/// Whether a node could win an election as things stand.
fn can_win(host: &Host, hosts: &Hosts, network: &Network, now: Instant) -> bool {
    let last = |host: &Host| host.process.as_ref().map(|process| process.status.last);
    let yes = hosts.iter().filter(|other| {
        works(other) && network.joins(host.id(), other.id(), now) && last(other) <= last(host)
    });
    works(host) && host.may_campaign() && is_quorum(host.membership(), &yes.map(Host::id).collect())
}

/// It runs, and its disk completes what it is given.
fn works(host: &Host) -> bool {
    host.runs() && !host.disk.is_hung()
}

#[cfg(test)]
mod tests {
    use super::Service;
    use crate::plan::act::{Act, DiskAct, LinkAct, ProcessAct, RequestAct};
    use crate::plan::choice::Choices;
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
                setup.timeline.push((from, Act::Link(LinkAct::Cut { from: from_node, to })));
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
        let then = Instant::from_nanos(2_000_000_000);
        let mut gone = stopped.clone();
        for node in [1, 2].map(NodeId) {
            stopped.timeline.push((then, Act::Process(ProcessAct::Pause { node })));
            gone.timeline.push((then, Act::Disk(DiskAct::Destroy { node })));
        }
        assert_eq!(wrong_after(&stopped, 60), None, "they could go on, and then somebody leads");
        let wrong = wrong_after(&gone, 60).expect("with all that is left repaired nobody can win");
        assert!(wrong.contains("no node can win an election any more"), "{wrong}");
    }

    #[test]
    fn a_term_that_has_just_risen_does_not_stand_still() {
        let mut setup = settled(3, &[(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)], false);
        let transfer = Act::Request(RequestAct::Transfer { node: None, to: None });
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
            setup.timeline.push((Instant::from_nanos(5_000_000_000), Act::Link(LinkAct::HealAll)));
            let mut world = World::new(&setup, Choices::seeded(seed)).expect("sense");
            let dark = Instant::from_nanos(4_900_000_000);
            assert_eq!(world.run_until(dark, &mut Nobody), Ok(()));
            assert_eq!(world.service(), Service::CouldNot);
            assert_eq!(world.run(&mut Nobody).verdict, Ok(()));
            assert_eq!(world.converged(), Ok(()), "seed {seed}");
        }
    }
}
