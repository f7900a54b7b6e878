//! The objects of the Bot API, as far as they are read. Fields that are not named here are skipped.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// <https://core.telegram.org/bots/api#update>
#[derive(Deserialize)]
pub(super) struct Update {
    #[serde(rename = "update_id")]
    pub(super) id: i64,
    pub(super) message: Option<Message>,
    pub(super) edited_message: Option<IgnoredAny>,
    pub(super) channel_post: Option<IgnoredAny>,
    pub(super) edited_channel_post: Option<IgnoredAny>,
    pub(super) callback_query: Option<CallbackQuery>,
    pub(super) message_reaction: Option<MessageReaction>,
    pub(super) my_chat_member: Option<IgnoredAny>,
    pub(super) chat_member: Option<IgnoredAny>,
}

/// A button was pressed: <https://core.telegram.org/bots/api#callbackquery>
#[derive(Deserialize)]
pub(super) struct CallbackQuery {
    pub(super) id: String,
    pub(super) from: User,
    /// The message that the button is below. Left out, or without much in it, when it is too old.
    pub(super) message: Option<ButtonMessage>,
    pub(super) data: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ButtonMessage {
    pub(super) message_thread_id: Option<i64>,
    #[serde(default)]
    pub(super) is_topic_message: bool,
    pub(super) chat: Chat,
}

/// Somebody changed their reaction to a message: <https://core.telegram.org/bots/api#messagereactionupdated>
#[derive(Deserialize)]
pub(super) struct MessageReaction {
    pub(super) chat: Chat,
    pub(super) message_id: i64,
    /// Left out of a reaction in the name of a chat.
    pub(super) user: Option<User>,
    /// Unix time in seconds.
    pub(super) date: i64,
    pub(super) old_reaction: Vec<Reaction>,
    pub(super) new_reaction: Vec<Reaction>,
}

/// <https://core.telegram.org/bots/api#reactiontype>
#[derive(PartialEq, Eq, Deserialize)]
pub(super) struct Reaction {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) emoji: Option<String>,
    pub(super) custom_emoji_id: Option<String>,
}

/// <https://core.telegram.org/bots/api#message>
#[derive(Deserialize)]
pub(super) struct Message {
    pub(super) message_id: i64,
    pub(super) message_thread_id: Option<i64>,
    #[serde(default)]
    pub(super) is_topic_message: bool,
    pub(super) from: Option<User>,
    /// Set when a channel or a group speaks instead of a person.
    pub(super) sender_chat: Option<SenderChat>,
    pub(super) chat: Chat,
    /// Unix time in seconds.
    pub(super) date: i64,
    pub(super) media_group_id: Option<String>,
    pub(super) reply_to_message: Option<Box<Message>>,
    /// The part of the replied message that the person chose to quote.
    pub(super) quote: Option<TextQuote>,
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) entities: Vec<Entity>,
    pub(super) caption: Option<String>,
    #[serde(default)]
    pub(super) caption_entities: Vec<Entity>,
    #[serde(default)]
    pub(super) photo: Vec<PhotoSize>,
    pub(super) animation: Option<File>,
    pub(super) document: Option<File>,
    pub(super) voice: Option<File>,
    pub(super) audio: Option<File>,
    pub(super) video: Option<File>,
    pub(super) video_note: Option<File>,
    pub(super) sticker: Option<Sticker>,
    pub(super) location: Option<Location>,
    pub(super) contact: Option<Contact>,
    /// Opens a forum topic. Telegram says of every message in a topic that it replies to this one.
    pub(super) forum_topic_created: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct User {
    pub(super) id: i64,
    #[serde(default)]
    pub(super) is_bot: bool,
    pub(super) first_name: String,
    pub(super) last_name: Option<String>,
    pub(super) username: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Chat {
    pub(super) id: i64,
    #[serde(default)]
    pub(super) is_forum: bool,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

#[derive(Deserialize)]
pub(super) struct SenderChat {
    pub(super) title: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct TextQuote {
    pub(super) text: String,
}

/// A marked part of a text; offset and length are in UTF-16 units.
#[derive(Deserialize)]
pub(super) struct Entity {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) offset: usize,
    pub(super) length: usize,
    /// Whom a `text_mention` means.
    pub(super) user: Option<User>,
}

#[derive(Deserialize)]
pub(super) struct PhotoSize {
    pub(super) file_id: String,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) file_size: Option<u64>,
}

/// What document, voice, audio, video, video note and animation have in common.
#[derive(Deserialize)]
pub(super) struct File {
    pub(super) file_id: String,
    pub(super) file_name: Option<String>,
    pub(super) mime_type: Option<String>,
    pub(super) file_size: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Sticker {
    pub(super) file_id: String,
    pub(super) emoji: Option<String>,
    pub(super) file_size: Option<u64>,
}

/// In degrees.
#[derive(Deserialize)]
pub(super) struct Location {
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

#[derive(Deserialize)]
pub(super) struct Contact {
    pub(super) phone_number: String,
    pub(super) first_name: String,
    pub(super) last_name: Option<String>,
}
