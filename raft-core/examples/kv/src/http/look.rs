//! What the node looks like: for programs, for Prometheus, for people.

use crate::address::Address;
use crate::http::App;
use crate::http::answers::say;
use crate::inbox::{Look, Message};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use raft_core::{Instant, LogPosition, NodeId, PeerPhase, RoleKind};
use serde::Serialize;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// The status of a node. Times are in milliseconds.
#[derive(Debug, Serialize)]
struct Status {
    id: u64,
    cluster: String,
    role: RoleKind,
    term: u64,
    leader: Option<u64>,
    voted_for: Option<u64>,
    last: LogPosition,
    durable: LogPosition,
    log_start: LogPosition,
    commit_index: u64,
    applied: u64,
    installing: Option<LogPosition>,
    /// For how long the lease of this leader is good.
    lease_ms: Option<u128>,
    pending_reads: usize,
    waiting_requests: usize,
    voters: Vec<u64>,
    outgoing: Vec<u64>,
    learners: Vec<u64>,
    membership_changes: bool,
    transfers_to: Option<u64>,
    peers: Vec<Peer>,
    /// How long ago each node was heard.
    heard_ms: BTreeMap<u64, u128>,
    addresses: BTreeMap<u64, Address>,
}

/// A peer, as its leader sees it.
#[derive(Debug, Serialize)]
struct Peer {
    id: u64,
    match_index: u64,
    next_index: u64,
    /// How many entries it lacks.
    lag: u64,
    phase: PeerPhase,
    messages_in_flight: usize,
    bytes_on_the_way: u64,
    /// How long ago it was sent the newest message that it has answered.
    answered_ms: u128,
    caught_up: bool,
    leaving: bool,
}

impl Status {
    fn of(app: &App, look: &Look) -> Self {
        let Look { now, status, membership, peers, heard, applied, waiting, .. } = look;
        let ids = |of: &[NodeId]| of.iter().copied().map(NodeId::get).collect::<Vec<_>>();
        let ago = |at: Instant| now.saturating_since(at).as_millis();
        let address = |id: NodeId| Some((id.get(), app.addresses.get(id.get())?));
        let last = status.last.index.get();
        let peer = |(peer, bytes): &(raft_core::PeerStatus, u64)| Peer {
            id: peer.id.get(),
            match_index: peer.match_index.get(),
            next_index: peer.next_index.get(),
            lag: last.saturating_sub(peer.match_index.get()),
            phase: peer.phase,
            messages_in_flight: peer.messages_in_flight,
            bytes_on_the_way: *bytes,
            answered_ms: ago(peer.heard_at),
            caught_up: peer.caught_up,
            leaving: peer.leaving,
        };
        Self {
            id: app.id,
            cluster: app.cluster.clone(),
            role: status.role,
            term: status.term.get(),
            leader: status.leader.map(NodeId::get),
            voted_for: status.voted_for.map(NodeId::get),
            last: status.last,
            durable: status.durable,
            log_start: status.log_start,
            commit_index: status.commit_index.get(),
            applied: applied.get(),
            installing: status.installing,
            lease_ms: status.lease_until.map(|until| until.saturating_since(*now).as_millis()),
            pending_reads: status.pending_reads,
            waiting_requests: *waiting,
            voters: ids(membership.voters()),
            outgoing: ids(membership.outgoing()),
            learners: ids(membership.learners()),
            membership_changes: status.membership_changes,
            transfers_to: status.transfers_to.map(NodeId::get),
            peers: peers.iter().map(peer).collect(),
            heard_ms: heard.iter().map(|(id, at)| (id.get(), ago(*at))).collect(),
            addresses: membership.members().filter_map(address).collect(),
        }
    }
}

impl App {
    async fn look(&self) -> Result<Look, Response> {
        let (caller, look) = oneshot::channel();
        _ = self.outside.send(Message::Look(caller)).await;
        let stopping = |_| say(StatusCode::SERVICE_UNAVAILABLE, "refused", "being stopped");
        look.await.map_err(stopping)
    }
}

pub(super) async fn status(State(app): State<App>) -> Result<Response, Response> {
    let status = Status::of(&app, &app.look().await?);
    // The page of one node shows them all.
    let anyone = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    Ok((anyone, Json(status)).into_response())
}

pub(super) async fn metrics(State(app): State<App>) -> Result<String, Response> {
    Ok(app.metrics.text(&app.look().await?))
}

pub(super) async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}
