//! Connections that others have made: who is there is checked, then what they say is read.

use crate::inbox::Message;
use crate::net::codec::{CodecError, decode, read_bytes};
use crate::net::handshake::{Hello, welcome};
use crate::net::tls::Tls;
use crate::net::{Incoming, Lane, Net, PATIENCE, Wire, notice_silence};
use raft_core::NodeId;
use raft_core::driver::Event;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Serves whoever connects, for as long as the server runs.
pub async fn listen(listener: TcpListener, net: Arc<Net>, incoming: Incoming) {
    let serves = move |stream| {
        let (net, incoming) = (Arc::clone(&net), incoming.clone());
        async move { serve(stream, &net, &incoming).await }
    };
    accept_all(listener, serves).await;
}

/// Serves whoever connects in this way, each in a task.
pub async fn accept_all<S>(listener: TcpListener, each: impl Fn(TcpStream) -> S)
where
    S: Future<Output = Result<(), CodecError>> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let served = each(stream);
                tokio::spawn(async move {
                    if let Err(error) = served.await {
                        tracing::info!(%from, %error, "a connection is closed");
                    }
                });
            }
            Err(error) => {
                // Too many files are open, perhaps: others may close some.
                tracing::error!(%error, "nobody can connect");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, net: &Net, incoming: &Incoming) -> Result<(), CodecError> {
    notice_silence(&stream)?;
    let (mut wire, hello) =
        timeout(PATIENCE, accept(stream, net)).await.map_err(io::Error::from)??;
    let from = NodeId(hello.from);
    net.addresses.heard(hello.from, hello.address);
    match hello.lane {
        Lane::Snapshot => incoming.take(&mut wire, from, net).await,
        Lane::Log | Lane::Talk => hear(wire, from, net).await,
    }
}

async fn accept(stream: TcpStream, net: &Net) -> io::Result<(Box<dyn Wire>, Hello)> {
    let Some(tls) = &net.tls else {
        let mut wire = Box::new(stream);
        let hello = welcome(&mut wire, &net.cluster, net.id).await?;
        return Ok((wire, hello));
    };
    let mut wire = Box::new(tls.accept(stream).await?);
    let hello = welcome(&mut wire, &net.cluster, net.id).await?;
    Tls::belongs_to(&wire, &net.cluster, hello.from)?;
    Ok((wire, hello))
}

/// Hands every frame to the driver. A lie ends the connection: who sends one is out of order.
async fn hear(wire: Box<dyn Wire>, from: NodeId, net: &Net) -> Result<(), CodecError> {
    let mut reader = BufReader::with_capacity(64 << 10, wire);
    let mut bytes = Vec::new();
    while read_bytes(&mut reader, &mut bytes).await? {
        let frame = decode(from, &bytes).inspect_err(|_| net.metrics.refused_frames.inc())?;
        net.metrics.received_frames.inc();
        // A queue that is full makes this wait, and so, in the end, the peer.
        if net.outside.send(Message::Event(Event::Frame(frame))).await.is_err() {
            break;
        }
        bytes.shrink_to(64 << 10);
    }
    Ok(())
}
