//! What is said before anything else on a connection: by which cluster, by whom, to whom, what for.

use crate::address::Address;
use crate::net::Lane;
use crate::net::codec::{read_bytes, write_bytes};
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// The version of everything that nodes say to one another. Nodes of different versions do not
/// talk: raise it when a frame, a command or the file of a snapshot changes its form.
const VERSION: u32 = 2;
const MAGIC: [u8; 4] = *b"kvrf";

/// What who dials says first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    magic: [u8; 4],
    version: u32,
    /// The cluster.
    pub cluster: String,
    /// Who dials.
    pub from: u64,
    /// Who is meant.
    pub to: u64,
    /// What for.
    pub lane: Lane,
    /// Where who dials is to be found.
    pub address: Address,
}

impl Hello {
    /// In this version.
    pub const fn new(cluster: String, from: u64, to: u64, lane: Lane, address: Address) -> Self {
        Self { magic: MAGIC, version: VERSION, cluster, from, to, lane, address }
    }

    /// Why this node does not want to hear it, if it does not.
    fn refusal(&self, cluster: &str, me: u64) -> Option<String> {
        let Self { version, cluster: theirs, from, to, .. } = self;
        if self.magic != MAGIC || *version != VERSION {
            Some(format!("version {version}, this node speaks {VERSION}"))
        } else if theirs != cluster {
            Some(format!("cluster {theirs:?}, this node belongs to {cluster:?}"))
        } else if *to != me {
            Some(format!("node {to} is meant, this is node {me}"))
        } else {
            (*from == me).then(|| format!("somebody else calls itself node {me}"))
        }
    }
}

/// Says hello, and waits until it is accepted.
///
/// # Errors
///
/// It was refused, for the reason that the error gives; or the connection broke.
pub async fn introduce(
    wire: &mut (impl AsyncRead + AsyncWrite + Unpin),
    hello: &Hello,
) -> io::Result<()> {
    let bytes = postcard::to_stdvec(hello).expect("it has an encoding");
    write_bytes(wire, &bytes).await?;
    wire.flush().await?;
    let mut answer = Vec::new();
    let is_there = read_bytes(wire, &mut answer).await.map_err(io::Error::other)?;
    match String::from_utf8_lossy(&answer) {
        ok if is_there && ok.is_empty() => Ok(()),
        refusal => Err(io::Error::other(format!("refused: {refusal}"))),
    }
}

/// Hears who is there, and says whether that is well.
///
/// # Errors
///
/// It is not, or the connection broke.
pub async fn welcome(
    wire: &mut (impl AsyncRead + AsyncWrite + Unpin),
    cluster: &str,
    me: u64,
) -> io::Result<Hello> {
    let mut bytes = Vec::new();
    let is_there = read_bytes(wire, &mut bytes).await.map_err(io::Error::other)?;
    let hello: Option<Hello> = postcard::from_bytes(&bytes).ok().filter(|_| is_there);
    let hello = hello.ok_or_else(|| io::Error::other("no hello"))?;
    let refusal = hello.refusal(cluster, me);
    write_bytes(wire, refusal.as_deref().unwrap_or_default().as_bytes()).await?;
    wire.flush().await?;
    refusal.map_or(Ok(hello), |why| Err(io::Error::other(why)))
}

#[cfg(test)]
mod tests {
    use super::{Hello, VERSION, introduce, welcome};
    use crate::address::Address;
    use crate::net::Lane;

    /// What both ends make of this hello at node 1 of the cluster "a".
    fn meet(hello: &Hello) -> Result<Hello, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("room");
        let (mut here, mut there) = tokio::io::duplex(4096);
        let both = async { tokio::join!(introduce(&mut here, hello), welcome(&mut there, "a", 1)) };
        let (dialled, accepted) = runtime.block_on(both);
        assert_eq!(dialled.is_ok(), accepted.is_ok(), "both know");
        dialled.map_err(|error| error.to_string())?;
        accepted.map_err(|error| error.to_string())
    }

    #[test]
    fn only_who_means_this_node_of_this_cluster_in_this_version_is_heard() {
        let address = Address { raft: "a:1".into(), http: "a:2".into() };
        let hello = Hello::new("a".into(), 2, 1, Lane::Log, address);
        assert_eq!(meet(&hello), Ok(hello.clone()));
        let wrong: [(Hello, &str); 4] = [
            (Hello { cluster: "b".into(), ..hello.clone() }, "cluster"),
            (Hello { to: 3, ..hello.clone() }, "node 3 is meant"),
            (Hello { from: 1, ..hello.clone() }, "calls itself"),
            (Hello { version: VERSION + 1, ..hello }, "version"),
        ];
        for (hello, why) in wrong {
            let refused = meet(&hello).expect_err("it is refused");
            assert!(refused.contains(why), "{refused}");
        }
    }
}
