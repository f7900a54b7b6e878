//! Anthropic's Messages.

use domain::Media;
use serde_json::{Value, json};

use super::call::Call;
use super::draft::{Block, Blocks, Draft, DraftCall, count, object, text};
use super::exchange::reported;
use super::frames::{Data, Frame};
use super::wire::{Alternating, Fold, Outgoing, Role, cache_places, role_and_content};
use super::{Failure, Secret, thinking};
use crate::transcript::{AnsweredCall, Step};

pub(super) fn outgoing(call: &Call<'_>) -> Outgoing {
    let mut headers = vec![("anthropic-version", "2023-06-01".to_owned())];
    headers.extend(call.key.map(|key| ("x-api-key", Secret::expose(key).to_owned())));
    Outgoing { path: "messages".to_owned(), query: None, headers, body: body(call) }
}

fn body(call: &Call<'_>) -> Value {
    let mut messages = Alternating::default();
    for step in &call.steps {
        push_step(&mut messages, step, call);
    }
    let mut messages = messages.finish(words);
    for at in cache_places(&messages) {
        mark(messages[at].1.last_mut());
    }
    let mut system = vec![words(&call.system)];
    mark(system.last_mut());
    let mut body = json!({
        "model": call.target.model,
        "max_tokens": call.most_output(),
        "system": system,
        "messages": role_and_content(messages),
        "stream": true,
    });
    if !call.tools.is_empty() {
        let tools = call
            .tools
            .iter()
            .map(|tool| json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters }));
        let mut tools: Vec<Value> = tools.collect();
        mark(tools.last_mut());
        body["tools"] = tools.into();
        body["tool_choice"] = json!({ "type": if call.may_call { "auto" } else { "none" } });
    }
    if let Some(level) = call.thinking.filter(|_| !call.is_amid_others_thoughts()) {
        for (name, value) in thinking::claude(call.target.model, level) {
            body[name] = value;
        }
    }
    body
}

/// Has the provider keep everything up to here for a few minutes.
fn mark(block: Option<&mut Value>) {
    if let Some(block) = block {
        block["cache_control"] = json!({ "type": "ephemeral" });
    }
}

