//! From an event of a room to the message that it brings. Pure: what has to be asked for comes in as arguments.

use domain::{Address, Attachment, AttachmentKind, ChatKind, Quote, Sender, Timestamp};
use serde_json::Value;

use super::Identity;
use super::event::Event;
use crate::Received;

/// How much of a quoted message is kept, in characters.
const MAX_QUOTE: usize = 500;

/// What an event is to the bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    /// The bot cannot read it.
    Encrypted,
    /// Nothing to answer.
    Ignored,
}

pub(super) fn kind(event: &Event, me: &Identity) -> Kind {
    if event.sender == me.user_id || event.sender.is_empty() || event.event_id.is_empty() {
        return Kind::Ignored;
    }
    // What was said already, in other words.
    if event.text("/m.relates_to/rel_type") == Some("m.replace") {
        return Kind::Ignored;
    }
    match event.kind.as_str() {
        "m.room.encrypted" => Kind::Encrypted,
        "m.sticker" => Kind::Message,
        "m.room.message" => match event.text("/msgtype") {
            // Bots speak in notices, so that bots do not answer each other. Content without a kind was taken back.
            None | Some("m.notice" | "m.key.verification.request" | "m.server_notice") => Kind::Ignored,
            Some(_) => Kind::Message,
        },
        _ => Kind::Ignored,
    }
}

/// The event that this one answers, unless it only stands for its place in a thread.
pub(super) fn answered(event: &Event) -> Option<&str> {
    let falls_back = event.content.pointer("/m.relates_to/is_falling_back") == Some(&Value::Bool(true));
    event.text("/m.relates_to/m.in_reply_to/event_id").filter(|_| !falls_back)
}

/// What is known of the place that an event was written in.
pub(super) struct Place<'a> {
    pub(super) room: &'a str,
    pub(super) is_direct: bool,
    /// What the sender is called there.
    pub(super) sender_name: Option<String>,
    /// The event that it answers, if it could be had.
    pub(super) answered: Option<&'a Event>,
}

/// Reads an event of [`Kind::Message`]; `None` if nobody could answer it.
pub(super) fn read(event: &Event, place: Place<'_>, me: &Identity) -> Option<Received> {
    let answered_id = answered(event);
    let attachment = attachment(event);
    let body = event.text("/body").unwrap_or_default();
    let body = if answered_id.is_some() { without_quotation(body) } else { body };
    // The body of a file is its caption only if its name stands elsewhere.
    let is_caption = event.text("/filename").is_some_and(|name| name != body);
    let said = if attachment.is_some() && !is_caption { "" } else { body.trim() };
    let text = match event.text("/msgtype") {
        Some("m.emote") => {
            format!("* {} {said}", place.sender_name.as_deref().unwrap_or_else(|| localpart(&event.sender)))
        }
        _ => without_address(said, me).to_owned(),
    };
    if said.is_empty() && attachment.is_none() {
        return None;
    }
    let is_answer_to_me = place.answered.is_some_and(|answered| answered.sender == me.user_id);
    let mentioned = place.is_direct
        || is_answer_to_me
        || is_mentioned(event, said, me)
        || domain::command::parse(&text, Some(localpart(&me.user_id))).is_some();
    let quote = answered_id.map(|id| quote(id, place.answered));
    Some(Received {
        channel_message_id: event.event_id.clone(),
        address: Address {
            kind: if place.is_direct { ChatKind::Direct } else { ChatKind::Group },
            chat: place.room.to_owned(),
            thread: thread(event).map(str::to_owned),
            reply_to: (!place.is_direct).then(|| event.event_id.clone()),
        },
        sender: Sender {
            id: event.sender.clone(),
            name: place.sender_name.or_else(|| Some(localpart(&event.sender).to_owned())),
            username: Some(handle(&event.sender).to_owned()),
        },
        text,
        attachments: attachment.into_iter().collect(),
        quote,
        album: None,
        mentioned,
        sent_at: Timestamp::from_millis(event.origin_server_ts.as_u64().unwrap_or(0)),
    })
}

fn thread(event: &Event) -> Option<&str> {
    let is_thread = event.text("/m.relates_to/rel_type") == Some("m.thread");
    event.text("/m.relates_to/event_id").filter(|_| is_thread)
}

