//! The shapes of web chat, of a session's log and of sessions.

use domain::{
    Channel, MessageId, QueueSettings, ResetReason, Sender, SessionKey, StoppedBy, Timestamp, ToolOutcome, TurnId,
    Usage,
};
use serde::{Deserialize, Serialize};

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
    /// The answer that is being written, as far as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<DraftView>,
}

/// An answer that is being written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftView {
    /// Its text so far. It may be taken back when a model is asked again.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    User,
    Assistant,
    ToolResult,
    /// The turn waits for the owner to approve what a tool is to do.
    Asked,
    /// The turn ended without an answer, and the person was told so.
    Failed,
    /// The bot's own words, without a model: the answer to a command, a refusal for want of budget.
    Notice,
    /// The turn was ended before it had an answer.
    Stopped,
    /// The conversation begins anew here.
    Reset,
    /// The model knows what is above by a summary from here on.
    Compaction,
    /// Messages were left out because too many waited.
    Dropped,
}

/// One line of a session's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryView {
    pub seq: u64,
    pub at: Timestamp,
    pub turn: TurnId,
    pub kind: EntryKind,
    /// What was said; of a tool, what the model reads; of a compaction and of dropped messages, the summary.
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
    /// `user`: it was a command to the engine, such as `/stop`; the model does not see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub command: bool,
    /// `dropped`: the messages that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageId>,
    /// `assistant`: what it wants to have run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallView>,
    /// `tool_result`: the tool's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// `tool_result`: how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ToolOutcome>,
    /// `assistant`, `compaction`: `provider/model` that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `assistant`, `compaction`: tokens of this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// `assistant`, `compaction`: what the call cost, in micro-dollars; left out if that is 0 or not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cost: u64,
    /// `stopped`: who ended the turn, `person` or `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<StoppedBy>,
    /// `reset`: `new`, `reset`, `daily` or `idle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_reason: Option<ResetReason>,
    /// `asked`: what `/approve` takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `failed`: why, for the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The turn ends with this: an answer without tool calls, or what stands in place of one.
    #[serde(rename = "final")]
    pub is_final: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(cost: &u64) -> bool {
    *cost == 0
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallView {
    pub name: String,
    /// JSON as the model wrote it; may be malformed.
    pub arguments: String,
}

/// `GET /v1/bots/{bot}/sessions/{session}/turns`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnsPage {
    /// Newest first.
    pub items: Vec<TurnView>,
    /// `before` for the next request, which shows older turns; `null`: there are none.
    pub next: Option<u64>,
}

/// What one turn took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnView {
    pub turn: TurnId,
    /// Its first entry in the log.
    pub seq: u64,
    /// When it began.
    pub at: Timestamp,
    /// Calls of models that are in the log, those for summaries included.
    pub model_calls: u64,
    pub tool_calls: u64,
    /// All tokens of its model calls.
    pub usage: Usage,
    /// What its model calls cost, in micro-dollars, as far as prices are known.
    pub cost: u64,
    /// `provider/model` of each model that answered.
    pub models: Vec<String>,
}

/// One line of `GET /v1/bots/{bot}/sessions`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    pub session: SessionKey,
    pub created_at: Timestamp,
}

/// `GET /v1/bots/{bot}/sessions/{session}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPage {
    pub session: SessionKey,
    /// How many entries its log has.
    pub entries: u64,
    /// All tokens so far.
    pub usage: Usage,
    /// What its models cost so far, in micro-dollars, as far as their prices are known.
    pub cost: u64,
    /// The session's own settings, made with `/queue`; `null`: the bot's.
    pub queue: Option<QueueSettings>,
    /// A turn has begun and has not ended.
    pub busy: bool,
    pub updated_at: Timestamp,
}
