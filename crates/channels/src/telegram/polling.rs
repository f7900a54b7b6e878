//! The long poll: for bots without an address that Telegram could call.
//!
//! Telegram keeps updates for 24 hours and gives them out until an offset beyond them is asked for. So the offset moves
//! only after a batch was accepted, and a connection that is cut gets the same again, under the same ids.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{ALLOWED_UPDATES, CallError, Client, bot_id};
use super::update::{Update, parse_update};
use crate::SendError;
use crate::held::{self, Ended, Hold};

/// How long Telegram waits for something to happen: <https://core.telegram.org/bots/api#getupdates>
const POLL: Duration = Duration::from_secs(50);

/// How much later than that its answer may come.
const GRACE: Duration = Duration::from_secs(15);

/// How long another poller is borne. A holder that has just handed over may still be waiting for its last answer.
const OVERLAP: Duration = Duration::from_secs(90);

/// How long to wait before asking again while there is another poller.
const CONFLICT_PAUSE: Duration = Duration::from_secs(5);

/// Polls from `cursor` on until `stop`, or until it cannot go on. `handle` is the bot's user name without `@`.
///
/// A bot that is polled has no webhook: one that is found is removed, once, since the link's settings ask for polling. Another
/// program that polls with the same token, or sets the webhook again, ends it as [`Ended::Misconfigured`].
pub async fn run(
    client: &Client,
    token: &str,
    handle: Option<&str>,
    cursor: Option<Value>,
    hold: &dyn Hold,
    stop: CancellationToken,
) -> Ended {
    let bot = bot_id(token).unwrap_or_default();
    // Another bot's offset would confirm updates of this one that nobody has seen.
    let offset = cursor.filter(|cursor| cursor["bot"] == bot).and_then(|cursor| cursor["offset"].as_i64());
    let client = client.clone().with_timeout(POLL + GRACE);
    let mut poll =
        Poll { client, token, bot, handle, hold, offset, is_connected: false, removed_webhook: false, conflict: None };
    loop {
        let got = tokio::select! {
            () = stop.cancelled() => return Ended::Stopped,
            got = poll.get() => got,
        };
        let updates = match got {
            Ok(updates) => updates,
            Err(ended) => return ended,
        };
        match held::finish(poll.take(updates), &stop).await {
            Some(Ok(())) => {}
            Some(Err(ended)) => return ended,
            None => return Ended::Stopped,
        }
    }
}

struct Poll<'a> {
    client: Client,
    token: &'a str,
    /// Whose offset it is.
    bot: &'a str,
    handle: Option<&'a str>,
    hold: &'a dyn Hold,
    /// The first update that was not accepted.
    offset: Option<i64>,
    is_connected: bool,
    removed_webhook: bool,
    /// Since when there has been another poller.
    conflict: Option<Instant>,
}

impl Poll<'_> {
    /// Waits for updates.
    async fn get(&mut self) -> Result<Vec<Value>, Ended> {
        loop {
            // The first answer of a connection tells that it works, so it is not waited for.
            let wait = if self.is_connected { POLL.as_secs() } else { 0 };
            let mut params = json!({ "timeout": wait, "limit": 100, "allowed_updates": ALLOWED_UPDATES });
            if let Some(offset) = self.offset {
                params["offset"] = offset.into();
            }
            match self.client.call(self.token, "getUpdates", &params).await {
                Ok(updates) => {
                    self.conflict = None;
                    if !std::mem::replace(&mut self.is_connected, true) {
                        self.hold.connected();
                    }
                    return Ok(updates);
                }
                Err(CallError::Conflict(detail)) => self.on_conflict(detail).await?,
                Err(error) => match SendError::from(error) {
                    SendError::RateLimited { retry_after } => self.hold.pause(retry_after).await,
                    error => return Err(ended(error)),
                },
            }
        }
    }

    async fn on_conflict(&mut self, detail: String) -> Result<(), Ended> {
        if detail.contains("webhook") {
            if std::mem::replace(&mut self.removed_webhook, true) {
                return Err(Ended::Misconfigured(
                    "another program has set a webhook for this bot again: end it, or give this link a token of its own"
                        .to_owned(),
                ));
            }
            return self.client.delete_webhook(self.token).await.map_err(ended);
        }
        let since = *self.conflict.get_or_insert_with(Instant::now);
        if since.elapsed() >= OVERLAP {
            return Err(Ended::Misconfigured(format!(
                "another program reads this bot's messages with the same token ({detail}): end it, or give this link a token \
                 of its own"
            )));
        }
        self.hold.pause(CONFLICT_PAUSE).await;
        Ok(())
    }

    /// Hands a batch over, and only then moves the offset beyond it.
    async fn take(&mut self, updates: Vec<Value>) -> Result<(), Ended> {
        let mut received = Vec::new();
        let mut next = self.offset;
        for update in &updates {
            if let Some(id) = update["update_id"].as_i64() {
                next = next.max(Some(id + 1));
            }
            match parse_update(update.to_string().as_bytes(), self.handle, self.hold.now()) {
                Ok(Update::Message(message)) => received.push(*message),
                Ok(Update::Ignored(reason)) => tracing::debug!(bot = self.bot, "An update is ignored: {reason}"),
                // It is passed over: it would be no other the next time.
                Err(error) => {
                    let update = update["update_id"].as_i64();
                    tracing::warn!(bot = self.bot, update, "Telegram gave out what cannot be read: {error}");
                }
            }
        }
        if !received.is_empty() {
            self.hold.accept(received).await?;
        }
        if next != self.offset {
            self.offset = next;
            self.hold.progress(json!({ "bot": self.bot, "offset": next }));
        }
        Ok(())
    }
}

fn ended(error: SendError) -> Ended {
    match error {
        SendError::Unauthorised(detail) => Ended::Unauthorised(detail),
        error => Ended::Lost(error.to_string()),
    }
}
