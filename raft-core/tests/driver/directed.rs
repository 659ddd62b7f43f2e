//! One thing at a time.

use crate::world::{Bytes, T, World};
use raft_core::driver::{
    Answer, Driver, Effect, Event, FrameError, Host, Refusal, Settings, SnapshotEvent,
    SnapshotHead, SnapshotTask, StreamId, Unknown,
};
use raft_core::payload::Content;
use raft_core::{
    AppendEntries, Config, Consistency, Envelope, Instant, LogIndex, LogPosition, Membership,
    Message, Node, NodeId, Outcome, Recovered, RejectReason, Run, Snapshot, Term, TransferOutcome,
};

pub(crate) const LONG: std::time::Duration = std::time::Duration::from_secs(60);

/// Three servers of which one leads.
pub(crate) fn led(nodes: u64, settings: Settings) -> (World, usize) {
    let mut world = World::new(nodes, 7, settings);
    world.run(100);
    let leader = world.leader().expect("somebody leads");
    (world, leader)
}

pub(crate) fn commands(count: u64, size: usize) -> Vec<Bytes> {
    let command = |nth| [format!("{nth}/").into_bytes(), vec![b'.'; size]].concat();
    (0..count).map(command).map(Bytes).collect()
}

/// Links in both directions between this server and all others.
pub(crate) fn isolate(world: &mut World, at: usize) {
    let id = NodeId(at as u64 + 1);
    for other in (1..=world.servers.len() as u64).map(NodeId).filter(|other| *other != id) {
        world.cuts.insert((id, other));
        world.cuts.insert((other, id));
    }
}

#[test]
fn whoever_waits_when_leadership_is_lost_is_told_that_nobody_knows() {
    for waits in [false, true] {
        let mut settings = Settings::default();
        settings.waits_through_elections = waits;
        let (mut world, leader) = led(3, settings);
        isolate(&mut world, leader);
        let token = world.propose(leader, commands(3, 5), LONG);
        world.run(100);
        let cause = Unknown::LeadershipLost;
        let unknown = Some(Answer::Unknown { cause, applied: 0 });
        assert_eq!(world.answer_to(token), unknown.filter(|_| !waits));
        let other = world.leader().expect("the others elect");
        assert_ne!(other, leader);
        let theirs = world.propose(other, vec![Bytes(b"theirs".to_vec())], LONG);
        world.run(20);
        assert!(world.asked[&theirs].done);
        world.cuts.clear();
        world.run(100);
        let lost = Answer::Lost { applied: 0 };
        assert_eq!(world.answer_to(token), if waits { Some(lost) } else { unknown });
        world.check_end();
    }
}

/// The patient one, too, where a snapshot has taken the place of what would tell.
#[test]
fn a_snapshot_that_passes_what_somebody_waits_for_ends_his_wait() {
    let mut settings = Settings::default();
    settings.waits_through_elections = true;
    (settings.snapshot_bytes, settings.kept_bytes) = (500, 0);
    let (mut world, leader) = led(3, settings);
    isolate(&mut world, leader);
    let token = world.propose(leader, commands(3, 5), LONG);
    world.run(100);
    let other = world.leader().expect("the others elect");
    for _ in 0..30 {
        world.propose(other, commands(2, 40), LONG);
        world.run(2);
    }
    world.cuts.clear();
    world.run(100);
    let (cause, applied) = (Unknown::Installed, 0);
    assert_eq!(world.answer_to(token), Some(Answer::Unknown { cause, applied }));
}

#[test]
fn a_caller_is_answered_when_his_time_is_over_and_by_the_deadline() {
    let (mut world, leader) = led(3, Settings::default());
    isolate(&mut world, leader);
    let (write, read) =
        (world.propose(leader, commands(1, 5), T / 4), world.read(leader, Consistency::ReadIndex));
    world.run(8);
    let unknown = Answer::Unknown { cause: Unknown::TimedOut, applied: 0 };
    assert_eq!(world.answer_to(write), Some(unknown));
    assert_eq!(world.answer_to(read), None);
    world.run(100);
    assert!(matches!(world.answer_to(read), Some(Answer::Refused(_))));
}

