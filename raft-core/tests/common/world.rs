//! A world of [`Host`]s: a network, a clock for each, and what is known of everything that was
//! ever said, so that a contradiction is seen where it happens.
//!
//! What is checked after every step: one leader in a term; one entry at a position, whoever applies
//! it; a read sees all that was applied anywhere before it was asked for; every request is answered
//! once; nobody says *lost* of a position that commits, or *committed* of one that does not.

use super::host::{Done, Host, Parcel, State, alone, no_parcel};
use super::{T, ms};
use core::time::Duration;
use raft_core::payload::Content;
use raft_core::{
    Action, Config, Consistency, Fate, Input, Instant, LogIndex, LogPosition, Membership, Message,
    NodeId, Outcome, RejectReason, RoleKind, Snapshot, Status, Term, Token, TransferOutcome,
};
use std::collections::{BTreeMap, BTreeSet};

/// How the network treats a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    pub(crate) delay: (Duration, Duration),
    /// Of 1000 messages so many are lost, come twice, come very late, and bring along those that
    /// are about to arrive.
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) late: u64,
    pub(crate) together: u64,
}

impl Network {
    pub(crate) const CALM: Self =
        Self { delay: (ms(1), ms(1)), lost: 0, twice: 0, late: 0, together: 0 };
}

#[derive(Clone, Debug)]
enum Event {
    Arrives(Box<Parcel>),
    SnapshotSent { at: NodeId, to: NodeId, position: LogPosition, outcome: Outcome },
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
struct Request {
    at: NodeId,
    asked: Instant,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Propose,
    /// With the greatest index that was applied anywhere before.
    Read(LogIndex),
    Change,
    Transfer,
}

/// How often what happened, so that a test can say that it happened at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) reads_served: u64,
    pub(crate) leases_served: u64,
    pub(crate) reads_forwarded: u64,
    pub(crate) transfers_done: u64,
    pub(crate) memberships: u64,
    pub(crate) installs: u64,
    pub(crate) crashes: u64,
    pub(crate) lost: u64,
    pub(crate) elections: u64,
}

pub(crate) struct World {
    pub(crate) hosts: BTreeMap<NodeId, Host>,
    /// Each clock: its offset, and how fast it runs in parts per million.
    clocks: BTreeMap<NodeId, (u64, i64)>,
    /// True time.
    pub(crate) now: Duration,
    pub(crate) network: Network,
    cuts: BTreeSet<(NodeId, NodeId)>,
    /// The fate of the next messages on a link, a bit for each: is it lost?
    pub(crate) losses: BTreeMap<(NodeId, NodeId), u64>,
    events: BTreeMap<(Duration, u64), Event>,
    pub(crate) dice: Dice,
    serial: u64,
    leaders: BTreeMap<Term, NodeId>,
    /// What is committed, from index 1 on.
    pub(crate) committed: Vec<(LogPosition, Content<u64>)>,
    genesis: Membership,
    open: BTreeMap<Token, Request>,
    accepted: BTreeSet<LogPosition>,
    lost: BTreeSet<LogPosition>,
    pub(crate) refused: Vec<(Token, RejectReason)>,
    pub(crate) ended: Vec<(Token, TransferOutcome)>,
    pub(crate) served: Vec<Token>,
    pub(crate) counts: Counts,
    /// With `TELL` in the environment a run says what happens.
    tells: bool,
}

impl World {
    /// Nodes `1..=all`, of which the members know the cluster from the start.
    pub(crate) fn new(seed: u64, all: u64, genesis: &Membership) -> Self {
        let ids = (1..=all).map(NodeId);
        let mut dice = Dice(seed);
        let clocks: BTreeMap<_, _> = ids.clone().map(|id| (id, (dice.below(1 << 40), 0))).collect();
        let of = |id| if genesis.contains(id) { genesis.clone() } else { Membership::empty() };
        let start = |id| Host::new(id, of(id), Instant::from_nanos(clocks[&id].0));
        Self {
            hosts: ids.map(|id| (id, start(id))).collect(),
            clocks,
            now: Duration::ZERO,
            network: Network::CALM,
            cuts: BTreeSet::new(),
            losses: BTreeMap::new(),
            events: BTreeMap::new(),
            dice,
            serial: 0,
            leaders: BTreeMap::new(),
            committed: Vec::new(),
            genesis: genesis.clone(),
            open: BTreeMap::new(),
            accepted: BTreeSet::new(),
            lost: BTreeSet::new(),
            refused: Vec::new(),
            ended: Vec::new(),
            served: Vec::new(),
            counts: Counts::default(),
            tells: std::env::var_os("TELL").is_some(),
        }
    }

