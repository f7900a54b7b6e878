//! What a turn does in chats while it runs: the text so far, "typing…", and the files that came with a message.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use channels::discord::interaction_of;
use channels::{DownloadError, SendError, discord, matrix, slack, telegram, whatsapp};
use domain::{Address, Channel, Link, LinkSettings};
use egress::Way;
use runtime::Environment;
use serde::de::DeserializeOwned;

/// How long a call may take where nothing else is said.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long Matrix shows "typing…" of itself: until it is shown again, and a little.
const TYPING_TIME: Duration = Duration::from_secs(7);

/// The longest draft on Telegram, in UTF-16 units: a little below its limit.
const MAX_DRAFT: usize = 4_000;

/// A link and its credentials, opened.
pub(crate) struct Login {
    pub(crate) link: Link,
    pub(crate) secret: String,
}

impl Login {
    fn credentials<T: DeserializeOwned>(&self) -> Result<T, SendError> {
        serde_json::from_str(&self.secret)
            .map_err(|_| SendError::Unauthorised("the stored credentials are not this channel's".to_owned()))
    }
}

/// The channels' APIs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Chats {
    telegram: telegram::Client,
    slack: slack::Client,
    discord: discord::Client,
    whatsapp: whatsapp::Client,
    /// The way to homeservers of Matrix, whose addresses links' owners enter.
    homeservers: Arc<Way>,
    timeout: Duration,
}

impl Chats {
    pub(crate) fn new(environment: &Environment) -> Chats {
        let (http, settings) = (&environment.http, &environment.settings);
        Chats {
            timeout: CALL_TIMEOUT,
            telegram: telegram::Client::new(http.clone(), &settings.telegram_api_base),
            slack: slack::Client::new(http.clone(), &settings.slack_api_base),
            discord: discord::Client::new(http.clone(), &settings.discord_api_base),
            whatsapp: whatsapp::Client::new(http.clone(), &settings.whatsapp_api_base),
            homeservers: Arc::new(Way::new(&settings.fetch_allow)),
        }
    }

    /// The same, with another limit for each call.
    pub(crate) fn with_timeout(self, timeout: Duration) -> Chats {
        Chats {
            telegram: self.telegram.with_timeout(timeout),
            slack: self.slack.with_timeout(timeout),
            discord: self.discord.with_timeout(timeout),
            whatsapp: self.whatsapp.with_timeout(timeout),
            homeservers: self.homeservers,
            timeout,
        }
    }

