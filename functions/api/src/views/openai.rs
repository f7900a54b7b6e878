//! The shapes of the routes that speak as `OpenAI` does. What clients send beside this is not looked at: a bot has its own
//! settings.

use domain::Usage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/models`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelList {
    /// `list`
    pub object: String,
    /// The account's bots.
    pub data: Vec<ModelEntry>,
}

/// A bot, as a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelEntry {
    /// The bot's name: what requests give as `model`. Its id is understood, too.
    pub id: String,
    /// `model`
    pub object: String,
    /// When the bot was made, in seconds since the Unix epoch.
    pub created: u64,
    /// `lowtide`
    pub owned_by: String,
}

/// `POST /v1/chat/completions`
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct CompletionCreate {
    /// The bot: its name or its id, also as `lowtide/NAME` or `openclaw/NAME`.
    pub model: String,
    /// The conversation so far. The bot remembers it by itself: what is new is what follows the last answer.
    pub messages: Vec<MessageIn>,
    /// Whether the answer comes as it is written, as server-sent events that end with `[DONE]`.
    #[serde(default)]
    pub stream: Option<bool>,
    /// What a stream tells beside the answer.
    #[serde(default)]
    pub stream_options: Option<StreamOptions>,
    /// Who speaks: all requests with the same name are one session, whatever history they bring.
    #[serde(default)]
    pub user: Option<String>,
    /// How many answers; a bot gives one.
    #[serde(default)]
    pub n: Option<u32>,
    /// Tools of the client; a bot has its own, so that there must be none.
    #[serde(default)]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    pub tools: Option<Vec<serde_json::Value>>,
    /// What the answer is to look like; a bot writes text.
    #[serde(default)]
    pub response_format: Option<ResponseFormat>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct StreamOptions {
    /// Whether the last chunk says what the answer took.
    #[serde(default)]
    pub include_usage: Option<bool>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ResponseFormat {
    /// `text`
    #[serde(rename = "type")]
    pub kind: String,
}

/// One message of a conversation that a client repeats.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MessageIn {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What is said.
    #[serde(default)]
    pub content: Option<ContentIn>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ContentIn {
    /// Text alone.
    Text(String),
    /// Text and pictures.
    Parts(Vec<PartIn>),
}

impl From<String> for ContentIn {
    fn from(text: String) -> ContentIn {
        ContentIn::Text(text)
    }
}

/// A part of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartIn {
    /// `text` or `image_url`; in responses `input_text`, `output_text` or `input_image`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<ImageIn>,
}

/// A picture, as a data URL: `data:image/png;base64,…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ImageIn {
    /// As responses have it.
    Url(String),
    /// As chat completions have it.
    Image {
        /// The data URL.
        url: String,
    },
}

/// The answer to `POST /v1/chat/completions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Completion {
    /// Names the answer: the id of the message that it answers, behind `chatcmpl-`.
    pub id: String,
    /// `chat.completion`
    pub object: String,
    /// In seconds since the Unix epoch.
    pub created: u64,
    /// As it was asked for.
    pub model: String,
    /// The answer alone.
    pub choices: Vec<Choice>,
    /// What all model calls behind the answer took.
    pub usage: CompletionUsage,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// 0
    pub index: u32,
    /// The answer.
    pub message: MessageOut,
    /// `stop`: the bot has said what it has to say.
    pub finish_reason: String,
    /// `null`
    pub logprobs: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageOut {
    /// `assistant`
    pub role: String,
    /// In Markdown; empty where the bot chose not to answer.
    pub content: String,
    /// `null`
    pub refusal: Option<String>,
}

/// A part of a streamed answer: the data of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chunk {
    /// The same in all chunks.
    pub id: String,
    /// `chat.completion.chunk`
    pub object: String,
    /// In seconds since the Unix epoch.
    pub created: u64,
    /// As it was asked for.
    pub model: String,
    /// What is new; empty in the chunk with the usage.
    pub choices: Vec<ChunkChoice>,
    /// In the last chunk, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<CompletionUsage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkChoice {
    /// 0
    pub index: u32,
    /// What is new.
    pub delta: Delta,
    /// `stop` in the last one with a choice.
    pub finish_reason: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delta {
    /// `assistant`, in the first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// More of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Tokens of all model calls behind an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompletionUsage {
    /// Tokens of the requests, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens that models wrote.
    pub completion_tokens: u64,
    /// Both together.
    pub total_tokens: u64,
    /// Of the requests' tokens.
    pub prompt_tokens_details: PromptTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromptTokens {
    /// Those that came from a provider's cache.
    pub cached_tokens: u64,
}

impl From<Usage> for CompletionUsage {
    fn from(usage: Usage) -> CompletionUsage {
        CompletionUsage {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
            prompt_tokens_details: PromptTokens { cached_tokens: usage.cached },
        }
    }
}

/// What an error of these routes says beside the problem, for clients that know `OpenAI`'s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenAiErrorView {
    /// The problem's `detail`.
    pub message: String,
    /// `invalid_request_error`, `authentication_error`, `permission_error`, `rate_limit_error` or `server_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `null`
    pub code: Option<String>,
    /// `null`
    pub param: Option<String>,
}
