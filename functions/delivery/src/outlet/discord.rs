//! Discord, where a nonce names each message.

use channels::SendError;
use channels::discord::{Client, Credentials, MAX_TEXT, interaction_of, render};
use domain::{Address, LinkSettings};
use futures::future::BoxFuture;

use super::{Body, Chunk, Login, Outlet, Part, chunks_of};

/// Discord, where a nonce names each message.
pub(crate) struct Discord(pub(crate) Client);

impl Discord {
    /// Puts the answer to a slash command where Discord shows that it is thought about; `None` if it is too late for that.
    async fn answer(&self, login: Login<'_>, token: &str, part: &Part<'_>) -> Result<Option<String>, SendError> {
        let LinkSettings::Discord(settings) = &login.link.settings else { return Err(login.wrong_settings()) };
        let Body::Text(chunk) = &part.body else { return Ok(None) };
        let sent = self.0.answer_interaction(&settings.application_id, token, &chunk.markup, part.buttons).await;
        match sent {
            Ok(id) => Ok(Some(id)),
            Err(SendError::Rejected(detail)) => {
                tracing::info!("A slash command is answered in the chat: {detail}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Outlet for Discord {
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
            let mut to = to.clone();
            if let Some(token) = interaction_of(&to) {
                if let Some(id) = self.answer(login, token, part).await? {
                    return Ok(id);
                }
                to.reply_to = None;
            }
            let Credentials { bot_token } = login.credentials()?;
            let chunk = match &part.body {
                Body::Text(chunk) => chunk,
                Body::File(media, bytes) => {
                    let id = self.0.send_file(&bot_token, &to, media, bytes.clone(), part.key).await?;
                    if let Some(draft) = part.replaces
                        && let Err(error) = self.0.delete_message(&bot_token, &to, draft).await
                    {
                        tracing::info!("A draft that a file takes the place of stays: {error}");
                    }
                    return Ok(id);
                }
            };
            if let Some(draft) = part.replaces {
                match self.0.edit_message(&bot_token, &to, draft, &chunk.markup, part.buttons).await {
                    Ok(()) => return Ok(draft.to_owned()),
                    Err(SendError::Rejected(detail)) => {
                        tracing::info!("A draft cannot become its reply, which is sent anew: {detail}");
                    }
                    Err(error) => return Err(error),
                }
            }
            self.0.create_message(&bot_token, &to, &chunk.markup, part.buttons, part.key).await
        })
    }
}