#[test]
fn who_does_not_lead_says_who_does_and_a_command_that_is_too_large_is_refused() {
    let mut settings = Settings::default();
    settings.command_bytes = 100;
    let (mut world, leader) = led(3, settings);
    let token = world.propose((leader + 1) % 3, commands(1, 5), LONG);
    let large = world.propose(leader, commands(2, 99), LONG);
    world.run(2);
    let hint = Some(NodeId(leader as u64 + 1));
    let refused = |token| match world.answer_to(token) {
        Some(Answer::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(token), Refusal::Node(RejectReason::NotLeader { leader: hint }));
    assert_eq!(refused(large), Refusal::CommandTooLarge { bytes: 101, limit: 100 });
}

#[test]
fn a_limit_that_lets_nothing_pass_is_refused_by_name() {
    use raft_core::driver::SettingsError as E;
    let check = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        let members = Membership::of_voters([NodeId(1)]).expect("voters");
        let (config, fresh) = (Config::new(NodeId(1), 5), Recovered::fresh(members));
        let node = Node::new(config, fresh, Instant::ZERO).expect("fresh");
        assert_eq!(settings.check().err(), Driver::<Bytes>::new(node, settings).err());
        settings.check()
    };
    assert_eq!(check(|s| (s.cached_bytes, s.snapshot_bytes, s.kept_bytes) = (0, 0, 0)), Ok(()));
    assert_eq!(check(|s| (s.frame_bytes, s.in_flight_bytes) = (1, 1)), Ok(()));
    for (change, limit) in [
        (|s: &mut Settings| s.frame_bytes = 0) as fn(&mut Settings),
        |s| s.command_bytes = 0,
        |s| s.in_flight_bytes = 0,
        |s| s.uncommitted_bytes = 0,
        |s| s.apply_bytes = 0,
    ]
    .into_iter()
    .zip([
        "frame_bytes",
        "command_bytes",
        "in_flight_bytes",
        "uncommitted_bytes",
        "apply_bytes",
    ]) {
        assert_eq!(check(change), Err(E::Zero { limit }));
    }
    let large = check(|s| (s.frame_bytes, s.in_flight_bytes) = (11, 10));
    assert_eq!(large, Err(E::FrameAboveInFlight { frame: 11, in_flight: 10 }));
}

#[test]
fn a_token_that_waits_cannot_be_used_again() {
    let (mut world, leader) = led(3, Settings::default());
    isolate(&mut world, leader);
    let token = world.read(leader, Consistency::ReadIndex);
    let until = world.now.saturating_add(LONG);
    world.tell(leader, Event::Propose { token, commands: commands(1, 1), until });
    world.tick();
    assert_eq!(world.answer_to(token), Some(Answer::Refused(Refusal::TokenInUse)));
}

/// The leader goes on hearing from a peer that it sends no entries, and then brings it up.
#[test]
fn a_peer_that_is_paused_for_long_disturbs_nobody_and_catches_up() {
    let (mut world, leader) = led(3, Settings::default());
    let term = |world: &World, at: usize| {
        world.servers[at].driver.as_ref().map(|d| d.node().status().term)
    };
    let (before, paused) = (term(&world, leader), (leader + 1) % 3);
    let peer = NodeId(paused as u64 + 1);
    world.tell(leader, Event::Paused { peer, after: None });
    for _ in 0..100 {
        world.propose(leader, commands(2, 50), LONG);
        world.run(2);
    }
    let last = |world: &World, at: usize| {
        world.servers[at].driver.as_ref().map_or(LogIndex::ZERO, |d| d.node().status().last.index)
    };
    assert!(last(&world, leader) > LogIndex(190));
    assert!(last(&world, paused) < LogIndex(10), "it gets no entries");
    let heard = world.servers[leader]
        .driver
        .as_ref()
        .and_then(|driver| driver.node().peers().find(|p| p.id == peer).map(|p| p.heard_at));
    assert!(world.now.saturating_since(heard.expect("a peer")) < T, "it gives signs of life");
    world.tell(leader, Event::Resumed { peer });
    world.run(40);
    assert_eq!(
        (term(&world, leader), term(&world, paused)),
        (before, before),
        "one leader all along"
    );
    assert_eq!(last(&world, paused), last(&world, leader));
    world.check_end();
}

