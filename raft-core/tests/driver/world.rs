//! Three drivers over disks, state machines and a network in memory: a runtime as small as can be,
//! which checks at each effect that the driver keeps its contract.

use raft_core::driver::sessions::{Request, SessionError, SessionId, SessionLimits, Sessions};
use raft_core::driver::{
    Answer, BoundWrite, Commit, Driver, Effect, Entry, Event, Frame, FrameError, Host, Payload,
    Refusal, Settings, SnapshotEvent, SnapshotHead, SnapshotTask, Stepped, StreamId, Unknown,
};
use raft_core::payload::{Content, PayloadLog};
use raft_core::{
    Action, AppendEntries, Config, Consistency, Envelope, HardState, Instant, LogIndex,
    LogPosition, Membership, Message, Node, NodeId, Outcome, Snapshot, Term, Token,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub(crate) const T: Duration = Duration::from_millis(100);
pub(crate) const TICK: Duration = Duration::from_millis(5);
const OVERHEAD: u64 = raft_core::driver::frame::OVERHEAD;

/// A command. `@at node address` says how to reach a node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Payload for Bytes {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn describes(&self) -> Option<NodeId> {
        let text = str::from_utf8(&self.0).ok()?.strip_prefix("@at ")?;
        text.split(' ').next()?.parse().ok().map(NodeId)
    }
}

impl From<String> for Bytes {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

/// A generator of numbers, small and always the same.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The state machine: every command, and where it stood; and behind sessions what those did that
/// came through them.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct State {
    pub(crate) commands: Vec<(LogPosition, Bytes)>,
    pub(crate) sessions: Sessions<u64>,
    pub(crate) done: Vec<String>,
    /// In a snapshot: what it keeps of the address book.
    described: Vec<Bytes>,
}

/// What it answers to a command that has to do with sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Opened(SessionId),
    /// Its place among all that were done.
    Done(u64),
    Refused(SessionError),
}

impl State {
    fn new(limits: SessionLimits) -> Self {
        let (commands, done, described) = (Vec::new(), Vec::new(), Vec::new());
        Self { commands, sessions: Sessions::new(limits), done, described }
    }

    /// A command, `@open`, or `@run session number received what`; more words may follow.
    fn apply(&mut self, at: LogPosition, command: Bytes) -> Option<Said> {
        let text = String::from_utf8_lossy(&command.0).into_owned();
        let mut words = text.split(' ');
        self.commands.push((at, command));
        match words.next()? {
            "@open" => Some(Said::Opened(self.sessions.open(at.index))),
            "@run" => {
                let mut number = || words.next()?.parse().ok();
                let session = SessionId(number()?);
                let request = Request { session, number: number()?, received: number()? };
                let (done, what) = (&mut self.done, words.next()?);
                let run = || {
                    done.push(what.to_string());
                    done.len() as u64
                };
                let answer = self.sessions.apply(at.index, request, run);
                Some(answer.map_or_else(Said::Refused, |place| Said::Done(*place)))
            }
            _ => None,
        }
    }

    /// As it comes back from a snapshot.
    fn restored(&self) -> Self {
        let restored = Self { described: Vec::new(), ..self.clone() };
        #[cfg(feature = "serde")]
        {
            let text = serde_json::to_string(&self.sessions).expect("sessions are data");
            let sessions = serde_json::from_str(&text).expect("and come back");
            assert_eq!(self.sessions, sessions);
            Self { sessions, ..restored }
        }
        #[cfg(not(feature = "serde"))]
        restored
    }
}

/// What survives a crash.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    hard_state: HardState,
    pub(crate) log: PayloadLog<Bytes>,
    /// The own snapshots, by position.
    pub(crate) snapshots: BTreeMap<LogIndex, (Snapshot, State)>,
}

/// What the state machine still has to do.
#[derive(Clone, Debug)]
enum Job {
    Apply(Vec<Commit<Bytes>>),
    Take(Snapshot, Vec<Bytes>),
    Install(Snapshot, State),
}

/// A stream at its sender: who that is, in which of its lives, and the id there.
type Source = (NodeId, u64, StreamId);

/// A snapshot on its way to a peer.
#[derive(Clone, Debug)]
struct Stream {
    to: NodeId,
    position: LogPosition,
    left: u64,
    /// It does not get on.
    stalls: bool,
    progress_at: Instant,
}

pub(crate) struct Server {
    pub(crate) id: NodeId,
    pub(crate) driver: Option<Driver<Bytes>>,
    pub(crate) disk: Disk,
    /// Everything that stands in its log or before it.
    history: BTreeMap<LogIndex, (LogPosition, Content<Bytes>)>,
    writes: VecDeque<BoundWrite<Bytes>>,
    jobs: VecDeque<Job>,
    pub(crate) machine: State,
    machine_applied: LogIndex,
    pub(crate) streams: BTreeMap<StreamId, StreamOut>,
    /// How many heads have come. Their ids count down: the order of ids means nothing.
    heads_so_far: u64,
    /// Heads of streams that the driver has not judged.
    heads: BTreeMap<StreamId, (Source, SnapshotHead)>,
    /// What is received, and what has arrived whole.
    receiving: BTreeMap<StreamId, (Source, SnapshotHead)>,
    staged: BTreeMap<StreamId, (Snapshot, State)>,
    /// What was received, and was discarded in this call for the sake of another head.
    replaced: Option<SnapshotHead>,
    /// Heads that have come in this life: now and then one comes again.
    came: Vec<(Source, SnapshotHead)>,
    /// Streams that have ended, of whichever side; and those that the driver has discarded.
    ended: Vec<StreamId>,
    discarded: BTreeSet<StreamId>,
    /// Streams that were stopped in this call: what they sent, and when they got on last.
    stopped: BTreeMap<NodeId, (LogPosition, Instant)>,
    /// What it knew to be committed before this call.
    committed: LogIndex,
    /// The last index that has left for a peer, in a term.
    sent: BTreeMap<(NodeId, Term), LogIndex>,
    /// Until when its disk completes nothing.
    hangs_until: Instant,
    events: Vec<Event<Bytes>>,
    /// Until when those wait who have asked here and have no answer.
    patience: BTreeMap<Token, Instant>,
    /// Peers whose transport is full.
    pub(crate) full: BTreeSet<NodeId>,
    lives: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct StreamOut(Stream);

/// A frame on its way.
struct Packet {
    at: Instant,
    envelope: Envelope,
    payloads: Vec<Bytes>,
    /// For a head: the stream behind it.
    source: Option<Source>,
}

/// What a client has asked, and what it was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) commands: Vec<Bytes>,
    /// For a read: what had been acknowledged when it was asked.
    acknowledged: LogIndex,
    /// How many of its commands were applied where it asked.
    applied: u64,
    pub(crate) answer: Option<Answer>,
    /// What the state machine has said to its last command.
    pub(crate) said: Option<Said>,
    pub(crate) done: bool,
    at: Option<NodeId>,
}

