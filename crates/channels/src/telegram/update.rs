//! From a webhook's body to the message that it brings, or to the reason why there is none to answer.

use domain::{Address, Attachment, AttachmentKind, ChatKind, Quote, Sender, Timestamp};
use serde_json::error::Category;

use super::object::{
    self, CallbackQuery, Contact, Entity, File, Location, Message, MessageReaction, PhotoSize, Sticker, User,
};
use crate::Received;

/// How much of a quoted message is kept, in characters.
const MAX_QUOTE: usize = 500;

/// What an update brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    Message(Box<Received>),
    /// Nothing to answer, for this reason. Answer the request with 200, or Telegram repeats it.
    Ignored(&'static str),
}

/// A body that is no update. It tells where, and repeats nothing of the content: people wrote that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a Telegram update: {what} at line {line}, column {column}")]
pub struct BadUpdate {
    what: &'static str,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for BadUpdate {
    fn from(error: serde_json::Error) -> BadUpdate {
        let what = match error.classify() {
            Category::Eof => "the JSON ends too early",
            Category::Data => "a field is missing or not of the type that the Bot API gives it",
            Category::Syntax | Category::Io => "the JSON is malformed",
        };
        BadUpdate { what, line: error.line(), column: error.column() }
    }
}

/// What the ids of pressed buttons begin with among a link's messages.
const CALLBACK: &str = "cb:";

/// The button's press that a message stands for: what `answerCallbackQuery` asks for.
pub fn callback_of(channel_message_id: &str) -> Option<&str> {
    channel_message_id.strip_prefix(CALLBACK)
}

/// What the ids of reactions begin with.
const REACTION: &str = "reaction:";

/// The id, among a link's messages, of the message that a reaction is to, if this is a reaction's id. The reaction's text is its
/// emoji.
pub fn reaction_to(channel_message_id: &str) -> Option<&str> {
    channel_message_id.strip_prefix(REACTION)?.split_once(':').map(|(_, message)| message)
}

/// Reads an update at the moment `now`. `handle` is the bot's user name without `@`; without it no mention is recognised.
///
/// Kinds of updates and messages that bots do not answer are [`Update::Ignored`], those that Telegram
/// is yet to invent as well.
///
/// Each file of an album comes in a message of its own, which names the album. A button's press is a message that says the
/// button's command; Telegram does not tell when it was pressed, so that is `now`.
pub fn parse_update(body: &[u8], handle: Option<&str>, now: Timestamp) -> Result<Update, BadUpdate> {
    let mut update: object::Update = serde_json::from_slice(body)?;
    let read = if let Some(message) = update.message.take() {
        read_message(message, handle)
    } else if let Some(query) = update.callback_query.take() {
        read_press(query, now)
    } else if let Some(reaction) = update.message_reaction.take() {
        read_reaction(update.id, reaction)
    } else {
        Err(why_ignored(&update))
    };
    Ok(read.map_or_else(Update::Ignored, |received| Update::Message(Box::new(received))))
}

/// A reaction that is new. One that is taken back is nothing to tell of.
fn read_reaction(update: i64, reaction: MessageReaction) -> Result<Received, &'static str> {
    let kind = chat_kind(&reaction.chat)?;
    if reaction.chat.is_forum {
        return Err("a reaction in a forum is not told of: Telegram does not say in which topic it is");
    }
    let user = match &reaction.user {
        Some(user) if user.is_bot => return Err("reactions of bots are not told of"),
        Some(user) => user,
        None => return Err("reactions of anonymous admins and channels are not told of"),
    };
    let new = reaction.new_reaction.iter().filter(|new| !reaction.old_reaction.contains(new));
    let words = new.map(|new| match (new.kind.as_str(), &new.emoji) {
        (_, Some(emoji)) => emoji.as_str(),
        ("paid", None) => "a paid star",
        (_, None) => "an emoji of their own",
    });
    let emoji: Vec<&str> = words.collect();
    if emoji.is_empty() {
        return Err("reactions that are taken back are not told of");
    }
    let chat = reaction.chat.id.to_string();
    Ok(Received {
        channel_message_id: format!("{REACTION}{update}:{chat}:{}", reaction.message_id),
        address: Address { kind, chat, thread: None, reply_to: None },
        sender: sender(user),
        text: emoji.join(" "),
        attachments: vec![],
        quote: None,
        album: None,
        mentioned: true,
        sent_at: Timestamp::from_millis(u64::try_from(reaction.date).unwrap_or(0).saturating_mul(1000)),
    })
}

