//! Interactions: slash commands and pressed buttons, which Discord posts to an application's address.
//!
//! <https://discord.com/developers/docs/interactions/receiving-and-responding>

use domain::{Address, ChatKind, Sender, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Received;

/// Where Discord's signature of a request stands, in hex.
pub const SIGNATURE_HEADER: &str = "x-signature-ed25519";
/// The time that the signature covers, in seconds.
pub const TIMESTAMP_HEADER: &str = "x-signature-timestamp";

/// What `reply_to` of an interaction's address begins with: its token follows.
const TOKEN: &str = "interaction:";

/// What an interaction brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interaction {
    /// Discord tries the address out.
    Ping,
    /// A slash command, which waits to be answered by its token: see [`interaction_of`].
    Command(Box<Received>),
    /// A button below a message of the bot's.
    Press(Box<Received>),
    /// Nothing to do, for this reason.
    Ignored(&'static str),
}

/// A body that is no interaction. It repeats nothing of the content: people wrote that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a Discord interaction")]
pub struct BadInteraction;

const PING: u8 = 1;
const COMMAND: u8 = 2;
const COMPONENT: u8 = 3;

#[derive(Deserialize)]
struct Outer {
    #[serde(rename = "type")]
    kind: u8,
    id: String,
    token: Option<String>,
    application_id: Option<String>,
    channel_id: Option<String>,
    guild_id: Option<String>,
    /// Set in guilds.
    member: Option<Member>,
    /// Set in direct chats.
    user: Option<User>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Member {
    user: User,
    nick: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    username: String,
    global_name: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    name: Option<String>,
    custom_id: Option<String>,
    #[serde(default)]
    options: Vec<CommandOption>,
}

#[derive(Deserialize)]
struct CommandOption {
    value: Option<Value>,
}

/// The token of the interaction that an address leads to.
pub fn interaction_of(address: &Address) -> Option<&str> {
    address.reply_to.as_deref()?.strip_prefix(TOKEN)
}

/// Reads an interaction that was posted at the moment `now`. `application` is whose it must be.
pub fn parse_interaction(body: &[u8], application: &str, now: Timestamp) -> Result<Interaction, BadInteraction> {
    let outer: Outer = serde_json::from_slice(body).map_err(|_| BadInteraction)?;
    if outer.kind == PING {
        return Ok(Interaction::Ping);
    }
    if outer.application_id.as_deref().is_some_and(|id| id != application) {
        return Ok(Interaction::Ignored("it is another application's"));
    }
    outer.read(now)
}

/// Reads an interaction that came over the bot's own connection, and the path at which it is answered within three seconds.
pub(super) fn read_interaction(data: &str) -> Result<(Interaction, Option<String>), BadInteraction> {
    let outer: Outer = serde_json::from_str(data).map_err(|_| BadInteraction)?;
    let is_id = !outer.id.is_empty() && outer.id.bytes().all(|byte| byte.is_ascii_digit());
    let token = outer.token.as_deref().filter(|token| is_id && is_token(token));
    let callback = token.map(|token| format!("/interactions/{}/{token}/callback", outer.id));
    let sent_at = super::event::sent_at(&outer.id);
    Ok((outer.read(sent_at)?, callback))
}

impl Outer {
    fn read(self, now: Timestamp) -> Result<Interaction, BadInteraction> {
        let outer = self;
        let Some(data) = outer.data else {
            return Ok(Interaction::Ignored("an interaction without data is not answered"));
        };
        let text = match outer.kind {
            COMMAND => command_text(&data),
            // A press says only what a person could have typed.
            COMPONENT => data.custom_id.filter(|command| command.starts_with('/')),
            _ => return Ok(Interaction::Ignored("this kind of interaction is not answered")),
        };
        let Some(text) = text else { return Ok(Interaction::Ignored("it holds no command")) };
        let (nick, user) = match (outer.member, outer.user) {
            (Some(member), _) => (member.nick, member.user),
            (None, Some(user)) => (None, user),
            (None, None) => return Err(BadInteraction),
        };
        let chat = outer.channel_id.ok_or(BadInteraction)?;
        let kind = if outer.guild_id.is_some() { ChatKind::Room } else { ChatKind::Direct };
        let is_command = outer.kind == COMMAND;
        let token = outer.token.filter(|token| is_command && is_token(token));
        let received = Box::new(Received {
            channel_message_id: format!("interaction:{}", outer.id),
            address: Address { kind, chat, thread: None, reply_to: token.map(|token| format!("{TOKEN}{token}")) },
            sender: Sender {
                name: nick.or(user.global_name).or_else(|| Some(user.username.clone())),
                username: Some(user.username),
                id: user.id,
            },
            text,
            attachments: vec![],
            quote: None,
            album: None,
            mentioned: true,
            sent_at: now,
        });
        Ok(if is_command { Interaction::Command(received) } else { Interaction::Press(received) })
    }
}

/// A token becomes part of a path.
fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'='))
}

/// The command as a person would type it.
fn command_text(data: &Data) -> Option<String> {
    let mut text = format!("/{}", data.name.as_ref()?);
    for option in &data.options {
        if let Some(value) = &option.value {
            text.push(' ');
            text.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    Some(text)
}

/// The answer to a request that only tried the address out.
pub fn pong() -> Value {
    json!({ "type": 1 })
}

/// The answer to a command whose answer follows: "… is thinking".
pub fn deferred() -> Value {
    json!({ "type": 5 })
}

/// The answer to a pressed button that changes nothing by itself.
pub fn seen() -> Value {
    json!({ "type": 6 })
}

/// An answer that only the person who asked sees, and that is all.
pub fn told(text: &str) -> Value {
    let text: String = text.chars().take(super::MAX_TEXT).collect();
    json!({ "type": 4, "data": { "content": text, "flags": 64, "allowed_mentions": { "parse": [] } } })
}
