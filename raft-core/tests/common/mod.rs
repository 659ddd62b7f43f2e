//! The bench of these tests: one real node among peers whose words the test writes by hand, and a
//! small cluster of real nodes that share a clock.
//!
//! Nothing here looks inside a node. All goes through `Node::step`, as in a real runtime.

#![allow(dead_code, reason = "each test binary uses a part of the bench")]

pub(crate) mod cluster;
pub(crate) mod disk;
pub(crate) mod host;
pub(crate) mod says;
pub(crate) mod world;

use core::time::Duration;
use disk::Disk;
use raft_core::{
    Action, AppendEntries, AppendEntriesResponse, Config, Echo, Entries, Envelope, HardState,
    IgnoreReason, Input, Instant, LogIndex, LogPosition, Membership, Message, Node, NodeId,
    PreVoteResponse, Probe, Protection, Recovered, RejectReason, RequestVoteResponse, RoleKind,
    Round, Run, Snapshot, Status, Term, Token, Verdict, Write,
};
use std::collections::BTreeMap;

pub(crate) const S1: NodeId = NodeId(1);
pub(crate) const S2: NodeId = NodeId(2);
pub(crate) const S3: NodeId = NodeId(3);
pub(crate) const S4: NodeId = NodeId(4);
pub(crate) const S5: NodeId = NodeId(5);

/// The election timeout of every node here, unless a test says otherwise.
pub(crate) const T: Duration = Duration::from_secs(1);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const NS: Duration = Duration::from_nanos(1);

/// The longest time that is less than `time`.
pub(crate) const fn just_under(time: Duration) -> Duration {
    time.saturating_sub(NS)
}

pub(crate) const fn at(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term(term), LogIndex(index))
}

/// The entries `1, 1, 2` are two commands of term 1 and one of term 2.
pub(crate) fn commands(terms: &[u64]) -> Entries {
    terms.iter().map(|term| Run::Commands { term: Term(*term), count: 1 }).collect()
}

pub(crate) fn voters(ids: &[u64]) -> Membership {
    joint(ids, &[], &[])
}

pub(crate) fn joint(new: &[u64], old: &[u64], learners: &[u64]) -> Membership {
    let ids = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    Membership::new(ids(new), ids(old), ids(learners)).expect("a valid membership")
}

/// How a node is to start. By default S1 of three, in term 0 with an empty log, at time 0, with a
/// disk that answers at once.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) recovered: Recovered,
    pub(crate) now: Instant,
    prompt: bool,
}

impl Setup {
    pub(crate) fn of(membership: Membership) -> Self {
        Self {
            config: Config::new(S1, 7).with_election_timeout(T),
            recovered: Recovered::fresh(membership),
            now: Instant::ZERO,
            prompt: true,
        }
    }

    pub(crate) fn id(self, id: NodeId) -> Self {
        self.config(|config| config.id = id)
    }

    pub(crate) fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn protection(self, protection: Protection) -> Self {
        self.config(|config| config.protection = protection)
    }

    /// The log holds one command of each of these terms, and the last of them is the current term.
    pub(crate) fn log(mut self, terms: &[u64]) -> Self {
        self.recovered.entries = commands(terms);
        self.term(terms.last().copied().unwrap_or(0))
    }

    pub(crate) fn term(self, term: u64) -> Self {
        self.hard_state(|hard_state| hard_state.current_term = Term(term))
    }

    pub(crate) fn hard_state(mut self, change: impl FnOnce(&mut HardState)) -> Self {
        change(&mut self.recovered.hard_state);
        self
    }

    pub(crate) fn snapshot(mut self, position: LogPosition) -> Self {
        let membership = self.recovered.snapshot.membership.clone();
        self.recovered.snapshot = Snapshot { position, membership };
        self
    }

    /// Writes become durable only where the test says so, with [`Solo::persist`].
    pub(crate) fn slow_disk(mut self) -> Self {
        self.prompt = false;
        self
    }