/// What goes wrong, in percent of the occasions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) loss: u64,
    pub(crate) doubles: u64,
    pub(crate) crash: u64,
    pub(crate) lies: u64,
    pub(crate) fills: u64,
    pub(crate) slow_disk: u64,
    pub(crate) hung_disk: u64,
    pub(crate) cut: u64,
    pub(crate) alone: u64,
    pub(crate) stalls: u64,
    pub(crate) slow_streams: u64,
    pub(crate) idle_talk: u64,
    pub(crate) late_heads: u64,
    pub(crate) away: u64,
    pub(crate) operator: u64,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    pub(crate) servers: Vec<Server>,
    pub(crate) settings: Settings,
    limits: SessionLimits,
    pub(crate) faults: Faults,
    packets: Vec<Packet>,
    /// A server that reaches nobody, and until when.
    pub(crate) alone: Option<(NodeId, Instant)>,
    /// One way each.
    pub(crate) cuts: BTreeSet<(NodeId, NodeId)>,
    pub(crate) asked: BTreeMap<Token, Asked>,
    /// What stands at each position, wherever it was written; and what is committed.
    positions: BTreeMap<LogPosition, Content<Bytes>>,
    pub(crate) committed: BTreeMap<LogIndex, LogPosition>,
    acknowledged: LogIndex,
    /// The size of the largest command so far.
    largest: u64,
    pub(crate) seen: BTreeMap<&'static str, u64>,
    members: Membership,
}

struct Reader<'a> {
    disk: &'a Disk,
    rng: &'a mut Rng,
    misses: u64,
    steps: u64,
    pauses: u64,
}

impl Host<Bytes> for Reader<'_> {
    fn read(&mut self, position: LogPosition) -> Option<Content<Bytes>> {
        if self.rng.chance(self.misses) {
            return None;
        }
        let held = self.disk.log.entry(position).cloned();
        assert!(held.is_some(), "{position} is asked for, and it is not on the disk");
        held
    }

    fn described(&mut self, snapshot: LogPosition) -> Vec<Bytes> {
        self.disk.snapshots[&snapshot.index].1.described.clone()
    }

    fn stepped(&mut self, step: &Stepped<'_>) {
        self.steps += 1;
        let pauses =
            step.inputs.iter().filter(|i| matches!(i, raft_core::Input::PeerPaused { .. }));
        self.pauses += pauses.count() as u64;
        assert_eq!(step.node.check(), Ok(()));
    }
}

/// The same call, one step of the node at a time.
fn in_parts(
    mut driver: Driver<Bytes>,
    events: &[Event<Bytes>],
    now: Instant,
    (disk, rng, misses): (&Disk, &Rng, u64),
) -> (Driver<Bytes>, Vec<Effect<Bytes>>) {
    let (mut rng, mut effects, mut events) = (rng.clone(), Vec::new(), events.to_vec());
    loop {
        let mut reader = Reader { disk, rng: &mut rng, misses, steps: 0, pauses: 0 };
        let goes_on = driver.step_once(events.drain(..), now, &mut reader, &mut effects);
        assert!(reader.steps <= 1, "one step at a time");
        if !goes_on {
            return (driver, effects);
        }
    }
}

/// What is written of a driver, and read back.
fn copy_of(driver: &Driver<Bytes>) -> Driver<Bytes> {
    #[cfg(feature = "serde")]
    {
        let text = serde_json::to_string(driver).expect("a driver is data");
        let copy: Driver<Bytes> = serde_json::from_str(&text).expect("and comes back");
        assert_eq!(copy, *driver);
        copy
    }
    #[cfg(not(feature = "serde"))]
    driver.clone()
}

impl World {
    /// The first three vote; others are to join.
    pub(crate) fn new(nodes: u64, seed: u64, settings: Settings) -> Self {
        Self::with_sessions(nodes, seed, settings, SessionLimits::default())
    }

    /// With these limits of the sessions.
    pub(crate) fn with_sessions(
        nodes: u64,
        seed: u64,
        settings: Settings,
        limits: SessionLimits,
    ) -> Self {
        let members = Membership::of_voters((1..=3).map(NodeId)).expect("voters");
        let server = |id| Server {
            id: NodeId(id),
            driver: None,
            disk: Disk {
                hard_state: HardState::default(),
                log: PayloadLog::new(LogPosition::ZERO),
                snapshots: BTreeMap::new(),
            },
            history: BTreeMap::new(),
            writes: VecDeque::new(),
            jobs: VecDeque::new(),
            machine: State::new(limits),
            machine_applied: LogIndex::ZERO,
            streams: BTreeMap::new(),
            heads_so_far: 0,
            heads: BTreeMap::new(),
            receiving: BTreeMap::new(),
            staged: BTreeMap::new(),
            replaced: None,
            came: Vec::new(),
            ended: Vec::new(),
            discarded: BTreeSet::new(),
            stopped: BTreeMap::new(),
            committed: LogIndex::ZERO,
            sent: BTreeMap::new(),
            hangs_until: Instant::ZERO,
            events: Vec::new(),
            patience: BTreeMap::new(),
            full: BTreeSet::new(),
            lives: 0,
        };
        let mut world = Self {
            now: Instant::from_nanos(1),
            rng: Rng::new(seed),
            servers: (1..=nodes).map(server).collect(),
            settings,
            limits,
            faults: Faults::default(),
            packets: Vec::new(),
            alone: None,
            cuts: BTreeSet::new(),
            asked: BTreeMap::new(),
            positions: BTreeMap::new(),
            committed: BTreeMap::new(),
            acknowledged: LogIndex::ZERO,
            largest: 0,
            seen: BTreeMap::new(),
            members,
        };
        (0..world.servers.len()).for_each(|at| world.start(at));
        world
    }

    fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(crate) fn start(&mut self, at: usize) {
        let (members, now, settings) = (self.members.clone(), self.now, self.settings);
        let members = if at < 3 { members } else { Membership::empty() };
        let server = &mut self.servers[at];
        server.lives += 1;
        let mut config = Config::new(server.id, server.id.get() * 1000 + server.lives);
        config = config.with_election_timeout(T);
        config.snapshot_timeout = T * 5;
        // What is left of other snapshots is thrown away.
        let newest = server.disk.snapshots.pop_last();
        server.disk.snapshots.clear();
        server.disk.snapshots.extend(newest.clone());
        let (snapshot, state) = match newest {
            Some((_, (snapshot, state))) => (snapshot, state),
            None => (Snapshot::genesis(members), State::new(self.limits)),
        };
        let (described, state) = (state.described.clone(), state.restored());
        (server.machine, server.machine_applied) = (state, snapshot.position.index);
        let recovered = server.disk.log.recovered(server.disk.hard_state, snapshot);
        let node = Node::new(config, recovered, now).expect("a crash leaves a state");
        let last = node.status().last.index;
        let mut driver = Driver::new(node, settings).expect("valid");
        let log = server.disk.log.range(LogIndex(1), LogIndex::MAX);
        let log: Vec<_> = log.map(|(position, content)| (position, content.clone())).collect();
        let entry = |(position, content)| Entry { position, content };
        driver.recall(described, log.iter().cloned().map(entry));
        server.driver = Some(driver);
        self.remember(at);
        let history = &mut self.servers[at].history;
        history.extend(
            log.into_iter().map(|(position, content)| (position.index, (position, content))),
        );
        history.retain(|index, _| *index <= last);
    }

    /// What stands before the log of this server is committed.
    fn remember(&mut self, at: usize) {
        let covered = self.committed.range(..=self.servers[at].disk.log.start().index);
        let known =
            |(index, at): (&LogIndex, &LogPosition)| (*index, (*at, self.positions[at].clone()));
        self.servers[at].history = covered.map(known).collect();
    }

    /// What the log of this server says of each node: the newest, unless a membership that is
    /// applied here has struck it out since.
    fn described(&self, at: usize, applied: LogIndex) -> BTreeMap<NodeId, &Bytes> {
        let mut found = BTreeMap::new();
        for (index, (_, content)) in &self.servers[at].history {
            match content {
                Content::Command(command) => {
                    found.extend(command.describes().map(|node| (node, command)));
                }
                Content::Membership(members) if *index <= applied => {
                    found.retain(|node, _| members.contains(*node));
                }
                Content::Membership(_) => {}
            }
        }
        found
    }

    /// The book says what the log says; and whoever is a member can be reached: those of the
    /// beginning are known to one another, others are described.
    fn check_book(&self, at: usize) {
        let Some(driver) = &self.servers[at].driver else { return };
        let (book, members) = (driver.book(), driver.node().membership());
        if self.settings.needs_descriptions && *members != self.members {
            let unknown = members.members().find(|id| book.get(*id).is_none());
            assert_eq!(unknown, None, "{at} has {members:?}");
        }
        let described = self.described(at, driver.applied());
        for node in (1..=5).map(NodeId) {
            assert_eq!(book.get(node), described.get(&node).copied(), "{node:?} at {at}");
        }
    }

