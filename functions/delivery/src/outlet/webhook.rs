//! The systems that talk to bots: replies are posted to them, signed, and named so that they can tell a repetition.

use channels::SendError;
use channels::webhook::{MAX_TEXT, Reply, ReplyButton, post};
use domain::{Address, LinkSettings};
use egress::Way;
use futures::future::BoxFuture;
use runtime::{Clock, Environment};

use super::{Body, Chunk, Login, Outlet, Part};

/// Posts to the addresses that links' owners enter.
pub(crate) struct Webhook {
    way: Way,
    clock: Clock,
}

impl Webhook {
    pub(crate) fn new(environment: &Environment) -> Webhook {
        Webhook { way: Way::new(&environment.settings.fetch_allow), clock: environment.clock.clone() }
    }
}

impl Outlet for Webhook {
    fn chunks(&self, markdown: &str) -> Vec<Chunk> {
        let characters: Vec<char> = markdown.chars().collect();
        let chunk = |part: &[char]| {
            let text: String = part.iter().collect();
            Chunk { plain: text.clone(), markup: text }
        };
        characters.chunks(MAX_TEXT).map(chunk).collect()
    }

    fn send<'a>(
        &'a self,
        login: Login<'a>,
        to: &'a Address,
        part: &'a Part<'a>,
    ) -> BoxFuture<'a, Result<String, SendError>> {
        Box::pin(async move {
            let LinkSettings::Webhook(settings) = &login.link.settings else { return Err(login.wrong_settings()) };
            // Whoever gave no address reads the session's log.
            let Some(url) = &settings.reply_url else { return Ok(part.key.to_owned()) };
            let (guard, client) = self.way.get().map_err(|error| SendError::Temporary(error.to_owned()))?;
            let parsed = url.parse().map_err(|_| SendError::Rejected("reply_url is not a URL".to_owned()))?;
            guard.check_url(&parsed).map_err(|refused| SendError::Rejected(refused.to_string()))?;
            let text = match &part.body {
                Body::Text(chunk) => chunk.markup.clone(),
                Body::File(media, _) => {
                    format!("[A file: {}, {}]", media.name.as_deref().unwrap_or("without a name"), media.mime)
                }
            };
            let buttons = part.buttons.iter();
            let buttons =
                buttons.map(|button| ReplyButton { label: &button.label, command: &button.command }).collect();
            let reply = Reply { session: &to.chat, text: &text, buttons };
            post(client, url, login.secret, part.key, &reply, self.clock.now()).await?;
            Ok(part.key.to_owned())
        })
    }
}
