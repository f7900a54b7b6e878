//! What a chat completion's request must look like: the strictest that any provider asks for.

use std::collections::BTreeSet;

use serde_json::Value;

/// Checks a request. The error says what is wrong with it.
pub(super) fn check(request: &Value) -> Result<(), String> {
    if !request.is_object() {
        return Err("the body is not a JSON object".to_owned());
    }
    if request["model"].as_str().is_none_or(str::is_empty) {
        return Err("there is no model".to_owned());
    }
    if request["stream"] == true && request["stream_options"]["include_usage"] != true {
        return Err("a stream without its usage cannot be paid".to_owned());
    }
    check_tools(request)?;
    let messages = request["messages"].as_array().ok_or("there are no messages")?;
    let Some((first, rest)) = messages.split_first() else { return Err("there are no messages".to_owned()) };
    if first["role"] != "system" || text(first).is_empty() {
        return Err("the first message is not the system's".to_owned());
    }
    if !rest.iter().any(|message| message["role"] == "user") {
        return Err("nobody has said anything".to_owned());
    }
    check_conversation(rest)
}

/// A message's text, if it has any: its content, or those parts of it that are text.
pub(super) fn text(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// Whether a part of a content says anything in a form that there is.
fn is_part(part: &Value) -> bool {
    match part["type"].as_str() {
        Some("text") => part["text"].as_str().is_some_and(|text| !text.is_empty()),
        Some("image_url") => part["image_url"]["url"].as_str().is_some_and(|url| url.starts_with("data:image/")),
        _ => false,
    }
}

fn check_tools(request: &Value) -> Result<(), String> {
    let tools = match &request["tools"] {
        Value::Null => return if request["tool_choice"].is_null() { Ok(()) } else { Err("no tools to choose".into()) },
        Value::Array(tools) if !tools.is_empty() => tools,
        _ => return Err("`tools` is not a list, or empty".to_owned()),
    };
    let mut names = BTreeSet::new();
    for tool in tools {
        let function = &tool["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if tool["type"] != "function" || name.is_empty() || name.len() > 64 || !name.chars().all(is_letter) {
            return Err(format!("this is not a tool: {tool}"));
        }
        if function["parameters"]["type"] != "object" {
            return Err(format!("the parameters of `{name}` are not an object's schema"));
        }
        if !names.insert(name) {
            return Err(format!("there are two tools `{name}`"));
        }
    }
    match request["tool_choice"].as_str() {
        None if request["tool_choice"].is_null() => Ok(()),
        Some("auto" | "none" | "required") => Ok(()),
        _ => Err("`tool_choice` is none of auto, none, required".to_owned()),
    }
}

/// Every tool call is answered once, at once; nothing else is answered.
fn check_conversation(messages: &[Value]) -> Result<(), String> {
    let mut open: BTreeSet<&str> = BTreeSet::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !open.remove(id) {
                return Err(format!("the result of `{id}` answers no open tool call"));
            }
            message["content"].as_str().ok_or_else(|| format!("the result of `{id}` has no text"))?;
            continue;
        }
        if let Some(id) = open.first() {
            return Err(format!("the tool call `{id}` has no result before the next message"));
        }
        match role {
            "user" if text(message).is_empty() => return Err("a user's message is empty".to_owned()),
            "user" => {
                if let Some(part) =
                    message["content"].as_array().and_then(|parts| parts.iter().find(|part| !is_part(part)))
                {
                    return Err(format!("this is not a part of a message: {part}"));
                }
            }
            "assistant" => {
                open = calls(message)?;
                if open.is_empty() && text(message).is_empty() {
                    return Err("an assistant's message says nothing".to_owned());
                }
                if let Some(id) = open.iter().find(|id| !seen.insert(id)) {
                    return Err(format!("two tool calls have the id `{id}`"));
                }
            }
            "system" => return Err("a second system message".to_owned()),
            other => return Err(format!("`{other}` is not a role")),
        }
    }
    open.first().map_or(Ok(()), |id| Err(format!("the tool call `{id}` has no result")))
}

/// The ids of an assistant's tool calls.
fn calls(message: &Value) -> Result<BTreeSet<&str>, String> {
    let calls = match &message["tool_calls"] {
        Value::Null => return Ok(BTreeSet::new()),
        Value::Array(calls) if !calls.is_empty() => calls,
        _ => return Err("`tool_calls` is not a list, or empty".to_owned()),
    };
    let mut ids = BTreeSet::new();
    for call in calls {
        let id = call["id"].as_str().filter(|id| !id.is_empty()).ok_or("a tool call has no id")?;
        let function = &call["function"];
        let arguments = function["arguments"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let is_whole = call["type"] == "function" && function["name"].is_string();
        if !is_whole || !arguments.is_some_and(|arguments| arguments.is_object()) {
            return Err(format!("the tool call `{id}` is malformed: {call}"));
        }
        if !ids.insert(id) {
            return Err(format!("two tool calls have the id `{id}`"));
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(messages: Vec<Value>) -> Value {
        let system = json!({ "role": "system", "content": "You are a bot." });
        let messages: Vec<Value> = [system, user("hi")].into_iter().chain(messages).collect();
        json!({ "model": "m", "messages": messages })
    }

    fn user(text: &str) -> Value {
        json!({ "role": "user", "content": text })
    }

    fn asks(ids: &[&str]) -> Value {
        let function = json!({ "name": "t", "arguments": "{}" });
        let calls = ids.iter().map(|id| json!({ "id": id, "type": "function", "function": function }));
        json!({ "role": "assistant", "content": null, "tool_calls": calls.collect::<Vec<_>>() })
    }

    fn result(id: &str) -> Value {
        json!({ "role": "tool", "tool_call_id": id, "content": "done" })
    }

    #[test]
    fn a_whole_conversation_is_taken() {
        let messages = vec![asks(&["a", "b"]), result("b"), result("a"), user("and?"), asks(&["c"]), result("c")];
        assert_eq!(check(&request(messages)), Ok(()));
    }

    #[test]
    fn each_violation_is_named() {
        let refused = |messages, why: &str| {
            let violation = check(&request(messages)).unwrap_err();
            assert!(violation.contains(why), "{violation}");
        };
        refused(vec![asks(&["a"])], "has no result");
        refused(vec![asks(&["a"]), user("and?"), result("a")], "before the next message");
        refused(vec![asks(&["a"]), result("a"), result("a")], "answers no open tool call");
        refused(vec![result("x")], "answers no open tool call");
        refused(vec![asks(&["a"]), result("a"), asks(&["a"]), result("a")], "two tool calls have the id");
        refused(vec![json!({ "role": "system", "content": "again" })], "second system message");
        refused(vec![json!({ "role": "assistant", "content": "" })], "says nothing");
        refused(vec![json!({ "role": "bot", "content": "x" })], "is not a role");
        assert!(check(&json!({ "model": "m", "messages": [user("hi")] })).is_err());
    }
}
