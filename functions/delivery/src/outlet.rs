//! Where replies leave: a channel's API, and what delivery asks of each.

use channels::SendError;
use channels::telegram::{Chunk, Client, MAX_TEXT, render};
use domain::Address;
use futures::future::BoxFuture;

/// A channel as delivery sees it.
pub trait Outlet: Send + Sync {
    /// The messages that a reply becomes: several if it is over the channel's limit, at least one.
    fn parts(&self, markdown: &str) -> Vec<Chunk>;

    /// Sends one part and returns the channel's id of the message. `key` is the same however often the part is sent:
    /// a channel that has idempotency keys sends it once.
    fn send<'a>(
        &'a self,
        token: &'a str,
        to: &'a Address,
        part: &'a Chunk,
        key: &'a str,
    ) -> BoxFuture<'a, Result<String, SendError>>;
}

/// Telegram, which has no idempotency keys.
pub(crate) struct Telegram(pub(crate) Client);

impl Outlet for Telegram {
    fn parts(&self, markdown: &str) -> Vec<Chunk> {
        let parts = render(markdown);
        if !parts.is_empty() {
            return parts;
        }
        // Markdown that shows nothing, such as a lone link definition, is sent as it was written.
        let plain: String = markdown.chars().take(MAX_TEXT / 2).collect();
        vec![Chunk { html: plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"), plain }]
    }

    fn send<'a>(
        &'a self,
        token: &'a str,
        to: &'a Address,
        part: &'a Chunk,
        _key: &'a str,
    ) -> BoxFuture<'a, Result<String, SendError>> {
        Box::pin(async move {
            let id = match self.0.send_message(token, to, &part.html).await {
                Err(SendError::Rejected(detail)) => {
                    tracing::warn!("Telegram refuses the markup of a reply, which is sent without it: {detail}");
                    self.0.send_message_plain(token, to, &part.plain).await?
                }
                sent => sent?,
            };
            Ok(id.to_string())
        })
    }
}
