//! Messages in and out: the one shape that every channel is turned into at the door, and the one
//! that every reply leaves in.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::JobRun;
use crate::turn::{Parent, ReplyTo};
use crate::{AccountId, BotId, Control, JobId, LinkId, Media, MessageId, SessionKey, Timestamp, TurnId};

/// A chat network, as it is written in session keys, routes and settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Telegram,
    Discord,
    Slack,
    WhatsApp,
    Matrix,
    Irc,
    /// Any system that posts to a bot's signed webhook, and has the replies posted to it.
    Webhook,
    /// The API, the terminal and the dashboard. Its replies are read from the session's log, so it
    /// needs no delivery.
    WebChat,
}

impl Channel {
    pub const ALL: [Channel; 8] = [
        Channel::Telegram,
        Channel::Discord,
        Channel::Slack,
        Channel::WhatsApp,
        Channel::Matrix,
        Channel::Irc,
        Channel::Webhook,
        Channel::WebChat,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Channel::Telegram => "telegram",
            Channel::Discord => "discord",
            Channel::Slack => "slack",
            Channel::WhatsApp => "whatsapp",
            Channel::Matrix => "matrix",
            Channel::Irc => "irc",
            Channel::Webhook => "webhook",
            Channel::WebChat => "webchat",
        }
    }

    /// As people write it.
    pub const fn label(self) -> &'static str {
        match self {
            Channel::Telegram => "Telegram",
            Channel::Discord => "Discord",
            Channel::Slack => "Slack",
            Channel::WhatsApp => "WhatsApp",
            Channel::Matrix => "Matrix",
            Channel::Irc => "IRC",
            Channel::Webhook => "Webhook",
            Channel::WebChat => "Web chat",
        }
    }

    /// Whether its network takes replies nowhere but on the connection that the holder keeps.
    pub const fn is_answered_by_connection(self) -> bool {
        matches!(self, Channel::Irc)
    }

    /// Whether people can be shown an answer while it grows: in a message that is edited, or in a draft that they read.
    pub const fn shows_drafts(self) -> bool {
        match self {
            Channel::Telegram | Channel::Discord | Channel::Slack | Channel::Matrix | Channel::WebChat => true,
            Channel::WhatsApp | Channel::Irc | Channel::Webhook => false,
        }
    }

    /// Whether a reply is read from the log by who asked for it, instead of being sent.
    pub const fn is_read_from_log(self) -> bool {
        matches!(self, Channel::WebChat)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Channel, UnknownChannel> {
        Channel::ALL
            .into_iter()
            .find(|c| c.as_str() == text)
            .ok_or_else(|| UnknownChannel { name: text.chars().take(40).collect() })
    }
}

/// A channel that this build does not speak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a channel; there are: {}", Channel::ALL.map(Channel::as_str).join(", "))]
pub struct UnknownChannel {
    name: String,
}

/// What kind of place a chat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChatKind {
    /// One person and the bot.
    Direct,
    /// A group chat.
    Group,
    /// A public room that is organised in threads (OpenClaw: `channel`).
    Room,
}

/// A place that a message came from or goes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    pub kind: ChatKind,
    /// The channel's own id of the chat.
    pub chat: String,
    /// Forum topic or thread within the chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The message that a reply quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
}

/// Who wrote a message, as the channel names them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Sender {
    /// The channel's own id; access rules compare it.
    pub id: String,
    /// What to call the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The handle, without `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttachmentKind {
    Image,
    Audio,
    Voice,
    Video,
    Document,
    Sticker,
    Location,
    Contact,
}

impl AttachmentKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            AttachmentKind::Image => "image",
            AttachmentKind::Audio => "audio",
            AttachmentKind::Voice => "voice",
            AttachmentKind::Video => "video",
            AttachmentKind::Document => "document",
            AttachmentKind::Sticker => "sticker",
            AttachmentKind::Location => "location",
            AttachmentKind::Contact => "contact",
        }
    }
}

/// Media that came with a message, by reference: the bytes stay with the channel until a turn
/// wants them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attachment {
    pub kind: AttachmentKind,
    /// The channel's own handle of the file (Telegram: `file_id`), or the text of what has no bytes
    /// (a location's coordinates, a contact's number).
    pub reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The kept file, once it was fetched from the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,
    /// What it says: a voice note's transcript, a document's text; in brackets, why that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What a message answers, as far as the channel says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quote {
    /// The channel's own id of the quoted message.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The beginning of the quoted text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// One message that a person sent to a bot and that the link's access rules let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbound {
    pub account: AccountId,
    pub bot: BotId,
    pub link: LinkId,
    pub channel: Channel,
    /// Names the message however often the channel repeats it.
    pub message: MessageId,
    /// Which conversation it belongs to. Set at the door, from the bot's scope.
    pub session: SessionKey,
    /// Where it was written, and so where the answer goes.
    pub address: Address,
    pub sender: Sender,
    /// Whether the sender owns the bot, as far as this link knows: who may approve what a tool asks. Set at the door.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_owner: bool,
    /// Text or caption; may be empty when there are attachments.
    pub text: String,
    /// What it asks the engine to do, if it is one of the engine's commands. Set at the door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
    /// The session that is told the answer, if this was said by another session of the bot and not by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Parent>>,
    /// The run of a job that it begins, if no person wrote it but the bot's own schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Box<JobRun>>,
    /// How many sessions have passed on what a person wrote: 0 for the person's own message.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hops: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// The album that it is a piece of, as the channel names it: its pieces come one by one, and share a turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// When the person wrote it, by the channel's clock.
    pub sent_at: Timestamp,
    /// When the door had it, by ours.
    pub received_at: Timestamp,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
