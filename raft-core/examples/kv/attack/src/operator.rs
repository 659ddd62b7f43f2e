//! The operator: changes the membership and hands over, while nodes are killed beside; and knows
//! what the membership has to be, as far as anybody can know it.

use crate::client::{Answer, Client};
use crate::lock;
use crate::plan::Who;
use crate::scene::{Look, Scene};
use crate::tally::Count;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::thread::sleep;
use std::time::Duration;
use ureq::http::Method;

/// What the operator is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// One more voter: the nth of those that are none.
    Grow(u64),
    /// One voter fewer.
    Shrink(Who),
    /// Another leader: the nth of the other voters.
    Transfer(u64),
}

/// Fewer voters are never left.
const FEWEST: usize = 3;
const PATIENCE: Duration = Duration::from_secs(4);

/// The operator.
#[derive(Debug)]
pub struct Operator<'a> {
    scene: &'a Scene,
    client: Client,
    proxies: BTreeMap<u64, String>,
    expected: Mutex<Expected>,
}

/// Who votes, as far as that is known.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Expected {
    voters: BTreeSet<u64>,
    /// Whether these vote is not known: the answer to a change was that it is not, or none.
    unsure: BTreeSet<u64>,
    /// Orders that are not carried out yet.
    waiting: usize,
}

impl<'a> Operator<'a> {
    /// The operator of a cluster of these voters, who tells it to reach nodes there.
    pub fn new(scene: &'a Scene, voters: BTreeSet<u64>, proxies: BTreeMap<u64, String>) -> Self {
        let expected = Expected { voters, ..Expected::default() };
        let client = Client::new(PATIENCE);
        Self { scene, client, proxies, expected: Mutex::new(expected) }
    }