/// A press says only what a person could have typed: buttons of anything else than a command are not ours.
fn read_press(query: CallbackQuery, now: Timestamp) -> Result<Received, &'static str> {
    let Some(text) = query.data.filter(|data| data.starts_with('/')) else {
        return Err("a button without a command is not answered");
    };
    let message = query.message.ok_or("a button of a message that Telegram has forgotten is not answered")?;
    Ok(Received {
        channel_message_id: format!("{CALLBACK}{}", query.id),
        address: Address {
            kind: chat_kind(&message.chat)?,
            chat: message.chat.id.to_string(),
            thread: message.message_thread_id.filter(|_| message.is_topic_message).map(|thread| thread.to_string()),
            reply_to: None,
        },
        sender: sender(&query.from),
        text,
        attachments: vec![],
        quote: None,
        album: None,
        mentioned: true,
        sent_at: now,
    })
}

fn chat_kind(chat: &object::Chat) -> Result<ChatKind, &'static str> {
    match chat.kind.as_str() {
        "private" => Ok(ChatKind::Direct),
        "group" | "supergroup" => Ok(ChatKind::Group),
        "channel" => Err("channel posts are not answered"),
        _ => Err("this kind of chat is not known"),
    }
}

fn why_ignored(update: &object::Update) -> &'static str {
    if update.edited_message.is_some() {
        "edited messages are not answered"
    } else if update.channel_post.is_some() || update.edited_channel_post.is_some() {
        "channel posts are not answered"
    } else if update.my_chat_member.is_some() || update.chat_member.is_some() {
        "changes of membership are not answered"
    } else {
        "this kind of update is not answered"
    }
}

fn read_message(message: Message, handle: Option<&str>) -> Result<Received, &'static str> {
    let kind = chat_kind(&message.chat)?;
    if message.sender_chat.is_some() {
        return Err("anonymous admins and channels are not answered: no person to check the access of");
    }
    let sender = match &message.from {
        Some(user) if user.is_bot => return Err("bots are not answered"),
        Some(user) => sender(user),
        None => return Err("a message without a sender is not answered"),
    };
    let quote = message.reply_to_message.as_deref().filter(|replied| replied.forum_topic_created.is_none());
    let mentioned = kind == ChatKind::Direct || is_addressed(&message, quote, handle);
    let quote = quote.map(|replied| read_quote(replied, message.quote.as_ref().map(|quote| quote.text.as_str())));
    let attachments = attachments(&message);
    let text = message.text.or(message.caption).or(message.sticker.and_then(|s| s.emoji)).unwrap_or_default();
    if text.is_empty() && attachments.is_empty() {
        return Err("service messages and kinds without text or file are not answered");
    }
    let chat = message.chat.id.to_string();
    let id = message.message_id.to_string();
    Ok(Received {
        channel_message_id: format!("{chat}:{id}"),
        address: Address {
            kind,
            chat,
            // Outside of forums the thread id only names the first message of a chain of replies.
            thread: message.message_thread_id.filter(|_| message.is_topic_message).map(|thread| thread.to_string()),
            reply_to: (kind == ChatKind::Group).then_some(id),
        },
        sender,
        text,
        attachments,
        quote,
        album: message.media_group_id,
        mentioned,
        sent_at: Timestamp::from_millis(u64::try_from(message.date).unwrap_or(0).saturating_mul(1000)),
    })
}

fn sender(user: &User) -> Sender {
    Sender { id: user.id.to_string(), name: Some(full_name(user)), username: user.username.clone() }
}

fn full_name(user: &User) -> String {
    join_name(&user.first_name, user.last_name.as_deref())
}

fn join_name(first: &str, last: Option<&str>) -> String {
    last.map_or_else(|| first.to_owned(), |last| format!("{first} {last}"))
}

fn read_quote(replied: &Message, chosen: Option<&str>) -> Quote {
    let channel = || replied.sender_chat.as_ref().and_then(|chat| chat.title.clone());
    let text = chosen.or(replied.text.as_deref()).or(replied.caption.as_deref()).unwrap_or_default();
    Quote {
        message: replied.message_id.to_string(),
        author: channel().or_else(|| replied.from.as_ref().map(full_name)),
        text: text.chars().take(MAX_QUOTE).collect(),
    }
}

