//! One node: a thread for the driver and the state machine, and one for the disk.

use crate::files::Dir;
use crate::log::{Bytes, FileLog};
use crate::snapshots;
use raft_core::driver::{
    Answer, Driver, Effect, Event, Frame, Host, Settings, SnapshotEvent, SnapshotHead,
    SnapshotTask, Stepped, StreamId,
};
use raft_core::payload::Content;
use raft_core::{
    Config, Consistency, Envelope, Instant, LogIndex, LogPosition, Membership, Node, NodeId,
    Outcome, Recovered, Snapshot, Ticket, Token,
};
use raft_sim::kit::{HostEvent, Log, RecoveredLog};
use std::collections::BTreeMap;
use std::io::Result;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The state machine: keys and values. A command is `key=value`.
pub(crate) type Map = BTreeMap<String, String>;

/// What a node is told.
pub(crate) enum Told {
    Event(Event<Bytes>),
    /// The head of a snapshot, and what follows it.
    Stream(SnapshotHead, Arriving),
    Put(String, Sender<()>),
    Get(Sender<Map>),
    Stop,
}

/// The content of a snapshot, and whom to tell what became of it, under which id.
pub(crate) struct Arriving(Bytes, Sender<Told>, StreamId);

/// Who is reached where. Whoever is down is not in it.
pub(crate) type Network = Arc<Mutex<BTreeMap<NodeId, Sender<Told>>>>;

/// What the kit's checker reads: one JSON value a line.
#[derive(Clone, Default)]
pub(crate) struct Recorder(pub(crate) Arc<Mutex<String>>);

impl Recorder {
    pub(crate) fn note(&self, event: &HostEvent) {
        let line = serde_json::to_string(event).expect("it has an encoding");
        let mut all = lock(&self.0);
        all.push_str(&line);
        all.push('\n');
    }
}

/// What is wrong with the host: for the test that the kit sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    /// The disk thread says that a write is done, and syncs then.
    SaysWrittenEarly,
    /// The disk thread carries out what waits from the last to the first.
    WritesBackwards,
    /// The disk thread goes on after a sync that failed.
    GoesOnAfterFailure,
    /// A client is answered, and its command is applied then.
    AnswersEarly,
    /// A snapshot is said to be taken, and is not written.
    TakesNothing,
    /// The log is deleted when a snapshot is begun.
    ReleasesEarly,
    /// The vote is not read when the node starts again.
    ForgetsTheVote,
    /// The seed is the same at each start.
    SameSeed,
}

pub(crate) const ELECTION_TIMEOUT: Duration = Duration::from_millis(400);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

/// Monotonic, from the first look on.
#[expect(clippy::disallowed_methods, reason = "this host is a real one")]
fn now() -> Instant {
    static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let since = ORIGIN.get_or_init(std::time::Instant::now).elapsed();
    Instant::from_nanos(u64::try_from(since.as_nanos()).expect("centuries"))
}

enum DiskTask {
    Write(raft_core::driver::BoundWrite<Bytes>),
    Release(LogPosition),
    Restart(LogPosition, Sender<()>),
}

/// A node, its seed, and what is wrong with its host.
pub(crate) type Who = (NodeId, u64, Option<Flaw>);

type SharedLog<D> = Arc<Mutex<FileLog<D>>>;

/// What the driver asks during a call.
struct Reads<D> {
    log: SharedLog<D>,
    recorder: Recorder,
}

impl<D: Dir> Host<Bytes> for Reads<D> {
    fn read(&mut self, position: LogPosition) -> Option<Content<Bytes>> {
        lock(&self.log).read(position).expect("it is in memory")
    }

    fn stepped(&mut self, step: &Stepped<'_>) {
        self.recorder.note(&HostEvent::stepped(step));
    }
}

enum Caller {
    Put(Sender<()>),
    Get(Sender<Map>),
}

/// What the driver's thread owns.
struct Server<D> {
    dir: D,
    driver: Driver<Bytes>,
    host: Reads<D>,
    state: Map,
    disk: Sender<DiskTask>,
    network: Network,
    callers: BTreeMap<Token, Caller>,
    last_token: u64,
    /// Streams whose head waits for an answer, and what has arrived.
    streams: BTreeMap<StreamId, Arriving>,
    last_stream: u64,
    inbox: Sender<Told>,
    /// What this thread itself has to tell the driver.
    own: Vec<Event<Bytes>>,
    flaw: Option<Flaw>,
}

