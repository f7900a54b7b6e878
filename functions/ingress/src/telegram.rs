//! Telegram's webhooks.

use axum::Json;
use axum::response::{IntoResponse, Response};
use channels::telegram::{self, Update};
use intake::Outcome;
use serde_json::json;

use crate::Refusal;
use crate::request::Request;

/// Takes one update. The answer's body may carry one method call: the typing action, or that a button's
/// press was seen, which costs no request of its own.
pub(crate) async fn receive(mut request: Request<'_>) -> Result<Response, Refusal> {
    let link = request.link;
    let secret = request.headers.get(telegram::SECRET_HEADER).and_then(|value| value.to_str().ok());
    let expected = link.webhook_secret_sha256.as_deref().unwrap_or_default();
    if !telegram::verify_secret(secret, expected) {
        return Err(Refusal::Unsigned(
            "The header X-Telegram-Bot-Api-Secret-Token is missing or is not this link's secret. To register the \
             webhook again, remove the link and add it again.",
        ));
    }
    let body = request.body()?;
    let update = telegram::parse_update(&body, link.handle.as_deref(), request.environment.clock.now());
    let received = match update.map_err(|error| Refusal::BadBody(error.to_string()))? {
        Update::Message(received) => *received,
        Update::Ignored(reason) => {
            request.ignore(reason);
            return Ok(Json(json!({})).into_response());
        }
    };
    let reply = telegram::webhook_reply(&received.channel_message_id, &received.address);
    let is_press = telegram::callback_of(&received.channel_message_id).is_some();
    let answer = match request.admit(received).await? {
        Outcome::Queued => reply,
        // Until its press is answered, a button shows that it waits.
        Outcome::Answered(_) | Outcome::Dropped(_) if is_press => reply,
        Outcome::Answered(_) | Outcome::Dropped(_) => json!({}),
    };
    Ok(Json(answer).into_response())
}
