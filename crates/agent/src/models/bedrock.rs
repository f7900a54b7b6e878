//! Amazon Bedrock's Converse, streamed.

use domain::Media;
use serde_json::{Value, json};

use super::call::Call;
use super::draft::{Block, Blocks, Draft, DraftCall, count, object, text};
use super::exchange::reported;
use super::frames::{Data, Frame};
use super::wire::{Alternating, Fold, Outgoing, Role, cache_places, role_and_content};
use super::{Failure, Secret, thinking};
use crate::transcript::{AnsweredCall, Step};

/// Converse has no word for it.
const NO_MORE_CALLS: &str = "[Answer now: you cannot call tools any more.]";

pub(super) fn outgoing(call: &Call<'_>) -> Outgoing {
    let headers = call.key.map(|key| ("authorization", format!("Bearer {}", Secret::expose(key))));
    // Names of models have colons and slashes in them.
    let model: String = url::form_urlencoded::byte_serialize(call.target.model.as_bytes()).collect();
    Outgoing {
        path: format!("model/{model}/converse-stream"),
        query: None,
        headers: headers.into_iter().collect(),
        body: body(call),
    }
}

fn body(call: &Call<'_>) -> Value {
    let is_claude = thinking::claude_version(call.target.model).is_some();
    let is_cached = is_claude || call.target.model.contains("amazon.nova");
    let point = || json!({ "cachePoint": { "type": "default" } });
    let mut messages = Alternating::default();
    for step in &call.steps {
        push_step(&mut messages, step, call);
    }
    if !call.tools.is_empty() && !call.may_call {
        messages.push(Role::User, vec![words(NO_MORE_CALLS)]);
    }
    let mut messages = messages.finish(words);
    let mut system = vec![words(&call.system)];
    if is_cached {
        cache_places(&messages).into_iter().for_each(|at| messages[at].1.push(point()));
        system.push(point());
    }
    let mut body = json!({ "system": system, "messages": role_and_content(messages) });
    if !call.tools.is_empty() {
        let tools = call.tools.iter().map(|tool| {
            let schema = json!({ "json": tool.parameters });
            json!({ "toolSpec": { "name": tool.name, "description": tool.description, "inputSchema": schema } })
        });
        // Nova takes no point among the tools.
        let tools: Value = tools.chain(is_claude.then(point)).collect();
        body["toolConfig"] = json!({ "tools": tools });
    }
    // A Claude without a limit would have a short one.
    if is_claude || call.is_metered {
        body["inferenceConfig"] = json!({ "maxTokens": call.most_output() });
    }
    if let Some(level) = call.thinking.filter(|_| is_claude && !call.is_amid_others_thoughts()) {
        for (name, value) in thinking::claude(call.target.model, level) {
            body["additionalModelRequestFields"][name] = value;
        }
    }
    body
}

fn words(text: &str) -> Value {
    json!({ "text": text })
}

fn picture(media: &Media, call: &Call<'_>) -> Value {
    let format = call.pictures.mime(media).strip_prefix("image/").unwrap_or("png");
    json!({ "image": { "format": format, "source": { "bytes": call.pictures.base64(media) } } })
}

/// A text and pictures; empty texts are refused.
fn content(text: &str, pictures: &[&Media], call: &Call<'_>) -> Vec<Value> {
    let said = (!text.trim().is_empty()).then(|| words(text));
    said.into_iter().chain(pictures.iter().map(|media| picture(media, call))).collect()
}

