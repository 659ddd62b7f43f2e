//! The command line.

use crate::address::Member;
use crate::net::tls::TlsFiles;
use clap::{Args, Parser};
use std::path::PathBuf;
use std::time::Duration;

/// A replicated key-value server.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Options {
    /// Start three nodes on loopback, and print how to use them.
    #[arg(long)]
    pub dev: bool,
    /// With --dev: the first port; so many follow.
    #[arg(long, default_value_t = 7001)]
    pub port: u16,
    /// Where the data is.
    #[arg(long, default_value = "kv-data")]
    pub dir: PathBuf,
    /// The node to run.
    #[command(flatten)]
    pub node: NodeOptions,
}

/// What one node is told at its start.
#[derive(Clone, Debug, Args)]
pub struct NodeOptions {
    /// This node. A node that has lost its disk comes back under another id.
    #[arg(long, default_value_t = 1)]
    pub id: u64,
    /// The name of the cluster.
    #[arg(long, default_value = "kv")]
    pub cluster: String,
    /// Every node that is known, this one included: `ID=RAFT_HOST:PORT/HTTP_HOST:PORT`.
    #[arg(long, value_delimiter = ',')]
    pub members: Vec<Member>,
    /// Where this node listens for others, if not at the address by which they know it.
    #[arg(long)]
    pub listen: Option<String>,
    /// The first start of a node of a new cluster, whose voters are the --members.
    #[arg(long, conflicts_with = "join")]
    pub init: bool,
    /// The first start of a node that is then added to a cluster.
    #[arg(long)]
    pub join: bool,
    /// T, in milliseconds: well above an fsync and a round trip.
    #[arg(long, default_value_t = 1000)]
    pub election_timeout_ms: u64,
    /// Take a snapshot when so many bytes were applied since the last one.
    #[arg(long, default_value_t = 64 << 20)]
    pub snapshot_bytes: u64,
    /// Keep so many bytes of the log before a snapshot, for followers that are behind.
    #[arg(long, default_value_t = 16 << 20)]
    pub kept_bytes: u64,
    /// Keep so many bytes of the end of the log in memory; what lies before them is on the disk.
    #[arg(long, default_value_t = 32 << 20)]
    pub cached_bytes: u64,
    /// Mutual TLS between nodes: the certificate of the authority (PEM).
    #[arg(long, requires_all = ["tls_certificate", "tls_key"])]
    pub tls_authority: Option<PathBuf>,
    /// The certificate of this node, made out to node-ID.CLUSTER (PEM).
    #[arg(long, requires = "tls_authority")]
    pub tls_certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, requires = "tls_authority")]
    pub tls_key: Option<PathBuf>,
    /// Stop when standard input is closed: with whoever has started this node.
    #[arg(long)]
    pub tied: bool,
}

impl NodeOptions {
    /// T.
    pub const fn election_timeout(&self) -> Duration {
        Duration::from_millis(self.election_timeout_ms)
    }

    /// The files of mutual TLS, if it is wanted.
    pub fn tls_files(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            authority: self.tls_authority.clone()?,
            certificate: self.tls_certificate.clone()?,
            key: self.tls_key.clone()?,
        })
    }
}