    /// The process dies: of the writes on their way some beginning has happened.
    pub(crate) fn crash(&mut self, at: usize) {
        let whole = self.rng.below(self.servers[at].writes.len() as u64 + 1);
        let server = &mut self.servers[at];
        server.driver = None;
        for _ in 0..whole {
            let write = server.writes.pop_front().expect("so many wait");
            server.disk.write(write, usize::MAX);
        }
        if let Some(write) = server.writes.pop_front() {
            let entries = write.log.as_ref().map_or(0, |log| log.entries.len()) as u64;
            let torn = usize::try_from(self.rng.below(entries + 3)).expect("small");
            server.disk.write(write, torn);
        }
        server.writes.clear();
        server.jobs.clear();
        server.streams.clear();
        server.heads.clear();
        server.receiving.clear();
        server.staged.clear();
        server.came.clear();
        server.ended.clear();
        server.discarded.clear();
        server.events.clear();
        server.patience.clear();
        server.full.clear();
        let id = server.id;
        for asked in self.asked.values_mut().filter(|asked| asked.at == Some(id)) {
            asked.done = true;
        }
        self.note("crash");
    }

    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |server: &Server| {
            let status = server.driver.as_ref()?.node().status();
            (status.leader == Some(server.id)).then_some(status.term)
        };
        let leaders = self.servers.iter().enumerate().filter_map(|(at, s)| Some((leads(s)?, at)));
        leaders.max().map(|(_, at)| at)
    }

    pub(crate) fn tell(&mut self, at: usize, event: Event<Bytes>) {
        let server = &mut self.servers[at];
        if server.driver.is_none() {
            return;
        }
        if let Event::Propose { token, until, .. }
        | Event::Read { token, until, .. }
        | Event::Change { token, until, .. }
        | Event::Promote { token, until, .. } = &event
        {
            server.patience.insert(*token, *until);
        }
        server.events.push(event);
    }

    pub(crate) fn propose(&mut self, at: usize, commands: Vec<Bytes>, patience: Duration) -> Token {
        let token = Token(self.asked.len() as u64 + 1);
        let until = self.now.saturating_add(patience);
        self.largest =
            commands.iter().map(Payload::bytes).max().max(Some(self.largest)).unwrap_or(0);
        let id = self.servers[at].id;
        let done = self.servers[at].driver.is_none();
        let asked = Asked { commands: commands.clone(), at: Some(id), done, ..Asked::default() };
        self.asked.insert(token, asked);
        self.tell(at, Event::Propose { token, commands, until });
        token
    }

    pub(crate) fn read(&mut self, at: usize, consistency: Consistency) -> Token {
        let token = Token(self.asked.len() as u64 + 1);
        let (acknowledged, at_id) = (self.acknowledged, Some(self.servers[at].id));
        let done = self.servers[at].driver.is_none();
        self.asked.insert(token, Asked { acknowledged, at: at_id, done, ..Asked::default() });
        // Some wait for longer than the node does, and some lose patience first.
        let patience = if token.0.is_multiple_of(3) { T / 2 } else { T * 4 };
        let until = self.now.saturating_add(patience);
        self.tell(at, Event::Read { token, consistency, until });
        token
    }

    /// A request of an operator, made of the token under which its answer is noted.
    pub(crate) fn ask(&mut self, at: usize, event: impl FnOnce(Token) -> Event<Bytes>) -> Token {
        let token = Token(self.asked.len() as u64 + 1);
        let (at_id, done) = (Some(self.servers[at].id), self.servers[at].driver.is_none());
        self.asked.insert(token, Asked { at: at_id, done, ..Asked::default() });
        self.tell(at, event(token));
        token
    }

    pub(crate) fn answer_to(&self, token: Token) -> Option<Answer> {
        self.asked[&token].answer
    }

    pub(crate) fn run(&mut self, ticks: u64) {
        (0..ticks).for_each(|_| self.tick());
    }

    /// One moment: what is due happens, and each driver is stepped once.
    pub(crate) fn tick(&mut self) {
        self.now = self.now.saturating_add(TICK);
        self.deliver();
        self.stream();
        self.break_streams();
        for at in 0..self.servers.len() {
            self.work(at);
            self.talk(at);
            self.come_again(at);
            self.turn(at);
            // Whether it had anything else to do or not.
            let overdue = self.servers[at].patience.values().find(|until| **until <= self.now);
            assert_eq!(overdue, None, "nobody waits for longer than he wanted to");
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.packets).into_iter().partition(|p| p.at <= now);
        self.packets = later;
        for Packet { envelope, mut payloads, source, .. } in due {
            let (from, to) = (envelope.from, envelope.to);
            let at = usize::try_from(to.get() - 1).expect("small");
            if self.cuts.contains(&(from, to)) || self.rng.chance(self.faults.loss) {
                continue;
            }
            let mut sender = from;
            if self.rng.chance(self.faults.lies) {
                match self.rng.below(3) {
                    0 => payloads.push(Bytes(b"lie".to_vec())),
                    1 if !payloads.is_empty() => _ = payloads.remove(0),
                    _ => sender = NodeId(from.get() % 3 + 1),
                }
                let refused = if source.is_some() && sender != from {
                    SnapshotHead::received(sender, envelope).err()
                } else {
                    Frame::received(sender, envelope, payloads, 1 << 30).err()
                };
                let (is_head, refused) = (source.is_some(), refused.expect("it lies"));
                assert!(match refused {
                    FrameError::Payloads(_) => !is_head,
                    FrameError::Head => is_head,
                    _ => matches!(refused, FrameError::WrongSender { .. }),
                });
                self.note("lie");
                continue;
            }
            let copies = 1 + u64::from(self.rng.chance(self.faults.doubles));
            if let Some(source) = source {
                let head = SnapshotHead::received(sender, envelope).expect("a head");
                (0..copies).for_each(|_| self.hear_of(at, source, &head));
                continue;
            }
            let frame = Frame::received(sender, envelope, payloads, 1 << 30).expect("whole");
            (0..copies).for_each(|_| self.tell(at, Event::Frame(frame.clone())));
        }
    }

    /// A head comes, on a stream of its own.
    fn hear_of(&mut self, at: usize, source: Source, head: &SnapshotHead) {
        let server = &mut self.servers[at];
        if server.driver.is_some() {
            server.heads_so_far += 1;
            let stream = StreamId(u64::MAX - server.heads_so_far);
            server.heads.insert(stream, (source, head.clone()));
            server.came.push((source, head.clone()));
            let head = head.clone();
            self.tell(at, Event::Snapshot(SnapshotEvent::Head { stream, head }));
        }
    }

    /// Says that a stream has ended; perhaps twice.
    fn end(&mut self, at: usize, stream: StreamId, event: &SnapshotEvent) {
        self.servers[at].ended.push(stream);
        let copies = 1 + u64::from(self.rng.chance(self.faults.doubles));
        (0..copies).for_each(|_| self.tell(at, Event::Snapshot(event.clone())));
    }

    /// Says something of a stream that has ended, or that never was.
    fn talk(&mut self, at: usize) {
        if !self.rng.chance(self.faults.idle_talk) {
            return;
        }
        let ended = &self.servers[at].ended;
        let nth = usize::try_from(self.rng.below(ended.len() as u64 + 1)).expect("small");
        let unknown = StreamId((1 << 40) + self.rng.below(9));
        let stream = ended.get(nth).copied().unwrap_or(unknown);
        let outcome = if self.rng.chance(50) { Outcome::Done } else { Outcome::Failed };
        let event = match self.rng.below(4) {
            0 => SnapshotEvent::Progress { stream },
            1 => SnapshotEvent::Sent { stream, outcome },
            2 => SnapshotEvent::Arrived { stream },
            _ => SnapshotEvent::Broken { stream },
        };
        self.note("idle talk");
        self.tell(at, Event::Snapshot(event));
    }

    /// A head comes late, or again; or it is one of a later leader, whose stream breaks at once.
    fn come_again(&mut self, at: usize) {
        let server = &self.servers[at];
        let Some(driver) = server.driver.as_ref().filter(|_| !server.came.is_empty()) else {
            return;
        };
        if !self.rng.chance(self.faults.late_heads) {
            return;
        }
        let status = driver.node().status();
        // Mostly the last one.
        let back = self.rng.below(3).min(server.came.len() as u64 - 1);
        let nth = server.came.len() - 1 - usize::try_from(back).expect("small");
        let (source, mut head) = server.came[nth].clone();
        let is_news = head.snapshot.position.index > status.commit_index;
        let ((from, ..), later) = (source, self.rng.chance(50));
        // The node hears of a head that is no news: then nobody may have made it up.
        let source = if later && is_news && head.term >= status.term {
            head.term = Term(head.term.get() + 1);
            (from, 0, StreamId(0))
        } else {
            source
        };
        self.note("late head");
        self.hear_of(at, source, &head);
        self.servers[at].came.pop();
    }

    /// Snapshots get on.
    fn stream(&mut self) {
        for at in 0..self.servers.len() {
            let from = self.servers[at].id;
            let streams: Vec<_> = self.servers[at].streams.keys().copied().collect();
            for id in streams {
                let life = self.servers[at].lives;
                let stream = &mut self.servers[at].streams.get_mut(&id).expect("it is there").0;
                let to = stream.to;
                if stream.stalls || self.cuts.contains(&(from, to)) {
                    continue;
                }
                (stream.left, stream.progress_at) = (stream.left - 1, self.now);
                let (over, position) = (stream.left == 0, stream.position);
                if !over {
                    self.tell(at, Event::Snapshot(SnapshotEvent::Progress { stream: id }));
                    continue;
                }
                self.servers[at].streams.remove(&id);
                let (snapshot, state) = self.servers[at].disk.snapshots[&position.index].clone();
                let other = usize::try_from(to.get() - 1).expect("small");
                let receiver = &mut self.servers[other];
                let mut receiving = receiver.receiving.iter();
                let wanted = receiving.find(|(_, (source, _))| *source == (from, life, id));
                let wanted = wanted.map(|(stream, _)| *stream);
                let broken = self.rng.chance(self.faults.loss);
                let whole = wanted.is_some() && !broken;
                if let Some(stream) = wanted {
                    let (_, head) = receiver.receiving.remove(&stream).expect("it was found");
                    assert_eq!(head.snapshot, snapshot);
                    let event = if broken {
                        SnapshotEvent::Broken { stream }
                    } else {
                        receiver.staged.insert(stream, (snapshot, state));
                        SnapshotEvent::Arrived { stream }
                    };
                    self.end(other, stream, &event);
                }
                let outcome = if whole { Outcome::Done } else { Outcome::Failed };
                self.end(at, id, &SnapshotEvent::Sent { stream: id, outcome });
            }
        }
    }

    /// Whoever receives a stream that its sender has given up notices it.
    fn break_streams(&mut self) {
        for at in 0..self.servers.len() {
            for (stream, ((from, life, id), _)) in self.servers[at].receiving.clone() {
                let sender = &self.servers[usize::try_from(from.get() - 1).expect("small")];
                if sender.lives != life || !sender.streams.contains_key(&id) {
                    self.servers[at].receiving.remove(&stream);
                    self.end(at, stream, &SnapshotEvent::Broken { stream });
                }
            }
        }
    }

    /// Disk and state machine get on.
    fn work(&mut self, at: usize) {
        if self.servers[at].driver.is_none() {
            return;
        }
        if self.rng.chance(self.faults.hung_disk) {
            let ticks = u32::try_from(self.rng.below(30)).expect("small");
            self.servers[at].hangs_until = self.now.saturating_add(TICK * ticks);
        }
        let slow = self.rng.chance(self.faults.slow_disk);
        let server = &mut self.servers[at];
        let slow = slow || self.now < server.hangs_until;
        if !slow && let Some(last) = server.writes.back() {
            let ticket = last.ticket;
            for write in server.writes.drain(..) {
                server.disk.write(write, usize::MAX);
            }
            server.events.push(Event::Written { ticket });
        }
        let jobs = self.rng.below(3);
        for _ in 0..jobs {
            let Some(job) = self.servers[at].jobs.pop_front() else { break };
            self.perform(at, job);
        }
        let full = self.servers[at].full.clone();
        for peer in full {
            if self.rng.chance(20) {
                self.servers[at].full.remove(&peer);
                self.tell(at, Event::Resumed { peer });
            }
        }
    }

    fn perform(&mut self, at: usize, job: Job) {
        let event = match job {
            Job::Apply(commits) => {
                let through = commits.last().expect("not empty").entry.position.index;
                for commit in commits {
                    self.apply(at, commit);
                }
                Event::Applied { through }
            }
            Job::Take(snapshot, described) => {
                let server = &mut self.servers[at];
                assert_eq!(snapshot.position.index, server.machine_applied, "as it is now");
                let outcome = if self.rng.chance(10) { Outcome::Failed } else { Outcome::Done };
                if outcome == Outcome::Done {
                    let state = State { described, ..server.machine.clone() };
                    server.disk.snapshots.insert(snapshot.position.index, (snapshot, state));
                }
                self.note("take");
                Event::Snapshot(SnapshotEvent::Taken { outcome })
            }
            Job::Install(snapshot, state) => {
                let server = &mut self.servers[at];
                assert!(server.writes.iter().all(|write| write.log.is_none()), "no log is written");
                assert!(
                    server.disk.hard_state.current_term >= snapshot.position.term,
                    "the term of the snapshot is durable"
                );
                assert!(server.machine_applied < snapshot.position.index);
                let outcome = if self.rng.chance(10) { Outcome::Failed } else { Outcome::Done };
                if outcome == Outcome::Done {
                    (server.machine, server.machine_applied) =
                        (state.restored(), snapshot.position.index);
                    server.disk.log = PayloadLog::new(snapshot.position);
                    server.disk.snapshots.insert(snapshot.position.index, (snapshot, state));
                    self.remember(at);
                }
                self.note("install");
                Event::Snapshot(SnapshotEvent::Installed { outcome })
            }
        };
        self.tell(at, event);
    }

    fn apply(&mut self, at: usize, commit: Commit<Bytes>) {
        let Commit { entry, caller } = commit;
        let server = &mut self.servers[at];
        let index = entry.position.index;
        assert_eq!(index.get(), server.machine_applied.get() + 1, "one after the other");
        server.machine_applied = index;
        let known = self.committed.entry(index).or_insert(entry.position);
        assert_eq!(*known, entry.position, "everybody applies the same");
        assert_eq!(self.positions.get(&entry.position), Some(&entry.content), "and the right one");
        if let Content::Command(command) = entry.content {
            let said = server.machine.apply(entry.position, command.clone());
            if let Some(caller) = caller {
                let asked = self.asked.get_mut(&caller.token).expect("it has asked");
                assert_eq!(asked.at, Some(server.id));
                // What was handed out before the answer may be applied after it; never all of it.
                if let Some(Answer::Lost { applied } | Answer::Unknown { applied, .. }) =
                    asked.answer
                {
                    assert!(caller.nth < applied && applied < caller.of, "{caller:?} {applied}");
                } else {
                    assert!(!asked.done, "{:?} was answered", caller.token);
                }
                let nth = usize::try_from(caller.nth).expect("small");
                assert_eq!(asked.commands[nth], command, "it is his own");
                assert_eq!((asked.applied, asked.commands.len() as u64), (caller.nth, caller.of));
                asked.applied += 1;
                if asked.applied == caller.of {
                    (asked.done, asked.said) = (true, said);
                    self.acknowledged = self.acknowledged.max(index);
                }
            }
        } else {
            assert_eq!(caller, None);
        }
    }

    /// One driver is told what waits, and its effects are carried out.
    fn turn(&mut self, at: usize) {
        let server = &mut self.servers[at];
        let Some(driver) = &mut server.driver else { return };
        let mut events = std::mem::take(&mut server.events);
        if driver.deadline().is_some_and(|at| at <= self.now) {
            events.insert(0, Event::Wake);
        }
        if events.is_empty() {
            return;
        }
        server.stopped.clear();
        server.committed = driver.node().status().commit_index;
        // Now and then a copy goes on.
        if self.now.as_nanos() / 5_000_000 % 16 == at as u64 {
            *driver = copy_of(driver);
        }
        let mut effects = Vec::new();
        let misses = if self.faults.stalls > 0 { 5 } else { 0 };
        let in_parts =
            in_parts(driver.clone(), &events, self.now, (&server.disk, &self.rng, misses));
        let (disk, rng) = (&server.disk, &mut self.rng);
        let mut reader = Reader { disk, rng, misses, steps: 0, pauses: 0 };
        driver.step(events, self.now, &mut reader, &mut effects);
        let (steps, pauses) = (reader.steps, reader.pauses);
        assert!(steps <= 8, "a call ends: {steps} steps");
        assert_eq!((&in_parts.0, &in_parts.1), (&*driver, &effects), "all at once or in parts");
        if pauses > 0 {
            self.note("pause");
        }
        for effect in effects {
            self.carry_out(at, effect);
        }
        self.check_book(at);
        self.check_streams(at);
    }

    /// Each head is answered in the call that has brought it, and one stream is received at a time.
    fn check_streams(&self, at: usize) {
        let server = &self.servers[at];
        assert!(server.heads.is_empty(), "{:?} wait for their answer", server.heads);
        assert_eq!(server.replaced, None, "it was to be received, and nothing else is");
        let installs = server.jobs.iter().filter(|job| matches!(job, Job::Install(..))).count();
        let open = server.receiving.len() + server.staged.len() + installs;
        let (receiving, staged) = (&server.receiving, server.staged.keys());
        assert!(open <= 1, "{receiving:?}, {staged:?} and {installs} installs");
    }

    fn carry_out(&mut self, at: usize, effect: Effect<Bytes>) {
        match effect {
            Effect::Write(write) => self.write(at, write),
            Effect::Send(frame) => self.send(at, frame),
            Effect::Apply(commits) => {
                let weights =
                    commits.iter().map(|c| raft_core::driver::frame::weight(&c.entry.content));
                let weight: u64 = weights.sum();
                let fits = weight <= self.settings.apply_bytes || commits.len() == 1;
                assert!(fits, "{weight} bytes in one apply");
                for caller in commits.iter().filter_map(|commit| commit.caller) {
                    if caller.nth + 1 == caller.of {
                        self.servers[at].patience.remove(&caller.token);
                    }
                }
                let jobs = &mut self.servers[at].jobs;
                assert!(!jobs.iter().any(|job| matches!(job, Job::Apply(_))), "one at a time");
                jobs.push_back(Job::Apply(commits));
            }
            Effect::Answer { token, answer } => self.answer(at, token, answer),
            Effect::Snapshot(task) => self.snapshot(at, task),
            Effect::Compact { through } => {
                let server = &mut self.servers[at];
                let newest = server.disk.snapshots.keys().next_back();
                assert!(newest >= Some(&through.index), "the snapshot is durable first");
                let streams = server.streams.values().map(|s| s.0.position.index);
                assert!(
                    streams.min().is_none_or(|least| through.index <= least),
                    "a stream needs it"
                );
                server.disk.log.compact(through);
                self.note("compact");
            }
            Effect::Fetch { .. } => {
                self.note("fetch");
                self.tell(at, Event::Fetched);
            }
            Effect::Notice(Action::RoleChanged { .. }) => self.note("role"),
            Effect::Notice(Action::PeerRegressed { .. }) => panic!("nobody has lost anything"),
            Effect::Notice(_) => self.note("notice"),
        }
    }

    fn write(&mut self, at: usize, write: BoundWrite<Bytes>) {
        for entry in write.log.iter().flat_map(|log| &log.entries) {
            let known = self.positions.entry(entry.position).or_insert(entry.content.clone());
            assert_eq!(*known, entry.content, "the same position is the same command");
        }
        if let Some(log) = &write.log {
            let dropped = self.servers[at].history.split_off(&log.first);
            let says = |content: &Content<Bytes>| {
                content.command().is_some_and(|c| c.describes().is_some())
            };
            if dropped.values().any(|(_, content)| says(content)) {
                self.note("description taken back");
            }
            let entries =
                log.entries.iter().map(|e| (e.position.index, (e.position, e.content.clone())));
            self.servers[at].history.extend(entries);
        }
        let server = &mut self.servers[at];
        assert!(server.writes.back().is_none_or(|last| last.ticket < write.ticket));
        server.writes.push_back(write);
    }

    fn send(&mut self, at: usize, frame: Frame<Bytes>) {
        assert!(frame.bytes() <= self.settings.largest_frame(), "no peer would take it");
        let weight = frame.bytes() + OVERHEAD * frame.payloads().len() as u64;
        let alone = frame.payloads().len() <= 1;
        assert!(weight <= self.settings.frame_bytes || alone, "a frame of {weight} bytes");
        let (mut envelope, mut payloads) = frame.into_parts();
        let to = envelope.to;
        let driver = self.servers[at].driver.as_ref().expect("it runs");
        let on_the_way = driver.on_the_way(to);
        let largest = self.largest + OVERHEAD;
        assert!(on_the_way <= self.settings.in_flight_bytes.max(largest), "{on_the_way} bytes");
        self.check_prev(at, &envelope);
        if let Message::AppendEntries(m) = &envelope.message
            && !m.entries.is_empty()
        {
            // A transport that is full drops the rest, and says so once.
            if self.servers[at].full.contains(&to) {
                return;
            }
            if self.rng.chance(self.faults.fills) {
                let kept = self.rng.below(m.entries.count() + 1);
                let (head, _): (AppendEntries, _) = m.clone().split_at(kept);
                payloads.truncate(usize::try_from(head.entries.commands()).expect("small"));
                let after = Some(head.last_position().index);
                envelope.message = Message::AppendEntries(head);
                self.servers[at].full.insert(to);
                self.tell(at, Event::Paused { peer: to, after });
                self.note("partial frame");
            }
        }
        self.post(&envelope, &payloads, None);
    }

    /// Once a peer is known to follow the log, it is not asked about what has not left for it: it
    /// could only say *mismatch*.
    fn check_prev(&mut self, at: usize, envelope: &Envelope) {
        let Message::AppendEntries(m) = &envelope.message else { return };
        let server = &mut self.servers[at];
        let driver = server.driver.as_ref().expect("it runs");
        let peer = driver.node().peers().find(|peer| peer.id == envelope.to);
        let sent = server.sent.entry((envelope.to, envelope.term)).or_default();
        if let Some(peer) = peer.filter(|peer| peer.match_index > LogIndex::ZERO) {
            assert!(m.prev.index <= peer.match_index.max(*sent), "{m:?} after {sent:?}, {peer:?}");
        }
        *sent = m.last_position().index.max(*sent);
    }

    /// It arrives some time, perhaps twice.
    fn post(&mut self, envelope: &Envelope, payloads: &[Bytes], source: Option<Source>) {
        let copies = if self.rng.chance(self.faults.doubles) { 2 } else { 1 };
        for _ in 0..copies {
            let delay = TICK * u32::try_from(self.rng.below(3 * copies)).expect("small");
            let (envelope, payloads) = (envelope.clone(), payloads.to_vec());
            let at = self.now.saturating_add(delay);
            self.packets.push(Packet { at, envelope, payloads, source });
        }
    }

    fn answer(&mut self, at: usize, token: Token, answer: Answer) {
        let applied = self.servers[at].machine_applied;
        let asked = self.asked.get_mut(&token).expect("it has asked");
        assert!(!asked.done, "{token} is answered twice: {answer:?} after {:?}", asked.answer);
        assert_eq!(asked.at, Some(self.servers[at].id));
        if let Answer::Read { index } = answer {
            assert!(applied >= index && applied >= asked.acknowledged, "a stale read");
        }
        asked.done = true;
        asked.answer = Some(answer);
        let until = self.servers[at].patience.remove(&token);
        if matches!(
            answer,
            Answer::Refused(Refusal::TimedOut) | Answer::Unknown { cause: Unknown::TimedOut, .. }
        ) {
            assert!(until <= Some(self.now), "{token} is given up too early");
        }
        if let Answer::Unknown { cause: Unknown::LeadershipLost, .. } = answer {
            let server = &self.servers[at];
            let commit = server.driver.as_ref().map(|driver| driver.node().status().commit_index);
            let committed = server.history.iter().filter(|(index, _)| Some(**index) <= commit);
            let last = asked.commands.last();
            let known = committed.map(|(_, (_, content))| content.command()).any(|c| c == last);
            assert!(!known || last.is_none(), "{token} is known to be committed");
        }
        let what = match answer {
            Answer::Refused(_) => "refused",
            Answer::Lost { .. } => "lost",
            Answer::Unknown { .. } => "unknown",
            Answer::Read { .. } => "read",
            Answer::Changed => "changed",
            Answer::Transferred(_) => "transferred",
        };
        self.note(what);
    }

    fn snapshot(&mut self, at: usize, task: SnapshotTask) {
        let stalls = self.rng.chance(self.faults.stalls);
        let slow = self.rng.chance(self.faults.slow_streams);
        let server = &mut self.servers[at];
        match task {
            SnapshotTask::Take(snapshot) => {
                let book = server.driver.as_ref().expect("it runs").book();
                let described = book.snapshot().cloned().collect();
                server.jobs.push_back(Job::Take(snapshot, described));
            }
            SnapshotTask::Send { stream, head } => {
                let (to, position) = (head.to, head.snapshot.position);
                assert!(server.disk.snapshots.contains_key(&position.index), "it is durable");
                assert!(server.streams.values().all(|other| other.0.to != to), "one a peer");
                assert!(!server.ended.contains(&stream), "no id is used twice");
                if let Some((stopped, progress_at)) = server.stopped.get(&to) {
                    let waited = self.now.saturating_since(*progress_at);
                    assert!(*stopped != position || waited >= T * 5, "it got on");
                }
                let sent = server.sent.entry((to, head.term)).or_default();
                *sent = position.index.max(*sent);
                let progress_at = self.now;
                // One that gets on all the time may take longer than the node waits for it.
                let left = if slow { 150 } else { 4 };
                let out = StreamOut(Stream { to, position, left, stalls, progress_at });
                server.streams.insert(stream, out);
                let source = (server.id, server.lives, stream);
                self.post(&head.into(), &[], Some(source));
                self.note("stream");
            }
            SnapshotTask::Stop { stream } => {
                let stopped = server.streams.remove(&stream).map(|out| out.0);
                server.stopped.extend(stopped.map(|s| (s.to, (s.position, s.progress_at))));
                server.ended.push(stream);
                self.note("stop");
            }
            SnapshotTask::Receive { stream, from, snapshot } => {
                let (source, head) = server.heads.remove(&stream).expect("its head has come");
                assert_eq!((from, &snapshot), (head.from, &head.snapshot));
                assert!(snapshot.position.index > server.committed, "{head:?} is no news");
                if let Some(old) = server.replaced.take() {
                    assert!(old != head && old.term <= head.term, "{old:?} goes on, not {head:?}");
                }
                server.receiving.insert(stream, (source, head));
                self.note("received head");
            }
            SnapshotTask::Discard { stream } => {
                let is_head = server.heads.remove(&stream).is_some();
                let received = server.receiving.remove(&stream);
                let staged = server.staged.remove(&stream);
                if let Some((snapshot, _)) = &staged {
                    let status = server.driver.as_ref().expect("it runs").node().status();
                    assert_ne!(status.installing, Some(snapshot.position), "it is to be installed");
                }
                let came = received.is_some() || staged.is_some();
                server.replaced = received.map(|(_, head)| head);
                // What has just broken by itself may be discarded, too.
                assert!(is_head || came || server.ended.contains(&stream), "{stream:?}: what?");
                assert!(server.discarded.insert(stream), "{stream:?} is discarded twice");
                server.ended.push(stream);
                self.note(if is_head { "refused head" } else { "discard" });
            }
            SnapshotTask::Install { stream, snapshot } => {
                let applies = server.jobs.iter().any(|job| matches!(job, Job::Apply(_)));
                assert!(!applies, "everything before it is applied");
                let (staged, state) = server.staged.remove(&stream).expect("it has arrived");
                assert_eq!(staged, snapshot);
                assert!(server.discarded.insert(stream), "{stream:?} has ended");
                server.jobs.push_back(Job::Install(snapshot, state));
            }
            SnapshotTask::Remove { position } => {
                let newest = server.disk.snapshots.keys().next_back().copied();
                assert_ne!(newest, Some(position.index), "never the newest");
                assert!(server.streams.values().all(|s| s.0.position != position), "it is sent");
                assert!(server.disk.snapshots.remove(&position.index).is_some(), "it was there");
            }
        }
    }

    /// What must be true at the end, when everything was well for a while.
    pub(crate) fn check_end(&self) {
        let last = *self.committed.keys().next_back().expect("something");
        for server in &self.servers {
            assert_eq!(server.machine_applied, last, "{:?} has everything", server.id);
            let mine: Vec<_> = server.machine.commands.iter().map(|(at, _)| at.index).collect();
            assert!(mine.is_sorted());
            let kept: Vec<_> = server.disk.snapshots.keys().collect();
            assert!(kept.len() <= 1, "old snapshots are removed: {kept:?} {:?}", server.streams);
            assert!(
                server.receiving.is_empty() && server.staged.is_empty(),
                "nothing is left over: {:?} {:?}",
                server.receiving,
                server.staged.keys()
            );
            assert!(server.streams.is_empty());
        }
        let state = |server: &Server| server.machine.clone();
        assert!(self.servers.iter().all(|s| state(s) == state(&self.servers[0])), "one state");
        let commands = self.servers[0].machine.commands.iter();
        let applied: BTreeSet<&Bytes> = commands.map(|(_, command)| command).collect();
        for (token, asked) in &self.asked {
            assert!(asked.done, "{token} waits for ever");
            let kept = match asked.answer {
                Some(Answer::Lost { applied }) => applied,
                Some(Answer::Refused(_)) => 0,
                _ => continue,
            };
            let rest = asked.commands.iter().skip(usize::try_from(kept).expect("small"));
            rest.for_each(|command| assert!(!applied.contains(command), "{token} was not lost"));
        }
    }
}

impl Disk {
    /// Hard state first; then the log, of which a crash may leave any beginning.
    fn write(&mut self, write: BoundWrite<Bytes>, steps: usize) {
        if steps == 0 {
            return;
        }
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        let Some(log) = write.log.filter(|_| steps > 1) else { return };
        if let Some(position) = log.restart_after {
            self.log = PayloadLog::new(position);
        }
        assert!(log.first > self.log.start().index, "below the log");
        self.log.truncate_from(log.first);
        assert_eq!(self.log.last().index.get() + 1, log.first.get(), "no gap");
        for entry in log.entries.into_iter().take(steps.saturating_sub(2)) {
            assert_eq!(self.log.last().index.get() + 1, entry.position.index.get());
            self.log.push(entry.position.term, entry.content);
        }
    }
}
