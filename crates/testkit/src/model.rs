//! A language model behind OpenAI's chat completions, which answers from a script and refuses what breaks the protocol.

mod protocol;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::lock;
use crate::loopback::Loopback;

/// What the model does with one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Text(String),
    /// Tools to call, each by its name and its arguments.
    ToolCalls(Vec<(String, Value)>),
    /// A status, a body, and the seconds of `Retry-After`.
    Status(u16, String, Option<u64>),
    /// No answer at all.
    Hang,
    /// 200 with a body that is no JSON.
    Garbage,
    /// A completion that says nothing.
    Empty,
}

/// What was used so far, as the answers' `usage` said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    pub answers: u64,
    /// Those that came from the cache included.
    pub prompt_tokens: u64,
    pub cached_tokens: u64,
    pub completion_tokens: u64,
}

type Answers = Arc<dyn Fn(&Value) -> Reply + Send + Sync>;

struct World {
    script: VecDeque<Reply>,
    /// What answers when the script is at its end.
    answers: Answers,
    key: Option<String>,
    latency: Duration,
    /// Between the two halves of a streamed text.
    pause: Duration,
    calls: u64,
    requests: Vec<Value>,
    violations: Vec<String>,
    ledger: Ledger,
    /// The system prompt that is in the cache.
    cached: Value,
}

type Shared = Arc<Mutex<World>>;

/// A server of chat completions. It echoes until it is told otherwise.
pub struct FakeModel {
    server: Loopback,
    world: Shared,
}

impl FakeModel {
    pub fn start() -> FakeModel {
        let world = Arc::new(Mutex::new(World {
            script: VecDeque::new(),
            answers: Arc::new(echo),
            key: None,
            latency: Duration::ZERO,
            pause: Duration::ZERO,
            calls: 0,
            requests: vec![],
            violations: vec![],
            ledger: Ledger::default(),
            cached: Value::Null,
        }));
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(world.clone());
        FakeModel { server: Loopback::serve(router), world }
    }

    /// The base URL for a bot's settings, up to and including `/v1`.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.server.url())
    }

    /// Refuses requests without this key from now on.
    pub fn require_key(&self, key: &str) {
        lock(&self.world).key = Some(key.to_owned());
    }

    /// Waits this long before each answer.
    pub fn latency(&self, latency: Duration) {
        lock(&self.world).latency = latency;
    }

    /// Waits this long between the halves of each streamed text.
    pub fn pause(&self, pause: Duration) {
        lock(&self.world).pause = pause;
    }

    /// Answers the next requests with these, in order, and those after them as before.
    pub fn script(&self, replies: Vec<Reply>) {
        lock(&self.world).script.extend(replies);
    }

    /// Answers every request with this once the script is at its end.
    pub fn always(&self, reply: Reply) {
        self.answer_with(move |_| reply.clone());
    }

    /// Answers every request with what the person said last, behind `echo: `, once the script is at its end. This is
    /// what it does at first.
    pub fn echo(&self) {
        self.answer_with(echo);
    }

    /// Answers every request with what `answers` makes of it once the script is at its end.
    pub fn answer_with(&self, answers: impl Fn(&Value) -> Reply + Send + Sync + 'static) {
        lock(&self.world).answers = Arc::new(answers);
    }

    /// The bodies of all requests so far, those that were refused too.
    pub fn requests(&self) -> Vec<Value> {
        lock(&self.world).requests.clone()
    }

    pub fn ledger(&self) -> Ledger {
        lock(&self.world).ledger
    }

    /// Fails if a request broke the protocol, or the script was not played to its end.
    pub fn assert_clean(&self) {
        let world = lock(&self.world);
        assert!(world.violations.is_empty(), "requests broke the protocol: {:#?}", world.violations);
        assert!(world.script.is_empty(), "the model was not asked for: {:?}", world.script);
    }
}

fn echo(request: &Value) -> Reply {
    let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let said = messages.iter().rev().find(|message| message["role"] == "user");
    Reply::Text(format!("echo: {}", said.map(protocol::text).unwrap_or_default()))
}