    /// Every clock runs at another rate, within `ppm`.
    pub(crate) fn drift(&mut self, ppm: u64) {
        for clock in self.clocks.values_mut() {
            let rate = i64::try_from(self.dice.below(2 * ppm + 1)).expect("small");
            clock.1 = rate - i64::try_from(ppm).expect("small");
        }
    }

    /// What the clock of `id` shows.
    pub(crate) fn clock(&self, id: NodeId) -> Instant {
        let (offset, rate) = self.clocks[&id];
        let now = i128::try_from(self.now.as_nanos()).expect("short");
        let here = i128::from(offset) + now + now * i128::from(rate) / 1_000_000;
        Instant::from_nanos(u64::try_from(here).expect("not negative"))
    }

    /// When the clock of `id` will show `at`, or has shown it.
    fn true_time(&self, id: NodeId, at: Instant) -> Duration {
        let (offset, rate) = self.clocks[&id];
        let local = i128::from(at.as_nanos()) - i128::from(offset);
        let time = local.max(0) * 1_000_000 / (1_000_000 + i128::from(rate)) + 1;
        Duration::from_nanos(u64::try_from(time).expect("not negative"))
    }

    pub(crate) fn host(&self, id: NodeId) -> &Host {
        &self.hosts[&id]
    }

    pub(crate) fn host_mut(&mut self, id: NodeId) -> &mut Host {
        self.hosts.get_mut(&id).expect("a node of this world")
    }