/// Whether a message in a group is meant for the bot.
fn is_addressed(message: &Message, replied: Option<&Message>, handle: Option<&str>) -> bool {
    let text = message.text.as_deref().or(message.caption.as_deref()).unwrap_or_default();
    let is_bot = |user: &User| is_handle(user.username.as_deref(), handle);
    let entities = message.entities.iter().chain(&message.caption_entities);
    domain::command::parse(text, handle).is_some()
        || replied.and_then(|replied| replied.from.as_ref()).is_some_and(is_bot)
        || entities.into_iter().any(|entity| match entity.kind.as_str() {
            "mention" => is_handle(marked(text, entity).and_then(|mention| mention.strip_prefix('@')), handle),
            "text_mention" => entity.user.as_ref().is_some_and(is_bot),
            _ => false,
        })
}

fn is_handle(name: Option<&str>, handle: Option<&str>) -> bool {
    matches!((name, handle), (Some(name), Some(handle)) if name.eq_ignore_ascii_case(handle))
}

/// The part of `text` that an entity marks.
fn marked<'a>(text: &'a str, entity: &Entity) -> Option<&'a str> {
    let start = utf16_index(text, entity.offset)?;
    let end = utf16_index(text, entity.offset.checked_add(entity.length)?)?;
    text.get(start..end)
}

/// The byte that the UTF-16 unit `offset` begins at; `None` past the end or within a character.
fn utf16_index(text: &str, offset: usize) -> Option<usize> {
    let mut units = 0;
    for (byte, c) in text.char_indices() {
        if units >= offset {
            return (units == offset).then_some(byte);
        }
        units += c.len_utf16();
    }
    (units == offset).then_some(text.len())
}

/// The files of a message; Telegram puts one in a message, and an album is several messages.
fn attachments(message: &Message) -> Vec<Attachment> {
    let file = |kind, file: &Option<File>| file.as_ref().map(|file| from_file(kind, file));
    let animation = file(AttachmentKind::Video, &message.animation);
    // An animation comes as a document as well, for the bots of old.
    let document = file(AttachmentKind::Document, &message.document).filter(|_| animation.is_none());
    let found = [
        message.photo.iter().max_by_key(|size| size.width.saturating_mul(size.height)).map(from_photo),
        animation,
        document,
        file(AttachmentKind::Voice, &message.voice),
        file(AttachmentKind::Audio, &message.audio),
        file(AttachmentKind::Video, &message.video),
        file(AttachmentKind::Video, &message.video_note),
        message.sticker.as_ref().map(from_sticker),
        message.location.as_ref().map(from_location),
        message.contact.as_ref().map(from_contact),
    ];
    found.into_iter().flatten().collect()
}

fn from_file(kind: AttachmentKind, file: &File) -> Attachment {
    Attachment {
        media: None,
        text: None,
        kind,
        reference: file.file_id.clone(),
        name: file.file_name.clone(),
        mime: file.mime_type.clone(),
        size: file.file_size,
    }
}

fn from_photo(photo: &PhotoSize) -> Attachment {
    Attachment {
        media: None,
        text: None,
        kind: AttachmentKind::Image,
        reference: photo.file_id.clone(),
        name: None,
        // Telegram does not say it; it stores every photo as JPEG.
        mime: Some("image/jpeg".to_owned()),
        size: photo.file_size,
    }
}

fn from_sticker(sticker: &Sticker) -> Attachment {
    Attachment {
        media: None,
        text: None,
        kind: AttachmentKind::Sticker,
        reference: sticker.file_id.clone(),
        name: None,
        mime: None,
        size: sticker.file_size,
    }
}

fn from_location(location: &Location) -> Attachment {
    let reference = format!("{},{}", location.latitude, location.longitude);
    Attachment {
        media: None,
        text: None,
        kind: AttachmentKind::Location,
        reference,
        name: None,
        mime: None,
        size: None,
    }
}

fn from_contact(contact: &Contact) -> Attachment {
    Attachment {
        media: None,
        text: None,
        kind: AttachmentKind::Contact,
        reference: contact.phone_number.clone(),
        name: Some(join_name(&contact.first_name, contact.last_name.as_deref())),
        mime: None,
        size: None,
    }
}
