//! A chat-completions server that replies from a script and refuses what breaks the protocol.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

/// What the server does with one request.
pub(crate) enum Reply {
    Text(&'static str),
    /// A text without a count of its tokens.
    Uncounted(&'static str),
    /// Tool calls: id, name, arguments.
    Calls(&'static [(&'static str, &'static str, &'static str)]),
    Status(u16, &'static str),
    RetryAfter(u16, &'static str),
    Garbage,
    Empty,
    Hang,
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    requests: Vec<Value>,
    violations: Vec<String>,
}

/// Must be ended with [`ScriptedModel::finish`], which fails a test whose script was not played to its end.
pub(crate) struct ScriptedModel {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
    finished: bool,
}

pub(crate) const KEY: &str = "sk-test-key";

impl ScriptedModel {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> ScriptedModel {
        let script = Arc::new(Mutex::new(Script { replies: replies.into_iter().collect(), ..Script::default() }));
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(script.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        ScriptedModel { url, script, finished: false }
    }

    /// The requests, in order.
    pub(crate) fn finish(mut self) -> Vec<Value> {
        self.finished = true;
        let mut script = self.script.lock().expect("the script");
        assert_eq!(script.violations, Vec::<String>::new());
        assert!(script.replies.is_empty(), "{} replies were not asked for", script.replies.len());
        std::mem::take(&mut script.requests)
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        assert!(self.finished || std::thread::panicking(), "the scripted model was not finished");
    }
}

async fn complete(State(script): State<Arc<Mutex<Script>>>, headers: HeaderMap, body: String) -> Response {
    let reply = {
        let mut script = script.lock().expect("the script");
        let request: Value = serde_json::from_str(&body).unwrap_or_default();
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
        if bearer != Some(&format!("Bearer {KEY}")) {
            script.violations.push(format!("authorization: {bearer:?}"));
        }
        if let Err(violation) = check(&request) {
            script.violations.push(violation);
        }
        script.requests.push(request);
        script.replies.pop_front()
    };
    let usage =
        json!({ "prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": { "cached_tokens": 60 } });
    let counted = |message: Value, usage: Value| {
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
        axum::Json(json!({ "object": "chat.completion", "choices": [choice], "usage": usage })).into_response()
    };
    let completion = |message: Value| counted(message, usage.clone());
    let status = |status: u16| StatusCode::from_u16(status).expect("a status");
    match reply {
        Some(Reply::Text(text)) => completion(json!({ "role": "assistant", "content": text })),
        Some(Reply::Uncounted(text)) => counted(json!({ "role": "assistant", "content": text }), Value::Null),
        Some(Reply::Calls(calls)) => {
            let call = |(id, name, arguments): &(&str, &str, &str)| {
                let function = json!({ "name": name, "arguments": arguments });
                json!({ "id": id, "type": "function", "function": function })
            };
            let calls: Vec<Value> = calls.iter().map(call).collect();
            completion(json!({ "role": "assistant", "content": null, "tool_calls": calls }))
        }
        Some(Reply::Status(code, message)) => {
            (status(code), axum::Json(json!({ "error": { "message": message } }))).into_response()
        }
        Some(Reply::RetryAfter(code, seconds)) => (status(code), [("retry-after", seconds)]).into_response(),
        Some(Reply::Garbage) => "<html>Something is wrong".into_response(),
        Some(Reply::Empty) => completion(json!({ "role": "assistant", "content": "" })),
        Some(Reply::Hang) => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            StatusCode::REQUEST_TIMEOUT.into_response()
        }
        None => {
            script.lock().expect("the script").violations.push("one request too many".to_owned());
            StatusCode::GONE.into_response()
        }
    }
}

/// The rules that OpenAI's API enforces on a conversation.
fn check(request: &Value) -> Result<(), String> {
    let messages = request["messages"].as_array().ok_or("no messages")?;
    let role = |at: usize| messages.get(at).and_then(|message| message["role"].as_str()).unwrap_or_default();
    if role(0) != "system" {
        return Err("the first message is not the system's".to_owned());
    }
    let mut at = 1;
    while at < messages.len() {
        let message = &messages[at];
        at += 1;
        match message["role"].as_str() {
            Some("user") if message["content"].is_string() || message["content"].is_array() => {}
            Some("assistant") => {
                let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
                if calls.is_empty() && message["content"].as_str().unwrap_or_default().is_empty() {
                    return Err(format!("message {at}: an assistant that says nothing"));
                }
                let mut wanted: Vec<&str> = calls.iter().filter_map(|call| call["id"].as_str()).collect();
                for call in &calls {
                    let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
                    serde_json::from_str::<Value>(arguments).map_err(|error| format!("arguments: {error}"))?;
                }
                while role(at) == "tool" {
                    let id = messages[at]["tool_call_id"].as_str().unwrap_or_default();
                    let index = wanted.iter().position(|wanted| *wanted == id);
                    wanted.swap_remove(index.ok_or_else(|| format!("message {at}: `{id}` was not called"))?);
                    at += 1;
                }
                if !wanted.is_empty() {
                    return Err(format!("message {at}: no answer to {wanted:?}"));
                }
            }
            other => return Err(format!("message {at}: {other:?} cannot stand here")),
        }
    }
    if request.get("tools").is_none() && request.get("tool_choice").is_some() {
        return Err("a choice of tools, and no tools".to_owned());
    }
    for tool in request["tools"].as_array().into_iter().flatten() {
        if tool["type"] != "function" || tool["function"]["parameters"]["type"] != "object" {
            return Err(format!("bad tool: {tool}"));
        }
    }
    Ok(())
}
