//! From what Slack posts (events, slash commands, pressed buttons) to the message that it brings, or to the reason why
//! there is none to answer.

use domain::{Address, Attachment, AttachmentKind, COMMANDS, ChatKind, Sender, Timestamp};
use serde::Deserialize;

use crate::Received;

/// What a request of Slack brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Slack tries the address out: answer with this text.
    Challenge(String),
    Message(Box<Received>),
    /// Nothing to answer, for this reason. Answer the request with 200, or Slack repeats it.
    Ignored(&'static str),
}

/// A body that Slack does not send. It repeats nothing of the content: people wrote that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not what Slack posts: neither an event, nor a slash command, nor an interaction")]
pub struct BadEvent;

/// The bot that events are read for.
#[derive(Clone, Copy, Debug)]
pub struct Me<'a> {
    /// The bot's own user, `U…`.
    pub user: &'a str,
    /// The workspace, `T…`.
    pub team: &'a str,
}

/// Reads the body of a request, which is JSON or a form.
///
/// A message and the mention that it is come as two events, with the same name here. A repetition has the same name, too.
pub fn parse(body: &[u8], me: Me<'_>, now: Timestamp) -> Result<Event, BadEvent> {
    if body.trim_ascii_start().first() == Some(&b'{') { parse_event(body, me) } else { parse_form(body, me, now) }
}

/// Reads the payload of the Events API, which socket mode has in its envelopes, too.
pub fn parse_event(body: &[u8], me: Me<'_>) -> Result<Event, BadEvent> {
    let outer: Outer = serde_json::from_slice(body).map_err(|_| BadEvent)?;
    match outer.kind.as_str() {
        "url_verification" => Ok(Event::Challenge(outer.challenge.ok_or(BadEvent)?)),
        "event_callback" if is_elsewhere(outer.team_id.as_deref(), me) => Ok(Event::Ignored(ELSEWHERE)),
        "event_callback" => Ok(read_event(outer.event.ok_or(BadEvent)?, me)),
        _ => Ok(Event::Ignored("this kind of request is not answered")),
    }
}

const ELSEWHERE: &str = "it comes from another workspace";

fn is_elsewhere(team: Option<&str>, me: Me<'_>) -> bool {
    !me.team.is_empty() && team.is_some_and(|team| team != me.team)
}

fn read_event(event: serde_json::Value, me: Me<'_>) -> Event {
    match event.get("type").and_then(serde_json::Value::as_str) {
        Some("message" | "app_mention") => {}
        _ => return Event::Ignored("this kind of event is not answered"),
    }
    let Ok(message) = serde_json::from_value::<Message>(event) else {
        return Event::Ignored("a message of an unknown shape is not answered");
    };
    read_message(message, me).map_or_else(Event::Ignored, |received| Event::Message(Box::new(received)))
}

#[derive(Deserialize)]
struct Outer {
    #[serde(rename = "type")]
    kind: String,
    challenge: Option<String>,
    team_id: Option<String>,
    event: Option<serde_json::Value>,
}

/// <https://docs.slack.dev/reference/events/message>
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "type")]
    kind: String,
    subtype: Option<String>,
    channel: String,
    user: Option<String>,
    bot_id: Option<String>,
    #[serde(default)]
    text: String,
    ts: String,
    thread_ts: Option<String>,
    parent_user_id: Option<String>,
    user_profile: Option<Profile>,
    #[serde(default)]
    files: Vec<File>,
}

#[derive(Deserialize)]
struct Profile {
    name: Option<String>,
    display_name: Option<String>,
    real_name: Option<String>,
}

#[derive(Deserialize)]
struct File {
    name: Option<String>,
    mimetype: Option<String>,
    size: Option<u64>,
    url_private: Option<String>,
    url_private_download: Option<String>,
    subtype: Option<String>,
}

