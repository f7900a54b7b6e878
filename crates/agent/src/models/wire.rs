//! Wire protocols: how a [`Call`] is written, and how an answer is read. They do no I/O.
//!
//! | protocol | path | pictures of tool results | prompt cache |
//! | --- | --- | --- | --- |
//! | `openai-completions` | `chat/completions` | in a user's message after all results | the provider's own |
//! | `openai-responses` | `responses` | in the result | by key |
//! | `anthropic-messages` | `messages` | in the result | up to four marks |
//! | `google-generative-ai` | `models/MODEL:streamGenerateContent` | in a user's message after all results | the provider's own |
//! | `bedrock-converse-stream` | `model/MODEL/converse-stream` | in the result | up to four points, for Claude and Nova |

use domain::account::ModelApi;
use serde_json::{Value, json};

use super::call::Call;
use super::draft::Draft;
use super::frames::Frame;
use super::{Failure, anthropic, bedrock, gemini, openai_chat, openai_responses};

/// A request, but for its authorization by AWS.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Below the base URL.
    pub(super) path: String,
    pub(super) query: Option<(&'static str, &'static str)>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

/// Reads one answer.
pub(super) trait Fold: Send {
    /// Takes a part of a streamed answer.
    fn frame(&mut self, draft: &mut Draft, frame: Frame) -> Result<(), Failure>;

    /// Takes an answer that was not streamed.
    fn whole(&mut self, draft: &mut Draft, answer: &Value) -> Result<(), Failure>;
}

/// The call as its protocol writes it.
pub(super) fn outgoing(call: &Call<'_>) -> Outgoing {
    match call.target.api {
        ModelApi::OpenaiCompletions => openai_chat::outgoing(call),
        ModelApi::OpenaiResponses => openai_responses::outgoing(call),
        ModelApi::AnthropicMessages => anthropic::outgoing(call),
        ModelApi::GoogleGenerativeAi => gemini::outgoing(call),
        ModelApi::BedrockConverseStream => bedrock::outgoing(call),
    }
}

pub(super) fn fold(api: ModelApi) -> Box<dyn Fold> {
    match api {
        ModelApi::OpenaiCompletions => Box::<openai_chat::Reader>::default(),
        ModelApi::OpenaiResponses => Box::<openai_responses::Reader>::default(),
        ModelApi::AnthropicMessages => Box::<anthropic::Reader>::default(),
        ModelApi::GoogleGenerativeAi => Box::<gemini::Reader>::default(),
        ModelApi::BedrockConverseStream => Box::<bedrock::Reader>::default(),
    }
}

/// The name by which a protocol's own form of answers is kept.
pub(super) fn name(api: ModelApi) -> &'static str {
    match api {
        ModelApi::OpenaiCompletions => "openai-completions",
        ModelApi::OpenaiResponses => "openai-responses",
        ModelApi::AnthropicMessages => "anthropic-messages",
        ModelApi::GoogleGenerativeAi => "google-generative-ai",
        ModelApi::BedrockConverseStream => "bedrock-converse-stream",
    }
}

/// How many tool calls are in an answer's own form; `None` where it has none of them.
pub(super) fn native_calls(api: ModelApi, content: &Value) -> Option<usize> {
    let is_call: fn(&Value) -> bool = match api {
        ModelApi::OpenaiCompletions => return None,
        ModelApi::OpenaiResponses => |item| item["type"] == "function_call",
        ModelApi::AnthropicMessages => |block| block["type"] == "tool_use",
        ModelApi::GoogleGenerativeAi => |part| part.get("functionCall").is_some(),
        ModelApi::BedrockConverseStream => |block| block.get("toolUse").is_some(),
    };
    Some(content.as_array().into_iter().flatten().filter(|part| is_call(part)).count())
}

/// Whether a protocol's models can be shown pictures of this type: what they cannot be shown makes them refuse all.
pub(super) fn takes_picture(api: ModelApi, mime: &str) -> bool {
    match api {
        ModelApi::GoogleGenerativeAi => matches!(mime, "image/png" | "image/jpeg" | "image/webp"),
        _ => matches!(mime, "image/png" | "image/jpeg" | "image/gif" | "image/webp"),
    }
}

/// Messages whose roles alternate, the first and the last of which are a user's, as some protocols demand.
#[derive(Debug, Default)]
pub(super) struct Alternating(Vec<(Role, Vec<Value>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Assistant,
}

impl Alternating {
    pub(super) fn push(&mut self, role: Role, parts: Vec<Value>) {
        match self.0.last_mut() {
            _ if parts.is_empty() => {}
            Some((last, before)) if *last == role => before.extend(parts),
            _ => self.0.push((role, parts)),
        }
    }

    /// The messages; `text` makes a part of a text.
    pub(super) fn finish(mut self, text: fn(&str) -> Value) -> Vec<(Role, Vec<Value>)> {
        if self.0.first().is_none_or(|(role, _)| *role == Role::Assistant) {
            self.0.insert(0, (Role::User, vec![text("[The conversation begins here.]")]));
        }
        if self.0.last().is_some_and(|(role, _)| *role == Role::Assistant) {
            self.0.push((Role::User, vec![text("[Go on.]")]));
        }
        self.0
    }
}

/// As [`Alternating::finish`] gives them, in the words of Anthropic and Bedrock.
pub(super) fn role_and_content(messages: Vec<(Role, Vec<Value>)>) -> Value {
    let message = |(role, content)| {
        let role = if role == Role::User { "user" } else { "assistant" };
        json!({ "role": role, "content": content })
    };
    messages.into_iter().map(message).collect()
}

/// Where the two newest messages of a user end: marked there, this request's conversation is cached and the last one's
/// found.
pub(super) fn cache_places(messages: &[(Role, Vec<Value>)]) -> Vec<usize> {
    let users = messages.iter().enumerate().rev().filter(|(_, (role, _))| *role == Role::User);
    users.map(|(at, _)| at).take(2).collect()
}
