//! Telegram, which has no idempotency keys.

use bytes::Bytes;
use channels::SendError;
use channels::telegram::{self, Client, MAX_TEXT, render};
use domain::{Address, Button, Media};
use futures::future::BoxFuture;

use super::{Body, Chunk, Login, Outlet, Part};

/// Telegram, which has no idempotency keys.
pub(crate) struct Telegram(pub(crate) Client);

impl Telegram {
    async fn send_text(
        &self,
        token: &str,
        to: &Address,
        chunk: &Chunk,
        buttons: &[Button],
    ) -> Result<String, SendError> {
        let id = match self.0.send_message(token, to, &chunk.markup, buttons).await {
            Err(SendError::Rejected(detail)) => {
                tracing::warn!("Telegram refuses the markup of a reply, which is sent without it: {detail}");
                self.0.send_message_plain(token, to, &chunk.plain, buttons).await?
            }
            sent => sent?,
        };
        Ok(id.to_string())
    }

    /// Puts a text in the place of a draft; `false` if the draft is gone.
    async fn replace(
        &self,
        token: &str,
        to: &Address,
        draft: &str,
        chunk: &Chunk,
        buttons: &[Button],
    ) -> Result<bool, SendError> {
        let edited = match self.0.edit_message(token, to, draft, &chunk.markup, buttons).await {
            Err(SendError::Rejected(_)) => self.0.edit_message_plain(token, to, draft, &chunk.plain, buttons).await,
            edited => edited,
        };
        match edited {
            Ok(()) => Ok(true),
            Err(SendError::Rejected(detail)) => {
                tracing::info!("A draft cannot become its reply, which is sent anew: {detail}");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl Outlet for Telegram {
    fn chunks(&self, markdown: &str) -> Vec<Chunk> {
        let parts = render(markdown);
        if !parts.is_empty() {
            return parts.into_iter().map(|part| Chunk { markup: part.html, plain: part.plain }).collect();
        }
        // Markdown that shows nothing, such as a lone link definition, is sent as it was written.
        let plain: String = markdown.chars().take(MAX_TEXT / 2).collect();
        vec![Chunk { markup: plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"), plain }]
    }

    fn album(&self, files: &[Media]) -> usize {
        telegram::album(files)
    }

    fn send_album<'a>(
        &'a self,
        login: Login<'a>,
        to: &'a Address,
        files: &'a [(&'a Media, Bytes)],
    ) -> BoxFuture<'a, Result<Vec<String>, SendError>> {
        Box::pin(async move {
            let sent = self.0.send_album(login.secret, to, files).await?;
            Ok(sent.into_iter().map(|id| id.to_string()).collect())
        })
    }

    fn send<'a>(
        &'a self,
        login: Login<'a>,
        to: &'a Address,
        part: &'a Part<'a>,
    ) -> BoxFuture<'a, Result<String, SendError>> {
        Box::pin(async move {
            let token = login.secret;
            match (&part.body, part.replaces) {
                (Body::Text(chunk), Some(draft)) => {
                    if self.replace(token, to, draft, chunk, part.buttons).await? {
                        return Ok(draft.to_owned());
                    }
                    self.send_text(token, to, chunk, part.buttons).await
                }
                (Body::Text(chunk), None) => self.send_text(token, to, chunk, part.buttons).await,
                (Body::File(media, bytes), draft) => {
                    let id = self.0.send_file(token, to, media, bytes.clone()).await?;
                    if let Some(draft) = draft
                        && let Err(error) = self.0.delete_message(token, to, draft).await
                    {
                        tracing::info!("A draft that a file takes the place of stays: {error}");
                    }
                    Ok(id.to_string())
                }
            }
        })
    }
}