    /// A bot's login on its homeserver, and its name there.
    fn matrix<'l>(&self, login: &'l Login) -> Result<(matrix::Client, &'l str), SendError> {
        let LinkSettings::Matrix(settings) = &login.link.settings else {
            return Err(SendError::Unauthorised("the settings of the link are not Matrix's".to_owned()));
        };
        let matrix::Credentials { access_token } = login.credentials()?;
        let (guard, http) = self.homeservers.get().map_err(|error| SendError::Temporary(error.to_owned()))?;
        let client = matrix::Client::new(http.clone(), &settings.homeserver, &access_token)
            .map_err(|error| SendError::Rejected(error.to_string()))?;
        guard.check_url(client.homeserver()).map_err(|refused| SendError::Rejected(refused.to_string()))?;
        Ok((client.with_timeout(self.timeout), &settings.user))
    }

    /// Whether a message can be changed while its text grows.
    pub(crate) fn can_edit(channel: Channel, address: &Address) -> bool {
        let is_in_chat = channel.shows_drafts() && !channel.is_read_from_log();
        // The answer to a slash command of Discord's takes the place of "… is thinking", which is enough.
        is_in_chat && (channel != Channel::Discord || interaction_of(address).is_none())
    }

    /// Whether a chat can show that the bot is typing, for as long as a turn takes. Slack shows it in its assistant's own
    /// pane alone, WhatsApp for one message that it marks as read.
    pub(crate) fn can_type(channel: Channel, address: &Address) -> bool {
        match channel {
            Channel::Telegram | Channel::Matrix => true,
            Channel::Discord => interaction_of(address).is_none(),
            Channel::Slack | Channel::WhatsApp | Channel::Irc | Channel::Webhook | Channel::WebChat => false,
        }
    }

    /// Shows "typing…" for a few seconds.
    pub(crate) async fn type_on(&self, login: &Login, address: &Address) -> Result<(), SendError> {
        match login.link.channel {
            Channel::Telegram => self.telegram.send_typing(&login.secret, address).await,
            Channel::Discord => {
                let discord::Credentials { bot_token } = login.credentials()?;
                self.discord.typing(&bot_token, address).await
            }
            Channel::Matrix => {
                let (client, user) = self.matrix(login)?;
                client.typing(user, address, TYPING_TIME).await
            }
            _ => Ok(()),
        }
    }

    /// Shows the text so far: in `known`, a message that showed some of it before, or in a new one, whose id is returned.
    pub(crate) async fn show(
        &self,
        login: &Login,
        address: &Address,
        known: Option<&str>,
        text: &str,
        key: &str,
    ) -> Result<Option<String>, SendError> {
        match login.link.channel {
            Channel::Telegram => {
                let (token, text) = (&login.secret, beginning(text));
                if let Some(message) = known {
                    self.telegram.edit_message_plain(token, address, message, &text, &[]).await?;
                    return Ok(None);
                }
                Ok(Some(self.telegram.send_message_plain(token, address, &text, &[]).await?.to_string()))
            }
            Channel::Slack => {
                let slack::Credentials { bot_token, .. } = login.credentials()?;
                let text = first(slack::render(text));
                if let Some(message) = known {
                    self.slack.update_message(&bot_token, address, message, &text, &[]).await?;
                    return Ok(None);
                }
                self.slack.post_message(&bot_token, address, &text, &[]).await.map(Some)
            }
            Channel::Discord => {
                let discord::Credentials { bot_token } = login.credentials()?;
                let text = first(discord::render(text));
                if let Some(message) = known {
                    self.discord.edit_message(&bot_token, address, message, &text, &[]).await?;
                    return Ok(None);
                }
                self.discord.create_message(&bot_token, address, &text, &[], key).await.map(Some)
            }
            Channel::Matrix => {
                let (client, _) = self.matrix(login)?;
                let chunk = beginning_of(text);
                if let Some(message) = known {
                    // Each edit is a message of its own to the homeserver, which takes a name once.
                    let mut hasher = DefaultHasher::new();
                    text.hash(&mut hasher);
                    let edit = format!("{key}.{:016x}", hasher.finish());
                    client.edit_text(address, message, &chunk, &edit).await?;
                    return Ok(None);
                }
                client.send_text(address, &chunk, key).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Takes a message of the bot's own back.
    pub(crate) async fn take_back(&self, login: &Login, address: &Address, message: &str) -> Result<(), SendError> {
        match login.link.channel {
            Channel::Telegram => self.telegram.delete_message(&login.secret, address, message).await,
            Channel::Slack => {
                let slack::Credentials { bot_token, .. } = login.credentials()?;
                self.slack.delete_message(&bot_token, address, message).await
            }
            Channel::Discord => {
                let discord::Credentials { bot_token } = login.credentials()?;
                self.discord.delete_message(&bot_token, address, message).await
            }
            Channel::Matrix => self.matrix(login)?.0.redact(address, message, &format!("{message}.redact")).await,
            _ => Ok(()),
        }
    }

    /// Fetches a file that came with a message.
    pub(crate) async fn download(&self, login: &Login, reference: &str) -> Result<Bytes, DownloadError> {
        match login.link.channel {
            Channel::Telegram => self.telegram.download(&login.secret, reference).await,
            Channel::Slack => {
                let slack::Credentials { bot_token, .. } = login.credentials()?;
                self.slack.download(&bot_token, reference).await
            }
            Channel::Discord => self.discord.download(reference).await,
            Channel::WhatsApp => {
                let credentials: whatsapp::Credentials = login.credentials()?;
                self.whatsapp.download(&credentials.access_token, reference).await
            }
            Channel::Matrix => self.matrix(login)?.0.download(reference).await,
            Channel::Irc | Channel::Webhook | Channel::WebChat => {
                Err(SendError::Rejected(format!("{} gives out no files", login.link.channel.label())).into())
            }
        }
    }
}

/// The same on Matrix.
fn beginning_of(text: &str) -> matrix::Chunk {
    let first = matrix::render(text).into_iter().next();
    let matrix::Chunk { html, plain } = first.unwrap_or(matrix::Chunk { html: String::new(), plain: String::new() });
    matrix::Chunk { html: format!("{html}…"), plain: format!("{plain}…") }
}

/// The first of the messages that a text becomes, and a sign that it goes on.
fn first(parts: Vec<String>) -> String {
    parts.into_iter().next().map_or_else(|| "…".to_owned(), |part| format!("{part}…"))
}

/// The beginning of a text that fits a message of Telegram's, and a sign that it goes on.
fn beginning(text: &str) -> String {
    let mut units = 0;
    let fits = |c: &char| {
        units += c.len_utf16();
        units <= MAX_DRAFT
    };
    let mut text: String = text.chars().take_while(fits).collect();
    text.push('…');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_fits_a_message() {
        assert_eq!(beginning("so far"), "so far…");
        assert_eq!(beginning(&"🌊".repeat(3_000)).encode_utf16().count(), MAX_DRAFT + 1);
        let long = "🌊 word ".repeat(2_000);
        assert!(first(slack::render(&long)).chars().count() <= slack::MAX_TEXT);
        assert!(first(discord::render(&long)).chars().count() <= discord::MAX_TEXT);
        assert_eq!(first(vec![]), "…");
        assert!(beginning_of(&long).html.len() <= matrix::MAX_HTML + "…".len());
        assert_eq!(beginning_of("*so* far").html, "<em>so</em> far…");
    }
}
