//! Time is an argument, and it may be any.

use crate::common::{S2, Setup, Solo, T, ms, says, voters};
use core::time::Duration;
use raft_core::{
    Config, ConfigError, IgnoreReason, Input, Instant, Node, Recovered, RejectReason, RoleKind,
    StartError, Token,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn a_clock_that_runs_backwards_stands_still() {
    let mut node = Solo::of(3);
    node.now = Instant::ZERO.saturating_add(3 * T);
    let _ = node.hears(S2, 1, says::hello(1));
    node.now = Instant::ZERO;
    assert!(node.wake().is_empty());
    let mut other = node.clone();
    other.now = Instant::ZERO.saturating_add(3 * T);
    let (back, still) = (node.hears(S2, 1, says::hello(2)), other.hears(S2, 1, says::hello(2)));
    assert_eq!(back, still);
    node.now = other.now;
    assert_eq!((node.wake(), node.node), (other.wake(), other.node), "once it has caught up");
}

#[test]
fn an_early_or_repeated_wake_up_is_harmless() {
    let mut node = Solo::of(3);
    let before = node.node.clone();
    for _ in 0..10 {
        assert!(node.wake().is_empty());
    }
    assert_eq!(node.node, before);
    let _ = node.time_out();
    let again = node.wake();
    assert!(again.is_empty(), "one deadline, one deed");
}

#[test]
fn a_late_wake_up_does_what_is_due_once() {
    let mut leader = Solo::leader_of(3);
    let _ = leader.pass(ms(730));
    assert_eq!(leader.wake().sent().len(), 2, "one heartbeat to each, not seven");
    let mut leader = Solo::leader_of(3);
    let slept = leader.pass(10 * T).wake();
    assert_eq!((leader.role(), slept.sent()), (RoleKind::Follower, vec![]), "it speaks no more");
}

#[test]
fn only_a_wake_up_acts_on_a_deadline() {
    let mut node = Solo::of(3);
    let _ = node.pass(10 * T);
    let heard = node.hears(S2, 1, says::hello(1));
    assert_eq!(node.role(), RoleKind::Follower, "the heartbeat lay in the queue");
    assert!(heard.answer().is_some());
    assert!(node.wake().is_empty(), "and the election timer is reset");
}

#[test]
fn the_end_of_the_clocks_range_is_refused() {
    let recovered = || Recovered::fresh(voters(&[1, 2, 3]));
    let config = || Config::new(raft_core::NodeId(1), 7).with_election_timeout(T);
    let end = |from_end: Duration| {
        let from_end = u64::try_from(from_end.as_nanos()).expect("short");
        Instant::from_nanos(u64::MAX - from_end)
    };
    let error = StartError::Config(ConfigError::ClockOutOfRange);
    for at in [end((2 * DAY).saturating_sub(Duration::from_nanos(1))), end(DAY), Instant::MAX] {
        assert_eq!(Node::new(config(), recovered(), at).err(), Some(error));
        let mut node = Solo::of(3);
        let before = node.node.clone();
        node.now = at;
        let late = IgnoreReason::ClockOutOfRange;
        assert_eq!(node.wake().ignored(), [late]);
        assert_eq!(node.hears(S2, 1, says::hello(1)).ignored(), [late]);
        assert_eq!(node.propose(1).rejected(), [RejectReason::ClockOutOfRange]);
        assert_eq!(node.node, before, "even the clock is as it was");
    }
    let last = end(2 * DAY);
    let node = Node::new(config(), recovered(), last).expect("the last moment that will do");
    assert!(node.deadline() < Some(Instant::MAX));
}

#[test]
fn the_same_inputs_at_the_same_times_give_the_same_run() {
    let run = |seed| {
        let mut node = Setup::of(voters(&[1, 2, 3])).config(|config| config.seed = seed).start();
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(node.elect());
            all.push(node.step(Input::Propose { token: Token(3), count: 2 }));
            while node.role() == RoleKind::Leader {
                all.push(node.time_out());
            }
        }
        (all, node.node)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0, "the seed decides");
}