/// A node that runs.
pub(crate) struct Running {
    inbox: Sender<Told>,
    threads: [JoinHandle<()>; 2],
}

/// Starts a node from what is in the directory.
pub(crate) fn start<D: Dir>(
    (id, seed, flaw): Who,
    dir: &D,
    members: &Membership,
    network: &Network,
    recorder: &Recorder,
) -> Result<Running> {
    let mut log = FileLog::open(dir.clone())?;
    let RecoveredLog { mut hard_state, prev, entries } = log.recover()?;
    if flaw == Some(Flaw::ForgetsTheVote) {
        hard_state.voted_for = None;
    }
    let seed = if flaw == Some(Flaw::SameSeed) { 1 } else { seed };
    let genesis = || (Snapshot::genesis(members.clone()), Map::new());
    let (snapshot, state) = snapshots::newest(dir)?.unwrap_or_else(genesis);
    let applied = LogIndex::ZERO;
    let recovered = Recovered { hard_state, snapshot, prev, entries, applied };
    recorder.note(&HostEvent::Started { id, seed, recovered: recovered.clone(), now: now() });
    let config = Config::new(id, seed).with_election_timeout(ELECTION_TIMEOUT);
    let node = Node::new(config, recovered, now()).expect("the log is what the core left");
    let mut settings = Settings::default();
    (settings.snapshot_bytes, settings.kept_bytes) = (4000, 500);
    let mut driver = Driver::new(node, settings).expect("no limit is 0");
    driver.recall([], log.entries().cloned());

    let ((inbox, told), (disk, tasks)) = (channel(), channel());
    let log = Arc::new(Mutex::new(log));
    let (done, disk_log, disk_recorder) = (inbox.clone(), Arc::clone(&log), recorder.clone());
    let disk_thread = thread::spawn(move || {
        if work(&disk_log, &tasks, &done, &disk_recorder, flaw).is_err() {
            disk_recorder.note(&HostEvent::WriteFailed);
        }
    });
    let mut server = Server {
        dir: dir.clone(),
        driver,
        host: Reads { log, recorder: recorder.clone() },
        state,
        disk,
        network: Arc::clone(network),
        callers: BTreeMap::new(),
        last_token: 0,
        streams: BTreeMap::new(),
        last_stream: 0,
        inbox: inbox.clone(),
        own: Vec::new(),
        flaw,
    };
    lock(network).insert(id, inbox.clone());
    // A thread that cannot go on ends: that is the crash.
    let driver_thread = thread::spawn(move || drop(server.run(&told)));
    Ok(Running { inbox, threads: [driver_thread, disk_thread] })
}

impl Running {
    /// Ends it where it stands. Whether no thread of it has panicked.
    pub(crate) fn stop(self) -> bool {
        _ = self.inbox.send(Told::Stop);
        self.threads.into_iter().map(JoinHandle::join).filter(std::result::Result::is_err).count()
            == 0
    }
}

/// The disk thread: writes in order, and one sync for all that waits.
fn work<D: Dir>(
    log: &SharedLog<D>,
    tasks: &Receiver<DiskTask>,
    done: &Sender<Told>,
    recorder: &Recorder,
    flaw: Option<Flaw>,
) -> Result<()> {
    while let Ok(first) = tasks.recv() {
        let (mut last, mut restarted) = (None::<Ticket>, Vec::new());
        let mut group: Vec<_> = std::iter::once(first).chain(tasks.try_iter()).collect();
        if flaw == Some(Flaw::WritesBackwards) {
            thread::sleep(ELECTION_TIMEOUT / 20);
            group.extend(tasks.try_iter());
            group.reverse();
        }
        for task in group {
            match task {
                DiskTask::Write(write) => {
                    lock(log).write(&write)?;
                    recorder.note(&HostEvent::Written { ticket: write.ticket });
                    last = Some(write.ticket);
                }
                DiskTask::Release(through) => {
                    lock(log).release(through)?;
                    recorder.note(&HostEvent::Released { through });
                }
                DiskTask::Restart(after, said) => {
                    lock(log).restart(after)?;
                    restarted.push(said);
                }
            }
        }
        if let (Some(Flaw::SaysWrittenEarly), Some(ticket)) = (flaw, last) {
            _ = done.send(Told::Event(Event::Written { ticket }));
            thread::sleep(ELECTION_TIMEOUT / 10);
        }
        let synced = lock(log).sync();
        if flaw == Some(Flaw::GoesOnAfterFailure) && synced.is_err() {
            recorder.note(&HostEvent::WriteFailed);
        } else {
            synced?;
        }
        if let Some(ticket) = last {
            recorder.note(&HostEvent::Durable { ticket });
            _ = done.send(Told::Event(Event::Written { ticket }));
        }
        for said in restarted {
            _ = said.send(());
        }
    }
    Ok(())
}

