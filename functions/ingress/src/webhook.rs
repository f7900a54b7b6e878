//! The generic webhook: messages of any system, signed in the scheme of Standard Webhooks.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use channels::signature;
use channels::webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, parse};
use intake::Outcome;
use serde_json::json;

use crate::Refusal;
use crate::request::Request;

/// Takes one message. 202: its answer will be posted.
pub(crate) async fn receive(mut request: Request<'_>) -> Result<Response, Refusal> {
    let body = request.body()?;
    let (secret, now) = (request.signing_secret().await?, request.environment.clock.now());
    let id = request.header(ID_HEADER);
    let (timestamp, signatures) = (request.header(TIMESTAMP_HEADER), request.header(SIGNATURE_HEADER));
    signature::standard(&secret, id, timestamp, signatures, &body, now)?;
    let received = parse(&body, id, now).map_err(|error| Refusal::BadBody(error.to_string()))?;
    Ok(match request.admit(received).await? {
        Outcome::Queued => (StatusCode::ACCEPTED, Json(json!({ "status": "queued" }))).into_response(),
        Outcome::Answered(reason) => Json(json!({ "status": "answered", "reason": reason })).into_response(),
        Outcome::Dropped(reason) => Json(json!({ "status": "dropped", "reason": reason })).into_response(),
    })
}