pub(crate) fn is_zero(hops: &u32) -> bool {
    *hops == 0
}

/// What a sender's id begins with that is a session of the bot. No channel gives a person such an id.
const SESSION_SENDER: &str = "session:";

/// The same for a job.
const JOB_SENDER: &str = "cron:";

/// Whose words a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Author {
    /// A person, on a channel or through the API.
    #[default]
    Person,
    /// Another session of the bot.
    Session,
    /// One of the bot's jobs.
    Job,
}

impl Author {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub fn is_person(&self) -> bool {
        *self == Author::Person
    }
}

impl Sender {
    /// Whose words are from this sender.
    pub fn author(&self) -> Author {
        if self.id.starts_with(JOB_SENDER) {
            Author::Job
        } else if self.id.starts_with(SESSION_SENDER) {
            Author::Session
        } else {
            Author::Person
        }
    }

    /// The job whose words these are, if they are a job's.
    pub fn job(&self) -> Option<JobId> {
        self.id.strip_prefix(JOB_SENDER)?.parse().ok()
    }
}

impl Inbound {
    /// What a session of a bot says in another one, `to`. Its answer goes to `reply`.
    pub fn from_session(
        from: &SessionKey,
        name: &str,
        to: SessionKey,
        message: MessageId,
        text: String,
        reply: ReplyTo,
        now: Timestamp,
    ) -> Inbound {
        Inbound::from_program(format!("{SESSION_SENDER}{from}"), name, to, message, text, reply, now)
    }

    /// What a job of a bot says in the session `to`. Its answer goes to `reply`.
    pub fn from_job(run: JobRun, name: &str, to: SessionKey, text: String, reply: ReplyTo, now: Timestamp) -> Inbound {
        let (sender, message) = (format!("{JOB_SENDER}{}", run.job), MessageId::of_run(run.job, run.scheduled));
        let said = Inbound::from_program(sender, name, to, message, text, reply, now);
        Inbound { job: Some(Box::new(run)), ..said }
    }

    fn from_program(
        sender: String,
        name: &str,
        to: SessionKey,
        message: MessageId,
        text: String,
        reply: ReplyTo,
        now: Timestamp,
    ) -> Inbound {
        let ReplyTo { account, bot, link, channel, address, parent, hops } = reply;
        Inbound {
            account,
            bot,
            link,
            channel,
            message,
            session: to,
            address,
            sender: Sender { id: sender, name: Some(name.to_owned()), username: None },
            is_owner: false,
            text,
            control: None,
            parent,
            job: None,
            hops,
            attachments: vec![],
            quote: None,
            album: None,
            sent_at: now,
            received_at: now,
        }
    }

    /// Whether this shows where its sender is: a person said it there. A decision about a tool's call shows nothing: it counts in
    /// the session of the turn that waits, and the API says it in that turn's place. Who only reacts to something says nothing.
    pub fn shows_place(&self) -> bool {
        self.is_from_person() && !matches!(self.control, Some(Control::Approve { .. } | Control::Event))
    }

    /// Whether a person said this, and neither another session of the bot nor one of its jobs.
    pub fn is_from_person(&self) -> bool {
        self.job.is_none() && self.sender.author().is_person()
    }
}

/// Names one thing to be sent: it is the deduplication id in `outbound.fifo` and the key of the
/// delivery's record, so that the same reply is not sent twice however often it is queued.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutboundId(String);

impl OutboundId {
    /// Part `part` (from 0) of what a turn says.
    pub fn reply(turn: TurnId, part: u32) -> OutboundId {
        OutboundId(format!("{turn}.{part}"))
    }

    /// What a tool call of a turn sends.
    pub fn tool(turn: TurnId, call: &str) -> OutboundId {
        OutboundId(format!("{turn}.{call}"))
    }

    /// The question whether calls of a turn may be run.
    pub fn question(turn: TurnId, code: &str) -> OutboundId {
        OutboundId(format!("{turn}.ask.{code}"))
    }

    /// The same question where its owner reads it, who did not write in the turn's chat.
    pub fn question_elsewhere(turn: TurnId, code: &str) -> OutboundId {
        OutboundId(format!("{turn}.ask-owner.{code}"))
    }

    /// A notice about a message that is not a turn's reply (a greeting, a pairing code, an apology).
    pub fn notice(kind: &'static str, message: &MessageId) -> OutboundId {
        OutboundId(format!("{kind}.{message}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OutboundId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One reply or notice on its way to a chat. Its text is Markdown; delivery renders the channel's
/// dialect and splits it to the channel's limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbound {
    pub id: OutboundId,
    pub account: AccountId,
    pub bot: BotId,
    pub link: LinkId,
    pub channel: Channel,
    pub address: Address,
    /// Markdown; may be empty when there are files.
    pub text: String,
    /// Files that are sent after the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// Buttons below the text, where the channel has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Button>,
    /// The session that is told this, instead of a chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Parent>>,
    /// The channel's id of the message that showed the text while it was written: the text takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<String>,
    /// The message that the same commit took in, whose mark is the record of this reply's delivery, too. `None`: the record is a
    /// row of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Box<Mark>>,
    pub created_at: Timestamp,
}

/// What is kept of a message that a session has taken in, so that it is taken in once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub session: SessionKey,
    pub message: MessageId,
}

/// A button below a message: who presses it sends the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    pub label: String,
    /// What is sent, such as `/approve K7Q2 once`; at most 64 bytes (Telegram's limit).
    pub command: String,
}

impl Outbound {
    /// The message group in `outbound.fifo`: what is said in one chat keeps its order.
    pub fn group(&self) -> String {
        format!("{}/{}", self.link, self.address.chat)
    }
}