fn read_message(message: Message, me: Me<'_>) -> Result<Received, &'static str> {
    match message.subtype.as_deref() {
        None | Some("file_share" | "me_message" | "thread_broadcast") => {}
        Some("message_changed") => return Err("edited messages are not answered"),
        Some("bot_message") => return Err("bots are not answered"),
        Some(_) => return Err("service messages are not answered"),
    }
    if message.bot_id.is_some() || message.user.as_deref() == Some(me.user) {
        return Err("bots are not answered");
    }
    let Some(user) = message.user else { return Err("a message without a sender is not answered") };
    let kind = chat_kind(&message.channel);
    let call = format!("<@{}>", me.user);
    let mentioned = kind == ChatKind::Direct
        || message.kind == "app_mention"
        || message.text.contains(&call)
        || message.parent_user_id.as_deref() == Some(me.user);
    let text = message.text.trim();
    // So that a command behind the mention is seen as one.
    let text = plain(text.strip_prefix(&call).unwrap_or(text).trim());
    let attachments: Vec<Attachment> = message.files.into_iter().filter_map(attachment).collect();
    if text.is_empty() && attachments.is_empty() && !mentioned {
        return Err("kinds without text or file are not answered");
    }
    let profile = message.user_profile;
    let names = profile.as_ref().map(|profile| [&profile.display_name, &profile.real_name]);
    let name = names.into_iter().flatten().flatten().find(|name| !name.trim().is_empty()).cloned();
    Ok(Received {
        channel_message_id: format!("{}:{}", message.channel, message.ts),
        sender: Sender { id: user, name, username: profile.and_then(|profile| profile.name) },
        address: Address { kind, chat: message.channel, thread: message.thread_ts, reply_to: None },
        text,
        attachments,
        quote: None,
        album: None,
        mentioned,
        sent_at: sent_at(&message.ts),
    })
}

/// The kind of a chat by its id, which every request of Slack's has: of all that may bring the same words only some name the kind, and
/// they must be one message in one session. A direct message of several people is a channel to Slack, and here.
fn chat_kind(chat: &str) -> ChatKind {
    if chat.starts_with('D') { ChatKind::Direct } else { ChatKind::Room }
}

/// A time stamp is seconds, a point, and a count.
fn sent_at(ts: &str) -> Timestamp {
    let seconds = ts.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    Timestamp::from_secs(seconds)
}

fn attachment(file: File) -> Option<Attachment> {
    let mime = file.mimetype.as_deref().unwrap_or_default();
    let kind = match mime.split('/').next() {
        _ if file.subtype.as_deref() == Some("slack_audio") => AttachmentKind::Voice,
        Some("image") => AttachmentKind::Image,
        Some("audio") => AttachmentKind::Audio,
        Some("video") => AttachmentKind::Video,
        _ => AttachmentKind::Document,
    };
    Some(Attachment {
        kind,
        // A file that Slack shows without giving it out has no address.
        reference: file.url_private_download.or(file.url_private)?,
        name: file.name,
        mime: file.mimetype,
        size: file.size,
        media: None,
        text: None,
    })
}

/// What a person reads in a text of Slack's: links by their label, and no entities.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        out.push_str(before);
        let Some((inner, after)) = behind.split_once('>') else {
            out.push('<');
            rest = behind;
            continue;
        };
        out.push_str(&marked(inner));
        rest = after;
    }
    out.push_str(rest);
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// What stands between angle brackets: a person, a channel, a group, a special mention or a link.
fn marked(inner: &str) -> String {
    let (target, label) = inner.split_once('|').map_or((inner, None), |(target, label)| (target, Some(label)));
    match target.chars().next() {
        Some('@') => label.map_or_else(|| target.to_owned(), |label| format!("@{}", label.trim_start_matches('@'))),
        Some('#') => label.map_or_else(|| target.to_owned(), |label| format!("#{label}")),
        Some('!') => {
            let name = label.unwrap_or(&target[1..]);
            format!("@{}", name.trim_start_matches('@'))
        }
        _ => match label {
            Some(label) if label != target => format!("{label} ({target})"),
            _ => target.to_owned(),
        },
    }
}

/// <https://docs.slack.dev/interactivity/implementing-slash-commands>, and the payload of a pressed button in a form.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Form {
    payload: Option<String>,
    command: Option<String>,
    text: String,
    #[serde(rename = "user_id")]
    user: String,
    user_name: Option<String>,
    #[serde(rename = "channel_id")]
    channel: String,
    #[serde(rename = "team_id")]
    team: Option<String>,
    #[serde(rename = "trigger_id")]
    trigger: String,
}

