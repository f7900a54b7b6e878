//! Google's generateContent.

use domain::Media;
use serde_json::{Value, json};

use super::call::Call;
use super::draft::{Draft, DraftCall, count, object, text};
use super::exchange::reported;
use super::frames::{Data, Frame};
use super::wire::{Alternating, Fold, Outgoing, Role};
use super::{Failure, Secret, thinking};
use crate::transcript::{AnsweredCall, Step};

/// Google's own word for a call that another model made: Gemini 3 refuses calls that nobody has signed.
const UNSIGNED: &str = "skip_thought_signature_validator";

pub(super) fn outgoing(call: &Call<'_>) -> Outgoing {
    let headers = call.key.map(|key| ("x-goog-api-key", Secret::expose(key).to_owned()));
    Outgoing {
        path: format!("models/{}:streamGenerateContent", call.target.model),
        query: Some(("alt", "sse")),
        headers: headers.into_iter().collect(),
        body: body(call),
    }
}

fn body(call: &Call<'_>) -> Value {
    let mut contents = Alternating::default();
    for step in &call.steps {
        push_step(&mut contents, step, call);
    }
    let contents = contents.finish(words).into_iter().map(|(role, parts)| {
        let role = if role == Role::User { "user" } else { "model" };
        json!({ "role": role, "parts": parts })
    });
    let contents: Value = contents.collect();
    let mut body = json!({ "systemInstruction": { "parts": [words(&call.system)] }, "contents": contents });
    if !call.tools.is_empty() {
        let declared = call.tools.iter().map(|tool| {
            json!({ "name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters })
        });
        let declared: Value = declared.collect();
        body["tools"] = json!([{ "functionDeclarations": declared }]);
        let mode = if call.may_call { "AUTO" } else { "NONE" };
        body["toolConfig"] = json!({ "functionCallingConfig": { "mode": mode } });
    }
    if let Some(max) = call.max_output() {
        body["generationConfig"]["maxOutputTokens"] = max.into();
    }
    if let Some(config) = call.thinking.and_then(|level| thinking::gemini(call.target.model, level)) {
        body["generationConfig"]["thinkingConfig"] = config;
    }
    body
}

fn words(text: &str) -> Value {
    json!({ "text": text })
}

fn picture(media: &Media, call: &Call<'_>) -> Value {
    json!({ "inlineData": { "mimeType": call.pictures.mime(media), "data": call.pictures.base64(media) } })
}

fn push_step(contents: &mut Alternating, step: &Step<'_>, call: &Call<'_>) {
    match step {
        Step::User { text, pictures } => {
            let said = (!text.is_empty()).then(|| words(text));
            contents
                .push(Role::User, said.into_iter().chain(pictures.iter().map(|media| picture(media, call))).collect());
        }
        Step::Assistant { text, calls, native } => {
            let parts = match native.and_then(|native| native.content.as_array()) {
                Some(parts) => parts.clone(),
                None => {
                    let said = (!text.is_empty()).then(|| words(text));
                    said.into_iter().chain(function_calls(calls, call)).collect()
                }
            };
            contents.push(Role::Assistant, parts);
            contents.push(Role::User, calls.iter().map(response).collect());
            let shown = calls.iter().filter(|answered| !answered.pictures.is_empty()).flat_map(|answered| {
                let title = words(&format!("[What the call of `{}` shows:]", answered.call.name));
                std::iter::once(title).chain(answered.pictures.iter().map(|media| picture(media, call)))
            });
            contents.push(Role::User, shown.collect());
        }
    }
}

fn function_calls(calls: &[AnsweredCall<'_>], call: &Call<'_>) -> Vec<Value> {
    let wanted = calls.iter().map(|answered| {
        let args = object(&answered.call.arguments).unwrap_or_else(|| json!({}));
        json!({ "functionCall": { "name": answered.call.name, "args": args } })
    });
    let mut wanted: Vec<Value> = wanted.collect();
    if let Some(first) = wanted.first_mut().filter(|_| call.target.model.contains("gemini-3")) {
        first["thoughtSignature"] = UNSIGNED.into();
    }
    wanted
}

/// Results are matched with the calls by their order and the function's name.
fn response(answered: &AnsweredCall<'_>) -> Value {
    let field = if answered.is_error { "error" } else { "result" };
    json!({ "functionResponse": { "name": answered.call.name, "response": { field: answered.result } } })
}

/// Reads responses; a streamed one is several, each with some of the parts.
#[derive(Debug, Default)]
pub(super) struct Reader {
    parts: Vec<Value>,
}

impl Fold for Reader {
    fn frame(&mut self, draft: &mut Draft, frame: Frame) -> Result<(), Failure> {
        let Data::Json(response) = frame.data else { return Ok(()) };
        self.read(draft, &response)
    }

    fn whole(&mut self, draft: &mut Draft, answer: &Value) -> Result<(), Failure> {
        // Without `alt=sse` a stream is one array of responses.
        let responses = answer.as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
        for response in responses {
            self.read(draft, response)?;
        }
        draft.end.get_or_insert_with(|| "none given".to_owned());
        Ok(())
    }
}

impl Reader {
    fn read(&mut self, draft: &mut Draft, response: &Value) -> Result<(), Failure> {
        if let Some(error) = response.get("error") {
            return Err(reported(text(error, "status"), text(error, "message")));
        }
        if let Some(usage) = response.get("usageMetadata") {
            draft.usage.input = count(usage, "/promptTokenCount") + count(usage, "/toolUsePromptTokenCount");
            draft.usage.output = count(usage, "/candidatesTokenCount") + count(usage, "/thoughtsTokenCount");
            draft.usage.cached = count(usage, "/cachedContentTokenCount");
        }
        if let Some(reason) = response.pointer("/promptFeedback/blockReason").and_then(Value::as_str) {
            draft.end = Some(reason.to_owned());
        }
        let Some(candidate) = response.pointer("/candidates/0") else { return Ok(()) };
        for part in candidate.pointer("/content/parts").and_then(Value::as_array).into_iter().flatten() {
            if part["thought"] != true {
                draft.text.push_str(text(part, "text"));
            }
            if let Some(call) = part.get("functionCall") {
                let id = match text(call, "id") {
                    // Gemini matches by order; what is made up here is the conversation's affair.
                    "" => format!("call_{}", draft.calls.len()),
                    id => id.to_owned(),
                };
                let arguments = call.get("args").map_or_else(|| "{}".to_owned(), Value::to_string);
                draft.calls.push(DraftCall { id, name: text(call, "name").to_owned(), arguments });
            }
            self.keep(part);
        }
        if let Some(reason) = candidate["finishReason"].as_str() {
            draft.end = Some(reason.to_owned());
        }
        let is_signed = |part: &Value| part.get("thoughtSignature").is_some();
        draft.native = self.parts.iter().any(is_signed).then(|| Value::Array(self.parts.clone()));
        Ok(())
    }

    /// Keeps a part as it is. Plain texts that follow each other are one; a signed part stays what it is.
    fn keep(&mut self, part: &Value) {
        let is_plain = |part: &Value| part.as_object().is_some_and(|part| part.len() == 1 && part.contains_key("text"));
        match self.parts.last_mut() {
            Some(last) if is_plain(last) && is_plain(part) => {
                last["text"] = format!("{}{}", text(last, "text"), text(part, "text")).into();
            }
            _ => self.parts.push(part.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
