//! The nodes of a contestant: started, found, counted.

use crate::Failure;
use crate::client::get;
use crate::process::Cost;
use crate::scrape::Scrape;
use clap::ValueEnum;
use kv::cluster::{Cluster, free_ports, on_loopback};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Which core a node runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Server {
    /// The server that ships.
    Kv,
    /// The same server over `raft` 0.7.
    Raft07,
}

/// Where and how nodes are started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Below which folder.
    pub(crate) dir: PathBuf,
    /// T.
    pub(crate) election_timeout_ms: u64,
    /// When a snapshot is taken, and what is kept before it, where there are snapshots.
    pub(crate) snapshot_bytes: u64,
    pub(crate) kept_bytes: u64,
}

/// How long an election may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster that runs. It ends, and its data goes, with this.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) cluster: Cluster,
    count: u64,
    // Removed last.
    _dir: TempDir,
}

/// What the nodes have done until a moment.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Tally {
    /// All nodes.
    pub(crate) all: Cost,
    /// The leader.
    pub(crate) leader: Cost,
    /// Commits of the logs of all nodes, each of which is one fsync.
    pub(crate) fsyncs: u64,
    /// How long the leader's disk thread has waited for them, in nanoseconds.
    pub(crate) leader_fsync: u64,
}

impl Nodes {
    /// So many nodes of a new cluster.
    ///
    /// # Errors
    ///
    /// They cannot be started.
    pub(crate) fn start(
        place: &Place,
        server: Server,
        count: u64,
        snapshots: bool,
    ) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("kv-bench-").tempdir_in(&place.dir)?;
        let ports = free_ports(usize::try_from(2 * count)?)?;
        let members = (1..).zip(ports.chunks(2)).map(|(id, at)| on_loopback(id, at[0], at[1]));
        let binary = std::env::current_exe()?;
        let name = server.to_possible_value().expect("none is skipped");
        let [timeout, kept] =
            [place.election_timeout_ms, place.kept_bytes].map(|number| number.to_string());
        let snapshot = if snapshots { place.snapshot_bytes } else { 0 }.to_string();
        let arguments = [
            ("--server", name.get_name()),
            ("--election-timeout-ms", &timeout),
            ("--snapshot-bytes", &snapshot),
            ("--kept-bytes", &kept),
        ];
        let cluster = Cluster::new(binary, dir.path().to_path_buf(), members.collect());
        let mut cluster = cluster.with_arguments(&arguments.map(<[&str; 2]>::from).concat());
        for id in 1..=count {
            cluster.start(id)?;
        }
        Ok(Self { cluster, count, _dir: dir })
    }

    /// The node that leads, once all of them say so.
    ///
    /// # Errors
    ///
    /// None does.
    pub(crate) async fn leader(&self) -> Result<u64, Failure> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let mut leaders = Vec::new();
            for id in 1..=self.count {
                leaders.push(self.status(id).await.and_then(|status| status["leader"].as_u64()));
            }
            if let Some(Some(leader)) = leaders.first()
                && leaders.iter().all(|other| *other == Some(*leader))
            {
                return Ok(*leader);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("nobody leads; node 1 says\n{}", self.cluster.end_of_log(1)).into())
    }

    /// What a node says of itself.
    pub(crate) async fn status(&self, id: u64) -> Option<serde_json::Value> {
        let text = get(self.cluster.http(id), "/status").await.ok()?;
        serde_json::from_str(&text).ok()
    }

    /// What a node counts.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub(crate) async fn scrape(&self, id: u64) -> Result<Scrape, Failure> {
        Ok(Scrape::parse(&get(self.cluster.http(id), "/metrics").await?))
    }

    /// What the nodes have done until now.
    ///
    /// # Errors
    ///
    /// One does not answer.
    pub(crate) async fn tally(&self, leader: u64) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        for id in 1..=self.count {
            let scrape = self.scrape(id).await?;
            let cost = Cost::of(self.cluster.pid(id).ok_or("a node has ended")?);
            tally.all = tally.all.plus(cost);
            tally.fsyncs += scrape.count("kv_fsync_seconds_count");
            if id == leader {
                tally.leader = cost;
                tally.leader_fsync = scrape.nanos("kv_fsync_seconds_sum");
            }
        }
        Ok(tally)
    }
}
