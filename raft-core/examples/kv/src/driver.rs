//! The driver thread: steps what waits, and hands each effect to whoever carries it out.

use crate::address::{Address, Addresses};
use crate::clock;
use crate::command::{Command, Record};
use crate::disk::{Disk, DiskTask};
use crate::fatal;
use crate::inbox::{Change, Inbox, Look, Message, Request, Told};
use crate::machine::worker::{Machine, MachineTask, Work};
use crate::metrics::Metrics;
use crate::net::{Incoming, Links, Outgoing};
use crate::storage::ahead::ReadAhead;
use raft_core::driver::{Commit, Driver, Effect, Event, Payload, SnapshotEvent, SnapshotTask};
use raft_core::{
    Action, Consistency, Instant, Membership, MembershipError, NodeId, RoleKind, Token,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What the log says of a peer whose disk has not kept what was said to be durable.
pub const REGRESSED: &str = "a peer lost what it had acknowledged";

/// What the thread hands effects to.
#[derive(Debug)]
pub struct Hands {
    /// Writes.
    pub disk: Disk,
    /// Applies, takes and installs.
    pub machine: Machine,
    /// Frames that leave.
    pub links: Links,
    /// Snapshots that leave.
    pub outgoing: Outgoing,
    /// Snapshots that arrive.
    pub incoming: Incoming,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// What the thread owns.
#[derive(Debug)]
pub struct DriverLoop {
    driver: Driver<Record>,
    log: ReadAhead,
    hands: Hands,
    /// Where nodes are: what the log says of them goes there.
    addresses: Addresses,
    /// Who waits for an answer.
    waiting: BTreeMap<Token, oneshot::Sender<Told>>,
    last_token: u64,
    /// When each node was heard last.
    heard: BTreeMap<NodeId, Instant>,
    /// The most bytes that were on the way to each peer at once.
    most: BTreeMap<NodeId, u64>,
    /// What this thread itself has to tell the driver.
    own: Vec<Event<Record>>,
}

impl DriverLoop {
    /// Around a driver that has just started.
    pub fn new(driver: Driver<Record>, log: ReadAhead, hands: Hands, addresses: Addresses) -> Self {
        addresses.follow(&driver);
        Self {
            driver,
            log,
            hands,
            addresses,
            waiting: BTreeMap::new(),
            last_token: 0,
            heard: BTreeMap::new(),
            most: BTreeMap::new(),
            own: Vec::new(),
        }
    }

    /// Steps what waits until it is told to stop.
    pub fn run(mut self, mut inbox: Inbox, runtime: &Handle) {
        let (mut events, mut messages, mut effects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            events.append(&mut self.own);
            let patience = if events.is_empty() { self.patience() } else { Duration::ZERO };
            let waits = inbox.collect(patience, &mut events, &mut messages);
            let (mut goes_on, mut looks) = (runtime.block_on(waits), Vec::new());
            // The clock is read after everything has arrived, and the deadline comes last.
            let now = clock::now();
            for message in messages.drain(..) {
                match message {
                    Message::Event(event) => self.hear(event, now, &mut events),
                    Message::Request(request, caller) => self.ask(request, caller, &mut events),
                    Message::Look(caller) => looks.push(caller),
                    Message::Stop => goes_on = false,
                }
            }
            if self.driver.deadline().is_some_and(|deadline| deadline <= now) {
                events.push(Event::Wake);
            }
            self.driver.step(events.drain(..), now, &mut self.log, &mut effects);
            // Before anything is sent to whoever is new.
            self.addresses.follow(&self.driver);
            for effect in effects.drain(..) {
                self.carry_out(effect);
            }
            for caller in looks {
                _ = caller.send(self.look(now));
            }
            if !goes_on {
                return;
            }
        }
    }

    fn patience(&self) -> Duration {
        let deadline = self.driver.deadline().unwrap_or(Instant::MAX);
        deadline.saturating_since(clock::now()).min(Duration::from_mins(1))
    }

    fn hear(&mut self, event: Event<Record>, now: Instant, events: &mut Vec<Event<Record>>) {
        match &event {
            Event::Frame(frame) => _ = self.heard.insert(frame.envelope().from, now),
            Event::Snapshot(SnapshotEvent::Head { head, .. }) => {
                self.heard.insert(head.from, now);
            }
            Event::Resumed { peer } => self.hands.links.resumed(*peer),
            _ => {}
        }
        events.push(event);
    }

    fn ask(
        &mut self,
        request: Request,
        caller: oneshot::Sender<Told>,
        events: &mut Vec<Event<Record>>,
    ) {
        self.last_token += 1;
        let token = Token(self.last_token);
        let event = match request {
            Request::Propose { command, until } => {
                if let Some(node) = self.stranger(&command) {
                    _ = caller.send(Told::Impossible(format!("node {node} is no member")));
                    return;
                }
                Event::Propose { token, commands: vec![command], until }
            }
            Request::Read { lease, until } => {
                let consistency = if lease { Consistency::Lease } else { Consistency::ReadIndex };
                Event::Read { token, consistency, until }
            }
            Request::Change { change, address, until } => {
                let target = match target(self.driver.node().membership(), change) {
                    Ok(target) => target,
                    Err(error) => {
                        _ = caller.send(Told::Impossible(error.to_string()));
                        return;
                    }
                };
                let commands = self.descriptions(&target, change, address);
                if !commands.is_empty() {
                    // Nobody waits for them. They stand before the change, which waits for them.
                    self.last_token += 1;
                    let token = Token(self.last_token);
                    events.push(Event::Propose { token, commands, until });
                }
                match change {
                    Change::Promote(node) => Event::Promote { token, node, until },
                    _ => Event::Change { token, target, until },
                }
            }
            Request::Transfer { to } => Event::Transfer { token, to },
            Request::Snapshot => {
                events.push(Event::Snapshot(SnapshotEvent::Wanted));
                _ = caller.send(Told::Taken);
                return;
            }
        };
        self.waiting.insert(token, caller);
        events.push(event);
    }

    /// Whose address this is, if that node is no member. The book would keep it for nobody, until
    /// the next change strikes it out. Whoever does not lead may not have heard of a member.
    fn stranger(&self, command: &Record) -> Option<NodeId> {
        let (told, node) = (command.describes()?, self.driver.node());
        let leads = node.status().role == RoleKind::Leader;
        (leads && !node.membership().contains(told)).then_some(told)
    }

    /// What the log has to say before a change: where the node is that comes, and every other
    /// member of which it says nothing. Those are the founders, at the first change: they know one
    /// another from their start arguments, and who comes later from the log.
    fn descriptions(
        &self,
        target: &Membership,
        change: Change,
        address: Option<Address>,
    ) -> Vec<Record> {
        let (Change::AddLearner(node) | Change::Promote(node) | Change::Remove(node)) = change;
        let new = address.map(|address| (node, address));
        let is_new = |id: &NodeId| new.as_ref().is_some_and(|(node, _)| node == id);
        let members = self.driver.node().membership().members().chain(target.members());
        let lacking: BTreeSet<_> =
            members.filter(|id| !is_new(id) && self.driver.book().lacks([*id]).is_some()).collect();
        let known = lacking.into_iter().filter_map(|id| Some((id, self.addresses.get(id.get())?)));
        let all = known.chain(new.clone());
        all.map(|(id, address)| Command::Address { node: id.get(), address }.encode()).collect()
    }

    fn carry_out(&mut self, effect: Effect<Record>) {
        match effect {
            Effect::Write(write) => self.write(DiskTask::Write(write)),
            Effect::Send(frame) => {
                let peer = frame.envelope().to;
                let most = self.most.entry(peer).or_default();
                *most = self.driver.on_the_way(peer).max(*most);
                self.own.extend(self.hands.links.send(frame));
            }
            Effect::Apply(commits) => {
                let work = commits.into_iter().map(|commit| self.work(commit)).collect();
                self.apply(MachineTask::Apply(work));
            }
            Effect::Answer { token, answer } => {
                if let Some(caller) = self.waiting.remove(&token) {
                    // A client that has hung up needs no answer.
                    _ = caller.send(Told::Answer(answer));
                }
            }
            Effect::Snapshot(task) => self.snapshot(task),
            Effect::Compact { through } => self.write(DiskTask::Release(through)),
            Effect::Fetch { position } => self.log.fetch(position),
            Effect::Notice(action) => self.notice(&action),
        }
    }

    fn snapshot(&mut self, task: SnapshotTask) {
        match task {
            SnapshotTask::Take(snapshot) => {
                let book = self.driver.book().snapshot().cloned().collect();
                self.apply(MachineTask::Take(snapshot, book));
            }
            SnapshotTask::Install { stream, snapshot } => {
                self.apply(MachineTask::Install(stream, snapshot));
            }
            SnapshotTask::Remove { position } => self.apply(MachineTask::Remove(position)),
            SnapshotTask::Send { stream, head } => self.hands.outgoing.send(stream, head),
            SnapshotTask::Stop { stream } => self.hands.outgoing.stop(stream),
            SnapshotTask::Receive { stream, .. } => self.hands.incoming.receive(stream),
            SnapshotTask::Discard { stream } => self.hands.incoming.discard(stream),
        }
    }

    /// With the last of his commands a caller is answered, by the state machine.
    fn work(&mut self, commit: Commit<Record>) -> Work {
        let Commit { entry, caller } = commit;
        let last = caller.filter(|caller| caller.nth + 1 == caller.of);
        let caller = last.and_then(|caller| self.waiting.remove(&caller.token));
        Work { entry, caller }
    }

    fn write(&self, task: DiskTask) {
        if self.hands.disk.send(task).is_err() {
            fatal("a thread is gone", &"disk");
        }
    }

    fn apply(&self, task: MachineTask) {
        if self.hands.machine.send(task).is_err() {
            fatal("a thread is gone", &"machine");
        }
    }

    fn notice(&self, action: &Action) {
        let metrics = &self.hands.metrics;
        match action {
            Action::RoleChanged { role, term, leader } => {
                metrics.role_changes.inc();
                let leader = leader.map(NodeId::get);
                tracing::info!(role = role.name(), term = term.get(), leader, "the role");
            }
            Action::PeerRegressed { peer, acknowledged, rejected } => {
                metrics.regressed.inc();
                let (peer, acknowledged) = (peer.get(), acknowledged.get());
                tracing::error!(
                    peer,
                    acknowledged,
                    rejected = rejected.get(),
                    "{REGRESSED}: replace it under a new id"
                );
            }
            Action::Ignored { from, reason } => {
                metrics.ignored.inc();
                tracing::debug!(from = from.map(NodeId::get), %reason, "a message is ignored");
            }
            _ => {}
        }
    }

    fn look(&self, now: Instant) -> Look {
        let node = self.driver.node();
        let peers = node.peers().map(|peer| {
            let on_the_way = self.driver.on_the_way(peer.id);
            (peer, on_the_way)
        });
        Look {
            now,
            status: node.status(),
            membership: node.membership().clone(),
            peers: peers.collect(),
            heard: self.heard.iter().map(|(node, at)| (*node, *at)).collect(),
            most: self.most.iter().map(|(peer, bytes)| (*peer, *bytes)).collect(),
            applied: self.driver.applied(),
            waiting: self.waiting.len(),
        }
    }
}

/// The membership that a change leads to.
fn target(now: &Membership, change: Change) -> Result<Membership, MembershipError> {
    let (Change::AddLearner(node) | Change::Promote(node) | Change::Remove(node)) = change;
    let others = |of: &[NodeId]| of.iter().copied().filter(|id| *id != node).collect::<Vec<_>>();
    let (mut voters, mut learners) = (others(now.voters()), others(now.learners()));
    match change {
        Change::AddLearner(_) => learners.push(node),
        Change::Promote(_) => voters.push(node),
        Change::Remove(_) => {}
    }
    Membership::new(voters, [], learners)
}

#[cfg(test)]
mod tests {
    use super::target;
    use crate::inbox::Change;
    use raft_core::{Membership, NodeId};

    #[test]
    fn a_change_concerns_one_node_and_leaves_the_others() {
        let ids = |of: &[u64]| of.iter().copied().map(NodeId).collect::<Vec<_>>();
        let of = |voters: &[u64], learners: &[u64]| {
            Membership::new(ids(voters), [], ids(learners)).expect("valid")
        };
        let now = of(&[1, 2, 3], &[4]);
        let reaches = |change| target(&now, change).expect("valid");
        assert_eq!(reaches(Change::AddLearner(NodeId(5))), of(&[1, 2, 3], &[4, 5]));
        assert_eq!(reaches(Change::AddLearner(NodeId(3))), of(&[1, 2], &[3, 4]));
        assert_eq!(reaches(Change::Promote(NodeId(4))), of(&[1, 2, 3, 4], &[]));
        assert_eq!(reaches(Change::Remove(NodeId(2))), of(&[1, 3], &[4]));
        let lone = of(&[1], &[]);
        assert_eq!(target(&lone, Change::Remove(NodeId(1))), Ok(Membership::empty()));
    }
}