/// Values far larger than what may be on the way: one at a time, each acknowledged; the world
/// checks at each send that no more is on the way.
#[test]
fn values_that_are_larger_than_every_limit_get_through() {
    let mut settings = Settings::default();
    settings.frame_bytes = 100;
    settings.in_flight_bytes = 200;
    settings.uncommitted_bytes = 300;
    settings.apply_bytes = 100;
    settings.cached_bytes = 0;
    let (mut world, leader) = led(3, settings);
    let behind = (leader + 2) % 3;
    isolate(&mut world, behind);
    let mut done = 0;
    for nth in 0..60_u64 {
        let command = [nth.to_be_bytes().to_vec(), vec![b'.'; 5000]].concat();
        let token = world.propose(leader, vec![Bytes(command)], LONG);
        world.run(2);
        done += u64::from(world.answer_to(token).is_none());
    }
    assert!(done > 5, "{done} were taken, the rest was too much");
    world.cuts.clear();
    world.run(300);
    world.check_end();
}

/// What a driver takes every other one must be able to take: else one command stops the log.
#[test]
fn the_largest_command_that_is_taken_is_in_a_frame_that_may_arrive() {
    let mut settings = Settings::default();
    (settings.frame_bytes, settings.command_bytes) = (100, 5000);
    let (mut world, leader) = led(3, settings);
    let largest = world.propose(leader, vec![Bytes(vec![b'.'; 5000])], LONG);
    // The world looks at every frame that leaves.
    world.run(20);
    assert!(world.asked[&largest].done && world.answer_to(largest).is_none(), "it is applied");
    assert_eq!(settings.largest_frame(), 5000, "and not more");
    let larger = world.propose(leader, vec![Bytes(vec![b'.'; 5001])], LONG);
    world.run(1);
    let refusal = Refusal::CommandTooLarge { bytes: 5001, limit: 5000 };
    assert_eq!(world.answer_to(larger), Some(Answer::Refused(refusal)));
    settings.frame_bytes = 6000;
    assert_eq!(settings.largest_frame(), 6000);
    receives_up_to(6000, settings);
}

#[test]
fn a_node_that_joins_is_promoted_when_it_has_caught_up() {
    let mut settings = Settings::default();
    (settings.snapshot_bytes, settings.kept_bytes) = (2000, 0);
    let (mut world, leader) = led(4, settings);
    for _ in 0..30 {
        world.propose(leader, commands(3, 40), LONG);
        world.run(2);
    }
    isolate(&mut world, 3);
    let members = |voters: &[u64], learners: &[u64]| {
        let ids = |list: &[u64]| list.iter().copied().map(NodeId).collect::<Vec<_>>();
        Membership::new(ids(voters), [], ids(learners)).expect("valid")
    };
    let until = world.now.saturating_add(LONG);
    let target = members(&[1, 2, 3], &[4]);
    let added = world.ask(leader, |token| Event::Change { token, target, until });
    world.run(10);
    assert_eq!(world.answer_to(added), Some(Answer::Changed));
    let node = NodeId(4);
    let soon = world.now.saturating_add(T * 3);
    let early = world.ask(leader, |token| Event::Promote { token, node, until: soon });
    let promoted = world.ask(leader, |token| Event::Promote { token, node, until });
    let stranger = world.ask(leader, |token| Event::Promote { token, node: NodeId(9), until });
    world.run(80);
    assert_eq!(world.answer_to(early), Some(Answer::Refused(Refusal::TimedOut)));
    assert_eq!(world.answer_to(promoted), None, "it is far behind, and cannot be reached");
    let refusal = Refusal::NotALearner { node: NodeId(9) };
    assert_eq!(world.answer_to(stranger), Some(Answer::Refused(refusal)));
    world.cuts.clear();
    world.run(150);
    assert_eq!(world.answer_to(promoted), Some(Answer::Changed));
    assert!(world.seen["install"] > 0, "it was brought up by a snapshot");
    let driver = world.servers[3].driver.as_ref().expect("it runs");
    assert_eq!(driver.node().membership(), &members(&[1, 2, 3, 4], &[]));
    world.check_end();
}