impl<D: Dir> Server<D> {
    fn run(&mut self, told: &Receiver<Told>) -> Result<()> {
        let mut effects = Vec::new();
        loop {
            let mut events = std::mem::take(&mut self.own);
            let wait = self.driver.deadline().unwrap_or(Instant::MAX).saturating_since(now());
            let wait = if events.is_empty() { wait.min(ELECTION_TIMEOUT) } else { Duration::ZERO };
            for told in told.recv_timeout(wait).into_iter().chain(told.try_iter()) {
                match told {
                    Told::Stop => return Ok(()),
                    told => events.extend(self.hear(told)),
                }
            }
            let now = now();
            if self.driver.deadline().is_some_and(|deadline| deadline <= now) {
                events.push(Event::Wake);
            }
            self.driver.step(events, now, &mut self.host, &mut effects);
            effects.drain(..).try_for_each(|effect| self.carry_out(effect))?;
        }
    }

    fn hear(&mut self, told: Told) -> Option<Event<Bytes>> {
        let token = Token(self.last_token + 1);
        let until = now().saturating_add(ELECTION_TIMEOUT * 4);
        let (caller, event) = match told {
            Told::Event(event) => return Some(event),
            Told::Stream(head, arriving) => {
                self.last_stream += 1;
                let stream = StreamId(self.last_stream);
                self.streams.insert(stream, arriving);
                return Some(Event::Snapshot(SnapshotEvent::Head { stream, head }));
            }
            Told::Put(command, caller) => {
                let commands = vec![command.into_bytes()];
                (Caller::Put(caller), Event::Propose { token, commands, until })
            }
            Told::Get(caller) => {
                let consistency = Consistency::ReadIndex;
                (Caller::Get(caller), Event::Read { token, consistency, until })
            }
            Told::Stop => return None,
        };
        self.last_token += 1;
        self.callers.insert(token, caller);
        Some(event)
    }

    fn note(&self, event: &HostEvent) {
        self.host.recorder.note(event);
    }

    fn carry_out(&mut self, effect: Effect<Bytes>) -> Result<()> {
        match effect {
            Effect::Write(write) => _ = self.disk.send(DiskTask::Write(write)),
            Effect::Send(frame) => {
                self.note(&HostEvent::Sent { envelope: frame.envelope().clone() });
                let (envelope, payloads) = frame.into_parts();
                let (from, to) = (envelope.from, envelope.to);
                if let Ok(frame) = Frame::received(from, envelope, payloads, u64::MAX) {
                    self.send(to, Told::Event(Event::Frame(frame)));
                }
            }
            Effect::Apply(commits) => self.apply(commits),
            Effect::Answer { token, answer } => {
                let caller = self.callers.remove(&token);
                let done = matches!(answer, Answer::Read { .. });
                if let (true, Some(Caller::Get(caller))) = (done, &caller) {
                    _ = caller.send(self.state.clone());
                }
                // Whoever hears nothing asks somebody else.
                self.note(&HostEvent::Answered { token, done });
            }
            Effect::Snapshot(task) => self.snapshot(task)?,
            Effect::Compact { through } => _ = self.disk.send(DiskTask::Release(through)),
            Effect::Fetch { position } => unreachable!("{position} is in memory"),
            Effect::Notice(_) => {}
        }
        Ok(())
    }

    fn send(&self, to: NodeId, told: Told) -> bool {
        lock(&self.network).get(&to).is_some_and(|inbox| inbox.send(told).is_ok())
    }

