//! What operators do: nodes come, vote and go; leadership moves; snapshots are taken.

use crate::address::Address;
use crate::command::Command;
use crate::http::{App, Patience};
use crate::inbox::{Change, Request, Told};
use axum::extract::{OriginalUri, Path, Query, State};
use axum::response::Response;
use raft_core::NodeId;
use serde::Deserialize;

/// Adds a learner: its address first, so that whoever leads can reach it.
pub(super) async fn add(
    State(app): State<App>,
    Path(id): Path<u64>,
    Query(address): Query<Address>,
    Query(patience): Query<Patience>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    let until = patience.until();
    let command = Command::Address { node: id, address }.encode();
    let told = app.ask(Request::Propose { command, until }).await;
    if !matches!(told, Some(Told::Applied(_))) {
        return app.answer(told, &uri);
    }
    let change = Change::AddLearner(NodeId(id));
    app.reply(Request::Change { change, until }, &uri).await
}

/// Makes a learner a voter, when it has caught up.
pub(super) async fn promote(
    State(app): State<App>,
    Path(id): Path<u64>,
    Query(patience): Query<Patience>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    let change = Change::Promote(NodeId(id));
    app.reply(Request::Change { change, until: patience.until() }, &uri).await
}

/// Removes a node. Its address stays in the book: the change has to reach it, too.
pub(super) async fn remove(
    State(app): State<App>,
    Path(id): Path<u64>,
    Query(patience): Query<Patience>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    let change = Change::Remove(NodeId(id));
    app.reply(Request::Change { change, until: patience.until() }, &uri).await
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct To {
    to: Option<u64>,
}

/// Hands over leadership.
pub(super) async fn transfer(
    State(app): State<App>,
    Query(To { to }): Query<To>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    app.reply(Request::Transfer { to: to.map(NodeId) }, &uri).await
}

/// Takes a snapshot of this node's own.
pub(super) async fn snapshot(State(app): State<App>, OriginalUri(uri): OriginalUri) -> Response {
    app.reply(Request::Snapshot, &uri).await
}
