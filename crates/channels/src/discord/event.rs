//! What the gateway sends: only the fields that are needed are read, and nothing else is kept.
//!
//! <https://discord.com/developers/docs/events/gateway-events>

use std::borrow::Cow;

use domain::{Address, Attachment, AttachmentKind, ChatKind, Quote, Sender, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Received;

/// How much of a quoted message is kept, in characters.
const MAX_QUOTE: usize = 500;

/// The first millisecond that Discord's ids count from: 2015.
const EPOCH_MILLIS: u64 = 1_420_070_400_000;

/// The kinds of messages that people write: a message, and a reply.
const DEFAULT: u8 = 0;
const REPLY: u8 = 19;

/// One frame. Its data stays where it is until somebody reads it.
#[derive(Debug, Deserialize)]
pub(super) struct Frame<'a> {
    pub(super) op: u8,
    #[serde(default, rename = "s")]
    pub(super) sequence: Option<u64>,
    #[serde(default, borrow, rename = "t")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(default, borrow, rename = "d")]
    pub(super) data: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Hello {
    /// In milliseconds.
    pub(super) heartbeat_interval: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ready {
    pub(super) session_id: String,
    pub(super) resume_gateway_url: String,
    pub(super) user: ReadyUser,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReadyUser {
    pub(super) id: String,
}

#[derive(Deserialize)]
struct Message {
    id: String,
    channel_id: String,
    #[serde(default)]
    guild_id: Option<String>,
    author: User,
    #[serde(default)]
    member: Option<Member>,
    #[serde(default)]
    content: String,
    #[serde(default, rename = "type")]
    kind: u8,
    #[serde(default)]
    webhook_id: Option<String>,
    #[serde(default)]
    mentions: Vec<Mention>,
    #[serde(default)]
    attachments: Vec<File>,
    #[serde(default)]
    sticker_items: Vec<StickerItem>,
    #[serde(default)]
    referenced_message: Option<Box<Referenced>>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    username: String,
    #[serde(default)]
    global_name: Option<String>,
    #[serde(default)]
    bot: bool,
}

#[derive(Deserialize)]
struct Member {
    #[serde(default)]
    nick: Option<String>,
}

#[derive(Deserialize)]
struct Mention {
    id: String,
}

#[derive(Deserialize)]
struct Referenced {
    id: String,
    author: User,
    #[serde(default)]
    content: String,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    url: String,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    /// Only voice messages have a wave form.
    #[serde(default)]
    waveform: Option<String>,
}

#[derive(Deserialize)]
struct StickerItem {
    id: String,
    name: String,
}

/// Why a `MESSAGE_CREATE` starts nothing.
#[derive(Debug)]
pub(super) enum Unread {
    /// Nothing to answer, for this reason.
    Ignored(&'static str),
    /// It is not what Discord documents.
    Malformed,
}

/// Reads the data of a `MESSAGE_CREATE`. `me` is the bot's user id.
pub(super) fn read_message(data: &str, me: &str) -> Result<Received, Unread> {
    let message: Message = serde_json::from_str(data).map_err(|_| Unread::Malformed)?;
    if message.author.bot || message.webhook_id.is_some() || message.author.id == me {
        return Err(Unread::Ignored("bots are not answered"));
    }
    if !matches!(message.kind, DEFAULT | REPLY) {
        return Err(Unread::Ignored("service messages are not answered"));
    }
    let kind = if message.guild_id.is_some() { ChatKind::Room } else { ChatKind::Direct };
    let replied = message.referenced_message.as_deref();
    let mentioned = kind == ChatKind::Direct
        || message.mentions.iter().any(|user| user.id == me)
        || replied.is_some_and(|replied| replied.author.id == me);
    let text = without_mention(&message.content, me);
    let mut attachments: Vec<Attachment> = message.attachments.into_iter().map(attachment).collect();
    attachments.extend(message.sticker_items.into_iter().map(sticker));
    if text.is_empty() && attachments.is_empty() && !mentioned {
        return Err(Unread::Ignored("kinds without text or file are not answered"));
    }
    let nick = message.member.and_then(|member| member.nick);
    Ok(Received {
        channel_message_id: format!("{}:{}", message.channel_id, message.id),
        address: Address {
            kind,
            chat: message.channel_id,
            // A thread is a channel of its own: its id is the chat.
            thread: None,
            reply_to: (kind == ChatKind::Room).then(|| message.id.clone()),
        },
        quote: replied.map(quote),
        album: None,
        sender: Sender {
            name: nick.or(message.author.global_name).or_else(|| Some(message.author.username.clone())),
            username: Some(message.author.username),
            id: message.author.id,
        },
        text,
        attachments,
        mentioned,
        sent_at: sent_at(&message.id),
    })
}

/// When a snowflake was made: its upper 42 bits count milliseconds.
pub(super) fn sent_at(id: &str) -> Timestamp {
    Timestamp::from_millis((id.parse::<u64>().unwrap_or(0) >> 22).saturating_add(EPOCH_MILLIS))
}

/// The text without the mention that only calls the bot, so that a command behind it is seen as one.
fn without_mention(content: &str, me: &str) -> String {
    let text = content.trim();
    let called = [format!("<@{me}>"), format!("<@!{me}>")];
    let rest = called.iter().find_map(|mention| text.strip_prefix(mention.as_str()));
    rest.unwrap_or(text).trim().to_owned()
}

fn quote(replied: &Referenced) -> Quote {
    let author = replied.author.global_name.as_ref().unwrap_or(&replied.author.username);
    Quote {
        message: replied.id.clone(),
        author: Some(author.clone()),
        text: replied.content.chars().take(MAX_QUOTE).collect(),
    }
}

fn attachment(file: File) -> Attachment {
    let mime = file.content_type.as_deref().unwrap_or_default();
    let kind = match mime.split('/').next() {
        Some("image") => AttachmentKind::Image,
        Some("video") => AttachmentKind::Video,
        Some("audio") if file.waveform.is_some() => AttachmentKind::Voice,
        Some("audio") => AttachmentKind::Audio,
        _ => AttachmentKind::Document,
    };
    Attachment {
        kind,
        reference: file.url,
        name: Some(file.filename),
        mime: file.content_type,
        size: file.size,
        media: None,
        text: None,
    }
}

/// A sticker's picture is not fetched: what it shows is its name.
fn sticker(sticker: StickerItem) -> Attachment {
    Attachment {
        kind: AttachmentKind::Sticker,
        reference: sticker.id,
        text: Some(sticker.name.clone()),
        name: Some(sticker.name),
        mime: None,
        size: None,
        media: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ME: &str = "900";

    fn message(changes: &Value) -> Value {
        let mut message = json!({
            "id": "1310000000000000000", "channel_id": "70", "type": 0, "content": "Hi",
            "author": { "id": "5", "username": "ada", "global_name": "Ada" },
        });
        let Value::Object(changes) = changes else { panic!("changes are an object") };
        message.as_object_mut().unwrap().extend(changes.clone());
        message
    }

    fn read(changes: &Value) -> Result<Received, Unread> {
        read_message(&message(changes).to_string(), ME)
    }

    #[test]
    fn a_direct_message() {
        let read = read(&json!({})).unwrap();
        assert_eq!(read.channel_message_id, "70:1310000000000000000");
        assert_eq!(read.address, Address { kind: ChatKind::Direct, chat: "70".into(), thread: None, reply_to: None });
        assert_eq!(read.sender, Sender { id: "5".into(), name: Some("Ada".into()), username: Some("ada".into()) });
        assert!(read.mentioned && read.text == "Hi");
        // 2024-11-23T22:09:59Z, by Discord's own formula.
        assert_eq!(read.sent_at.as_millis(), (1_310_000_000_000_000_000 >> 22) + 1_420_070_400_000);
    }

    #[test]
    fn in_a_guild_a_mention_or_a_reply_calls_the_bot() {
        let guild = |mut changes: Value| {
            changes["guild_id"] = json!("40");
            read(&changes).unwrap()
        };
        assert!(!guild(json!({})).mentioned);
        let called = guild(json!({ "content": "<@900> /stop", "mentions": [{ "id": ME }] }));
        assert!(called.mentioned);
        assert_eq!(called.text, "/stop");
        assert_eq!(called.address.kind, ChatKind::Room);
        assert_eq!(called.address.reply_to.as_deref(), Some("1310000000000000000"));
        let mine = json!({ "id": "9", "content": "Before", "author": { "id": ME, "username": "bot", "bot": true } });
        let replied = guild(json!({ "type": 19, "referenced_message": mine, "member": { "nick": "Countess" } }));
        assert!(replied.mentioned);
        assert_eq!(
            replied.quote,
            Some(Quote { message: "9".into(), author: Some("bot".into()), text: "Before".into() })
        );
        assert_eq!(replied.sender.name.as_deref(), Some("Countess"));
    }

    #[test]
    fn bots_and_service_messages_are_ignored() {
        for changes in [
            json!({ "author": { "id": "6", "username": "other", "bot": true } }),
            json!({ "author": { "id": ME, "username": "me" } }),
            json!({ "webhook_id": "3" }),
            json!({ "type": 7 }),
            json!({ "guild_id": "40", "content": "" }),
        ] {
            assert!(matches!(read(&changes), Err(Unread::Ignored(_))), "{changes}");
        }
        assert!(matches!(read_message("{}", ME), Err(Unread::Malformed)));
    }

    #[test]
    fn files_are_told_apart() {
        let file =
            |mime: &str| json!({ "filename": "f", "url": "https://cdn.example/f", "content_type": mime, "size": 3 });
        let mut voice = file("audio/ogg");
        voice["waveform"] = json!("AAAA");
        let files = json!([file("image/png"), file("audio/mpeg"), voice, file("application/pdf")]);
        let read =
            read(&json!({ "content": "", "attachments": files, "sticker_items": [{ "id": "8", "name": "Wave" }] }));
        let kinds: Vec<AttachmentKind> = read.unwrap().attachments.iter().map(|attachment| attachment.kind).collect();
        assert_eq!(
            kinds,
            [
                AttachmentKind::Image,
                AttachmentKind::Audio,
                AttachmentKind::Voice,
                AttachmentKind::Document,
                AttachmentKind::Sticker
            ]
        );
    }
}
