//! HTTP, for clients and operators.

mod answers;
mod keys;
mod look;
mod operate;

use crate::address::Addresses;
use crate::clock;
use crate::command::Command;
use crate::inbox::{Message, Outside, Request, Told};
use crate::machine::State;
use crate::metrics::Metrics;
use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri, Query};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{delete, get, post};
use raft_core::Instant;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What every request may need.
#[derive(Clone, Debug)]
pub struct App {
    /// This node.
    pub id: u64,
    /// The cluster.
    pub cluster: String,
    /// The driver.
    pub outside: Outside,
    /// The state machine, to be read.
    pub state: State,
    /// Where the others are.
    pub addresses: Addresses,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// How long a caller waits.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Patience {
    timeout_ms: Option<u64>,
}

impl Patience {
    /// The moment after which the caller waits no longer: after five seconds, if he does not say.
    fn until(self) -> Instant {
        clock::after(Duration::from_millis(self.timeout_ms.unwrap_or(5000)))
    }
}

/// Who answers what.
pub fn router(app: App) -> Router {
    let key = get(keys::get).put(keys::put).post(keys::append).delete(keys::delete);
    Router::new()
        .route("/", get(look::page))
        .route("/status", get(look::status))
        .route("/metrics", get(look::metrics))
        .route("/kv/{*key}", key)
        .route("/sessions", post(keys::open))
        .route("/sessions/{id}", delete(keys::close))
        .route("/nodes/{id}", post(operate::add).put(operate::tell).delete(operate::remove))
        .route("/nodes/{id}/promote", post(operate::promote))
        .route("/leader", post(operate::transfer))
        .route("/snapshot", post(operate::snapshot))
        .layer(DefaultBodyLimit::max(Command::MAX_VALUE))
        .with_state(app)
}

/// How a request is asked for, whatever it is about.
type Asked = (Query<Patience>, OriginalUri);

impl App {
    /// Asks the driver; `None` if it is gone, and nobody knows what it did.
    async fn ask(&self, request: Request) -> Option<Told> {
        let (caller, told) = oneshot::channel();
        self.outside.send(Message::Request(request, caller)).await.ok()?;
        told.await.ok()
    }

    /// The same, and what the client is told of it.
    async fn reply(&self, request: Request, uri: &Uri) -> Response {
        let told = self.ask(request).await;
        self.answer(told, uri)
    }

    /// Has a command replicated and applied.
    async fn propose(&self, command: &Command, (patience, uri): Asked) -> Response {
        let (command, until) = (command.encode(), patience.until());
        self.reply(Request::Propose { command, until }, &uri).await
    }
}
