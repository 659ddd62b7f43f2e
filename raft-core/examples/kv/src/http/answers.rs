//! What became of a request, as an answer of HTTP.
//!
//! | code | the request | again? |
//! |---|---|---|
//! | 200 | is done | |
//! | 307 | belongs to the leader, whose address is in `Location` | there |
//! | 400, 404, 409, 413 | cannot be done as it is | not as it is |
//! | 429 | waits behind too many | later |
//! | 503 | was not done, and never will be | at once |
//! | 504 | may or may not be done, now or later: *unknown* | only if doing it twice is harmless |

use crate::command::Reply;
use crate::http::App;
use crate::inbox::Told;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
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
            Some(Told::Applied(Reply::Applied { existed })) => done(json!({ "existed": existed })),
            Some(Told::Applied(Reply::Unreadable)) => {
                say(StatusCode::INTERNAL_SERVER_ERROR, "refused", "the command cannot be read")
            }
            Some(Told::Taken | Told::Applied(Reply::Noted)) => done(json!({})),
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
    use super::code;
    use axum::http::StatusCode;
    use raft_core::driver::Refusal;
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
}
