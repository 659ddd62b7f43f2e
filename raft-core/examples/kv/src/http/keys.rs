//! Reading and writing keys.

use crate::command::Command;
use crate::http::answers::say;
use crate::http::{App, Patience};
use crate::inbox::{Request, Told};
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use raft_core::driver::Answer;
use serde::Deserialize;

/// On what a read rests.
#[derive(Clone, Copy, Default, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Consistency {
    /// The word of a quorum. Linearizable, at any node.
    #[default]
    Index,
    /// The leader's lease. Linearizable as long as the clocks run alike; elsewhere as `index`.
    Lease,
    /// Nothing: what this node has applied, however old that is.
    Stale,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct How {
    #[serde(default)]
    consistency: Consistency,
}

pub(super) async fn get(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(how): Query<How>,
    Query(patience): Query<Patience>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    let lease = match how.consistency {
        Consistency::Index => Some(false),
        Consistency::Lease => Some(true),
        Consistency::Stale => None,
    };
    if let Some(lease) = lease {
        match app.ask(Request::Read { lease, until: patience.until() }).await {
            Some(Told::Answer(Answer::Read { .. })) => {}
            // A read changes nothing: who does not know what became of it may ask again.
            None => return say(StatusCode::SERVICE_UNAVAILABLE, "refused", "being stopped"),
            other => return app.answer(other, &uri),
        }
    }
    match tokio::task::block_in_place(|| app.state.get(&key)) {
        Ok(Some(value)) => value.into_response(),
        Ok(None) => say(StatusCode::NOT_FOUND, "done", "no such key"),
        Err(error) => crate::fatal("the state machine cannot be read", &error),
    }
}

pub(super) async fn put(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(patience): Query<Patience>,
    OriginalUri(uri): OriginalUri,
    value: Bytes,
) -> Response {
    if key.len() > Command::MAX_KEY {
        return say(StatusCode::BAD_REQUEST, "refused", "the key is too long");
    }
    let command = Command::Put { key, value }.encode();
    app.reply(Request::Propose { command, until: patience.until() }, &uri).await
}

pub(super) async fn delete(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(patience): Query<Patience>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    let command = Command::Delete { key }.encode();
    app.reply(Request::Propose { command, until: patience.until() }, &uri).await
}