#[test]
fn a_transfer_is_answered_when_it_has_ended() {
    let (mut world, leader) = led(3, Settings::default());
    let to = Some(NodeId((leader as u64 + 1) % 3 + 1));
    let token = world.ask(leader, |token| Event::Transfer { token, to });
    world.run(20);
    let stepped_down = Answer::Transferred(TransferOutcome::SteppedDown);
    assert_eq!(world.answer_to(token), Some(stepped_down));
    assert_eq!(world.leader().map(|at| NodeId(at as u64 + 1)), to);
}

/// One value: the same calls with the same reads give the same driver.
#[test]
fn a_driver_is_one_value_and_follows_from_what_it_was_told() {
    let end = || {
        let (mut world, leader) = led(3, Settings::default());
        for _ in 0..20 {
            world.propose(leader, commands(2, 30), LONG);
            world.tick();
        }
        world.servers.into_iter().map(|server| server.driver).collect::<Vec<_>>()
    };
    assert_eq!(end(), end());
}

/// Holds nothing.
struct Empty;

impl Host<Bytes> for Empty {
    fn read(&mut self, _: LogPosition) -> Option<Content<Bytes>> {
        None
    }
}

/// A driver takes frames up to the limit of its settings.
fn receives_up_to(limit: u64, settings: Settings) {
    let members = Membership::of_voters((1..=3).map(NodeId)).expect("voters");
    let recovered = Recovered::fresh(members);
    let node = Node::new(Config::new(NodeId(1), 1), recovered, Instant::ZERO).expect("fresh");
    let driver = Driver::<Bytes>::new(node, settings).expect("sense");
    let received = |bytes: u64| {
        let entries = [Run::Commands { term: Term(1), count: 1 }].into_iter().collect();
        let (prev, commit) = (LogPosition::ZERO, LogIndex::ZERO);
        let message = AppendEntries { prev, entries, commit, probe: None };
        let (from, to, term) = (NodeId(2), NodeId(1), Term(1));
        let envelope = Envelope { from, to, term, message: Message::AppendEntries(message) };
        let payload = Bytes(vec![0; usize::try_from(bytes).expect("small")]);
        driver.receive(from, envelope, vec![payload])
    };
    assert!(received(limit).is_ok());
    assert_eq!(received(limit + 1), Err(FrameError::TooLarge { bytes: limit + 1, limit }));
}

/// What is to be done with snapshots; writes are durable at once.
fn tasks(driver: &mut Driver<Bytes>, events: Vec<Event<Bytes>>) -> Vec<SnapshotTask> {
    let (mut tasks, mut waiting) = (Vec::new(), events);
    while !waiting.is_empty() {
        let mut effects = Vec::new();
        driver.step(waiting.drain(..), Instant::from_nanos(1), &mut Empty, &mut effects);
        for effect in effects {
            match effect {
                Effect::Write(write) => waiting.push(Event::Written { ticket: write.ticket }),
                Effect::Snapshot(task) => tasks.push(task),
                _ => {}
            }
        }
    }
    tasks
}