    /// Every node starts anew with another configuration.
    pub(crate) fn configure(&mut self, change: impl Fn(&mut Config)) {
        for id in self.ids() {
            let now = self.clock(id);
            self.host_mut(id).configure(&change, now);
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> &raft_core::Node {
        self.hosts[&id].node.as_ref().expect("it is alive")
    }

    pub(crate) fn status(&self, id: NodeId) -> Status {
        self.node(id).status()
    }

    pub(crate) fn role(&self, id: NodeId) -> RoleKind {
        self.status(id).role
    }

    pub(crate) fn is_alive(&self, id: NodeId) -> bool {
        self.hosts[&id].node.is_some()
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.hosts.keys().copied().collect()
    }

    /// The leader of the latest term among those alive.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let alive = self.hosts.keys().filter(|id| self.is_alive(**id)).map(|id| self.status(*id));
        let leads = alive.filter(|status| status.role == RoleKind::Leader);
        leads.max_by_key(|status| status.term).map(|status| status.id)
    }

    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cuts.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    pub(crate) fn heal_link(&mut self, from: NodeId, to: NodeId) {
        self.cuts.remove(&(from, to));
    }

    pub(crate) fn isolate(&mut self, id: NodeId) {
        for other in self.ids().into_iter().filter(|other| *other != id) {
            self.cut(id, other);
            self.cut(other, id);
        }
    }

    /// Nobody outside `side` hears anybody inside, and the other way round.
    pub(crate) fn split(&mut self, side: &[NodeId]) {
        for a in self.ids() {
            for b in self.ids() {
                if side.contains(&a) != side.contains(&b) {
                    self.cut(a, b);
                }
            }
        }
    }

    pub(crate) fn propose(&mut self, at: NodeId, count: u64) -> Vec<Action> {
        let token = self.token(at, Kind::Propose);
        let mut parcel = no_parcel();
        parcel.commands = (0..count).map(|n| (token.get() << 16) + n).collect();
        self.step(at, vec![(Input::Propose { token, count }, parcel)])
    }

    pub(crate) fn read(&mut self, at: NodeId, consistency: Consistency) -> Token {
        let floor = LogIndex(self.committed.len() as u64);
        let token = self.token(at, Kind::Read(floor));
        let before = self.status(at);
        let actions = self.input(at, Input::Read { token, consistency });
        let now = actions.iter().any(|a| matches!(a, Action::ReadReady { .. }));
        if now && before.role == RoleKind::Leader {
            self.counts.leases_served += 1;
        }
        if before.role == RoleKind::Follower {
            self.counts.reads_forwarded += 1;
        }
        token
    }

    pub(crate) fn change(&mut self, at: NodeId, target: Membership) -> Vec<Action> {
        let token = self.token(at, Kind::Change);
        self.input(at, Input::ChangeMembership { token, target })
    }

    pub(crate) fn transfer(&mut self, at: NodeId, to: Option<NodeId>) -> Vec<Action> {
        let token = self.token(at, Kind::Transfer);
        self.input(at, Input::TransferLeadership { token, to })
    }

    pub(crate) fn input(&mut self, at: NodeId, input: Input) -> Vec<Action> {
        self.step(at, alone(input))
    }

    pub(crate) fn take_snapshot(&mut self, at: NodeId) {
        if let Some(snapshot) = self.host_mut(at).begin_snapshot() {
            self.check_snapshot(&snapshot);
        }
        self.finish_snapshot(at);
    }

    pub(crate) fn begin_snapshot(&mut self, at: NodeId) {
        if let Some(snapshot) = self.host_mut(at).begin_snapshot() {
            self.check_snapshot(&snapshot);
        }
    }

    pub(crate) fn finish_snapshot(&mut self, at: NodeId) {
        let now = self.clock(at);
        if let Some(done) = self.host_mut(at).finish_snapshot(now) {
            self.look_at(at, done);
        }
    }

    /// The oldest `count` jobs of a disk that is not prompt are done.
    pub(crate) fn disk_completes(&mut self, at: NodeId, count: usize) {
        let now = self.clock(at);
        let done = self.host_mut(at).complete(count, now);
        self.look_at(at, done);
    }

    pub(crate) fn crash(&mut self, id: NodeId) {
        let jobs = self.host(id).waiting_jobs() as u64;
        let whole = usize::try_from(self.dice.below(jobs + 1)).expect("small");
        let torn = usize::try_from(self.dice.below(5)).expect("small");
        let (later, keeps) = (self.dice.below(2) == 0, self.dice.below(2) == 0);
        self.tell(|| format!("{id:?} crashes, {whole} of {jobs} jobs done, torn {torn}"));
        self.host_mut(id).crash(whole, torn, later, keeps);
        self.open.retain(|_, request| request.at != id);
        self.counts.crashes += 1;
    }

    pub(crate) fn restart(&mut self, id: NodeId) {
        let now = self.clock(id);
        self.tell(|| format!("{id:?} starts again"));
        self.host_mut(id).start(now);
    }

    /// `id` is asked to hold an election, and wins it.
    pub(crate) fn elect(&mut self, id: NodeId) {
        let _ = self.input(id, Input::Campaign);
        self.run(T / 4);
        assert_eq!(self.role(id), RoleKind::Leader, "{id:?} wins");
    }

    /// Time passes: whatever is due in it happens.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for steps in 0.. {
            if !self.next(end) {
                break;
            }
            assert!(steps < 1_000_000, "the world does not come to rest");
        }
        self.now = end;
    }

    /// The next thing that is due before `end` happens.
    pub(crate) fn next(&mut self, end: Duration) -> bool {
        let alive = self.hosts.iter().filter_map(|(id, host)| Some((host.node.as_ref()?, *id)));
        let wake = alive
            .filter_map(|(node, id)| Some((self.true_time(id, node.deadline()?), id)))
            .min()
            .filter(|(at, _)| *at <= end);
        let event = self.events.keys().next().copied().filter(|(at, _)| *at <= end);
        match (event, wake) {
            (Some(key), wake) if wake.is_none_or(|(at, _)| key.0 <= at) => {
                self.now = self.now.max(key.0);
                let event = self.events.remove(&key).expect("it is there");
                self.happens(event);
            }
            (_, Some((at, id))) => {
                self.now = self.now.max(at);
                let _ = self.input(id, Input::Wake);
            }
            _ => return false,
        }
        true
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrives(parcel) => {
                let to = parcel.envelope.to;
                let mut parcels = vec![*parcel];
                if self.dice.below(1000) < self.network.together {
                    parcels.extend(self.soon_at(to));
                }
                parcels.retain(|parcel| !self.cuts.contains(&(parcel.envelope.from, to)));
                let input = |parcel: Parcel| (parcel.envelope.clone().into(), parcel);
                let inputs = parcels.into_iter().map(input).collect();
                let _ = self.step(to, inputs);
            }
            Event::SnapshotSent { at, to, position, outcome } => {
                let _ = self.input(at, Input::SnapshotSent { to, position, outcome });
            }
        }
    }

    /// What arrives at `id` within the next milliseconds arrives now.
    fn soon_at(&mut self, id: NodeId) -> Vec<Parcel> {
        let until = (self.now + ms(5), 0);
        let is_for_it = |event: &Event| matches!(event, Event::Arrives(p) if p.envelope.to == id);
        let soon = self.events.range(..until).filter(|(_, event)| is_for_it(event));
        let keys: Vec<_> = soon.map(|(key, _)| *key).collect();
        keys.iter()
            .filter_map(|key| match self.events.remove(key) {
                Some(Event::Arrives(parcel)) => Some(*parcel),
                _ => None,
            })
            .collect()
    }

    fn step(&mut self, at: NodeId, inputs: Vec<(Input, Parcel)>) -> Vec<Action> {
        if !self.is_alive(at) {
            return Vec::new();
        }
        let now = self.clock(at);
        for (input, _) in &inputs {
            self.tell(|| format!("{at:?} <- {input:?}"));
        }
        let done = self.host_mut(at).step(inputs, now);
        self.look_at(at, done)
    }

    fn look_at(&mut self, at: NodeId, done: Done) -> Vec<Action> {
        for action in &done.actions {
            self.tell(|| format!("    {at:?} -> {action:?}"));
            self.look_at_action(at, action);
        }
        done.parcels.into_iter().for_each(|parcel| self.post(parcel));
        for (position, content) in done.applied {
            self.look_at_applied(at, position, content);
        }
        for (token, index) in done.served {
            let request = self.open.remove(&token).expect("it was asked, and is answered once");
            let Kind::Read(floor) = request.kind else { panic!("{token:?} is no read") };
            assert!(index >= floor, "{at:?} reads {index:?}, older than {floor:?}");
            self.counts.reads_served += 1;
            self.served.push(token);
        }
        self.check_state(at);
        self.check_requests();
        done.actions
    }

    fn look_at_action(&mut self, at: NodeId, action: &Action) {
        match action {
            Action::Accepted { token, first, count } => {
                self.open.remove(token).expect("a request of this life");
                for n in 0..*count {
                    let index = LogIndex(first.index.get() + n);
                    let fresh = self.accepted.insert(LogPosition::new(first.term, index));
                    assert!(fresh, "no position is issued twice");
                }
            }
            Action::Rejected { token, reason } => {
                self.open.remove(token).expect("a request of this life");
                self.refused.push((*token, *reason));
            }
            Action::TransferEnded { token, outcome } => {
                self.open.remove(token).expect("a request of this life");
                self.ended.push((*token, *outcome));
                self.counts.transfers_done += u64::from(*outcome == TransferOutcome::SteppedDown);
            }
            Action::RoleChanged { role: RoleKind::Leader, term, .. } => {
                let first = self.leaders.insert(*term, at);
                assert!(first.is_none_or(|first| first == at), "two leaders in {term:?}");
                self.counts.elections += 1;
            }
            Action::InstallSnapshot { snapshot } => {
                self.check_snapshot(snapshot);
                self.counts.installs += 1;
            }
            _ => {}
        }
    }

    fn look_at_applied(&mut self, at: NodeId, position: LogPosition, content: Content<u64>) {
        let nth = usize::try_from(position.index.get()).expect("small") - 1;
        if let Some(known) = self.committed.get(nth) {
            assert_eq!(*known, (position, content), "{at:?} applies another entry");
            return;
        }
        assert_eq!(nth, self.committed.len(), "{at:?} leaves a gap");
        assert!(!self.lost.contains(&position), "{position} was said to be lost");
        self.counts.memberships += u64::from(matches!(content, Content::Membership(_)));
        self.committed.push((position, content));
    }

    /// The state machine is what the committed commands make it, and nobody says of a position what
    /// another fate contradicts.
    fn check_state(&mut self, at: NodeId) {
        let host = &self.hosts[&at];
        let applied = usize::try_from(host.applied.get()).expect("small");
        let commands = self.committed[..applied].iter().filter_map(|(_, c)| c.command());
        let last = commands.clone().next_back();
        assert_eq!(host.state.last(), last, "{at:?} has another state");
        if applied % 16 == 0 {
            assert!(host.state.iter().eq(commands), "{at:?} has another state");
        }
        let Some(node) = &host.node else { return };
        for position in self.accepted.iter().rev().take(200) {
            let nth = usize::try_from(position.index.get()).expect("small") - 1;
            let known = self.committed.get(nth).map(|(known, _)| known);
            match node.fate(*position) {
                Fate::Lost => {
                    assert_ne!(known, Some(position), "{at:?} calls a committed position lost");
                    self.counts.lost += u64::from(self.lost.insert(*position));
                }
                Fate::Committed => {
                    assert!(known.is_none_or(|known| known == position), "{position} is not it");
                    assert!(!self.lost.contains(position), "{position} was said to be lost");
                }
                Fate::Open | Fate::Unknown => {}
            }
        }
    }

    /// No request hangs at a node that is alive and awake. A read that is confirmed is answered; it
    /// is served when the state machine gets there.
    fn check_requests(&self) {
        for (token, request) in &self.open {
            let waits = self.clock(request.at).saturating_since(request.asked);
            let patience = match request.kind {
                Kind::Propose | Kind::Change => Duration::ZERO,
                Kind::Transfer => T + ms(50),
                Kind::Read(_) if self.hosts[&request.at].has_answer(*token) => continue,
                Kind::Read(_) => T * 2 + ms(50),
            };
            assert!(waits <= patience, "{token:?} hangs: {request:?}");
        }
    }

    /// A snapshot names the entry and the membership that stand at its index.
    fn check_snapshot(&self, snapshot: &Snapshot) {
        let upto = usize::try_from(snapshot.position.index.get()).expect("small");
        let entries = &self.committed[..upto];
        assert_eq!(entries.last().map(|(position, _)| *position), Some(snapshot.position));
        let newest = entries.iter().rev().find_map(|(_, content)| match content {
            Content::Membership(membership) => Some(&**membership),
            Content::Command(_) => None,
        });
        assert_eq!(newest.unwrap_or(&self.genesis), &snapshot.membership);
    }

    fn post(&mut self, parcel: Parcel) {
        let is_snapshot = matches!(parcel.envelope.message, Message::InstallSnapshot(_));
        let link = (parcel.envelope.from, parcel.envelope.to);
        let bits = self.losses.get(&link).copied().unwrap_or(0);
        self.losses.insert(link, bits >> 1);
        let lost = self.dice.below(1000) < self.network.lost || bits & 1 == 1;
        if is_snapshot {
            // Whoever sends it may be wrong about how it ended.
            let wrong = self.dice.below(1000) < self.network.lost;
            let outcome = if lost == wrong { Outcome::Done } else { Outcome::Failed };
            let Message::InstallSnapshot(m) = &parcel.envelope.message else { return };
            let (at, to) = (parcel.envelope.from, parcel.envelope.to);
            let sent = Event::SnapshotSent { at, to, position: m.snapshot.position, outcome };
            self.later(sent);
        }
        if lost {
            return;
        }
        if self.dice.below(1000) < self.network.twice {
            self.later(Event::Arrives(Box::new(parcel.clone())));
        }
        self.later(Event::Arrives(Box::new(parcel)));
    }

    fn later(&mut self, event: Event) {
        let (least, most) = self.network.delay;
        let spread = u64::try_from(most.saturating_sub(least).as_nanos()).expect("short");
        let mut at = self.now + least + Duration::from_nanos(self.dice.below(spread + 1));
        if self.dice.below(1000) < self.network.late {
            at += T * u32::try_from(1 + self.dice.below(4)).expect("small");
        }
        self.serial += 1;
        self.events.insert((at, self.serial), event);
    }

    fn token(&mut self, at: NodeId, kind: Kind) -> Token {
        self.serial += 1;
        let token = Token(self.serial);
        if self.is_alive(at) {
            self.open.insert(token, Request { at, asked: self.clock(at), kind });
        }
        token
    }

    fn tell(&self, line: impl FnOnce() -> String) {
        if self.tells {
            eprintln!("{:>9}us {}", self.now.as_micros(), line());
        }
    }

    /// The commands that `id` has applied.
    pub(crate) fn state_of(&self, id: NodeId) -> &State {
        &self.hosts[&id].state
    }
}

/// `SplitMix64`: chance that can be repeated.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `[0, bound)`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.throw() % bound.max(1)
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<X: Copy>(&mut self, of: &[X]) -> Option<X> {
        let nth = self.below(of.len() as u64);
        of.get(usize::try_from(nth).expect("small")).copied()
    }
}