async fn complete(State(world): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (reply, latency, call) = {
        let mut world = lock(&world);
        world.requests.push(request.clone());
        if let Some(key) = &world.key
            && headers.get(header::AUTHORIZATION).is_none_or(|sent| *sent != format!("Bearer {key}"))
        {
            world.violations.push("the key is missing or wrong".to_owned());
            return refuse(StatusCode::UNAUTHORIZED, "Incorrect API key provided.");
        }
        if let Err(violation) = protocol::check(&request) {
            world.violations.push(violation.clone());
            return refuse(StatusCode::BAD_REQUEST, &violation);
        }
        world.calls += 1;
        let scripted = world.script.pop_front();
        (scripted.unwrap_or_else(|| (world.answers)(&request)), world.latency, world.calls)
    };
    tokio::time::sleep(latency).await;
    let message = match reply {
        Reply::Text(text) => json!({ "role": "assistant", "content": text }),
        Reply::Empty => json!({ "role": "assistant", "content": "" }),
        Reply::ToolCalls(calls) => {
            json!({ "role": "assistant", "content": null, "tool_calls": tool_calls(call, calls) })
        }
        Reply::Hang => std::future::pending().await,
        Reply::Garbage => return "<html>The proxy has no answer".into_response(),
        Reply::Status(status, body, retry_after) => return failed(status, body, retry_after),
    };
    let (prompt, completion) = (tokens(&body), tokens(message.to_string().as_bytes()));
    let mut world = lock(&world);
    let system = &request["messages"][0];
    let cached = if world.cached == *system { tokens(system.to_string().as_bytes()) } else { 0 };
    world.cached = system.clone();
    world.ledger.answers += 1;
    world.ledger.prompt_tokens += prompt;
    world.ledger.cached_tokens += cached;
    world.ledger.completion_tokens += completion;
    let reason = if message.get("tool_calls").is_some() { "tool_calls" } else { "stop" };
    let usage = json!({
        "prompt_tokens": prompt,
        "prompt_tokens_details": { "cached_tokens": cached },
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    });
    let completion = json!({
        "id": format!("chatcmpl-{call}"),
        "object": "chat.completion",
        "model": request["model"],
        "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
        "usage": usage,
    });
    if request["stream"] == true { streamed(&completion, world.pause) } else { axum::Json(completion).into_response() }
}

/// A completion as a stream of chunks: its text in two halves, then its tool calls, each with its arguments behind it,
/// then the reason why it ends, then its usage.
fn streamed(completion: &Value, pause: Duration) -> Response {
    let message = &completion["choices"][0]["message"];
    let chunk = |delta: Value, reason: &Value| {
        let choices = json!([{ "index": 0, "delta": delta, "finish_reason": reason }]);
        json!({
            "id": completion["id"],
            "object": "chat.completion.chunk",
            "model": completion["model"],
            "choices": choices,
            "usage": null,
        })
    };
    let mut chunks = vec![chunk(json!({ "role": "assistant", "content": "" }), &Value::Null)];
    let text: Vec<char> = protocol::text(message).chars().collect();
    for half in text.chunks(text.len().div_ceil(2).max(1)) {
        chunks.push(chunk(json!({ "content": half.iter().collect::<String>() }), &Value::Null));
    }
    for (index, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let function = json!({ "name": call["function"]["name"], "arguments": "" });
        let begun = json!({ "index": index, "id": call["id"], "type": "function", "function": function });
        chunks.push(chunk(json!({ "tool_calls": [begun] }), &Value::Null));
        let rest = json!({ "index": index, "function": { "arguments": call["function"]["arguments"] } });
        chunks.push(chunk(json!({ "tool_calls": [rest] }), &Value::Null));
    }
    chunks.push(chunk(json!({}), &completion["choices"][0]["finish_reason"]));
    let mut last = chunk(json!({}), &Value::Null);
    last["choices"] = json!([]);
    last["usage"] = completion["usage"].clone();
    chunks.push(last);
    let mut events: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    events.push("data: [DONE]\n\n".to_owned());
    // The role and the first half.
    let rest = events.split_off(2).concat();
    let parts = [(events.concat(), Duration::ZERO), (rest, pause)].map(|(part, pause)| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::convert::Infallible>(part)
    });
    let body = Body::from_stream(stream::iter(parts).then(|part| part));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// About four bytes make a token.
fn tokens(text: &[u8]) -> u64 {
    (text.len() as u64).div_ceil(4)
}

fn tool_calls(call: u64, calls: Vec<(String, Value)>) -> Value {
    let calls = calls.into_iter().enumerate().map(|(index, (name, arguments))| {
        let function = json!({ "name": name, "arguments": arguments.to_string() });
        json!({ "id": format!("call_{call}_{index}"), "type": "function", "function": function })
    });
    calls.collect()
}

fn failed(status: u16, body: String, retry_after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(status).expect("a status between 100 and 999");
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn refuse(status: StatusCode, message: &str) -> Response {
    let error = json!({ "message": message, "type": "invalid_request_error", "param": null, "code": null });
    (status, axum::Json(json!({ "error": error }))).into_response()
}
