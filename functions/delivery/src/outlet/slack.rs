//! Slack, which has no idempotency keys.

use channels::SendError;
use channels::slack::{Client, Credentials, MAX_TEXT, render};
use domain::Address;
use futures::future::BoxFuture;

use super::{Body, Chunk, Login, Outlet, Part, chunks_of};

/// Slack, which has no idempotency keys.
pub(crate) struct Slack(pub(crate) Client);

impl Outlet for Slack {
    fn chunks(&self, markdown: &str) -> Vec<Chunk> {
        chunks_of(render(markdown), markdown, MAX_TEXT)
    }

    fn send<'a>(
        &'a self,
        login: Login<'a>,
        to: &'a Address,
        part: &'a Part<'a>,
    ) -> BoxFuture<'a, Result<String, SendError>> {
        Box::pin(async move {
            let Credentials { bot_token, .. } = login.credentials()?;
            let chunk = match &part.body {
                Body::Text(chunk) => chunk,
                Body::File(media, bytes) => {
                    let id = self.0.send_file(&bot_token, to, media, bytes.clone()).await?;
                    if let Some(draft) = part.replaces
                        && let Err(error) = self.0.delete_message(&bot_token, to, draft).await
                    {
                        tracing::info!("A draft that a file takes the place of stays: {error}");
                    }
                    return Ok(id);
                }
            };
            if let Some(draft) = part.replaces {
                match self.0.update_message(&bot_token, to, draft, &chunk.markup, part.buttons).await {
                    Ok(()) => return Ok(draft.to_owned()),
                    Err(SendError::Rejected(detail)) => {
                        tracing::info!("A draft cannot become its reply, which is sent anew: {detail}");
                    }
                    Err(error) => return Err(error),
                }
            }
            self.0.post_message(&bot_token, to, &chunk.markup, part.buttons).await
        })
    }
}
