//! Telegram's webhooks.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use channels::telegram::{self, Update};
use domain::{Bot, Link};
use intake::{Outcome, admit};
use runtime::Environment;
use serde_json::{Value, json};

use crate::Refusal;

/// Takes one update. The answer's body may carry one method call: the typing action, or that a button's
/// press was seen, which costs no request of its own.
pub(crate) async fn receive(
    environment: &Environment,
    bot: &Bot,
    link: &Link,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Value, Refusal> {
    let secret = headers.get(telegram::SECRET_HEADER).and_then(|value| value.to_str().ok());
    let expected = link.webhook_secret_sha256.as_deref().unwrap_or_default();
    if !telegram::verify_secret(secret, expected) {
        return Err(Refusal::BadSignature(
            "The header X-Telegram-Bot-Api-Secret-Token is missing or is not this link's secret. To register the \
             webhook again, remove the link and add it again.",
        ));
    }
    let body = body.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _ => Refusal::Failed("the body could not be read".to_owned()),
    })?;
    let update = telegram::parse_update(&body, link.handle.as_deref(), environment.clock.now());
    let received = match update.map_err(|error| Refusal::BadBody(error.to_string()))? {
        Update::Message(received) => *received,
        Update::Ignored(reason) => {
            tracing::debug!(link = %link.id, "An update is ignored: {reason}");
            return Ok(json!({}));
        }
    };
    let reply = telegram::webhook_reply(&received.channel_message_id, &received.address);
    let is_press = telegram::callback_of(&received.channel_message_id).is_some();
    match admit(environment, bot, link, received).await? {
        Outcome::Queued => Ok(reply),
        Outcome::Done(reason) => {
            tracing::info!(link = %link.id, "A message starts no turn: {reason}");
            // Until its press is answered, a button shows that it waits.
            Ok(if is_press { reply } else { json!({}) })
        }
    }
}
