//! Reading and writing keys.

use crate::command::{Command, Write};
use crate::http::answers::say;
use crate::http::{App, Asked};
use crate::inbox::{Request, Told};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use raft_core::driver::Answer;
use raft_core::driver::sessions::{Request as SessionRequest, SessionId};
use serde::Deserialize;

/// The session of a write.
const SESSION: &str = "kv-session";
/// The client's own number for it, the same whenever it comes again.
const NUMBER: &str = "kv-number";
/// The client has the answers up to this number, or does not want them.
const RECEIVED: &str = "kv-received";

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
    (patience, uri): Asked,
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
    headers: HeaderMap,
    asked: Asked,
    value: Bytes,
) -> Response {
    app.write(Write::Put { key, value }, &headers, asked).await
}

pub(super) async fn append(
    State(app): State<App>,
    Path(key): Path<String>,
    headers: HeaderMap,
    asked: Asked,
    more: Bytes,
) -> Response {
    app.write(Write::Append { key, more }, &headers, asked).await
}

pub(super) async fn delete(
    State(app): State<App>,
    Path(key): Path<String>,
    headers: HeaderMap,
    asked: Asked,
) -> Response {
    app.write(Write::Delete { key }, &headers, asked).await
}

impl App {
    async fn write(&self, write: Write, headers: &HeaderMap, asked: Asked) -> Response {
        let (Write::Put { key, .. } | Write::Append { key, .. } | Write::Delete { key }) = &write;
        if key.len() > Command::MAX_KEY {
            return say(StatusCode::BAD_REQUEST, "refused", "the key is too long");
        }
        let command = match request(headers) {
            Ok(None) => Command::Write(write),
            Ok(Some(request)) => Command::Once(request, write),
            Err(why) => return say(StatusCode::BAD_REQUEST, "refused", &why),
        };
        self.propose(&command, asked).await
    }
}

/// The session of a write, and its number in it, if it has one.
fn request(headers: &HeaderMap) -> Result<Option<SessionRequest>, String> {
    let number = |name: &str| {
        let Some(found) = headers.get(name) else { return Ok(None) };
        let number = found.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        number.map(Some).ok_or_else(|| format!("{name} is no number below 2^64"))
    };
    let (session, received) = (number(SESSION)?, number(RECEIVED)?.unwrap_or(0));
    match (session, number(NUMBER)?) {
        (_, Some(0)) => Err(format!("{NUMBER} is from 1 on")),
        (Some(session), Some(number)) => {
            Ok(Some(SessionRequest { session: SessionId(session), number, received }))
        }
        (None, None) if !headers.contains_key(RECEIVED) => Ok(None),
        _ => Err(format!("{SESSION} and {NUMBER} go together")),
    }
}

/// Opens a session.
pub(super) async fn open(State(app): State<App>, asked: Asked) -> Response {
    app.propose(&Command::Open, asked).await
}

/// Closes it.
pub(super) async fn close(
    State(app): State<App>,
    Path(session): Path<u64>,
    asked: Asked,
) -> Response {
    app.propose(&Command::Close(SessionId(session)), asked).await
}

#[cfg(test)]
mod tests {
    use super::{NUMBER, RECEIVED, SESSION, request};
    use axum::http::HeaderMap;
    use raft_core::driver::sessions::{Request, SessionId};

    fn of(said: &[(&'static str, &'static str)]) -> Result<Option<Request>, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.insert(*name, value.parse().expect("text"));
        }
        request(&headers)
    }

    #[test]
    fn a_session_and_a_number_go_together_and_what_was_received_may_be_left_out() {
        let is = |number, received| Ok(Some(Request { session: SessionId(7), number, received }));
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[(SESSION, "7"), (NUMBER, "2"), (RECEIVED, "1")]), is(2, 1));
        assert_eq!(of(&[(SESSION, "7"), (NUMBER, "2")]), is(2, 0));
        for half in [&[(SESSION, "7")][..], &[(NUMBER, "2")], &[(RECEIVED, "1")]] {
            assert!(of(half).is_err(), "{half:?}");
        }
        for wrong in ["-7", "x", "", "18446744073709551616"] {
            assert!(of(&[(SESSION, wrong), (NUMBER, "2")]).is_err(), "{wrong:?}");
        }
        assert!(of(&[(SESSION, "7"), (NUMBER, "0")]).is_err(), "the first one is 1");
    }
}
