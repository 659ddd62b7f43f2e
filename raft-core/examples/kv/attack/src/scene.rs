//! What all who take part share: where nodes are, who is up, what was counted, what is wrong.

use crate::client::{Answer, Client};
use crate::lock;
use crate::tally::Tally;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use ureq::http::Method;

/// Something that must not be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What.
    pub what: String,
    /// How that is known: a history, the end of a log.
    pub evidence: String,
    /// When, after the begin of the attack.
    pub after: Duration,
}

/// What all who take part share.
#[derive(Debug)]
pub struct Scene {
    /// When the attack began.
    pub begun: Instant,
    /// What has happened.
    pub tally: Tally,
    /// Where the HTTP of each node is.
    pub http: BTreeMap<u64, String>,
    /// The nodes that neither are down nor held.
    up: Mutex<BTreeSet<u64>>,
    faults: Mutex<Vec<Fault>>,
    over: AtomicBool,
}

/// What a node says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    /// Who.
    pub id: u64,
    /// Whether it says that it leads.
    pub leads: bool,
    /// Its term.
    pub term: u64,
    /// Its commit index.
    pub commit_index: u64,
    /// What its state machine has applied.
    pub applied: u64,
    /// The voters that it knows, outgoing ones included.
    pub voters: BTreeSet<u64>,
    /// The learners.
    pub learners: BTreeSet<u64>,
    /// Whether that is about to change.
    pub changes: bool,
}

impl Scene {
    /// Of these nodes, none of which is up.
    pub fn new(http: BTreeMap<u64, String>) -> Self {
        let (tally, up, faults, over) = Default::default();
        Self { begun: Instant::now(), tally, http, up, faults, over }
    }

    /// The path at a node.
    ///
    /// # Panics
    ///
    /// There is no such node.
    pub fn url(&self, id: u64, path: &str) -> String {
        format!("http://{}{path}", self.http[&id])
    }

    /// All nodes, up or not.
    pub fn ids(&self) -> Vec<u64> {
        self.http.keys().copied().collect()
    }

    /// This node is up, or not any more.
    pub fn set_up(&self, id: u64, is_up: bool) {
        let mut up = lock(&self.up);
        if is_up {
            up.insert(id);
        } else {
            up.remove(&id);
        }
    }

    /// The nodes that are up.
    pub fn up(&self) -> Vec<u64> {
        lock(&self.up).iter().copied().collect()
    }

    /// Something is wrong: the attack ends.
    pub fn fault(&self, what: String, evidence: String) {
        let after = self.begun.elapsed();
        lock(&self.faults).push(Fault { what, evidence, after });
        self.end();
    }

    /// What is wrong.
    pub fn faults(&self) -> Vec<Fault> {
        lock(&self.faults).clone()
    }

    /// The attack is over: whoever takes part ends.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether it is.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// What a node says of itself, if it does.
    pub fn look_at(&self, client: &Client, id: u64) -> Option<Look> {
        let answer = client.ask(&Method::GET, &self.url(id, "/status"), &[]);
        let Answer::Said(200, body) = answer else { return None };
        let said: serde_json::Value = serde_json::from_slice(&body).ok()?;
        let ids = |name: &str| {
            let list = said[name].as_array().into_iter().flatten();
            list.filter_map(serde_json::Value::as_u64).collect::<BTreeSet<_>>()
        };
        Some(Look {
            id,
            leads: said["role"] == "leader",
            term: said["term"].as_u64()?,
            commit_index: said["commit_index"].as_u64()?,
            applied: said["applied"].as_u64()?,
            voters: &ids("voters") | &ids("outgoing"),
            learners: ids("learners"),
            changes: said["membership_changes"] == true,
        })
    }

    /// What the leader says, as far as somebody that is up says that it leads: the newest.
    pub fn leader(&self, client: &Client) -> Option<Look> {
        let looks = self.up().into_iter().filter_map(|id| self.look_at(client, id));
        looks.filter(|look| look.leads).max_by_key(|look| look.term)
    }
}
