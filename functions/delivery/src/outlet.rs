//! Where replies leave: a channel's API, and what delivery asks of each.

use bytes::Bytes;
use channels::SendError;
use domain::{Address, Button, Link, Media};
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;

mod discord;
mod matrix;
mod slack;
mod telegram;
mod webhook;
mod whatsapp;

pub(crate) use discord::Discord;
pub(crate) use matrix::Matrix;
pub(crate) use slack::Slack;
pub(crate) use telegram::Telegram;
pub(crate) use webhook::Webhook;
pub(crate) use whatsapp::WhatsApp;

/// A piece of a reply's text that fits one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// In the channel's own markup.
    pub markup: String,
    /// The same without any, for where the markup is refused.
    pub plain: String,
}

/// One message that a reply becomes.
pub struct Part<'a> {
    pub body: Body<'a>,
    /// Below the text, where the channel has them.
    pub buttons: &'a [Button],
    /// The channel's id of the message whose place it takes, if that is still there.
    pub replaces: Option<&'a str>,
    /// The same however often the part is sent: a channel that has idempotency keys sends it once.
    pub key: &'a str,
}

/// What a part consists of.
pub enum Body<'a> {
    Text(&'a Chunk),
    File(&'a Media, Bytes),
}

/// The bot that a reply leaves as.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    pub link: &'a Link,
    /// The link's credentials, opened: Telegram's token as it is, of other channels a JSON object.
    pub secret: &'a str,
}

impl Login<'_> {
    /// The credentials as a channel's module describes them.
    ///
    /// # Errors
    ///
    /// [`SendError::Unauthorised`]: they are in no form that this version reads.
    pub fn credentials<T: DeserializeOwned>(&self) -> Result<T, SendError> {
        serde_json::from_str(self.secret)
            .map_err(|_| SendError::Unauthorised("the stored credentials are not this channel's".to_owned()))
    }

    /// What is wrong with a link whose settings are another channel's.
    fn wrong_settings(&self) -> SendError {
        SendError::Unauthorised(format!("the settings of the link are not {}'s", self.link.channel.label()))
    }
}

/// A channel as delivery sees it.
pub trait Outlet: Send + Sync {
    /// The messages that a text becomes: several if it is over the channel's limit, at least one.
    fn chunks(&self, markdown: &str) -> Vec<Chunk>;

    /// The longest text that buttons stand below, in characters. Below a longer one they get a message of their own.
    fn most_above_buttons(&self) -> usize {
        usize::MAX
    }

    /// Whether files can be sent. Where they cannot, the text says what there is.
    fn carries_files(&self) -> bool {
        true
    }

    /// How many of the first files leave together, as an album. Fewer than two: each leaves alone.
    fn album(&self, _files: &[Media]) -> usize {
        0
    }

    /// Sends an album of as many files as [`album`](Self::album) says, and returns the channel's id of each.
    ///
    /// # Errors
    ///
    /// [`SendError::Rejected`]: they cannot leave together; each can be sent alone.
    fn send_album<'a>(
        &'a self,
        _login: Login<'a>,
        _to: &'a Address,
        _files: &'a [(&'a Media, Bytes)],
    ) -> BoxFuture<'a, Result<Vec<String>, SendError>> {
        Box::pin(async { Err(SendError::Rejected("the channel has no albums".to_owned())) })
    }

    /// Sends one part and returns the channel's id of the message.
    fn send<'a>(
        &'a self,
        login: Login<'a>,
        to: &'a Address,
        part: &'a Part<'a>,
    ) -> BoxFuture<'a, Result<String, SendError>>;
}

/// The parts of a text in a dialect that is no more than text, of which there is at least one.
fn chunks_of(rendered: Vec<String>, markdown: &str, limit: usize) -> Vec<Chunk> {
    let chunk = |text: String| Chunk { plain: text.clone(), markup: text };
    if rendered.is_empty() {
        // Markdown that shows nothing, such as a lone link definition, is sent as it was written.
        return vec![chunk(markdown.chars().take(limit / 2).collect())];
    }
    rendered.into_iter().map(chunk).collect()
}
