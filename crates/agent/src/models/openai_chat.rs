//! OpenAI's chat completions, which most providers and model servers speak.

use domain::Media;
use serde_json::{Value, json};

use super::call::Call;
use super::draft::{Draft, DraftCall, count, object, text};
use super::exchange::reported;
use super::frames::{Data, Frame};
use super::wire::{Fold, Outgoing};
use super::{Failure, Secret, thinking};
use crate::transcript::Step;

/// Said where a server does not say why its model ended.
const NO_REASON: &str = "none given";

pub(super) fn outgoing(call: &Call<'_>) -> Outgoing {
    let headers = call.key.map(|key| ("authorization", format!("Bearer {}", Secret::expose(key))));
    Outgoing {
        path: "chat/completions".to_owned(),
        query: None,
        headers: headers.into_iter().collect(),
        body: body(call),
    }
}

fn body(call: &Call<'_>) -> Value {
    let provider = call.target.provider;
    let mut messages = vec![json!({ "role": "system", "content": call.system })];
    for step in &call.steps {
        push_step(&mut messages, step, call);
    }
    let mut body = json!({ "model": call.target.model, "messages": messages, "stream": true });
    // Mistral counts without being asked, and refuses to be.
    if provider != "mistral" {
        body["stream_options"] = json!({ "include_usage": true });
    }
    if !call.tools.is_empty() {
        let tools = call.tools.iter().map(|tool| {
            let function = json!({ "name": tool.name, "description": tool.description, "parameters": tool.parameters });
            json!({ "type": "function", "function": function })
        });
        body["tools"] = tools.collect();
        // The tools stay in a request that may not call them: without them the provider's cache of the
        // conversation would be of no use, and some refuse calls in the history that they know no tool for.
        body["tool_choice"] = if call.may_call { "auto" } else { "none" }.into();
    }
    if let Some(max) = call.max_output() {
        // OpenAI's newer models refuse the old name, and most others do not know the new one.
        let name = if provider == "openai" { "max_completion_tokens" } else { "max_tokens" };
        body[name] = max.into();
    }
    if let Some(level) = call.thinking {
        if provider == "openrouter" {
            body["reasoning"] = json!({ "effort": thinking::openrouter(level) });
        } else if let Some(effort) = thinking::openai(call.target.model, level) {
            body["reasoning_effort"] = effort.into();
        }
    }
    if let Some(key) = call.target.cache_key(&call.system) {
        body["prompt_cache_key"] = key.into();
    }
    body
}

fn push_step(messages: &mut Vec<Value>, step: &Step<'_>, call: &Call<'_>) {
    match step {
        Step::User { text, pictures } if pictures.is_empty() => {
            messages.push(json!({ "role": "user", "content": text }));
        }
        Step::User { text, pictures } => {
            let words = (!text.is_empty()).then(|| json!({ "type": "text", "text": text }));
            let content: Value = words.into_iter().chain(pictures.iter().map(|media| picture(media, call))).collect();
            messages.push(json!({ "role": "user", "content": content }));
        }
        Step::Assistant { text, calls, .. } if calls.is_empty() => {
            messages.push(json!({ "role": "assistant", "content": text }));
        }
        Step::Assistant { text, calls, native } => {
            let content = (!text.is_empty()).then_some(text);
            let wanted = calls.iter().map(|answered| {
                let call = &answered.call;
                let function = json!({ "name": call.name, "arguments": valid_arguments(&call.arguments) });
                json!({ "id": call.id, "type": "function", "function": function })
            });
            let wanted: Value = wanted.collect();
            let mut message = json!({ "role": "assistant", "content": content, "tool_calls": wanted });
            if let Some(thought) = native.and_then(|native| native.content.get(REASONING)) {
                message[REASONING] = thought.clone();
            }
            messages.push(message);
            messages.extend(calls.iter().map(
                |answered| json!({ "role": "tool", "tool_call_id": answered.call.id, "content": answered.result }),
            ));
            push_pictures_of_results(messages, calls, call);
        }
    }
}

