//! `WhatsApp`, which has no idempotency keys, and no way to change a message.

use channels::SendError;
use channels::whatsapp::{Client, Credentials, MAX_ABOVE_BUTTONS, MAX_TEXT, Number, render};
use domain::{Address, LinkSettings};
use futures::future::BoxFuture;

use super::{Body, Chunk, Login, Outlet, Part, chunks_of};

/// `WhatsApp`, which has no idempotency keys, and no way to change a message.
pub(crate) struct WhatsApp(pub(crate) Client);

impl Outlet for WhatsApp {
    fn chunks(&self, markdown: &str) -> Vec<Chunk> {
        chunks_of(render(markdown), markdown, MAX_TEXT)
    }

    fn most_above_buttons(&self) -> usize {
        MAX_ABOVE_BUTTONS
    }

    fn send<'a>(
        &'a self,
        login: Login<'a>,
        to: &'a Address,
        part: &'a Part<'a>,
    ) -> BoxFuture<'a, Result<String, SendError>> {
        Box::pin(async move {
            let LinkSettings::WhatsApp(settings) = &login.link.settings else { return Err(login.wrong_settings()) };
            let credentials: Credentials = login.credentials()?;
            let number = Number { id: &settings.phone_number_id, token: &credentials.access_token };
            match &part.body {
                Body::Text(chunk) => self.0.send_text(number, to, &chunk.markup, part.buttons).await,
                Body::File(media, bytes) => self.0.send_file(number, to, media, bytes.clone()).await,
            }
        })
    }
}