/// The handle of a user: the whole id, since anybody may have the same name on another homeserver.
pub(super) fn handle(user: &str) -> &str {
    user.strip_prefix('@').unwrap_or(user)
}

/// `heron` of `@heron:example.org`.
pub(super) fn localpart(user: &str) -> &str {
    let name = user.strip_prefix('@').unwrap_or(user);
    name.split_once(':').map_or(name, |(name, _)| name)
}

fn quote(id: &str, answered: Option<&Event>) -> Quote {
    let text = answered.and_then(|answered| answered.text("/body")).unwrap_or_default();
    let is_answer = answered.is_some_and(|event| self::answered(event).is_some());
    let text = if is_answer { without_quotation(text) } else { text };
    Quote {
        message: id.to_owned(),
        author: answered.map(|answered| localpart(&answered.sender).to_owned()),
        text: text.chars().take(MAX_QUOTE).collect(),
    }
}

/// A body without the quotation that older clients begin an answer with: lines that begin with `>`, and an empty one.
fn without_quotation(body: &str) -> &str {
    if !body.starts_with("> <") && !body.starts_with("> * <") {
        return body;
    }
    let mut rest = body;
    while rest.starts_with('>') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest.strip_prefix('\n').unwrap_or(rest)
}

/// What the bot is called: its display name, its id, and the name in its id.
fn names(me: &Identity) -> impl Iterator<Item = &str> {
    [me.display_name.as_deref(), Some(me.user_id.as_str()), Some(localpart(&me.user_id))].into_iter().flatten()
}

/// What is said after `heron:` or `heron,`: what a text begins with when it is addressed to somebody.
fn without_address<'a>(text: &'a str, me: &Identity) -> &'a str {
    for name in names(me) {
        let text = text.strip_prefix('@').filter(|_| !name.starts_with('@')).unwrap_or(text);
        let Some(head) = text.get(..name.len()) else { continue };
        let rest = &text[name.len()..];
        let said = rest.strip_prefix([':', ',']).map(str::trim_start).filter(|said| !said.is_empty());
        if let (true, Some(said)) = (head.eq_ignore_ascii_case(name), said) {
            return said;
        }
    }
    text
}

fn is_mentioned(event: &Event, text: &str, me: &Identity) -> bool {
    let mentioned = event.content.pointer("/m.mentions/user_ids").and_then(Value::as_array);
    let is_me = |user: &Value| user.as_str() == Some(me.user_id.as_str());
    // Others have the same name on other homeservers.
    let is_others = |word: &&str| {
        let id = word.trim_end_matches([':', ',', '.', '!', '?']);
        id.starts_with('@') && id.contains(':') && !id.eq_ignore_ascii_case(&me.user_id)
    };
    let text = text.split_whitespace().filter(|word| !is_others(word)).collect::<Vec<_>>().join(" ");
    mentioned.is_some_and(|users| users.iter().any(is_me)) || names(me).any(|name| has_word(&text, name))
}

/// Whether a name stands in a text as a word of its own, in whatever case.
fn has_word(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(&name).any(|(start, found)| {
        let before = text[..start].chars().next_back();
        let after = text[start + found.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

fn attachment(event: &Event) -> Option<Attachment> {
    let kind = match (event.kind.as_str(), event.text("/msgtype")) {
        ("m.sticker", _) => AttachmentKind::Sticker,
        (_, Some("m.image")) => AttachmentKind::Image,
        (_, Some("m.audio")) if event.content.get("org.matrix.msc3245.voice").is_some() => AttachmentKind::Voice,
        (_, Some("m.audio")) => AttachmentKind::Audio,
        (_, Some("m.video")) => AttachmentKind::Video,
        (_, Some("m.file")) => AttachmentKind::Document,
        (_, Some("m.location")) => AttachmentKind::Location,
        _ => return None,
    };
    let reference = match kind {
        AttachmentKind::Location => event.text("/geo_uri")?.trim_start_matches("geo:"),
        _ => event.text("/url").filter(|url| url.starts_with("mxc://"))?,
    };
    Some(Attachment {
        kind,
        reference: reference.to_owned(),
        name: event.text("/filename").or_else(|| event.text("/body")).map(str::to_owned),
        mime: event.text("/info/mimetype").map(str::to_owned),
        size: event.content.pointer("/info/size").and_then(Value::as_u64),
        media: None,
        text: None,
    })
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
