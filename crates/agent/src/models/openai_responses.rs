//! OpenAI's Responses. Nothing is kept there: thoughts come encrypted, and are sent back with each request.

use serde_json::{Value, json};

use super::call::Call;
use super::draft::{Draft, DraftCall, count, text};
use super::exchange::reported;
use super::frames::{Data, Frame};
use super::openai_chat::valid_arguments;
use super::wire::{Fold, Outgoing};
use super::{Failure, Secret, thinking};
use crate::transcript::{AnsweredCall, Step};

pub(super) fn outgoing(call: &Call<'_>) -> Outgoing {
    let headers = call.key.map(|key| ("authorization", format!("Bearer {}", Secret::expose(key))));
    Outgoing { path: "responses".to_owned(), query: None, headers: headers.into_iter().collect(), body: body(call) }
}

fn body(call: &Call<'_>) -> Value {
    let input: Vec<Value> = call.steps.iter().flat_map(|step| items(step, call)).collect();
    let mut body = json!({
        "model": call.target.model,
        "instructions": call.system,
        "input": input,
        "store": false,
        "stream": true,
    });
    if !call.tools.is_empty() {
        let tools = call.tools.iter().map(|tool| {
            let (name, description, parameters) = (&tool.name, &tool.description, &tool.parameters);
            json!({ "type": "function", "name": name, "description": description, "parameters": parameters, "strict": false })
        });
        body["tools"] = tools.collect();
        body["tool_choice"] = if call.may_call { "auto" } else { "none" }.into();
    }
    if let Some(max) = call.max_output() {
        body["max_output_tokens"] = max.into();
    }
    if thinking::reasons(call.target.model) {
        body["include"] = json!(["reasoning.encrypted_content"]);
    }
    if let Some(effort) = call.thinking.and_then(|level| thinking::openai(call.target.model, level)) {
        body["reasoning"] = json!({ "effort": effort });
    }
    if let Some(key) = call.target.cache_key(&call.system) {
        body["prompt_cache_key"] = key.into();
    }
    body
}

fn items(step: &Step<'_>, call: &Call<'_>) -> Vec<Value> {
    match step {
        Step::User { text, pictures } => vec![json!({ "role": "user", "content": content(text, pictures, call) })],
        Step::Assistant { text, calls, native } => {
            let mut items = match native.and_then(|native| native.content.as_array()) {
                Some(items) => items.clone(),
                None => {
                    let said = (!text.is_empty()).then(|| json!({ "role": "assistant", "content": text }));
                    said.into_iter().chain(calls.iter().map(|answered| wanted(answered))).collect()
                }
            };
            items.extend(calls.iter().map(|answered| {
                let output = match answered.pictures.as_slice() {
                    [] => json!(answered.result),
                    pictures => content(&answered.result, pictures, call),
                };
                json!({ "type": "function_call_output", "call_id": answered.call.id, "output": output })
            }));
            items
        }
    }
}

fn wanted(answered: &AnsweredCall<'_>) -> Value {
    let call = &answered.call;
    let arguments = valid_arguments(&call.arguments);
    json!({ "type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments })
}

fn content(text: &str, pictures: &[&domain::Media], call: &Call<'_>) -> Value {
    let words = (!text.is_empty()).then(|| json!({ "type": "input_text", "text": text }));
    let shown = pictures
        .iter()
        .map(|media| json!({ "type": "input_image", "image_url": call.pictures.data_url(media), "detail": "auto" }));
    words.into_iter().chain(shown).collect()
}

/// Reads the events of a stream: items as they are done, and the response at the end.
#[derive(Debug, Default)]
pub(super) struct Reader {
    items: Vec<Value>,
}

impl Fold for Reader {
    fn frame(&mut self, draft: &mut Draft, frame: Frame) -> Result<(), Failure> {
        let Data::Json(mut event) = frame.data else { return Ok(()) };
        match text(&event, "type") {
            "response.output_text.delta" | "response.refusal.delta" => draft.text.push_str(text(&event, "delta")),
            "response.output_item.done" => self.items.push(event["item"].take()),
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.whole(draft, &event["response"])?
            }
            "error" => {
                let error = event.get("error").unwrap_or(&event);
                return Err(reported(text(error, "code"), text(error, "message")));
            }
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, draft: &mut Draft, answer: &Value) -> Result<(), Failure> {
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            return Err(reported(text(error, "code"), text(error, "message")));
        }
        let mut items = std::mem::take(&mut self.items);
        if let Some(output) = answer["output"].as_array().filter(|output| !output.is_empty()) {
            items.clone_from(output);
        }
        let usage = &answer["usage"];
        draft.usage.input = count(usage, "/input_tokens");
        draft.usage.output = count(usage, "/output_tokens");
        draft.usage.cached = count(usage, "/input_tokens_details/cached_tokens");
        draft.text.clear();
        for item in &items {
            match text(item, "type") {
                "message" => {
                    for part in item["content"].as_array().into_iter().flatten() {
                        draft.text.push_str(text(part, "text"));
                        draft.text.push_str(text(part, "refusal"));
                    }
                }
                "function_call" => draft.calls.push(DraftCall {
                    id: text(item, "call_id").to_owned(),
                    name: text(item, "name").to_owned(),
                    arguments: text(item, "arguments").to_owned(),
                }),
                _ => {}
            }
        }
        let reason = answer.pointer("/incomplete_details/reason").and_then(Value::as_str);
        draft.end = Some(reason.unwrap_or(text(answer, "status")).to_owned());
        let is_thought = |item: &Value| item["type"] == "reasoning";
        // An unfinished call cannot be sent back as it is.
        let is_valid = draft.calls.iter().all(|call| valid_arguments(&call.arguments) == call.arguments);
        draft.native = (is_valid && items.iter().any(is_thought)).then_some(Value::Array(items));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
