//! From what Meta posts to the messages that it brings, and to what became of those that were sent.

use domain::{Address, Attachment, AttachmentKind, ChatKind, Quote, Sender, Timestamp};
use serde::Deserialize;

use super::client::Fault;
use crate::Received;

/// Where Meta's signature of a request stands.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// What one thing in a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Message(Box<Received>),
    /// A message that was accepted did not arrive.
    Failed {
        /// The message's id.
        message: String,
        /// Whom it was for.
        recipient: String,
        /// Why, and what the owner can do.
        reason: String,
    },
    /// Nothing to answer, for this reason.
    Ignored(&'static str),
}

/// A body that Meta does not send. It repeats nothing of the content: people wrote that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a webhook of the WhatsApp Cloud API")]
pub struct BadEvent;

#[derive(Deserialize)]
struct Outer {
    object: String,
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    field: String,
    value: serde_json::Value,
}

#[derive(Deserialize)]
struct Value {
    metadata: Metadata,
    #[serde(default)]
    contacts: Vec<Contact>,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    statuses: Vec<Status>,
}

#[derive(Deserialize)]
struct Metadata {
    phone_number_id: String,
}

#[derive(Deserialize)]
struct Contact {
    wa_id: Option<String>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    id: String,
    status: String,
    #[serde(default)]
    recipient_id: String,
    #[serde(default)]
    errors: Vec<Fault>,
}

/// <https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components#messages-object>
#[derive(Deserialize)]
struct Message {
    from: String,
    id: String,
    #[serde(default)]
    timestamp: String,
    #[serde(rename = "type")]
    kind: String,
    text: Option<Text>,
    image: Option<File>,
    audio: Option<File>,
    video: Option<File>,
    document: Option<File>,
    sticker: Option<File>,
    location: Option<Location>,
    interactive: Option<Interactive>,
    button: Option<Template>,
    context: Option<Context>,
}

#[derive(Deserialize)]
struct Text {
    body: String,
}

#[derive(Deserialize)]
struct File {
    id: String,
    mime_type: Option<String>,
    filename: Option<String>,
    caption: Option<String>,
    #[serde(default)]
    voice: bool,
}

#[derive(Deserialize)]
struct Location {
    latitude: f64,
    longitude: f64,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Interactive {
    button_reply: Option<Choice>,
    list_reply: Option<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    id: String,
    #[serde(default)]
    title: String,
}

/// A button of a template.
#[derive(Deserialize)]
struct Template {
    text: String,
}

#[derive(Deserialize)]
struct Context {
    id: Option<String>,
}

/// Reads a request. `number` is the id of the bot's own: an app has one address for all of its numbers.
pub fn parse(body: &[u8], number: &str) -> Result<Vec<Event>, BadEvent> {
    let outer: Outer = serde_json::from_slice(body).map_err(|_| BadEvent)?;
    if outer.object != "whatsapp_business_account" {
        return Err(BadEvent);
    }
    let mut events = Vec::new();
    for change in outer.entry.into_iter().flat_map(|entry| entry.changes) {
        if change.field == "messages" {
            read_change(change.value, number, &mut events);
        } else {
            events.push(Event::Ignored("changes of this kind are not answered"));
        }
    }
    Ok(events)
}

fn read_change(value: serde_json::Value, number: &str, events: &mut Vec<Event>) {
    let Ok(value) = serde_json::from_value::<Value>(value) else {
        events.push(Event::Ignored("a change of an unknown shape is not answered"));
        return;
    };
    if value.metadata.phone_number_id != number {
        events.push(Event::Ignored("it is for another number"));
        return;
    }
    let name = |from: &str| {
        let contact = value.contacts.iter().find(|contact| contact.wa_id.as_deref() == Some(from))?;
        contact.profile.as_ref()?.name.clone()
    };
    for message in value.messages {
        let name = name(&message.from);
        let read = read_message(message, name);
        events.push(read.map_or_else(Event::Ignored, |received| Event::Message(Box::new(received))));
    }
    events.extend(value.statuses.into_iter().map(read_status));
}

fn read_status(status: Status) -> Event {
    if status.status != "failed" {
        return Event::Ignored("what was sent has arrived");
    }
    let reason = status.errors.first().map_or_else(|| "Meta does not say why".to_owned(), Fault::explained);
    Event::Failed { message: status.id, recipient: status.recipient_id, reason }
}

fn read_message(message: Message, name: Option<String>) -> Result<Received, &'static str> {
    let attachments = attachments(&message);
    let files = [message.image, message.video, message.document];
    let caption = files.into_iter().flatten().find_map(|file| file.caption);
    let text = match message.kind.as_str() {
        "text" => message.text.map(|text| text.body),
        "interactive" => message.interactive.and_then(|answer| answer.button_reply.or(answer.list_reply)).map(chosen),
        "button" => message.button.map(|button| button.text),
        "reaction" => return Err("reactions are not answered"),
        "system" => return Err("service messages are not answered"),
        "unsupported" => return Err("kinds that WhatsApp does not give out are not answered"),
        _ => caption,
    };
    let text = text.unwrap_or_default();
    if text.trim().is_empty() && attachments.is_empty() {
        return Err("kinds without text or file are not answered");
    }
    let quote = message.context.and_then(|context| context.id);
    Ok(Received {
        channel_message_id: message.id,
        address: Address { kind: ChatKind::Direct, chat: message.from.clone(), thread: None, reply_to: None },
        sender: Sender { id: message.from, name, username: None },
        text,
        attachments,
        quote: quote.map(|message| Quote { message, author: None, text: String::new() }),
        album: None,
        mentioned: true,
        sent_at: Timestamp::from_secs(message.timestamp.parse().unwrap_or(0)),
    })
}

/// A button of ours says its command; one of somebody else's list says what the person read.
fn chosen(choice: Choice) -> String {
    if choice.id.starts_with('/') || choice.title.is_empty() { choice.id } else { choice.title }
}

fn attachments(message: &Message) -> Vec<Attachment> {
    let file = |kind, file: &Option<File>| {
        file.as_ref().map(|file| Attachment {
            kind,
            reference: file.id.clone(),
            name: file.filename.clone(),
            mime: file.mime_type.clone(),
            size: None,
            media: None,
            text: None,
        })
    };
    let is_voice = message.audio.as_ref().is_some_and(|audio| audio.voice);
    let location = message.location.as_ref().map(|location| Attachment {
        kind: AttachmentKind::Location,
        reference: format!("{},{}", location.latitude, location.longitude),
        name: location.name.clone(),
        mime: None,
        size: None,
        media: None,
        text: None,
    });
    let found = [
        file(AttachmentKind::Image, &message.image),
        file(if is_voice { AttachmentKind::Voice } else { AttachmentKind::Audio }, &message.audio),
        file(AttachmentKind::Video, &message.video),
        file(AttachmentKind::Document, &message.document),
        file(AttachmentKind::Sticker, &message.sticker),
        location,
    ];
    found.into_iter().flatten().collect()
}