/// A peer may send the same snapshot again, and a transport may double its head: each comes under
/// an id of its own, and what has arrived stays until it is installed.
#[test]
fn what_has_arrived_is_installed_whatever_comes_beside_it() {
    let members = Membership::of_voters((1..=3).map(NodeId)).expect("voters");
    let (from, position) = (NodeId(2), LogPosition::new(Term(1), LogIndex(9)));
    let snapshot = Snapshot { position, membership: members.clone() };
    let recovered = Recovered::fresh(members);
    let node = Node::new(Config::new(NodeId(1), 1), recovered, Instant::ZERO).expect("fresh");
    let mut driver = Driver::new(node, Settings::default()).expect("sense");
    let head = |stream, term| {
        let (to, term, snapshot) = (NodeId(1), Term(term), snapshot.clone());
        let head = SnapshotHead { from, to, term, snapshot };
        Event::Snapshot(SnapshotEvent::Head { stream: StreamId(stream), head })
    };
    let arrived = |stream| Event::Snapshot(SnapshotEvent::Arrived { stream: StreamId(stream) });
    let installed = |outcome| Event::Snapshot(SnapshotEvent::Installed { outcome });
    let discard = |stream| SnapshotTask::Discard { stream: StreamId(stream) };
    let receive = |stream| SnapshotTask::Receive {
        stream: StreamId(stream),
        from,
        snapshot: snapshot.clone(),
    };
    let install =
        |stream| SnapshotTask::Install { stream: StreamId(stream), snapshot: snapshot.clone() };
    let twice = tasks(&mut driver, vec![head(1, 3), head(2, 3)]);
    assert_eq!(twice, [receive(1), discard(2)], "the first one goes on");
    let later = tasks(&mut driver, vec![head(3, 4), arrived(1), arrived(2)]);
    assert_eq!(later, [discard(1), receive(3)], "of a later term, for the old one");
    let both = tasks(&mut driver, vec![arrived(3), head(4, 4)]);
    assert_eq!(both, [discard(4), install(3)], "the head is answered, and nothing replaced");
    assert_eq!(tasks(&mut driver, vec![arrived(3), arrived(4)]), [], "once, and if it is wanted");
    assert_eq!(tasks(&mut driver, vec![head(5, 5)]), [discard(5)], "one after the other");
    let again = tasks(&mut driver, vec![installed(Outcome::Failed), head(6, 5)]);
    assert_eq!(again, [receive(6)], "an install ends its stream, whatever the outcome");
    assert_eq!(tasks(&mut driver, vec![arrived(6)]), [install(6)]);
    assert_eq!(tasks(&mut driver, vec![installed(Outcome::Done)]), []);
    assert_eq!(driver.applied(), position.index);
    assert_eq!(tasks(&mut driver, vec![head(7, 5)]), [discard(7)], "it is no news any more");
}

