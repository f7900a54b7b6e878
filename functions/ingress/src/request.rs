//! A webhook's request, as far as the channels' handlers share it.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use channels::Received;
use channels::signature::BadSignature;
use domain::{Bot, Channel, Link};
use intake::Outcome;
use runtime::Environment;
use store::{SecretContext, StoreError};

use crate::{MAX_BODY, MAX_BODY_OF_META, Refusal};

/// One request for a link that there is. Nothing of it is trusted yet.
pub(crate) struct Request<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) bot: &'a Bot,
    pub(crate) link: &'a Link,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: &'a HashMap<String, String>,
    pub(crate) body: Result<Bytes, BytesRejection>,
}

impl Request<'_> {
    /// A header's text; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body, if it is not too long.
    pub(crate) fn body(&mut self) -> Result<Bytes, Refusal> {
        let limit = if self.link.channel == Channel::WhatsApp { MAX_BODY_OF_META } else { MAX_BODY };
        let read = std::mem::replace(&mut self.body, Ok(Bytes::new()));
        let body = read.map_err(|rejection| match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge(limit),
            _ => Refusal::Failed("the body could not be read".to_owned()),
        })?;
        if body.len() > limit { Err(Refusal::TooLarge(limit)) } else { Ok(body) }
    }

    /// The secret that signs the link's webhooks.
    pub(crate) async fn signing_secret(&self) -> Result<String, Refusal> {
        let link = self.link;
        let Some(sealed) = &link.webhook_secret else {
            return Err(Refusal::Unsigned(
                "The link has no signing secret: give it one, and the channel can post here.",
            ));
        };
        let context = SecretContext::Webhook { account: link.account, bot: link.bot, link: link.id };
        match self.environment.store.keyring().open(context, sealed).await {
            Ok(secret) => Ok(secret),
            Err(StoreError::Corrupt(detail)) => {
                tracing::error!(link = %link.id, "Webhooks cannot be checked: {detail}");
                Err(Refusal::Unsigned("The link's signing secret cannot be read: give it anew."))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets a message in, and logs if it starts no turn.
    pub(crate) async fn admit(&self, received: Received) -> Result<Outcome, Refusal> {
        let outcome = intake::admit(self.environment, self.bot, self.link, received).await?;
        if let Outcome::Answered(reason) | Outcome::Dropped(reason) = outcome {
            tracing::info!(link = %self.link.id, "A message starts no turn: {reason}");
        }
        Ok(outcome)
    }

    /// Notes that something signed is not answered.
    pub(crate) fn ignore(&self, reason: &str) {
        tracing::debug!(link = %self.link.id, "An event is ignored: {reason}");
    }
}

impl From<BadSignature> for Refusal {
    fn from(error: BadSignature) -> Refusal {
        Refusal::Signature(error)
    }
}
