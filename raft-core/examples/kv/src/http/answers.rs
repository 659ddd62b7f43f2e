//! What became of a request, as an answer of HTTP.
//!
//! | code | the request | again? |
//! |---|---|---|
//! | 200 | is done | |
//! | 307 | belongs to the leader, whose address is in `Location` | there |
//! | 400, 404, 409, 413 | cannot be done as it is | not as it is |
//! | 410 | has a session that has expired; nobody knows whether it was done before | not in it |
//! | 429 | waits behind too many | later |
//! | 503 | was not done, and never will be | at once |
//! | 504 | may be done or not, now or later: *unknown* | in a session, or if twice is harmless |

use crate::command::Reply;
use crate::http::App;
use crate::inbox::Told;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use raft_core::driver::sessions::SessionError;
use raft_core::driver::{Answer, Refusal};
use raft_core::{NodeId, RejectReason};
use serde_json::{Value, json};

/// What a request came to, and why.
pub(super) fn say(code: StatusCode, outcome: &str, why: &str) -> Response {
    (code, Json(json!({ "outcome": outcome, "why": why }))).into_response()
}

pub(super) fn done(more: Value) -> Response {
    let mut body = json!({ "outcome": "done" });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    Json(body).into_response()
}

impl App {
    /// The answer to whatever is neither read nor left to be done.
    pub(super) fn answer(&self, told: Option<Told>, uri: &Uri) -> Response {
        match told {
            Some(Told::Applied(reply)) => of_state(reply),
            Some(Told::Taken) => done(json!({})),
            Some(Told::Impossible(why)) => say(StatusCode::CONFLICT, "refused", &why),
            Some(Told::Answer(answer)) => self.of_driver(answer, uri),
            None => say(StatusCode::GATEWAY_TIMEOUT, "unknown", "the node is being stopped"),
        }
    }

    fn of_driver(&self, answer: Answer, uri: &Uri) -> Response {
        match answer {
            Answer::Refused(Refusal::Node(RejectReason::NotLeader { leader })) => {
                self.elsewhere(leader, uri)
            }
            Answer::Refused(refusal @ Refusal::NotDescribed { node }) => {
                let how = format!("nobody has said where node {node} is: PUT /nodes/{node}");
                say(code(refusal), "refused", &how)
            }
            Answer::Refused(refusal) => say(code(refusal), "refused", &refusal.to_string()),
            Answer::Lost { .. } => {
                let why = "another leader has committed something else there";
                say(StatusCode::SERVICE_UNAVAILABLE, "lost", why)
            }
            Answer::Unknown { cause, .. } => {
                say(StatusCode::GATEWAY_TIMEOUT, "unknown", &format!("{cause:?}"))
            }
            Answer::Read { index } => done(json!({ "index": index.get() })),
            Answer::Changed => done(json!({})),
            Answer::Transferred(outcome) => done(json!({ "transfer": format!("{outcome:?}") })),
        }
    }

    /// The leader is asked, under the same path.
    fn elsewhere(&self, leader: Option<NodeId>, uri: &Uri) -> Response {
        let leader = leader.map(NodeId::get).filter(|leader| *leader != self.id);
        let address = leader.and_then(|leader| self.addresses.get(leader));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let there = address.and_then(|address| {
            HeaderValue::try_from(format!("http://{}{path}", address.http)).ok()
        });
        let body = json!({ "outcome": "refused", "why": "not the leader", "leader": leader });
        if let Some(there) = there {
            let headers = [(header::LOCATION, there)];
            return (StatusCode::TEMPORARY_REDIRECT, headers, Json(body)).into_response();
        }
        let headers = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
        (StatusCode::SERVICE_UNAVAILABLE, headers, Json(body)).into_response()
    }
}

/// What the state machine says.
fn of_state(reply: Reply) -> Response {
    match reply {
        Reply::Applied { existed } => done(json!({ "existed": existed })),
        Reply::Appended { length } => done(json!({ "length": length })),
        Reply::TooLong => say(StatusCode::PAYLOAD_TOO_LARGE, "refused", "the value is too long"),
        Reply::Noted => done(json!({})),
        Reply::Opened(session) => done(json!({ "session": session })),
        Reply::NotOnce(error) => {
            let (code, kind) = of_session(error);
            let why = error.to_string();
            (code, Json(json!({ "outcome": "refused", "session": kind, "why": why })))
                .into_response()
        }
        Reply::Unreadable => {
            say(StatusCode::INTERNAL_SERVER_ERROR, "refused", "the command cannot be read")
        }
    }
}

fn of_session(error: SessionError) -> (StatusCode, &'static str) {
    match error {
        SessionError::Received { .. } => (StatusCode::CONFLICT, "received"),
        SessionError::TooManyOpen { .. } => (StatusCode::TOO_MANY_REQUESTS, "too many open"),
        SessionError::Malformed { .. } => (StatusCode::BAD_REQUEST, "malformed"),
        // Whatever else will be said of a session: this one is of no more use.
        _ => (StatusCode::GONE, "expired"),
    }
}

fn code(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::CommandTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::TooManyUncommitted { .. }
        | Refusal::Node(RejectReason::TooManyUncommitted { .. } | RejectReason::TooManyReads) => {
            StatusCode::TOO_MANY_REQUESTS
        }
        Refusal::NotALearner { .. }
        | Refusal::NotDescribed { .. }
        | Refusal::Node(
            RejectReason::ChangeInProgress
            | RejectReason::BadMembership
            | RejectReason::AlreadyInForce
            | RejectReason::NotCaughtUp { .. }
            | RejectReason::NoQuorum { .. }
            | RejectReason::CannotLead { .. }
            | RejectReason::NoOtherVoter,
        ) => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::{code, of_session};
    use axum::http::StatusCode;
    use raft_core::driver::Refusal;
    use raft_core::driver::sessions::SessionError;
    use raft_core::{NodeId, RejectReason};

    #[test]
    fn what_may_be_asked_again_at_once_is_told_from_what_may_not() {
        let cases = [
            (Refusal::CommandTooLarge { bytes: 2, limit: 1 }, StatusCode::PAYLOAD_TOO_LARGE),
            (Refusal::TooManyUncommitted { waiting: 1 }, StatusCode::TOO_MANY_REQUESTS),
            (RejectReason::AlreadyInForce.into(), StatusCode::CONFLICT),
            (RejectReason::LeaderChanged.into(), StatusCode::SERVICE_UNAVAILABLE),
            (RejectReason::TransferInProgress.into(), StatusCode::SERVICE_UNAVAILABLE),
            (Refusal::NotDescribed { node: NodeId(4) }, StatusCode::CONFLICT),
            (Refusal::TimedOut, StatusCode::SERVICE_UNAVAILABLE),
        ];
        for (refusal, expected) in cases {
            assert_eq!(code(refusal), expected, "{refusal}");
        }
    }

    #[test]
    fn each_word_of_a_session_has_a_code_and_a_name() {
        let cases = [
            (SessionError::Expired, 410, "expired"),
            (SessionError::Received { received: 1 }, 409, "received"),
            (SessionError::TooManyOpen { limit: 64 }, 429, "too many open"),
            (SessionError::Malformed { number: 1, received: 1 }, 400, "malformed"),
        ];
        for (error, code, name) in cases {
            let (found, kind) = of_session(error);
            assert_eq!((found.as_u16(), kind), (code, name));
        }
    }
}
