//! What a webhook's sender is told when its request is not taken.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use channels::signature::BadSignature;
use intake::IntakeError;
use serde_json::json;
use store::StoreError;

/// Why a request was not taken.
#[derive(Debug)]
pub enum Refusal {
    UnknownLink,
    /// Whoever sent it does not show that it may.
    Unsigned(&'static str),
    Signature(BadSignature),
    BadBody(String),
    /// As things are it cannot be done.
    Conflict(&'static str),
    /// More than so many bytes.
    TooLarge(usize),
    /// Ours to repair: the channel should send it again.
    Failed(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Failed(error.to_string())
    }
}

impl From<IntakeError> for Refusal {
    fn from(error: IntakeError) -> Refusal {
        Refusal::Failed(error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Refusal::UnknownLink => {
                let detail = "There is no such link. Look at the path: /hooks/{channel}/{link id}; \
                              `lowtide links list BOT` shows the ids.";
                (StatusCode::NOT_FOUND, detail.to_owned())
            }
            Refusal::Unsigned(detail) => (StatusCode::UNAUTHORIZED, detail.to_owned()),
            Refusal::Signature(error) => (StatusCode::UNAUTHORIZED, format!("Not taken: {error}.")),
            Refusal::BadBody(detail) => (StatusCode::BAD_REQUEST, detail),
            Refusal::Conflict(detail) => (StatusCode::CONFLICT, detail.to_owned()),
            Refusal::TooLarge(limit) => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("A webhook's body has at most {} KiB.", limit / 1024))
            }
            Refusal::Failed(detail) => {
                tracing::error!("A webhook was not taken, the channel will send it again: {detail}");
                (StatusCode::INTERNAL_SERVER_ERROR, "The message could not be queued. Please send it again.".to_owned())
            }
        };
        let problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": detail,
        });
        (status, [(CONTENT_TYPE, "application/problem+json")], problem.to_string()).into_response()
    }
}
