//! OpenAI's chat completions, which most providers and model servers speak.

use std::collections::HashSet;
use std::time::Duration;

use domain::turn::NO_REPLY;
use domain::{Answer, ToolCall, Usage};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Failure, MAX_DETAIL, ModelError, Secret, Tools, cost};
use crate::egress;
use crate::transcript::{Step, cut};

/// The longest response that is read, in bytes.
const MAX_RESPONSE: usize = 8 << 20;

/// One attempt.
pub(super) async fn ask(client: &Client, call: &Call<'_>) -> Result<Answer, Failure> {
    let body = body(call).to_string();
    let sent = body.len();
    let mut request =
        client.post(call.target.url("chat/completions")).header(CONTENT_TYPE, "application/json").body(body);
    if let Some(key) = call.key {
        request = request.bearer_auth(Secret::expose(key));
    }
    let unreachable = |error: reqwest::Error| match egress::describe(&error) {
        // Nothing was sent: the key has characters that no header can hold.
        detail if error.is_builder() => Failure::Stop(ModelError::permanent(detail, KEY_REFUSED)),
        // Once the request is out, the model may work on it, and its provider bill it.
        detail => Failure::Retry { detail, after: None, is_billed: !error.is_connect() },
    };
    let mut response = request.send().await.map_err(unreachable)?;
    let (status, after) = (response.status(), retry_after(response.headers()));
    let (bytes, cut_off) = egress::read_capped(&mut response, MAX_RESPONSE).await.map_err(unreachable)?;
    if !status.is_success() {
        return Err(refused(status, after, &bytes));
    }
    if cut_off {
        return Err(Failure::retry(format!("the response is longer than {MAX_RESPONSE} bytes")));
    }
    let mut answer = answer(&bytes, call.target.reference())?;
    let received = answer.text.len() + answer.tool_calls.iter().map(|call| call.arguments.len()).sum::<usize>();
    answer.cost = cost(call.price, &answer.usage, sent, received);
    if matches!(call.tools, Tools::None) {
        answer.tool_calls.clear();
        if matches!(answer.text.trim(), "" | NO_REPLY) {
            return Err(Failure::Retry { detail: "the summary is empty".to_owned(), after: None, is_billed: true });
        }
    }
    Ok(answer)
}

/// The request, in JSON.
pub(super) fn body(call: &Call<'_>) -> Value {
    let mut messages = vec![json!({ "role": "system", "content": call.system })];
    for step in &call.steps {
        push_step(&mut messages, step);
    }
    let mut body = json!({ "model": call.target.model, "messages": messages });
    if let Tools::Described { toolbox, may_call } = call.tools {
        let tools = toolbox.tools().iter().map(|tool| {
            let function = json!({ "name": tool.name, "description": tool.description, "parameters": tool.parameters });
            json!({ "type": "function", "function": function })
        });
        body["tools"] = tools.collect();
        // The tools stay in a request that may not call them: without them the provider's cache of the
        // conversation would be of no use, and some refuse calls in the history that they know no tool for.
        body["tool_choice"] = if may_call { "auto" } else { "none" }.into();
    }
    if let Some(max) = call.max_output {
        // OpenAI's newer models refuse the old name, and most others do not know the new one.
        let name = if call.target.provider == "openai" { "max_completion_tokens" } else { "max_tokens" };
        body[name] = max.into();
    }
    body
}

fn push_step(messages: &mut Vec<Value>, step: &Step<'_>) {
    match step {
        Step::User(text) => messages.push(json!({ "role": "user", "content": text })),
        Step::Assistant { text, calls } if calls.is_empty() => {
            messages.push(json!({ "role": "assistant", "content": text }));
        }
        Step::Assistant { text, calls } => {
            let content = (!text.is_empty()).then_some(text);
            let wanted: Vec<Value> = calls
                .iter()
                .map(|answered| {
                    let call = answered.call;
                    let function = json!({ "name": call.name, "arguments": valid_arguments(call) });
                    json!({ "id": call.id, "type": "function", "function": function })
                })
                .collect();
            messages.push(json!({ "role": "assistant", "content": content, "tool_calls": wanted }));
            messages.extend(calls.iter().map(
                |answered| json!({ "role": "tool", "tool_call_id": answered.call.id, "content": answered.result }),
            ));
        }
    }
}

/// Some servers parse the arguments in the history and refuse the whole request if they are malformed; the
/// tool's result has already told the model what was wrong.
fn valid_arguments(call: &ToolCall) -> &str {
    match serde_json::from_str::<Value>(&call.arguments) {
        Ok(Value::Object(_)) => &call.arguments,
        _ => "{}",
    }
}

