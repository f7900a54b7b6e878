//! Entries: the lines of a session's log, which is also the journal of its turns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message::{Attachment, Channel, Quote, Sender};
use crate::{Control, EntryId, Inbound, Media, MessageId, Timestamp, TurnId};

/// One line of a session's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the log, from 0, without gaps.
    pub seq: u64,
    pub id: EntryId,
    /// The turn that wrote it.
    pub turn: TurnId,
    pub at: Timestamp,
    #[serde(flatten)]
    pub body: EntryBody,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EntryBody {
    /// What a person wrote.
    User(UserMessage),
    /// Something that a person did and that nobody answers, such as a reaction. The model is told of it with what comes next.
    Event(UserMessage),
    /// What the model answered, with the tool calls that it asked for.
    Assistant(Answer),
    /// What one tool call gave.
    ToolResult(ToolResult),
    /// These calls wait for the owner's word; `text` is the question, in Markdown. It stands until the calls have results.
    Asked { code: String, calls: Vec<String>, text: String, until: Timestamp },
    /// The turn ended without an answer. `text` is what the person was told; `detail` is for the owner.
    Failed { text: String, detail: String },
    /// What the bot said by itself, without a model: the answer to a command, a refusal for want of budget.
    Notice { text: String },
    /// The turn was ended before it had an answer. Nothing is said to the person.
    Stopped { by: StoppedBy },
    /// The conversation begins anew here: what is above is kept and not shown to the model.
    Reset { reason: ResetReason },
    /// What is above `first_kept` is shown to the model as this summary.
    Compaction {
        summary: String,
        first_kept: u64,
        tokens_before: u64,
        model: String,
        usage: Usage,
        /// In micro-dollars, as in [`Answer`].
        #[serde(default, skip_serializing_if = "is_zero")]
        cost: u64,
    },
    /// Messages that were left out because too many waited; `summary` is what the model is told of them, if anything.
    Dropped { messages: Vec<UserMessage>, summary: Option<String> },
}

/// Who ended a turn before it had an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoppedBy {
    /// `/stop` or `/new`.
    Person,
    /// A newer message, in the queue mode `interrupt`.
    Message,
}

/// Why a conversation begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResetReason {
    /// The person wrote `/new`.
    New,
    /// The person wrote `/reset`.
    Reset,
    /// A new day began, by the bot's clock.
    Daily,
    /// Nobody wrote for a while.
    Idle,
}

/// What a person wrote, as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserMessage {
    pub message: MessageId,
    pub channel: Channel,
    pub sender: Sender,
    pub text: String,
    /// It was a command to the engine: people see it, the model does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_command: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    pub sent_at: Timestamp,
    /// When the door had it, by our clock. `None` in logs that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Timestamp>,
}

impl UserMessage {
    /// A message as a log keeps it.
    pub fn of(inbound: &Inbound) -> UserMessage {
        UserMessage {
            message: inbound.message.clone(),
            channel: inbound.channel,
            sender: inbound.sender.clone(),
            text: inbound.text.clone(),
            is_command: inbound.control.as_ref().is_some_and(|control| *control != Control::Event),
            attachments: inbound.attachments.clone(),
            quote: inbound.quote.clone(),
            sent_at: inbound.sent_at,
            received_at: Some(inbound.received_at),
        }
    }
}

/// One answer of a model: text for the person, tool calls, or both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Markdown; may be empty when there are tool calls.
    #[serde(default)]
    pub text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The answer as the provider wants it back, where text and calls are not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Native>,
    /// `provider/model` that answered.
    pub model: String,
    #[serde(default)]
    pub usage: Usage,
    /// What the call cost, in micro-dollars, by the model's price; 0 if that is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cost: u64,
}

/// An answer in its provider's own form: signed thoughts, and ids that the provider asks for. Sent back to the
/// same model as it is, and shown to nobody else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Native {
    /// Which protocol's form it is, such as `anthropic-messages`.
    pub api: String,
    /// The model that wrote it, by its name on the wire.
    pub model: String,
    pub content: serde_json::Value,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl EntryBody {
    /// Whether a turn ends with this: an answer without tool calls, or anything said in place of one.
    pub fn is_final(&self) -> bool {
        match self {
            EntryBody::Assistant(answer) => answer.tool_calls.is_empty(),
            EntryBody::Failed { .. }
            | EntryBody::Notice { .. }
            | EntryBody::Stopped { .. }
            | EntryBody::Event(_)
            | EntryBody::Dropped { .. } => true,
            EntryBody::User(_)
            | EntryBody::ToolResult(_)
            | EntryBody::Asked { .. }
            | EntryBody::Reset { .. }
            | EntryBody::Compaction { .. } => false,
        }
    }

    /// The tokens that it took to write this, and what they cost in micro-dollars; `None` if no model was asked for it.
    pub fn taken(&self) -> Option<(Usage, u64)> {
        match self {
            EntryBody::Assistant(answer) => Some((answer.usage, answer.cost)),
            EntryBody::Compaction { usage, cost, .. } => Some((*usage, *cost)),
            EntryBody::ToolResult(result) => result.asked.as_ref().map(|asked| (asked.usage, asked.cost)),
            _ => None,
        }
    }

    /// The messages that the entry takes in.
    pub fn messages(&self) -> &[UserMessage] {
        match self {
            EntryBody::User(user) | EntryBody::Event(user) => std::slice::from_ref(user),
            EntryBody::Dropped { messages, .. } => messages,
            _ => &[],
        }
    }
}

/// A tool call that a model asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The model's own id of the call; its result names it.
    pub id: String,
    pub name: String,
    /// JSON as the model wrote it; it may be malformed, and the tool's answer then says so.
    pub arguments: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResult {
    /// [`ToolCall::id`].
    pub call: String,
    pub name: String,
    pub outcome: ToolOutcome,
    /// What the model reads.
    pub text: String,
    /// Pictures that a model that sees is shown with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// The model that the tool asked, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<AskedModel>,
}

/// A model that a tool asked, and what that took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AskedModel {
    /// `provider/model` that answered.
    pub model: String,
    pub usage: Usage,
    /// In micro-dollars, as in [`Answer`].
    #[serde(skip_serializing_if = "is_zero")]
    pub cost: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToolOutcome {
    Ok,
    Error,
    /// The worker died while the tool ran, and the tool may not be repeated.
    Unknown,
}

/// Tokens that a model call took, as the provider reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the request, cached ones included.
    pub input: u64,
    /// Tokens that the model wrote.
    pub output: u64,
    /// Tokens of the request that came from the provider's cache.
    pub cached: u64,
    /// Tokens of the request that the provider wrote to its cache and charges for.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_written: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, rhs: Usage) {
        self.input += rhs.input;
        self.output += rhs.output;
        self.cached += rhs.cached;
        self.cache_written += rhs.cache_written;
    }
}
