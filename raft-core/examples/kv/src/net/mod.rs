//! The transport: who speaks on which connection, and what happens when one breaks.
//!
//! Every connection carries bytes one way, from who dialled to who accepted, and says at its start
//! what it is for ([`handshake`]). To each peer there are two lasting ones, and one for each
//! snapshot:
//!
//! | lane | what | why apart |
//! |---|---|---|
//! | [`Lane::Log`] | every `AppendEntries`, heartbeats included | they keep their order |
//! | [`Lane::Talk`] | votes, and every answer | never behind a megabyte of entries |
//! | [`Lane::Snapshot`] | the head of a snapshot, then its file | as large as the state machine |

pub mod codec;
pub mod handshake;
mod incoming;
mod links;
mod listener;
mod outgoing;
pub mod tls;

pub use incoming::Incoming;
pub use links::Links;
pub use listener::{accept_all, listen};
pub use outgoing::Outgoing;

use crate::address::{Address, Addresses};
use crate::inbox::Outside;
use crate::metrics::Metrics;
use handshake::Hello;
use rustix::net::sockopt;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For what a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Lane {
    /// Every `AppendEntries`.
    Log,
    /// Every other message.
    Talk,
    /// One snapshot.
    Snapshot,
}

/// What every connection of this node needs.
#[derive(Debug)]
pub struct Net {
    /// The name of the cluster: nodes of different clusters do not talk.
    pub cluster: String,
    /// This node.
    pub id: u64,
    /// Where this node is, for others.
    pub address: Address,
    /// Where the others are.
    pub addresses: Addresses,
    /// Mutual TLS, if nodes use it.
    pub tls: Option<Tls>,
    /// The driver.
    pub outside: Outside,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// A connection, encrypted or not.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// How long a peer may take for a handshake, and to take in what is written to it.
const PATIENCE: Duration = Duration::from_secs(5);

impl Net {
    /// Connects to a peer and says what for.
    ///
    /// # Errors
    ///
    /// Nobody knows where it is, it does not answer, or it does not want this node.
    pub async fn dial(&self, peer: u64, lane: Lane) -> io::Result<Box<dyn Wire>> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "nobody knows where it is");
        let address = self.addresses.get(peer).ok_or_else(unknown)?;
        let dialled = async {
            let stream = TcpStream::connect(&address.raft).await?;
            notice_silence(&stream)?;
            let mut wire: Box<dyn Wire> = match &self.tls {
                Some(tls) => Box::new(tls.connect(stream, &self.cluster, peer).await?),
                None => Box::new(stream),
            };
            let (cluster, address) = (self.cluster.clone(), self.address.clone());
            let hello = Hello::new(cluster, self.id, peer, lane, address);
            handshake::introduce(&mut wire, &hello).await?;
            Ok(wire)
        };
        timeout(PATIENCE, dialled).await?
    }
}

/// Small frames leave at once. And a peer that is gone without a word is noticed at both ends:
/// where something is sent (on Linux; the system decides elsewhere), and where nothing is.
///
/// # Errors
///
/// As the system says.
pub fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    #[cfg(target_os = "linux")]
    {
        let millis = u32::try_from(PATIENCE.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(stream, millis)?;
        sockopt::set_tcp_keepidle(stream, PATIENCE)?;
        sockopt::set_tcp_keepintvl(stream, PATIENCE)?;
    }
    Ok(())
}
