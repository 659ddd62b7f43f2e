//! Real processes.

use kv::cluster::{Cluster, free_ports, on_loopback};
use kv_attack::client::{Answer, Client};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use ureq::http::Method;

/// A cluster, and the folder that goes with it.
pub(crate) struct Nodes {
    pub(crate) cluster: Cluster,
    pub(crate) dir: TempDir,
    pub(crate) client: Client,
}

/// `founders` nodes that run, and more that do not and may join.
pub(crate) fn nodes(founders: usize, more: usize, arguments: &[&str]) -> Nodes {
    let dir = tempfile::tempdir().expect("room");
    nodes_in(dir, founders, more, arguments)
}

pub(crate) fn nodes_in(dir: TempDir, founders: usize, more: usize, arguments: &[&str]) -> Nodes {
    let ports = free_ports(2 * (founders + more)).expect("ports");
    let mut members = (1..).zip(ports.chunks(2)).map(|(id, p)| on_loopback(id, p[0], p[1]));
    let binary = env!("CARGO_BIN_EXE_kv").into();
    let first = members.by_ref().take(founders).collect();
    let cluster = Cluster::new(binary, dir.path().to_path_buf(), first);
    let mut cluster = cluster.with_arguments(arguments);
    members.for_each(|member| cluster.join(member));
    for id in 1..=founders as u64 {
        cluster.start(id).expect("it starts");
    }
    Nodes { cluster, dir, client: Client::new(Duration::from_secs(4)) }
}

impl Nodes {
    pub(crate) fn url(&self, id: u64, path: &str) -> String {
        format!("http://{}{path}", self.cluster.http(id))
    }

    /// The answer of a node, or of the one to which it points.
    pub(crate) fn ask(&self, method: &Method, id: u64, path: &str, body: &[u8]) -> Answer {
        self.client.ask(method, &self.url(id, path), body)
    }

    pub(crate) fn status(&self, id: u64) -> Option<serde_json::Value> {
        match self.ask(&Method::GET, id, "/status", &[]) {
            Answer::Said(200, body) => serde_json::from_slice(&body).ok(),
            _ => None,
        }
    }

    /// Waits until this holds; says what was waited for, and what the nodes said, if it never does.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !holds() {
            if Instant::now() > end {
                for member in self.cluster.members() {
                    println!("--- node {}: {:?}", member.id, self.status(member.id));
                    println!("{}", self.cluster.end_of_log(member.id));
                }
                panic!("in vain: {what}");
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until one of these nodes leads and the others follow it.
    pub(crate) fn leader(&self, of: &[u64]) -> u64 {
        let mut found = 0;
        self.until("a leader", || {
            let says = |id: &u64| self.status(*id).and_then(|status| status["leader"].as_u64());
            let leaders: Vec<_> = of.iter().map(says).collect();
            found = leaders[0].unwrap_or(0);
            of.contains(&found) && leaders.iter().all(|leader| *leader == Some(found))
        });
        found
    }

    /// Writes, again and again until it is done; only where doing it twice is harmless.
    pub(crate) fn put(&self, id: u64, key: &str, value: &[u8]) {
        let path = format!("/kv/{key}");
        self.until("a write", || self.ask(&Method::PUT, id, &path, value).code() == 200);
    }

    /// What a linearizable read at this node finds.
    pub(crate) fn get(&self, id: u64, key: &str) -> Option<Vec<u8>> {
        let (path, mut found) = (format!("/kv/{key}"), None);
        self.until("a read", || match self.ask(&Method::GET, id, &path, &[]) {
            Answer::Said(200, value) => {
                found = Some(value);
                true
            }
            answer => answer.code() == 404,
        });
        found
    }
}