    fn apply(&mut self, commits: Vec<raft_core::driver::Commit<Bytes>>) {
        let (Some(first), Some(last)) = (commits.first(), commits.last()) else { return };
        let (first, through) = (first.entry.position.index, last.entry.position);
        let mut answered = Vec::new();
        for commit in commits {
            if let Content::Command(command) = &commit.entry.content {
                let command = String::from_utf8_lossy(command);
                let (key, value) = command.split_once('=').expect("clients send such");
                self.state.insert(key.to_owned(), value.to_owned());
            }
            answered.extend(commit.caller.filter(|caller| caller.nth + 1 == caller.of));
        }
        let early = self.flaw == Some(Flaw::AnswersEarly) && !answered.is_empty();
        if !early {
            self.note(&HostEvent::Applied { first, through });
        }
        for token in answered.into_iter().map(|caller| caller.token) {
            self.note(&HostEvent::Answered { token, done: true });
            if let Some(Caller::Put(caller)) = self.callers.remove(&token) {
                _ = caller.send(());
            }
        }
        self.own.push(Event::Applied { through: through.index });
    }

    fn snapshot(&mut self, task: SnapshotTask) -> Result<()> {
        let outcome = Outcome::Done;
        let event = match task {
            SnapshotTask::Take(_) if self.flaw == Some(Flaw::TakesNothing) => {
                SnapshotEvent::Taken { outcome }
            }
            SnapshotTask::Take(covers) => {
                if self.flaw == Some(Flaw::ReleasesEarly) {
                    _ = self.disk.send(DiskTask::Release(covers.position));
                    thread::sleep(ELECTION_TIMEOUT / 10);
                }
                self.save(covers.position, &snapshots::encode(&covers, &self.state))?;
                SnapshotEvent::Taken { outcome }
            }
            SnapshotTask::Send { stream, head } => {
                let (to, envelope) = (head.to, Envelope::from(head.clone()));
                let content = snapshots::load(&self.dir, head.snapshot.position)?;
                self.note(&HostEvent::Sent { envelope });
                let arriving = Arriving(content, self.inbox.clone(), stream);
                if self.send(to, Told::Stream(head, arriving)) {
                    return Ok(());
                }
                SnapshotEvent::Sent { stream, outcome: Outcome::Failed }
            }
            SnapshotTask::Receive { stream, snapshot, .. } => {
                let found = snapshots::decode(&self.streams[&stream].0);
                if found.is_ok_and(|(head, _)| head == snapshot) {
                    self.streams[&stream].ends(Outcome::Done);
                    SnapshotEvent::Arrived { stream }
                } else {
                    self.give_up(stream);
                    SnapshotEvent::Broken { stream }
                }
            }
            SnapshotTask::Discard { stream } => {
                self.give_up(stream);
                return Ok(());
            }
            SnapshotTask::Install { stream, snapshot } => {
                let Arriving(content, ..) = self.streams.remove(&stream).expect("it has arrived");
                self.state = snapshots::decode(&content)?.1;
                self.save(snapshot.position, &content)?;
                let (said, durable) = channel();
                _ = self.disk.send(DiskTask::Restart(snapshot.position, said));
                durable.recv().map_err(std::io::Error::other)?;
                self.note(&HostEvent::Installed { position: snapshot.position });
                SnapshotEvent::Installed { outcome }
            }
            SnapshotTask::Remove { position } => return snapshots::remove(&self.dir, position),
            // A stream is one message: there is nothing to stop.
            SnapshotTask::Stop { .. } => return Ok(()),
        };
        self.own.push(Event::Snapshot(event));
        Ok(())
    }

    fn save(&self, position: LogPosition, content: &[u8]) -> Result<()> {
        snapshots::save(&self.dir, position, content)?;
        self.note(&HostEvent::SnapshotDurable { position });
        Ok(())
    }

    fn give_up(&mut self, stream: StreamId) {
        if let Some(given_up) = self.streams.remove(&stream) {
            given_up.ends(Outcome::Failed);
        }
    }
}

impl Arriving {
    /// The other end learns what became of its stream.
    fn ends(&self, outcome: Outcome) {
        let Self(_, sender, stream) = self;
        let sent = SnapshotEvent::Sent { stream: *stream, outcome };
        _ = sender.send(Told::Event(Event::Snapshot(sent)));
    }
}
