//! What operators do: nodes come, vote and go; leadership moves; snapshots are taken.

use crate::address::Address;
use crate::command::Command;
use crate::http::answers::say;
use crate::http::{App, Asked};
use crate::inbox::{Change, Request};
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use raft_core::NodeId;
use serde::Deserialize;

/// What was said is no address.
pub(super) struct NoAddress;

impl IntoResponse for NoAddress {
    fn into_response(self) -> Response {
        say(StatusCode::BAD_REQUEST, "refused", "raft and http are HOST:PORT each")
    }
}

/// An address that is none would be in the book until somebody says another one.
fn checked(address: Address) -> Result<Address, NoAddress> {
    address.is_well_formed().then_some(address).ok_or(NoAddress)
}

impl App {
    async fn change(
        &self,
        change: Change,
        address: Option<Address>,
        (patience, uri): Asked,
    ) -> Response {
        self.reply(Request::Change { change, address, until: patience.until() }, &uri).await
    }
}

/// Adds a learner. Its address stands before it in the log: who has the one has the other.
pub(super) async fn add(
    State(app): State<App>,
    Path(id): Path<u64>,
    Query(address): Query<Address>,
    asked: Asked,
) -> Result<Response, NoAddress> {
    let address = checked(address)?;
    Ok(app.change(Change::AddLearner(NodeId(id)), Some(address), asked).await)
}

/// Says where a member is now.
pub(super) async fn tell(
    State(app): State<App>,
    Path(id): Path<u64>,
    Query(address): Query<Address>,
    asked: Asked,
) -> Result<Response, NoAddress> {
    let address = checked(address)?;
    Ok(app.propose(&Command::Address { node: id, address }, asked).await)
}

/// Makes a learner a voter, when it has caught up.
pub(super) async fn promote(State(app): State<App>, Path(id): Path<u64>, asked: Asked) -> Response {
    app.change(Change::Promote(NodeId(id)), None, asked).await
}

/// Removes a node. Its address is known until that is applied: the change has to reach it, too.
pub(super) async fn remove(State(app): State<App>, Path(id): Path<u64>, asked: Asked) -> Response {
    app.change(Change::Remove(NodeId(id)), None, asked).await
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