    /// Does what it is told, until nobody can tell it anything more.
    pub fn work(&self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            if !self.scene.is_over() {
                self.carry_out(order);
            }
            lock(&self.expected).waiting -= 1;
        }
    }

    /// One more order is on its way.
    pub fn ordered(&self) {
        lock(&self.expected).waiting += 1;
    }

    /// How many orders are not carried out.
    pub fn waiting(&self) -> usize {
        lock(&self.expected).waiting
    }

    fn carry_out(&self, order: Order) {
        let leader = (0..40).find_map(|_| {
            sleep(Duration::from_millis(50));
            self.scene.leader(&self.client)
        });
        let Some(leader) = leader else { return };
        let others: Vec<_> =
            self.scene.ids().into_iter().filter(|id| !leader.voters.contains(id)).collect();
        match order {
            Order::Transfer(nth) => self.transfer(&leader, nth),
            Order::Grow(nth) if !others.is_empty() => self.grow(&leader, at(&others, nth)),
            Order::Shrink(who) if leader.voters.len() > FEWEST => self.shrink(&leader, who),
            Order::Grow(nth) => self.shrink(&leader, Who::Nth(nth)),
            Order::Shrink(_) if others.is_empty() => {}
            Order::Shrink(_) => self.grow(&leader, others[0]),
        }
    }

    fn grow(&self, leader: &Look, node: u64) {
        let tally = &self.scene.tally;
        if !leader.learners.contains(&node) {
            let (raft, http) = (&self.proxies[&node], &self.scene.http[&node]);
            let path = format!("/nodes/{node}?raft={raft}&http={http}&timeout_ms=2000");
            let answer = self.ask(&Method::POST, leader.id, &path);
            tally.note(format!("node {node} is to learn: {}", answer.code()));
            if answer.code() != 200 {
                return;
            }
        }
        for _ in 0..3 {
            let at = self.scene.leader(&self.client).map_or(leader.id, |leader| leader.id);
            let path = format!("/nodes/{node}/promote?timeout_ms=2000");
            let answer = self.ask(&Method::POST, at, &path);
            tally.note(format!("node {node} is to vote: {}", answer.code()));
            self.learn(node, &answer, true, Count::Voter);
            if answer.code() == 200 || !answer.is_refused() || self.scene.is_over() {
                return;
            }
            sleep(Duration::from_millis(200));
        }
    }

    fn shrink(&self, leader: &Look, who: Who) {
        let voters: Vec<_> = leader.voters.iter().copied().collect();
        let node = match who {
            Who::Leader => leader.id,
            Who::Nth(nth) => at(&voters, nth),
        };
        let path = format!("/nodes/{node}?timeout_ms=2000");
        let answer = self.ask(&Method::DELETE, leader.id, &path);
        self.scene.tally.note(format!("node {node} is to go: {}", answer.code()));
        self.learn(node, &answer, false, Count::Removed);
    }

    fn transfer(&self, leader: &Look, nth: u64) {
        let others: Vec<_> = leader.voters.iter().copied().filter(|id| *id != leader.id).collect();
        if others.is_empty() {
            return;
        }
        let to = at(&others, nth);
        let answer = self.ask(&Method::POST, leader.id, &format!("/leader?to={to}"));
        let Answer::Said(200, body) = &answer else { return };
        let is_done = String::from_utf8_lossy(body).contains("SteppedDown");
        self.scene.tally.note(format!("node {} hands over to {to}: {is_done}", leader.id));
        self.scene.tally.add(Count::Transfer, u64::from(is_done));
    }

    fn ask(&self, method: &Method, id: u64, path: &str) -> Answer {
        self.client.ask(method, &self.scene.url(id, path), &[])
    }

    /// What an answer says about who votes.
    fn learn(&self, node: u64, answer: &Answer, votes: bool, done: Count) {
        let mut expected = lock(&self.expected);
        if answer.code() == 200 {
            self.scene.tally.add(done, 1);
            if votes {
                expected.voters.insert(node);
            } else {
                expected.voters.remove(&node);
            }
        } else if !answer.is_refused() {
            expected.unsure.insert(node);
        }
    }

    /// Compares who votes with what has to be; where that was not known, it is known from now on.
    pub fn compare(&self, leader: &Look) {
        let mut expected = lock(&self.expected);
        let differs = |node: &&u64| !expected.unsure.contains(node);
        let wrong: Vec<_> = expected.voters.symmetric_difference(&leader.voters).collect();
        let wrong: Vec<_> = wrong.into_iter().filter(differs).collect();
        if !wrong.is_empty() {
            let what = format!("the membership is another one than was said: {wrong:?} differ");
            let Look { id, term, voters, .. } = leader;
            let Expected { voters: said, unsure, .. } = &*expected;
            let evidence = format!(
                "node {id} leads in term {term}, and knows the voters {voters:?}; \
                 said were {said:?}, and unknown was of whom it is true: {unsure:?}"
            );
            self.scene.fault(what, evidence);
        }
        expected.voters.clone_from(&leader.voters);
        expected.unsure.clear();
    }
}

fn at(of: &[u64], nth: u64) -> u64 {
    of[usize::try_from(nth % of.len() as u64).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::Operator;
    use crate::client::Answer;
    use crate::scene::{Look, Scene};
    use crate::tally::Count;

    fn look(voters: &[u64]) -> Look {
        let (leads, term, commit_index, applied, changes) = (true, 1, 0, 0, false);
        let voters = voters.iter().copied().collect();
        Look { id: 1, leads, term, commit_index, applied, voters, learners: [].into(), changes }
    }

    #[test]
    fn a_change_that_was_acknowledged_has_to_be_seen_and_one_that_is_unknown_may_be() {
        let scene = Scene::new([].into());
        let operator = Operator::new(&scene, [1, 2, 3].into(), [].into());
        let (done, lost) = (Answer::Said(200, Vec::new()), Answer::Said(503, Vec::new()));
        operator.learn(4, &done, true, Count::Voter);
        operator.learn(2, &lost, false, Count::Removed);
        operator.learn(3, &Answer::Unknown, false, Count::Removed);
        operator.compare(&look(&[1, 2, 4]));
        assert_eq!(scene.faults(), []);
        operator.compare(&look(&[1, 2, 4]));
        operator.learn(2, &done, false, Count::Removed);
        operator.compare(&look(&[1, 2, 4]));
        assert_eq!(scene.faults().len(), 1, "it was said that 2 is gone");
        assert!(scene.faults()[0].what.contains("[2] differ"));
        assert_eq!(scene.tally.of(Count::Removed), 1);
    }
}