fn push_step(messages: &mut Alternating, step: &Step<'_>, call: &Call<'_>) {
    match step {
        Step::User { text, pictures } => {
            // A message of pictures alone is refused.
            let text = if text.trim().is_empty() && !pictures.is_empty() { "[A picture:]" } else { text };
            messages.push(Role::User, content(text, pictures, call));
        }
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
    json!({ "toolUse": { "toolUseId": id, "name": name, "input": input } })
}

fn result(answered: &AnsweredCall<'_>, call: &Call<'_>) -> Value {
    let mut content = content(&answered.result, &answered.pictures, call);
    if content.is_empty() {
        content.push(words("(nothing)"));
    }
    let status = if answered.is_error { "error" } else { "success" };
    json!({ "toolResult": { "toolUseId": answered.call.id, "content": content, "status": status } })
}

/// Reads the events of a stream, or the blocks of a whole answer.
#[derive(Debug, Default)]
pub(super) struct Reader {
    blocks: Blocks,
}

impl Fold for Reader {
    fn frame(&mut self, draft: &mut Draft, frame: Frame) -> Result<(), Failure> {
        let Data::Json(event) = frame.data else { return Ok(()) };
        let at = event["contentBlockIndex"].as_u64().unwrap_or(0);
        match frame.kind.as_str() {
            "contentBlockStart" => {
                if let Some(call) = event["start"].get("toolUse") {
                    self.blocks.begin(at, Block::Call(draft_call(call)));
                }
            }
            "contentBlockDelta" => {
                self.take_delta(at, &event["delta"]);
                draft.text = self.blocks.said();
            }
            "messageStop" => self.end(draft, text(&event, "stopReason")),
            "metadata" => read_usage(draft, &event["usage"]),
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, draft: &mut Draft, answer: &Value) -> Result<(), Failure> {
        let Some(blocks) = answer.pointer("/output/message/content").and_then(Value::as_array) else {
            return Err(reported(text(answer, "__type"), text(answer, "message")));
        };
        for (at, block) in (0..).zip(blocks) {
            if let Some(call) = block.get("toolUse") {
                self.blocks.begin(at, Block::Call(draft_call(call)));
            } else if let Some(said) = block.get("text").and_then(Value::as_str) {
                self.blocks.text(at, said);
            } else if let Some(thought) = block.pointer("/reasoningContent/reasoningText") {
                self.blocks.thought(at, text(thought, "text"), text(thought, "signature"));
            } else {
                self.blocks.begin(at, Block::Opaque(block.clone()));
            }
        }
        read_usage(draft, &answer["usage"]);
        self.end(draft, text(answer, "stopReason"));
        Ok(())
    }
}

impl Reader {
    fn take_delta(&mut self, at: u64, delta: &Value) {
        if let Some(said) = delta.get("text").and_then(Value::as_str) {
            self.blocks.text(at, said);
        } else if let Some(call) = delta.get("toolUse") {
            self.blocks.arguments(at, text(call, "input"));
        } else if let Some(thought) = delta.get("reasoningContent") {
            match thought.get("redactedContent") {
                Some(redacted) => {
                    let block = json!({ "reasoningContent": { "redactedContent": redacted } });
                    self.blocks.begin(at, Block::Opaque(block));
                }
                None => self.blocks.thought(at, text(thought, "text"), text(thought, "signature")),
            }
        }
    }

    fn end(&mut self, draft: &mut Draft, reason: &str) {
        self.blocks.end(draft, native);
        draft.end = Some(reason.to_owned());
    }
}

fn draft_call(call: &Value) -> DraftCall {
    let arguments = call.get("input").filter(|input| input.is_object()).map(Value::to_string);
    DraftCall {
        id: text(call, "toolUseId").to_owned(),
        name: text(call, "name").to_owned(),
        arguments: arguments.unwrap_or_default(),
    }
}

/// A part of an answer as it is sent back.
fn native(block: &Block) -> Option<Value> {
    match block {
        Block::Text(text) => Some(words(text)),
        Block::Call(call) => object(&call.arguments).map(|_| tool_use(&call.id, &call.name, &call.arguments)),
        Block::Thought { signature, .. } if signature.is_empty() => None,
        Block::Thought { text, signature } => {
            Some(json!({ "reasoningContent": { "reasoningText": { "text": text, "signature": signature } } }))
        }
        Block::Opaque(block) => Some(block.clone()),
    }
}

/// What came from the cache and what was written to it is counted apart.
fn read_usage(draft: &mut Draft, usage: &Value) {
    draft.usage.cached = count(usage, "/cacheReadInputTokens");
    draft.usage.cache_written = count(usage, "/cacheWriteInputTokens");
    draft.usage.input = count(usage, "/inputTokens") + draft.usage.cached + draft.usage.cache_written;
    draft.usage.output = count(usage, "/outputTokens");
}

#[cfg(test)]
mod tests;
