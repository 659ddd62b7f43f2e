//! Random runs of everything together: membership changes, transfers, reads, snapshots, crashes,
//! cuts, loss, reordering, slow disks and clocks that drift. The world checks after every step.

use crate::common::world::{Network, World};
use crate::common::{T, ms, voters};
use raft_core::{Consistency, Input, Membership, NodeId, RoleKind};

const NODES: u64 = 6;

fn runs() -> core::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse().ok());
    match (number("SEED"), number("RUNS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(runs)) => 0..runs,
        (None, None) => 0..300,
    }
}

/// A network between quiet and hostile.
fn network(world: &mut World) -> Network {
    let dice = &mut world.dice;
    Network {
        delay: (ms(1), ms(1 + [4, 30, 100][usize::try_from(dice.below(3)).expect("small")])),
        lost: [0, 20, 150][usize::try_from(dice.below(3)).expect("small")],
        twice: dice.below(50),
        late: [0, 10, 50][usize::try_from(dice.below(3)).expect("small")],
        together: [0, 300][usize::try_from(dice.below(2)).expect("small")],
    }
}

/// A membership that is one or more steps away from `from`.
fn target(world: &mut World, from: &Membership) -> Option<Membership> {
    let (mut voters, mut learners) = (Vec::new(), Vec::new());
    for id in world.ids() {
        let dice = &mut world.dice;
        let (as_voter, as_learner) = if from.voters().contains(&id) {
            if dice.one_in(5) { (false, dice.one_in(2)) } else { (true, false) }
        } else if from.contains(id) {
            if dice.one_in(2) { (true, false) } else { (false, !dice.one_in(6)) }
        } else {
            (dice.one_in(20), dice.one_in(3))
        };
        if as_voter {
            voters.push(id);
        } else if as_learner {
            learners.push(id);
        }
    }
    Membership::new(voters, [], learners).ok()
}

/// Something that an operator, a client or fate may do.
fn disturb(world: &mut World) {
    let ids = world.ids();
    let id = world.dice.pick(&ids).expect("not empty");
    // Most requests go where they are of use.
    let at = world.leader().filter(|_| !world.dice.one_in(4)).unwrap_or(id);
    match world.dice.below(30) {
        0..=7 if world.is_alive(at) => {
            let count = 1 + world.dice.below(5);
            let _ = world.propose(at, count);
        }
        8..=10 if world.is_alive(id) => {
            world.read(id, Consistency::ReadIndex);
        }
        11..=14 if world.is_alive(at) => {
            world.read(at, Consistency::Lease);
        }
        15..=16 if world.is_alive(at) => {
            let membership = world.node(at).membership().clone();
            if let Some(target) = target(world, &membership) {
                let _ = world.change(at, target);
            }
        }
        17 if world.is_alive(at) => {
            let to = Some(id).filter(|_| !world.dice.one_in(3));
            let _ = world.transfer(at, to);
        }
        18 if world.is_alive(id) => {
            let _ = world.input(id, Input::Campaign);
        }
        19 => world.begin_snapshot(id),
        20..=21 => world.finish_snapshot(id),
        22 => {
            let other = world.dice.pick(&ids).expect("not empty");
            world.cut(id, other);
            if world.dice.one_in(2) {
                world.cut(other, id);
            }
        }
        23 if world.dice.one_in(3) => world.isolate(id),
        24..=25 => world.heal(),
        26 if world.is_alive(id) && world.dice.one_in(2) => world.crash(id),
        27 if !world.is_alive(id) => world.restart(id),
        28 if world.is_alive(at) => {
            let _ = world.input(at, Input::PeerUnreachable { peer: id });
        }
        29 => {
            let slow = world.dice.one_in(2);
            world.host_mut(id).install_fails = world.dice.one_in(3);
            world.host_mut(id).prompt = !slow;
            if !slow && world.is_alive(id) {
                world.disk_completes(id, usize::MAX);
            }
        }
        _ => {}
    }
}

fn slow_disks_work(world: &mut World) {
    for id in world.ids() {
        let waiting = world.host(id).waiting_jobs() as u64;
        if waiting > 0 && world.is_alive(id) && world.dice.one_in(3) {
            let count = 1 + world.dice.below(waiting);
            world.disk_completes(id, usize::try_from(count).expect("small"));
        }
    }
}

fn run(seed: u64) -> World {
    let genesis = voters(&[1, 2, 3]);
    let mut world = World::new(seed, NODES, &genesis);
    world.drift(1000);
    world.network = network(&mut world);
    if world.dice.one_in(2) {
        let (entries, messages) = (1 + world.dice.below(4), 1 + world.dice.below(3));
        let most = 1 + world.dice.below(8);
        world.configure(|config| {
            config.max_entries_per_message = entries;
            config.max_messages_in_flight = usize::try_from(messages).expect("small");
            config.max_entries_in_flight = most;
            config.max_uncommitted = 40;
            config.max_pending_reads = 6;
            config.snapshot_timeout = T * 3;
        });
    }
    for _ in 0..300 {
        disturb(&mut world);
        slow_disks_work(&mut world);
        let pause = world.dice.below(200);
        world.run(ms(pause));
    }
    settle_down(&mut world);
    all_is_well(&mut world, seed);
    world
}

/// Everything is mended.
fn settle_down(world: &mut World) {
    world.heal();
    world.network = Network::CALM;
    for id in world.ids() {
        if !world.is_alive(id) {
            world.restart(id);
        }
        world.host_mut(id).prompt = true;
        world.host_mut(id).install_fails = false;
        while world.host(id).waiting_jobs() > 0 {
            world.disk_completes(id, usize::MAX);
        }
    }
    world.run(T * 25);
}

/// A leader serves, every change has been left, and all members hold the same.
fn all_is_well(world: &mut World, seed: u64) {
    let leader = world.leader().unwrap_or_else(|| panic!("seed {seed}: nobody leads"));
    let term = world.status(leader).term;
    let _ = world.propose(leader, 3);
    let read = world.read(leader, Consistency::ReadIndex);
    world.run(T);
    assert!(world.served.contains(&read), "seed {seed}: a read is not served");
    assert_eq!(world.status(leader).term, term, "seed {seed}: the leader stays");
    let membership = world.node(leader).membership().clone();
    assert!(!membership.is_joint(), "seed {seed}: {membership:?} is not left");
    let state = world.state_of(leader).clone();
    for id in membership.members() {
        assert_eq!(*world.state_of(id), state, "seed {seed}: {id:?} is behind");
    }
    let leads = |id: &NodeId| world.role(*id) == RoleKind::Leader;
    assert_eq!(world.ids().iter().filter(|id| leads(id)).count(), 1, "seed {seed}: one leader");
}

#[test]
fn in_random_runs_all_safety_rules_hold_and_the_cluster_recovers() {
    let (runs, mut sum) = (runs(), [0; 9]);
    let asked = runs.end - runs.start;
    for seed in runs {
        let counts = std::panic::catch_unwind(|| run(seed).counts);
        let counts = counts.unwrap_or_else(|_| panic!("seed {seed} fails, see above"));
        let of_run = [
            counts.reads_served,
            counts.leases_served,
            counts.reads_forwarded,
            counts.transfers_done,
            counts.memberships,
            counts.installs,
            counts.crashes,
            counts.lost,
            counts.elections,
        ];
        sum.iter_mut().zip(of_run).for_each(|(sum, n)| *sum += n);
    }
    // What is not reached is not tested.
    assert!(asked < 10 || sum.iter().all(|n| *n > asked / 4), "{sum:?}");
}
