//! Matrix, where a transaction id names each message. The bot's homeserver is in its link's settings.

use channels::SendError;
use channels::matrix::{self, Client, Credentials, MAX_HTML, render};
use domain::{Address, LinkSettings};
use egress::Way;
use futures::future::BoxFuture;
use runtime::Environment;

use super::{Body, Chunk, Login, Outlet, Part, chunks_of};
use crate::CALL_TIMEOUT;

/// Calls homeservers, whose addresses links' owners enter.
pub(crate) struct Matrix(Way);

impl Matrix {
    pub(crate) fn new(environment: &Environment) -> Matrix {
        Matrix(Way::new(&environment.settings.fetch_allow))
    }

    fn client(&self, login: Login<'_>) -> Result<Client, SendError> {
        let LinkSettings::Matrix(settings) = &login.link.settings else { return Err(login.wrong_settings()) };
        let Credentials { access_token } = login.credentials()?;
        let (guard, http) = self.0.get().map_err(|error| SendError::Temporary(error.to_owned()))?;
        // Only the owner can repair an address, as with a token.
        let client = Client::new(http.clone(), &settings.homeserver, &access_token)
            .map_err(|error| SendError::Unauthorised(error.to_string()))?;
        guard.check_url(client.homeserver()).map_err(|refused| SendError::Unauthorised(refused.to_string()))?;
        Ok(client.with_timeout(CALL_TIMEOUT))
    }
}

impl Outlet for Matrix {
    fn chunks(&self, markdown: &str) -> Vec<Chunk> {
        let rendered = render(markdown);
        if rendered.is_empty() {
            // Markdown that shows nothing, such as a lone link definition, is sent as it was written.
            let mut chunks = chunks_of(vec![], markdown, MAX_HTML);
            for chunk in &mut chunks {
                chunk.markup = matrix::escape(&chunk.plain);
            }
            return chunks;
        }
        rendered.into_iter().map(|chunk| Chunk { markup: chunk.html, plain: chunk.plain }).collect()
    }

    fn send<'a>(
        &'a self,
        login: Login<'a>,
        to: &'a Address,
        part: &'a Part<'a>,
    ) -> BoxFuture<'a, Result<String, SendError>> {
        Box::pin(async move {
            let client = self.client(login)?;
            let chunk = match &part.body {
                Body::Text(chunk) => matrix::Chunk { html: chunk.markup.clone(), plain: chunk.plain.clone() },
                Body::File(media, bytes) => {
                    let id = client.send_file(to, media, bytes.clone(), part.key).await?;
                    if let Some(draft) = part.replaces
                        && let Err(error) = client.redact(to, draft, &format!("{}.redact", part.key)).await
                    {
                        tracing::info!("A draft that a file takes the place of stays: {error}");
                    }
                    return Ok(id);
                }
            };
            if let Some(draft) = part.replaces {
                match client.edit_text(to, draft, &chunk, part.key).await {
                    Ok(_) => return Ok(draft.to_owned()),
                    Err(SendError::Rejected(detail)) => {
                        tracing::info!("A draft cannot become its reply, which is sent anew: {detail}");
                    }
                    Err(error) => return Err(error),
                }
            }
            client.send_text(to, &chunk, part.key).await
        })
    }
}