    pub(crate) fn start(self) -> Solo {
        let node = Node::new(self.config, self.recovered.clone(), self.now).expect("it may start");
        let disk = Disk::new(self.recovered);
        Solo { node, now: self.now, disk, prompt: self.prompt, round: None, asked: BTreeMap::new() }
    }
}

/// One real node, a clock and a disk.
#[derive(Clone, Debug)]
pub(crate) struct Solo {
    pub(crate) node: Node,
    pub(crate) now: Instant,
    pub(crate) disk: Disk,
    prompt: bool,
    /// The newest round of pre-votes that was waited for.
    round: Option<Round>,
    /// The newest question that each peer was asked.
    asked: BTreeMap<NodeId, Probe>,
}

impl Solo {
    /// S1 of `n` voters.
    pub(crate) fn of(n: u64) -> Self {
        Setup::of(voters(&(1..=n).collect::<Vec<_>>())).start()
    }

    /// S1 of `n` voters: the leader of term 1, whose first entry is committed, and known by all to
    /// be so.
    pub(crate) fn leader_of(n: u64) -> Self {
        let mut solo = Self::of(n);
        solo.elect();
        solo.everyone_acknowledges();
        solo
    }

    pub(crate) fn id(&self) -> NodeId {
        self.node.config().id
    }

    pub(crate) fn status(&self) -> Status {
        self.node.status()
    }

    pub(crate) fn role(&self) -> RoleKind {
        self.status().role
    }

    pub(crate) fn term(&self) -> u64 {
        self.status().term.get()
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.node.deadline().expect("a deadline is set")
    }

    /// Time until the deadline.
    pub(crate) fn patience(&self) -> Duration {
        self.deadline().saturating_since(self.now)
    }

    /// Time passes, and nothing else.
    pub(crate) fn pass(&mut self, time: Duration) -> &mut Self {
        self.now = self.now.saturating_add(time);
        self
    }

    /// One input; with a prompt disk also the completion of what it has to write.
    pub(crate) fn step(&mut self, input: impl Into<Input>) -> Actions {
        self.step_all([input.into()])
    }

    pub(crate) fn step_all(&mut self, inputs: impl IntoIterator<Item = Input>) -> Actions {
        let mut actions = self.step_once(inputs);
        while self.prompt && !self.disk.in_flight().is_empty() {
            actions.0.extend(self.persist().0);
        }
        actions
    }

    fn step_once(&mut self, inputs: impl IntoIterator<Item = Input>) -> Actions {
        let mut actions = Vec::new();
        self.node.step_all(inputs, self.now, &mut actions);
        assert_eq!(self.node.check(), Ok(()));
        let actions = Actions(actions);
        actions.writes().into_iter().for_each(|write| self.disk.take(write));
        for envelope in actions.sent() {
            if let Message::AppendEntries(AppendEntries { probe: Some(probe), .. }) =
                envelope.message
            {
                self.asked.insert(envelope.to, probe);
            }
        }
        actions
    }

    /// A peer says something. Unless it names the rounds of this leader itself, it has seen all.
    pub(crate) fn hears(&mut self, from: NodeId, term: u64, mut message: Message) -> Actions {
        let to = self.id();
        if let Message::AppendEntriesResponse(m) = &mut message {
            m.seen = m.seen.or_else(|| self.asked.get(&from).map(|probe| probe.round));
        }
        self.step(Envelope { from, to, term: Term(term), message })
    }

    /// The newest round that this leader has asked the peer in.
    pub(crate) fn newest_round(&self, peer: NodeId) -> Round {
        self.asked[&peer].round
    }

    /// The newest question that the peer was asked, as it comes back from a node that promises
    /// nothing.
    pub(crate) fn newest_echo(&self, peer: NodeId) -> Option<Echo> {
        let Probe { round, sent_at, .. } = *self.asked.get(&peer)?;
        Some(Echo { round, sent_at, promised: Duration::ZERO })
    }

