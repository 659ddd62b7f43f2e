//! Sessions against a plain oracle, and behind drivers around which everything goes wrong.

use crate::random::{EVERYTHING, disturb, heal, low, seeds};
use crate::world::{Said, T, World};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use raft_core::driver::sessions::{Request, SessionError, SessionId, SessionLimits, Sessions};
use raft_core::{LogIndex, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

fn limits(sessions: u64, answers: u64, idle: u64) -> SessionLimits {
    let some = |count| NonZeroU64::new(count).expect("not 0");
    SessionLimits { sessions: some(sessions), answers: some(answers), idle: NonZeroU64::new(idle) }
}

#[derive(Clone, Copy, Debug)]
enum Command {
    Open,
    Apply(Request),
    Keep(SessionId, u64),
    Close(SessionId),
    /// The state machine is written to a snapshot, and read back.
    Restart,
}

fn command() -> impl Strategy<Value = Command> {
    let session = (0..9_u64).prop_map(SessionId);
    let request = (session.clone(), 0..9_u64, 0..6_u64).prop_map(|(session, number, received)| {
        Command::Apply(Request { session, number, received })
    });
    prop_oneof![
        2 => Just(Command::Open),
        14 => request,
        2 => (session.clone(), 0..9_u64).prop_map(|(session, upto)| Command::Keep(session, upto)),
        1 => session.prop_map(Command::Close),
        1 => Just(Command::Restart),
    ]
}

/// Everything that ever happened to a session. Nothing is forgotten, nothing has an order.
#[derive(Clone, Debug, Default)]
struct History {
    gone: bool,
    used: u64,
    received: u64,
    answers: Vec<(u64, u64)>,
}

/// The rules, said as plainly as they can be.
#[derive(Debug)]
struct Oracle {
    limits: SessionLimits,
    all: Vec<History>,
}

impl Oracle {
    fn expire(&mut self, now: u64) {
        let idle = self.limits.idle.map_or(u64::MAX, NonZeroU64::get);
        self.all.iter_mut().for_each(|history| history.gone |= now - history.used > idle);
    }

    fn alive(&self) -> Vec<usize> {
        (0..self.all.len()).filter(|id| !self.all[*id].gone).collect()
    }

    fn open(&mut self, now: u64) -> SessionId {
        self.expire(now);
        let alive = self.alive();
        if alive.len() as u64 == self.limits.sessions.get() {
            let oldest = alive.into_iter().min_by_key(|id| self.all[*id].used).expect("not 0");
            self.all[oldest].gone = true;
        }
        self.all.push(History { used: now, ..History::default() });
        SessionId(self.all.len() as u64 - 1)
    }

    fn used(
        &mut self,
        now: u64,
        id: SessionId,
        received: u64,
    ) -> Result<&mut History, SessionError> {
        self.expire(now);
        let id = usize::try_from(id.0).expect("small");
        let known = self.all.get_mut(id).filter(|history| !history.gone);
        let history = known.ok_or(SessionError::Expired)?;
        history.used = now;
        history.received = history.received.max(received);
        Ok(history)
    }

    /// The answer, which is the index of the command that was applied.
    fn apply(&mut self, now: u64, request: Request) -> Result<u64, SessionError> {
        let Request { session, number, received } = request;
        if received >= number {
            return Err(SessionError::Malformed { number, received });
        }
        let limit = self.limits.answers.get();
        let history = self.used(now, session, received)?;
        let floor = history.received;
        if number <= floor {
            return Err(SessionError::Received { received: floor });
        }
        if let Some((_, answer)) = history.answers.iter().find(|(known, _)| *known == number) {
            return Ok(*answer);
        }
        if history.answers.iter().filter(|(known, _)| *known > floor).count() as u64 == limit {
            return Err(SessionError::TooManyOpen { limit });
        }
        history.answers.push((number, now));
        Ok(now)
    }
}

fn restored(sessions: &Sessions<u64>) -> Sessions<u64> {
    #[cfg(feature = "serde")]
    {
        let text = serde_json::to_string(sessions).expect("sessions are data");
        let again = serde_json::from_str(&text).expect("and come back");
        assert_eq!(*sessions, again);
        again
    }
    #[cfg(not(feature = "serde"))]
    sessions.clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn sessions_do_what_the_plain_rules_say_and_apply_nothing_twice(
        of in (1..4_u64, 1..4_u64, prop_oneof![Just(0), 1..30_u64]),
        commands in proptest::collection::vec((command(), any::<bool>()), 1..120),
    ) {
        let limits = limits(of.0, of.1, of.2);
        let (mut sessions, mut now) = (Sessions::new(limits), 0);
        let mut oracle = Oracle { limits, all: Vec::new() };
        let mut applied = BTreeSet::new();
        for (command, after_others) in commands {
            now += if after_others { 5 } else { 1 };
            let at = LogIndex(now);
            match command {
                Command::Open => assert_eq!(sessions.open(at), oracle.open(now)),
                Command::Apply(request) => {
                    let run = || {
                        assert!(applied.insert((request.session, request.number)), "twice");
                        now
                    };
                    let answer = sessions.apply(at, request, run).copied();
                    assert_eq!(answer, oracle.apply(now, request), "{request:?} at {now}");
                }
                Command::Keep(id, received) => {
                    let kept = oracle.used(now, id, received).map(|_| ());
                    assert_eq!(sessions.keep(at, id, received), kept);
                }
                Command::Close(id) => {
                    let place = usize::try_from(id.0).expect("small");
                    let history = oracle.all.get_mut(place);
                    let open = history.is_some_and(|h| !std::mem::replace(&mut h.gone, true));
                    assert_eq!(sessions.close(id), open);
                }
                Command::Restart => sessions = restored(&sessions),
            }
            assert!(sessions.len() <= limits.sessions.get());
        }
        oracle.expire(now);
        let known = sessions.open(LogIndex(now));
        assert_eq!(known, oracle.open(now));
        assert_eq!(sessions.len(), oracle.alive().len() as u64);
    }
}

#[cfg(feature = "serde")]
#[test]
fn sessions_that_cannot_be_are_not_read_back() {
    let mut sessions = Sessions::new(limits(2, 2, 5));
    let session = sessions.open(LogIndex(4));
    let request = Request { session, number: 3, received: 1 };
    assert_eq!(sessions.apply(LogIndex(5), request, || 7), Ok(&7));
    let text = serde_json::to_string(&sessions).expect("sessions are data");
    let read = |from: &str, to: &str| {
        assert!(text.contains(from), "{text} has {from}");
        serde_json::from_str::<Sessions<u64>>(&text.replace(from, to))
    };
    assert_eq!(read("1", "1").expect("as it was"), sessions);
    for (from, to) in [
        (r#""next":1"#, r#""next":0"#),
        (r#""next":1"#, r#""next":18446744073709551615"#),
        (r#""received":1"#, r#""received":3"#),
        (r#""answers":2"#, r#""answers":0"#),
    ] {
        read(from, to).expect_err(to);
    }
}

/// A client that asks again until it knows.
#[derive(Default)]
struct Client {
    session: Option<SessionId>,
    opening: Option<Token>,
    /// The number of the next command, and up to which all answers are here.
    next: u64,
    received: u64,
    answered: BTreeSet<u64>,
    /// Commands without an answer: their name, and the attempt that is under way.
    open: BTreeMap<u64, (String, Option<Token>)>,
    /// What it knows to be done, and where among all.
    known: Vec<(String, u64)>,
}

const AT_ONCE: usize = 3;

impl Client {
    /// What it does at this moment. `name` is never used again.
    fn act(&mut self, world: &mut World, name: &str) {
        let over = |world: &World, token: Token| world.asked[&token].done;
        let said = |world: &World, token: Token| world.asked[&token].said.clone();
        let Some(session) = self.session else {
            if self.opening.is_none_or(|token| over(world, token)) {
                match self.opening.take().and_then(|token| said(world, token)) {
                    Some(Said::Opened(id)) => {
                        (self.session, self.next, self.received) = (Some(id), 1, 0);
                        self.answered.clear();
                    }
                    _ => self.opening = Some(propose(world, format!("@open {name}"))),
                }
            }
            return;
        };
        for number in self.open.keys().copied().collect::<Vec<_>>() {
            let (what, attempt) = &self.open[&number];
            let Some(token) = attempt.filter(|token| over(world, *token)) else { continue };
            match said(world, token) {
                Some(Said::Done(place)) => {
                    self.known.push((what.clone(), place));
                    self.open.remove(&number);
                    self.answered.insert(number);
                }
                Some(Said::Refused(SessionError::Expired)) => {
                    // Nobody knows, of none of them.
                    (self.session, self.open) = (None, BTreeMap::new());
                    return;
                }
                Some(other @ (Said::Opened(_) | Said::Refused(SessionError::Malformed { .. }))) => {
                    panic!("{what}: {other:?}")
                }
                // Lost, refused, unknown, too many are open, or the server has died.
                Some(Said::Refused(_)) | None => self.open.get_mut(&number).expect("open").1 = None,
            }
        }
        while self.answered.remove(&(self.received + 1)) {
            self.received += 1;
        }
        if self.open.len() < AT_ONCE && self.next <= self.received + AT_ONCE as u64 {
            self.open.insert(self.next, (name.to_string(), None));
            self.next += 1;
        }
        let received = self.received;
        for (number, (what, attempt)) in &mut self.open {
            let ask = || format!("@run {} {number} {received} {what} {name}", session.0);
            *attempt = attempt.or_else(|| Some(propose(world, ask())));
        }
    }
}

fn propose(world: &mut World, text: String) -> Token {
    let anybody = usize::try_from(world.rng.below(3)).expect("small");
    let at = world.leader().filter(|_| world.rng.chance(90)).unwrap_or(anybody);
    let patience = T * u32::try_from(1 + world.rng.below(12)).expect("small") / 4;
    world.propose(at, vec![text.into()], patience)
}

/// A request comes once more, late: nobody waits for it.
fn late(world: &mut World, waiting: &mut Vec<(u64, String)>, moment: u64) {
    let due = waiting.extract_if(.., |(at, _)| *at <= moment).collect::<Vec<_>>();
    for (_, text) in due {
        let copy = world.asked.len();
        propose(world, format!("{text} late {copy}"));
    }
    let newest = world.asked.values().next_back().and_then(|asked| asked.commands.first());
    let text = newest.map(|command| String::from_utf8_lossy(&command.0).into_owned());
    let text = text.filter(|text| text.starts_with("@run") && !text.contains("late"));
    if let Some(text) = text.filter(|_| world.rng.chance(10)) {
        waiting.push((moment + world.rng.below(100), text));
    }
}

/// Runs clients until the end; how many commands were done, and how many times one was answered
/// that had been applied by an earlier attempt.
fn run(seed: u64, limits: SessionLimits) -> (usize, usize) {
    println!("seed {seed}");
    let mut world = World::with_sessions(3, seed, low(seed.is_multiple_of(2)), limits);
    let mut clients: Vec<_> = (0..5).map(|_| Client::default()).collect();
    let mut waiting = Vec::new();
    for moment in 0..700 {
        if moment < 600 {
            world.faults = EVERYTHING;
            disturb(&mut world, EVERYTHING);
        } else if moment == 600 {
            heal(&mut world);
        }
        for (nth, client) in clients.iter_mut().enumerate() {
            // Each is away for a third of the time.
            if (moment / 40 + nth) % 3 > 0 {
                client.act(&mut world, &format!("{nth}/{moment}"));
            }
        }
        late(&mut world, &mut waiting, moment as u64);
        world.tick();
    }
    world.run(300);
    world.check_end();
    let done = &world.servers[0].machine.done;
    let once: BTreeSet<_> = done.iter().collect();
    assert_eq!(once.len(), done.len(), "something was done twice");
    for (what, place) in clients.iter().flat_map(|client| &client.known) {
        let place = usize::try_from(*place).expect("small") - 1;
        assert_eq!(done.get(place), Some(what), "what was answered is done, and there");
    }
    let attempts = world.servers[0].machine.commands.iter();
    let runs = attempts.filter(|(_, command)| command.0.starts_with(b"@run")).count();
    (done.len(), runs - done.len())
}

#[test]
fn a_client_that_asks_again_until_it_knows_has_each_command_done_exactly_once() {
    let (mut done, mut again) = (0, 0);
    for seed in seeds(30) {
        let (d, a) = run(seed, SessionLimits::default());
        (done, again) = (done + d, again + a);
    }
    let many = seeds(30).count() >= 29;
    assert!(!many || done > 1000 && again > 10, "{done} were done, {again} came again");
}

/// Fewer sessions than clients, so that they expire all the time.
#[test]
fn whoever_loses_its_session_has_each_command_done_at_most_once() {
    for seed in seeds(30) {
        run(seed, limits(3, AT_ONCE as u64 - 1, 30));
    }
}
