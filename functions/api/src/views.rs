//! The JSON shapes of the API: what requests and answers look like. The terminal reads and writes the same types.
//!
//! Points in time are milliseconds since the Unix epoch. Secrets go in and never come out.

use domain::turn::QueueMode;
use domain::{
    AccessPolicy, AccountId, BotId, BotStatus, Channel, DeadLetterId, LinkId, LinkStatus, MessageId, Sender,
    SessionKey, SessionScope, Task, Timestamp, ToolOutcome, TurnId, Usage,
};
use serde::{Deserialize, Deserializer, Serialize};
use store::DeadLetterStatus;

/// `GET /health`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`
    pub status: String,
    pub version: String,
}

/// The body of every error, as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    /// `about:blank`: the status says all there is to the kind.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// What happened and what to do about it.
    pub detail: String,
}

/// Every list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Items<T> {
    pub items: Vec<T>,
}

/// `GET /v1/account`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    pub id: AccountId,
    pub name: String,
}

/// A bot. Its version is the `ETag` of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotView {
    pub id: BotId,
    pub name: String,
    pub status: BotStatus,
    /// The agent id in session keys.
    pub agent: String,
    pub model: ModelView,
    /// IANA name.
    pub time_zone: String,
    pub dm_scope: SessionScope,
    pub queue_mode: QueueMode,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What `If-Match` compares.
    pub version: u64,
}

/// Which model a bot uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelView {
    /// `provider/model`; `null` is the built-in demo.
    pub model: Option<String>,
    /// `null`: the provider's own.
    pub base_url: Option<String>,
    pub has_api_key: bool,
}

/// `POST /v1/bots`
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BotCreate {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelPatch>,
    /// IANA name; UTC unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dm_scope: Option<SessionScope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_mode: Option<QueueMode>,
}

/// `PATCH /v1/bots/{bot}`: what is left out stays as it is.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BotPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelPatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dm_scope: Option<SessionScope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_mode: Option<QueueMode>,
}

/// Changes to a bot's model. Outer `None`: leave it; inner `None` (`null` in JSON): clear it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPatch {
    /// `provider/model`
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub model: Option<Option<String>>,
    /// Base URL of an OpenAI-compatible API, up to and including `/v1`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Option<String>>,
    /// The provider's key.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Option<String>>,
}

/// Tells `null` from what is left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A bot's login on a channel. Its version is the `ETag` of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    pub id: LinkId,
    pub bot: BotId,
    pub channel: Channel,
    pub status: LinkStatus,
    /// The bot's handle on the channel, without `@`.
    pub handle: Option<String>,
    pub access: AccessPolicy,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What `If-Match` compares.
    pub version: u64,
    /// What became of the webhook; only in the answer to a request that gave a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookView>,
}

/// Whether the channel will call us, and what to do if it will not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookView {
    pub registered: bool,
    /// The path that the channel calls, below the public URL of the deployment.
    pub path: String,
    /// The secret that the channel sends with every call; only if it was not registered, so that the
    /// owner can do so by hand, and only this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// `POST /v1/bots/{bot}/links`
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkCreate {
    pub channel: Channel,
    /// The channel's token for the bot.
    pub token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessPolicy>,
}

/// `PATCH /v1/bots/{bot}/links/{link}`: what is left out stays as it is. `access` replaces all rules.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessPolicy>,
}

/// A stranger who waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairingView {
    pub code: String,
    pub sender: Sender,
    pub requested_at: Timestamp,
}

/// `POST …/pairings/approve`; the answer is [`PairingApproved`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairingApprove {
    pub code: String,
}

/// Who was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairingApproved {
    pub sender: Sender,
    /// Whether a greeting is on its way to them.
    pub greeted: bool,
}

/// `POST /v1/bots/{bot}/chat`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatSend {
    pub text: String,
    /// A conversation of its own; left out: the bot's main session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Names the message within its conversation: the same id again is the same message again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The message is queued, and is answered in the log of `session`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatAccepted {
    pub message: MessageId,
    pub session: SessionKey,
    /// `after` for the first `GET …/chat`: everything that comes of the message is from here on, unless it
    /// was sent before with the same id.
    pub next: u64,
}

/// `GET /v1/bots/{bot}/chat`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatPage {
    pub session: SessionKey,
    /// Oldest first.
    pub items: Vec<EntryView>,
    /// `after` for the next request.
    pub next: u64,
    /// A turn has begun and has not ended. A message that was just queued does not show yet.
    pub busy: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    User,
    Assistant,
    ToolResult,
    Failed,
}

/// One line of a session's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryView {
    pub seq: u64,
    pub at: Timestamp,
    pub turn: TurnId,
    pub kind: EntryKind,
    /// What was said; of a tool, what the model reads.
    pub text: String,
    /// `user`: the message that this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// `user`: where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// `user`: who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Sender>,
    /// `assistant`: what it wants to have run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallView>,
    /// `tool_result`: the tool's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// `tool_result`: how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ToolOutcome>,
    /// `assistant`: `provider/model` that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `assistant`: tokens of this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// `failed`: why, for the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The turn ends with this: an answer without tool calls, or a failure.
    #[serde(rename = "final")]
    pub is_final: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallView {
    pub name: String,
    /// JSON as the model wrote it; may be malformed.
    pub arguments: String,
}

/// One line of `GET /v1/bots/{bot}/sessions`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    pub session: SessionKey,
    pub created_at: Timestamp,
}

/// One line of `GET /v1/bots/{bot}/files`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileView {
    pub name: String,
    /// Changes when the file's text does.
    pub tag: String,
}

/// A task that failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterView {
    pub id: DeadLetterId,
    pub bot: BotId,
    /// The queue that the task came from: `turns` or `outbound`.
    pub queue: String,
    /// Why it is here.
    pub reason: String,
    pub failed_at: Timestamp,
    pub status: DeadLetterStatus,
    pub version: u64,
    /// What was to be done; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
}
