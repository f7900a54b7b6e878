//! The shapes of `/v1/responses`. What clients send beside this is not looked at: a bot has its own settings.

use domain::Usage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::openai::MessageIn;

/// `POST /v1/responses`
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ResponseCreate {
    /// The bot: its name or its id, also as `lowtide/NAME` or `openclaw/NAME`.
    pub model: String,
    /// What is said.
    pub input: InputIn,
    /// What a new session is told of its task; one that goes on knows it.
    #[serde(default)]
    pub instructions: Option<String>,
    /// The `id` of the answer that this follows: its session goes on.
    #[serde(default)]
    pub previous_response_id: Option<String>,
    /// Whether the answer comes as it is written, as server-sent events.
    #[serde(default)]
    pub stream: Option<bool>,
    /// Who speaks: all requests with the same name are one session, whatever history they bring.
    #[serde(default)]
    pub user: Option<String>,
    /// Tools of the client; a bot has its own, so that there must be none.
    #[serde(default)]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    pub tools: Option<Vec<serde_json::Value>>,
}

/// What is said.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum InputIn {
    /// One message of the user.
    Text(String),
    /// The conversation so far.
    Messages(Vec<MessageIn>),
}

/// The answer to `POST /v1/responses`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResponseView {
    /// Names the answer, for `previous_response_id`: the id of the message that it answers, behind `resp_`.
    pub id: String,
    /// `response`
    pub object: String,
    /// In seconds since the Unix epoch.
    pub created_at: u64,
    /// `in_progress` or `completed`.
    pub status: String,
    /// As it was asked for.
    pub model: String,
    /// As it was given.
    pub instructions: Option<String>,
    /// As it was given.
    pub previous_response_id: Option<String>,
    /// The answer alone.
    pub output: Vec<OutputView>,
    /// `null`
    pub error: Option<String>,
    /// `null`
    pub incomplete_details: Option<String>,
    /// What all model calls behind the answer took; `null` while it is written.
    pub usage: Option<ResponseUsage>,
    /// None: a bot runs tools of its own, and does not show them here.
    pub tools: Vec<String>,
    /// `none`
    pub tool_choice: String,
    /// `false`
    pub parallel_tool_calls: bool,
}

/// What a bot says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputView {
    /// Names it.
    pub id: String,
    /// `message`
    #[serde(rename = "type")]
    pub kind: String,
    /// `in_progress` or `completed`.
    pub status: String,
    /// `assistant`
    pub role: String,
    /// Its text alone.
    pub content: Vec<OutputPart>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputPart {
    /// `output_text`
    #[serde(rename = "type")]
    pub kind: String,
    /// In Markdown; empty where the bot chose not to answer.
    pub text: String,
    /// None.
    pub annotations: Vec<String>,
}

/// Tokens of all model calls behind an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResponseUsage {
    /// Tokens of the requests, cached ones included.
    pub input_tokens: u64,
    /// Of them.
    pub input_tokens_details: InputTokens,
    /// Tokens that models wrote.
    pub output_tokens: u64,
    /// Both together.
    pub total_tokens: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputTokens {
    /// Those that came from a provider's cache.
    pub cached_tokens: u64,
}

impl From<Usage> for ResponseUsage {
    fn from(usage: Usage) -> ResponseUsage {
        ResponseUsage {
            input_tokens: usage.input,
            input_tokens_details: InputTokens { cached_tokens: usage.cached },
            output_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
        }
    }
}