fn parse_form(body: &[u8], me: Me<'_>, now: Timestamp) -> Result<Event, BadEvent> {
    let mut form = Form::default();
    for (name, value) in url::form_urlencoded::parse(body) {
        let value = value.into_owned();
        match &*name {
            "payload" => form.payload = Some(value),
            "command" => form.command = Some(value),
            "text" => form.text = value,
            "user_id" => form.user = value,
            "user_name" => form.user_name = Some(value),
            "channel_id" => form.channel = value,
            "team_id" => form.team = Some(value),
            "trigger_id" => form.trigger = value,
            "ssl_check" => return Ok(Event::Ignored("Slack checks the certificate")),
            _ => {}
        }
    }
    match form.payload.take() {
        Some(payload) => parse_interaction(&payload, me, now),
        None => read_command(form, me, now),
    }
}

/// Reads a slash command from an envelope of socket mode, where it is an object with the form's names.
pub fn parse_command(payload: &str, me: Me<'_>, now: Timestamp) -> Result<Event, BadEvent> {
    read_command(serde_json::from_str(payload).map_err(|_| BadEvent)?, me, now)
}

fn read_command(mut form: Form, me: Me<'_>, now: Timestamp) -> Result<Event, BadEvent> {
    let command = form.command.take().ok_or(BadEvent)?;
    if form.user.is_empty() || form.channel.is_empty() || form.trigger.is_empty() {
        return Err(BadEvent);
    }
    if is_elsewhere(form.team.as_deref(), me) {
        return Ok(Event::Ignored(ELSEWHERE));
    }
    let text = command_text(&command, form.text.trim());
    if text.is_empty() {
        return Ok(Event::Ignored("a slash command without words is not answered"));
    }
    let received = Received {
        channel_message_id: format!("command:{}", form.trigger),
        address: address(form.channel, None),
        sender: Sender { id: form.user, name: None, username: form.user_name },
        text,
        attachments: vec![],
        quote: None,
        album: None,
        mentioned: true,
        sent_at: now,
    };
    Ok(Event::Message(Box::new(received)))
}

/// What a slash command says. An app may have one command for all (`/heron stop`) or some of the engine's own (`/stop`).
fn command_text(command: &str, text: &str) -> String {
    let is_ours = |name: &str| COMMANDS.iter().any(|ours| ours.name.eq_ignore_ascii_case(name));
    let first = text.split_whitespace().next().unwrap_or_default();
    if is_ours(command.trim_start_matches('/')) {
        format!("{command} {text}").trim_end().to_owned()
    } else if is_ours(first) {
        format!("/{text}")
    } else {
        text.to_owned()
    }
}

fn address(chat: String, thread: Option<String>) -> Address {
    Address { kind: chat_kind(&chat), chat, thread, reply_to: None }
}

/// <https://docs.slack.dev/reference/interaction-payloads/block_actions-payload>
#[derive(Deserialize)]
struct Interaction {
    #[serde(rename = "type")]
    kind: String,
    user: Option<User>,
    team: Option<Id>,
    channel: Option<Id>,
    message: Option<Pressed>,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    username: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Pressed {
    ts: String,
    thread_ts: Option<String>,
}

#[derive(Deserialize)]
struct Action {
    value: Option<String>,
    #[serde(default)]
    action_ts: String,
}

/// Reads a pressed button, which socket mode has in its envelopes, too. It says only what a person could have typed.
pub fn parse_interaction(payload: &str, me: Me<'_>, now: Timestamp) -> Result<Event, BadEvent> {
    let pressed: Interaction = serde_json::from_str(payload).map_err(|_| BadEvent)?;
    if is_elsewhere(pressed.team.as_ref().map(|team| team.id.as_str()), me) {
        return Ok(Event::Ignored(ELSEWHERE));
    }
    if pressed.kind != "block_actions" {
        return Ok(Event::Ignored("this kind of interaction is not answered"));
    }
    let (Some(user), Some(channel), Some(message)) = (pressed.user, pressed.channel, pressed.message) else {
        return Ok(Event::Ignored("a button outside of a message is not answered"));
    };
    let action = pressed.actions.into_iter().find_map(|action| Some((action.value?, action.action_ts)));
    let Some((text, at)) = action.filter(|(value, _)| value.starts_with('/')) else {
        return Ok(Event::Ignored("a button without a command is not answered"));
    };
    let received = Received {
        channel_message_id: format!("action:{}:{}:{}:{at}", channel.id, message.ts, user.id),
        address: address(channel.id, message.thread_ts),
        sender: Sender { id: user.id, name: user.name, username: user.username },
        text,
        attachments: vec![],
        quote: None,
        album: None,
        mentioned: true,
        sent_at: now,
    };
    Ok(Event::Message(Box::new(received)))
}