/// A runtime that gives an id to two streams has made one of them: nothing of either is installed.
/// What was handed to an install before has left its stream, and is.
#[test]
fn a_stream_whose_id_is_used_twice_is_not_installed_unless_its_install_was_told_before() {
    let members = Membership::of_voters((1..=3).map(NodeId)).expect("voters");
    let recovered = Recovered::fresh(members.clone());
    let node = Node::new(Config::new(NodeId(1), 1), recovered, Instant::ZERO).expect("fresh");
    let mut driver = Driver::new(node, Settings::default()).expect("sense");
    let (from, to, stream) = (NodeId(2), NodeId(1), StreamId(1));
    let head = |stream, index| {
        let position = LogPosition::new(Term(1), LogIndex(index));
        let snapshot = Snapshot { position, membership: members.clone() };
        let head = SnapshotHead { from, to, term: Term(3), snapshot };
        Event::Snapshot(SnapshotEvent::Head { stream, head })
    };
    let arrived = |stream| Event::Snapshot(SnapshotEvent::Arrived { stream });
    let mut effects = Vec::new();
    // Its write is not durable yet, so it waits.
    let events = [head(stream, 9), arrived(stream)];
    driver.step(events, Instant::from_nanos(1), &mut Empty, &mut effects);
    let is_install = |e: &Effect<_>| matches!(e, Effect::Snapshot(SnapshotTask::Install { .. }));
    assert!(!effects.iter().any(is_install) && driver.node().status().installing.is_some());
    let tickets = effects.iter().filter_map(|effect| match effect {
        Effect::Write(write) => Some(Event::Written { ticket: write.ticket }),
        _ => None,
    });
    let written: Vec<_> = tickets.collect();
    assert_eq!(tasks(&mut driver, vec![head(stream, 12)]), [SnapshotTask::Discard { stream }]);
    assert_eq!(driver.node().status().installing, None, "the node is told");
    let rest = [vec![arrived(stream)], written].concat();
    assert_eq!(tasks(&mut driver, rest), []);
    let other = tasks(&mut driver, vec![head(StreamId(2), 12), arrived(StreamId(2))]);
    assert!(
        matches!(other[..], [_, SnapshotTask::Install { stream: StreamId(2), .. }]),
        "{other:?}"
    );
    // What is being installed is on no stream any more.
    let (again, installed) = (StreamId(2), SnapshotEvent::Installed { outcome: Outcome::Done });
    let refused = [SnapshotTask::Discard { stream: again }];
    assert_eq!(tasks(&mut driver, vec![head(again, 15), arrived(again)]), refused);
    assert_eq!(tasks(&mut driver, vec![Event::Snapshot(installed)]), []);
    assert_eq!(driver.applied(), LogIndex(12), "the install went on");
}

/// A head that has no content to wait for is refused, and the node hears of it in the same call:
/// who sends it learns how far this node is, or that there is a later term.
#[test]
fn a_head_of_no_use_is_refused_and_answered_by_the_node_at_once() {
    let members = Membership::of_voters((1..=3).map(NodeId)).expect("voters");
    let recovered = Recovered::fresh(members.clone());
    let node = Node::new(Config::new(NodeId(1), 1), recovered, Instant::ZERO).expect("fresh");
    let mut driver = Driver::new(node, Settings::default()).expect("sense");
    let head = |stream, to, term, index| {
        let position = LogPosition::new(Term(1), LogIndex(index));
        let snapshot = Snapshot { position, membership: members.clone() };
        let head = SnapshotHead { from: NodeId(2), to: NodeId(to), term: Term(term), snapshot };
        Event::Snapshot(SnapshotEvent::Head { stream: StreamId(stream), head })
    };
    let arrived = Event::Snapshot(SnapshotEvent::Arrived { stream: StreamId(1) });
    let installed = Event::Snapshot(SnapshotEvent::Installed { outcome: Outcome::Done });
    let _ = tasks(&mut driver, vec![head(1, 1, 5, 9), arrived]);
    assert_eq!(tasks(&mut driver, vec![installed]), []);
    assert_eq!((driver.applied(), driver.node().status().term), (LogIndex(9), Term(5)));
    let cases =
        [(2, 1, 5, 9, "no news"), (3, 1, 4, 12, "an earlier term"), (4, 3, 5, 12, "astray")];
    for (stream, to, term, index, why) in cases {
        let mut effects = Vec::new();
        let events = [head(stream, to, term, index)];
        driver.step(events, Instant::from_nanos(1), &mut Empty, &mut effects);
        let refused = SnapshotTask::Discard { stream: StreamId(stream) };
        assert!(effects.contains(&Effect::Snapshot(refused)), "{why}: {effects:?}");
        let answers = |e: &Effect<_>| matches!(e, Effect::Send(_) | Effect::Notice(_));
        assert!(effects.iter().any(answers), "{why}: {effects:?}");
    }
}