// What is read of a response. All of it is optional: compatible servers leave out what they please.

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    choices: Vec<Choice>,
    usage: Option<TokenCounts>,
    /// Some gateways report failures with status 200.
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    content: Option<Content>,
    refusal: Option<String>,
    tool_calls: Option<Vec<WantedCall>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WantedCall {
    id: Option<String>,
    function: Function,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Function {
    name: String,
    /// Text that holds JSON; some servers send the JSON itself.
    arguments: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenCounts {
    prompt_tokens: u64,
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

fn answer(bytes: &[u8], model: String) -> Result<Answer, Failure> {
    let response: Response = serde_json::from_slice(bytes).map_err(|error| {
        let (beginning, _) = cut_lossy(bytes, 200);
        Failure::retry(format!("the response is not a chat completion ({error}): {beginning}"))
    })?;
    let Some(choice) = response.choices.into_iter().next() else {
        let said = response.error.map(|error| error_message(&error)).unwrap_or_else(|| "no choices".to_owned());
        return Err(Failure::retry(format!("the response has no answer: {said}")));
    };
    let text = match (choice.message.content, choice.message.refusal) {
        (Some(Content::Text(text)), _) if !text.is_empty() => text,
        (Some(Content::Parts(parts)), _) if !parts.is_empty() => parts.into_iter().map(|part| part.text).collect(),
        (_, refusal) => refusal.unwrap_or_default(),
    };
    let tool_calls = tool_calls(choice.message.tool_calls.unwrap_or_default());
    if text.trim().is_empty() && tool_calls.is_empty() {
        let reason = choice.finish_reason.as_deref().unwrap_or("none given");
        let detail = format!("the answer is empty (finish reason: {reason})");
        return Err(Failure::Retry { detail, after: None, is_billed: true });
    }
    let counts = response.usage.unwrap_or_default();
    let usage = Usage {
        input: counts.prompt_tokens,
        output: counts.completion_tokens,
        cached: counts.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0),
    };
    Ok(Answer { text, tool_calls, model, native: None, usage, cost: 0 })
}

/// Gives each call an id of its own: results are matched by it, and some servers leave it out.
fn tool_calls(wanted: Vec<WantedCall>) -> Vec<ToolCall> {
    let mut taken = HashSet::new();
    let mut calls = Vec::new();
    for (index, call) in wanted.into_iter().enumerate() {
        let mut id = call.id.unwrap_or_default();
        while id.is_empty() || !taken.insert(id.clone()) {
            id = format!("call_{index}{}", if id.is_empty() { String::new() } else { format!("_{id}") });
        }
        let arguments = match call.function.arguments {
            Value::String(text) => text,
            Value::Null => String::new(),
            json => json.to_string(),
        };
        calls.push(ToolCall { id, name: call.function.name, arguments });
    }
    calls
}

/// What a status other than success means.
fn refused(status: StatusCode, after: Option<Duration>, bytes: &[u8]) -> Failure {
    let error = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let error = error.get("error").unwrap_or(&error);
    let detail = match error_message(error) {
        message if message.is_empty() => format!("status {}", status.as_u16()),
        message => format!("status {}: {message}", status.as_u16()),
    };
    let stop = |detail: String, person: &str| Failure::Stop(ModelError::permanent(detail, person));
    match status.as_u16() {
        // OpenAI reports an empty account as a rate limit; waiting does not fill it.
        402 => stop(detail, NO_CREDIT),
        429 if error.get("code").and_then(Value::as_str) == Some("insufficient_quota") => stop(detail, NO_CREDIT),
        408 | 409 | 425 | 429 | 500.. => Failure::Retry { detail, after, is_billed: false },
        401 | 403 => stop(format!("the model provider refused the key ({detail})"), KEY_REFUSED),
        404 => stop(format!("the provider does not know this model or address ({detail})"), NOT_FOUND),
        _ => stop(format!("the model provider refused the request ({detail})"), REQUEST_REFUSED),
    }
}

const KEY_REFUSED: &str =
    "I can't reach my language model: its provider refused the key. My owner has to check the key.";
const NO_CREDIT: &str =
    "I can't reach my language model: its provider asks for payment. My owner has to check the account there.";
const NOT_FOUND: &str =
    "I can't reach my language model: its provider does not know it. My owner has to check the model's name.";
const REQUEST_REFUSED: &str =
    "My language model's provider refused to process this conversation. My owner can see what it said.";

/// What an error object says, shortened.
fn error_message(error: &Value) -> String {
    let message = match error {
        Value::String(text) => text.as_str(),
        other => other.get("message").and_then(Value::as_str).unwrap_or_default(),
    };
    cut(message, MAX_DETAIL).0.to_owned()
}

fn cut_lossy(bytes: &[u8], max: usize) -> (String, usize) {
    let text = String::from_utf8_lossy(bytes);
    let (beginning, rest) = cut(&text, max);
    (beginning.to_owned(), rest)
}

/// `retry-after-ms`, or `Retry-After` in seconds; a date (which no model provider sends) is not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|millis| millis / 1000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests;