    pub(crate) fn wake(&mut self) -> Actions {
        self.step(Input::Wake)
    }

    /// Waits for the deadline and wakes up at it. A candidate that only asks once more waits on.
    pub(crate) fn time_out(&mut self) -> Actions {
        loop {
            let (role, term) = (self.role(), self.term());
            let actions = self.next_deadline();
            let same = (role, term) == (self.role(), self.term());
            let candidate = matches!(role, RoleKind::PreCandidate | RoleKind::Candidate);
            if !candidate || !same || actions.pre_vote_round() > self.round {
                self.round = self.round.max(actions.pre_vote_round());
                return actions;
            }
        }
    }

    /// Waits for the deadline and wakes up at it, whatever it is for.
    pub(crate) fn next_deadline(&mut self) -> Actions {
        self.now = self.now.max(self.deadline());
        self.wake()
    }

    pub(crate) fn propose(&mut self, count: u64) -> Actions {
        self.step(Input::Propose { token: Token(1), count })
    }

    /// Everything that was written so far is durable now.
    pub(crate) fn persist(&mut self) -> Actions {
        let all = self.disk.in_flight().len();
        self.persist_first(all)
    }

    /// The oldest `count` writes are durable now.
    pub(crate) fn persist_first(&mut self, count: usize) -> Actions {
        match self.disk.complete(count) {
            Some(ticket) => self.step_once([Input::Persisted { ticket }]),
            None => Actions(Vec::new()),
        }
    }

    /// The process dies, with what is not durable, and starts again at the same moment.
    pub(crate) fn crash_and_restart(&mut self) {
        let mut config = self.node.config().clone();
        config.seed += 1;
        self.disk.lose_in_flight();
        let recovered = self.disk.durable().clone();
        self.node = Node::new(config, recovered, self.now).expect("a crash leaves a valid state");
        assert_eq!(self.node.check(), Ok(()));
    }

    /// Becomes the leader of the next term: everybody who is asked says yes. Returns what it does
    /// as the new leader.
    pub(crate) fn elect(&mut self) -> Actions {
        assert!(self.prompt, "an election by hand needs a disk that answers");
        let mut last = self.time_out();
        while self.role() != RoleKind::Leader {
            let asked = last.sent();
            assert!(!asked.is_empty(), "nobody is asked any more");
            for envelope in asked {
                let message = match envelope.message {
                    Message::PreVote(m) => says::pre_vote_answer(m.round, Verdict::Granted),
                    Message::RequestVote(_) => says::vote(Verdict::Granted),
                    _ => continue,
                };
                if self.role() != RoleKind::Leader {
                    let answered = self.hears(envelope.to, envelope.term.get(), message);
                    if !answered.sent().is_empty() {
                        last = answered;
                    }
                }
            }
        }
        last
    }

    /// All other members acknowledge the whole log of this leader, with the echo of a heartbeat.
    pub(crate) fn everyone_acknowledges(&mut self) {
        let heartbeats = self.time_out_heartbeat();
        let last = self.status().last.index.get();
        for envelope in heartbeats.sent() {
            if let Message::AppendEntries(m) = &envelope.message {
                let answer = says::matched(last, says::echo(m));
                let _ = self.hears(envelope.to, envelope.term.get(), answer);
            }
        }
    }

    /// The next heartbeats of this leader.
    pub(crate) fn time_out_heartbeat(&mut self) -> Actions {
        loop {
            assert_eq!(self.role(), RoleKind::Leader);
            let actions = self.time_out();
            if actions.sent().iter().any(|e| says::is_question(&e.message)) {
                return actions;
            }
        }
    }
}

/// What a step returned, with questions that tests ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actions(pub(crate) Vec<Action>);

impl Actions {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn sent(&self) -> Vec<Envelope> {
        self.pick(|action| match action {
            Action::Send(envelope) => Some(envelope.clone()),
            _ => None,
        })
    }