/// A tool's result has no place for pictures.
fn push_pictures_of_results(messages: &mut Vec<Value>, calls: &[crate::transcript::AnsweredCall<'_>], call: &Call<'_>) {
    let mut content = Vec::new();
    for answered in calls.iter().filter(|answered| !answered.pictures.is_empty()) {
        let words = format!("[What the call `{}` of `{}` shows:]", answered.call.id, answered.call.name);
        content.push(json!({ "type": "text", "text": words }));
        content.extend(answered.pictures.iter().map(|media| picture(media, call)));
    }
    if !content.is_empty() {
        messages.push(json!({ "role": "user", "content": content }));
    }
}

fn picture(media: &Media, call: &Call<'_>) -> Value {
    json!({ "type": "image_url", "image_url": { "url": call.pictures.data_url(media) } })
}

/// Some servers parse the arguments in the history and refuse the whole request if they are malformed; the
/// tool's result has already told the model what was wrong.
pub(super) fn valid_arguments(arguments: &str) -> &str {
    if arguments.trim().is_empty() || object(arguments).is_none() { "{}" } else { arguments }
}

/// Where models that think between their calls (`DeepSeek`'s, Moonshot's) put their thoughts and want them back.
const REASONING: &str = "reasoning_content";

/// Reads chunks and whole completions. All of their parts are optional: compatible servers leave out what they please.
#[derive(Debug, Default)]
pub(super) struct Reader {
    refusal: String,
    reasoning: String,
    /// The calls by the server's numbers, as far as it has any.
    calls: Vec<(u64, DraftCall)>,
}

impl Fold for Reader {
    fn frame(&mut self, draft: &mut Draft, frame: Frame) -> Result<(), Failure> {
        match frame.data {
            Data::Json(chunk) => self.read(draft, &chunk, "delta")?,
            Data::Done => {
                draft.end.get_or_insert_with(|| NO_REASON.to_owned());
            }
        }
        self.settle(draft);
        Ok(())
    }

    fn whole(&mut self, draft: &mut Draft, answer: &Value) -> Result<(), Failure> {
        self.read(draft, answer, "message")?;
        if answer["choices"].as_array().is_none_or(Vec::is_empty) {
            return Err(Failure::retry("the response has no answer: no choices"));
        }
        draft.end.get_or_insert_with(|| NO_REASON.to_owned());
        self.settle(draft);
        Ok(())
    }
}

impl Reader {
    fn read(&mut self, draft: &mut Draft, answer: &Value, name: &str) -> Result<(), Failure> {
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            // Some gateways report failures with status 200.
            return Err(reported(text(error, "code"), error.as_str().unwrap_or(text(error, "message"))));
        }
        if let Some(usage) = answer.get("usage").filter(|usage| usage.is_object()) {
            draft.usage.input = count(usage, "/prompt_tokens");
            draft.usage.output = count(usage, "/completion_tokens");
            draft.usage.cached = count(usage, "/prompt_tokens_details/cached_tokens");
        }
        let Some(choice) = answer.pointer("/choices/0") else { return Ok(()) };
        let said = &choice[name];
        match &said["content"] {
            Value::String(text) => draft.text.push_str(text),
            Value::Array(parts) => parts.iter().for_each(|part| draft.text.push_str(text(part, "text"))),
            _ => {}
        }
        self.refusal.push_str(text(said, "refusal"));
        self.reasoning.push_str(text(said, REASONING));
        for (place, call) in (0..).zip(said["tool_calls"].as_array().into_iter().flatten()) {
            // What is not streamed is whole, and numbered by its place.
            let index = if name == "message" { place } else { call["index"].as_u64().unwrap_or(place) };
            self.take_call(index, call);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            draft.end = Some(reason.to_owned());
        }
        Ok(())
    }

    fn take_call(&mut self, index: u64, part: &Value) {
        let id = text(part, "id");
        // Some servers give all calls the same number, and each another id.
        let is_same = |known: &DraftCall| id.is_empty() || known.id.is_empty() || known.id == id;
        let at = self.calls.iter().rposition(|(at, known)| *at == index && is_same(known)).unwrap_or_else(|| {
            self.calls.push((index, DraftCall::default()));
            self.calls.len() - 1
        });
        let call = &mut self.calls[at].1;
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        let function = &part["function"];
        if call.name.is_empty() {
            text(function, "name").clone_into(&mut call.name);
        }
        match &function["arguments"] {
            Value::String(text) => call.arguments.push_str(text),
            Value::Null => {}
            // Some servers send the JSON itself.
            json => call.arguments.push_str(&json.to_string()),
        }
    }

    /// Puts what is known once the answer has ended into the draft.
    fn settle(&mut self, draft: &mut Draft) {
        if draft.end.is_none() {
            return;
        }
        if draft.text.is_empty() {
            draft.text = std::mem::take(&mut self.refusal);
        }
        draft.calls.extend(std::mem::take(&mut self.calls).into_iter().map(|(_, call)| call));
        if !self.reasoning.is_empty() {
            draft.native = Some(json!({ REASONING: std::mem::take(&mut self.reasoning) }));
        }
    }
}

#[cfg(test)]
mod tests;