fn words(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn picture(media: &Media, call: &Call<'_>) -> Value {
    let source =
        json!({ "type": "base64", "media_type": call.pictures.mime(media), "data": call.pictures.base64(media) });
    json!({ "type": "image", "source": source })
}

/// A text and pictures; empty texts are refused.
fn content(text: &str, pictures: &[&Media], call: &Call<'_>) -> Vec<Value> {
    let said = (!text.trim().is_empty()).then(|| words(text));
    said.into_iter().chain(pictures.iter().map(|media| picture(media, call))).collect()
}

fn push_step(messages: &mut Alternating, step: &Step<'_>, call: &Call<'_>) {
    match step {
        Step::User { text, pictures } => messages.push(Role::User, content(text, pictures, call)),
        Step::Assistant { text, calls, native } => {
            let blocks = match native.and_then(|native| native.content.as_array()) {
                Some(blocks) => blocks.clone(),
                None => {
                    let wanted = calls
                        .iter()
                        .map(|answered| tool_use(&answered.call.id, &answered.call.name, &answered.call.arguments));
                    content(text, &[], call).into_iter().chain(wanted).collect()
                }
            };
            messages.push(Role::Assistant, blocks);
            messages.push(Role::User, calls.iter().map(|answered| result(answered, call)).collect());
        }
    }
}

fn tool_use(id: &str, name: &str, arguments: &str) -> Value {
    let input = object(arguments).unwrap_or_else(|| json!({}));
    json!({ "type": "tool_use", "id": id, "name": name, "input": input })
}

fn result(answered: &AnsweredCall<'_>, call: &Call<'_>) -> Value {
    let content = content(&answered.result, &answered.pictures, call);
    let mut result = json!({ "type": "tool_result", "tool_use_id": answered.call.id, "content": content });
    if answered.is_error {
        result["is_error"] = true.into();
    }
    result
}

/// Reads the events of a stream, or the blocks of a whole message.
#[derive(Debug, Default)]
pub(super) struct Reader {
    blocks: Blocks,
}

impl Fold for Reader {
    fn frame(&mut self, draft: &mut Draft, frame: Frame) -> Result<(), Failure> {
        let Data::Json(event) = frame.data else { return Ok(()) };
        let at = event["index"].as_u64().unwrap_or(0);
        match text(&event, "type") {
            "message_start" => read_usage(draft, &event["message"]["usage"]),
            "content_block_start" => self.begin(at, &event["content_block"]),
            "content_block_delta" => {
                let delta = &event["delta"];
                self.blocks_delta(at, delta);
                draft.text = self.blocks.said();
            }
            "message_delta" => {
                read_usage(draft, &event["usage"]);
                if let Some(reason) = event.pointer("/delta/stop_reason").and_then(Value::as_str) {
                    self.end(draft, reason);
                }
            }
            "message_stop" if draft.end.is_none() => self.end(draft, "none given"),
            "error" => return Err(error(&event)),
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, draft: &mut Draft, answer: &Value) -> Result<(), Failure> {
        if answer["type"] == "error" {
            return Err(error(answer));
        }
        let Some(blocks) = answer["content"].as_array() else {
            return Err(Failure::retry("the response has no content"));
        };
        for (at, block) in (0..).zip(blocks) {
            self.begin(at, block);
        }
        read_usage(draft, &answer["usage"]);
        self.end(draft, answer["stop_reason"].as_str().unwrap_or("none given"));
        Ok(())
    }
}

impl Reader {
    fn begin(&mut self, at: u64, block: &Value) {
        let block = match text(block, "type") {
            "text" => Block::Text(text(block, "text").to_owned()),
            "tool_use" => {
                // In a stream the input begins empty, and comes as text.
                let input = &block["input"];
                let is_empty = input.as_object().is_none_or(serde_json::Map::is_empty);
                let arguments = if is_empty { String::new() } else { input.to_string() };
                Block::Call(DraftCall {
                    id: text(block, "id").to_owned(),
                    name: text(block, "name").to_owned(),
                    arguments,
                })
            }
            "thinking" => Block::Thought {
                text: text(block, "thinking").to_owned(),
                signature: text(block, "signature").to_owned(),
            },
            _ => Block::Opaque(block.clone()),
        };
        self.blocks.begin(at, block);
    }

    fn blocks_delta(&mut self, at: u64, delta: &Value) {
        match text(delta, "type") {
            "text_delta" => self.blocks.text(at, text(delta, "text")),
            "input_json_delta" => self.blocks.arguments(at, text(delta, "partial_json")),
            "thinking_delta" => self.blocks.thought(at, text(delta, "thinking"), ""),
            "signature_delta" => self.blocks.thought(at, "", text(delta, "signature")),
            _ => {}
        }
    }

    fn end(&mut self, draft: &mut Draft, reason: &str) {
        self.blocks.end(draft, native);
        draft.end = Some(reason.to_owned());
    }
}

/// A part of an answer as it is sent back.
fn native(block: &Block) -> Option<Value> {
    match block {
        Block::Text(text) => Some(words(text)),
        Block::Call(call) => object(&call.arguments).map(|_| tool_use(&call.id, &call.name, &call.arguments)),
        Block::Thought { signature, .. } if signature.is_empty() => None,
        Block::Thought { text, signature } => {
            Some(json!({ "type": "thinking", "thinking": text, "signature": signature }))
        }
        Block::Opaque(block) => Some(block.clone()),
    }
}

/// What came from the cache and what was written to it is counted apart. Later counts stand for all.
fn read_usage(draft: &mut Draft, usage: &Value) {
    if usage.get("input_tokens").is_some_and(Value::is_u64) {
        draft.usage.cached = count(usage, "/cache_read_input_tokens");
        draft.usage.cache_written = count(usage, "/cache_creation_input_tokens");
        draft.usage.input = count(usage, "/input_tokens") + draft.usage.cached + draft.usage.cache_written;
    }
    if usage.get("output_tokens").is_some_and(Value::is_u64) {
        draft.usage.output = count(usage, "/output_tokens");
    }
}

fn error(event: &Value) -> Failure {
    reported(text(&event["error"], "type"), text(&event["error"], "message"))
}

#[cfg(test)]
mod tests;