    pub(crate) fn sent_to(&self, id: NodeId) -> Vec<Message> {
        self.sent().into_iter().filter(|e| e.to == id).map(|e| e.message).collect()
    }

    pub(crate) fn receivers(&self) -> Vec<NodeId> {
        self.sent().into_iter().map(|envelope| envelope.to).collect()
    }

    pub(crate) fn writes(&self) -> Vec<Write> {
        self.pick(|action| match action {
            Action::Persist(write) => Some(write.clone()),
            _ => None,
        })
    }

    /// Each range that is handed out: its first index and its last position.
    pub(crate) fn applied(&self) -> Vec<(u64, LogPosition)> {
        self.pick(|action| match action {
            Action::Apply { first, through } => Some((first.get(), *through)),
            _ => None,
        })
    }

    pub(crate) fn ignored(&self) -> Vec<IgnoreReason> {
        self.pick(|action| match action {
            Action::Ignored { reason, .. } => Some(*reason),
            _ => None,
        })
    }

    pub(crate) fn rejected(&self) -> Vec<RejectReason> {
        self.pick(|action| match action {
            Action::Rejected { reason, .. } => Some(*reason),
            _ => None,
        })
    }

    pub(crate) fn accepted(&self) -> Option<(LogPosition, u64)> {
        let all = self.pick(|action| match action {
            Action::Accepted { first, count, .. } => Some((*first, *count)),
            _ => None,
        });
        all.first().copied()
    }

    /// The answer to a vote request, if it has left.
    pub(crate) fn vote(&self) -> Option<RequestVoteResponse> {
        self.only(|message| match message {
            Message::RequestVoteResponse(m) => Some(m.clone()),
            _ => None,
        })
    }

    pub(crate) fn verdict(&self) -> Option<Verdict> {
        self.vote().map(|m| m.verdict)
    }

    /// The answer to a pre-vote, if it has left.
    pub(crate) fn pre_vote_answer(&self) -> Option<PreVoteResponse> {
        self.only(|message| match message {
            Message::PreVoteResponse(m) => Some(m.clone()),
            _ => None,
        })
    }

    pub(crate) fn pre_verdict(&self) -> Option<Verdict> {
        self.pre_vote_answer().map(|m| m.verdict)
    }

    /// The round of the pre-votes that were sent.
    pub(crate) fn pre_vote_round(&self) -> Option<Round> {
        let all = self.pick_messages(|message| match message {
            Message::PreVote(m) => Some(m.round),
            _ => None,
        });
        all.first().copied()
    }

    /// The answer to the leader, if it has left.
    pub(crate) fn answer(&self) -> Option<AppendEntriesResponse> {
        self.only(|message| match message {
            Message::AppendEntriesResponse(m) => Some(m.clone()),
            _ => None,
        })
    }

    pub(crate) fn echoed(&self) -> Option<Echo> {
        self.answer().and_then(|m| m.echo)
    }

    pub(crate) fn appends_to(&self, id: NodeId) -> Vec<AppendEntries> {
        let to_it = self.sent_to(id).into_iter();
        to_it
            .filter_map(|message| match message {
                Message::AppendEntries(m) => Some(m),
                _ => None,
            })
            .collect()
    }

    fn only<M>(&self, pick: impl Fn(&Message) -> Option<M>) -> Option<M> {
        let mut all = self.pick_messages(pick);
        assert!(all.len() <= 1, "one answer at most");
        all.pop()
    }

    fn pick_messages<M>(&self, pick: impl Fn(&Message) -> Option<M>) -> Vec<M> {
        self.sent().iter().filter_map(|envelope| pick(&envelope.message)).collect()
    }

    fn pick<M>(&self, pick: impl Fn(&Action) -> Option<M>) -> Vec<M> {
        self.0.iter().filter_map(pick).collect()
    }
}
