//! The shapes of web chat, of a session's log and of sessions.

use domain::{
    Author, Channel, MessageId, QueueSettings, ResetReason, Sender, SessionKey, StoppedBy, Timestamp, ToolOutcome,
    TurnId, Usage,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/bots/{bot}/chat`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatSend {
    /// What is said, in Markdown; or a command such as `/stop`. Empty only where files come with it.
    pub text: String,
    /// A conversation of its own; left out: the bot's main session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Names the message within its conversation: the same id again is the same message again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Files that come with it, ten at most, of 3.5 MB together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ChatFile>,
}

/// A file that comes with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatFile {
    /// What it is called.
    pub name: String,
    /// Its media type; what its bytes say goes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// Its bytes, in base64.
    pub data: String,
}

/// A kept file of an entry. `GET /v1/bots/{bot}/media/{media}` gives its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptFile {
    /// The SHA-256 of its bytes: `GET /v1/bots/{bot}/media/{media}` gives them.
    pub id: String,
    /// Its media type.
    pub mime: String,
    /// In bytes.
    pub size: u64,
    /// What it was called where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The message is queued, and is answered in the log of `session`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChatAccepted {
    pub message: MessageId,
    pub session: SessionKey,
    /// `after` for the first `GET …/chat`: everything that comes of the message is from here on, unless it
    /// was sent before with the same id.
    pub next: u64,
}

/// `GET /v1/bots/{bot}/chat`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DraftView {
    /// Its text so far. It may be taken back when a model is asked again.
    pub text: String,
}

/// The event `draft` of `GET /v1/bots/{bot}/chat/events`: all of an answer that is being written, as far as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChatDraft {
    pub turn: TurnId,
    /// Its text so far; empty: there is no draft any more.
    pub text: String,
}

/// The event `state` of `GET /v1/bots/{bot}/chat/events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChatState {
    /// A turn has begun and has not ended.
    pub busy: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    User,
    /// Something that `sender` did and that nobody answers, such as a reaction.
    Event,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntryView {
    /// Its place in the log, from 0 on.
    pub seq: u64,
    pub at: Timestamp,
    pub turn: TurnId,
    /// Whose line it is.
    pub kind: EntryKind,
    /// What was said; of a tool, what the model reads; of a compaction and of dropped messages, the summary.
    pub text: String,
    /// `user`, `event`: the message that this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// `user`, `event`: where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// `user`, `event`: whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Sender>,
    /// `user`: whose words these are; left out if they are a person's.
    #[serde(default, skip_serializing_if = "Author::is_person")]
    pub author: Author,
    /// `user`: it was a command to the engine, such as `/stop`; the model does not see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub command: bool,
    /// `assistant`: it says that nobody is to hear it (`NO_REPLY`, `HEARTBEAT_OK`), so chats do not show it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// `dropped`: the messages that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageId>,
    /// `user`: what came with it; `tool_result`: what the tool made or found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<KeptFile>,
    /// `assistant`: what it wants to have run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallView>,
    /// `tool_result`: the tool's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// `tool_result`: how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ToolOutcome>,
    /// `assistant`, `compaction`: `provider/model` that answered. `tool_result`: the model that the tool asked, if it
    /// did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of the same: tokens of this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Of the same: what the call cost, in micro-dollars; left out if that is 0 or not known.
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

/// `GET /v1/bots/{bot}/sessions/{session}/entries`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntryPage {
    /// Oldest first.
    pub items: Vec<EntryView>,
    /// `cursor` for the next request; `null`: the log ends here.
    pub next: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCallView {
    /// The tool's name.
    pub name: String,
    /// JSON as the model wrote it; may be malformed.
    pub arguments: String,
}

/// `GET /v1/bots/{bot}/sessions/{session}/turns`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnsPage {
    /// Newest first.
    pub items: Vec<TurnView>,
    /// `before` for the next request, which shows older turns; `null`: there are none.
    pub next: Option<u64>,
}

/// What one turn took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnView {
    pub turn: TurnId,
    /// Its first entry in the log.
    pub seq: u64,
    /// When it began.
    pub at: Timestamp,
    /// Calls of models that are in the log, those for summaries included.
    pub model_calls: u64,
    /// Calls of tools that the models asked for.
    pub tool_calls: u64,
    /// All tokens of its model calls.
    pub usage: Usage,
    /// What its model calls cost, in micro-dollars, as far as prices are known.
    pub cost: u64,
    /// `provider/model` of each model that answered.
    pub models: Vec<String>,
    /// What it spent its time on, from the acceptance of its message to the delivery of its answer, in their order. Tools that ran
    /// at once overlap.
    #[serde(default)]
    pub steps: Vec<StepView>,
}

/// A part of a turn's time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// What was done.
    pub kind: StepKind,
    /// Of a model or a tool: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What it cost, in micro-dollars, as far as the price is known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cost: u64,
}

/// What a turn spends its time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// The accepted message waited until a worker had it and its session.
    Queued,
    /// What came with the message was read.
    Loaded,
    /// A model answered.
    Model,
    /// A model summed up what was said before.
    Summary,
    /// A tool ran.
    Tool,
    /// The owner was waited for.
    Approval,
    /// Something was tried that failed for good.
    Failed,
    /// The answer was on its way until the channel had taken it; not told of channels that are read from the log, and for
    /// seven days.
    Delivered,
}

/// One line of `GET /v1/bots/{bot}/sessions`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    pub session: SessionKey,
    pub created_at: Timestamp,
}

/// `GET /v1/bots/{bot}/sessions/{session}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
